"""Names of members: which are valid paths, and which collide on a disk.

Stricter than any unpacker: a path is relative, POSIX and normalised, and what leaves the tree on any operating system
(a backslash, a drive letter) is refused on all.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from bridge.archive.limits import Limits
from bridge.archive.refusal import refused, shown
from bridge.paths import find_control, leaves_tree, parent_directories
from converters.deferred import dataclass, regex

__all__ = ["Caution", "cautions", "check_path", "check_tree", "fold_case"]

_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"]
)
_WINDOWS = regex(r'[<>:"|?*\\]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """An accepted irregularity; `id` is kebab-case, as in docs/archives.md."""

    id: str
    path: str
    detail: str


def check_path(path: str, archive: str, name_id: str, limits: Limits, offset: int | None = None) -> None:
    """Refuse a member's name (without trailing slash) that is not a normalised relative POSIX path.

    Raises `UnsafeInputError`: `path-escape`, `limit-name`, or `name_id` for an empty or unnormalised name and for
    control characters.
    """
    parts = path.split("/")
    if leaves_tree(path):
        raise refused("path-escape", archive, "the path leaves the tree", member=path, offset=offset)
    if control := find_control(path):  # it could display as another name, or break a record's lines
        problem = f"the name has the control character {control}, so it could be shown as another name"
        raise refused(name_id, archive, problem, member=path, offset=offset)
    if "" in parts or "." in parts:
        problem = "the name is not a normalised path, so it could hide another member of that path"
        raise refused(name_id, archive, problem, member=path, offset=offset)
    long = len(path) > limits.name or max(map(len, parts)) > limits.component
    if not long and not path.isascii():
        sizes = [len(part.encode()) for part in parts]
        long = sum(sizes) + len(parts) - 1 > limits.name or max(sizes) > limits.component
    if long or len(parts) > limits.depth:
        bound = f"{limits.name} bytes, {limits.component} a component, {limits.depth} components"
        raise refused("limit-name", archive, f"the name is longer than allowed ({bound})", member=path, offset=offset)


def check_tree(files: Iterable[str], directories: Iterable[str], archive: str) -> set[str]:
    """Refuse names that cannot exist together; return all directories, implied ones included.

    Raises `UnsafeInputError` (`path-collision`) for a name that is a file and a directory (W43), or names that differ
    only in Unicode normalisation (W41).
    """
    names = set(files)
    parents = parent_directories((*names, *(f"{each}/" for each in directories)))
    for name in sorted(names & parents):
        raise refused("path-collision", archive, "the name is both a file's and a directory's", member=name)
    composed: dict[str, str] = {}
    if not all(map(str.isascii, names)) or not all(map(str.isascii, parents)):
        for name in sorted(names | parents):
            other = composed.setdefault(unicodedata.normalize("NFC", name), name)
            if other != name:
                problem = "another member has the same name in another Unicode normalisation"
                raise refused("path-collision", archive, problem, member=name)
    return parents


def cautions(names: Iterable[str]) -> tuple[Caution, ...]:
    """Names that would fail on a case-insensitive file system or on Windows (W44).

    Case is folded after NFKC, so `ﬁle` collides with `file`, and `ẞ` with `ss` (W40, W42).
    """
    collected = []
    folded: dict[str, str] = {}
    for name in sorted(names):
        other = folded.setdefault(fold_case(name), name)
        if other != name:
            detail = f"differs from {shown(other)} in case only"
            collected.append(Caution(id="case-collision", path=name, detail=detail))
        part = name.rpartition("/")[2]
        if part.endswith((".", " ")) or _WINDOWS.search(part) or part.partition(".")[0].rstrip().lower() in _DEVICES:
            collected.append(Caution(id="windows-name", path=name, detail="Windows cannot have this name"))
    return tuple(collected)


def fold_case(name: str) -> str:
    """A name as a case-insensitive file system compares it."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
