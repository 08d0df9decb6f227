"""The list of projects at the root of an index (PEP 503, PEP 691)."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from bridge.errors import BridgeError
from bridge.fetch.client import Client
from bridge.index.markup import list_projects
from bridge.index.simple_api import ACCEPT
from bridge.secrets import SECRETS
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
        listed = () if page is None else list_projects(page.content, page.headers.get("content-type", ""), url)
    except BridgeError:
        return {}
    return {canonicalize_name(name): serial for name, serial in listed}
