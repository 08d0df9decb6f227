"""Keeping the store fed: facts are read late, in the order in which they cost, and only for candidates still alive.

First what records need of python, so that builds for other pythons are never read; the rest when python is decided;
METADATA of a wheel when it is the one that is left or about to be taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bridge.errors import BridgeError, BuildError, UnsafeInputError, UsageError
from bridge.requirements.algebra import CondaSpec, Requirement, conditions_of, parse_conda, parse_pypi
from bridge.resolve.files import need_python
from bridge.resolve.masks import ON
from bridge.resolve.needs import Need, plain, read
from bridge.resolve.space import Space
from bridge.resolve.store import Clause, Term
from bridge.resolve.variables import Fact, Variable
from converters.wheel import CoreMetadata

__all__ = ["Loader"]


_ALWAYS: list[tuple[Term, ...]] = [()]


class Loader:
    """Reads facts for one `Space` until nothing new follows from them."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._store = space.store
        self._waiting: set[int] = set()
        self.metadata_read = 0

    def settle(self) -> Clause | None:
        """Propagate and load until nothing new follows, or an assumption must go. Returns the violated clause."""
        while True:
            conflict = self._store.propagate()
            if conflict is not None or self._space.assumptions.lifting or not self._advance():
                return conflict

    def _advance(self) -> bool:
        store, space = self._store, self._space
        touched = [space.variables[index] for index in sorted(store.touched)]
        required = [variable for variable in touched if store.is_required(variable.index)]
        unknown = [variable for variable in required if not variable.is_known]
        if unknown:
            self._know(unknown)
            return True
        store.touched.clear()
        has_loaded = False
        for variable in required:
            if variable.kind == "conda":
                has_loaded |= self._load_python(variable)
                self._waiting.add(variable.index)
        has_loaded |= self._load_waiting()
        has_loaded |= self._load_decided_wheels(required)
        return self._load_extras() or has_loaded

    def _know(self, unknown: Sequence[Variable]) -> None:
        catalog = self._space.catalog
        catalog.prefetch(variable.key for variable in unknown if variable.kind == "conda")
        if catalog.index is not None:
            catalog.index.prefetch_files(variable.key for variable in unknown if variable.kind == "wheels")
        for variable in unknown:
            self._space.know(variable)

    # Conda records

    def _load_python(self, variable: Variable) -> bool:
        if variable is self._space.python or variable.conda is None:
            return False
        alive = self._store.domains[variable.index] & variable.conda.everything
        fresh = alive & ~variable.loaded_python
        variable.loaded_python |= alive
        return bool(fresh) and self._load_needs(variable, fresh, is_python_only=True)

    def _load_waiting(self) -> bool:
        store, python = self._store, self._space.python
        if store.is_required(python.index) and not store.is_decided(python.index):
            return False
        has_loaded = False
        waiting, self._waiting = sorted(self._waiting), set()
        for variable in (self._space.variables[index] for index in waiting):
            if variable.conda is not None and store.is_required(variable.index):
                alive = store.domains[variable.index] & variable.conda.everything
                if fresh := alive & ~variable.loaded:
                    variable.loaded |= alive
                    has_loaded |= self._load_needs(variable, fresh, is_python_only=False)
        return has_loaded

    def _load_needs(self, variable: Variable, fresh: int, *, is_python_only: bool) -> bool:
        wanted, variable.unread_python = _split(variable.unread_python, fresh)
        if not is_python_only:
            others, variable.unread = _split(variable.unread, fresh)
            wanted += others
        for need in wanted:
            requirement = plain(need.text)
            if requirement is not None:
                self._space.state(variable, need, requirement)
            else:
                self._load_text(variable, need.bits, need.text, is_optional=need.is_optional)
        return bool(wanted)

    def _load_text(
        self, variable: Variable, bits: int, text: str, *, is_optional: bool, further: tuple[Term, ...] = ()
    ) -> None:
        """What one MatchSpec of these records demands; `further` terms must hold too (an extra that was asked for)."""
        fact = Fact("constrains" if is_optional else "depends", text, variable, bits)
        try:
            spec = parse_conda(text)
            conditions = self._conditions(spec) if spec.condition is not None else _ALWAYS
        except UsageError as error:
            self._space.warnings[f"conda:{variable.key}: {error.message}; records that say so are left out"] = None
            self._strike(variable, bits, Fact("unreadable", text, variable, bits))
            return
        sources = [((variable.index, bits), *further, *terms) for terms in conditions]
        if spec.name.startswith("__"):
            if not self._space.virtual_holds(spec, is_optional=is_optional):
                for source in sources:
                    self._store.add(Clause(source, Fact("virtual", text, variable, bits)))
            return
        for source in sources:
            self._space.demand_conda(source, read(text), fact, is_optional=is_optional)

    def _conditions(self, spec: CondaSpec) -> list[tuple[Term, ...]]:
        """When a MatchSpec counts (`when`, CEP 43): alternatives, of which each holds if all of its terms do.

        Where no virtual package of the target fits there is none.
        Raises `UsageError` (`invalid-matchspec`).
        """
        found = []
        for alternative in conditions_of(spec):
            terms = self._terms(alternative)
            if terms is not None:
                found.append(terms)
        return found

    def _terms(self, specs: Iterable[CondaSpec]) -> tuple[Term, ...] | None:
        terms = []
        for spec in specs:
            if spec.name.startswith("__"):
                if not self._space.virtual_holds(spec, is_optional=False):
                    return None
                continue
            variable = self._space.know(self._space.conda_variable(spec.name))
            assert variable.conda is not None
            meets = variable.conda.meets(spec)
            if not meets:
                return None
            terms.append((variable.index, meets))
        return tuple(terms)

    def _strike(self, variable: Variable, bits: int, fact: Fact) -> None:
        self._store.add(Clause(((variable.index, bits),), fact))

    # Wheels

    def _load_decided_wheels(self, required: Iterable[Variable]) -> bool:
        store, space = self._store, self._space
        decided = [v for v in required if v.kind == "wheels" and store.is_decided(v.index)]
        fresh = [v for v in decided if store.domains[v.index] not in v.metadata]
        if len(fresh) > 1 and space.catalog.index is not None:
            space.catalog.index.prefetch_metadata([space.file(v, store.domains[v.index]) for v in fresh])
        for variable in fresh:
            self.load_wheel(variable, store.domains[variable.index])
        return bool(fresh)

    def load_wheel(self, variable: Variable, bit: int) -> None:
        """Read METADATA of one file and add what it needs. A file that cannot be used is struck, with a warning.

        Costs a request or more the first time; raises `NetworkError` where the index does not answer.
        """
        index = self._space.catalog.index
        if bit in variable.metadata or index is None:
            return
        file = self._space.file(variable, bit)
        try:
            metadata = index.metadata(file)
        except (UnsafeInputError, BuildError) as error:
            variable.metadata[bit] = CoreMetadata(name=variable.key, version=file.version)
            self._leave_out(variable, bit, file.filename, error)
            return
        self.metadata_read += 1
        variable.metadata[bit] = metadata
        if metadata.requires_python and metadata.requires_python != file.requires_python:
            need_python(self._space, variable, bit, metadata.requires_python)
        for requirement in self._requirements(metadata, file.filename):
            fact = Fact("depends", requirement.text, variable, bit)
            try:
                self._space.demand(((variable.index, bit),), requirement, fact)
            except (UnsafeInputError, UsageError) as error:  # a URL that leads to nothing usable
                self._leave_out(variable, bit, file.filename, error)
                return

    def _leave_out(self, variable: Variable, bit: int, filename: str, error: BridgeError) -> None:
        self._space.warnings[f"{filename} is left out: {error.message}"] = None
        self._space.failures[filename] = error
        self._strike(variable, bit, Fact("unreadable", filename, variable, bit))

    def _requirements(self, metadata: CoreMetadata, source: str) -> Iterator[Requirement]:
        for text in metadata.requires_dist:
            try:
                yield parse_pypi(text)
            except UsageError as error:
                self._space.warnings[f"{source}: {error.message}; it is ignored"] = None

    # Extras

    def _load_extras(self) -> bool:
        has_loaded = False
        for extra in self._space.extras:
            if self._store.is_required(extra.index) and extra.is_of_records:
                has_loaded |= self._load_record_extra(extra, self._space.conda_variable(extra.key))
            elif self._store.is_required(extra.index):
                has_loaded |= self._load_wheel_extra(extra)
                has_loaded |= self._load_conda_extra(extra)
        return has_loaded

    def _load_record_extra(self, extra: Variable, variable: Variable) -> bool:
        """What an extra adds to the records of a conda name that offer it (CEP 44)."""
        if variable.conda is None or variable.index in extra.served:
            return False
        offering, texts = variable.conda.extra_depends(extra.extra)
        extra.served[variable.index] = offering
        for text, bits in texts.items():
            self._load_text(variable, bits, text, is_optional=False, further=((extra.index, ON),))
        if others := variable.conda.everything & ~offering:
            # A record that does not offer the extra comes after all that do.
            mark = self._space.assumptions.mark(liftable=True)
            fact = Fact("no-extra", f"{variable.key}[{extra.extra}]", variable, others)
            self._store.add(Clause(((extra.index, ON), (variable.index, others)), fact, mark))
        return True

    def _load_wheel_extra(self, extra: Variable) -> bool:
        wheels = self._space.wheels_variable(extra.key)
        served = extra.served.get(wheels.index, 0)
        fresh = [(bit, metadata) for bit, metadata in wheels.metadata.items() if not bit & served]
        for bit, metadata in fresh:
            extra.served[wheels.index] = extra.served.get(wheels.index, 0) | bit
            if extra.extra not in metadata.provides_extra:
                self._space.warnings[f"{metadata.name} {metadata.version} has no extra {extra.extra!r}"] = None
            self._add_extra(wheels, ((wheels.index, bit),), bit, metadata, extra)
        return bool(fresh)

    def _add_extra(
        self, variable: Variable, source: tuple[Term, ...], bits: int, metadata: CoreMetadata, extra: Variable
    ) -> None:
        """What `project[extra]` adds to the requirements of these candidates."""
        pythons = self._space.catalog.pythons
        for requirement in self._requirements(metadata, metadata.name):
            if requirement.marker is None:
                continue
            holds = pythons.for_marker(requirement.marker, extra.extra) & ~pythons.for_marker(requirement.marker)
            if holds:
                terms = (*source, (extra.index, ON))
                if holds != pythons.everything:
                    terms = (*terms, (self._space.know(self._space.python).index, holds))
                self._space.demand_pypi(terms, requirement, Fact("depends", requirement.text, variable, bits))

    def _load_conda_extra(self, extra: Variable) -> bool:
        """The extra of a project that a decided conda record serves: read from the wheel of the same version."""
        store = self._store
        owner = self._space.owner(extra.key)
        source: tuple[Term, ...] = ((extra.index, ON),)
        if owner.kind == "slot":
            bit = store.domains[owner.index]
            if not store.is_decided(owner.index) or bit == owner.wheel_bit:
                return False
            source = (*source, (owner.index, bit))
            owner = owner.carriers[bit.bit_length() - 2]
        bit = store.domains[owner.index]
        if owner.conda is None or not store.is_decided(owner.index) or bit == owner.wheel_bit:
            return False
        if bit & extra.served.get(owner.index, 0):
            return False
        offering, texts = owner.conda.extra_depends(extra.extra)
        if bit & offering:
            extra.served[owner.index] = extra.served.get(owner.index, 0) | offering
            for text, bits in texts.items():
                self._load_text(owner, bits, text, is_optional=False, further=((extra.index, ON),))
            return True
        version = owner.conda.records[bit.bit_length() - 2].version
        bits = sum(2 << place for place, record in enumerate(owner.conda.records) if record.version == version)
        extra.served[owner.index] = extra.served.get(owner.index, 0) | bits
        metadata = self._metadata_of_version(extra.key, version)
        if metadata is not None and extra.extra in metadata.provides_extra:
            self._add_extra(owner, ((owner.index, bits),), bits, metadata, extra)
            return True
        # A wheel without the extra settles it; no wheel of this version leaves it open, for want of a better candidate.
        mark = self._space.assumptions.mark(liftable=True) if metadata is None else 0
        fact = Fact("no-extra", f"{extra.key}[{extra.extra}]", owner, bits)
        store.add(Clause((*source, (owner.index, bits)), fact, mark))
        return True

    def _metadata_of_version(self, project: str, version: str) -> CoreMetadata | None:
        catalog = self._space.catalog
        if catalog.index is None:
            return None
        files = catalog.project(project).of_version(version)
        chosen = next((file for file in files if file.is_wheel), files[0] if files else None)
        if chosen is None:
            return None
        try:
            metadata = catalog.index.metadata(chosen)
        except (UnsafeInputError, BuildError) as error:
            self._space.warnings[f"{chosen.filename}: {error.message}"] = None
            return None
        self.metadata_read += 1
        return metadata


def _split(unread: Sequence[Need], fresh: int) -> tuple[list[Need], list[Need]]:
    """What is said of these candidates too, and what is not."""
    wanted: list[Need] = []
    others: list[Need] = []
    for need in unread:
        (wanted if need.bits & fresh else others).append(need)
    return wanted, others
