"""Hashes that records of conda packages lack: the sha256 of conda before 4.7, the md5 of new channels and of `host`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from bridge.channels.sources import Channels
from bridge.errors import BridgeError
from bridge.fetch.urls import local_path
from bridge.requirements.locked import Locked, LockedConda, LockedEnvironment
from converters.deferred import replace

__all__ = ["with_hashes", "with_local_md5"]

_CHUNK = 1 << 20  # bytes


def with_hashes(
    packages: Iterable[Locked], channels: Callable[[], Channels], *, needs_md5: bool = False
) -> tuple[tuple[Locked, ...], list[str]]:
    """Return packages with hashes, and the names of the conda packages for which none could be found.

    The archive of a local channel is hashed. Of others the channel's record of the same file is taken. A file with
    another md5 than the installed record states is another one.

    :param channels: called if a package of a server lacks its hash.
    :param needs_md5: find the md5 of archives of local channels too, as of the packed interpreter.
    """
    known: list[Channels] = []

    def hashed(each: Locked) -> Locked:
        if not isinstance(each, LockedConda) or not each.url:
            return each
        local = local_path(each.url)
        if each.record.sha256 is not None and not (needs_md5 and each.record.md5 is None and local is not None):
            return each
        if local is not None:
            digests = _digests(Path(local))
        else:
            known.extend(() if known else [channels()])
            digests = _stated(each, known[0])
        if digests is None or each.record.md5 not in {None, digests[1]} or each.record.sha256 not in {None, digests[0]}:
            return each
        return replace(each, record=replace(each.record, sha256=digests[0], md5=each.record.md5 or digests[1]))

    whole = tuple(hashed(each) for each in packages)
    return whole, [each.name for each in whole if isinstance(each, LockedConda) and each.url and not each.sha256]


def with_local_md5(environments: Iterable[LockedEnvironment]) -> tuple[LockedEnvironment, ...]:
    """Return the environments with the md5 of each conda package of a local channel: conda-lock refuses one without."""

    def hashed(each: Locked) -> Locked:
        local = local_path(each.url) if isinstance(each, LockedConda) and each.record.md5 is None else None
        digests = _digests(Path(local)) if local is not None else None
        if not isinstance(each, LockedConda) or digests is None or digests[0] != each.sha256:
            return each
        return replace(each, record=replace(each.record, md5=digests[1]))

    return tuple(
        replace(each, packages={name: tuple(map(hashed, listed)) for name, listed in each.packages.items()})
        for each in environments
    )


def _digests(path: Path) -> tuple[str, str | None] | None:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as archive:
            while chunk := archive.read(_CHUNK):
                sha256.update(chunk)
                md5.update(chunk)
    except OSError:
        return None
    return sha256.hexdigest(), md5.hexdigest()


def _stated(each: LockedConda, channels: Channels) -> tuple[str, str | None] | None:
    """Return (sha256, md5) of the channel's record of the same URL."""
    try:
        records = channels.records(each.name)
    except BridgeError:
        return None
    same = next((record for record in records if record.url == each.url and record.sha256), None)
    return None if same is None or same.sha256 is None else (same.sha256, same.md5)
