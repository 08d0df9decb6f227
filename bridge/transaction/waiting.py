"""Whether a transaction waits to be undone or finished, for those who only read."""

from __future__ import annotations

from pathlib import Path

from bridge.fs import Tree
from bridge.paths import OWN
from bridge.transaction.guard import is_held

__all__ = ["AFTER", "BEFORE", "KEPT", "TRANSACTIONS", "identifier_of", "names_kept", "names_waiting", "pending"]

TRANSACTIONS = f"{OWN}/txn"
AFTER, BEFORE = ".after", ".before"
KEPT = ".kept"
"""Ends the name of what was settled, and of which only files are left that NFS keeps while a process has them open."""


def pending(prefix: Path) -> str | None:
    """The id of a transaction that was interrupted in `prefix`; `None`: there is none, or it is under way.

    Takes no lock and writes nothing.

    :raises FaultError: the prefix cannot be read.
    """
    with Tree(prefix) as tree:
        names = names_waiting(tree)
        return identifier_of(names[0]) if names and not is_held(tree) else None


def names_waiting(tree: Tree) -> list[str]:
    """The names of the directories in `txn/` that are to be settled, or to be removed."""
    return [name for name in _names(tree) if not name.endswith(KEPT)]


def names_kept(tree: Tree) -> list[str]:
    """The names of those of which only files are left that are kept open."""
    return [name for name in _names(tree) if name.endswith(KEPT)]


def _names(tree: Tree) -> list[str]:
    found = tree.entries(TRANSACTIONS) if tree.has_directory(TRANSACTIONS) else []
    return [path.rpartition("/")[2] for path, is_directory in found if is_directory]


def identifier_of(name: str) -> str:
    """The id of the transaction that a directory of `txn/` is named for."""
    return name.removesuffix(AFTER).removesuffix(BEFORE)
