"""Directories of source code: which files count, a copy of them, and a hash that changes when they do."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bridge import fs
from bridge.faults import faults
from bridge.paths import META

__all__ = ["copy_tree", "tree_revision"]

# Directories of a project that are not source code.
_NO_SOURCE = frozenset({".tox", ".nox", ".venv", "__pycache__", "node_modules", ".mypy_cache", ".pytest_cache"})
# What builds and tools leave among the sources: it does not make them other sources.
_MADE = frozenset({".git", ".hg", ".svn", "build", "dist", ".eggs", ".ruff_cache", ".hypothesis", ".idea", ".vscode"})
_MADE_SUFFIXES = (".egg-info", ".pyc", ".pyo", ".so", ".pyd", ".o", ".whl")
_BLOCK = 1 << 20


def copy_tree(directory: Path, target: Path) -> None:
    """Copy a project's files with version control data, without environments and caches.

    Links to directories stay links.
    """
    fs.make_directories(target)
    with fs.WritableTree(target) as tree:
        for path, relative in _files(directory):
            if path.is_symlink() and path.is_dir():
                link = os.path.realpath(path) if _leaves(path, directory) else os.readlink(path)
                fs.write_symlink(tree, relative, link)
            elif path.is_file():  # not a socket, and no dangling link
                mode = 0o755 if os.access(path, os.X_OK) else 0o644
                with faults(path), path.open("rb") as content:
                    fs.write_file(tree, relative, content, mode=mode)


def _leaves(path: Path, directory: Path) -> bool:
    return os.path.isabs(os.readlink(path)) or not Path(os.path.realpath(path)).is_relative_to(directory)


def tree_revision(directory: Path) -> str:
    """Return the sha256 of a project's files, their names and modes, and of the commit and tags that git has there."""
    digest = hashlib.sha256()
    for path, relative in sorted(_files(directory, skips_made=True), key=lambda each: each[1]):
        with faults(path):
            status = path.stat() if path.exists() else path.lstat()
            is_file = stat.S_ISREG(status.st_mode)
            digest.update(
                f"{relative}\0{is_file and bool(status.st_mode & 0o111)}\0".encode("utf-8", "surrogateescape")
            )
            if is_file:
                digest.update(_digest(path))
    for line in _references(directory / ".git"):
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.digest()


def _files(directory: Path, *, skips_made: bool = False) -> Iterator[tuple[Path, str]]:
    """The files and the links to directories of a project, with their relative POSIX paths."""
    for where, directories, files in os.walk(directory):
        place = Path(where)
        links = [name for name in directories if (place / name).is_symlink()]
        directories[:] = sorted(
            name
            for name in directories
            if name not in links
            and name not in _NO_SOURCE
            and not (skips_made and (name in _MADE or name.endswith(_MADE_SUFFIXES)))
            and not (place / name / "pyvenv.cfg").exists()
            and not (place / name / META).is_dir()
        )
        for name in (*files, *links):
            if not (skips_made and name.endswith(_MADE_SUFFIXES)):
                yield place / name, (place / name).relative_to(directory).as_posix()


def _references(git: Path) -> Iterator[str]:
    """The commit and the tags of a working copy, which tools like setuptools-scm make a version from."""
    if not git.is_dir():
        return
    head = _line(git / "HEAD")
    packed = [line.split(" ", 1) for line in _text(git / "packed-refs").splitlines() if not line.startswith(("#", "^"))]
    named = {parts[1]: parts[0] for parts in packed if len(parts) == 2}
    branch = head.removeprefix("ref: ")
    yield _line(git / branch) or named.get(branch, "") if branch != head else head
    tags = {name: commit for name, commit in named.items() if name.startswith("refs/tags/")}
    for path in sorted((git / "refs/tags").rglob("*")):
        if path.is_file():
            tags[path.relative_to(git).as_posix()] = _line(path)
    yield from (f"{name} {commit}" for name, commit in sorted(tags.items()))


def _line(path: Path) -> str:
    return _text(path).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return ""
