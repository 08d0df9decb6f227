"""Which files of an installation go into the package, and under which path."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bridge.channels.host.layout import Interpreter

__all__ = ["SHARED", "PackagePath", "collect", "is_packed"]

SHARED = frozenset({"/", "/usr", "/usr/local", "/opt/local"})
"""Prefixes that python shares with other software: a file there need not be python's."""

_SKIPPED_DIRECTORIES = frozenset({"__pycache__", "test", "tests", "idle_test", "site-packages", "dist-packages"})
# The last three configure or describe one machine's python.
_SKIPPED_FILES = frozenset({"EXTERNALLY-MANAGED", "_distutils_system_mod.py", "sitecustomize.py", "usercustomize.py"})
_SKIPPED_MODULES = re.compile(r"lib-dynload/(_test|_ctypes_test|_xxtestfuzz|xxlimited)[^/]*\Z")
_README = b"Modules that are not part of python itself are installed in this folder.\n"
_TCL = ("tcl[0-9]*", "tk[0-9]*", "itcl[0-9]*", "thread[0-9]*", "tdbc*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagePath:
    """One path of the package: a symlink to `link`, or a file.

    A file's content is `data` if set, else that of `source` with `patches` (byte offset, new bytes) applied.
    `placeholder` is the text in it that stands for the prefix.
    """

    path: str
    source: Path | None = None
    link: str | None = None
    data: bytes | None = None
    patches: tuple[tuple[int, bytes], ...] = ()
    placeholder: str | None = None
    is_executable: bool = False


def is_packed(path: str) -> bool:
    """Whether a file goes into the package, by its path relative to the standard library.

    Excluded: third-party modules, tests, caches, static libraries, and configuration of one machine.
    """
    directories, _, name = path.rpartition("/")
    if _SKIPPED_DIRECTORIES.intersection(directories.split("/")) or name in _SKIPPED_FILES:
        return False
    return not name.endswith((".pyc", ".pyo", ".a")) and not _SKIPPED_MODULES.match(path)


def collect(layout: Interpreter) -> tuple[PackagePath, ...]:
    """Every path of the package with its source; nothing is relocated yet."""
    library = f"lib/{layout.name}"
    sources = {f"bin/{layout.name}": str(layout.binary)}
    for path, source in _files(layout.stdlib):
        if is_packed(path):
            sources[f"{library}/{path}"] = source
    if not any(path.startswith(f"{library}/ensurepip/_bundled/") for path in sources):
        # Debian's ensurepip takes its wheels from elsewhere in /usr, and serves venvs only.
        sources = {path: source for path, source in sources.items() if not path.startswith(f"{library}/ensurepip/")}
    if layout.include is not None:
        headers = _files(layout.include)
        sources.update((f"include/{layout.name}/{path}", source) for path, source in headers)
    if layout.include is not None and layout.pyconfig is not None:
        sources[f"include/{layout.name}/pyconfig.h"] = str(layout.pyconfig)
    sources.update((f"lib/{source.name}", str(source)) for source in layout.libraries)
    sources.update(_for_compiling(layout))
    sources.update(_data(layout))
    readme = PackagePath(path=f"{layout.site_packages}/README.txt", data=_README)
    return (*_parts(sources), *_links(layout, sources), readme)


def _files(directory: str | Path) -> Iterator[tuple[str, str]]:
    """Every file and symlink below `directory`, as (relative path, path)."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED_DIRECTORIES:
                    yield from ((f"{entry.name}/{below}", source) for below, source in _files(entry.path))
            elif entry.is_file():
                yield entry.name, entry.path


def _for_compiling(layout: Interpreter) -> Iterator[tuple[str, str]]:
    """The `.pc` files and `python3.11-config` of this version; a shared directory may hold those of others."""
    version = layout.name.removeprefix("python")
    for directory in (layout.prefix / "lib" / "pkgconfig", layout.prefix / "lib" / layout.multiarch / "pkgconfig"):
        for source in directory.glob("python*.pc"):
            if Path(os.path.realpath(source)).name in (f"python-{version}.pc", f"python-{version}-embed.pc"):
                yield f"lib/pkgconfig/{source.name}", str(source)
    script = layout.prefix / "bin" / f"{layout.name}-config"
    if script.is_file():
        yield f"bin/{layout.name}-config", os.path.realpath(script)


def _data(layout: Interpreter) -> Iterator[tuple[str, str]]:
    """Data of Tcl, Tk and terminfo, if the installation has its own."""
    if str(layout.prefix) in SHARED:
        return
    directories = [layout.prefix / "share" / "terminfo"]
    for pattern in _TCL:
        directories += (layout.prefix / "lib").glob(pattern)
    for directory in directories:
        if directory.is_dir():
            base = directory.relative_to(layout.prefix).as_posix()
            yield from ((f"{base}/{path}", source) for path, source in _files(directory))


def _parts(sources: dict[str, str]) -> Iterator[PackagePath]:
    """Files as they are; a symlink to an unpacked target becomes a copy of that file."""
    links = {path for path, source in sources.items() if os.path.islink(source)}
    real = {path: _real(source, is_link=path in links) for path, source in sources.items()}
    packed = {real[path]: path for path in sources if path not in links}
    for path in sources:
        target = packed.get(real[path])
        if path in links and target is not None and target != path:
            yield PackagePath(path=path, link=posixpath.relpath(target, posixpath.dirname(path)))
        else:
            is_executable = bool(os.stat(real[path]).st_mode & 0o111)
            yield PackagePath(path=path, source=Path(real[path]), is_executable=is_executable)


def _real(source: str, *, is_link: bool) -> str:
    """`os.path.realpath`, resolving each directory only once."""
    if is_link:
        return os.path.realpath(source)
    directory, name = os.path.split(source)
    return os.path.join(_real_directory(directory), name)


@lru_cache(maxsize=4096)
def _real_directory(path: str) -> str:
    return os.path.realpath(path)


def _links(layout: Interpreter, sources: dict[str, str]) -> Iterator[PackagePath]:
    """`python3.13`, `python3` and `python`, which shebangs may name."""
    names = {f"python{layout.minor[0]}.{layout.minor[1]}", f"python{layout.minor[0]}", "python"} - {layout.name}
    for name in sorted(names):
        yield PackagePath(path=f"bin/{name}", link=layout.name)
    if f"bin/{layout.name}-config" in sources:
        yield PackagePath(path=f"bin/python{layout.minor[0]}-config", link=f"{layout.name}-config")
