"""Names of members: what may be a path at all, and which names would meet on a disk.

Rules of ours, stricter than any unpacker's: a path is relative POSIX text in normal form. What one operating system
would read as leaving the tree (a backslash, a drive letter) is refused on all of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bridge.archive.limits import Limits
from bridge.archive.refusal import refused, shown
from bridge.paths import find_control, leaves_tree

__all__ = [
    "Caution",
    "cautions",
    "check_path",
    "check_tree",
    "find_control",
    "fold_case",
    "parent_folders",
    "refuse_cautions",
]

_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"]
)
_WINDOWS = re.compile(r'[<>:"|?*\\]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """Something accepted here that matters elsewhere. `id` is kebab-case: `case-collision`, `windows-name`."""

    id: str
    path: str
    detail: str


def check_path(path: str, archive: str, name_id: str, limits: Limits, offset: int | None = None) -> None:
    """Refuse a member's name (without a directory's trailing slash) that is not a plain relative POSIX path.

    :param name_id: the id for text that is no name: empty, not in normal form, with control characters.

    Raises `UnsafeInputError`: `path-escape`, `limit-name`, or `name_id`.
    """
    parts = path.split("/")
    if leaves_tree(path):
        raise refused("path-escape", archive, "the path leaves the tree", member=path, offset=offset)
    if control := find_control(path):  # It would be shown as another name, or break a record's lines.
        raise refused(name_id, archive, f"the name holds the control character {control}", member=path, offset=offset)
    if "" in parts or "." in parts:  # Two spellings of one path would be two paths to whoever compares texts.
        raise refused(name_id, archive, "the name is not a path in normal form", member=path, offset=offset)
    long = len(path) > limits.name or max(map(len, parts)) > limits.component
    if not long and not path.isascii():
        sizes = [len(part.encode()) for part in parts]
        long = sum(sizes) + len(parts) - 1 > limits.name or max(sizes) > limits.component
    if long or len(parts) > limits.depth:
        bound = f"{limits.name} bytes, {limits.component} a component, {limits.depth} components"
        raise refused("limit-name", archive, f"the name is longer than allowed ({bound})", member=path, offset=offset)


def check_tree(files: Iterable[str], directories: Iterable[str], archive: str) -> set[str]:
    """Refuse names that cannot lie on one disk together; return all directories, implied ones included.

    Raises `UnsafeInputError` (`path-collision`): a file where another member needs a directory (W43), or two spellings
    of one name that differ in Unicode normalisation only (W41).
    """
    names = set(files)
    folders = parent_folders(names)
    for folder in directories:
        _add_with_parents(folder, folders)
    for name in sorted(names & folders):
        raise refused("path-collision", archive, "the name is a file's and a directory's", member=name)
    composed: dict[str, str] = {}
    if not all(map(str.isascii, names)) or not all(map(str.isascii, folders)):
        for name in sorted(names | folders):
            other = composed.setdefault(unicodedata.normalize("NFC", name), name)
            if other != name:
                problem = "another member has the same name in another Unicode normalisation"
                raise refused("path-collision", archive, problem, member=name)
    return folders


def parent_folders(names: Iterable[str]) -> set[str]:
    """Every folder that one of `names` lies in, at any depth."""
    folders: set[str] = set()
    for name in names:
        _add_with_parents(name.rpartition("/")[0], folders)
    return folders


def _add_with_parents(folder: str, folders: set[str]) -> None:
    while folder and folder not in folders:
        folders.add(folder)
        folder = folder.rpartition("/")[0]


def cautions(names: Iterable[str]) -> tuple[Caution, ...]:
    """What would go wrong on a case-insensitive file system, or on Windows, with these files and directories.

    Case is folded after NFKC, so that `ﬁle` meets `file` and `ẞ` meets `ss` (W40, W42). Windows' names: W44.
    """
    found = []
    folded: dict[str, str] = {}
    for name in sorted(names):
        other = folded.setdefault(fold_case(name), name)
        if other != name:
            found.append(Caution(id="case-collision", path=name, detail=f"differs from {shown(other)} in case only"))
        found.extend(_windows_cautions(name))
    return tuple(found)


def fold_case(name: str) -> str:
    """A name as a case-insensitive file system compares it: equal for names that would meet there."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _windows_cautions(name: str) -> Iterator[Caution]:
    part = name.rpartition("/")[2]
    if part.endswith((".", " ")) or _WINDOWS.search(part) or part.partition(".")[0].rstrip().lower() in _DEVICES:
        yield Caution(id="windows-name", path=name, detail="Windows cannot hold this name")


def refuse_cautions(found: Iterable[Caution], archive: str) -> None:
    """For a target that is case-insensitive or Windows: what was a caution about a name is a refusal.

    Raises `UnsafeInputError`: `path-collision` for case, `reserved-path` for a name that Windows cannot hold.
    """
    ids = {"case-collision": "path-collision", "windows-name": "reserved-path"}
    for caution in found:
        if caution.id in ids:
            problem = f"{caution.detail}, and the target needs portable names"
            raise refused(ids[caution.id], archive, problem, member=caution.path)
