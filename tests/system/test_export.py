"""`bridge export`: an environment in each format, read by the tools whose formats they are."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.builders import make_conda, make_python, make_repodata, make_wheel, tree_digest
from tests.support.command_line import Bridge, Ran
from tests.support.projects import commit, make_project, make_repository

FORMATS = {
    "environment": "environment.yml",
    "rattler": "bridge.lock",
    "conda-lock": "conda-lock.yml",
    "pylock": "pylock.toml",
    "explicit": "explicit.txt",
    "requirements": "requirements.txt",
}
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel, wheels, and an environment of both in `env`."""
    made = tmp_path_factory.mktemp("export")
    channel = made / "channel"
    make_python(channel, MINOR)
    make_conda(channel, "libz", "1.3", subdir="linux-64", noarch=None)
    make_conda(channel, "zlib", "1.3", subdir="linux-64", noarch=None, depends=["libz >=1.3"], build_number=4)
    make_conda(channel, "dual", "1.0", depends=["python"])
    make_repodata(channel)
    make_wheel(made / "wheels", "dual", "1.0", headers=["License-Expression: MIT"])
    make_wheel(made / "wheels", "toy", "1.0")
    make_wheel(made / "wheels", "app", "2.0", requires=("toy>=1",))
    ran = Bridge.of_folder(made)("create", "-p", "env", "python", "zlib", "app>=1", "pypi:dual")
    assert ran.status == 0, ran.err
    return made


@pytest.fixture
def bridge(folder: Path) -> Bridge:
    return Bridge.of_folder(folder)


def exported(bridge: Bridge, name: str, *words: object) -> Ran:
    ran = bridge("export", "-p", "env", "-o", name, *words)
    assert ran.status == 0, ran.err
    return ran


@pytest.mark.parametrize("form", FORMATS)
def test_a_format_that_was_written_is_read_as_the_same_packages(bridge: Bridge, form: str) -> None:
    exported(bridge, FORMATS[form])
    ran = bridge("resolve", "-r", FORMATS[form], "--platform", "linux-64", "--json")
    assert ran.status == 0, ran.err
    found = {(each["name"], each["version"], each["sha256"]) for each in ran.document["packages"]}
    listed = bridge("list", "-p", "env", "--json").document["packages"]
    whole = {(each["name"], each["version"], each["sha256"]) for each in listed}
    wheels = {each for each in whole if each[0] in {"dual", "toy", "app"}}
    if form in {"pylock", "requirements"}:
        assert wheels <= found
    else:
        assert found == whole


def test_hashes_are_left_out_where_nobody_wants_them(folder: Path) -> None:
    bridge = Bridge.of_folder(folder)
    ran = bridge("export", "-p", "env", "--no-hashes")
    lines = [line for line in ran.out.splitlines() if not line.startswith(("#", "--"))]
    assert [line.partition(" @ ")[0] for line in lines] == ["app", "dual", "toy"], ran.out
    assert "sha256" not in ran.out
    (folder / "own.txt").write_text(ran.out, "utf-8")
    assert bridge("resolve", "-r", "own.txt").status == 0
    ran = bridge("export", "-p", "env", "--no-hashes", "--format", "rattler")
    assert (ran.status, "--format requirements" in ran.err) == (2, True), ran.err


def test_builds_are_left_out_where_nobody_wants_them(folder: Path) -> None:
    bridge = Bridge.of_folder(folder)
    ran = bridge("export", "-p", "env", "--no-builds")
    assert "\n- zlib=1.3\n" in ran.out, ran.out
    assert "toy" in ran.out
    ran = bridge("export", "-p", "env", "--no-builds", "--format", "explicit")
    assert (ran.status, "environment.yml" in ran.err) == (2, True), ran.err


def test_what_a_format_cannot_hold_is_named(bridge: Bridge) -> None:
    for form in ("pylock", "requirements"):
        assert "left out: 3 conda packages" in exported(bridge, FORMATS[form]).err
    assert "the hashes of conda packages" in exported(bridge, "environment.yml").err
    assert "left out" not in exported(bridge, "bridge.lock").err


def without_hashes(folder: Path, name: str, *without: str) -> None:
    """Let the record of a package state no hash, as conda wrote records once."""
    (record,) = (folder / "env/conda-meta").glob(f"{name}-*.json")
    document = json.loads(record.read_text())
    record.write_text(json.dumps({key: value for key, value in document.items() if key not in without}))


@pytest.mark.parametrize("name", ["bridge.lock", "conda-lock.yml", "explicit.txt"])
def test_a_hash_that_no_record_states_is_made_of_the_archive(tmp_path: Path, name: str) -> None:
    channel = tmp_path / "channel"
    archive = make_conda(channel, "libz", "1.3")
    make_repodata(channel)
    bridge = Bridge.of_folder(tmp_path)
    assert bridge("create", "-p", "env", "libz").status == 0
    whole = exported(bridge, name).err
    text = (tmp_path / name).read_text()
    for without in (("md5",) if name == "conda-lock.yml" else ("sha256",), ("sha256", "md5")):
        without_hashes(tmp_path, "libz", *without)
        assert exported(bridge, name).err == whole
        assert (tmp_path / name).read_text() == text
    archive.unlink()
    assert "libz" in exported(bridge, name).err
    ran = bridge("sync", "-p", "other", name)
    assert ran.status == (2 if name == "explicit.txt" else 3)  # a list without hashes is no lock
    assert "libz" in ran.err
    assert not (tmp_path / "other").exists()


def test_a_conda_lock_has_the_md5_of_local_archives(tmp_path: Path) -> None:
    channel = tmp_path / "channel"
    archive = make_conda(channel, "libz", "1.3")
    make_repodata(channel)
    repodata = channel / "noarch" / "repodata.json"
    document = json.loads(repodata.read_text())
    for record in document["packages.conda"].values():
        del record["md5"]
    repodata.write_text(json.dumps(document))
    bridge = Bridge.of_folder(tmp_path)
    assert bridge("lock", "libz", "-o", "bridge.lock").status == 0
    md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    for words in (("lock", "libz"), ("export", "bridge.lock")):
        ran = bridge(*words, "-o", "conda-lock.yml")
        assert (ran.status, "md5" in ran.err) == (0, False), ran.err
        assert md5 in (tmp_path / "conda-lock.yml").read_text()


def test_from_history_is_what_was_asked_for(bridge: Bridge, folder: Path) -> None:
    import yaml

    ran = bridge("export", "-p", "env", "--from-history")
    assert yaml.safe_load(ran.out) == {
        "name": "env",
        "channels": [f"file://{folder}/channel"],
        "dependencies": ["python", "zlib", {"pip": ["app>=1", "dual"]}],
    }
    assert bridge("export", "-p", "env", "--from-history", "--format", "pylock").status == 2


def test_json_has_the_text(bridge: Bridge) -> None:
    ran = bridge("export", "-p", "env", "--format", "requirements", "--json")
    assert "app @ file://" in ran.document["text"]
    assert ran.document["left_out"]


@pytest.mark.slow
def test_a_folder_a_repository_and_an_editable_come_back_as_they_were_asked(tmp_path: Path) -> None:
    bridge = Bridge.of_folder(tmp_path)
    make_python(tmp_path / "channel", MINOR)
    make_repodata(tmp_path / "channel")
    linked = make_project(tmp_path / "linked", name="linked")
    repository = tmp_path / "repository"
    make_project(repository, name="versioned")
    make_repository(repository)
    head = commit(repository)
    make_wheel(tmp_path / "wheels", "toy", "1.0")
    words = ["python", "toy", "-e", linked, f"versioned @ git+file://{repository}"]
    ran = bridge("create", "-p", "env", *words)
    assert ran.status == 0, ran.err
    text = bridge("export", "-p", "env", "--format", "requirements").out
    assert f"-e file://{linked}" in text
    assert f"versioned @ git+file://{repository}@{head}" in text
    for form in ("environment", "rattler", "requirements", "explicit"):
        assert bridge("export", "-p", "env", "--format", form, "-o", FORMATS[form]).status == 0
        python = ["python"] if form == "requirements" else []
        ran = bridge("create", "-p", f"again-{form}", "-r", FORMATS[form], *python)
        assert ran.status == 0, ran.err
    lock = bridge("export", "-p", "env", "--format", "rattler").out
    assert f"git+file://{repository}#{head}" in lock
    assert "editable: true" in lock
    pylock = bridge("export", "-p", "env", "--format", "pylock").out
    assert f'commit-id = "{head}"' in pylock
    assert "editable = true" in pylock


def test_a_distribution_of_pip_is_named_with_its_version(tmp_path: Path, folder: Path) -> None:
    from tests.support.builders import install_distribution

    bridge = Bridge.of_folder(tmp_path, folder)
    assert bridge("create", "-p", "env", "python").status == 0
    site = f"lib/python{MINOR}/site-packages"
    install_distribution(tmp_path / "env", site, "stray", "3.1")
    ran = bridge("export", "-p", "env", "--format", "requirements")
    assert "stray==3.1" in ran.out
    assert "left out: the file of stray 3.1" in ran.err
    lock = bridge("export", "-p", "env", "--format", "rattler")
    assert "stray" not in lock.out
    assert "stray 3.1, whose file is not recorded" in lock.err


@pytest.mark.slow
def test_pip_installs_the_hashed_requirements(bridge: Bridge, folder: Path) -> None:
    exported(bridge, "requirements.txt")
    words = ["install", "--require-hashes", "--no-index", "--target", "pip-target", "-r", "requirements.txt", "-q"]
    subprocess.run([sys.executable, "-m", "pip", *words], cwd=folder, check=True, capture_output=True)
    assert {path.name for path in (folder / "pip-target").glob("*.dist-info")} == {
        "app-2.0.dist-info", "dual-1.0.dist-info", "toy-1.0.dist-info",
    }  # fmt: skip


def test_a_lock_becomes_another_format(bridge: Bridge, folder: Path) -> None:
    exported(bridge, "bridge.lock")
    direct = exported(bridge, "direct.txt", "--format", "requirements")
    assert direct.status == 0
    ran = bridge("export", "bridge.lock", "--format", "requirements", "--platform", "linux-64")
    assert ran.status == 0, ran.err
    assert _pins(ran.out) == _pins((folder / "direct.txt").read_text())
    assert bridge("export", "bridge.lock", "--format", "pylock", "--platform", "win-64").status == 2


def _pins(text: str) -> list[str]:
    return [line for line in text.splitlines() if "@" in line or "--hash" in line]


@pytest.mark.parametrize("name", ["bom.cdx.json", "bom.spdx.json"])
def test_a_bill_of_materials_comes_from_a_lock_alone(bridge: Bridge, folder: Path, name: str) -> None:
    pytest.importorskip("cyclonedx" if "cdx" in name else "spdx_tools")
    exported(bridge, "bridge.lock")
    ran = bridge("export", "bridge.lock", "-o", name)
    assert ran.status == 0, ran.err
    text = (folder / name).read_text()
    document = json.loads(text)
    if "cdx" in name:
        needs = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}
        assert needs["wheel:app-2.0"] == ["wheel:toy-1.0"]
        assert needs["conda:zlib-1.3-0"] == ["conda:libz-1.3-0"]
    else:
        named = {each["SPDXID"]: each["name"] for each in document["packages"]}
        related = {(named.get(each["spdxElementId"]), named.get(each["relatedSpdxElement"]))
                   for each in document["relationships"]}  # fmt: skip
        assert {("app", "toy"), ("zlib", "libz")} <= related
    assert "pkg:pypi/app@2.0" in text
    assert "pkg:conda/zlib@1.3" in text


@pytest.mark.parametrize("form", ["environment", "rattler", "conda-lock", "explicit"])
def test_an_environment_made_from_an_export_is_the_same(bridge: Bridge, folder: Path, form: str) -> None:
    exported(bridge, FORMATS[form])
    ran = bridge("create", "-p", f"again-{form}", "-r", FORMATS[form])
    assert ran.status == 0, ran.err
    assert _tree(folder / f"again-{form}") == _tree(folder / "env")


def _tree(prefix: Path) -> dict[str, tuple[str, str]]:
    """The files of an environment, and the names of its records; what was requested, `bridge create` records anew."""
    found = tree_digest(prefix)
    asked = ("/RECORD", "/REQUESTED", "/direct_url.json")
    kept = {path: each for path, each in found.items() if not path.startswith("conda-meta/")}
    kept = {path: each for path, each in kept.items() if not path.endswith(asked)}
    return kept | {path: ("record", "") for path in found if path.startswith("conda-meta/") and path.endswith(".json")}


def test_uv_installs_the_pylock(bridge: Bridge, folder: Path) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not there")
    exported(bridge, "pylock.toml")
    words = ["pip", "sync", "--offline", "--no-config", "--python", sys.executable, "--target", "uv-target"]
    subprocess.run([uv, *words, "pylock.toml"], cwd=folder, check=True, capture_output=True)
    assert {path.name for path in (folder / "uv-target").glob("*.dist-info")} == {
        "app-2.0.dist-info", "dual-1.0.dist-info", "toy-1.0.dist-info",
    }  # fmt: skip
