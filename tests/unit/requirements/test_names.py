"""The name is cut out of a requirement's text in one way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bridge
from bridge.requirements.algebra import parse_conda, parse_pypi
from bridge.requirements.names import name_of
from bridge.resolve.candidates.provides import is_python_text

MATCHSPECS = ["python", "python>=3.10", "python >=3.10,<4", " python 3.11.* *_cpython", "python[version='>=3.9']",
              "python=3.11", "python!=3.9", "conda-forge::python >=3", "conda-forge/noarch::python", "_x 0.1",
              "python~=3.10"]  # fmt: skip
REQUIREMENTS = ["rich", "rich>=13", "rich (>=13)", "rich[jupyter]>=13; python_version<'4'", "rich;os_name=='nt'",
                "rich@ https://h.example/rich-1-py3-none-any.whl", "ruamel.yaml ~=0.18"]  # fmt: skip


@pytest.mark.parametrize("text", MATCHSPECS)
def test_the_name_of_a_matchspec_is_the_one_that_the_parser_finds(text: str) -> None:
    assert name_of(text) == parse_conda(text.strip()).name


@pytest.mark.parametrize("text", REQUIREMENTS)
def test_the_name_of_a_requirement_is_the_one_that_the_parser_finds(text: str) -> None:
    assert name_of(text).replace(".", "-") == parse_pypi(text).name


def test_a_python_requirement_without_a_space_is_one() -> None:
    assert is_python_text("python>=3.10")
    assert not is_python_text("python-dateutil>=2")


def test_no_other_code_cuts_the_name_out_of_a_text() -> None:
    cut = re.compile(r"""text\.(?:strip\(\)\.)?split\((?:" ".*)?\)\[0\]|_NAME_END|startswith\(\(?"python[ _"]""")
    root = Path(bridge.__file__).parent
    places = [path for path in root.rglob("*.py") if path.parent.name != "files" and cut.search(path.read_text())]
    assert places == [root / "prefix" / "__init__.py"]  # names of directories, not of requirements
