"""One digest of all that the records of a prefix are read from: whether they may say anything else than before."""

from __future__ import annotations

import os
from pathlib import Path

from bridge import prefix as prefixes
from bridge.fs.digests import sha256_hex
from bridge.fs.unchanged import identity_of
from bridge.model import EGGS
from bridge.paths import META, OWN
from bridge.prefix.records import scan

__all__ = ["signature_of_records"]

_PYTHONS = ("bin/python", "bin/python3", "python.exe", "Scripts/python.exe")
_SETTINGS = "pyvenv.cfg"


def signature_of_records(prefix: Path) -> tuple[str, int] | None:
    """The digest of the names, inodes, modes, sizes and times of the records, and their newest time (ns).

    `None` if the records also depend on files elsewhere (eggs), or a file cannot be read.
    Raises `FaultError` (`prefix-unreadable`).
    """
    root = str(prefix)
    try:
        rows = [_row(root, path) for path in (*_PYTHONS, _SETTINGS) if os.path.lexists(f"{root}/{path}")]
        # Nobody reads a program. Its `ctime` moves when another environment gets it as a hard link.
        rows = [(path, now if path == _SETTINGS else now[:-1]) for path, now in rows]
        rows += [_row(root, path) for entry in scan(f"{root}/{META}") if (path := f"{META}/{entry.name}") != OWN]
        for site in prefixes.site_directories(prefix):
            for entry in scan(f"{root}/{site}"):
                if entry.name.endswith(EGGS):
                    return None
                if entry.name.endswith((".dist-info", ".egg-info")):
                    path = f"{site}/{entry.name}"
                    rows.append(_row(root, path))
                    rows += [_row(root, f"{path}/{each.name}") for each in scan(f"{root}/{path}")]
    except (OSError, ValueError):
        return None
    text = repr(sorted(rows)).encode("utf-8", "surrogateescape")
    return sha256_hex(text), max((max(now[3:]) for _, now in rows), default=0)


def _row(root: str, path: str) -> tuple[str, tuple[int, ...]]:
    return path, identity_of(f"{root}/{path}")
