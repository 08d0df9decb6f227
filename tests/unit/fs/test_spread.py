"""Tasks spread over copies of the process: the same answers whatever becomes of the copies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bridge.fs.crew import crew
from bridge.fs.processes import spread

HERE = os.getpid()


def answers(jobs: int, count: int = 300) -> list[int]:
    with spread(lambda number: number * number, count, jobs) as running:
        return running.results()


@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 300, 5000])
def test_the_answers_come_in_order(jobs: int, count: int) -> None:
    assert answers(jobs, count) == [number * number for number in range(count)]


def alone(code: str, *, status: int = 0) -> bytes:
    """What an interpreter of its own prints: in this one, other tests may have left threads, with which nothing is
    copied, and children.
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20, check=False)
    assert done.returncode == status, done.stderr.decode()
    return done.stdout


def test_copies_do_the_work_and_large_answers_come_whole() -> None:
    code = """
import os
from bridge.fs.processes import spread
with spread(lambda number: (os.getpid(), bytes(1 << 18)), 40, 3) as running:
    found = running.results()
print(os.getpid() in {process for process, _ in found}, {len(data) for _, data in found} == {1 << 18})
"""
    assert alone(code).split() == [b"False", b"True"]


def test_what_a_copy_failed_to_do_is_done_here() -> None:
    """MUST: no copy changes what is found: not one that dies, not one whose task fails there."""
    code = """
import os, signal
from bridge.fs.processes import spread
HERE = os.getpid()
def task(number):
    if os.getpid() != HERE and number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    if os.getpid() != HERE and number % 3 == 0:
        raise ValueError(number)
    return number
with spread(task, 100, 2) as running:
    print(running.results() == list(range(100)))
"""
    assert alone(code) == b"True\n"


def test_copies_tell_in_brief_first_and_one_that_dies_changes_nothing() -> None:
    code = """
import os, signal
from bridge.fs.processes import spread
HERE = os.getpid()
def task(number):
    return number, "x" * 10_000
def brief(result):
    if os.getpid() != HERE and brief.dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return result[0]
for brief.dies in (False, True):
    with spread(task, 100, 3, takes_part=True, brief=brief) as running:
        print(running.briefs == list(range(100)), running.results() == list(map(task, range(100))))
with spread(task, 100, 3, takes_part=True, brief=brief) as running:
    print(running.results() == list(map(task, range(100))))
with spread(task, 100, 3, brief=brief) as running:
    running.briefs
"""
    assert alone(code).split() == [b"True"] * 5


def test_an_error_is_raised_here() -> None:
    def task(number: int) -> int:
        return 1 // (number - 5)

    with spread(task, 10, 2) as running, pytest.raises(ZeroDivisionError):
        running.results()


def test_with_threads_nothing_is_copied() -> None:
    """MUST: a copy would hold the locks of threads that it does not have."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with spread(lambda _: os.getpid(), 10, 2) as running:
            assert set(running.results()) == {HERE}
    finally:
        done.set()
        thread.join()


def test_what_is_left_ends_the_copies() -> None:
    code = """
import os, time
from bridge.fs.processes import spread
started = time.monotonic()
with spread(lambda _: time.sleep(60), 2, 2):
    pass
assert time.monotonic() - started < 10
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("none")
"""
    assert alone(code) == b"none\n"


def test_copies_end_with_their_parent() -> None:
    """MUST: whoever kills an audit is rid of all of it."""
    code = """
import os, sys, time
from bridge.fs.processes import spread
def task(number):
    time.sleep(0.05)
    print(os.getpid(), flush=True)
    return number
with spread(task, 1000, 2) as running:
    time.sleep(0.5)
    os._exit(0)
"""
    # The pipe ends when the last process that holds it has ended.
    assert 0 < len(alone(code).splitlines()) < 200


def test_a_copy_with_much_to_say_ends_with_its_parent() -> None:
    """MUST: whoever kills an audit is rid of all of it: more than a pipe holds, and nobody who reads it."""
    code = """
import os, time
from bridge.fs.processes import spread
def task(number):
    time.sleep(0.2)
    return bytes(1 << 20)
with spread(task, 8, 2), spread(task, 8, 2):
    time.sleep(0.1)
    os.kill(os.getpid(), 9)
"""
    alone(code, status=-signal.SIGKILL)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_nothing_stays_open() -> None:
    code = """
import os, time
from bridge.fs.processes import spread
before = len(os.listdir("/proc/self/fd"))
for _ in range(3):
    with spread(str, 10, 3) as running:
        running.results()
    with spread(time.sleep, 3, 2):
        pass
print(len(os.listdir("/proc/self/fd")) - before)
"""
    assert alone(code) == b"0\n"


def added(jobs: int, count: int) -> list[bytes]:
    with crew(bytes.upper, jobs) as running:
        for number in range(count):
            running.add(b"n%d" % number, is_large=number % 7 == 0)
        return running.results()


@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 300, 9000])
def test_the_answers_of_a_crew_come_in_order(jobs: int, count: int) -> None:
    """More tasks than the pipes hold, too."""
    assert added(jobs, count) == [b"N%d" % number for number in range(count)]


def test_a_crew_works_while_its_tasks_are_added_and_what_it_fails_to_do_is_done_here() -> None:
    """MUST: no copy changes what is found: not one that dies, not one whose task fails there."""
    code = """
import os, signal
from bridge.fs.crew import crew
HERE = os.getpid()
told, telling = os.pipe()
def task(data):
    os.write(telling, b".")
    if os.getpid() != HERE and data == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    if os.getpid() != HERE and data == b"fail":
        raise ValueError(data)
    return data, os.getpid() == HERE
with crew(task, 3) as running:
    for data in (b"first", b"fail", b"second"):
        running.add(data)
    for _ in range(3):
        os.read(told, 1)  # The copies have taken all.
    found = running.results()
with crew(task, 3) as running:
    for data in (b"a", b"die", b"b") * 20:
        running.add(data)
    print(found, [data for data, _ in running.results()] == [b"a", b"die", b"b"] * 20)
"""
    assert alone(code) == b"[(b'first', False), (b'fail', True), (b'second', False)] True\n"


def test_an_error_of_a_crew_is_raised_here_and_no_copy_stays() -> None:
    code = """
import os, time
from bridge.fs.crew import crew
try:
    with crew(lambda data: time.sleep(0.3) if data else 1 / 0, 3) as running:
        running.add(b"x")
        running.add(b"")
        running.results()
except ZeroDivisionError:
    pass
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print(len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 4)
"""
    assert alone(code) == b"4\n"  # three, and the one that lists them


def test_without_room_for_its_data_a_crew_does_all_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """MUST: a full disk or memory makes it slower, and changes nothing."""

    def full(_file: int, data: bytes, _offset: int) -> int:
        return len(data) // 2

    monkeypatch.setattr("os.pwrite", full)
    assert added(3, 50) == [b"N%d" % number for number in range(50)]


def test_without_files_in_memory_a_crew_uses_one_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("os.memfd_create", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert added(3, 50) == [b"N%d" % number for number in range(50)]
    assert list(tmp_path.iterdir()) == []


def test_a_crew_ends_with_its_parent() -> None:
    """MUST: whoever kills an audit is rid of all of it, also of copies that wait for tasks."""
    code = """
import os, time
from bridge.fs.crew import crew
from bridge.fs.processes import spread
with crew(len, 3) as running, spread(lambda _: time.sleep(0.1), 4, 2):
    running.add(b"x")
    time.sleep(0.1)
    os.kill(os.getpid(), 9)
"""
    alone(code, status=-signal.SIGKILL)
