"""The error for a lock that is not what its format says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bridge.errors import UnsafeInputError
from bridge.secrets import masked

__all__ = ["invalid"]


def invalid(path: Path, format_name: str, problem: str, context: Iterable[str] = ()) -> UnsafeInputError:
    """Return the error (`lock-invalid`) for a lock that is not what `format_name` says, or that lacks a hash."""
    hint = "write the lock again with the tool that made it"
    shown = [masked(line) for line in context]
    return UnsafeInputError(
        "lock-invalid",
        f"{path} is not a valid {format_name}: {masked(problem)}",
        context=shown,
        hint=hint,
        objects={"path": str(path)},
    )
