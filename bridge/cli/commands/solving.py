"""`bridge resolve`: a joint solve that writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bridge import fs
from bridge import resolve as resolver
from bridge.cli import documents
from bridge.cli.commands.request import Request
from bridge.cli.demands import bound, check_files
from bridge.cli.session import Session
from bridge.cli.solutions import naming_indexes
from bridge.config.files import read_named
from bridge.errors import BridgeError, NoSolutionError, UnsafeInputError, UsageError
from bridge.model import Resolution
from bridge.requirements import algebra
from bridge.resolve import SolveRequest

__all__ = ["replay", "resolve", "resolve_batch"]

_MAX_BATCH = 256 << 20  # bytes
_MAX_RECORDING = 1 << 30


def resolve(wanted: Request, session: Session, record: Path | None = None) -> Resolution:
    """Solve jointly. The inputs of the solve and its result go to the file `record`."""
    wanted = wanted.named(session)
    channels = session.channels()
    names = session.names(channels.urls)
    if record is None:
        return session.resolve(wanted, channels, names)
    from bridge.resolve.recording import Recorder

    recorder = Recorder()
    try:
        solved = session.resolve(wanted, channels, names, recorder=recorder)
    except BridgeError as error:
        if not recorder.is_empty:
            _write(record, recorder.document(documents.error(error)))
        raise
    _write(record, recorder.document(documents.resolution(solved)))
    return solved


def _write(path: Path, document: Mapping[str, object]) -> None:
    fs.publish_file(path, [json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"])


def replay(path: Path) -> Resolution:
    """Repeat a recorded solve, offline.

    Raises `UsageError` (`recording`) if the file cannot be read, `UnsafeInputError` if it is not a recording, and
    what the recorded solve raises.
    """
    from bridge.index.strict_json import parse_json
    from bridge.resolve.replay import replay as repeat

    try:
        data = read_named(path, limit=_MAX_RECORDING)
    except OSError as error:
        raise UsageError("recording", f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > _MAX_RECORDING:
        raise UnsafeInputError("limit-size", f"{path} is larger than {_MAX_RECORDING >> 20} MiB")
    return repeat(parse_json(data, str(path)), str(path))


def resolve_batch(path: Path, session: Session) -> Iterator[dict[str, object]]:
    """Solve the requests of a JSON-lines file in order; a failed request yields an error document.

    All lines are checked before the first solve. Raises `UsageError` (`batch-file`).
    """
    requests = _requests(path)
    channels = session.channels()
    catalog = session.catalog(channels, session.names(channels.urls))
    for request in requests:
        try:
            conda = [algebra.conda_requirement(text) for text in request["conda"]]
            pypi = [algebra.parse_pypi(text) for text in request["pypi"]]
            check_files(pypi)
            if any(each.conda is not None and (each.conda.channel or each.conda.url) for each in conda):
                # The channels of these clauses serve this request alone.
                resolution = _resolve_alone([*conda, *pypi], session)
            else:
                resolution = resolver.resolve(SolveRequest(requirements=(*conda, *pypi)), catalog)
        except BridgeError as error:
            failure = naming_indexes(session, error) if isinstance(error, NoSolutionError) else error
            yield {"id": request["id"], **documents.error(failure)}
        else:
            yield {"id": request["id"], **documents.resolution(resolution)}
    session.results.save()


def _resolve_alone(requirements: Sequence[algebra.Requirement], session: Session) -> Resolution:
    channels = session.channels()
    request = SolveRequest(requirements=bound(session, requirements, channels))
    return resolver.resolve(request, session.catalog(channels, session.names(channels.urls)))


def _requests(path: Path) -> list[dict[str, list[str]]]:
    try:
        lines = read_named(path, limit=_MAX_BATCH).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError("batch-file", f"{path} cannot be read: {reason}") from error
    return [_request(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def _request(line: str, where: str) -> dict[str, list[str]]:
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise TypeError("not a JSON object")
        conda, pypi = request.get("conda", []), request.get("pypi", [])
        for key, texts in (("conda", conda), ("pypi", pypi)):
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise TypeError(f"`{key}` is not a list of strings")
    except (ValueError, TypeError, RecursionError) as error:
        hint = 'a request is {"id": …, "conda": ["numpy >=2"], "pypi": ["rich>=13"]}'
        raise UsageError("batch-file", f"{where} is not a request", context=(str(error),), hint=hint) from error
    return {"id": request.get("id"), "conda": conda, "pypi": pypi}
