"""`bridge resolve`."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.cli.group import begin, cli
from bridge.cli.options import Words, output, requirements, sources
from bridge.errors import UsageError


@cli.command()
@requirements
@sources
@output
@click.option("--batch", metavar="FILE.jsonl", type=click.Path(), help="Solve many requests, one per line.")
@click.option("--record", metavar="FILE", type=click.Path(), help="Also write the inputs of the solve, for a bug"
              " report.")  # fmt: skip
@click.option("--replay", metavar="FILE", type=click.Path(), help="Repeat a recorded solve, offline.")
def resolve(words: Words, batch: str | None, record: str | None, replay: str | None, **options: object) -> None:
    """Print the joint solution of REQ…; write nothing."""
    from bridge.cli.commands import solving
    from bridge.cli.commands.request import read_request

    run = begin(options)
    for option, path in (("--batch", batch), ("--replay", replay)):
        if path is not None and (words.requirements or words.files or record or (batch and replay)):
            message = f"{option} reads its requests from its file and cannot be combined with others"
            raise UsageError("usage", message, hint=f"give {option} alone")
    if batch is not None:
        with run.session() as session:
            for document in solving.resolve_batch(Path(batch), session):
                run.render.line(document)
        return
    if replay is not None:
        solution = solving.replay(Path(replay))
    else:
        request = read_request(words, run.settings.platform)
        with run.session(request) as session:
            solution = solving.resolve(request, session, Path(record) if record is not None else None)
    run.render.warn(solution.warnings)
    run.show(lambda: run.documents.resolution(solution), lambda: run.render.resolution(solution))
