"""The list of projects at the root of an index (PEP 503, PEP 691)."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from packaging.utils import canonicalize_name

from bridge.errors import BridgeError
from bridge.fetch.client import Client
from bridge.index.markup import list_projects
from bridge.index.simple_api import ACCEPT, MAX_PAGE
from bridge.secrets import SECRETS

__all__ = ["read_projects"]


def read_projects(client: Client, base: str) -> frozenset[str]:
    """Return the normalised names of the projects that an index lists; empty if it lists none."""
    parts = urlsplit(SECRETS.address(base).full)
    url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/"))
    try:
        page = client.get(url, accept=ACCEPT, max_bytes=MAX_PAGE)
        names = () if page is None else list_projects(page.content, page.headers.get("content-type", ""), url)
    except BridgeError:
        return frozenset()
    return frozenset(map(canonicalize_name, names))
