"""Split the places where a wheel can run into the fewest packages that have no conditions.

A written package has no markers. conda has a virtual package for each operating system (`__unix`, `__linux`, `__osx`,
`__win`), so a `noarch` package can be for one system, as in conda-forge. Nothing names a processor in `depends`, so
requirements that differ by processor need a package in each subdir.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from converters.markers import Place, PythonVersions
from converters.target import SUBDIRS

__all__ = ["Span", "split"]

Value = Callable[[Place], Hashable]
"""Returns what a package for a place contains, as a comparable value; `None`: no package is needed there."""


def _subdirs_of(*systems: str) -> frozenset[str]:
    return frozenset(subdir for subdir in SUBDIRS if subdir.split("-")[0] in systems)


# From the widest to the narrowest; "" is every system.
_SYSTEMS = {
    "": frozenset(SUBDIRS),
    "unix": _subdirs_of("linux", "osx"),
    "linux": _subdirs_of("linux"),
    "osx": _subdirs_of("osx"),
    "win": _subdirs_of("win"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The places that one package serves.

    `subdir`: the package's, `noarch` if it serves a whole system. `system`: `unix`, `linux`, `osx` or `win` if `noarch`
    is limited to it, else empty. `pythons`: bounds needed in addition to Requires-Python; may be empty.
    """

    subdir: str
    system: str = ""
    subdirs: tuple[str, ...]
    pythons: SpecifierSet
    places: tuple[Place, ...]

    @property
    def is_windows(self) -> bool:
        """Whether the package is for Windows only."""
        return self.system == "win" or self.subdir.startswith("win-")

    @property
    def is_macos(self) -> bool:
        """Whether the package is for macOS only."""
        return self.system == "osx" or self.subdir.startswith("osx-")

    @property
    def label(self) -> str:
        """The span in words: `win, python >=3.11`; empty if it has no limits."""
        where = self.system or self.subdir.replace("noarch", "")
        pythons = f"python {self.pythons}" if self.pythons else ""
        return ", ".join(filter(None, (where, pythons)))


def split(value: Value, pythons: PythonVersions, subdirs: Sequence[str]) -> tuple[Span, ...]:
    """Return spans that together cover python 3.9 to 3.15 (those admitted) on all `subdirs`, each place once.

    Each span is extended to older and newer pythons as long as the value is the same. Subdirs with equal ranges share a
    package if they are a whole system.
    """
    window = pythons.window()
    shared: dict[tuple[tuple[str, ...], Hashable], list[str]] = {}
    for subdir in subdirs:
        for run in _runs(value, subdir, window):
            shared.setdefault((run, value((subdir, run[0]))), []).append(subdir)
    spans = [
        _span(_extended(value, run, members, pythons), pythons, subdir, system, members)
        for (run, _), group in shared.items()
        for subdir, system, members in _packages(group)
    ]
    return tuple(sorted(spans, key=lambda span: (span.subdirs, pythons.versions.index(span.places[0][1]))))


def _runs(value: Value, subdir: str, versions: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the longest sequences of consecutive versions with one value on `subdir`."""
    run: list[str] = []
    for version in versions:
        if run and value((subdir, version)) != value((subdir, run[0])):
            yield from _needed(value, subdir, run)
            run = []
        run.append(version)
    yield from _needed(value, subdir, run)


def _needed(value: Value, subdir: str, run: Sequence[str]) -> Iterator[tuple[str, ...]]:
    if run and value((subdir, run[0])) is not None:
        yield tuple(run)


def _packages(group: Sequence[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield (subdir, system, subdirs served) of each package that `group` needs."""
    left = set(group)
    for system, members in _SYSTEMS.items():
        if members <= left:
            left -= members
            yield "noarch", system, tuple(sorted(members))
    yield from ((subdir, "", (subdir,)) for subdir in sorted(left))


def _extended(value: Value, run: Sequence[str], subdirs: Sequence[str], pythons: PythonVersions) -> Sequence[str]:
    """Extend a run that reaches an end of the window while the value is the same on all `subdirs`."""
    versions, known = pythons.versions, value((subdirs[0], run[0]))
    window = pythons.window()
    first, last = versions.index(run[0]), versions.index(run[-1])

    def is_same(version: str) -> bool:
        return all(value((subdir, version)) == known for subdir in subdirs)

    while run[0] == window[0] and first > 0 and is_same(versions[first - 1]):
        first -= 1
    while run[-1] == window[-1] and last + 1 < len(versions) and is_same(versions[last + 1]):
        last += 1
    return versions[first : last + 1]


def _span(run: Sequence[str], pythons: PythonVersions, subdir: str, system: str, subdirs: tuple[str, ...]) -> Span:
    bounds = []
    if run[0] != pythons.versions[0]:
        bounds.append(f">={run[0].removesuffix('.0')}")
    if run[-1] != pythons.versions[-1]:
        after = pythons.versions[pythons.versions.index(run[-1]) + 1]
        bounds.append(f"<{after.removesuffix('.0')}")
    return Span(
        subdir=subdir,
        system=system,
        subdirs=subdirs,
        pythons=SpecifierSet(",".join(bounds)),
        places=tuple(pythons.places(subdirs, run)),
    )
