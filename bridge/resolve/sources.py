"""What the resolver is given: where records and files come from, and what the person prefers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridge.config.builds import Formats
from bridge.model import IndexFile
from converters.record import Record
from converters.wheel import CoreMetadata

__all__ = ["IndexPort", "Options", "RecordPort"]


class RecordPort(Protocol):
    """Where conda records come from. `prefetch` costs one query, `records` nothing after it."""

    def prefetch(self, names: Iterable[str]) -> None: ...

    def records(self, name: str) -> Sequence[Record]:
        """The records of `name` on the target's subdirs that may be chosen (channel priority is judged here)."""
        ...


class IndexPort(Protocol):
    """Where wheels come from. A page costs a request, METADATA one or more; both are asked for only when needed."""

    def prefetch_files(self, projects: Iterable[str]) -> None: ...

    def files(self, project: str) -> Sequence[IndexFile]: ...

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None: ...

    def metadata(self, file: IndexFile) -> CoreMetadata: ...

    def file_of_url(self, url: str, project: str) -> IndexFile: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the person prefers. `only` maps a conda name or project to its one ecosystem; `exclude_newer` is in ms."""

    prefer: str = "conda"
    only: dict[str, str] = field(default_factory=dict)
    pre: bool = False
    exclude_newer: int | None = None
    no_build: bool = False
    builds: Formats = field(default_factory=Formats)
