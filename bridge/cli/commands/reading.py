"""The commands that read an environment: what is there, whose it is, why, and whether it is whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import __version__
from bridge.audit.finding import INTERRUPTED, Report
from bridge.audit.report_cache import ReportCache
from bridge.cli.session import Session
from bridge.errors import BridgeError, UsageError
from bridge.fetch.urls import local_path
from bridge.fs import fingerprint, publish_file
from bridge.paths import NAMES_FILE
from bridge.transaction.sharing import share
from bridge.transaction.waiting import pending

if TYPE_CHECKING:
    from bridge.audit.queries import Ownership, PackageList, Reasons
    from bridge.model import PrefixState
    from converters.names import NameMap

# What is looked up in the process's environment (`bridge.audit.look.inspect`, `bridge.audit.look.caches`).
_ENVIRONMENT = frozenset(
    """HOME PYTHONPATH PYTHONUSERBASE PYTHONNOUSERSITE LD_LIBRARY_PATH CONDA_PKGS_DIRS MAMBA_ROOT_PREFIX
    RATTLER_CACHE_DIR PIXI_CACHE_DIR UV_CACHE_DIR PIP_CACHE_DIR XDG_CACHE_HOME""".split()  # noqa: SIM905
)

__all__ = ["audit", "inventory", "owner", "why", "write_audit"]


def audit(path: Path, session: Session, *, is_fresh: bool = False, is_online: bool = False) -> Report:
    """Read, hash and judge an environment; what the last audit found, where nothing has changed since.

    :param is_fresh: read and hash everything, whatever is remembered.
    :param is_online: ask the indexes which of the installed versions were yanked; nothing is remembered then.
    """
    with share(path, session.settings.lock_timeout):
        memory = ReportCache(session.settings.cache_dir / "audit", path, _circumstances(session))

        def prepare() -> None:
            import bridge.audit.run  # noqa: F401 - a remembered audit needs none of it

            with suppress(BridgeError):  # It is told where it is asked for.
                session.target  # noqa: B018 - found out once, and kept

        if not pending_in(path):
            if is_fresh or is_online:
                memory.look(prepare)
            elif (remembered := memory.recall(prepare)) is not None:
                return remembered
        from bridge.audit.run import start

        # What the names and the target are is found out while the files are read.
        with start(path, tree=memory.tree) as running:
            urls = session.channel_urls(running.state)
            names = session.names(urls, running.state)
            watched = {str(Path(folder) / NAMES_FILE) for url in urls if (folder := local_path(url))}
            watched |= {session.settings.name_map} if session.settings.name_map else set()
            cache = session.settings.cache_dir
            asked = session.index if is_online else None
            report = running.report(
                session.target, names, environ=os.environ, cache=cache, watched=watched, index=asked
            )
        if watched and not is_online and not any(finding.id == INTERRUPTED for finding in report.findings):
            memory.keep(report, watched)
        return report


def pending_in(path: Path) -> bool:
    """Whether a transaction of the prefix waits to be settled; `False` where there is no prefix."""
    return path.is_dir() and pending(path) is not None


def _circumstances(session: Session) -> str:
    """All that an audit depends on beside the prefix and the paths outside it."""
    settings = session.settings
    named = {
        key: value for key, value in os.environ.items() if key in _ENVIRONMENT or key.startswith("CONDA_OVERRIDE_")
    }
    # The virtual packages follow from these; to detect them takes longer than to compare an environment.
    libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else ""
    machine = (os.uname(), libc, settings.platform, settings.virtual_packages)
    asked = (settings.channels, settings.has_channels, settings.name_map, settings.channel_priority)
    return repr((__version__, sys.version, machine, asked, sorted(named.items())))


def write_audit(
    path: Path, report: Report, session: Session, *, html: str | None, bills: Sequence[str]
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
    from bridge import prefix
    from bridge.audit.report.facts import gather
    from bridge.audit.report.page import page
    from bridge.audit.report.sbom import bill_of_materials
    from bridge.transaction.journal import now

    state = prefix.require(path)
    facts = gather(state, session.target, _local_names(session, state), report)
    when = datetime.fromtimestamp(now(), timezone.utc)
    pages = [page(facts)] if html else []
    pages += [bill_of_materials(facts, Path(each).name, when) for each in bills]
    for target, content in zip(targets, pages, strict=True):
        publish_file(target, [content])
    return tuple(targets)


def inventory(path: Path, session: Session) -> PackageList:
    """What is installed, and from where."""
    from bridge import prefix
    from bridge.audit.queries import package_list

    state = prefix.require(path)
    return package_list(state, _local_names(session, state))


def why(path: Path, name: str, session: Session) -> Reasons:
    """Why a package is there. Raises `UsageError` (`not-installed`)."""
    from bridge import prefix
    from bridge.audit.queries import why as give_reasons

    state = prefix.require(path)
    return give_reasons(state, session.target, _local_names(session, state), name)


def owner(path: Path, wanted: str) -> Ownership:
    """Who owns a path, given relative to the prefix or to the working directory, or absolute.

    Raises `UsageError` (`outside-environment`) where it names nothing in the prefix.
    """
    from bridge import prefix
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
            f"{wanted} does not lie in {path}",
            hint="give a path in the environment, relative to it or absolute; name the environment with -p DIR",
        )
    return relative.as_posix()


def _local_names(session: Session, state: PrefixState) -> NameMap:
    return session.names(session.channel_urls(state), state)
