"""`bridge convert`: wheels become conda packages in a folder, and the folder becomes a channel.

A wheel is judged as a whole before it is converted (`bridge.archive`), so nothing is written of one that is unsafe.
What is written appears whole or not at all. All arguments and results are plain values, so that many conversions can
be spread over threads, processes or machines.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bridge import fs
from bridge.archive.wheel_contents import WheelContents
from bridge.archive.wheels import WheelManifest, check_wheel
from bridge.convert.channel_index import digests
from bridge.errors import IntegrityError
from bridge.faults import faults
from converters.compression import DEFAULT_LEVEL
from converters.convert import Converted, convert, describe
from converters.dependencies import MetadataLookup
from converters.names import NameMap
from converters.package import write_conda, write_tar_bz2
from converters.record import Record
from converters.repodata import RepodataEntry
from converters.target import Target
from converters.wheel import WheelInfo

__all__ = ["ConvertedPackage", "DescribedWheel", "Format", "convert_wheel", "describe_wheel"]

Format = Literal["conda", "tar.bz2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedPackage:
    """A conda package that was written. `record` has its file name, size and hashes; `notes`: one sentence each.

    `other_pythons`: pythons that the wheel fits and this package does not; they want packages of their own. `payload`:
    equal in packages of one wheel that hold the same files.
    """

    path: Path
    record: Record
    notes: tuple[str, ...] = ()
    other_pythons: tuple[str, ...] = ()
    payload: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedWheel:
    """A record that points to a wheel. `notes`: one sentence each; `other_pythons`: as in `ConvertedPackage`."""

    entry: RepodataEntry
    notes: tuple[str, ...] = ()
    other_pythons: tuple[str, ...] = ()


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
    reuse: ConvertedPackage | None = None,
) -> ConvertedPackage:
    """Convert the wheel at `path` into `OUTPUT/SUBDIR/NAME-VERSION-BUILD.FORMAT`, in place of what is there.

    :param target: the platform and the python to convert for; `None`: the package must fit everywhere.
    :param origin: where the wheel comes from, and its own file name where `path` has another one (a cache's).
    :param lookup: metadata of other projects, for the extras that the wheel asks of them; cached by the caller.
    :param level: zstd's, 1 to 22; `.tar.bz2` has none.
    :param threads: zstd's; the bytes do not depend on them.
    :param reuse: a package that this wheel became at this level; what is the same in it is not compressed again.

    Equal wheels, targets and origins give equal bytes. Raises `UnsafeInputError` (exit 3) for a wheel that is unsafe,
    or whose meaning no conda package can have, `IntegrityError` (exit 5), `FaultError` (exit 7); then nothing is
    written.
    """
    with faults(path):
        manifest, info = _judged(path, origin)
        with WheelContents(path, manifest) as archive:
            converted = convert(archive, manifest, info, target=target, names=names, lookup=lookup)
            payload = hashlib.sha256(converted.info["paths.json"]).hexdigest()
            known = reuse.path if reuse is not None and reuse.payload == payload else None
            written = _write(converted, output, level, threads, format, known)
    sha256, md5, size = digests(written)
    record = replace(converted.record, filename=written.name, sha256=sha256, md5=md5, size=size)
    return ConvertedPackage(
        path=written, record=record, notes=converted.notes, other_pythons=converted.other_pythons, payload=payload
    )


def describe_wheel(
    path: Path,
    url: str,
    *,
    target: Target | None,
    names: NameMap,
    origin: WheelInfo | None = None,
    lookup: MetadataLookup | None = None,
) -> DescribedWheel:
    """The record that points to the wheel at `path`, which `url` serves. As `convert_wheel`; nothing is written."""
    with faults(path):
        manifest, info = _judged(path, origin)
    known = describe(manifest, info, target=target, names=names, lookup=lookup)
    record = {**known.index, "url": url, "fn": info.filename, "sha256": info.sha256, "size": info.size}
    stem = f"{record['name']}-{record['version']}-{record['build']}"
    entry = RepodataEntry(stem=stem, extension="whl", record=record)
    return DescribedWheel(entry=entry, notes=known.notes, other_pythons=known.other_pythons)


def _judged(path: Path, origin: WheelInfo | None) -> tuple[WheelManifest, WheelInfo]:
    """The wheel at `path`, judged whole, and where it comes from."""
    sha256, _, size = digests(path)
    filename = origin.filename if origin is not None else path.name
    if origin is not None and origin.sha256 not in (None, sha256):
        raise IntegrityError(
            "hash-mismatch",
            f"{filename} is not the file that was promised: its sha256 differs",
            context=(f"promised: {origin.sha256}", f"found: {sha256}"),
        )
    manifest = check_wheel(path, filename=filename)
    info = origin or WheelInfo(filename=filename, metadata=manifest.metadata)
    return manifest, replace(info, metadata=manifest.metadata, sha256=sha256, size=size)


def _write(
    converted: Converted,
    output: Path,
    level: int,
    threads: int,
    format: Format,  # noqa: A002 - as above
    known: Path | None,
) -> Path:
    folder = output / converted.record.subdir
    fs.make_directories(folder)
    stem = converted.record.identity
    path = folder / f"{stem}.{format}"
    with fs.publish_stream(path) as stream:
        if format == "tar.bz2":
            write_tar_bz2(stream, converted.info, converted.members)
        elif known is None:
            write_conda(stream, stem, converted.info, converted.members, level=level, threads=threads)
        else:
            with known.open("rb") as packed:
                write_conda(stream, stem, converted.info, (), level=level, threads=threads, packed=packed)
    return path
