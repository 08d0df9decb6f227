"""Why each package of a solution is from its ecosystem and not from the other, as far as the search knew.

Nothing is read for it. A sentence states what was so when it was chosen, in the past tense: it is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bridge.requirements.algebra import pep440_version
from bridge.resolve.candidates.packages import CondaName
from bridge.resolve.encode import facts
from bridge.resolve.encode.facts import Fact
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import Candidate, Demand, DemandId, Meaning, VariableId
from bridge.resolve.masks import PRESENT
from bridge.resolve.search.preference import takes_newest
from converters.deferred import NamedTuple
from converters.record import Record

__all__ = ["Choices"]

_FEW = 3  # requirements named in one sentence


class _Records(NamedTuple):
    """The records that provide a project under one conda name, and the terms that hold if they were chosen."""

    variable: VariableId
    conda: CondaName
    bits: int
    terms: frozenset[tuple[VariableId, int]]


class Choices:
    """The reasons for one solution.

    :param chosen: the record of each variable that is a package.
    """

    def __init__(self, space: Space, pins: Mapping[VariableId, Candidate], chosen: Mapping[VariableId, Record]) -> None:
        self._space = space
        self._pins = pins
        self._chosen = chosen
        self._by_subject: dict[VariableId, list[DemandId]] | None = None
        self._options = space.catalog.options

    def of(self, variable: VariableId) -> str:
        """Return why the other ecosystem does not provide a chosen package; empty if there was nothing to choose."""
        meaning, record = self._space.meanings[variable], self._chosen[variable]
        if meaning.project is not None and record.ecosystem == "wheel":
            return self._of_wheel(variable, record)
        if meaning.conda is None or not record.pypi_names or variable == self._space.python:
            return ""
        return self._of_record(variable, meaning, record)

    # Records

    def _of_record(self, variable: VariableId, meaning: Meaning, record: Record) -> str:
        space, options, project = self._space, self._options, record.pypi_names[0]
        bound = self._bound_request(variable, "conda")
        if bound is not None:
            return f"`{bound}` was requested, which admits no wheel"
        if any(options.only.get(name) == "conda" for name in (record.name, *record.pypi_names)):
            return f"--only took {project} from conda"
        if space.catalog.index is None:
            return "no index was asked"
        if space.kept.get(record.name, 0) & self._pins[variable].bit:
            return "it was installed already"
        selector = space.find(f"project:{project}")
        deciding = variable if meaning.wheels is not None or selector is None else selector
        wheels = space.meanings[deciding].wheels
        known = space.meanings[wheels].project if wheels is not None and space.is_known[wheels] else None
        if known is None or not (options.prefer == "wheel" or takes_newest(space, deciding)):
            return "" if options.prefer == "wheel" else "conda packages came before wheels"
        final = known.everything & ~known.yanked & (known.everything if options.pre else ~known.prereleases)
        newest = next((file.version for place, file in enumerate(known.files) if final >> place + 1 & 1), None)
        if newest is None:
            return f"no index had a file of {project} that could be used"
        if options.prefer == "wheel" or _is_newer(newest, record.version):
            which = "wheel" if options.prefer == "wheel" else "newer wheel"
            return f"no {which} fitted the rest of the solution (the newest was {project} {newest})"
        return f"no index had a newer version (the newest was {project} {newest})"

    # Wheels

    def _of_wheel(self, variable: VariableId, record: Record) -> str:
        space, options, project = self._space, self._options, self._space.variables[variable].key
        bound = self._bound_request(variable, "wheel")
        if bound is not None:
            return f"`{bound}` was requested, which admits no conda package"
        names = space.catalog.providers(project)
        if any(options.only.get(name) == "wheel" for name in (project, *names)):
            return f"--only took {project} from an index"
        owners = list(self._owners(project, names))
        if not any(owner.bits for owner in owners):
            return self._without_records(project)
        reason = self._unmet(owners)
        if reason:
            return reason
        if options.prefer == "wheel":
            return "wheels came before conda packages"
        return self._unfitting(owners) or self._preferred(variable, record, owners)

    def _owners(self, project: str, names: Sequence[str]) -> Iterator[_Records]:
        """Yield the conda names with records that provide a project, best first."""
        space = self._space
        selector = space.find(f"project:{project}")
        providers = space.meanings[selector].providers if selector is not None else ()
        for name in names:
            owner = space.find(name)
            meaning = space.meanings[owner] if owner is not None else None
            if owner is None or meaning is None or meaning.conda is None:
                continue
            terms = {(owner, PRESENT & ~meaning.wheel_bit)}
            if selector is not None and owner in providers:
                terms.add((selector, 2 << providers.index(owner)))
            yield _Records(owner, meaning.conda, meaning.conda.meets_pypi(project, None), frozenset(terms))

    def _without_records(self, project: str) -> str:
        catalog = self._space.catalog
        if catalog.conda(project).records:
            return f"conda's {project} was not known to be this project"
        channel = "channel" if self._options.policy is None else "channel that the policy admits"
        return f"no {channel} had a package of {project} for {catalog.target.subdir}"

    def _unmet(self, owners: Sequence[_Records]) -> str:
        """Return what excluded every record by itself or by a requirement on it; empty if records are left."""
        causes: dict[str, None] = {}
        newest = ""
        for owner in owners:
            left = owner.bits
            excluding: list[tuple[str, int]] = [("the cooldown", ~owner.conda.too_new)]
            excluding += [(f"the policy ({rule})", ~bits) for rule, bits in owner.conda.barred.items()]
            excluding += list(self._demands_on(owner))
            newest = newest or _shown(owner.conda, left)
            alone = next((name for name, allowed in excluding if left and not left & allowed), None)
            excluding = [each for each in excluding if each[0] == alone] if alone is not None else excluding
            for name, allowed in excluding:
                if left & ~allowed:
                    left &= allowed
                    causes[name] = None
            if left:
                return ""
        named = " and ".join(list(causes)[:_FEW])
        return f"no conda candidate met {named}; the newest was {newest}"

    def _demands_on(self, owner: _Records) -> Iterator[tuple[str, int]]:
        """Yield the requirements that apply to records if they are chosen, and the records that meet each."""
        space, store = self._space, self._space.store
        for number in space.onto[owner.variable]:
            demand = space.demands[number]
            others = [term for term in demand.source if not self._is_given(term, owner)]
            is_need = demand.requirement is not None or isinstance(demand.fact, facts.Serves)
            if is_need and store.satisfied(others):
                yield self._named(demand.fact), space.allowed[number]

    @staticmethod
    def _is_given(term: tuple[VariableId, int], owner: _Records) -> bool:
        return any(variable == term[0] and not bits & ~term[1] for variable, bits in owner.terms)

    def _named(self, fact: Fact) -> str:
        """Return a requirement with who states it."""
        if isinstance(fact, facts.Requested):
            return f"`{fact.text}` (requested)"
        if isinstance(fact, facts.Pinned):
            return f"the pin `{fact.text}`"
        if isinstance(fact, facts.Constraint):
            return f"the constraint `{fact.text}`"
        record = self._chosen.get(fact.subject) if fact.subject is not None else None
        return f"`{fact.text}` ({f'required by {record.name} {record.version}' if record else 'required'})"

    def _unfitting(self, owners: Sequence[_Records]) -> str:
        """Return what the records that are left need and the solution does not have; empty if some record fits."""
        first = ""
        for owner in owners:
            allowed = owner.bits & ~owner.conda.excluded
            for _, meeting in self._demands_on(owner):
                allowed &= meeting
            for demand, bits in self._contradictions(owner):
                if allowed & bits and not first:
                    record = owner.conda.records[(allowed & bits & -(allowed & bits)).bit_length() - 2]
                    pin = self._chosen.get(demand.target)
                    other = f"{pin.name} {pin.version} was chosen" if pin is not None else "it was not met"
                    verb = "constrains" if demand.is_optional else "depends on"
                    first = f"conda's {record.name} {record.version} {verb} `{demand.fact.text}`, and {other}"
                allowed &= ~bits
            if allowed:
                return ""
        return first

    def _contradictions(self, owner: _Records) -> Iterator[tuple[Demand, int]]:
        """Yield the requirements of records that the pins do not meet, with the records that state them."""
        space = self._space
        if self._by_subject is None:
            self._by_subject = {}
            for number, demand in enumerate(space.demands):
                if demand.fact.subject is not None:
                    self._by_subject.setdefault(demand.fact.subject, []).append(number)
        for number in self._by_subject.get(owner.variable, ()):
            demand = space.demands[number]
            pin = self._pins.get(demand.target)
            bits = next((bits for variable, bits in demand.source if variable == owner.variable), 0)
            others = [term for term in demand.source if term[0] != owner.variable and not self._is_given(term, owner)]
            if pin is not None and bits and not pin.bit & space.allowed[number] and space.store.satisfied(others):
                yield demand, bits

    def _preferred(self, variable: VariableId, record: Record, owners: Sequence[_Records]) -> str:
        """Return why a wheel came first though records met all that was required of them."""
        space = self._space
        best = _shown(owners[0].conda, owners[0].bits & ~owners[0].conda.excluded)
        if space.kept.get(f"pypi:{space.variables[variable].key}"):
            return "it was installed already"
        if space.agrees_on_wheel(space.variables[variable].name):
            return "other platforms of the lock have this wheel"
        deciding = [each for each, meaning in enumerate(space.meanings) if meaning.wheels == variable]
        left = [(conda, bits & ~conda.excluded) for _, conda, bits, _ in owners]
        versions = [conda.records[(bits & -bits).bit_length() - 2].version for conda, bits in left if bits]
        is_newest = all(_is_newer(record.version, version) for version in versions)
        if is_newest and any(takes_newest(space, each) for each in deciding):
            return f"it was newer than conda's ({best})"
        return f"conda's ({best}) did not fit the rest of the solution"

    # Both

    def _bound_request(self, variable: VariableId, bound: str) -> str | None:
        """Return the text of a requirement that admits only this ecosystem."""
        for number in self._space.onto[variable]:
            demand = self._space.demands[number]
            wanted = demand.requirement
            if (
                wanted is not None
                and (wanted.bound == bound or wanted.url)
                and isinstance(demand.fact, facts.Requested)
            ):
                return demand.fact.text
        return None


def _shown(conda: CondaName, bits: int) -> str:
    """Return name and version of the best of these records."""
    return f"{conda.name} {conda.records[(bits & -bits).bit_length() - 2].version}" if bits else conda.name


def _is_newer(version: str, than: str) -> bool:
    left, right = pep440_version(version), pep440_version(than)
    return left is not None and right is not None and left > right
