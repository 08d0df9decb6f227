"""Every hint of an unsatisfiable scenario is followed to the letter and gets further: a solution, or a later reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bridge.config.cooldown import Cooldown
from bridge.errors import NoSolutionError
from bridge.requirements.algebra import conda_requirement, parse_pypi
from bridge.resolve import Options
from converters.target import Target
from tests.scenarios.test_resolver_scenarios import FROZEN, OWN
from tests.support.resolver_scenarios import read_scenario
from tests.support.resolver_worlds import VIRTUAL, World, milliseconds, record, target, wheel

UNKNOWN_VALUE = (
    "name an index that has files for this python with --index-url",
    "add a channel with -c or an index with --extra-index-url",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request in a universe."""

    world: World
    conda: tuple[str, ...] = ()
    pypi: tuple[str, ...] = ()

    def failure(self) -> NoSolutionError | None:
        try:
            self.world.solve(self.conda, self.pypi)
        except NoSolutionError as error:
            return error
        return None

    def without(self, text: str) -> Asked:
        assert text in (*self.conda, *self.pypi), f"the hint names `{text}`, which nobody asked for"
        conda, pypi = (tuple(each for each in texts if each != text) for texts in (self.conda, self.pypi))
        return replace(self, conda=conda, pypi=pypi)

    def instead(self, text: str) -> Asked:
        """The request with a text in place of that for the same name."""
        is_pypi = text.startswith("pypi:") or re.search(r"==|\[", text) is not None
        name = (parse_pypi(text) if is_pypi else conda_requirement(text)).name
        conda = tuple(each for each in self.conda if conda_requirement(each).name != name)
        pypi = tuple(each for each in self.pypi if parse_pypi(each).name != name)
        return replace(self, conda=conda, pypi=(*pypi, text)) if is_pypi else replace(
            self, conda=(*conda, text), pypi=pypi
        )  # fmt: skip

    def on(self, option: str, value: str) -> Asked:
        """The request on another target."""
        here = self.world.target
        if option == "--platform":
            there = Target(subdir=value, virtual_packages=here.virtual_packages)
            return replace(self, world=replace(self.world, target=target(value) if value in VIRTUAL else there))
        name, _, version = value.partition("=")
        others = tuple(each for each in here.virtual_packages if each[0] != name)
        changed = replace(here, virtual_packages=(*others, (name, version, "0")))
        return replace(self, world=replace(self.world, target=changed))

    def with_options(self, **options: object) -> Asked:
        changed = replace(self.world.options, **options)  # type: ignore[arg-type]
        return replace(self, world=replace(self.world, options=changed))


def followed(asked: Asked, hint: str) -> Iterator[tuple[str, Asked]]:
    """Follow each alternative of a hint. Fails for one of a form that nobody could follow."""
    for way in re.split(r", or |; ", hint):
        quoted = re.findall(r"`([^`]+)`", way)
        options = re.findall(r"(--[a-z-]+) ([^\s,]+)", way)
        if way.startswith("loosen or leave out"):
            yield from ((f"leave out {text}", asked.without(text)) for text in quoted)
        elif "ask for" in way:
            yield from ((way, asked.instead(text)) for text in quoted)
        elif way.startswith("name the real target with"):
            yield from ((f"{option} {value}", asked.on(option, value)) for option, value in options)
        elif way.startswith("leave out --only"):
            (name, _, _), only = options[0][1].partition("="), dict(asked.world.options.only)
            assert only.pop(name)
            yield way, asked.with_options(only=only)
        elif way.startswith("make an exception with --exclude-newer"):
            cooldown = asked.world.options.cooldown
            newer = {value.partition("=")[0]: milliseconds(value.partition("=")[2]) for _, value in options}
            yield way, asked.with_options(cooldown=replace(cooldown, exceptions={**cooldown.exceptions, **newer}))
        elif way == "add a channel that has python with -c, as -c host does":
            yield way, replace(asked, world=replace(asked.world, records=(*asked.world.records, PYTHON)))
        else:
            assert way.startswith(UNKNOWN_VALUE), f"nobody can follow: {way}"


def check(asked: Asked) -> list[str]:
    """Return the ways that were followed; each must get further."""
    before = asked.failure()
    assert before is not None
    assert before.hint
    done = []
    for way, changed in followed(asked, before.hint):
        after = changed.failure()
        assert after is None or after.objects["requests"] != before.objects["requests"], f"{way}: {after}"
        done.append(way)
    return done


def unsatisfiable(paths: list[Path]) -> list[Path]:
    return [path for path in paths if 'outcome = "no-solution"' in path.read_text("utf-8")]


@pytest.mark.parametrize("path", unsatisfiable(OWN), ids=lambda path: path.stem)
def test_the_hints_of_our_scenarios(path: Path) -> None:
    scenario = read_scenario(path)
    assert check(Asked(world=scenario.world, conda=scenario.conda, pypi=scenario.pypi))


@pytest.mark.shared
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("path", unsatisfiable(FROZEN) or [Path("absent")], ids=lambda path: path.stem)
def test_the_hints_of_the_frozen_scenarios(path: Path) -> None:
    scenario = read_scenario(path)
    assert check(Asked(world=scenario.world, conda=scenario.conda, pypi=scenario.pypi))


PYTHON = record("python", "3.12.4", subdir="noarch")
PYTHONS = (PYTHON, record("python", "3.11.9", subdir="noarch"))
MARCH = "2025-03-01T12:00:00Z"


def of_wheel(filename: str, *records: object, requires_python: str | None = None) -> World:
    return World(records=records or PYTHONS, wheels=(wheel(filename, requires_python=requires_python),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "way"),
    [
        (
            Asked(world=of_wheel("x-1.0-cp312-cp312-manylinux_2_40_x86_64.whl"), conda=("python",), pypi=("x",)),
            "--virtual-package __glibc=2.40",
        ),
        (Asked(world=of_wheel("x-1.0-cp312-cp312-win_amd64.whl"), conda=("python",), pypi=("x",)), "--platform win-64"),
        (
            Asked(world=of_wheel("x-1.0-cp312-cp312-macosx_11_0_arm64.whl"), conda=("python",), pypi=("x",)),
            "--platform osx-arm64",
        ),
        (
            Asked(world=of_wheel("x-1.0-cp312-cp312-manylinux2014_aarch64.whl"), conda=("python",), pypi=("x",)),
            "--platform linux-aarch64",
        ),
        (
            Asked(
                world=replace(
                    of_wheel("x-1.0-cp312-cp312-macosx_15_0_arm64.whl"), target=target("osx-arm64", osx="13.0")
                ),
                conda=("python",),
                pypi=("x",),
            ),
            "--virtual-package __osx=15.0",
        ),
        (Asked(world=World(records=(record("x", "1.0", "__cuda >=12.4"),)), conda=("x",)),
         "--virtual-package __cuda=12.4"),
        (Asked(world=World(records=(record("x", "1.0", "__win", subdir="noarch"),)), conda=("x",)),
         "--platform win-64"),
        (Asked(world=World(), conda=("__cuda ==13",)), "--virtual-package __cuda=13"),
        (
            Asked(world=of_wheel("x-1.0-cp311-cp311-linux_x86_64.whl"), conda=("python=3.12",), pypi=("x",)),
            "ask for `python=3.11`",
        ),
        (
            Asked(
                world=of_wheel("x-1.0-py3-none-any.whl", requires_python="<3.12"), conda=("python 3.12.*",), pypi=("x",)
            ),
            "ask for `python=3.11`",
        ),
        (
            Asked(
                world=World(records=(*PYTHONS, record("x", "1.0", "python <3.12"))), conda=("python >=3.12", "x")
            ),
            "ask for `python=3.11`",
        ),
        (
            Asked(
                world=World(
                    records=(
                        *(record("python", f"3.{minor}.0") for minor in range(14, 7, -1)),
                        record("x", "1.0", "python <3.9"),
                    )
                ),
                conda=("python >=3.12", "x"),
            ),
            "ask for `python=3.8`",
        ),
        (
            Asked(
                world=World(records=(*PYTHONS, record("x", "1.0", constrains=["python <3.12"]))),
                conda=("python >=3.12", "x"),
            ),
            "ask for `python=3.11`",
        ),
        (
            Asked(
                world=replace(of_wheel("x-1.0-py3-none-any.whl"), options=Options(only={"x": "conda"})),
                conda=("python",),
                pypi=("x",),
            ),
            "leave out --only x=conda",
        ),
        (
            Asked(
                world=World(
                    records=(record("x", "1.0", timestamp=milliseconds(MARCH)),),
                    options=Options(cooldown=Cooldown(default=milliseconds("2025-01-01T00:00:00Z"))),
                ),
                conda=("x",),
            ),
            "make an exception with --exclude-newer x=2025-03-01T12:00:01Z",
        ),
        (
            Asked(world=World(wheels=(wheel("x-1.0-py3-none-any.whl"),)), pypi=("x",)),
            "add a channel that has python with -c, as -c host does",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_hint_with_a_value(asked: Asked, way: str) -> None:
    assert way in check(asked)


@pytest.mark.parametrize("needs", ["__archspec * x86_64_v9", "__cuda <0"])
def test_no_value_is_named_where_none_would_do(needs: str) -> None:
    assert check(Asked(world=World(records=(record("x", "1.0", needs),)), conda=("x",))) == ["leave out x"]
