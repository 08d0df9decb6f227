"""The answers of `bridge owner` and `bridge why`, from the records alone. Pure."""

from __future__ import annotations

import posixpath
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from bridge.audit.dependencies import Edge, PrefixRecords, edges, owners_named, prefix_records
from bridge.audit.left_out import left_out
from bridge.audit.packages import PackageRow, distributions_by_owner, is_requested, package_list, projects_of
from bridge.model import Fingerprint, PathKind, PrefixState
from bridge.prefix.chosen import kept_choice
from bridge.prefix.claims import Claims, Owner, Source, bytecode_source, claims_of
from converters.deferred import dataclass
from converters.names import NameMap
from converters.target import Target

__all__ = [
    "Ownership",
    "PathOwner",
    "Reason",
    "Reasons",
    "ownership",
    "why",
]

Role = Literal["file", "record", "bytecode", "directory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathOwner:
    """One owner of a path, what it promises there, and its archive.

    :param role: `file`: its record lists the path; `record`: the path is its record; `bytecode`: the path is bytecode
        of its module; `directory`: it has `files` below the path.
    """

    owner: str
    package: str
    source: Source
    role: Role
    promised: Fingerprint | None = None
    files: int | None = None
    url: str | None = None
    sha256: str | None = None

    def to_json(self) -> dict[str, object]:
        """An item of `owners` in `bridge/schemas/owner.json`."""
        return {
            "owner": self.owner,
            "package": self.package,
            "source": self.source,
            "role": self.role,
            "kind": self.promised.kind if self.promised else None,
            "sha256": self.promised.sha256 if self.promised else None,
            "size": self.promised.size if self.promised else None,
            "files": self.files,
            "artifact": {"url": self.url, "sha256": self.sha256},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """The owners of a path; empty: it is unowned. `actual` is what is there, if it was read."""

    prefix: Path
    path: str
    owners: tuple[PathOwner, ...]
    actual: Fingerprint | None = None

    @property
    def kind(self) -> PathKind | None:
        return self.actual.kind if self.actual else None

    def to_json(self) -> dict[str, object]:
        """The document of `bridge owner --json` (`bridge/schemas/owner.json`)."""
        return {
            "prefix": str(self.prefix),
            "path": self.path,
            "kind": self.kind,
            "sha256": self.actual.sha256 if self.actual else None,
            "owners": [owner.to_json() for owner in self.owners],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a package is installed.

    :param required_by: its direct dependants, with the text of the requirement.
    :param chains: for each requested package that depends on it, the shortest path from that to this one.
    :param rests_on: the evidence that it provides its projects (`converters.names.Evidence`, or `dist-info`).
    :param because: why it is from that ecosystem, as far as the records prove it.
    :param choice: why the other ecosystem does not provide it, as the solve recorded it; empty if none did.
    :param left_out: sentences on what METADATA requires and its conda record does not bring.
    """

    row: PackageRow
    required_by: tuple[Edge, ...]
    chains: tuple[tuple[Edge, ...], ...]
    rests_on: str
    because: str
    choice: str = ""
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """An item of `packages` in `bridge/schemas/why.json`."""
        return {
            **self.row.to_json(),
            "evidence": self.rests_on,
            "because": self.because,
            "choice": self.choice or None,
            "left_out": list(self.left_out),
            "required_by": [_edge_json(edge) for edge in self.required_by],
            "chains": [[_edge_json(edge) for edge in chain] for chain in self.chains],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasons:
    """One reason for each package of a name."""

    prefix: Path
    packages: tuple[Reason, ...]

    def to_json(self) -> dict[str, object]:
        """The document of `bridge why --json` (`bridge/schemas/why.json`)."""
        return {"prefix": str(self.prefix), "packages": [reason.to_json() for reason in self.packages]}


def ownership(state: PrefixState, path: str, actual: Fingerprint | None = None) -> Ownership:
    """The owners of a prefix-relative path. Bytecode has those of its module; a directory, those of its files."""
    claims = claims_of(state)
    path = posixpath.normpath(path)
    owners = [
        _path_owner(claim.owner, "record")
        if claim.owner.installed is not None and claim.owner.installed.meta_path == path
        else _path_owner(claim.owner, "file", claim.entry.fingerprint)
        for claim in claims.by_path.get(path, ())
    ]
    source = bytecode_source(path)
    if not owners and source is not None:
        owners = [_path_owner(claim.owner, "bytecode") for claim in claims.by_path.get(source, ())]
    return Ownership(prefix=state.prefix, path=path, actual=actual, owners=tuple(owners) or _owners_below(claims, path))


def why(state: PrefixState, target: Target, names: NameMap, name: str) -> Reasons:
    """Why the package of this conda name, or else the packages that provide this PyPI project, are installed.

    Raises `UsageError` (`not-installed`).
    """
    records = prefix_records(state, target, names)
    owners = owners_named(records, name)
    rows = {row.owner: row for row in package_list(state, names).rows}
    known = list(edges(records))
    reasons = tuple(_reason(records, owner, rows[owner.label], known) for owner in owners)
    return Reasons(prefix=state.prefix, packages=reasons)


def _reason(records: PrefixRecords, owner: Owner, row: PackageRow, known: list[Edge]) -> Reason:
    direct = [edge for edge in known if edge.dependency is owner and edge.dependant is not owner]
    rests_on = _evidence(owner, records)
    choice = kept_choice(owner.installed.record) if owner.installed is not None else ""
    return Reason(
        row=row,
        required_by=tuple(sorted(direct, key=lambda edge: (edge.dependant.label, edge.text))),
        chains=tuple(_chains(records, owner, known)),
        rests_on=rests_on,
        because=_because(row, records.names, rests_on, choice),
        choice=choice,
        left_out=tuple(left_out(records, owner)),
    )


def _because(row: PackageRow, names: NameMap, rests_on: str, choice: str) -> str:
    """A sentence that claims no more than the records prove, and what the solve recorded (`choice`)."""
    project = row.pypi_names[0] if row.pypi_names else row.name
    if row.displacement:
        return f"its record is no longer true: it was {row.displacement}"
    if row.source == "unmanaged":
        return "another tool installed it, and no conda package's record covers it"
    prefix = "conda:" if row.source == "conda" else "pypi:"
    bound = next((text for text in row.requested if text.startswith(prefix)), None)
    if bound is not None:
        return f"it was requested as `{bound}`, which binds it to {row.source}"
    if row.source == "conda":
        if not row.pypi_names:
            return "nothing says that it is a PyPI project, so only a channel could have it"
        provides = f"it provides the project {project} ({rests_on}), so it replaces the wheel too"
        return "; ".join(["a channel has it", provides, *([choice] if choice else [])])
    if choice:
        return f"a wheel was chosen: {choice}"
    providers = [name for name in names.providers(project) if name != project]
    if providers:
        return f"a wheel was chosen; conda's {', '.join(providers)} provides {project} too, and no record says why"
    return f"a wheel was chosen; no other conda name provides {project}, and no record says what channels had"


def _chains(records: PrefixRecords, owner: Owner, known: list[Edge]) -> list[tuple[Edge, ...]]:
    """Breadth first from the package to its dependants, so the first path to each requested package is a shortest."""
    above: dict[Owner, list[Edge]] = {}
    for edge in known:
        above.setdefault(edge.dependency, []).append(edge)
    chains: dict[Owner, tuple[Edge, ...]] = {owner: ()}
    pending = deque([owner])
    while pending:
        here = pending.popleft()
        for edge in above.get(here, ()):
            if edge.dependant not in chains:
                chains[edge.dependant] = (edge, *chains[here])
                pending.append(edge.dependant)
    brought = distributions_by_owner(records.claims, records.state)
    return sorted(
        (chain for root, chain in chains.items() if chain and is_requested(root, brought.get(root, ()))),
        key=lambda chain: (len(chain), chain[0].dependant.label),
    )


def _evidence(owner: Owner, records: PrefixRecords) -> str:
    if any(answering is owner for answering in records.claims.answering.values()):
        return "dist-info"
    record = owner.installed.record if owner.installed else None
    if record is None or record.pypi_names:
        return "purl"
    is_python = projects_of(owner, NameMap.empty()) != ()
    return records.names.provides(record.name, is_python=is_python).evidence


def _path_owner(owner: Owner, role: Role, promised: Fingerprint | None = None, files: int | None = None) -> PathOwner:
    record = owner.installed.record if owner.installed else None
    return PathOwner(
        owner=owner.label,
        package=owner.package,
        source=owner.source,
        role=role,
        promised=promised,
        files=files,
        url=record.url or None if record else None,
        sha256=record.sha256 if record else None,
    )


def _owners_below(claims: Claims, path: str) -> tuple[PathOwner, ...]:
    directory = "" if path == "." else f"{path}/"
    counted = Counter(
        claim.owner for below in claims.by_path if below.startswith(directory) for claim in claims.by_path[below]
    )
    return tuple(_path_owner(owner, "directory", files=count) for owner, count in counted.most_common())


def _edge_json(edge: Edge) -> Mapping[str, object]:
    return {"owner": edge.dependant.label, "requires": edge.text}
