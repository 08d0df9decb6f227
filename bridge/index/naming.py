"""Names of projects and the URLs of their pages (PEP 503)."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from bridge.errors import UsageError
from bridge.secrets import SECRETS
from converters.projects import canonicalize_name

__all__ = ["normal", "page_url"]


def page_url(base: str, project: str) -> str:
    """Return the URL of a project's page; a query in the index's URL, which may hold a secret, is kept."""
    parts = urlsplit(SECRETS.address(base).full)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{project}/"))


def normal(project: str) -> str:
    """Normalise the name of a project. Raises `UsageError` (`project-name`)."""
    try:
        return canonicalize_name(project, validate=True)
    except ValueError as error:
        raise UsageError("project-name", f"not the name of a project: {project!r}") from error
