"""Markers and extras of a wheel, as the dependencies of a package that is written for a target, or for all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rattler import MatchSpec

from converters.dependencies import (
    Dependencies,
    Evaluator,
    MetadataLookup,
    WheelRequirements,
    dependencies,
    parse_requirement,
    parse_requires_python,
    read_requirements,
)
from converters.errors import UnsafeInputError
from converters.markers import PythonVersions, RequirementLine, microversions
from converters.metadata import CoreMetadata
from converters.names import NameMap
from converters.spans import Span, split
from converters.target import SUBDIRS, Python, Target

LINUX = Target(subdir="linux-64", python=Python(version="3.12.4"))
WINDOWS = Target(subdir="win-64", python=Python(version="3.12.4"))
MAC = Target(subdir="osx-arm64", python=Python(version="3.12.4"))
OLD = Target(subdir="linux-64", python=Python(version="3.10.2"))
SUBDIR_LIST = sorted(SUBDIRS)


def metadata(*requires: str, python: str | None = None, extras: Sequence[str] = (), name: str = "pkg") -> CoreMetadata:
    return CoreMetadata(
        name=name, version="1.0", requires_python=python, requires_dist=requires, provides_extra=tuple(extras)
    )


def spans_of(requirements: WheelRequirements) -> tuple[Span, ...]:
    """The packages of a pure wheel with these requirements."""
    evaluator = Evaluator(requirements)
    admitted = PythonVersions.admitted(requirements.requires_python, microversions(evaluator.requirements.deciding()))
    return split(evaluator.comparable, admitted, SUBDIR_LIST)


def serving(requirements: WheelRequirements, target: Target | None) -> Span:
    """The one that serves a target; without a target the only one."""
    spans = spans_of(requirements)
    if target is None:
        (span,) = spans
        return span
    assert target.python is not None
    bounds = [(span, requirements.requires_python & span.pythons) for span in spans if target.subdir in span.subdirs]
    (span,) = [span for span, pythons in bounds if pythons.contains(target.python.version)]
    return span


def solve(
    found: CoreMetadata, target: Target | None = LINUX, lookup: MetadataLookup | None = None, table: object = None
) -> tuple[Span, Dependencies]:
    requirements = read_requirements(found, lookup)
    span = serving(requirements, target)
    names = NameMap(table or {}, "test")  # type: ignore[arg-type]
    return span, dependencies(Evaluator(requirements), span, names)


def depends(*requires: str, target: Target | None = LINUX, lookup: MetadataLookup | None = None) -> tuple[str, ...]:
    return solve(metadata(*requires), target, lookup)[1].depends


# C5: what the channel translator of a peer makes of each of these is wrong. Here each is judged on three targets.
@pytest.mark.parametrize(
    ("marker", "linux", "windows", "mac"),
    [
        ('implementation_name == "pypy"', False, False, False),
        ('platform_python_implementation != "CPython"', False, False, False),
        ('platform_machine == "arm64"', False, False, True),
        ('sys_platform != "darwin"', True, True, False),
        ('sys_platform == "emscripten"', False, False, False),
        ('sys_platform == "darwin" and platform_machine == "arm64"', False, False, True),
        ('sys_platform == "linux" or platform_machine == "ppc64le"', True, False, False),
        ('python_version in "3.8 3.9"', False, False, False),
        ('python_version not in "3.8 3.12"', False, False, False),
        ('"3.8" > python_version', False, False, False),
        ('"3.13" > python_version', True, True, True),
        ('sys_platform in "linux darwin"', True, False, True),
        ('extra != "cli"', True, True, True),
        ('os_name == "nt"', False, True, False),
        ('platform_system == "Windows" or (python_version >= "3.12" and sys_platform == "linux")', True, True, False),
        ('python_version <= "3.12"', True, True, True),  # C6: 3.12.4 is of the minor 3.12
        ('python_version == "3.12"', True, True, True),
        ('python_version > "3.12"', False, False, False),
        ('python_full_version >= "3.12.0"', True, True, True),  # C7
        ('python_full_version < "3.11.0a7"', False, False, False),
        ('implementation_version >= "3.12"', True, True, True),
    ],
)
def test_markers_are_evaluated_on_the_target(marker: str, linux: bool, windows: bool, mac: bool) -> None:
    for target, expected in ((LINUX, linux), (WINDOWS, windows), (MAC, mac)):
        assert depends(f"dep>=1; {marker}", target=target) == (("dep >=1",) if expected else ()), target.subdir


@pytest.mark.parametrize(
    ("requires", "target", "places", "pythons", "expected"),
    [
        # The same everywhere: one package.
        (["a", "b>=2"], LINUX, "all", "", ("a", "b >=2")),
        (["a", "b>=2"], None, "all", "", ("a", "b >=2")),
        # It differs below the pythons of today: one package, bounded there.
        (["importlib-metadata; python_version<'3.8'"], None, "all", ">=3.8", ()),
        # It differs from some future python on.
        (["a; python_version<'3.16'"], None, "all", "<3.16", ("a",)),
        # It differs between the pythons of today: bounded around the target's.
        (["tomli; python_version<'3.11'", "b"], LINUX, "all", ">=3.11", ("b",)),
        (["tomli; python_version<'3.11'", "b"], OLD, "all", "<3.11", ("tomli", "b")),
        (["a; python_version=='3.12'"], LINUX, "all", "<3.13,>=3.12", ("a",)),
        # It differs by system: one package for each.
        (["pywin32; sys_platform=='win32'"], LINUX, "unix", "", ()),
        (["pywin32; sys_platform=='win32'"], WINDOWS, "win", "", ("pywin32",)),
        (["a; sys_platform=='darwin'"], LINUX, "linux", "", ()),
        (["a; sys_platform=='darwin'"], MAC, "osx", "", ("a",)),
        # It differs by processor: one for each subdir, where the system does not decide.
        (["a; platform_machine=='arm64'"], MAC, "osx-arm64", "", ("a",)),
        (["a; platform_machine=='arm64'"], LINUX, "linux", "", ()),
        # Both: only Windows needs two.
        (["a; sys_platform=='win32' and python_version<'3.10'"], LINUX, "unix", "", ()),
        (["a; sys_platform=='win32' and python_version<'3.10'"], WINDOWS, "win", ">=3.10", ()),
        # All systems agree on some pythons.
        (
            ["a; sys_platform=='win32' and python_version<'3.10'", "b; python_version<'3.10'"],
            LINUX,
            "all",
            ">=3.10",
            (),
        ),
        # Two lines that say the same are no difference.
        (["a; python_version<'3.11'", "a; python_version>='3.11'"], None, "all", "", ("a",)),
    ],
)
def test_spans(
    requires: list[str], target: Target | None, places: str, pythons: str, expected: tuple[str, ...]
) -> None:
    span, needs = solve(metadata(*requires), target)
    assert (span.system or span.subdir.replace("noarch", "all")) == places
    assert (span.subdir == "noarch") is ("-" not in places)
    assert span.pythons == SpecifierSet(pythons)
    assert needs.depends == expected


@pytest.mark.parametrize(
    ("requires", "labels"),
    [
        (["a"], [""]),
        (["a; sys_platform=='win32'"], ["unix", "win"]),
        (["a; sys_platform=='linux'"], ["linux", "osx", "win"]),
        (["a; python_version<'3.11'"], ["python <3.11", "python >=3.11"]),
        (["a; sys_platform=='win32' and python_version<'3.11'"], ["unix", "win, python <3.11", "win, python >=3.11"]),
        (
            ["a; python_version<'3.10' and sys_platform=='linux'", "b; python_version>='3.12' and os_name=='nt'"],
            ["linux, python <3.10", "linux, python >=3.10", "osx", "win, python <3.12", "win, python >=3.12"],
        ),
        (["a; sys_platform=='darwin' and platform_machine=='x86_64'"], ["linux", "osx-64", "osx-arm64", "win"]),
        # Where only pythons before 3.9 differ, they are left out.
        (["a; python_version<'3.8' and os_name=='nt'"], ["python >=3.8"]),
    ],
)
def test_the_packages_of_a_pure_wheel(requires: list[str], labels: list[str]) -> None:
    spans = spans_of(read_requirements(metadata(*requires)))
    assert sorted(span.label for span in spans) == sorted(labels)


@pytest.mark.parametrize(
    ("requires", "pythons", "expected"),
    [
        (["a; python_full_version<'3.12.3'"], ">=3.12.3", ()),
        (["a; python_full_version>='3.12.3'"], ">=3.12.3", ("a",)),
        (["a; python_full_version<'3.12.5'"], "<3.12.5", ("a",)),
        (["a; python_full_version<='3.12.4'"], "<3.12.5", ("a",)),
        (["a; python_full_version<'3.11.3'"], ">=3.11.3", ()),
        # True of neither end of 3.11, and seen all the same.
        (["a; python_full_version>='3.11.5' and python_full_version<'3.11.7'"], ">=3.11.7", ()),
        (["a>=1; python_full_version<'3.12.4'", "a>=2; python_full_version>='3.12.4'"], ">=3.12.4", ("a >=2",)),
    ],
)
def test_a_marker_may_cut_through_a_minor(requires: list[str], pythons: str, expected: tuple[str, ...]) -> None:
    span, needs = solve(metadata(*requires))
    assert span.pythons == SpecifierSet(pythons)
    assert needs.depends == expected


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ('platform_release >= "20"', ("a",)),
        ('platform_release < "20"', ()),
        ('platform_version == "x" and python_version>"3"', ()),
        ('"Ubuntu" not in platform_version', ("a",)),
    ],
)
def test_a_marker_on_the_kernel_assumes_a_newer_one(marker: str, expected: tuple[str, ...]) -> None:
    """Requirements of pyobjc are such; pip evaluates them on the machine, and a package is for a platform."""
    _, needs = solve(metadata(f"a; {marker}"))
    assert needs.depends == expected
    assert [note.kind for note in needs.notes] == ["kernel"]
    assert depends(f'a; sys_platform=="darwin" and {marker}', target=WINDOWS) == (), "decided without the machine"


MARKERS = [
    'python_version<"3.11"',
    'python_version>="3.10"',
    'python_version in "3.9 3.10"',
    '"3.12"<=python_version',
    'python_full_version<"3.11.4"',
    'python_full_version>="3.10.0rc1"',
    'sys_platform=="win32"',
    'sys_platform!="darwin"',
    'platform_machine in "x86_64 AMD64"',
    'os_name=="posix"',
    'platform_system=="Linux"',
    'implementation_name=="cpython"',
]
markers = st.recursive(
    st.sampled_from(MARKERS),
    lambda inner: st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner),
    max_leaves=3,
)
lines = st.builds("{}; {}".format, st.sampled_from(["a", "b>=2", "c<3"]), markers)
pythons = st.builds("3.{}.{}".format, st.integers(7, 16), st.integers(0, 20))


def test_a_python_after_excluded_ones_is_admitted() -> None:
    """`!=3.9.0,!=3.9.1` leaves 3.9.21 in: cryptography 46."""
    wheel = metadata("a; python_version<'3.11'", python=">=3.8,!=3.9.0,!=3.9.1")
    requirements = read_requirements(wheel)
    span = serving(requirements, Target(subdir="linux-64", python=Python(version="3.9.21")))
    assert dependencies(Evaluator(requirements), span, NameMap.empty()).depends == ("a",)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    st.lists(lines, min_size=1, max_size=3),
    st.sampled_from([None, ">=3.9", ">=3.8,<3.13"]),
    st.lists(st.tuples(st.sampled_from(SUBDIR_LIST), pythons), min_size=4, max_size=12),
)
def test_every_place_has_one_package_with_the_dependencies_of_the_wheel(
    requires: list[str], requires_python: str | None, places: list[tuple[str, str]]
) -> None:
    """PEP 508: markers "describe the conditions under which the dependency should be used".

    So at every place packaging finds the requirements in force that the package for it has.
    """
    requirements = read_requirements(metadata(*requires, python=requires_python))
    spans = spans_of(requirements)
    evaluator = Evaluator(requirements)
    for place, version in places:
        serve = [
            span
            for span in spans
            if place in span.subdirs and (requirements.requires_python & span.pythons).contains(version)
        ]
        if 9 <= int(version.split(".")[1]) <= 14 and requirements.requires_python.contains(version):
            assert len(serve) == 1, (place, version)
        assert len(serve) <= 1, (place, version)
        environment = Target(subdir=place).marker_environment(Python(version=version))
        parsed = [Requirement(text) for text in requires]
        active = {line.name for line in parsed if line.marker and line.marker.evaluate({**environment, "extra": ""})}
        for span in serve:
            needs = dependencies(evaluator, span, NameMap.empty())
            assert {text.split()[0] for text in needs.depends} == active, (place, version)


def requests_metadata(project: str, specifier: SpecifierSet) -> CoreMetadata | None:
    if project != "requests":
        return None
    assert specifier.contains("2.32.3")
    requires = (
        "urllib3<3",
        "PySocks!=1.5.7,>=1.5.6; extra == 'socks'",
        "win-inet-pton; extra=='socks' and os_name=='nt'",
    )
    return CoreMetadata(name="requests", version="2.32.3", requires_dist=requires, provides_extra=("socks",))


def test_an_extra_of_another_project_brings_its_own_requirements() -> None:
    """C8: `requests[socks]` is requests, and what it requires for socks."""
    expected = ("requests >=2", "pysocks >=1.5.6,!=1.5.7")
    assert depends("requests[socks]>=2", lookup=requests_metadata) == expected
    assert depends("requests[socks]>=2", lookup=requests_metadata, target=WINDOWS) == (*expected, "win-inet-pton")
    span, needs = solve(metadata("requests[socks]>=2"), LINUX, requests_metadata)
    assert span.system == "unix", "the extra's marker counts"
    assert [note.text for note in needs.notes] == [
        "the requirements of requests[socks] were taken from requests 2.32.3"
    ]


def test_an_extra_that_nobody_knows_is_left_out_with_a_note() -> None:
    needs = solve(metadata("requests[socks]>=2"), LINUX)[1]
    assert needs.depends == ("requests >=2",)
    assert [note.kind for note in needs.notes if "requests[socks]>=2" in note.text] == ["other-extra"]
    assert solve(metadata("requests[nope]"), LINUX, requests_metadata)[1].notes[-1].text.endswith("no extra `nope`")


def test_own_extras_are_groups() -> None:
    """CEP 44. Recursive and self extras are followed, names normalised, undeclared ones found (C3, C4, C8)."""
    found = metadata(
        "base",
        'numpy; python_version >= "3.9" and extra == "fast"',
        'legacy; (python_version < "3" or sys_platform == "win32") and extra == "old-stuff"',
        'foo; extra == "dev-test"',
        'pkg[fast,Dev_Test]; extra == "all"',
        'base>=2; extra == "fast"',
        'undeclared; extra == "hidden"',
        'url @ https://example.invalid/url-1.0.tar.gz ; extra == "vcs"',
        'reversed; "Rev" == extra',
        'requests[socks,use_chardet]>=2; extra == "web"',
        extras=["fast", "dev-test", "all", "old-stuff", "empty", "vcs", "rev", "web"],
        python=">=3.9",
    )
    span, needs = solve(found, LINUX)
    assert span.subdirs == tuple(SUBDIR_LIST), "extras do not make a package narrower"
    assert needs.depends == ("base",)
    assert needs.extra_depends == {
        "fast": ("numpy", "base >=2"),
        "dev-test": ("foo",),
        "all": ("foo", "numpy", "base >=2"),
        "empty": (),
        "rev": ("reversed",),
        "web": ("requests[version='>=2',extras=[socks,use-chardet]]",),
        "hidden": ("undeclared",),
    }
    for text in (text for group in needs.extra_depends.values() for text in group):
        MatchSpec(text, strict=True)
    assert [note.text.split(":")[0] for note in needs.notes] == [
        "the extra `old-stuff` is left out",
        "the extra `vcs` is left out",
    ]


def test_extras_that_refer_to_each_other_end() -> None:
    found = metadata('pkg[b]; extra=="a"', 'pkg[a]; extra=="b"', 'x; extra=="b"', extras=["a", "b"])
    assert solve(found)[1].extra_depends == {"a": ("x",), "b": ("x",)}


def test_requirements_on_one_native_name_hold_together() -> None:
    """C16: repeated names, and two PyPI names of one conda package, are intersected."""
    assert depends("numpy>=1.20", "NumPy<3") == ("numpy >=1.20,<3dev0",)
    found = metadata("opencv-python>=4.5", "opencv-python-headless<5")
    names = NameMap({"py-opencv": ["opencv-python"]}, "test")
    requirements = read_requirements(found)
    needs = dependencies(Evaluator(requirements), serving(requirements, LINUX), names)
    assert needs.depends == (
        "py-opencv >=4.5",
        "opencv-python-headless <5dev0",
    )


def test_a_url_never_becomes_a_name() -> None:
    """C9: whoever registers the name would be installed."""
    with pytest.raises(UnsafeInputError) as caught:
        depends("direct @ https://example.invalid/direct-1.0-py3-none-any.whl")
    assert (caught.value.id, caught.value.exit_code) == ("requirement-untranslatable", 3)
    assert depends("direct @ https://example.invalid/direct-1.0.zip ; python_version<'3'") == ()


@pytest.mark.parametrize(
    ("text", "read", "is_repaired"),
    [
        ("a (>1.0)", "a>1.0", False),
        ("a>=7.2.0<8.0.0", "a<8.0.0,>=7.2.0", True),
        ("urllib3>=1.25<2 ; python_version>'3'", 'urllib3<2,>=1.25; python_version > "3"', True),
        ("a>=3.6.*", "a>=3.6", True),
        ("a>=1.0,", "a>=1.0", False),
        ("a (>=1.0,)", "a>=1.0", False),
    ],
)
def test_requirements_with_one_reading_only_are_read(text: str, read: str, is_repaired: bool) -> None:
    """C15."""
    assert parse_requirement(text) == (Requirement(read), is_repaired)


@pytest.mark.parametrize("text", ["a>=1 2", "a; sys.platform=='x' python", "a>>1", ""])
def test_other_requirements_are_refused(text: str) -> None:
    with pytest.raises(UnsafeInputError) as caught:
        parse_requirement(text)
    assert caught.value.id == "requirement-invalid"


@pytest.mark.parametrize(
    ("text", "read", "is_repaired"),
    [
        (None, "", False),
        (">=3.6", ">=3.6", False),
        (">=3.6.*", ">=3.6", True),
        ("~=3.8", "~=3.8", False),
        (">= '2.7'", ">=2.7", True),
        ('">=3.6"', ">=3.6", True),
        ("'>=3.6,<4'", ">=3.6,<4", True),
        (">='3.6',<'4'", ">=3.6,<4", True),
        (">=3.6.*'", ">=3.6", True),
    ],
)
def test_requires_python(text: str | None, read: str, is_repaired: bool) -> None:
    specifier, note = parse_requires_python(text)
    assert specifier == SpecifierSet(read)
    assert (note is not None) is is_repaired


@pytest.mark.parametrize("text", [">-3.6", "3.x", ">=3.6 please", "banana", "*", "^3.8", f">={'1' * 5000}"])
def test_an_unreadable_requires_python_is_ignored_with_a_note(text: str) -> None:
    """C14, as in pip; the resolver ignores it too."""
    specifier, note = parse_requires_python(text)
    assert specifier == SpecifierSet()
    assert note is not None
    assert text[:100] in note.text


def test_a_repair_is_noted() -> None:
    _, needs = solve(metadata("a>=1.0<2.0", python=">=3.6.*"))
    assert needs.depends == ("a >=1.0,<2dev0",)
    assert len(needs.notes) == 2


def test_a_marker_that_compares_extra_otherwise_than_with_a_name_is_evaluated_for_each_extra() -> None:
    line = RequirementLine.of(Requirement("a; extra in 'docs tests'"))
    assert line.holds(("linux-64", "3.12.0"), "docs")
    assert not line.holds(("linux-64", "3.12.0"), "other")


def test_extras_are_compared_by_their_normal_names() -> None:
    line = RequirementLine.of(Requirement('a; extra == "Dev_Test"'))
    assert line.holds(("linux-64", "3.12.0"), "dev-test")
    assert not line.holds(("linux-64", "3.12.0"))


def test_hostile_metadata_is_refused_or_judged_in_a_moment() -> None:
    deep = "(" * 3000 + "python_version>'3'" + ")" * 3000
    for bad in (f"a; {deep}", "a>=" + "1" * 10_000):
        with pytest.raises(UnsafeInputError):
            depends(bad)
    assert depends("a" + ">=1" * 2000) == ("a >=1",)
    with pytest.raises(UnsafeInputError, match="6000 requirements"):
        depends(*(f"a{n}" for n in range(6000)))
    chain = [f'pkg[e{n + 1}]; extra=="e{n}"' for n in range(300)]
    started = time.process_time()
    assert solve(metadata(*chain, 'end; extra=="e300"'))[1].extra_depends["e0"] == ("end",)
    assert time.process_time() - started < 20
