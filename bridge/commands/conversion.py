"""`bridge convert`: wheels from files and from the index, one after another, as conda packages."""

from __future__ import annotations

import os
import platform
import sysconfig
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag

from bridge import algebra
from bridge import convert as conversions
from bridge.commands.request import Asked
from bridge.convert import ConvertedPackage
from bridge.errors import BridgeError, NoSolutionError
from bridge.model import IndexFile
from bridge.resolve.catalog import Project
from bridge.session import Session
from converters.names import NameMap
from converters.tags import targets_of
from converters.target import Python
from converters.wheel import CoreMetadata, WheelInfo, parse_wheel_name

__all__ = ["convert"]

_MOST_THREADS = 4  # of zstd; each holds tables and pieces of its own in memory


def convert(
    wanted: Asked,
    output: Path,
    session: Session,
    *,
    has_index: bool,
    archive_format: conversions.Format,
    level: int,
) -> tuple[list[ConvertedPackage], dict[str, BridgeError]]:
    """Convert wheel files, and requirements that the index serves; one that fails does not stop the others.

    Returns the packages, and the errors by the text that led to them.
    """
    names = session.names(session.local_channels())
    written: list[ConvertedPackage] = []
    failures: dict[str, BridgeError] = {}
    for text in (requirement.text for requirement in wanted.requirements):
        try:
            written += _convert_one(text, output, session, names, archive_format, level)
        except BridgeError as error:
            failures[text] = error
    if has_index and (written or output.is_dir()):
        conversions.write_index(output)
        conversions.write_names(output, names)
    return written, failures


def _convert_one(
    text: str, output: Path, session: Session, names: NameMap, archive_format: conversions.Format, level: int
) -> list[ConvertedPackage]:
    """The packages of one wheel: one, or one for each platform that it is made for and this target is not."""
    requirement = algebra.parse_pypi(text)
    file = _newest_file(requirement, session)
    archive = session.index.fetch(file, session.progress)
    origin = WheelInfo(
        filename=file.filename if file.is_wheel else archive.name,
        metadata=session.index.metadata(file),
        url=file.url,
        origin=file.origin,
        sha256=file.sha256 if file.is_wheel else None,
        size=file.size if file.is_wheel else None,
        yanked=file.yanked,
        upload_time=file.upload_time,
    )
    default = session.target.with_python(_running_python())
    lookup = _Lookup(session)
    return [
        conversions.convert_wheel(
            archive,
            output,
            target=target,
            names=names,
            origin=origin,
            lookup=lookup,
            level=level,
            threads=min(os.cpu_count() or 1, _MOST_THREADS),
            format=archive_format,
        )
        for target in targets_of(parse_wheel_name(origin.filename).tags, default)
    ]


def _newest_file(requirement: algebra.Requirement, session: Session) -> IndexFile:
    """The best file of a project that meets a requirement on the target. Raises `NoSolutionError`."""
    if requirement.url is not None:
        return session.index.file_of_url(requirement.url, requirement.name)
    project = Project(requirement.name, session.index.files(requirement.name), session.target, session.options())
    meets = project.meets(requirement.specifier) & ~(project.yanked & ~project.pinned(requirement.specifier))
    finals = meets & ~project.prereleases
    wants_early = session.settings.pre or not finals
    tags = frozenset(session.target.with_python(_running_python()).tags())
    for place, file in enumerate(project.files):
        if (meets if wants_early else finals) >> place + 1 & 1 and _runs(file, tags):
            return file
    raise NoSolutionError(
        "no-solution",
        f"no file of {requirement.name} meets `{requirement.text}` on {session.target.subdir}",
        context=[f"{reason}: {len(files)} files" for reason, files in project.barred.items()],
        objects={"derivation": []},
    )


def _runs(file: IndexFile, tags: frozenset[Tag]) -> bool:
    return not file.is_wheel or not parse_wheel_name(file.filename).tags.isdisjoint(tags)


def _running_python() -> Python:
    """The interpreter bridge runs on: the python for which a wheel's open markers are judged."""
    return Python(version=platform.python_version(), free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")))


class _Lookup:
    """The metadata of other projects, for the extras that a wheel asks of them; `None` where no index has them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[tuple[str, str], CoreMetadata | None] = {}

    def __call__(self, project: str, specifier: SpecifierSet) -> CoreMetadata | None:
        key = (project, str(specifier))
        if key not in self._known:
            self._known[key] = self._find(project, specifier)
        return self._known[key]

    def _find(self, project: str, specifier: SpecifierSet) -> CoreMetadata | None:
        try:
            requirement = algebra.parse_pypi(f"{project}{specifier}")
            return self._session.index.metadata(_newest_file(requirement, self._session))
        except NoSolutionError:
            return None
