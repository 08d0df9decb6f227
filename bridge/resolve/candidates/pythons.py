"""The channels' pythons that satisfy a marker, a Requires-Python or a set of wheel tags: masks, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from packaging.markers import Marker
from packaging.tags import Tag

from bridge.requirements.algebra import marker_holds, python_specifier, specifier_accepts
from converters.deferred import regex
from converters.target import Python, Target, tag_ranks

__all__ = ["PythonMasks"]

_FULL_VERSION = regex("full_version|implementation_version")


class PythonMasks:
    """Masks over the records of the conda name `python` on one target.

    :param interpreters: of each record, best first; `None` for one that is not CPython: no wheel fits it.
    """

    def __init__(self, interpreters: Sequence[Python | None], target: Target) -> None:
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
        self._masks: dict[object, int] = {}

    def _where(self, key: object, holds: Callable[[Python], bool], groups: Mapping[Python, int] | None = None) -> int:
        known = self._masks.get(key)
        if known is None:
            known = 0
            for python, bits in (groups or self._groups).items():
                if holds(python):
                    known |= bits
            self._masks[key] = known
        return known

    def for_marker(self, marker: Marker, extra: str = "") -> int:
        """Return the pythons for which a marker holds with this extra."""
        environment = self._target.marker_environment
        text = str(marker)
        groups = self._groups if _FULL_VERSION.search(text) else self._minors  # most ask for `python_version` at most
        return self._where((text, extra), lambda python: marker_holds(marker, environment(python), extra), groups)

    def is_missing(self, marker: Marker) -> bool:
        """Return whether no python exists and the marker may hold on this platform with some python."""
        environment = self._target.marker_environment
        pythons = (Python(version=f"3.{minor}.0") for minor in range(6, 16))
        return not self._groups and any(marker_holds(marker, environment(python)) for python in pythons)

    def for_requires(self, text: str) -> int | None:
        """Return the pythons that a Requires-Python admits; `None` if it is unreadable."""
        specifier = python_specifier(text)
        if specifier is None:
            return None
        return self._where(("requires", text), lambda python: specifier_accepts(specifier, python.version))

    def for_tags(self, tags: frozenset[Tag]) -> int:
        """Return the pythons that run a wheel with these tags; an empty set (an sdist) runs on all."""
        if not tags:
            return self.everything
        return self._where(
            tags,
            lambda python: not tag_ranks(python.minor, python.free_threaded, self._platforms).keys().isdisjoint(tags),
        )
