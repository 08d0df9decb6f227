"""Parses the pages of the Simple API: PEP 503, 592, 629, 658, 691, 700 and 714. Does not fetch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from packaging import utils
from packaging import version as pep440

from bridge.config import parse_timestamp
from bridge.errors import UnsafeInputError
from bridge.fetch.urls import check_link, file_name
from bridge.index.markup import MAX_LINKS, Status, json_entries, too_many, unreadable
from bridge.model import IndexFile
from bridge.secrets import SECRETS
from converters.deferred import dataclass, regex
from converters.wheel import MAX_TAGS, count_tags

__all__ = [
    "ACCEPT",
    "MAX_PAGE",
    "PageListing",
    "Source",
    "Status",
    "directory_listing",
    "file_of_link",
    "is_archive",
    "parse_page",
]

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
MAX_PAGE = 48 << 20  # bytes; the largest of the public index has some MiB

_SHA256 = regex(r"[0-9a-fA-F]{64}\Z", re.ASCII)
_NEAR = ("https://localhost", "https://127.", "https://169.254.", "https://0.")
_ABSOLUTE = regex(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,4})?/[A-Za-z0-9/._+%~-]*\Z", re.ASCII)
# `packaging` parses name and version once per release; this checks that the rest has the form of PEP 427.
_WHEEL = regex(r"([A-Za-z0-9._]+-[A-Za-z0-9._!+]+)(?:-[0-9][A-Za-z0-9._]*)?(?:-[A-Za-z0-9._]+){3}\.whl\Z", re.ASCII)
_PLAIN = regex(r"[^./\\\x00-\x20\x7f][^/\\\x00-\x20\x7f]*\Z")
_SUFFIXES = (".whl", ".tar.gz", ".zip")
_OTHER_KIND = regex(r".*\.(?:egg|exe|msi|rpm|deb|tgz|tbz|tar(?:\.bz2|\.xz|\.Z)?)\Z")
_METADATA_KEYS = ("core-metadata", "dist-info-metadata")
_CONTROL = regex(r"[\x00-\x1f\x7f]")
_MAX_TEXT = 1000  # characters of a Requires-Python
_MAX_SIZE = 1 << 50  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PageListing:
    """The wheels and sdists of a page, in its order, and the dropped links: (name, reason).

    `status` is the project's (PEP 792) unless it is "active"; a quarantined project has no files.
    """

    files: Sequence[IndexFile]
    dropped: tuple[tuple[str, str], ...] = ()
    status: Status | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a page comes from: `url`, with its secrets, is the base of links; `origin` is the index without secrets.

    `project` is the normalised name that each file must have; `None`: a page of many projects.
    """

    url: str = field(repr=False)
    origin: str
    project: str | None
    trusted_hosts: tuple[str, ...] = ()


class _Dropped(Exception):  # noqa: N818 - a dropped link is no error
    """The link is dropped; the page may still be valid."""


def parse_page(content: bytes, content_type: str, source: Source) -> PageListing:
    """Return the files that a page lists.

    :param content_type: of the response; a page from the disk has none (`""`) and is HTML.

    Raises `UnsafeInputError`: `json-invalid`, `limit-size`, `limit-entries` above 200,000 links, `page-unreadable` for
    another content type or a newer major version of the API (PEP 629), `url-refused` for a link from https to http or
    from the network to a file.
    """
    kind = content_type.partition(";")[0].strip().lower()
    url = source.url
    if kind in {"application/vnd.pypi.simple.v1+json", "application/json"}:
        (links, status), base, parse = json_entries(content, url), url, _json_file
    elif kind in {"", "text/html", "application/vnd.pypi.simple.v1+html", "application/xhtml+xml"}:
        from bridge.index.html_pages import html_entries  # noqa: PLC0415 - most indexes answer in JSON

        links, base, status = html_entries(content, content_type, url)
        parse = _html_file
    else:
        raise unreadable(url, f"its content type is {kind!r}")
    if len(links) > MAX_LINKS:
        raise too_many(url)
    files, dropped = [], []
    for entry in links:
        try:
            file = parse(entry, base, source)
        except (_Dropped, ValueError) as error:
            dropped.append((_name(entry)[:200], str(error)))
            continue
        if file is not None:
            files.append(file)
        elif _OTHER_KIND.match(name := _name(entry)):
            dropped.append((name[:200], "it is neither a wheel nor an sdist (.tar.gz, .zip)"))
    if status is not None and status.word == "quarantined":
        dropped += [(file.filename, f"its project is quarantined by the index ({status.reason})") for file in files]
        files = []
    return PageListing(files=tuple(files), dropped=tuple(dropped), status=status)


def _name(entry: Mapping[str, object]) -> str:
    """Return the file name of a link, for messages."""
    name, link = entry.get("filename"), str(entry.get("href")).strip()
    if isinstance(name, str) and name:
        return name
    with suppress(ValueError):
        return file_name(link) or link
    return link


def directory_listing(directory: Path, source: Source) -> PageListing:
    """Return the archives in a directory, by name. Their hashes are computed when they are used."""
    files, dropped = [], []
    for path in sorted(directory.iterdir()):
        if path.name.endswith(_SUFFIXES) and path.is_file():
            try:
                project, version = _named(path.name, source)
            except _Dropped as error:
                dropped.append((path.name, str(error)))
                continue
            size = path.stat().st_size
            file = IndexFile(
                project=project, version=version, filename=path.name, url=path.as_uri(), origin=source.origin, size=size
            )
            files.append(file)
    return PageListing(files=tuple(files), dropped=tuple(dropped))


def file_of_link(url: str, source: Source) -> IndexFile:
    """Return the file that a URL names, with the hash in its fragment. Raises `ValueError` with the reason."""
    try:
        file = _html_file({"href": url}, url, source)
    except _Dropped as error:
        raise ValueError(str(error)) from error
    if file is None:
        raise ValueError("the name is neither a wheel's nor an sdist's")
    return file


def is_archive(url: str) -> bool:
    """Return whether a URL names a wheel or an sdist."""
    return file_name(url).endswith(_SUFFIXES)


def _named(filename: str, source: Source) -> tuple[str, str]:
    """Return (normalised project, canonical version) from a file name. Raises `_Dropped`."""
    if len(filename) > 255:
        raise _Dropped("a file name longer than 255 characters")
    match = _WHEEL.match(filename)
    if match is None and not _PLAIN.match(filename):
        raise _Dropped("not a plain file name")
    if filename.endswith(".whl") and count_tags(filename) > MAX_TAGS:
        raise _Dropped(f"its name has more than {MAX_TAGS} tags")
    try:
        # The files of one release differ only in their tags, which are parsed when one is chosen.
        project, version = _release(match[1]) if match else _parsed(filename)
    except (utils.InvalidWheelFilename, utils.InvalidSdistFilename, pep440.InvalidVersion) as error:
        raise _Dropped(str(error)) from error
    if source.project not in {None, project}:
        raise _Dropped(f"it is a file of {project}, not of {source.project}")
    return project, version


def _parsed(filename: str) -> tuple[str, str]:
    if filename.endswith(".whl"):
        project, version, _, _ = utils.parse_wheel_filename(filename)
    else:
        project, version = utils.parse_sdist_filename(filename)
    return project, str(version)


@lru_cache(maxsize=65536)
def _release(name_and_version: str) -> tuple[str, str]:
    return _parsed(f"{name_and_version}-py3-none-any.whl")


def _json_file(entry: dict[str, object], base: str, source: Source) -> IndexFile | None:
    name, url, hashes = entry.get("filename"), entry.get("url"), entry.get("hashes")
    if not isinstance(name, str) or not isinstance(url, str):
        raise _Dropped("no filename or no url")
    if not name.endswith(_SUFFIXES):
        return None
    project, version = _named(name, source)
    size, yanked = _size(entry.get("size")), entry.get("yanked")
    metadata = next((entry[key] for key in _METADATA_KEYS if entry.get(key) is not None), None)  # PEP 714
    requires_python = entry.get("requires-python")
    return IndexFile(
        project=project,
        version=version,
        filename=name,
        url=_resolved(base, url, source)[0],
        origin=source.origin,
        sha256=_hash(hashes.get("sha256")) if isinstance(hashes, dict) else None,
        size=size,
        requires_python=_requires_python(requires_python if isinstance(requires_python, str) else None),
        yanked=yanked if isinstance(yanked, str) and yanked else "" if yanked else None,
        upload_time=_uploaded(entry.get("upload-time")),
        has_metadata=bool(metadata),
        metadata_sha256=_hash(metadata.get("sha256")) if isinstance(metadata, dict) else None,
        provenance=_provenance(entry.get("provenance"), base, source),
    )


def _provenance(link: object, base: str, source: Source) -> str | None:
    """Return the URL of a file's attestations (PEP 740); one that cannot be fetched is none."""
    try:
        return _resolved(base, link, source)[0] if isinstance(link, str) and link else None
    except (_Dropped, UnsafeInputError, ValueError):
        return None


def _size(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return None
    if value > _MAX_SIZE:
        raise _Dropped("its size is larger than any file")
    return value


def _requires_python(text: str | None) -> str | None:
    if text is not None and len(text) > _MAX_TEXT:
        raise _Dropped("its Requires-Python is too long")
    return text or None


def _uploaded(text: object) -> int | None:
    try:
        return parse_timestamp(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _html_file(entry: dict[str, object], base: str, source: Source) -> IndexFile | None:
    href = entry.get("href")
    if not isinstance(href, str):
        raise _Dropped("an anchor without href")
    url, fragment = _resolved(base, href, source)
    name = file_name(url)
    if not name.endswith(_SUFFIXES):
        return None
    project, version = _named(name, source)
    hashes = {_hash(unquote(part[7:])) for part in fragment.split("&") if part.startswith("sha256=")}
    if len(hashes) > 1:
        raise _Dropped("two different hashes")
    metadata = entry.get("data-core-metadata", entry.get("data-dist-info-metadata"))
    requires_python = entry.get("data-requires-python")
    return IndexFile(
        project=project,
        version=version,
        filename=name,
        url=url,
        origin=source.origin,
        sha256=hashes.pop() if hashes else None,
        requires_python=_requires_python(requires_python if isinstance(requires_python, str) else None),
        yanked=str(entry["data-yanked"] or "") if "data-yanked" in entry else None,
        has_metadata=metadata is not None and metadata != "false",
        metadata_sha256=_hash(metadata[7:]) if isinstance(metadata, str) and metadata.startswith("sha256=") else None,
        provenance=_provenance(entry.get("data-provenance"), base, source),
    )


def _resolved(base: str, link: str, source: Source) -> tuple[str, str]:
    """Return (URL, fragment) of a link. Raises `_Dropped` if it cannot be a file, `ValueError` if it is no URL."""
    if _ABSOLUTE.match(link) and "/t/" not in link and not link.startswith(_NEAR):
        return link, ""  # most links; allowed from every page, and parsing them would take half of a page's time
    if _CONTROL.search(link.strip()):
        raise _Dropped("a link with control characters")
    url, fragment = urldefrag(urljoin(base, link.strip()))
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "file"} or (parts.scheme != "file" and not parts.hostname):
        raise _Dropped("not a link to a file")
    check_link(source.url, url, source.trusted_hosts)
    if parts.scheme != "file":
        parts.port  # noqa: B018 - raises ValueError for an invalid port
        url = SECRETS.learn(url, is_typed=False)
    return url, fragment


def _hash(text: object) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str) or not _SHA256.match(text):
        raise _Dropped("its sha256 is invalid")
    return text.lower()
