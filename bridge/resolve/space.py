"""The joint candidate space of one request: variables over conda names, projects and extras, and what ties them.

`Space` turns requirements into clauses of the store. What records and wheels require is read by
`bridge.resolve.loader`, late, and only for what is still alive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.errors import BridgeError
from bridge.model import IndexFile
from bridge.requirements.algebra import CondaSpec, Requirement
from bridge.resolve.assumptions import Assumptions, meeting_files
from bridge.resolve.catalog import Catalog, CondaName
from bridge.resolve.files import add_url, say_where_files_run
from bridge.resolve.masks import ABSENT, ON, PRESENT
from bridge.resolve.needs import Need
from bridge.resolve.provides import canonical
from bridge.resolve.store import Clause, Store, Term
from bridge.resolve.variables import Fact, Implication, Variable, VariableKind

__all__ = ["Space"]


class Space:
    """The store of one request and the variables over it.

    `kept` maps a variable's name to the candidates that are installed already; `warnings` are for the person.
    """

    def __init__(self, catalog: Catalog, kept: Mapping[str, int] | None = None) -> None:
        self.catalog = catalog
        self.store = Store()
        self.kept = dict(kept or {})
        self.variables: list[Variable] = []
        self.extras: list[Variable] = []
        self.warnings: dict[str, None] = {}
        self.failures: dict[str, BridgeError] = {}  # file name → why it cannot be used
        self.assumptions = Assumptions(self)
        self._by_name: dict[str, Variable] = {}
        self._excluded: set[tuple[int, int]] = set()
        self._constraining: dict[str, list[tuple[Variable, Need, Requirement]]] = {}
        self.python = self.conda_variable("python")

    def close(self) -> None:
        """Let go of what refers to itself, so that it is freed at once and not looked for; nothing works afterwards."""
        for variable in self.variables:
            variable.demands.clear()
        del self.assumptions

    # Variables

    def _variable(self, name: str, kind: VariableKind, key: str, extra: str = "") -> Variable:
        variable = Variable(index=self.store.new_variable(), name=name, kind=kind, key=key, extra=extra)
        self.variables.append(variable)
        self._by_name[name] = variable
        return variable

    def conda_variable(self, name: str) -> Variable:
        """The variable of a conda name; its records are read when it becomes required."""
        return self._by_name.get(name) or self._variable(name, "conda", name)

    def wheels_variable(self, project: str) -> Variable:
        """The variable of a project's files; the index is asked when it becomes required."""
        name = f"pypi:{project}"
        return self._by_name.get(name) or self._variable(name, "wheels", project)

    def extra_variable(self, project: str, extra: str) -> Variable:
        """The variable of `project[extra]`."""
        name = f"{project}[{extra}]"
        if name not in self._by_name:
            variable = self._variable(name, "extra", project, extra)
            variable.is_known = True
            self.extras.append(variable)
            self.store.set_full(variable.index, ABSENT | ON)
        return self._by_name[name]

    def conda_extra(self, name: str, extra: str) -> Variable:
        """The variable of an extra that a MatchSpec asks for: of the records that offer it, else of the project."""
        conda = self.catalog.conda(name)
        if conda.standin is not None and not conda.extra_depends(extra)[0]:
            return self.extra_variable(conda.standin, canonical(extra))
        made = self.extra_variable(f"conda:{name}", canonical(extra))
        made.key = name
        made.is_of_records = True
        return made

    def slot_variable(self, project: str, carriers: Sequence[str]) -> Variable:
        """The variable of a project for which no conda name of its own stands."""
        name = f"project:{project}"
        if name in self._by_name:
            return self._by_name[name]
        slot = self._variable(name, "slot", project)
        slot.is_known = True
        slot.carriers = tuple(self.know(self.conda_variable(carrier)) for carrier in carriers)
        slot.wheel_bit = 2 << len(slot.carriers)
        full = (slot.wheel_bit << 1) - 1
        if self._only(project) == "conda" or self.catalog.index is None:
            full &= ~slot.wheel_bit
        self.store.set_full(slot.index, full)
        for position, carrier in enumerate(slot.carriers):
            assert carrier.conda is not None
            self._tie(slot, 2 << position, carrier, carrier.conda.meets_pypi(project, None))
        slot.wheels = self.wheels_variable(project)
        self._tie(slot, slot.wheel_bit, slot.wheels, PRESENT)
        for position, carrier in enumerate(slot.carriers):
            # One source: where a wheel of the project is, it answers for the project, whoever else carries it.
            fact = Fact("owner", project, slot.wheels, PRESENT, carrier)
            self.store.add(Clause(((slot.wheels.index, PRESENT), (slot.index, 2 << position)), fact))
        if self._only(project) == "wheel":
            carried = slot.wheel_bit - 2
            self.bar(slot, carried, Fact("only", "wheel", slot, carried))
        return slot

    def owner(self, project: str) -> Variable:
        """The variable that answers for a project: its conda name's, a slot, or its wheels alone."""
        carriers = self.catalog.carriers(project)
        if not carriers:
            return self.wheels_variable(project)
        if len(carriers) == 1:
            conda = self.catalog.conda(carriers[0])
            if conda.standin == project and conda.owns(project) == conda.everything:
                return self.know(self.conda_variable(carriers[0]))
        return self.slot_variable(project, carriers)

    def know(self, variable: Variable) -> Variable:
        """Read a variable's candidates, unless they were read before."""
        if not variable.is_known:
            variable.is_known = True
            if variable.kind == "conda":
                self._know_conda(variable)
            else:
                self._know_wheels(variable)
        return variable

    def file(self, variable: Variable, bit: int) -> IndexFile:
        """The file behind a candidate of a project."""
        assert variable.project is not None
        return variable.project.files[bit.bit_length() - 2]

    # Requirements

    def stay(self, requirement: Requirement) -> list[Implication]:
        """What is installed is to stay, in some version: a root like a request, but nobody asked for it."""
        return self.demand((), requirement, Fact("present", requirement.text))

    def leave(self, requirement: Requirement) -> list[Implication]:
        """What another installer put there stays as it is: a root, like what is present."""
        return self.demand((), requirement, Fact("foreign", requirement.text))

    def ask(self, requirement: Requirement) -> list[Implication]:
        """Add a requirement of the person; returns the implications that stand for it at the root."""
        made = self.demand((), requirement, Fact("asked", requirement.text))
        is_undecided = requirement.marker is not None and self.catalog.pythons.is_missing(requirement.marker)
        if requirement.kind == "pep508" and (made or is_undecided):
            made.append(self.require_python(Fact("needs-python", requirement.text)))
        for implication in made[:1]:
            implication.target.is_asked = True
            implication.target.asked.add(requirement.kind)
            for related in (implication.target.wheels, *implication.target.carriers):
                if related is not None:
                    related.is_asked = True
        return made

    def constrain(self, requirement: Requirement) -> None:
        """What must hold of a project if it is installed at all (pip's constraints)."""
        self.demand((), requirement, Fact("constraint", requirement.text), is_optional=True)

    def pin(self, requirement: Requirement) -> None:
        """What the environment pins (`conda-meta/pinned`): it must hold of the name, as a record or as a wheel.

        A name that no channel has is pinned as the project of that name.
        """
        fact = Fact("pinned", requirement.text)
        self.demand((), requirement, fact, is_optional=True)
        if requirement.bound != "conda" and not self.catalog.conda(requirement.name).records:
            wheels = self.wheels_variable(canonical(requirement.name))
            self._attach(Implication((), wheels, requirement, Fact("pinned", requirement.text), is_optional=True))

    def bound_python(self, text: str) -> list[Implication]:
        """The pythons that a Requires-Python of the request admits; an unreadable one is ignored, with a warning."""
        fits = self.catalog.pythons.for_requires(text)
        if fits is None:
            self.warnings[f"Requires-Python {text!r} cannot be read and is ignored"] = None
            return []
        return [self.imply((), self.know(self.python), Fact("asked", f"python {text}"), fits)]

    def require_python(self, fact: Fact) -> Implication:
        """A wheel, or a request for one, needs a conda python."""
        return self.imply((), self.know(self.python), fact, PRESENT)

    def demand(
        self, source: tuple[Term, ...], requirement: Requirement, fact: Fact, *, is_optional: bool = False
    ) -> list[Implication]:
        """If `source` holds, `requirement` must be met; an optional one, where its name is installed at all."""
        if requirement.conda is not None and requirement.name.startswith("__"):
            if not self.virtual_holds(requirement.conda, is_optional=is_optional):
                self.store.add(Clause(source, fact))
            return []
        if requirement.kind == "matchspec":
            return [self.demand_conda(source, requirement, fact, is_optional=is_optional)]
        if requirement.kind == "either" and self.catalog.conda(requirement.name).records:
            return [self.demand_conda(source, requirement, fact, is_optional=is_optional)]
        if requirement.marker is not None:
            holds = self.catalog.pythons.for_marker(requirement.marker)
            if not holds:
                return []
            if holds != self.catalog.pythons.everything:
                source = (*source, (self.know(self.python).index, holds))
        return self.demand_pypi(source, requirement, fact, is_optional=is_optional)

    def virtual_holds(self, spec: CondaSpec, *, is_optional: bool) -> bool:
        """Whether the target has what a MatchSpec of a virtual package demands (`__glibc >=2.17`)."""
        for name, version, build in self.catalog.target.virtual_packages:
            if name == spec.name:
                return spec.accepts_version(version) and (spec.build is None or bool(spec.build(build)))
        return is_optional

    def demand_conda(
        self, source: tuple[Term, ...], requirement: Requirement, fact: Fact, *, is_optional: bool = False
    ) -> Implication:
        """A MatchSpec, asked of its conda name."""
        assert requirement.conda is not None
        target = self.conda_variable(requirement.conda.name)
        implication = Implication(source, target, requirement, fact, is_optional)
        self._attach(implication)
        if target.is_known:
            self._emit_conda(implication, requirement)
        elif not is_optional:
            # Only that it is needed is said now; which of its records will do is said when they are read.
            self.store.add(Clause((*source, (target.index, ABSENT)), fact))
        if requirement.conda.extras and not is_optional:
            for extra in requirement.conda.extras:
                self.imply(source, self.conda_extra(requirement.conda.name, extra), fact, ON)
        return implication

    def state(self, variable: Variable, need: Need, requirement: Requirement) -> None:
        """What some records state, without a condition.

        What they constrain counts from when its name is known; until then it is only remembered.
        """
        if need.is_optional:
            target = self._by_name.get(requirement.name)
            if target is None or not target.is_known:
                self._constraining.setdefault(requirement.name, []).append((variable, need, requirement))
                return
        fact = Fact("constrains" if need.is_optional else "depends", need.text, variable, need.bits)
        self.demand_conda(((variable.index, need.bits),), requirement, fact, is_optional=need.is_optional)

    def demand_pypi(
        self, source: tuple[Term, ...], requirement: Requirement, fact: Fact, *, is_optional: bool = False
    ) -> list[Implication]:
        """A PEP 508 requirement whose marker was judged, asked of whatever answers for its project."""
        project = canonical(requirement.name)
        is_wheel = requirement.bound == "wheel" or requirement.url is not None
        owner = self.wheels_variable(project) if is_wheel else self.owner(project)
        if requirement.url:
            add_url(self, owner, requirement, is_root=not source)
        implication = Implication(source, owner, requirement, fact, is_optional)
        self._attach(implication)
        if owner.is_known:
            self._emit(implication)
        elif not is_optional:
            self.store.add(Clause((*source, (owner.index, ABSENT)), fact))
        if is_optional:
            return [implication]
        extras = [self.imply(source, self.extra_variable(project, extra), fact, ON) for extra in requirement.extras]
        return [implication, *extras]

    def imply(self, source: tuple[Term, ...], target: Variable, fact: Fact, allowed: int) -> Implication:
        """If `source` holds, `target` is one of `allowed`."""
        implication = Implication(source, target, None, fact, allowed=allowed)
        self._attach(implication)
        self.store.add(Clause((*source, (target.index, ~allowed)), fact))
        return implication

    def _attach(self, implication: Implication) -> None:
        if implication.fact.target is None:
            implication.fact.target = implication.target
        implication.target.demands.append(implication)

    def _tie(self, variable: Variable, bit: int, target: Variable, allowed: int) -> None:
        self.imply(((variable.index, bit),), target, Fact("provides", "", variable, bit, target), allowed)

    def _emit(self, implication: Implication) -> None:
        """Turn a demand on a known variable into clauses."""
        kind = implication.target.kind
        if implication.requirement is None or kind == "extra":
            return
        if kind == "conda":
            self._emit_conda(implication, implication.requirement)
        elif kind == "slot":
            self._emit_slot(implication, implication.requirement)
        else:
            self._emit_wheels(implication, implication.requirement)

    def _emit_conda(self, implication: Implication, requirement: Requirement) -> None:
        target = implication.target
        assert target.conda is not None
        allowed = _meeting_records(target.conda, target.conda.standin or target.key, requirement)
        if target.wheels is not None and requirement.bound != "conda":
            allowed |= target.wheel_bit
            self._pass_on(implication, target.wheels)
        self._strike_others(implication, allowed)

    def _emit_slot(self, implication: Implication, requirement: Requirement) -> None:
        target, fact = implication.target, implication.fact
        assert target.wheels is not None
        self._strike_others(implication, PRESENT)
        for position, carrier in enumerate(target.carriers):
            assert carrier.conda is not None
            source = (*implication.source, (target.index, 2 << position))
            meets = _meeting_records(carrier.conda, target.key, requirement)
            self.imply(source, carrier, Fact("serves", fact.text, fact.subject, fact.bits, carrier), meets)
        self._pass_on(implication, target.wheels)

    def _pass_on(self, implication: Implication, wheels: Variable) -> None:
        """Say the same of the project's wheels, for the case that a wheel is taken."""
        target = implication.target
        source = (*implication.source, (target.index, target.wheel_bit))
        onward = Implication(source, wheels, implication.requirement, implication.fact, implication.is_optional)
        self._attach(onward)
        if wheels.is_known:
            self._emit(onward)

    def _emit_wheels(self, implication: Implication, requirement: Requirement) -> None:
        target = implication.target
        assert target.project is not None
        self.assumptions.release(target, requirement)
        self._strike_others(implication, meeting_files(target.project, requirement))

    def _strike_others(self, implication: Implication, allowed: int) -> None:
        if implication.is_optional:
            allowed |= ABSENT
        implication.allowed = allowed
        struck = self.store.full[implication.target.index] & ~allowed
        if struck:
            self.store.add(Clause((*implication.source, (implication.target.index, struck)), implication.fact))

    # What is known of a name or a project as a whole

    def _only(self, *names: str | None) -> str | None:
        only = self.catalog.options.only
        return next((only[name] for name in names if name is not None and name in only), None)

    def bar(self, variable: Variable, bits: int, fact: Fact, marks: int = 0) -> None:
        """These candidates are out of the question, under the assumptions `marks`."""
        if bits:
            self.store.add(Clause(((variable.index, bits),), fact, marks))

    def _know_conda(self, variable: Variable) -> None:
        conda = self.catalog.conda(variable.key)
        variable.conda, (variable.unread_python, variable.unread) = conda, conda.needs
        full = ABSENT | conda.everything
        only = self._only(variable.key, conda.standin)
        has_wheels = conda.standin is not None and self.catalog.index is not None and variable is not self.python
        if has_wheels and only != "conda" and conda.standin is not None:
            variable.wheel_bit = conda.wheel_bit
            variable.wheels = self.wheels_variable(conda.standin)
            variable.wheels.is_asked |= variable.is_asked
            full |= variable.wheel_bit
        self.store.set_full(variable.index, full)
        if variable.wheels is not None:
            self._tie(variable, variable.wheel_bit, variable.wheels, PRESENT)
            if only == "wheel":
                self.bar(variable, conda.everything, Fact("only", "wheel", variable, conda.everything))
        self.bar(variable, conda.too_new, Fact("too-new", "", variable, conda.too_new))
        for project in conda.projects:
            if (wheels := self._by_name.get(f"pypi:{project}")) is not None:
                self._exclude(wheels, variable)
        for implication in list(variable.demands):
            self._emit(implication)
        for subject, need, requirement in self._constraining.pop(variable.key, ()):
            self.state(subject, need, requirement)

    def _know_wheels(self, variable: Variable) -> None:
        project = variable.project or self.catalog.project(variable.key)
        variable.project = project
        self.store.set_full(variable.index, ABSENT | project.everything)
        needs = Fact("needs-python", "", variable, project.everything)
        self.imply(((variable.index, PRESENT),), self.know(self.python), needs, PRESENT)
        if self._only(variable.key) == "conda":
            self.bar(variable, project.everything, Fact("only", "conda", variable, project.everything))
        say_where_files_run(self, variable, project, project.everything)
        for name in self.catalog.namesakes(variable.key):
            conda = self.know(self.conda_variable(name))
            if conda.wheels is variable:
                # The wheel stands for the conda name: what constrains the name binds the wheel.
                assert conda.conda is not None
                fact = Fact("owner", variable.key, variable, PRESENT, conda)
                others = conda.conda.everything & ~conda.conda.owns(variable.key)  # of another thing of this name
                self.imply(((variable.index, PRESENT),), conda, fact, conda.wheel_bit | others)
            else:
                self._exclude(variable, conda)
        self.assumptions.hold_back(variable, project)
        for implication in list(variable.demands):
            self._emit(implication)

    def _exclude(self, wheels: Variable, conda: Variable) -> None:
        """One owner: a wheel, and a record that carries its project alone or bears its name, exclude each other."""
        if conda.conda is None or (wheels.index, conda.index) in self._excluded:
            return
        self._excluded.add((wheels.index, conda.index))
        if owned := conda.conda.owns(wheels.key):
            fact = Fact("owner", wheels.key, wheels, PRESENT, conda)
            self.store.add(Clause(((wheels.index, PRESENT), (conda.index, owned)), fact))


def _meeting_records(conda: CondaName, project: str, requirement: Requirement) -> int:
    """The records of a conda name that meet a requirement in the requirement's own order, or in conda's for either."""
    if requirement.kind == "pep508":
        return conda.meets_pypi(project, requirement.specifier)
    assert requirement.conda is not None
    meets = conda.meets(requirement.conda)
    return meets if requirement.kind == "matchspec" else meets & conda.everything
