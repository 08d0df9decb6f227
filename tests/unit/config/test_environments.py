"""Environments by name, as conda finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge import config
from bridge.config.condarc import read_condarc
from bridge.config.environments import known_environments, locate
from bridge.errors import UsageError
from bridge.install.registration import register, unregister


def environ_of(folder: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(folder / "home"), "PATH": "/nonexistent", **more}


def make(prefix: Path) -> Path:
    (prefix / "conda-meta").mkdir(parents=True)
    return prefix


def root_of(folder: Path) -> Path:
    root = make(folder / "conda")
    (root / "conda-meta/history").touch()
    return root


def found(folder: Path, name: str, environ: dict[str, str]) -> str:
    return locate(name, read_condarc(environ), environ).relative_to(folder).as_posix()


def test_a_name_is_looked_up_in_the_order_of_conda(tmp_path: Path) -> None:
    root = root_of(tmp_path)
    environ = environ_of(tmp_path, CONDA_EXE=str(root / "bin/conda"))
    assert found(tmp_path, "new", environ) == "conda/envs/new"
    make(tmp_path / "home/.conda/envs/new")
    assert found(tmp_path, "new", environ) == "home/.conda/envs/new"
    make(root / "envs/new")
    assert found(tmp_path, "new", environ) == "conda/envs/new"
    environ["CONDA_ENVS_PATH"] = f"{tmp_path / 'a'}:{tmp_path / 'b'}"
    make(tmp_path / "b/new")
    assert found(tmp_path, "new", environ) == "b/new"
    environ["CONDA_ENVS_DIRS"] = str(tmp_path / "c")
    assert found(tmp_path, "other", environ) == "c/other"
    assert found(tmp_path, "base", environ) == found(tmp_path, "root", environ) == "conda"


def test_envs_dirs_of_a_condarc_count_and_are_no_longer_told(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.condarc").write_text("envs_dirs:\n  - ~/mine\nchannels: [nowhere]\n")
    environ = environ_of(tmp_path)
    assert locate("x", read_condarc(environ), environ).name == "x"
    assert read_condarc(environ).warnings == ()


def test_without_a_conda_names_are_below_the_home_directory(tmp_path: Path) -> None:
    environ = environ_of(tmp_path)
    assert found(tmp_path, "science", environ) == "home/.conda/envs/science"
    with pytest.raises(UsageError) as caught:
        found(tmp_path, "base", environ)
    assert caught.value.id == "environment-name"


@pytest.mark.parametrize("name", ["a/b", "..", " ", "a b", "x:y", "a#b"])
def test_what_cannot_be_a_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        found(tmp_path, name, environ_of(tmp_path))
    assert (caught.value.id, "-p DIR" in (caught.value.hint or "")) == ("environment-name", True)


def test_an_option_beats_variables_and_two_at_once_are_refused(tmp_path: Path) -> None:
    environ = environ_of(tmp_path, BRIDGE_PREFIX="/one", CONDA_PREFIX="/two")
    assert config.load({}, environ).prefix == Path("/one")
    settings = config.load({"name": "x"}, environ)
    assert (settings.name, settings.prefix) == ("x", tmp_path / "home/.conda/envs/x")
    settings = config.load({"prefix": "/three"}, environ | {"BRIDGE_NAME": "y"})
    assert (settings.name, settings.prefix, settings.has_prefix) == (None, Path("/three"), True)
    assert config.load({}, environ_of(tmp_path, CONDA_PREFIX="/two")).has_prefix is False
    with pytest.raises(UsageError, match="both name the environment"):
        config.load({"prefix": "a", "name": "b"}, environ)


def test_known_environments_are_those_of_directories_and_of_the_list(tmp_path: Path) -> None:
    root = root_of(tmp_path)
    environ = environ_of(tmp_path, CONDA_EXE=str(root / "bin/conda"))
    conda = read_condarc(environ)
    for prefix in (root / "envs/one", tmp_path / "elsewhere", tmp_path / "gone"):
        make(prefix)
        register(prefix, conda, environ)
    register(tmp_path / "elsewhere", conda, environ)
    lines = (tmp_path / "home/.conda/environments.txt").read_text().splitlines()
    assert lines == [str(root / "envs/one"), str(tmp_path / "elsewhere"), str(tmp_path / "gone")]
    (tmp_path / "gone/conda-meta").rmdir()
    (root / "envs/no-environment").mkdir()
    known = [(each.name, each.prefix) for each in known_environments(conda, environ)]
    assert known == [("base", root), ("one", root / "envs/one"), ("", tmp_path / "elsewhere")]
    unregister(tmp_path / "elsewhere", environ)
    assert (tmp_path / "home/.conda/environments.txt").read_text().splitlines() == [lines[0], lines[2]]


def test_a_list_without_a_last_line_feed_and_one_that_cannot_be_written(tmp_path: Path) -> None:
    environ = environ_of(tmp_path)
    path = tmp_path / "home/.conda/environments.txt"
    path.parent.mkdir(parents=True)
    path.write_text("/old")
    register(tmp_path / "new", read_condarc(environ), environ)
    assert path.read_text() == f"/old\n{tmp_path / 'new'}\n"
    path.unlink()
    path.mkdir()
    register(tmp_path / "new", read_condarc(environ), environ)
    off = environ_of(tmp_path / "x", CONDA_REGISTER_ENVS="false")
    register(tmp_path / "new", read_condarc(off), off)
    assert not (tmp_path / "x").exists()


class _Asked(dict[str, str]):
    """Variables that count how often PATH is asked for: each time, its directories are searched for conda."""

    count = 0

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        self.count += key == "PATH"
        return super().get(key, default)


def test_conda_is_not_searched_for_again_for_each_environment(tmp_path: Path) -> None:
    """On a network file system each search takes as long as reading the environment."""
    few, many = (_Asked(environ_of(tmp_path / name)) for name in ("few", "many"))
    for environ, count in ((few, 2), (many, 20)):
        for number in range(count):
            register(make(tmp_path / f"{count}-{number}"), read_condarc(environ), environ)
        environ.count = 0
        assert len(known_environments(read_condarc(environ), environ)) == count
    assert few.count == many.count > 0
