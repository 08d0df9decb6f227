"""`bridge.requirements.locked`: the values of a lock, and what of them is for one target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.errors import UsageError
from bridge.requirements.locked import (
    Lock,
    Locked,
    LockedConda,
    LockedEnvironment,
    LockedSource,
    LockedWheel,
    for_target,
)
from converters.record import Record
from converters.target import Python, Target

PATH = Path("some.lock")
LINUX = Target(subdir="linux-64", virtual_packages=(("__glibc", "2.28", "0"),), python=Python(version="3.12.4"))


def wheel(filename: str, **changes: object) -> LockedWheel:
    name, version = filename.split("-")[:2]
    found = LockedWheel(name=name, version=version, url=f"https://h.example/{filename}", filename=filename, sha256="a")
    return replace(found, **changes)  # type: ignore[arg-type]


def environment(*packages: Locked, **changes: object) -> LockedEnvironment:
    return replace(LockedEnvironment(packages={"linux-64": packages}), **changes)  # type: ignore[arg-type]


def chosen(found: LockedEnvironment, target: Target = LINUX) -> list[str]:
    return [
        getattr(each, "filename", "") or each.url if not isinstance(each, LockedConda) else each.name
        for each in for_target(found, target, PATH)
    ]


PYTHON = LockedConda(record=Record(ecosystem="conda", name="python", version="3.12.4", build="0", subdir="linux-64"))
ANY = wheel("x-1.0-py3-none-any.whl")
NATIVE = wheel("x-1.0-cp312-cp312-manylinux_2_17_x86_64.whl")
TOO_NEW = wheel("x-1.0-cp312-cp312-manylinux_2_35_x86_64.whl")
SDIST = LockedSource(
    name="x", version="1.0", kind="sdist", url="https://h.example/x-1.0.tar.gz", filename="x-1.0.tar.gz"
)


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        ((PYTHON,), ["python"]),
        ((PYTHON, ANY, NATIVE, SDIST), ["python", NATIVE.filename]),
        ((TOO_NEW, SDIST), [SDIST.filename]),
        ((wheel("x-1.0-py3-none-any.whl", marker="python_version < '3.12'"),), []),
        (
            (
                wheel("x-1.0-py3-none-any.whl", marker="python_version < '3.12'"),
                wheel("x-2.0-py3-none-any.whl", marker="python_version >= '3.12'"),
            ),
            ["x-2.0-py3-none-any.whl"],
        ),
        ((replace(NATIVE, requires_python=">=3.13"), ANY), [ANY.filename]),
    ],
)
def test_a_target_gets_the_best_file_of_each_project(packages: tuple[Locked, ...], expected: list[str]) -> None:
    assert chosen(environment(*packages)) == expected


@pytest.mark.parametrize(
    ("act", "error_id", "words"),
    [
        (lambda: chosen(environment(ANY), Target(subdir="osx-64")), "lock-platform", "linux-64"),
        (lambda: chosen(environment(TOO_NEW)), "lock-python", TOO_NEW.filename),
        (lambda: chosen(environment(ANY, wheel("x-2.0-py3-none-any.whl"))), "lock-ambiguous", "1.0, 2.0"),
        (lambda: chosen(environment(ANY, requires_python=">=3.13")), "lock-python", ">=3.13"),
        (lambda: chosen(environment(ANY, markers=("sys_platform == 'win32'",))), "lock-python", "win32"),
        (lambda: chosen(environment(replace(ANY, requires_python="<3.12"))), "lock-python", "<3.12"),
    ],
)
def test_a_lock_that_does_not_fit_is_refused(act: Callable[[], object], error_id: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        act()
    assert caught.value.id == error_id
    assert words in " ".join((caught.value.message, *caught.value.context))


def test_an_environment_is_chosen_by_its_name() -> None:
    one, other = environment(ANY, name="one"), environment(SDIST, name="other")
    default = environment(name="default")
    assert Lock(path=PATH, format="rattler", environments=(one,)).environment() is one
    lock = Lock(path=PATH, format="rattler", environments=(one, other))
    assert lock.environment("other") is other
    assert Lock(path=PATH, format="rattler", environments=(one, default)).environment() is default
    for name in (None, "third"):
        with pytest.raises(UsageError) as caught:
            lock.environment(name)
        assert (caught.value.id, caught.value.context) == ("lock-environment", ("its environments: one, other",))
