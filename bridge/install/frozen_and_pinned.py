"""conda's settings of an environment: `conda-meta/frozen` (CEP 22) and `conda-meta/pinned` (conda's documentation)."""

from __future__ import annotations

import json
import os
from pathlib import Path

from bridge.config import Settings
from bridge.errors import OwnershipError, UsageError
from bridge.paths import META
from bridge.prefix.pinned import PINNED, pinned_lines
from bridge.prefix.records import content
from bridge.requirements import algebra

__all__ = ["check_not_frozen", "configured_pins", "pin_lines", "pins"]

_MAX_SIZE = 1 << 20  # bytes of `frozen`
_SHOWN = 2000  # characters of a message


def check_not_frozen(prefix: Path) -> None:
    """Raise `OwnershipError` (`frozen-environment`), with the message of `conda-meta/frozen`, if that exists."""
    path = prefix / META / "frozen"
    if not os.path.lexists(path):
        return
    raise OwnershipError(
        "frozen-environment",
        f"{prefix} is marked as frozen and must not be changed",
        context=_reason(path),
        hint="create another environment, or change this one at your own risk with --override-frozen",
    )


def _reason(path: Path) -> tuple[str, ...]:
    """Return the file's message. The environment is frozen even if the file does not follow CEP 22."""
    try:
        text = content(str(path), _MAX_SIZE).decode("utf-8")
        if not text.strip():
            return (f"{META}/frozen gives no reason",)
        message = json.loads(text)["message"]
        if not isinstance(message, str) or not message.strip():
            raise ValueError("the message must be text")
    except (ValueError, OSError, LookupError, TypeError, RecursionError):
        return (f'{META}/frozen does not have the form of CEP 22: {{"message": "…"}}',)
    lines = (" ".join(line.split()) for line in message[:_SHOWN].splitlines())
    plain = ["".join(each if each.isprintable() else "?" for each in line) for line in lines if line]
    return (f"reason: {plain[0]}", *plain[1:])


def pins(prefix: Path) -> tuple[algebra.Requirement, ...]:
    """Return the MatchSpecs of `conda-meta/pinned`, one per line with `#` comments; all those of a name apply.

    Raises `UsageError` (`invalid-pin`) for a line that is no MatchSpec, and for an unreadable file.
    """
    return tuple(dict.fromkeys(pin for _, pin in pin_lines(prefix) if pin is not None))


def pin_lines(prefix: Path) -> list[tuple[str, algebra.Requirement | None]]:
    """Return the lines of `conda-meta/pinned`, each with its MatchSpec if it has one. Raises as `pins`."""
    path = prefix / PINNED
    try:
        lines = pinned_lines(prefix)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            "invalid-pin", f"{path} cannot be read: {reason}", hint="repair the file, or delete it"
        ) from error
    return [(line, _pin(text, path, number)) for number, (line, text) in enumerate(lines, 1)]


def _pin(text: str, path: Path, number: int) -> algebra.Requirement | None:
    if not text:
        return None
    try:
        return algebra.conda_requirement(text)
    except UsageError as error:
        raise UsageError(
            "invalid-pin",
            f"{path}, line {number}, is not a MatchSpec: {text!r}",
            context=error.context,
            hint="write one MatchSpec per line, such as: numpy 1.26.*",
        ) from error


def configured_pins(settings: Settings) -> tuple[algebra.Requirement, ...]:
    """Return the `pinned_packages` of .condarc files, which conda adds to every solve.

    Raises `UsageError` (`invalid-pin`).
    """
    pins = []
    for text in settings.conda.pinned_packages:
        try:
            pins.append(algebra.conda_requirement(text))
        except UsageError as error:
            problem = f"pinned_packages of conda's configuration: not a MatchSpec: {text!r}"
            hint = "correct it in the .condarc file; conda config --show-sources says in which"
            raise UsageError("invalid-pin", problem, context=error.context, hint=hint) from error
    return tuple(dict.fromkeys(pins))
