"""`bridge resolve`: a joint solve that writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bridge import resolve as resolver
from bridge.cli import documents
from bridge.cli.commands.request import Asked
from bridge.cli.session import Session
from bridge.config.files import read_named
from bridge.errors import BridgeError, UsageError
from bridge.model import Resolution
from bridge.requirements import algebra

__all__ = ["resolve", "resolve_batch"]

_MAX_BATCH = 256 << 20  # bytes


def resolve(wanted: Asked, session: Session) -> Resolution:
    """One joint solve on the session's target."""
    channels = session.channels()
    return session.resolve(wanted, channels, session.names(channels))


def resolve_batch(path: Path, session: Session) -> Iterator[dict[str, object]]:
    """Solve the requests of a JSON-lines file, one document each, in order; a request that fails is a document too.

    A line that is no request is refused before the first is solved. Raises `UsageError` (`batch-file`).
    """
    requests = _requests(path)
    channels = session.channels()
    catalog = session.catalog(channels, session.names(channels))
    for request in requests:
        try:
            conda = [algebra.conda_requirement(text) for text in request["conda"]]
            pypi = [algebra.parse_pypi(text) for text in request["pypi"]]
            session.check([*conda, *pypi], channels)
            found = resolver.resolve([*conda, *pypi], catalog)
        except BridgeError as error:
            yield {"id": request["id"], **documents.error(error)}
        else:
            yield {"id": request["id"], **documents.resolution(found)}


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
            raise TypeError("it is no JSON object")
        conda, pypi = request.get("conda", []), request.get("pypi", [])
        for key, texts in (("conda", conda), ("pypi", pypi)):
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise TypeError(f"`{key}` is no list of texts")
    except (ValueError, TypeError, RecursionError) as error:
        hint = 'a request is {"id": …, "conda": ["numpy >=2"], "pypi": ["rich>=13"]}'
        raise UsageError("batch-file", f"{where} is no request", context=(str(error),), hint=hint) from error
    return {"id": request.get("id"), "conda": conda, "pypi": pypi}
