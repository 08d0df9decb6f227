"""The commands that read the records of an environment: `list`, `owner`, `why`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import prefix
from bridge.cli.session import Session
from bridge.errors import UsageError
from bridge.fs import fingerprint
from converters.deferred import replace

if TYPE_CHECKING:
    from bridge.audit.packages import PackageList
    from bridge.audit.queries import Ownership, Reasons
    from bridge.audit.tree import DependencyTree
    from bridge.model import PrefixState
    from converters.names import NameMap

__all__ = ["inventory", "owner", "tree", "why"]


def inventory(path: Path, session: Session, pattern: str | None = None) -> PackageList:
    """The installed packages and their sources.

    :param pattern: a regular expression; only packages of which a name, also a project's, contains it.

    Raises `UsageError` (`regular-expression`).
    """
    from bridge.audit.packages import package_list

    try:
        wanted = re.compile(pattern or "", re.IGNORECASE)
    except re.error as error:
        message = f"{pattern!r} is not a regular expression: {error}"
        raise UsageError("regular-expression", message, hint="escape special characters with a backslash") from error
    state = prefix.require(path, is_brief=True, cache=session.settings.cache_dir)
    listed = package_list(state, _local_names(session, state))
    return replace(listed, rows=tuple(row for row in listed.rows if any(map(wanted.search, row.names))))


def tree(path: Path, names: Sequence[str], session: Session, *, is_inverted: bool) -> DependencyTree:
    """The dependencies between the installed packages. Raises `UsageError` (`not-installed`)."""
    from bridge.audit.tree import dependency_tree

    state = prefix.require(path, is_brief=True, cache=session.settings.cache_dir)
    return dependency_tree(state, session.target, _local_names(session, state), names, is_inverted=is_inverted)


def why(path: Path, name: str, session: Session) -> Reasons:
    """Why a package is installed. Raises `UsageError` (`not-installed`)."""
    from bridge.audit.queries import why as give_reasons

    state = prefix.require(path, is_brief=True, cache=session.settings.cache_dir)
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
    return session.names(session.local_channel_urls(state), state)
