"""rattler's reader of lock files (rattler-lock, the format of pixi.lock), behind plain values.

No type of rattler leaves this module. py-rattler does not hand over everything that such a file says: the package
indexes and `editable` are read by `bridge.requirements.files.locks.rattler` itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rattler.lock import CondaLockedBinaryPackage, Environment, LockedPackage, LockFile, LockPlatform, PypiLockedPackage

from bridge.channels.panics import as_value_error

__all__ = ["LockedPypi", "RattlerEnvironment", "RattlerPlatform", "read_rattler_lock"]

_Result = TypeVar("_Result")
_DYNAMIC = "<dynamic>"  # the version that rattler gives to a project that states none


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPypi:
    """A PyPI package. `location` is a URL or a path as the lock writes it; `version` is empty if it states none."""

    name: str
    version: str
    location: str
    sha256: str | None
    md5: str | None
    requires_dist: tuple[str, ...]
    requires_python: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RattlerPlatform:
    """A platform of a lock. `name` may differ from `subdir`; `virtual_packages` are `NAME=VERSION=BUILD`."""

    name: str
    subdir: str
    virtual_packages: tuple[str, ...]


class RattlerEnvironment:
    """One environment of a lock; its packages are read when they are asked for.

    `channels` are URLs. Every method raises `ValueError` for what rattler cannot read.
    """

    def __init__(self, name: str, environment: Environment) -> None:
        self.name = name
        self._environment = environment
        self.channels = tuple(str(channel).rstrip("/") for channel in environment.channels())
        self._platforms = {platform.name: platform for platform in environment.platforms()}

    def platforms(self) -> tuple[RattlerPlatform, ...]:
        return tuple(_platform(platform) for platform in self._platforms.values())

    def conda(self, platform: str) -> list[dict[str, object]]:
        """Return the records of conda packages as JSON objects, with `url`, `fn` and `channel`."""
        packages = (each for each in self._packages(platform) if isinstance(each, CondaLockedBinaryPackage))
        return _read(lambda: [json.loads(each.repo_data_record().to_json()) for each in packages])

    def pypi(self, platform: str) -> list[LockedPypi]:
        packages = (each for each in self._packages(platform) if isinstance(each, PypiLockedPackage))
        return _read(lambda: [_pypi(each) for each in packages])

    def sources(self, platform: str) -> list[tuple[str, str]]:
        """Return (name, location) of the conda packages that are locked as source code."""
        known = (CondaLockedBinaryPackage, PypiLockedPackage)
        return [(each.name, each.location) for each in self._packages(platform) if not isinstance(each, known)]

    def _packages(self, platform: str) -> list[LockedPackage]:
        return _read(lambda: self._environment.packages(self._platforms[platform]) or [])


def read_rattler_lock(path: Path) -> list[RattlerEnvironment]:
    """Read a lock of rattler. Raises `ValueError`, also where rattler panics, with rattler's reason."""
    return _read(lambda: [RattlerEnvironment(*each) for each in LockFile.from_path(path).environments()])


def _read(read: Callable[[], _Result]) -> _Result:
    with as_value_error():
        return read()


def _platform(platform: LockPlatform) -> RattlerPlatform:
    return RattlerPlatform(
        name=platform.name, subdir=str(platform.subdir), virtual_packages=tuple(platform.virtual_packages)
    )


def _pypi(package: PypiLockedPackage) -> LockedPypi:
    hashes = package._package.hashes
    return LockedPypi(
        name=package.name,
        version="" if package.version == _DYNAMIC else package.version,
        location=package.location,
        sha256=hashes.sha256.hex() if hashes is not None and hashes.sha256 else None,
        md5=hashes.md5.hex() if hashes is not None and hashes.md5 else None,
        requires_dist=tuple(package.requires_dist),
        requires_python=package.requires_python,
    )
