"""`bridge convert`: wheels become conda packages in a folder, and the folder becomes a channel.

A wheel is judged as a whole before it is converted (`bridge.archive`), so nothing is written of one that is unsafe.
What is written appears whole or not at all. All arguments and results are plain values, so that many conversions can
be spread over threads, processes or machines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import zstandard
from packaging.utils import canonicalize_name

from bridge import fs
from bridge.archive import WheelContents, check_conda, check_wheel
from bridge.errors import IntegrityError
from bridge.faults import faults
from bridge.paths import NAMES_FILE
from converters.compression import DEFAULT_LEVEL
from converters.convert import Converted, convert
from converters.dependencies import MetadataLookup
from converters.names import NameMap, projects_of_purls
from converters.package import write_conda, write_tar_bz2
from converters.record import Record
from converters.target import SUBDIRS, Target
from converters.wheel import WheelInfo

__all__ = ["ConvertedPackage", "Format", "convert_wheel", "write_index", "write_names"]

Format = Literal["conda", "tar.bz2"]

_BLOCK = 1 << 20
_REPODATA_LEVEL = 19  # repodata is read far more often than it is written
_INTERPRETER = frozenset({"python", "python_abi", "cpython"})
_FIRST_REVISION = 3  # of index.json, from which on older clients may not see a package (CEP 43)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedPackage:
    """A conda package that was written. `record` has its file name, size and hashes; `notes`: one sentence each.

    `elsewhere`: pythons that the wheel fits and this package does not; they want packages of their own.
    """

    path: Path
    record: Record
    notes: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


def convert_wheel(
    path: Path,
    output: Path,
    *,
    target: Target | None,
    names: NameMap,
    origin: WheelInfo | None = None,
    lookup: MetadataLookup | None = None,
    level: int = DEFAULT_LEVEL,
    threads: int = 1,
    format: Format = "conda",  # noqa: A002 - the option is called so
) -> ConvertedPackage:
    """Convert the wheel at `path` into `OUTPUT/SUBDIR/NAME-VERSION-BUILD.FORMAT`, in place of what is there.

    :param target: the platform and the python to convert for; `None`: the package must fit everywhere.
    :param origin: where the wheel comes from, and its own file name where `path` has another one (a cache's).
    :param lookup: metadata of other projects, for the extras that the wheel asks of them; cached by the caller.
    :param level: zstd's, 1 to 22; `.tar.bz2` has none.
    :param threads: zstd's; the bytes do not depend on them.

    Equal wheels, targets and origins give equal bytes. Raises `UnsafeInputError` (exit 3) for a wheel that is unsafe,
    or whose meaning no conda package can have, `IntegrityError` (exit 5), `FaultError` (exit 7); then nothing is
    written.
    """
    with faults(path):
        sha256, _, size = _digests(path)
        filename = origin.filename if origin is not None else path.name
        if origin is not None and origin.sha256 not in (None, sha256):
            raise IntegrityError(
                "hash-mismatch",
                f"{filename} is not the file that was promised: its sha256 differs",
                context=(f"promised: {origin.sha256}", f"found: {sha256}"),
            )
        manifest = check_wheel(path, filename=filename)
        info = origin or WheelInfo(filename=filename, metadata=manifest.metadata)
        info = replace(info, metadata=manifest.metadata, sha256=sha256, size=size)
        with WheelContents(path, manifest) as archive:
            converted = convert(archive, manifest, info, target=target, names=names, lookup=lookup)
            written = _write(converted, output, level, threads, format)
    sha256, md5, size = _digests(written)
    record = replace(converted.record, filename=written.name, sha256=sha256, md5=md5, size=size)
    return ConvertedPackage(path=written, record=record, notes=converted.notes, elsewhere=converted.elsewhere)


def _write(converted: Converted, output: Path, level: int, threads: int, format: Format) -> Path:  # noqa: A002
    folder = output / converted.record.subdir
    fs.make_directories(folder)
    stem = converted.record.identity
    path = folder / f"{stem}.{format}"
    with fs.publish_stream(path) as stream:
        if format == "conda":
            write_conda(stream, stem, converted.info, converted.members, level=level, threads=threads)
        else:
            write_tar_bz2(stream, converted.info, converted.members)
    return path


def _digests(path: Path) -> tuple[str, str, int]:
    """sha256, md5 and size of a file."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with faults(path), path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            sha256.update(block)
            md5.update(block)
            size += len(block)
    return sha256.hexdigest(), md5.hexdigest(), size


def write_index(folder: Path) -> None:
    """Make a channel of `folder`: `repodata.json` and `repodata.json.zst` in each subdir that it has, and in `noarch`.

    Every package is judged and read again, whoever put it there, so that the index says what lies there now. It depends
    on the packages alone: equal folders get equal indexes. Raises `UnsafeInputError` and `IntegrityError` for a package
    that is no sound one, `FaultError`; the indexes of the subdirs before it are written then, its own is as it was.
    """
    with faults(folder):
        subdirs = sorted(path.name for path in folder.iterdir() if path.name in SUBDIRS and path.is_dir())
    for subdir in dict.fromkeys(["noarch", *subdirs]):
        place = folder / subdir
        fs.make_directories(place)
        text = json.dumps(_repodata(place), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        fs.publish_file(place / "repodata.json", [text])
        packed = zstandard.ZstdCompressor(level=_REPODATA_LEVEL, write_checksum=True).compress(text)
        fs.publish_file(place / "repodata.json.zst", [packed])


def write_names(folder: Path, names: NameMap) -> None:
    """Write what is known of the names in a channel of converted packages, as `--name-map` reads it.

    A converted package knows which project it is (its purl), and its `depends` were translated from projects: without
    this a name that no other channel has would be unknown, and never taken from an index. Raises `FaultError`.
    """
    known: dict[str, list[str]] = {}
    with faults(folder):
        repodata = sorted(folder.glob("*/repodata.json"))
    for path in repodata:
        with faults(path):
            document = json.loads(path.read_bytes())
        for record in (*document["packages.conda"].values(), *document["packages"].values()):
            projects = projects_of_purls(record.get("purls") or ())
            if not projects:
                continue
            known[record["name"]] = list(projects)
            for text in record["depends"]:
                name = text.split(" ", 1)[0]
                if not name.startswith("_") and name not in _INTERPRETER:
                    known.setdefault(name, list(names.row(name) or (canonicalize_name(name),)))
    fs.publish_file(folder / NAMES_FILE, [json.dumps(known, sort_keys=True, indent=2).encode() + b"\n"])


def _repodata(place: Path) -> dict[str, object]:
    """The repodata of one subdir (CEP 36; CEP 48 for packages that older clients may not see)."""
    sections: dict[str, dict[str, object]] = {"packages": {}, "packages.conda": {}}
    later: dict[str, dict[str, object]] = {}
    with faults(place):
        files = sorted(place.iterdir())
    for path in files:
        extension = next((e for e in ("conda", "tar.bz2") if path.name.endswith(f".{e}")), None)
        if extension is None or path.name.startswith("."):
            continue
        entry = _entry(path)
        revision = entry.get("schema_version")
        if isinstance(revision, int) and revision >= _FIRST_REVISION:
            later.setdefault(extension, {})[path.name.removesuffix(f".{extension}")] = entry
        else:
            sections["packages.conda" if extension == "conda" else "packages"][path.name] = entry
    document: dict[str, object] = {"info": {"subdir": place.name}, **sections, "removed": [], "repodata_version": 1}
    return document | {"v3": later} if later else document


def _entry(path: Path) -> Mapping[str, object]:
    """A package's record: its index.json, and the hashes and size of the archive."""
    with faults(path):
        index = check_conda(path).index
    sha256, md5, size = _digests(path)
    return {**index, "sha256": sha256, "md5": md5, "size": size}
