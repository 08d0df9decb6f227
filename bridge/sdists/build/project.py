"""The build configuration of a project (PEP 517, PEP 518), validated before any of its code runs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from packaging.requirements import InvalidRequirement, Requirement

from bridge.errors import UnsafeInputError
from bridge.faults import faults

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Requirements", "build_requirements", "check_requirements"]

_MAX_PYPROJECT = 512 << 10  # bytes
_QUOTED = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_MAX_PARTS = 500  # of one dotted key: tomllib takes quadratic time
_MAX_REQUIREMENTS = 500
_LONGEST = 1000  # characters
_LEGACY = ("setuptools >= 40.8.0",)  # PEP 518: what a project without the table needs
_HINT = "the project's pyproject.toml is invalid; use another version, or correct it and build again"


class Requirements(Protocol):
    """Finds, fetches and verifies the wheels that a build needs. A port, implemented by a wing above."""

    def wheels(self, requirements: Sequence[Requirement], label: str) -> Sequence[Path]: ...


def build_requirements(tree: Path, label: str) -> tuple[Requirement, ...]:
    """`build-system.requires` of the project at `tree`, or setuptools if it has no such table.

    Raises `UnsafeInputError`: `pyproject-invalid` for a file that is not UTF-8, TOML or as in PEP 518, or whose
    `backend-path` leaves the tree; `build-requirement` as `check_requirements`.
    """
    data = _content(tree, label)
    if data is None:
        return check_requirements(_LEGACY, label)
    try:
        text = data.decode("utf-8")
        if any(line.count(".") > _MAX_PARTS for line in _QUOTED.sub("s", text).splitlines()):
            raise _wrong(label, f"a key of more than {_MAX_PARTS} parts")
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(label, f"it is not TOML: {str(error)[:200]}") from error
    if "build-system" not in document:
        return check_requirements(_LEGACY, label)
    table = document["build-system"]
    if not isinstance(table, dict):
        raise _wrong(label, "build-system is not a table")
    requires = table.get("requires")
    if not isinstance(requires, list) or not _is_texts(requires):
        raise _wrong(label, "build-system.requires is not a list of strings")
    if not isinstance(table.get("build-backend", ""), str):
        raise _wrong(label, "build-system.build-backend is not a string")
    paths = table.get("backend-path", [])
    if not _is_texts(paths):
        raise _wrong(label, "build-system.backend-path is not a list of strings")
    for path in paths:
        _check_inside(tree, path, label)
    return check_requirements(requires, label)


def _content(tree: Path, label: str) -> bytes | None:
    path = tree / "pyproject.toml"
    if not path.exists() and not path.is_symlink():
        return None
    _check_inside(tree, "pyproject.toml", label)
    if not path.is_file():
        raise _wrong(label, "it is not a file")
    with faults(path), path.open("rb") as stream:
        data = stream.read(_MAX_PYPROJECT + 1)
    if len(data) > _MAX_PYPROJECT:
        raise _wrong(label, f"it is longer than {_MAX_PYPROJECT} bytes")
    return data


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _check_inside(tree: Path, path: str, label: str) -> None:
    """Raise if a path, links resolved, leaves the tree (PEP 517 for `backend-path`)."""
    root = os.path.realpath(tree)
    try:
        place = os.path.realpath(os.path.join(root, path))
    except ValueError:  # a NUL character
        place = ""
    if place != root and not place.startswith(root + os.sep):
        raise _wrong(label, f"{path!r} leads out of the project")


def _wrong(label: str, problem: str) -> UnsafeInputError:
    return UnsafeInputError("pyproject-invalid", f"{label}: pyproject.toml: {problem}", hint=_HINT)


def check_requirements(texts: Sequence[str], label: str) -> tuple[Requirement, ...]:
    """Parse build requirements by PEP 508, without URLs, which would bypass the configured indexes.

    Raises `UnsafeInputError` (`build-requirement`).
    """
    if len(texts) > _MAX_REQUIREMENTS:
        raise _refused(label, f"{len(texts)} build requirements; at most {_MAX_REQUIREMENTS} are allowed")
    requirements = []
    for text in texts:
        shown = repr(text[:100])
        if len(text) > _LONGEST:
            raise _refused(label, f"a build requirement of {len(text)} characters: {shown}")
        try:
            requirement = Requirement(text)
        except (InvalidRequirement, RecursionError) as error:
            raise _refused(label, f"not a requirement (PEP 508): {shown}") from error
        if requirement.url is not None:
            raise _refused(label, f"a build requirement may not name a URL: {shown}")
        requirements.append(requirement)
    return tuple(requirements)


def _refused(label: str, problem: str) -> UnsafeInputError:
    hint = "build-system.requires takes requirements by name only, as in setuptools>=61"
    return UnsafeInputError("build-requirement", f"{label}: {problem}", hint=hint)
