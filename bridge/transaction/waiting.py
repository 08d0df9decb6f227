"""Find interrupted transactions, for commands that only read."""

from __future__ import annotations

from pathlib import Path

from bridge.fs import Tree
from bridge.paths import OWN
from bridge.transaction.guard import is_held

__all__ = ["AFTER", "BEFORE", "KEPT", "TRANSACTIONS", "identifier_of", "names_kept", "names_waiting", "pending"]

TRANSACTIONS = f"{OWN}/txn"
AFTER, BEFORE = ".after", ".before"
KEPT = ".kept"
"""Suffix of a settled transaction whose only remains are files that NFS keeps while a process has them open."""


def pending(prefix: Path) -> str | None:
    """Return the id of a transaction that was interrupted in `prefix`; `None` if there is none, or it is under way.

    Takes no lock and writes nothing.

    :raises FaultError: the prefix cannot be read.
    """
    with Tree(prefix) as tree:
        names = names_waiting(tree)
        return identifier_of(names[0]) if names and not is_held(tree) else None


def names_waiting(tree: Tree) -> list[str]:
    """The names of the directories in `txn/` that are to be settled or removed."""
    return [name for name in _names(tree) if not name.endswith(KEPT)]


def names_kept(tree: Tree) -> list[str]:
    """The names of those with only files left that are kept open."""
    return [name for name in _names(tree) if name.endswith(KEPT)]


def _names(tree: Tree) -> list[str]:
    entries = tree.entries(TRANSACTIONS) if tree.has_directory(TRANSACTIONS) else []
    return [path.rpartition("/")[2] for path, is_directory in entries if is_directory]


def identifier_of(name: str) -> str:
    """Return the transaction id in the name of a directory of `txn/`."""
    return name.removesuffix(AFTER).removesuffix(BEFORE)
