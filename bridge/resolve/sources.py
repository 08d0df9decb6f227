"""The resolver's inputs: the ports that serve records and files, and the user's preferences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Protocol

from bridge.config.builds import Formats
from bridge.config.cooldown import Cooldown
from bridge.model import IndexFile
from converters.deferred import dataclass
from converters.metadata import CoreMetadata
from converters.record import Record

if TYPE_CHECKING:
    from bridge.config.policy import Policy

__all__ = ["PATIENCE", "IndexPort", "Options", "RecordPort"]


PATIENCE = 60.0  # seconds; the slowest search of the frozen requests takes less than a tenth


class RecordPort(Protocol):
    """Serves conda records. `prefetch` costs one query; `records` costs nothing after it."""

    def prefetch(self, names: Iterable[str]) -> None: ...

    def records(self, name: str) -> Sequence[Record]:
        """Return the selectable records of `name` on the target's subdirs, channel priority applied."""
        ...


class IndexPort(Protocol):
    """Serves wheels and sdists. A page costs one request, METADATA one or more; call both only when needed."""

    def prefetch_files(self, projects: Iterable[str]) -> None: ...

    def files(self, project: str) -> Sequence[IndexFile]: ...

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None: ...

    def metadata(self, file: IndexFile) -> CoreMetadata: ...

    def file_of_url(self, url: str, project: str) -> IndexFile: ...

    def remarks(self, project: str) -> Sequence[str]:
        """Return why a project has no more files: a sentence for each link of its pages that is no candidate.

        Costs nothing after `files`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The user's preferences.

    `only` maps a conda name or project to its only ecosystem. `patience` are the seconds after which a search stops;
    those that it waits for channels and builds do not count.
    """

    prefer: str = "conda"
    only: dict[str, str] = field(default_factory=dict)
    pre: bool = False
    cooldown: Cooldown = field(default_factory=Cooldown)
    no_build: bool = False
    patience: float = PATIENCE
    builds: Formats = field(default_factory=Formats)
    policy: Policy | None = None
