"""Convert one wheel file to a conda package file.

The whole wheel is validated first (`bridge.archive`), and packages are written atomically. Arguments and results are
picklable.
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
    """A written conda package. `record` has its file name, size and hashes; `notes`: one sentence each.

    `other_pythons`: pythons that the wheel supports and this package does not. `payload`: a hash of the list of files.
    `guessed`: names of dependencies for which there is no evidence.
    """

    path: Path
    record: Record
    notes: tuple[str, ...] = ()
    other_pythons: tuple[str, ...] = ()
    payload: str = ""
    guessed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedWheel:
    """A record that points to a wheel. `notes`: one sentence each; the others as in `ConvertedPackage`."""

    entry: RepodataEntry
    notes: tuple[str, ...] = ()
    other_pythons: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()


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
    :param origin: the wheel's origin, and its file name if `path` has another (in a cache).
    :param lookup: metadata of other projects, whose extras the wheel requires; cached by the caller.
    :param level: zstd's, 1 to 22; ignored for `.tar.bz2`.
    :param threads: zstd's; they do not change the bytes.
    :param reuse: a package made from this wheel at this level; an equal payload is copied from it.

    Equal wheels, targets and origins give equal bytes. Raises `UnsafeInputError` (exit 3) for a wheel that is unsafe or
    has no equivalent as a conda package, `IntegrityError` (exit 5), `FaultError` (exit 7); then nothing is written.
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
        path=written,
        record=record,
        notes=converted.notes,
        other_pythons=converted.other_pythons,
        payload=payload,
        guessed=converted.guessed,
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
    """Return the record that points to the wheel at `path`, served at `url`; otherwise like `convert_wheel`."""
    with faults(path):
        manifest, info = _judged(path, origin)
    known = describe(manifest, info, target=target, names=names, lookup=lookup)
    record = {**known.index, "url": url, "fn": info.filename, "sha256": info.sha256, "size": info.size}
    stem = f"{record['name']}-{record['version']}-{record['build']}"
    entry = RepodataEntry(stem=stem, extension="whl", record=record)
    return DescribedWheel(entry=entry, notes=known.notes, other_pythons=known.other_pythons, guessed=known.guessed)


def _judged(path: Path, origin: WheelInfo | None) -> tuple[WheelManifest, WheelInfo]:
    """Validate the wheel at `path`; return its manifest and origin."""
    sha256, _, size = digests(path)
    filename = origin.filename if origin is not None else path.name
    if origin is not None and origin.sha256 not in (None, sha256):
        raise IntegrityError(
            "hash-mismatch",
            f"the sha256 of {filename} differs from the expected value",
            context=(f"expected: {origin.sha256}", f"actual: {sha256}"),
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
    subdir = output / converted.record.subdir
    fs.make_directories(subdir)
    stem = converted.record.identity
    path = subdir / f"{stem}.{format}"
    with fs.publish_stream(path) as stream:
        if format == "tar.bz2":
            write_tar_bz2(stream, converted.info, converted.members)
        elif known is None:
            write_conda(stream, stem, converted.info, converted.members, level=level, threads=threads)
        else:
            with known.open("rb") as packed:
                write_conda(stream, stem, converted.info, (), level=level, threads=threads, packed=packed)
    return path
