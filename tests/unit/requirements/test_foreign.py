"""Which distributions of other installers stay, and with what METADATA."""

from __future__ import annotations

from pathlib import Path

from bridge.model import Distribution, Entry, Fingerprint, Installed, PrefixState
from bridge.requirements.displaced import displaced
from bridge.requirements.foreign import foreign
from converters.record import Record
from converters.target import Python
from tests.support.resolver_worlds import LINUX, record

SITE = "lib/python3.12/site-packages"
TARGET = LINUX.with_python(Python(version="3.12.4"))


def installed(found: Record, *paths: str) -> Installed:
    entries = tuple(Entry(path=path, fingerprint=Fingerprint(kind="file")) for path in paths)
    return Installed(record=found, meta_path=f"conda-meta/{found.identity}.json", entries=entries)


def wheel_record(name: str, *requirements: str) -> Record:
    return Record(
        ecosystem="wheel",
        name=name,
        version="1.0",
        build="0",
        build_number=0,
        subdir="noarch",
        requirements=requirements,
        pypi_names=(name,),
    )


def distribution(name: str, version: str = "1.0", *requires: str, requires_python: str | None = None) -> Distribution:
    return Distribution(
        path=f"{SITE}/{name}-{version}.dist-info",
        name=name,
        version=version,
        installer="pip",
        requires_dist=requires,
        requires_python=requires_python,
        entries=(),
    )


PYTHON = installed(record("python", "3.12.4"))


def found(*packages: Installed | Distribution, python: str | None = "3.12.4") -> dict[str, tuple[str, ...]]:
    """The requirements of each foreign distribution."""
    state = PrefixState(
        prefix=Path("/env"),
        installed=tuple(each for each in packages if isinstance(each, Installed)),
        distributions=tuple(each for each in packages if isinstance(each, Distribution)),
        python=None if python is None else Python(version=python),
        site_packages=SITE,
    )
    return {each.project: each.metadata.requires_dist for each in foreign(state, TARGET)}


def test_there_are_none_without_a_python_that_conda_installed() -> None:
    assert found(PYTHON, distribution("solo")) == {"solo": ()}
    assert found(PYTHON, distribution("solo"), python=None) == {}
    assert found(distribution("solo")) == {}
    assert found(installed(record("zlib", "1")), distribution("solo")) == {}


def test_one_without_a_version_is_none() -> None:
    assert found(PYTHON, distribution("solo", "not-a-version")) == {}


def test_one_that_violates_an_installed_package_is_left_out() -> None:
    by_conda = installed(record("user", "1.0", "solo 2.*", "absent >=1", "not a ( spec"))
    by_wheel = installed(wheel_record("user", "solo>=2", "absent>=1", "not a ( requirement"))
    by_marker = installed(wheel_record("user", "solo>=2; python_version < '3'"))
    for user in (by_conda, by_wheel):
        assert found(PYTHON, user, distribution("solo")) == {}
        assert found(PYTHON, user, distribution("solo", "2.0"), distribution("other")) == {"other": (), "solo": ()}
    assert found(PYTHON, by_marker, distribution("solo")) == {"solo": ()}


def test_requirements_that_are_unmet_today_are_dropped() -> None:
    requires = (
        "other>=1",
        "other>=2",
        "absent",
        "absent; extra == 'docs'",
        "other @ https://host.example/other-1.0-py3-none-any.whl",
        "not a ( requirement",
    )
    assert found(PYTHON, distribution("other"), distribution("solo", "1.0", *requires)) == {
        "other": (),
        "solo": ("other>=1", "absent; extra == 'docs'"),
    }


def test_a_requires_python_that_is_unmet_or_unreadable_is_dropped() -> None:
    texts = {"a": ">=3.9", "b": ">=3.13", "c": "no specifier"}
    packages = [distribution(name, requires_python=text) for name, text in texts.items()]
    state = PrefixState(
        prefix=Path("/env"), installed=(PYTHON,), distributions=tuple(packages), python=Python(version="3.12.4")
    )
    kept = {each.project: each.metadata.requires_python for each in foreign(state, TARGET)}
    assert kept == {"a": ">=3.9", "b": None, "c": None}


def test_a_record_whose_dist_info_is_gone_is_displaced_and_replaced_by_the_newcomer() -> None:
    old = installed(wheel_record("solo"), f"{SITE}/solo-1.0.dist-info/METADATA", f"{SITE}/solo.py")
    new = distribution("solo", "2.0")
    state = PrefixState(
        prefix=Path("/env"),
        installed=(PYTHON, old),
        distributions=(new,),
        python=Python(version="3.12.4"),
        site_packages=SITE,
    )
    assert displaced(state) == (old,)
    assert [(each.file.version, each.replaces) for each in foreign(state, TARGET)] == [("2.0", old)]
