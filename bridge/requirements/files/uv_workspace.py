"""A workspace of uv: its root, and the folders of its members (uv's documentation, "Workspaces")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bridge.errors import UsageError
from bridge.requirements.files import fields
from bridge.requirements.files.text import read_text
from bridge.requirements.files.toml_text import load_toml
from bridge.requirements.files.uv_tables import WORKSPACE
from bridge.requirements.files.values import wrong
from converters.projects import canonicalize_name

__all__ = ["member", "root_of"]

_UV, _HERE = "tool.uv", "tool.uv.workspace"


def root_of(path: Path) -> tuple[Path, Mapping[str, object]] | None:
    """Return the root file of the workspace of which a pyproject.toml is a member, and its [tool.uv]; else `None`.

    A file above that cannot be read is no root.
    """
    folder = path.absolute().parent
    for parent in folder.parents:
        root = parent / "pyproject.toml"
        try:
            uv = _uv(root) if root.is_file() else {}
            if "workspace" in uv:
                return (root, uv) if folder in set(_members(root, uv)) else None
        except UsageError:
            continue
    return None


def member(path: Path, project: str, where: str) -> Path:
    """Return the folder of the workspace's member with this name. Raises `UsageError` (`requirement-file`)."""
    for folder in path.absolute().parents:
        root = folder / "pyproject.toml"
        uv = _uv(root) if root.is_file() else {}
        if "workspace" not in uv:
            continue
        for each in (folder, *_members(root, uv)):
            if (each / "pyproject.toml").is_file() and _project_name(each / "pyproject.toml") == project:
                return each
        break
    hint = "name its folder (path = …), or the index it comes from (index = …)"
    problem = f"{project} should be a member of the uv workspace, but no member here has this name"
    raise wrong(path, where, problem, hint=hint)


def _members(root: Path, uv: Mapping[str, object]) -> Iterator[Path]:
    table = WORKSPACE.check(uv["workspace"], root, _HERE, [])
    patterns = fields.texts(table.get("members"), root, f"{_HERE}.members")
    try:
        excluded = {
            member
            for pattern in fields.texts(table.get("exclude"), root, f"{_HERE}.exclude")
            for member in root.parent.glob(pattern)
        }
        for pattern in patterns:
            yield from (member for member in sorted(root.parent.glob(pattern)) if member not in excluded)
    except (ValueError, NotImplementedError, OSError) as error:
        raise wrong(root, _HERE, f"not patterns of folders: {error}") from error


def _uv(path: Path) -> Mapping[str, object]:
    return fields.table(fields.table(load_toml(path, read_text(path)).get("tool"), path, "tool").get("uv"), path, _UV)


def _project_name(path: Path) -> str | None:
    name = fields.table(load_toml(path, read_text(path)).get("project"), path, "project").get("name")
    return canonicalize_name(name) if isinstance(name, str) else None
