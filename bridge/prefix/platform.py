"""The platform of an environment, told by one record, without reading the others."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.paths import META
from bridge.prefix.records import content, names_in
from bridge.prefix.strays import is_record_name
from converters.target import SUBDIRS

__all__ = ["platform_of"]

_SUBDIR = re.compile(rb'"subdir"\s*:\s*"([a-z0-9-]+)"')
_MAX_RECORD = 64 << 20  # bytes


def platform_of(prefix: Path) -> str | None:
    """Return the subdir of the packages in `prefix` (`win-64`); `None` if no record says, or there is no environment.

    python's record is asked first: most environments have one, and it is never `noarch`.
    """
    names = [name for name in names_in(str(prefix / META)) if is_record_name(name)]
    for name in sorted(names, key=lambda name: (not re.match(r"python-\d", name), name)):
        try:
            match = _SUBDIR.search(content(str(prefix / META / name), _MAX_RECORD))
        except (OSError, ValueError):
            continue
        if match is not None and (subdir := match[1].decode()) in SUBDIRS:
            return subdir
    return None
