"""An environment in which somebody put something else in the place of what a command reads.

Each row ends in time with one error, or with findings; no command reads a device or a sparse file to its end, waits
for a pipe, or tells of a fault of its own. A repair that is done leaves nothing that the next audit finds.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.cli import main
from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.environments import MINOR

SITE = f"lib/python{MINOR}/site-packages"
SECONDS = 20


def _pipe(path: Path, _: bytes) -> None:
    os.mkfifo(path)


def _endless(path: Path, _: bytes) -> None:
    path.symlink_to("/dev/zero")


def _directory(path: Path, _: bytes) -> None:
    path.mkdir()


def _loop(path: Path, _: bytes) -> None:
    path.symlink_to(path.name)


def _socket(path: Path, _: bytes) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # The name of a socket may have 107 bytes only.
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _sparse(path: Path, _: bytes) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 40)


def _nul(path: Path, _: bytes) -> None:
    path.write_bytes(b"\0" * 1000 + b"\xff\xfe[[[")


def _deep(path: Path, _: bytes) -> None:
    path.write_bytes(b"[" * 200_000)


def _number(path: Path, _: bytes) -> None:
    path.write_bytes(b'{"name":' + b"9" * 5000 + b"}")


def _truncated(path: Path, was: bytes) -> None:
    path.write_bytes(was[: len(was) // 2])


def _marked(path: Path, was: bytes) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + was)


def _wide(path: Path, was: bytes) -> None:
    path.write_bytes(was.decode("latin-1").encode("utf-16"))


DAMAGES: list[Callable[[Path, bytes], None]] = [
    _pipe, _endless, _directory, _loop, _socket, _sparse, _nul, _deep, _number, _truncated, _marked, _wide,
]  # fmt: skip

META = ["history", "pinned", "frozen", ".bridge/lock", ".bridge/journal"]
RECORDS = ["tool-1.0-0", f"python-{MINOR}.1-0", "cow-1.0-py3_none_any_0", "unknown-1-0"]
INFO = ["METADATA", "RECORD", "INSTALLER", "entry_points.txt", "direct_url.json", "WHEEL"]
TARGETS = [
    *[f"conda-meta/{name}" for name in META],
    *[f"conda-meta/{name}.json" for name in RECORDS],
    *[f"{SITE}/cow-1.0.dist-info/{name}" for name in INFO],
    f"{SITE}/alien-1.0.dist-info/METADATA",
    f"{SITE}/zz.pth",
    f"{SITE}/zz.egg-link",
    f"{SITE}/cow/__init__.py",
    f"bin/python{MINOR}",
    "bin/cow",
    "pyvenv.cfg",
    "conda-meta",
    SITE,
    "bin",
]
COMMANDS = [
    "list -p E",
    "why -p E cow",
    "owner -p E bin/cow",
    "install -p E leaf=2",
    "remove -p E leaf",
    "recover -p E",
]
COMMANDS += ["update -p E --dry-run", "adopt -p E --dry-run", "audit -p E --fix"]
ROWS = [(target, damage, turn) for turn, target in enumerate(TARGETS) for damage in DAMAGES]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("damaged")
    make_python(folder / "channel", MINOR)
    for version in ("1.0", "2.0"):
        make_conda(folder / "channel", "leaf", version)
    make_conda(folder / "channel", "tool", "1.0", noarch="python", depends=["python"],
               files={"site-packages/tool.py": b""}, entry_points=["tool = tool:main"])  # fmt: skip
    make_repodata(folder / "channel")
    make_wheel(folder / "wheels", "cow", "1.0", console_scripts={"cow": "cow:main"})
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith(("BRIDGE_", "PIP_", "CONDA_"))]:
            patched.delenv(name)
        patched.setenv("BRIDGE_CACHE_DIR", str(folder / "cache"))
        patched.setenv("BRIDGE_CHANNEL", str(folder / "channel"))
        patched.setenv("BRIDGE_FIND_LINKS", str(folder / "wheels"))
        patched.setenv("HOME", str(folder))
        patched.setenv("PIP_NO_INDEX", "1")
        patched.setenv("PIP_CONFIG_FILE", os.devnull)
        patched.chdir(folder)
        status, _, said = call("create -p E leaf=1 tool pypi:cow")
        assert status == 0, said
        (folder / "E").rename(folder / "kept")
        yield folder


def call(words: str) -> tuple[int, str, str]:
    """Run a command in this process, for at most `SECONDS`."""
    out, err = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            return main(words.split()), out.getvalue(), err.getvalue()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class _TooLongError(BaseException):
    """Not an `Exception`: no command may take it for an error of its own."""


def _give_up(*_: object) -> None:
    raise _TooLongError


def fresh(folder: Path) -> Path:
    prefix = folder / "E"
    shutil.rmtree(prefix, ignore_errors=True)
    subprocess.run(["cp", "-a", str(folder / "kept"), str(prefix)], check=True)
    return prefix


def replace(path: Path, damage: Callable[[Path, bytes], None]) -> None:
    was = path.read_bytes() if path.is_file() else b"Name: alien\nVersion: 1.0\n"
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    damage(path, was)


@pytest.mark.parametrize(
    ("target", "damage", "turn"), ROWS, ids=lambda each: getattr(each, "__name__", str(each)[-30:])
)
def test_something_else_in_the_place_of_a_file(
    kept: Path, target: str, damage: Callable[[Path, bytes], None], turn: int
) -> None:
    replace(fresh(kept) / target, damage)
    for words in ("audit -p E", COMMANDS[(turn + DAMAGES.index(damage)) % len(COMMANDS)]):
        status, out, err = call(words)
        assert status in {0, 2, 3, 4, 5, 6, 7, 9, 11}, (words, err)
        assert "error[internal]" not in err, (words, err)
        assert err.count("error[") <= 1, (words, err)
        if words.endswith("--fix") and status == 0:
            status, out, err = call("audit -p E --rehash")
            assert (status, err) == (0, ""), out


VALUES: list[object] = [
    5,
    10**30,
    None,
    True,
    [],
    {},
    "",
    "a\0b",
    "\ud800",
    "../../x",
    [None],
    [[[]]],
    "9" * 5000,
    "x" * 5000,
]
FIELDS = [
    "name",
    "version",
    "build",
    "build_number",
    "subdir",
    "noarch",
    "depends",
    "constrains",
    "channel",
    "fn",
    "url",
]
FIELDS += ["sha256", "md5", "size", "timestamp", "requested_specs", "files", "paths_data", "link", "license"]
FIELDS += ["python_site_packages_path", "purls", "track_features"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("record", RECORDS[:3])
def test_a_field_of_a_record_that_is_something_else(kept: Path, record: str, field: str) -> None:
    path = fresh(kept) / f"conda-meta/{record}.json"
    document = json.loads(path.read_bytes())
    for turn, value in enumerate(VALUES[FIELDS.index(field) % 4 :: 4]):
        path.unlink()
        path.write_text(json.dumps(document | {field: value}))
        for words in ("audit -p E", COMMANDS[(turn + FIELDS.index(field)) % 3], "install -p E leaf=2 --dry-run"):
            status, _, err = call(words)
            assert status in {0, 2, 3, 4, 6, 7, 11}, (value, words, err)
            assert "error[internal]" not in err, (value, words, err)
