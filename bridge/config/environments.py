"""Where environments are kept and which are known: `envs_dirs` and `~/.conda/environments.txt`, as conda has them.

Source: conda's `base/context.py` (`envs_dirs`, `locate_prefix_by_name`, `determine_target_prefix`) and
`core/envs_manager.py`, version 26. Reads only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bridge.config.condarc import CondaConfiguration, conda_root
from bridge.config.files import read_named
from bridge.config.pip import home_directory
from bridge.config.programs import find_program
from bridge.errors import UsageError
from converters.deferred import dataclass

__all__ = [
    "BASE",
    "KnownEnvironment",
    "environment_name",
    "environments_file",
    "known_environments",
    "locate",
    "registered",
    "root_prefix",
]

BASE = "base"
_META = "conda-meta"
_NOT_IN_NAMES = frozenset("/\\ :#")
_MAX_SIZE = 16 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEnvironment:
    """An environment that exists. `name` is empty where only its path names it."""

    name: str
    prefix: Path


def root_prefix(environ: Mapping[str, str]) -> Path | None:
    """Where conda is installed, which is the environment `base`: by conda's variables, else by `conda` on PATH."""
    root = conda_root(environ)
    if root is None and (program := find_program("conda", environ.get("PATH", ""))) is not None:
        root = Path(os.path.realpath(program)).parent.parent
    return root if root is not None and (root / _META).is_dir() else conda_root(environ)


def _directories(conda: CondaConfiguration, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The directories of named environments, in conda's order: configured, then its own and the user's."""
    own = home_directory(environ) / ".conda" / "envs"
    root = root_prefix(environ)
    places = [os.path.abspath(os.path.expanduser(text)) for text in conda.envs_dirs]
    if root is None:
        places.append(str(own))
    elif os.access(root / _META / "history", os.W_OK) or os.access(root, os.W_OK):
        places += [str(root / "envs"), str(own)]
    else:
        places += [str(own), str(root / "envs")]
    return tuple(Path(place) for place in dict.fromkeys(places))


def locate(name: str, conda: CondaConfiguration, environ: Mapping[str, str]) -> Path:
    """Return the environment of a name, or where one of that name would be created.

    Raises `UsageError` (`environment-name`) for what cannot be a name, and for `base` without a conda.
    """
    if name in {BASE, "root"}:
        root = root_prefix(environ)
        if root is None:
            raise UsageError(
                "environment-name",
                f"{name!r} is conda's own environment, and no conda was found",
                hint="set CONDA_ROOT or CONDA_EXE, or give the environment's directory with -p DIR",
            )
        return root
    if not name.strip() or name in {".", ".."} or not _NOT_IN_NAMES.isdisjoint(name):
        raise UsageError(
            "environment-name",
            f"{name!r} is not the name of an environment: names have no slash, space, colon or #",
            hint="give a directory with -p DIR",
        )
    directories = _directories(conda, environ)
    for directory in directories:
        if (directory / name).is_dir():
            return directory / name
    return next((each for each in directories if _is_writable(each)), directories[0]) / name


def _is_writable(directory: Path) -> bool:
    """Whether environments can be created there; the directory itself may be missing."""
    existing = next(each for each in (directory, *directory.parents) if each.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def environments_file(environ: Mapping[str, str]) -> Path:
    """The list of prefixes that conda and bridge keep for a user."""
    return home_directory(environ) / ".conda" / "environments.txt"


def registered(path: Path) -> tuple[str, ...]:
    """The lines of an environments.txt; none if it cannot be read."""
    try:
        text = read_named(path, limit=_MAX_SIZE).decode("utf-8", "surrogateescape")
    except OSError:
        return ()
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def known_environments(conda: CondaConfiguration, environ: Mapping[str, str]) -> tuple[KnownEnvironment, ...]:
    """All environments that exist: `base`, those of `envs_dirs`, and those of environments.txt. Sorted by path."""
    root, directories = root_prefix(environ), _directories(conda, environ)
    prefixes = [root] if root is not None else []
    for directory in directories:
        prefixes += _below(directory)
    prefixes += [Path(line) for line in registered(environments_file(environ))]
    known: dict[str, Path] = {}
    for prefix in prefixes:
        if (prefix / _META).is_dir():
            known.setdefault(os.path.realpath(prefix), prefix)
    named = (KnownEnvironment(name=_name(prefix, root, directories), prefix=prefix) for prefix in known.values())
    return tuple(sorted(named, key=lambda each: (each.name != BASE, str(each.prefix))))


def _below(directory: Path) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return
    yield from (directory / name for name in names if not name.startswith("."))


def environment_name(prefix: Path, conda: CondaConfiguration, environ: Mapping[str, str]) -> str:
    """The name by which `locate` finds a prefix; empty if it has none."""
    return _name(prefix, root_prefix(environ), _directories(conda, environ))


def _name(prefix: Path, root: Path | None, directories: Sequence[Path]) -> str:
    if prefix == root:
        return BASE
    return prefix.name if _is_first(prefix, directories) else ""


def _is_first(prefix: Path, directories: Sequence[Path]) -> bool:
    """Whether no earlier directory has an environment of the same name."""
    if prefix.parent not in directories:
        return False
    earlier = directories[: directories.index(prefix.parent)]
    return not any((directory / prefix.name).is_dir() for directory in earlier)
