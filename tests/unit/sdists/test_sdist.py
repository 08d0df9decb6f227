"""`bridge.sdists.metadata` and `bridge.archive.sdists`: what is let through, unpacked, and believed without a build."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.archive.limits import Limits
from bridge.archive.sdists import check_sdist
from bridge.errors import UnsafeInputError
from bridge.sdists.build.refusals import reason, successor
from bridge.sdists.metadata import is_static, read_pkg_info, unpack
from bridge.sdists.names import parse_sdist_name
from tests.support.builders import tree_digest, zip_bytes
from tests.support.hostile import Entry, assert_refused, nothing_changes, symlink, tar_file, tar_header, tar_of, zip_of
from tests.support.sdists import make_sdist, pkg_info

INFO = pkg_info("x", "1.0")
NOISE = random.Random(643).randbytes(1 << 20)


def write(folder: Path, data: bytes, name: str = "x-1.0.tar.gz") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def packed(*parts: bytes, end: bytes = b"\0" * 1024) -> bytes:
    return gzip.compress(tar_of(*parts, end=end), mtime=0)


GOOD = tar_file("x-1.0/PKG-INFO", INFO)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "climbs": (packed(GOOD, tar_file("x-1.0/../../evil")), "path-escape"),
    "absolute": (packed(GOOD, tar_file("/etc/evil")), "path-escape"),
    "backslash": (packed(GOOD, tar_file("x-1.0\\..\\..\\evil")), "path-escape"),
    "link outside": (packed(GOOD, symlink("x-1.0/link", "../../evil")), "path-escape"),
    "link to an absolute path": (packed(GOOD, symlink("x-1.0/link", "/etc/passwd")), "path-escape"),
    "link outside by two steps": (
        packed(GOOD, symlink("x-1.0/a", "."), symlink("x-1.0/b", "a/../../../x")),
        "path-escape",
    ),
    "through a link": (packed(GOOD, symlink("x-1.0/link", "."), tar_file("x-1.0/link/evil")), "path-symlink"),
    "hard link outside": (packed(GOOD, tar_header("x-1.0/hard", kind=b"1", link="../../etc/passwd")), "path-escape"),
    "hard link to nothing": (packed(GOOD, tar_header("x-1.0/hard", kind=b"1", link="x-1.0/none")), "tar-type"),
    "device": (packed(GOOD, tar_header("x-1.0/null", kind=b"3")), "tar-type"),
    "block device": (packed(GOOD, tar_header("x-1.0/disk", kind=b"4")), "tar-type"),
    "fifo": (packed(GOOD, tar_header("x-1.0/fifo", kind=b"6")), "tar-type"),
    "two members of one name": (packed(GOOD, GOOD), "path-collision"),
    "two folders": (packed(GOOD, tar_file("y-1.0/file")), "sdist-layout"),
    "a file beside the folder": (packed(GOOD, tar_file("setup.py")), "sdist-layout"),
    "nothing": (packed(), "sdist-layout"),
    "no end": (packed(GOOD, end=b""), "sdist-layout"),
    "cut short": (packed(GOOD)[:-20], "sdist-layout"),
    "garbage after it": (packed(GOOD) + b"garbage", "sdist-layout"),
    "a second gzip file": (packed(GOOD) + packed(GOOD), "sdist-layout"),
    "no gzip file": (tar_of(GOOD), "sdist-layout"),
    "bomb": (packed(GOOD, tar_file("x-1.0/zeros", b"\0" * (1 << 22))), "limit-ratio"),
    "metadata too long": (packed(tar_file("x-1.0/PKG-INFO", INFO + NOISE)), "limit-size"),
}
HOSTILE_ZIPS: dict[str, tuple[bytes, str]] = {
    "climbs": (zip_of(Entry(name="x-1.0/PKG-INFO", data=INFO), Entry(name="x-1.0/../../evil")), "path-escape"),
    "link": (
        zip_of(Entry(name="x-1.0/PKG-INFO", data=INFO), Entry(name="x-1.0/l", data=b"/etc", mode=0o120777)),
        "zip-type",
    ),
    "two folders": (zip_of(Entry(name="x-1.0/PKG-INFO", data=INFO), Entry(name="y/evil")), "sdist-layout"),
    "no zip": (b"PK\3\4", "zip-frame"),
    "metadata too long": (zip_bytes({"x-1.0/PKG-INFO": INFO + NOISE}), "limit-size"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_tars_are_refused_before_anything_is_written(case: str, tmp_path: Path) -> None:
    data, expected = HOSTILE[case]
    path = write(tmp_path, data)
    with nothing_changes(), pytest.raises(UnsafeInputError) as caught:
        check_sdist(path, limits=Limits(ratio_free=1 << 16))
    assert_refused(caught.value, expected)
    if case != "bomb":  # which is one by the limits of this test only
        with pytest.raises(UnsafeInputError):
            unpack(path, tmp_path / "target")
        assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("case", HOSTILE_ZIPS)
def test_hostile_zips_are_refused_before_anything_is_written(case: str, tmp_path: Path) -> None:
    data, expected = HOSTILE_ZIPS[case]
    path = write(tmp_path, data, "x-1.0.zip")
    with pytest.raises(UnsafeInputError) as caught:
        unpack(path, tmp_path / "target")
    assert_refused(caught.value, expected)
    assert not (tmp_path / "target").exists()


def test_links_inside_are_kept_and_hard_links_are_copies(tmp_path: Path) -> None:
    parts = (
        tar_header("x-1.0/", kind=b"5"),
        tar_header("x-1.0/empty/", kind=b"5"),
        tar_file("x-1.0/run.sh", b"#!/bin/sh\n", mode=0o4755),
        tar_file("x-1.0/dir/plain", b"text"),
        tar_header("x-1.0/dir/hard", kind=b"1", link="x-1.0/run.sh"),
        symlink("x-1.0/dir/soft", "../run.sh"),
    )
    root = unpack(write(tmp_path, packed(*parts) + b"\0" * 600), tmp_path / "target")
    assert root == tmp_path / "target/x-1.0"
    assert (root / "empty").is_dir()
    assert (root / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert (root / "dir/plain").stat().st_mode & 0o7777 == 0o644
    assert (root / "dir/hard").read_bytes() == (root / "dir/soft").read_bytes() == b"#!/bin/sh\n"
    assert (root / "dir/hard").stat().st_nlink == 1
    assert (root / "dir/hard").stat().st_mode & 0o7777 == 0o755
    assert (root / "dir/soft").readlink() == Path("../run.sh")


NAMES = st.text("abcÄ._- 0", min_size=1, max_size=8).filter(
    lambda name: name.strip(". ") == name and name != "PKG-INFO"
)
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join),
    st.tuples(st.binary(max_size=3000), st.booleans()),
    min_size=1,
    max_size=12,
).filter(lambda tree: not any(other.startswith(f"{path}/") for path in tree for other in tree))
FORMATS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(TREES, FORMATS, NAMES)
def test_what_a_writer_of_sdists_packs_is_what_is_unpacked(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, tuple[bytes, bool]], form: int, root: str
) -> None:
    """PEP 517: "A .tar.gz source distribution (sdist) contains a single top-level directory called {name}-{version}".

    Older ones call it otherwise. Whatever Python's `tarfile` writes in any of its formats comes out as it went in.
    """
    folder = tmp_path_factory.mktemp("sdist")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=form) as archive:
        for path, (data, is_executable) in {**tree, "PKG-INFO": (INFO, False)}.items():
            member = tarfile.TarInfo(f"{root}/{path}")
            member.size, member.mode = len(data), 0o755 if is_executable else 0o644
            archive.addfile(member, io.BytesIO(data))
    sdist = write(folder, out.getvalue())
    assert read_pkg_info(sdist, sdist.name) == INFO
    top = unpack(sdist, folder / "target")
    assert top.name == root
    expected = folder / "expected"
    for name, (data, is_executable) in {**tree, "PKG-INFO": (INFO, False)}.items():
        (expected / name).parent.mkdir(parents=True, exist_ok=True)
        (expected / name).write_bytes(data)
        (expected / name).chmod(0o755 if is_executable else 0o644)
    assert tree_digest(top) == tree_digest(expected)


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
@pytest.mark.parametrize("root", ["x-1.0", "X-1.0"])
def test_pkg_info_is_found_in_either_kind_of_archive(tmp_path: Path, suffix: str, root: str) -> None:
    path = make_sdist(tmp_path, "x", "1.0", suffix=suffix, root=root, info=INFO)
    assert read_pkg_info(path, path.name) == INFO
    assert (unpack(path, tmp_path / "target") / "PKG-INFO").read_bytes() == INFO
    without = make_sdist(tmp_path / "without", "x", "1.0", suffix=suffix, info=b"", files={"x.egg-info/PKG-INFO": INFO})
    assert read_pkg_info(without, without.name) is None


STATIC: list[tuple[str, Callable[[], bytes], bool]] = [
    ("2.2", lambda: pkg_info("x", "1.0"), True),
    ("2.4", lambda: pkg_info("x", "1.0", metadata_version="2.4"), True),
    ("before PEP 643", lambda: pkg_info("x", "1.0", metadata_version="2.1"), False),
    ("no version of it", lambda: b"Name: x\nVersion: 1.0\n", False),
    ("dynamic in what does not decide", lambda: pkg_info("x", "1.0", dynamic=["License", "Description"]), True),
    *(
        (f"dynamic in {field}", lambda field=field: pkg_info("x", "1.0", dynamic=["Summary", field]), False)
        for field in ("Requires-Dist", "requires-dist", "Requires-Python", "Provides-Extra", "Version")
    ),
]


@pytest.mark.parametrize(("case", "info", "expected"), STATIC, ids=[case for case, _, _ in STATIC])
def test_pep_643_tells_what_is_static(case: str, info: Callable[[], bytes], expected: bool) -> None:
    """PEP 643: "If a field is not marked as Dynamic, then the value of the field in any wheel built from the sdist MUST
    match the value in the sdist", from Metadata-Version 2.2 on.
    """
    assert is_static(info(), "x-1.0.tar.gz") is expected


@pytest.mark.parametrize("version", ["3.0", "10.0"])
def test_metadata_of_a_version_that_is_not_known_is_refused(version: str) -> None:
    """Core metadata: tools "MUST fail if metadata_version has a greater major version than they support"."""
    with pytest.raises(UnsafeInputError):
        is_static(pkg_info("x", "1.0", metadata_version=version), "x-1.0.tar.gz")


@pytest.mark.parametrize("name", ["x.tar.gz", "x-1.0.tar.bz2", "x-one.tar.gz", "x-1.0.whl", ""])
def test_what_is_no_name_of_an_sdist(name: str) -> None:
    with pytest.raises(UnsafeInputError) as caught:
        parse_sdist_name(name)
    assert caught.value.id == "sdist-name"


SKLEARN = """\
Getting build dependencies for wheel...
The 'sklearn' PyPI package is deprecated, use 'scikit-learn'
rather than 'sklearn' for pip commands.
- use 'pip install scikit-learn' rather than 'pip install sklearn'
https://sklearn.example/package"""
TORCH = """\
  File "<string>", line 15, in <module>
Exception: You tried to install "pytorch". The package named for PyTorch is "torch\""""
SEVERAL = """\
Starting with v5.0.0, the 'azure' meta-package is deprecated and cannot be installed anymore.
Please install the service specific packages prefixed by `azure` needed for your application.
https://azure.example/10646"""
CARET = """\
packaging.requirements.InvalidRequirement: Expected semicolon
    python_version>"3.7"
                  ^"""
COMPILER = """\
SetuptoolsDeprecationWarning: numpy is deprecated, use 'other' instead
numpy.distutils is deprecated, use 'meson' instead
error: command 'gcc' failed: No such file or directory"""
OUTPUTS = {
    "quoted": ("sklearn-0.0.post12.tar.gz", SKLEARN, "The 'sklearn' PyPI", "scikit-learn"),
    "in an exception": ("pytorch-1.0.2.tar.gz", TORCH, "Exception: You tried", "torch"),
    "unquoted": (
        "airflow-0.6.tar.gz",
        "RuntimeError: Please install package apache-airflow instead of airflow",
        "RuntimeError",
        "apache-airflow",
    ),
    "by several": ("azure-5.0.0.zip", SEVERAL, "Starting with v5.0.0", None),
    "a caret": ("x-1.0.tar.gz", CARET, "packaging.requirements.InvalidRequirement", None),
    "a compiler": ("numpy-1.0.tar.gz", COMPILER, "error: command 'gcc'", None),
    "a directory": ("my.project", "my_project was renamed: pip install theirs", "my_project", "theirs"),
    "indented alone": ("x-1.0.tar.gz", "  boom", "  boom", None),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_what_the_output_of_a_failed_build_says(case: str) -> None:
    label, output, said, instead = OUTPUTS[case]
    lines = output.splitlines()
    assert reason(label, lines).startswith(said)
    assert successor(label, lines) == instead
