"""What `install` and `convert` see of one run of bridge; `bridge.cli.session` implements it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bridge.channels.sources import Channels
    from bridge.config import Settings
    from bridge.config.policy import Policy
    from bridge.fetch.client import Client
    from bridge.fetch.responses import Progress
    from bridge.index import Index
    from bridge.model import Plan, PrefixState, Resolution
    from bridge.requirements.wanted import Wanted
    from bridge.resolve import Options, Standing
    from bridge.resolve.installed import InstalledCandidates
    from converters.names import NameMap
    from converters.target import Target

__all__ = ["RunPort"]


class RunPort(Protocol):
    """One run of bridge: its settings, its sources, a joint solve, and a way to notify the user.

    `confirm` gets a plan before its execution, and raises to give it up; everything is left as it is then.
    `check` is called again and again within long steps; it raises `CancelledError` to end the run.
    """

    settings: Settings
    progress: Progress | None
    warnings: list[str]
    tell: Callable[[str], None]
    confirm: Callable[[Plan], None]
    check: Callable[[], None]

    @property
    def policy(self) -> Policy | None: ...

    @property
    def client(self) -> Client: ...

    @property
    def index(self) -> Index: ...

    @property
    def target(self) -> Target: ...

    def local_channel_urls(self, state: PrefixState | None = None) -> tuple[str, ...]: ...

    def names(self, urls: Sequence[str], state: PrefixState | None = None) -> NameMap: ...

    def options(self) -> Options: ...

    def resolve(
        self,
        wanted: Wanted,
        channels: Channels,
        names: NameMap,
        *,
        standing: Standing | None = None,
        offered: InstalledCandidates | None = None,
        patience: float | None = None,
    ) -> Resolution: ...
