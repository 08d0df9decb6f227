"""Every kind of defect is seeded, and the commands that its findings name are run until none is left.

A sample of the defects, unless `BRIDGE_THOROUGH` is set.
A command that needs another version than the index has cannot mend anything, and must leave all as it was.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.audit.finding import Finding
from bridge.audit.run import audit
from bridge.channels._rattler import detect_virtual_packages
from converters.names import NameMap
from converters.target import Target
from tests.support import defect_run
from tests.support.builders import tree_digest
from tests.support.command_line import clean_environment
from tests.support.defect_environments import Environment, environments
from tests.support.defects import KINDS, Kind

pytestmark = pytest.mark.slow

WHERE = ("venv", "conda")
_ROUNDS = 8
# What pip and bridge say of a project of which nobody has another version.
_NOTHING = ("No matching distribution found", "error[no-solution]")
assert defect_run.__doc__  # its module registers all kinds


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, bridge_cache: Path) -> Mapping[str, Environment]:
    folder = tmp_path_factory.mktemp("repairs")
    return {each.kind: each for each in environments(folder, WHERE, bridge_cache)}


def wrong(env: Environment) -> list[Finding]:
    target = Target(subdir="linux-64", virtual_packages=tuple(detect_virtual_packages()))
    report = audit(env.root, target, NameMap.empty(), environ=env.environ)
    return [each for each in report.findings if each.level != "info"]


def content(env: Environment) -> dict[str, tuple[str, str]]:
    """All but the bytecode that a python which ran has written."""
    return {path: entry for path, entry in tree_digest(env.root).items() if "__pycache__" not in path}


def run(words: tuple[str, ...], env: Environment, cache: Path) -> tuple[int, str]:
    if words[0] == "unset":
        del env.environ[words[1]]
        return 0, ""
    offline = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(env.wheels)}
    done = subprocess.run(
        [sys.executable, "-m", *words] if words[0] in {"pip", "bridge"} else words,
        env=clean_environment() | env.environ | offline | {"BRIDGE_CACHE_DIR": str(cache), "HOME": str(env.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


CASES = [
    pytest.param(kind, where, id=f"{kind.name}, {where}") for kind in KINDS for where in WHERE if where in kind.where
]
if not os.environ.get("BRIDGE_THOROUGH"):
    CASES = random.Random(1).sample(CASES, 50)  # all take minutes; the same in every worker


@pytest.mark.parametrize(("kind", "where"), CASES)
def test_the_commands_of_a_defect_mend_it(
    kind: Kind, where: str, made: Mapping[str, Environment], bridge_cache: Path
) -> None:
    env = made[where]
    env.restore()
    kind.seed(env, random.Random(kind.name))
    tried: set[tuple[str, ...]] = set()
    for _ in range(_ROUNDS):
        waiting = [each.repair for each in wrong(env) if each.repair and each.repair not in tried]
        if not waiting:
            break
        tried.add(waiting[0])
        before = content(env)
        status, said = run(waiting[0], env, bridge_cache)
        if status and any(text in said for text in _NOTHING):
            assert content(env) == before
            pytest.skip("nobody has another version")
        assert status == 0, (waiting[0], said[-800:])
    left = [(each.id, each.path, each.repair) for each in wrong(env) if each.repair]
    assert not left, left
