"""The audit: what is in a prefix, compared with what its records say.

`run.audit` reads a prefix (`look/`), compares it with its records (`view`, `policy`) and runs `checks.CHECKS`, in which
each kind of finding is one function. `report/` writes results to files; `queries` answers `list`, `owner` and `why`.
"""
