"""Build requirements, found by bridge's own resolver, fetched and verified: a build queries no index itself.

The rules of an install apply (the first index that has a project serves it alone; hashes, cooldown, `--offline`), and
no index credential reaches the code of a backend.
"""

from __future__ import annotations

import platform
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from bridge.channels._rattler import current_subdir, detect_virtual_packages
from bridge.errors import BuildError, NetworkError, NoSolutionError
from bridge.model import IndexFile
from bridge.requirements.algebra import parse_pypi
from bridge.resolve import Catalog, Options, SolveRequest, resolve
from converters.names import NameMap
from converters.record import Record
from converters.target import Target

if TYPE_CHECKING:
    from bridge.config import Settings
    from bridge.index import Index

__all__ = ["BuildRequirements"]


class BuildRequirements:
    """Build requirements from the indexes of a run.

    :param index: for this build only: it may have to build further sdists itself.
    """

    def __init__(self, index: Index, settings: Settings) -> None:
        self._index, self._settings = index, settings

    def wheels(self, requirements: Sequence[Requirement], label: str) -> Sequence[Path]:
        """Return the verified wheels of a joint solution; sdists are built first.

        Raises `BuildError` (`build-failed`) if there is no solution, or if `--offline` forbids fetching a file that is
        not in the cache; `NetworkError`, and whatever `Index.fetch` raises.
        """
        if not requirements:
            return ()
        try:
            files = [self._index.fetch(file) for file in self._solve(requirements)]
        except (NoSolutionError, NetworkError) as error:
            if isinstance(error, NetworkError) and error.id != "offline":
                raise
            message = f"{label} could not be built: its build requirements cannot be met: {error.message}"
            raise BuildError("build-failed", message, context=error.context, hint=error.hint) from error
        return files

    def _solve(self, requirements: Sequence[Requirement]) -> Iterable[IndexFile]:
        target = _this_machine()
        settings = self._settings
        options = Options(
            prefer="wheel", cooldown=settings.cooldown, builds=settings.builds.formats, policy=self._index.policy
        )
        catalog = Catalog(_RunningPython(target.subdir), self._index, target, NameMap({}, "no channel"), options)
        requested = tuple(parse_pypi(f"pypi:{requirement}") for requirement in dict.fromkeys(requirements))
        resolution = resolve(SolveRequest(requirements=requested), catalog)
        return [IndexFile.of_record(each.record) for each in resolution.packages if each.record.ecosystem == "wheel"]


def _this_machine() -> Target:
    return Target(subdir=current_subdir(), virtual_packages=tuple(detect_virtual_packages()))


class _RunningPython:
    """A channel that holds only the interpreter that runs bridge: it runs every build."""

    def __init__(self, subdir: str) -> None:
        self._subdir = subdir

    def prefetch(self, names: object) -> None:
        """Do nothing: all records are known."""

    def records(self, name: str) -> Sequence[Record]:
        if name != "python":
            return ()
        major, minor, _ = platform.python_version_tuple()
        suffix = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
        build = f"0_cp{major}{minor}{suffix}"
        version = platform.python_version().removesuffix("+")
        return (Record(ecosystem="conda", name="python", version=version, build=build, subdir=self._subdir),)
