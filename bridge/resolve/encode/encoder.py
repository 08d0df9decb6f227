"""Requirements as clauses over the variables of a `Space`.

`bridge.resolve.encode.loader` reads the requirements of records and wheels, late, and only for candidates still alive.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.requirements.algebra import CondaSpec, Requirement
from bridge.resolve.candidates.needs import Need
from bridge.resolve.candidates.packages import CondaName
from bridge.resolve.candidates.provides import canonical
from bridge.resolve.encode import facts
from bridge.resolve.encode.assumptions import Assumptions, meeting_files
from bridge.resolve.encode.facts import Fact
from bridge.resolve.encode.files import add_url, bind_to_pythons
from bridge.resolve.encode.halves import Halves, VersionMetadata
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import Demand, DemandId, Meaning, VariableId
from bridge.resolve.masks import ABSENT, ON, PRESENT
from bridge.resolve.store import Clause, Term
from converters.deferred import replace

__all__ = ["Encoder"]


class Encoder:
    """Adds requirements on the variables of one space as clauses of its store."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.assumptions = Assumptions(space)
        self.versions = VersionMetadata(space)
        self.halves = Halves(space, self.versions)
        self._excluded: set[tuple[VariableId, VariableId]] = set()
        self._constraining: dict[str, list[tuple[VariableId, Need, Requirement]]] = {}

    # Requirements of the person and of the environment

    def require(self, requirement: Requirement, *, is_earlier: bool = False) -> list[DemandId]:
        """Add a requirement of the user, of now or of an earlier command; returns its demands at the root."""
        space = self.space
        kind = facts.RequestedEarlier if is_earlier else facts.Requested
        made = self.demand((), requirement, kind(requirement.text))
        is_undecided = requirement.marker is not None and space.catalog.pythons.is_missing(requirement.marker)
        if requirement.kind == "pep508" and (made or is_undecided):
            made.append(self._require_python(facts.NeedsPython(requirement.text)))
        for demand in made[:1]:
            target = space.demands[demand].target
            space.requested.setdefault(target, set()).add(requirement.kind)
            meaning = space.meanings[target]
            for related in (meaning.wheels, *meaning.providers):
                if related is not None:
                    space.requested.setdefault(related, set())
        return made

    def retain(self, requirement: Requirement) -> list[DemandId]:
        """Keep an installed package, in some version: a root that nobody requested."""
        return self.demand((), requirement, facts.KeptInstalled(requirement.text))

    def retain_foreign(self, requirement: Requirement) -> list[DemandId]:
        """Keep a distribution of another installer as it is: a root too."""
        return self.demand((), requirement, facts.KeptForeign(requirement.text))

    def constrain(self, requirement: Requirement) -> None:
        """Add a constraint on a project that applies only if it is installed (pip's constraints)."""
        self.demand((), requirement, facts.Constraint(requirement.text), is_optional=True)

    def pin(self, requirement: Requirement, kind: type[facts.Pinned] = facts.Pinned) -> None:
        """Add a pin of `conda-meta/pinned` or a .condarc file; it applies to the name's records and to its wheel.

        A name that no channel has is pinned as the project of that name.
        """
        self.demand((), requirement, kind(requirement.text), is_optional=True)
        if requirement.bound != "conda" and not self.space.catalog.conda(requirement.name).records:
            wheels = self.space.wheels(canonical(requirement.name))
            fact = kind(requirement.text, target=wheels)
            self.space.attach(Demand((), wheels, requirement, fact, is_optional=True))

    def restrict_python(self, text: str) -> list[DemandId]:
        """Require a python that the request's Requires-Python admits; an unreadable one is ignored with a warning."""
        fits = self.space.catalog.pythons.for_requires(text)
        if fits is None:
            self.space.warnings[f"Requires-Python {text!r} cannot be read and is ignored"] = None
            return []
        python = self.read_candidates(self.space.python)
        return [self.space.imply((), python, facts.RequestedPython(f"python {text}", target=python), fits)]

    def _require_python(self, fact: Fact) -> DemandId:
        python = self.read_candidates(self.space.python)
        return self.space.imply((), python, fact.onto(python), PRESENT)

    # Requirements in general

    def demand(
        self, source: tuple[Term, ...], requirement: Requirement, fact: Fact, *, is_optional: bool = False
    ) -> list[DemandId]:
        """Add: if `source` holds, `requirement` is met. An optional one applies only if its name is installed."""
        catalog = self.space.catalog
        if requirement.conda is not None and requirement.name.startswith("__"):
            if not self.virtual_holds(requirement.conda, is_optional=is_optional):
                self.space.store.add(Clause(source, fact))
            return []
        is_of_conda = requirement.kind == "either" and self._only(requirement.name) != "wheel"
        if requirement.kind == "matchspec" or (is_of_conda and catalog.conda(requirement.name).records):
            return [self.demand_conda(source, requirement, fact, is_optional=is_optional)]
        if requirement.marker is not None:
            holds = catalog.pythons.for_marker(requirement.marker)
            if not holds:
                return []
            if holds != catalog.pythons.everything:
                source = (*source, (self.read_candidates(self.space.python), holds))
        return self.demand_pypi(source, requirement, fact, is_optional=is_optional)

    def virtual_holds(self, spec: CondaSpec, *, is_optional: bool) -> bool:
        """Return whether the target meets a MatchSpec on a virtual package (`__glibc >=2.17`)."""
        for name, version, build in self.space.catalog.target.virtual_packages:
            if name == spec.name:
                return spec.accepts_version(version) and (spec.build is None or bool(spec.build(build)))
        return is_optional

    def demand_conda(
        self,
        source: tuple[Term, ...],
        requirement: Requirement,
        fact: Fact,
        *,
        is_optional: bool = False,
        assumption: int = 0,
    ) -> DemandId:
        """Add a demand for a MatchSpec on its conda name."""
        assert requirement.conda is not None
        space = self.space
        target = space.conda(requirement.conda.name)
        fact = fact.onto(target)
        demand = space.attach(Demand(source, target, requirement, fact, is_optional, assumption))
        if space.is_known[target]:
            self._encode_conda(demand)
        elif not is_optional:
            # Only require the name for now; which of its records are allowed follows when they are read.
            space.store.add(Clause((*source, (target, ABSENT)), fact))
        if requirement.conda.extras and not is_optional:
            for extra in requirement.conda.extras:
                space.imply(source, space.record_extra(requirement.conda.name, extra), fact, ON)
        return demand

    def add_need(self, variable: VariableId, need: Need, requirement: Requirement) -> None:
        """Add an unconditional requirement of some records.

        A constraint takes effect only when its name is known; until then it is only stored.
        """
        space, name, is_optional = self.space, requirement.name, need.is_optional
        known = space.find(name)
        if is_optional and (known is None or not space.is_known[known]):
            self._constraining.setdefault(name, []).append((variable, need, requirement))
            return
        target = space.conda(name) if known is None else known
        fact = (facts.Constrains if is_optional else facts.Depends)(need.text, variable, need.bits, target)
        source, spec, meaning = ((variable, need.bits),), requirement.conda, space.meanings[target]
        if spec is None or spec.extras or meaning.wheels is not None:
            self.demand_conda(source, requirement, fact, is_optional=is_optional)
        elif meaning.conda is None:  # not read yet, as in `demand_conda`
            space.attach(Demand(source, target, requirement, fact))
            space.store.add(Clause((*source, (target, ABSENT)), fact))
        else:  # almost always: the same as by `demand_conda`, without its further cases
            allowed = meaning.conda.meets(spec) | (ABSENT if is_optional else 0)
            space.attach(Demand(source, target, requirement, fact, is_optional), allowed)
            if struck := space.store.full[target] & ~allowed:
                space.store.add(Clause((*source, (target, struck)), fact))

    def demand_pypi(
        self, source: tuple[Term, ...], requirement: Requirement, fact: Fact, *, is_optional: bool = False
    ) -> list[DemandId]:
        """Add a demand for a PEP 508 requirement, whose marker was evaluated, on the variable of its project."""
        space = self.space
        project = canonical(requirement.name)
        is_wheel = requirement.bound == "wheel" or requirement.url is not None
        owner = space.wheels(project) if is_wheel else self.owner(project)
        if requirement.url:
            add_url(space, self.assumptions, owner, requirement, source)
        fact = fact.onto(owner)
        demand = space.attach(Demand(source, owner, requirement, fact, is_optional))
        if space.is_known[owner]:
            self._encode(demand)
        elif not is_optional:
            space.store.add(Clause((*source, (owner, ABSENT)), fact))
        if is_optional:
            return [demand]
        return [
            demand, *(space.imply(source, space.extra(project, extra), fact, ON) for extra in requirement.extras)
        ]  # fmt: skip

    def _encode(self, demand: DemandId) -> None:
        """Add the clauses of a demand on a known variable."""
        target, requirement = self.space.demands[demand].target, self.space.demands[demand].requirement
        kind = self.space.variables[target].kind
        if requirement is None or kind == "extra":
            return
        if kind == "conda":
            self._encode_conda(demand)
        elif kind == "selector":
            self._encode_selector(demand, requirement)
        else:
            self._encode_wheels(demand, requirement)

    def _encode_conda(self, demand: DemandId) -> None:
        target, requirement = self.space.demands[demand].target, self.space.demands[demand].requirement
        meaning = self.space.meanings[target]
        conda = meaning.conda
        assert conda is not None
        assert requirement is not None
        allowed = _meeting_records(conda, conda.wheel_project or conda.name, requirement)
        if meaning.wheels is not None and requirement.bound != "conda":
            allowed |= meaning.wheel_bit
            self._forward_to_wheels(demand, meaning)
        self._add_clause(demand, allowed)

    def _encode_selector(self, demand: DemandId, requirement: Requirement) -> None:
        space = self.space
        source, target, _, fact, *_ = space.demands[demand]
        meaning, project = space.meanings[target], space.variables[target].key
        self._add_clause(demand, PRESENT)
        for position, provider in enumerate(meaning.providers):
            conda = space.meanings[provider].conda
            assert conda is not None
            meets = _meeting_records(conda, project, requirement)
            served = facts.Serves(fact.text, fact.subject, fact.bits, provider)
            space.imply((*source, (target, 2 << position)), provider, served, meets)
        self._forward_to_wheels(demand, meaning)

    def _forward_to_wheels(self, demand: DemandId, meaning: Meaning) -> None:
        """Add the same demand on the project's wheels, for the case that a wheel is taken."""
        whole = self.space.demands[demand]
        assert meaning.wheels is not None
        source = (*whole.source, (whole.target, meaning.wheel_bit))
        onward = self.space.attach(whole._replace(source=source, target=meaning.wheels))
        if self.space.is_known[meaning.wheels]:
            self._encode(onward)

    def _encode_wheels(self, demand: DemandId, requirement: Requirement) -> None:
        target = self.space.demands[demand].target
        project = self.space.meanings[target].project
        assert project is not None
        self.assumptions.release(target, requirement)
        self._add_clause(demand, meeting_files(project, requirement))

    def _add_clause(self, demand: DemandId, allowed: int) -> None:
        source, target, _, fact, is_optional, assumption = self.space.demands[demand]
        if self.assumptions.is_lifted(assumption):
            return
        if is_optional:
            allowed |= ABSENT
        self.space.allowed[demand] = allowed
        struck = self.space.store.full[target] & ~allowed
        if struck:
            self.space.store.add(Clause((*source, (target, struck)), fact, assumption))

    # Names and projects as a whole

    def owner(self, project: str) -> VariableId:
        """Return the variable that answers for a project: of its conda name, a selector, or of its wheels alone."""
        providers = self.space.catalog.providers(project)
        if not providers:
            return self.space.wheels(project)
        if len(providers) == 1:
            conda = self.space.catalog.conda(providers[0])
            if conda.wheel_project == project and conda.owns(project) == conda.everything:
                return self.read_candidates(self.space.conda(providers[0]))
        return self._selector(project, providers)

    def read_candidates(self, variable: VariableId) -> VariableId:
        """Read the candidates of a variable, once."""
        if not self.space.is_known[variable]:
            self.space.is_known[variable] = True
            if self.space.variables[variable].kind == "conda":
                self._read_conda(variable)
            else:
                self._read_wheels(variable)
        return variable

    def _only(self, *names: str | None) -> str | None:
        only = self.space.catalog.options.only
        return next((only[name] for name in names if name is not None and name in only), None)

    def _imply_choice(self, variable: VariableId, bit: int, target: VariableId, allowed: int) -> None:
        self.space.imply(((variable, bit),), target, facts.Provides("", variable, bit, target), allowed)

    def _selector(self, project: str, providers: Sequence[str]) -> VariableId:
        space = self.space
        selector = space.selector(project)
        if space.is_known[selector]:
            return selector
        space.is_known[selector] = True
        order = self.halves.ordered(project, providers) if len(providers) > 1 else providers
        known = tuple(self.read_candidates(space.conda(provider)) for provider in order)
        wheel_bit = 2 << len(known)
        full = (wheel_bit << 1) - 1
        if self._only(project) == "conda" or space.catalog.index is None:
            full &= ~wheel_bit
        space.store.set_full(selector, full)
        wheels = space.wheels(project)
        space.meanings[selector] = Meaning(providers=known, wheels=wheels, wheel_bit=wheel_bit)
        for position, provider in enumerate(known):
            conda = space.meanings[provider].conda
            assert conda is not None
            self._imply_choice(selector, 2 << position, provider, conda.meets_pypi(project, None))
        self._imply_choice(selector, wheel_bit, wheels, PRESENT)
        for position, provider in enumerate(known):
            # One source: a wheel of the project, if taken, answers for the project, whatever else provides it.
            fact = facts.SameProject(project, wheels, PRESENT, provider)
            space.store.add(Clause(((wheels, PRESENT), (selector, 2 << position)), fact))
        if self._only(project) == "wheel":
            carried = wheel_bit - 2
            space.forbid(selector, carried, facts.Only("wheel", selector, carried))
        return selector

    def _read_conda(self, variable: VariableId) -> None:
        space = self.space
        conda = space.catalog.conda(space.variables[variable].key)
        meaning = Meaning(conda=conda)
        full = ABSENT | conda.everything
        only = self._only(conda.name, conda.wheel_project)
        has_wheels = conda.wheel_project is not None and space.catalog.index is not None and variable != space.python
        if has_wheels and only != "conda" and conda.wheel_project is not None:
            wheels = space.wheels(conda.wheel_project)
            meaning = Meaning(conda=conda, wheel_bit=conda.wheel_bit, wheels=wheels)
            if variable in space.requested:
                space.requested.setdefault(wheels, set())
            full |= conda.wheel_bit
        space.meanings[variable] = meaning
        space.store.set_full(variable, full)
        if meaning.wheels is not None:
            self._imply_choice(variable, meaning.wheel_bit, meaning.wheels, PRESENT)
            if only == "wheel":
                space.forbid(variable, conda.everything, facts.Only("wheel", variable, conda.everything))
        space.forbid(variable, conda.too_new, facts.TooNew("", variable, conda.too_new))
        for rule, bits in conda.barred.items():
            space.forbid(variable, bits, facts.Barred(rule, variable, bits))
        for project in conda.projects:
            if (other := space.find(f"pypi:{project}")) is not None:
                self._exclude(other, variable)
        for demand in tuple(space.onto[variable]):
            self._encode(demand)
        for subject, need, requirement in self._constraining.pop(conda.name, ()):
            self.add_need(subject, need, requirement)

    def _read_wheels(self, variable: VariableId) -> None:
        space, name = self.space, self.space.variables[variable].key
        project = space.meanings[variable].project or space.catalog.project(name)
        space.meanings[variable] = replace(space.meanings[variable], project=project)
        space.store.set_full(variable, ABSENT | project.everything)
        python = self.read_candidates(space.python)
        needs = facts.NeedsPython("", variable, project.everything, python)
        space.imply(((variable, PRESENT),), python, needs, PRESENT)
        if self._only(name) == "conda":
            space.forbid(variable, project.everything, facts.Only("conda", variable, project.everything))
        bind_to_pythons(space, variable, project, project.everything)
        for provider in space.catalog.related_names(name):
            conda = self.read_candidates(space.conda(provider))
            meaning = space.meanings[conda]
            if meaning.wheels == variable:
                # The wheel replaces the conda name: constraints on the name apply to the wheel.
                assert meaning.conda is not None
                fact = facts.SameProject(name, variable, PRESENT, conda)
                others = meaning.conda.everything & ~meaning.conda.owns(name)  # another package of this name
                space.imply(((variable, PRESENT),), conda, fact, meaning.wheel_bit | others)
            else:
                self._exclude(variable, conda)
        self.assumptions.restrict(variable, project)
        for demand in tuple(space.onto[variable]):
            self._encode(demand)

    def _exclude(self, wheels: VariableId, variable: VariableId) -> None:
        """Add that a wheel and the records that own its project exclude each other (`CondaName.owns`)."""
        conda = self.space.meanings[variable].conda
        if conda is None or (wheels, variable) in self._excluded:
            return
        self._excluded.add((wheels, variable))
        project = self.space.variables[wheels].key
        if owned := conda.owns(project):
            fact = facts.SameProject(project, wheels, PRESENT, variable)
            self.space.store.add(Clause(((wheels, PRESENT), (variable, owned)), fact))


def _meeting_records(conda: CondaName, project: str, requirement: Requirement) -> int:
    """Return the records that meet a requirement by its own version order (by conda's for `either`)."""
    if requirement.kind == "pep508":
        return conda.meets_pypi(project, requirement.specifier)
    assert requirement.conda is not None
    meets = conda.meets(requirement.conda)
    return meets if requirement.kind == "matchspec" else meets & conda.everything
