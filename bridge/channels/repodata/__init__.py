"""Records of channels by name: from shards where a network channel has them, else from its whole repodata.

bridge fetches repodata itself: rattler's Gateway has no time limit, size limit or TLS settings, follows `base_url`
anywhere, and stores URLs with their secrets in its cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bridge.channels.repodata.base_urls import check_bases, is_plain
from bridge.channels.repodata.name_maps import stated_in
from bridge.channels.repodata.plain import read_plain
from bridge.channels.wheels import ChannelWheel, channel_wheel, is_wheel
from bridge.errors import NetworkError, UnsafeInputError
from bridge.fetch.responses import offline_error
from bridge.fetch.urls import check_link, local_path
from bridge.secrets import SECRETS, public
from converters.deferred import NamedTuple
from converters.record import Record, conda_record

if TYPE_CHECKING:
    from bridge.fetch.client import Client

__all__ = ["Repodata"]

Json = Mapping[str, object]


class _SubdirRecords(Protocol):
    """The records of one subdir. Thread-safe. `names_file`: the channel's name map, if the subdir states one."""

    @property
    def names_file(self) -> str | None: ...

    def load(self, name: str) -> Sequence[Json]: ...

    def names(self) -> Iterable[str]: ...

    def close(self) -> None: ...


class _Subdir(NamedTuple):
    """A subdir of a channel; `url` is public, without a trailing slash."""

    channel: str
    subdir: str

    @property
    def url(self) -> str:
        return f"{self.channel}/{self.subdir}"


class Repodata:
    """Records of channels by name, each name read once.

    Records with an unsafe file name or fields of the wrong type are skipped and listed in `rejected`.

    :param client: creates the client; called for the first channel that is no local directory.
    :param channels: public URLs without a trailing slash.
    :param offline: use no network channel, except from the cache of an offline client.
    """

    def __init__(
        self, client: Callable[[], Client], channels: Sequence[str], subdir: str, cache: Path, *, offline: bool = False
    ) -> None:
        self._client = client
        self._cache = cache
        self._is_offline = offline
        self._places = tuple(
            _Subdir(channel, each) for channel in channels for each in dict.fromkeys((subdir, "noarch"))
        )
        self._sources: dict[_Subdir, _SubdirRecords] | None = None
        self._records: dict[str, tuple[Record, ...]] = {}
        self._wheels: dict[str, tuple[ChannelWheel, ...]] = {}
        self.rejected: list[str] = []

    def close(self) -> None:
        """Close the open files; do not query it afterwards."""
        for source in (self._sources or {}).values():
            source.close()
        self._sources = None

    def open(self) -> None:
        """Find where each subdir's records are. Raises as `prefetch`."""
        if self._sources is None:
            self._sources = self._opened()

    def name_maps(self) -> tuple[str, ...]:
        """The public URLs of the name maps that network channels have, in channel order. Raises as `prefetch`."""
        self.open()
        return tuple(
            f"{place.channel}/{source.names_file}"
            for place, source in (self._sources or {}).items()
            if place.subdir == "noarch" and source.names_file is not None and local_path(place.channel) is None
        )

    def prefetch(self, names: Iterable[str]) -> None:
        """Read many names at once.

        Raises `NetworkError` (`channel-unreachable`, `offline`, `tls`), `UnsafeInputError` (`repodata-invalid`,
        `limit-size`, `url-refused`), `IntegrityError` (`hash-mismatch`).
        """
        wanted = [name for name in dict.fromkeys(names) if name not in self._records]
        if not wanted:
            return
        self.open()
        jobs = [(place, source, name) for place, source in (self._sources or {}).items() for name in wanted]
        is_local = all(isinstance(source, (_WholeSubdir, _PlainSubdir)) for _, source, _ in jobs)
        loaded = list(map(_load, jobs)) if is_local or len(jobs) == 1 else self._client().map(_load, jobs)
        collected: dict[str, list[Record]] = {name: [] for name in wanted}
        wheels: dict[str, list[ChannelWheel]] = {name: [] for name in wanted}
        for (place, _, name), documents in zip(jobs, loaded, strict=True):
            collected[name] += self._parse(place, name, (each for each in documents if not is_wheel(each)))
            wheels[name] += self._parse_wheels(place, name, filter(is_wheel, documents))
        self._records.update({name: tuple(records) for name, records in collected.items()})
        self._wheels.update({name: tuple(listed) for name, listed in wheels.items() if listed})

    def records(self, name: str) -> tuple[Record, ...]:
        """The records of one name in channel order; `()` if no channel has it."""
        if name not in self._records:
            self.prefetch([name])
        return self._records[name]

    def names(self) -> frozenset[str]:
        """The names of all packages of all channels. Raises as `prefetch`."""
        self.open()
        return frozenset(name for source in (self._sources or {}).values() for name in source.names())

    def wheels(self, name: str) -> tuple[ChannelWheel, ...]:
        """The wheels that the channels list under a conda name that was already read (CEP 48), in channel order."""
        return self._wheels.get(name, ())

    def remembered(self, name: str) -> tuple[Record, ...]:
        """The records of a name that was already read, else `()`."""
        return self._records.get(name, ())

    def _parse(self, place: _Subdir, name: str, documents: Iterable[Json]) -> Iterable[Record]:
        for data in documents:
            filename = data.get("fn")
            if not isinstance(filename, str) or not is_plain(filename):
                self.rejected.append(f"a record of {name} with an unsafe file name: {str(filename)[:100]!r}")
                continue
            try:
                record = conda_record({**data, "channel": place.channel}, subdir=place.subdir)
            except UnsafeInputError as error:
                self.rejected.append(error.message)
                continue
            if record.name == name:
                yield record

    def _parse_wheels(self, place: _Subdir, name: str, documents: Iterable[Json]) -> Iterable[ChannelWheel]:
        for data in documents:
            try:
                wheel = channel_wheel(data, place.channel, place.subdir)
            except UnsafeInputError as error:
                self.rejected.append(error.message)
                continue
            if wheel.record.name == name:
                yield wheel

    def _opened(self) -> dict[_Subdir, _SubdirRecords]:
        sources = {place: _open_directory(place) for place in self._places if local_path(place.channel) is not None}
        remote = [place for place in self._places if place not in sources]
        opened = self._client().map(self._tried, remote) if remote else ()
        for place, source in zip(remote, opened, strict=True):
            if isinstance(source, NetworkError):  # the first channel's, whichever thread fails first
                raise source
            sources[place] = source
        for place, source in sources.items():
            if source is None and place.subdir == "noarch":
                raise _missing(place)
        return {place: source for place in self._places if (source := sources[place]) is not None}

    def _tried(self, place: _Subdir) -> _SubdirRecords | NetworkError | None:
        try:
            return self._open(place)
        except NetworkError as error:
            return error

    def _open(self, place: _Subdir) -> _SubdirRecords | None:
        from bridge.channels.repodata import remote  # noqa: PLC0415 - zstandard and msgpack; a directory needs neither

        try:
            if self._is_offline and not self._client().settings.offline:
                raise offline_error(place.url)
            client = self._client()
            shards = remote.open_shards(place.url, client, self._cache)
            if shards is not None:
                return shards
            path = remote.whole_file(place.url, client, self._cache)
            return None if path is None else _WholeSubdir(place, path, client.settings.trusted_hosts)
        except NetworkError as error:
            raise _unreachable(place, error) from error


def _load(job: tuple[_Subdir, _SubdirRecords, str]) -> Sequence[Json]:
    place, source, name = job
    try:
        return source.load(name)
    except NetworkError as error:
        raise _unreachable(place, error) from error


class _WholeSubdir:
    """A subdir with one repodata.json."""

    def __init__(self, place: _Subdir, path: Path, trusted_hosts: tuple[str, ...] = ()) -> None:
        from bridge.channels._rattler import WholeRepodata  # noqa: PLC0415 - rattler is slow to import; shards need none
        from bridge.channels.repodata.listed_wheels import listed_wheels  # noqa: PLC0415 - as above

        self._place, self._trusted = place, trusted_hosts
        self._file = WholeRepodata(path, place.channel, place.subdir)
        self._wheels = listed_wheels(path, place.url)
        self.names_file = stated_in(path)

    def load(self, name: str) -> Sequence[Json]:
        records = [*self._file.records(name), *map(dict, self._wheels.get(name, ()))]
        if local_path(self._place.channel) is None:
            for data in records:
                url = str(data.get("url"))
                check_link(self._place.url, url, self._trusted)
                data["url"] = SECRETS.learn(url, is_typed=False)
        return records

    def names(self) -> Iterable[str]:
        return {*self._file.names(), *self._wheels}

    def close(self) -> None:
        self._file.close()


class _PlainSubdir:
    """A subdir of a local directory with a small repodata.json."""

    def __init__(self, records: Mapping[str, Sequence[Json]], names_file: str | None) -> None:
        self._records, self.names_file = records, names_file

    def load(self, name: str) -> Sequence[Json]:
        return self._records.get(name, ())

    def names(self) -> Iterable[str]:
        return self._records

    def close(self) -> None:
        """Hold nothing."""


def _open_directory(place: _Subdir) -> _SubdirRecords | None:
    """The repodata of a local channel; `None` if the subdir has none."""
    directory = Path(local_path(place.channel) or "")
    if not directory.is_dir():
        hint = "check the path given with -c"
        raise NetworkError("channel-unreachable", f"there is no channel at {directory}: no such directory", hint=hint)
    path = directory / place.subdir / "repodata.json"
    if not path.is_file():
        return None
    if (records := read_plain(path, place.url)) is not None:
        return _PlainSubdir(records, stated_in(path))
    check_bases(path, f"{place.url}/", ())
    return _WholeSubdir(place, path)


def _missing(place: _Subdir) -> NetworkError:
    directory = local_path(place.channel)
    where = public(place.channel) if directory is None else directory
    hint = "check the name or URL given with -c or before `::`; `-c host` needs no channel at all"
    if directory is not None:
        hint = f"`bridge index {directory}` writes it for a directory of packages"
    return NetworkError(
        "channel-unreachable", f"there is no channel at {where}: it has no noarch/repodata.json", hint=hint
    )


def _unreachable(place: _Subdir, error: NetworkError) -> NetworkError:
    """Turn the error of a request into one about its channel."""
    if error.id == "offline":
        return NetworkError(
            "offline",
            f"not in the cache, and --offline forbids fetching it: {place.channel}",
            context=(error.message,),
            hint="run once without --offline, or use `-c host` and a local channel",
            objects=error.objects,
        )
    if error.id in {"tls", "channel-unreachable"}:
        return error
    return NetworkError(
        "channel-unreachable",
        f"the channel did not answer: {place.channel}",
        context=(error.message, *error.context),
        hint=error.hint or "check the name or URL given with -c or before `::`; `-c host` needs no channel at all",
        objects=error.objects,
    )
