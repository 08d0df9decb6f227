"""The parts of the conda plugin that need no conda."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest
import yaml

from bridge import prefix
from bridge.conda_plugin import child, exporter, health, needs, subcommand, warning
from bridge.conda_plugin.needs import Change
from bridge.lock.environment_yml import environment_document
from tests.support.prefixes import PrefixBuilder

ROOT = Path(__file__).resolve().parents[3]


class TestImport:
    def test_the_entry_point_names_a_module_that_imports_without_conda_and_nothing_heavy(self) -> None:
        code = (
            "import sys; sys.modules['conda'] = None; import bridge.conda_plugin as plugin; "
            "assert callable(plugin.conda_subcommands); "
            "heavy = {'rattler', 'requests', 'click', 'packaging', 'yaml', 'subprocess'} & set(sys.modules); "
            "assert not heavy, heavy"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stderr

    def test_the_distribution_registers_it(self) -> None:
        text = (ROOT / "pyproject.toml").read_text("utf-8")
        assert '[project.entry-points.conda]\nconda-bridge = "bridge.conda_plugin"\n' in text
        for each in metadata.entry_points(group="conda"):
            if each.name == "conda-bridge":
                assert import_module(each.value).conda_health_checks


def test_a_folder_called_bridge_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bridge").mkdir()
    (tmp_path / "bridge" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    assert child.call(["schema", "list"], {**os.environ, "PYTHONPATH": str(ROOT)}) == 0
    assert child.call(["list", "-p", "none"], {**os.environ, "PYTHONPATH": str(ROOT)}) == 2


def test_an_answer_that_is_no_document_says_what_was_written(tmp_path: Path) -> None:
    answer = child.ask(["list", "-p", str(tmp_path / "none")])
    assert answer.status == 2
    assert "is not an environment" in answer.complaint
    assert "bridge create" in answer.complaint
    usage = child.Answer(status=3, document=None, errors="  error[x]: y\n")
    assert usage.complaint == "error[x]: y"
    assert child.Answer(status=3, document=None, errors="").complaint == "bridge ended with status 3"


class TestPrefixesByName:
    @staticmethod
    def known(name: str, is_new: bool) -> str:
        return f"/envs/{name}" + ("+" if is_new else "")

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["install", "-n", "lab", "numpy"], ["install", "-p", "/envs/lab", "numpy"]),
            (["install", "numpy", "--name=lab"], ["install", "numpy", "-p", "/envs/lab"]),
            (["list", "-nlab"], ["list", "-p", "/envs/lab"]),
            (["create", "--name", "lab", "numpy"], ["create", "-p", "/envs/lab+", "numpy"]),
            (["install", "-p", "-n", "numpy"], ["install", "-p", "-n", "numpy"]),
            (["install", "--no-build", "--name-map", "f"], ["install", "--no-build", "--name-map", "f"]),
            (["run", "-n", "lab", "tool", "-n", "5"], ["run", "-p", "/envs/lab", "tool", "-n", "5"]),
            (["remove", "--", "-n", "lab"], ["remove", "--", "-n", "lab"]),
            (["list", "-n"], ["list", "-n"]),
            ([], []),
        ],
    )
    def test_a_name_becomes_a_prefix(self, words: list[str], expected: list[str]) -> None:
        assert subcommand.with_prefixes(tuple(words), self.known) == expected


class TestConfiguredChannels:
    @pytest.mark.parametrize(
        ("words", "environ", "expected"),
        [
            (["create", "-p", "x", "a"], {}, ["create", "-c", "one", "-c", "two", "-p", "x", "a"]),
            (["create", "-c", "mine", "a"], {}, ["create", "-c", "mine", "a"]),
            (["create", "-cmine", "a"], {}, ["create", "-cmine", "a"]),
            (["resolve", "--channel=mine", "a"], {}, ["resolve", "--channel=mine", "a"]),
            (["create", "-r", "environment.yml"], {}, ["create", "-r", "environment.yml"]),
            (["create", "a"], {"BRIDGE_CHANNEL": "mine"}, ["create", "a"]),
            (
                ["resolve", "--channel-priority", "flexible", "a"],
                {},
                ["resolve", "-c", "one", "-c", "two", "--channel-priority", "flexible", "a"],
            ),
            (["install", "a"], {}, ["install", "a"]),
            ([], {}, []),
        ],
    )
    def test_conda_names_the_channels_where_nobody_else_does(
        self, words: list[str], environ: dict[str, str], expected: list[str]
    ) -> None:
        assert subcommand.with_channels(words, lambda: ["one", "two"], environ) == expected


class TestHealth:
    def test_nothing_wrong(self) -> None:
        info = {"level": "info", "id": "x", "evidence": "y", "repair": []}
        assert "\N{WHITE HEAVY CHECK MARK}" in health.summary([info], "/env", verbose=False)

    def test_findings_are_counted_and_repair_is_named_once(self) -> None:
        fixable = ["bridge", "audit", "-p", "/env", "--fix"]
        found = [
            {
                "level": "error",
                "id": "missing-file",
                "package": "a",
                "path": p,
                "evidence": "is gone",
                "repair": fixable,
            }
            for p in ("lib/1", "lib/2")
        ]
        found.append({"level": "warning", "id": "unowned-file", "path": "z", "evidence": "is nobody's", "repair": []})
        text = health.summary(found, "/env", verbose=False)
        assert "2 errors, 1 warning\n" in text
        assert "error missing-file a: 2\n" in text
        assert text.count("conda bridge audit -p /env --fix") == 1
        assert "lib/1" not in text
        assert "error missing-file a: lib/1 is gone\n" in health.summary(found, "/env", verbose=True)


@pytest.fixture
def lab(tmp_path: Path) -> PrefixBuilder:
    """Python 3.12 with a wheel of bridge's, a wheel of pip's and conda packages that carry projects."""
    made = PrefixBuilder(tmp_path / "env")
    made.conda_python("numpy", "1.26.4")
    made.conda_python("pandas", "2.2.0")
    made.wheel("cow", "1.0", requires=["numpy<2", "hay; python_version < '3'"], requires_python=">=3.10,<3.13")
    made.distribution("farm", "1.0", requires=["cow>=1", "numpy>=1.20"])
    return made


def broken(lab: PrefixBuilder, removed: set[str] | None = None, **installed: str) -> list[str]:
    change = Change(removed=frozenset(removed or ()), installed=installed)
    return [str(each) for each in needs.broken_needs(prefix.read(lab.root), "linux-64", change)]


class TestNeeds:
    def test_an_upgrade_that_a_wheel_excludes(self, lab: PrefixBuilder) -> None:
        assert broken(lab, {"numpy"}, numpy="2.1.0") == ["cow 1.0 needs numpy<2: numpy 2.1.0 would take its place"]

    def test_an_upgrade_that_fits(self, lab: PrefixBuilder) -> None:
        assert broken(lab, {"numpy"}, numpy="1.26.5") == []

    def test_a_package_that_goes(self, lab: PrefixBuilder) -> None:
        assert broken(lab, {"numpy"}) == [
            "cow 1.0 needs numpy<2: numpy would be removed",
            "farm 1.0 needs numpy>=1.20: numpy would be removed",
        ]

    def test_a_recorded_wheel_that_goes_needs_nothing_itself(self, lab: PrefixBuilder) -> None:
        assert broken(lab, {"cow"}) == ["farm 1.0 needs cow>=1: cow would be removed"]

    def test_a_wheel_that_a_conda_package_replaces(self, lab: PrefixBuilder) -> None:
        assert broken(lab, {"cow"}, cow="2.0") == []
        assert broken(lab, {"cow"}, cow="0.5") == ["farm 1.0 needs cow>=1: cow 0.5 would take its place"]

    def test_what_conda_packages_need_is_for_conda_to_judge(self, lab: PrefixBuilder) -> None:
        lab.conda_python("scipy", "1.0", requires=["pandas<3"])
        assert broken(lab, {"pandas"}, pandas="3.0") == []

    def test_what_is_broken_already_is_not_told(self, lab: PrefixBuilder) -> None:
        lab.distribution("old", "1.0", requires=["pandas<2", "never-there"])
        assert broken(lab, {"pandas"}, pandas="3.0") == []

    def test_a_package_whose_version_is_not_the_projects(self, lab: PrefixBuilder) -> None:
        lab.conda_python("odd-name", "2026.1")
        info = lab.root / "lib/python3.12/site-packages/odd_name-2026.1.dist-info/METADATA"
        info.write_text(info.read_text().replace("Version: 2026.1", "Version: 3.0"))
        lab.distribution("user", "1.0", requires=["odd-name<4"])
        assert broken(lab, {"odd-name"}, **{"odd-name": "2026.2"}) == []

    def test_another_python_minor_leaves_wheels_behind(self, lab: PrefixBuilder) -> None:
        found = broken(lab, {"python", "cow"}, python="3.13.1")
        assert found == ["farm 1.0 needs python 3.12: python 3.13.1 would take its place"]

    def test_a_patch_release_that_requires_python_excludes(self, lab: PrefixBuilder) -> None:
        lab.distribution("picky", "1.0", requires_python="!=3.12.9")
        assert broken(lab, {"python"}, python="3.12.9") == [
            "picky 1.0 needs python !=3.12.9: python 3.12.9 would take its place"
        ]

    def test_without_a_python_nothing_is_told(self, tmp_path: Path) -> None:
        assert broken(PrefixBuilder(tmp_path / "empty", python=None), {"x"}) == []

    def test_the_warning_names_wheel_and_need_and_is_not_endless(self, lab: PrefixBuilder) -> None:
        for number in range(20):
            lab.distribution(f"w{number}", "1.0", requires=["numpy<2"])
        change = Change(removed=frozenset({"numpy"}), installed={"numpy": "2.0"})
        text = warning.text(needs.broken_needs(prefix.read(lab.root), "linux-64", change), str(lab.root))
        assert "requirements of 21 wheels:" in text
        assert "and 11 more" in text
        assert f"conda bridge install -p {lab.root}" in text
        assert warning.text((), "/env") == ""


class TestExport:
    def test_each_wheel_is_named_exactly(self, lab: PrefixBuilder) -> None:
        lab.distribution(
            "fetched", "1.0", extra={
                "lib/python3.12/site-packages/fetched-1.0.dist-info/direct_url.json":
                    b'{"url": "https://files.example/fetched-1.0.whl", "archive_info": {"hashes": {"sha256": "ab"}}}',
            },
        )  # fmt: skip
        lab.distribution(
            "cloned", "1.0", extra={
                "lib/python3.12/site-packages/cloned-1.0.dist-info/direct_url.json":
                    b'{"url": "https://git.example/c", "vcs_info": {"vcs": "git", "commit_id": "12ab"}}',
            },
        )  # fmt: skip
        lines = exporter.wheel_lines(prefix.read(lab.root))
        assert [line.partition("#sha256=")[0] for line in lines] == [
            "cloned @ git+https://git.example/c@12ab",
            "cow @ file:///index/cow-1.0-py3-none-any.whl",
            "farm==1.0",
            "fetched @ https://files.example/fetched-1.0.whl",
        ]
        assert len(lines[1].partition("#sha256=")[2]) == 64
        assert lines[3].endswith("#sha256=ab")

    def test_the_document(self) -> None:
        text = environment_document(
            name="lab", channels=["one"], conda=["python=3.12"], wheels=["a @ https://x.example/a.whl#sha256=ab"],
            variables={"KEY": "value"},
        )  # fmt: skip
        assert yaml.safe_load(text) == {
            "name": "lab",
            "channels": ["one"],
            "dependencies": ["python=3.12", {"pip": ["a @ https://x.example/a.whl#sha256=ab"]}],
            "variables": {"KEY": "value"},
        }
        without = environment_document(name=None, channels=[], conda=["python"], wheels=[], variables={})
        assert yaml.safe_load(without) == {"channels": [], "dependencies": ["python"]}
