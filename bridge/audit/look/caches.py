"""Search the caches of installers for bytes that no installed package promises.

A conda package cache has unpacked packages with `info/paths.json`; uv's has unpacked wheels with RECORD; pip's and
bridge's have wheels. They are searched only if a file differs from its record and no installed package explains its
bytes. The search is bounded.
"""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import time
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from bridge.audit.look.inspection import CacheEvidence
from bridge.prefix import distinfo
from bridge.prefix.columns import hex_digest

__all__ = ["cache_roots", "search_caches"]

_SECONDS = 10.0  # a search ends after this time, with what it has
_MAX_LISTING = 64 << 20  # bytes of one paths.json or RECORD
_MAX_CHANGED = 4096  # files whose inode is searched
_SHARED = "linked"  # files of bridge's cache that environments share as hard links, named by their content

Owners = dict[str, dict[tuple[str, str], None]]


def cache_roots(prefix: Path, environ: Mapping[str, str], own: Path | None = None) -> tuple[Path, ...]:
    """The existing package caches of conda, mamba, rattler, pixi, uv, pip and bridge.

    :param own: bridge's own cache.
    """
    home = Path(environ.get("HOME") or "/nonexistent")
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    roots = [Path(each) for each in environ.get("CONDA_PKGS_DIRS", "").split(os.pathsep) if each]
    roots += [prefix / "pkgs", prefix.parent.parent / "pkgs", home / ".conda/pkgs", home / ".mamba/pkgs"]
    if environ.get("MAMBA_ROOT_PREFIX"):
        roots.append(Path(environ["MAMBA_ROOT_PREFIX"], "pkgs"))
    names = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba")
    roots += [base / name / "pkgs" for name in names for base in (home, Path("/opt"))]
    roots.append(Path("/opt/conda/pkgs"))
    roots.append(Path(environ.get("RATTLER_CACHE_DIR") or cache / "rattler/cache", "pkgs"))
    roots += [Path(environ["PIXI_CACHE_DIR"], "pkgs")] if environ.get("PIXI_CACHE_DIR") else []
    roots.append(Path(environ.get("UV_CACHE_DIR") or cache / "uv", "archive-v0"))
    roots.append(Path(environ.get("PIP_CACHE_DIR") or cache / "pip"))
    roots += [own / "artifacts", own / "built", own / _SHARED] if own is not None else []
    return tuple(directory for directory in dict.fromkeys(roots) if directory.is_dir())


def search_caches(
    roots: Iterable[Path], wanted: Collection[str], changed: Mapping[str, tuple[Path, str | None]]
) -> CacheEvidence:
    """Which packages have files with these bytes, and which changed files are hard links to a cache.

    :param wanted: sha256 of files that no installed package promises.
    :param changed: prefix-relative path → a file with further hard links, and its sha256.
    """
    owners: Owners = {}
    linked: dict[str, str] = {}
    deadline = time.monotonic() + _SECONDS
    inodes = dict(_inodes(changed))
    for root in roots:
        if root.name == _SHARED:
            _find_shared(root, inodes, linked, deadline)
            continue
        for directory, (label, rows) in _listings(root, deadline):
            kept: set[str] = set()
            for path, digest in rows:
                kept.add(digest)
                if digest in wanted:
                    owners.setdefault(digest, {})[label, path] = None
            if directory is not None and inodes:
                # Bytes that the cache lists are no edit: they were linked from there over another package's file.
                edited = [path for path, (_, digest) in changed.items() if digest not in kept]
                _find_links(directory, inodes, edited, linked)
    return CacheEvidence(owners={digest: tuple(packages) for digest, packages in owners.items()}, linked=linked)


def _inodes(changed: Mapping[str, tuple[Path, str | None]]) -> Iterator[tuple[tuple[int, int], str]]:
    for path, (file, _) in list(changed.items())[:_MAX_CHANGED]:
        try:
            status = file.stat(follow_symlinks=False)
        except OSError:
            continue
        yield (status.st_dev, status.st_ino), path


def _find_links(
    directory: Path, inodes: Mapping[tuple[int, int], str], paths: Iterable[str], linked: dict[str, str]
) -> None:
    """A cached package has its files at the same path, or, if noarch or a wheel, relative to site-packages."""
    for path in paths:
        if path in linked:
            continue
        tail = path.partition("site-packages/")[2]
        for cached in (directory / path, *((directory / tail, directory / "site-packages" / tail) if tail else ())):
            try:
                status = cached.stat(follow_symlinks=False)
            except (OSError, ValueError):
                continue
            if inodes.get((status.st_dev, status.st_ino)) == path:
                linked[path] = str(cached)


def _find_shared(root: Path, inodes: Mapping[tuple[int, int], str], linked: dict[str, str], deadline: float) -> None:
    """Compare inode numbers, which a listing gives without a look at each file."""
    numbers = {inode for _, inode in inodes}
    with suppress(OSError):
        for entry in os.scandir(root) if numbers else ():
            if entry.inode() in numbers:
                status = entry.stat(follow_symlinks=False)
                path = inodes.get((status.st_dev, status.st_ino))
                if path is not None:
                    linked.setdefault(path, entry.path)
            elif time.monotonic() > deadline:
                return


Rows = Iterable[tuple[str, str]]


def _listings(root: Path, deadline: float) -> Iterator[tuple[Path | None, tuple[str, Rows]]]:
    """(directory, (label, rows)) of each package in a cache; for an archive, the directory is `None`."""
    for directory, names, files in os.walk(root):
        if time.monotonic() > deadline:
            return
        here = Path(directory)
        if "info" in names and (here / "info/paths.json").is_file():
            names.clear()
            yield here, _conda_listing(here)
            continue
        infos = [name for name in names if name.endswith(".dist-info")]
        if infos:
            names.clear()
            for name in infos:
                text = _read(here / name / "RECORD")
                yield here, (_wheel_label(name), _rows(text))
            continue
        for name in files:
            archive = here / name
            if name.endswith((".whl", ".body")):
                listing = _archive_listing(archive)
                if listing is not None:
                    yield None, listing


def _conda_listing(directory: Path) -> tuple[str, Rows]:
    index = _object(_read(directory / "info/index.json"))
    named = [index.get(key) for key in ("name", "version", "build")]
    label = "-".join(each for each in named if isinstance(each, str)) or directory.name
    listed = _object(_read(directory / "info/paths.json")).get("paths")
    rows = [
        (str(each.get("_path")), str(each.get("sha256"))) for each in listed or () if isinstance(each, dict)
    ] if isinstance(listed, list) else []  # fmt: skip
    return f"conda:{label}", rows


def _archive_listing(path: Path) -> tuple[str, Rows] | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb") as stream:
            if stream.read(2) != b"PK":
                return None
        with zipfile.ZipFile(path) as archive:
            name = next((each for each in archive.namelist() if each.endswith(".dist-info/RECORD")), None)
            if name is None or archive.getinfo(name).file_size > _MAX_LISTING:
                return None
            return _wheel_label(name.split("/")[0]), _rows(archive.read(name))
    except (OSError, ValueError, RuntimeError, NotImplementedError, EOFError, zipfile.BadZipFile):
        return None


def _wheel_label(directory: str) -> str:
    named = distinfo.name_of(directory)
    return f"wheel:{named.name}-{named.version}"


def _rows(data: bytes) -> list[tuple[str, str]]:
    rows = []
    try:
        for row in csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline="")):
            digest = hex_digest(row[1]) if len(row) > 1 and row[1] else None
            if digest is not None:
                rows.append((row[0], digest))
    except (csv.Error, ValueError):
        pass
    return rows


def _object(data: bytes) -> dict[str, object]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        return path.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_LISTING else b""
    except OSError:
        return b""
