"""What surrounds the process: its streams, locale, limits, folders, and variables with nonsense in them.

Each row is a process of its own, started by a shell where streams, limits or the words need one. It ends in time with
the documented status, no traceback and no internal error, and a command that fails leaves the environment as it was.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import clean_environment
from tests.support.command_server import run_in_child
from tests.support.environments import MINOR

SITE = f"lib/python{MINOR}/site-packages"
DIGITS = "9" * 5000
INTERNAL = re.compile(r"error\[internal\]|Traceback|panicked|stack backtrace|Fatal Python error")


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """An environment `E` and the packages it came from, below a folder that is nobody else's."""

    folder: Path

    @property
    def prefix(self) -> Path:
        return self.folder / "E"

    def fresh(self) -> None:
        for name in ("E", "N", "O"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.folder / "kept"), str(self.prefix)], check=True)

    def run(self, words: str, before: str = "", after: str = "", environ: Mapping[str, str] | None = None) -> Ended:
        """`{bridge} WORDS` in a shell, after `before` and with `after` behind it."""
        own = {
            "BRIDGE_CACHE_DIR": str(self.folder / "cache"),
            "BRIDGE_CHANNEL": str(self.folder / "channel"),
            "BRIDGE_FIND_LINKS": str(self.folder / "wheels"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
        }
        merged = clean_environment() | own | dict(environ or {})
        if not before and not after and "<(" not in words and "$'" not in words and "~" not in words:
            present = {name: value for name, value in merged.items() if value != "-"}
            ended = run_in_child(shlex.split(words), self.folder, present, dict(environ or {}), timeout=30)
            if ended is not None:
                assert not ended.is_late, ended
                return Ended(ended.status, ended.out.decode("utf-8", "replace"), ended.err.decode("utf-8", "replace"))
        done = subprocess.run(
            ["bash", "-c", f"{before} {shlex.quote(sys.executable)} -m bridge {words} {after}"],
            cwd=self.folder,
            env={name: value for name, value in merged.items() if value != "-"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))

    def tree(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*") if ".bridge" not in path.parts
        )


def _packages(folder: Path) -> None:
    channel, placeholder = folder / "channel", "/opt/placeholder_placeholder_placeholder"
    make_python(channel, MINOR)
    for version in ("1.0", "2.0"):
        make_conda(channel, "leaf", version)
    make_conda(
        channel, "tool", "1.0", noarch="python", depends=["python"], entry_points=["tool = tool:main"],
        files={"site-packages/tool/__init__.py": b"def main():\n    print('tool here')\n"},
    )  # fmt: skip
    make_conda(
        channel, "script", "1.0", subdir="linux-64", noarch=None, executable=["bin/script"],
        files={"bin/script": f"#!{placeholder}/bin/python\nprint('script here')\n".encode()},
        placeholders={"bin/script": (placeholder, "text")},
    )  # fmt: skip
    make_conda(channel, "accents", "1.0", files={"share/\u03a9.txt": b"omega"})
    make_repodata(channel)
    files = {"cow/__init__.py": b"def main():\n    print('cow here')\n"}
    make_wheel(folder / "wheels", "cow", "1.0", files=files, console_scripts={"cow": "cow:main"})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("surroundings"))
    _packages(made.folder)
    done = made.run("create -p E leaf=1 tool script pypi:cow")
    assert done.status == 0, done.err
    made.prefix.rename(made.folder / "kept")
    (made.folder / "file").touch()
    os.mkfifo(made.folder / "pipe")
    (made.folder / "loop").symlink_to("loop")
    (made.folder / "dangling").symlink_to("nowhere")
    with (made.folder / "sparse").open("wb") as stream:
        stream.truncate(1 << 40)
    (made.folder / "binary").write_bytes(b"\0\xff\xfe[[")
    (made.folder / "malformed").write_text("[global\nindex-url")
    (made.folder / "numbers").write_text(f"[global]\ntimeout=nan\nretries={DIGITS}\nindex-url=%(x)s\n")
    made.fresh()
    return made


def assert_answer(done: Ended, *expected: int) -> None:
    assert done.status in (expected or (0, 2, 3, 7)), done
    assert INTERNAL.search(done.err) is None, done.err
    if done.status not in {0, 11, 141}:
        assert len(re.findall(r"^error\[", done.err, re.MULTILINE)) == 1, done.err


LIST, INSTALL, CREATE = "list -p E", "install -p E leaf=2", "create -p N leaf tool pypi:cow"

# words, redirection, expected status
STREAMS = [
    (LIST, ">&-", 7),
    (LIST, ">/dev/full", 7),
    (f"{LIST} --json", ">&-", 7),
    (f"{LIST} --json", ">/dev/full", 7),
    (LIST, "| head -c1 >/dev/null; exit ${PIPESTATUS[0]}", 0),
    (LIST, "| true; exit ${PIPESTATUS[0]}", 141),
    ("schema list", ">&-", 7),
    ("--version", ">/dev/full", 7),
    ("--help", ">&-", 7),
    ("audit -p E", ">&-", 7),
    (INSTALL, ">&-", 0),
    (CREATE, ">&- <&-", 0),
]
SILENT = [  # as the streams are closed, nothing can be said: the status alone tells
    (LIST, "2>&-", 0),
    (f"{LIST} --json", "2>/dev/full", 0),
    (LIST, ">&- 2>&- <&-", 7),
    ("install -p E nonexist", "2>&-", 6),
    ("bogus", "2>&-", 2),
    (INSTALL, "2>/dev/full", 0),
    (INSTALL, "2>&1 | true; exit ${PIPESTATUS[0]}", 0),
    (CREATE, ">&- 2>&- <&-", 0),
]


@pytest.mark.parametrize(("words", "redirection", "status"), STREAMS)
def test_streams_that_are_closed_or_full(place: Place, words: str, redirection: str, status: int) -> None:
    place.fresh()
    assert_answer(place.run(words, after=redirection), status)


@pytest.mark.parametrize(("words", "redirection", "status"), SILENT)
def test_without_standard_error_the_status_tells(place: Place, words: str, redirection: str, status: int) -> None:
    place.fresh()
    done = place.run(words, after=redirection)
    assert done.status == status, done
    assert INTERNAL.search(done.out + done.err) is None


PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LOCALES: list[dict[str, str]] = [
    PLAIN,
    {"LC_ALL": "POSIX", "LANG": ""},
    {"LC_ALL": "xx_YY"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1:strict"},
    {"PYTHONIOENCODING": "utf-8:strict"},
]


@pytest.mark.parametrize("environ", LOCALES, ids=str)
def test_any_locale_prints_any_name(place: Place, environ: dict[str, str]) -> None:
    path = str(place.folder / "\u20ac\udcff")
    done = place.run(f"list --json -p $'{place.folder}/\\xe2\\x82\\xac\\xff'", environ=environ)
    assert_answer(done, 2)
    encoding = environ.get("PYTHONIOENCODING", "")
    if not encoding.startswith("latin"):
        message = json.loads(done.out)["error"]["message"]
        assert message.startswith(path), message


def test_names_beyond_ascii_in_a_locale_without_them(place: Place) -> None:
    """The process starts again in UTF-8 mode; what it prints has the encoding of the locale."""
    place.fresh()
    done = place.run("create -p $'N\\xc3\\xbc' accents", environ=PLAIN)
    assert_answer(done, 0)
    assert "N\\xfc: done" in done.err
    assert (place.folder / "N\xfc/share/\u03a9.txt").read_bytes() == b"omega"
    shutil.rmtree(place.folder / "N\xfc")


LIMITS = [
    *[(f"ulimit -n {count}", INSTALL) for count in (10, 16, 24, 32, 48, 64)],
    *[(f"ulimit -Sn {count}", CREATE) for count in (32, 48)],
    *[(f"ulimit -v {size}", CREATE) for size in (100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 1_000_000)],
    *[(f"ulimit -f {blocks}", INSTALL) for blocks in (0, 1, 8, 1000)],
    ("trap '' PIPE HUP INT TERM", INSTALL),
    ("umask 0777", LIST),
    ("umask 0", CREATE),
]


@pytest.mark.parametrize(("limit", "words"), LIMITS)
def test_limits(place: Place, limit: str, words: str) -> None:
    place.fresh()
    before = place.tree()
    done = place.run(words, before=f"{limit};")
    assert_answer(done, 0, 7)
    if done.status:
        assert place.tree() == before
        assert not (place.folder / "N").exists()


@pytest.mark.parametrize("words", ["resolve leaf", "create -p N leaf"])
def test_a_working_directory_that_is_gone(place: Place, words: str) -> None:
    """As in a shell whose directory another one has removed."""
    ended = place.run(words, before="mkdir gone && cd gone && rmdir ../gone &&")
    assert (ended.status, "the working directory does not exist any more" in ended.err) == (7, True), ended


LONG = "/" + "x" * 5000
FOLDERS = [
    *[({"TMPDIR": value, "TEMP": value, "TMP": value}, INSTALL) for value in ("file", "missing", "/dev/null", LONG)],
    *[({"BRIDGE_CACHE_DIR": v}, CREATE) for v in ("file", "/dev/null", "/proc", LONG, "/" + "x/" * 3000, "loop")],
    *[({"BRIDGE_CACHE_DIR": "-", "HOME": v}, CREATE) for v in ("-", "file", "/dev/null", "relative", LONG)],
    *[({"BRIDGE_CACHE_DIR": "-", "XDG_CACHE_HOME": value}, LIST) for value in ("relative", "/dev/zero", "::")],
    *[({"PIP_CONFIG_FILE": name}, f"{INSTALL} --dry-run")
      for name in ("pipe", "sparse", "binary", "malformed", "numbers", "loop", "/dev/zero", ".")],
    *[({f"X{number}": "y" * 100_000 for number in range(10)}, LIST)],
    *[({"COLUMNS": value, "LINES": value}, LIST) for value in ("0", "1", "10", "-5", "x", DIGITS)],
]  # fmt: skip


@pytest.mark.parametrize(("environ", "words"), FOLDERS, ids=lambda value: str(value)[:50])
def test_folders_and_files_that_are_none(place: Place, environ: dict[str, str], words: str) -> None:
    place.fresh()
    before = place.tree()
    done = place.run(words, environ=environ)
    assert_answer(done)
    if done.status:
        assert place.tree() == before
        assert not (place.folder / "N").exists()


VALUES = (DIGITS, "-1", "nan", "1e999", "\udcff\udc80", "\x01", "[", "http://[", "\uff11", "/dev/zero")
NUMBERS = ("TIMEOUT", "RETRIES", "LOCK_TIMEOUT", "EXCLUDE_NEWER", "NAME_MAP", "VIRTUAL_PACKAGE", "CHANNEL", "INDEX_URL")
VARIABLES = [(f"BRIDGE_{name}", VALUES[(row + turn) % 10]) for row, name in enumerate(NUMBERS) for turn in (0, 5)]


@pytest.mark.parametrize(("name", "value"), VARIABLES, ids=lambda value: repr(value)[:24])
def test_variables_with_nonsense(place: Place, name: str, value: str) -> None:
    assert_answer(place.run("install -p E leaf=2 --dry-run", environ={name: value}), 0, 2, 3, 6, 7, 10)


PREFIXES = [
    "''",
    ".",
    "file",
    "pipe",
    "loop",
    "loop/x",
    "dangling",
    "/dev/null",
    "/proc/self",
    LONG,
    "/tmp/" + "y/" * 2400,
]
PREFIXES += ["$'\\xff'", "$'a\\nb'", "file/x", "~nobody"]


@pytest.mark.parametrize("prefix", PREFIXES, ids=lambda value: value[:20])
def test_prefixes_that_are_none(place: Place, prefix: str) -> None:
    assert_answer(place.run(f"install -p {prefix} leaf"), 2, 3, 4, 7)


# --- prefixes whose names mean something to a shell, to python or to rattler ------------------------------------------

STARTING = [
    "a b",
    'a"b',
    "a'b",
    "a$HOME",
    "a`id`",
    "a b'c",
    "a #b",
    "a;b",
    "a &b",
    "x" * 150,
    "x y" * 50,
    "\u00e4 \u20ac",
]
STARTING += ["a\u00a0b", "a\u2028b", "a=b", "a{b}", "a !b", "a%20b", "a'''b"]
REFUSED = ["a\\b", "a\tb", "a\nb", 'a b"c', "a b$HOME", "a b`id`", "a b\\c", "a '''b", "x$" * 70]
REFUSED += ['x"' * 70, "a\udcff"]


@pytest.fixture
def odd(place: Place) -> Iterator[Path]:
    folder = place.folder / "odd"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("name", STARTING, ids=lambda value: ascii(value)[:20])
def test_scripts_of_an_odd_prefix_start(place: Place, odd: Path, name: str) -> None:
    prefix = odd / name / "env"
    prefix.parent.mkdir(parents=True)
    quoted = shlex.quote(str(prefix))
    assert_answer(place.run(f"create -p {quoted} tool script pypi:cow"), 0)
    _assert_starts(prefix)
    moved = prefix.with_name("moved")
    prefix.rename(moved)
    assert_answer(place.run(f"audit -p {shlex.quote(str(moved))} --fix"), 0)
    _assert_starts(moved)
    assert_answer(place.run(f"audit -p {shlex.quote(str(moved))}"), 0)


def _assert_starts(prefix: Path) -> None:
    # The program of the tests' python package does not know the environment.
    environ = clean_environment() | {"PYTHONPATH": str(prefix / SITE)}
    for program in ("tool", "cow", "script"):
        done = subprocess.run([prefix / "bin" / program], env=environ, capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == (f"{program} here\n", "")


@pytest.mark.parametrize("name", REFUSED, ids=lambda value: ascii(value)[:20])
def test_a_prefix_whose_scripts_would_not_start_is_refused(place: Place, odd: Path, name: str) -> None:
    prefix = odd / name / "env"
    prefix.parent.mkdir(parents=True)
    done = place.run(f"create -p {shlex.quote(str(prefix))} tool script pypi:cow")
    assert_answer(done, 2)
    assert "error[prefix-name]" in done.err
    assert list(prefix.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "status"), [("<(echo cow)", 0), ("pipe", 2), ("sparse", 2), ("/dev/zero", 2), (".", 2)]
)
def test_files_of_requirements_that_are_none(place: Place, file: str, status: int) -> None:
    assert_answer(place.run(f"resolve -r {file}"), status)


OPTIONS = [
    *[
        f"--virtual-package {value}"
        for value in ("__glibc=x", "'__glibc=x y'", "__glibc=2.17=0=1", f"__glibc={DIGITS}")
    ],
    *[f"--virtual-package {value}" for value in ("__x", "__x=", "'__x=<1'", "'__x=1|2'", "__glibc=2.x")],
    *[
        f"--index-url {value}"
        for value in ("http://127.0.0.1:99999", "javascript:1", "data:,x", "'http://['", "http://")
    ],
    *[f"--exclude-newer {value}" for value in ("x", DIGITS, "nan", "2020-13-01", "0001-01-01x", "1e9y")],
    *[f"--platform {value}" for value in ("x", "../x", "LINUX-64")],
    *[f"--only {value}" for value in ("x", "=", "x=y", "=conda")],
]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda value: value[:40])
def test_options_with_nonsense(place: Place, option: str) -> None:
    assert_answer(place.run(f"resolve {option} leaf pypi:cow"), 2)
