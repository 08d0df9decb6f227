"""Requirements and records whose text is hostile: each is judged or refused, at once, and none is an internal error.

Channels and indexes are written by strangers. One record that cannot be judged costs itself, never the whole solve.
"""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from bridge.errors import BridgeError, UsageError
from bridge.requirements.algebra import (
    Requirement,
    conditions_of,
    marker_holds,
    names_prerelease,
    parse,
    pep440_version,
    pins,
    python_specifier,
    specifier_accepts,
)
from tests.support.resolver_worlds import World, picks, record, wheel

LONG, DEEP = "9" * 5000, "(" * 400
TEXTS = [
    "x===a", "x>=1,<" + "1" * 4000, f"x>={LONG}", "x==" + "1." * 1500 + "0", "x>=1.0a" + "1" * 4000, "x!=1.*,===junk",
    "x;python_version~='a'", "x;os_name~='posix'", "x;platform_release>='6.1-foo'", "x;sys_platform ~= 'linux'",
    f"x;python_version<'{LONG[:4000]}'", "x;python_version not in 3", "x; extra in 'a'", "x;'a'=='b'",
    f"x;{DEEP}python_version>'3'{')' * 400}", "x; python_full_version === 'x'", "x;implementation_version ~= '3'",
    "x @ http://[", "x @ http://[::1", "x @ http://h:99999999/x.whl", "x @ file:///a\x00b.whl", "x @ \\\\?\\c:\\x",
    "x @ http://\u2100.example/x.whl", "x @ javascript:alert(1)", "x[a,a,\xe9]", "\ufb01>=1", "\ud800x", "x\x00", "x\n",
    "", " ", "x" * 5000, "-x", "x-", "x..y", "../x", "x/y", "con", ".", "x>=1;" * 50, "x[" * 200, "x," * 900,
    "x[build_number='>=99999999999999999999999999']", "x[build_number='99999999999999999999']",
    "x[build_number='>3,<5']", "x[build_number='-1']", "x[build='^(']", "x * ^($",
    "x * ^(a+)+$", "x * ^(.*)\\1$", "x * ^(?P<n>a)(?P<n>b)$",
    "x * ^a{99999}{99999}$", "x * ^[$", "x * [", "x 1!" + "9" * 30 + ".0", "x * 99999999999999999999999_0",
    f"x[version='{LONG[:4000]}']", "x[version='>=1|']", "x[version='~=']", "x >=1,,<2", "x >=1|<2|", "x [md5=zz]",
    "x[sha256=" + "a" * 63 + "]", "x[url='http://[']", "x[when='" + DEEP + "']", "x[when='python or or y']",
    "x[when='" + "(a or b) and " * 12 + "c']", "conda:", "pypi:", "conda:pypi:x", "::x", "a::b::c", "http://[::x",
    "x[channel='http://[']", "x[subdir='../..']", "x[extras=[a]]", "x[fn='../../x.conda']", "*", "*::*", "*[md5=1]",
    "x =*=*=", "x==1=2=3=4", "x>=\u0661", "x>=1.0\u200b", "x @ git+ssh://a@b:c/d", "x @ git+file:///a@--upload-pack=x",
]  # fmt: skip
VERSIONS = ["1.0", LONG, "1.0+a", "junk", "1!" + "9" * 30, "1." * 1500 + "1", "", "\x00", "\ud800", "1.0\n"]
ENVIRONMENT = {
    **dict.fromkeys(("python_version", "implementation_version"), "3.11"), "python_full_version": "3.11.2",
    "os_name": "posix", "sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux",
    "platform_release": "", "platform_version": "", "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}  # fmt: skip


def judge_all(requirement: Requirement) -> None:
    for version in VERSIONS:
        pep440_version(version)
        if requirement.specifier is not None:
            specifier_accepts(requirement.specifier, version)
            pins(requirement.specifier, version)
            names_prerelease(requirement.specifier)
        if requirement.conda is not None:
            requirement.conda.accepts_version(version)
            requirement.conda.accepts_build(f"py311_{'a' * 40}!", 10**30, "https://h/c", "noarch")
    if requirement.marker is not None:
        marker_holds(requirement.marker, ENVIRONMENT)
    if requirement.conda is not None and requirement.conda.condition is not None:
        conditions_of(requirement.conda)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:24]))
def test_a_hostile_requirement_is_judged_or_refused_at_once(text: str) -> None:
    began = time.process_time()
    with suppress(UsageError):
        judge_all(parse(text))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "text", [LONG, f">={LONG}", ">=3,", "=>3", "\x00", "3.x", ">=" + "3." * 2000, "~=3", "==3.*.*"]
)
def test_a_hostile_requires_python_is_read_or_ignored(text: str) -> None:
    """PEP 345: what cannot be read is no constraint; pip ignores such a field too."""
    specifier = python_specifier(text)
    assert specifier is None or specifier_accepts(specifier, "3.11.2") in {True, False}


HOSTILE_NEEDS = [
    "leaf * ^(a+)+$", "leaf * ^($", "leaf[build_number='>=99999999999999999999999999']", "leaf >=1|", "leaf " + LONG,
    "leaf[when='" + DEEP + "']", "\x00", "", "leaf\ud800", "leaf[md5=zz]", "__unix >=" + "9" * 30,
    "leaf >=1 " + "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("need", HOSTILE_NEEDS, ids=lambda text: ascii(text[:24]))
@pytest.mark.parametrize("where", ["depends", "constrains"])
def test_a_record_that_cannot_be_judged_costs_itself_alone(need: str, where: str) -> None:
    """The newest version of `tool` is hostile; the older one is the solution, or the newest where its text can hold."""
    fields = {"constrains": [need]} if where == "constrains" else {}
    newest = record("tool", "2.0", *([need] if where == "depends" else []), **fields)
    builds = [record("leaf", str(n), build=f"{'a' * 40}{n}", build_number=n) for n in range(20)]
    world = World(records=(newest, record("tool", "1.0", "leaf"), *builds))
    began = time.process_time()
    found = picks(world.solve(["tool"]))
    assert found["tool"] in {"conda 1.0", "conda 2.0"}
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "need", ["leaf @ http://[", f"leaf>={LONG[:4000]}", "leaf; os_name ~= 'posix'", "leaf; python_version < '" + LONG,
             "", "\x00", "leaf;" + DEEP, "leaf[" * 100, "leaf===" + "x" * 3000],
    ids=lambda text: ascii(text[:24]),
)  # fmt: skip
def test_a_wheel_whose_metadata_cannot_be_judged_costs_itself_alone(need: str) -> None:
    newest = wheel("tool-2.0-py3-none-any.whl", need)
    world = World(
        records=(record("python", "3.11.2"),),
        wheels=(newest, wheel("tool-1.0-py3-none-any.whl"), wheel("leaf-1.0-py3-none-any.whl")),
    )
    try:
        found = picks(world.solve(["python"], ["tool"]))
    except BridgeError as error:
        pytest.fail(f"{error.id}: {error.message[:200]}")
    assert found["tool"] in {"wheel 1.0", "wheel 2.0"}
