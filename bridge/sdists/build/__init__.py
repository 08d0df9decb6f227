"""Source code → wheel, by pypa/build in a sandbox with an isolated environment.

docs/security.md lists what a build can do. It has a scratch directory as HOME, TMPDIR and working directory, harmless
variables and no network; bridge resolves, fetches and verifies its requirements. `confinement` finds out which of these
promises this machine can keep.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from bridge import fs
from bridge.archive.wheels import check_wheel
from bridge.config import Settings
from bridge.errors import BuildError, UnsafeInputError
from bridge.faults import faults
from bridge.sdists.build import confinement, refusals
from bridge.sdists.build.environment import build_environment, hidden_paths, kept_paths
from bridge.sdists.build.outputs import names, open_output
from bridge.sdists.build.process import BuildResult, run
from bridge.sdists.build.project import Requirements, build_requirements, check_requirements
from bridge.sdists.confine.request import HAS_REQUIREMENTS, NO_HOOK, Action, SandboxRequest
from bridge.sdists.metadata import unpack
from bridge.sdists.names import parse_sdist_name
from bridge.sdists.static import read_static
from bridge.sdists.trees import copy_tree
from converters.wheel import parse_wheel_name

__all__ = ["BuildTree", "build_project", "build_tree", "build_wheel", "check_buildable", "copied"]

_HINT = "the output may name what is missing (a compiler, a library); a version with a wheel needs no build"
_NETWORK_HINT = "builds have no network; if you trust this one and it needs it, run again with --build-network"
_NETWORK = ("Network is unreachable", "Temporary failure in name resolution", "Name or service not known")
_MAX_ANSWER = 1 << 20  # bytes


def build_wheel(
    sdist: Path, *, work: Path, settings: Settings, requirements: Requirements, tell: Callable[[str], None]
) -> Path:
    """Build the wheel of an sdist and return its path, below `work`.

    :param work: an existing directory for this build alone, which the caller removes.
    :param settings: uses `no_build`, `builds`, and the prefix and the cache, which are hidden.
    :param tell: receives, before the build, a warning of what this machine cannot confine.

    Raises `BuildError` (`build-failed` with the last lines of the output, `build-needed`, `build-unconfined`),
    `UnsafeInputError` for an invalid sdist or wheel, `FaultError`.
    """
    project, version = parse_sdist_name(sdist.name)
    check_buildable(settings, sdist.name)
    if settings.builds.formats.bars(project, is_wheel=False):
        raise BuildError(
            "build-needed",
            f"{sdist.name} would have to be built, and pip's option only-binary forbids it",
            hint="remove the project from only-binary in pip's configuration, or require a version that has a wheel",
        )
    work = work.resolve()
    tree = unpack(sdist, work / "scratch" / "source")
    wheel = _Build(sdist.name, work, settings, requirements, tell).make(tree)
    named = parse_wheel_name(wheel.name)
    if (named.project, named.version) != (project, version):
        raise UnsafeInputError("wheel-name", f"the build of {sdist.name} made {wheel.name}, another project or version")
    check_wheel(wheel)
    return wheel


def check_buildable(settings: Settings, label: str) -> None:
    """Raise `BuildError` (`build-needed`) if nothing may be built."""
    if settings.no_build:
        raise BuildError(
            "build-needed",
            f"{label} would have to be built, and --no-build forbids it",
            hint="omit --no-build, or require a version that has a wheel",
        )


def build_project(
    directory: Path, *, work: Path, settings: Settings, requirements: Requirements, tell: Callable[[str], None]
) -> Path:
    """As `build_wheel`, for a copy of a project's directory.

    Raises also `UsageError` (`no-project`) for a directory without a pyproject.toml or setup.py.
    """
    read_static(directory)  # raises for what is no project
    tree = BuildTree(label=directory.name, place=lambda target: copied(directory, target))
    return build_tree(tree, "wheel", work=work, settings=settings, requirements=requirements, tell=tell)


def copied(directory: Path, target: Path) -> Path:
    """Copy a project's directory to `target`, and return that."""
    copy_tree(directory.resolve(), target)
    return target


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildTree:
    """Source code to build.

    :param place: writes it into a new directory, and returns the project's directory in it; of an editable one the
        directory itself, in which the build may write.
    """

    label: str
    place: Callable[[Path], Path]


def build_tree(
    tree: BuildTree,
    action: Action,
    *,
    work: Path,
    settings: Settings,
    requirements: Requirements,
    tell: Callable[[str], None],
) -> Path:
    """Make a wheel of source code (PEP 517; PEP 660 for `editable`), or its METADATA. Return the path, below `work`.

    Parameters and errors are those of `build_wheel`; also `BuildError` (`editable-unsupported`).
    """
    check_buildable(settings, tree.label)
    work = work.resolve()
    project = tree.place(work / "scratch" / "source")
    linked = project if action.startswith("editable") else None
    build = _Build(tree.label, work, settings, requirements, tell, action=action, project=linked)
    made = build.make(project)
    if action in {"wheel", "editable"}:
        check_wheel(made)
    return made


class _Build:
    """One build. Its code can change only `scratch` below `work`; bridge's own files are beside it."""

    def __init__(
        self,
        label: str,
        work: Path,
        settings: Settings,
        requirements: Requirements,
        tell: Callable[[str], None],
        *,
        action: Action = "wheel",
        project: Path | None = None,
    ) -> None:
        """:param project: the directory of an editable project, which its build may change."""
        self._label, self._work, self._settings, self._requirements = label, work, settings, requirements
        self._action, self._project = action, project
        self._tell = tell
        self._scratch = work / "scratch"
        self._given: dict[str, str] = {}

    def make(self, tree: Path) -> Path:
        """Make what the action names, and copy it out of the scratch directory."""
        builds = self._settings.builds
        needed = build_requirements(tree, self._label)
        mechanisms = confinement.available(builds.mechanisms, network=builds.network)
        is_required = builds.confinement == "full"
        confinement.check(mechanisms, self._label, network=builds.network, is_required=is_required, tell=self._tell)
        for name in ("home", "tmp", "empty", "output"):
            fs.make_directories(self._scratch / name)
        ended = self._run(tree, needed, mechanisms, asks=True)
        if ended.status == HAS_REQUIREMENTS and ended.cut is None:
            further = check_requirements(self._answer(), self._label)
            ended = self._run(tree, (*needed, *further), mechanisms, asks=False)
        return self._collect(ended)

    def _run(
        self, tree: Path, needed: Sequence[Requirement], mechanisms: tuple[str, ...], *, asks: bool
    ) -> BuildResult:
        wheels = [self._give(path) for path in self._requirements.wheels(needed, self._label)]
        environment = build_environment(self._settings, self._scratch, os.environ)
        kept = [*kept_paths(environment), *([] if self._project is None else [str(self._project)])]
        request = SandboxRequest(
            mechanisms=mechanisms,
            writable=str(self._scratch),
            parent=os.getpid(),
            action=self._action,
            project="" if self._project is None else str(self._project),
            hidden=tuple(hidden_paths(self._settings, os.environ, [*kept, str(self._work)])),
            kept=tuple(kept),
            network=self._settings.builds.network,
            source=str(tree),
            environment=str(self._scratch / ("environment" if asks else "environment-2")),
            wheels=tuple(wheels),
            output=str(self._scratch / "output"),
            asks=asks,
            answer=str(self._scratch / "requirements.json"),
            path=tuple(entry for entry in sys.path if os.path.isabs(entry) and os.path.isdir(entry)),
        )
        return run(request, environment, directory=self._scratch / "empty", timeout=self._settings.builds.timeout)

    def _give(self, wheel: Path) -> str:
        """Copy a wheel to where the build can read it: the cache is hidden."""
        place = self._work / "given" / wheel.name
        if str(wheel) not in self._given:
            fs.make_directories(place.parent)
            with faults(wheel), wheel.open("rb") as stream:
                fs.publish_file(place, stream)
            self._given[str(wheel)] = str(place)
        return self._given[str(wheel)]

    def _answer(self) -> list[str]:
        """The backend's further requirements, from an untrusted process. Raises `BuildError`."""
        with open_output(self._scratch, "requirements.json") as stream:
            data = b"" if stream is None else stream.read(_MAX_ANSWER + 1)
        try:
            texts = json.loads(data) if len(data) <= _MAX_ANSWER else None
        except (ValueError, RecursionError):
            texts = None
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            message = f"{self._label} could not be built: its backend's requirements are not a list"
            raise BuildError("build-failed", message)
        return texts

    def _collect(self, ended: BuildResult) -> Path:
        """Copy the one wheel, or METADATA, to where the build cannot write. Raises `BuildError`."""
        if ended.status == NO_HOOK:
            raise BuildError(
                "editable-unsupported",
                f"the build backend of {self._label} cannot make editable wheels (PEP 660)",
                hint="omit -e, or use a backend that can (setuptools 64 or newer, hatchling, flit, pdm, poetry)",
            )
        if self._action.endswith("metadata"):
            return self._collect_metadata(ended)
        made = names(self._scratch, "output") if ended.status == 0 and ended.cut is None else []
        plain = [name for name in made if name.endswith(".whl") and self._is_regular(name)]
        if len(plain) != 1:
            raise self._failed(ended, len(plain))
        parse_wheel_name(plain[0])
        place = self._work / "built" / plain[0]
        fs.make_directories(place.parent)
        with faults(place), open_output(self._scratch, "output", plain[0]) as stream:
            fs.publish_file(place, stream if stream is not None else ())
        return place

    def _collect_metadata(self, ended: BuildResult) -> Path:
        is_done = ended.status == 0 and ended.cut is None
        names_of_metadata = (
            [name for name in names(self._scratch, "output") if name.endswith(".dist-info")] if is_done else []
        )
        place = self._work / "built" / "METADATA"
        fs.make_directories(place.parent)
        with open_output(self._scratch, "output", *names_of_metadata, "METADATA") as stream:
            if len(names_of_metadata) != 1 or stream is None:
                raise self._failed(ended, len(names_of_metadata), "directories of metadata")
            with faults(place):
                fs.publish_file(place, stream)
        return place

    def _is_regular(self, name: str) -> bool:
        with open_output(self._scratch, "output", name) as stream:
            return stream is not None

    def _failed(self, ended: BuildResult, count: int, what: str = "wheels") -> BuildError:
        lines = list(ended.lines)
        said = refusals.reason(self._label, lines) if lines else f"it ended with status {ended.status}"
        problem = ended.cut or (said if ended.status else f"it made {count} {what}")
        instead = refusals.successor(self._label, lines)
        needs_network = not self._settings.builds.network and any(text in line for text in _NETWORK for line in lines)
        return BuildError(
            "build-failed",
            f"{self._label} could not be built: {problem}",
            context=lines,
            hint=f"ask for `{instead}` instead" if instead else _NETWORK_HINT if needs_network else _HINT,
            objects={"sdist": self._label, "status": ended.status, "output": lines, "instead": instead},
        )
