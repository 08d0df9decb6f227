"""Reading what an audit needs beyond names and hashes: programs, scripts, `.pth` files, what surrounds the prefix.

Reads only: nothing is executed and nothing is imported from the prefix. What cannot be read says less, never raises.
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
from bridge.audit.look.inspection import (
    PROGRAMS,
    Binary,
    Editable,
    Inspection,
    PathFile,
    Script,
    Surroundings,
    search_folder,
)
from bridge.audit.look.observation import Observation
from bridge.model import PrefixState
from bridge.prefix import distinfo
from bridge.prefix.shebangs import by_shell

__all__ = ["inspect", "needs_numpy", "scripts_of"]

_MAX_TEXT = 1 << 20  # bytes of a .pth, a finder or pyvenv.cfg; `site` itself reads the whole of a .pth
_PYTHON = re.compile(r"python(?:\d+(?:\.\d+)?t?)?(?:\.exe)?\Z")
_MODULE = re.compile(r"([A-Za-z_]\w*)(?:\.py|(?:\.[\w-]+)?\.(?:so|pyd))?\Z")
_NUMPY = re.compile(r"numpy(?![\w.-])", re.IGNORECASE)


def inspect(
    state: PrefixState,
    observed: Observation,
    sites: tuple[str, ...],
    environ: Mapping[str, str],
    binaries: Mapping[str, Binary],
) -> Inspection:
    """All of `Inspection` but what caches say.

    :param sites: the folders that hold dist-infos, prefix-relative.
    :param environ: where `HOME`, `PYTHONPATH`, `PYTHONUSERBASE`, `PYTHONNOUSERSITE`, `LD_LIBRARY_PATH` are looked up.
    :param binaries: what who hashed the files has read on the way.
    """
    root = state.prefix
    venv = _venv(root)
    path_files = dict(_path_files(root, observed, sites))
    scripts = scripts_of(root, observed)
    editables = tuple(_editables(root, state, path_files))
    outside = {script.interpreter for script in scripts.values() if not script.is_inside}
    outside |= {search_folder(str(root), path, folder) for path, binary in binaries.items() for folder in binary.search}
    outside |= {folder for found in path_files.values() for folder in found.folders}
    outside |= {source for editable in editables for source in editable.sources}
    outside |= {venv[key] for key in ("home", "executable", "base-executable") if venv.get(key)}
    return Inspection(
        real_prefix=os.path.realpath(root),
        binaries=binaries,
        scripts=scripts,
        path_files=path_files,
        editables=editables,
        venv=venv,
        interpreters=_interpreters(root, observed),
        outside={path: _kind(path) for path in sorted(outside) if os.path.isabs(path) and "\0" not in path},
        surroundings=_surroundings(state, venv, environ),
    )


def needs_numpy(texts: Iterable[str]) -> bool:
    """Whether one of these requirements (of either syntax) is on numpy."""
    return any(_NUMPY.match(text) for text in texts)


# --- scripts and interpreters -----------------------------------------------------------------------------------------


def scripts_of(root: Path, observed: Observation) -> dict[str, Script]:
    """Path → the script there, of the folders of programs."""
    return dict(_scripts(root, observed))


def _scripts(root: Path, observed: Observation) -> Iterator[tuple[str, Script]]:
    real = os.path.realpath(root)
    for path in (path for folder in PROGRAMS for path in observed.below(folder)):
        found = observed[path]
        if found.fingerprint.kind != "file" or found.problem:
            continue
        head = _head(root / path)
        if not head.startswith(b"#!"):
            continue
        # The kernel ends the path at an ASCII blank; what else Unicode calls white space or a line end is part of it.
        interpreter = os.fsdecode((head.partition(b"\n")[0][2:].split() or [b""])[0])
        # Where a path is too long for the kernel or holds a blank, installers write a shell script that is also Python.
        if (indirect := by_shell(head)) is not None:
            interpreter = os.fsdecode(indirect.interpreter)
            if "$" in interpreter:
                continue  # A relocatable script works out where it lies.
        yield path, _script(interpreter, str(root), real)


def _script(interpreter: str, root: str, real: str) -> Script:
    if interpreter.startswith("/"):
        normal = os.path.normpath(interpreter)
        there = os.path.join(os.path.realpath(os.path.dirname(normal)), os.path.basename(normal))
        for path, base in ((normal, root), (normal, real), (there, real)):
            if path.startswith(f"{base}/"):
                return Script(interpreter=path[len(base) + 1 :], is_inside=True)
    return Script(interpreter=interpreter)


def _interpreters(root: Path, observed: Observation) -> dict[str, str]:
    found = {}
    for path in (path for folder in PROGRAMS for path in observed.below(folder)):
        if _PYTHON.match(path.rpartition("/")[2]):
            real = os.path.realpath(root / path)
            found[path] = real if os.path.isfile(real) else ""
    return found


def _venv(root: Path) -> dict[str, str]:
    """pyvenv.cfg as `site` reads it (PEP 405)."""
    found = {}
    for line in _lines(root / "pyvenv.cfg"):
        key, separator, value = line.partition("=")
        if separator:
            found[key.strip().lower()] = value.strip()
    return found


# --- what is put on sys.path ------------------------------------------------------------------------------------------


def _path_files(root: Path, observed: Observation, sites: tuple[str, ...]) -> Iterator[tuple[str, PathFile]]:
    for path in (path for site in sites for path in observed.below(site)):
        folder, _, name = path.rpartition("/")
        if not name.endswith((".pth", ".egg-link")) or observed.kind(path) == "directory":
            continue
        lines = []
        for line in _lines(root / path):
            if not line.strip() or line.startswith("#") or "\0" in line:
                continue
            is_code = line.startswith(("import ", "import\t"))
            # A folder is relative to where the file lies (`site.addpackage`).
            lines.append(line if is_code else os.path.normpath(os.path.join(root, folder, line.rstrip())))
        yield path, PathFile(lines=tuple(lines[:1] if name.endswith(".egg-link") else lines))


def _editables(root: Path, state: PrefixState, path_files: Mapping[str, PathFile]) -> Iterator[Editable]:
    """From where each editable distribution is imported: PEP 610's url, its own `.pth`, setuptools' finder."""
    for distribution in state.distributions:
        url = distribution.direct_url or {}
        information = url.get("dir_info")
        is_editable = isinstance(information, dict) and information.get("editable") is True
        sources: dict[str, None] = {}
        if is_editable and isinstance(url.get("url"), str) and (source := _file_of(str(url["url"]))):
            sources[source] = None
        for entry in distribution.entries or () if is_editable else ():
            name = posixpath.basename(entry.path)
            for folder in path_files[entry.path].folders if entry.path in path_files else ():
                sources[folder] = None
            if name.startswith("__editable__") and name.endswith(".py"):
                sources.update(dict.fromkeys(map(_module_path, _mapping(_text(root / entry.path)))))
        if sources:
            yield Editable(distribution=distribution.path, sources=tuple(sources))
    for path, found in path_files.items():
        if path.endswith(".egg-link"):
            yield Editable(distribution=path, sources=found.folders)


def _file_of(url: str) -> str:
    parts = urlsplit(url)
    return os.path.normpath(unquote(parts.path)) if parts.scheme == "file" and parts.path.startswith("/") else ""


def _module_path(path: str) -> str:
    """What a finder imports for a path without an ending: the folder, else the module of that name."""
    if os.path.exists(path):
        return path
    folder, name = os.path.split(path)
    modules = (entry.path for entry in _listed(folder) if entry.name.startswith(f"{name}."))
    return next((each for each in modules if each.endswith((".py", ".so", ".pyd", ".pyc"))), path)


def _mapping(text: str) -> list[str]:
    """The paths in the `MAPPING` of a finder that setuptools wrote, read as a literal."""
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


# --- what surrounds the prefix ----------------------------------------------------------------------------------------


def _surroundings(state: PrefixState, venv: Mapping[str, str], environ: Mapping[str, str]) -> Surroundings:
    user = _user_site(state, venv, environ)
    is_there = user is not None and os.path.isdir(user)
    folders = _library_folders(environ)
    path = [folder for folder in environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    return Surroundings(
        user_site=user if is_there else None,
        user_modules=_modules(user) if user and is_there else {},
        user_projects=_projects(user) if user and is_there else {},
        python_path=tuple(_python_path(state, path)),
        libraries=_system_libraries(folders),
        looked_at=(*([user] if user else ()), *map(os.path.abspath, path), *folders),
    )


def _user_site(state: PrefixState, venv: Mapping[str, str], environ: Mapping[str, str]) -> str | None:
    """PEP 370's folder, where this prefix's python reads it: a virtual environment does not, unless it is told to."""
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


def _python_path(state: PrefixState, folders: Iterable[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    own = {os.path.realpath(state.prefix / state.site_packages)} if state.site_packages else set()
    for folder in folders:
        if os.path.isdir(folder) and os.path.realpath(folder) not in own:
            yield os.path.abspath(folder), tuple(_modules(folder))


def _modules(folder: str) -> dict[str, str]:
    """The top-level modules of a folder, as the path finder sees them: files, and folders that may be packages."""
    found = {}
    for entry in _listed(folder):
        match = _MODULE.match(entry.name)
        if match is None or entry.name == "__pycache__":
            continue
        # A folder without `__init__` is a part of a namespace at most, and hides nothing (PEP 420).
        path = entry.path if "." in entry.name else os.path.join(entry.path, "__init__.py")
        if os.path.isfile(path):
            found[match[1]] = entry.path
    return dict(sorted(found.items()))


def _projects(folder: str) -> dict[str, str]:
    names = (e.name for e in _listed(folder) if e.name.endswith((".dist-info", ".egg-info")) and e.name[0] not in "~.")
    return {named.name: named.version for named in map(distinfo.name_of, sorted(names))}


def _library_folders(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The loader's own folders: those of LD_LIBRARY_PATH and ld.so.conf, and the usual ones."""
    folders = [*environ.get("LD_LIBRARY_PATH", "").split(":"), "/lib", "/usr/lib", "/lib64", "/usr/lib64"]
    folders.append("/usr/local/lib")
    for below in _listed("/etc/ld.so.conf.d"):
        folders += [line.strip() for line in _text(Path(below.path)).splitlines() if line.startswith("/")]
    folders += [entry.path for base in ("/lib", "/usr/lib") for entry in _listed(base) if entry.name.endswith("-gnu")]
    return tuple(folder for folder in dict.fromkeys(folders) if folder)


def _system_libraries(folders: Iterable[str]) -> frozenset[str]:
    names = (entry.name for folder in folders for entry in _listed(folder))
    return frozenset(name for name in names if is_binary_name(name))


# --- reading ----------------------------------------------------------------------------------------------------------


def _listed(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _kind(path: str) -> str:
    try:
        return "directory" if stat.S_ISDIR(os.stat(path).st_mode) else "file"
    except (OSError, ValueError):
        return ""


def _head(path: Path, size: int = 8192) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, size) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(file)


def _lines(path: Path) -> list[str]:
    """The lines that python reads in text mode: other characters that `str.splitlines` knows may be part of a path."""
    return re.split(r"\r\n|\r|\n", _text(path))


def _text(path: Path) -> str:
    return _head(path, _MAX_TEXT).decode("utf-8", "replace")
