"""The markup of index pages in HTML (PEP 503): their links, unjudged."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from urllib.parse import urljoin

from bridge.index.markup import MAX_LINKS, Status, check_version, too_many, unreadable
from converters.deferred import regex

__all__ = ["html_entries"]

_SECONDS = 10
# Other codecs are slow or not text encodings; browsers know few more, and the relevant parts of pages are ASCII.
_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "latin1", "windows-1252", "cp1252"}
_CHARSET = regex(r"charset\s*=\s*\"?([A-Za-z0-9._-]+)", re.ASCII)


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
                check_version(fields.get("content"), self.url)
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
