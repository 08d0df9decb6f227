"""Read scripts, interpreters, `.pth` files, editables, and what surrounds the prefix.

Nothing is executed or imported from the prefix. What cannot be read is left out.
"""

from __future__ import annotations

import ast
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bridge.audit.look.binaries import is_binary_name
from bridge.audit.look.imports import SearchPath, installs_finder, unmet_imports
from bridge.audit.look.inspection import (
    PROGRAMS,
    Binary,
    Editable,
    Inspection,
    PathFile,
    Script,
    Settings,
    Surroundings,
    UnmetImport,
    search_directory,
)
from bridge.audit.look.launchers import activated_prefixes, kernels
from bridge.audit.look.observation import Observation
from bridge.audit.look.path_files import head_of, lines_of, path_files_of, text_of
from bridge.audit.look.settings import read_settings
from bridge.model import PrefixState
from bridge.prefix import distinfo
from bridge.prefix.shebangs import by_shell, launcher
from converters.deferred import regex

__all__ = ["inspect", "needs_numpy", "scripts_of"]

_PYTHON = regex(r"python(?:\d+(?:\.\d+)?t?)?(?:\.exe)?\Z")
_MODULE = regex(r"([A-Za-z_]\w*)(?:\.py|(?:\.[\w-]+)?\.(?:so|pyd))?\Z")
_MAX_LAUNCHER = 1 << 20  # bytes; those of distlib have about 100,000
_OF_PYTHON = ("site-packages", "dist-packages")
_NUMPY = regex(r"numpy(?![\w.-])", re.IGNORECASE)


def inspect(
    state: PrefixState,
    observed: Observation,
    sites: tuple[str, ...],
    environ: Mapping[str, str],
    binaries: Mapping[str, Binary],
) -> Inspection:
    """Everything of an `Inspection` but what caches, indexes and embedded prefixes tell.

    :param sites: the directories of dist-infos, prefix-relative.
    :param environ: for `HOME`, `PYTHONPATH`, `PYTHONUSERBASE`, `PYTHONNOUSERSITE` and `LD_LIBRARY_PATH`.
    :param binaries: binaries already parsed while hashing.
    """
    root = state.prefix
    venv = _venv(root)
    path_files = dict(path_files_of(root, observed, sites, state.python.minor if state.python else None))
    scripts = scripts_of(root, observed)
    editables = tuple(_editables(root, state, path_files))
    outside = {script.interpreter for script in scripts.values() if not script.is_inside}
    outside |= {
        search_directory(str(root), path, directory) for path, binary in binaries.items() for directory in binary.search
    }
    added = {directory for path_file in path_files.values() for directory in path_file.directories}
    outside |= added
    outside |= {source for editable in editables for source in editable.sources}
    outside |= {_file_of((each.direct_url or {}).get("url")) for each in state.distributions}
    outside |= {venv[key] for key in ("home", "executable", "base-executable") if venv.get(key)}
    surroundings = _surroundings(state, venv, environ)
    return Inspection(
        real_prefix=os.path.realpath(root),
        binaries=binaries,
        scripts=scripts,
        path_files=path_files,
        editables=editables,
        venv=venv,
        interpreters=_interpreters(root, observed),
        outside={path: _kind(path) for path in sorted(outside) if os.path.isabs(path) and "\0" not in path},
        sources=frozenset(filter(_has_sources, added)),
        surroundings=surroundings,
        activated=activated_prefixes(root) if venv else {},
        kernels=dict(kernels(root)),
        settings=read_settings(root, environ) if state.installed else Settings(),
        imports=tuple(_unmet(state, path_files, venv, surroundings)),
    )


def needs_numpy(texts: Iterable[str]) -> bool:
    """Whether one of these requirements (in either syntax) is numpy."""
    return any(_NUMPY.match(text) for text in texts)


# --- scripts and interpreters -----------------------------------------------------------------------------------------


def scripts_of(root: Path, observed: Observation) -> dict[str, Script]:
    """Path → script, for the directories of programs."""
    scripts = {}
    real = os.path.realpath(root)
    for path in (path for directory in PROGRAMS for path in observed.below(directory)):
        if observed.kind(path) != "file":
            continue
        head = head_of(root / path)
        if head.startswith(b"MZ") and path.endswith(".exe"):
            if (command := launcher(head_of(root / path, _MAX_LAUNCHER))) and command.interpreter.startswith(b"/"):
                scripts[path] = _script(os.fsdecode(command.interpreter), str(root), real)
            continue
        if not head.startswith(b"#!"):
            continue
        # The kernel ends the path at an ASCII blank; other Unicode white space is part of it.
        interpreter = os.fsdecode((head.partition(b"\n")[0][2:].split() or [b""])[0])
        # If a path is too long for the kernel or has a blank, installers write a shell script that is also Python.
        if (indirect := by_shell(head)) is not None:
            interpreter = os.fsdecode(indirect.interpreter)
            if "$" in interpreter:
                continue  # A relocatable script computes its location.
        scripts[path] = _script(interpreter, str(root), real)
    return scripts


def _script(interpreter: str, root: str, real: str) -> Script:
    if interpreter.startswith("/"):
        normal = os.path.normpath(interpreter)
        resolved = os.path.join(os.path.realpath(os.path.dirname(normal)), os.path.basename(normal))
        for path, base in ((normal, root), (normal, real), (resolved, real)):
            if path.startswith(f"{base}/"):
                return Script(interpreter=path[len(base) + 1 :], is_inside=True)
    return Script(interpreter=interpreter)


def _interpreters(root: Path, observed: Observation) -> dict[str, str]:
    interpreters = {}
    for path in (path for directory in PROGRAMS for path in observed.below(directory)):
        if _PYTHON.match(path.rpartition("/")[2]):
            real = os.path.realpath(root / path)
            interpreters[path] = real if os.path.isfile(real) else ""
    return interpreters


def _venv(root: Path) -> dict[str, str]:
    """pyvenv.cfg as `site` reads it (PEP 405)."""
    settings = {}
    for line in lines_of(root / "pyvenv.cfg"):
        key, separator, value = line.partition("=")
        if separator:
            settings[key.strip().lower()] = value.strip()
    return settings


# --- sys.path ---------------------------------------------------------------------------------------------------------


def _editables(root: Path, state: PrefixState, path_files: Mapping[str, PathFile]) -> Iterator[Editable]:
    """The sources of each editable distribution: PEP 610's url, its own `.pth`, setuptools' finder."""
    for distribution in state.distributions:
        url = distribution.direct_url or {}
        information = url.get("dir_info")
        is_editable = isinstance(information, dict) and information.get("editable") is True
        sources: dict[str, None] = {}
        if is_editable and (source := _file_of(url.get("url"))):
            sources[source] = None
        for entry in distribution.entries or () if is_editable else ():
            name = posixpath.basename(entry.path)
            for directory in path_files[entry.path].directories if entry.path in path_files else ():
                sources[directory] = None
            if name.startswith("__editable__") and name.endswith(".py"):
                sources.update(dict.fromkeys(map(_module_path, _mapping(text_of(root / entry.path)))))
        if sources:
            yield Editable(distribution=distribution.path, sources=tuple(sources))
    for path, path_file in path_files.items():
        if path.endswith(".egg-link"):
            yield Editable(distribution=path, sources=path_file.directories)


def _has_sources(directory: str) -> bool:
    """Whether a directory may be a project: it has modules, is of no python, and not everyone may change it."""
    if os.path.basename(directory) in _OF_PYTHON or os.path.exists(os.path.join(directory, "os.py")):
        return False
    modules = _modules(directory)
    return bool(modules) and not os.stat(directory).st_mode & 0o002


def _file_of(url: object) -> str:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError:
        return ""
    return os.path.normpath(unquote(parts.path)) if parts.scheme == "file" and parts.path.startswith("/") else ""


def _module_path(path: str) -> str:
    """What a finder imports for a path without a suffix: the directory, or else the module of that name."""
    if os.path.exists(path):
        return path
    directory, name = os.path.split(path)
    modules = (entry.path for entry in _listed(directory) if entry.name.startswith(f"{name}."))
    return next((each for each in modules if each.endswith((".py", ".so", ".pyd", ".pyc"))), path)


def _mapping(text: str) -> list[str]:
    """The paths in the literal `MAPPING` of setuptools' finder."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    for node in tree.body:
        if isinstance(node, ast.AnnAssign):
            targets: list[ast.expr] = [node.target]
            assigned = node.value
        elif isinstance(node, ast.Assign):
            targets, assigned = node.targets, node.value
        else:
            continue
        if assigned is None or not any(isinstance(each, ast.Name) and each.id == "MAPPING" for each in targets):
            continue
        try:
            value = ast.literal_eval(assigned)
        except (ValueError, RecursionError):
            return []
        values = value.values() if isinstance(value, dict) else ()
        return [each for each in values if isinstance(each, str) and each.startswith("/")]
    return []


def _unmet(
    state: PrefixState, path_files: Mapping[str, PathFile], venv: Mapping[str, str], around: Surroundings
) -> Iterator[UnmetImport]:
    """The imports of an environment that fail. A base interpreter may find modules that no record tells of."""
    site = state.site_packages
    if site is None or state.python is None or not (venv or state.installed):
        return
    root = str(state.prefix)
    directories = [f"{root}/{posixpath.dirname(site)}", f"{root}/{site}"]
    directories += [each for file in path_files.values() for each in file.directories]
    directories += [around.user_site] if around.user_site else []
    directories += [directory for directory, _ in around.python_path]
    is_layered = venv.get("include-system-site-packages", "false").lower() == "true"
    lines = [line for file in path_files.values() for line in file.code]
    path = SearchPath(directories, is_complete=not is_layered and not installs_finder(lines, SearchPath(directories)))
    yield from unmet_imports(state.prefix, site, state.distributions, path_files, path)


# --- surroundings -----------------------------------------------------------------------------------------------------


def _surroundings(state: PrefixState, venv: Mapping[str, str], environ: Mapping[str, str]) -> Surroundings:
    user = _user_site(state, venv, environ)
    is_there = user is not None and os.path.isdir(user)
    directories = _library_directories(environ)
    path = [directory for directory in environ.get("PYTHONPATH", "").split(os.pathsep) if directory]
    return Surroundings(
        user_site=user if is_there else None,
        user_modules=_modules(user) if user and is_there else {},
        user_projects=_projects(user) if user and is_there else {},
        python_path=tuple(_python_path(state, path)),
        libraries=_system_libraries(directories),
        looked_at=(*([user] if user else ()), *map(os.path.abspath, path), *directories),
    )


def _user_site(state: PrefixState, venv: Mapping[str, str], environ: Mapping[str, str]) -> str | None:
    """PEP 370's directory, if this prefix's python reads it; a virtual environment does only with system packages."""
    if state.python is None or environ.get("PYTHONNOUSERSITE"):
        return None
    if venv and venv.get("include-system-site-packages", "false").lower() != "true":
        return None
    home = environ.get("HOME")
    base = environ.get("PYTHONUSERBASE") or (os.path.join(home, ".local") if home else None)
    if base is None:
        return None
    site = os.path.join(base, state.python.site_packages)
    is_same = state.site_packages is not None and _same(site, str(state.prefix / state.site_packages))
    return None if is_same else site


def _same(first: str, second: str) -> bool:
    return os.path.realpath(first) == os.path.realpath(second)


def _python_path(state: PrefixState, directories: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    own = {os.path.realpath(state.prefix / state.site_packages)} if state.site_packages else set()
    for directory in directories:
        if os.path.isdir(directory) and os.path.realpath(directory) not in own:
            yield os.path.abspath(directory), tuple(_modules(directory))


def _modules(directory: str) -> dict[str, str]:
    """The top-level modules of a directory, as the path finder finds them."""
    modules = {}
    for entry in _listed(directory):
        match = _MODULE.match(entry.name)
        if match is None or entry.name == "__pycache__":
            continue
        # A directory without `__init__` is at most part of a namespace package, and hides nothing (PEP 420).
        path = entry.path if "." in entry.name else os.path.join(entry.path, "__init__.py")
        if os.path.isfile(path):
            modules[match[1]] = entry.path
    return dict(sorted(modules.items()))


def _projects(directory: str) -> dict[str, str]:
    names = (
        e.name for e in _listed(directory) if e.name.endswith((".dist-info", ".egg-info")) and e.name[0] not in "~."
    )
    return {named.name: named.version for named in map(distinfo.name_of, sorted(names))}


def _library_directories(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The loader's directories: those of LD_LIBRARY_PATH and ld.so.conf, and the standard ones."""
    directories = [*environ.get("LD_LIBRARY_PATH", "").split(":"), "/lib", "/usr/lib", "/lib64", "/usr/lib64"]
    directories.append("/usr/local/lib")
    for below in _listed("/etc/ld.so.conf.d"):
        directories += [line.strip() for line in text_of(Path(below.path)).splitlines() if line.startswith("/")]
    directories += [
        entry.path for base in ("/lib", "/usr/lib") for entry in _listed(base) if entry.name.endswith("-gnu")
    ]
    return tuple(directory for directory in dict.fromkeys(directories) if directory)


def _system_libraries(directories: Iterable[str]) -> frozenset[str]:
    names = (entry.name for directory in directories for entry in _listed(directory))
    return frozenset(name for name in names if is_binary_name(name))


# --- reading ----------------------------------------------------------------------------------------------------------


def _listed(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _kind(path: str) -> str:
    try:
        return "directory" if stat.S_ISDIR(os.stat(path).st_mode) else "file"
    except (OSError, ValueError):
        return ""
