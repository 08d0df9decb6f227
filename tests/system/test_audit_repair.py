"""`bridge audit --fix`, on real environments: what was broken is whole again, and nothing else was touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.transaction.commit import change
from tests.support.builders import record_hash, tree_digest
from tests.support.command_line import clean_environment
from tests.support.defect_environments import EXTENSION, Environment, environments
from tests.system.test_end_to_end import check_schema

Damage = Callable[[Environment], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, bridge_cache: Path) -> Iterator[Environment]:
    folder = tmp_path_factory.mktemp("repair")
    yield from environments(folder, ("conda",), bridge_cache)


@pytest.fixture
def environment(made: Environment) -> Environment:
    made.restore()
    return made


def audit(environment: Environment, cache: Path, *words: str) -> tuple[int, Any, str]:
    """Run the command; its status, its document and what it said."""
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(environment.wheels)}
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "audit", "-p", str(environment.root), "--json", *words],
        env=clean_environment() | offline | {"BRIDGE_CACHE_DIR": str(cache), "HOME": str(environment.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    document = json.loads(done.stdout)
    check_schema("error" if "error" in document else "audit", document)
    return done.returncode, document, done.stderr


def leave(environment: Environment) -> None:
    for name in ("~lpha", "~eta-1.5.dist-info/deep"):
        (environment.site / name).mkdir(parents=True)
        (environment.site / name / "x.py").write_bytes(b"x")
    corpse = environment.site / "corpse-1.0.dist-info"
    corpse.mkdir()
    (corpse / "REQUESTED").write_bytes(b"")


def install_over(env: Environment) -> None:
    """As `pip install --force-reinstall` of the version that is there: pip's INSTALLER, REQUESTED and RECORD."""
    info = env.site / "delta-0.7.dist-info"
    (info / "INSTALLER").write_bytes(b"pip\n")
    (info / "REQUESTED").write_bytes(b"")
    rows = (info / "RECORD").read_text("utf-8").splitlines(keepends=True)
    pips = f"{info.name}/INSTALLER,{record_hash(b'pip' + bytes([10]))},4\n"
    kept = [row for row in rows if "/INSTALLER," not in row]
    (info / "RECORD").write_text("".join([*kept, pips, f"{info.name}/REQUESTED,,\n"]), "utf-8")


DAMAGES: dict[str, tuple[Damage, tuple[str, ...]]] = {
    "a wheel's module changed": (lambda e: (e.site / "beta/__init__.py").write_bytes(b"changed"), ("beta",)),
    "an extension deleted": (lambda e: (e.site / f"gamma/_fast.{EXTENSION}").unlink(), ("gamma",)),
    "a conda package's library emptied": (lambda e: (e.root / "lib/libzed.so.1.3").write_bytes(b""), ("libzed",)),
    "METADATA deleted": (lambda e: (e.site / "alpha-1.0.dist-info/METADATA").unlink(), ("alpha",)),
    "RECORD deleted": (lambda e: (e.site / "delta-0.7.dist-info/RECORD").unlink(), ("delta",)),
    "a script of nowhere": (lambda e: (e.root / "bin/alpha").write_bytes(b"#!/nowhere/python\n"), ("alpha",)),
    "what pip left": (leave, ()),
    "pip wrote the same version over it": (install_over, ("delta",)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGES)
def test_fix_repairs_it_and_touches_nothing_else(name: str, environment: Environment, bridge_cache: Path) -> None:
    """MUST (issue): after --fix a second audit finds nothing fixable; nothing unrelated changed, byte for byte."""
    damage, owners = DAMAGES[name]
    sound = tree_digest(environment.root)
    damage(environment)
    status, document, said = audit(environment, bridge_cache, "--fix")
    assert status == 0, said
    assert not [finding for finding in document["findings"] if finding["repair"] and "--fix" in finding["repair"]]
    assert all(owner in said for owner in owners), "the plan is shown"
    after = tree_digest(environment.root)
    own = ("conda-meta/history", "conda-meta/.bridge")
    changed = {path for path in sound.keys() | after.keys() if sound.get(path) != after.get(path)}
    changed = {path for path in changed if not path.startswith(own) and "__pycache__" not in path}
    kept = {path for path in changed if path not in sound}  # What was changed by hand is kept aside.
    assert not {path for path in changed - kept if not path.startswith("conda-meta/")}
    assert len(kept) <= 1, kept


@pytest.mark.slow
@pytest.mark.parametrize("away", ["gone", "with other bytes"])
def test_fix_repairs_the_others_if_one_origin_is(away: str, environment: Environment, tmp_path: Path) -> None:
    wheel = next(environment.wheels.glob("delta-*.whl"))
    archive = wheel.read_bytes()
    for file in ("beta/__init__.py", "delta/__init__.py"):
        (environment.site / file).write_bytes(b"changed")
    try:
        wheel.unlink() if away == "gone" else wheel.write_bytes(b"other bytes")
        status, document, said = audit(environment, tmp_path / "cache", "--fix")
    finally:
        wheel.write_bytes(archive)
    assert status == 11
    assert {each["package"] for each in document["findings"] if each["level"] == "error"} == {"delta"}
    assert "delta is not repaired" in said
    assert (environment.site / "beta/__init__.py").read_bytes() == b"X = 1\n"


@pytest.mark.slow
def test_fix_repairs_the_others_if_no_channel_has_a_package(environment: Environment, bridge_cache: Path) -> None:
    lost = environment.root / "conda-meta/lost-1.0-0.json"
    lost.write_bytes(b"{}")
    status, document, _ = audit(environment, bridge_cache, "--fix")
    assert (status, document["error"]["id"]) == (2, "no-origin")
    (environment.site / "beta/__init__.py").write_bytes(b"changed")
    leave(environment)
    status, document, said = audit(environment, bridge_cache, "--fix")
    assert status == 11, said
    assert {each["path"] for each in document["findings"] if each["level"] == "error"} == {"conda-meta/lost-1.0-0.json"}
    assert "conda-meta/lost-1.0-0.json is not repaired" in said
    assert lost.read_bytes() == b"{}", "its package may be there"


@pytest.mark.slow
def test_dry_run_shows_and_changes_nothing(environment: Environment, bridge_cache: Path) -> None:
    (environment.site / "beta/__init__.py").write_bytes(b"changed")
    leave(environment)
    before = tree_digest(environment.root)
    status, document, said = audit(environment, bridge_cache, "--fix", "--dry-run")
    assert status == 11
    assert "beta" in said
    assert "~lpha" in said
    assert {finding["id"] for finding in document["findings"]} >= {"modified-file", "leftover"}
    assert tree_digest(environment.root) == before


@pytest.mark.slow
def test_fix_of_a_sound_environment_writes_nothing(environment: Environment, bridge_cache: Path) -> None:
    before = tree_digest(environment.root)
    status, document, said = audit(environment, bridge_cache, "--fix")
    assert (status, document["findings"]) == (0, [])
    assert "nothing" in said
    assert tree_digest(environment.root) == before


@pytest.mark.slow
def test_reports_are_written_beside(environment: Environment, bridge_cache: Path, tmp_path: Path) -> None:
    page, bill = tmp_path / "page.html", tmp_path / "bill.cdx.json"
    status, _, said = audit(environment, bridge_cache, "--html", str(page), "--sbom", str(bill))
    assert status == 0, said
    assert b"libzed" in page.read_bytes()
    names = {each["name"] for each in json.loads(bill.read_bytes())["components"]}
    assert {"libzed", "alpha", "python"} <= names
    status, document, _ = audit(environment, bridge_cache, "--html", str(tmp_path / "absent/page.html"))
    assert (status, document["error"]["id"]) == (2, "report-folder")


def test_an_audit_waits_for_a_change(environment: Environment, bridge_cache: Path) -> None:
    """X20: an audit beside a change sees before or after, or says that a change is running (exit 8)."""
    with change(environment.root):
        status, document, _ = audit(environment, bridge_cache, "--lock-timeout", "0.2")
    assert (status, document["error"]["id"]) == (8, "prefix-locked")
    assert audit(environment, bridge_cache)[0] == 0
