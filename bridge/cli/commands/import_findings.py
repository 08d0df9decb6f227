"""What an audit finds by importing the modules of an environment."""

from __future__ import annotations

from pathlib import Path

from bridge import prefix
from bridge.audit.dependencies import prefix_records
from bridge.audit.finding import Report
from bridge.audit.run import ordered
from bridge.audit.trial.modules import failures, modules_of
from bridge.audit.trial.running import import_modules
from bridge.cli.session import Session
from bridge.errors import UsageError
from bridge.paths import quoted
from converters.deferred import replace

__all__ = ["with_import_findings"]


def with_import_findings(path: Path, report: Report, session: Session) -> Report:
    """The report, with a finding for each module that the environment's python does not import.

    :raises UsageError: `no-python`. :raises FaultError: `import-trial`.
    """
    state = prefix.require(path)
    records = prefix_records(state, session.target, session.names(session.channel_urls(state), state))
    python = state.interpreter
    if state.python is None or not python.exists():
        raise UsageError(
            "no-python",
            f"{path} has no python that could import its modules",
            hint=f"omit --import, or install python: bridge install -p {quoted(path)} python",
        )
    modules = modules_of(records)
    outcomes = import_modules(python, path, modules, session.settings, session.tell) if modules else {}
    return replace(report, findings=ordered((*report.findings, *failures(records, modules, outcomes))))
