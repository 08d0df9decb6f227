"""sdist → wheel, with pypa/build in a sandbox and an isolated environment of its own. The only place that runs code.

What the code of a build can do is in docs/security.md, each row with its test. It sees a scratch folder that is its
HOME, its TMPDIR and its working directory, variables that are known to be harmless, and no network; what it requires is
resolved, fetched and verified by bridge (`requirements`). `confinement` finds out what this machine can keep of that.
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
from bridge.sdists.build.project import build_requirements, check_requirements
from bridge.sdists.build.requirements import Requirements
from bridge.sdists.confine.request import HAS_REQUIREMENTS, SandboxRequest
from bridge.sdists.metadata import unpack
from bridge.sdists.names import parse_sdist_name
from converters.wheel import parse_wheel_name

__all__ = ["build_project", "build_wheel"]

_HINT = "the build may name what is missing (a compiler, a library); a version with a wheel needs no build"
_NETWORK_HINT = "a build has no network; if it needs one, and you trust it, run again with --build-network"
_NETWORK = ("Network is unreachable", "Temporary failure in name resolution", "Name or service not known")
_MAX_ANSWER = 1 << 20  # bytes

# Folders of a project that are no source of it.
_NO_SOURCE = frozenset({".tox", ".nox", ".venv", "__pycache__", "node_modules", ".mypy_cache", ".pytest_cache"})


def build_wheel(
    sdist: Path, *, work: Path, settings: Settings, requirements: Requirements, tell: Callable[[str], None]
) -> Path:
    """Build the wheel of an sdist and return its path, below `work`.

    :param work: an existing folder for this build alone, which the caller removes.
    :param settings: of them `no_build`, `builds`, and the prefix and the cache to hide.
    :param tell: is given what this machine does not keep the build from, before it starts.

    Raises `BuildError` (`build-failed`, with the last lines of the output; `build-needed` with `no_build`;
    `build-unconfined`), `UnsafeInputError` where the sdist or the wheel is not what it should be, `FaultError`.
    """
    project, version = parse_sdist_name(sdist.name)
    if settings.no_build:
        raise BuildError(
            "build-needed",
            f"{sdist.name} would have to be built, and --no-build forbids it",
            hint="leave --no-build out, or require a version that has a wheel",
        )
    if settings.builds.formats.bars(project, is_wheel=False):
        raise BuildError(
            "build-needed",
            f"{sdist.name} would have to be built, and pip's option only-binary forbids it",
            hint="take the project out of only-binary in pip's configuration, or require a version that has a wheel",
        )
    work = work.resolve()
    tree = unpack(sdist, work / "scratch" / "source")
    wheel = _Build(sdist.name, work, settings, requirements, tell).wheel(tree)
    named = parse_wheel_name(wheel.name)
    if (named.project, named.version) != (project, version):
        message = f"the build of {sdist.name} made {wheel.name}, another project or version"
        raise UnsafeInputError("wheel-name", message)
    check_wheel(wheel)
    return wheel


def build_project(
    folder: Path, *, work: Path, settings: Settings, requirements: Requirements, tell: Callable[[str], None]
) -> Path:
    """Build the wheel of a project's folder and return its path, below `work`. The build sees a copy of the folder.

    As `build_wheel`, and raises as it; `UsageError` (`no-project`) for a folder without a pyproject.toml or setup.py.
    """
    if not any((folder / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise UsageError(
            "no-project",
            f"{folder} is no project: it has neither a pyproject.toml nor a setup.py",
            hint="name a project's folder, a wheel, a source distribution or a requirement",
        )
    if settings.no_build:
        raise BuildError("build-needed", f"{folder} would have to be built, and --no-build forbids it")
    work = work.resolve()
    tree = work / "scratch" / "source"
    _copy_project(folder.resolve(), tree)
    wheel = _Build(folder.name, work, settings, requirements, tell).wheel(tree)
    check_wheel(wheel)
    return wheel


def _copy_project(folder: Path, target: Path) -> None:
    """Copy a project's files, what version control says of them included; no environment, and nothing made of them."""
    fs.make_directories(target)
    for where, folders, files in os.walk(folder):
        place = Path(where)
        folders[:] = [name for name in folders if name not in _NO_SOURCE and not (place / name / "pyvenv.cfg").exists()]
        for name in files:
            path = place / name
            if not path.is_file():  # a socket, or a link that leads nowhere
                continue
            with faults(path), path.open("rb") as content:
                mode = 0o755 if os.access(path, os.X_OK) else 0o644
                fs.write_file(target, path.relative_to(folder).as_posix(), content, mode=mode)


class _Build:
    """One build. Below `work` only `scratch` can be changed by its code; what bridge writes later lies beside it."""

    def __init__(
        self, label: str, work: Path, settings: Settings, requirements: Requirements, tell: Callable[[str], None]
    ) -> None:
        self._label, self._work, self._settings, self._requirements = label, work, settings, requirements
        self._tell = tell
        self._scratch = work / "scratch"
        self._given: dict[str, str] = {}

    def wheel(self, tree: Path) -> Path:
        """The one wheel that the tree makes, copied out of the scratch folder."""
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
        return run(request, environment, folder=self._scratch / "empty", timeout=self._settings.builds.timeout)

    def _give(self, wheel: Path) -> str:
        """A copy of a wheel where the build can read it: the cache is hidden from it."""
        place = self._work / "given" / wheel.name
        if str(wheel) not in self._given:
            fs.make_directories(place.parent)
            with faults(wheel), wheel.open("rb") as stream:
                fs.publish_file(place, stream)
            self._given[str(wheel)] = str(place)
        return self._given[str(wheel)]

    def _answer(self) -> list[str]:
        """What the backend requires besides: text of a process that nobody trusts. Raises `BuildError`."""
        with open_output(self._scratch, "requirements.json") as stream:
            data = b"" if stream is None else stream.read(_MAX_ANSWER + 1)
        try:
            found = json.loads(data) if len(data) <= _MAX_ANSWER else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            raise BuildError(
                "build-failed", f"{self._label} could not be built: its backend's requirements are no list"
            )
        return found

    def _collect(self, ended: BuildResult) -> Path:
        """The wheel that was made, judged and copied to where the build could not write."""
        made = names(self._scratch, "output") if ended.status == 0 and ended.cut is None else []
        plain = [name for name in made if name.endswith(".whl") and self._is_plain(name)]
        if len(plain) != 1:
            raise self._failed(ended, len(plain))
        parse_wheel_name(plain[0])
        place = self._work / "built" / plain[0]
        fs.make_directories(place.parent)
        with faults(place), open_output(self._scratch, "output", plain[0]) as stream:
            fs.publish_file(place, stream if stream is not None else ())
        return place

    def _is_plain(self, name: str) -> bool:
        with open_output(self._scratch, "output", name) as stream:
            return stream is not None

    def _failed(self, ended: BuildResult, count: int) -> BuildError:
        lines = list(ended.lines)
        said = lines[-1] if lines else f"it ended with status {ended.status}"
        problem = ended.cut or (said if ended.status else f"it made {count} wheels")
        needs_network = not self._settings.builds.network and any(text in line for text in _NETWORK for line in lines)
        return BuildError(
            "build-failed",
            f"{self._label} could not be built: {problem}",
            context=lines,
            hint=_NETWORK_HINT if needs_network else _HINT,
            objects={"sdist": self._label, "status": ended.status, "output": lines},
        )
