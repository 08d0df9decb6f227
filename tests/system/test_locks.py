"""Locks of other tools as requirement files: exactly what they say is installed, on channels that answer nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bridge import prefix
from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge
from tests.support.environments import MINOR, SITE
from tests.support.projects import make_project, make_repository


class World:
    """A channel with `leaf` and a python, wheels, and a bridge that has no other source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bridge = Bridge.of_folder(folder)
        channel = folder / "channel"
        self.python = make_python(channel, MINOR)
        self.leaf = make_conda(channel, "leaf", "1.0")
        make_conda(channel, "leaf", "2.0")
        make_conda(channel, "more", "1.0")
        make_repodata(channel)
        self.wheel = make_wheel(folder / "files", "mine", "1.0", requires=["dep>=1"])
        self.needed = make_wheel(folder / "files", "dep", "1.0")
        make_wheel(folder / "wheels", "mine", "2.0")
        make_wheel(folder / "wheels", "dep", "2.0")

    def write(self, name: str, text: str) -> Path:
        (self.folder / name).write_text(text)
        return self.folder / name

    def create(self, lock: Path, *words: object) -> dict[str, str]:
        root = self.folder / "env"
        ran = self.bridge("create", "-p", root, "-r", lock, *words)
        assert ran.status == 0, ran.err
        return {each.record.name: each.record.version for each in prefix.read(root).installed}

    def refused(self, lock: Path, *words: object) -> tuple[int, str]:
        ran = self.bridge("create", "-p", self.folder / "env", "-r", lock, *words)
        assert not (self.folder / "env").exists()
        return ran.status, ran.err


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pixi_lock(world: World, version: int = 6) -> str:
    conda, pypi = (world.python, world.leaf), (world.wheel, world.needed)
    lines = [f"version: {version}"]
    lines += ["platforms:", "- name: linux-64"] if version == 7 else []
    lines += ["environments:", "  default:", "    channels:", f"    - url: {(world.folder / 'channel').as_uri()}"]
    lines += ["    indexes:", "    - http://127.0.0.1:1/simple", "    packages:", "      linux-64:"]
    lines += [f"      - conda: {each.as_uri()}" for each in conda] + [f"      - pypi: {each.as_uri()}" for each in pypi]
    lines += ["packages:"]
    for each in conda:
        name, number, build = each.name.removesuffix(".conda").rsplit("-", 2)
        lines += [f"- conda: {each.as_uri()}"] if version > 5 else ["- kind: conda", f"  url: {each.as_uri()}"]
        lines += [f"  sha256: {sha256(each)}", f"  name: {name}", f"  version: '{number}'", f"  build: '{build}'"]
        lines += [f"  subdir: {each.parent.name}"]
    for each in pypi:
        name, number = each.name.split("-")[:2]
        lines += [f"- pypi: {each.as_uri()}"] if version > 5 else ["- kind: pypi", f"  url: {each.as_uri()}"]
        lines += [f"  name: {name}", f"  version: '{number}'", f"  sha256: {sha256(each)}"]
    return "\n".join(lines) + "\n"


def conda_lock(world: World) -> str:
    packages = []
    for each in (world.python, world.leaf, world.wheel, world.needed):
        name, number = each.name.split("-")[:2]
        packages.append(
            {
                "name": name,
                "version": number,
                "manager": "conda" if each.suffix == ".conda" else "pip",
                "platform": "linux-64",
                "dependencies": {},
                "url": each.as_uri(),
                "hash": {"sha256": sha256(each)},
                "category": "main",
                "optional": False,
            }
        )
    channels = [{"url": (world.folder / "channel").as_uri(), "used_env_vars": []}]
    metadata = {"channels": channels, "platforms": ["linux-64"], "content_hash": {"linux-64": "0"}, "sources": ["x"]}
    return yaml.safe_dump({"version": 1, "metadata": metadata, "package": packages})


def uv_lock(world: World) -> str:
    def package(each: Path, more: str = "") -> str:
        name, number = each.name.split("-")[:2]
        file = f'{{url = "{each.as_uri()}", hash = "sha256:{sha256(each)}", size = 1}}'
        source = f'{{registry = "{(world.folder / "files").as_uri()}"}}'
        return f'[[package]]\nname = "{name}"\nversion = "{number}"\nsource = {source}\nwheels = [{file}]\n{more}\n'

    app = '[[package]]\nname = "app"\nversion = "0"\nsource = {virtual = "."}\ndependencies = [{name = "mine"}]\n'
    text = package(world.wheel, 'dependencies = [{name = "dep"}]') + package(world.needed) + app
    return f'version = 1\nrevision = 3\nrequires-python = ">=3.9"\n{text}'.replace(", size = 1", "")


def pylock(world: World) -> str:
    text = 'lock-version = "1.0"\ncreated-by = "tests"\n'
    for each in (world.wheel, world.needed):
        name, number = each.name.split("-")[:2]
        file = f'{{url = "{each.as_uri()}", hashes = {{sha256 = "{sha256(each)}"}}}}'
        text += f'[[packages]]\nname = "{name}"\nversion = "{number}"\nwheels = [{file}]\n'
    return text


WHOLE: dict[str, tuple[str, Callable[[World], str]]] = {
    "rattler 4": ("pixi.lock", lambda world: pixi_lock(world, 4)),
    "rattler 5": ("pixi.lock", lambda world: pixi_lock(world, 5)),
    "rattler 6": ("conda.lock", pixi_lock),
    "conda-workspaces": ("conda.lock", lambda world: pixi_lock(world).replace("version: 6\n", "version: 1\r\n", 1)),
    "rattler 7": ("bridge.lock", lambda world: pixi_lock(world, 7)),
    "conda-lock": ("conda-lock.yml", conda_lock),
}
OF_PYPI: dict[str, tuple[str, Callable[[World], str]]] = {
    "uv": ("uv.lock", uv_lock),
    "pylock": ("pylock.toml", pylock),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_exactly_what_is_locked_is_installed_and_no_channel_is_asked(world: World, kind: str) -> None:
    name, text = WHOLE[kind]
    lock = world.write(name, text(world))
    for subdir in ("noarch", "linux-64"):
        (world.folder / "channel" / subdir / "repodata.json").unlink()
    assert world.create(lock) == {"python": f"{MINOR}.1", "leaf": "1.0", "mine": "1.0", "dep": "1.0"}


@pytest.mark.parametrize("kind", OF_PYPI)
def test_a_lock_of_wheels_alone_gets_its_python_from_a_channel(world: World, kind: str) -> None:
    name, text = OF_PYPI[kind]
    assert world.create(world.write(name, text(world)), "python") == {
        "python": f"{MINOR}.1",
        "mine": "1.0",
        "dep": "1.0",
    }


@pytest.mark.parametrize("kind", [*WHOLE, *OF_PYPI])
def test_a_lock_beside_other_requests(world: World, kind: str) -> None:
    name, text = (WHOLE | OF_PYPI)[kind]
    lock = world.write(name, text(world))
    status, err = world.refused(lock, "mine>=2", "python")
    assert (status, "error[no-solution]" in err, f"the lock {lock} has mine 1.0" in err) == (6, True, True), err
    if kind in WHOLE:
        status, err = world.refused(lock, "leaf>=2")
        assert (status, f"the lock {lock} has leaf 1.0" in err) == (6, True), err
    found = world.create(lock, "more", "python")
    assert (found["more"], found["mine"], found["dep"]) == ("1.0", "1.0", "1.0")


@pytest.mark.parametrize("kind", [*WHOLE, *OF_PYPI])
def test_another_artifact_than_the_locked_one(world: World, kind: str) -> None:
    name, text = (WHOLE | OF_PYPI)[kind]
    lock = world.write(name, text(world))
    make_wheel(world.folder / "files", "dep", "1.0", files={"dep.py": b"EVIL = 1\n"})
    status, err = world.refused(lock, *(["python"] if kind in OF_PYPI else []))
    assert (status, "hash-mismatch" in err) == (5, True), err


@pytest.mark.parametrize("kind", WHOLE)
def test_a_platform_that_is_not_locked(world: World, kind: str) -> None:
    name, text = WHOLE[kind]
    lock = world.write(name, text(world))
    status, err = world.refused(lock, "--platform", "osx-arm64")
    assert (status, "error[lock-platform]" in err, "locked: linux-64" in err) == (2, True, True), err


@pytest.mark.parametrize("kind", [*WHOLE, *OF_PYPI])
def test_an_artifact_without_a_hash(world: World, kind: str) -> None:
    name, text = (WHOLE | OF_PYPI)[kind]
    lock = world.write(name, text(world).replace(sha256(world.wheel), ""))
    status, err = world.refused(lock)
    assert (status, "error[lock-invalid]" in err) == (3, True), err


@pytest.mark.slow
def test_folders_and_commits_of_a_lock(world: World) -> None:
    make_project(world.folder / "app", "app")
    repository = make_project(world.folder / "origin", "tool")
    commit = make_repository(repository)
    text = pixi_lock(world).replace(
        "packages:\n- conda", "packages:\n- pypi: ./app\n  name: app\n  version: '1.0'\n  editable: true\n- conda"
    )
    git = f"git+{repository.as_uri()}?rev=main#{commit}"
    text = text.replace("      - pypi", f"      - pypi: ./app\n      - pypi: {git}\n      - pypi", 1)
    text += f"- pypi: {git}\n  name: tool\n  version: '1.0'\n"
    found = world.create(world.write("pixi.lock", text))
    assert {"app", "tool", "mine"} <= found.keys()
    site = world.folder / "env" / SITE
    (app,) = site.glob("app-*.dist-info/direct_url.json")
    (tool,) = site.glob("tool-*.dist-info/direct_url.json")
    assert json.loads(app.read_text())["dir_info"] == {"editable": True}
    assert json.loads(tool.read_text())["vcs_info"]["commit_id"] == commit


def test_environments_of_a_lock(world: World) -> None:
    text = pixi_lock(world)
    other = text.partition("  default:\n")[2].partition("packages:\n- conda")[0].replace("      - pypi", "      #")
    lock = world.write("pixi.lock", text.replace("environments:\n", f"environments:\n  plain:\n{other}", 1))
    status, err = world.refused(lock, "--environment", "nothing")
    assert (status, "its environments: " in err) == (2, True), err
    assert world.create(lock, "--environment", "plain") == {"python": f"{MINOR}.1", "leaf": "1.0"}
