"""The commands that read an environment: what is there, whose it is, why, and whether it is whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from bridge import audit as audits
from bridge import prefix
from bridge.audit.inventory import Inventory, Ownership, Reasons, ownership
from bridge.audit.inventory import inventory as list_inventory
from bridge.audit.inventory import why as give_reasons
from bridge.errors import UsageError
from bridge.fs import fingerprint, publish_file
from bridge.model import PrefixState
from bridge.report.facts import gather
from bridge.report.page import page
from bridge.report.sbom import bill_of_materials
from bridge.session import Session
from bridge.transaction.journal import now
from bridge.transaction.sharing import share
from converters.names import NameMap

__all__ = ["audit", "inventory", "owner", "why", "write_audit"]


def audit(path: Path, session: Session) -> audits.Report:
    """Read, hash and judge an environment."""
    state = prefix.require(path)
    names = _local_names(session, state)
    with share(path, session.settings.lock_timeout):
        return audits.audit(path, session.target, names, environ=os.environ, cache=session.settings.cache_dir)


def write_audit(
    path: Path, report: audits.Report, session: Session, *, html: str | None, bills: Sequence[str]
) -> tuple[Path, ...]:
    """Write the page and the bills of materials, each whole or not at all; returns where they are.

    Raises `UsageError` (`sbom-library`, `report-folder`) and `FaultError`.
    """
    targets = [Path(os.path.abspath(each)) for each in (*([html] if html else ()), *bills)]
    for target in targets:
        if not target.parent.is_dir():
            raise UsageError("report-folder", f"{target} cannot be written: {target.parent} is no folder")
    if not targets:
        return ()
    state = prefix.require(path)
    facts = gather(state, session.target, _local_names(session, state), report)
    when = datetime.fromtimestamp(now(), timezone.utc)
    pages = [page(facts)] if html else []
    pages += [bill_of_materials(facts, Path(each).name, when) for each in bills]
    for target, content in zip(targets, pages, strict=True):
        publish_file(target, [content])
    return tuple(targets)


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
