"""Damaged and sound environments of `test_audit.py`, as data: files, links, and what nobody owns."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from converters.names import NameMap
from converters.target import Target
from tests.support.prefixes import SITE, PrefixBuilder, digest

LINUX = Target(subdir="linux-64", virtual_packages=(("__glibc", "2.28", "0"), ("__unix", "0", "0")))
NAMES = NameMap({"pytorch": ["torch"], "opencv": ["opencv-python"], "zlib": None}, "the test's table")
NP = f"{SITE}/numpy/__init__.py"

Build = Callable[[PrefixBuilder], object]
Expected = tuple[str, str, "str | None", "str | None", "str | None"]  # id, level, path, owner, by


@dataclass(frozen=True)
class Case:
    """A prefix as `build` makes it out of a bare python, and every finding it must give."""

    name: str
    build: Build
    expected: tuple[Expected, ...] = ()
    target: Target = LINUX
    environ: Callable[[Path], dict[str, str]] = lambda root: {}


def do(*steps: Callable[[PrefixBuilder], object]) -> Build:
    """The steps one after the other."""

    def build(made: PrefixBuilder) -> None:
        for step in steps:
            step(made)

    return build


def numpy(made: PrefixBuilder) -> None:
    made.conda_python("numpy", "1.26.4")


def put(path: str, data: bytes = b"changed") -> Build:
    return lambda made: made.write(path, data)


def drop(path: str) -> Build:
    return lambda made: (made.root / path).unlink()


def replace(path: str, make: Callable[[Path], object]) -> Build:
    def build(made: PrefixBuilder) -> None:
        (made.root / path).unlink()
        make(made.root / path)

    return build


NUMPY = "conda:numpy-1.26.4-0"
PIPS = "pip:numpy-2.1.3"
RECORD_OF_A = "conda-meta/a-1-0.json"
DIST_INFO = ("METADATA", "WHEEL", "INSTALLER", "RECORD")
INFO = f"{SITE}/rich-13.0.dist-info"

VIRTUALENV = {f"{SITE}/pip-25.virtualenv": b""}
CLEAN = [
    Case("a bare python", lambda made: None),
    Case("a conda package of a python project", numpy),
    Case("a wheel that bridge installed", lambda made: made.wheel("rich", "13.0", requested=True)),
    Case(
        "both, which need each other",
        do(
            lambda made: made.wheel("rich", "13.0", requires=["numpy<2", 'x ; python_version < "3"']),
            lambda made: made.conda_python("numpy", "1.26.4", depends=["rich >=12", "__glibc >=2.17"]),
        ),
    ),
    Case(
        "bytecode, bookkeeping and another environment inside",
        do(
            numpy,
            put(f"{SITE}/numpy/__pycache__/__init__.cpython-312.pyc"),
            put(f"{SITE}/numpy/__pycache__/__init__.cpython-312.opt-1.pyc"),
            put("CACHEDIR.TAG"),
            put(".nonadmin"),
            put("conda-meta/state", b"{}"),
            put("conda-meta/pixi"),
            put("conda-meta/.bridge/lock"),
            put("envs/other/conda-meta/history"),
            put("envs/other/bin/x"),
            put("pkgs/urls.txt"),
            put("pkgs/numpy-1.26.4-0/info/index.json"),
        ),
    ),
    Case(
        "bytecode that a noarch package lists, and that was never made",
        lambda made: made.conda(
            "a",
            "1",
            {f"{SITE}/a.py": b"1"},
            noarch="python",
            extra={
                "paths_data": {
                    "paths": [
                        {"_path": f"{SITE}/a.py", "path_type": "hardlink", "sha256": digest(b"1")},
                        {"_path": f"{SITE}/__pycache__/a.cpython-312.pyc", "path_type": "pyc_file"},
                    ]
                }
            },
        ),
    ),
    Case(
        "folders of bytecode that virtualenv lists, and that were never made",
        lambda made: made.distribution(
            "pip", "25", rows=["pip/__pycache__,,", "pip-25.virtualenv,,"], extra=VIRTUALENV
        ),
        (("unmanaged-distribution", "info", f"{SITE}/pip-25.dist-info", "pip:pip-25", None),),
    ),
    Case(
        "a file without a hash is only looked for",
        do(lambda made: made.conda("a", "1", {"etc/a": b"1"}, hashes={"etc/a": None}), put("etc/a")),
    ),
    Case(
        "a link that was dissolved into the file, and a file that conda linked softly",
        do(
            lambda made: made.conda("a", "1", {"lib/a.so.1": b"so"}, links={"lib/a.so": "a.so.1"}),
            replace("lib/a.so", lambda path: path.write_bytes(b"so")),
            replace("lib/a.so.1", lambda path: path.symlink_to("a.so")),
        ),
    ),
    Case(
        "paths that differ in case, in a package built for Linux",
        lambda made: made.conda("ncurses", "6", {"share/E": b"1", "share/e": b"2"}),
    ),
    Case(
        "paths that differ in case, for a platform that ignores it",
        lambda made: made.conda("ncurses", "6", {"share/E": b"1", "share/e": b"2"}, subdir="osx-64"),
        (("case-collision", "warning", "share/e", "conda:ncurses-6-0", "conda:ncurses-6-0"),),
        target=Target(subdir="osx-64"),
    ),
    Case(
        "an extra that nobody asked for",
        lambda made: made.wheel("rich", "13.0", requires=['ipywidgets ; extra == "jupyter"'], extras=["jupyter"]),
    ),
    Case(
        "files that are listed below a linked directory",
        do(
            lambda made: made.conda("base", "1", {}, links={"lib64": "lib"}),
            lambda made: made.conda("a", "1", {"lib64/a.so": b"so"}),
        ),
    ),
    Case(
        "a constraint on what is not installed, and on what fits",
        do(numpy, lambda made: made.conda("a", "1", {}, constrains=["absent >=9", "numpy <2", "__cuda >=12"])),
    ),
    Case(
        "a project that a conda package carries by the name map",
        do(
            lambda made: made.conda("opencv", "4.9", {}),
            lambda made: made.wheel("easyocr", "1.7", requires=["opencv-python>=4"]),
        ),
    ),
    Case(
        "a conda record met by a wheel under its native name",
        do(
            lambda made: made.distribution("torch", "2.5", installer="pip"),
            lambda made: made.conda("a", "1", {}, depends=["pytorch >=2"]),
        ),
        (("unmanaged-distribution", "info", f"{SITE}/torch-2.5.dist-info", "pip:torch-2.5", None),),
    ),
]

FILES = [
    Case("missing", do(numpy, drop(NP)), (("missing-file", "error", NP, NUMPY, None),)),
    Case("modified", do(numpy, put(NP)), (("modified-file", "error", NP, NUMPY, None),)),
    Case(
        "a directory where a file was promised",
        do(numpy, replace(NP, Path.mkdir)),
        (("modified-file", "error", NP, NUMPY, None),),
    ),
    Case(
        "modified, with the bytes of another package",
        do(numpy, lambda made: made.conda("a", "1", {"lib/a": b"bytes of a"}), put(NP, b"bytes of a")),
        (("modified-file", "error", NP, NUMPY, "conda:a-1-0"),),
    ),
    Case(
        "modified, with bytes that are of several, or of everybody: they name nobody",
        do(
            numpy,
            lambda made: made.conda("a", "1", {"lib/a": b"shared", "lib/empty": b"", "lib/x": b"x"}),
            lambda made: made.conda("b", "1", {"lib/b": b"shared"}),
            put(NP, b"shared"),
            put("lib/x", b""),
        ),
        (
            ("modified-file", "error", NP, NUMPY, None),
            ("modified-file", "error", "lib/x", "conda:a-1-0", None),
        ),
    ),
    Case(
        "a file whose prefix is no longer patched in: its own RECORD is no other owner",
        lambda made: made.conda_python("numpy", "1.26.4", hashes={NP: digest(b"patched")}),
        (("modified-file", "error", NP, NUMPY, None),),
    ),
    Case(
        "a link to nowhere in the place of a file",
        do(numpy, replace(NP, lambda path: path.symlink_to("nowhere"))),
        (("modified-file", "error", NP, NUMPY, None),),
    ),
    Case(
        "bytecode of a package built for one platform",
        do(
            lambda made: made.conda("a", "1", {"lib/__pycache__/a.pyc": b"1", "lib/__pycache__/b.pyc": b"1"}),
            put("lib/__pycache__/a.pyc"),
            drop("lib/__pycache__/b.pyc"),
        ),
        (
            ("modified-file", "info", "lib/__pycache__/a.pyc", "conda:a-1-0", None),
            ("missing-file", "info", "lib/__pycache__/b.pyc", "conda:a-1-0", None),
        ),
    ),
    Case(
        "a wheel of bridge's over a conda package",
        do(
            lambda made: made.conda("a", "1", {f"{SITE}/x.py": b"old"}),
            lambda made: made.wheel("b", "2", {f"{SITE}/x.py": b"new"}),
        ),
        (
            ("clobbered-file", "error", f"{SITE}/x.py", "conda:a-1-0", "wheel:b-2"),
            ("double-owner", "error", f"{SITE}/x.py", "conda:a-1-0", "wheel:b-2"),
        ),
    ),
    Case(
        "pip over a conda package, another version",
        do(
            lambda made: made.conda_python("numpy", "1.26.4", files={NP: b"1.26", f"{SITE}/numpy/old.py": b"old"}),
            *(drop(f"{SITE}/numpy-1.26.4.dist-info/{name}") for name in DIST_INFO),
            drop(f"{SITE}/numpy/old.py"),
            lambda made: made.distribution("numpy", "2.1.3", {NP: b"2.1"}),
        ),
        (
            ("clobbered-file", "error", NP, NUMPY, "pip:numpy-2.1.3"),
            ("missing-file", "error", f"{SITE}/numpy/old.py", NUMPY, PIPS),
            *(("missing-file", "error", f"{SITE}/numpy-1.26.4.dist-info/{name}", NUMPY, PIPS) for name in DIST_INFO),
            ("distribution-without-metadata", "error", f"{SITE}/numpy-1.26.4.dist-info/METADATA", NUMPY, None),
            ("duplicate-distribution", "error", f"{SITE}/numpy-2.1.3.dist-info", "pip:numpy-2.1.3", NUMPY),
            ("unmanaged-distribution", "warning", f"{SITE}/numpy-2.1.3.dist-info", "pip:numpy-2.1.3", None),
        ),
    ),
    Case(
        "pip beside a conda package, and what both have was removed",  # pip install --ignore-installed, pip uninstall
        do(
            lambda made: made.conda_python("numpy", "1.26.4", files={NP: b"1.26"}, installer=None),
            lambda made: made.distribution("numpy", "2.1.3", {NP: b"2.1"}),
            drop(NP),
        ),
        (
            ("missing-file", "error", NP, NUMPY, PIPS),
            ("missing-file", "error", NP, "pip:numpy-2.1.3", None),
            ("duplicate-distribution", "error", f"{SITE}/numpy-2.1.3.dist-info", "pip:numpy-2.1.3", NUMPY),
            ("unmanaged-distribution", "warning", f"{SITE}/numpy-2.1.3.dist-info", "pip:numpy-2.1.3", None),
        ),
    ),
    Case(
        "pip over a conda package, the same version",
        do(numpy, lambda made: made.distribution("numpy", "1.26.4", {NP: b"rebuilt"})),
        (
            ("clobbered-file", "error", NP, NUMPY, "pip:numpy-1.26.4"),
            ("clobbered-file", "error", f"{SITE}/numpy-1.26.4.dist-info/INSTALLER", NUMPY, "pip:numpy-1.26.4"),
            ("clobbered-file", "error", f"{SITE}/numpy-1.26.4.dist-info/RECORD", NUMPY, "pip:numpy-1.26.4"),
            ("installer-lies", "info", f"{SITE}/numpy-1.26.4.dist-info", NUMPY, None),
        ),
    ),
    Case(
        "a conda package over what pip had put there",
        do(
            lambda made: made.distribution("x", "1", {f"{SITE}/x.py": b"pip's"}),
            lambda made: made.conda("a", "1", {f"{SITE}/x.py": b"conda's"}),
        ),
        (
            ("clobbered-file", "error", f"{SITE}/x.py", "pip:x-1", "conda:a-1-0"),
            ("unmanaged-distribution", "warning", f"{SITE}/x-1.dist-info", "pip:x-1", None),
        ),
    ),
    Case(
        "two distributions of pip's with one path",
        do(
            lambda made: made.distribution("x", "1", {f"{SITE}/tests.py": b"x's"}),
            lambda made: made.distribution("y", "1", {f"{SITE}/tests.py": b"y's"}, installer="uv"),
        ),
        (
            ("clobbered-file", "warning", f"{SITE}/tests.py", "pip:x-1", "uv:y-1"),
            ("unmanaged-distribution", "info", f"{SITE}/x-1.dist-info", "pip:x-1", None),
            ("unmanaged-distribution", "info", f"{SITE}/y-1.dist-info", "uv:y-1", None),
        ),
    ),
    Case(
        "two records promise different bytes, and neither is there",
        do(
            lambda made: made.conda("a", "1", {"lib/x": b"a"}),
            lambda made: made.conda("b", "1", {"lib/x": b"b"}),
            drop("lib/x"),
        ),
        (
            ("double-owner", "error", "lib/x", "conda:a-1-0", "conda:b-1-0"),
            ("missing-file", "error", "lib/x", "conda:a-1-0", None),
            ("missing-file", "error", "lib/x", "conda:b-1-0", None),
        ),
    ),
    Case(
        "a link to a file that is gone",
        do(lambda made: made.conda("a", "1", {"lib/a.so.1": b"so"}, links={"lib/a.so": "a.so.1"}), drop("lib/a.so.1")),
        (
            ("broken-link", "error", "lib/a.so", "conda:a-1-0", None),
            ("missing-file", "error", "lib/a.so.1", "conda:a-1-0", None),
        ),
    ),
    Case(
        "a link to what nobody brings",
        lambda made: made.conda("a", "1", {}, links={"lib/a.so": "../../elsewhere.so"}),
        (("broken-link", "warning", "lib/a.so", "conda:a-1-0", None),),
    ),
    Case(
        "paths that differ in case, in what goes anywhere",
        lambda made: made.wheel("a", "1", {f"{SITE}/Foo.py": b"1", f"{SITE}/foo.py": b"2"}),
        (("case-collision", "warning", f"{SITE}/foo.py", "wheel:a-1", "wheel:a-1"),),
    ),
    Case(
        "a pipe where a file was promised",
        do(numpy, replace(NP, os.mkfifo)),
        (("unreadable-file", "error", NP, NUMPY, None),),
    ),
]

UNOWNED = [
    Case(
        "a file, a directory, bytecode without a module",
        do(
            numpy,
            put("bin/mine.py"),
            put("bin/__pycache__/mine.cpython-312.pyc"),
            put(f"{SITE}/gone/data/a"),
            put(f"{SITE}/gone/b.py"),
            put(f"{SITE}/gone/__pycache__/b.cpython-312.pyc"),
            put(f"{SITE}/numpy/mine.py"),
            put(f"{SITE}/numpy/__pycache__/mine.cpython-312.pyc"),
            put(f"{SITE}/numpy/__pycache__/orphan.cpython-312.pyc"),
        ),
        (
            ("unowned-file", "info", "bin/mine.py", None, None),
            ("unowned-file", "info", f"{SITE}/gone", None, None),
            ("unowned-file", "info", f"{SITE}/numpy/mine.py", None, None),
            ("unowned-file", "info", f"{SITE}/numpy/__pycache__", None, None),
        ),
    ),
    Case(
        "what pip left behind",
        do(put(f"{SITE}/~umpy/core.py"), put(f"{SITE}/~umpy-1.dist-info/METADATA")),
        (
            ("leftover", "error", f"{SITE}/~umpy", None, None),
            ("leftover", "error", f"{SITE}/~umpy-1.dist-info", None, None),
        ),
    ),
]
