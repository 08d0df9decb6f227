"""Versions that other platforms of a lock have come after what was asked for, before what is kept and the newest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from bridge.resolve import SolveRequest, Standing, resolve
from tests.support.resolver_worlds import World, picks, record, requests, wheel

PYTHONS = tuple(record("python", version) for version in ("3.11.9", "3.12.4", "3.13.1"))
NUMPYS = tuple(record("numpy", version, "python") for version in ("1.26", "2.0", "2.1"))
WHEELS = tuple(wheel(f"rich-{version}-py3-none-any.whl") for version in ("12", "13", "14"))
WORLD = World(records=(*PYTHONS, *NUMPYS), wheels=WHEELS, names={"numpy": ["numpy"]})


def solved(
    world: World,
    conda: Sequence[str] = (),
    pypi: Sequence[str] = (),
    *,
    agreed: Mapping[str, str] | None = None,
    kept: Mapping[str, str] | None = None,
) -> dict[str, str]:
    standing = Standing(agreed=agreed or {}, kept=kept or {})
    request = SolveRequest(requirements=tuple(requests(conda, pypi)), standing=standing)
    return picks(resolve(request, world.catalog()))


def test_an_agreed_version_comes_before_the_newest() -> None:
    found = solved(WORLD, ["numpy", "python"], ["rich"], agreed={"numpy": "2.0", "pypi:rich": "13", "wheel:rich": "13"})
    assert (found["numpy"], found["rich"]) == ("conda 2.0", "wheel 13")


def test_what_was_asked_for_comes_before_an_agreed_version() -> None:
    found = solved(WORLD, ["numpy >2", "python"], ["rich>13"], agreed={"numpy": "2.0", "pypi:rich": "13"})
    assert (found["numpy"], found["rich"]) == ("conda 2.1", "wheel 14")


def test_an_agreed_version_comes_before_a_kept_package() -> None:
    found = solved(WORLD, ["numpy"], agreed={"numpy": "2.0"}, kept={"numpy": "numpy-1.26-0"})
    assert found["numpy"] == "conda 2.0"


def test_of_an_agreed_version_the_kept_build_is_taken() -> None:
    world = World(records=(record("zlib", "1.3", build="h1_0"), record("zlib", "1.3", build="h2_1", build_number=1)))
    request = SolveRequest(
        requirements=tuple(requests(["zlib"])),
        standing=Standing(agreed={"zlib": "1.3"}, kept={"zlib": "zlib-1.3-h1_0"}),
    )
    assert [each.record.build for each in resolve(request, world.catalog()).packages] == ["h1_0"]


@pytest.mark.parametrize("asked", ["python", "python >=3.11"])
def test_an_agreed_or_kept_python_stays(asked: str) -> None:
    assert solved(WORLD, [asked], agreed={"python": "3.11.9"})["python"] == "conda 3.11.9"
    assert solved(WORLD, [asked], kept={"python": "python-3.12.4-0"})["python"] == "conda 3.12.4"


def test_an_equal_version_in_another_spelling_is_agreed_on() -> None:
    found = solved(WORLD, ["numpy"], ["rich"], agreed={"numpy": "2.0.0", "pypi:rich": "13.0"})
    assert (found["numpy"], found["rich"]) == ("conda 2.0", "wheel 13")


def test_the_version_of_a_record_elsewhere_brings_no_wheel_in() -> None:
    """Which ecosystem serves a name is decided as ever; only a wheel that was agreed on replaces a record."""
    both = World(
        records=(*PYTHONS, *NUMPYS), wheels=(wheel("numpy-1.25-py3-none-any.whl"),), names={"numpy": ["numpy"]}
    )
    assert solved(both, ["numpy"], agreed={"numpy": "1.25", "pypi:numpy": "1.25"})["numpy"] == "conda 2.1"
    wheels = {"numpy": "1.25", "pypi:numpy": "1.25", "wheel:numpy": "1.25"}
    assert solved(both, ["numpy"], agreed=wheels)["numpy"] == "wheel 1.25"


def test_a_kept_file_that_was_yanked_stays() -> None:
    files = (wheel("rich-12-py3-none-any.whl"), wheel("rich-13-py3-none-any.whl", yanked="broken"))
    world = World(records=PYTHONS, wheels=files)
    assert solved(world, [], ["rich"], kept={"pypi:rich": "rich-13-py3-none-any.whl"})["rich"] == "wheel 13"
    assert solved(world, [], ["rich"])["rich"] == "wheel 12"
    assert solved(world, [], ["rich<13"], kept={"pypi:rich": "rich-13-py3-none-any.whl"})["rich"] == "wheel 12"
