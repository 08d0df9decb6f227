"""Which files of a project a mirror has: of the newest versions, the best wheel for each python and platform. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.convert.job import Conversion
from bridge.model import IndexFile
from bridge.requirements.algebra import pep440_version
from bridge.resolve.candidates.projects import Project
from converters.wheel import parse_wheel_name

__all__ = ["Mirrored", "files_of_versions", "newest_files"]

_OLDEST_PYTHON = 9  # of Python 3, as for packages that a conversion makes by python


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """What was done. `known`: records that were there already; `deleted`: packages of wheels no longer taken."""

    conversion: Conversion
    projects: int
    wheels: int
    known: int = 0
    deleted: tuple[Path, ...] = ()


def newest_files(projects: Sequence[Project], specifier: str | None, count: int, *, pre: bool) -> list[IndexFile]:
    """Return the wheels to mirror of one project.

    :param projects: its files for each platform.
    :param specifier: which versions may be taken; a yanked one only if it pins that version.
    :param count: how many versions, counted over all platforms, so that these have the same ones where they can.
    :param pre: take pre-releases; without it only those of projects that have nothing else.
    """
    usable = [(project, list(_usable(project, specifier))) for project in projects]
    versions = {file.version for _, files in usable for file in files}
    early = {file.version for project, files in usable for file in files if _is_early(project, file)}
    ordered = sorted((versions if pre else versions - early) or versions, key=pep440_version, reverse=True)  # type: ignore[arg-type]
    return files_of_versions((files for _, files in usable), frozenset(ordered[:count]))


def _usable(project: Project, specifier: str | None) -> Iterator[IndexFile]:
    mask = project.meets(specifier) & ~(project.yanked & ~project.pinned(specifier))
    for place, file in enumerate(project.files):
        if mask >> place + 1 & 1 and file.is_wheel and _is_current(file):
            yield file


def _is_early(project: Project, file: IndexFile) -> bool:
    return bool(project.prereleases >> project.files.index(file) + 1 & 1)


def _is_current(file: IndexFile) -> bool:
    """Whether a CPython that packages are made for can use the wheel."""
    return any(
        tag.abi == "abi3" or not _is_older(tag.interpreter)
        for tag in parse_wheel_name(file.filename).tags
        if tag.interpreter.startswith(("py3", "cp3"))
    )


def _is_older(interpreter: str) -> bool:
    minor = interpreter.removeprefix("cp3")
    return minor.isdecimal() and int(minor) < _OLDEST_PYTHON


def files_of_versions(platforms: Iterable[Iterable[IndexFile]], versions: frozenset[str]) -> list[IndexFile]:
    """Return for each platform, version, interpreter and ABI the first file, each once."""
    by_name: dict[str, IndexFile] = {}
    for files in platforms:
        served: set[tuple[str, str, str]] = set()
        for file in files:
            if file.version not in versions:
                continue
            places = {(file.version, tag.interpreter, tag.abi) for tag in parse_wheel_name(file.filename).tags}
            if not places <= served:
                served |= places
                by_name.setdefault(file.filename, file)
    return list(by_name.values())
