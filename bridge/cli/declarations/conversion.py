"""`bridge convert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bridge.cli.beginning import begin
from bridge.cli.group import cli
from bridge.cli.options import Words, output, requirements, wheel_sources
from bridge.cli.packaging import Packaging, packaging
from bridge.errors import UsageError


@cli.command()
@requirements
@click.option("-o", "--output", metavar="DIR", required=True, type=click.Path(), help="Write the packages to DIR.")
@click.option("--index", "has_index", is_flag=True, help="Also write the channel's repodata.")
@click.option("--with-deps", is_flag=True, help="Also convert the dependencies that no channel has (one joint solve).")
@click.option("--report", "report_file", metavar="FILE", type=click.Path(), help="Also write the JSON document to"
              " FILE.")  # fmt: skip
@click.option("--test", "has_test", is_flag=True, help="Install each converted wheel into a scratch environment, and"
              " import its modules; implies --index.")  # fmt: skip
@packaging
@wheel_sources
@output
def convert(
    words: Words,
    output: str,
    has_index: bool,
    with_deps: bool,
    report_file: str | None,
    has_test: bool,
    platforms: Sequence[str],
    packaging: Packaging,
    **options: object,
) -> None:
    """Convert wheels to conda packages. REQ is a wheel, an sdist, a project directory or a requirement."""
    from bridge.cli.commands import conversion

    if has_test and packaging.as_records:
        raise UsageError("usage", "--test needs packages, and --wheels-as-records makes none")
    # Each run checks its platform; the first one serves all.
    run, *_ = [begin({**options, "platform": platform}) for platform in platforms or (None,)]
    level, rules = packaging.level, packaging.rules()
    inputs = conversion.read_inputs(words, run.settings.platform, is_joint=with_deps)
    with run.session(inputs.request) as session:
        converted = conversion.convert(
            inputs,
            Path(output),
            session,
            platforms=tuple(dict.fromkeys(platforms or filter(None, [run.settings.platform]))),
            has_index=has_index or has_test,
            archive_format=packaging.archive_format,
            level=level,
            workers=conversion.Workers(jobs=packaging.jobs, dask=packaging.dask),
            with_deps=with_deps,
            as_records=packaging.as_records,
            rules=rules,
        )
        converted = packaging.with_unmatched(converted)
        if has_test:
            from bridge.cli.commands import conversion_tests

            converted = conversion_tests.with_tests(converted, Path(output), session)
        if report_file is not None:
            conversion.write_report(Path(report_file), run.documents.conversion(converted))
    run.show(lambda: run.documents.conversion(converted), lambda: run.render.conversion(converted))
    if has_test and not run.settings.json:
        for sentence in conversion_tests.sentences(converted):
            run.render.note(sentence)
    run.report(converted.failures.values())
