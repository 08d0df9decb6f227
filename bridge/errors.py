"""The error classes: one per exit status of the command line, and one for failed builds.

```
BridgeError
├── UsageError              2  the command line or a requirements file is wrong
├── UnsafeInputError        3  unsafe or malformed input refused
├── OwnershipError          4  a path belongs to another package, or to none
├── IntegrityError          5  a hash, size or signature is wrong
├── NoSolutionError         6  no solution
├── BuildError              6  a source distribution cannot be built
├── FaultError              7  I/O fault; rolled back
├── PrefixLockedError       8  another process holds the lock of the prefix
├── InterruptedPrefixError  9  an interrupted transaction is present, or recovery failed
├── NetworkError           10  a channel or an index failed to answer
├── FindingsError          11  audit: findings at or above --fail-on
└── CancelledError        130  the caller of `bridge.api` cancelled; rolled back
```
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module

from converters.errors import BridgeError, IntegrityError, UnsafeInputError

__all__ = [
    "BridgeError",
    "BuildError",
    "CancelledError",
    "FaultError",
    "FindingsError",
    "IntegrityError",
    "InterruptedPrefixError",
    "NetworkError",
    "NoSolutionError",
    "OwnershipError",
    "PrefixLockedError",
    "UnsafeInputError",
    "UsageError",
    "did_you_mean",
    "escaped",
    "few",
]


class UsageError(BridgeError):
    """The command line, or a file it names, is wrong."""

    exit_code = 2


class OwnershipError(BridgeError):
    """A path belongs to another package, to none, or to the interpreter; nothing was written."""

    exit_code = 4


class NoSolutionError(BridgeError):
    """No set of candidates meets every requirement. `objects["derivation"]` has the steps of the proof."""

    exit_code = 6


class BuildError(BridgeError):
    """A source distribution cannot be built here: the build failed, is not allowed, or produced something else.

    The resolver drops the candidate and tries others, so the status is that of "no solution" (6): a sound sdist fails
    too if a compiler is missing.
    """

    exit_code = 6


class FaultError(BridgeError):
    """The system refused a read or a write; all changes were rolled back."""

    exit_code = 7


class PrefixLockedError(BridgeError):
    """Another process is changing the prefix and did not finish within `--lock-timeout`."""

    exit_code = 8


class InterruptedPrefixError(BridgeError):
    """An earlier transaction was interrupted and not recovered, or its recovery failed."""

    exit_code = 9


class NetworkError(BridgeError):
    """A channel or an index is unreachable, or returned an error."""

    exit_code = 10


class FindingsError(BridgeError):
    """`audit` reported findings at or above `--fail-on`, or `self check` some; they are on standard output already."""

    exit_code = 11


class CancelledError(BridgeError):
    """The caller of `bridge.api` cancelled, by its callback or by a signal; all changes were rolled back."""

    exit_code = 130


def did_you_mean(word: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> str:
    """Return the question after the known words that are like a misspelt one; empty if none is.

    :param cutoff: how alike they must be, from 0 to 1 (`difflib`).
    """
    # `difflib` is needed for an error only, and takes longer to import than most commands have.
    close = import_module("difflib").get_close_matches(word, sorted(set(known)), n=most, cutoff=cutoff)
    return f"did you mean {' or '.join(close)}?" if close else ""


def escaped(text: str) -> str:
    """Return text of unknown origin for one line: escapes for line breaks and for characters that cannot be seen."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def few(texts: Sequence[str], most: int = 3) -> str:
    """Return the first texts and the number of the others."""
    shown = ", ".join(texts[:most])
    return f"{shown} and {len(texts) - most} more" if len(texts) > most else shown
