"""The group of all commands, and what their declarations share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from bridge import __version__

if TYPE_CHECKING:
    from bridge.cli.run import Run
    from bridge.install.applied import AppliedPlan

__all__ = ["CHANGES", "begin", "cli", "show_applied"]

CHANGES = frozenset({"adopt", "create", "install", "remove", "update"})
"""The commands whose JSON document is that of a change (`schemas/change.json`)."""

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="bridge")
def cli() -> None:
    """Install conda packages and PyPI wheels into one environment: one solve, one transaction, one audit.

    A requirement is a conda MatchSpec (`numpy >=2`) or PEP 508 (`torch[opt-einsum]>=2`). Prefix it with `conda:` or
    `pypi:` to choose the ecosystem.
    """


def begin(options: Mapping[str, object]) -> Run:
    """The settings and the renderer of one command."""
    from bridge.cli.run import Run

    return Run(options)


def show_applied(run: Run, applied: AppliedPlan, dry_run: bool) -> None:
    run.show(
        lambda: run.documents.outcome(applied, is_dry_run=dry_run),
        lambda: run.render.plan(applied.plan, is_dry_run=True) if dry_run else run.render.outcome(applied),
    )
