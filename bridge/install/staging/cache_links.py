"""Files that an installer left as links into its cache (uv's link mode `symlink`)."""

from __future__ import annotations

import os
from pathlib import Path

from bridge import fs
from bridge.model import Fingerprint

__all__ = ["content_fingerprint"]


def content_fingerprint(prefix: Path, path: str) -> Fingerprint | None:
    """Return the fingerprint at a path, with a link to a file replaced by that file; `None` if absent or dangling.

    uv's link mode `symlink` links into its cache: such a link counts as a regular file.
    """
    current = fs.fingerprint(prefix, path)
    if current is None or current.kind != "symlink":
        return current
    target = Path(os.path.realpath(prefix / path))
    if not os.path.lexists(target):
        return None
    linked_file = fs.fingerprint(target.parent, target.name)
    return linked_file if linked_file is not None and linked_file.kind == "file" else current
