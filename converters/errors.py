"""The base class of all errors, and the errors that a conversion raises. `bridge.cli.render` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import ClassVar

from converters.deferred import regex

__all__ = ["BridgeError", "IntegrityError", "UnsafeInputError"]

_ID = regex(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


class BridgeError(Exception):
    """An error for the user. `exit_code` is the exit status of the command line.

    :param id: the kind of error, in kebab case (`zip-duplicate`); stable, so that scripts can match on it.
    :param message: one sentence that says what happened; control characters are escaped on output.
    :param context: facts, one per line: the member, the offset, the two hashes.
    :param hint: what to do next, if anything.
    :param objects: the values concerned, for callers and for `--json`.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        id: str,  # noqa: A002 - the key in JSON documents
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
        """Pickle all fields; `Exception` would pass the message only."""
        again = partial(type(self), context=self.context, hint=self.hint, objects=self.objects)
        return again, (self.id, self.message)


class UnsafeInputError(BridgeError):
    """Malformed or hostile input, refused before anything is written (exit 3)."""

    exit_code = 3


class IntegrityError(BridgeError):
    """A hash, a size or metadata differs from the expected value (exit 5)."""

    exit_code = 5
