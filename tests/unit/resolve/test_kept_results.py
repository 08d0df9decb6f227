"""What `packaging` said in earlier runs answers like `packaging` itself, and spares its work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from packaging import markers, requirements, specifiers, version

from bridge.cache.results import Results
from bridge.errors import NoSolutionError
from bridge.fs.digests import sha256_hex
from bridge.model import FileSequence, IndexFile
from bridge.requirements import algebra
from bridge.resolve import Catalog, Options, resolve
from bridge.resolve.candidates.projects import Project
from converters.names import NameMap
from converters.target import Python
from tests.support.resolver_worlds import LINUX, Ports, Wheel, World, describe, record, solve_request, target, wheel

PROJECTS = ("a", "b", "c")
VERSIONS = ("1.0", "1.0.1", "2.0", "2.0rc1", "3.0.dev1", "1.0+local.1", "1!0.1", "2.0.post1")
CLAUSES = (
    "",
    "",
    ">=1.0",
    "<2",
    "==1.0",
    "===1.0",
    "==2.*",
    "~=1.0",
    "!=2.0",
    ">=2.0rc1",
    "==1.0+local.1",
    ">=1.0,<2.0",
)
MARKERS = (
    "", "", " ; python_version < '3.12'", " ; python_full_version >= '3.12.5'", " ; sys_platform == 'win32'",
    " ; implementation_version < '3.12.5'", " ; extra == 'more'", " ; python_version >= '3.12' and extra != 'more'",
)  # fmt: skip
TAGS = (
    "py3-none-any", "py2.py3-none-any", "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp311-abi3-linux_x86_64", "cp313-cp313t-manylinux_2_28_x86_64", "cp312-cp312-win_amd64",
)  # fmt: skip
PYTHONS = tuple(record("python", version, build="h_0") for version in ("3.11.9", "3.12.4", "3.12.7", "3.13.5"))


def texts() -> st.SearchStrategy[str]:
    parts = (PROJECTS, ("", "", "[more]"), CLAUSES, MARKERS)
    return st.tuples(*map(st.sampled_from, parts)).map("".join) | st.just("not a requirement")


@st.composite
def worlds(draw: st.DrawFn) -> World:
    wheels: list[Wheel] = []
    for project in PROJECTS:
        for number in draw(st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=4, unique=True)):
            end = f"{draw(st.sampled_from(TAGS))}.whl"
            wheels.append(
                wheel(
                    f"{project}-{number}.tar.gz" if draw(st.integers(0, 5)) == 0 else f"{project}-{number}-{end}",
                    *draw(st.lists(texts(), max_size=2)),
                    requires_python=draw(st.sampled_from([None, None, ">=3.12", "<3.12.5", "not a specifier"])),
                    yanked=draw(st.sampled_from([None, None, None, "broken"])),
                    extras=["more"],
                )
            )
    pythons = draw(st.lists(st.sampled_from(PYTHONS), min_size=1, unique=True))
    options = Options(pre=draw(st.booleans()), no_build=draw(st.booleans()))
    return World(records=tuple(pythons), wheels=tuple(wheels), options=options, target=draw(st.sampled_from(TARGETS)))


TARGETS = (LINUX, target(glibc="2.17"), target("win-64"))


class Paged(Ports):
    """The files of each project come from one page, and are made when they are used."""

    def files(self, project: str) -> FileSequence:
        files = super().files(project)
        return FileSequence(len(files), files.__getitem__, sha256_hex(repr(files).encode()))


def answer(world: World, request: list[str], results: Results | None, kind: type[Ports] = Ports) -> object:
    """The packages and warnings of a solution, or the error in words; in a process that knows nothing yet."""
    forget()
    ports = kind(world.records, world.wheels, world.target.subdir)
    catalog = Catalog(ports, ports, world.target, NameMap.empty(), world.options, results=results)
    try:
        solution = resolve(solve_request([], request), catalog)
    except NoSolutionError as error:
        return error.message, tuple(error.context), error.hint
    return solution.packages, solution.warnings, solution.statistics.rounds


def forget() -> None:
    algebra._known_parts.clear()
    algebra._parse_pypi.cache_clear()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all worlds: what is kept of one must not answer for another."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    forget()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(world=worlds(), request=st.lists(texts().filter(lambda text: text[0] in PROJECTS), min_size=1, max_size=3))
def test_kept_results_answer_as_packaging_does(cache: Path, world: World, request: list[str]) -> None:
    note(f"{describe(world)}\nasked {request}")
    expected = answer(world, request, None)
    for kind in (Ports, Ports, Paged, Paged, Ports):
        results = Results(cache)
        assert answer(world, request, results, kind) == expected
        results.save()


def test_only_the_files_that_a_solve_chooses_are_made(tmp_path: Path) -> None:
    listed = [wheel(f"a-{number}.0-py3-none-any.whl", yanked="broken" if number > 90 else None) for number in range(99)]
    made: list[int] = []

    def make(place: int) -> IndexFile:
        made.append(place)
        return listed[place].file

    def project(page: str = "page") -> Project:
        made.clear()
        results = Results(tmp_path)
        found = Project("a", FileSequence(len(listed), make, page), LINUX, Options(), results)
        assert found.meets("<50").bit_count() == 50
        results.save()
        return found

    first = project()
    assert sorted(made) == list(range(99))
    again = project()
    assert made == []
    assert (again.yanked, again.prereleases, again.by_tags, again.by_python) == (
        first.yanked, first.prereleases, first.by_tags, first.by_python,
    )  # fmt: skip
    assert again.files[0].version == "90.0"
    assert len(made) == 1
    assert again.files == first.files
    project("another page")
    assert sorted(made) == list(range(99))


def test_what_is_kept_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = [
        wheel(
            "a-2.0-py3-none-any.whl", "b>=1 ; python_version >= '3.9'", "c ; extra == 'more'", requires_python=">=3.9"
        ),
        wheel("a-3.0rc1-py3-none-any.whl"),
        wheel("b-1.5-cp312-cp312-manylinux_2_17_x86_64.whl"),
    ]
    world = World(records=PYTHONS[1:2], wheels=tuple(wheels))
    results = Results(tmp_path)
    first = answer(world, ["a>=1"], results)
    results.save()
    known = algebra.known_parts(["a>=1"])  # `bridge.requirements.typed` keeps these

    def refuse(*_: object) -> None:
        raise AssertionError("packaging is asked again")

    for module, name in ((requirements, "Requirement"), (specifiers, "SpecifierSet"),
                         (markers, "Marker"), (version, "Version")):  # fmt: skip
        monkeypatch.setattr(module, name, refuse)
    for memo in (algebra._specifiers, algebra._marker, algebra.pep440_version):
        memo.cache_clear()
    forget()
    algebra.learn_parts(known)
    ports = world.ports()
    catalog = Catalog(ports, ports, world.target, NameMap.empty(), world.options, results=Results(tmp_path))
    solution = resolve(solve_request([], ["a>=1"]), catalog)
    assert (solution.packages, solution.warnings, solution.statistics.rounds) == first
    assert solution.target.python == Python(version="3.12.4")
