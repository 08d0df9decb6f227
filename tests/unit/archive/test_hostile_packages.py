"""The battery of `hostile_packages`: each archive is accepted, or refused with its id, and nothing is written.

What is accepted is also staged, as an install would do it: what rattler and installer make of it is no surprise then.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.archive.conda import CondaManifest, check_conda
from bridge.archive.wheels import WheelManifest, check_wheel
from bridge.convert.wheel import convert_wheel
from bridge.errors import BridgeError, UnsafeInputError
from bridge.install.manifest import conda_paths, wheel_paths
from converters.names import NameMap
from converters.translate import translate
from converters.wheel import WheelInfo
from tests.fuzz.__main__ import READERS
from tests.fuzz.mutation import mutations
from tests.support.environments import PYTHON, TARGET, Environment
from tests.support.hostile import assert_refused
from tests.support.hostile_packages import CONDA, WHEELS, Case

_SLOWEST = 20.0  # seconds of work


def judge(path: Path) -> CondaManifest | WheelManifest:
    """Everything that a command decides of an archive before it stages it."""
    if path.name.endswith(".conda"):
        package = check_conda(path)
        conda_paths(package, PYTHON)
        return package
    wheel = check_wheel(path)
    info = WheelInfo(filename=path.name, metadata=wheel.metadata, url=path.as_uri(), sha256="0" * 64)
    wheel_paths(wheel, translate(info, TARGET, NameMap.empty()), PYTHON)
    return wheel


@pytest.mark.parametrize("case", [*WHEELS, *CONDA], ids=lambda case: case.label)
def test_each_is_accepted_or_refused(tmp_path: Path, case: Case) -> None:
    path = tmp_path / case.filename
    path.write_bytes(case.make())
    started = time.process_time()
    try:
        judge(path)
    except BridgeError as error:
        assert_refused(error, case.expected)
    else:
        assert case.expected == ""
    assert time.process_time() - started < _SLOWEST
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("hostile") / "env")


_STAGED = [case for case in (*WHEELS, *CONDA) if case.expected == "" and case.filename.startswith("demo-1.0-")]


@pytest.mark.parametrize("case", _STAGED, ids=lambda case: case.label)
def test_what_is_accepted_is_staged(tmp_path: Path, environment: Environment, case: Case) -> None:
    folder = tmp_path / "noarch"
    folder.mkdir()
    path = folder / case.filename
    path.write_bytes(case.make())
    _, staged = environment.stage([path])
    assert staged.changes


@pytest.mark.parametrize("case", [case for case in WHEELS if case.expected == ""], ids=lambda case: case.label)
def test_what_is_accepted_is_converted_or_refused(tmp_path: Path, case: Case) -> None:
    path = tmp_path / case.filename
    path.write_bytes(case.make())
    with suppress(UnsafeInputError):
        for package in convert_wheel(path, tmp_path / "out", names=NameMap.empty(), level=1).all:
            check_conda(package.path)
        return
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", READERS)
def test_mutated_input_brings_documented_errors_only(tmp_path: Path, name: str) -> None:
    """A short run with a fixed seed; `python -m tests.fuzz` goes on for as long as it is asked to."""
    reader = READERS[name]
    corpus = reader.corpus()
    assert {reader.is_kept(data, tmp_path) for data in corpus} >= {True}, "the reader accepts nothing"
    for data in mutations(corpus, seed=11, count=60):
        reader.is_kept(data, tmp_path)
