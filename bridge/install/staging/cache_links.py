"""Files that an installer left as links into its cache (uv's link mode `symlink`): what they stand for."""

from __future__ import annotations

import os
from pathlib import Path

from bridge import fs
from bridge.model import Fingerprint

__all__ = ["content_fingerprint"]


def content_fingerprint(prefix: Path, path: str) -> Fingerprint | None:
    """What lies at a path, as the file that an adopted distribution is to have there.

    uv's link mode `symlink` puts links into its cache: such a link counts as the regular file it leads to. Anything
    else counts as it is (`bridge.fs.fingerprint`); `None`: nothing is there, or the link leads nowhere.
    """
    found = fs.fingerprint(prefix, path)
    if found is None or found.kind != "symlink":
        return found
    target = Path(os.path.realpath(prefix / path))
    if not os.path.lexists(target):
        return None
    led_to = fs.fingerprint(target.parent, target.name)
    return led_to if led_to is not None and led_to.kind == "file" else found
