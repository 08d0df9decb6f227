"""`bridge lock`: one lock for several platforms, stable, checked, and merged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bridge.requirements.files.locks.reading import read_lock
from tests.support.builders import make_wheel
from tests.support.command_line import Bridge, Ran
from tests.support.projects import make_project

PLATFORMS = ("linux-64", "osx-arm64", "win-64")
ALL = [word for platform in PLATFORMS for word in ("--platform", platform)]


class World:
    """A channel of records without archives for three platforms, and a directory of wheels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bridge = Bridge.of_folder(folder)
        self._records: dict[str, dict[str, object]] = {}
        for platform in PLATFORMS:
            self.add("python", "3.12.4", platform, build="h1_0_cpython", depends=("python_abi 3.12.* *_cp312",))
        self.add("python_abi", "3.12", "noarch", build="5_cp312", number=5, constrains=("python 3.12.* *_cpython",))

    def add(
        self,
        name: str,
        version: str,
        subdir: str = "noarch",
        *,
        build: str = "0",
        number: int = 0,
        depends: Sequence[str] = (),
        constrains: Sequence[str] = (),
    ) -> None:
        key = f"{subdir}/{name}-{version}-{build}.conda"
        self._records[key] = {
            "name": name, "version": version, "build": build, "build_number": number, "subdir": subdir,
            "depends": list(depends), "constrains": list(constrains), "sha256": f"{len(self._records):064x}",
            "md5": f"{len(self._records):032x}", "size": 1, "license": "BSD-3-Clause", "timestamp": 1700000000000,
        }  # fmt: skip
        self.write()

    def remove(self, key: str) -> None:
        del self._records[key]
        self.write()

    def write(self) -> None:
        for subdir in (*PLATFORMS, "noarch"):
            packages = {k.partition("/")[2]: v for k, v in self._records.items() if k.startswith(f"{subdir}/")}
            folder = self.folder / "channel" / subdir
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "repodata.json").write_text(json.dumps({"packages.conda": packages}))

    def wheel(self, name: str, version: str, *requires: str, tag: str = "py3-none-any") -> Path:
        return make_wheel(self.folder / "wheels", name, version, requires=requires, tag=tag)

    def lock(self, *words: object) -> Ran:
        return self.bridge("lock", *words)

    def text(self, name: str = "bridge.lock") -> str:
        return (self.folder / name).read_text("utf-8")


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    for version in ("1.0", "2.0"):
        for platform in PLATFORMS:
            made.add("numpy", version, platform, depends=("python",))
    made.add("six", "1.16", depends=("python",))
    return made


def locked(ran: Ran, environment: str = "default") -> dict[str, dict[str, str]]:
    """Platform → name → version, of a run with --json."""
    assert ran.status == 0, ran.err
    named = {each["name"]: each["platforms"] for each in ran.document["environments"]}
    return {
        platform: {each["name"]: each["version"] for each in packages}
        for platform, packages in named[environment].items()
    }


def test_a_lock_of_three_platforms_is_read_by_rattler(world: World) -> None:
    from rattler import LockFile

    world.wheel("rich", "13.0", 'colorama ; sys_platform == "win32"')
    world.wheel("colorama", "0.4")
    found = locked(world.lock("numpy", "rich", *ALL, "--json"))
    assert {platform: packages["numpy"] for platform, packages in found.items()} == dict.fromkeys(PLATFORMS, "2.0")
    assert [platform for platform in found if "colorama" in found[platform]] == ["win-64"]
    environment = LockFile.from_path(world.folder / "bridge.lock").default_environment()
    assert environment is not None
    for platform in environment.platforms():
        read = environment.packages(platform) or []
        assert {each.name for each in read} == found[str(platform)].keys()


def test_what_rattler_reads_are_the_records_of_the_channel(world: World) -> None:
    from rattler import LockFile

    world.add("odd", "1.0", "linux-64", build="py312_h5", number=7, depends=("python",), constrains=("six >1",))
    world.lock("odd", "six", "--platform", "linux-64")
    environment = LockFile.from_path(world.folder / "bridge.lock").default_environment()
    assert environment is not None
    records = {each.name.normalized: each for each in environment.conda_repodata_records()["linux-64"]}
    odd = records["odd"]
    assert (odd.build_number, odd.subdir, odd.constrains, odd.depends) == (7, "linux-64", ["six >1"], ["python"])
    assert odd.sha256 is not None
    assert records["python_abi"].build_number == 5
    assert (str(records["six"].build), records["six"].subdir, records["six"].build_number) == ("0", "noarch", 0)


def test_equal_inputs_give_equal_bytes_on_any_machine(world: World) -> None:
    world.lock("numpy", *ALL)
    first = world.text()
    (world.folder / "bridge.lock").unlink()
    other = {"CONDA_OVERRIDE_GLIBC": "2.99", "CONDA_OVERRIDE_ARCHSPEC": "zen4", "CONDA_OVERRIDE_CUDA": "12.4"}
    assert world.bridge("lock", "numpy", *ALL, environ=other).status == 0
    assert world.text() == first


def test_what_was_locked_stays_until_it_is_upgraded(world: World) -> None:
    world.wheel("rich", "13.0")
    world.lock("numpy", "six", "rich", *ALL)
    first = world.text()
    world.add("six", "1.17", depends=("python",))
    world.wheel("rich", "14.0")
    for platform in PLATFORMS:
        world.add("numpy", "3.0", platform, depends=("python",))
    assert world.lock().status == 0
    assert world.text() == first
    only = world.lock("--upgrade", "rich", "--json")
    assert {each["name"] for each in only.document["changes"]} == {"rich"}
    every = world.lock("--upgrade", "--json")
    assert {each["name"]: each["after"] for each in every.document["changes"]} == {"numpy": "3.0 0", "six": "1.17 0"}


def test_versions_that_differ_stay_until_they_are_upgraded(world: World) -> None:
    world.add("split", "2.0", "linux-64")
    world.add("split", "1.0", "osx-arm64")
    words = ["split", "--platform", "linux-64", "--platform", "osx-arm64"]
    world.lock(*words)
    first = world.text()
    world.add("split", "2.0", "osx-arm64")
    assert world.lock().status == 0
    assert world.text() == first
    found = locked(world.lock("--upgrade", "split", "--json"))
    assert {each["split"] for each in found.values()} == {"2.0"}


def test_a_locked_wheel_stays_where_another_platform_has_the_conda_package(world: World) -> None:
    (world.folder / "names.json").write_text('{"python-toy": ["toy"], "toylib": []}')
    world.wheel("toy", "1.0")
    world.add("python-toy", "1.0", depends=("python", "toylib"))
    world.add("toylib", "1.0", "linux-64")
    words = ("python-toy", "--name-map", "names.json", "--platform", "linux-64", "--platform", "win-64")
    found = locked(world.lock(*words, "--json"))
    assert ("python-toy" in found["linux-64"], "toy" in found["win-64"]) == (True, True)
    first = world.text()
    world.add("toylib", "1.0", "win-64")
    assert world.lock().status == 0
    assert world.text() == first


def test_a_new_request_changes_nothing_else(world: World) -> None:
    world.lock("numpy <2", *ALL)
    for platform in PLATFORMS:
        world.add("numpy", "1.5", platform, depends=("python",))
    ran = world.lock("numpy", "six", "--json")
    assert {(each["name"], each["before"]) for each in ran.document["changes"]} == {("six", None)}


def test_check_reads_no_channel_and_no_archive(world: World) -> None:
    file = world.folder / "environment.yml"
    file.write_text("dependencies: [numpy, {pip: [rich]}]\n")
    world.wheel("rich", "13.0")
    world.lock("-r", file.name, *ALL)
    for path in (world.folder / "channel").rglob("*.json"):
        path.unlink()
    for path in (world.folder / "wheels").iterdir():
        path.unlink()
    assert world.lock("--check").status == 0
    file.write_text("dependencies: [numpy >2, six, {pip: [rich]}]\n")
    ran = world.lock("--check", "-r", file.name)
    assert ran.status == 6
    assert "error[lock-outdated]" in ran.err
    assert "linux-64: numpy >2 is requested, and numpy 2.0 is locked" in ran.err
    assert "win-64: six is requested, and not locked" in ran.err
    file.write_text("dependencies: [numpy]\n")
    ran = world.lock("--check")
    assert "linux-64: rich 13.0 is locked, and nothing needs it any more" in ran.err
    assert ran.status == 6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["numpy", "--platform", "linux-64"], "default on osx-arm64 is locked"),
        (["numpy", *ALL, "--platform", "linux-aarch64"], "linux-aarch64: it is not locked"),
        (["numpy", *ALL, "-c", "other"], "the lock has the channels"),
    ],
)
def test_check_tells_other_platforms_and_channels(world: World, words: list[str], told: str) -> None:
    world.lock("numpy", *ALL)
    ran = world.lock("--check", *words)
    assert ran.status == 6, ran.out
    assert told.removeprefix("default on ") in ran.err


def test_a_platform_without_solution_is_explained(world: World) -> None:
    world.add("only-linux", "1.0", "linux-64")
    ran = world.lock("only-linux", *ALL)
    assert ran.status == 6
    assert "osx-arm64: " in ran.err
    assert "linux-64: a solution of 1 packages" in ran.err
    assert not (world.folder / "bridge.lock").exists()


@pytest.mark.slow
def test_a_conflict_of_two_branches_is_solved_by_locking_again(world: World) -> None:
    """One branch adds a package, the other upgrades another; both change the same lines of the lock."""
    import subprocess

    lock = world.folder / "bridge.lock"
    world.wheel("rich", "13.0")
    world.lock("numpy <2", "rich", "six", *ALL)
    base = world.text()
    world.add("seven", "1.0")
    world.lock("numpy <2", "rich", "six", "seven")
    ours = world.text()
    lock.write_text(base)
    world.wheel("rich", "14.0")
    world.add("six", "1.17", depends=("python",))
    world.lock("--upgrade", "six")
    names = {"base": base, "ours": ours, "theirs": world.text()}
    for name, text in names.items():
        (world.folder / name).write_text(text)
    merging = subprocess.run(
        ["git", "merge-file", "-p", "ours", "base", "theirs"], cwd=world.folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert "<<<<<<<" in merging.stdout
    lock.write_text(merging.stdout)
    assert world.lock("--check").status == 6
    found = locked(world.lock("--json"))
    assert found["linux-64"] == {
        "python": "3.12.4", "python_abi": "3.12", "numpy": "1.0", "rich": "13.0", "six": "1.17", "seven": "1.0",
    }  # fmt: skip
    assert world.lock("--check").status == 0


def test_environments_of_a_pixi_manifest(world: World) -> None:
    (world.folder / "pixi.toml").write_text(
        f"""
        [workspace]
        channels = ["{world.folder}/channel"]
        platforms = ["linux-64", "win-64"]
        [dependencies]
        numpy = "*"
        [feature.test]
        platforms = ["linux-64"]
        [feature.test.dependencies]
        six = "*"
        numpy = "<2"
        [environments]
        test = ["test"]
        """
    )
    ran = world.lock("-r", "pixi.toml", "--json")
    assert {platform: each["numpy"] for platform, each in locked(ran).items()} == {"linux-64": "2.0", "win-64": "2.0"}
    test = locked(ran, "test")
    assert list(test) == ["linux-64"]
    assert (test["linux-64"]["numpy"], test["linux-64"]["six"]) == ("1.0", "1.16")


def test_dependency_groups_are_environments(world: World) -> None:
    world.wheel("rich", "13.0")
    (world.folder / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\ndependencies = ["rich"]\n[dependency-groups]\ntest = ["six"]\n'
    )
    ran = world.lock("-r", "pyproject.toml", "python", "--json")
    here = next(iter(locked(ran)))
    assert "six" not in locked(ran)[here]
    assert {"rich", "six"} <= locked(ran, "test")[here].keys()


def test_one_environment_of_groups_is_chosen_for_a_format_that_holds_one(world: World) -> None:
    world.wheel("rich", "13.0")
    (world.folder / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\ndependencies = ["rich"]\n[dependency-groups]\ntest = ["six"]\n'
    )
    words = ["-r", "pyproject.toml", "python", "-o", "pylock.toml"]
    refused = world.lock(*words)
    assert (refused.status, "--environment NAME" in refused.err) == (2, True)
    (project,) = locked(world.lock(*words, "--environment", "default", "--json")).values()
    assert "rich" in project
    assert "six" not in project
    (group,) = locked(world.lock(*words, "--environment", "test", "--json"), "test").values()
    assert {"rich", "six"} <= group.keys()
    assert world.lock(*words, "--environment", "nothing").status == 2


def test_no_secret_is_in_a_lock(world: World) -> None:
    words = ["numpy", "--platform", "linux-64", "--extra-index-url", "https://someone:hunter22@index.example/simple"]
    assert world.lock(*words).status == 0
    assert "hunter22" not in world.text()
    assert "https://index.example/simple" in world.text()


def test_nothing_to_lock_is_a_usage_error(world: World) -> None:
    ran = world.lock()
    assert (ran.status, "error[lock-inputs]" in ran.err) == (2, True)
    (world.folder / "bridge.lock").write_text("version: 6\nenvironments: {}\npackages: []\n")
    ran = world.lock()
    assert (ran.status, "does not say what it was made from" in ran.err) == (2, True)


def test_a_lock_goes_to_standard_output(world: World) -> None:
    ran = world.lock("six", "--platform", "linux-64", "-o", "-")
    assert ran.out.startswith("version: 6\n")
    assert not (world.folder / "bridge.lock").exists()


def test_a_lock_is_made_again_from_any_folder(world: World) -> None:
    """Paths in files and options are relative to the lock, not to where the command ran."""
    project = world.folder / "project"
    project.mkdir()
    (project / "req.txt").write_text("six\n")
    words = ["-r", "project/req.txt", "-o", "project/bridge.lock", "-c", "./channel", "--platform", "linux-64"]
    assert world.lock(*words).status == 0
    first = world.text("project/bridge.lock")
    inside = Bridge(cache=world.bridge.cache, index=None, folder=project, environ=world.bridge.environ)
    assert inside("lock").status == 0
    assert inside("lock", "--check").status == 0
    assert world.text("project/bridge.lock") == first


@pytest.mark.slow
def test_paths_in_requirements_start_from_the_lock(world: World) -> None:
    project = world.folder / "project"
    make_project(project / "lib", name="lib")
    world.wheel("rich", "13.0")
    wheel = "./wheels/rich-13.0-py3-none-any.whl"
    words = ["python", wheel, "-e", "./project/lib", "-o", "project/bridge.lock", "--platform", "linux-64"]
    ran = world.lock(*words)
    assert ran.status == 0, ran.err
    first = world.text("project/bridge.lock")
    assert "    editables:\n    - ./lib\n" in first
    assert "- -e lib @ file:./lib\n" in first
    inside = Bridge(cache=world.bridge.cache, index=None, folder=project, environ=world.bridge.environ)
    assert inside("lock", "--check").status == 0
    ran = inside("lock")
    assert ran.status == 0, ran.err
    assert world.text("project/bridge.lock") == first


def test_a_checkout_elsewhere_is_locked_to_equal_bytes(world: World) -> None:
    texts = []
    for name in ("one", "two"):
        folder = world.folder / name / "app"
        make_project(folder / "src" / "lib", name="lib")
        make_wheel(folder / "wheels", "rich", "13.0")
        (folder / "locks").mkdir()
        inside = Bridge(cache=world.bridge.cache, index=None, folder=folder, environ=world.bridge.environ)
        words = ["python", "./wheels/rich-13.0-py3-none-any.whl", "-e", "./src/lib", "--find-links", "./wheels"]
        ran = inside("lock", *words, "-o", "locks/bridge.lock", "--platform", "linux-64")
        assert ran.status == 0, ran.err
        texts.append((folder / "locks" / "bridge.lock").read_text())
        assert f"file://{folder}" not in texts[-1]
    assert texts[0] == texts[1]
    found = read_lock(folder / "locks" / "bridge.lock").environment()
    (lib,) = (each for each in found.packages["linux-64"] if each.name == "lib")
    assert lib.requested == (f"-e lib @ {(folder / 'src' / 'lib').as_uri()}",)
    assert found.find_links[0] == (folder / "wheels").as_uri()


def test_a_lock_of_a_checkout_with_crlf_counts_as_it_is(world: World) -> None:
    world.lock("six", "--platform", "linux-64")
    first = world.text()
    (world.folder / "bridge.lock").write_bytes(first.replace("\n", "\r\n").encode())
    assert world.lock("--check").status == 0
    assert world.lock().status == 0
    assert world.text() == first


def test_wrong_uses_are_one_clear_error_each(world: World) -> None:
    for words, told in (
        (["six", "-o", "nowhere/bridge.lock"], "error[lock-folder]"),
        (["six", "-o", "lock.foo"], "error[lock-format]"),
        (["six", "--format", "explicit"], "error[lock-format]"),
        (["six", "--platform", "amiga"], "error[option-value]"),
        (["six", *ALL, "-o", "explicit.txt"], "error[lock-format]"),
    ):
        ran = world.lock(*words)
        assert (ran.status, told in ran.err) == (2, True), ran.err
    assert not list(world.folder.glob("*.lock"))
    (world.folder / "bridge.lock").write_text("version: 6\nenvironments: [\npackages: []\n")
    ran = world.lock("six", "--platform", "linux-64")
    assert (ran.status, "remove it, then lock again" in ran.err) == (2, True), ran.err


def test_an_unknown_name_to_upgrade_is_told(world: World) -> None:
    world.lock("six", "--platform", "linux-64")
    assert "nosuch is not locked" in world.lock("--upgrade", "nosuch").err


def test_system_requirements_of_a_file_are_assumed(world: World) -> None:
    world.add("gpu", "1.0", "linux-64", depends=("__cuda >=12",))
    (world.folder / "pixi.toml").write_text(
        f'[workspace]\nchannels = ["{world.folder}/channel"]\nplatforms = ["linux-64"]\n'
        '[dependencies]\ngpu = "*"\n[system-requirements]\ncuda = "12.4"\n'
    )
    assert world.lock("-r", "pixi.toml").status == 0
    assert "- __cuda=12.4\n" in world.text()


@pytest.mark.parametrize("name", ["conda-lock.yml", "pylock.toml"])
def test_what_was_locked_in_another_format_stays_too(world: World, name: str) -> None:
    world.wheel("rich", "13.0")
    words = ["rich", "six", "python", *ALL, "-o", name]
    world.lock(*words)
    world.wheel("rich", "14.0")
    ran = world.lock(*words, "--json")
    assert ran.document["changes"] == []
    assert {each["rich"] for each in locked(ran).values()} == {"13.0"}


def test_the_platforms_of_a_lock_that_does_not_name_its_inputs_stay(world: World) -> None:
    words = ["six", "python", "-o", "conda-lock.yml"]
    world.lock(*words, *ALL)
    assert set(locked(world.lock(*words, "--json"))) == set(PLATFORMS)
    assert set(locked(world.lock(*words, "--upgrade", "six", "--json"))) == set(PLATFORMS)


def test_a_pylock_of_three_platforms_has_markers(world: World) -> None:
    from packaging.pylock import Pylock

    from bridge.requirements.files.toml_text import load_toml

    world.wheel("rich", "13.0", 'colorama ; sys_platform == "win32"')
    world.wheel("colorama", "0.4")
    ran = world.lock("rich", "python", *ALL, "-o", "pylock.toml")
    assert "left out: 2 conda packages" in ran.err
    lock = Pylock.from_dict(load_toml(world.folder / "pylock.toml", world.text("pylock.toml")))
    markers = {package.name: str(package.marker or "") for package in lock.packages}
    assert markers == {"colorama": 'sys_platform == "win32" and platform_machine == "AMD64"', "rich": ""}
    assert lock.environments is not None
    assert len(lock.environments) == 3
