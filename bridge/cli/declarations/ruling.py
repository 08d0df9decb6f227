"""The declarations of `bridge policy`."""

from __future__ import annotations

import click

from bridge.cli.beginning import begin
from bridge.cli.failure import Exit
from bridge.cli.group import cli
from bridge.cli.help import Group
from bridge.cli.options import names, output, prefix, ruled


@cli.group(cls=Group)
def policy() -> None:
    """Check by the policy: what may come from where, and how."""


@policy.command("check")
@click.argument("target", metavar="[LOCK_OR_DIR]", required=False)
@ruled
@prefix
@names
@output
def policy_check(target: str | None, **options: object) -> None:
    """Show what LOCK_OR_DIR (default: the environment) has that the policy forbids.

    Exits with 3 if there is anything.
    """
    from bridge.cli.commands.ruling import check

    run = begin(options)
    with run.session() as session:
        report = check(target, lambda: run.prefix if target is None else run.environment(target), session)
    rows = [
        (each.package, f"{each.file}: {each.rule}", each.text.removeprefix(f"{each.package} "))
        for each in report.breaches
    ]

    def show() -> None:
        if rows:
            run.render.table(("package", "rule", "what breaks it"), rows)
        else:
            run.render.note(f"{report.target}: {report.packages} packages follow the policy")

    run.show(report.to_json, show)
    if (failure := report.failure) is not None:
        run.render.error(failure)
        raise Exit(failure.exit_code)
