"""The error tree: one class per exit status of the command-line contract, and one more for failed builds.

```
BridgeError
├── UsageError              2  the command line or a file of requirements is wrong
├── UnsafeInputError        3  unsafe or malformed input refused
├── OwnershipError          4  a path belongs to another package, or to nobody
├── IntegrityError          5  a hash, size or signature is wrong
├── NoSolutionError         6  no solution
├── BuildError              6  a source distribution cannot become a wheel: the candidate it would be is none
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
    "BuildError",
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


class BuildError(BridgeError):
    """A source distribution cannot become a wheel here: its build failed, is not allowed, or made another thing.

    That candidate cannot be used, which another one may make good: so the status is that of "no solution" (6). It is
    no malformed input (3), for a sound sdist fails to build where a compiler is missing, and nothing was to be put
    back (7). The resolver strikes the candidate and goes on.
    """

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
