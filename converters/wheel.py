"""Parse wheel file names and core metadata (PEP 427, PEP 440, PEP 508, PEP 566, PEP 643)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, BinaryIO

from packaging.tags import Tag, parse_tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from converters.deferred import dataclass, regex
from converters.descriptions import author_text, license_name, well_known_urls
from converters.errors import UnsafeInputError
from converters.fields import read_fields

if TYPE_CHECKING:
    from packaging.metadata import RawMetadata

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
    "written_tags",
]

MAX_METADATA = 1 << 20  # bytes; real ones stay below 300 kB
MAX_FILENAME = 1024
MAX_TAGS = 4096  # in one compressed set; real ones have a dozen

# Characters (in UTF-8) at which `str.splitlines` breaks a line and RFC 822 does not, and a field that follows one.
_SEPARATORS = (b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")
_HIDDEN_FIELD = regex(b"(?:%s)[!-9;-~]+[ \t]*:" % b"|".join(_SEPARATORS))


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelName:
    """A parsed wheel file name: normalised project, PEP 440 version, build tag and the expanded tags."""

    project: str
    version: Version
    build_tag: tuple[int, str] | None
    tags: frozenset[Tag]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreMetadata:
    """The fields of METADATA that bridge uses. `name` is normalised, `version` is PEP 440's canonical text.

    `is_unread`: the requirements are not known, since they would be those of a build.
    `requires_dist` holds the requirements as written, in order. `license` is an SPDX expression or a short name.
    `author` is that or the maintainer, with addresses where they are stated (`converters.descriptions.people`).
    """

    name: str
    version: str
    requires_python: str | None = None
    requires_dist: tuple[str, ...] = ()
    provides_extra: tuple[str, ...] = ()
    dynamic: tuple[str, ...] = ()
    license: str | None = None
    license_files: tuple[str, ...] = ()
    summary: str | None = None
    home_page: str | None = None
    source_url: str | None = None
    documentation_url: str | None = None
    author: str | None = None
    is_unread: bool = False


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
                tags |= parse_tag(line)
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
        project, version, build_tag, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion) as error:
        is_variant = filename.count("-") > 4  # PEP 825 adds a label after the platform
        raise UnsafeInputError(
            "wheel-name",
            f"not a valid wheel file name: {filename}",
            context=(str(error),),
            hint="variant wheels are not supported; use the wheel without a variant label" if is_variant else None,
        ) from error
    return WheelName(project=project, version=version, build_tag=build_tag or None, tags=tags)


def parse_metadata(data: bytes, source: str) -> CoreMetadata:
    """Parse a METADATA or PKG-INFO file; `source` names it in errors.

    Raises `UnsafeInputError`: `limit-size` above 1 MiB; `metadata-invalid` if name or version are missing, repeated or
    malformed, if the text is not UTF-8, or if the metadata version has a newer major version. Requirements are kept as
    text even if PEP 508 does not allow them; the reader decides, as in pip.
    """
    if len(data) > MAX_METADATA:
        raise UnsafeInputError("limit-size", f"{source}: METADATA is larger than {MAX_METADATA} bytes")
    if any(separator in data for separator in (b"\x00", *_SEPARATORS)) and _has_hidden_field(data):
        raise UnsafeInputError("metadata-invalid", f"{source}: METADATA has control characters among its fields")
    raw, unparsed = read_fields(data)
    for field in ("name", "version"):
        if field in unparsed or not raw.get(field):
            problem = "unreadable or repeated" if field in unparsed else "missing"
            raise UnsafeInputError("metadata-invalid", f"{source}: the field {field.title()} is {problem}")
    if raw.get("metadata_version", "1").split(".")[0] not in {"1", "2"}:
        # The specification: tools must fail if metadata_version has a greater major version than they support.
        version = raw["metadata_version"][:40]
        raise UnsafeInputError("metadata-invalid", f"{source}: METADATA of version {version!r} is not supported")
    if len(set(unparsed.get("requires-python", ()))) == 1:  # repeated, but the same
        raw["requires_python"] = unparsed.pop("requires-python")[0]
    broken = sorted(set(unparsed) & {"requires-python", "requires-dist", "provides-extra"})
    if broken:
        raise UnsafeInputError("metadata-invalid", f"{source}: unreadable or repeated: {', '.join(broken)}")
    try:
        version = str(Version(raw["version"]))
        name = canonicalize_name(raw["name"], validate=True)
    except ValueError as error:
        raise UnsafeInputError("metadata-invalid", f"{source}: {error}") from error
    urls = well_known_urls(_project_urls(raw, unparsed))
    return CoreMetadata(
        name=name,
        version=version,
        requires_python=raw.get("requires_python") or None,
        requires_dist=tuple(" ".join(line.split("\n")) for line in raw.get("requires_dist", ())),  # folded (RFC 822)
        provides_extra=tuple(canonicalize_name(extra) for extra in raw.get("provides_extra", ())),
        dynamic=tuple(field.lower() for field in raw.get("dynamic", ())),
        license=license_name(raw.get("license_expression"), raw.get("license"), raw.get("classifiers", ())),
        license_files=tuple(raw.get("license_files", ())),
        summary=raw.get("summary"),
        home_page=raw.get("home_page") or urls.get("home") or urls.get("source"),
        source_url=urls.get("source"),
        documentation_url=urls.get("documentation"),
        author=author_text(raw.get("author"), raw.get("author_email"))
        or author_text(raw.get("maintainer"), raw.get("maintainer_email")),
    )


def _has_hidden_field(data: bytes) -> bool:
    """Return whether the header has a NUL, or a field that only some readers see after a control character (W64).

    Real projects have a form feed in the text of a licence, which no reader takes for the start of a field.
    """
    head = data.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0]
    return b"\x00" in head or _HIDDEN_FIELD.search(head) is not None


def _project_urls(raw: RawMetadata, unparsed: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the Project-URL lines, which packaging does not parse if a label occurs twice."""
    return [f"{label}, {url}" for label, url in raw.get("project_urls", {}).items()] or [
        *unparsed.get("project-url", ())
    ]


def read_metadata(filename: str, stream: BinaryIO) -> bytes:
    """Return METADATA of an open wheel. Raises `UnsafeInputError` (`wheel-dist-info`, `limit-size`)."""
    import zipfile  # noqa: PLC0415 - slow to import; installed METADATA is in no archive

    with zipfile.ZipFile(stream) as archive:
        member = dist_info_member(archive.namelist(), filename, "METADATA")
        info = archive.getinfo(member)
        if info.file_size > MAX_METADATA:
            raise UnsafeInputError("limit-size", f"{filename}: METADATA is larger than {MAX_METADATA} bytes")
        return archive.read(info)


def check_name(named: WheelName, metadata: CoreMetadata, filename: str) -> None:
    """Raise `UnsafeInputError` (`wheel-name`, W59 and W60) if METADATA contradicts the file name."""
    if metadata.name != named.project or Version(metadata.version) != named.version:
        raise UnsafeInputError(
            "wheel-name",
            f"{filename}: METADATA says {metadata.name} {metadata.version}",
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
