"""Conda channels as one source of records: names, URLs, directories, and the built-in `host`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cache.blobs import sha256_of
from bridge.channels.places import HOST, located
from bridge.channels.repodata import Repodata
from bridge.channels.wheels import ChannelWheel, unique
from bridge.config.channel_names import ChannelNames, ends_with
from bridge.config.credentials import StoredCredentials
from bridge.errors import IntegrityError, NetworkError, UnsafeInputError
from bridge.faults import faults
from bridge.fetch.urls import local_path
from bridge.secrets import SECRETS, masked
from converters.record import Record

if TYPE_CHECKING:
    from bridge.channels.host import HostChannel
    from bridge.config.policy import Policy
    from bridge.fetch.client import Client
    from bridge.fetch.responses import Progress

__all__ = ["Channels", "same_package"]


class Channels:
    """The channels of one run, highest priority first.

    :param client: creates the client; called when first needed.
    :param texts: names, URLs, `file://` URLs or directories; `host` is the interpreter that runs bridge.
    :param names: what conda's configuration says of names.
    :param credentials: the stores of other clients; what they have for a channel goes to this channel only.
    :param subdir: the target's; `noarch` is always read too.
    :param is_strict: only the first channel that has a name serves it; otherwise all do, in order.
    :param packs_late: as in `HostChannel`.
    :param host: the `host` channel, if it has begun to pack.
    :param may_drop: skip channels that do not answer; `dropped` holds their errors by URL.
    :param optional: those of `texts` that are skipped if they do not answer; `unanswered` holds their errors by URL.

    :param policy: a channel that it does not let serve a name hides no other channel.

    `texts` and `urls` are the channels as named and their origins, each once. Raises `UsageError` (`invalid-channel`).
    """

    def __init__(
        self,
        client: Callable[[], Client],
        texts: Sequence[str],
        subdir: str,
        cache: Path,
        *,
        offline: bool,
        names: ChannelNames | None = None,
        credentials: StoredCredentials | None = None,
        is_strict: bool = True,
        packs_late: bool = False,
        host: HostChannel | None = None,
        may_drop: bool = False,
        optional: Collection[str] = (),
        policy: Policy | None = None,
    ) -> None:
        self._policy = policy
        self._is_strict = is_strict
        self._names, self._credentials = names or ChannelNames(), credentials
        self._client = client
        self._subdirs = frozenset((subdir, "noarch"))
        self._subdir, self._cache, self._is_offline = subdir, cache, offline
        self._packs_late, self._may_drop, self._begun = packs_late, may_drop, host
        self._host: HostChannel | None = None
        self._places: dict[str, str] = {}
        self._reached: dict[str, set[str]] = {}
        self._add(located(texts, self._names, subdir))
        given = located((text for text in texts if text not in optional), self._names, subdir)
        self._optional = self._places.keys() - given.keys()
        self.dropped: dict[str, NetworkError] = {}
        self.unanswered: dict[str, NetworkError] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self._places.values())

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(self._places)

    @property
    def without_answer(self) -> tuple[str, ...]:
        """A message for each optional channel that did not answer."""
        return tuple(f"{error.message}; this channel is left out" for error in self.unanswered.values())

    def _add(self, places: Mapping[str, str]) -> None:
        """Add channels of the lowest priority."""
        for origin in places.keys() - self._places.keys():
            if self._credentials is not None and (credential := self._credentials.of(origin)) is not None:
                SECRETS.add_stored(origin, user=credential.user, bearer=credential.bearer, token=credential.token)
        self._places |= {origin: text for origin, text in places.items() if origin not in self._places}
        if HOST in self._places and self._host is None:
            from bridge.channels.host import HostChannel  # noqa: PLC0415 - most runs name channels of their own

            self._host = self._begun or HostChannel(self._cache, packs_late=self._packs_late)
        self._order = {origin: place for place, origin in enumerate(self._places)}
        self._others = [origin for origin in self._places if origin != HOST]

    def named(self, clause: str) -> frozenset[str]:
        """Return the origins of the channels of this run that a channel clause names; empty if it names none of them.

        A name means what it means as an option; else it is the end of a channel's URL.
        """
        known = self._places.keys() & located([clause], self._names, self._subdir).keys()
        known |= {origin for origin, text in self._places.items() if text == clause}
        return frozenset(known or {origin for origin in self._places if ends_with(origin, clause)})

    def reach(self, name: str, clause: str, *, offered: Iterable[str] = ()) -> frozenset[str]:
        """Let the channels of a clause serve `name`, whatever the priority, and return their origins.

        Channels that are not in this run are added, after the others, as conda does.

        :param offered: the origins of installed packages; for a clause that names one of them, nothing is added.

        Raises `UsageError` (`invalid-channel`).
        """
        origins = self.named(clause)
        if not origins:
            places = located([clause], self._names, self._subdir)
            origins = frozenset(origin for origin in offered if origin in places or ends_with(origin, clause))
        if not origins:
            if "_repodata" in self.__dict__:
                self._repodata.close()
                del self.__dict__["_repodata"]
            self._add(places)
            origins = frozenset(places)
        self._reached.setdefault(name, set()).update(origins)
        return origins

    @cached_property
    def _repodata(self) -> Repodata:
        return self._opened(self._others)

    def _opened(self, urls: Sequence[str]) -> Repodata:
        return Repodata(self._client, urls, self._subdir, self._cache / "repodata", offline=self._is_offline)

    def close(self) -> None:
        """Release files and threads."""
        if self._host is not None:
            self._host.close()
        if "_repodata" in self.__dict__:
            self._repodata.close()

    @property
    def rejected(self) -> Sequence[str]:
        """Why records were skipped, one message each."""
        return self._repodata.rejected if "_repodata" in self.__dict__ else ()

    def name_maps(self) -> tuple[str, ...]:
        """The URLs of the name maps that network channels state, in channel order. Raises as `prefetch`."""
        if all(local_path(url) is not None for url in self._others):
            return ()
        self._read(Repodata.open)
        return self._repodata.name_maps()

    def prefetch(self, names: Iterable[str]) -> None:
        """Read several names with one query. Raises `NetworkError` (`channel-unreachable`, `offline`)."""
        wanted = tuple(names)
        self._read(lambda repodata: repodata.prefetch(wanted))

    def _read(self, read: Callable[[Repodata], None]) -> None:
        try:
            read(self._repodata)
        except NetworkError:
            if self.dropped or self.unanswered or not (self._may_drop or self._optional):
                raise
            self._drop(read)

    def _drop(self, read: Callable[[Repodata], None]) -> None:
        """Query each channel alone, and continue without those that fail and may."""
        self._repodata.close()
        left = []
        for url in self._others:
            alone = self._opened([url])
            try:
                read(alone)
                left.append(url)
            except NetworkError as error:
                if url in self._optional:
                    self.unanswered[url] = error
                elif self._may_drop:
                    self.dropped[url] = error
                else:
                    raise
            finally:
                alone.close()
        self._repodata = self._opened(left)
        read(self._repodata)

    def records(self, name: str) -> tuple[Record, ...]:
        """The records of a name in channel order; with strict priority only those of the first channel that has it, and
        of the channels that the request names for it.

        `host` may have to pack its python, so it is not queried where an earlier channel serves the name.
        """
        self.prefetch([name])
        records = list(self._repodata.records(name))
        reached = self._reached.get(name, ())
        if self._host is not None and (
            HOST in reached or not (self._is_strict and self._is_served_before_host(records))
        ):
            records += [record for record in self._host.records(name) if record.subdir in self._subdirs]
        ranked = sorted(records, key=self._rank)
        if not self._is_strict or not ranked:
            return tuple(ranked)
        first = next((each.origin for each in ranked if self._may_serve(name, each.origin)), ranked[0].origin)
        return tuple(record for record in ranked if record.origin == first or record.origin in reached)

    def names(self) -> frozenset[str]:
        """The names of all packages of the channels; of `host` those that it always has. Raises as `prefetch`."""
        return self._repodata.names() | ({"python"} if self._host is not None else set())

    def hidden(self, name: str) -> tuple[Record, ...]:
        """The records of a name, already read, that strict priority leaves out."""
        read = self._repodata.remembered(name) if self._is_strict and "_repodata" in self.__dict__ else ()
        served = {record.origin for record in self.records(name)} if read else ()
        return tuple(record for record in read if record.origin not in served)

    def wheels(self, names: Iterable[str]) -> tuple[ChannelWheel, ...]:
        """The wheels that channels list under these conda names (CEP 48): of the first channel that has any.

        Raises as `prefetch`.
        """
        wanted = tuple(names)
        self.prefetch(wanted)
        listed = (wheel for name in wanted for wheel in self._repodata.wheels(name))
        candidates = [wheel for wheel in listed if self._may_serve(wheel.file.project, wheel.file.origin)]
        ranked = sorted(candidates, key=lambda wheel: self._order.get(wheel.file.origin, len(self._order)))
        reached = {origin for name in wanted for origin in self._reached.get(name, ())}
        return unique(
            wheel for wheel in ranked if not self._is_strict or wheel.file.origin in {ranked[0].file.origin, *reached}
        )

    def lists_wheels(self, name: str, origins: Collection[str]) -> bool:
        """Whether one of these channels lists wheels under a conda name. Raises as `prefetch`."""
        self.prefetch([name])
        return any(wheel.file.origin in origins for wheel in self._repodata.wheels(name))

    def wheel_projects(self, name: str) -> tuple[str, ...] | None:
        """The project of a conda name under which channels list wheels and no package; `None` for any other name."""
        if "_repodata" not in self.__dict__ or self._repodata.remembered(name):
            return None
        return tuple(dict.fromkeys(wheel.file.project for wheel in self._repodata.wheels(name))) or None

    def known(self, records: Iterable[Record]) -> dict[str, Record]:
        """The channels' records of these packages, by identity, from what was already read."""
        wanted = {(record.identity, record.sha256) for record in records if record.ecosystem == "conda"}
        if "_repodata" not in self.__dict__:
            return {}
        names = {identity.rsplit("-", 2)[0] for identity, _ in wanted}
        read = (record for name in names for record in self._repodata.remembered(name))
        return {record.identity: record for record in read if (record.identity, record.sha256) in wanted}

    def _may_serve(self, name: str, origin: str) -> bool:
        return self._policy is None or self._policy.may_serve((name,), origin)

    def _is_served_before_host(self, records: Iterable[Record]) -> bool:
        return any(
            self._rank(record) < self._order[HOST] and self._may_serve(record.name, record.origin) for record in records
        )

    def _rank(self, record: Record) -> int:
        return self._order.get(record.origin, len(self._order))

    def _packer(self, record: Record) -> HostChannel | None:
        """The `host` channel, if the record is of it."""
        return self._host if record.origin in {HOST, self._names.host} else None  # a lock has the URL

    def packed(self, record: Record) -> Record:
        """The record, with its hash if it is the `host` channel's and was packed meanwhile. Raises as `HostChannel`."""
        host = self._packer(record)
        return record if host is None else host.packed(record)

    def stored(self, record: Record) -> Path | None:
        """Return the archive of a record, as `Client.stored`; that of the `host` channel may not be written yet."""
        if (host := self._packer(record)) is not None:
            return host.stored(record)
        if record.sha256 is None or record.size is None:
            return None
        return self._client().stored(record.url, record.sha256, record.size, record.filename)

    def archive(self, record: Record, progress: Progress | None = None) -> Path:
        """Return the archive of a record, verified by its sha256; of old records, which have none, by its md5.

        Raises `UnsafeInputError` (`hash-missing`) if the channel gives neither, else as `Client.download`.
        """
        if (host := self._packer(record)) is not None:
            return host.archive(record)
        if record.sha256 is None and record.md5 is None:
            raise UnsafeInputError(
                "hash-missing",
                f"the channel gives no hash for {record.filename}, so its download cannot be verified",
                context=(f"channel: {record.origin}",),
                hint="index the channel again with a tool that writes sha256",
            )
        path = self._client().download(
            record.url, sha256=record.sha256, size=record.size, name=record.filename, on_progress=progress
        )
        if record.sha256 is None:
            _check_md5(record, path)
        return path


def _check_md5(record: Record, path: Path) -> None:
    """Raise `IntegrityError` (`hash-mismatch`) if an archive has another md5 than its record."""
    with faults(path):
        found = sha256_of(path, "md5")
    if found != record.md5:
        raise IntegrityError(
            "hash-mismatch",
            f"{record.filename} has another md5 than the channel states",
            context=(masked(record.url), f"expected: {record.md5}", f"found: {found}"),
            hint="try again; if it persists, report it to the channel's maintainers",
        )


def same_package(record: Record, index: Mapping[str, object]) -> None:
    """Compare an archive's index.json with its record in the channel.

    `depends` may differ: channels patch their repodata. Raises `IntegrityError` (`metadata-mismatch`).
    """
    for key, expected in (("name", record.name), ("version", record.version), ("build", record.build)):
        actual = index.get(key)
        if str(actual).lower() != expected.lower():
            raise IntegrityError(
                "metadata-mismatch",
                f"{record.filename} does not match its channel: {key} is {actual}, not {expected}",
                context=(f"channel: {record.origin}",),
                hint="the channel and the archive disagree: report it to the channel's maintainers",
            )
