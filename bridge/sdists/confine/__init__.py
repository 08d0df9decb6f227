"""A sandbox for the code of build backends: it runs in a process of its own, which imports nothing else of bridge.

`child` is the entry; `namespaces`, `landlock` and `seccomp` are the mechanisms of Linux, `reaper` ends what is left.
`bridge.sdists.build` decides what is used and tells what the machine cannot do.
"""
