"""sdist → wheel, with pypa/build in a process and an isolated environment of their own. The only place that runs code.

What the build sees: a scratch folder that is its HOME, its TMPDIR and its working directory; the indexes of this run,
in the environment, where no list of processes shows their credentials; nothing that names the target prefix. What it
cannot do is in `bridge.build_child`. Wheels are kept by what they were made of and made with.

pip installs what a build requires, and pip merges indexes: the rule that the first index alone serves a project holds
for what is installed, not for build requirements.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from packaging.tags import sys_tags

from bridge import build_child, fs
from bridge.config import Settings
from bridge.config.pip import home_directory
from bridge.errors import BuildError, FaultError, UnsafeInputError, UsageError
from bridge.faults import faults
from bridge.fetch.cache import BlobStore
from bridge.fetch.secrets import SECRETS, hidden
from bridge.fetch.urls import local_path
from bridge.sdist import parse_sdist_name, unpack
from converters.target import Target
from converters.wheel import parse_wheel_name

__all__ = ["BuiltWheels", "build_project", "build_wheel", "check_runs", "child_environment"]

_LAST_LINES = 20
_LONGEST_LINE = 300  # characters
_TAIL = 64 << 10  # bytes
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_HINT = "its output may name what is missing here (a compiler, a library); a version with a wheel needs no build"

# Folders of a project that are no source of it.
_NO_SOURCE = frozenset({".tox", ".nox", ".venv", "__pycache__", "node_modules", ".mypy_cache", ".pytest_cache"})

# What of the environment tells of other environments, of their configuration, or of the person's own folders.
_FOREIGN = re.compile(r"(CONDA|MAMBA|PIXI|_CE_|PIP_|UV_|BRIDGE_|PYTHON|VIRTUAL_ENV|PIPENV|POETRY|XDG_|PWD|OLDPWD|_\Z)")


def build_wheel(sdist: Path, *, work: Path, settings: Settings) -> Path:
    """Build the wheel of an sdist and return its path, below `work`.

    :param work: an existing folder for this build alone, which the caller removes; the build may write there only.
    :param settings: of them the indexes and how to reach them, `offline`, `exclude_newer`, and the prefix to hide.

    Raises `BuildError` (`build-failed`, with the last lines of the output; `build-needed` with `no_build`),
    `UnsafeInputError` where the sdist, or the wheel's name, is not what it should be, `FaultError`.
    """
    project, version = parse_sdist_name(sdist.name)
    if settings.no_build:
        raise BuildError(
            "build-needed",
            f"{sdist.name} would have to be built, and --no-build forbids it",
            hint="leave --no-build out, or require a version that has a wheel",
        )
    work = work.resolve()
    wheel = _build_tree(unpack(sdist, work / "source"), sdist.name, work, settings)
    named = parse_wheel_name(wheel.name)
    if (named.project, named.version) != (project, version):
        message = f"the build of {sdist.name} made {wheel.name}, another project or version"
        raise UnsafeInputError("wheel-name", message)
    return wheel


def build_project(folder: Path, *, work: Path, settings: Settings) -> Path:
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
    _copy_project(folder.resolve(), work / "source")
    return _build_tree(work / "source", folder.name, work, settings)


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


def _build_tree(source: Path, label: str, work: Path, settings: Settings) -> Path:
    """The one wheel that the tree at `source` makes. Raises `BuildError` (`build-failed`)."""
    for name in ("home", "tmp", "empty", "output"):
        fs.make_directories(work / name)
    request = {"work": str(work), "source": str(source), "output": str(work / "output"), "path": _import_path()}
    status, lines = _run(json.dumps(request), work, child_environment(settings, work, os.environ))
    wheels = [path for path in (work / "output").iterdir() if path.suffix == ".whl" and _is_plain(path)]
    if status != 0 or len(wheels) != 1:
        said = lines[-1] if lines else f"it ended with status {status}"
        problem = said if status else f"it made {len(wheels)} wheels"
        objects = {"sdist": label, "status": status, "output": lines}
        message = f"{label} could not be built: {problem}"
        raise BuildError("build-failed", message, context=lines, hint=_HINT, objects=objects)
    return wheels[0]


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _import_path() -> list[str]:
    """Where pypa/build, and what it needs, can be imported from."""
    return [entry for entry in sys.path if os.path.isabs(entry) and os.path.isdir(entry)]


def _run(request: str, work: Path, environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """(exit status, the last lines it said). The whole group of processes ends where this one is interrupted."""
    command = [sys.executable, "-I", "-B", build_child.__file__, request]
    with fs.publish_stream(work / "output.log") as log, faults(work):
        process = subprocess.Popen(
            command,
            cwd=work / "empty",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return status, _last_lines(log)


def _last_lines(log: BinaryIO) -> list[str]:
    end = log.seek(0, os.SEEK_END)
    log.seek(max(0, end - _TAIL))
    text = _ESCAPES.sub("", log.read(_TAIL).decode("utf-8", "replace"))
    lines = [hidden(line.rstrip())[:_LONGEST_LINE] for line in text.splitlines() if line.strip()]
    return lines[-_LAST_LINES:]


def child_environment(settings: Settings, work: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a build, made of the person's own (`environ`).

    What names the prefix, or is of another environment, is left out. Home and temporary files go below `work`. The
    indexes of this run are there as pip's variables.
    """
    prefixes = _spellings(settings.prefix, environ.get("CONDA_PREFIX"))
    found = {
        name: value
        for name, value in environ.items()
        if not _FOREIGN.match(name) and (name == "PATH" or not any(prefix in value for prefix in prefixes))
    }
    found["PATH"] = os.pathsep.join(_outside(environ.get("PATH", os.defpath).split(os.pathsep), prefixes))
    home = home_directory(environ)
    for name, kept in (("RUSTUP_HOME", home / ".rustup"), ("NETRC", home / ".netrc")):
        if kept.exists():
            found.setdefault(name, str(kept))
    temporary = str(work / "tmp")
    found |= {"HOME": str(work / "home"), "USERPROFILE": str(work / "home")}
    found |= {"TMPDIR": temporary, "TMP": temporary, "TEMP": temporary}
    found |= {"PYTHONNOUSERSITE": "1", "PYTHONPYCACHEPREFIX": str(work / "tmp" / "pycache"), "NO_COLOR": "1"}
    return found | _pip_environment(settings)


def _spellings(*prefixes: Path | str | None) -> set[str]:
    named = {os.path.abspath(prefix) for prefix in prefixes if prefix}
    return {spelling for prefix in named for spelling in (prefix, os.path.realpath(prefix)) if spelling != os.sep}


def _outside(entries: Iterable[str], prefixes: Iterable[str]) -> list[str]:
    """The entries of PATH that lie in none of the prefixes."""
    kept = []
    for entry in entries:
        places = {os.path.abspath(entry), os.path.realpath(entry)}
        if not any(f"{place}{os.sep}".startswith(f"{prefix}{os.sep}") for place in places for prefix in prefixes):
            kept.append(entry)
    return kept


def _pip_environment(settings: Settings) -> dict[str, str]:
    """The options of pip as its environment variables; pip's own files say nothing more (they are in `settings`)."""
    index_urls = _locations(settings.index_urls, settings)
    find_links = _locations(settings.find_links, settings)
    found = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_NO_CACHE_DIR": "1",  # a build may write what it likes there, and the next one would run it
        "PIP_TIMEOUT": str(settings.timeout),
        "PIP_RETRIES": str(settings.retries),
        "PIP_INDEX_URL": index_urls[0] if index_urls else "",
        "PIP_EXTRA_INDEX_URL": " ".join(index_urls[1:]),
        "PIP_NO_INDEX": "" if index_urls else "1",
        "PIP_FIND_LINKS": " ".join(find_links),
        "PIP_TRUSTED_HOST": " ".join(settings.trusted_hosts),
        "PIP_CERT": settings.ca_bundle or "",
        "PIP_CLIENT_CERT": settings.client_cert or "",
        "PIP_PROXY": settings.proxy or "",
    }
    if settings.exclude_newer is not None:
        # The cooldown is that of every package; a pip that does not know the option ignores the variable.
        moment = time.gmtime(settings.exclude_newer // 1000)
        found["PIP_UPLOADED_PRIOR_TO"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", moment)
    return {name: value for name, value in found.items() if value}


def _locations(urls: Iterable[str], settings: Settings) -> list[str]:
    """Indexes and find-links as URLs, for pip separates them by white space; offline only what is on this machine."""
    found = []
    for url in urls:
        path = local_path(url)
        if path is not None:
            found.append(Path(path).absolute().as_uri())
        elif not settings.offline:
            found.append(SECRETS.with_user(url))
    return found


class BuiltWheels:
    """Wheels that were built on this machine, by what they were made of and made with. For many threads at once.

    The key: the sdist's sha256, the interpreter's version and ABI, the platform, and the version of pypa/build.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.cache_dir / "built"
        self._root = settings.cache_dir
        self._notes = BlobStore(self._folder / "notes", root=self._root)

    def wheel(self, sdist: Path, sha256: str) -> Path:
        """The wheel of an sdist, built if it was not before. Raises as `build_wheel`."""
        key = _key(sha256)
        known = None if self._settings.no_build else self._find(key)
        if known is not None:
            return known
        work = Path(tempfile.mkdtemp(prefix="bridge-build-"))
        try:
            return self._keep(key, build_wheel(sdist, work=work, settings=self._settings))
        finally:
            with suppress(FaultError):
                fs.remove_tree(work)

    def _path(self, key: str, name: str) -> Path:
        return self._folder / key[:2] / key / name

    def _find(self, key: str) -> Path | None:
        note = self._notes.read(key, _read_note)
        if note is None:
            return None
        path = self._path(key, note[0])
        try:
            return path if fs.hash_regular(path, root=self._root) == note[1] else None
        except OSError:
            return None

    def _keep(self, key: str, wheel: Path) -> Path:
        path = self._path(key, wheel.name)
        with faults(wheel), open(wheel, "rb") as stream:
            sha256 = fs.publish_file(path, stream, root=self._root)
        self._notes.set(key, json.dumps({"name": path.name, "sha256": sha256}).encode())
        return path


def _read_note(note: dict[str, object]) -> tuple[str, object]:
    """The (file name, sha256) that a note says. Raises `UnsafeInputError` where the name is no wheel's."""
    name = str(note["name"])
    parse_wheel_name(name)
    return name, note["sha256"]


def _key(sha256: str) -> str:
    made_with = (platform.python_version(), str(next(iter(sys_tags()))), importlib.metadata.version("build"))
    return hashlib.sha256("\n".join((sha256, *made_with)).encode()).hexdigest()


def check_runs(wheel: Path, target: Target, sdist: str) -> None:
    """Raise `BuildError` (`build-unfit`) where a wheel that was built here cannot run on the target.

    A build makes a wheel for the interpreter that bridge runs on; if it is not pure, no other python can use it.
    """
    if parse_wheel_name(wheel.name).tags.isdisjoint(target.tags()):
        found = f"{platform.python_implementation()} {platform.python_version()}"
        python = target.python.version if target.python is not None else "none"
        raise BuildError(
            "build-unfit",
            f"{sdist} was built by {found}, and its wheel does not run on the target",
            context=(f"wheel: {wheel.name}", f"target: {target.subdir}, python {python}"),
            hint="require a version that has a wheel for the target, or the python that bridge runs on",
        )
