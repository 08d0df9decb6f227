"""Convert one wheel file to conda package files.

The whole wheel is validated first (`bridge.archive`), and packages are written atomically. Arguments and results are
picklable.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge import fs
from bridge.archive.wheel_contents import WheelContents
from bridge.archive.wheels import WheelManifest, check_wheel
from bridge.convert.digests import digests
from bridge.errors import IntegrityError
from bridge.faults import faults
from converters.compression import DEFAULT_LEVEL
from converters.convert import Converted, Described, Packages, convert, describe
from converters.deferred import replace
from converters.dependencies import MetadataLookup
from converters.names import NameMap
from converters.notes import Note
from converters.package import write_conda, write_tar_bz2
from converters.record import Record
from converters.repodata import RepodataEntry
from converters.rules import DependencyRules
from converters.wheel import WheelInfo

__all__ = ["ConvertedPackage", "DescribedWheel", "Format", "convert_wheel", "describe_wheel"]

Format = Literal["conda", "tar.bz2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedPackage:
    """A written conda package. `record` has its file name, size and hashes.

    `guessed`: names of dependencies for which there is no evidence.
    """

    path: Path
    record: Record
    notes: tuple[Note, ...] = ()
    guessed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedWheel:
    """A record that points to a wheel; `notes` and `guessed` as in `ConvertedPackage`."""

    entry: RepodataEntry
    notes: tuple[Note, ...] = ()
    guessed: tuple[str, ...] = ()


def convert_wheel(
    path: Path,
    output: Path,
    *,
    platforms: Collection[str] = (),
    names: NameMap,
    origin: WheelInfo | None = None,
    lookup: MetadataLookup | None = None,
    rules: DependencyRules | None = None,
    level: int = DEFAULT_LEVEL,
    threads: int = 1,
    format: Format = "conda",  # noqa: A002 - the option is called so
) -> Packages[ConvertedPackage]:
    """Convert the wheel at `path` into files `OUTPUT/SUBDIR/NAME-VERSION-BUILD.FORMAT`, in place of what is there.

    :param platforms: make only the packages that serve these subdirs; empty: all.
    :param origin: the wheel's origin, and its file name if `path` has another (in a cache).
    :param lookup: metadata of other projects, whose extras the wheel requires; cached by the caller.
    :param rules: changes of the dependencies; renames are those of `names`.
    :param level: zstd's, 1 to 22; ignored for `.tar.bz2`.
    :param threads: zstd's; they do not change the bytes.

    Equal wheels and origins give equal bytes. Raises `UnsafeInputError` (exit 3) for a wheel that is unsafe or has no
    equivalent as a conda package, `IntegrityError` (exit 5), `FaultError` (exit 7).
    """
    written: dict[bytes, Path] = {}  # paths.json → a package with that payload, which others copy

    def write(converted: Converted) -> ConvertedPackage:
        payload = converted.info["paths.json"]
        file = _write(converted, output, level, threads, format, written.get(payload))
        written.setdefault(payload, file)
        sha256, md5, size = digests(file)
        record = replace(converted.record, filename=file.name, sha256=sha256, md5=md5, size=size)
        return ConvertedPackage(path=file, record=record, notes=converted.notes, guessed=converted.guessed)

    with faults(path):
        manifest, info = _judged(path, origin)
        with WheelContents(path, manifest) as archive:
            conversion = convert(archive, manifest, info, platforms=platforms, names=names, lookup=lookup, rules=rules)
            return Packages(all=tuple(map(write, conversion.all)), notes=conversion.notes)


def describe_wheel(
    path: Path,
    url: str,
    *,
    platforms: Collection[str] = (),
    names: NameMap,
    origin: WheelInfo | None = None,
    lookup: MetadataLookup | None = None,
    rules: DependencyRules | None = None,
) -> Packages[DescribedWheel]:
    """Return the records that point to the wheel at `path`, served at `url`; otherwise like `convert_wheel`."""
    with faults(path):
        manifest, info = _judged(path, origin)
    described = describe(manifest, info, platforms=platforms, names=names, lookup=lookup, rules=rules)

    def point(known: Described) -> DescribedWheel:
        record = {**known.index, "url": url, "fn": info.filename, "sha256": info.sha256, "size": info.size}
        stem = f"{record['name']}-{record['version']}-{record['build']}"
        entry = RepodataEntry(stem=stem, extension="whl", record=record)
        return DescribedWheel(entry=entry, notes=known.notes, guessed=known.guessed)

    return Packages(all=tuple(map(point, described.all)), notes=described.notes)


def _judged(path: Path, origin: WheelInfo | None) -> tuple[WheelManifest, WheelInfo]:
    """Validate the wheel at `path`; return its manifest and origin."""
    sha256, _, size = digests(path)
    filename = origin.filename if origin is not None else path.name
    if origin is not None and origin.sha256 not in (None, sha256):
        raise IntegrityError(
            "hash-mismatch",
            f"the sha256 of {filename} differs from the expected value",
            context=(f"expected: {origin.sha256}", f"actual: {sha256}"),
            hint="download it again; if the hash stays wrong, do not use the file",
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
