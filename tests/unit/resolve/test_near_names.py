"""Names that were probably meant: what is suggested exists, and following it gets further."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import NetworkError, NoSolutionError
from bridge.model import IndexFile
from bridge.requirements.algebra import parse
from bridge.resolve import SolveRequest, resolve
from bridge.resolve.near_names import KnownNames, one_edit_apart, with_near_names
from tests.support.resolver_worlds import World, record, wheel

PYTHON = "python"
WORLD = World(
    records=(
        record("python", "3.12.4"),
        record("pandas", "2.2.0", PYTHON),
        record("scikit-learn", "1.5.0", PYTHON),
        record("opencv", "4.9.0", PYTHON),
        record("libxml2", "2.12"),
        record("picky", "1.0", "absent-library"),
        record("pytables", "3.9", PYTHON),
    ),
    names={"pytables": ["tables"]},
    wheels=(
        wheel("rich-13.9.4-py3-none-any.whl"),
        wheel("beautifulsoup4-4.12.3-py3-none-any.whl"),
        wheel("requests-2.32.0-py3-none-any.whl"),
        wheel("pandas-2.2.0-py3-none-any.whl"),
        wheel("sklearn-0.0.1-py3-none-any.whl", "absent-project"),
        wheel("scikit_learn-1.5.0-py3-none-any.whl"),
        wheel("torch-2.4.0-py3-none-any.whl"),
        wheel("fancylib-1.0-py3-none-any.whl"),
    ),
)


def hint_of(text: str) -> str:
    error = refused(text)
    assert error is not None
    return error.hint or ""


def refused(*texts: str) -> NoSolutionError | None:
    """The error of a request, as the command line explains it; `None`: it has a solution."""
    ports, catalog = WORLD.ports(), WORLD.catalog()
    known = KnownNames(
        conda=lambda: {one.name for one in WORLD.records}, providers=catalog.names.providers, files=ports.files
    )
    requirements = tuple(map(parse, texts))
    try:
        resolve(SolveRequest(requirements=requirements), catalog)
    except NoSolutionError as error:
        return with_near_names(error, requirements, known)
    return None


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("pandsa", "pandas"),
        ("panda", "pandas"),
        ("pandsa>=2", "pandas>=2"),
        ("pandsa=2.2", "pandas=2.2"),
        ("sklearn", "scikit-learn"),
        ("sklearn=1.5", "scikit-learn=1.5"),
        ("scikit_learn=1.5", "scikit-learn=1.5"),
        ("conda:sklearn", "conda:scikit-learn"),
        ("pypi:reqeusts", "pypi:requests"),
        ("bs4", "beautifulsoup4"),
        ("cv2", "opencv"),
        ("libxml=2", "libxml2=2"),
        ("python3.12", "python=3.12"),
        ("python-3.12", "python=3.12"),
        ("conda:python3.12", "conda:python=3.12"),
        ("opencv4.9", "opencv=4.9"),
    ],
)
def test_a_name_one_edit_or_one_alias_away_is_suggested_and_exists(asked: str, meant: str) -> None:
    assert f"did you mean `{meant}`?" in hint_of(asked)
    assert refused(meant) is None


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("rich=13", "rich==13.*"),
        ("rich=13.9.4", "rich==13.9.4"),
        ("rich=13.9.*", "rich==13.9.*"),
        ("rich 13.*", "rich==13.*"),
        ("rich=13=py_0", "rich==13.*"),
        ("conda:rich", "pypi:rich"),
    ],
)
def test_a_project_without_records_is_asked_for_in_the_syntax_of_its_index(asked: str, written: str) -> None:
    assert f"write `{written}`" in hint_of(asked)
    assert refused(written) is None


@pytest.mark.parametrize(
    ("asked", "written"),
    [("pypi:libxml2", "conda:libxml2"), ("pypi:libxml2>=2.1,<3", "conda:libxml2<3,>=2.1")],
)
def test_a_package_that_only_channels_have_is_asked_for_as_conda_package(asked: str, written: str) -> None:
    assert f"write `{written}`" in hint_of(asked)
    assert refused(written) is None


@pytest.mark.parametrize(
    ("asked", "written"),
    [("tables=3.9", "pytables=3.9"), ("conda:tables", "conda:pytables"), ("conda:tables >=3", "conda:pytables >=3")],
)
def test_a_project_is_asked_for_by_the_name_of_its_package(asked: str, written: str) -> None:
    """`torch` among the conda packages of an environment.yml."""
    assert f"the package of the project tables is pytables: write `{written}`" in hint_of(asked)
    assert refused(written) is None


def test_every_request_that_names_nothing_is_told_at_once() -> None:
    error = refused("pandsa", "libxml2", "reqeusts", "conda:rich", "torch")
    assert error is not None
    assert [line for line in error.context if "either" in line] == [
        f"`{text}` cannot be met either, because nothing has that name" for text in ("reqeusts", "conda:rich")
    ]
    assert all(name in (error.hint or "") for name in ("`pandas`?", "`requests`?", "`pypi:rich`"))


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("opencv>=4.9<5", "opencv>=4.9,<5"),
        ("opencv >=4.9 <5", "opencv >=4.9,<5"),
        ("conda:opencv>4 !=4.8", "conda:opencv>4,!=4.8"),
    ],
)
def test_two_clauses_without_a_comma_are_shown_with_one(asked: str, written: str) -> None:
    assert f"is read as a build: write `{written}`" in hint_of(asked)
    assert refused(written) is None


@pytest.mark.parametrize("text", ["torch==99", "zzzzzzzz", "pandas>=99", "picky", "xyz"])
def test_nothing_is_suggested_where_the_name_is_not_the_reason(text: str) -> None:
    assert "did you mean" not in hint_of(text)


def test_a_source_that_fails_does_not_hide_the_error() -> None:
    def fail(_: str = "") -> tuple[IndexFile, ...]:
        raise NetworkError("index-unreachable", "the index does not answer")

    error = NoSolutionError("no-solution", "m", hint="h", objects={"requests": ["pandsa"], "derivation": []})
    known = KnownNames(conda=lambda: frozenset(map(str, fail())), providers=lambda _: (), files=fail)
    assert with_near_names(error, [parse("pandsa")], known) is error


WORD = st.text("abc", max_size=5)


def edits_of(word: str) -> set[str]:
    pairs = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    found = {left + right[1:] for left, right in pairs if right}
    found |= {left + letter + right[1:] for left, right in pairs if right for letter in "abc"}
    found |= {left + letter + right for left, right in pairs for letter in "abc"}
    found |= {left + right[1] + right[0] + right[2:] for left, right in pairs if len(right) > 1}
    return found - {word}


@given(WORD, WORD)
def test_one_edit_is_one_letter_more_less_other_or_swapped(one: str, two: str) -> None:
    assert one_edit_apart(one, two) == (two in edits_of(one))
    for other in edits_of(one):
        assert one_edit_apart(one, other)


def test_every_alias_leads_to_another_name() -> None:
    from bridge.resolve.public_names import public_names

    public = public_names()
    for asked, names in public["aliases"].items():
        assert asked not in names
        assert re.fullmatch(r"[a-z0-9-]+", asked)
