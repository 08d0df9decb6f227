"""The candidates of one conda name: its records, best first, and the masks that meet requirements.

Bit 0 of a mask means "absent", bit i+1 the i-th candidate. Each distinct requirement text becomes a mask once, and each
distinct version is compared once per text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from bridge.requirements.algebra import (
    CondaSpec,
    conda_version,
    specifier_accepts,
)
from bridge.resolve.candidates.needs import Need, needs
from bridge.resolve.candidates.provides import canonical, provided_by, wheel_project_of
from bridge.resolve.candidates.ranks import record_rank
from bridge.resolve.masks import mask_of, meeting
from bridge.resolve.ruling import barred_records
from bridge.resolve.sources import Options
from converters.deferred import regex, replace
from converters.names import NameMap, Provided
from converters.record import Record
from converters.target import Python

__all__ = ["CondaName"]

_FREE_THREADED = regex(r"cp3\d+t\Z")


class CondaName:
    """The records of one conda name, best first, and the masks that meet requirements."""

    __slots__ = (
        "_masks",
        "_needs",
        "_pypi_masks",
        "_with_projects",
        "barred",
        "depends",
        "everything",
        "name",
        "projects",
        "provided",
        "records",
        "too_new",
        "wheel_project"
    )  # fmt: skip

    def __init__(self, name: str, records: Sequence[Record], names: NameMap, options: Options) -> None:
        self.name = name
        # If several channels serve a name (flexible priority), records of the first channel come first.
        channels = {origin: -place for place, origin in enumerate(dict.fromkeys(r.origin for r in records))}
        ranked = sorted(records, key=lambda record: (channels[record.origin], *record_rank(record)), reverse=True)
        self.records = tuple(ranked)
        self.provided = tuple(provided_by(record, names) for record in self.records)
        self.projects = frozenset(project for provided in self.provided for project in provided.projects)
        self.wheel_project = wheel_project_of(name, self.provided, names)
        self.depends = _group(record.requirements for record in self.records)
        self.everything = (1 << len(self.records) + 1) - 2  # the bits of all records
        self.too_new = _too_new(self.records, self.provided, options)
        self.barred: dict[str, int] = {}  # rule of the policy → the records that break it
        if options.policy is not None:
            self.barred = barred_records(self.records, self.provided, options.policy)
        self._with_projects: dict[int, Record] = {}
        self._masks: dict[str, int] = {}
        self._needs: tuple[tuple[Need, ...], tuple[Need, ...]] | None = None
        self._pypi_masks: dict[tuple[str, str], int] = {}

    @property
    def excluded(self) -> int:
        """The records that the cooldown or the policy excludes."""
        excluded = self.too_new
        for bits in self.barred.values():
            excluded |= bits
        return excluded

    def record(self, position: int) -> Record:
        """Return a record with the projects that it provides."""
        known = self._with_projects.get(position)
        if known is None:
            known = replace(self.records[position], pypi_names=self.provided[position].projects)
            self._with_projects[position] = known
        return known

    @property
    def needs(self) -> tuple[tuple[Need, ...], tuple[Need, ...]]:
        """The requirements and constraints of the records: those on python, and all others."""
        if self._needs is None:
            self._needs = needs(self.depends, _group(record.constraints for record in self.records))
        return self._needs

    @property
    def wheel_bit(self) -> int:
        """The bit after all records: "the wheel of the project that this name provides"."""
        return 1 << len(self.records) + 1

    def meets(self, spec: CondaSpec) -> int:
        """Return the records that meet a MatchSpec, by conda's version order."""
        known = self._masks.get(spec.text)
        if known is None:
            known = meeting(self.records, spec.accepts_version)
            if spec.names_a_build:
                known &= mask_of(
                    spec.accepts_build(record.build, record.build_number, record.origin, record.subdir)
                    and spec.accepts_artifact(record)
                    for record in self.records
                )
            self._masks[spec.text] = known
        return known

    def meets_pypi(self, project: str, specifier: str | None) -> int:
        """Return the records that provide `project` at a version that the specifier accepts (PEP 440)."""
        key = (project, specifier or "")
        known = self._pypi_masks.get(key)
        if known is None:
            known = mask_of(project in provided.projects for provided in self.provided)
            if known and specifier:
                known &= meeting(self.records, partial(specifier_accepts, specifier))
            self._pypi_masks[key] = known
        return known

    def at(self, version: str) -> int:
        """Return the records of a version, equal by conda's order."""
        wanted = conda_version(version)
        return meeting(
            self.records, lambda text: text == version or (wanted is not None and conda_version(text) == wanted)
        )

    def owns(self, project: str) -> int:
        """Return the records that exclude a wheel of `project`: they provide only that project, or have its name."""
        is_eponymous = canonical(self.name) == project
        return mask_of(project in each.projects and (is_eponymous or len(each.projects) == 1) for each in self.provided)

    def extra_depends(self, extra: str) -> tuple[int, dict[str, int]]:
        """Return the records that define an extra (CEP 44), and its requirements: MatchSpec text → bits of records."""
        offering = 0
        texts: dict[str, int] = {}
        for position, record in enumerate(self.records):
            for name, added in record.extra_requirements:
                if canonical(name) == canonical(extra):
                    offering |= 2 << position
                    for text in added:
                        texts[text] = texts.get(text, 0) | 2 << position
        return offering, texts

    def python(self, position: int) -> Python | None:
        """Return the interpreter in a record of the name `python`; `None` if it is not CPython."""
        record = self.records[position]
        python = Python(version=record.version, free_threaded=bool(_FREE_THREADED.search(record.build)))
        try:
            return None if "pypy" in record.build or not python.minor else python
        except ValueError:  # PEP 440 cannot parse it
            return None

    def pythons(self) -> tuple[Python | None, ...]:
        """Return the interpreter of each record."""
        return tuple(self.python(position) for position in range(len(self.records)))


def _group(texts_of_records: Iterable[Sequence[str]]) -> dict[str, int]:
    """Map each requirement text to the bits of the records that state it."""
    groups: dict[str, int] = {}
    for position, texts in enumerate(texts_of_records):
        bit = 2 << position
        for text in texts:
            groups[text] = groups.get(text, 0) | bit
    return groups


def _too_new(records: Sequence[Record], provided: Sequence[Provided], options: Options) -> int:
    """Return the records that the cooldown excludes. A record without a time stays, as with conda."""
    if not options.cooldown.is_on:
        return 0
    limit = options.cooldown.limit
    return mask_of(
        record.timestamp is not None
        and (latest := limit((record.name, *each.projects), record.origin)) is not None
        and record.timestamp > latest
        for record, each in zip(records, provided, strict=True)
    )
