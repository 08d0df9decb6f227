"""The port by which a build gets what it requires: something above finds, fetches and verifies it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from packaging.requirements import Requirement

__all__ = ["Requirements"]


class Requirements(Protocol):
    """Finds the wheels that a build needs."""

    def wheels(self, requirements: Sequence[Requirement], label: str) -> Sequence[Path]: ...
