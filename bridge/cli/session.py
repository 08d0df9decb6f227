"""One run: the settings and the ports made from them, each when it is first needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bridge.config import Settings
from bridge.errors import NoSolutionError
from bridge.fetch.waiting import RequestLog, step
from bridge.secrets import masked
from converters.deferred import replace

if TYPE_CHECKING:
    from bridge.cache.results import Results
    from bridge.channels.host import HostChannel
    from bridge.channels.sources import Channels
    from bridge.cli.name_maps import NameFiles
    from bridge.config.policy import Policy
    from bridge.fetch.client import Client
    from bridge.fetch.responses import Progress
    from bridge.index import Index
    from bridge.model import IndexFile, Plan, PrefixState, Resolution
    from bridge.requirements import algebra
    from bridge.requirements.wanted import Wanted
    from bridge.resolve import Catalog, Options, Standing
    from bridge.resolve.build_requirements import BuildRequirements
    from bridge.resolve.channel_wheels import IndexWithChannels
    from bridge.resolve.installed import InstalledCandidates
    from bridge.resolve.locked_records import LockedRecords
    from bridge.resolve.recording import Recorder
    from bridge.resolve.search.joint import Watcher
    from bridge.resolve.sources import IndexPort, RecordPort
    from converters.names import NameMap
    from converters.target import Target

__all__ = ["Session"]


def _solver(index: Index, settings: Settings) -> BuildRequirements:
    from bridge.resolve.build_requirements import BuildRequirements  # few runs build anything

    return BuildRequirements(index, settings)


class Session:
    """Settings and ports of one run. A context manager, for it holds connections and threads."""

    def __init__(
        self,
        settings: Settings,
        progress: Progress | None = None,
        locked: Mapping[str, tuple[IndexFile, ...]] | None = None,
        tell: Callable[[str], None] | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        """:param locked: project → the files that a lock names; no index is asked for these.
        :param tell: receives urgent warnings at once; the default adds them to `warnings`.
        :param check: called again and again within long steps; raises `CancelledError` to end the run.
        """
        self._locked = locked or {}
        self.records: LockedRecords | None = None  # of locks, paths and URLs; no channel is asked for their names
        self.settings, self.progress = settings, progress
        self.log = RequestLog()
        self.watcher: Watcher | None = None
        self.confirm: Callable[[Plan], None] = lambda plan: None  # noqa: ARG005 - of `RunPort`
        self.check = check or (lambda: None)  # a signal ends the runs of the command line
        self.warnings: list[str] = []
        self.tell = tell or self.warnings.append
        self.host: HostChannel | None = None
        self._opened: list[Channels] = []
        self.channel_index: IndexWithChannels | None = None

    def __enter__(self) -> Session:  # noqa: PYI034 - `typing.Self` is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for channels in self._opened:
            channels.close()
        if "client" in self.__dict__:
            self.client.close()

    @cached_property
    def results(self) -> Results:
        from bridge.cache.results import Results

        return Results(self.settings.cache_dir)

    @cached_property
    def client(self) -> Client:
        from bridge.fetch.client import Client

        return Client(self.settings, log=self.log)

    @cached_property
    def index(self) -> Index:
        from bridge.index import Index

        settings = self.settings
        return Index(
            self.client,
            settings.index_urls,
            settings.find_links,
            strategy=settings.index_strategy,
            of_projects=settings.project_indexes,
            locked=self._locked,
            tell=self.tell,
            solver=_solver,
            policy=self.policy,
        )

    @cached_property
    def policy(self) -> Policy | None:
        """The policy of the settings, with the channels that its names mean here."""
        if self.settings.policy is None:
            return None
        from bridge.cli.policies import located_policy

        return located_policy(self.settings, self.target.subdir)

    def set_target(self, target: Target) -> None:
        """Solve for this target instead of this machine and its virtual packages; before the first use of `target`."""
        self.__dict__["target"] = target

    @cached_property
    def target(self) -> Target:
        """The target, without a python (`target_of`)."""
        from bridge.cli.targets import target_of

        return target_of(self.settings)

    def channels(self, state: PrefixState | None = None, *, packs_late: bool = False) -> Channels:
        """The channels given with `-c`, else those that the packages of the environment came from; of these, one that
        does not answer is skipped, and its installed packages stay.

        :param packs_late: pack the interpreter during solve and fetch; its record has no hash until then.
        """
        from bridge.channels.sources import Channels
        from bridge.config.credentials import StoredCredentials

        known = self._known_channels(state)
        self.tell_once(self.settings.conda.warnings)
        texts = known or self.settings.channels
        empty = [text for text in texts if not self.settings.conda.names.expand(text)]
        self.tell_once([f"{masked(text)} names no channel here: conda-build has no output directory" for text in empty])
        channels = Channels(
            lambda: self.client,
            texts,
            self.target.subdir,
            self.settings.cache_dir,
            offline=self.settings.offline,
            names=self.settings.conda.names,
            credentials=StoredCredentials(os.environ, has_tokens=self.settings.conda.use_tokens),
            is_strict=self.settings.channel_priority == "strict",
            packs_late=packs_late,
            host=self.host if packs_late else None,
            may_drop=bool(known),
            optional=() if known else self.settings.optional_channels,
            policy=self.policy,
        )
        self._opened.append(channels)
        if self.settings.conda.ssl_verify is False:
            hosts = {urlsplit(url).netloc for url in channels.urls if url.startswith("https:")}
            trusted = dict.fromkeys((*self.settings.trusted_hosts, *sorted(hosts)))
            self.settings = replace(self.settings, trusted_hosts=tuple(trusted))
        return channels

    def tell_once(self, warnings: Sequence[str]) -> None:
        self.warnings += [each for each in warnings if each not in self.warnings]

    def channel_urls(self, state: PrefixState | None = None) -> tuple[str, ...]:
        """The URLs of `channels(state)`, for commands that ask the channels nothing.

        Raises `UsageError` (`invalid-channel`).
        """
        from bridge.channels.places import located

        texts = self._known_channels(state) or self.settings.channels
        return tuple(located(texts, self.settings.conda.names, self.target.subdir))

    def local_channel_urls(self, state: PrefixState | None = None) -> tuple[str, ...]:
        """Those of `channel_urls(state)` that are directories: all that `names` reads."""
        from bridge.channels.places import local

        return tuple(local(self._known_channels(state) or self.settings.channels, self.settings.conda.names))

    def _known_channels(self, state: PrefixState | None) -> tuple[str, ...]:
        """The channels of an environment, unless the user named others."""
        if state is None or self.settings.has_channels:
            return ()
        from bridge.prefix.origin import channels_of

        return channels_of(state.installed)

    def names(self, urls: Sequence[str], state: PrefixState | None = None) -> NameMap:
        """The map of conda names to PyPI names: `--name-map`, else the maps of local channels and installed records.

        The shipped map (`bridge/data/names.json`) serves the names that these do not have.

        :param urls: of the channels, highest priority first.
        """
        from bridge.cli.name_maps import default_names
        from converters.names import NameMap

        table = self._name_files.of_directories(urls)
        if state is not None:
            from bridge.requirements.displaced import add_names

            add_names(state, table)
        if self.records is not None:
            table |= self.records.projects
        if self.settings.name_map is not None:
            table |= self._name_files.named(self.settings.name_map)
        source = self.settings.name_map or "what channels and the environment say"
        return self._told(NameMap(table, source, defaults=default_names()))

    def _told(self, names: NameMap) -> NameMap:
        if names.rejected:
            rejected = ", ".join(names.rejected[:5])
            self.tell_once([f"{len(names.rejected)} invalid rows of the name map are ignored: {rejected}"])
        return names

    def with_channel_maps(self, names: NameMap, channels: Channels) -> NameMap:
        """The map, completed by those that network channels say they have. Raises as `Channels.prefetch`.

        Local directories are read by `names`.
        """
        if self.records is not None and self.records.is_whole:
            return names  # no channel is read
        rows = self._name_files.of_network_channels(channels.name_maps(), self.tell)
        return self._told(names.extended(rows)) if rows else names

    @cached_property
    def _name_files(self) -> NameFiles:
        from bridge.cli.name_maps import NameFiles

        return NameFiles(lambda: self.client)

    @property
    def used_index(self) -> Index | None:
        """The index, if this run has made it."""
        return self.index if "index" in self.__dict__ else None

    def named(self, requirements: Sequence[algebra.Requirement]) -> tuple[algebra.Requirement, ...]:
        """The requirements, with the names of those that only the source code at their URL tells; it may be built.

        Raises what `Index.project_of_url` raises, and `UnsafeInputError` (`policy`).
        """
        from bridge.requirements.algebra import with_name

        if self.policy is not None:
            from bridge.resolve.ruling import refuse_urls

            refuse_urls(requirements, self.policy)
        return tuple(
            each if each.name else with_name(each, self.index.project_of_url(each.url or "")) for each in requirements
        )

    def options(self) -> Options:
        from bridge.resolve import Options

        settings = self.settings
        return Options(
            prefer=settings.prefer,
            only=dict(settings.only),
            pre=settings.pre,
            cooldown=settings.cooldown.with_channel_names(settings.conda.names),
            no_build=settings.no_build,
            patience=settings.patience,
            builds=settings.builds.formats,
            policy=self.policy,
        )

    def catalog(
        self,
        channels: Channels,
        names: NameMap,
        offered: InstalledCandidates | None = None,
        hashes: Mapping[str, frozenset[str]] | None = None,
        *,
        has_urls: bool = False,
    ) -> Catalog:
        """What the resolver reads: channels, index and installed packages."""
        from bridge.resolve import Catalog
        from bridge.resolve.installed import IndexWithInstalled, InstalledCandidates, RecordsWithInstalled

        offered = offered or InstalledCandidates()
        has_wheels = offered.has_wheels and not offered.is_known_only
        has_indexes = self.settings.has_indexes or bool(self._locked)
        index: IndexPort | None = self.index if has_indexes or has_wheels or has_urls else None
        records: RecordPort = channels
        if self.records is not None and self.records.by_name:
            from bridge.resolve.locked_records import RecordsWithLocked

            records = RecordsWithLocked(channels, self.records)
        if channels.urls != ("host",) and not (self.records is not None and self.records.is_whole):
            from bridge.cli.wheel_channels import with_channels

            if not offered.is_known_only:
                names = self.with_channel_maps(names, channels)
            self.channel_index = with_channels(index or self.index, channels, names, self.settings)
            index = self.channel_index
            names = names.with_lookup(channels.wheel_projects)
        index = IndexWithInstalled(index, offered, hashes) if index is not None else None
        added = () if offered.is_known_only else offered.records
        merged = RecordsWithInstalled(records, added)
        return Catalog(merged, index, self.target, names, self.options(), check=self.check, results=self.results)

    @step("solving")
    def resolve(
        self,
        wanted: Wanted,
        channels: Channels,
        names: NameMap,
        *,
        standing: Standing | None = None,
        offered: InstalledCandidates | None = None,
        recorder: Recorder | None = None,
        patience: float | None = None,
    ) -> Resolution:
        """One joint solve. Raises `NoSolutionError` and `NetworkError`.

        :param standing: what the environment adds, without the distributions of other installers, which `offered` has.
        :param offered: the installed candidates.
        :param recorder: records the solve.
        :param patience: as in `SolveRequest`.
        """
        from bridge.cli.demands import bound, check_files, configured_constraints, pinned
        from bridge.cli.solutions import checked, explained, solved
        from bridge.resolve import SolveRequest, Standing

        standing = standing or Standing()
        constraints = (*wanted.constraints, *configured_constraints(self.settings, self.results))
        requirements, earlier, constraints, pins, configured = (
            bound(self, each, channels, offered)
            for each in (
                wanted.requirements,
                standing.earlier,
                constraints,
                standing.pins,
                pinned(self.settings),
            )
        )
        check_files((*requirements, *earlier))
        foreign = tuple(each.requirement for each in offered.staying) if offered is not None else ()
        request = SolveRequest(
            requirements=requirements,
            constraints=constraints,
            requires_python=wanted.requires_python,
            standing=replace(standing, earlier=earlier, pins=pins, configured=configured, foreign=foreign),
            patience=patience,
        )
        has_urls = any(each.url is not None for each in request.asked)
        catalog = self.catalog(channels, names, offered, wanted.hashes, has_urls=has_urls)
        try:
            resolution = solved(self, request, catalog, recorder)
        except NoSolutionError as error:
            raise explained(self, error, requirements, channels, catalog) from error
        self.tell_once(channels.without_answer)
        return checked(
            self, resolution, wanted, catalog, None if offered is not None and offered.is_known_only else offered
        )
