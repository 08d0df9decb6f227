"""`converters.projects` and the plain readings of versions: the same answers as `packaging`, which they save."""

from __future__ import annotations

import re

import packaging.utils
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from converters.metadata import parse_metadata
from converters.projects import canonicalize_name
from converters.target import Python

NAMES = st.text("aZ09._-é ", max_size=12)


@given(NAMES)
def test_a_name_is_normalised_as_by_packaging(name: str) -> None:
    assert canonicalize_name(name) == packaging.utils.canonicalize_name(name)


@given(NAMES)
def test_a_name_is_refused_as_by_packaging(name: str) -> None:
    try:
        expected = packaging.utils.canonicalize_name(name, validate=True)
    except packaging.utils.InvalidName as error:
        with pytest.raises(ValueError, match=f"^{re.escape(str(error))}$"):
            canonicalize_name(name, validate=True)
    else:
        assert canonicalize_name(name, validate=True) == expected


@given(st.text("0129.a+!v", min_size=1, max_size=8))
def test_a_version_in_metadata_is_canonical(version: str) -> None:
    data = f"Metadata-Version: 2.1\nName: x\nVersion: {version}\n".encode()
    try:
        expected = str(Version(version))
    except ValueError:
        expected = ""
    if expected:
        assert parse_metadata(data, "METADATA").version == expected


@pytest.mark.parametrize("version", ["3.12", "3.9.1", "3.13.0rc1", "3.13.0.1", "3", "003.012", "1!3.12.1"])
def test_the_minor_of_a_python(version: str) -> None:
    release = (*Version(version).release, 0)
    assert Python(version=version).minor == release[:2]
