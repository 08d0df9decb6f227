"""The markup of index pages: the entries of a JSON or an HTML page, unjudged."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from bridge.errors import UnsafeInputError
from bridge.index.strict_json import parse_json
from bridge.secrets import masked
from converters.deferred import dataclass, regex

__all__ = ["MAX_LINKS", "Status", "html_entries", "json_entries", "list_projects", "too_many", "unreadable"]

MAX_LINKS = 200_000
_SECONDS = 10
_MAX_TOKENS = 4_000_000  # of a JSON page; 200,000 links have some 3,000,000
_MAX_CONTAINERS = 1_000_000
# Other codecs are slow or not text encodings; browsers know few more, and the relevant parts of pages are ASCII.
_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252", "cp1252"}
_CHARSET = regex(r"charset\s*=\s*\"?([A-Za-z0-9._-]+)", re.ASCII)


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


def unreadable(url: str, reason: str) -> UnsafeInputError:
    return UnsafeInputError(
        "page-unreadable",
        f"not a page of a package index: {masked(url)}",
        context=(reason,),
        hint="check that the URL is that of a Simple API (PEP 503, PEP 691), usually ending in /simple/",
    )


def too_many(url: str) -> UnsafeInputError:
    return UnsafeInputError("limit-entries", f"more than {MAX_LINKS} links on one page: {masked(url)}")


def _check_version(version: object, url: str) -> None:
    """Refuse a newer major version of the API (PEP 629)."""
    if version is not None and not str(version).startswith("1."):
        raise unreadable(url, f"its API version is {str(version)[:20]!r}; bridge reads version 1")


def json_entries(content: bytes, url: str) -> tuple[list[dict[str, object]], Status | None]:
    """Return the files of a page, and the project's status."""
    count = content.count
    if count(b",") + count(b":") > _MAX_TOKENS or count(b"[") + count(b"{") > _MAX_CONTAINERS:
        raise too_many(url)
    document = parse_json(content, masked(url))
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
        raise unreadable(url, "it has no list of files")
    meta = document.get("meta") if isinstance(document, dict) else None
    _check_version(meta.get("api-version") if isinstance(meta, dict) else None, url)
    status = document.get("project-status") if isinstance(document, dict) else None
    return files, Status.of(status.get("status"), status.get("reason")) if isinstance(status, dict) else None


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
            raise unreadable(self.url, f"its markup takes more than {_SECONDS} s to read")
        return super().parse_starttag(i)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            # The first of duplicate attributes counts (HTML, section 13.2.5.33).
            self.links.append(dict(reversed(attrs)))
            if len(self.links) > MAX_LINKS:
                raise too_many(self.url)
        elif tag == "base" and self.base is None:
            self.base = dict(attrs).get("href")
        elif tag == "meta":
            fields = dict(attrs)
            if fields.get("name") == "pypi:repository-version":
                _check_version(fields.get("content"), self.url)
            elif fields.get("name") in {"pypi:project-status", "pypi:project-status-reason"}:
                self.status.setdefault(str(fields["name"]), fields.get("content"))


def html_entries(content: bytes, content_type: str, url: str) -> tuple[list[dict[str, object]], str, Status | None]:
    """Return the links of a page, the base of their URLs, and the project's status."""
    parser = _Anchors(url)
    charset = _CHARSET.search(content_type)
    is_known = charset is not None and charset[1].lower() in _CHARSETS
    text = content.decode(charset[1] if charset is not None and is_known else "utf-8", "replace")
    try:
        parser.feed(_without_comments(text))
        parser.close()
        status = Status.of(parser.status.get("pypi:project-status"), parser.status.get("pypi:project-status-reason"))
        return parser.links, urljoin(url, parser.base.strip()) if parser.base else url, status
    except (AssertionError, ValueError) as error:  # from HTMLParser, for unreadable markup
        raise unreadable(url, str(error)[:200]) from error


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


def list_projects(content: bytes, content_type: str, url: str) -> list[tuple[str, int | None]]:
    """Return the projects that the root of an index lists, each with the serial of its last change, if it is given.

    Raises `UnsafeInputError`.
    """
    if "json" in content_type:
        document = parse_json(content, masked(url))
        listed = document.get("projects") if isinstance(document, dict) else None
        entries = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        return [(name, _serial(each)) for each in entries if isinstance(name := each.get("name"), str)]
    links, _, _ = html_entries(content, content_type, url)
    hrefs = (urlsplit(str(link.get("href"))).path.rstrip("/") for link in links)
    return [(unquote(path.rpartition("/")[2]), None) for path in hrefs if path]


def _serial(entry: dict[str, object]) -> int | None:
    serial = entry.get("_last-serial")  # PEP 691: names of an index itself begin with an underscore
    return serial if type(serial) is int and serial >= 0 else None
