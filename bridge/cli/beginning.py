"""How a declared command begins, and how one that changes an environment ends."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from bridge.cli.declaring import running
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from bridge.channels.host import HostChannel
    from bridge.cli.run import Run
    from bridge.config import Settings
    from bridge.install.applied import AppliedPlan

__all__ = ["begin", "packing_host", "show_applied"]


def begin(options: Mapping[str, object], *, reads_files: bool = True) -> Run:
    """The settings and the renderer of one command.

    :param reads_files: bridge's configuration files count. Without them a command can mend one that is wrong.
    """
    from bridge.cli.run import Run

    return Run(options, None if reads_files else (), command=running())


def packing_host(settings: Settings) -> HostChannel | None:
    """The `host` channel, which has begun to pack the interpreter if it will be needed: it is the first channel."""
    if settings.channels[:1] != ("host",) or settings.platform is not None:
        return None
    from bridge.channels.host import HostChannel

    host = HostChannel(settings.cache_dir, packs_late=True)
    with suppress(BridgeError):  # Whoever asks for the python gets the same error.
        host.begin()
    return host


def show_applied(run: Run, applied: AppliedPlan, dry_run: bool) -> None:
    run.show(
        lambda: run.documents.outcome(applied, is_dry_run=dry_run),
        lambda: run.render.plan(applied.plan, is_dry_run=True) if dry_run else run.render.outcome(applied),
    )
