"""The pages of the Simple API, as text: PEP 503, 592, 629, 658, 691, 700 and 714. Fetches nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion

from bridge.config import parse_timestamp
from bridge.errors import UnsafeInputError
from bridge.fetch.secrets import SECRETS
from bridge.fetch.urls import check_link, file_name, masked
from bridge.index.strict_json import parse_json
from bridge.model import IndexFile

__all__ = ["ACCEPT", "MAX_PAGE", "Listing", "Source", "file_of_link", "folder_listing", "parse_page"]

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
MAX_PAGE = 128 << 20  # bytes
MAX_LINKS = 200_000

_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z", re.ASCII)
_NEAR = ("https://localhost", "https://127.", "https://169.254.", "https://0.")
_ABSOLUTE = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]+)?/[A-Za-z0-9/._+%~-]*\Z", re.ASCII)
# Name and version are parsed by `packaging`, once a release; this tells that the rest has the form of PEP 427.
_WHEEL = re.compile(
    r"([A-Za-z0-9._]+-[A-Za-z0-9._!+]+)(?:-[0-9][A-Za-z0-9._]*)?(?:-[A-Za-z0-9._]+){3}\.whl\Z", re.ASCII
)
_PLAIN = re.compile(r"[^./\\\x00-\x20\x7f][^/\\\x00-\x20\x7f]*\Z")
_SUFFIXES = (".whl", ".tar.gz", ".zip")
_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._-]+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The wheels and sdists of a page, in its order, and what was passed over: (name, reason)."""

    files: tuple[IndexFile, ...]
    dropped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a page comes from: `url`, with its secrets, against which links are resolved; `origin`, the index, without.

    `project` is the normalised name that each file must bear; `None`: a page of many projects.
    """

    url: str = field(repr=False)
    origin: str
    project: str | None
    trusted_hosts: tuple[str, ...] = ()


class _Dropped(Exception):  # noqa: N818 - a link that is passed over is no error
    """The link makes no sense; the page may."""


def parse_page(content: bytes, content_type: str, source: Source) -> Listing:
    """The files that a page lists; those that are neither wheels nor sdists are left out without a word.

    :param content_type: of the answer; a page from the disk has none (`""`) and is HTML.

    Raises `UnsafeInputError`: `json-invalid`, `limit-size`, `limit-entries` above 200,000 links, `page-unreadable` for
    another content type or a newer major version of the API (PEP 629), `url-refused` for a link from https to http or
    from the network to a file.
    """
    kind = content_type.partition(";")[0].strip().lower()
    url = source.url
    if kind in {"application/vnd.pypi.simple.v1+json", "application/json"}:
        found, base, parse = _json_entries(content, url), url, _json_file
    elif kind in {"", "text/html", "application/vnd.pypi.simple.v1+html", "application/xhtml+xml"}:
        charset = _CHARSET.search(content_type)
        found, base = _html_entries(content, charset[1] if charset else "utf-8", url)
        parse = _html_file
    else:
        raise _unreadable(url, f"its content type is {kind!r}")
    if len(found) > MAX_LINKS:
        raise _too_many(url)
    files, dropped = [], []
    for entry in found:
        try:
            file = parse(entry, base, source)
        except (_Dropped, ValueError) as error:
            dropped.append((str(entry.get("filename") or entry.get("href"))[:200], str(error)))
            continue
        if file is not None:
            files.append(file)
    return Listing(files=tuple(files), dropped=tuple(dropped))


def folder_listing(folder: Path, source: Source) -> Listing:
    """The archives in a folder, by name. Their hashes are computed when they are used."""
    files, dropped = [], []
    for path in sorted(folder.iterdir()):
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
    return Listing(files=tuple(files), dropped=tuple(dropped))


def file_of_link(url: str, source: Source) -> IndexFile:
    """The file that one URL leads to, a hash in its fragment included. Raises `ValueError` with what is wrong."""
    try:
        file = _html_file({"href": url}, url, source)
    except _Dropped as error:
        raise ValueError(str(error)) from error
    if file is None:
        raise ValueError("the name is neither a wheel's nor an sdist's")
    return file


def _named(filename: str, source: Source) -> tuple[str, str]:
    """(normalised project, canonical version) of a wheel's or an sdist's file name. Raises `_Dropped`."""
    if len(filename) > 255:
        raise _Dropped("a file name longer than 255 characters")
    match = _WHEEL.match(filename)
    if match is None and not _PLAIN.match(filename):
        raise _Dropped("not a plain file name")
    try:
        # The files of one release differ in their tags only, which whoever chooses among them parses anyway.
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
    """PEP 629: a newer major version is not to be read on."""
    if isinstance(version, str) and not version.startswith("1."):
        raise _unreadable(url, f"it is of version {version[:20]!r} of the API; bridge reads version 1")


def _json_entries(content: bytes, url: str) -> list[dict[str, object]]:
    document = parse_json(content, masked(url))
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
        raise _unreadable(url, "it has no list of files")
    meta = document.get("meta") if isinstance(document, dict) else None
    _check_version(meta.get("api-version") if isinstance(meta, dict) else None, url)
    return files


def _json_file(entry: dict[str, object], base: str, source: Source) -> IndexFile | None:
    name, url, hashes = entry.get("filename"), entry.get("url"), entry.get("hashes")
    if not isinstance(name, str) or not isinstance(url, str):
        raise _Dropped("no filename or no url")
    if not name.endswith(_SUFFIXES):
        return None
    project, version = _named(name, source)
    size, yanked = entry.get("size"), entry.get("yanked")
    metadata = entry.get("core-metadata", entry.get("dist-info-metadata"))
    requires_python = entry.get("requires-python")
    return IndexFile(
        project=project,
        version=version,
        filename=name,
        url=_resolved(base, url, source)[0],
        origin=source.origin,
        sha256=_hash(hashes.get("sha256")) if isinstance(hashes, dict) else None,
        size=size if isinstance(size, int) and size >= 0 and size is not True else None,
        requires_python=requires_python or None if isinstance(requires_python, str) else None,
        yanked=yanked if isinstance(yanked, str) and yanked else "" if yanked is True else None,
        upload_time=_uploaded(entry.get("upload-time")),
        has_metadata=bool(metadata),
        metadata_sha256=_hash(metadata.get("sha256")) if isinstance(metadata, dict) else None,
    )


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
        self.found: list[dict[str, object]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            # Of an attribute that is given twice, the first counts (HTML, section 13.2.5.33).
            self.found.append(dict(reversed(attrs)))
            if len(self.found) > MAX_LINKS:
                raise _too_many(self.url)
        elif tag == "base" and self.base is None:
            self.base = dict(attrs).get("href")
        elif tag == "meta" and dict(attrs).get("name") == "pypi:repository-version":
            _check_version(dict(attrs).get("content"), self.url)


def _html_entries(content: bytes, charset: str, url: str) -> tuple[list[dict[str, object]], str]:
    parser = _Anchors(url)
    try:
        text = content.decode(charset, "replace")
    except LookupError:
        text = content.decode("utf-8", "replace")
    try:
        parser.feed(text)
        parser.close()
        return parser.found, urljoin(url, parser.base.strip()) if parser.base else url
    except (AssertionError, ValueError) as error:  # what HTMLParser makes of markup it cannot read
        raise _unreadable(url, str(error)[:200]) from error


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
        requires_python=str(requires_python) if requires_python else None,
        yanked=str(entry["data-yanked"] or "") if "data-yanked" in entry else None,
        has_metadata=metadata is not None and metadata != "false",
        metadata_sha256=_hash(metadata[7:]) if isinstance(metadata, str) and metadata.startswith("sha256=") else None,
    )


def _resolved(base: str, link: str, source: Source) -> tuple[str, str]:
    """(URL, fragment) of a link. Raises `_Dropped` for what is no place of a file, `ValueError` for what is no URL."""
    if _ABSOLUTE.match(link) and "/t/" not in link and not link.startswith(_NEAR):
        return link, ""  # most links are, everybody may lead to them, and parsing them takes half of a page's time
    url, fragment = urldefrag(urljoin(base, link.strip()))
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https", "file"} or (parts.scheme != "file" and not parts.hostname):
        raise _Dropped("not a link to a file")
    check_link(source.url, url, source.trusted_hosts)
    if parts.scheme != "file":
        parts.port  # noqa: B018 - raises ValueError for a port that is none
        url = SECRETS.learn(url, is_typed=False)
    return url, fragment


def _hash(text: object) -> str | None:
    if text is None:
        return None
    if not isinstance(text, str) or not _SHA256.match(text):
        raise _Dropped("its sha256 is none")
    return text.lower()
