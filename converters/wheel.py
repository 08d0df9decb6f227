"""Parse wheel file names and tags (PEP 425, PEP 427, PEP 440)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, BinaryIO

from packaging import tags as pep425
from packaging import utils
from packaging import version as pep440

from converters.deferred import dataclass
from converters.errors import UnsafeInputError
from converters.metadata import MAX_METADATA, CoreMetadata

if TYPE_CHECKING:
    from packaging.tags import Tag
    from packaging.version import Version

    from converters.record import Record

__all__ = [
    "MAX_TAGS",
    "WheelInfo",
    "WheelName",
    "check_name",
    "count_tags",
    "dist_info_member",
    "parse_wheel_name",
    "read_metadata",
    "written_tags",
]

MAX_FILENAME = 1024
MAX_TAGS = 4096  # in one compressed set; real ones have a dozen


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelName:
    """A parsed wheel file name: normalised project, PEP 440 version, build tag and the expanded tags."""

    project: str
    version: Version
    build_tag: tuple[int, str] | None
    tags: frozenset[Tag]


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelInfo:
    """A wheel: its file name, its metadata and its origin.

    :param provenance: the provenance object that its index serves (PEP 740); empty: none.
    """

    filename: str
    metadata: CoreMetadata
    url: str = ""
    origin: str = ""
    sha256: str | None = None
    size: int | None = None
    yanked: str | None = None
    upload_time: int | None = None
    revision: str | None = None
    provenance: bytes = b""

    @classmethod
    def of_record(cls, record: Record, metadata: CoreMetadata, filename: str) -> WheelInfo:
        """Return the wheel of a record. `filename` is the wheel's, also if the record describes its sdist."""
        return cls(
            filename=filename,
            metadata=metadata,
            url=record.url,
            origin=record.origin,
            sha256=record.sha256,
            size=record.size,
            yanked=record.yanked,
            upload_time=record.timestamp,
            revision=record.revision,
        )


def count_tags(text: str) -> int:
    """Return the number of tags in a compressed set (`py2.py3-none-any`), or in a wheel's file name.

    PEP 425 expands a set to every combination of its parts, so 1,000 characters can stand for five million tags.
    """
    return _count_of_set("-".join(text.removesuffix(".whl").rsplit("-", 3)[-3:]))


@lru_cache(maxsize=1024)
def _count_of_set(text: str) -> int:
    return prod(part.count(".") + 1 for part in text.split("-"))


def written_tags(lines: Iterable[str]) -> frozenset[Tag]:
    """Return the tags in the Tag lines of a WHEEL file. Malformed lines and sets beyond `MAX_TAGS` are skipped."""
    tags: set[Tag] = set()
    for line in lines:
        if line.count("-") == 2 and len(tags) + count_tags(line) <= MAX_TAGS:
            with suppress(ValueError):  # packaging's `InvalidTag`
                tags |= pep425.parse_tag(line)
    return frozenset(tags)


@lru_cache(maxsize=65536)
def parse_wheel_name(filename: str) -> WheelName:
    """Parse a wheel's file name. Raises `UnsafeInputError` (`wheel-name`) if it is invalid by PEP 427."""
    if len(filename) > MAX_FILENAME:
        raise UnsafeInputError("wheel-name", f"the wheel's file name is {len(filename)} characters long")
    if not filename.isprintable():
        raise UnsafeInputError("wheel-name", f"the wheel's file name has a control character: {filename!a}")
    if count_tags(filename) > MAX_TAGS:
        raise UnsafeInputError("wheel-name", f"the wheel's file name expands to more than {MAX_TAGS} tags: {filename}")
    try:
        project, version, build_tag, tags = utils.parse_wheel_filename(filename)
    except (utils.InvalidWheelFilename, pep440.InvalidVersion) as error:
        is_variant = filename.count("-") > 4  # PEP 825 adds a label after the platform
        raise UnsafeInputError(
            "wheel-name",
            f"not a valid wheel file name: {filename}",
            context=(str(error),),
            hint="variant wheels are not supported; use the wheel without a variant label" if is_variant else None,
        ) from error
    return WheelName(project=project, version=version, build_tag=build_tag or None, tags=tags)


def read_metadata(filename: str, stream: BinaryIO) -> bytes:
    """Return METADATA of an open wheel.

    Raises `UnsafeInputError` (`wheel-dist-info`, `limit-size`), and `ValueError` if the stream is no zip.
    """
    import zipfile  # noqa: PLC0415 - slow to import; installed METADATA is in no archive

    try:
        with zipfile.ZipFile(stream) as archive:
            member = dist_info_member(archive.namelist(), filename, "METADATA")
            info = archive.getinfo(member)
            if info.file_size > MAX_METADATA:
                raise UnsafeInputError("limit-size", f"{filename}: METADATA is larger than {MAX_METADATA} bytes")
            return archive.read(info)
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from error


def check_name(named: WheelName, metadata: CoreMetadata, filename: str) -> None:
    """Raise `UnsafeInputError` (`wheel-name`, W59 and W60) if METADATA contradicts the file name."""
    if metadata.name != named.project or pep440.Version(metadata.version) != named.version:
        raise UnsafeInputError(
            "wheel-name",
            f"{filename}: METADATA says {metadata.name} {metadata.version}, so tools take it for different packages",
            context=(f"the file name says {named.project} {named.version}",),
        )


def dist_info_member(names: list[str], filename: str, member: str) -> str:
    """Return the path of `member` in the only dist-info directory. Raises `UnsafeInputError` (`wheel-dist-info`)."""
    roots = sorted({name.split("/", 1)[0] for name in names if name.split("/", 1)[0].endswith(".dist-info")})
    if len(roots) != 1:
        listed = ", ".join(roots) or "none"
        raise UnsafeInputError("wheel-dist-info", f"{filename}: a wheel has one dist-info directory; found: {listed}")
    wanted = f"{roots[0]}/{member}"
    if wanted not in names:
        raise UnsafeInputError("wheel-dist-info", f"{filename}: {wanted} is missing")
    return wanted
