"""Copies of project folders, and the hash that tells whether one changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.sdists.trees import copy_tree, tree_revision
from tests.support.projects import commit, make_project, make_repository


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "p", "p")


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda p: (p / "p.py").write_text("other"),
    "a new file": lambda p: (p / "q.py").write_text(""),
    "a removed file": lambda p: (p / "VERSION").unlink(),
    "a mode": lambda p: (p / "p.py").chmod(0o755),
    "a name": lambda p: (p / "p.py").rename(p / "q.py"),
    "a commit": commit,
    "a tag": lambda p: commit(p, tag="v9"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_makes_other_sources(project: Path, change: str) -> None:
    make_repository(project)
    before = tree_revision(project)
    CHANGES[change](project)
    assert tree_revision(project) != before


MADE = ["build/lib/p.py", "dist/p-1.0.whl", "p.egg-info/PKG-INFO", "__pycache__/p.pyc", ".venv/bin/x", "p.so",
        "env/conda-meta/history", "venv/pyvenv.cfg", ".git/FETCH_HEAD"]  # fmt: skip


@pytest.mark.parametrize("path", MADE)
def test_what_builds_leave_makes_no_other_sources(project: Path, path: str) -> None:
    make_repository(project)
    before = tree_revision(project)
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text("made")
    assert tree_revision(project) == before


def test_a_copy_leaves_environments_out_and_keeps_links(project: Path, tmp_path: Path) -> None:
    (project / "package").mkdir()
    (project / "package/x.py").write_text("x")
    (project / "alias").symlink_to("package")
    (project / "outside").symlink_to(tmp_path)
    (project / "file").symlink_to("p.py")
    (project / "dangling").symlink_to("nowhere")
    (project / "env/conda-meta").mkdir(parents=True)
    (project / "env/conda-meta/history").write_text("")
    copy_tree(project, tmp_path / "copy")
    copy = tmp_path / "copy"
    assert (copy / "alias/x.py").read_text() == "x"
    assert (copy / "alias").is_symlink()
    assert (copy / "outside").resolve() == tmp_path
    assert (copy / "file").read_text() == (project / "p.py").read_text()
    assert sorted(path.name for path in copy.iterdir() if path.name in {"env", "dangling"}) == []
