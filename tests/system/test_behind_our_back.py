"""Other tools change an environment behind bridge's back: it is noticed, and never fatal.

conda and mamba write and remove records and files as they like; pip and uv know nothing of conda-meta. After each of
these the audit says so, the commands that read still read, and the next change goes through.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.builders import install_distribution, install_record, make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge
from tests.support.environments import SITE, Environment


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    channel = tmp_path / "channel"
    make_conda(channel, "one", "1.0", files={"share/one": b"one", "top.txt": b"at the top"})
    make_conda(channel, "two", "1.0", files={"share/two": b"two"})
    make_repodata(channel)
    return Bridge.of_folder(tmp_path)


def conda_removed(environment: Environment) -> None:
    (environment.root / "conda-meta/one-1.0-0.json").unlink()
    (environment.root / "share/one").unlink()
    (environment.root / "top.txt").unlink()


def conda_installed(environment: Environment) -> None:
    install_record(environment.root, "three", "1.0", files={"share/three": b"three"})


def conda_upgraded(environment: Environment) -> None:
    conda_removed(environment)
    install_record(environment.root, "one", "1.1", files={"share/one": b"newer"})


def conda_was_killed(environment: Environment) -> None:
    (environment.root / "conda-meta/one-1.0-0.json").write_bytes(b"")
    (environment.root / "share/one").unlink()


def pip_removed(environment: Environment) -> None:
    for path in sorted((environment.root / SITE / "demo-1.0.dist-info").iterdir()):
        path.unlink()
    (environment.root / SITE / "demo-1.0.dist-info").rmdir()
    (environment.root / SITE / "demo/__init__.py").unlink()


def pip_installed(environment: Environment) -> None:
    install_distribution(environment.root, SITE, "rogue", "1.0")


# What was done → what the audit must name, and whether the next change is refused until it is repaired.
CASES: dict[str, tuple[Callable[[Environment], None], set[str], bool]] = {
    "conda removed a package": (conda_removed, set(), False),
    "conda installed a package": (conda_installed, set(), False),
    "conda upgraded a package": (conda_upgraded, set(), False),
    "conda was killed half way": (conda_was_killed, {"broken-record"}, True),
    "pip removed a wheel of bridge's": (pip_removed, {"missing-file"}, False),
    "pip installed a wheel": (pip_installed, {"unmanaged-distribution"}, False),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_noticed_and_never_fatal(bridge: Bridge, tmp_path: Path, case: str) -> None:
    meddle, noticed, is_refused = CASES[case]
    environment = Environment(tmp_path / "env")
    demo = make_wheel(tmp_path, "demo", "1.0")
    done = bridge("install", "-p", environment.root, "one", demo)
    assert done.status == 0, done.err
    meddle(environment)
    report = bridge("audit", "-p", environment.root, "--json", "--fail-on", "never")
    assert report.status == 0, report.err
    assert noticed <= {found["id"] for found in report.document["findings"]}
    listed = bridge("list", "-p", environment.root, "--json")
    assert listed.status == 0, listed.err
    done = bridge("install", "-p", environment.root, "two", "--json")
    if is_refused:
        assert done.status == 4, done.err
        assert done.document["error"]["id"] == "broken-record"
        return
    assert done.status == 0, done.err
    assert (environment.root / "share/two").read_bytes() == b"two"
    history = (environment.root / "conda-meta/history").read_text()
    assert "::two-1.0-0" in history
    names = {package["name"] for package in json.loads(listed.out)["packages"]}
    assert ("one" in names) == (case != "conda removed a package")


def test_a_file_at_the_top_of_the_prefix_is_a_file_like_others(bridge: Bridge, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    assert bridge("install", "-p", environment.root, "one").status == 0
    assert (environment.root / "top.txt").read_bytes() == b"at the top"
    assert "one-1.0" in bridge("owner", "-p", environment.root, "top.txt").out
    assert bridge("remove", "-p", environment.root, "one").status == 0
    assert not (environment.root / "top.txt").exists()
