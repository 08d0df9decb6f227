"""What a project's files say of it without being run: its name, and its metadata if nothing of it is dynamic (PEP 621).

What a build backend decides (`dynamic`, or tables of its own) is `None`: then it is asked.
"""

from __future__ import annotations

import configparser
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from bridge.config.files import read_named
from bridge.errors import UsageError
from converters.metadata import CoreMetadata
from converters.projects import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["StaticProject", "is_project", "read_static"]

_MAX_SIZE = 512 << 10  # bytes
_DECIDING = frozenset({"version", "dependencies", "optional-dependencies", "requires-python"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticProject:
    """`name` is normalised. Each field is `None` if only a build tells it."""

    name: str | None = None
    metadata: CoreMetadata | None = None


def is_project(directory: Path) -> bool:
    """Whether a directory can be built: it has a pyproject.toml or a setup.py."""
    return any((directory / name).is_file() for name in ("pyproject.toml", "setup.py"))


def read_static(directory: Path) -> StaticProject:
    """Read the pyproject.toml, else the setup.cfg, of a project. Files that cannot be read say nothing.

    Raises `UsageError` (`no-project`) if the directory is not a project.
    """
    if not is_project(directory):
        raise UsageError(
            "no-project",
            f"{directory} is not a project: it has neither a pyproject.toml nor a setup.py",
            hint="name a project's directory, a wheel, a source distribution or a requirement",
        )
    document = _pyproject(directory / "pyproject.toml")
    project = document.get("project")
    if isinstance(project, dict):
        name = _normal(project.get("name"))
        return StaticProject(name=name, metadata=None if name is None else _metadata(name, project))
    poetry = _table(_table(document, "tool"), "poetry")
    return StaticProject(name=_normal(poetry.get("name")) or _normal(_of_setup(directory / "setup.cfg")))


def _text_of(path: Path) -> str:
    try:
        data = read_named(path, limit=_MAX_SIZE)
        return data.decode("utf-8") if len(data) <= _MAX_SIZE else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _pyproject(path: Path) -> Mapping[str, object]:
    try:
        document: dict[str, object] = tomllib.loads(_text_of(path))
        return document
    except (ValueError, RecursionError):
        return {}


def _of_setup(path: Path) -> str | None:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(_text_of(path))
    except configparser.Error:
        return None
    return parser.get("metadata", "name", fallback=None)


def _table(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _normal(name: object) -> str | None:
    try:
        return canonicalize_name(name, validate=True) if isinstance(name, str) else None
    except ValueError:
        return None


def _metadata(name: str, project: Mapping[str, object]) -> CoreMetadata | None:
    """The metadata of a [project] table; `None` if a part is dynamic or not as PEP 621 has it."""
    dynamic, version = project.get("dynamic", []), project.get("version")
    requires_python = project.get("requires-python")
    optional = project.get("optional-dependencies", {})
    if not isinstance(dynamic, list) or _DECIDING.intersection(map(str, dynamic)) or not isinstance(optional, dict):
        return None
    try:
        requires = [str(Requirement(text)) for text in _texts(project.get("dependencies", []))]
        for extra, texts in optional.items():
            requires += _of_extra(canonicalize_name(extra), _texts(texts))
        if requires_python is not None:
            SpecifierSet(str(requires_python))
        return CoreMetadata(
            name=name,
            version=str(Version(str(version))),
            requires_python=None if requires_python is None else str(requires_python),
            requires_dist=tuple(requires),
            provides_extra=tuple(map(canonicalize_name, optional)),
            license=_license(project.get("license")),
        )
    except (InvalidRequirement, InvalidSpecifier, InvalidVersion, TypeError, RecursionError):
        return None


def _texts(value: object) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TypeError("not a list of strings")
    return value


def _of_extra(extra: str, texts: Sequence[str]) -> Iterator[str]:
    """The requirements of an extra as METADATA has them: with a marker."""
    for text in texts:
        requirement = Requirement(text)
        condition = f'extra == "{extra}"'
        requirement.marker = Marker(f"({requirement.marker}) and {condition}" if requirement.marker else condition)
        yield str(requirement)


def _license(value: object) -> str | None:
    return value if isinstance(value, str) else None
