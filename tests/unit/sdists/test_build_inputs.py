"""Source distributions that are malformed or hostile, and what is answered: 3 refused, 6 no wheel of it. Never a fault.

Every input leaves what is outside the scratch folder as it was, and ends in an error of ours with an id.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge import fs
from bridge.archive.limits import Limits
from bridge.archive.sdists import check_sdist
from bridge.config import Settings
from bridge.config.builds import BuildSettings
from bridge.errors import BridgeError
from bridge.sdists.build import build_wheel
from bridge.sdists.build.project import build_requirements
from bridge.sdists.metadata import unpack
from bridge.sdists.names import parse_sdist_name
from tests.support.builders import tree_digest
from tests.support.hostile import Entry, pax_record, symlink, tar_file, tar_header, tar_of, zip_of
from tests.support.sdists import backend, make_sdist, pkg_info
from tests.unit.sdists.test_build import NoRequirements

INFO = pkg_info("x", "1.0")
GOOD = tar_file("x-1.0/PKG-INFO", INFO)


def answer(action: Callable[[], object]) -> str:
    """The exit status and the id of what an action raises; anything but an error of ours is a defect."""
    try:
        action()
    except BridgeError as error:
        failure = error
    else:
        return "0"
    assert failure.message
    assert "\0" not in failure.message
    return f"{failure.exit_code} {failure.id}"


# Names.

NAMES = {
    "x-1.0.tar.gz": "0", "x-1.0.zip": "0", "X.Y_z-1.0.post1+local.tar.gz": "0",
    "x.tar.gz": "3", "-1.0.tar.gz": "3", "x-.tar.gz": "3", "x-1.0.tgz": "3", "x-1.0.tar.xz": "3", "x-1.0.tar.gz ": "3",
    "x-1.0\0.tar.gz": "3", "x-1.0\n.tar.gz": "3", "../x-1.0.tar.gz": "3", "x-" + "9" * 5000 + ".tar.gz": "3",
    "é-1.0.tar.gz": "3", "x-1.0.TAR.GZ": "3", "x-1.0.tar.gz.asc": "3", "x-1.0-1.tar.gz": "0", "x-٣.tar.gz": "3",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:24]))
def test_names(name: str) -> None:
    assert answer(lambda: parse_sdist_name(name))[0] == NAMES[name]


# Archives.


def packed(*parts: bytes, end: bytes = b"\0" * 1024) -> bytes:
    return gzip.compress(tar_of(*parts, end=end), mtime=0)


def pax(**records: str) -> bytes:
    """An extended header (PAX) for the member after it."""
    body = b"".join(pax_record(key, value) for key, value in records.items())
    return tar_file("PaxHeaders/x", body, kind=b"x")


def by_tarfile(fill: Callable[[tarfile.TarFile], None]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        fill(archive)
    return out.getvalue()


def many(archive: tarfile.TarFile) -> None:
    for number in range(3000):
        archive.addfile(tarfile.TarInfo(f"x-1.0/{number}"))


def odd_member() -> tarfile.TarInfo:
    member = tarfile.TarInfo("x-1.0/PKG-INFO")
    member.size, member.mode, member.uid, member.mtime = len(INFO), 0o6777, 2**33, -1
    return member


ARCHIVES: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "3 sdist-layout"),
    "text": (b"not an archive", "3 sdist-layout"),
    "xz": (lzma.compress(tar_of(GOOD)), "3 sdist-layout"),
    "bzip2": (bz2.compress(tar_of(GOOD)), "3 sdist-layout"),
    "a zip by the name of a tar": (zip_of(Entry(name="x-1.0/PKG-INFO", data=INFO)), "3 sdist-layout"),
    "gzip of nothing": (gzip.compress(b""), "3 sdist-layout"),
    "only folders": (packed(tar_header("x-1.0/", kind=b"5")), "3 sdist-layout"),
    "root ..": (packed(tar_file("../PKG-INFO", INFO)), "3 path-escape"),
    "root .": (packed(tar_file("./PKG-INFO", INFO)), "3 "),
    "a file below a file": (packed(GOOD, tar_file("x-1.0/a"), tar_file("x-1.0/a/b")), "3 path-"),
    "a folder and a file": (packed(GOOD, tar_header("x-1.0/a/", kind=b"5"), tar_file("x-1.0/a")), "3 path-"),
    "PAX path that climbs": (packed(GOOD, pax(path="x-1.0/../../evil"), tar_file("x-1.0/a")), "3 path-escape"),
    "PAX path that is absolute": (packed(GOOD, pax(path="/etc/evil"), tar_file("x-1.0/a")), "3 path-escape"),
    "PAX size that lies": (packed(GOOD, pax(size="1"), tar_file("x-1.0/a", b"content")), "3 tar-"),
    "PAX size of 30 digits": (packed(GOOD, pax(size="9" * 30), tar_file("x-1.0/a")), "3 "),
    "PAX link": (packed(GOOD, pax(linkpath="/etc/passwd"), symlink("x-1.0/a", "b")), "3 "),
    "link to itself": (packed(GOOD, symlink("x-1.0/a", "a")), "0"),
    "links in a circle": (packed(GOOD, symlink("x-1.0/a", "b"), symlink("x-1.0/b", "a")), "0"),
    "link to /proc": (packed(GOOD, symlink("x-1.0/a", "/proc/self/environ")), "3 path-escape"),
    "hard link to a folder": (packed(GOOD, tar_header("x-1.0/h", kind=b"1", link="x-1.0")), "3 tar-type"),
    "sparse": (packed(GOOD, tar_header("x-1.0/s", kind=b"S")), "3 tar-type"),
    "an unknown type": (packed(GOOD, tar_header("x-1.0/s", kind=b"Z")), "3 tar-type"),
    "PKG-INFO a link": (packed(symlink("x-1.0/PKG-INFO", "a"), tar_file("x-1.0/a", INFO)), "0"),
    "a name of 5000 characters": (packed(GOOD, pax(path="x-1.0/" + "n" * 5000), tar_file("x-1.0/a")), "3 "),
    "3000 folders deep": (packed(GOOD, pax(path="x-1.0/" + "d/" * 3000 + "f"), tar_file("x-1.0/a")), "3 "),
    "a name with a newline": (packed(GOOD, tar_file("x-1.0/a\nb")), "3 "),
    "a name with an escape": (packed(GOOD, tar_file("x-1.0/\x1b[2J")), "3 "),
    "a name that is not UTF-8": (packed(GOOD, tar_file(b"x-1.0/\xff\xfe")), "3 "),
    "too many members": (by_tarfile(many), "3 limit-"),
    "modes, owners and times": (
        by_tarfile(lambda archive: archive.addfile(odd_member(), io.BytesIO(INFO))),
        "0",
    ),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives(case: str, tmp_path: Path) -> None:
    data, expected = ARCHIVES[case]
    path = tmp_path / "x-1.0.tar.gz"
    path.write_bytes(data)
    limits = Limits(entries=1000) if case == "too many members" else Limits()
    found = answer(lambda: check_sdist(path, limits=limits))
    assert found.startswith(expected), found
    if case != "too many members":
        assert answer(lambda: unpack(path, tmp_path / "target")).startswith(expected)
    assert sorted(os.listdir(tmp_path)) == ["target", path.name] if expected == "0" else [path.name]


# pyproject.toml.

TABLE = "[build-system]\nrequires = []\n"
PROJECTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "0"),
    "no table": (b"[project]\nname = 'x'\n", "0"),
    "a table": (TABLE.encode(), "0"),
    "a byte order mark": (b"\xef\xbb\xbf" + TABLE.encode(), "3 pyproject-invalid"),
    "UTF-16": (TABLE.encode("utf-16"), "3 pyproject-invalid"),
    "not UTF-8": (b"# \xff\xfe\n" + TABLE.encode(), "3 pyproject-invalid"),
    "NUL": (b"\0" * 100, "3 pyproject-invalid"),
    "JSON": (b"{}", "3 pyproject-invalid"),
    "cut short": (b"[build-system", "3 pyproject-invalid"),
    "a key twice": (b"[build-system]\nrequires = []\nrequires = []\n", "3 pyproject-invalid"),
    "no requires": (b"[build-system]\nbuild-backend = 'b'\n", "3 pyproject-invalid"),
    "requires a text": (b"[build-system]\nrequires = 'setuptools'\n", "3 pyproject-invalid"),
    "requires numbers": (b"[build-system]\nrequires = [1]\n", "3 pyproject-invalid"),
    "requires a table": (b"[build-system.requires]\na = 1\n", "3 pyproject-invalid"),
    "the table a list": (b"[[build-system]]\nrequires = []\n", "3 pyproject-invalid"),
    "the table a number": (b"build-system = 1\n", "3 pyproject-invalid"),
    "the backend a number": (TABLE.encode() + b"build-backend = 1\n", "3 pyproject-invalid"),
    "the backend's path a text": (TABLE.encode() + b"backend-path = '.'\n", "3 pyproject-invalid"),
    "the backend's path above": (TABLE.encode() + b"backend-path = ['..']\n", "3 pyproject-invalid"),
    "the backend's path absolute": (TABLE.encode() + b"backend-path = ['/etc']\n", "3 pyproject-invalid"),
    "the backend's path by detours": (TABLE.encode() + b"backend-path = ['a/../../b']\n", "3 pyproject-invalid"),
    "the backend's path with a NUL": (TABLE.encode() + b'backend-path = ["a\\u0000"]\n', "3 pyproject-invalid"),
    "a number of 5000 digits": (b"a = " + b"9" * 5000 + b"\n", "3 pyproject-invalid"),
    "20,000 lists in each other": (b"a = " + b"[" * 20_000, "3 pyproject-invalid"),
    "20,000 keys in each other": (b"a" + b".a" * 20_000 + b" = 1\n", "3 pyproject-invalid"),
    "keys of 499 parts": (b"".join(b"[t%d]\na%s = 1\n" % (n, b".a" * 499) for n in range(20)), "0"),
    "a text of 2,000 dots": (b"a = '" + b"." * 2000 + b"'\n", "0"),
    "2 MiB": (b"#" * (2 << 20), "3 pyproject-invalid"),
}


@pytest.mark.parametrize("case", PROJECTS)
def test_pyproject_files(case: str, tmp_path: Path) -> None:
    data, expected = PROJECTS[case]
    (tmp_path / "pyproject.toml").write_bytes(data)
    found = answer(lambda: build_requirements(tmp_path, "x-1.0.tar.gz"))
    assert found.startswith(expected), found


def test_a_pyproject_that_is_no_file(tmp_path: Path) -> None:
    outside = tmp_path / "outside.toml"
    outside.write_text(TABLE)
    cases: dict[str, Callable[[Path], None]] = {
        "folder": lambda path: path.mkdir(),
        "pipe": os.mkfifo,
        "link out": lambda path: path.symlink_to(outside),
        "link to nothing": lambda path: path.symlink_to("nothing"),
        "link to itself": lambda path: path.symlink_to("pyproject.toml"),
        "device": lambda path: path.symlink_to("/dev/zero"),
    }
    for name, make in cases.items():
        tree = tmp_path / name
        tree.mkdir()
        make(tree / "pyproject.toml")
        found = answer(lambda tree=tree: build_requirements(tree, "x"))  # type: ignore[misc]
        assert found == "3 pyproject-invalid", name


REQUIRES = {
    "setuptools>=61": "0", "x[extra]>=1; python_version<'3'": "0", "a (>=1)": "0",
    "--index-url=https://h.example/simple": "3", "-r other.txt": "3", "-e .": "3", "--no-index": "3",
    "-i https://h": "3",
    "--extra-index-url https://h.example": "3", "x --global-option=evil": "3", "-c /etc/passwd": "3",
    "x @ http://h.example/x-1.0.tar.gz": "3", "x @ file:///etc/passwd": "3", "x @ git+https://h.example/x": "3",
    "https://h.example/x-1.0.tar.gz": "3", "./local": "3", "/etc/passwd": "3", "../up": "3", "": "3", " ": "3",
    "x\n--index-url=https://h.example": "3", "x>=1\r-r other.txt": "3", "x\0": "3", "$(touch evil)": "3", "x;": "3",
    "x" * 5000: "3", "x>=" + "9" * 5000: "3", "x; " + "(" * 900 + "os_name=='a'": "3", "é": "3",
    "x>=1 # comment": "3", "x==1.0 --hash=sha256:" + "0" * 64: "3", "\\": "3",
}  # fmt: skip


@pytest.mark.parametrize("text", REQUIRES, ids=lambda text: repr(text[:32]))
def test_build_requirements_are_requirements_and_nothing_else(text: str, tmp_path: Path) -> None:
    escaped = "".join(f"\\U{ord(char):08x}" for char in text)
    (tmp_path / "pyproject.toml").write_text(f'[build-system]\nrequires = ["{escaped}"]\n')
    found = answer(lambda: build_requirements(tmp_path, "x-1.0.tar.gz"))
    assert found == "0" if REQUIRES[text] == "0" else found == "3 build-requirement"


def test_too_many_build_requirements(tmp_path: Path) -> None:
    listed = ", ".join(f"'x{number}'" for number in range(20_000))
    (tmp_path / "pyproject.toml").write_text(f"[build-system]\nrequires = [{listed}]\n")
    assert answer(lambda: build_requirements(tmp_path, "x")) == "3 build-requirement"


# Backends.

WHEEL = "x-1.0-py3-none-any.whl"


def wheel_of(files: dict[str, str]) -> str:
    """Code of a backend that writes a wheel with these members and no RECORD."""
    return (
        f"import os, zipfile\ndef build_wheel(where, *_):\n"
        f"    with zipfile.ZipFile(os.path.join(where, {WHEEL!r}), 'w') as archive:\n"
        f"        for name, text in {files!r}.items():\n            archive.writestr(name, text)\n"
        f"    return {WHEEL!r}\n"
    )


def body(code: str, *, name: str = "build_wheel") -> str:
    lines = "\n".join(f"    {line}" for line in code.splitlines())
    return f"import os, sys\ndef {name}(where=None, *_):\n{lines}\n"


def asking(code: str) -> str:
    """A backend that asks for further requirements."""
    return body(code, name="get_requires_for_build_wheel")


NO_UTF8 = "open(os.fsencode(where) + b'/x-1.0-py3-none-\\xff.whl', 'w').close()\nreturn 'x'"
VERSION_2 = "open(where + '/x-2.0-py3-none-any.whl', 'w').close()\nreturn 'x-2.0-py3-none-any.whl'"
DEEP = "os.chdir(where)\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\nsys.exit('deep')"
NO_MODES = "os.mkdir(where + '/d')\nos.chmod(where + '/d', 0)\nos.chmod(where, 0)\nsys.exit(1)"

BACKENDS: dict[str, tuple[str, str]] = {
    "asks for an option": (asking("return ['--index-url=https://h.example']"), "3 build-requirement"),
    "asks for a URL": (asking("return ['x @ https://h.example/x.whl']"), "3 build-requirement"),
    "asks for a number": (asking("return 5"), "6 build-failed"),
    "asks for numbers": (asking("return [5]"), "6 build-failed"),
    "asks for 10,000": (asking("return ['x%d' % n for n in range(10_000)]"), "3 build-requirement"),
    "is not TOML's": ("def (", "6 build-failed"),
    "ends at once": (body("os._exit(0)"), "6 build-failed"),
    "ends by a signal": (body("os.kill(os.getpid(), 9)"), "6 build-failed"),
    "ends what started it": (body("os.kill(os.getppid(), 9)"), "6 build-failed"),
    "returns None": (body("return None"), "6 build-failed"),
    "returns a path": (body("return '../../evil.whl'"), "6 build-failed"),
    "replaces the folder by a link": (
        body("os.rmdir(where)\nos.symlink('/tmp', where)\nreturn 'x-1.0-py3-none-any.whl'"),
        "6 build-failed",
    ),
    "makes a link": (body(f"os.symlink('/etc/passwd', where + '/{WHEEL}')\nreturn '{WHEEL}'"), "6 build-failed"),
    "makes a folder": (body(f"os.mkdir(where + '/{WHEEL}')\nreturn '{WHEEL}'"), "6 build-failed"),
    "makes an empty file": (body(f"open(where + '/{WHEEL}', 'w').close()\nreturn '{WHEEL}'"), "3 "),
    "another version": (body(VERSION_2), "3 wheel-name"),
    "members that climb": (wheel_of({"../evil.py": "", "x-1.0.dist-info/METADATA": ""}), "3 "),
    "no METADATA": (wheel_of({"x.py": ""}), "3 "),
    "a name that is not UTF-8": (body(NO_UTF8), "3 "),
    "deep folders": (
        body(DEEP),
        "6 build-failed",
    ),
    "folders without modes": (body(NO_MODES), "6 build-failed"),
    "colours and control characters": (body("sys.exit('\\x1b[31mred\\x1b]0;title\\x07\\x00')"), "6 build-failed"),
    "a large file": (body("with open(where + '/big', 'wb') as f:\n    f.truncate(1 << 45)"), "6 build-failed"),
}


@pytest.mark.parametrize("case", BACKENDS)
def test_backends(case: str, tmp_path: Path) -> None:
    code, expected = BACKENDS[case]
    other = backend("x", "1.0") if "get_requires" in code else ""
    sdist = make_sdist(tmp_path / "sdists", "x", "1.0", files={"backend.py": f"{other}\n{code}".encode()})
    work, outside = tmp_path / "work", tmp_path / "outside"
    for folder in (work, outside):
        folder.mkdir()
    before = tree_digest(outside)
    settings = Settings(cache_dir=tmp_path / "cache", builds=BuildSettings(timeout=60.0))

    def build() -> None:
        build_wheel(sdist, work=work, settings=settings, requirements=NoRequirements(), tell=lambda _: None)

    found = answer(build)
    assert found.startswith(expected), found
    assert tree_digest(outside) == before
    fs.remove_tree(work)
    assert not work.exists()
