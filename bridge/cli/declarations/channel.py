"""`bridge index` and `bridge mirror`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bridge.cli.beginning import begin
from bridge.cli.group import cli
from bridge.cli.options import Words, output, requirements, wheel_sources
from bridge.cli.packaging import Packaging, packaging
from converters.deferred import replace


@cli.command()
@click.argument("channel", metavar="DIR", type=click.Path())
@click.option("--keep", metavar="N", type=click.IntRange(min=1), help="List only the newest N versions of each package"
              " in each subdir, and older ones that these need.")  # fmt: skip
@click.option("--prune", is_flag=True, help="Delete the packages that --keep leaves out, and temporary files of runs"
              " that were killed.")  # fmt: skip
@click.option("--rehash", is_flag=True, help="Read every package again, also those of unchanged size and time.")
@click.option("--dry-run", is_flag=True, help="Print what would be listed and deleted, and change nothing.")
@click.option("-j", "--jobs", metavar="N", type=click.IntRange(min=1), default=1, show_default=True,
              help="Number of processes that read packages.")  # fmt: skip
@click.option("--name-map", metavar="FILE_OR_URL", help="JSON: conda name -> list of PyPI names, for DIR/names.json.")
@click.option("--sign", "trust_config", metavar="[CONFIG]", is_flag=False, flag_value="", help="Sign packages without"
              " attestations by Sigstore, for the identity of the CI or of SIGSTORE_IDENTITY_TOKEN; CONFIG is the trust"
              " configuration of another Sigstore.")  # fmt: skip
@click.option("--target-channel", metavar="NAME_OR_URL", help="With --sign: the channel that attestations name as"
              " that of the packages.")  # fmt: skip
@output
def index(
    channel: str,
    keep: int | None,
    prune: bool,
    rehash: bool,
    dry_run: bool,
    jobs: int,
    trust_config: str | None,
    target_channel: str | None,
    **options: object,
) -> None:
    """Make DIR a channel: write the repodata of the conda packages in its subdirs.

    A package that is invalid is left out and reported; the others are indexed, and the exit status is
    that of the error.
    """
    from bridge.cli.commands import indexing

    run = begin(options)
    with run.session() as session:
        channel_index = indexing.index(
            Path(channel),
            session,
            keep=keep,
            prunes=prune,
            rereads=rehash,
            is_dry_run=dry_run,
            jobs=jobs,
            signs=trust_config is not None,
            trust_config=trust_config or "",
            target_channel=target_channel,
        )
    run.render.warn(channel_index.warnings)
    if run.settings.json:
        run.render.document(run.documents.channel_index(channel_index))
    else:
        for sentence in indexing.sentences(channel_index):
            run.render.note(sentence)
    run.report(channel_index.failures.values())


@cli.command()
@requirements
@click.option("-o", "--output", metavar="DIR", required=True, type=click.Path(), help="The directory of the channel.")
@click.option("--newest", metavar="N", type=click.IntRange(min=1), default=1, show_default=True,
              help="How many versions of each project.")  # fmt: skip
@click.option("--prune", is_flag=True, help="Delete the packages of wheels that the rules no longer take.")
@packaging
@wheel_sources
@output
def mirror(
    words: Words,
    output: str,
    newest: int,
    prune: bool,
    platforms: Sequence[str],
    packaging: Packaging,
    **options: object,
) -> None:
    """Keep a channel of converted wheels in step with an index: projects, or what a lock needs."""
    from bridge.cli.commands import mirroring
    from bridge.cli.commands.conversion import Workers
    from bridge.cli.commands.request import read_request

    run, *_ = [begin({**options, "platform": platform}) for platform in platforms or (None,)]
    level, rules = packaging.level, packaging.rules()
    workers = Workers(jobs=packaging.jobs, dask=packaging.dask)
    request = read_request(words, run.settings.platform)
    wanted = mirroring.Mirror(
        output=Path(output),
        newest=newest,
        platforms=tuple(dict.fromkeys(platforms or filter(None, [run.settings.platform]))),
        archive_format=packaging.archive_format,
        level=level,
        as_records=packaging.as_records,
        rules=rules,
        prunes=prune,
    )
    with run.session(request) as session:
        mirrored = mirroring.mirror(request, wanted, session, workers)
    if not mirrored.known:  # all wheels were read, and not only new ones
        mirrored = replace(mirrored, conversion=packaging.with_unmatched(mirrored.conversion))
    run.render.warn(mirrored.conversion.warnings)
    if run.settings.json:
        run.render.document(run.documents.mirror(mirrored))
    else:
        for sentence in mirroring.sentences(mirrored):
            run.render.note(sentence)
    run.report(mirrored.conversion.failures.values())
