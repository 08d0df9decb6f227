"""Files in conda-meta that are no records of installed packages. Pure.

A record is `NAME-VERSION-BUILD.json`, and its content agrees; conda ignores any other file (`PrefixData.load`). File
synchronisers leave copies (`… (1).json`, `….sync-conflict-….json`), macOS AppleDouble files (`._…`), editors backups.
None of them affects ownership, so none may stop a change.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from bridge.model import Defect
from bridge.paths import META
from converters.deferred import regex, replace

__all__ = ["FOREIGN", "is_record_name", "named_package", "sorted_out", "strays"]

FOREIGN = "foreign-file"
"""The id of the finding for a file that has no owner and stops no change."""

# CEP 26, as `converters.record.conda_record` reads it.
_STEM = regex(r"([a-z0-9_][a-z0-9_.-]*)-([A-Za-z0-9_.+!~]+)-([A-Za-z0-9_.+]+)\Z")
_REASONS = (
    (re.compile(r"\._."), "macOS keeps the attributes of a file in such a one (AppleDouble)"),
    (re.compile(r"\.DS_Store\Z|Thumbs\.db\Z|desktop\.ini\Z", re.IGNORECASE), "a file manager keeps its view in it"),
    (re.compile(r"\..+\.sw[a-p]\Z|\.#.|#.+#\Z|.+~\Z|~\$."), "an editor left it"),
    (re.compile(r".+\.json\.(?:bak|orig|old|save|tmp|swp)\Z"), "it is a copy of a record"),
)


def is_record_name(name: str) -> bool:
    """Whether a file of conda-meta may be a record: no package name begins with a dot."""
    return name.endswith(".json") and not name.startswith((".", "~"))


def named_package(name: str) -> tuple[str, str, str] | None:
    """Name, version and build in the file name of a record; `None` if it is not such a name."""
    match = _STEM.match(name.removesuffix(".json"))
    return (match[1], match[2], match[3]) if match and name.endswith(".json") else None


def strays(names: Iterable[str]) -> Iterator[Defect]:
    """The files of conda-meta whose names show that they are no records."""
    for name in names:
        reason = next((reason for pattern, reason in _REASONS if pattern.match(name)), None)
        if reason is None and name.endswith(".json") and not is_record_name(name):
            reason = "no package has such a name"
        if reason is not None:
            yield Defect(id=FOREIGN, path=f"{META}/{name}", detail=f"{reason}; it is not a record")


def sorted_out(defects: Iterable[Defect], read: Collection[str]) -> Iterator[Defect]:
    """Distinguish files that are no records from damaged records.

    :param read: the paths of the records that were read.

    An unreadable file is a stray if the record of the same package exists too (it is a copy), or if neither its name
    nor its content is a package's.
    """
    for defect in defects:
        directory, _, name = defect.path.rpartition("/")
        if directory != META or defect.id != "broken-record" or defect.path in read:
            yield defect
            continue
        original = f"{META}/{defect.package}.json" if defect.package else _original(defect.path, read)
        if original in read:
            yield replace(defect, id=FOREIGN, detail=f"it is a copy of {original}, and no record itself")
        elif defect.package or named_package(name):
            yield defect
        else:
            yield replace(defect, id=FOREIGN, detail=f"no package has such a name, and {defect.detail}")


def _original(path: str, read: Collection[str]) -> str | None:
    """The record whose name this one extends: `NAME-VERSION-BUILD (1).json`."""
    stem = path.removesuffix(".json")
    for known in read:
        rest = stem.removeprefix(known.removesuffix(".json"))
        if rest != stem and rest[:1] in {" ", "(", ".", "-", "~"}:
            return known
    return None
