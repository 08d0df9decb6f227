"""What an audit finds about packages rather than files: known vulnerabilities, and licences that rules forbid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bridge import prefix
from bridge.audit.advisories import OF_INDEX, named_by, vulnerable
from bridge.audit.checks.repair import pip_of
from bridge.audit.finding import Finding, Report
from bridge.audit.licensing import denied
from bridge.audit.look.advisory_sources import ask_index, read_advisories
from bridge.audit.packages import PackageRow, package_list
from bridge.audit.run import ordered
from bridge.cli.session import Session
from bridge.config.licenses import LicenseRules
from bridge.errors import UsageError
from bridge.model import PrefixState
from converters.deferred import replace

__all__ = ["with_package_findings"]


def with_package_findings(
    path: Path, report: Report, session: Session, *, advisories: str | None, licenses: LicenseRules | None
) -> Report:
    """The report, with a finding for each known vulnerability of a package, and each licence that breaks the rules.

    :param advisories: `OF_INDEX`, a URL, a file or a folder; `None`: vulnerabilities are not looked for.
    :raises UsageError: `advisory-source`.
    """
    state = prefix.require(path)
    rows = package_list(state, session.names(session.local_channel_urls(state), state)).rows
    vulnerable_packages = _vulnerable(path, state, rows, session, advisories) if advisories is not None else ()
    vulnerable_packages += denied(rows, licenses) if licenses is not None else ()
    return replace(report, findings=ordered((*report.findings, *vulnerable_packages)))


def _vulnerable(
    path: Path, state: PrefixState, rows: Sequence[PackageRow], session: Session, source: str
) -> tuple[Finding, ...]:
    if source == OF_INDEX:
        if not session.settings.index_urls:
            raise UsageError(
                "advisory-source",
                "no package index is configured that could list vulnerabilities",
                hint="give advisories of the OSV format: --vulnerabilities=URL, FILE or DIR",
            )
        projects = sorted({(each.name, each.version) for row in rows for each in row.distributions})
        advisories = ask_index(session.settings.index_urls[0], projects, session.client)
    else:
        advisories = read_advisories(source, named_by(rows), session.client)
    return vulnerable(
        rows, advisories, str(path), pip_of(path, state.distributions, is_windows=session.target.is_windows)
    )
