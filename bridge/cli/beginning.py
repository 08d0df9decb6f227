"""How a declared command begins, and how one that changes an environment ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bridge.cli.declaring import running

if TYPE_CHECKING:
    from bridge.cli.run import Run
    from bridge.install.applied import AppliedPlan

__all__ = ["begin", "show_applied"]


def begin(options: Mapping[str, object], *, reads_files: bool = True) -> Run:
    """The settings and the renderer of one command.

    :param reads_files: bridge's configuration files count. Without them a command can mend one that is wrong.
    """
    from bridge.cli.run import Run

    return Run(options, None if reads_files else (), command=running())


def show_applied(run: Run, applied: AppliedPlan, dry_run: bool) -> None:
    run.show(
        lambda: run.documents.outcome(applied, is_dry_run=dry_run),
        lambda: run.render.plan(applied.plan, is_dry_run=True) if dry_run else run.render.outcome(applied),
    )
