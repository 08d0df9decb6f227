"""Import the modules of a converted package in an environment that has it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from bridge.errors import IntegrityError
from converters.layout import junk_of

__all__ = ["import_modules", "modules_of"]

_SECONDS = 300  # for all modules of a package
_SUFFIXES = (".py", ".so", ".pyd")
_NO_MODULES = frozenset({"__main__", "setup", "conftest"})
_MOST_SHOWN = 8  # last lines of what python says

# Each module is named before its import, so that the file tells which one ended the process.
_PROGRAM = """
import importlib, json, sys, traceback
results, modules = sys.argv[1], sys.argv[2:]
with open(results, "w", encoding="utf-8") as stream:
    for module in modules:
        print(json.dumps({"module": module}), file=stream, flush=True)
        try:
            importlib.import_module(module)
        except BaseException as error:
            said = traceback.format_exception_only(type(error), error)
            print(json.dumps({"error": said[-1].strip()}), file=stream, flush=True)
            traceback.print_exc()
            sys.exit(1)
    print(json.dumps({"done": True}), file=stream, flush=True)
"""


def modules_of(paths: Iterable[str], project: str) -> tuple[str, ...]:
    """Return the modules to import: those at the top, and the first ones below directories without `__init__`.

    Names that are probably in the package by mistake (`tests`, `docs`) are left out.

    :param paths: of the package's files, from site-packages.
    """
    listed = list(paths)
    junk = set(junk_of(listed, project))
    modules: set[str] = set()
    for path in listed:
        *folders, name = path.split("/")
        stem, _, _ = name.partition(".")
        if not name.endswith(_SUFFIXES) or stem in _NO_MODULES or (folders or [name])[0] in junk:
            continue
        parts = folders if stem == "__init__" else [*folders, stem]
        if parts and all(part.isidentifier() for part in parts):
            modules.add(".".join(parts))
    return tuple(sorted(name for name in modules if not any(parent in modules for parent in _parents(name))))


def _parents(module: str) -> Iterable[str]:
    parts = module.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts)))


def import_modules(
    label: str, python: Path, modules: Iterable[str], folder: Path, environ: Mapping[str, str]
) -> IntegrityError | None:
    """Import modules one after the other in a new process; return an error that names the first that fails.

    :param label: the package, for the error.
    :param folder: an empty directory, where python runs.
    """
    results = folder / "results"
    command = [str(python), "-I", "-c", _PROGRAM, str(results), *modules]
    try:
        ran = subprocess.run(
            command, cwd=folder, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
        said, ended = ran.stderr.decode("utf-8", "replace"), f"python ended with status {ran.returncode}"
    except subprocess.TimeoutExpired as error:
        said, ended = (error.stderr or b"").decode("utf-8", "replace"), f"it did not end within {_SECONDS} s"
    except OSError as error:
        said, ended = "", f"python cannot be started: {error.strerror}"
    rows = [json.loads(line) for line in results.read_text("utf-8").splitlines()] if results.is_file() else []
    if rows and rows[-1].get("done"):
        return None
    last = rows[-1] if rows else {}
    module = next((row["module"] for row in reversed(rows) if "module" in row), "")
    return IntegrityError(
        "import-failed",
        f"{label}: `import {module}` fails: {last.get('error', ended)}" if module else f"{label}: {ended}",
        context=tuple(said.strip().splitlines()[-_MOST_SHOWN:]),
        hint="if a package is missing that the wheel does not require, add it with --add-dependency NAME",
    )
