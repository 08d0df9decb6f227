"""What the caches of installers know of bytes that no installed package promises.

A conda package cache has each package unpacked, with its `info/paths.json`; uv's has each wheel unpacked, with its
RECORD; pip's and bridge's have the wheels themselves. They are looked into only where a file is not what its record
promises and nothing installed explains what is there. Reads only; the search is bounded.
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
from pathlib import Path

from bridge.audit.look.inspection import CacheEvidence
from bridge.prefix import distinfo

__all__ = ["cache_roots", "search_caches"]

_SECONDS = 10.0  # a search ends after this time, with what it has found
_MAX_LISTING = 64 << 20  # bytes of one paths.json or RECORD
_MAX_CHANGED = 4096  # files whose inode is looked for

Owners = dict[str, dict[tuple[str, str], None]]


def cache_roots(prefix: Path, environ: Mapping[str, str], own: Path | None = None) -> tuple[Path, ...]:
    """The folders where conda, mamba, rattler, pixi, uv, pip and bridge keep packages, as far as they exist.

    :param own: bridge's own cache.
    """
    home = Path(environ.get("HOME") or "/nonexistent")
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    found = [Path(each) for each in environ.get("CONDA_PKGS_DIRS", "").split(os.pathsep) if each]
    found += [prefix / "pkgs", prefix.parent.parent / "pkgs", home / ".conda/pkgs", home / ".mamba/pkgs"]
    if environ.get("MAMBA_ROOT_PREFIX"):
        found.append(Path(environ["MAMBA_ROOT_PREFIX"], "pkgs"))
    names = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba")
    found += [base / name / "pkgs" for name in names for base in (home, Path("/opt"))]
    found.append(Path("/opt/conda/pkgs"))
    found.append(Path(environ.get("RATTLER_CACHE_DIR") or cache / "rattler/cache", "pkgs"))
    found += [Path(environ["PIXI_CACHE_DIR"], "pkgs")] if environ.get("PIXI_CACHE_DIR") else []
    found.append(Path(environ.get("UV_CACHE_DIR") or cache / "uv", "archive-v0"))
    found.append(Path(environ.get("PIP_CACHE_DIR") or cache / "pip"))
    found += [own / "artifacts", own / "built"] if own is not None else []
    return tuple(folder for folder in dict.fromkeys(found) if folder.is_dir())


def search_caches(
    roots: Iterable[Path], wanted: Collection[str], changed: Mapping[str, tuple[Path, str | None]]
) -> CacheEvidence:
    """Who has files with these bytes, and which changed files are the very inodes of a cache.

    :param wanted: sha256 of files that nothing installed promises.
    :param changed: prefix-relative path → the file there, which has further hard links, and its sha256.
    """
    owners: Owners = {}
    linked: dict[str, str] = {}
    deadline = time.monotonic() + _SECONDS
    inodes = dict(_inodes(changed))
    for root in roots:
        for folder, listing in _listings(root, deadline):
            label, rows = listing
            kept: set[str] = set()
            for path, digest in rows:
                kept.add(digest)
                if digest in wanted:
                    owners.setdefault(digest, {})[label, path] = None
            if folder is not None and inodes:
                # What the cache has as it should is no edit: it was linked from there over another package's file.
                edited = {path: found for path, found in changed.items() if found[1] not in kept}
                _look_for(folder, inodes, edited, linked)
    return CacheEvidence(owners={digest: tuple(found) for digest, found in owners.items()}, linked=linked)


def _inodes(changed: Mapping[str, tuple[Path, str | None]]) -> Iterator[tuple[tuple[int, int], str]]:
    for path, (file, _) in list(changed.items())[:_MAX_CHANGED]:
        try:
            found = file.stat(follow_symlinks=False)
        except OSError:
            continue
        yield (found.st_dev, found.st_ino), path


def _look_for(
    folder: Path,
    inodes: Mapping[tuple[int, int], str],
    changed: Mapping[str, tuple[Path, str | None]],
    linked: dict[str, str],
) -> None:
    """A cached package has its files at the same path, or, where it is noarch or a wheel, below its own root."""
    for path in changed:
        if path in linked:
            continue
        tail = path.partition("site-packages/")[2]
        for there in (folder / path, *((folder / tail, folder / "site-packages" / tail) if tail else ())):
            try:
                found = there.stat(follow_symlinks=False)
            except (OSError, ValueError):
                continue
            if inodes.get((found.st_dev, found.st_ino)) == path:
                linked[path] = str(there)


Rows = Iterable[tuple[str, str]]


def _listings(root: Path, deadline: float) -> Iterator[tuple[Path | None, tuple[str, Rows]]]:
    """(folder it is unpacked in, (label, its rows)) of each package in a cache; of an archive, no folder."""
    for folder, names, files in os.walk(root):
        if time.monotonic() > deadline:
            return
        here = Path(folder)
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


def _conda_listing(folder: Path) -> tuple[str, Rows]:
    index = _object(_read(folder / "info/index.json"))
    named = [index.get(key) for key in ("name", "version", "build")]
    label = "-".join(each for each in named if isinstance(each, str)) or folder.name
    listed = _object(_read(folder / "info/paths.json")).get("paths")
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


def _wheel_label(folder: str) -> str:
    named = distinfo.name_of(folder)
    return f"wheel:{named.name}-{named.version}"


def _rows(data: bytes) -> list[tuple[str, str]]:
    found = []
    try:
        for row in csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline="")):
            digest = distinfo.hex_digest(row[1]) if len(row) > 1 and row[1] else None
            if digest is not None:
                found.append((row[0], digest))
    except (csv.Error, ValueError):
        pass
    return found


def _object(data: bytes) -> dict[str, object]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _read(path: Path) -> bytes:
    try:
        found = path.stat()
        return path.read_bytes() if stat.S_ISREG(found.st_mode) and found.st_size <= _MAX_LISTING else b""
    except OSError:
        return b""
