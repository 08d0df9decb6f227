"""What the file name of a wheel says in the record."""

from __future__ import annotations

import pytest
from packaging.tags import parse_tag

from converters.metadata import parse_metadata
from converters.names import NameMap
from converters.target import Python, Target
from converters.translate import best_tag, translate
from converters.wheel import WheelInfo
from tests.support.resolver_worlds import LINUX

TARGET = LINUX.with_python(Python(version="3.12.4"))
METADATA = parse_metadata(b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n", "a test")


@pytest.mark.parametrize(("filename", "build", "number"), [
    ("demo-1.0-py3-none-any.whl", "py3_none_any_0", 0),
    ("demo-1.0-3-py3-none-any.whl", "py3_none_any_3", 3),
    ("demo-1.0.tar.gz", "sdist_0", 0),
])  # fmt: skip
def test_the_build_and_its_number(filename: str, build: str, number: int) -> None:
    record = translate(WheelInfo(filename=filename, metadata=METADATA), TARGET, NameMap.empty())
    assert (record.build, record.build_number) == (build, number)


@pytest.mark.parametrize(("target", "best"), [
    (TARGET, "cp312-cp312-manylinux_2_17_x86_64"),
    (Target(subdir="linux-64"), "py3-none-any"),
])  # fmt: skip
def test_the_best_tag_is_the_first_of_the_target(target: Target, best: str) -> None:
    tags = parse_tag("cp312-cp312-manylinux_2_17_x86_64") | parse_tag("py3-none-any")
    assert str(best_tag(tags, target)) == best
