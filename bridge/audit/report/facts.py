"""The data of the page and the bills of materials, from the records and the findings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.audit.dependencies import edges, prefix_records
from bridge.audit.finding import Report
from bridge.audit.packages import PackageRow, package_list
from bridge.model import PrefixState
from converters.names import NameMap
from converters.target import Target

__all__ = ["Dependency", "Facts", "gather"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """`dependant` requires `text`, which `dependency` provides; both are labels of rows."""

    dependant: str
    text: str
    dependency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One environment at one time.

    :param rows: every package, sorted by name; `rows[n].owner` is its label.
    :param paths: label → the paths it claims, sorted.
    """

    report: Report
    rows: tuple[PackageRow, ...]
    dependencies: tuple[Dependency, ...]
    paths: Mapping[str, Sequence[str]]
    platform: str
    python: str | None


def gather(state: PrefixState, target: Target, names: NameMap, report: Report) -> Facts:
    """Return the data of an environment. Costs about 10 µs a path."""
    records = prefix_records(state, target, names)
    paths: dict[str, list[str]] = {owner.label: [] for owner in records.claims.owners}
    for path, group in records.claims.by_path.items():
        for label in dict.fromkeys(claim.owner.label for claim in group):
            paths[label].append(path)
    dependencies = dict.fromkeys(
        Dependency(dependant=edge.dependant.label, text=edge.text, dependency=edge.dependency.label)
        for edge in edges(records)
        if edge.dependant is not edge.dependency
    )
    return Facts(
        report=report,
        rows=package_list(state, names).rows,
        dependencies=tuple(dependencies),
        paths={label: sorted(claimed) for label, claimed in paths.items()},
        platform=target.subdir,
        python=state.python.version if state.python else None,
    )
