"""The markup of index pages: the entries of a JSON page, unjudged, and what HTML pages share (`html_pages`)."""

from __future__ import annotations

from bridge.errors import UnsafeInputError
from bridge.index.strict_json import parse_json
from bridge.secrets import masked
from converters.deferred import dataclass

__all__ = ["MAX_LINKS", "Status", "check_version", "json_entries", "too_many", "unreadable"]

MAX_LINKS = 200_000
_MAX_TOKENS = 4_000_000  # of a JSON page; 200,000 links have some 3,000,000
_MAX_CONTAINERS = 1_000_000


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


def check_version(version: object, url: str) -> None:
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
    check_version(meta.get("api-version") if isinstance(meta, dict) else None, url)
    status = document.get("project-status") if isinstance(document, dict) else None
    return files, Status.of(status.get("status"), status.get("reason")) if isinstance(status, dict) else None
