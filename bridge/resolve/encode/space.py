"""The joint candidate space of one request: tables of variables, of the meaning of their bits, and of demands.

All references are ids, so there are no reference cycles: a space is freed with its last user.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.errors import BridgeError
from bridge.model import IndexFile
from bridge.resolve.candidates.catalog import Catalog
from bridge.resolve.candidates.provides import canonical
from bridge.resolve.encode.facts import Fact
from bridge.resolve.encode.variables import Candidate, Demand, DemandId, Meaning, Variable, VariableId, VariableKind
from bridge.resolve.masks import ABSENT, ON, PRESENT
from bridge.resolve.store import Clause, Store, Term

__all__ = ["Space"]

_UNREAD = Meaning()


class Space:
    """The store of one request and the tables over it.

    :param kept: a variable's name → the candidates that are installed already.
    :param agreed: a variable's name → the version to prefer; `wheel:PROJECT` where it is that of a wheel.
    """

    def __init__(
        self, catalog: Catalog, kept: Mapping[str, int] | None = None, agreed: Mapping[str, str] | None = None
    ) -> None:
        self.catalog = catalog
        self.store = Store()
        self.kept = dict(kept or {})
        self.agreed = dict(agreed or {})
        self._agreed: dict[str, int] = {}
        self.variables: list[Variable] = []
        self.meanings: list[Meaning] = []
        self.is_known: list[bool] = []  # whether the candidates were read
        self.demands: list[Demand] = []
        self.allowed: list[int] = []  # per demand: the candidates of its target that meet it
        self.onto: list[list[DemandId]] = []  # the demands on each variable
        self.extras: list[VariableId] = []
        self.requested: dict[VariableId, set[str]] = {}  # → the kinds of the user's requirements
        self.named: frozenset[str] = frozenset()  # the conda names in the user's MatchSpecs
        self.selectors: list[VariableId] = []
        self.warnings: dict[str, None] = {}
        self.failures: dict[str, BridgeError] = {}  # file name → why it cannot be used
        self._by_name: dict[str, VariableId] = {}
        self.python = self.conda("python")

    # Variables

    def _new(
        self, name: str, kind: VariableKind, key: str, extra: str = "", *, is_of_records: bool = False
    ) -> VariableId:
        made = self.store.new_variable()
        self.variables.append(
            Variable(id=made, name=name, kind=kind, key=key, extra=extra, is_of_records=is_of_records)
        )
        self.meanings.append(_UNREAD)
        self.is_known.append(False)
        self.onto.append([])
        self._by_name[name] = made
        return made

    def _variable(self, name: str, kind: VariableKind, key: str) -> VariableId:
        known = self._by_name.get(name)
        return self._new(name, kind, key) if known is None else known

    def find(self, name: str) -> VariableId | None:
        """Return the variable of this name, if there is one."""
        return self._by_name.get(name)

    def conda(self, name: str) -> VariableId:
        """Return the variable of a conda name; its records are read when it becomes required."""
        return self._variable(name, "conda", name)

    def wheels(self, project: str) -> VariableId:
        """Return the variable of a project's files; the index is read when it becomes required."""
        return self._variable(f"pypi:{project}", "wheels", project)

    def selector(self, project: str) -> VariableId:
        """Return the variable that selects what provides a project."""
        made = self._variable(f"project:{project}", "selector", project)
        if not self.is_known[made]:
            self.selectors.append(made)
        return made

    def extra(self, project: str, extra: str) -> VariableId:
        """Return the variable of `project[extra]`."""
        known = self._by_name.get(f"{project}[{extra}]")
        return self._extra(f"{project}[{extra}]", project, extra) if known is None else known

    def record_extra(self, name: str, extra: str) -> VariableId:
        """Return the variable of an extra in a MatchSpec: of the records that define it, else of the project."""
        conda = self.catalog.conda(name)
        if conda.wheel_project is not None and not conda.extra_depends(extra)[0]:
            return self.extra(conda.wheel_project, canonical(extra))
        known = self._by_name.get(f"conda:{name}[{canonical(extra)}]")
        if known is not None:
            return known
        return self._extra(f"conda:{name}[{canonical(extra)}]", name, canonical(extra), is_of_records=True)

    def _extra(self, name: str, key: str, extra: str, *, is_of_records: bool = False) -> VariableId:
        made = self._new(name, "extra", key, extra, is_of_records=is_of_records)
        self.is_known[made] = True
        self.extras.append(made)
        self.store.set_full(made, ABSENT | ON)
        return made

    def file(self, variable: VariableId, bit: int) -> IndexFile:
        """Return the file behind a candidate of a project."""
        project = self.meanings[variable].project
        assert project is not None
        return project.files[bit.bit_length() - 2]

    def agreed_candidates(self, name: str) -> int:
        """Return the candidates of a variable that have its agreed version, those of a conda name with "the wheel".

        Reads the page of a project only for its wheels, and where a wheel was agreed on.
        """
        known = self._agreed.get(name)
        if known is None:
            known = self._agreed[name] = self._of_agreed_version(name)
        return known

    def agrees_on_wheel(self, name: str) -> bool:
        """Return whether the variable of a project's wheels has the agreed version, and a wheel was agreed on."""
        return f"wheel:{name.removeprefix('pypi:')}" in self.agreed and bool(self.agreed_candidates(name))

    def _of_agreed_version(self, name: str) -> int:
        version = self.agreed.get(name)
        if name.startswith("pypi:"):
            return 0 if version is None else self.catalog.project(name.removeprefix("pypi:")).at(version)
        if name.startswith("project:") or "[" in name:
            return 0
        conda = self.catalog.conda(name)
        bits = 0 if version is None else conda.at(version)
        if conda.wheel_project is not None and self.agrees_on_wheel(f"pypi:{conda.wheel_project}"):
            bits |= conda.wheel_bit
        return bits

    # Clauses and demands

    def forbid(self, variable: VariableId, bits: int, fact: Fact, assumptions: int = 0) -> None:
        """Exclude these candidates, under the given assumptions."""
        if bits:
            self.store.add(Clause(((variable, bits),), fact, assumptions))

    def attach(self, demand: Demand, allowed: int = PRESENT) -> DemandId:
        """Register a demand with its target; the caller adds its clauses."""
        made = len(self.demands)
        self.demands.append(demand)
        self.allowed.append(allowed)
        self.onto[demand.target].append(made)
        return made

    def imply(self, source: tuple[Term, ...], target: VariableId, fact: Fact, allowed: int) -> DemandId:
        """Add: if `source` holds, `target` is one of `allowed`."""
        self.store.add(Clause((*source, (target, ~allowed)), fact))
        return self.attach(Demand(source, target, None, fact), allowed)

    def decided(self, variable: VariableId) -> Candidate | None:
        """Return the only candidate left of a required variable."""
        return Candidate(variable, self.store.domains[variable]) if self.store.is_decided(variable) else None
