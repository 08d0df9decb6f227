"""Open the session of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.cli.session import Session
from bridge.config import Settings

if TYPE_CHECKING:
    from bridge.cli.commands.request import Request
    from bridge.fetch.responses import Progress

__all__ = ["open_session"]


def open_session(
    settings: Settings,
    request: Request | None,
    progress: Progress | None = None,
    *,
    tell: Callable[[str], None] | None = None,
    check: Callable[[], None] | None = None,
) -> Session:
    """Open the session of a request, whose files may name channels and indexes; those of the settings beat them.

    :param progress: and the others are as in `Session`.
    """
    if request is None:
        return Session(settings, progress, tell=tell, check=check)
    session = Session(request.applied(settings), progress, request.locked, tell, check=check)
    try:
        session.records = request.locked_records(session)
    except BaseException:
        session.close()
        raise
    return session
