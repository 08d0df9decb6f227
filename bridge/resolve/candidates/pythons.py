"""The channels' pythons that satisfy a marker, a Requires-Python or a set of wheel tags: masks, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from packaging import tags as pep425

from bridge.cache.results import Results, Table, digest
from bridge.requirements.algebra import marker_holds, python_specifier, specifier_accepts
from converters.target import Python, Target, tag_ranks

__all__ = ["PythonMasks"]

_FULL_VERSIONS = ("full_version", "implementation_version")  # variables of markers


class PythonMasks:
    """Masks over the records of the conda name `python` on one target.

    :param interpreters: of each record, best first; `None` for one that is not CPython: no wheel fits it.
    """

    def __init__(self, interpreters: Sequence[Python | None], target: Target, results: Results | None = None) -> None:
        """:param results: keeps the masks, in a table for the target and these interpreters."""
        self._target = target
        self._platforms = target.platform_tags()
        self._groups: dict[Python, int] = {}
        minors: dict[tuple[int, int], tuple[Python, int]] = {}
        for position, python in enumerate(interpreters):
            if python is not None:
                self._groups[python] = self._groups.get(python, 0) | 2 << position
                first, bits = minors.get(python.minor, (python, 0))
                minors[python.minor] = first, bits | 2 << position
        self._minors = dict(minors.values())
        self.everything = (1 << len(interpreters) + 1) - 2
        self._table = Table()
        if results is not None:
            stamp = digest((target.subdir, self._platforms, interpreters))
            self._table = results.table(f"pythons of {target.subdir}", stamp)

    def _where(self, holds: Callable[[Python], bool], groups: Mapping[Python, int] | None = None) -> int:
        return sum(bits for python, bits in (groups or self._groups).items() if holds(python))

    def for_marker(self, marker: str, extra: str = "") -> int:
        """Return the pythons for which a marker holds with this extra."""
        environment = self._target.marker_environment
        asks_for_patch = any(each in marker for each in _FULL_VERSIONS)  # most ask for `python_version` at most
        groups = self._groups if asks_for_patch else self._minors

        def where() -> int:
            return self._where(lambda python: marker_holds(marker, environment(python), extra), groups)

        return self._table.recall(f"marker {extra} {marker}", where)

    def is_missing(self, marker: str) -> bool:
        """Return whether no python exists and the marker may hold on this platform with some python."""
        environment = self._target.marker_environment
        pythons = (Python(version=f"3.{minor}.0") for minor in range(6, 16))
        return not self._groups and any(marker_holds(marker, environment(python)) for python in pythons)

    def for_requires(self, text: str) -> int | None:
        """Return the pythons that a Requires-Python admits; `None` if it is unreadable."""

        def where() -> int | None:
            specifier = python_specifier(text)
            return None if specifier is None else self._where(lambda each: specifier_accepts(specifier, each.version))

        return self._table.recall(f"requires {text}", where)

    def for_tags(self, text: str) -> int:
        """Return the pythons that run a wheel with these tags (`py2.py3-none-any`); an empty text (an sdist): all."""

        def where() -> int:
            tags = pep425.parse_tag(text)
            return self._where(
                lambda each: not tag_ranks(each.minor, each.free_threaded, self._platforms).keys().isdisjoint(tags)
            )

        return self._table.recall(f"tags {text}", where) if text else self.everything
