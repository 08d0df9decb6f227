"""The error tree: one class per exit status of the command-line contract.

```
BridgeError
├── UsageError              2  the command line or a file of requirements is wrong
├── UnsafeInputError        3  unsafe or malformed input refused
├── OwnershipError          4  a path belongs to another package, or to nobody
├── IntegrityError          5  a hash, size or signature is wrong
├── NoSolutionError         6  no solution
├── FaultError              7  I/O fault; rolled back
├── PrefixLockedError       8  the prefix is locked by another process
├── InterruptedPrefixError  9  an interrupted transaction is present, or recovery failed
├── NetworkError           10  a channel or an index did not answer
└── FindingsError          11  audit: findings at or above --fail-on
```
"""

from __future__ import annotations

from converters.errors import BridgeError, IntegrityError, UnsafeInputError

__all__ = [
    "BridgeError",
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
]


class UsageError(BridgeError):
    """The command line, or a file it names, asks for something that cannot be understood."""

    exit_code = 2


class OwnershipError(BridgeError):
    """A path belongs to another package, to nobody, or to the interpreter; nothing was written."""

    exit_code = 4


class NoSolutionError(BridgeError):
    """No set of candidates meets every requirement. `objects["derivation"]` holds the steps of the proof."""

    exit_code = 6


class FaultError(BridgeError):
    """The system refused a read or a write; what had been changed was put back."""

    exit_code = 7


class PrefixLockedError(BridgeError):
    """Another process is changing the prefix and did not finish within `--lock-timeout`."""

    exit_code = 8


class InterruptedPrefixError(BridgeError):
    """An earlier transaction was interrupted and is not settled, or settling it failed."""

    exit_code = 9


class NetworkError(BridgeError):
    """A channel or an index could not be reached, or answered with an error."""

    exit_code = 10


class FindingsError(BridgeError):
    """`audit` found something at or above `--fail-on`. The findings are on standard output already."""

    exit_code = 11
