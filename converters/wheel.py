"""Wheel file names and core metadata, parsed once (PEP 427, PEP 440, PEP 508, PEP 566, PEP 643)."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, BinaryIO

from packaging.metadata import parse_email
from packaging.tags import Tag, parse_tag
from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from converters.errors import UnsafeInputError

if TYPE_CHECKING:
    from converters.record import Record

__all__ = [
    "MAX_TAGS",
    "CoreMetadata",
    "WheelInfo",
    "WheelName",
    "check_name",
    "count_tags",
    "dist_info_member",
    "parse_metadata",
    "parse_wheel_name",
    "read_metadata",
    "read_wheel",
    "written_tags",
]

MAX_METADATA = 1 << 20  # bytes; real ones stay below 300 kB
MAX_FILENAME = 1024
MAX_TAGS = 4096  # that one compressed set stands for; real ones have a dozen

# Where `str.splitlines` breaks a line and RFC 822 does not, in UTF-8; and what would be a field there.
_SEPARATORS = (b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")
_HIDDEN_FIELD = re.compile(b"(?:%s)[!-9;-~]+[ \t]*:" % b"|".join(_SEPARATORS))


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelName:
    """What a wheel's file name says: normalised project, PEP 440 version, build tag, and all of its tags."""

    project: str
    version: Version
    build_tag: tuple[int, str] | None
    tags: frozenset[Tag]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreMetadata:
    """The fields of METADATA that decide something. `name` is normalised, `version` is PEP 440's canonical text.

    `requires_dist` holds the requirements as they are written, in order: they stay PEP 508 until a package is written.
    """

    name: str
    version: str
    requires_python: str | None = None
    requires_dist: tuple[str, ...] = ()
    provides_extra: tuple[str, ...] = ()
    dynamic: tuple[str, ...] = ()
    license: str | None = None
    summary: str | None = None
    home_page: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelInfo:
    """One wheel: its file name, its metadata, and where it comes from."""

    filename: str
    metadata: CoreMetadata
    url: str = ""
    origin: str = ""
    sha256: str | None = None
    size: int | None = None
    yanked: str | None = None
    upload_time: int | None = None

    @classmethod
    def of_record(cls, record: Record, metadata: CoreMetadata, filename: str) -> WheelInfo:
        """A wheel from where its record says; of one that was built of an sdist, `filename` is its own."""
        return cls(
            filename=filename,
            metadata=metadata,
            url=record.url,
            origin=record.origin,
            sha256=record.sha256,
            size=record.size,
            yanked=record.yanked,
            upload_time=record.timestamp,
        )


def count_tags(text: str) -> int:
    """How many tags a compressed set (`py2.py3-none-any`), or the name of a wheel that ends in one, stands for.

    PEP 425 expands a set to every combination of its parts: a name of 1,000 characters can stand for five million tags.
    """
    return _count_of_set("-".join(text.removesuffix(".whl").rsplit("-", 3)[-3:]))


@lru_cache(maxsize=1024)
def _count_of_set(text: str) -> int:
    return prod(part.count(".") + 1 for part in text.split("-"))


def written_tags(lines: Iterable[str]) -> frozenset[Tag]:
    """The tags of the Tag lines of a WHEEL file; lines that are none, and sets beyond `MAX_TAGS`, are passed over."""
    found: set[Tag] = set()
    for line in lines:
        if line.count("-") == 2 and len(found) + count_tags(line) <= MAX_TAGS:
            with suppress(ValueError):  # packaging's `InvalidTag`
                found |= parse_tag(line)
    return frozenset(found)


@lru_cache(maxsize=65536)
def parse_wheel_name(filename: str) -> WheelName:
    """Parse a wheel's file name. Raises `UnsafeInputError` (`wheel-name`) where PEP 427 does not allow it."""
    if len(filename) > MAX_FILENAME:
        raise UnsafeInputError("wheel-name", f"the wheel's file name is {len(filename)} characters long")
    if not filename.isprintable():
        raise UnsafeInputError("wheel-name", f"the wheel's file name holds a control character: {filename!a}")
    if count_tags(filename) > MAX_TAGS:
        raise UnsafeInputError("wheel-name", f"the wheel's file name stands for more than {MAX_TAGS} tags: {filename}")
    try:
        project, version, build_tag, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion) as error:
        is_variant = filename.count("-") > 4  # PEP 825 adds a label after the platform
        raise UnsafeInputError(
            "wheel-name",
            f"not a wheel's file name: {filename}",
            context=(str(error),),
            hint="variant wheels are not understood; take the one without a variant label" if is_variant else None,
        ) from error
    return WheelName(project=project, version=version, build_tag=build_tag or None, tags=tags)


def parse_metadata(data: bytes, source: str) -> CoreMetadata:
    """Parse a METADATA or PKG-INFO file; `source` names it in errors.

    Raises `UnsafeInputError`: `limit-size` above 1 MiB, `metadata-invalid` where name or version are missing, given
    twice or malformed, where the text is not UTF-8, or of a newer major version of the specification. Requirements that
    PEP 508 does not allow are kept as text: who reads them decides, as pip does.
    """
    if len(data) > MAX_METADATA:
        raise UnsafeInputError("limit-size", f"{source}: METADATA is larger than {MAX_METADATA} bytes")
    if any(mark in data for mark in (b"\x00", *_SEPARATORS)) and _smuggles(data):
        raise UnsafeInputError("metadata-invalid", f"{source}: METADATA has control characters among its fields")
    raw, unparsed = parse_email(data)
    for field in ("name", "version"):
        if field in unparsed or not raw.get(field):
            problem = "not readable or given twice" if field in unparsed else "missing"
            raise UnsafeInputError("metadata-invalid", f"{source}: the field {field.title()} is {problem}")
    if raw.get("metadata_version", "1").split(".")[0] not in {"1", "2"}:
        # "MUST fail if metadata_version has a greater major version than the highest version they support"
        version = raw["metadata_version"][:40]
        raise UnsafeInputError("metadata-invalid", f"{source}: METADATA of version {version!r} is not understood")
    broken = sorted(set(unparsed) & {"requires-python", "requires-dist", "provides-extra"})
    if broken:
        raise UnsafeInputError("metadata-invalid", f"{source}: unreadable or repeated: {', '.join(broken)}")
    try:
        version = str(Version(raw["version"]))
        name = canonicalize_name(raw["name"], validate=True)
    except ValueError as error:
        raise UnsafeInputError("metadata-invalid", f"{source}: {error}") from error
    urls = raw.get("project_urls", {})
    return CoreMetadata(
        name=name,
        version=version,
        requires_python=raw.get("requires_python") or None,
        requires_dist=tuple(raw.get("requires_dist", ())),
        provides_extra=tuple(canonicalize_name(extra) for extra in raw.get("provides_extra", ())),
        dynamic=tuple(field.lower() for field in raw.get("dynamic", ())),
        license=raw.get("license_expression") or _short(raw.get("license")),
        summary=raw.get("summary"),
        home_page=raw.get("home_page") or next(iter(urls.values()), None),
    )


def _smuggles(data: bytes) -> bool:
    """Whether the header block has a NUL, or one more field for readers that break lines at a control character (W64).

    A form feed in the text of a licence, which real projects have, begins no field for anybody.
    """
    head = data.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0]
    return b"\x00" in head or _HIDDEN_FIELD.search(head) is not None


def _short(text: str | None) -> str | None:
    """A License field is often the whole licence; a record wants its name."""
    line = (text or "").strip().splitlines()[:1]
    return line[0][:200] if line else None


def read_wheel(filename: str, stream: BinaryIO) -> CoreMetadata:
    """Read METADATA out of an open wheel and hold it against the file name.

    The archive's structure is the caller's to judge (`bridge.archive`). Raises `UnsafeInputError` (`wheel-dist-info`,
    `metadata-invalid`, and `wheel-name` where name or version differ from the file name's).
    """
    metadata = parse_metadata(read_metadata(filename, stream), filename)
    check_name(parse_wheel_name(filename), metadata, filename)
    return metadata


def read_metadata(filename: str, stream: BinaryIO) -> bytes:
    """The bytes of METADATA in an open wheel. Raises `UnsafeInputError` (`wheel-dist-info`, `limit-size`)."""
    with zipfile.ZipFile(stream) as archive:
        member = dist_info_member(archive.namelist(), filename, "METADATA")
        info = archive.getinfo(member)
        if info.file_size > MAX_METADATA:
            raise UnsafeInputError("limit-size", f"{filename}: METADATA is larger than {MAX_METADATA} bytes")
        return archive.read(info)


def check_name(named: WheelName, metadata: CoreMetadata, filename: str) -> None:
    """Raise `UnsafeInputError` (`wheel-name`, W59 and W60) where METADATA contradicts the file name."""
    if metadata.name != named.project or Version(metadata.version) != named.version:
        raise UnsafeInputError(
            "wheel-name",
            f"{filename}: METADATA says {metadata.name} {metadata.version}",
            context=(f"the file name says {named.project} {named.version}",),
        )


def dist_info_member(names: list[str], filename: str, member: str) -> str:
    """The archive's name of `member` in the one dist-info directory. Raises `UnsafeInputError` (`wheel-dist-info`)."""
    roots = sorted({name.split("/", 1)[0] for name in names if name.split("/", 1)[0].endswith(".dist-info")})
    if len(roots) != 1:
        said = ", ".join(roots) or "none"
        raise UnsafeInputError("wheel-dist-info", f"{filename}: a wheel has one dist-info directory; found: {said}")
    wanted = f"{roots[0]}/{member}"
    if wanted not in names:
        raise UnsafeInputError("wheel-dist-info", f"{filename}: {wanted} is missing")
    return wanted
