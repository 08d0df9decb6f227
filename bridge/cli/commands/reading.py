"""The commands that read the records of an environment: `list`, `owner`, `why`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import prefix
from bridge.cli.session import Session
from bridge.errors import UsageError
from bridge.fs import fingerprint

if TYPE_CHECKING:
    from bridge.audit.queries import Ownership, PackageList, Reasons
    from bridge.model import PrefixState
    from converters.names import NameMap

__all__ = ["inventory", "owner", "why"]


def inventory(path: Path, session: Session) -> PackageList:
    """The installed packages and their sources."""
    from bridge.audit.queries import package_list

    state = prefix.require(path)
    return package_list(state, _local_names(session, state))


def why(path: Path, name: str, session: Session) -> Reasons:
    """Why a package is installed. Raises `UsageError` (`not-installed`)."""
    from bridge.audit.queries import why as give_reasons

    state = prefix.require(path)
    return give_reasons(state, session.target, _local_names(session, state), name)


def owner(path: Path, wanted: str) -> Ownership:
    """The owners of a path: absolute, or relative to the prefix or the working directory.

    Raises `UsageError` (`outside-environment`).
    """
    from bridge.audit.queries import ownership

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
            f"{wanted} is not inside {path}",
            hint="give a path inside the environment, absolute or relative to it; -p DIR names the environment",
        )
    return relative.as_posix()


def _local_names(session: Session, state: PrefixState) -> NameMap:
    return session.names(session.channel_urls(state), state)
