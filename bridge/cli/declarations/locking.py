"""The commands that write locks: `lock`, `export`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, cast

import click
from click.core import ParameterSource

from bridge.cli.beginning import begin
from bridge.cli.group import cli
from bridge.cli.options import Words, exported_sources, lock_sources, output, prefix, requirements
from bridge.errors import UsageError

if TYPE_CHECKING:
    from bridge.cli.commands.request import Request
    from bridge.cli.session import Session
    from bridge.lock.content import Format

    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # not generic before click 8.2

_FORMATS = ("rattler", "conda-lock", "pylock", "explicit", "requirements", "environment")
# What conda, pixi and people call them.
_OTHER_NAMES = {
    "bridge.lock": "rattler", "pixi.lock": "rattler", "conda.lock": "rattler", "rattler-lock-v6": "rattler",
    "conda-lock.yml": "conda-lock", "conda-lock-v1": "conda-lock", "pylock.toml": "pylock", "txt": "requirements",
    "requirements.txt": "requirements", "environment.yml": "environment", "environment.yaml": "environment",
    "environment-yaml": "environment", "yaml": "environment", "yml": "environment", "@explicit": "explicit",
    "requirements-txt": "requirements", "freeze": "requirements", "environment-yml": "environment",
    "conda-environment": "environment", "conda-explicit-spec": "explicit",
}  # fmt: skip
_EVERY = "*"


class _Format(_Choice):
    """The name of a format; a usual name of its file, or conda's name, does too."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(_OTHER_NAMES.get(value.lower(), value), param, ctx)


@cli.command("lock")
@requirements
@click.option("-o", "--output", "output_file", metavar="FILE", type=click.Path(), help="The lock (default:"
              " bridge.lock; `-`: print it).")  # fmt: skip
@click.option("--format", "form", type=_Format(_FORMATS), help="Its format (default: what its name means).")
@click.option("--upgrade", "upgrade", multiple=True, is_flag=False, flag_value=_EVERY, metavar="[NAME]",
              help="Take the newest version of NAME, or of all, whatever is locked.")  # fmt: skip
@click.option("--check", "is_check", is_flag=True, help="Only say whether the lock still fits; exit with 6 if not.")
@click.option("--dry-run", is_flag=True, help="Print the changes and write nothing.")
@lock_sources
@output
@click.pass_context
def lock_(
    context: click.Context,
    /,
    words: Words,
    output_file: str | None,
    form: str | None,
    upgrade: Sequence[str],
    is_check: bool,
    dry_run: bool,
    platforms: Sequence[str],
    **options: object,
) -> None:
    """Solve REQ… for each platform and write one lock with hashes; without REQ…, what the lock was made from."""
    from bridge.cli.commands.locking import DECIDING, Locking, lock

    run = begin(options)
    asked = Locking(
        words=words,
        options=_given(context, {name: value for name, value in options.items() if name in DECIDING}),
        platforms=tuple(platforms) or ((run.settings.platform,) if run.settings.platform else ()),
        output=output_file,
        format=cast("Format | None", form),
        upgrade=tuple(name for name in upgrade if name != _EVERY),
        upgrades_all=_EVERY in upgrade,
        is_check=is_check,
        is_dry_run=dry_run,
    )
    others = {name: value for name, value in options.items() if name not in DECIDING}

    def open_session(
        deciding: Mapping[str, object], platform: str, request: Request
    ) -> AbstractContextManager[Session]:
        return begin({**deciding, **others, "platform": platform}).session(request)

    outcome = lock(asked, open_session)
    run.show(outcome.to_json, lambda: run.render.text(outcome.text if output_file == "-" else ""))
    for change in outcome.changes:
        run.render.note(str(change))
    run.render.warn(f"left out: {text}" for text in outcome.left_out)
    run.render.note(outcome.summary)


@cli.command("export")
@click.argument("lock_file", metavar="[LOCK]", required=False, type=click.Path())
@prefix
@click.option("-o", "--output", "output_file", metavar="FILE", type=click.Path(), help="The file (default: print it).")
@click.option("--format", "form", type=_Format(_FORMATS), help="The format (default: what the name of the file"
              " means, else environment).")  # fmt: skip
@click.option("--from-history", is_flag=True, help="Only what was requested, as it was requested.")
@click.option("--no-builds", is_flag=True, help="Pin conda packages by version, without the build (environment.yml).")
@click.option("--no-hashes", is_flag=True, help="Leave out the hashes (requirements.txt).")
@click.option("--environment", metavar="NAME", help="Of a lock: one of its environments.")
@exported_sources
@output
def export(
    lock_file: str | None,
    output_file: str | None,
    form: str | None,
    from_history: bool,
    no_builds: bool,
    no_hashes: bool,
    environment: str | None,
    platforms: Sequence[str],
    **options: object,
) -> None:
    """Print an environment, or LOCK, as environment.yml, lock, explicit list or requirements.

    A file named *.cdx.json, *.cdx.xml or *.spdx.json becomes a bill of materials.
    """
    from pathlib import Path

    from bridge.cli.commands.exporting import Exporting, export, export_lock

    run = begin(options)
    asked = Exporting(
        output=output_file or "-",
        format=cast("Format | None", form),
        is_from_history=from_history,
        has_builds=not no_builds,
        has_hashes=not no_hashes,
        platforms=tuple(platforms),
        environment=environment,
    )
    if lock_file is None and (platforms or environment):
        raise UsageError("usage", "--platform and --environment choose a part of a lock", hint="name the lock first")
    if lock_file is not None and "." not in lock_file and not Path(lock_file).exists():
        hint = f"an environment is named by an option: bridge export -n {lock_file}"
        raise UsageError("no-lock", f"there is no lock {lock_file}", hint=hint)
    if lock_file is not None and from_history:
        raise UsageError("usage", "--from-history needs an environment", hint="name one with -p DIR")
    with run.session() as session:
        if lock_file is not None:
            outcome = export_lock(Path(lock_file), asked, session)
        else:
            outcome = export(run.prefix, asked, session)
    run.show(outcome.to_export_json, lambda: run.render.text("" if outcome.is_written else outcome.text))
    run.render.warn(f"left out: {text}" for text in outcome.left_out)


def _given(context: click.Context, options: Mapping[str, object]) -> dict[str, object]:
    """Return the options that were typed."""
    typed = (name for name in options if context.get_parameter_source(name) is ParameterSource.COMMANDLINE)
    return {name: options[name] for name in typed}
