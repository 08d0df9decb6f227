"""`bridge fetch`: every archive that a lock needs, as a folder."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge import fs
from bridge.cache.blobs import sha256_of
from bridge.cli.commands.syncing import Chosen
from bridge.cli.policies import refuse_unattested
from bridge.cli.session import Session
from bridge.errors import UnsafeInputError, UsageError
from bridge.faults import faults
from bridge.fetch.urls import file_name
from bridge.install.exact.planning import python_of
from bridge.lock.records import record_of
from bridge.lock.ruling import refuse_locked
from bridge.requirements.locked import Locked, LockedConda, LockedEnvironment, LockedSource, LockedWheel, for_target
from bridge.secrets import SECRETS, masked
from converters.target import Target

__all__ = ["Fetched", "fetch"]

# Of a project with several files the one for the platform is taken: on a machine that has all that wheels ask for.
_NEW = (("__glibc", "2.99", "0"), ("__osx", "99.0", "0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The archives in a folder as (path in it, sha256); `new` of them were written now."""

    directory: Path
    files: tuple[tuple[str, str], ...]
    new: int

    def to_json(self) -> dict[str, object]:
        """The document of `bridge fetch`."""
        return {
            "directory": str(self.directory),
            "files": [{"path": path, "sha256": sha256} for path, sha256 in self.files],
            "new": self.new,
        }


def fetch(chosen: Chosen, output: Path, session: Session) -> Fetched:
    """Copy every archive that an environment of a lock needs into a folder: `sync --offline --from DIR` reads it.

    All platforms of the lock are fetched, or the one of `--platform`. The lock is copied too.

    Raises what reading and downloading raise; `UnsafeInputError` (`hash-missing`).
    """
    lock = chosen.read(session)
    environment = lock.environment(chosen.environment)
    platform = session.settings.platform
    platforms = [platform] if platform is not None else sorted(environment.packages)
    wanted = {_key(each): each for subdir in platforms for each in _needed(environment, subdir, lock.path)}
    refuse_locked(wanted.values(), session.policy, lambda: session.names(()))
    refuse_unattested((record_of(each) for each in wanted.values()), session)
    left = [each for each in wanted.values() if isinstance(each, LockedSource) and each.kind in {"git", "directory"}]
    session.tell_once(
        [f"{each.name} is source code, of which there is no archive: {masked(each.url)}" for each in left]
    )
    archives = [each for each in wanted.values() if each not in left]
    sdists = [each.name for each in archives if isinstance(each, LockedSource)]
    if sdists:
        message = f"build requirements are not fetched: {', '.join(sdists)} (fetch it with a wheel, or build online)"
        session.tell_once([message])
    places = _places(archives)
    copied = session.client.map(lambda each: _copy(each, output / places[_key(each)], session), archives)
    fs.make_directories(output)
    with faults(lock.path):
        fs.publish_file(output / lock.path.name, [lock.path.read_bytes()])
    files = sorted((places[_key(each)], _sha256(each)) for each in archives)
    return Fetched(directory=output, files=tuple(files), new=sum(copied))


def _needed(environment: LockedEnvironment, subdir: str, path: Path) -> tuple[Locked, ...]:
    """Return what is installed on a platform; all wheels for it, where only the machine could tell which is."""
    packages = environment.on(subdir, path)
    python = python_of(each.record for each in packages if isinstance(each, LockedConda))
    if python is not None:
        with suppress(UsageError):
            return for_target(environment, Target(subdir=subdir, virtual_packages=_NEW, python=python), path)
    wheels = {each.name for each in packages if isinstance(each, LockedWheel)}
    return tuple(each for each in packages if not isinstance(each, LockedSource) or each.name not in wheels)


def _places(archives: Iterable[Locked]) -> dict[tuple[str, str], str]:
    """Return the place of each archive in the folder: `conda/SUBDIR/NAME`, `pypi/NAME`; equal names lie apart."""
    taken: dict[str, tuple[str, str]] = {}
    places = {}
    for each in archives:
        folder = f"conda/{each.record.subdir}" if isinstance(each, LockedConda) else "pypi"
        place = f"{folder}/{_name(each)}"
        if taken.setdefault(place, _key(each)) != _key(each):
            place = f"{folder}/{_sha256(each)[:16]}/{_name(each)}"
        places[_key(each)] = place
    return places


def _copy(locked: Locked, path: Path, session: Session) -> int:
    """Write one archive, unless it is there; return 1 if it was written."""
    sha256 = _sha256(locked)
    with faults(path):
        if path.is_file() and sha256_of(path) == sha256:
            return 0
    url = locked.record.url if isinstance(locked, LockedConda) else locked.url
    size = locked.record.size if isinstance(locked, LockedConda) else locked.size
    origin = locked.record.origin if isinstance(locked, LockedConda) else locked.index
    if origin:
        SECRETS.inherit(url, origin)
    if isinstance(locked, LockedConda) and origin == session.settings.conda.names.host:
        from bridge.channels.host import HostChannel

        source = HostChannel(session.settings.cache_dir).archive(locked.record)  # written only where one is asked for
    else:
        source = session.client.download(
            url.partition("#")[0], sha256=sha256, size=size, name=_name(locked), on_progress=session.progress
        )
    fs.make_directories(path.parent)
    with faults(source), source.open("rb") as stream:
        fs.publish_file(path, stream)
    return 1


def _key(locked: Locked) -> tuple[str, str]:
    url = locked.record.url if isinstance(locked, LockedConda) else locked.url
    return _name(locked), (locked.sha256 or url)


def _name(locked: Locked) -> str:
    if isinstance(locked, LockedConda):
        return locked.record.filename or file_name(locked.record.url)
    return locked.filename or file_name(locked.url.partition("#")[0])


def _sha256(locked: Locked) -> str:
    if not locked.sha256:
        raise UnsafeInputError(
            "hash-missing",
            f"the lock gives no sha256 for {_name(locked)}, so what is fetched could not be verified",
            hint="write the lock again with a tool that records sha256",
        )
    return locked.sha256
