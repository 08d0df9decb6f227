"""Errors of the validators: archive, member with control characters escaped, offset, hint."""

from __future__ import annotations

from typing import Any

from bridge.errors import escaped
from converters.errors import IntegrityError, UnsafeInputError

__all__ = ["damaged", "refused", "shown", "too_large"]

_LONGEST = 200  # characters of a member's name in a message
_REBUILD = "fetch it again; if it is refused again, its publisher has to rebuild it"
_DAMAGED = f"nothing was unpacked; the content does not match the archive's metadata: {_REBUILD}"
_AMBIGUOUS = f"unpackers could read this archive in different ways: {_REBUILD}"
_HOSTILE = "nothing was unpacked; the package is broken or hostile: report it to its publisher"
_HINTS = {
    "limit": "nothing was unpacked; if the size is genuine, raise the limit in question",
    "zip": _AMBIGUOUS,
    "tar": _AMBIGUOUS,
    "path": _HOSTILE,
    "entry": _HOSTILE,
    "reserved": _HOSTILE,
}


def shown(name: str | bytes) -> str:
    """A member's name for a message: one line, invisible characters escaped, at most 200 characters."""
    text = name if isinstance(name, str) else name[: 4 * _LONGEST].decode("utf-8", "backslashreplace")
    return escaped(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


def refused(
    id: str,  # noqa: A002 - as in BridgeError
    archive: str,
    problem: str,
    *,
    member: str | bytes | None = None,
    offset: int | None = None,
) -> UnsafeInputError:
    """The error for malformed or hostile input (exit 3); `offset` counts from the start of the stream."""
    hint = _HINTS.get(id.split("-", 1)[0], _REBUILD)
    return UnsafeInputError(id, hint=hint, **_parts(archive, problem, member, offset))


def damaged(
    id: str,  # noqa: A002 - as in BridgeError
    archive: str,
    problem: str,
    *,
    member: str | bytes | None = None,
    offset: int | None = None,
) -> IntegrityError:
    """The error for content that does not match its archive's metadata (exit 5)."""
    return IntegrityError(id, hint=_DAMAGED, **_parts(archive, problem, member, offset))


def too_large(
    archive: str, size: int, most: int, *, member: str | bytes | None = None, offset: int | None = None
) -> UnsafeInputError:
    """The error `limit-size` for `size` bytes where `most` are allowed."""
    return refused("limit-size", archive, f"{size} bytes; at most {most} are allowed", member=member, offset=offset)


def _parts(archive: str, problem: str, member: str | bytes | None, offset: int | None) -> dict[str, Any]:
    place = [shown(archive)] if member is None else [shown(archive), shown(member)]
    where = "" if offset is None else f" (at byte {offset})"
    context = [] if member is None else [f"member: {shown(member)}"]
    if offset is not None:
        context.append(f"offset: {offset}")
    return {
        "message": f"{': '.join(place)}: {escaped(problem)}{where}",
        "context": context,
        "objects": {"archive": archive, "member": None if member is None else shown(member), "offset": offset},
    }
