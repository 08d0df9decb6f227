"""Which versions and builds a requirement accepts."""

from __future__ import annotations

import pytest

from bridge.requirements.algebra import conda_requirement, parse_conda, parse_pypi, specifier_accepts


@pytest.mark.parametrize(("specifier", "version", "is_accepted"), [
    (">=2", "2.1", True),
    (">=2", "1.9", False),
    (">=2", "3.0rc1", True),
    ("", "not-a-version", True),
    (">=2", "not-a-version", False),
    ("===not-a-version", "not-a-version", True),
    ("===zzz", "not-a-version", False),
    ("==1.*", "1.*", False),
])  # fmt: skip
def test_a_specifier_judges_by_pep_440_and_other_versions_by_their_text(
    specifier: str, version: str, is_accepted: bool
) -> None:
    assert specifier_accepts(specifier, version) is is_accepted


def test_a_requirement_accepts_by_its_specifier_or_by_its_matchspec() -> None:
    assert [parse_pypi("rich>=2").accepts(version) for version in ("1", "2")] == [False, True]
    assert [conda_requirement("rich >=2").accepts(version) for version in ("1", "2")] == [False, True]
    assert conda_requirement("rich").accepts("1")


@pytest.mark.parametrize(("subdir", "is_met"), [("linux-64", True), ("linux-aarch64", False), ("noarch", False)])
def test_a_subdir_is_that_of_the_record(subdir: str, is_met: bool) -> None:
    assert parse_conda("rich[subdir=linux-64]").accepts_build("0", 0, subdir=subdir) is is_met


def test_a_channel_is_a_name_or_a_url() -> None:
    assert parse_conda("conda-forge::rich").channel == "conda-forge"
    assert parse_conda("https://host.example/main::rich").channel == "https://host.example/main"
    assert parse_conda("conda-forge::rich[url='https://other.example/rich-1-0.conda']").channel == "conda-forge"
