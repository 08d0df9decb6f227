"""Projects as folders and git repositories, built by a backend in their own tree, which needs nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.backends import WRITER

__all__ = ["commit", "make_project", "make_repository"]

# Reads the version and the requirements from files; an editable wheel has a .pth file that leads to the project.
_BACKEND = """
NAME = {name!r}
VERSION = pathlib.Path("VERSION").read_text().strip()

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return write_wheel(wheel_directory, NAME, VERSION, {{f"{{NAME}}.py": pathlib.Path(f"{{NAME}}.py").read_text()}})

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    info = pathlib.Path(metadata_directory, f"{{NAME}}-{{VERSION}}.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(metadata(NAME, VERSION))
    return info.name
"""
_EDITABLE = """
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    pathlib.Path("made-by-the-build").write_text("")
    return write_wheel(wheel_directory, NAME, VERSION, {f"__editable__{NAME}.pth": os.getcwd() + "\\n"})

prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel
"""


def make_project(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    static: str = "",
    is_linkable: bool = True,
) -> Path:
    """Write a project into `folder`, and return that.

    :param static: further lines of a [project] table, which makes its metadata static; without it the backend tells.
    :param is_linkable: whether its backend can make editable wheels.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    if static:
        table += f'[project]\nname = "{name}"\nversion = "{version}"\n{static}\n'
    (folder / "pyproject.toml").write_text(table)
    backend = WRITER + _BACKEND.format(name=name) + (_EDITABLE if is_linkable else "")
    (folder / "backend.py").write_text(backend)
    (folder / "VERSION").write_text(version)
    (folder / "requires.txt").write_text("".join(f"{requirement}\n" for requirement in requires))
    (folder / f"{name}.py").write_text(f"WHERE = __file__\nVERSION = {version!r}\n")
    return folder


def make_repository(folder: Path) -> str:
    """Make a git repository of a folder with one commit; return the commit."""
    _git(folder, "init", "--quiet", "--initial-branch=main")
    return commit(folder)


def commit(folder: Path, tag: str | None = None) -> str:
    """Commit all files of a repository; return the commit."""
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--allow-empty", "--message=a change")
    if tag is not None:
        _git(folder, "tag", tag)
    return _git(folder, "rev-parse", "HEAD").strip()


def _git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout
