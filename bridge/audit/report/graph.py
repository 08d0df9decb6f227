"""Lay out the dependency graph in layers, with the packages that nothing requires on the left. Pure.

A simple form of the method of Sugiyama, Tagawa and Toda (1981): layers by the longest path from a root, without the
edges that close a cycle; order within a layer by the mean position of the neighbours, in several sweeps. 500 packages
take about 20 ms.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["positions"]

_SWEEPS = 6


def positions(nodes: Sequence[str], arrows: Iterable[tuple[str, str]]) -> Mapping[str, tuple[int, int]]:
    """Node → (column, row), for arrows from dependant to dependency. Deterministic."""
    known = set(nodes)
    below: dict[str, list[str]] = {node: [] for node in nodes}
    above: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in dict.fromkeys(arrows):
        if source in known and target in known and source != target:
            below[source].append(target)
            above[target].append(source)
    columns = _layers(nodes, below)
    rows = {node: float(row) for column in columns for row, node in enumerate(column)}
    for sweep in range(_SWEEPS):
        neighbours = above if sweep % 2 == 0 else below
        for column in columns if sweep % 2 == 0 else columns[::-1]:
            column.sort(key=lambda node: (_mean([rows[each] for each in neighbours[node]], rows[node]), node))
            for row, node in enumerate(column):
                rows[node] = float(row) - len(column) / 2
    tallest = max((len(column) for column in columns), default=0)
    return {
        node: (number, (tallest - len(column)) // 2 + row)
        for number, column in enumerate(columns)
        for row, node in enumerate(column)
    }


def _layers(nodes: Sequence[str], below: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The nodes by the longest path to each, without the arrows that close a cycle."""
    order: list[str] = []
    state: dict[str, int] = {}  # 1: on the current path; 2: done
    cut: set[tuple[str, str]] = set()
    needed = {target for targets in below.values() for target in targets}
    for root in sorted(nodes, key=lambda node: (node in needed, node)):
        pending = [(root, iter(sorted(below[root])))] if root not in state else []
        state.setdefault(root, 1)
        while pending:
            node, following = pending[-1]
            target = next(following, None)
            if target is None:
                pending.pop()
                state[node] = 2
                order.append(node)
            elif state.get(target) == 1:
                cut.add((node, target))
            elif target not in state:
                state[target] = 1
                pending.append((target, iter(sorted(below[target]))))
    depth = dict.fromkeys(nodes, 0)
    for node in reversed(order):
        for target in below[node]:
            if (node, target) not in cut:
                depth[target] = max(depth[target], depth[node] + 1)
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in sorted(nodes):
        columns[depth[node]].append(node)
    return columns


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
