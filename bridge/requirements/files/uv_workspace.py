"""A workspace of uv: its root, and the folders of its members (uv's documentation, "Workspaces")."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bridge.errors import UsageError
from bridge.requirements.files.fields import Field
from bridge.requirements.files.text import read_text
from bridge.requirements.files.toml_text import load_toml
from bridge.requirements.files.uv_tables import WORKSPACE
from converters.projects import canonicalize_name

__all__ = ["member", "root_of"]


def root_of(path: Path) -> Field | None:
    """Return [tool.uv] of the root of the workspace of which a pyproject.toml is a member; else `None`.

    A file above that cannot be read is no root.
    """
    folder = path.absolute().parent
    for parent in folder.parents:
        root = parent / "pyproject.toml"
        try:
            uv = _uv(root) if root.is_file() else None
            if uv is not None and "workspace" in uv:
                return uv if folder in set(_members(uv)) else None
        except UsageError:
            continue
    return None


def member(project: str, field: Field) -> Path:
    """Return the folder of the workspace's member with this name. Raises `UsageError` (`requirement-file`).

    :param field: what names the member.
    """
    for folder in field.path.absolute().parents:
        root = folder / "pyproject.toml"
        uv = _uv(root) if root.is_file() else None
        if uv is None or "workspace" not in uv:
            continue
        for each in (folder, *_members(uv)):
            if (each / "pyproject.toml").is_file() and _project_name(each / "pyproject.toml") == project:
                return each
        break
    hint = "name its folder (path = …), or the index it comes from (index = …)"
    problem = f"{project} should be a member of the uv workspace, but no member here has this name"
    raise field.wrong(problem, hint=hint)


def _members(uv: Field) -> Iterator[Path]:
    table, folder = WORKSPACE.check(uv["workspace"], []), uv.path.parent
    patterns = table["members"].texts()
    try:
        excluded = {member for pattern in table["exclude"].texts() for member in folder.glob(pattern)}
        for pattern in patterns:
            yield from (member for member in sorted(folder.glob(pattern)) if member not in excluded)
    except (ValueError, NotImplementedError, OSError) as error:
        raise table.wrong(f"not patterns of folders: {error}") from error


def _uv(path: Path) -> Field:
    return Field(load_toml(path, read_text(path)), path)["tool"]["uv"]


def _project_name(path: Path) -> str | None:
    name = Field(load_toml(path, read_text(path)), path)["project"]["name"].value
    return canonicalize_name(name) if isinstance(name, str) else None
