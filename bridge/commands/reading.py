"""The commands that read an environment: what is there, whose it is, why, and whether it is whole."""

from __future__ import annotations

import os
from pathlib import Path

from bridge import audit as audits
from bridge import prefix
from bridge.audit.inventory import Inventory, Ownership, Reasons, ownership
from bridge.audit.inventory import inventory as list_inventory
from bridge.audit.inventory import why as give_reasons
from bridge.errors import UsageError
from bridge.fs import fingerprint
from bridge.model import PrefixState
from bridge.session import Session
from converters.names import NameMap

__all__ = ["audit", "inventory", "owner", "why"]


def audit(path: Path, session: Session) -> audits.Report:
    """Read, hash and judge an environment."""
    state = prefix.require(path)
    names = _local_names(session, state)
    return audits.audit(path, session.target, names, environ=os.environ, cache=session.settings.cache_dir)


def inventory(path: Path, session: Session) -> Inventory:
    """What is installed, and from where."""
    state = prefix.require(path)
    return list_inventory(state, _local_names(session, state))


def why(path: Path, name: str, session: Session) -> Reasons:
    """Why a package is there. Raises `UsageError` (`not-installed`)."""
    state = prefix.require(path)
    return give_reasons(state, session.target, _local_names(session, state), name)


def owner(path: Path, wanted: str) -> Ownership:
    """Who owns a path, given relative to the prefix or to the working directory, or absolute.

    Raises `UsageError` (`outside-environment`) where it names nothing in the prefix.
    """
    state = prefix.require(path)
    relative = _in_prefix(path, wanted)
    return ownership(state, relative, fingerprint(path, relative))


def _in_prefix(path: Path, wanted: str) -> str:
    named = Path(os.path.abspath(wanted))
    for root in (path, Path(os.path.realpath(path))):
        if named.is_relative_to(root):
            return named.relative_to(root).as_posix()
    relative = Path(os.path.normpath(wanted))
    if relative.is_absolute() or relative.parts[:1] == ("..",):
        raise UsageError(
            "outside-environment",
            f"{wanted} does not lie in {path}",
            hint="give a path in the environment, relative to it or absolute; name the environment with -p DIR",
        )
    return relative.as_posix()


def _local_names(session: Session, state: PrefixState) -> NameMap:
    return session.names(session.channels(state), state)
