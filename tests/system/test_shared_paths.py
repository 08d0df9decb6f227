"""One path of several distributions: taking over, replacing or removing one of them leaves the others whole.

Namespace packages share an `__init__.py`, unrelated wheels a `tests/__init__.py`, a `LICENSE` or a script. pip lets
the last one win and takes the file away with the first that is uninstalled (pypa/pip#4689); bridge does neither.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from tests.support.builders import install_distribution, make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge, clean_environment
from tests.support.distributions import damage, seen_by_python
from tests.support.environments import SITE, Environment
from tests.support.pip import pip_of

NAMESPACE = b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
SHARED_PATHS = {
    "spaced/__init__.py": NAMESPACE,
    "tests/__init__.py": b"",
    "spaced/py.typed": b"",
    "../../../LICENSE": b"MIT\n",
    "../../../bin/tool": b"#!/bin/sh\n",
}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "env")


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    make_repodata(tmp_path / "channel")
    return Bridge.of_folder(tmp_path)


def by_pip(environment: Environment, name: str) -> None:
    """As pip leaves it: a distribution with every shared path and a module of its own."""
    install_distribution(environment.root, SITE, name, "1.0", files={**SHARED_PATHS, f"spaced/{name}.py": b"X = 1\n"})


def archive(environment: Environment, name: str) -> Path:
    """The same as a wheel, without the script, whose first line an installer may write anew."""
    files = {path: data for path, data in SHARED_PATHS.items() if not path.startswith("../")}
    files |= {f"{name}-1.0.data/data/LICENSE": b"MIT\n"}
    return make_wheel(environment.work / "mine", name, "1.0", files={**files, f"spaced/{name}.py": b"X = 1\n"})


def is_whole(environment: Environment, *names: str) -> bool:
    """Whether exactly these distributions are there, with all their files."""
    site = environment.root / SITE
    assert damage(site) == []
    assert seen_by_python(site) == {name: ["1.0"] for name in names}
    return True


def done(bridge: Bridge, command: str, environment: Environment, *words: object) -> None:
    ran = bridge(command, "-p", environment.root, *words)
    assert ran.status == 0, ran.err


@pytest.mark.parametrize("first", ["one", "two"])
def test_adopting_one_keeps_every_file_of_the_other(bridge: Bridge, environment: Environment, first: str) -> None:
    by_pip(environment, "one")
    by_pip(environment, "two")
    second = {"one": "two", "two": "one"}[first]
    done(bridge, "adopt", environment, first)
    assert is_whole(environment, "one", "two")
    assert f"pip:{second}-1.0" in bridge("owner", "-p", environment.root, f"{SITE}/spaced/__init__.py").out
    done(bridge, "adopt", environment, second)
    assert is_whole(environment, "one", "two")
    done(bridge, "remove", environment, first)
    assert is_whole(environment, second)
    done(bridge, "remove", environment, second)
    assert is_whole(environment)
    assert not (environment.root / SITE / "spaced").exists()


def test_adopting_both_at_once(bridge: Bridge, environment: Environment) -> None:
    by_pip(environment, "one")
    by_pip(environment, "two")
    done(bridge, "adopt", environment)
    assert is_whole(environment, "one", "two")
    done(bridge, "remove", environment, "two")
    assert is_whole(environment, "one")


@pytest.mark.slow
def test_adopting_both_where_pip_compiled_the_shared_module(bridge: Bridge, environment: Environment) -> None:
    """RECORD of each lists the bytecode of the shared module, without a hash."""
    for name in ("one", "two"):
        made = make_wheel(
            environment.work, name, "1.0", files={"tests/__init__.py": b"", f"tests/{name}.py": b"X = 1\n"}
        )
        command = [*pip_of(environment.root / "bin/python"), "install", "--no-index", "--compile", str(made)]
        subprocess.run(command, check=True, capture_output=True, env=clean_environment())
    bytecode = next((environment.root / SITE / "tests/__pycache__").glob("__init__.*"))
    done(bridge, "adopt", environment, "one")
    done(bridge, "adopt", environment, "two")
    done(bridge, "remove", environment, "two")
    assert bytecode.exists()
    assert is_whole(environment, "one")


def test_removing_what_pip_put_there_keeps_what_is_adopted(bridge: Bridge, environment: Environment) -> None:
    by_pip(environment, "one")
    by_pip(environment, "two")
    done(bridge, "adopt", environment, "one")
    done(bridge, "remove", environment, "two")
    assert is_whole(environment, "one")


def test_install_that_adopts_a_shared_path_keeps_the_other(bridge: Bridge, environment: Environment) -> None:
    by_pip(environment, "two")
    refused = bridge("install", "-p", environment.root, archive(environment, "one"))
    assert refused.status == 4
    assert is_whole(environment, "two")
    done(bridge, "install", environment, "--adopt", archive(environment, "one"))
    assert is_whole(environment, "one", "two")
    done(bridge, "remove", environment, "one")
    assert is_whole(environment, "two")


@pytest.mark.slow
def test_install_that_adopts_its_own_project_replaces_it_alone(bridge: Bridge, environment: Environment) -> None:
    command = [*pip_of(environment.root / "bin/python"), "install", "--no-deps", "--no-index"]
    subprocess.run([*command, archive(environment, "one")], check=True, env=clean_environment())
    by_pip(environment, "two")
    done(bridge, "install", environment, "--adopt", archive(environment, "one"))
    assert is_whole(environment, "one", "two")
    assert environment.installed("one").record.ecosystem == "wheel"


def test_conda_and_pip_share_a_path(bridge: Bridge, environment: Environment) -> None:
    channel = environment.work / "channel"
    make_conda(channel, "native", "1.0", files={f"{SITE}/tests/__init__.py": b"", "LICENSE": b"MIT\n", "own": b""})
    make_repodata(channel)
    by_pip(environment, "one")
    done(bridge, "install", environment, "--adopt", "native")
    assert is_whole(environment, "one")
    done(bridge, "adopt", environment, "one")
    assert is_whole(environment, "one")
    done(bridge, "remove", environment, "native")
    assert is_whole(environment, "one")
    assert not (environment.root / "own").exists()


# --- bytecode of a module that several own ----------------------------------------------------------------------------


def compiled(environment: Environment, name: str) -> Path:
    """Where the interpreter of the tests keeps the bytecode of a module below site-packages."""
    return Path(cache_from_source(str(environment.root / SITE / name)))


def compile_all(environment: Environment) -> None:
    command = [sys.executable, "-m", "compileall", "-q", str(environment.root / SITE)]
    subprocess.run(command, check=True, env=clean_environment())


@pytest.mark.parametrize("adopted", [("one",), ("one", "two")], ids=len)
@pytest.mark.parametrize("gone", ["one", "two"])
def test_bytecode_of_a_shared_module_goes_with_its_last_owner(
    bridge: Bridge, environment: Environment, adopted: tuple[str, ...], gone: str
) -> None:
    by_pip(environment, "one")
    by_pip(environment, "two")
    compile_all(environment)
    stays = {"one": "two", "two": "one"}[gone]
    done(bridge, "adopt", environment, *adopted)
    assert compiled(environment, "spaced/__init__.py").exists()
    done(bridge, "remove", environment, gone)
    assert compiled(environment, "spaced/__init__.py").exists()
    assert compiled(environment, f"spaced/{stays}.py").exists()
    assert not compiled(environment, f"spaced/{gone}.py").exists()
    assert is_whole(environment, stays)
    done(bridge, "remove", environment, stays)
    assert not (environment.root / SITE / "spaced").exists()
    assert not (environment.root / SITE / "tests").exists()


def test_an_upgrade_of_one_owner_leaves_no_stale_bytecode(bridge: Bridge, environment: Environment) -> None:
    by_pip(environment, "one")
    by_pip(environment, "two")
    compile_all(environment)
    done(bridge, "adopt", environment)
    make_wheel(environment.work / "wheels", "one", "2.0", files={"one.py": b"X = 2\n"})
    done(bridge, "install", environment, "pypi:one==2.0")
    assert compiled(environment, "spaced/__init__.py").exists()
    assert not compiled(environment, "spaced/one.py").exists()
    assert compiled(environment, "spaced/two.py").exists()
    assert "__pycache__" not in bridge("audit", "-p", environment.root).out
