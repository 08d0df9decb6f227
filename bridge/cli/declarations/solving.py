"""`bridge resolve`."""

from __future__ import annotations

from pathlib import Path

from bridge.cli.beginning import begin
from bridge.cli.declaring import command, option
from bridge.cli.options import Words, output, requirements, sources
from bridge.errors import UsageError


@command()
@requirements
@sources
@output
@option("--batch", metavar="FILE.jsonl", type="path", help="Solve many requests, one per line.")
@option("--record", metavar="FILE", type="path", help="Also write the inputs of the solve, for a bug"
              " report.")  # fmt: skip
@option("--replay", metavar="FILE", type="path", help="Repeat a recorded solve, offline.")
def resolve(words: Words, batch: str | None, record: str | None, replay: str | None, **options: object) -> None:
    """Print the joint solution of REQ…; write nothing."""
    from bridge.cli.commands import solving
    from bridge.cli.commands.request import read_request

    run = begin(options)
    for word, path in (("--batch", batch), ("--replay", replay)):
        if path is not None and (words.requirements or words.files or record or (batch and replay)):
            message = f"{word} reads its requests from its file and cannot be combined with others"
            raise UsageError("usage", message, hint=f"give {word} alone")
    if batch is not None:
        with run.session() as session:
            for document in solving.resolve_batch(Path(batch), session):
                run.render.line(document)
        return
    if replay is not None:
        solution = solving.replay(Path(replay))
    else:
        request = read_request(words, run.settings.platform, run.settings.cache_dir)
        with run.session(request) as session:
            solution = solving.resolve(request, session, Path(record) if record is not None else None)
    run.render.warn(solution.warnings)
    run.show(lambda: run.documents.resolution(solution), lambda: run.render.resolution(solution))
