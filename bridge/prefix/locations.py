"""Map the paths of a record to the environment, from `paths_data` and `files`. Pure.

The two lists of a conda-meta record do not always name the same paths. For a noarch python package conda keeps the
package's own path in `paths_data` (`site-packages/x.py`, `python-scripts/x`) and the path in the environment in `files`
only (conda `core/path_actions.py`, `LinkPathAction`), and it unlinks by `files`. mamba, micromamba, rattler and pixi
write the environment's path into both. conda 4.2 and older, and the scripts of old installers, wrote `files` alone.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["PACKAGE_DIRECTORIES", "located", "relocated"]

PACKAGE_DIRECTORIES = ("site-packages/", "python-scripts/")
"""The directories of a noarch python package that have another place in an environment (CEP 20)."""

_SCRIPTS = frozenset({"bin/", "Scripts/"})
_SAMPLES = 8  # paths that are tried to find the place of such a directory


def located(listed: Sequence[str], files: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The path in the environment of each item of `paths_data`, and the files that `paths_data` lacks.

    :param listed: `_path` of each item of `paths_data`.
    :param files: the record's `files`; empty if it has none.

    A path of `listed` that is not in `files` is not changed.
    """
    if not files or files == listed:
        return listed, ()
    known, written = set(files), set(listed)
    if not written <= known:
        listed = files if _are_pairs(files, listed) else _matched(listed, known, known - written)
        written = set(listed)
    return listed, tuple(path for path in dict.fromkeys(files) if path not in written)


def relocated(paths: Sequence[str], site: str, scripts: str = "bin") -> Sequence[str] | None:
    """The paths in the environment of a noarch python package whose record has no `files`.

    :param site: the prefix-relative site-packages of the environment's python.
    `None` if no path changes.
    """
    if not any(path.startswith(PACKAGE_DIRECTORIES) for path in paths):
        return None
    roots = dict(zip(PACKAGE_DIRECTORIES, (f"{site}/", f"{scripts}/"), strict=True))
    return [_placed(path, roots) for path in paths]


def _are_pairs(files: Sequence[str], listed: Sequence[str]) -> bool:
    """Whether the two lists are in the same order, as conda writes them."""
    return len(files) == len(listed) and all(
        file == path
        or _is_root(path[: path.find("/") + 1], file[: len(file) - len(path) + path.find("/") + 1], file, path)
        for file, path in zip(files, listed, strict=True)
    )


def _is_root(directory: str, root: str, file: str, path: str) -> bool:
    """Whether `file` may be `path`, of this directory of the package, placed below `root`."""
    is_place = (
        (root in _SCRIPTS) if directory == PACKAGE_DIRECTORIES[1] else (root not in _SCRIPTS and root.endswith("/"))
    )
    return directory in PACKAGE_DIRECTORIES and is_place and file == root + path[len(directory) :]


def _matched(listed: Sequence[str], known: set[str], free: set[str]) -> Sequence[str]:
    """The same for lists in different orders: the place of a directory is where most of its files are.

    :param free: the files that are not in `listed`.
    """
    roots = {}
    for directory in PACKAGE_DIRECTORIES:
        moved = [path for path in listed if path.startswith(directory) and path not in known]
        candidates = {
            root
            for path in moved[:_SAMPLES]
            for file in free
            if _is_root(directory, root := file[: len(file) - len(path) + len(directory)], file, path)
        }
        if candidates:
            names = [path[len(directory) :] for path in moved]
            roots[directory] = max(sorted(candidates), key=lambda root: sum(root + name in free for name in names))
    placed = ((path, path if path in known else _placed(path, roots)) for path in listed)
    return [there if there in free else path for path, there in placed]


def _placed(path: str, roots: dict[str, str]) -> str:
    directory, slash, name = path.partition("/")
    root = roots.get(directory + slash)
    return root + name if root is not None and name else path
