"""A SAT solver as oracle: problems of the store, and whole universes of the resolver, encoded as CNF.

The encodings are written against the rules that the resolver promises (`docs/decisions/0004-resolver.md`), not against
its code; how texts match versions is taken from `tests.support.resolver_oracle`. The idea is that of pubgrub's
`tests/sat_dependency_provider.rs`: a SAT solver cannot say which solution is the preferred one, but whether there is
any, and whether a given one is a model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pysat.solvers import Solver

from converters.record import Record
from tests.support.resolver_oracle import Chosen, Need, Oracle, build_matches, conda_accepts, conda_name, pep440_accepts
from tests.support.resolver_worlds import Wheel, World

__all__ = ["Universe", "is_satisfiable"]


class Formula:
    """Clauses over literals: a variable is a positive integer, its negation the negative one."""

    def __init__(self) -> None:
        self.clauses: list[list[int]] = []
        self._count = 0

    def new(self) -> int:
        self._count += 1
        return self._count

    def add(self, *literals: int) -> None:
        self.clauses.append(list(literals))

    def at_most_one(self, literals: Iterable[int]) -> None:
        for one, other in itertools.combinations(literals, 2):
            self.add(-one, -other)

    def holds(self, assumptions: Sequence[int] = ()) -> bool:
        with Solver(name="minisat22", bootstrap_with=self.clauses) as solver:
            return bool(solver.solve(assumptions=list(assumptions)))


def is_satisfiable(fulls: Sequence[int], clauses: Iterable[Sequence[tuple[int, int]]]) -> bool:
    """Whether domains (bitmasks) have an assignment in which no clause has all its terms inside their masks."""
    formula = Formula()
    literals: list[dict[int, int]] = []
    for full in fulls:
        values = {1 << place: formula.new() for place in range(full.bit_length()) if full >> place & 1}
        formula.add(*values.values())
        formula.at_most_one(values.values())
        literals.append(values)
    for terms in clauses:
        outside = {literal for variable, mask in terms for bit, literal in literals[variable].items() if not bit & mask}
        formula.add(*outside)
    return formula.holds()


class Universe:
    """One world and one request as CNF: a literal for each record, each wheel and each requirement in force."""

    def __init__(self, world: World, asked: Sequence[Need]) -> None:
        self._oracle = Oracle(world)
        self._formula = Formula()
        self._records = {id(r): self._formula.new() for group in self._oracle.records.values() for r in group}
        self._wheels = {id(w): self._formula.new() for group in self._oracle.wheels.values() for w in group}
        self._owners: dict[str, dict[str, int]] = {}  # project → conda name, or "" for its wheel → literal
        self._in_force: dict[tuple[str, str], int] = {}
        self._pythons = self._oracle.records.get("python", [])
        for group in self._oracle.records.values():
            self._formula.at_most_one(self._records[id(record)] for record in group)
            for record in group:
                self._add_record(record)
        for wheels in self._oracle.wheels.values():
            self._formula.at_most_one(self._wheels[id(wheel)] for wheel in wheels)
            for wheel in wheels:
                self._add_wheel(wheel)
        for need in asked:
            self._ask(need)

    def has_solution(self) -> bool:
        """Whether any set of packages meets the request."""
        return self._formula.holds()

    def is_solution(self, chosen: Chosen) -> bool:
        """Whether exactly these packages meet the request."""
        taken = {id(record) for record in chosen.conda.values()} | {id(wheel) for wheel in chosen.wheels.values()}
        every = {**self._records, **self._wheels}
        assert taken <= every.keys()
        return self._formula.holds([literal if key in taken else -literal for key, literal in every.items()])

    # Packages

    def _add_record(self, record: Record) -> None:
        """Not r, or what each of its texts asks for; and no wheel of a project that the record owns."""
        here, projects = self._records[id(record)], self._oracle.provides(record)
        for project in projects:
            if len(projects) == 1 or canonicalize_name(record.name) == project:
                for wheel in self._oracle.wheels.get(project, ()):
                    self._formula.add(-here, -self._wheels[id(wheel)])
        for text in record.requirements:
            self._conda_need([here], text)
        for text in record.constraints:
            self._constrain(here, text)

    def _constrain(self, here: int, text: str) -> None:
        name = conda_name(text)
        records = self._oracle.records.get(name, ())
        for record in records:
            if not self._record_meets(record, text):
                self._formula.add(-here, -self._records[id(record)])
        for wheel in self._oracle.wheels.get(self._oracle.standin(name) or "", ()):
            if not self._wheel_meets(wheel, text):
                self._formula.add(-here, -self._wheels[id(wheel)], *(self._records[id(r)] for r in records))

    def _add_wheel(self, wheel: Wheel) -> None:
        """Not w, or a python that runs it; and what its METADATA asks for where the marker holds."""
        here = self._wheels[id(wheel)]
        runs = [p for p in self._pythons if self._oracle.runs(wheel, Chosen({"python": p}))]
        self._formula.add(-here, *(self._records[id(python)] for python in runs))
        for text in wheel.metadata.requires_dist:
            self._pypi_need([here], text, Requirement(text).marker)

    # Requirements

    def _ask(self, need: Need) -> None:
        if need.kind == "conda":
            self._conda_need([], need.text, is_bound=need.bound == "conda")
            return
        if self._oracle.may_hold(need):
            self._formula.add(*(self._records[id(python)] for python in self._pythons))
        self._pypi_need([], need.text, Requirement(need.text).marker, bound=need.bound)

    def _conda_need(self, source: Sequence[int], text: str, *, is_bound: bool = False) -> None:
        """Not source, or a record that meets it, or the wheel that stands in where no record is taken."""
        name, refused = conda_name(text), [-literal for literal in source]
        if name.startswith("__"):
            if not self._oracle.is_met(Need("conda", text), Chosen()):
                self._formula.add(*refused)
            return
        meeting, project = [], self._oracle.standin(name)
        for record in self._oracle.records.get(name, ()):
            if self._record_meets(record, text):
                meeting.append(self._records[id(record)])
            else:
                self._formula.add(*refused, -self._records[id(record)])
        if not is_bound and name != "python" and project is not None:
            wheels = self._oracle.wheels.get(project, ())
            meeting += [self._wheels[id(wheel)] for wheel in wheels if self._wheel_meets(wheel, text)]
        self._formula.add(*refused, *meeting)

    def _pypi_need(self, source: Sequence[int], text: str, marker: Marker | None, *, bound: str = "") -> None:
        """Not source, or not python, or need: for each python for which the marker holds."""
        refused = [-literal for literal in source]
        if marker is None:
            self._formula.add(*refused, self._need(text, bound))
            return
        for python in self._pythons:
            if self._oracle.holds(marker, Chosen({"python": python})):
                self._formula.add(*refused, -self._records[id(python)], self._need(text, bound))

    def _need(self, text: str, bound: str) -> int:
        """The literal of a requirement in force; its consequences are encoded once."""
        key = (text, bound)
        if key not in self._in_force:
            self._in_force[key] = here = self._formula.new()
            self._meet(here, Requirement(text), bound)
        return self._in_force[key]

    def _meet(self, here: int, parsed: Requirement, bound: str) -> None:
        """Whoever answers for the project has a version that is accepted, and serves the extras."""
        project, specifier = canonicalize_name(parsed.name), str(parsed.specifier)
        wheels = self._oracle.wheels.get(project, ())
        meeting = [self._wheels[id(w)] for w in wheels if pep440_accepts(specifier, w.file.version)]
        if bound == "wheel":
            self._formula.add(-here, *meeting)
        owners = self._owners_of(project)
        self._formula.add(-here, *owners.values())
        for name, owner in owners.items():
            if not name:
                self._formula.add(-here, -owner, *meeting)
                continue
            carrying = [r for r in self._oracle.records[name] if project in self._oracle.provides(r)]
            accepted = [r for r in carrying if pep440_accepts(specifier, r.version)]
            self._formula.add(-here, -owner, *(self._records[id(record)] for record in accepted))
            for record in carrying:
                for extra in map(canonicalize_name, parsed.extras):
                    self._serve_extra([here, owner, self._records[id(record)]], project, record.version, extra)
        for wheel in wheels:
            for extra in map(canonicalize_name, parsed.extras):
                self._extra_of(wheel, [here, self._wheels[id(wheel)]], extra)

    def _owners_of(self, project: str) -> dict[str, int]:
        """One owner a project: its wheel where there is one, else one of the conda names that carry it."""
        if project in self._owners:
            return self._owners[project]
        names = [
            n for n, group in self._oracle.records.items() if any(project in self._oracle.provides(r) for r in group)
        ]
        wheels = [self._wheels[id(wheel)] for wheel in self._oracle.wheels.get(project, ())]
        owners = {name: self._formula.new() for name in ["", *names]}
        self._owners[project] = owners
        self._formula.at_most_one(owners.values())
        self._formula.add(-owners[""], *wheels)
        for wheel, name in itertools.product(wheels, names):
            self._formula.add(-wheel, -owners[name])
        return owners

    def _serve_extra(self, source: list[int], project: str, version: str, extra: str) -> None:
        """The extra of a record: read from the wheel of its version; taken on trust where there is none."""
        same = [w for w in self._oracle.wheels.get(project, ()) if w.file.version == version]
        if same and extra not in same[0].metadata.provides_extra:
            self._formula.add(*(-literal for literal in source))
        elif same:
            self._extra_of(same[0], source, extra)

    def _extra_of(self, wheel: Wheel, source: list[int], extra: str) -> None:
        for text in wheel.metadata.requires_dist:
            marker = Requirement(text).marker
            for python in self._pythons:
                at = Chosen({"python": python})
                if self._oracle.holds(marker, at, extra) and not self._oracle.holds(marker, at):
                    refused = [-literal for literal in (*source, self._records[id(python)])]
                    self._formula.add(*refused, self._need(text, ""))

    def _record_meets(self, record: Record, text: str) -> bool:
        return conda_accepts(text, record.version) and build_matches(text, record.build)

    def _wheel_meets(self, wheel: Wheel, text: str) -> bool:
        return conda_accepts(text, wheel.file.version) and build_matches(text, None)
