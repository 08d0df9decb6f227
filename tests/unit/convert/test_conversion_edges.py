"""Edge cases of wheels that no other test of the conversion has; METADATA in all its shapes, names, licences, modes."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bridge.archive.conda import check_conda
from bridge.convert.wheel import ConvertedPackage
from bridge.errors import BridgeError, UnsafeInputError
from converters.package import Member, write_conda
from converters.target import Python, Target
from tests.support.builders import make_wheel, metadata_text
from tests.support.converted import convert_for
from tests.unit.convert.test_convert import index_of, paths_of, read_info, read_payload

if TYPE_CHECKING:
    from typing_extensions import Buffer

LINUX = Target(subdir="linux-64", python=Python(version="3.12.4"))


def converted(wheel: Path, target: Target = LINUX) -> ConvertedPackage:
    return convert_for(wheel, wheel.parent / "out", target, level=1)


@pytest.mark.parametrize(
    "metadata",
    [
        metadata_text("md", "1.0", headers=["Requires-External: C", "Requires-External: libpng (>=1.5)"]),
        metadata_text("md", "1.0", headers=["Obsoletes-Dist: old", "Provides-Dist: virtual", "Requires: sys"]),
        metadata_text("md", "1.0").replace(b"\n", b"\r\n"),
        metadata_text("md", "1.0").replace(b"Metadata-Version: 2.1", b"Metadata-Version: 2.5"),
        metadata_text("md", "1.0")
        + b"Description-Content-Type: text/markdown\n\nA body\nRequires-Dist: not-a-header\n",
        metadata_text("MD", "1.0.0").replace(b"Version: 1.0.0", b"Version: 1.0"),
        metadata_text("md", "1.0", headers=["Author: Zo\u00eb", "Summary: \u6e2c\u8a66"]),
    ],
    ids=["external", "obsoletes", "crlf", "2.5", "body", "case", "unicode"],
)
def test_metadata_that_says_nothing_of_dependencies(tmp_path: Path, metadata: bytes) -> None:
    """C17, C18: what names no dependency adds none; METADATA itself stays as it is (C19)."""
    package = converted(make_wheel(tmp_path, "md", "1.0", metadata=metadata))
    assert index_of(package)["depends"] == ["python >=3.8"]
    assert read_payload(package, "site-packages/md-1.0.dist-info/METADATA") == metadata


@pytest.mark.parametrize(
    "metadata",
    [
        metadata_text("md", "1.0").replace(b"Name: md", b"Name: md\nName: other"),
        metadata_text("md", "1.0").replace(b"Version: 1.0", b"Version: 1.0\nVersion: 2.0"),
        metadata_text("md", "2.0"),
        metadata_text("other", "1.0"),
        metadata_text("md", "1.0") + b"Author: \xff\xfe\n",
        metadata_text("md", "1.0").replace(b"Name: md", b"Name: m\x00d"),
        metadata_text("md", "1.0", requires=["a (>1.0) or b"]),
    ],
    ids=["names", "versions", "version", "name", "encoding", "nul", "requirement"],
)
def test_metadata_that_contradicts_itself_is_refused(tmp_path: Path, metadata: bytes) -> None:
    """C15, C18: refused with the reason, and nothing is written."""
    with pytest.raises(BridgeError) as caught:
        converted(make_wheel(tmp_path, "md", "1.0", metadata=metadata))
    assert caught.value.exit_code in (3, 5)
    assert not (tmp_path / "out").exists()


def test_a_name_with_dots_is_normalised(tmp_path: Path) -> None:
    """C30."""
    package = converted(make_wheel(tmp_path, "Jaraco.Tidelift", "1.0"))
    assert package.record.name == "jaraco-tidelift"
    assert index_of(package)["purls"] == ["pkg:pypi/jaraco-tidelift@1.0"]


@pytest.mark.parametrize("name", ["p\u0443thon", "\u03b1", "na\u00efve"])
def test_a_name_of_other_letters_is_refused(tmp_path: Path, name: str) -> None:
    """C30: a homoglyph is no name of a project."""
    with pytest.raises(UnsafeInputError):
        converted(make_wheel(tmp_path, name, "1.0"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["License-Expression: MIT AND (Apache-2.0 OR BSD-2-Clause)"], "MIT AND (Apache-2.0 OR BSD-2-Clause)"),
        (["License: BSD 3-Clause"], "BSD-3-Clause"),
        (["License: Copyright (c) 2020", "        All rights reserved."], None),
        (["License: the", "        text", "Classifier: License :: OSI Approved :: BSD License"], "BSD License"),
        (["License-Expression: MIT", "License: the long text"], "MIT"),
        ([], None),
    ],
)
def test_licences(tmp_path: Path, headers: list[str], expected: str | None) -> None:
    """C49: an SPDX expression, else a short name; never a line of a text."""
    package = converted(make_wheel(tmp_path, "li", "1.0", headers=headers))
    assert index_of(package).get("license") == expected
    assert json.loads(read_info(package)["info/about.json"]).get("license") == expected


def test_namespace_packages_and_compiled_modules(tmp_path: Path) -> None:
    """C41: no `__init__.py` is made up, and a module that is nothing but its bytecode stays."""
    files = {"name/space/mod.py": b"", "name/space/only.pyc": b"\x6f\x0d\x0d\x0a", "name/__pycache__/x.pyc": b"x"}
    paths = paths_of(converted(make_wheel(tmp_path, "ns", "1.0", files=files)))
    assert [path for path in paths if "dist-info" not in path] == [
        "site-packages/name/space/mod.py",
        "site-packages/name/space/only.pyc",
    ]


@pytest.mark.parametrize(("mode", "is_executable"), [(0o664, False), (0o775, True), (0o600, False), (0o711, True)])
def test_odd_modes_become_one_of_two(tmp_path: Path, mode: int, is_executable: bool) -> None:
    """C41: group bits of whoever built the wheel do not reach the environment."""
    plain = make_wheel(tmp_path / "plain", "mo", "1.0", files={"mo/run.sh": b"#!/bin/sh\n"})
    wheel = tmp_path / plain.name
    out = io.BytesIO()
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            entry.external_attr = (0o100000 | mode) << 16
            target.writestr(entry, source.read(entry.filename))
    wheel.write_bytes(out.getvalue())
    (found,) = [path for path in check_conda(converted(wheel).path).paths if path.path.endswith("run.sh")]
    assert found.is_executable is is_executable


def test_sizes_and_hashes_are_of_what_is_installed(tmp_path: Path) -> None:
    """C42: paths.json speaks of the bytes in the package, which are others than the wheel's where a script changed."""
    import hashlib

    wheel = make_wheel(tmp_path, "sz", "1.0", files={"sz.py": b"", "sz-1.0.data/scripts/sz": b"#!python\nprint()\n"})
    package = converted(wheel)
    for entry in json.loads(read_info(package)["info/paths.json"])["paths"]:
        data = read_payload(package, entry["_path"])
        assert (entry["size_in_bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert not [path for path in paths_of(package) if path.startswith("info/")]
    assert json.loads(read_info(package)["info/run_exports.json"]) == {}


@pytest.mark.parametrize(
    ("line", "is_patched"),
    [
        (b"#!python -u\n", True),
        (b"#!pythonw\r\n", True),
        (b"#!python" + b" -I" * 300 + b"\n", True),
        (b"#!python3\n", True),
        (b"#!python3.12 -u\n", True),
        (b"#!pythonic\n", True),
        (b"#! python\n", False),
        (b"#!/usr/bin/env python3\n", False),
        (b"#!pypy\n", False),
    ],
)
def test_a_script_loses_the_arguments_of_its_interpreter(line: bytes, is_patched: bool, tmp_path: Path) -> None:
    """C35, W74: as where the wheel itself is installed; what was left as it is would run nowhere."""
    script = line + b"print()\n"
    package = converted(make_wheel(tmp_path, "sz", "1.0", files={"sz.py": b"", "sz-1.0.data/scripts/sz": script}))
    (found,) = [path for path in check_conda(package.path).paths if path.path.endswith("scripts/sz")]
    assert bool(found.prefix_placeholder) is is_patched
    if is_patched:
        first, _, rest = read_payload(package, found.path).partition(b"\n")
        assert (first.rstrip(b"\r"), rest) == (f"#!{found.prefix_placeholder}/bin/python".encode(), b"print()\n")


@pytest.mark.parametrize("data", ["sz-1.0-7.data", "sz.data", "Sz-1.0.0.data", "other-2.data"])
def test_every_data_directory_is_one(data: str, tmp_path: Path) -> None:
    """Pip takes every top directory that ends in `.data`; setuptools adds the build tag to its name."""
    files = {
        "sz.py": b"",
        f"{data}/scripts/run": b"#!python\n",
        f"{data}/data/share/sz/x": b"",
        f"{data}/purelib/p.py": b"",
    }
    paths = paths_of(converted(make_wheel(tmp_path, "sz", "1.0", files=files)))
    assert {"python-scripts/run", "share/sz/x", "site-packages/p.py", "site-packages/sz.py"} <= set(paths)
    assert not [path for path in paths if ".data" in path]


def test_headers_go_into_the_directory_of_the_normalised_name(tmp_path: Path) -> None:
    """As pip installs them, whatever the spelling of the dist-info; data/include is another place."""
    files = {"h.py": b"", "he_ad-1.0.data/headers/x.h": b"a", "he_ad-1.0.data/data/include/x.h": b"b"}
    paths = paths_of(converted(make_wheel(tmp_path, "he_ad", "1.0", files=files)))
    assert {"include/python3.12/he-ad/x.h", "include/x.h"} <= set(paths)


@pytest.mark.parametrize("name", ["scripts/run", "scripts/run-script.py", "data/bin/run"])
def test_an_entry_point_replaces_a_script(name: str, tmp_path: Path) -> None:
    files = {"sz.py": b"", f"sz-1.0.data/{name}": b"#!python\nprint('script')\n"}
    package = converted(make_wheel(tmp_path, "sz", "1.0", files=files, console_scripts={"run": "sz:main"}))
    assert not [path for path in paths_of(package) if path.endswith(("run", "run-script.py"))]
    assert json.loads(read_info(package)["info/link.json"])["noarch"]["entry_points"] == ["run = sz:main"]
    assert bool([note for note in package.notes if "left out" in note.text]) is not name.endswith("-script.py")


def test_an_unreadable_requires_python_is_ignored_with_a_note(tmp_path: Path) -> None:
    """C14, as in pip and in the resolver."""
    package = converted(make_wheel(tmp_path, "sz", "1.0", files={"sz.py": b""}, requires_python="3.x"))
    assert index_of(package)["depends"] == ["python >=3.0"]
    assert [note for note in package.notes if "`3.x`" in note.text]


def test_a_command_that_conda_refuses_is_left_out(tmp_path: Path) -> None:
    scripts = {"kw": "sz.lambda:main", "ok": "sz:main"}
    package = converted(make_wheel(tmp_path, "sz", "1.0", files={"sz.py": b""}, console_scripts=scripts))
    assert json.loads(read_info(package)["info/link.json"])["noarch"]["entry_points"] == ["ok = sz:main"]
    assert [note for note in package.notes if "the command kw is left out" in note.text]


def test_all_licences_that_metadata_lists_are_in_info(tmp_path: Path) -> None:
    """CEP 34; setuptools before 77 puts the files beside METADATA, under any name and without their directories."""
    info = "sz-1.0.dist-info"
    files = {
        "sz.py": b"",
        f"{info}/EULA.txt": b"eula",
        f"{info}/LICENSE": b"beside",
        f"{info}/licenses/LICENSE": b"below",
        f"{info}/licenses/vendor/x.md": b"vendor",
        f"{info}/license_files/APACHE.txt": b"of hatchling",
        f"{info}/notes.txt": b"not a licence",
    }
    headers = [
        f"License-File: {name}"
        for name in ("docs/EULA.txt", "LICENSE", "vendor/x.md", "APACHE.txt", "gone.txt", "../sz.py")
    ]
    package = converted(make_wheel(tmp_path, "sz", "1.0", files=files, headers=headers))
    found = {
        name.removeprefix("info/licenses/"): data for name, data in read_info(package).items() if "/licenses/" in name
    }
    assert found == {
        "APACHE.txt": b"of hatchling",
        "EULA.txt": b"eula",
        "LICENSE": b"beside",
        "licenses/LICENSE": b"below",
        "vendor/x.md": b"vendor",
    }
    assert [note for note in package.notes if "gone.txt" in note.text]


def test_an_undeclared_extra_is_an_extra(tmp_path: Path) -> None:
    """C8: Provides-Extra and the markers may disagree; what any of them names is one."""
    requires = ["a; extra == 'Declared_Not'", "b>=1", "b>=1; extra == 'declared'"]
    package = converted(make_wheel(tmp_path, "ex", "1.0", requires=requires, extras=["declared", "empty"]))
    assert index_of(package)["extra_depends"] == {"declared": ["b >=1"], "empty": [], "declared-not": ["a"]}


def test_a_second_wheel_of_a_version_does_not_replace_the_first(tmp_path: Path) -> None:
    """C29: the pair that a peer gives one file name."""
    first = make_wheel(tmp_path, "zz", "1.0", tag="cp312-cp312-manylinux_2_28_x86_64")
    second = make_wheel(tmp_path, "zz", "1.0", tag="cp311-cp311-win_amd64")
    made = [converted(first), converted(second, Target(subdir="win-64", python=Python(version="3.11.1")))]
    assert len({package.path for package in made}) == 2
    assert all(package.path.is_file() for package in made)


class _FullDisk(io.BytesIO):
    """A file that takes so many bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def write(self, data: Buffer, /) -> int:
        if self.tell() + len(memoryview(data)) > self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("room", [0, 200, 2_000_000])
def test_a_disk_that_is_full_is_the_error(room: int) -> None:
    """Closing the compressor after it would raise another one, of a size that is wrong."""
    noise = Member.of_bytes("noise.bin", random.Random(1).randbytes(4_000_000))
    with pytest.raises(OSError, match="No space left"):
        write_conda(_FullDisk(room), "noise-1.0-0", {}, [noise], level=1)
