"""sdist → wheel, by pypa/build in a sandbox with an isolated environment. The only package that runs foreign code.

docs/security.md lists what a build can do. It has a scratch directory as HOME, TMPDIR and working directory, harmless
variables and no network; bridge resolves, fetches and verifies its requirements. `confinement` finds out which of these
promises this machine can keep.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from bridge import fs
from bridge.archive.wheels import check_wheel
from bridge.config import Settings
from bridge.errors import BuildError, UnsafeInputError, UsageError
from bridge.faults import faults
from bridge.sdists.build import confinement
from bridge.sdists.build.environment import build_environment, hidden_paths, kept_paths
from bridge.sdists.build.outputs import names, open_output
from bridge.sdists.build.process import BuildResult, run
from bridge.sdists.build.project import Requirements, build_requirements, check_requirements
from bridge.sdists.confine.request import HAS_REQUIREMENTS, SandboxRequest
from bridge.sdists.metadata import unpack
from bridge.sdists.names import parse_sdist_name
from converters.wheel import parse_wheel_name

__all__ = ["build_project", "build_wheel"]

_HINT = "the output may name what is missing (a compiler, a library); a version with a wheel needs no build"
_NETWORK_HINT = "builds have no network; if you trust this one and it needs it, run again with --build-network"
_NETWORK = ("Network is unreachable", "Temporary failure in name resolution", "Name or service not known")
_MAX_ANSWER = 1 << 20  # bytes

# Directories of a project that are not source code.
_NO_SOURCE = frozenset({".tox", ".nox", ".venv", "__pycache__", "node_modules", ".mypy_cache", ".pytest_cache"})


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
    if settings.no_build:
        raise BuildError(
            "build-needed",
            f"{sdist.name} would have to be built, and --no-build forbids it",
            hint="omit --no-build, or require a version that has a wheel",
        )
    if settings.builds.formats.bars(project, is_wheel=False):
        raise BuildError(
            "build-needed",
            f"{sdist.name} would have to be built, and pip's option only-binary forbids it",
            hint="remove the project from only-binary in pip's configuration, or require a version that has a wheel",
        )
    work = work.resolve()
    tree = unpack(sdist, work / "scratch" / "source")
    wheel = _Build(sdist.name, work, settings, requirements, tell).wheel(tree)
    named = parse_wheel_name(wheel.name)
    if (named.project, named.version) != (project, version):
        raise UnsafeInputError("wheel-name", f"the build of {sdist.name} made {wheel.name}, another project or version")
    check_wheel(wheel)
    return wheel


def build_project(
    directory: Path, *, work: Path, settings: Settings, requirements: Requirements, tell: Callable[[str], None]
) -> Path:
    """As `build_wheel`, for a copy of a project's directory.

    Raises also `UsageError` (`no-project`) for a directory without a pyproject.toml or setup.py.
    """
    if not any((directory / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise UsageError(
            "no-project",
            f"{directory} is not a project: it has neither a pyproject.toml nor a setup.py",
            hint="name a project's directory, a wheel, a source distribution or a requirement",
        )
    if settings.no_build:
        raise BuildError("build-needed", f"{directory} would have to be built, and --no-build forbids it")
    work = work.resolve()
    tree = work / "scratch" / "source"
    _copy_project(directory.resolve(), tree)
    wheel = _Build(directory.name, work, settings, requirements, tell).wheel(tree)
    check_wheel(wheel)
    return wheel


def _copy_project(directory: Path, target: Path) -> None:
    """Copy a project's files with version control data, without environments and build products."""
    fs.make_directories(target)
    for where, directories, files in os.walk(directory):
        place = Path(where)
        directories[:] = [
            name for name in directories if name not in _NO_SOURCE and not (place / name / "pyvenv.cfg").exists()
        ]
        for name in files:
            path = place / name
            if not path.is_file():  # a socket, or a dangling link
                continue
            with faults(path), path.open("rb") as content:
                mode = 0o755 if os.access(path, os.X_OK) else 0o644
                fs.write_file(target, path.relative_to(directory).as_posix(), content, mode=mode)


class _Build:
    """One build. Its code can change only `scratch` below `work`; bridge's own files are beside it."""

    def __init__(
        self, label: str, work: Path, settings: Settings, requirements: Requirements, tell: Callable[[str], None]
    ) -> None:
        self._label, self._work, self._settings, self._requirements = label, work, settings, requirements
        self._tell = tell
        self._scratch = work / "scratch"
        self._given: dict[str, str] = {}

    def wheel(self, tree: Path) -> Path:
        """Build the tree's wheel and copy it out of the scratch directory."""
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
        kept = kept_paths(environment)
        request = SandboxRequest(
            mechanisms=mechanisms,
            writable=str(self._scratch),
            parent=os.getpid(),
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
        """Copy the one wheel to where the build cannot write. Raises `BuildError`."""
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

    def _is_regular(self, name: str) -> bool:
        with open_output(self._scratch, "output", name) as stream:
            return stream is not None

    def _failed(self, ended: BuildResult, count: int) -> BuildError:
        lines = list(ended.lines)
        last = lines[-1] if lines else f"it ended with status {ended.status}"
        problem = ended.cut or (last if ended.status else f"it made {count} wheels")
        needs_network = not self._settings.builds.network and any(text in line for text in _NETWORK for line in lines)
        return BuildError(
            "build-failed",
            f"{self._label} could not be built: {problem}",
            context=lines,
            hint=_NETWORK_HINT if needs_network else _HINT,
            objects={"sdist": self._label, "status": ended.status, "output": lines},
        )
