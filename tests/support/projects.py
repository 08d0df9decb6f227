"""Projects as folders and git repositories, built by a backend in their own tree, which needs nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["commit", "make_project", "make_repository"]

# Reads the version and the requirements from files; an editable wheel has a .pth file that leads to the project.
_BACKEND = """
import base64, hashlib, os, pathlib, zipfile

NAME = {name!r}
VERSION = pathlib.Path("VERSION").read_text().strip()

def _metadata():
    lines = pathlib.Path("requires.txt").read_text().splitlines()
    requires = "".join(f"Requires-Dist: {{line}}\\n" for line in lines)
    return f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n" + requires

def _wheel(directory, files):
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    files[f"{{info}}/METADATA"] = _metadata()
    files[f"{{info}}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{{path}},sha256={{digest}},{{len(text.encode())}}\\n")
    files[f"{{info}}/RECORD"] = "".join(rows) + f"{{info}}/RECORD,,\\n"
    name = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return name

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return _wheel(wheel_directory, {{f"{{NAME}}.py": pathlib.Path(f"{{NAME}}.py").read_text()}})

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    info = pathlib.Path(metadata_directory, f"{{NAME}}-{{VERSION}}.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(_metadata())
    return info.name
"""
_EDITABLE = """
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    pathlib.Path("made-by-the-build").write_text("")
    return _wheel(wheel_directory, {f"__editable__{NAME}.pth": os.getcwd() + "\\n"})

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
    (folder / "backend.py").write_text(_BACKEND.format(name=name) + (_EDITABLE if is_linkable else ""))
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
