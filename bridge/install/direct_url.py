"""direct_url.json of an installed wheel (PEP 610): the archive, folder or repository that a requirement named. Pure."""

from __future__ import annotations

import json

from bridge.sdists.location import source_of
from bridge.secrets import public
from converters.record import Record

__all__ = ["direct_url"]


def direct_url(record: Record) -> bytes:
    """Return direct_url.json (PEP 610); an archive's `hash` is for readers older than `hashes`."""
    source = source_of(record.url)
    document: dict[str, object] = {"url": public(record.url)}
    if source is not None and source.kind == "git":
        document = {"url": public(source.url), "vcs_info": {"vcs": "git", "commit_id": record.revision or ""}}
        if source.reference:
            document["vcs_info"] = {
                "vcs": "git",
                "commit_id": record.revision or "",
                "requested_revision": source.reference,
            }
    elif source is not None and source.kind == "directory":
        document = {"url": source.url, "dir_info": {"editable": True} if source.is_editable else {}}
    else:
        document["archive_info"] = (
            {"hash": f"sha256={record.sha256}", "hashes": {"sha256": record.sha256}} if record.sha256 else {}
        )
    if source is not None and source.subdirectory:
        document["subdirectory"] = source.subdirectory
    return json.dumps(document, sort_keys=True).encode("utf-8")
