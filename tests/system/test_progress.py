"""The progress of slow runs on a terminal, and what `-v` and `-vv` tell."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from bridge.cli.progress import Phases, ProgressDisplay
from tests.support.builders import make_conda, make_repodata, tree_digest
from tests.support.command_line import Bridge
from tests.support.servers import Route, Server
from tests.support.terminals import on_terminal

SECRET = "sesame-street"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("progress") / "channel"
    make_conda(folder, "demo", "1.0", depends=["a-dependency-with-a-name-that-is-far-too-long-for-any-terminal"])
    make_conda(folder, "a-dependency-with-a-name-that-is-far-too-long-for-any-terminal", "1.0")
    make_repodata(folder)
    return folder


@pytest.fixture
def server(files: Path) -> Iterator[Server]:
    """The channel below a token; its packages arrive byte by byte, the repodata after a while."""
    with Server() as server:
        for path in sorted(files.rglob("*.*")):
            name, is_package = path.relative_to(files).as_posix(), path.suffix == ".conda"
            route: Route = server.add(f"/{name}", path.read_bytes(), drip=0.001 if is_package else 0.0)
            route.credentials = ("me", SECRET)
            if name == "noarch/repodata.json":
                route.drip_head = 0.01
        yield server


@pytest.fixture
def environ(tmp_path: Path, server: Server) -> Mapping[str, str]:
    return {
        "BRIDGE_CACHE_DIR": str(tmp_path / "cache"),
        "BRIDGE_CHANNEL": server.url.replace("://", f"://me:{SECRET}@"),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "LC_ALL": "C.UTF-8",
    }


@pytest.mark.parametrize("width", [60, 80, 120])
def test_each_phase_has_one_line(tmp_path: Path, environ: Mapping[str, str], server: Server, width: int) -> None:
    words = ["create", "-p", tmp_path / "new", "demo", "-y", "-vv"]
    seen = on_terminal(words, environ=environ, folder=tmp_path, width=width)
    assert seen.status == 0, seen.plain
    frames = re.split(r"\x1b\[2K|[\r\n]+", seen.raw)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in frames]
    phases = [
        line for line in lines if re.match(r"(solving|fetching|unpacking \d+ packages|staging|committing)  ", line)
    ]
    assert {line.split()[0] for line in phases} >= {"solving", "fetching"}, seen.plain
    assert max(map(len, phases)) < width
    assert any("waiting for http://127.0.0.1" in line for line in phases), phases
    assert any(re.search(r"[0-9.]+ (B|kB) of [0-9.]+ kB  ", line) for line in phases), phases
    assert any("━" in line for line in phases) == (width > 60)
    assert re.search(rf"GET {re.escape(server.url)}/noarch/repodata\.json: 200 after [0-9.]+ s", seen.plain)
    assert re.search(
        r"solving [0-9.]+ s, fetching [0-9.]+ s \([0-9.]+ kB\), unpacking 2 packages [0-9.]+ s, staging 2", seen.plain
    )
    assert re.search(r"\d+ requests: \d+ to 127\.0\.0\.1:\d+", seen.plain)
    assert SECRET not in seen.raw


@pytest.mark.parametrize("moment", ["solving", "fetching"])
def test_an_interruption_leaves_everything_as_it_was(tmp_path: Path, environ: Mapping[str, str], moment: str) -> None:
    (tmp_path / "prefix/conda-meta").mkdir(parents=True)
    (tmp_path / "prefix/conda-meta/history").touch()
    before = tree_digest(tmp_path / "prefix")
    for command in ("install", "create"):
        path = tmp_path / ("prefix" if command == "install" else "new")
        words = [command, "-p", path, "demo", "-y"]
        seen = on_terminal(words, environ=environ, folder=tmp_path, answers=[(moment, signal.SIGINT)])
        assert seen.status == 130, seen.plain
        assert "Traceback" not in seen.plain
    assert tree_digest(tmp_path / "prefix") == before
    assert sorted(os.listdir(tmp_path)) == ["cache", "prefix"]


@pytest.mark.slow
def test_verbose_tells_it_without_a_terminal(tmp_path: Path, environ: Mapping[str, str], server: Server) -> None:
    bridge = Bridge(cache=tmp_path / "cache", index=None, folder=tmp_path, environ=environ)
    plain = bridge("create", "-p", tmp_path / "one", "demo")
    assert "solving" not in plain.err
    verbose = bridge("create", "-p", tmp_path / "two", "demo", "-v")
    assert re.search(
        r"^solving [0-9.]+ s, staging 2 packages [0-9.]+ s, committing [0-9.]+ s$", verbose.err, re.MULTILINE
    )
    assert "GET " not in verbose.err
    more = {"BRIDGE_VERBOSE": "2", "BRIDGE_CACHE_DIR": str(tmp_path / "other")}
    traced = bridge("create", "-p", tmp_path / "three", "demo", environ=more)
    assert f"GET {server.url}/noarch/repodata.json" in traced.err
    assert SECRET not in plain.err + verbose.err + traced.err


def test_reading_a_large_cache_is_a_step(tmp_path: Path) -> None:
    bridge = Bridge(cache=tmp_path / "cache", index=None, folder=tmp_path, environ={})
    assert re.search(r"^reading the cache [0-9.]+ s$", bridge("cache", "--verify", "-v").err, re.MULTILINE)
    assert "reading the cache" not in bridge("cache", "-v").err


class SlowConsole(Console):
    """A console that takes its time to lay out a message."""

    def __init__(self, terminal: io.StringIO) -> None:
        super().__init__(file=terminal, force_terminal=True, width=80, legacy_windows=False)
        self.is_laying_out = threading.Event()

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        if "message" in str(renderable):
            self.is_laying_out.set()
            time.sleep(0.3)
        yield from super().render(renderable, options)


def test_a_message_of_another_thread_never_continues_a_frame() -> None:
    terminal, phases = io.StringIO(), Phases()
    console = SlowConsole(terminal)
    phases.start("solving", None)
    display = ProgressDisplay(phases, lambda: console, is_unicode=True)
    speaker = threading.Thread(target=display.print, args=["a message"])
    speaker.start()
    assert console.is_laying_out.wait(60)
    display.begin()
    speaker.join()
    display.end()
    written = re.split(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]+", terminal.getvalue())
    assert [line for line in written if "message" in line] == ["a message"]


@pytest.mark.parametrize("width", range(8, 140, 11))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    now = iter(range(1000))
    phases = Phases(clock=lambda: float(next(now)))
    phases.waiting = lambda: "https://例え.example/" + "long/" * 40
    phases.start("solving", None)
    phases.pinned("demo", 12_345)
    for number in range(5):
        phases.start(f"package-{number}-1.0-0.conda", 12_000_000_000 if number else None)
        phases.advance(f"package-{number}-1.0-0.conda", 7_654_321)
    for is_unicode in (True, False):
        lines = phases.lines(width, is_unicode=is_unicode)
        assert len(lines) == 2
        assert max(map(len, lines)) < width
    phases.finish("package-1-1.0-0.conda")
    phases.finish("solving")
    assert phases.took.startswith("fetching ")
    assert "solving" in phases.took


_FORKS_BESIDE_THE_DISPLAY = """
import io
from rich.console import Console
from bridge.cli.progress import Phases, ProgressDisplay
from bridge.fs.copies import may_fork

phases = Phases()
display = ProgressDisplay(phases, lambda: Console(file=io.StringIO(), force_terminal=True), is_unicode=True)
before = may_fork()
phases.start("staging 2 packages", None)
print(before, may_fork())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")
def test_what_is_shown_on_a_terminal_does_not_keep_packages_from_both_processors() -> None:
    command = [sys.executable, "-c", _FORKS_BESIDE_THE_DISPLAY]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True True\n"
