"""Choose the file of a project that is converted, where no solve does."""

from __future__ import annotations

import platform
import sysconfig

from packaging.tags import Tag

from bridge.errors import NoSolutionError
from bridge.model import IndexFile
from bridge.requirements import algebra
from bridge.resolve.candidates.projects import Project
from bridge.resolve.ports import RunPort
from converters.target import Python
from converters.wheel import parse_wheel_name

__all__ = ["newest_file", "running_python"]


def newest_file(requirement: algebra.Requirement, session: RunPort) -> IndexFile:
    """Return the best file of a project that meets a requirement on the target. Raises `NoSolutionError`."""
    if requirement.url is not None:
        return session.index.file_of_url(requirement.url, requirement.name)
    project = Project(requirement.name, session.index.files(requirement.name), session.target, session.options())
    meets = project.meets(requirement.specifier) & ~(project.yanked & ~project.pinned(requirement.specifier))
    finals = meets & ~project.prereleases
    wants_early = session.settings.pre or not finals
    tags = frozenset(session.target.with_python(running_python()).tags())
    for place, file in enumerate(project.files):
        if (meets if wants_early else finals) >> place + 1 & 1 and _runs(file, tags):
            return file
    raise NoSolutionError(
        "no-solution",
        f"no file of {requirement.name} meets `{requirement.text}` on {session.target.subdir}",
        context=[f"{reason}: {len(files)} files" for reason, files in project.excluded.items()],
        hint=f"`bridge search {requirement.name}` shows what there is; --platform SUBDIR and --pre allow other files",
        objects={"derivation": []},
    )


def _runs(file: IndexFile, tags: frozenset[Tag]) -> bool:
    return not file.is_wheel or not parse_wheel_name(file.filename).tags.isdisjoint(tags)


def running_python() -> Python:
    """Return the interpreter that runs bridge, for which markers are evaluated by default."""
    return Python(version=platform.python_version(), free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
