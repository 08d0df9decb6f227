"""The tree of dependencies of an environment, downwards or upwards, for `bridge tree`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.audit.dependencies import edges, owners_named, prefix_records
from bridge.audit.packages import PackageList, PackageRow, package_list
from bridge.model import PrefixState
from converters.names import NameMap
from converters.target import Target

__all__ = ["DependencyTree", "TreeLine", "dependency_tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLine:
    """One line of the tree, in its order.

    :param lasts: for each level whether this line's ancestor (at the end: the line itself) is the last one there.
    :param requires: the text of the requirement that leads here; empty for a root.
    :param is_repeated: what is below it was shown before.
    """

    row: PackageRow
    lasts: tuple[bool, ...] = ()
    requires: str = ""
    is_repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyTree:
    """The packages and their direct dependencies. `edges`: owner → (owner, requirement), in the tree's direction."""

    prefix: Path
    is_inverted: bool
    roots: tuple[str, ...]
    rows: Mapping[str, PackageRow]
    edges: Mapping[str, tuple[tuple[str, str], ...]]

    def lines(self, depth: int | None = None) -> Iterator[TreeLine]:
        """The lines, depth first. A package that was shown is not unfolded again."""
        shown: set[str] = set()
        pending: list[tuple[str, tuple[bool, ...], str]] = [(root, (), "") for root in reversed(self.roots)]
        while pending:
            owner, lasts, requires = pending.pop()
            below = self.edges.get(owner, ())
            is_repeated = owner in shown and bool(below)
            shown.add(owner)
            yield TreeLine(row=self.rows[owner], lasts=lasts, requires=requires, is_repeated=is_repeated)
            if is_repeated or (depth is not None and len(lasts) >= depth):
                continue
            for place, (other, text) in reversed(list(enumerate(below))):
                pending.append((other, (*lasts, place == len(below) - 1), text))

    def to_json(self) -> dict[str, object]:
        """The document of `bridge tree --json` (`bridge/schemas/tree.json`)."""
        key = "required_by" if self.is_inverted else "dependencies"
        return {
            "prefix": str(self.prefix),
            "inverted": self.is_inverted,
            "roots": list(self.roots),
            "packages": [
                {
                    "owner": owner,
                    "name": row.name,
                    "version": row.version,
                    "source": row.source,
                    "requested": row.is_requested,
                    key: [{"owner": other, "requires": text} for other, text in self.edges.get(owner, ())],
                }
                for owner, row in self.rows.items()
            ],
        }


def dependency_tree(
    state: PrefixState, target: Target, names: NameMap, wanted: Iterable[str] = (), *, is_inverted: bool = False
) -> DependencyTree:
    """The tree of the packages of these names, else of all that was requested or that nothing requires.

    Inverted without names, the roots are the packages that require nothing. Raises `UsageError` (`not-installed`).
    """
    records = prefix_records(state, target, names)
    listed: PackageList = package_list(state, names)
    rows = {row.owner: row for row in listed.rows}
    needs: dict[str, dict[str, str]] = {owner: {} for owner in rows}
    for edge in edges(records):
        start, end = edge.dependant.label, edge.dependency.label
        if start != end:
            needs[end if is_inverted else start].setdefault(start if is_inverted else end, edge.text)
    ordered = {
        owner: tuple(sorted(below.items(), key=lambda each: rows[each[0]].name)) for owner, below in needs.items()
    }
    chosen = [owner.label for name in wanted for owner in owners_named(records, name)]
    roots = tuple(dict.fromkeys(chosen)) or _roots(rows, ordered, is_inverted=is_inverted)
    reached = _reached(roots, ordered)
    return DependencyTree(
        prefix=state.prefix,
        is_inverted=is_inverted,
        roots=roots,
        rows={owner: row for owner, row in rows.items() if owner in reached},
        edges={owner: below for owner, below in ordered.items() if owner in reached},
    )


def _roots(
    rows: Mapping[str, PackageRow], ordered: Mapping[str, tuple[tuple[str, str], ...]], *, is_inverted: bool
) -> tuple[str, ...]:
    """Where the tree starts; each package is below one of these, also if it is only required in a circle."""
    below = {other for others in ordered.values() for other, _ in others}
    first = [owner for owner, row in rows.items() if owner not in below or (row.is_requested and not is_inverted)]
    reached = _reached(first, ordered)
    for owner in rows:
        if owner not in reached:
            first.append(owner)
            reached |= _reached([owner], ordered)
    return tuple(first)


def _reached(roots: Iterable[str], ordered: Mapping[str, tuple[tuple[str, str], ...]]) -> set[str]:
    reached: set[str] = set()
    pending = list(roots)
    while pending:
        owner = pending.pop()
        if owner not in reached:
            reached.add(owner)
            pending += [other for other, _ in ordered.get(owner, ())]
    return reached
