"""The lock that is there already: what it keeps, and what it was made from. Merge conflicts in it are no obstacle."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from bridge import fs
from bridge.errors import BridgeError, UsageError
from bridge.lock.content import Format, Inputs
from bridge.lock.platforms import Place, names_of
from bridge.lock.rattler_v6 import TABLE
from bridge.lock.records import record_of
from bridge.requirements.algebra import conda_version
from bridge.requirements.files.locks.bridge_table import key_of_file
from bridge.requirements.files.locks.reading import read_lock
from bridge.requirements.files.text import read_lock_text
from bridge.requirements.locked import Locked, LockedConda, LockedEnvironment
from converters.deferred import replace
from converters.record import Record

__all__ = ["Previous", "merged", "read_previous", "sides"]

_READ: frozenset[Format] = frozenset({"rattler", "conda-lock", "pylock"})
_CONFLICT = re.compile(r"^<{7} ", re.MULTILINE)
_INPUTS = re.compile(rf"^{TABLE}:\n(?:(?: [^\n]*)?\n)*", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """A lock that was read, or the absence of one.

    :param is_conflict: it had the marks of a merge conflict; both sides count.
    """

    exists: bool = False
    is_conflict: bool = False
    environments: tuple[LockedEnvironment, ...] = ()
    inputs: Inputs = field(default_factory=Inputs)

    def environment(self, place: Place) -> LockedEnvironment | None:
        """Return the environment of a place, if it is locked for its platform."""
        named = (each for each in self.environments if each.name == place.environment)
        return next((each for each in named if place.platform in each.packages), None)

    def packages(self, place: Place) -> tuple[Locked, ...]:
        """Return what is locked for a place; nothing if it is not in the lock."""
        environment = self.environment(place)
        return () if environment is None else environment.packages[place.platform]

    def kept(self, place: Place, *, without: Collection[str] = ()) -> dict[str, str]:
        """Return what to keep, as `bridge.resolve.Standing.kept`; `without`: the names to upgrade."""
        kept = {}
        for each in self.packages(place):
            if each.name in without:
                continue
            if isinstance(each, LockedConda):
                kept[each.name] = each.record.identity
            else:
                kept[f"pypi:{each.name}"] = each.filename or each.url.rpartition("/")[2]
        return kept

    def versions(self, place: Place, *, without: Collection[str] = ()) -> dict[str, str]:
        """Return the versions to keep, as `bridge.lock.platforms.solve_all` takes them."""
        versions: dict[str, str] = {}
        for each in self.packages(place):
            if each.name not in without:
                versions |= names_of(record_of(each))
        return versions

    def with_choices(self, place: Place, packages: Iterable[Locked], *, without: Collection[str]) -> Iterator[Locked]:
        """Yield packages, each with the reason that was locked with the same file: a later solve may word it otherwise.

        :param without: the names to upgrade.
        """
        known = {(key_of_file(each), each.sha256): each.facts for each in self.packages(place)}
        for each in packages:
            before = known.get((key_of_file(each), each.sha256))
            if before is None or each.facts is None or each.name in without:
                yield each
            else:
                yield replace(each, facts=replace(each.facts, choice=before.choice))

    def records(self, place: Place) -> tuple[Record, ...]:
        """Return the packages of a place as records: the METADATA of a wheel is that in the lock."""
        return tuple(record_of(each) for each in self.packages(place))


def read_previous(path: Path, form: Format) -> Previous:
    """Read the lock at `path`, if there is one in a format that is read back.

    A text with the marks of a merge conflict counts as both of its sides: where they differ, the newer package is kept.
    Raises what reading a lock raises.
    """
    if form not in _READ or not path.exists():
        return Previous(exists=path.exists())
    text = read_lock_text(path)
    if not _CONFLICT.search(text):
        try:
            return _read(path, text)
        except BridgeError as error:
            error.hint = f"restore {path} from version control, or remove it, then lock again"
            raise
    locks = []
    for side in sides(text):
        with tempfile.TemporaryDirectory(prefix="bridge-lock-") as folder:
            # Relative locations are preferences only: the solve reads them from the inputs.
            copy = Path(folder) / path.name
            fs.publish_file(copy, [side.encode("utf-8")])
            try:
                locks.append(_read(copy, side))
            except BridgeError:
                continue  # two changes in one entry: this side alone is no lock
    if not locks:
        raise UsageError(
            "lock-conflict",
            f"{path} has a merge conflict, and neither of its sides is a lock",
            hint=f"take one side (`git checkout --ours {path}`), then lock again",
        )
    return merged(locks)


def _read(path: Path, text: str) -> Previous:
    lock = read_lock(path)
    return Previous(exists=True, environments=tuple(map(_read_through, lock.environments)), inputs=_inputs(path, text))


def _read_through(environment: LockedEnvironment) -> LockedEnvironment:
    """Return the environment with the packages of all platforms read."""
    return replace(environment, packages=dict(environment.packages))


def sides(text: str) -> tuple[str, str]:
    """Return the two sides of a text with git's conflict marks, without the common ancestor of `diff3`."""
    ours: list[str] = []
    theirs: list[str] = []
    to: Sequence[list[str]] = (ours, theirs)
    for line in text.splitlines(keepends=True):
        mark = line[:7] if line[7:8] in {"", " ", "\n", "\r"} else ""
        if mark == "<" * 7:
            to = (ours,)
        elif mark == "|" * 7:
            to = ()
        elif mark == "=" * 7 and len(to) < 2:
            to = (theirs,)
        elif mark == ">" * 7:
            to = (ours, theirs)
        else:
            for side in to:
                side.append(line)
    return "".join(ours), "".join(theirs)


def merged(locks: Sequence[Previous]) -> Previous:
    """Return what several sides keep together: of each name the newer package, and the inputs of all."""
    names = dict.fromkeys(environment.name for each in locks for environment in each.environments)
    environments = []
    for name in names:
        parts = [environment for each in locks for environment in each.environments if environment.name == name]
        platforms = dict.fromkeys(platform for part in parts for platform in part.packages)
        packages = {
            platform: _newest(each for part in parts for each in part.packages.get(platform, ()))
            for platform in platforms
        }
        environments.append(
            LockedEnvironment(name=name, channels=parts[0].channels, indexes=parts[0].indexes, packages=packages)
        )
    return Previous(
        exists=True,
        is_conflict=True,
        environments=tuple(environments),
        inputs=_together([each.inputs for each in locks]),
    )


def _newest(packages: Iterable[Locked]) -> tuple[Locked, ...]:
    kept: dict[str, Locked] = {}
    for each in packages:
        known = kept.get(each.name)
        if known is None or _rank(each) > _rank(known):
            kept[each.name] = each
    return tuple(kept.values())


def _rank(each: Locked) -> tuple[object, ...]:
    version = conda_version(each.version) if each.version else None
    build = each.record.build_number if isinstance(each, LockedConda) else 0
    return (version is not None, version if version is not None else each.version, build)


def _together(inputs: Sequence[Inputs]) -> Inputs:
    def joined(name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for each in inputs for text in getattr(each, name)))

    lists = {name: joined(name) for name in _LISTS}
    options: dict[str, object] = {}
    for each in inputs:
        options = {**each.options, **options}
    return Inputs(**lists, options=options)


_LISTS = ("requirements", "editables", "files", "extras", "groups", "environments", "platforms")


def _inputs(path: Path, text: str) -> Inputs:
    """Return what a lock was made from, of its table `bridge`; nothing where another tool wrote it.

    Raises `UsageError` (`lock-inputs`) for a table that is not as bridge writes it.
    """
    match = _INPUTS.search(f"{text}\n")
    if match is None:
        return Inputs()
    try:
        table = yaml.safe_load(match[0])[TABLE]
        inputs = table.get("inputs") or {}
        lists = {name: _texts(inputs.get(name)) for name in _LISTS}
        options = {str(name): _option(value) for name, value in (inputs.get("options") or {}).items()}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            "lock-inputs",
            f"{path}: its table `{TABLE}` does not say what it was made from",
            context=(reason,),
            hint="name requirements, or a file with -r FILE, and a new lock with -o FILE",
        ) from error
    return Inputs(**lists, options=options)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, type(None))) or not all(isinstance(each, str) for each in value or ()):
        raise TypeError("a list of texts was expected")
    return tuple(value or ())


def _option(value: object) -> object:
    if isinstance(value, list):
        return _texts(value)
    if not isinstance(value, (str, bool, int, float)):
        raise TypeError("an option has no value")
    return value
