"""Parse core metadata (PEP 440, PEP 508, PEP 566, PEP 643)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from converters.deferred import dataclass, regex
from converters.descriptions import author_text, license_name, stated, well_known_urls
from converters.errors import UnsafeInputError
from converters.fields import read_fields
from converters.projects import canonicalize_name

if TYPE_CHECKING:
    from packaging.metadata import RawMetadata

__all__ = ["MAX_METADATA", "CoreMetadata", "parse_metadata"]

_NEWEST_METADATA = 2  # major version

MAX_METADATA = 1 << 20  # bytes; real ones stay below 300 kB

# Characters (in UTF-8) at which `str.splitlines` breaks a line and RFC 822 does not, and a field that follows one.
_SEPARATORS = (b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9")
_HIDDEN_FIELD = regex(b"(?:%s)[!-9;-~]+[ \t]*:" % b"|".join(_SEPARATORS))


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreMetadata:
    """The fields of METADATA that bridge uses. `name` is normalised, `version` is PEP 440's canonical text.

    `is_unread`: the requirements are not known, since they would be those of a build. `repeated`: fields that may occur
    once and occur several times.
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
    repeated: tuple[str, ...] = ()


_PLAIN_VERSION = regex(r"(?:0|[1-9][0-9]{0,17})(?:\.(?:0|[1-9][0-9]{0,17}))*")  # canonical as it is


def parse_metadata(data: bytes, source: str) -> CoreMetadata:
    """Parse a METADATA or PKG-INFO file; `source` names it in errors.

    Raises `UnsafeInputError`: `limit-size` above 1 MiB; `metadata-invalid` if name or version are missing, repeated or
    malformed, if the text is not UTF-8, or if the metadata version has a newer major version. Requirements are kept as
    text even if PEP 508 does not allow them; the reader decides, as in pip.
    """
    if len(data) > MAX_METADATA:
        raise UnsafeInputError("limit-size", f"{source}: METADATA is larger than {MAX_METADATA} bytes")
    if any(separator in data for separator in (b"\x00", *_SEPARATORS)) and _has_hidden_field(data):
        problem = "METADATA has control characters among its fields, which hide some from a part of its readers"
        raise UnsafeInputError("metadata-invalid", f"{source}: {problem}")
    raw, unparsed = read_fields(data)
    repeated = _take_repeated(raw, unparsed)
    for field in ("name", "version"):
        if field in unparsed or not raw.get(field):
            what = "unreadable, or repeated with another value: tools would take it for different packages"
            problem = what if field in unparsed else "missing"
            raise UnsafeInputError("metadata-invalid", f"{source}: the field {field.title()} is {problem}")
    major = raw.get("metadata_version", "1").split(".")[0]
    if major.isdecimal() and int(major[:4]) > _NEWEST_METADATA:
        # The specification: tools must fail if metadata_version has a greater major version than they support.
        problem = f"{source}: METADATA of version {raw['metadata_version'][:40]!r} is not supported"
        raise UnsafeInputError("metadata-invalid", f"{problem}: its fields may mean other things")
    broken = sorted(set(unparsed) & {"requires-python", "requires-dist", "provides-extra"})
    if broken:
        raise UnsafeInputError("metadata-invalid", f"{source}: unreadable or repeated: {', '.join(broken)}")
    try:
        version = _canonical_version(raw["version"])
        name = canonicalize_name(raw["name"], validate=True)
    except ValueError as error:
        raise UnsafeInputError("metadata-invalid", f"{source}: {error}") from error
    urls = well_known_urls(_project_urls(raw, unparsed))
    return CoreMetadata(
        name=name,
        version=version,
        requires_python=raw.get("requires_python") or None,
        requires_dist=tuple(" ".join(line.split("\n")) for line in raw.get("requires_dist", ())),  # folded (RFC 822)
        provides_extra=tuple(_extras(raw.get("provides_extra", ()))),
        dynamic=tuple(field.lower() for field in raw.get("dynamic", ())),
        license=license_name(raw.get("license_expression"), raw.get("license"), raw.get("classifiers", ())),
        license_files=tuple(raw.get("license_files", ())),
        summary=" ".join(summary.split()) if (summary := stated(raw.get("summary"))) else None,
        home_page=stated(raw.get("home_page")) or urls.get("home") or urls.get("source"),
        source_url=urls.get("source"),
        documentation_url=urls.get("documentation"),
        author=author_text(raw.get("author"), raw.get("author_email"))
        or author_text(raw.get("maintainer"), raw.get("maintainer_email")),
        repeated=repeated,
    )


def _extras(fields: Iterable[str]) -> Iterator[str]:
    """Yield the normalised names; those that are none can be asked for nowhere."""
    for field in fields:
        with suppress(ValueError):
            yield canonicalize_name(field, validate=True)


def _take_repeated(raw: RawMetadata, unparsed: dict[str, list[str]]) -> tuple[str, ...]:
    """Move the first value of repeated fields to `raw`, as pip does; return their names.

    A name or version must have the same meaning each time, since other readers take the last (W64).
    """
    taken = []
    if len(names := unparsed.get("name", [])) > 1 and len(set(map(canonicalize_name, names))) == 1:
        raw["name"] = names[0]
        taken.append("name")
    with suppress(ValueError):  # no version
        if len(versions := unparsed.get("version", [])) > 1 and len({_comparable(each) for each in versions}) == 1:
            raw["version"] = versions[0]
            taken.append("version")
    if len(pythons := unparsed.get("requires-python", [])) > 1:
        raw["requires_python"] = pythons[0]
        taken.append("requires-python")
    for field in taken:
        del unparsed[field]
    return tuple(field.title() for field in taken)


def _comparable(version: str) -> Hashable:
    from packaging.version import Version  # noqa: PLC0415 - for repeated fields only

    return Version(version)


def _canonical_version(text: str) -> str:
    """Return PEP 440's canonical text. Raises `ValueError`."""
    if _PLAIN_VERSION.fullmatch(text):
        return text
    from packaging.version import Version  # noqa: PLC0415 - most versions are numbers and dots

    return str(Version(text))


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
