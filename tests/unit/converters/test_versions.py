"""PEP 440 specifiers as conda version specs, judged by packaging, py-rattler and libsolv's order."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from rattler import MatchSpec, VersionSpec
from rattler import Version as CondaVersion

from converters.errors import UnsafeInputError
from converters.names import NameMap
from converters.versions import conda_version, to_matchspec, to_version_spec
from tests.support import libsolv_order
from tests.support.conversion_meaning import is_documented

RELEASES = [
    "0",
    "1",
    "2",
    "0.1",
    "1.0",
    "1.1",
    "1.2",
    "1.10",
    "2.0",
    "1.0.0",
    "1.0.2",
    "1.2.3",
    "2.0.0",
    "1.0.0.1",
    "2024.1.15",
]
SUFFIXES = [
    "a1",
    "b2",
    "rc1",
    "rc1.post1",
    "rc1.dev2",
    ".dev0",
    ".dev3",
    ".post0",
    ".post1",
    ".post2.dev1",
    "+cu121",
    "+1",
    "+1.g2",
    "rc1+cu",
]
FINALS = [*RELEASES, "1!0.1", "1!1.0", "2!1.2"]
POOL = [*FINALS, *(r + s for r, s in itertools.product(RELEASES, SUFFIXES)), "1!1.0rc1", "1!0.1.post1", "1!1.0+cu121"]
OPERATORS = [">=", ">", "<=", "<", "==", "!=", "~="]


def spec_text(specifier: str) -> str:
    """The translation; `*` stands for "any", as it does in conda."""
    return to_version_spec(SpecifierSet(specifier)) or "*"


def accepted(text: str, versions: list[str], *, by_libsolv: bool = False) -> set[str]:
    if by_libsolv:
        return {version for version in versions if libsolv_order.accepts(text, version)}
    spec = VersionSpec(text)
    return {version for version in versions if spec.matches(CondaVersion(version))}


def wanted(specifier: str, versions: list[str]) -> set[str]:
    found = SpecifierSet(specifier)
    return {version for version in versions if found.contains(Version(version), prereleases=True)}


@pytest.mark.parametrize(
    ("specifier", "text"),
    [
        ("", "*"),
        (">=1.4", ">=1.4"),
        ("<=1.4", "<1.4.0.0.0.1dev0"),
        ("!=1.4", "!=1.4"),
        ("<2.0", "<2dev0"),
        ("<2.10", "<2.10dev0"),
        (">1.4", ">=1.4.0.0.0.1dev0,!=1.4.post.*"),
        ("==1.4", "==1.4|>=1.4+dev,<1.4.0.0.0.1dev0"),
        ("===1.4", "==1.4"),
        ("==1.4+cu121", "==1.4+cu121"),
        ("==1.2.*", "1.2.*"),
        ("!=1.2.*", "!=1.2.*"),
        ("~=2.10", ">=2.10,<3dev0"),
        ("~=1.4.5", ">=1.4.5,<1.5dev0"),
        ("~=1.4.5.post1", ">=1.4.5.post1,<1.5dev0|>=1.4.5.0.0.1dev0,<1.4.5.post0.dev0,<1.5dev0"),
        ("~=1!2.3", ">=1!2.3,<1!3dev0"),
        ("~=2.0.dev1", ">=2.0.dev1,<3dev0|>=2.0dev0,<2.0.dev0,<3dev0"),
        (">=1.4rc1", ">=1.4rc1,<1.4.dev0|>=1.4"),
        (">=1.4.dev0", ">=1.4dev0"),
        ("<2.0rc1", "<2dev0|>=2.0dev0,<2.0rc1"),
        ("<2.1rc1", "<2.1rc1"),
        ("<3.0.0.dev0", "<3dev0"),
        (">=1.31.6,!=2.0.*,!=2.1.*,<3.0.0dev", ">=1.31.6,<3dev0,!=2.0.*,!=2.1.*"),
        (">=1.4.post1", ">=1.4.post1|>=1.4.0.0.0.1dev0,<1.4.post0.dev0"),
        ("<1.4.post1", "<1.4.0.0.0.1dev0|>=1.4.post0.dev0,<1.4.post1.dev0"),
        (">=3.8,>=3.11,<4,<3.13", ">=3.11,<3.13dev0"),
        (">=3.7,!=3.0.*,!=3.6.*,!=3.7.*,!=3.6.1,!=3.9.1", ">=3.7,!=3.7.*,!=3.9.1"),
    ],
)
def test_known_translations(specifier: str, text: str) -> None:
    assert spec_text(specifier) == text
    VersionSpec(text) if text != "*" else None


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_operator_on_every_version_differs_only_as_documented(operator: str) -> None:
    """Exact on final versions; elsewhere only what the docstring lists, on the side that it lists."""
    for text in POOL:
        if "+" in text and operator not in ("==", "!="):
            continue  # PEP 440 allows a local version in these two only
        if operator == "~=" and len(Version(text).release) < 2:
            continue
        check(f"{operator}{text}")


@pytest.mark.parametrize("prefix", RELEASES)
@pytest.mark.parametrize("operator", ["==", "!="])
def test_prefixes(operator: str, prefix: str) -> None:
    check(f"{operator}{prefix}.*")


def check(specifier: str) -> None:
    clauses = list(SpecifierSet(specifier))
    want = wanted(specifier, POOL)
    for by_libsolv in (False, True):
        have = accepted(spec_text(specifier), POOL, by_libsolv=by_libsolv)
        assert have & set(FINALS) == want & set(FINALS), specifier
        for text in have ^ want:
            looser = text in have
            assert any(is_documented(clause, text, looser=looser) for clause in clauses), (specifier, text, looser)


clauses = st.one_of(
    st.builds(
        "{}{}".format, st.sampled_from([">=", ">", "<=", "<"]), st.sampled_from([v for v in POOL if "+" not in v])
    ),
    st.builds("{}{}".format, st.sampled_from(["==", "!="]), st.sampled_from(POOL)),
    st.builds("{}{}.*".format, st.sampled_from(["==", "!="]), st.sampled_from(RELEASES)),
    st.builds("~={}".format, st.sampled_from([v for v in POOL if "+" not in v and len(Version(v).release) > 1])),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(clauses, max_size=4))
def test_sets_of_clauses(parts: list[str]) -> None:
    """PEP 440: "The comma is equivalent to a logical and operator: a candidate version MUST match all given version
    clauses in order to match the specifier as a whole." So it is in the translation.
    """
    check(",".join(parts))


@settings(max_examples=60, deadline=None)
@given(st.lists(clauses, min_size=2, max_size=4, unique=True), st.randoms(use_true_random=False))
def test_the_order_in_which_clauses_are_written_does_not_matter(parts: list[str], random: object) -> None:
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert spec_text(",".join(parts)) == spec_text(",".join(shuffled))


@settings(max_examples=100, deadline=None)
@given(clauses)
def test_each_text_is_a_matchspec(clause: str) -> None:
    """CEP 29: the version expression stands between a name and nothing else."""
    text = to_matchspec(Requirement(f"pkg{clause}"), NameMap.empty())
    assert str(MatchSpec(text, strict=True).name.normalized) == "pkg"


@pytest.mark.parametrize(
    ("specifier", "inside", "outside"),
    [
        # C6 and C12: what a verbatim copy gets wrong.
        ("<2", ["1.9.9", "1.10.post1"], ["2.0rc1", "2.dev0", "2"]),
        (">1", ["1.0.1", "1.1rc1"], ["1.post1", "1"]),
        (">=2.0rc1", ["2.0rc1", "2.0rc2", "2.0", "2.0.post1"], ["2.0.dev1", "2.0b1"]),
        ("==2.3.0", ["2.3.0", "2.3.0+cu121", "2.3"], ["2.3.0rc1", "2.3.0.post1", "2.3.1"]),
        ("==1.0+local", ["1.0+local"], ["1.0", "1.0+other"]),
        ("~=1.4.5.post1", ["1.4.5.post1", "1.4.6", "1.4.5.1"], ["1.4.5", "1.5.dev0", "1.5a1"]),
        ("===1.0", ["1.0"], ["1.0+local", "1.0.1"]),
        ("~=2.2.post3", ["2.2.post3", "2.9"], ["2.2", "3.0.dev1"]),
        # Local versions, which the clients order differently.
        ("==2.3", ["2.3+cu121", "2.3+1", "2.3+1.g2"], ["2.3.0.1", "2.3.post1+cu121", "2.3rc1+cu121", "2.3.1+cu121"]),
        ("==2.3rc1", ["2.3rc1", "2.3rc1+cu121", "2.3rc1+1"], ["2.3rc2", "2.3rc1.post1", "2.3", "2.3+cu121"]),
        ("<=2.3", ["2.3", "2.3+cu121", "2.3+1"], ["2.3.post1", "2.3.1+cu121", "2.4rc1"]),
        (">2.3", ["2.3.1", "2.3.1+cu121"], ["2.3", "2.3+cu121", "2.3+1", "2.3.post1", "2.3.post1+cu121"]),
        ("<2.3.post1", ["2.3+cu121", "2.3+1", "2.3.post0"], ["2.3.post1", "2.3.post1+cu121"]),
        (">=2.3.post1", ["2.3.post1", "2.3.1"], ["2.3", "2.3+cu121", "2.3+1"]),
    ],
)
@pytest.mark.parametrize("by_libsolv", [False, True])
def test_conda_accepts_what_pep440_accepts(
    specifier: str, inside: list[str], outside: list[str], by_libsolv: bool
) -> None:
    assert accepted(spec_text(specifier), [*inside, *outside], by_libsolv=by_libsolv) == set(inside)


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        # answers of libsolv 0.7.39
        ("1.0", "1.0+cu121"),
        ("1.0", "1.0+dev"),
        ("1.0+dev", "1.0+a"),
        ("1.0+cu121", "1.0+1"),
        ("1.0+cu121", "1.0.0.0.0.1dev0"),
        ("1.0+1", "1.0.0.0.0.1dev0"),
        ("1.0.0.0.0.1dev0", "1.0.post0.dev0"),
        ("1.0rc1", "1.0.dev1"),
        ("1.0dev0", "1.0a1"),
        ("1.0.1", "1.0.1.post1"),
        ("1.post1", "1.1"),
        ("1.9", "1!0.1"),
    ],
)
def test_libsolv_orders_versions_so(lower: str, higher: str) -> None:
    assert libsolv_order.compare(lower, higher) == -1
    assert libsolv_order.compare(higher, lower) == 1


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        ("numpy", "numpy"),
        ("Typing_Extensions>=4.1 ; python_version<'3.11'", "typing-extensions >=4.1"),
        ("torch>=2", "pytorch >=2"),
        ("ruamel.yaml<1", "ruamel.yaml <1dev0"),
        ("pixi", "pypi-pixi"),
        ("requests[socks]>=2", "requests >=2"),
    ],
)
def test_matchspecs_bear_the_native_name(requirement: str, text: str) -> None:
    names = NameMap({"pytorch": ["torch"], "ruamel.yaml": ["ruamel-yaml"], "pixi": []}, "test")
    assert to_matchspec(Requirement(requirement), names) == text


@pytest.mark.parametrize(
    "requirement",
    ["direct @ https://example.invalid/direct-1.0-py3-none-any.whl", "python>=3.6", "x===1.0-unofficial_build"],
)
def test_what_cannot_be_said_is_refused(requirement: str) -> None:
    with pytest.raises(UnsafeInputError) as caught:
        to_matchspec(Requirement(requirement), NameMap.empty())
    assert caught.value.id == "requirement-untranslatable"
    assert caught.value.exit_code == 3
    assert caught.value.message.startswith(f"{Requirement(requirement)} ")


def test_a_hostile_number_of_alternatives_is_refused_at_once() -> None:
    many = ",".join(f"<{n}.0rc1" for n in range(1, 2000))
    with pytest.raises(UnsafeInputError):
        to_version_spec(SpecifierSet(many))


@pytest.mark.parametrize("version", ["1.0", "1!2.0", "1.0+cu121", "1.0rc1.post2.dev3"])
def test_versions_stay_as_they_are(version: str) -> None:
    assert CondaVersion(conda_version(version)) == CondaVersion(version)


def test_a_version_that_conda_does_not_allow_is_refused() -> None:
    with pytest.raises(UnsafeInputError, match="longer than the 64 characters"):
        conda_version("1.0+" + "a" * 70)


@pytest.mark.slow
@pytest.mark.shared
def test_real_requirements_accept_the_real_versions_that_pep440_accepts(shared: Path) -> None:
    """Every distinct requirement of 11,900 published files, on every published version of the project that it names."""
    packed = (shared / "data/pypi/files.jsonl.zst").read_bytes()
    text = zstandard.ZstdDecompressor().decompressobj().decompress(packed).decode()
    files = [json.loads(line) for line in text.splitlines()]
    published: dict[str, set[str]] = {}
    for file in files:
        published.setdefault(canonicalize_name(file["name"]), set()).add(str(Version(file["version"])))
    distinct = {
        (canonicalize_name(found.name), str(found.specifier))
        for file in files
        for found in map(Requirement, file["requires_dist"] or ())
        if found.url is None
    }
    judged = 0
    for name, specifier in sorted(distinct):
        versions = sorted(published.get(name, ()))
        judged += len(versions)
        if specifier:
            assert accepted(spec_text(specifier), versions) == wanted(specifier, versions), (name, specifier)
    assert judged > 50_000
