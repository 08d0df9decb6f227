"""Bytecode: compiled by the environment's own python, owned by its package and gone with it; never a reason to fail."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

import pytest

from bridge.install.staging.bytecode import Module, compile_modules
from tests.support.builders import make_conda, make_repodata, make_wheel, tree_digest
from tests.support.command_line import Bridge
from tests.support.environments import MINOR, SITE, Environment

TAG = f"cpython-{MINOR.replace('.', '')}"
FILES = {"demo/__init__.py": b"X = 1\n", "demo/sub/deep.py": b"def f():\n    return 2\n", "demo/data.txt": b"text"}
CACHES = {f"{SITE}/demo/__pycache__/__init__.{TAG}.pyc", f"{SITE}/demo/sub/__pycache__/deep.{TAG}.pyc"}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "env")


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    """With a channel of its own, which may stay empty."""
    make_repodata(tmp_path / "channel")
    return Bridge.of_folder(tmp_path, BRIDGE_COMPILE="1")


def caches(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in (root / SITE).rglob("*.pyc")}


def findings(bridge: Bridge, environment: Environment) -> list[object]:
    """What an audit says of site-packages; the interpreter of this environment is a stand-in."""
    report = bridge("audit", "-p", environment.root, "--json", "--fail-on", "never").document
    return [finding for finding in report["findings"] if finding["path"].startswith(SITE)]


def wheel(folder: Path, version: str = "1.0", files: dict[str, bytes] | None = None) -> Path:
    return make_wheel(folder, "demo", version, files=files or FILES)


@pytest.mark.parametrize("ecosystem", ["wheel", "conda"])
def test_modules_are_compiled_and_owned(bridge: Bridge, environment: Environment, ecosystem: str) -> None:
    asked: object = "conda:demo"
    if ecosystem == "wheel":
        asked = wheel(environment.work)
    else:
        files = {f"site-packages/{path}": data for path, data in FILES.items()}
        make_conda(environment.work / "channel", "demo", "1.0", noarch="python", files=files, depends=["python"])
        make_repodata(environment.work / "channel")
    before = tree_digest(environment.root)
    done = bridge("install", "-p", environment.root, asked)
    assert done.status == 0, done.err
    assert caches(environment.root) == CACHES
    assert {entry.path for entry in environment.installed("demo").entries} >= CACHES
    document = json.loads(next((environment.root / "conda-meta").glob("demo-*.json")).read_text())
    listed = {path["_path"]: path for path in document["paths_data"]["paths"]}
    assert all(listed[path] == {"_path": path, "path_type": "pyc_file"} for path in CACHES)
    assert set(document["files"]) >= CACHES
    assert findings(bridge, environment) == []
    environment.apply([], remove=["demo"])
    after = tree_digest(environment.root)
    assert {path: after[path] for path in after if not path.startswith("conda-meta/")} == {
        path: before[path] for path in before if not path.startswith("conda-meta/")
    }


def test_record_lists_bytecode_as_pip_does(bridge: Bridge, environment: Environment) -> None:
    """MUST (PEP 376 as pip has it): a row without hash and size, since the interpreter may write it anew."""
    assert bridge("install", "-p", environment.root, wheel(environment.work)).status == 0
    with (environment.root / SITE / "demo-1.0.dist-info/RECORD").open(newline="") as stream:
        rows = {row[0]: row[1:] for row in csv.reader(stream)}
    assert rows[f"demo/__pycache__/__init__.{TAG}.pyc"] == ["", ""]


def test_rattler_reads_the_record(bridge: Bridge, environment: Environment) -> None:
    from rattler import PrefixRecord

    assert bridge("install", "-p", environment.root, wheel(environment.work)).status == 0
    record = PrefixRecord.from_path(next((environment.root / "conda-meta").glob("demo-*.json")))
    kinds = {str(path.relative_path): str(path.path_type) for path in record.paths_data.paths}
    assert kinds.keys() >= CACHES


def test_the_bytecode_is_what_the_interpreter_uses(bridge: Bridge, environment: Environment) -> None:
    """MUST (PEP 3147, PEP 552): it is taken for the source's and not written anew; tracebacks name the prefix."""
    assert bridge("install", "-p", environment.root, wheel(environment.work)).status == 0
    before = {path: (environment.root / path).stat().st_mtime_ns for path in CACHES}
    code = "import demo.sub.deep as m; print(m.f.__code__.co_filename)"
    assert environment.run(f"python{MINOR}", "-c", code) == str(environment.root / SITE / "demo/sub/deep.py")
    assert {path: (environment.root / path).stat().st_mtime_ns for path in CACHES} == before
    path = environment.root / SITE / "demo/__init__.py"
    path.write_bytes(b"X = 'changed by hand'\n")
    assert environment.run(f"python{MINOR}", "-c", "import demo; print(demo.X)") == "changed by hand"


def test_no_compile_compiles_nothing(bridge: Bridge, environment: Environment) -> None:
    assert bridge("install", "-p", environment.root, wheel(environment.work), "--no-compile").status == 0
    assert caches(environment.root) == set()
    variable = {"BRIDGE_COMPILE": "0"}
    assert bridge("install", "-p", environment.root, wheel(environment.work, "2.0"), environ=variable).status == 0
    assert caches(environment.root) == set()


def test_an_upgrade_leaves_the_bytecode_of_the_new_version_only(bridge: Bridge, environment: Environment) -> None:
    assert bridge("install", "-p", environment.root, wheel(environment.work)).status == 0
    files = {"demo/__init__.py": b"X = 2\n", "demo/other.py": b""}
    assert bridge("install", "-p", environment.root, wheel(environment.work, "2.0", files)).status == 0
    assert caches(environment.root) == {
        f"{SITE}/demo/__pycache__/__init__.{TAG}.pyc",
        f"{SITE}/demo/__pycache__/other.{TAG}.pyc",
    }
    assert environment.run(f"python{MINOR}", "-c", "import demo; print(demo.X)") == "2"


def test_a_module_that_does_not_compile_is_no_error(bridge: Bridge, environment: Environment) -> None:
    files = {**FILES, "demo/template.py": b"{{ name }} = $\n", "demo/zero.py": b"\0", "demo/latin.py": b"x = '\xe9'\n"}
    done = bridge("install", "-p", environment.root, wheel(environment.work, files=files))
    assert done.status == 0, done.err
    assert caches(environment.root) == CACHES
    assert findings(bridge, environment) == []


def test_compiling_runs_nothing(bridge: Bridge, environment: Environment) -> None:
    """W73, I6: no module is run, nor does one of site-packages stand in for the standard library's."""
    canary = environment.work / "PWNED"
    attack = f"open({str(canary)!r}, 'w').close()\n".encode()
    names = ("json.py", "struct.py", "marshal.py", "evil.py")
    environment.write(f"{SITE}/encodings.py", attack)
    environment.write(f"{SITE}/evil.pth", b"import evil\n")
    done = bridge("install", "-p", environment.root, wheel(environment.work, files=dict.fromkeys(names, attack)))
    assert done.status == 0, done.err
    assert len(caches(environment.root)) == len(names)
    assert not canary.exists()


def test_a_python_that_does_not_run_here_is_told(bridge: Bridge, environment: Environment) -> None:
    for name in (f"python{MINOR}", "python"):
        (environment.root / "bin" / name).unlink()
    environment.write(f"bin/python{MINOR}", b"\x7fELF of another machine")
    (environment.root / f"bin/python{MINOR}").chmod(0o755)
    done = bridge("install", "-p", environment.root, wheel(environment.work))
    assert done.status == 0, done.err
    assert "warning: modules are not compiled" in done.err
    assert caches(environment.root) == set()


# --- the compiler itself ----------------------------------------------------------------------------------------------


def staged(folder: Path, count: int) -> list[Module]:
    (folder / "lib").mkdir(parents=True)
    for number in range(count):
        (folder / f"lib/m{number}.py").write_text(f"VALUE = {number}\n")
    return [Module(path=f"lib/m{number}.py") for number in range(count)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_it_compiles_in_parallel_to_the_same_end(tmp_path: Path, jobs: int) -> None:
    modules = staged(tmp_path, 100)
    found = compile_modules(Path(sys.executable), modules, tmp_path, Path("/final"), jobs=jobs)
    assert found.problem == ""
    assert len(found.bytecode) == 100
    for module in modules:
        path, fingerprint = found.bytecode[module.path]
        assert path == importlib.util.cache_from_source(module.path)
        assert fingerprint.size == (tmp_path / path).stat().st_size


def test_a_module_that_kills_the_compiler_costs_only_itself(tmp_path: Path) -> None:
    """A source can take the interpreter down (nesting) or keep it busy: the others are compiled all the same."""
    modules = staged(tmp_path / "new", 40)
    stub = tmp_path / "python"
    # Dies at one module, whatever the interpreter of the day would do about it.
    stub.write_text(
        f"#!{sys.executable}\n"
        "import runpy, sys, builtins, os\n"
        "real = builtins.compile\n"
        "def compile(source, name, *rest, **options):\n"
        "    if name.endswith('/m7.py'): os._exit(1)\n"
        "    return real(source, name, *rest, **options)\n"
        "builtins.compile = compile\n"
        "runpy.run_path(sys.argv[-1], run_name='__main__')\n"
    )
    stub.chmod(0o755)
    found = compile_modules(stub, modules, tmp_path / "new", Path("/final"), jobs=1)
    assert set(found.bytecode) == {module.path for module in modules} - {"lib/m7.py"}


def test_an_interpreter_that_is_not_there_is_a_problem_and_no_error(tmp_path: Path) -> None:
    found = compile_modules(tmp_path / "python", staged(tmp_path, 3), tmp_path, tmp_path)
    assert found.bytecode == {}
    assert "cannot be run" in found.problem
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexit 1\n")
    silent.chmod(0o755)
    assert "does not run here" in compile_modules(silent, [Module(path="lib/m0.py")], tmp_path, tmp_path).problem


def test_bytecode_of_others_stays(tmp_path: Path) -> None:
    modules = staged(tmp_path, 2)
    taken = importlib.util.cache_from_source("lib/m0.py")
    found = compile_modules(Path(sys.executable), modules, tmp_path, tmp_path, taken={taken})
    assert set(found.bytecode) == {"lib/m1.py"}


def test_by_hash_where_the_epoch_is_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MUST (`py_compile`, reproducible builds): with SOURCE_DATE_EPOCH set, bytecode is checked by hash (PEP 552)."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    made: list[bytes] = []
    for name in ("one", "two"):
        modules = staged(tmp_path / name, 1)
        os.utime(tmp_path / name / "lib/m0.py", (time.time(), len(made)))
        found = compile_modules(Path(sys.executable), modules, tmp_path / name, Path("/final"))
        made.append((tmp_path / name / found.bytecode["lib/m0.py"][0]).read_bytes())
    assert made[0] == made[1]
    assert made[0][4:8] == b"\x03\0\0\0"
