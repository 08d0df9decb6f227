"""Run the environment's python in the sandbox. What it imports cannot change files, and has no network."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from bridge import fs
from bridge.audit.trial.modules import Outcome
from bridge.config import Settings
from bridge.errors import FaultError
from bridge.fs.processes import processors
from bridge.sdists.build import confinement
from bridge.sdists.build.environment import build_environment, hidden_paths, kept_paths
from bridge.sdists.build.outputs import open_output
from bridge.sdists.build.process import run
from bridge.sdists.confine import import_child
from bridge.sdists.confine.request import SandboxRequest

__all__ = ["import_modules"]

_SECONDS = 60  # for one module
_HOUR = 3600.0
_MAX_ANSWER = 64 << 20


def import_modules(
    python: Path, prefix: Path, modules: Iterable[str], settings: Settings, tell: Callable[[str], None]
) -> Mapping[str, Outcome]:
    """What became of the import of each module.

    :param python: the environment's interpreter.
    :param settings: of the sandbox, as for builds.
    :param tell: receives a warning of what this machine cannot confine.

    Raises `FaultError` (`import-trial`): python did not run, or did not end; `BuildError` (`build-unconfined`).
    """
    builds = settings.builds
    mechanisms = confinement.available(builds.mechanisms)
    is_required = builds.confinement == "full"
    if gaps := confinement.gaps(mechanisms, network=False):
        if is_required:
            confinement.check(mechanisms, str(prefix), network=False, is_required=True, tell=tell)
        tell(f"the imports are only partly confined on this machine: a module could {'; '.join(gaps)}")
    with tempfile.TemporaryDirectory(prefix="bridge-import-") as directory:
        scratch = Path(directory).resolve()
        for name in ("home", "tmp", "empty"):
            fs.make_directories(scratch / name)
        fs.publish_file(scratch / "asked.json", [json.dumps(sorted(modules)).encode()])
        environment = {**build_environment(settings, scratch, os.environ), "MPLBACKEND": "Agg"}
        environment["PATH"] = os.pathsep.join([str(prefix / "bin"), environment["PATH"]])
        kept = [*kept_paths(environment), str(prefix), os.path.realpath(prefix), os.path.realpath(python)]
        kept += [import_child.__file__, str(scratch)]
        files = [import_child.__file__, f"{scratch}/asked.json", f"{scratch}/answers.json"]
        request = SandboxRequest(
            mechanisms=mechanisms,
            writable=str(scratch),
            parent=os.getpid(),
            hidden=tuple(hidden_paths(settings, os.environ, kept)),
            kept=tuple(kept),
            arguments=(str(python), "-B", "-W", "ignore", *files, str(_SECONDS), str(processors())),
        )
        ended = run(request, environment, directory=scratch / "empty", timeout=_HOUR, body="program")
        with open_output(scratch, "answers.json") as stream:
            data = b"" if stream is None else stream.read(_MAX_ANSWER)
    try:
        answers = json.loads(data)
        return {str(name): Outcome.of(answer) for name, answer in answers.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise FaultError(
            "import-trial",
            f"the modules of {prefix} could not be imported: its python {ended.cut or 'gave no answer'}",
            context=ended.lines[-3:],
            hint=f"try whether {python} starts",
        ) from error
