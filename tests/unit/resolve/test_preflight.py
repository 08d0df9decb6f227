"""What is said about a solution, and what is demanded of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from bridge.errors import NoSolutionError, UnsafeInputError
from bridge.index.simple_api import Status
from bridge.model import Resolution, Resolved
from bridge.requirements.algebra import Requirement, parse
from bridge.resolve import SolveRequest, resolve
from bridge.resolve.preflight import check_solution, solution_warnings, with_hidden_records
from converters.record import Record
from tests.support.resolver_worlds import LINUX, World, record, wheel

LATER = "https://c.example/later"
ONE = "https://one.example/simple"


@dataclass(frozen=True)
class Wanted:
    """Requirements with these hashes."""

    requirements: Sequence[Requirement] = ()
    constraints: Sequence[Requirement] = ()
    requires_python: str | None = None
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    requires_hashes: bool = False
    environments: Sequence[str] = ()
    unhashed: frozenset[str] = frozenset()


def wheel_record(name: str, *more: str, yanked: str | None = None) -> Record:
    return Record(
        ecosystem="wheel",
        name=name,
        version="1.0",
        build="0",
        build_number=0,
        subdir="noarch",
        pypi_names=(name, *more),
        yanked=yanked,
        url=f"{ONE}/{name}",
    )


def solution(*records: Record) -> Resolution:
    return Resolution(target=LINUX, packages=tuple(Resolved(record=each) for each in records))


def test_yanked_files_and_the_status_of_projects_are_warned_about() -> None:
    found = solution(wheel_record("bad", yanked="broken"), wheel_record("mute", yanked=""), wheel_record("old"))
    statuses = {"old": Status(word="archived", reason="moved")}
    assert list(solution_warnings(found, statuses)) == [
        "bad-1.0 was yanked by its publisher: broken",
        "mute-1.0 was yanked by its publisher: no reason given",
        "old is archived on its index: moved",
    ]
    installed = [each.record for each in found.packages]
    assert not list(solution_warnings(found, statuses, installed))
    statuses = {"old": Status(word="quarantined", reason="malware")}
    assert list(solution_warnings(found, statuses, installed)) == ["old is quarantined on its index: malware"]


def test_each_fetched_wheel_needs_a_hash_where_hashes_are_required() -> None:
    found = solution(wheel_record("one", "other"), wheel_record("two"))
    check_solution(found, Wanted())
    check_solution(found, Wanted(hashes={"one": frozenset("a"), "two": frozenset("b")}), requires_hashes=True)
    check_solution(found, Wanted(hashes={"one": frozenset("a")}), [f"{ONE}/two"], requires_hashes=True)
    with pytest.raises(UnsafeInputError, match="none is given for one, two") as caught:
        check_solution(found, Wanted(hashes={"other": frozenset("a")}), requires_hashes=True)
    assert caught.value.id == "hash-missing"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("lib=9", []),  # the later channel has none either
        ("lib>=3", ["lib 4.0, 5.0 and 6.0"]),
        ("user", ["lib 4.0 and 5.0"]),
        ("strict-user", []),
        ("pypi:newer", ["python 3.14.0"]),
        ("pypi:newest", []),
    ],
)
def test_records_that_strict_priority_hides_are_named_where_they_would_be_taken(asked: str, told: list[str]) -> None:
    world = World(
        records=(
            record("python", "3.12.4"),
            record("lib", "1.0"),
            record("user", "1.0", "lib >=4,<6"),
            record("strict-user", "1.0", "lib 2.*"),
        ),
        wheels=(
            wheel("newer-1.0-py3-none-any.whl", requires_python=">=3.13, <4"),
            wheel("newest-1.0-py3-none-any.whl", requires_python=">=3.15"),
        ),
    )
    hidden = {
        "lib": tuple(replace(record("lib", version), origin=LATER) for version in ("6.0", "5.0", "4.0")),
        "python": (replace(record("python", "3.14.0"), origin=LATER),),
    }
    with pytest.raises(NoSolutionError) as caught:
        resolve(SolveRequest(requirements=(parse(asked),)), world.catalog())
    error = with_hidden_records(caught.value, (parse(asked),), lambda name: hidden.get(name, ()))
    said = [line for line in error.context if "strict priority" in line]
    assert said == [f"{LATER} has {text}, which strict priority hides behind an earlier channel" for text in told]
    assert ("or use --channel-priority flexible, or ask for" in (error.hint or "")) == bool(told)
