"""What a project's metadata requires, with some of its extras."""

from __future__ import annotations

import pytest

from bridge.errors import UsageError
from bridge.requirements.metadata import requirements_of
from converters.metadata import CoreMetadata

REQUIRES = (
    "always",
    'old ; python_version < "3.9"',
    'a1>1 ; extra == "a"',
    'a2 ; (os_name == "nt" or os_name == "posix") and extra == "A"',
    'p[a] ; extra == "all"',
    'without ; extra != "a"',
    "not a requirement",
    'u @ https://h.example/u-1-py3-none-any.whl ; extra == "a"',
)
METADATA = CoreMetadata(name="p", version="1", requires_dist=REQUIRES, provides_extra=("a", "all"))
BASE = ["always", 'old ; python_version < "3.9"']
OF_A = ["a1>1", 'a2 ; os_name == "nt" or os_name == "posix"', "u @ https://h.example/u-1-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("extras", "expected"), [((), [*BASE, "without"]), (("A",), BASE + OF_A), (("all",), BASE + OF_A)]
)
def test_the_requirements_of_extras(extras: tuple[str, ...], expected: list[str]) -> None:
    found = [each.text for each in requirements_of(METADATA, extras)]
    assert sorted(text.replace("(", "").replace(")", "") for text in found) == sorted(expected)


def test_an_extra_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no extra 'b'") as caught:
        requirements_of(METADATA, ["b"])
    assert caught.value.context == ("extras: a, all",)
