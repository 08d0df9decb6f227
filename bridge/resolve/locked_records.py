"""Conda packages of a lock as the only candidates of their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from bridge.errors import NetworkError, NoSolutionError
from bridge.resolve.sources import RecordPort
from converters.deferred import dataclass, regex
from converters.names import projects_of_purls
from converters.record import Record

if TYPE_CHECKING:
    from bridge.requirements.locked import LockedConda

__all__ = ["LockedRecords", "RecordsWithLocked", "with_locks"]

_WORD = regex(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedRecords:
    """:param by_name: conda name → what locks name for it.
    :param versions: conda name or project → (versions, lock): what locks name, and in which file.
    :param is_whole: nothing but a lock with its own python is asked for, so that no other package may be chosen.
    """

    by_name: Mapping[str, tuple[LockedConda, ...]] = field(default_factory=dict)
    versions: Mapping[str, tuple[Sequence[str], str]] = field(default_factory=dict)
    is_whole: bool = False

    @property
    def urls(self) -> frozenset[str]:
        return frozenset(each.record.url for packages in self.by_name.values() for each in packages)

    @property
    def projects(self) -> dict[str, list[str]]:
        """Conda name → the PyPI projects that the lock says it provides."""
        known = {
            name: list(dict.fromkeys(project for each in packages for project in projects_of_purls(each.record.purls)))
            for name, packages in self.by_name.items()
        }
        return {name: projects for name, projects in known.items() if projects}


def with_locks(error: NoSolutionError, locked: LockedRecords) -> NoSolutionError:
    """Add to an error which lock names a version of what the explanation mentions."""
    steps = error.objects.get("derivation")
    said = " ".join(str(step) for step in steps) if isinstance(steps, list) else ""
    facts = []
    for name in dict.fromkeys(_WORD.findall(said)):
        versions, path = locked.versions.get(name, ((), ""))
        if versions:
            facts.append(f"the lock {path} has {name} {', '.join(versions)}, and no other version may be chosen")
    if not facts:
        return error
    hint = "make the lock again with these requirements, or require what it has"
    context = (*error.context, *facts)
    return NoSolutionError(error.id, error.message, context=context, hint=hint, objects=error.objects)


class RecordsWithLocked:
    """A `RecordPort` that serves locked names from the lock: no channel is asked for them.

    Of a lock that does not state all of a record (conda-lock.yml), the channel's record of the same file is taken, if
    the channel answers and still has it.
    """

    def __init__(self, source: RecordPort, locked: LockedRecords) -> None:
        self._source, self._locked = source, locked
        self._found: dict[str, tuple[Record, ...]] = {}

    def prefetch(self, names: Iterable[str]) -> None:
        if not self._locked.is_whole:
            self._source.prefetch([name for name in names if name not in self._locked.by_name])

    def records(self, name: str) -> Sequence[Record]:
        packages = self._locked.by_name.get(name)
        if packages is None:
            return () if self._locked.is_whole else self._source.records(name)
        if name not in self._found:
            is_complete = all(each.is_complete for each in packages)
            known = {} if is_complete else self._known(name)
            self._found[name] = tuple(known.get(each.url, each.record) for each in packages)
        return self._found[name]

    def _known(self, name: str) -> dict[str, Record]:
        try:
            return {record.url: record for record in self._source.records(name)}
        except NetworkError:
            return {}
