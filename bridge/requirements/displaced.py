"""Displaced records: those whose dist-info another installer replaced or removed. Pure, and quick to import."""

from __future__ import annotations

from collections.abc import Collection

from bridge.model import Installed, PrefixState
from bridge.prefix.entries import paths_of
from converters.projects import canonicalize_name

__all__ = ["add_names", "displaced", "projects_of"]

_ANCHORS = (".dist-info/METADATA", ".egg-info/PKG-INFO")


def displaced(state: PrefixState) -> tuple[Installed, ...]:
    """Return the installed packages whose dist-info another installer replaced or removed.

    Looks at each path of the records once; reads no file.
    """
    known = {each.path for each in state.distributions}
    sites = _sites(state)
    return tuple(each for each in state.installed if any(info not in known for info in _infos(each, sites)))


def projects_of(state: PrefixState, installed: Installed) -> frozenset[str]:
    """Return the PyPI projects of a package: of its record, and of the dist-infos that it lists, present or not."""
    infos = _infos(installed, _sites(state))
    listed = (canonicalize_name(info.rpartition("/")[2].partition("-")[0]) for info in infos)
    return frozenset((*installed.record.pypi_names, *listed))


def _sites(state: PrefixState) -> frozenset[str]:
    """Return the directories whose dist-infos were read; vendored dist-infos are elsewhere."""
    return frozenset({each.path.rpartition("/")[0] for each in state.distributions} | {state.site_packages or ""})


def _infos(installed: Installed, sites: Collection[str]) -> set[str]:
    infos = (path.rpartition("/")[0] for path in paths_of(installed.entries) if path.endswith(_ANCHORS))
    return {info for info in infos if info.rpartition("/")[0] in sites}


def add_names(state: PrefixState, table: dict[str, object]) -> None:
    """Add to a name map what the installed conda packages provide: conda name → projects."""
    for installed in state.installed:
        if installed.record.ecosystem == "conda" and installed.record.pypi_names:
            table[installed.record.name] = list(installed.record.pypi_names)
    for installed in displaced(state):
        if installed.record.ecosystem == "conda":
            table.setdefault(installed.record.name, sorted(projects_of(state, installed)))
