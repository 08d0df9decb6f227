"""Parses the pages of the Simple API: PEP 503, 592, 629, 658, 691, 700 and 714. Does not fetch."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion

from bridge.config import parse_timestamp
from bridge.errors import UnsafeInputError
from bridge.fetch.urls import check_link, file_name
from bridge.index.strict_json import parse_json
from bridge.model import IndexFile
from bridge.secrets import SECRETS, masked
from converters.wheel import MAX_TAGS, count_tags

__all__ = ["ACCEPT", "MAX_PAGE", "PageListing", "Source", "Status", "directory_listing", "file_of_link", "parse_page"]

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
MAX_PAGE = 48 << 20  # bytes; the largest of the public index has some MiB
MAX_LINKS = 200_000
_SECONDS = 10

_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z", re.ASCII)
_NEAR = ("https://localhost", "https://127.", "https://169.254.", "https://0.")
_ABSOLUTE = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,4})?/[A-Za-z0-9/._+%~-]*\Z", re.ASCII)
# `packaging` parses name and version once per release; this checks that the rest has the form of PEP 427.
_WHEEL = re.compile(
    r"([A-Za-z0-9._]+-[A-Za-z0-9._!+]+)(?:-[0-9][A-Za-z0-9._]*)?(?:-[A-Za-z0-9._]+){3}\.whl\Z", re.ASCII
)
_PLAIN = re.compile(r"[^./\\\x00-\x20\x7f][^/\\\x00-\x20\x7f]*\Z")
_SUFFIXES = (".whl", ".tar.gz", ".zip")
_OTHER_KIND = re.compile(r".*\.(?:egg|exe|msi|rpm|deb|tgz|tbz|tar(?:\.bz2|\.xz|\.Z)?)\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_TEXT = 1000  # characters of a Requires-Python
_MAX_SIZE = 1 << 50  # bytes
_MAX_TOKENS = 4_000_000  # of a JSON page; 200,000 links have some 3,000,000
_MAX_CONTAINERS = 1_000_000
# Other codecs are slow or not text encodings; browsers know few more, and the relevant parts of pages are ASCII.
_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252", "cp1252"}
_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._-]+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The status of a project on its index (PEP 792): `archived`, `quarantined` or `deprecated`, and the reason."""

    word: str
    reason: str

    @classmethod
    def of(cls, word: object, reason: object) -> Status | None:
        """Parse the status of a page; `None` for "active" and words that the PEP does not define."""
        if not isinstance(word, str) or word not in {"archived", "quarantined", "deprecated"}:
            return None
        return cls(
            word=str(word), reason=str(reason)[:300] if isinstance(reason, str) and reason else "no reason given"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PageListing:
    """The wheels and sdists of a page, in its order, and the dropped links: (name, reason).

    `status` is the project's (PEP 792) unless it is "active"; a quarantined project has no files.
    """

    files: tuple[IndexFile, ...]
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
        (links, status), base, parse = _json_entries(content, url), url, _json_file
    elif kind in {"", "text/html", "application/vnd.pypi.simple.v1+html", "application/xhtml+xml"}:
        charset = _CHARSET.search(content_type)
        links, base, status = _html_entries(content, charset[1] if charset else "utf-8", url)
        parse = _html_file
    else:
        raise _unreadable(url, f"its content type is {kind!r}")
    if len(links) > MAX_LINKS:
        raise _too_many(url)
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
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion) as error:
        raise _Dropped(str(error)) from error
    if source.project not in {None, project}:
        raise _Dropped(f"it is a file of {project}, not of {source.project}")
    return project, version


def _parsed(filename: str) -> tuple[str, str]:
    if filename.endswith(".whl"):
        project, version, _, _ = parse_wheel_filename(filename)
    else:
        project, version = parse_sdist_filename(filename)
    return project, str(version)


@lru_cache(maxsize=65536)
def _release(name_and_version: str) -> tuple[str, str]:
    return _parsed(f"{name_and_version}-py3-none-any.whl")


def _unreadable(url: str, reason: str) -> UnsafeInputError:
    return UnsafeInputError(
        "page-unreadable",
        f"not a page of a package index: {masked(url)}",
        context=(reason,),
        hint="check that the URL is that of a Simple API (PEP 503, PEP 691), usually ending in /simple/",
    )


def _too_many(url: str) -> UnsafeInputError:
    return UnsafeInputError("limit-entries", f"more than {MAX_LINKS} links on one page: {masked(url)}")


def _check_version(version: object, url: str) -> None:
    """Refuse a newer major version of the API (PEP 629)."""
    if version is not None and not str(version).startswith("1."):
        raise _unreadable(url, f"its API version is {str(version)[:20]!r}; bridge reads version 1")


def _json_entries(content: bytes, url: str) -> tuple[list[dict[str, object]], Status | None]:
    count = content.count
    if count(b",") + count(b":") > _MAX_TOKENS or count(b"[") + count(b"{") > _MAX_CONTAINERS:
        raise _too_many(url)
    document = parse_json(content, masked(url))
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
        raise _unreadable(url, "it has no list of files")
    meta = document.get("meta") if isinstance(document, dict) else None
    _check_version(meta.get("api-version") if isinstance(meta, dict) else None, url)
    status = document.get("project-status") if isinstance(document, dict) else None
    return files, Status.of(status.get("status"), status.get("reason")) if isinstance(status, dict) else None


def _json_file(entry: dict[str, object], base: str, source: Source) -> IndexFile | None:
    name, url, hashes = entry.get("filename"), entry.get("url"), entry.get("hashes")
    if not isinstance(name, str) or not isinstance(url, str):
        raise _Dropped("no filename or no url")
    if not name.endswith(_SUFFIXES):
        return None
    project, version = _named(name, source)
    size, yanked = _size(entry.get("size")), entry.get("yanked")
    metadata = entry.get("core-metadata", entry.get("dist-info-metadata"))
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
    )


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


class _Anchors(HTMLParser):
    """Collects anchors; the first `base` counts (HTML, section 4.2.3)."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self.url = url
        self.base: str | None = None
        self.links: list[dict[str, object]] = []
        self.status: dict[str, str | None] = {}
        self._late = time.monotonic() + _SECONDS

    def parse_starttag(self, i: int) -> int:
        """As in `HTMLParser`, with a time limit: markup can make each tag as long as the rest of the page."""
        if time.monotonic() > self._late:
            raise _unreadable(self.url, f"its markup takes more than {_SECONDS} s to read")
        return super().parse_starttag(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            # The first of duplicate attributes counts (HTML, section 13.2.5.33).
            self.links.append(dict(reversed(attrs)))
            if len(self.links) > MAX_LINKS:
                raise _too_many(self.url)
        elif tag == "base" and self.base is None:
            self.base = dict(attrs).get("href")
        elif tag == "meta":
            fields = dict(attrs)
            if fields.get("name") == "pypi:repository-version":
                _check_version(fields.get("content"), self.url)
            elif fields.get("name") in {"pypi:project-status", "pypi:project-status-reason"}:
                self.status.setdefault(str(fields["name"]), fields.get("content"))


def _html_entries(content: bytes, charset: str, url: str) -> tuple[list[dict[str, object]], str, Status | None]:
    parser = _Anchors(url)
    text = content.decode(charset if charset.lower() in _CHARSETS else "utf-8", "replace")
    try:
        parser.feed(_without_comments(text))
        parser.close()
        status = Status.of(parser.status.get("pypi:project-status"), parser.status.get("pypi:project-status-reason"))
        return parser.links, urljoin(url, parser.base.strip()) if parser.base else url, status
    except (AssertionError, ValueError) as error:  # from HTMLParser, for unreadable markup
        raise _unreadable(url, str(error)[:200]) from error


def _without_comments(text: str) -> str:
    """Return a page without comments, up to its last `>`: `HTMLParser` scans to the end for each unclosed one."""
    kept, position = [], 0
    while (start := text.find("<!--", position)) >= 0:
        kept.append(text[position:start])
        end = text.find("-->", start + 4)
        if end < 0:
            position = len(text)
            break
        position = end + 3
    kept.append(text[position:])
    page = "".join(kept)
    return page[: page.rfind(">") + 1]


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
