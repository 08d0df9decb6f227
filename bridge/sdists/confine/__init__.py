"""A sandbox for build backends, in a process that imports nothing else of bridge.

`child` is the entry; `namespaces`, `landlock` and `seccomp` are Linux mechanisms; `reaper` ends remaining processes.
`import_child` is run by the python of an environment (`bridge.audit.trial`).
`bridge.sdists.build` chooses the mechanisms and warns about missing ones.
"""
