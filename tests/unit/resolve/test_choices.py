"""Why a package is from its ecosystem and not from the other, as the solve states it."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

import pytest
from packaging.version import Version

from bridge.config.cooldown import Cooldown
from bridge.config.policy import Policy
from bridge.errors import NoSolutionError
from bridge.requirements.algebra import conda_requirement, parse
from bridge.resolve import Catalog, Options, SolveRequest, Standing, resolve
from converters.names import NameMap
from converters.record import Record
from tests.support.random_worlds import random_request, random_world
from tests.support.resolver_worlds import World, milliseconds, record, wheel

EARLY, LATE = milliseconds("2026-01-01T00:00:00Z"), milliseconds("2026-06-01T00:00:00Z")
COOLDOWN = Cooldown(default=EARLY)
NOT_NEWEST = "no newer wheel fitted the rest of the solution (the newest was both 2.0)"
POLICY = "no channel that the policy admits had a package of single for linux-64"
OTHER_PYTHON = "conda's other-python 1.0 depends on `python 3.11.*`, and python 3.12.4 was chosen"
WORLD = World(
    records=(
        record("python", "3.12.4"),
        record("zlib", "1.3"),
        record("both", "1.0", "python", timestamp=LATE),
        record("both", "0.9", "python", timestamp=LATE),
        record("lib", "1.0"),
        record("lib", "2.0"),
        record("new", "1.0", "lib >=2"),
        record("record", "1.0", "python"),
        record("same", "1.0", "python", "lib <2"),
        record("other-python", "1.0", "python 3.11.*", build="py311_0"),
        record("foreign", "7.0"),
        record("conda-many", "1.0", "python"),
        record("conda-many-fork", "1.0", "python"),
    ),
    wheels=tuple(
        replace(each, file=replace(each.file, upload_time=EARLY))
        for each in (
            wheel("both-1.0-py3-none-any.whl"),
            wheel("both-2.0-py3-none-any.whl"),
            wheel("both-3.0rc1-py3-none-any.whl"),
            wheel("same-1.0-py3-none-any.whl"),
            wheel("other_python-1.0-py3-none-any.whl"),
            wheel("single-1.0-py3-none-any.whl"),
            wheel("user-1.0-py3-none-any.whl", "both>=2", "foreign"),
            wheel("foreign-7.0-py3-none-any.whl"),
            wheel("many-2.0-py3-none-any.whl"),
        )
    ),
    names={"conda-many": ["many"], "conda-many-fork": ["many"], "foreign": []},
)


def choices(
    texts: list[str],
    *,
    kept: dict[str, str] | None = None,
    pins: tuple[str, ...] = (),
    options: dict[str, object] | None = None,
) -> dict[str, str]:
    """Solve requests as the command line has them; returns the sentence of each package."""
    world = replace(WORLD, options=Options(**(options or {})))  # type: ignore[arg-type]
    standing = Standing(kept=kept or {}, pins=tuple(map(parse, pins)))
    request = SolveRequest(requirements=tuple(map(parse, texts)), standing=standing)
    return {each.record.name: each.choice for each in resolve(request, world.catalog()).packages}


@pytest.mark.parametrize(
    ("texts", "name", "options", "said"),
    [
        (["both"], "both", {}, "conda packages came before wheels"),
        (["both"], "both", {"prefer": "wheel"}, "wheels came before conda packages"),
        (["both"], "both", {"prefer": "newest"}, "it was newer than conda's (both 1.0)"),
        (["both<2"], "both", {"prefer": "newest"}, NOT_NEWEST),
        (["same"], "same", {"prefer": "newest"}, "no index had a newer version (the newest was same 1.0)"),
        (["record"], "record", {"prefer": "newest"}, "no index had a file of record that could be used"),
        (["pypi:both"], "both", {}, "`pypi:both` was requested, which admits no conda package"),
        (["conda:both"], "both", {}, "`conda:both` was requested, which admits no wheel"),
        (["both"], "both", {"only": {"both": "wheel"}}, "--only took both from an index"),
        (["both"], "both", {"only": {"both": "conda"}}, "--only took both from conda"),
        (["single"], "single", {}, "no channel had a package of single for linux-64"),
        (["user"], "pypi-foreign", {}, "conda's foreign was not known to be this project"),
        (["both>=2"], "both", {}, "no conda candidate met `both>=2` (requested); the newest was both 1.0"),
        (["user"], "both", {}, "no conda candidate met `both>=2` (required by user 1.0); the newest was both 1.0"),
        (["both"], "both", {"cooldown": COOLDOWN}, "no conda candidate met the cooldown; the newest was both 1.0"),
        (["new", "same"], "same", {}, "conda's same 1.0 depends on `lib <2`, and lib 2.0 was chosen"),
        (["other-python"], "other-python", {}, OTHER_PYTHON),
        (["many"], "many", {"prefer": "newest"}, "it was newer than conda's (conda-many 1.0)"),
        (["many"], "conda-many", {}, "conda packages came before wheels"),
        (["single"], "single", {"policy": Policy(files=())}, POLICY),
        (["zlib"], "zlib", {}, ""),
        (["python"], "python", {}, ""),
    ],
)
def test_a_solve_states_why_not_the_other_ecosystem(
    texts: list[str], name: str, options: dict[str, object], said: str
) -> None:
    assert choices(texts, options=options)[name] == said


def test_a_pin_and_what_was_installed_are_reasons() -> None:
    assert (
        choices(["both"], pins=("both >=2",))["both"]
        == "no conda candidate met the pin `both >=2`; the newest was both 1.0"
    )
    assert choices(["both"], kept={"pypi:both": "both-1.0-py3-none-any.whl"})["both"] == "it was installed already"
    assert choices(["both"], kept={"both": "both-0.9-0"})["both"] == "it was installed already"


def test_nothing_is_read_to_state_a_reason() -> None:
    ports = WORLD.ports()
    catalog = Catalog(ports, ports, WORLD.target, NameMap(WORLD.names, "the test's names"), WORLD.options)
    found = resolve(SolveRequest(requirements=(parse("both"),)), catalog)
    assert found.packages[0].choice == "conda packages came before wheels"
    assert ports.projects_read == []


def test_without_an_index_no_wheel_was_asked_for() -> None:
    ports = WORLD.ports()
    catalog = Catalog(ports, None, WORLD.target, NameMap(WORLD.names, "the test's names"), WORLD.options)
    found = resolve(SolveRequest(requirements=(parse("both"),)), catalog)
    assert found.packages[0].choice == "no index was asked"


def carriers(world: World, project: str) -> list[Record]:
    """Return the records that provide a project."""
    catalog = world.catalog()
    names = map(catalog.conda, catalog.providers(project))
    return [record for each in names for record, known in zip(each.records, each.provided, strict=True)
            if project in known.projects]  # fmt: skip


_UNMET = re.compile(r"no conda candidate met `([^`]+)` \((?:requested|required by .*)\); the newest was .+")
_NEEDS = re.compile(r"conda's (\S+) (\S+) (depends on|constrains) `([^`]+)`, and \S+ (\S+) was chosen")
_NEWER = re.compile(r"it was newer than conda's \(\S+ (\S+)\)")


def test_what_is_stated_about_random_solutions_is_so() -> None:
    chance, stated = Random(20261130), set()
    for _ in range(400):
        world, asked = random_world(chance), random_request(chance)
        try:
            packages = world.solve(*asked).packages
        except NoSolutionError:
            continue
        for each in packages:
            record, choice = each.record, each.choice
            providing = [each for name in record.pypi_names for each in carriers(world, name)]
            if found := _UNMET.fullmatch(choice):
                assert not any(map(parse(found[1]).accepts, (carrier.version for carrier in providing))), choice
            elif found := _NEEDS.fullmatch(choice):
                (named,) = {each for each in providing if each.identity.startswith(f"{found[1]}-{found[2]}-")}
                assert found[4] in (named.requirements if found[3] == "depends on" else named.constraints)
                assert not conda_requirement(found[4]).accepts(found[5]), choice
            elif found := _NEWER.fullmatch(choice):
                assert Version(found[1]) < Version(record.version)
            elif choice.startswith("no channel had a package of"):
                assert not any(carrier.name == record.pypi_names[0] for carrier in world.records)
            else:
                continue
            stated.add(choice[:5])
    assert stated == {"conda", "it wa", "no ch", "no co"}
