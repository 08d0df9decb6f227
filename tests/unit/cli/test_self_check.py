"""`bridge self check`: each answer, on a copy of bridge that is installed as a wheel's files are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bridge.cli.commands.installation import installation
from tests.support.builders import record_hash
from tests.support.command_line import Bridge, clean_environment

ROOT = Path(__file__).resolve().parents[3]
START = (
    "import sys; at = sys.argv.index('self'); sys.path[:1] = sys.argv[1:at]; sys.argv[1:at] = []\n"
    "from bridge.__main__ import run; run()"
)
SCHEMA = json.loads((ROOT / "bridge/schemas/self.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site directory with bridge's packages and a dist-info."""
    site = tmp_path_factory.mktemp("site")
    for package in ("bridge", "converters"):
        shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    info = site / "conda_bridge-9.9.dist-info"
    info.mkdir()
    required = [each for each in metadata.requires("conda-bridge") or () if "extra ==" not in each]
    lines = ["Metadata-Version: 2.3", "Name: conda-bridge", "Version: 9.9", "Requires-Python: >=3.10"]
    (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {each}" for each in required), ""]))
    files = sorted(path for path in site.rglob("*") if path.is_file())
    rows = [f"{each.relative_to(site).as_posix()},{record_hash(each.read_bytes())}," for each in files]
    (info / "RECORD").write_text("\n".join([*rows, f"{info.name}/RECORD,,", ""]))
    return site


@pytest.fixture
def site(installed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(installed, tmp_path / "site"))


def run(
    site: Path, *words: str, environ: Mapping[str, str] | None = None, others: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """Run the command from a site directory before all others; `others` come next."""
    folder = site.parent
    (folder / "bin").mkdir(exist_ok=True)
    environment = clean_environment() | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folder),
        "BRIDGE_CACHE_DIR": str(folder / "cache"),
        "PIP_CONFIG_FILE": "/dev/null",
        "CONDARC": "/dev/null",
        "PATH": str(folder / "bin"),
    }
    return subprocess.run(
        [sys.executable, "-c", START, *map(str, (site, *others)), "self", "check", *words],
        cwd=folder,
        env=environment | dict(environ or {}),
        capture_output=True,
        text=True,
        check=False,
    )


def answers(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    document = json.loads(done.stdout)
    jsonschema.validate(document, SCHEMA)
    return {each["id"]: each for each in document["checks"]}


def test_a_sound_bridge(site: Path) -> None:
    done = run(site, "--json")
    found = answers(done)
    assert done.returncode == 0, done.stderr
    assert {name for name, each in found.items() if each["level"] != "ok"} == {"command"}
    assert found["command"]["text"].startswith("no `bridge` is on PATH")
    assert sorted(path.name for path in (site.parent / "cache").iterdir()) == []
    shown = run(site)
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["check", *found]


def test_files_that_differ_from_record(site: Path) -> None:
    (site / "bridge/errors.py").write_text((site / "bridge/errors.py").read_text() + "\n")
    (site / "bridge/data/names.json").unlink()
    (site / "converters/of_an_older_version.py").touch()
    done = run(site, "--json")
    found = answers(done)["files"]
    assert done.returncode == 11
    assert (found["level"], found["details"]) == (
        "error",
        [
            "missing: bridge/data/names.json",
            "changed: bridge/errors.py",
            "not of this version: converters/of_an_older_version.py",
        ],
    )
    assert "error[unsound-bridge]: bridge is not sound here: files" in done.stderr


def test_a_record_that_cannot_be_read(site: Path) -> None:
    record = next(site.glob("conda_bridge-*.dist-info/RECORD"))
    record.write_text(record.read_text() + "bridge/model.py,sha256,many\n")
    done = run(site, "--json")
    found = answers(done)["files"]
    assert done.returncode == 11
    assert (found["level"], found["text"].startswith("its RECORD cannot be read")) == ("error", True)


@pytest.mark.slow
def test_a_distribution_that_is_not_what_is_imported(site: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(site / "conda_bridge-9.9.dist-info", elsewhere)
    shutil.copytree(site / "bridge", elsewhere / "bridge")
    done = run(site, "--json", others=[elsewhere])
    assert (done.returncode, answers(done)["files"]["details"]) == (11, [f"installed: {elsewhere}"])
    (site / "pyproject.toml").write_text("[project]\n")
    done = run(site, "--json", others=[elsewhere])
    assert (done.returncode, answers(done)["files"]["level"]) == (0, "warning"), "a checkout is no damage"


def test_dependencies_and_a_python_that_do_not_fit(site: Path) -> None:
    path = site / "conda_bridge-9.9.dist-info/METADATA"
    more = ">=4\nRequires-Dist: no-such-project>=1\nRequires-Dist: click>=99\nRequires-Dist: never; extra == 'x'"
    path.write_text(path.read_text().replace(">=3.10", more))
    found = answers(run(site, "--json"))
    assert found["python"]["level"] == "error"
    details = found["dependencies"]["details"]
    assert details[0] == "no-such-project>=1 is missing"
    assert details[1].startswith("click>=99 is required, ")
    assert len(details) == 2


CONFIGURATIONS = {
    "a variable": ({"BRIDGE_PREFER": "pip"}, None),
    "pip": ({"PIP_CONFIG_FILE": "{file}"}, "[global\n"),
    "conda": ({"CONDARC": "{file}"}, "channels: [\n"),
    "bridge": ({"BRIDGE_CONFIG_FILE": "{file}"}, "offline = 'perhaps'\n"),
}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_a_configuration_that_stops_other_commands_is_reported(kind: str, site: Path, tmp_path: Path) -> None:
    variables, text = CONFIGURATIONS[kind]
    file = tmp_path / "configuration"
    if text is not None:
        file.write_text(text)
    done = run(site, "--json", environ={name: value.format(file=file) for name, value in variables.items()})
    found = answers(done)
    assert (done.returncode, found["configuration"]["level"], found["cache"]["level"]) == (11, "error", "warning")
    assert "correct the file or the variable" in done.stderr


def test_a_cache_that_cannot_be_written(site: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(site, "--json", environ={"BRIDGE_CACHE_DIR": str(tmp_path / "file" / "cache")})
    assert (done.returncode, answers(done)["cache"]["level"]) == (11, "error")
    assert "BRIDGE_CACHE_DIR" in done.stderr


@pytest.mark.slow
def test_another_program_of_the_name(site: Path) -> None:
    (site.parent / "bin").mkdir()
    program = site.parent / "bin/bridge"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = run(site, "--json")
    assert (done.returncode, answers(done)["command"]["level"]) == (0, "warning")
    assert answers(done)["command"]["text"].startswith(f"`bridge` is {program}, which is not this one")
    assert "earlier on PATH" in run(site).stderr
    assert run(site, "-q").stderr == ""


BREAKAGES: Mapping[str, tuple[Callable[[Path], object], str, str]] = {
    "a damaged module": (
        lambda site: (site / "bridge/errors.py").write_text("broken\n"),
        "NameError: name 'broken' is not defined",
        "errors.py, line 1",
    ),
    "half a module": (
        lambda site: (site / "bridge/cli/group.py").write_text("def (\n"),
        "SyntaxError: invalid syntax",
        "bridge/cli/",
    ),
    "a module that is gone": (
        lambda site: (site / "bridge/cli/failure.py").unlink(),
        "ModuleNotFoundError: No module named 'bridge.cli.failure'",
        "__main__.py, line ",
    ),
    "a dependency of another version": (
        lambda site: (site / "click.py").write_text(""),
        "AttributeError: module 'click' has no attribute ",
        "bridge/cli/",
    ),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_bridge_that_cannot_be_loaded_says_why_and_where(name: str, site: Path) -> None:
    damage, reason, place = BREAKAGES[name]
    damage(site)
    done = run(site)
    first, where, hint = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (11, "")
    assert first.startswith(f"error[unsound-bridge]: bridge cannot be loaded: {reason}")
    assert place in where
    assert hint.startswith("hint: install it again")
    assert "Traceback" in run(site, environ={"BRIDGE_DEBUG": "1"}).stderr


TRACES: Mapping[str, str] = {
    "uv-receipt.toml": "uv tool upgrade conda-bridge",
    "pipx_metadata.json": "pipx upgrade conda-bridge",
    "conda-meta/conda-bridge-1.0-py_0.json": "conda update -p 'of mine' conda-bridge",
    "pyvenv.cfg": " -m pip install -U conda-bridge",
}


@pytest.mark.parametrize("trace", TRACES)
def test_who_installed_bridge_is_known_by_what_they_leave(
    trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("of mine") / trace
    path.parent.mkdir(parents=True)
    path.touch()
    assert installation(Path("of mine")).update.endswith(TRACES[trace])


@pytest.mark.parametrize("words", [("self", "update"), ("self", "uninstall"), ("self-update",), ("self", "chek")])
def test_what_bridge_does_not_do_to_itself_is_answered(words: tuple[str, ...], tmp_path: Path) -> None:
    ran = Bridge.of_folder(tmp_path)(*words)
    assert ran.status == 2
    hints = {
        "update": "install -U conda-bridge",
        "uninstall": "uninstall conda-bridge",
        "self-update": "bridge self up",
    }
    assert hints.get(words[-1], "did you mean check?") in ran.err
