"""`bridge sync`, `fetch`, `create --clone`, `diff` and `audit --against`: exactly what a lock has, without a solve."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge.prefix.chosen import CHOICE
from tests.fault.commands import make_packages
from tests.support.builders import make_wheel
from tests.support.command_line import Bridge
from tests.support.prefix_trees import tree
from tests.support.sdists import make_sdist
from tests.support.servers import IndexServer

SUBDIR = "linux-64"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    make_packages(folder)
    return folder


@pytest.fixture(scope="module")
def made(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bridge, Path]:
    folder = tmp_path_factory.mktemp("made")
    bridge, env = Bridge.of_folder(folder, packages), folder / "env"
    ran = bridge("create", "-p", env, "python=3.11", "pypi:demo==1.0", "lib=1.0")
    assert ran.status == 0, ran.err
    return bridge, env


@pytest.fixture(scope="module")
def bridge(made: tuple[Bridge, Path]) -> Bridge:
    return made[0]


@pytest.fixture
def env(made: tuple[Bridge, Path]) -> Iterator[Path]:
    path = made[1]
    kept = path.with_name("kept")
    shutil.copytree(path, kept, symlinks=True)
    yield path
    shutil.rmtree(path)
    kept.rename(path)


def archive(packages: Path, name: str) -> Path:
    (found,) = packages.rglob(name)
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


DEMO, LIB, PYTHON = "demo-2.0-py3-none-any.whl", "lib-2.0-0.conda", "python-3.11.1-0.conda"


def rattler_lock(path: Path, packages: Path, names: Sequence[str], subdir: str = SUBDIR) -> Path:
    """A pixi.lock (version 6) of these archives."""
    listed, described = [], []
    for found in (archive(packages, name) for name in names):
        url, sha256 = found.as_uri(), digest(found)
        if found.suffix == ".whl":
            project, version = found.name.split("-")[:2]
            described.append(f"- pypi: {url}\n  name: {project}\n  version: '{version}'\n  sha256: {sha256}\n")
            listed.append(f"      - pypi: {url}\n")
        else:
            stem, folder = found.name.removesuffix(".conda").rsplit("-", 2), found.parent
            facts = {"name": stem[0], "version": f"'{stem[1]}'", "build": f"'{stem[2]}'", "subdir": folder.name}
            facts |= {"channel": folder.parent.as_uri(), "sha256": sha256, "size": str(found.stat().st_size)}
            described.append(f"- conda: {url}\n" + "".join(f"  {key}: {value}\n" for key, value in facts.items()))
            listed.append(f"      - conda: {url}\n")
    channel = (packages / "channel").as_uri()
    text = (
        f"version: 6\nenvironments:\n  default:\n    channels:\n    - url: {channel}/\n    packages:\n      {subdir}:\n"
    )
    path.write_text(text + "".join(listed) + "packages:\n" + "".join(sorted(described)))
    return path


def explicit_list(path: Path, packages: Path, names: Sequence[str]) -> Path:
    found = [archive(packages, name) for name in names]
    lines = [f"{each.as_uri()}#{'sha256=' if each.suffix == '.whl' else ''}{digest(each)}" for each in found]
    path.write_text("\n".join(["@EXPLICIT", *lines, ""]))
    return path


def pylock(path: Path, packages: Path, names: Sequence[str]) -> Path:
    text = 'lock-version = "1.0"\ncreated-by = "test"\n'
    for found in (archive(packages, name) for name in names):
        project, version = found.name.split("-")[:2]
        text += f'[[packages]]\nname = "{project}"\nversion = "{version}"\n[[packages.wheels]]\n'
        text += f'url = "{found.as_uri()}"\nname = "{found.name}"\nhashes = {{sha256 = "{digest(found)}"}}\n'
    path.write_text(text)
    return path


def names_in(bridge: Bridge, env: Path) -> dict[str, str]:
    return {each["name"]: each["version"] for each in bridge("list", "-p", env, "--json").document["packages"]}


WHOLE = (DEMO, LIB, PYTHON)


@pytest.mark.parametrize("write", [rattler_lock, explicit_list], ids=["pixi.lock", "explicit.txt"])
def test_an_environment_becomes_what_the_lock_says(
    bridge: Bridge, env: Path, packages: Path, tmp_path: Path, write: object, request: pytest.FixtureRequest
) -> None:
    lock = write(tmp_path / request.node.callspec.id, packages, WHOLE)  # type: ignore[operator]
    bridge("install", "-p", env, "conda:lib")
    ran = bridge("sync", "-p", env, lock, "--json")
    assert ran.status == 0, ran.err
    assert names_in(bridge, env) == {"demo": "2.0", "lib": "2.0", "python": "3.11.1"}
    assert bridge("audit", "-p", env, "--against", lock, "--json").document["findings"] == []
    again = bridge("sync", "-p", env, lock, "--json")
    assert again.document["operations"] == []


@pytest.mark.parametrize("write", [rattler_lock, explicit_list], ids=["pixi.lock", "explicit.txt"])
def test_a_lock_makes_the_same_environment_elsewhere(
    bridge: Bridge, packages: Path, tmp_path: Path, write: object, request: pytest.FixtureRequest
) -> None:
    """Round trip: the files of a synced environment are those of an installed one, but for requests."""
    lock = write(tmp_path / request.node.callspec.id, packages, WHOLE)  # type: ignore[operator]
    one = tmp_path / "a"
    assert bridge("create", "-p", one, "python=3.11", "pypi:demo==2.0", "lib=2.0").status == 0
    of_request = ("/REQUESTED", "/direct_url.json")  # a wheel at a `file:` URL is one by URL in a pixi.lock
    installed = {path: data for path, data in tree(one).items() if not path.endswith(of_request)}
    shutil.rmtree(one)
    ran = bridge("sync", "-p", one, lock)
    assert ran.status == 0, ran.err
    synced = {path: data for path, data in tree(one).items() if not path.endswith(of_request)}
    assert installed.keys() == synced.keys()
    for path, data in synced.items():
        if path.startswith("conda-meta/"):
            before, after = json.loads(installed[path]), json.loads(data)
            for keys in (
                "requested_spec",
                "requested_specs",
                "files",
                "paths_data",
                "timestamp",
                "md5",
                "arch",
                "platform",
                CHOICE,  # what a solve found out
            ):
                before.pop(keys, None), after.pop(keys, None)
            before["purls"] = after["purls"] = None  # of a list without indexes
            assert after == before
        elif not path.endswith("/RECORD"):
            assert data == installed[path], path


def test_keep_removes_nothing(bridge: Bridge, env: Path, packages: Path, tmp_path: Path) -> None:
    lock = rattler_lock(tmp_path / "pixi.lock", packages, (DEMO, PYTHON))
    assert bridge("sync", "-p", env, lock, "--keep").status == 0
    assert names_in(bridge, env) == {"demo": "2.0", "lib": "1.0", "python": "3.11.1"}
    assert bridge("sync", "-p", env, lock).status == 0
    assert names_in(bridge, env) == {"demo": "2.0", "python": "3.11.1"}


def test_a_lock_of_wheels_leaves_conda_packages_alone(
    bridge: Bridge, env: Path, packages: Path, tmp_path: Path
) -> None:
    lock = pylock(tmp_path / "pylock.toml", packages, (DEMO,))
    ran = bridge("sync", "-p", env, lock)
    assert ran.status == 0, ran.err
    assert names_in(bridge, env) == {"demo": "2.0", "lib": "1.0", "python": "3.11.1"}
    assert bridge("audit", "-p", env, "--against", lock).status == 0
    new = bridge("sync", "-p", tmp_path / "new", lock, "--json")
    assert (new.status, new.document["error"]["id"]) == (2, "no-python")
    assert not (tmp_path / "new").exists()


def test_an_empty_environment_of_a_lock_leaves_nothing(
    bridge: Bridge, env: Path, packages: Path, tmp_path: Path
) -> None:
    lock = rattler_lock(tmp_path / "pixi.lock", packages, (LIB,))
    text = lock.read_text().replace(
        "packages:\n- conda", "  none:\n    channels: []\n    packages:\n      linux-64: []\npackages:\n- conda"
    )
    lock.write_text(text)
    assert bridge("sync", "-p", env, lock, "--environment", "none", "--keep").status == 0
    assert len(names_in(bridge, env)) == 3
    ran = bridge("sync", "-p", env, lock, "--environment", "none")
    assert ran.status == 0, ran.err
    assert names_in(bridge, env) == {}


def test_requirements_with_hashes_are_a_lock(bridge: Bridge, env: Path, packages: Path, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"demo==2.0 --hash=sha256:{digest(archive(packages, DEMO))}\n")
    assert bridge("sync", "-p", env, lock).status == 0
    assert names_in(bridge, env)["demo"] == "2.0"
    wheel = archive(packages, "demo-1.0-py3-none-any.whl")
    lock.write_text(f"demo @ {wheel.as_uri()} --hash=sha256:{digest(wheel)}\n")
    assert bridge("sync", "-p", env, lock).status == 0
    assert names_in(bridge, env)["demo"] == "1.0"
    for text in ("demo\n", "demo==2.0\n", f"demo>=1 --hash=sha256:{'a' * 64}\n"):
        lock.write_text(text)
        ran = bridge("sync", "-p", env, lock, "--json")
        assert (ran.status, ran.document["error"]["id"]) == (2, "not-a-lock")


def test_python_moves_with_the_lock(bridge: Bridge, env: Path, packages: Path, tmp_path: Path) -> None:
    lock = rattler_lock(tmp_path / "pixi.lock", packages, (DEMO, LIB, "python-3.12.1-0.conda"))
    ran = bridge("sync", "-p", env, lock)
    assert ran.status == 0, ran.err
    assert (env / "lib/python3.12/site-packages/demo").is_dir()
    assert not (env / "lib/python3.11/site-packages/demo").exists()
    assert bridge("audit", "-p", env, "--json").document["findings"] == []
    refused = rattler_lock(tmp_path / "one.lock", packages, ("python-3.11.1-0.conda",))
    assert bridge("sync", "-p", env, refused, "--keep", "--json").document["error"]["id"] == "kept-of-python"


def test_what_pip_did_is_undone(bridge: Bridge, env: Path, packages: Path, tmp_path: Path) -> None:
    lock = rattler_lock(tmp_path / "pixi.lock", packages, WHOLE)
    assert bridge("sync", "-p", env, lock).status == 0
    whole = tree(env)
    site = env / "lib/python3.11/site-packages"
    (info,) = site.glob("demo-*.dist-info")
    shutil.rmtree(info)
    other = site / "other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (other / "INSTALLER").write_text("pip\n")
    (other / "RECORD").write_text(
        "other-1.0.dist-info/METADATA,,\nother-1.0.dist-info/INSTALLER,,\nother-1.0.dist-info/RECORD,,\n"
    )
    drift = bridge("audit", "-p", env, "--against", lock, "--json").document["findings"]
    assert "lock-extra" in {each["id"] for each in drift}
    ran = bridge("sync", "-p", env, lock)
    assert ran.status == 0, ran.err
    assert tree(env) == whole


def test_fetch_and_sync_offline(bridge: Bridge, packages: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(packages, copied)
    lock = rattler_lock(tmp_path / "pixi.lock", copied, WHOLE)
    fetched = bridge("fetch", lock, "-o", tmp_path / "folder", "--json")
    assert fetched.status == 0, fetched.err
    assert fetched.document["new"] == 3
    shutil.rmtree(copied)
    words = ("sync", "-p", tmp_path / "new", tmp_path / "folder/pixi.lock", "--offline")
    empty = {"BRIDGE_CACHE_DIR": str(tmp_path / "empty")}
    refused = bridge(*words, "--json", environ=empty)
    assert (refused.status, refused.document["error"]["id"]) == (10, "not-available")
    assert "demo 2.0, lib 2.0, python 3.11.1" in refused.document["error"]["message"]
    assert not (tmp_path / "new").exists()
    ran = bridge(*words, "--from", tmp_path / "folder", environ=empty)
    assert ran.status == 0, ran.err
    again = bridge("fetch", lock, "-o", tmp_path / "folder", "--from", tmp_path / "folder", "--json")
    assert (again.status, again.document["new"]) == (0, 0)


def test_a_changed_archive_is_refused(bridge: Bridge, packages: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(packages, copied)
    lock = rattler_lock(tmp_path / "pixi.lock", copied, WHOLE)
    make_wheel(copied / "wheels", "demo", "2.0", files={"demo/__init__.py": b"other = 1\n"})
    ran = bridge("sync", "-p", tmp_path / "new", lock, "--json")
    assert (ran.status, ran.document["error"]["id"]) == (5, "hash-mismatch")
    assert not (tmp_path / "new").exists()


def test_a_clone_has_the_same_files(bridge: Bridge, env: Path, tmp_path: Path) -> None:
    ran = bridge("create", "-p", tmp_path / "clone", "--clone", env)
    assert ran.status == 0, ran.err
    assert tree(tmp_path / "clone").keys() == tree(env).keys()
    assert bridge("diff", env, tmp_path / "clone", "--json").document["changed"] == []
    assert bridge("create", "-p", tmp_path / "other", "--clone", env, "demo").status == 2
    assert bridge("create", "-p", tmp_path / "other", "--clone", tmp_path / "nothing").status == 2


def test_two_environments_and_locks_are_compared(bridge: Bridge, env: Path, packages: Path, tmp_path: Path) -> None:
    lock = explicit_list(tmp_path / "explicit.txt", packages, (DEMO, "demo-3.0-0.conda"))
    found = bridge("diff", env, explicit_list(lock, packages, (DEMO, PYTHON)), "--json").document
    assert [each["name"] for each in found["removed"]] == ["lib"]
    assert [(each["name"], each["second"]["version"]) for each in found["changed"]] == [("demo", "2.0")]
    assert found["added"] == []
    assert "demo" in bridge("diff", env, lock).out
    assert bridge("diff", env, tmp_path / "nothing").status == 2


def test_an_audit_holds_against_one_environment_of_a_lock(
    bridge: Bridge, env: Path, packages: Path, tmp_path: Path
) -> None:
    """The command that a finding names repairs the environment from the same environment of the lock."""
    lock = rattler_lock(tmp_path / "pixi.lock", packages, WHOLE)
    head, _, described = lock.read_text().partition("packages:\n- ")
    (_, wheel, *others) = head.partition("  default:\n")[2].partition("    packages:\n")[2].splitlines()
    smaller = head.replace("  default:", "  small:").partition("environments:\n")[2].replace(f"{wheel}\n", "")
    lock.write_text(f"{head}{smaller}packages:\n- {described}")
    assert others
    assert bridge("sync", "-p", env, lock, "--environment", "small").status == 0
    against = ("audit", "-p", env, "--against", lock, "--json")
    assert bridge(*against, "--environment", "small").document["findings"] == []
    (missing,) = bridge(*against).document["findings"]
    assert (missing["id"], missing["package"]) == ("lock-missing", "demo")
    assert bridge("sync", "-p", env, lock).status == 0
    (extra,) = bridge(*against, "--environment", "small").document["findings"]
    assert extra["id"] == "lock-extra"
    assert bridge(*extra["repair"][1:]).status == 0
    assert "demo" not in names_in(bridge, env)
    unknown = bridge(*against, "--environment", "none")
    assert (unknown.status, unknown.document["error"]["id"]) == (2, "lock-environment")
    assert bridge("audit", "-p", env, "--environment", "small").status == 2


@pytest.mark.slow
def test_an_sdist_is_built_and_compared(bridge: Bridge, env: Path, packages: Path, tmp_path: Path) -> None:
    sdist = make_sdist(tmp_path / "sdists", "source", "1.0")
    text = (
        'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "source"\nversion = "1.0"\n[packages.sdist]\n'
    )
    text += f'url = "{sdist.as_uri()}"\nname = "{sdist.name}"\nhashes = {{sha256 = "{digest(sdist)}"}}\n'
    lock = tmp_path / "pylock.toml"
    lock.write_text(text)
    refused = bridge("sync", "-p", env, lock, "--keep", "--no-build", "--json")
    assert (refused.status, refused.document["error"]["id"]) == (6, "build-needed")
    ran = bridge("sync", "-p", env, lock, "--keep")
    assert ran.status == 0, ran.err
    assert names_in(bridge, env)["source"] == "1.0"
    assert bridge("sync", "-p", env, lock, "--keep", "--json").document["operations"] == []
    before = tree(env)
    lock.write_text(text.replace('version = "1.0"\n[', 'version = "1.1"\n['))
    wrong = bridge("sync", "-p", env, lock, "--keep", "--json")
    assert wrong.status in {3, 5}, wrong.out
    assert tree(env) == before


@pytest.mark.parametrize(
    ("names", "subdir", "expected"),
    [
        ((DEMO, PYTHON), "osx-arm64", "lock-platform"),
        ((DEMO, "demo-3.0-0.conda", PYTHON), SUBDIR, "lock-ambiguous"),
        ((PYTHON, "python-3.12.1-0.conda"), SUBDIR, "lock-ambiguous"),
    ],
)
def test_a_lock_that_does_not_fit_is_refused(
    bridge: Bridge, env: Path, packages: Path, tmp_path: Path, names: Sequence[str], subdir: str, expected: str
) -> None:
    before = tree(env)
    lock = rattler_lock(tmp_path / "pixi.lock", packages, names, subdir)
    ran = bridge("sync", "-p", env, lock, "--json")
    assert (ran.status, ran.document["error"]["id"]) == (2, expected)
    assert tree(env) == before


def test_a_pin_is_honoured(bridge: Bridge, env: Path, packages: Path, tmp_path: Path) -> None:
    lock = rattler_lock(tmp_path / "pixi.lock", packages, WHOLE)
    (env / "conda-meta/pinned").write_text("lib 1.*\n")
    ran = bridge("sync", "-p", env, lock, "--json")
    assert (ran.status, ran.document["error"]["id"]) == (6, "pinned")
    (env / "conda-meta/pinned").write_text("lib 2.*\ndemo >=2\n")
    assert bridge("sync", "-p", env, lock).status == 0


def test_a_new_environment_has_a_name(bridge: Bridge, packages: Path, tmp_path: Path) -> None:
    lock = explicit_list(tmp_path / "explicit.txt", packages, (PYTHON,))
    own = {"CONDA_ENVS_DIRS": str(tmp_path / "envs"), "HOME": str(tmp_path)}
    ran = bridge("sync", "-n", "named", lock, environ=own)
    assert ran.status == 0, ran.err
    assert (tmp_path / "envs/named/conda-meta/history").is_file()


def test_without_a_lock_bridge_lock_is_meant(bridge: Bridge, env: Path) -> None:
    ran = bridge("sync", "-p", env, "--json")
    assert (ran.status, ran.document["error"]["id"]) == (2, "no-lock")


def http_lock(path: Path, server: IndexServer, wheel: Path) -> Path:
    text = 'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "demo"\nversion = "2.0"\n'
    text += f'index = "{server.url}/simple/"\n[[packages.wheels]]\nurl = "{server.url}/files/{wheel.name}"\n'
    path.write_text(f'{text}hashes = {{sha256 = "{digest(wheel)}"}}\n')
    return path


def test_a_yanked_file_is_told(bridge: Bridge, env: Path, packages: Path, tmp_path: Path) -> None:
    wheel = archive(packages, DEMO)
    with IndexServer() as server:
        server.publish(wheel, facts={"yanked": "it loses data"})
        words = ("sync", "-p", env, http_lock(tmp_path / "pylock.toml", server, wheel))
        own = {"PIP_NO_INDEX": "0", "BRIDGE_FIND_LINKS": str(tmp_path)}
        ran = bridge(*words, "--index-url", f"{server.url}/simple/", environ=own)
    assert ran.status == 0, ran.err
    assert "was yanked: it loses data" in ran.err


def test_a_removed_file_is_taken_from_elsewhere(bridge: Bridge, env: Path, packages: Path, tmp_path: Path) -> None:
    """From the cache without a word; else from a place of the run that has the same file, and told."""
    wheel = archive(packages, DEMO)
    with IndexServer() as server:
        lock = http_lock(tmp_path / "pylock.toml", server, wheel)
        own = {"BRIDGE_CACHE_DIR": str(tmp_path / "cache"), "BRIDGE_FIND_LINKS": str(tmp_path)}
        gone = bridge("sync", "-p", env, lock, "--json", environ=own)
        assert (gone.status, gone.document["error"]["id"]) == (10, "not-available")
        ran = bridge("sync", "-p", env, lock, environ=own | {"BRIDGE_FIND_LINKS": str(packages / "wheels")})
    assert ran.status == 0, ran.err
    assert "the same file is taken from" in ran.err


HOSTILE = {
    "a path as a name": "@EXPLICIT\nhttps://c.example/x/linux-64/..-..%2fa-1-0.conda#" + "a" * 64,
    "no hash": "@EXPLICIT\nhttps://c.example/x/linux-64/a-1-0.conda",
    "an md5 only": "@EXPLICIT\nhttps://c.example/x/linux-64/a-1-0.conda#" + "a" * 32,
    "nothing": "",
    "an alias in itself": "version: 6\nenvironments: &e\n  default: *e\npackages: []\n",
    "a tag of python": 'version: 6\nenvironments: !!python/object/apply:os.system ["false"]\npackages: []\n',
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_lock_is_one_clear_error(bridge: Bridge, env: Path, tmp_path: Path, case: str) -> None:
    lock, before = tmp_path / "evil.lock", tree(env)
    lock.write_text(HOSTILE[case])
    ran = bridge("sync", "-p", env, lock, "--json", "--offline")
    assert ran.status in {2, 3}, ran.out
    assert ran.document["error"]["id"] != "internal"
    assert tree(env) == before
