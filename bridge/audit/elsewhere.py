"""Whether another distribution may add checks, told without `importlib.metadata`: that alone takes 20 ms."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["GROUP", "may_add_checks"]

GROUP = "bridge.audit.checks"
"""The group of entry points that add checks."""

_LISTS = ((".dist-info", "entry_points.txt"), (".egg-info", "entry_points.txt"), (".egg", "EGG-INFO/entry_points.txt"))


def may_add_checks(path: Sequence[str] | None = None) -> bool:
    """Whether a list of entry points on `sys.path` names the group, or something there is no directory (a zip file)."""
    return any(map(_may_add, dict.fromkeys(sys.path if path is None else path)))


def _may_add(place: str) -> bool:
    try:
        with os.scandir(place or os.curdir) as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return False
    except OSError:
        return True
    lists = (Path(place, name, listed) for name in names for suffix, listed in _LISTS if name.endswith(suffix))
    return any(GROUP.encode() in _content(each) for each in lists)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
