"""The graph of a uv.lock, and which of it a platform and a python need. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from packaging.markers import InvalidMarker, Marker
from packaging.version import InvalidVersion, Version

from bridge.requirements.algebra import marker_holds, python_specifier, specifier_accepts
from bridge.requirements.files.locks.errors import invalid
from converters.target import Python, Target

__all__ = ["Graph", "Node", "python_marker", "pythons"]

_FORMAT = "uv.lock of version 1"
_LOCAL = ("editable", "directory", "virtual")
_PYTHON = re.compile(r"""python(?:_full)?_version\s*[<>=!~]{1,3}\s*["']([^"']+)["']""")
_LIMIT = re.compile(r"([<>=!~]{1,3})\s*([^,\s]+)")
_CONFLICT = re.compile(r"""extra\s*(==|!=)\s*["']((?:extra|group|project)-\d+-[^"']*)["']""")
_ALWAYS, _NEVER = 'python_version >= "0"', 'python_version < "0"'
_MINORS = range(6, 20)  # of python 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One `[[package]]`. `edges`, `optional` (by extra) and `groups` are its dependencies as written."""

    name: str
    version: str
    source: Mapping[str, str]
    edges: tuple[Mapping[str, object], ...]
    optional: Mapping[str, tuple[Mapping[str, object], ...]]
    groups: Mapping[str, tuple[Mapping[str, object], ...]]
    entry: Mapping[str, object]

    @property
    def folder(self) -> str | None:
        """The folder of a project that is no archive, relative to the lock; `None` for another source."""
        return next((self.source[key] for key in _LOCAL if key in self.source), None)

    @property
    def registry(self) -> str:
        return self.source.get("registry", "")

    @property
    def extras(self) -> frozenset[str]:
        """The extras of the project, also those that need nothing."""
        metadata = self.entry.get("metadata")
        provided = metadata.get("provides-extras") if isinstance(metadata, dict) else None
        return frozenset((*self.optional, *(provided if isinstance(provided, list) else ())))


class Graph:
    """:param nodes: all packages; `reached` names them by their place."""

    def __init__(self, nodes: Sequence[Node], path: Path) -> None:
        self.nodes = tuple(nodes)
        self._path = path
        self._by_name: dict[str, list[int]] = {}
        for place, node in enumerate(self.nodes):
            self._by_name.setdefault(node.name, []).append(place)

    @cached_property
    def markers(self) -> frozenset[str]:
        """The texts of all markers on edges."""
        return frozenset(
            str(edge["marker"])
            for node in self.nodes
            for edges in (node.edges, *node.optional.values(), *node.groups.values())
            for edge in edges
            if edge.get("marker")
        )

    def reached(
        self, roots: Iterable[Node], extras: frozenset[str], groups: frozenset[str], subdir: str, python: str
    ) -> dict[int, set[str]]:
        """Return the places of the packages that the roots need, each with the extras that are asked of it."""
        environment = Target(subdir=subdir).marker_environment(Python(version=python))
        roots = list(roots)
        active = _conflict_names(roots, extras, groups)
        holds: dict[str, bool] = {}
        reached: dict[int, set[str]] = {}
        left: list[tuple[int, frozenset[str]]] = []

        def follow(edges: Iterable[Mapping[str, object]]) -> None:
            for edge in edges:
                marker = str(edge.get("marker") or "")
                if marker not in holds:
                    holds[marker] = not marker or marker_holds(self._marker(marker, active), environment)
                if holds[marker]:
                    wanted = edge.get("extra")
                    left.append((self._target(edge), frozenset(map(str, wanted if isinstance(wanted, list) else ()))))

        for root in roots:
            for name in sorted(groups & root.groups.keys()):
                follow(root.groups[name])
            left.append((self.nodes.index(root), extras & root.extras))
        while left:
            place, wanted = left.pop()
            node, is_new = self.nodes[place], place not in reached
            known = reached.setdefault(place, set())
            if is_new:
                follow(node.edges)
            for name in sorted(wanted - known):
                known.add(name)
                follow(node.optional.get(name, ()))
        return reached

    def _marker(self, text: str, active: frozenset[str]) -> str:
        def settled(match: re.Match[str]) -> str:
            return _ALWAYS if (match[2] in active) == (match[1] == "==") else _NEVER

        try:
            return str(Marker(_CONFLICT.sub(settled, text)))
        except (InvalidMarker, RecursionError) as error:
            raise invalid(self._path, _FORMAT, f"a marker that cannot be read: {text[:200]}") from error

    def _target(self, edge: Mapping[str, object]) -> int:
        """Return the place of the package that an edge leads to, by its name, and its version and source if stated."""
        name, version, source = str(edge.get("name")), edge.get("version"), edge.get("source")
        places = [
            place
            for place in self._by_name.get(name, ())
            if version in {None, self.nodes[place].version} and source in (None, dict(self.nodes[place].source))
        ]
        if len(places) != 1:
            problem = (
                "is not locked" if not places else f"is locked {len(places)} times, and a dependency does not say which"
            )
            raise invalid(self._path, _FORMAT, f"{name} {version or ''} {problem}".replace("  ", " "))
        return places[0]


def _conflict_names(roots: Iterable[Node], extras: frozenset[str], groups: frozenset[str]) -> frozenset[str]:
    """Return the names by which uv's markers say that an extra or a group of a member is asked for."""
    names = set()
    for root in roots:
        size = len(root.name)
        names |= {f"extra-{size}-{root.name}-{name}" for name in extras & root.extras}
        names |= {f"group-{size}-{root.name}-{name}" for name in groups & root.groups.keys()}
        names.add(f"project-{size}-{root.name}")
    return frozenset(names)


def pythons(markers: Iterable[str], requires_python: str | None) -> tuple[str, ...]:
    """Return the versions of python, in order, at which what is needed may change: the first of each minor version, and
    each version that a marker names and the one after it.
    """
    releases = {(3, minor, 0) for minor in _MINORS}
    for marker in (*markers, *_LIMIT.sub(r"python_version \1 '\2'", requires_python or "").split(",")):
        for named in _PYTHON.findall(marker):
            try:
                major, minor, micro = (*Version(named.removesuffix(".*")).release, 0, 0)[:3]
            except InvalidVersion:
                continue
            releases |= {(major, minor, micro), (major, minor, micro + 1)}
    specifier = python_specifier(requires_python or "")
    versions = [".".join(map(str, release)) for release in sorted(releases)]
    return tuple(each for each in versions if specifier is None or specifier_accepts(specifier, each))


def python_marker(samples: Sequence[str], holds: Sequence[bool]) -> str:
    """Return the marker that holds at the samples where `holds` says so, each standing for the versions up to the next.

    Empty if it holds at all of them.
    """
    if all(holds):
        return ""
    runs = []
    for place, version in enumerate(samples):
        if not holds[place] or (place and holds[place - 1]):
            continue
        end = next((later for later in range(place, len(samples)) if not holds[later]), None)
        since = [f"python_full_version >= '{version}'"] if place else []
        until = [f"python_full_version < '{samples[end]}'"] if end is not None else []
        runs.append(" and ".join((*since, *until)))
    return " or ".join(runs)
