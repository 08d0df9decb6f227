"""A small repodata.json of a directory, such as that of the built-in channel, read without rattler (15 ms to import).

Read is what rattler would return unchanged; all else is rattler's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from converters.deferred import regex

__all__ = ["read_plain"]

_MOST = 256 << 10  # bytes
_SECTIONS = frozenset({"info", "packages", "packages.conda", "removed", "repodata_version"})
_TEXTS = {
    "name": r"[a-z0-9][a-z0-9_-]*", "version": r"[0-9]+(\.[0-9]+)*", "build": r"[A-Za-z0-9_.]+",
    "subdir": r"[a-z0-9-]+",
    "sha256": r"[0-9a-f]{64}", "md5": r"[0-9a-f]{32}", "license": r"[^\x00]+", "license_family": r"[^\x00]+",
    "noarch": r"python|generic",
}  # fmt: skip
_PLAIN = {field: regex(f"(?:{pattern})\\Z") for field, pattern in _TEXTS.items()}
_NUMBERS = frozenset({"build_number", "size", "timestamp"})
_LISTS = frozenset({"depends", "constrains", "purls"})
_NEEDED = frozenset({"name", "version", "build", "build_number", "depends", "subdir"})


def read_plain(path: Path, url: str) -> dict[str, list[dict[str, object]]] | None:
    """Return the records of a file by name, or `None` if rattler has to read it.

    :param url: of the subdir, without a trailing slash.
    """
    if path.stat().st_size > _MOST:
        return None
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not document.keys() <= _SECTIONS or document.get("removed"):
        return None
    info, found = document.get("info", {}), {}
    if not isinstance(info, dict) or "base_url" in info:
        return None
    for section, extension in (("packages", ".tar.bz2"), ("packages.conda", ".conda")):
        packages = document.get(section, {})
        if not isinstance(packages, dict):
            return None
        for filename, record in packages.items():
            if not _is_plain(record) or filename != f"{_identity(record)}{extension}":
                return None
            found[_identity(record)] = {**record, "fn": filename, "url": f"{url}/{filename}"}  # a .conda wins
    by_name: dict[str, list[dict[str, object]]] = {}
    for record in found.values():
        by_name.setdefault(str(record["name"]), []).append(record)
    return by_name


def _identity(record: Mapping[str, object]) -> str:
    return f"{record['name']}-{record['version']}-{record['build']}"


def _is_plain(record: object) -> bool:
    return isinstance(record, dict) and record.keys() >= _NEEDED and all(map(_is_plain_field, record.items()))


def _is_plain_field(item: tuple[str, object]) -> bool:
    field, value = item
    if field in _NUMBERS:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
    if field in _LISTS:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return field in _PLAIN and isinstance(value, str) and _PLAIN[field].match(value) is not None
