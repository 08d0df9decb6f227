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
    found = fs.fingerprint(prefix, path)
    if found is None or found.kind != "symlink":
        return found
    target = Path(os.path.realpath(prefix / path))
    if not os.path.lexists(target):
        return None
    led_to = fs.fingerprint(target.parent, target.name)
    return led_to if led_to is not None and led_to.kind == "file" else found
