"""`bridge diff`, and `bridge audit --against LOCK`: what two environments or locks have different."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge import prefix
from bridge.audit.look.inspection import Drift
from bridge.cli.commands.syncing import Chosen, is_of_wheels, wanted_of
from bridge.cli.session import Session
from bridge.config.environments import known_environments, locate
from bridge.errors import UsageError, did_you_mean
from bridge.install.plan import with_unmanaged
from bridge.model import PrefixState
from bridge.paths import META
from bridge.requirements.locked import Locked, LockedConda
from bridge.secrets import masked
from converters.names import NameMap
from converters.record import Record

__all__ = ["COLUMNS", "Difference", "Package", "diff", "drift"]

COLUMNS = ("", "package", "first", "second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package of a side. `build` is empty where a lock does not state it; `source`: `conda` or `wheel`."""

    name: str
    version: str
    build: str
    source: str
    sha256: str | None
    url: str

    @property
    def shown(self) -> str:
        return " ".join(filter(None, (self.version, self.build, self.source)))

    def to_json(self) -> dict[str, object]:
        return {
            "version": self.version,
            "build": self.build,
            "source": self.source,
            "sha256": self.sha256,
            "url": masked(self.url),
        }

    def is_same(self, other: Package) -> bool:
        """Whether both are one artifact, by its hash where both state one."""
        if self.sha256 and other.sha256:
            return self.sha256 == other.sha256
        builds, versions = ({*pair} - {""} for pair in ((self.build, other.build), (self.version, other.version)))
        return self.source == other.source and len(builds) < 2 and len(versions) < 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What the second side has different. The values are by native name."""

    first: str
    second: str
    added: Mapping[str, Package]
    removed: Mapping[str, Package]
    changed: Mapping[str, tuple[Package, Package]]

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The table of `bridge diff`."""
        rows = [("+", name, "", each.shown) for name, each in self.added.items()]
        rows += [("-", name, each.shown, "") for name, each in self.removed.items()]
        rows += [("~", name, *_told_apart(old, new)) for name, (old, new) in self.changed.items()]
        return sorted(rows, key=lambda row: row[1])

    def to_json(self) -> dict[str, object]:
        """The document of `bridge diff`."""
        return {
            "first": self.first,
            "second": self.second,
            "added": [{"name": name, "second": each.to_json()} for name, each in sorted(self.added.items())],
            "removed": [{"name": name, "first": each.to_json()} for name, each in sorted(self.removed.items())],
            "changed": [
                {"name": name, "first": old.to_json(), "second": new.to_json()}
                for name, (old, new) in sorted(self.changed.items())
            ],
        }


def _told_apart(old: Package, new: Package) -> tuple[str, str]:
    """Return both as text, with the beginning of their hashes where nothing else differs."""
    if old.shown != new.shown:
        return old.shown, new.shown
    return tuple(f"{each.shown} {(each.sha256 or '')[:12]}" for each in (old, new))  # type: ignore[return-value]


def compare(first: str, one: Mapping[str, Package], second: str, other: Mapping[str, Package]) -> Difference:
    """Return what `other` has different from `one`. Pure."""
    return Difference(
        first=first,
        second=second,
        added={name: each for name, each in other.items() if name not in one},
        removed={name: each for name, each in one.items() if name not in other},
        changed={
            name: (each, other[name]) for name, each in one.items() if name in other and not each.is_same(other[name])
        },
    )


def diff(first: str, second: str, session: Session, *, environment: str | None = None) -> Difference:
    """Compare two environments or locks, each named by its path, or an environment by its name.

    Locks are read for the platform of the run.
    """
    sides = [_side(text, session, environment) for text in (first, second)]
    return compare(first, sides[0], second, sides[1])


def _side(text: str, session: Session, environment: str | None) -> dict[str, Package]:
    path = _located(text, session)
    if path.is_dir():
        if not (path / META).is_dir():
            prefix.check(path)
        state = prefix.require(path)
        return _of_environment(with_unmanaged(state), session.names(session.local_channel_urls(state), state))
    if not path.exists():
        known = known_environments(session.settings.conda, os.environ)
        question = did_you_mean(text, (each.name for each in known if each.name))
        raise UsageError(
            "no-such-side",
            f"there is neither an environment nor a lock {text}",
            hint=f"{question} give a path, or the name of an environment: `bridge env list` shows all".strip(),
        )
    chosen = Chosen(path=text, environment=environment)
    wanted = wanted_of(chosen.read(session), chosen, session, PrefixState(prefix=path.absolute()), may_lack_python=True)
    return _of_lock(wanted.packages, session.names(()))


def _located(text: str, session: Session) -> Path:
    """The path that a side names: a lock or an environment there, else the environment of that name."""
    path = Path(text)
    if os.sep in text or path.is_file() or (path / META).is_dir():
        return path
    try:
        named = locate(text, session.settings.conda, os.environ)
    except UsageError:  # It cannot be a name.
        return path
    return named if named.is_dir() else path


def _of_environment(state: PrefixState, names: NameMap) -> dict[str, Package]:
    return {_name(each.record, names): _package(each.record) for each in state.installed}


def _name(record: Record, names: NameMap) -> str:
    if record.ecosystem == "wheel" and record.pypi_names:
        return names.native_name(record.pypi_names[0])
    return record.name


def _package(record: Record) -> Package:
    is_known = record.subdir != "pypi"
    return Package(
        name=record.name,
        version=record.version,
        build=record.build if is_known and record.ecosystem == "conda" else "",
        source=record.ecosystem,
        sha256=record.sha256,
        url=record.url,
    )


def _of_lock(packages: Sequence[Locked], names: NameMap) -> dict[str, Package]:
    versions = {}
    for each in packages:
        if isinstance(each, LockedConda):
            versions[each.record.name] = _package(each.record)
        else:
            native = names.native_name(each.name)
            versions[native] = Package(
                name=native, version=each.version, build="", source="wheel", sha256=each.sha256, url=each.url
            )
    return versions


def drift(path: Path, lock: str, session: Session, *, environment: str | None = None) -> tuple[Drift, ...]:
    """Return how an environment differs from (one environment of) a lock. Raises what reading the lock raises."""
    state = prefix.require(path)
    names = session.names(session.local_channel_urls(state), state)
    chosen = Chosen(path=lock, environment=environment)
    read = chosen.read(session)
    wanted = wanted_of(read, chosen, session, state)
    comparison = compare(
        lock, _of_lock(wanted.packages, names), str(path), _of_environment(with_unmanaged(state), names)
    )
    leaves_conda = is_of_wheels(read, wanted.packages)
    of_lock = ("--environment", environment) if environment is not None else ()
    repair = ("bridge", "sync", "-p", str(path), *of_lock, lock)
    found_drift = [
        Drift(id="lock-missing", name=name, evidence=f"{lock} has {name} {each.shown}", repair=repair)
        for name, each in comparison.removed.items()
    ]
    found_drift += [
        Drift(id="lock-extra", name=name, evidence=f"{lock} has no {name}; {each.shown} is installed", repair=repair)
        for name, each in comparison.added.items()
        if not (leaves_conda and each.source == "conda")  # a lock of wheels says nothing of conda packages
    ]
    found_drift += [
        Drift(id="lock-other", name=name, evidence=_other(lock, old, new), repair=repair)
        for name, (old, new) in comparison.changed.items()
    ]
    return tuple(sorted(found_drift, key=lambda each: each.name))


def _other(lock: str, old: Package, new: Package) -> str:
    if (old.version, old.source) != (new.version, new.source) or old.build != new.build:
        return f"{lock} has {old.shown}; {new.shown} is installed"
    return f"{lock} has {old.shown} with sha256 {old.sha256}; the installed one has {new.sha256}"
