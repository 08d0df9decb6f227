"""How the validators say no: the archive, the member with its control characters escaped, the offset, what to do."""

from __future__ import annotations

from typing import TypeVar

from converters.errors import BridgeError, IntegrityError, UnsafeInputError

__all__ = ["damaged", "refused", "shown"]

_LONGEST = 200  # characters of a member's name in a message
_REBUILD = "fetch it again; if it is refused again, its publisher has to rebuild it"
_DAMAGED = f"nothing was unpacked; the file is not what it promises to be: {_REBUILD}"
_HINTS = {
    "limit": "nothing was unpacked; if the size is genuine, raise the limit in question",
    "zip": f"unpackers could read this archive in different ways: {_REBUILD}",
    "tar": f"unpackers could read this archive in different ways: {_REBUILD}",
    "path": "nothing was unpacked; the package is broken or hostile: report it to its publisher",
    "entry": "nothing was unpacked; the package is broken or hostile: report it to its publisher",
    "reserved": "nothing was unpacked; the package is broken or hostile: report it to its publisher",
}

_Error = TypeVar("_Error", bound=BridgeError)


def shown(name: str | bytes) -> str:
    """A member's name for a message: one line, nothing invisible in it, cut at 200 characters."""
    text = name if isinstance(name, str) else name[: 4 * _LONGEST].decode("utf-8", "backslashreplace")
    return _escaped(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


def refused(
    id: str,  # noqa: A002 - as in BridgeError
    archive: str,
    problem: str,
    *,
    member: str | bytes | None = None,
    offset: int | None = None,
) -> UnsafeInputError:
    """The error for malformed or hostile input (exit 3). `offset`: bytes from the start of what is being read."""
    return _error(UnsafeInputError, id, archive, problem, member=member, offset=offset)


def damaged(
    id: str,  # noqa: A002 - as in BridgeError
    archive: str,
    problem: str,
    *,
    member: str | bytes | None = None,
    offset: int | None = None,
) -> IntegrityError:
    """The error for content that is not what its own archive promises (exit 5)."""
    return _error(IntegrityError, id, archive, problem, member=member, offset=offset)


def _error(
    kind: type[_Error],
    id: str,  # noqa: A002 - as in BridgeError
    archive: str,
    problem: str,
    *,
    member: str | bytes | None,
    offset: int | None,
) -> _Error:
    place = [shown(archive)] if member is None else [shown(archive), shown(member)]
    where = "" if offset is None else f" (at byte {offset})"
    context = [] if member is None else [f"member: {shown(member)}"]
    if offset is not None:
        context.append(f"offset: {offset}")
    return kind(
        id,
        f"{': '.join(place)}: {_escaped(problem)}{where}",
        context=context,
        hint=_DAMAGED if kind is IntegrityError else _HINTS.get(id.split("-", 1)[0], _REBUILD),
        objects={"archive": archive, "member": None if member is None else shown(member), "offset": offset},
    )
