"""Wheel tags in conda's terms: subdir, python, ABI and floors; native code told by its bytes."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.tags import Tag, parse_tag
from rattler import BuildString, MatchSpec, PackageRecord

from converters.native import NativeFile, abi_of_module, read_native, runs_on
from converters.tags import Fit, fits, fits_at, misfit
from converters.target import SUBDIRS, Python, Target

CPYTHON = "python_abi * *_cp*"


def target(subdir: str = "linux-64", python: str | None = "3.12.4", *, free_threaded: bool = False) -> Target:
    chosen = Python(version=python, free_threaded=free_threaded) if python else None
    return Target(subdir=subdir, python=chosen)


def summary(fit: Fit) -> tuple[str, str, str, tuple[str, ...]]:
    return fit.subdir, fit.abi, str(fit.pythons), fit.depends


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("py3-none-any", [("noarch", "none", ">=3.0", ())]),
        ("py2.py3-none-any", [("noarch", "none", ">=3.0", ())]),  # C26
        ("py37-none-any", [("noarch", "none", ">=3.7", ())]),
        ("cp312-none-any", [("noarch", "none", "<3.13,>=3.12", ())]),
        # C27: a platform, no ABI
        ("py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64", [("linux-64", "none", ">=3.0", ("__glibc >=2.17",))]),
        ("py3-none-win_amd64", [("win-64", "none", ">=3.0", ())]),
        # C20, C24: the ABI and the floor; legacy aliases; the lowest floor of several tags
        (
            "cp312-cp312-manylinux_2_28_x86_64",
            [("linux-64", "cp312", "<3.13,>=3.12", ("python_abi 3.12.* *_cp312", "__glibc >=2.28"))],
        ),
        (
            "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.manylinux_2_28_x86_64",
            [("linux-64", "cp312", "<3.13,>=3.12", ("python_abi 3.12.* *_cp312", "__glibc >=2.17"))],
        ),
        (
            "cp39-cp39-manylinux1_i686",
            [("linux-32", "cp39", "<3.10,>=3.9", ("python_abi 3.9.* *_cp39", "__glibc >=2.5"))],
        ),
        (
            "cp312-cp312-manylinux2010_x86_64",
            [("linux-64", "cp312", "<3.13,>=3.12", ("python_abi 3.12.* *_cp312", "__glibc >=2.12"))],
        ),
        ("cp312-cp312-linux_aarch64", [("linux-aarch64", "cp312", "<3.13,>=3.12", ("python_abi 3.12.* *_cp312",))]),
        ("cp36-cp36m-win32", [("win-32", "cp36m", "<3.7,>=3.6", ("python_abi 3.6.* *_cp36m",))]),
        # the stable ABI (C21)
        ("cp39-abi3-manylinux_2_28_aarch64", [("linux-aarch64", "abi3", ">=3.9", ("__glibc >=2.28", CPYTHON))]),
        # a free-threaded build (C22)
        (
            "cp313-cp313t-manylinux_2_28_x86_64",
            [("linux-64", "cp313t", "<3.14,>=3.13", ("python_abi 3.13.* *_cp313t", "__glibc >=2.28"))],
        ),
        # C25: macOS; arm64 begins with 11.0
        (
            "cp312-cp312-macosx_10_13_universal2",
            [
                ("osx-64", "cp312", "<3.13,>=3.12", ("python_abi 3.12.* *_cp312", "__osx >=10.13")),
                ("osx-arm64", "cp312", "<3.13,>=3.12", ("python_abi 3.12.* *_cp312", "__osx >=11.0")),
            ],
        ),
        (
            "cp312-cp312-macosx_14_0_arm64",
            [("osx-arm64", "cp312", "<3.13,>=3.12", ("python_abi 3.12.* *_cp312", "__osx >=14.0"))],
        ),
        # C26: compressed sets; combinations that nothing can be
        (
            "cp311.cp312-cp311.cp312-win_amd64",
            [
                ("win-64", "cp311", "<3.12,>=3.11", ("python_abi 3.11.* *_cp311",)),
                ("win-64", "cp312", "<3.13,>=3.12", ("python_abi 3.12.* *_cp312",)),
            ],
        ),
        # C23, and other platforms and pythons that conda does not have
        ("cp39-abi3-musllinux_1_2_x86_64", []),
        ("cp313-cp313-ios_13_0_arm64_iphoneos", []),
        ("cp313-cp313-pyodide_2025_0_wasm32", []),
        ("pp310-pypy310_pp73-manylinux_2_17_x86_64", []),
        ("py2-none-any", []),
        ("cp3-none-any", []),
        ("cp313-cp313d-win_amd64", []),
        ("cp315-abi3t-win_amd64", [("win-64", "abi3t", ">=3.15", ("python_abi * *_cp*t",))]),  # PEP 803
    ],
)  # fmt: skip
def test_fits(tag: str, expected: list[tuple[str, str, str, tuple[str, ...]]]) -> None:
    assert [summary(fit) for fit in fits(parse_tag(tag))] == expected


def test_all_dependencies_are_matchspecs() -> None:
    tags = ("cp39-abi3-manylinux_2_28_x86_64", "cp313-cp313t-macosx_11_0_arm64")
    texts = {text for tag in tags for fit in fits(parse_tag(tag)) for text in fit.depends}
    assert {MatchSpec(text, strict=True).name.normalized for text in texts} == {"__glibc", "__osx", "python_abi"}


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        ("8_cp313", True),
        ("0_cp36m", True),
        ("host_0_cp311", True),
        ("8_cp313t", False),
        ("8_cp314t", False),
        ("2_pypy39_pp73", False),
        ("4_graalpy230_310_native", False),
    ],
)
def test_abi3_is_for_no_free_threaded_python(build: str, expected: bool) -> None:
    """`depends` is what every reader understands, `constrains` a regular expression that excludes the rest."""
    record = PackageRecord("python_abi", "3.13", BuildString(build), 0, "noarch")
    (fit,) = fits(parse_tag("cp39-abi3-win_amd64"))
    assert all(MatchSpec(text).matches(record) for text in (*fit.depends, *fit.constrains)) is expected


def test_no_matchspec_of_a_tag_has_brackets() -> None:
    """Libsolv reads the positional form only (mamba-org/mamba#3169)."""
    for tag in ("cp39-abi3-manylinux_2_28_x86_64", "cp313-cp313t-macosx_11_0_arm64", "cp312-cp312-win_amd64"):
        (fit,) = fits(parse_tag(tag))
        assert not [text for text in (*fit.depends, *fit.constrains) if set(text) & set("[]()|")]


@pytest.mark.parametrize(
    ("tag", "subdir", "python", "expected"),
    [
        ("cp311.cp312-cp311.cp312-win_amd64", "win-64", "3.12.4", ["cp312"]),
        ("cp311.cp312-cp311.cp312-win_amd64", "win-64", "3.11.1", ["cp311"]),
        ("cp311.cp312-cp311.cp312-win_amd64", "win-64", "3.9.0", []),
        ("cp38.cp312-abi3.cp312-win_amd64", "win-64", "3.12.4", ["cp312"]),
        ("cp38.cp312-abi3.cp312-win_amd64", "win-64", "3.10.0", ["abi3"]),
        ("cp313-cp313.cp313t-win_amd64", "win-64", "3.13.0", ["cp313", "cp313t"]),
        ("cp313-cp313.cp313t-win_amd64", "linux-64", "3.13.0", []),
        ("py3.cp313-none.cp313t-any.win_amd64", "win-64", "3.13.0", ["none", "cp313t"]),
        ("py3-none-any", "osx-64", "3.13.0", ["none"]),
    ],
)
def test_the_best_fits_serve_a_place(tag: str, subdir: str, python: str, expected: list[str]) -> None:
    assert [fit.abi for fit in fits_at(fits(parse_tag(tag)), subdir, python)] == expected


@pytest.mark.parametrize("tag", ["cp39.cp310-abi3-win_amd64", "py39.py310.py311-none-any", "cp310.cp39-abi3-win_amd64"])
def test_a_fit_for_older_pythons_serves_newer_ones_too(tag: str) -> None:
    for python in ("3.9.1", "3.10.0", "3.14.0"):
        assert [str(fit.pythons) for fit in fits_at(fits(parse_tag(tag)), "win-64", python)] == [">=3.9"]


def test_a_fit_for_all_platforms_serves_each() -> None:
    for subdir in ("win-64", "linux-64"):
        assert [fit.subdir for fit in fits_at(fits(parse_tag("py3-none-any.win_amd64")), subdir, "3.12.0")] == [
            "noarch"
        ]


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ("cp39-abi3-musllinux_1_2_x86_64", "musl"),
        ("cp313-cp313-ios_13_0_arm64_iphoneos", "platform that conda does not have"),
        ("py2-none-any", "not for CPython 3"),
    ],
)
def test_a_wheel_that_fits_nowhere_is_refused_with_the_reason(tag: str, says: str) -> None:
    assert fits(parse_tag(tag)) == ()
    error = misfit("x-1.whl", parse_tag(tag))
    assert says in error.message
    assert (error.id, error.exit_code) == ("wheel-tag", 3)


interpreters = st.sampled_from(["py3", "py37", "py2", "cp39", "cp312", "cp313", "pp310", "cp3"])
abis = st.sampled_from(["none", "abi3", "cp39", "cp312", "cp313", "cp313t", "pypy310_pp73"])
platforms = st.sampled_from(
    ["any", "win_amd64", "win32", "linux_x86_64", "manylinux_2_17_x86_64", "manylinux2014_aarch64",
     "manylinux_2_39_x86_64", "musllinux_1_2_x86_64", "macosx_10_13_universal2", "macosx_11_0_arm64",
     "macosx_10_9_x86_64", "wasm32"]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.sets(st.builds(Tag, interpreters, abis, platforms), min_size=1, max_size=6))
def test_a_fit_is_what_an_installer_would_take(tags: set[Tag]) -> None:
    """PEP 425: "a list of tag tuples that are supported" decides; here packaging's, for a machine new enough for all.

    A wheel has a fit for a subdir and a python exactly where a tag of it is among the supported ones there.
    """
    newest = (("__glibc", "2.40", "0"), ("__osx", "26.0", "0"))
    for subdir in ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64", "win-32"):
        for python in (Python(version="3.9.1"), Python(version="3.12.1"), Python(version="3.13.1", free_threaded=True)):
            place = Target(subdir=subdir, virtual_packages=newest, python=python)
            here = [fit for fit in fits(tags) if fit.subdir in ("noarch", subdir) and fits_python(fit, python)]
            assert bool(here) == bool(tags & set(place.tags())), (subdir, python)


def fits_python(fit: Fit, python: Python) -> bool:
    """What the fit's dependencies say: an ABI for exact fits, no free-threading for abi3."""
    if not fit.pythons.contains(python.version):
        return False
    if fit.abi in {"abi3", "none"}:
        return fit.abi == "none" or not python.free_threaded
    return fit.abi.endswith("t") == python.free_threaded


def elf(machine: int) -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 3, machine) + bytes(44)


def pe(machine: int) -> bytes:
    return b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", machine) + bytes(32)


def mach_o(cpu: int) -> bytes:
    return struct.pack("<II", 0xFEEDFACF, cpu) + bytes(24)


def universal(*cpus: int) -> bytes:
    return struct.pack(">II", 0xCAFEBABE, len(cpus)) + b"".join(
        struct.pack(">IIIII", cpu, 3, 4096, 1, 14) for cpu in cpus
    )


@pytest.mark.parametrize(
    ("head", "system", "subdirs"),
    [
        (elf(62), "Linux", {"linux-64"}),
        (elf(183), "Linux", {"linux-aarch64"}),
        (elf(8), "Linux", set()),
        (b"\x7fELF", "Linux", set()),
        (pe(0x8664), "Windows", {"win-64"}),
        (b"MZ", "Windows", set()),
        (mach_o(0x0100000C), "macOS", {"osx-arm64"}),
        (universal(0x01000007, 0x0100000C), "macOS", {"osx-64", "osx-arm64"}),
    ],
)
def test_native_code_is_told_by_its_bytes(head: bytes, system: str, subdirs: set[str]) -> None:
    found = read_native("x.txt", head)
    assert found is not None
    assert found.system == system
    assert set(found.subdirs) == subdirs
    assert found.subdirs <= set(SUBDIRS)


@pytest.mark.parametrize("head", [b"", b"import os\n", b"\xca\xfe\xba\xbe\0\0\x004", b"PK\x03\x04", b"#!/bin/sh\n"])
def test_other_files_are_not_native(head: bytes) -> None:
    assert read_native("libx.so", head) is None


def native(path: str, head: bytes) -> NativeFile:
    found = read_native(path, head)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("files", "tied"),
    [
        ([], None),
        ([("a.so", elf(62)), ("a.dll", pe(0x8664))], None),  # a bundle for several systems
        ([("t64.exe", pe(0x8664)), ("t32.exe", pe(0x14C))], None),  # launchers
        ([("_x.pyd", pe(0x8664))], {"win-64"}),
        ([("lib/x.so", elf(62))], {"linux-64"}),
        ([("lib/x.so", elf(62)), ("lib/y.so", elf(183))], {"linux-64", "linux-aarch64"}),
    ],
)
def test_native_files_of_one_system_tie_a_wheel_to_it(files: list[tuple[str, bytes]], tied: set[str] | None) -> None:
    assert runs_on(native(path, head) for path, head in files) == tied


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/_x.cpython-310-x86_64-linux-gnu.so", "cp310"),
        ("a/_x.cpython-37m-darwin.so", "cp37m"),
        ("a/_x.cp313t-win_amd64.pyd", "cp313t"),
        ("a/_x.abi3.so", "abi3"),
        ("a/_x.pyd", "none"),
        ("a/libx.so", None),
    ],
)
def test_extension_modules_are_told_by_their_names(path: str, expected: str | None) -> None:
    assert abi_of_module(path) == expected
