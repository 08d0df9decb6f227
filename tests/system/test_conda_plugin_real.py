"""The conda plugin inside a real conda: `BRIDGE_TEST_CONDA` names its executable, else `python -m conda` where it is.

conda gets this project by PYTHONPATH, so its python must be of the same minor version as the tests'.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.support.builders import make_conda, make_python, make_repodata, make_wheel, metadata_text, record_hash
from tests.support.command_line import Bridge, Ran, clean_environment

ROOT = Path(__file__).resolve().parents[2]
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
CONDARC = """channels: []
default_channels: []
shortcuts: false
report_errors: false
notify_outdated_conda: false
auto_update_conda: false
register_envs: false
always_yes: true
aggressive_update_packages: []
"""


def executable() -> list[str]:
    named = os.environ.get("BRIDGE_TEST_CONDA")
    if named:
        return [named]
    if importlib.util.find_spec("conda") is None:
        pytest.skip("no conda is here (BRIDGE_TEST_CONDA names its executable)")
    return [sys.executable, "-m", "conda"]


@dataclass(frozen=True)
class Conda:
    """A conda that has the plugin, with settings, caches and environments of its own below `folder`."""

    words: list[str]
    folder: Path
    plugin: Path

    def __call__(self, *words: object, **environ: str) -> Ran:
        own = {
            "CONDARC": str(self.folder / "condarc"),
            "HOME": str(self.folder),
            "CONDA_PKGS_DIRS": str(self.folder / "pkgs"),
            "CONDA_ENVS_DIRS": str(self.folder / "envs"),
            "PYTHONPATH": os.pathsep.join([str(self.plugin), str(ROOT), *filter(os.path.isdir, sys.path)]),
            "BRIDGE_CACHE_DIR": str(self.folder / "cache"),
            "BRIDGE_FIND_LINKS": str(self.folder / "wheels"),
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": os.devnull,
        }
        kept = {key: value for key, value in os.environ.items() if key == "CONDA_SOLVER"}
        # A doctor that finds this asks a host whether it is right, three times.
        environment = {key: value for key, value in clean_environment().items() if key != "REQUESTS_CA_BUNDLE"}
        done = subprocess.run(
            [*self.words, *map(str, words)], capture_output=True, text=True, check=False, timeout=300,
            env=environment | kept | own | environ, cwd=self.folder,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    @property
    def version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self("--version").out.split()[-1].split("+")[0].split(".")[:2])


@pytest.fixture(scope="module")
def conda(tmp_path_factory: pytest.TempPathFactory) -> Conda:
    words = executable()
    folder, plugin = tmp_path_factory.mktemp("conda"), tmp_path_factory.mktemp("plugin")
    info = plugin / "conda_bridge-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: conda-bridge\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[conda]\nconda-bridge = bridge.conda_plugin\n")
    (folder / "condarc").write_text(CONDARC)
    found = Conda(words, folder, plugin)
    if found("--version").status:
        pytest.skip(f"{words} does not run: {found('--version').err[-300:]}")
    if f"{MINOR}." not in found("info").out.split("python version", 1)[-1].split("\n")[0]:
        pytest.skip(f"that conda's python is not {MINOR}")
    return found


@pytest.fixture(scope="module")
def channel(conda: Conda) -> Path:
    """A channel with a python, two versions of a library, and a pip that is only a name."""
    folder = conda.folder / "channel"
    make_python(folder, MINOR)
    for version in ("1.0", "2.0"):
        info = f"lib-{version}.dist-info"
        files = {"lib.py": b"", f"{info}/METADATA": metadata_text("lib", version), f"{info}/INSTALLER": b"conda\n"}
        rows = [f"{path},{record_hash(data)},{len(data)}" for path, data in files.items()]
        files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
        placed = {f"site-packages/{path}": data for path, data in files.items()}
        make_conda(folder, "lib", version, noarch="python", files=placed, depends=["python"])
    make_conda(folder, "pip", "99")
    make_repodata(folder)
    make_wheel(conda.folder / "wheels", "cow", "1.0", requires=["lib<2"])
    make_wheel(conda.folder / "wheels", "barn", "1.0", requires=["cow"])
    return folder


@pytest.fixture
def environment(conda: Conda, channel: Path, tmp_path: Path) -> Path:
    """Python and lib 1.0 from conda; cow, a wheel, by `conda bridge`."""
    made = tmp_path / "env"
    done = conda("create", "-q", "-p", made, "-c", channel, "--override-channels", f"python={MINOR}", "lib=1.0")
    assert done.status == 0, done.err
    done = conda("bridge", "install", "-p", made, "-c", channel, "cow")
    assert done.status == 0, done.err
    return made


class TestSubcommand:
    def test_help_lists_it_and_every_word_and_the_exit_status_pass_through(self, conda: Conda, tmp_path: Path) -> None:
        assert "bridge" in conda("--help").out
        assert conda("bridge", "--version").out.startswith("bridge, version")
        assert "Usage: bridge audit" in conda("bridge", "audit", "--help").out
        done = conda("bridge", "list", "--json", "-p", tmp_path / "none")
        assert done.status == 2
        assert done.document["error"]["id"] == "not-an-environment"

    def test_the_environment_is_condas_by_name_or_the_active_one(self, conda: Conda, channel: Path) -> None:
        done = conda("bridge", "create", "-n", "byname", "-c", channel, "lib=1.0", "python")
        assert done.status == 0, done.err
        made = conda.folder / "envs" / "byname"
        assert conda("bridge", "list", "-n", "byname", "--json").document["prefix"] == str(made)
        assert conda("bridge", "list", "--json", CONDA_PREFIX=str(made)).document["prefix"] == str(made)
        unknown = conda("bridge", "list", "-n", "nosuch")
        assert unknown.status == 1
        assert "nosuch" in unknown.err
        assert "Traceback" not in unknown.err


def findings(report: str) -> str:
    """What the report says of bridge's check."""
    return report.partition(" bridge: ")[2].partition("\n\n\N{WHITE HEAVY CHECK MARK}")[0]


class TestDoctor:
    def test_findings_are_told(self, conda: Conda, environment: Path) -> None:
        # PYTHONPATH, by which conda has the plugin here, is a warning by itself.
        clean = findings(conda("doctor", "-p", environment).out)
        assert "error" not in clean
        assert "cow" not in clean
        site = environment / f"lib/python{MINOR}/site-packages"
        (site / "cow" / "__init__.py").write_text("changed = True\n")
        told = findings(conda("doctor", "-p", environment).out)
        assert "cow" in told

    def test_fixing_runs_the_repair(self, conda: Conda, environment: Path) -> None:
        if conda.version < (26, 5):
            pytest.skip("this conda's health checks repair nothing")
        (environment / f"lib/python{MINOR}/site-packages" / "~ow-1.0.dist-info").mkdir()
        done = conda("doctor", "-p", environment, "--fix", "bridge")
        assert done.status == 0, done.err
        assert not (environment / f"lib/python{MINOR}/site-packages" / "~ow-1.0.dist-info").exists()


class TestWarning:
    def test_a_change_that_breaks_a_wheel_is_told_before_it_is_made(
        self, conda: Conda, environment: Path, channel: Path
    ) -> None:
        if conda.version < (24, 7):
            pytest.skip("this conda tells plugins of no solve")
        # pip knows of no record: conda's solver cannot see what such a wheel needs.
        record = next((environment / "conda-meta").glob("cow-*.json"))
        record.unlink()
        words = ("install", "-q", "-p", environment, "-c", channel, "--override-channels", "lib=2.0")
        done = conda(*words, "--dry-run")
        assert "cow 1.0 needs lib<2: lib 2.0 would take its place" in done.err
        assert done.err.count("cow 1.0 needs lib<2") == 1
        as_json = conda(*words, "--json")
        assert as_json.status == 0
        assert as_json.document["success"] is True

    def test_what_breaks_nothing_is_not_told(self, conda: Conda, environment: Path, channel: Path) -> None:
        done = conda("install", "-q", "-p", environment, "-c", channel, "--override-channels", "pip", "--dry-run")
        assert "warning: this change" not in done.err

    def test_an_archive_by_path_is_not_solved_and_is_told_too(
        self, conda: Conda, environment: Path, channel: Path
    ) -> None:
        if conda.version < (25, 9):
            pytest.skip("this conda has no actions before a transaction")
        done = conda("install", "-q", "-p", environment, channel / "noarch" / "lib-2.0-0.conda")
        assert done.status == 0, done.err
        assert "cow 1.0 needs lib<2: lib 2.0 would take its place" in done.err


class TestEnvironmentFiles:
    def test_an_export_names_the_wheel_exactly(self, conda: Conda, environment: Path) -> None:
        if conda.version < (25, 9):
            pytest.skip("this conda has no exporters")
        done = conda("export", "-p", environment, "--format", "bridge")
        assert done.status == 0, done.err
        document = yaml.safe_load(done.out)
        pip = document["dependencies"][-1]["pip"]
        assert len(pip) == 1
        assert pip[0].startswith(f"cow @ {(conda.folder / 'wheels').as_uri()}/cow-1.0-py3-none-any.whl#sha256=")
        assert any(str(each).startswith("lib=1.0") for each in document["dependencies"])
        assert not any(str(each).startswith("cow") for each in document["dependencies"][:-1])

    @pytest.mark.parametrize("name", ["lab.bridge.yml", "environment.yml"])
    def test_both_parts_are_solved_as_one(self, conda: Conda, channel: Path, tmp_path: Path, name: str) -> None:
        """`barn` needs `cow`, which needs `lib<2`: alone, conda would take lib 2.0."""
        if conda.version < (25, 9):
            pytest.skip("this conda has no environment specifiers")
        file, report = tmp_path / name, tmp_path / "report.json"
        file.write_text(
            f"name: lab\nchannels: [{channel.as_uri()}]\ndependencies: [python={MINOR}, lib, {{pip: [barn]}}]\n"
        )
        chosen = [] if name.endswith(".bridge.yml") else ["--env-spec", "bridge"]
        made = tmp_path / "made"
        # The interpreter of this channel is the tests' own: its pip sees nothing of the environment, and may not write.
        pip = {"PIP_DRY_RUN": "1", "PIP_REPORT": str(report), "PIP_NO_DEPS": "1"}
        done = conda("env", "create", "-q", "-p", made, "-f", file, *chosen, **pip)
        assert done.status == 0, done.err + done.out
        assert [path.name for path in (made / "conda-meta").glob("lib-*.json")] == ["lib-1.0-0.json"]
        planned = {each["metadata"]["name"] for each in json.loads(report.read_text())["install"]}
        assert planned == {"barn", "cow"}

    def test_no_solution_is_explained(self, conda: Conda, channel: Path, tmp_path: Path) -> None:
        if conda.version < (25, 9):
            pytest.skip("this conda has no environment specifiers")
        file = tmp_path / "lab.bridge.yml"
        file.write_text(f"channels: [{channel.as_uri()}]\ndependencies: [python={MINOR}, lib=2.0, {{pip: [barn]}}]\n")
        done = conda("env", "create", "-q", "-p", tmp_path / "made", "-f", file)
        assert done.status != 0
        assert "cow" in done.err
        assert "lib" in done.err
        assert not (tmp_path / "made" / "conda-meta").exists()


@pytest.mark.parametrize("way", ["explicit", "clone"])
def test_an_environment_with_wheels_is_made_again(conda: Conda, environment: Path, tmp_path: Path, way: str) -> None:
    """A wheel is named by its URL, and only a plugin can unpack it."""
    if conda.version < (26, 7):
        pytest.skip("this conda cannot remove what was unpacked from a wheel")
    listed = tmp_path / "explicit.txt"
    listed.write_text(conda("list", "--explicit", "-p", environment).out)
    assert "cow-1.0-py3-none-any.whl" in listed.read_text()
    words = ["--file", listed] if way == "explicit" else ["--clone", environment]
    done = conda("create", "-q", "-p", tmp_path / "again", *words)
    assert done.status == 0, done.err
    assert (tmp_path / f"again/lib/python{MINOR}/site-packages/cow/__init__.py").is_file()
    assert conda("bridge", "audit", "-p", tmp_path / "again").status == 0
    done = conda("remove", "-q", "-p", tmp_path / "again", "cow")
    assert done.status == 0, done.err
    assert not (tmp_path / f"again/lib/python{MINOR}/site-packages/cow").exists()


def test_a_plain_conda_is_left_as_it_is(conda: Conda, environment: Path) -> None:
    """Files that conda reads itself stay conda's: `environment.yml` has one reader and one writer of that name."""
    if conda.version < (25, 9):
        pytest.skip("this conda has no exporters")
    out = conda.folder / "environment.yml"
    done = conda("export", "-p", environment, "-f", out)
    assert done.status == 0, done.err
    assert "#sha256=" not in out.read_text()


def test_bridge_itself_still_runs(conda: Conda, environment: Path) -> None:
    bridge = Bridge.of_folder(conda.folder)
    assert bridge("audit", "-p", environment).status == 0
