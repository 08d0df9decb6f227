"""Conda channels as one source of records: names, URLs, directories, and the built-in `host`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.channels._rattler import channel_url
from bridge.channels.host import HostChannel
from bridge.channels.repodata import Repodata
from bridge.errors import IntegrityError, NetworkError, UnsafeInputError
from bridge.secrets import SECRETS
from converters.record import Record

if TYPE_CHECKING:
    from bridge.fetch.client import Client
    from bridge.fetch.responses import Progress

__all__ = ["Channels", "same_package"]


class Channels:
    """The channels of one run, highest priority first.

    :param client: creates the client; called when first needed.
    :param texts: names, URLs, `file://` URLs or directories; `host` is the interpreter that runs bridge.
    :param subdir: the target's; `noarch` is always read too.
    :param is_strict: only the first channel that has a name serves it; otherwise all do, in order.
    :param packs_late: as in `HostChannel`.
    :param may_drop: skip channels that do not answer; `dropped` holds their errors by URL.

    `urls` are the URLs of `texts`. Raises `UsageError` (`invalid-channel`).
    """

    def __init__(
        self,
        client: Callable[[], Client],
        texts: Sequence[str],
        subdir: str,
        cache: Path,
        *,
        offline: bool,
        is_strict: bool = True,
        packs_late: bool = False,
        may_drop: bool = False,
    ) -> None:
        self._is_strict = is_strict
        texts = tuple(map(SECRETS.kept_public, texts))
        self.texts = texts
        self._client = client
        self._host = _host(cache, packs_late=packs_late) if "host" in texts else None
        self.urls = tuple(self._host.url if text == "host" and self._host else channel_url(text) for text in texts)
        self._order = {url: place for place, url in enumerate(self.urls)}
        self._others = [url for url, text in zip(self.urls, texts, strict=True) if text != "host"]
        self._subdirs = frozenset((subdir, "noarch"))
        self._subdir, self._cache, self._is_offline = subdir, cache / "repodata", offline
        self._may_drop = may_drop
        self.dropped: dict[str, NetworkError] = {}

    @cached_property
    def _repodata(self) -> Repodata:
        return self._opened(self._others)

    def _opened(self, urls: Sequence[str]) -> Repodata:
        return Repodata(self._client, urls, self._subdir, self._cache, offline=self._is_offline)

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

    def prefetch(self, names: Iterable[str]) -> None:
        """Read several names with one query. Raises `NetworkError` (`channel-unreachable`, `offline`)."""
        wanted = tuple(names)
        try:
            self._repodata.prefetch(wanted)
        except NetworkError:
            if not self._may_drop or self.dropped:
                raise
            self._drop(wanted)

    def _drop(self, names: Sequence[str]) -> None:
        """Query each channel alone, and continue without those that fail."""
        self._repodata.close()
        left = []
        for url in self._others:
            alone = self._opened([url])
            try:
                alone.prefetch(names)
                left.append(url)
            except NetworkError as error:
                self.dropped[url] = error
            finally:
                alone.close()
        self._repodata = self._opened(left)
        self._repodata.prefetch(names)

    def records(self, name: str) -> tuple[Record, ...]:
        """The records of a name in channel order; with strict priority only those of the first channel that has it.

        `host` may have to pack its python, so it is not queried where an earlier channel serves the name.
        """
        self.prefetch([name])
        records = list(self._repodata.records(name))
        if self._host is not None and not (self._is_strict and self._is_served_before_host(records)):
            records += [record for record in self._host.records(name) if record.subdir in self._subdirs]
        ranked = sorted(records, key=self._rank)
        if not self._is_strict or not ranked:
            return tuple(ranked)
        return tuple(record for record in ranked if self._rank(record) == self._rank(ranked[0]))

    def known(self, records: Iterable[Record]) -> dict[str, Record]:
        """The channels' records of these packages, by identity, from what was already read."""
        wanted = {(record.identity, record.sha256) for record in records if record.ecosystem == "conda"}
        if "_repodata" not in self.__dict__:
            return {}
        names = {identity.rsplit("-", 2)[0] for identity, _ in wanted}
        read = (record for name in names for record in self._repodata.remembered(name))
        return {record.identity: record for record in read if (record.identity, record.sha256) in wanted}

    def _is_served_before_host(self, records: Iterable[Record]) -> bool:
        host = self._order[self._host.url] if self._host is not None else 0
        return any(self._rank(record) < host for record in records)

    def _rank(self, record: Record) -> int:
        return self._order.get(record.origin, len(self._order))

    def packed(self, record: Record) -> bool:
        """Whether the record is the `host` channel's."""
        return self._host is not None and record.origin == self._host.url

    def archive(self, record: Record, progress: Progress | None = None) -> Path:
        """Return the archive of a record, verified by its sha256.

        Raises `UnsafeInputError` (`hash-missing`) if the channel gives no sha256, else as `Client.download`.
        """
        if self._host is not None and self.packed(record):
            return self._host.archive(record)
        if record.sha256 is None:
            raise UnsafeInputError(
                "hash-missing",
                f"the channel gives no sha256 for {record.filename}, so its download cannot be verified",
                context=(f"channel: {record.origin}",),
                hint="index the channel again with a tool that writes sha256",
            )
        return self._client().download(
            record.url, sha256=record.sha256, size=record.size, name=record.filename, on_progress=progress
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


def _host(cache: Path, *, packs_late: bool) -> HostChannel:
    return HostChannel(cache / "host", packs_late=packs_late)
