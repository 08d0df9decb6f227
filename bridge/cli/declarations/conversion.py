"""`bridge convert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from bridge.cli.failure import Exit
from bridge.cli.group import begin, cli
from bridge.cli.options import Words, dependency_rules, level_of, output, requirements, wheel_sources
from bridge.errors import UsageError
from converters.compression import DEFAULT_LEVEL

if TYPE_CHECKING:
    from bridge.convert.wheel import Format


@cli.command()
@requirements
@click.option("-o", "--output", metavar="DIR", required=True, type=click.Path(), help="Write the packages to DIR.")
@click.option("--index", "has_index", is_flag=True, help="Also write the channel's repodata.")
@click.option("--with-deps", is_flag=True, help="Also convert the dependencies that no channel has (one joint solve).")
@click.option("--wheels-as-records", is_flag=True, help="Do not repack: write repodata v3 that points to the wheels.")
@click.option("--format", "archive_format", type=click.Choice(["conda", "tar.bz2"]), default="conda", show_default=True,
              help="Archive format.")  # fmt: skip
@click.option("--compression", metavar="LEVEL|best", default=str(DEFAULT_LEVEL), show_default=True,
              help="zstd level, 1 to 22, or `best` for packages that are downloaded often.")  # fmt: skip
@click.option("-j", "--jobs", metavar="N", type=click.IntRange(min=1), default=1, show_default=True,
              help="Number of processes.")  # fmt: skip
@click.option("--dask", metavar="ADDRESS", help="Convert on the workers of a Dask scheduler.")
@click.option("--report", "report_file", metavar="FILE", type=click.Path(), help="Also write the JSON document to"
              " FILE.")  # fmt: skip
@click.option("--test", "has_test", is_flag=True, help="Install each converted wheel into a scratch environment, and"
              " import its modules; implies --index.")  # fmt: skip
@dependency_rules
@wheel_sources
@output
def convert(
    words: Words,
    output: str,
    has_index: bool,
    with_deps: bool,
    wheels_as_records: bool,
    archive_format: str,
    compression: str,
    jobs: int,
    dask: str | None,
    report_file: str | None,
    has_test: bool,
    platforms: Sequence[str],
    dependency_rename: Sequence[tuple[str, str]],
    add_dependency: Sequence[str],
    drop_dependency: Sequence[str],
    pin_dependency: Sequence[str],
    **options: object,
) -> None:
    """Convert wheels to conda packages. REQ is a wheel, an sdist, a project directory or a requirement."""
    from bridge.cli.commands import conversion
    from bridge.config.project import project_table
    from bridge.convert.rules import RuleOptions, read_rules

    if has_test and wheels_as_records:
        raise UsageError("usage", "--test needs packages, and --wheels-as-records makes none")
    # Each run checks its platform; the first one serves all.
    run, *_ = [begin({**options, "platform": platform}) for platform in platforms or (None,)]
    level = level_of(compression)
    given = RuleOptions(rename=dependency_rename, add=add_dependency, drop=drop_dependency, pin=pin_dependency)
    rules = read_rules(given, project_table(Path.cwd(), "convert"))
    inputs = conversion.read_inputs(words, run.settings.platform, is_joint=with_deps)
    with run.session(inputs.request) as session:
        converted = conversion.convert(
            inputs,
            Path(output),
            session,
            platforms=tuple(dict.fromkeys(platforms or filter(None, [run.settings.platform]))),
            has_index=has_index or has_test,
            archive_format=cast("Format", archive_format),
            level=level,
            workers=conversion.Workers(jobs=jobs, dask=dask),
            with_deps=with_deps,
            as_records=wheels_as_records,
            rules=rules,
        )
        if has_test:
            from bridge.cli.commands import conversion_tests

            converted = conversion_tests.with_tests(converted, Path(output), session)
        if report_file is not None:
            conversion.write_report(Path(report_file), run.documents.conversion(converted))
    run.show(lambda: run.documents.conversion(converted), lambda: run.render.conversion(converted))
    if has_test and not run.settings.json:
        for sentence in conversion_tests.sentences(converted):
            run.render.note(sentence)
    for failure in converted.failures.values():
        run.render.error(failure)
    if converted.failures:
        raise Exit(max(failure.exit_code for failure in converted.failures.values()))
