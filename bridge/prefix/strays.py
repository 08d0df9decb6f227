"""What lies in conda-meta and is no record of an installed package. Pure.

A record is `NAME-VERSION-BUILD.json`, and says so itself: conda passes over any other file (`PrefixData.load`). File
synchronisers leave copies beside it (`… (1).json`, `….sync-conflict-….json`), macOS its AppleDouble files (`._…`),
editors their backups. None of them makes it unknown who owns what, so none may stop a change.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from bridge.model import Defect
from bridge.paths import META

__all__ = ["FOREIGN", "is_record_name", "named_package", "sorted_out", "strays"]

FOREIGN = "foreign-file"
"""The id of the finding: a file that is nobody's, that nobody needs, and that stops nothing."""

# CEP 26, as `converters.record.conda_record` reads it.
_STEM = re.compile(r"([a-z0-9_][a-z0-9_.-]*)-([A-Za-z0-9_.+!~]+)-([A-Za-z0-9_.+]+)\Z")
_REASONS = (
    (re.compile(r"\._."), "macOS keeps the attributes of a file in such a one (AppleDouble)"),
    (re.compile(r"\.DS_Store\Z|Thumbs\.db\Z|desktop\.ini\Z", re.IGNORECASE), "a file manager keeps its view in it"),
    (re.compile(r"\..+\.sw[a-p]\Z|\.#.|#.+#\Z|.+~\Z|~\$."), "an editor left it"),
    (re.compile(r".+\.json\.(?:bak|orig|old|save|tmp|swp)\Z"), "it is somebody's copy of a record"),
)


def is_record_name(name: str) -> bool:
    """Whether a file of conda-meta may be a record: no package name begins with a dot."""
    return name.endswith(".json") and not name.startswith((".", "~"))


def named_package(name: str) -> tuple[str, str, str] | None:
    """Name, version and build that the file name of a record says; `None` where it is no such name."""
    match = _STEM.match(name.removesuffix(".json"))
    return (match[1], match[2], match[3]) if match and name.endswith(".json") else None


def strays(names: Iterable[str]) -> Iterator[Defect]:
    """The files of conda-meta that are known to be nobody's by their names."""
    for name in names:
        reason = next((reason for pattern, reason in _REASONS if pattern.match(name)), None)
        if reason is None and name.endswith(".json") and not is_record_name(name):
            reason = "no package has such a name"
        if reason is not None:
            yield Defect(id=FOREIGN, path=f"{META}/{name}", detail=f"{reason}; it is no record")


def sorted_out(defects: Iterable[Defect], read: Collection[str]) -> Iterator[Defect]:
    """Tell files that are no records from records that are damaged.

    :param read: the paths of the records that could be read.

    What could not be read is a stray where the record of the same package is there as well (a copy), and where its name
    is that of no package and its content no record.
    """
    for defect in defects:
        folder, _, name = defect.path.rpartition("/")
        if folder != META or defect.id != "broken-record" or defect.path in read:
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
    """The record whose name this one goes on from: `NAME-VERSION-BUILD (1).json`."""
    stem = path.removesuffix(".json")
    for known in read:
        rest = stem.removeprefix(known.removesuffix(".json"))
        if rest != stem and rest[:1] in {" ", "(", ".", "-", "~"}:
            return known
    return None
