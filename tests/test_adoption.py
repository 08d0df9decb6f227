"""`bridge adopt`: what pip put into an environment on its own gets an owner; its files stay as they are."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bridge import ledger
from tests.builders import make_repodata, make_wheel, tree_digest
from tests.command_line import Bridge, clean_environment
from tests.environments import MINOR, SITE, Environment

FILES = {"demo/__init__.py": b"X = 1\n", "demo/data.txt": b"text"}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "env")


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    """With a channel of its own, which is empty, and an index that is a folder of wheels."""
    make_repodata(tmp_path / "channel")
    return Bridge.of_folder(tmp_path)


def pip(environment: Environment, *words: object) -> None:
    """The pip of this interpreter, acting on the environment behind bridge's back."""
    python = str(environment.root / "bin" / "python")
    command = [sys.executable, "-m", "pip", "--python", python, *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, env=clean_environment())


def installed_by_pip(environment: Environment, *, version: str = "1.0", requires: tuple[str, ...] = ()) -> Path:
    scripts = {"demo": "demo:main"}
    archive = make_wheel(
        environment.work / "mine", "demo", version, files=FILES, requires=requires, console_scripts=scripts
    )
    pip(environment, "install", "--no-deps", "--no-index", archive)
    return archive


def forget_where(environment: Environment) -> None:
    """A wheel from a file has a direct_url.json (PEP 610); from an index it has none."""
    info = environment.root / SITE / "demo-1.0.dist-info"
    (info / "direct_url.json").unlink()
    lines = (info / "RECORD").read_text().splitlines(keepends=True)
    (info / "RECORD").write_text("".join(line for line in lines if "direct_url" not in line))


def content(environment: Environment) -> dict[str, tuple[str, str]]:
    """All but records and what is bridge's own."""
    told = ("conda-meta/", f"{SITE}/demo-1.0.dist-info/RECORD", f"{SITE}/demo-1.0.dist-info/INSTALLER")
    return {path: kind for path, kind in tree_digest(environment.root).items() if not path.startswith(told)}


def test_it_is_owned_from_then_on_and_no_file_of_it_changes(bridge: Bridge, environment: Environment) -> None:
    installed_by_pip(environment)
    before = content(environment)
    done = bridge("adopt", "-p", environment.root, "--json")
    assert done.status == 0, done.err
    assert [step["operation"] for step in done.document["operations"]] == ["install"]
    assert content(environment) == before
    package = environment.installed("demo")
    assert package.record.ecosystem == "wheel"
    assert package.requested == ("pypi:demo",)
    assert {f"{SITE}/demo/__init__.py", "bin/demo"} <= {entry.path for entry in package.entries}
    assert (environment.root / SITE / "demo-1.0.dist-info/INSTALLER").read_text() == "bridge\n"
    assert ledger.is_current(environment.root, environment.state)
    report = bridge("audit", "-p", environment.root, "--json", "--fail-on", "never").document
    assert [found for found in report["findings"] if "demo" in found["path"]] == []
    assert bridge("adopt", "-p", environment.root, "--json").document["operations"] == []
    from rattler import PrefixRecord

    PrefixRecord.from_path(environment.root / package.meta_path)
    pip(environment, "uninstall", "--yes", "demo")
    assert not (environment.root / SITE / "demo").exists()


def test_where_it_came_from_is_known_where_an_index_has_the_same_bytes(
    bridge: Bridge, environment: Environment
) -> None:
    archive = installed_by_pip(environment)
    forget_where(environment)
    served = environment.work / "wheels" / archive.name
    served.write_bytes(archive.read_bytes())
    assert bridge("adopt", "-p", environment.root, "demo").status == 0
    record = environment.installed("demo").record
    assert record.url == served.as_uri()
    assert record.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()


def test_another_wheel_of_that_version_is_not_where_it_came_from(bridge: Bridge, environment: Environment) -> None:
    installed_by_pip(environment)
    forget_where(environment)
    make_wheel(environment.work / "wheels", "demo", "1.0", files={"demo/__init__.py": b"another"})
    assert bridge("adopt", "-p", environment.root, "demo").status == 0
    record = environment.installed("demo").record
    assert record.sha256 is None
    assert record.url.endswith("/demo-1.0.dist-info")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda site: (site / "demo/__init__.py").write_bytes(b"X = 2\n"), "was changed since it was installed"),
        (lambda site: (site / "demo/data.txt").unlink(), "is missing"),
        (lambda site: (site / "demo-1.0.dist-info/RECORD").unlink(), "has no RECORD"),
    ],
)
@pytest.mark.parametrize("names", [(), ("demo",)])
def test_what_is_not_whole_is_refused(
    bridge: Bridge, environment: Environment, damage: object, said: str, names: tuple[str, ...]
) -> None:
    installed_by_pip(environment)
    damage(environment.root / SITE)  # type: ignore[operator] # a function of the site-packages folder
    before = tree_digest(environment.root)
    done = bridge("adopt", "-p", environment.root, *names)
    assert done.status == 4, done.err
    assert "error[not-adoptable]" in done.err
    assert said in done.err
    assert tree_digest(environment.root) == before


def test_what_can_be_is_adopted_and_the_rest_is_named(bridge: Bridge, environment: Environment) -> None:
    installed_by_pip(environment)
    pip(environment, "install", "--no-index", make_wheel(environment.work / "mine", "other", "1.0"))
    (environment.root / SITE / "other/__init__.py").unlink()
    done = bridge("adopt", "-p", environment.root)
    assert done.status == 0, done.err
    assert "warning: not adopted: other 1.0" in done.err
    assert [each.record.name for each in environment.state.installed] == ["demo", "python"]


def test_a_package_that_pip_replaced_gives_way(bridge: Bridge, environment: Environment) -> None:
    """Pip took the dist-info of bridge's package away: its record claims what is not there."""
    old = make_wheel(environment.work / "old", "demo", "0.5", files={"demo/__init__.py": b"", "demo/old.py": b""})
    assert bridge("install", "-p", environment.root, old).status == 0
    installed_by_pip(environment)
    assert bridge("audit", "-p", environment.root, "--fail-on", "error").status == 11
    done = bridge("adopt", "-p", environment.root, "--json")
    assert done.status == 0, done.err
    assert [step["operation"] for step in done.document["operations"]] == ["change"]
    assert environment.installed("demo").record.version == "1.0"
    assert not list((environment.root / "conda-meta").glob("demo-0.5*"))
    assert ledger.is_current(environment.root, environment.state)


def test_what_another_package_owns_is_not_adopted(bridge: Bridge, environment: Environment) -> None:
    files = {"demo/__init__.py": b"of another"}
    other = make_wheel(environment.work / "mine", "other", "1.0", files=files)
    assert bridge("install", "-p", environment.root, other).status == 0
    installed_by_pip(environment)
    done = bridge("adopt", "-p", environment.root, "demo")
    assert done.status == 4, done.err
    assert "belongs to wheel:other-1.0" in done.err


def test_what_bridge_installed_is_no_matter_for_it(bridge: Bridge, environment: Environment) -> None:
    done = bridge("adopt", "-p", environment.root, "python")
    assert done.status == 2
    assert "error[not-unmanaged]" in done.err


def test_remove_takes_it_away_with_what_came_for_its_sake(bridge: Bridge, environment: Environment) -> None:
    before = content(environment)
    need = make_wheel(environment.work / "wheels", "need", "1.0")
    demo = make_wheel(environment.work / "mine", "demo", "1.0", files=FILES, requires=["need"])
    pip(environment, "install", "--no-index", "--find-links", need.parent, demo)
    done = bridge("remove", "-p", environment.root, "need")
    assert done.status == 6
    assert "demo need" in done.err
    done = bridge("remove", "-p", environment.root, "demo", "--json")
    assert done.status == 0, done.err
    # The python of this environment was never asked for.
    assert [step["old"]["name"] for step in done.document["operations"]] == ["demo", "need", "python"]
    assert content(environment).keys() - before.keys() == {f"bin/python{MINOR}.bridge-saved-1"}
    assert before.keys() - content(environment).keys() == {f"bin/python{MINOR}"}
    assert ledger.is_current(environment.root, environment.state)
    history = (environment.root / "conda-meta/history").read_text()
    assert "-pypi/pypi::demo-1.0-pypi_0" in history


def test_a_dry_run_writes_nothing(bridge: Bridge, environment: Environment) -> None:
    installed_by_pip(environment)
    before = tree_digest(environment.root)
    done = bridge("adopt", "-p", environment.root, "--dry-run", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["dry_run"] is True
    assert tree_digest(environment.root) == before
