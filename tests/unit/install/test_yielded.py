"""A path that a package left to another one comes back to it when the other is removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.cli import main
from tests.support.builders import make_conda, make_repodata, make_wheel
from tests.support.environments import SITE, Environment

SHARED = "share/both [*].txt"  # characters that a pattern reads otherwise
IN_WHEELS = f"{SITE}/common/note.txt"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Packages and wheels that share a path, and an environment where some left it to others."""
    folder = tmp_path_factory.mktemp("template")
    for name in ("winner", "loser", "third"):
        make_conda(folder / "channel", name, "1.0", files={SHARED: name.encode(), f"share/{name}": b"own"})
    make_repodata(folder / "channel")
    for name in ("right", "wrong"):
        make_wheel(folder / "wheels", name, "1.0", files={"common/note.txt": name.encode(), f"{name}.py": b""})
    env = Environment(folder / "env").root
    yielding = [word for name in ("loser", "third", "wrong") for word in ("--allow-clobber", name)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRIDGE_CACHE_DIR", str(folder / "cache"))
        assert change(env, "install", *yielding, "winner", "loser", "third", "right", "wrong", folder=folder) == 0
        yield folder


@pytest.fixture
def env(template: Path, tmp_path: Path) -> Path:
    env = tmp_path / "env"
    shutil.copytree(template / "env", env, symlinks=True)
    assert (env / SHARED).read_bytes() == b"winner"
    assert (env / IN_WHEELS).read_bytes() == b"right"
    return env


def change(env: Path, command: str, *words: str, folder: Path | None = None) -> int:
    sources = ["--no-index", "--override-channels", "-c", f"{folder}/channel", "--find-links", f"{folder}/wheels"]
    return main([command, "-q", "-p", str(env), *(sources if folder is not None else ()), *words])


def missing(env: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    main(["audit", "-p", str(env), "--json"])
    return [each["path"] for each in json.loads(capsys.readouterr().out)["findings"] if each["id"] == "missing-file"]


def record(env: Path, name: str) -> dict[str, object]:
    (path,) = (env / "conda-meta").glob(f"{name}-1.0-*.json")
    document: dict[str, object] = json.loads(path.read_bytes())
    return document


def test_a_record_names_what_its_package_left(env: Path) -> None:
    assert record(env, "loser")["yielded_paths"] == [SHARED]
    assert record(env, "wrong")["yielded_paths"] == [IN_WHEELS]
    assert "yielded_paths" not in record(env, "winner")


def test_the_first_that_left_a_path_has_it_when_its_owner_is_removed(
    env: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert change(env, "remove", "winner", "right") == 0
    assert (env / SHARED).read_bytes() == b"loser"
    assert (env / IN_WHEELS).read_bytes() == b"wrong"
    assert "yielded_paths" not in record(env, "loser")
    assert change(env, "remove", "loser") == 0
    assert (env / SHARED).read_bytes() == b"third"
    assert missing(env, capsys) == []
    assert change(env, "remove", "third") == 0
    assert not (env / SHARED).exists()


def test_without_its_archive_it_is_named_and_can_be_repaired_later(
    env: Path, template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BRIDGE_CACHE_DIR", str(env.parent / "cache"))
    (template / "channel").rename(template / "away")
    try:
        assert change(env, "remove", "winner") == 0
    finally:
        (template / "away").rename(template / "channel")
    said = capsys.readouterr().err
    assert "loser left to a removed package" in said
    assert "--fix" in said
    assert missing(env, capsys) == [SHARED]
    main(["audit", "-q", "-p", str(env), "--fix"])
    assert (env / SHARED).read_bytes() == b"loser"


def test_a_dry_run_shows_it(env: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert change(env, "remove", "winner", "--dry-run", "--json") == 0
    operations = json.loads(capsys.readouterr().out)["operations"]
    assert [each["operation"] for each in operations] == ["remove", "reinstall"]
    assert operations[1]["new"]["name"] == "loser"


@pytest.mark.slow
def test_a_repaired_package_leaves_the_path_again(env: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several that left one path do so too, and the first of them takes it where nobody else has it."""
    for name in ("loser", "third"):
        (env / "share" / name).unlink()
    main(["audit", "-q", "-p", str(env), "--fix"])
    assert (env / "share/loser").read_bytes() == b"own"
    assert (env / SHARED).read_bytes() == b"winner"
    assert record(env, "loser")["yielded_paths"] == [SHARED]
    (meta,) = (env / "conda-meta").glob("winner-*.json")
    for path in (meta, *(env / "share").iterdir()):
        path.unlink()
    main(["audit", "-q", "-p", str(env), "--fix"])
    assert (env / SHARED).read_bytes() == b"loser"
    assert record(env, "third")["yielded_paths"] == [SHARED]
    assert missing(env, capsys) == []
