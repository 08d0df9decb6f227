"""Import the modules of an environment, each in a process of its own, in the sandbox of builds.

`modules` finds and judges (pure), `running` runs. `bridge.sdists.confine.import_child` is what the python runs.
"""
