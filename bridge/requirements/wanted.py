"""The input of a solve: requirements of either syntax, and further conditions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from bridge.requirements.algebra import Requirement

__all__ = ["Wanted"]


class Wanted(Protocol):
    """Requirements to solve for, and further conditions."""

    @property
    def requirements(self) -> Sequence[Requirement]: ...

    @property
    def constraints(self) -> Sequence[Requirement]: ...

    @property
    def requires_python(self) -> str | None: ...

    @property
    def hashes(self) -> Mapping[str, frozenset[str]]: ...

    @property
    def requires_hashes(self) -> bool: ...

    @property
    def unhashed(self) -> Collection[str]: ...

    @property
    def environments(self) -> Sequence[str]: ...
