"""What conda keeps in `conda-meta` about an environment as a whole: that it is frozen, and which packages are pinned.

`frozen` is CEP 22's, `pinned` that of conda's documentation ("Preventing packages from updating").
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from bridge.errors import OwnershipError, UsageError
from bridge.paths import META
from bridge.prefix.records import content
from bridge.requirements import algebra

__all__ = ["check_not_frozen", "pins"]

_MAX_MARK = 1 << 20  # bytes of either file
_SHOWN = 2000  # characters of a message


def check_not_frozen(prefix: Path) -> None:
    """Raise `OwnershipError` (`frozen-environment`) where the prefix has a `conda-meta/frozen`, with its message."""
    path = prefix / META / "frozen"
    if not os.path.lexists(path):
        return
    raise OwnershipError(
        "frozen-environment",
        f"{prefix} is marked as frozen and must not be changed",
        context=_reason(path),
        hint="make another environment, or change this one at your own risk with --override-frozen",
    )


def _reason(path: Path) -> tuple[str, ...]:
    """What the file says. It marks the environment even where it cannot be read as CEP 22 has it."""
    try:
        text = content(str(path), _MAX_MARK).decode("utf-8")
        if not text.strip():
            return (f"{META}/frozen gives no reason",)
        message = json.loads(text)["message"]
        if not isinstance(message, str) or not message.strip():
            raise ValueError("its message is no text")
    except (ValueError, OSError, LookupError, TypeError, RecursionError):
        return (f'{META}/frozen cannot be read as CEP 22 has it: {{"message": "…"}}',)
    lines = (" ".join(line.split()) for line in message[:_SHOWN].splitlines())
    plain = ["".join(each if each.isprintable() else "?" for each in line) for line in lines if line]
    return (f"reason: {plain[0]}", *plain[1:])


def pins(prefix: Path) -> tuple[algebra.Requirement, ...]:
    """The MatchSpecs of `conda-meta/pinned`, one a line; `#` begins a comment. A name may have several, which all hold.

    Raises `UsageError` (`invalid-pin`) for a line that is no MatchSpec, and for a file that cannot be read.
    """
    path = prefix / META / "pinned"
    if not os.path.lexists(path):
        return ()
    try:
        lines = content(str(path), _MAX_MARK).decode("utf-8-sig").splitlines()
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            "invalid-pin", f"{path} cannot be read: {reason}", hint="repair the file, or delete it"
        ) from error
    found = []
    for number, line in enumerate(lines, 1):
        text = _without_comment(line)
        if not text:
            continue
        try:
            found.append(algebra.conda_requirement(text))
        except UsageError as error:
            raise UsageError(
                "invalid-pin",
                f"{path}, line {number}, is not a MatchSpec: {text!r}",
                context=error.context,
                hint="write one MatchSpec a line, as in: numpy 1.26.*",
            ) from error
    return tuple(dict.fromkeys(found))


def _without_comment(line: str) -> str:
    """A `#` begins a comment, as conda's MatchSpec has it, but for the hash behind a URL."""
    return (line if "://" in line and not line.lstrip().startswith("#") else line.partition("#")[0]).strip()
