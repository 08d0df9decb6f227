"""Delete a whole prefix: one rename takes it out of sight, then its files are removed."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from bridge.errors import OwnershipError
from bridge.fs import WritableTree, publish_directory, remove_tree, system
from bridge.transaction.guard import Signals, hold
from bridge.transaction.journal import new_identifier

__all__ = ["delete"]


def delete(prefix: Path, *, timeout: float) -> None:
    """Delete `prefix` and everything below it, also what no package owns. Links in it are not followed.

    A process that is killed while it removes leaves a sibling like those of a killed creation, which `recover` and
    `create` of the same prefix remove.

    :raises PrefixLockedError: another process is changing it.
    :raises OwnershipError: `path-symlink`: the prefix is a symlink.
    :raises FaultError: the system refused; the prefix is complete, or out of sight.
    """
    prefix = Path(os.path.abspath(prefix))
    if prefix.is_symlink():
        raise OwnershipError(
            "path-symlink",
            f"{prefix} is a symlink to {os.path.realpath(prefix)}, and is not deleted",
            hint="name the directory itself, or remove the link by hand",
        )
    aside = prefix.with_name(f".{prefix.name}.bridge-new-{new_identifier()}")
    with Signals() as signals, ExitStack() as held:
        held.enter_context(hold(held.enter_context(WritableTree(prefix)), timeout, signals))
        if not system.RENAMES_IN_USE:
            held.close()
        publish_directory(prefix, aside)
        remove_tree(aside)
