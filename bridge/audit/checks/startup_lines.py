"""Judge the lines that python executes at its start: which are the usual ones of installers. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from converters.deferred import regex

__all__ = ["OF_SETUPTOOLS", "is_usual_line"]

# The only line of distutils-precedence.pth, of setuptools since version 60.
OF_SETUPTOOLS = (
    "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
    "enabled and __import__('_distutils_hack').add_shim();"
)
# Namespace packages (setuptools, wheel), patches of virtualenv and uv, setuptools' distutils, coverage in subprocesses,
# eggs (setuptools before 50). `_CALLS` says what else such a line may do.
_USUAL = regex(
    r"import sys, ?types, ?os;.*(?:nspkg|\bmodule_from_spec\b|sys\.modules\.setdefault|\bsetdefault\()"
    r"|import _virtualenv\Z"
    r"|import os; var = 'SETUPTOOLS_USE_DISTUTILS';"
    r"|import sys; ?exec\(.*coverage|import coverage; ?coverage\.process_startup\(\)\Z"
    r"|import os, ?sys; ?exec\(.*COV_CORE_"
    r"|import _?distutils_hack\Z"
    r"|import sys; ?(?:sys\.__plen ?= ?len\(sys\.path\)\Z|new ?= ?sys\.path\[sys\.__plen:\];.*__egginsert)"
)
_CALLS = frozenset(
    {
        "__import__", "add_shim", "append", "dict", "dirname", "except", "exec", "exists", "find_spec",
        "format", "get", "getattr", "getenv", "init", "items", "join", "len", "module_from_spec", "ModuleType",
        "process_startup", "setattr", "setdefault", "startswith", "write", "_getframe",
    }
)  # fmt: skip
_CALL = regex(r"(?:\\n)?(\w+)\s*\(")
_HIDDEN = regex(r"[\])}'\"]\s*\(|\\[xuUN0-7]|(?:\\n|\b)(?:from|lambda|def)\b|@|\bexec\b.*\bexec\b")
_OF_PYTEST_COV = "from pytest_cov.embed import init\\n"
_IMPORT = regex(r"(?:__import__\(\s*['\"]|(?:\\n|\b)import\s+)([\w., ]+)")
_MODULES = frozenset(
    {
        "sys", "types", "os", "importlib", "importlib.util", "importlib.machinery", "coverage", "_virtualenv",
        "_distutils_hack", "distutils_hack",
    }
)  # fmt: skip
# A module of the package itself: finders of editable projects and hooks. What it does, it does on import too.
_OWN = regex(
    r"import (?P<module>[\w.]+)(?:; ?(?P=module)\.\w+\(\))?;?\Z"
    r"|import sys; ?exec\((?P<quote>['\"])try:\\n +import (?P<tried>[\w.]+)\\nexcept ImportError:\\n +pass"
    r"\\nelse:\\n +(?P=tried)\.\w+\(\)(?:\\n)?(?P=quote)\)\Z"
)
# sha256 of the only line of tools that do more than the above: they look at an environment variable first.
_OF_TOOLS = {
    "better-exceptions": "1211bcef1af62b31ce15a99922cc0659e5339715c43d015f754c61c6e6ff6477",
    "manhole": "3884ab4f1a7fae4405f52cf89a3302d9a35458334c81dd006cf4008a121feeee",
    "modin": "3beccf6655578e67f18ae6b6fa30c241bca917fcebe7754172e09c5e4297b1c0",
    "pdbpp": "5d6385b7576b710ad17f40b4eb78cd80c8cd2e1280fb89683377ddde16f35f2f",
}
_COVERAGE = regex(r"import coverage; ?coverage\.process_startup\(\)\Z")


def is_usual_line(line: str, has: Callable[[str], bool], *, is_owned: bool, package: str = "") -> bool:
    """Return whether a line is one that installers and packages write, and does no more than these do.

    :param has: whether the owner of the file has a module. `is_owned`: whether a record claims the file.
    :param package: the name of that owner.
    """
    if package in _OF_TOOLS and hashlib.sha256(line.strip().encode()).hexdigest() == _OF_TOOLS[package]:
        return True
    line = line.strip().replace(_OF_PYTEST_COV, "")
    own = _OWN.match(line)
    if own and has(own["module"] or own["tried"]):
        return True
    if not is_owned:
        return bool(_COVERAGE.match(line))  # coverage's documentation has its users write it
    called = {each[1] for each in _CALL.finditer(line)}
    imported = {name.strip() for each in _IMPORT.finditer(line) for name in each[1].split(",")}
    return bool(_USUAL.match(line)) and called <= _CALLS and imported <= _MODULES and not _HIDDEN.search(line)
