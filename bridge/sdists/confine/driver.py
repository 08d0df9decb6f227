"""Run pypa/build in the sandbox, in a virtual environment with wheels that bridge supplied; no index is used."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.sdists.confine.request import HAS_REQUIREMENTS, NO_HOOK, SandboxRequest

if TYPE_CHECKING:
    from build import ProjectBuilder

__all__ = ["run"]

_LOG = logging.getLogger(__name__)


class _Environment:
    """An environment for `ProjectBuilder.from_isolated_env`."""

    def __init__(self, directory: str) -> None:
        venv.EnvBuilder(symlinks=os.name != "nt").create(directory)
        self._scripts = os.path.join(directory, "Scripts" if os.name == "nt" else "bin")
        self.python_executable = os.path.join(self._scripts, "python.exe" if os.name == "nt" else "python")

    def make_extra_environ(self) -> dict[str, str]:
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": os.pathsep.join([self._scripts, path]), "PYTHONPATH": ""}

    def install(self, wheels: Sequence[str]) -> None:
        """Install wheels. Raises as `installer`."""
        from installer import install  # noqa: PLC0415 - `run` sets sys.path
        from installer.destinations import SchemeDictionaryDestination  # noqa: PLC0415
        from installer.sources import WheelFile  # noqa: PLC0415

        code = "import json, sysconfig; print(json.dumps(sysconfig.get_paths()))"
        answer = subprocess.run([self.python_executable, "-I", "-c", code], check=True, capture_output=True)
        paths = json.loads(answer.stdout)
        paths["headers"] = os.path.join(paths["include"], "site")
        destination = SchemeDictionaryDestination(
            paths, interpreter=self.python_executable, script_kind="win-amd64" if os.name == "nt" else "posix"
        )
        for path in wheels:
            with WheelFile.open(Path(path)) as source:
                install(source=source, destination=destination, additional_metadata={"INSTALLER": b"bridge\n"})


def run(request: SandboxRequest) -> int:
    """Make a wheel or its metadata as requested, with output to the standard streams; return an exit status."""
    sys.path[:] = [*sys.path, *(entry for entry in request.path if entry not in sys.path)]
    from build import BuildBackendException, BuildException, ProjectBuilder  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        environment = _Environment(request.environment)
        environment.install(request.wheels)
        builder = ProjectBuilder.from_isolated_env(environment, request.source)
        if request.asks:
            is_editable = request.action.startswith("editable")
            further = sorted(builder.get_requires_for_build("editable" if is_editable else "wheel"))
            if further:
                with open(request.answer, "w", encoding="utf-8") as stream:
                    json.dump(further, stream)
                return HAS_REQUIREMENTS
        _make(builder, request)
    except BuildBackendException as error:
        if type(error.exception).__name__ == "HookMissing":
            return NO_HOOK
        if not _has_output(error.exception):
            _LOG.info("%s", getattr(error.exception, "traceback", ""))  # the backend cannot be imported
            _LOG.info("%s", error)
        return 1
    except BuildException as error:
        _LOG.info("%s", error)
        return 1
    except Exception as error:  # noqa: BLE001 - the build failed, whatever the error
        if not _has_output(error):
            _LOG.info("%s: %s", type(error).__name__, error)
        return 1
    return 0


def _make(builder: ProjectBuilder, request: SandboxRequest) -> None:
    if request.action in {"wheel", "editable"}:
        builder.build("wheel" if request.action == "wheel" else "editable", request.output)
    elif request.action == "metadata" or builder.prepare("editable", request.output) is None:
        builder.metadata_path(request.output)


def _has_output(error: Exception) -> bool:
    """Whether the error is of a failed child process, which has printed its own message."""
    return hasattr(error, "returncode")
