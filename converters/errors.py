"""The base of every error, and the ones a conversion can raise.

An error carries objects, not prose alone: a kebab-case id that is stable, the sentence for the person, the facts
under it, a hint, and the exit status of the command line. One place (`bridge.cli.render`) prints it. This module
imports nothing of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

__all__ = ["BridgeError", "IntegrityError", "UnsafeInputError"]

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


class BridgeError(Exception):
    """An error for a person: `id` names the kind, `message` says what happened, `context` and `hint` what to do.

    :param id: kebab-case and stable (`zip-duplicate`); scripts may match on it.
    :param message: one sentence, without a trailing full stop being required; control characters are escaped on output.
    :param context: facts, one per line: the member, the offset, the two hashes.
    :param hint: what to do next, where there is something to do.
    :param objects: the values concerned, for callers and for `--json`.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        id: str,  # noqa: A002 - the contract of the command line calls it so
        message: str,
        *,
        context: Iterable[str] = (),
        hint: str | None = None,
        objects: Mapping[str, object] | None = None,
    ) -> None:
        if not _ID.match(id):
            raise ValueError(f"not a kebab-case error id: {id!r}")
        super().__init__(message)
        self.id = id
        self.message = message
        self.context = tuple(context)
        self.hint = hint
        self.objects: Mapping[str, object] = dict(objects or {})

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross processes whole: an exception's own way would pass the message alone."""
        return _again, (type(self), self.id, self.message, self.context, self.hint, self.objects)


def _again(
    kind: type[BridgeError],
    id: str,  # noqa: A002 - as above
    message: str,
    context: tuple[str, ...],
    hint: str | None,
    objects: Mapping[str, object],
) -> BridgeError:
    return kind(id, message, context=context, hint=hint, objects=objects)


class UnsafeInputError(BridgeError):
    """Malformed or hostile input that was refused before anything was written (exit 3)."""

    exit_code = 3


class IntegrityError(BridgeError):
    """A hash, a size or a piece of metadata is not what was promised (exit 5)."""

    exit_code = 5
