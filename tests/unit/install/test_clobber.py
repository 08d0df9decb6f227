"""Clobbers are foreseen before the first write: all of them, and nothing else.

MUST: of two packages that bring one path with different contents, or a file where the other needs a directory, the
plan is refused; of two that do not, it is not. The oracle knows nothing of the code under test: it lays both packages
onto a file system, one after the other, and sees whether anything of the first is lost, or the second does not fit.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.errors import OwnershipError
from bridge.install.ownership import judge
from bridge.model import Entry, Fingerprint, Install, Plan, PrefixState, Resolved
from converters.record import Record
from converters.target import Target

Node = tuple[str, str]  # kind, and its content or where it leads

# Few names, so that they meet; of one letter each in two cases and two ways to compose it, and one that folds to two.
NAMES = st.sampled_from(["a", "A", "b", "\xe9", "e\u0301", "\xc9", "ss", "\xdf", "__pycache__", "m.py"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
NODES = st.one_of(
    st.tuples(st.just("file"), st.sampled_from(["1", "2"])),
    st.tuples(st.just("symlink"), st.sampled_from(["x", "y"])),
    st.tuples(st.just("directory"), st.just("")),
)
PACKAGES = st.dictionaries(PATHS, NODES, min_size=1, max_size=4)
# The two kinds of file systems, by what they take for one name. Names that differ only in how they are composed are
# one name for both here: on some disks they are, and an environment may be copied (W41).
SYSTEMS: Mapping[str, Callable[[str], str]] = {
    "linux-64": lambda path: unicodedata.normalize("NFC", path),
    "osx-arm64": lambda path: unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold()),
}


class Disk:
    """A file system that tells names apart by a function of theirs."""

    def __init__(self, same: Callable[[str], str]) -> None:
        self._same = same
        self._nodes: dict[str, tuple[Node, str]] = {}

    def lay(self, path: str, node: Node) -> bool:
        """Lay a node; whether it fits and nothing that was there is another thing now."""
        parts = path.split("/")
        for length in range(1, len(parts)):
            if not self._put("/".join(parts[:length]), ("directory", "")):
                return False
        return self._put(path, node)

    def _put(self, path: str, node: Node) -> bool:
        known, spelled = self._nodes.setdefault(self._same(path), (node, path))
        return known == node and (spelled == path or node[0] == "directory")


def is_clobber(packages: list[Mapping[str, Node]], subdir: str) -> bool:
    disk = Disk(SYSTEMS[subdir])
    return not all(disk.lay(path, node) for package in packages for path, node in sorted(package.items()))


def is_refused(packages: list[Mapping[str, Node]], subdir: str, state: PrefixState, disk: Mapping[str, Node]) -> bool:
    records = [
        Record(ecosystem="conda", name=f"p{number}", version="1", build="0", subdir=subdir)
        for number in range(len(packages))
    ]
    plan = Plan(
        prefix=Path("/env"),
        target=Target(subdir=subdir),
        operations=tuple(Install(new=Resolved(record=record)) for record in records),
    )
    manifests = {
        record.identity: tuple(Entry(path=path, fingerprint=fingerprint(node)) for path, node in package.items())
        for record, package in zip(records, packages, strict=True)
    }

    def exists(path: str) -> Fingerprint | None:
        return fingerprint(disk[path]) if path in disk else None

    try:
        judge(state, plan, manifests, exists)
    except OwnershipError:
        return True
    return False


def fingerprint(node: Node) -> Fingerprint:
    kind, content = node
    if kind == "file":
        return Fingerprint(kind="file", sha256=content * 64)
    return Fingerprint(kind="symlink", link=content) if kind == "symlink" else Fingerprint(kind="directory")


def is_whole(package: Mapping[str, Node]) -> bool:
    """Whether it fits onto a disk by itself: an archive that does not was refused before."""
    return not is_clobber([package], "osx-arm64")


EMPTY = PrefixState(prefix=Path("/env"))


@pytest.mark.slow
@pytest.mark.parametrize("subdir", SYSTEMS)
@settings(max_examples=300, deadline=None)
@given(one=PACKAGES.filter(is_whole), two=PACKAGES.filter(is_whole))
@example(one={"a": ("file", "1")}, two={"A/b": ("file", "1")})
@example(one={"a/b": ("file", "1")}, two={"A": ("symlink", "x")})
@example(one={"\xe9": ("file", "1")}, two={"e\u0301/b": ("file", "1")})
@example(one={"a": ("directory", "")}, two={"A": ("directory", "")})
@example(one={"ss": ("file", "1")}, two={"\xdf": ("file", "1")})
@example(one={"a": ("file", "1")}, two={"a": ("file", "1")})
def test_two_packages_of_one_plan(subdir: str, one: dict[str, Node], two: dict[str, Node]) -> None:
    assert is_refused([one, two], subdir, EMPTY, {}) == is_clobber([one, two], subdir)


@pytest.mark.slow
@pytest.mark.parametrize("subdir", SYSTEMS)
@settings(max_examples=300, deadline=None)
@given(one=PACKAGES.filter(is_whole), two=PACKAGES.filter(is_whole))
@example(one={"a": ("file", "1")}, two={"A/b": ("file", "1")})
@example(one={"a/b": ("file", "1")}, two={"A": ("symlink", "x")})
@example(one={"a": ("directory", "")}, two={"A": ("file", "1")})
def test_a_package_and_what_is_installed(subdir: str, one: dict[str, Node], two: dict[str, Node]) -> None:
    from bridge.model import Installed

    record = Record(ecosystem="conda", name="there", version="1", build="0", subdir=subdir)
    entries = tuple(Entry(path=path, fingerprint=fingerprint(node)) for path, node in one.items())
    installed = Installed(record=record, meta_path="conda-meta/there-1-0.json", entries=entries)
    lying: dict[str, Node] = dict(one)
    for path in one:
        parts = path.split("/")
        lying |= {"/".join(parts[:length]): ("directory", "") for length in range(1, len(parts))}
    state = replace(EMPTY, installed=(installed,))
    assert is_refused([two], subdir, state, lying) == is_clobber([one, two], subdir)
