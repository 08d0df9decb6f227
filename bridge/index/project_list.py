"""The list of projects at the root of an index (PEP 503, PEP 691)."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

from bridge.errors import BridgeError
from bridge.fetch.client import Client
from bridge.index.simple_api import ACCEPT
from bridge.index.strict_json import parse_json
from bridge.secrets import SECRETS, masked
from converters.projects import canonicalize_name

__all__ = ["read_projects"]

_MAX_LIST = 256 << 20  # bytes; that of the public index has 40 MB


def read_projects(client: Client, base: str) -> dict[str, int | None]:
    """Return the normalised names of the projects that an index lists, with the serials of their last changes.

    A serial is `None` if the index gives none; the result is empty if it lists no projects.
    """
    parts = urlsplit(SECRETS.address(base).full)
    url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/"))
    try:
        page = client.get(url, accept=ACCEPT, max_bytes=_MAX_LIST)
        listed = () if page is None else _listed(page.content, page.headers.get("content-type", ""), url)
    except BridgeError:
        return {}
    return {canonicalize_name(name): serial for name, serial in listed}


def _listed(content: bytes, content_type: str, url: str) -> list[tuple[str, int | None]]:
    """Return the projects that the root of an index lists, each with the serial of its last change, if it is given.

    Raises `UnsafeInputError`.
    """
    if "json" in content_type:
        document = parse_json(content, masked(url))
        listed = document.get("projects") if isinstance(document, dict) else None
        entries = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        return [(name, _serial(each)) for each in entries if isinstance(name := each.get("name"), str)]
    from bridge.index.html_pages import html_entries  # noqa: PLC0415 - most indexes answer in JSON

    links, _, _ = html_entries(content, content_type, url)
    hrefs = (urlsplit(str(link.get("href"))).path.rstrip("/") for link in links)
    return [(unquote(path.rpartition("/")[2]), None) for path in hrefs if path]


def _serial(entry: dict[str, object]) -> int | None:
    serial = entry.get("_last-serial")  # PEP 691: names of an index itself begin with an underscore
    return serial if type(serial) is int and serial >= 0 else None
