"""The commands that read an environment: `audit`, `list`, `owner`, `why`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import __version__, prefix
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

# The environment variables that an audit reads (`bridge.audit.look.inspect`, `bridge.audit.look.caches`).
_ENVIRONMENT = frozenset(
    """HOME PYTHONPATH PYTHONUSERBASE PYTHONNOUSERSITE LD_LIBRARY_PATH CONDA_PKGS_DIRS MAMBA_ROOT_PREFIX
    RATTLER_CACHE_DIR PIXI_CACHE_DIR UV_CACHE_DIR PIP_CACHE_DIR XDG_CACHE_HOME""".split()  # noqa: SIM905
)

__all__ = ["audit", "inventory", "owner", "why", "write_audit"]


def audit(path: Path, session: Session, *, is_fresh: bool = False, is_online: bool = False) -> Report:
    """Audit an environment, or return the last report if nothing has changed since.

    :param is_fresh: read and hash everything; ignore the last report.
    :param is_online: ask the indexes for yanked versions; such a report is not kept.
    """
    with share(path, session.settings.lock_timeout):
        memory = ReportCache(session.settings.cache_dir / "audit", path, _circumstances(session))

        def prepare() -> None:
            import bridge.audit.run  # noqa: F401 - a kept report needs none of it

            with suppress(BridgeError):  # Reported where it is used.
                session.target  # noqa: B018 - a cached property

        if not pending_in(path):
            if is_fresh or is_online:
                memory.look(prepare)
            elif (remembered := memory.recall(prepare)) is not None:
                return remembered
        from bridge.audit.run import start

        # Names and target are determined while other processes read the files.
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
    """Whether a prefix exists and has an interrupted transaction."""
    return path.is_dir() and pending(path) is not None


def _circumstances(session: Session) -> str:
    """Everything that an audit depends on besides files."""
    settings = session.settings
    named = {
        key: value for key, value in os.environ.items() if key in _ENVIRONMENT or key.startswith("CONDA_OVERRIDE_")
    }
    # Virtual packages follow from these; detecting them takes longer than comparing an environment.
    libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else ""
    machine = (os.uname(), libc, settings.platform, settings.virtual_packages)
    asked = (settings.channels, settings.has_channels, settings.name_map, settings.channel_priority)
    return repr((__version__, sys.version, machine, asked, sorted(named.items())))


def write_audit(
    path: Path, report: Report, session: Session, *, html: str | None, bills: Sequence[str]
) -> tuple[Path, ...]:
    """Write the HTML report and the bills of materials, each atomically; return their paths.

    Raises `UsageError` (`sbom-library`, `report-folder`) and `FaultError`.
    """
    targets = [Path(os.path.abspath(each)) for each in (*([html] if html else ()), *bills)]
    for target in targets:
        if not target.parent.is_dir():
            raise UsageError("report-folder", f"{target} cannot be written: {target.parent} is not a directory")
    if not targets:
        return ()
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
