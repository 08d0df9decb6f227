"""Modules that are executed at the first use of a name."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from bridge.cli.late import postpone

_PACKAGE = "import time\nimport sys\nsys.executions.append(1)\ntime.sleep(0.05)\nvalue = 'complete'\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package that counts its executions, postponed."""
    (tmp_path / "postponed_one").mkdir()
    (tmp_path / "postponed_one" / "__init__.py").write_text(_PACKAGE)
    (tmp_path / "postponed_one" / "part.py").write_text("value = 'part'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "executions", [], raising=False)
    postpone(["postponed_one", "no_such_module_anywhere"])
    yield import_module("postponed_one")
    for name in [name for name in sys.modules if name.startswith("postponed_one")]:
        del sys.modules[name]


def executions() -> int:
    return len(sys.executions)  # type: ignore[attr-defined]


def test_a_module_of_the_package_is_imported_without_it(package: ModuleType) -> None:
    assert import_module("postponed_one.part").value == "part"
    assert executions() == 0
    assert package.value == "complete"
    assert executions() == 1


def test_a_postponed_part_is_an_attribute_of_its_package(package: ModuleType) -> None:
    postpone(["postponed_one.part"])
    import_module("postponed_one.part")
    assert package.part.value == "part"


def test_a_name_that_is_nowhere_is_no_attribute(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="absent"):
        _ = package.absent
    assert executions() == 1


def test_another_thread_waits_for_the_whole_module(package: ModuleType) -> None:
    values: list[str] = []
    threads = [threading.Thread(target=lambda: values.append(package.value)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (values, executions()) == (["complete"] * 4, 1)


def test_a_module_that_is_there_stays() -> None:
    before = sys.modules["json"]
    postpone(["json"])
    assert sys.modules["json"] is before
