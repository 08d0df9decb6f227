"""A solution says who asked for each package; a refutation says why, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.errors import NoSolutionError
from bridge.requirements.algebra import parse_pypi
from bridge.resolve import SolveRequest, resolve
from tests.support.resolver_worlds import INDEX, World, record, wheel

PYTHON = record("python", "3.12.4")
MIXED = World(
    records=(
        PYTHON,
        record("conda-user", "1.0", "lib >=1", "python"),
        record("lib", "1.5", "python"),
        record("lib", "1.0", "python"),
    ),
    wheels=(
        wheel("app-1.0-py3-none-any.whl", "lib[fast]>=1", "tool; extra=='x'", "plain"),
        wheel("tool-1.0-py3-none-any.whl"),
        wheel("plain-1.0-py3-none-any.whl"),
        wheel("lib-1.5-py3-none-any.whl", "tool; extra=='fast'"),
    ),
    names={"lib": ["lib"]},
)


def test_each_package_says_who_asked_for_it_and_for_what() -> None:
    found = MIXED.solve(["conda-user"], ["app[x]", "plain>=1"])
    said = {each.record.name: (each.requested, each.required_by, each.extras, each.evidence) for each in found.packages}
    assert said == {
        "app": (("app[x]",), (), ("x",), "index"),
        "conda-user": (("conda-user",), (), (), "same-name-python"),
        "lib": ((), ("app", "conda-user"), ("fast",), "name-map"),
        "plain": (("plain>=1",), ("app",), (), "index"),
        "python": ((), ("app", "conda-user", "lib", "plain", "tool"), (), "unknown"),
        "tool": ((), ("app", "lib"), (), "index"),
    }


def files(*tags: str) -> World:
    return World(records=(PYTHON,), wheels=tuple(wheel(f"t-1.0-{tag}.whl") for tag in tags))


OLD_TAGS = "cp39-none-any", "cp38-none-any", "cp37-none-any", "cp36-none-any"
NONE = "there is no solution"


def words(text: str) -> list[str]:
    """The words of a sentence, in whatever order it states its facts."""
    return sorted(word.strip(",;:") for word in text.split())


def test_a_chain_is_told_from_the_request_to_what_is_missing() -> None:
    world = World(records=(PYTHON, record("a", "1.0", "b"), record("b", "1.0", "c"), record("c", "1.0", "gone >=2")))
    with pytest.raises(NoSolutionError) as caught:
        world.solve(["a"], [])
    (said,) = caught.value.context
    assert said == (
        "because you ask for `a`, a 1.0 (conda) depends on `b`, b 1.0 (conda) depends on `c`, c 1.0 (conda) depends on"
        f" `gone >=2` and no channel has a package named gone for linux-64: {NONE}"
    )


def test_the_python_that_files_require_is_told_as_theirs() -> None:
    request = SolveRequest(requirements=(parse_pypi("app"),), requires_python=">=3.13")
    with pytest.raises(NoSolutionError) as caught:
        resolve(request, MIXED.catalog())
    assert caught.value.message == "`python >=3.13` (Requires-Python) cannot be met"
    assert caught.value.context == (
        f"because the files of the request require `python >=3.13` and conda has python 3.12.4: {NONE}",
    )
    assert caught.value.hint == "loosen Requires-Python"


def test_a_channel_clause_is_told_what_that_channel_has() -> None:
    later = (replace(record("lib", version), origin="https://c.example/later") for version in ("2.0", "3.0"))
    world = World(records=(PYTHON, record("lib", "1.0"), record("other", "1.0"), *later))
    for asked, has in (("later::lib <2", "lib 2.0 and 3.0"), ("later::other", "no package named other")):
        with pytest.raises(NoSolutionError) as caught:
            world.solve([asked])
        assert caught.value.context == (f"because you ask for `{asked}` and the channel later has {has}: {NONE}",)


def test_a_constraint_that_is_in_the_way_is_named_by_the_hint() -> None:
    request = SolveRequest(requirements=(parse_pypi("app"),), constraints=(parse_pypi("lib<1"),))
    with pytest.raises(NoSolutionError) as caught:
        resolve(request, MIXED.catalog())
    assert caught.value.hint == "loosen or leave out `app`, or loosen `lib<1` in your constraints"


@pytest.mark.parametrize(
    ("world", "conda", "pypi", "message", "context"),
    [
        (
            MIXED,
            ["lib 9"],
            [],
            "`lib 9` cannot be met",
            f"because you ask for `lib 9`, conda has lib 1.0 and 1.5 and the index {INDEX} has lib 1.5: {NONE}",
        ),
        (
            MIXED,
            ["python 3.11.*"],
            ["app"],
            "`python 3.11.*` cannot be met",
            f"because you ask for `python 3.11.*` and conda has python 3.12.4: {NONE}",
        ),
        (
            files(*OLD_TAGS),
            ["python"],
            ["t"],
            "`t` cannot be met",
            (
                f"because you ask for `t`, t 1.0 (wheel) runs only where one of {', '.join(OLD_TAGS)} fits,"
                f" the index {INDEX} has t 1.0 and conda has python 3.12.4: {NONE}"
            ),
        ),
        (
            World(
                records=(
                    PYTHON,
                    record("a", "1.0", "c 1.0"),
                    record("b", "1.0", "c 2.0"),
                    record("c", "1.0"),
                    record("c", "2.0"),
                )
            ),
            ["a", "b"],
            [],
            "`a` and `b` cannot be met together",
            (
                "because b 1.0 (conda) depends on `c 2.0`, a 1.0 (conda) depends on `c 1.0`, you ask for `b` and you"
                f" ask for `a`: {NONE}"
            ),
        ),
        (
            World(
                records=(
                    PYTHON,
                    record("a", "1.0", "c <2"),
                    record("a", "1.1", "c <2"),
                    record("a", "1.3", "c <1"),
                    record("c", "2.0"),
                )
            ),
            ["a"],
            [],
            "`a` cannot be met",
            (f"because you ask for `a`, every a (conda) depends on one of `c <2`, `c <1` and conda has c 2.0: {NONE}"),
        ),
    ],
)
def test_a_refutation_word_for_word(
    world: World, conda: list[str], pypi: list[str], message: str, context: str
) -> None:
    with pytest.raises(NoSolutionError) as caught:
        world.solve(conda, pypi)
    assert caught.value.message == message
    assert [words(text) for text in caught.value.context] == [words(context)]
