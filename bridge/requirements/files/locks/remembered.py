"""Keep what a lock of rattler says of one environment and platform, so that an unchanged one is not parsed again.

A value counts only for the same text at the same path, read by the same version of bridge. A lock that is read with
warnings, or that has secrets in its URLs, is not kept.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from bridge import __version__
from bridge.cache.blobs import BlobStore
from bridge.requirements.locked import Facts, Lock, Locked, LockedConda, LockedEnvironment, LockedSource, LockedWheel
from bridge.secrets import has_secret
from converters.record import Record

__all__ = ["LockStore"]

_FORMAT = 1
_KINDS = (LockedConda, LockedWheel, LockedSource)
_OF_ENVIRONMENT = ("name", "channels", "indexes", "find_links", "requires_python")


class LockStore:
    """What locks say, in a cache: one file for each path, environment and platform."""

    def __init__(self, cache: Path) -> None:
        self._blobs = BlobStore(cache / "locks", root=cache)

    def read(self, path: Path, text: str, environment: str | None, subdir: str) -> Lock | None:
        """Return the lock with this environment and platform alone; `None` if it is not known."""
        context = _context(text)

        def parse(value: Any) -> Lock | None:  # noqa: ANN401 - JSON
            return None if value[0] != context else _lock(path, value[1], subdir)

        return self._blobs.read(_key(path, environment, subdir), parse)

    def keep(self, lock: Lock, text: str, environment: str | None, subdir: str) -> None:
        """Write down what a lock says of an environment and a platform, which it has."""
        chosen = lock.environment(environment)
        if lock.format != "rattler" or lock.warnings or chosen.markers or has_secret(text):
            return
        document = {
            "version": lock.version,
            "environment": {name: getattr(chosen, name) for name in _OF_ENVIRONMENT},
            "virtual_packages": chosen.virtual_packages.get(subdir),
            "packages": [_packed(each) for each in chosen.packages[subdir]],
        }
        value = json.dumps([_context(text), document], separators=(",", ":"))
        self._blobs.set(_key(lock.path, environment, subdir), value.encode("utf-8", "surrogatepass"))


def _key(path: Path, environment: str | None, subdir: str) -> str:
    return f"{path.absolute()}\0{environment}\0{subdir}"


def _context(text: str) -> str:
    names = [list(kind.__annotations__) for kind in (*_KINDS, Facts, Record)]
    stated = json.dumps([_FORMAT, __version__, names])
    return hashlib.sha256(f"{stated}{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _lock(path: Path, document: Any, subdir: str) -> Lock:  # noqa: ANN401 - JSON
    virtual = document["virtual_packages"]
    environment = LockedEnvironment(
        **{name: _frozen(value) for name, value in document["environment"].items()},
        packages={subdir: tuple(_unpacked(each) for each in document["packages"])},
        virtual_packages={} if virtual is None else {subdir: tuple(virtual)},
    )
    return Lock(path=path, format="rattler", version=document["version"], environments=(environment,))


def _packed(each: Locked) -> object:
    values: dict[str, object] = {name: getattr(each, name) for name in type(each).__annotations__}
    if each.facts is not None:
        values["facts"] = {name: getattr(each.facts, name) for name in Facts.__annotations__}
    if isinstance(each, LockedConda):
        record = {name: getattr(each.record, name) for name in Record.__annotations__}
        values["record"] = record | {"others": [[key, json.dumps(value)] for key, value in each.record.others]}
    return _KINDS.index(type(each)), values


def _unpacked(packed: Any) -> Locked:  # noqa: ANN401 - what `_packed` returned
    number, values = packed
    facts = values.pop("facts")
    if facts is not None:
        facts = Facts(**{name: _frozen(value) for name, value in facts.items()})
    if number:
        kind = LockedWheel if number == 1 else LockedSource
        return kind(**{name: _frozen(value) for name, value in values.items()}, facts=facts)
    record = {name: _frozen(value) for name, value in values["record"].items()}
    record["others"] = tuple((key, json.loads(value)) for key, value in values["record"]["others"])
    return LockedConda(
        record=Record(**record),
        is_complete=values["is_complete"],
        requested=_frozen(values["requested"]),
        facts=facts,
    )


def _frozen(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a value with tuples for lists."""
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
