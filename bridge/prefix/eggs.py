"""Eggs: distributions of setuptools, which python finds through a `.pth` file of the site directory. Reads only.

`setup.py install` and `easy_install` created `NAME-VERSION-pyX.Y.egg`, a directory or a zip with `EGG-INFO`, and listed
it in `easy-install.pth`. `setup.py develop` created `NAME.egg-link`, whose first line is the working copy with
`NAME.egg-info`. Both are on `sys.path`, so `importlib.metadata` finds them (setuptools, "The Internal Structure of
Python Eggs").
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.model import Entry, Fingerprint
from bridge.prefix.entries import Entries
from converters.deferred import dataclass
from converters.metadata import MAX_METADATA

if TYPE_CHECKING:
    from zipfile import ZipFile

__all__ = ["Egg", "eggs_in", "read_egg"]

_MAX_PATH_FILE = 1 << 20  # bytes of a .pth or .egg-link


@dataclass(frozen=True, slots=True, kw_only=True)
class Egg:
    """An egg's metadata, unparsed, and its files. `source` is the working copy of an `.egg-link`."""

    metadata: bytes
    requires: bytes
    entries: Entries
    source: str | None = None


def eggs_in(prefix: str, site: str, names: Sequence[str]) -> list[str]:
    """The eggs in a site directory that python finds: those listed in a `.pth` file there.

    :param names: all names in the directory.
    """
    eggs = [name for name in names if name.endswith(".egg")]
    links = [name for name in names if name.endswith(".egg-link")]
    if not eggs and not links:
        return []
    directory = f"{prefix}/{site}"
    named = {
        os.path.normpath(os.path.join(directory, line.strip()))
        for name in names
        if name.endswith(".pth") and not name.startswith(".")
        for line in _lines(f"{directory}/{name}")
        if line.strip() and not line.startswith(("#", "import ", "import\t"))
    }
    installed = [name for name in eggs if {f"{directory}/{name}", os.path.realpath(f"{directory}/{name}")} & named]
    return sorted([*installed, *(name for name in links if _source(f"{directory}/{name}") in named)])


def read_egg(prefix: str, path: str) -> Egg:
    """The egg at a prefix-relative path. Raises `ValueError` and `OSError`."""
    if path.endswith(".egg-link"):
        source = _source(f"{prefix}/{path}")
        infos = sorted(Path(source).glob("*.egg-info"))
        wanted = os.path.basename(path).removesuffix(".egg-link").replace("-", "_").lower()
        named = [each for each in infos if each.stem.replace("-", "_").lower() == wanted]
        info = (named or infos or [Path(source, f"{wanted}.egg-info")])[0]
        return Egg(
            metadata=_content(info / "PKG-INFO"),
            requires=_content(info / "requires.txt", is_optional=True),
            entries=_entries([path]),
            source=source,
        )
    full = f"{prefix}/{path}"
    if os.path.isdir(full):
        return Egg(
            metadata=_content(Path(full, "EGG-INFO/PKG-INFO")),
            requires=_content(Path(full, "EGG-INFO/requires.txt"), is_optional=True),
            entries=_entries(_files_below(prefix, path)),
        )
    import zipfile  # noqa: PLC0415 - slow to import; eggs are rare

    try:
        with zipfile.ZipFile(full) as archive:
            metadata, requires = (_member(archive, f"EGG-INFO/{name}") for name in ("PKG-INFO", "requires.txt"))
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"it is not a readable zip: {error}") from error
    return Egg(metadata=metadata, requires=requires, entries=_entries([path]))


def _member(archive: ZipFile, name: str) -> bytes:
    if name not in archive.namelist():
        if name.endswith("PKG-INFO"):
            raise FileNotFoundError(name)
        return b""
    if archive.getinfo(name).file_size > MAX_METADATA:
        raise ValueError(f"{name} is larger than {MAX_METADATA} bytes")
    return archive.read(name)


def _entries(paths: Sequence[str]) -> Entries:
    return Entries.of(Entry(path=path, fingerprint=Fingerprint(kind="file")) for path in paths)


def _files_below(prefix: str, path: str) -> list[str]:
    """The files below a directory, except bytecode, which belongs to its module. Links are not followed."""
    files = []
    for directory, _, names in os.walk(f"{prefix}/{path}"):
        relative = os.path.relpath(directory, prefix).replace(os.sep, "/")
        files += [f"{relative}/{name}" for name in names if not relative.endswith("__pycache__")]
    return sorted(files)


def _source(link: str) -> str:
    """The directory that an `.egg-link` names; empty if it names none."""
    line = next(iter(_lines(link)), "").strip()
    return os.path.normpath(os.path.join(os.path.dirname(link), line)) if line else ""


def _lines(path: str) -> list[str]:
    try:
        return _content(Path(path), limit=_MAX_PATH_FILE).decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):
        return []


def _content(path: Path, *, limit: int = MAX_METADATA, is_optional: bool = False) -> bytes:
    try:
        status = path.stat()
    except FileNotFoundError:
        if is_optional:
            return b""
        raise
    if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
        raise ValueError(f"it is not a regular file of at most {limit} bytes")
    return path.read_bytes()
