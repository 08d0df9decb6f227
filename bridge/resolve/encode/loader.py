"""Loads facts into the store late, in the order of their cost, and only for candidates still alive.

First the records' requirements on python, so that builds for other pythons are never read; the rest when python is
decided; METADATA of a wheel when it is the only one left or about to be taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext

from bridge.errors import BridgeError, BuildError, UnsafeInputError, UsageError
from bridge.requirements.algebra import CondaSpec, Requirement, conditions_of, parse_conda, parse_pypi
from bridge.resolve.candidates.needs import Need, plain, read
from bridge.resolve.encode.corrections import Corrections
from bridge.resolve.encode.encoder import Encoder
from bridge.resolve.encode.facts import (
    Barred,
    Constrains,
    Depends,
    DependsByMetadata,
    Fact,
    NoExtra,
    Omits,
    Unreadable,
    Virtual,
)
from bridge.resolve.encode.files import require_pythons
from bridge.resolve.encode.variables import Variable, VariableId
from bridge.resolve.masks import ON
from bridge.resolve.ruling import license_rule
from bridge.resolve.store import Clause, Term
from converters.metadata import CoreMetadata

__all__ = ["Loader"]

_ALWAYS: list[tuple[Term, ...]] = [()]


class Loader:
    """Loads facts into one `Space` until nothing new follows from them.

    `metadata` is the METADATA read so far (variable → bit → METADATA); `loaded` are the records of a conda name whose
    facts are in the store.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.space = encoder.space
        self.metadata: dict[VariableId, dict[int, CoreMetadata]] = {}
        self.loaded: dict[VariableId, int] = {}
        self.metadata_read = 0
        self._store = encoder.space.store
        self._waiting: set[VariableId] = set()
        self._loaded_python: dict[VariableId, int] = {}  # records whose requirements on python are loaded
        self._unread_python: dict[VariableId, Sequence[Need]] = {}  # requirements on python not yet loaded
        self._unread: dict[VariableId, Sequence[Need]] = {}  # all other requirements not yet loaded
        self._omitted_read: dict[tuple[VariableId, VariableId], int] = {}  # (selector, owner) → the records read for it
        self._corrections = Corrections(encoder)
        self._extras_read: dict[tuple[VariableId, VariableId], int] = {}  # (extra, owner) → the candidates read for it

    @property
    def is_lifting(self) -> bool:
        """Whether an assumption must be lifted before the search continues."""
        return bool(self.encoder.assumptions.lifting)

    def settle(self) -> Clause | None:
        """Propagate and load until nothing new follows or an assumption must be lifted. Returns the violated clause."""
        while True:
            conflict = self._store.propagate()
            if conflict is not None or self.encoder.assumptions.lifting or not self._advance():
                return conflict

    def _advance(self) -> bool:
        store, space = self._store, self.space
        required = [variable for variable in sorted(store.touched) if store.is_required(variable)]
        unknown = [variable for variable in required if not space.is_known[variable]]
        if unknown:
            self._read_candidates(unknown)
            return True
        store.touched.clear()
        has_loaded = False
        for variable in required:
            if space.variables[variable].kind == "conda":
                has_loaded |= self._load_python(variable)
                self._waiting.add(variable)
        has_loaded |= self._load_waiting()
        has_loaded |= self._load_decided_wheels(required)
        has_loaded |= self._load_omitted()
        has_loaded |= self._corrections.load(required)
        return self._load_extras() or has_loaded

    def _read_candidates(self, unknown: Sequence[VariableId]) -> None:
        catalog = self.space.catalog
        variables = [self.space.variables[variable] for variable in unknown]
        catalog.prefetch(variable.key for variable in variables if variable.kind == "conda")
        if catalog.index is not None:
            # A project that a URL names has its only file already, and no index is asked for it.
            catalog.index.prefetch_files(
                variable.key
                for number, variable in zip(unknown, variables, strict=True)
                if variable.kind == "wheels" and self.space.meanings[number].project is None
            )
        for variable in unknown:
            self.encoder.read_candidates(variable)

    # Conda records

    def _load_python(self, variable: VariableId) -> bool:
        conda = self.space.meanings[variable].conda
        if variable == self.space.python or conda is None:
            return False
        loaded = self._loaded_python.get(variable, 0)
        alive = self._store.domains[variable] & conda.everything
        fresh = alive & ~loaded
        self._loaded_python[variable] = loaded | alive
        return bool(fresh) and self._load_needs(variable, fresh, is_python_only=True)

    def _load_waiting(self) -> bool:
        store, python = self._store, self.space.python
        if store.is_required(python) and not store.is_decided(python):
            return False
        has_loaded = False
        waiting, self._waiting = sorted(self._waiting), set()
        for variable in waiting:
            conda = self.space.meanings[variable].conda
            if conda is not None and store.is_required(variable):
                loaded = self.loaded.get(variable, 0)
                alive = store.domains[variable] & conda.everything
                if fresh := alive & ~loaded:
                    self.loaded[variable] = loaded | alive
                    has_loaded |= self._load_needs(variable, fresh, is_python_only=False)
        return has_loaded

    def _load_needs(self, variable: VariableId, fresh: int, *, is_python_only: bool) -> bool:
        if variable not in self._unread:
            conda = self.space.meanings[variable].conda
            assert conda is not None
            self._unread_python[variable], self._unread[variable] = conda.needs
        wanted, self._unread_python[variable] = _split(self._unread_python[variable], fresh)
        if not is_python_only:
            others, self._unread[variable] = _split(self._unread[variable], fresh)
            wanted += others
        for need in wanted:
            requirement = plain(need.text)
            if requirement is not None:
                self.encoder.add_need(variable, need, requirement)
            else:
                self._load_text(variable, need)
        return bool(wanted)

    def _load_text(self, variable: VariableId, need: Need, further: tuple[Term, ...] = ()) -> None:
        """Add one MatchSpec of some records; it applies only if the `further` terms hold (an extra that is on)."""
        text, bits = need.text, need.bits
        try:
            spec = parse_conda(text)
            conditions = self._conditions(spec) if spec.condition is not None else _ALWAYS
        except UsageError as error:
            name = self.space.variables[variable].key
            self.space.warnings[f"conda:{name}: {error.message}; records with this text are left out"] = None
            self.space.forbid(variable, bits, Unreadable(text, variable, bits))
            return
        sources = [((variable, bits), *further, *terms) for terms in conditions]
        if spec.name.startswith("__"):
            if not self.encoder.virtual_holds(spec, is_optional=need.is_optional):
                for source in sources:
                    self._store.add(Clause(source, Virtual(text, variable, bits)))
            return
        kind = Constrains if need.is_optional else Depends
        for source in sources:
            fact = kind(text, variable, bits)
            self.encoder.demand_conda(source, read(text), fact, is_optional=need.is_optional)

    def _conditions(self, spec: CondaSpec) -> list[tuple[Term, ...]]:
        """Return when a MatchSpec applies (`when`, CEP 43): alternatives, each a conjunction of terms.

        The list is empty if no virtual package of the target fits. Raises `UsageError` (`invalid-matchspec`).
        """
        alternatives = map(self._terms, conditions_of(spec))
        return [terms for terms in alternatives if terms is not None]

    def _terms(self, specs: Iterable[CondaSpec]) -> tuple[Term, ...] | None:
        terms = []
        for spec in specs:
            if spec.name.startswith("__"):
                if not self.encoder.virtual_holds(spec, is_optional=False):
                    return None
                continue
            variable = self.encoder.read_candidates(self.space.conda(spec.name))
            conda = self.space.meanings[variable].conda
            assert conda is not None
            meets = conda.meets(spec)
            if not meets:
                return None
            terms.append((variable, meets))
        return tuple(terms)

    # Wheels

    def _load_decided_wheels(self, required: Iterable[VariableId]) -> bool:
        store, space = self._store, self.space
        decided = [v for v in required if space.variables[v].kind == "wheels" and store.is_decided(v)]
        fresh = [(v, store.domains[v]) for v in decided if not self.has_metadata(v, store.domains[v])]
        if len(fresh) > 1 and space.catalog.index is not None:
            space.catalog.index.prefetch_metadata([space.file(variable, bit) for variable, bit in fresh])
        for variable, _ in fresh:
            self.load_wheel(variable, store.domains[variable])
        return bool(fresh)

    def has_metadata(self, variable: VariableId, bit: int) -> bool:
        """Return whether METADATA of a file was read."""
        return bit in self.metadata.get(variable, ())

    def load_wheel(self, variable: VariableId, bit: int) -> None:
        """Read METADATA of one file and add its requirements. An unusable file is excluded with a warning.

        Costs at least one request the first time; raises `NetworkError` if the index does not answer.
        """
        index = self.space.catalog.index
        if self.has_metadata(variable, bit) or index is None:
            return
        file, known = self.space.file(variable, bit), self.metadata.setdefault(variable, {})
        try:
            with nullcontext() if file.is_wheel else self.space.catalog.waiting():
                metadata = index.metadata(file)
        except (UnsafeInputError, BuildError) as error:
            known[bit] = CoreMetadata(name=self.space.variables[variable].key, version=file.version)
            self._leave_out(variable, bit, file.filename, error)
            return
        self.metadata_read += 1
        known[bit] = metadata
        policy = self.space.catalog.options.policy
        if policy is not None and (rule := license_rule(file.project, metadata.license, policy)) is not None:
            self.space.forbid(variable, bit, Barred(rule, variable, bit))
            return
        if metadata.requires_python and metadata.requires_python != file.requires_python:
            require_pythons(self.space, variable, bit, metadata.requires_python)
        if (project := self.space.meanings[variable].project) is not None:
            project.learn_requirements(metadata.requires_dist)
        for requirement in self._requirements(metadata, file.filename):
            fact = Depends(requirement.text, variable, bit)
            try:
                self.encoder.demand(((variable, bit),), requirement, fact)
            except (UnsafeInputError, UsageError) as error:  # an unusable URL
                self._leave_out(variable, bit, file.filename, error)
                return

    def _leave_out(self, variable: VariableId, bit: int, filename: str, error: BridgeError) -> None:
        warning = f"{filename} is left out: {error.message}"
        if error.objects.get("instead"):  # often of many files, but told once
            warning = f"files of {self.space.variables[variable].key} refuse to be built: {error.hint}"
        self.space.warnings[warning] = None
        self.space.failures[filename] = error
        self.space.forbid(variable, bit, Unreadable(filename, variable, bit))

    def _requirements(self, metadata: CoreMetadata, source: str) -> Iterator[Requirement]:
        for text in metadata.requires_dist:
            try:
                yield parse_pypi(text)
            except UsageError as error:
                self.space.warnings[f"{source}: {error.message}; it is ignored"] = None

    # Slim records

    def _load_omitted(self) -> bool:
        """Add what a project needs beyond the slim record that was decided to provide it."""
        store, space, has_loaded = self._store, self.space, False
        for selector in space.selectors:
            bit, meaning = store.domains[selector], space.meanings[selector]
            if not store.is_decided(selector) or bit == meaning.wheel_bit:
                continue
            owner = meaning.providers[bit.bit_length() - 2]
            conda, chosen = space.meanings[owner].conda, store.domains[owner]
            served = self._omitted_read.get((selector, owner), 0)
            if conda is None or not store.is_decided(owner) or chosen & served or not chosen & conda.everything:
                continue
            place = chosen.bit_length() - 2
            version = conda.records[place].version
            bits = sum(2 << each for each, record in enumerate(conda.records) if record.version == version)
            self._omitted_read[selector, owner] = served | bits
            for requirement in self.encoder.halves.omitted(space.variables[selector].key, conda.name, place):
                fact = Omits(requirement.text, owner, bits)
                self.encoder.demand(((owner, bits), (selector, bit)), requirement, fact)
                has_loaded = True
        return has_loaded

    # Extras

    def _load_extras(self) -> bool:
        has_loaded = False
        for extra in self.space.extras:
            if self._store.is_required(extra):
                variable = self.space.variables[extra]
                if variable.is_of_records:
                    has_loaded |= self._load_record_extra(variable)
                else:
                    has_loaded |= self._load_wheel_extra(variable)
                    has_loaded |= self._load_conda_extra(variable)
        return has_loaded

    def _load_record_extra(self, extra: Variable) -> bool:
        """Add the requirements of an extra for the records that define it (CEP 44)."""
        owner = self.space.conda(extra.key)
        conda = self.space.meanings[owner].conda
        if conda is None or (extra.id, owner) in self._extras_read:
            return False
        offering, texts = conda.extra_depends(extra.extra)
        self._extras_read[extra.id, owner] = offering
        for text, bits in texts.items():
            self._load_text(owner, Need(text, bits, is_optional=False), further=((extra.id, ON),))
        if others := conda.everything & ~offering:
            # Records without the extra are a last resort.
            assumption = self.encoder.assumptions.new(liftable=True)
            fact = NoExtra(f"{extra.key}[{extra.extra}]", owner, others)
            self._store.add(Clause(((extra.id, ON), (owner, others)), fact, assumption))
        return True

    def _load_wheel_extra(self, extra: Variable) -> bool:
        wheels = self.space.wheels(extra.key)
        served = self._extras_read.get((extra.id, wheels), 0)
        fresh = [(bit, metadata) for bit, metadata in self.metadata.get(wheels, {}).items() if not bit & served]
        for bit, metadata in fresh:
            self._extras_read[extra.id, wheels] = self._extras_read.get((extra.id, wheels), 0) | bit
            if extra.extra not in metadata.provides_extra:
                self.space.warnings[f"{metadata.name} {metadata.version} has no extra {extra.extra!r}"] = None
            self._add_extra(wheels, bit, metadata, extra)
        return bool(fresh)

    def _add_extra(self, owner: VariableId, bits: int, metadata: CoreMetadata, extra: Variable) -> bool:
        """Add the requirements of `project[extra]` for these candidates; return whether there are any."""
        has_added = False
        pythons = self.space.catalog.pythons
        for requirement in self._requirements(metadata, metadata.name):
            if requirement.marker is None:
                continue
            holds = pythons.for_marker(requirement.marker, extra.extra) & ~pythons.for_marker(requirement.marker)
            if holds:
                terms: tuple[Term, ...] = ((owner, bits), (extra.id, ON))
                if holds != pythons.everything:
                    terms = (*terms, (self.encoder.read_candidates(self.space.python), holds))
                is_record = self.space.variables[owner].kind == "conda"
                kind = DependsByMetadata if is_record else Depends
                self.encoder.demand_pypi(terms, requirement, kind(requirement.text, owner, bits))
                has_added = True
        return has_added

    def _load_conda_extra(self, extra: Variable) -> bool:
        """Add an extra of a project that a decided record provides, from the wheel of the same version."""
        served = self._deciding_record(extra)
        if served is None:
            return False
        source, owner, bit = served
        conda = self.space.meanings[owner].conda
        before = self._extras_read.get((extra.id, owner), 0)
        if conda is None or bit & before:
            return False
        offering, texts = conda.extra_depends(extra.extra)
        if bit & offering:
            self._extras_read[extra.id, owner] = before | offering
            for text, bits in texts.items():
                self._load_text(owner, Need(text, bits, is_optional=False), further=((extra.id, ON),))
            return True
        version = conda.records[bit.bit_length() - 2].version
        bits = sum(2 << place for place, record in enumerate(conda.records) if record.version == version)
        self._extras_read[extra.id, owner] = before | bits
        metadata = self.encoder.versions.of(extra.key, version)
        if metadata is not None and (
            self._add_extra(owner, bits, metadata, extra) or extra.extra in metadata.provides_extra
        ):
            return True
        # If the wheel lacks the extra, exclude the records; if there is no wheel, allow them as a last resort.
        assumption = self.encoder.assumptions.new(liftable=True) if metadata is None else 0
        fact: Fact = NoExtra(f"{extra.key}[{extra.extra}]", owner, bits)
        self._store.add(Clause((*source, (owner, bits)), fact, assumption))
        return True

    def _deciding_record(self, extra: Variable) -> tuple[tuple[Term, ...], VariableId, int] | None:
        """Return the decided record that answers for an extra's project, and the terms under which it does."""
        store, owner = self._store, self.encoder.owner(extra.key)
        source: tuple[Term, ...] = ((extra.id, ON),)
        meaning = self.space.meanings[owner]
        if self.space.variables[owner].kind == "selector":
            bit = store.domains[owner]
            if not store.is_decided(owner) or bit == meaning.wheel_bit:
                return None
            source = (*source, (owner, bit))
            owner = meaning.providers[bit.bit_length() - 2]
        bit = store.domains[owner]
        if not store.is_decided(owner) or bit == self.space.meanings[owner].wheel_bit:
            return None
        return source, owner, bit


def _split(unread: Sequence[Need], fresh: int) -> tuple[list[Need], list[Need]]:
    """Split requirements into those that these candidates state, and the others."""
    wanted: list[Need] = []
    others: list[Need] = []
    for need in unread:
        (wanted if need.bits & fresh else others).append(need)
    return wanted, others
