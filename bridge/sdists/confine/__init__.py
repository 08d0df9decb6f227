"""A sandbox for build backends, in a process that imports nothing else of bridge.

`child` is the entry; `namespaces`, `landlock` and `seccomp` are Linux mechanisms; `reaper` ends remaining processes.
`bridge.sdists.build` chooses the mechanisms and warns about missing ones.
"""
