"""The PyPI projects that a conda record provides, as far as the evidence is reliable."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from bridge.requirements.names import name_of
from converters.names import NameMap, Provided
from converters.projects import canonicalize_name
from converters.record import Record

__all__ = ["canonical", "is_python_record", "is_python_text", "provided_by", "wheel_project_of"]

_PYTHON_NAMES = frozenset(
    {"python", "python_abi", "cpython", "_python_abi3_support", "python-gil", "python-freethreading"}
)


@lru_cache(maxsize=65536)
def canonical(name: str) -> str:
    """Normalise a name by PEP 503. Cached: a solve asks for the same names again and again."""
    return canonicalize_name(name)


def is_python_text(text: str) -> bool:
    """Return whether a MatchSpec text names the interpreter or its ABI."""
    return name_of(text) in _PYTHON_NAMES


def is_python_record(record: Record) -> bool:
    """Return whether a record is a python package: it depends on the interpreter or is linked for it."""
    return record.noarch == "python" or any(map(is_python_text, record.requirements))


def provided_by(record: Record, names: NameMap) -> Provided:
    """Return the projects of a record with sufficient evidence.

    In a row of the name map, a project that another conda package provides under its own name is a vendored copy. A
    record that is no python package provides only the project of its own name, or of a package it depends on (a
    metapackage); its own name does not count if the map knows that name as something else, whatever a build's purl
    says.
    """
    is_python = is_python_record(record)
    provided = names.provides(record.name, purls=record.purls, is_python=is_python)
    if provided.evidence not in ("name-map", "default-map", "purl"):
        return provided
    is_other = not is_python and names.row(record.name) == ()
    own = None if is_other else canonical(record.name)
    dependencies = set(map(name_of, record.requirements))
    accepted = tuple(
        project
        for project in provided.projects
        if project == own
        or (is_python and not _is_vendored(project, provided.projects, record.name, names))
        or dependencies.intersection(names.providers(project))
    )
    return Provided(projects=accepted, evidence=provided.evidence if accepted else "none")


def _is_vendored(project: str, row: Sequence[str], name: str, names: NameMap) -> bool:
    """Return whether one of several projects of a row is the only or eponymous project of another conda package."""
    if len(row) == 1:
        return False
    return any(
        other != name and (names.row(other) == (project,) or canonical(other) == project)
        for other in names.providers(project)
    )


def wheel_project_of(name: str, provided: Sequence[Provided], names: NameMap) -> str | None:
    """Return the project whose wheel may replace records of this conda name: its only one, or the one of the same name.

    The best record that provides any project decides, so one python package among the records suffices.
    """
    row = names.row(name)
    if row is None:
        row = names.unconfirmed(name)
    if provided:
        projects = next((carried.projects for carried in provided if carried.projects), ())
    elif row is not None:
        projects = row
    else:
        return None
    if canonical(name) in projects:
        return canonical(name)
    return projects[0] if len(projects) == 1 else None
