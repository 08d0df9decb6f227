"""Odd wheels of public reports as packages: what their records and documents say, and what is installed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge.archive.conda import check_conda
from bridge.convert.wheel import ConvertedPackage, convert_wheel
from bridge.errors import UnsafeInputError
from converters.names import NameMap
from tests.support.binaries import elf, macho, pe
from tests.support.builders import make_wheel
from tests.unit.convert.test_convert import paths_of, read_info, read_payload

PLAIN = "python >=3.8"
FIRST = "Metadata-Version: 2.1\nName: odd\nVersion: 1.0\nRequires-Python: >=3.8\n"


def made(folder: Path, wheel: Path) -> list[ConvertedPackage]:
    return list(convert_wheel(wheel, folder / "out", names=NameMap.empty(), level=1).all)


def only(folder: Path, **parts: Any) -> ConvertedPackage:  # noqa: ANN401
    (package,) = made(folder, make_wheel(folder, parts.pop("name", "odd"), parts.pop("version", "1.0"), **parts))
    return package


def index(package: ConvertedPackage) -> Mapping[str, Any]:
    return check_conda(package.path).index


def requires(*lines: str) -> dict[str, Any]:
    return {"requires": lines}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"name": "zope.dotted.name"}, {"name": "zope-dotted-name"}),
        ({"name": "a"}, {"name": "a"}),
        ({"name": "pypi-thing"}, {"name": "pypi-thing"}),
        ({"name": "python"}, {"name": "pypi-python", "purls": ["pkg:pypi/python@1.0"]}),
        ({"version": "1!2.0"}, {"version": "1!2.0", "purls": ["pkg:pypi/odd@1%212.0"]}),
        ({"version": "1.0+cu121.abc"}, {"version": "1.0+cu121.abc"}),
        ({"version": "2.0.dev20240101"}, {"version": "2.0.dev20240101"}),
        ({"version": "4.21.0_rc_2"}, {"version": "4.21.0rc2"}),  # pip#12914
        ({"version": "2025.09.4"}, {"version": "2025.9.4"}),  # uv#17783
        ({"version": "v1.0"}, {"version": "1.0"}),
        ({"build": "202207251920abc"}, {"build_number": 202207251920}),
        ({"requires_python": "~=3.9"}, {"depends": ["python >=3.9,<4dev0"]}),
        ({"requires_python": ">=3.8,<4,!=3.9.*"}, {"depends": ["python >=3.8,<4dev0,!=3.9.*"]}),
        ({"requires_python": ">=3.15"}, {"depends": ["python >=3.15"]}),
        ({"tag": "py2.py3-none-any"}, {"depends": [PLAIN], "noarch": "python"}),
        ({"tag": "py38.py39.py310-none-any"}, {"depends": [PLAIN]}),
        ({"tag": "py311-none-any"}, {"depends": ["python >=3.11"]}),
        ({"tag": "cp313-none-any"}, {"depends": ["python >=3.13,<3.14dev0"]}),
        ({"tag": "py3-none-win_amd64"}, {"subdir": "win-64", "depends": [PLAIN]}),
        ({"tag": "py3-none-linux_armv6l.linux_armv7l"}, {"subdir": "linux-armv7l"}),
        ({"tag": "py3-none-macosx_14_0_arm64"}, {"subdir": "osx-arm64", "depends": [PLAIN, "__osx >=14.0"]}),
        ({"tag": "cp310-cp310-macosx_10_9_intel"}, {"subdir": "osx-64"}),
        (
            {"tag": "py3-none-manylinux_2_17_x86_64.musllinux_1_1_x86_64"},
            {"subdir": "linux-64", "depends": [PLAIN, "__glibc >=2.17"]},
        ),
        (
            {"tag": "cp313-cp313t-win_amd64"},
            {"depends": ["python >=3.13,<3.14dev0", "python_abi 3.13.* *_cp313t"], "noarch": "python"},
        ),
        (  # PEP 803
            {"tag": "cp315-abi3t-manylinux_2_28_x86_64"},
            {"depends": ["python >=3.15", "__glibc >=2.28", "python_abi * *_cp*t"], "constrains": []},
        ),
        (requires("odd>=1"), {"depends": [PLAIN]}),
        (requires("Requests", "requests>=2", "REQUESTS<3"), {"depends": [PLAIN, "requests >=2,<3dev0"]}),
        (requires("a===1.0"), {"depends": [PLAIN, "a ==1.0"]}),
        (requires("a~=1!2.3", "b!=1.*"), {"depends": [PLAIN, "a >=1!2.3,<1!3dev0", "b !=1.*"]}),
        (requires("c==1!2.*", "i (>=1.0)", "j>=1.0,"), {"depends": [PLAIN, "c 1!2.*", "i >=1.0", "j >=1.0"]}),
        (requires("a; extra!='all'"), {"depends": [PLAIN, "a"]}),
        (requires("a; 'x' == extra"), {"depends": [PLAIN], "extra_depends": {"x": ["a"]}}),
        (
            {"requires": ["odd[a_b,C]; extra=='all'", "x; extra=='a-b'", "y>2; extra=='C'"], "extras": ["all"]},
            {
                "extra_depends": {
                    "all": ["x", "y >=2.0.0.0.0.1dev0,!=2.post.*"],
                    "a-b": ["x"],
                    "c": ["y >=2.0.0.0.0.1dev0,!=2.post.*"],
                }
            },
        ),
        ({"extras": ["", "bad extra!"]}, {"extra_depends": None}),
        ({"headers": ["License: GPLv3+"]}, {"license": "GPL-3.0-or-later"}),
        ({"headers": ["License: LGPLv3"]}, {"license": "LGPL-3.0-only"}),
        ({"headers": ["License-Expression: mit AND apache-2.0"]}, {"license": "MIT AND Apache-2.0"}),
        ({"headers": ["License-Expression: LicenseRef-Own"]}, {"license": "LicenseRef-Own"}),
        ({"headers": ["License-Expression: My License"]}, {"license": None}),
        ({"headers": ["License: UNKNOWN"]}, {"license": None}),
        (
            {"headers": ["requires-dist: lower", "Import-Name: odd", "Import-Namespace: ns"]},
            {"depends": [PLAIN, "lower"]},
        ),
        ({"metadata": f"{FIRST}\n\nRequires-Dist: body\n".encode()}, {"depends": [PLAIN]}),
        ({"files": {}}, {"depends": [PLAIN]}),  # a metapackage
        ({"files": {"foo-stubs/__init__.pyi": b""}}, {"depends": [PLAIN]}),
    ],
    ids=repr,
)
def test_the_record(parts: dict[str, Any], expected: Mapping[str, Any], tmp_path: Path) -> None:
    found = index(only(tmp_path, **parts))
    assert {key: found.get(key) for key in expected} == expected


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [
        (
            ["torch>=2; platform_system=='Linux'", "torch-cpu; platform_system!='Linux'"],
            {"__linux": ["torch >=2"], "__osx": ["torch-cpu"], "__win": ["torch-cpu"]},
        ),
        (["a; sys_platform=='win32'", "b; os_name=='posix'"], {"__unix": ["b"], "__win": ["a"]}),
        (["a; 'linux' in sys_platform"], {"__linux": ["a"], "__osx": [], "__win": []}),
        (["a; os.name == 'nt'", "b; python_implementation=='CPython'"], {"__unix": ["b"], "__win": ["a", "b"]}),
        (["a; sys_platform=='cygwin' or sys_platform=='emscripten'", "b; platform_system=='Java'"], {"": []}),
        (["a; implementation_name=='pypy'", "b; platform_python_implementation!='PyPy'"], {"": ["b"]}),
    ],
    ids=repr,
)
def test_requirements_that_differ_by_system(
    requirements: list[str], expected: Mapping[str, list[str]], tmp_path: Path
) -> None:
    found = {}
    for package in made(tmp_path, make_wheel(tmp_path, "odd", "1.0", requires=requirements)):
        python, *rest = index(package)["depends"]
        limits = [text for text in rest if text.startswith("__")]
        assert python == PLAIN
        found["".join(limits)] = [text for text in rest if text not in limits]
    assert found == expected


def test_requirements_that_differ_by_python(tmp_path: Path) -> None:
    lines = [
        "a; python_version in '3.8,3.9'",
        "b; python_version not in '3.11'",
        "c; python_version ~= '3.10'",
        "d; python_full_version == '3.11.*'",
        "numpy>=1.10",
        "numpy>=1.26; python_version>='3.12'",
    ]
    packages = made(tmp_path, make_wheel(tmp_path, "odd", "1.0", requires=lines))
    assert [index(package)["depends"] for package in packages] == [
        ["python >=3.8,<3.10dev0", "a", "b", "numpy >=1.10"],
        ["python >=3.10,<3.11dev0", "b", "c", "numpy >=1.10"],
        ["python >=3.11,<3.12dev0", "c", "d", "numpy >=1.10"],
        ["python >=3.12", "b", "c", "numpy >=1.26"],
    ]


def test_both_stable_abis_become_a_package_each(tmp_path: Path) -> None:
    packages = made(tmp_path, make_wheel(tmp_path, "odd", "1.0", tag="cp315-abi3.abi3t-manylinux_2_28_x86_64"))
    assert [[text for text in index(each)["depends"] if "abi" in text] for each in packages] == [
        ["python_abi * *_cp*"],
        ["python_abi * *_cp*t"],
    ]
    assert [bool(index(each)["constrains"]) for each in packages] == [True, False]


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        (["m.cpython-311-x86_64-linux-gnu.so"], [("linux-64", "python_abi 3.11.* *_cp311")]),
        (
            ["m.cpython-311-x86_64-linux-gnu.so", "m.cpython-312-x86_64-linux-gnu.so"],
            [("linux-64", "python_abi 3.11.* *_cp311"), ("linux-64", "python_abi 3.12.* *_cp312")],
        ),
        (["m.cpython-313t-x86_64-linux-gnu.so"], [("linux-64", "python_abi 3.13.* *_cp313t")]),
        (["m.abi3.so", "lib/x.so"], [("linux-64", "python_abi * *_cp*")]),
        (["m.cp312-win_amd64.pyd"], [("win-64", "python_abi 3.12.* *_cp312")]),
        (["m.pyd"], [("win-64", PLAIN)]),
        (["m.cpython-312-darwin.so"], [("osx-arm64", "python_abi 3.12.* *_cp312")]),
    ],
    ids=repr,
)
def test_extension_modules_say_where_a_wheel_for_any_platform_runs(
    modules: list[str], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    """Pip installs it everywhere; the packages are for the pythons and platforms that can import the modules."""
    code = pe() if modules[0].endswith("pyd") else macho() if "darwin" in modules[0] else elf()
    files = {"odd/__init__.py": b"", **{f"odd/{name}": code for name in modules}}
    packages = made(tmp_path, make_wheel(tmp_path, "odd", "1.0", files=files))
    found = set()
    for package in packages:
        depends = index(package)["depends"]
        abis = [text for text in depends if text.startswith("python_abi")]
        found.add((index(package)["subdir"], (abis or depends)[0]))
        assert any(note.kind == "native" and "tagged for any platform" in note.text for note in package.notes)
    assert sorted(found) == expected


def test_modules_for_a_platform_that_conda_lacks_are_refused(tmp_path: Path) -> None:
    files = {"odd/m.cpython-311-mips-linux-gnu.so": elf()[:18] + b"\x08" + elf()[19:]}
    with pytest.raises(UnsafeInputError, match="an architecture of Linux that conda does not support"):
        made(tmp_path, make_wheel(tmp_path, "odd", "1.0", files=files))


def test_the_tag_of_musl_needs_no_glibc(tmp_path: Path) -> None:
    package = only(tmp_path, tag="py3-none-manylinux_2_17_x86_64.musllinux_1_1_x86_64")
    assert [note for note in package.notes if note.kind == "glibc"] == []


@pytest.mark.parametrize("tag", ["py3-none-any", "cp312-cp312-manylinux_2_17_x86_64", "py3-none-win_amd64"])
@pytest.mark.parametrize(
    ("command", "is_linked"),
    [
        ("c = odd:f", True),
        ("a,b = odd:f", True),
        ("c = odd:über", False),
        ("你好 = odd:f", False),
        ("e x = odd:f", False),
    ],
)
def test_a_command_that_a_client_refuses_is_a_script(command: str, is_linked: bool, tag: str, tmp_path: Path) -> None:
    """Rattler refuses to link a package with an attribute that is not ASCII, mamba such a name or one with a blank."""
    name, _, value = command.partition(" = ")
    package = only(tmp_path, tag=tag, console_scripts={name: value})
    is_pinned = "cp312" in tag
    link = json.loads(read_info(package).get("info/link.json", b"{}"))
    assert link.get("noarch", {}).get("entry_points", []) == ([command] if is_linked and not is_pinned else [])
    scripts = [path for path in paths_of(package) if path.startswith(("bin/", "python-scripts/"))]
    assert scripts == ([] if is_linked and not is_pinned else [f"{'bin' if is_pinned else 'python-scripts'}/{name}"])
    for path in scripts:
        first, _, rest = read_payload(package, path).decode().partition("\n")
        assert re.fullmatch(rf"#!/\S+/{'python.exe' if 'win' in tag else 'bin/python'}", first)
        assert f"from odd import {value.partition(':')[2]}" in rest


def test_of_both_groups_the_graphical_command_counts(tmp_path: Path) -> None:
    """As in pip, which makes it last."""
    package = only(tmp_path, console_scripts={"c": "odd:f", "d": "odd:f"}, gui_scripts={"c": "odd:C.run"})
    link = json.loads(read_info(package)["info/link.json"])
    assert link["noarch"]["entry_points"] == ["c = odd:C.run", "d = odd:f"]
    assert [note.text for note in package.notes if note.kind == "entry-point"] == [
        "odd-1.0.dist-info/entry_points.txt: the command c is defined again: odd:f is not used"
    ]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            ["Summary: UNKNOWN", "Home-page: UNKNOWN", "Project-URL: Homepage, https://h.example"],
            {"home": "https://h.example"},
        ),
        (["Summary: first line", "  second line"], {"summary": "first line second line"}),
        (["Summary: ", "Home-page: "], {}),
        (
            ["Project-URL: Source Code, https://g.example", "Project-URL: Docs , https://d.example"],
            {"home": "https://g.example", "dev_url": "https://g.example", "doc_url": "https://d.example"},
        ),
    ],
    ids=repr,
)
def test_what_people_read(headers: list[str], expected: Mapping[str, str], tmp_path: Path) -> None:
    about = json.loads(read_info(only(tmp_path, headers=headers))["info/about.json"])
    assert {key: value for key, value in about.items() if key != "extra"} == expected


def test_files_of_odd_places(tmp_path: Path) -> None:
    data = "odd-1.0.data"
    files = {
        "odd/a file, with comma.txt": b"x",
        "odd/\u00fcn\u00ef.txt": b"y",
        "odd/empty": b"",
        f"{data}/purelib/odd/a.py": b"",
        f"{data}/platlib/odd/b.py": b"",
        f"{data}/data/bin/plain": b"#!python\nprint('ok')\n",
        f"{data}/data/etc/jupyter/x.json": b"{}",
        f"{data}/scripts/sub/x": b"#!python\r\n# coding=windows-1252\r\nprint('ok')\r\n",
        f"{data}/scripts/shell": b"#!/bin/sh\necho ok\n",
    }
    package = only(tmp_path, files=files)
    assert [path for path in paths_of(package) if "dist-info" not in path] == sorted(
        [
            *(
                f"site-packages/odd/{name}"
                for name in ("a file, with comma.txt", "a.py", "b.py", "empty", "\u00fcn\u00ef.txt")
            ),
            "bin/plain",
            "etc/jupyter/x.json",
            "python-scripts/shell",
            "python-scripts/sub/x",
        ]
    )
    script = read_payload(package, "python-scripts/sub/x")
    assert script.endswith(b"/bin/python\r\n# coding=windows-1252\r\nprint('ok')\r\n")
    assert read_payload(package, "bin/plain").startswith(b"#!python\n")  # as pip leaves it
