"""`bridge.api`: the examples of its page, its errors, its silence, and its end by cancellation."""

from __future__ import annotations

import doctest
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge import api
from tests.support.api_worlds import configure, make_world
from tests.support.builders import make_wheel
from tests.support.prefix_trees import tree
from tests.support.servers import IndexServer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
BASE = ["python 3.12.*", "numpy"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_world(folder)
    return folder


@pytest.fixture(autouse=True)
def work(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    configure(monkeypatch, world, tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def env(work: Path) -> Path:
    api.create(work / "env", BASE)
    return work / "env"


def test_the_examples_of_its_page_are_true() -> None:
    found = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 20
    assert found.failed == 0


def test_nothing_is_printed(env: Path, capfd: pytest.CaptureFixture[str]) -> None:
    api.install(env, ["pypi:rich"])
    api.audit(env)
    with pytest.raises(api.BridgeError):
        api.install(env, ["nothing-of-that-name"])
    assert capfd.readouterr() == ("", "")


def test_the_history_names_the_command_that_does_the_same(env: Path, world: Path) -> None:
    api.install(env, ["pypi:rich"], options=api.Options(find_links=[world / "wheels"], prefer="wheel"))
    history = (env / "conda-meta" / "history").read_text()
    assert f"# cmd: bridge install -p {env} pypi:rich --find-links {world / 'wheels'} --prefer wheel\n" in history


WRONG: dict[str, Callable[[Path], object]] = {
    "not-an-environment": lambda work: api.install(work / "nowhere", ["numpy"]),
    "prefix-exists": lambda work: api.create(work / "env", ["numpy"]),
    "no-requirements": lambda work: api.install(work / "env", []),
    "not-installed": lambda work: api.remove(work / "env", ["rich"]),
    "option-value": lambda work: api.resolve("numpy", options=api.Options()),
    "requirement-file": lambda work: api.install(work / "env", files=[work / "absent.txt"]),
    "unknown-check": lambda work: api.audit(work / "env", checks=["no-such-check"]),
    "unknown-package": lambda work: api.audit(work / "env", ["no-such-package"]),
    "no-solution": lambda work: api.resolve(["numpy >=3"]),
    "lock-inputs": lambda work: api.lock(output=work / "none.lock"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_an_error_and_changes_nothing(name: str, env: Path, work: Path) -> None:
    before = tree(env)
    with pytest.raises(api.BridgeError) as raised:
        WRONG[name](work)
    assert raised.value.id == name
    assert tree(env) == before


@pytest.mark.parametrize(
    "options",
    [
        {"channels": "conda-forge"},
        {"only": ["numpy=conda"]},
        {"platform": "linux-65"},
        {"prefer": "pip"},
        {"patience": "soon"},
        {"virtual_packages": {"glibc": "2.17"}},
        {"exclude_newer": ["yesterday"]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_wrong_option_is_an_error(options: dict[str, object]) -> None:
    with pytest.raises(api.BridgeError) as raised:
        api.resolve(["numpy"], options=api.Options(**options))  # type: ignore[arg-type]
    assert raised.value.exit_code == 2


def test_options_beat_the_configuration(env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_COMPILE", "1")
    make_wheel(tmp_path / "more", "rich", "99.0", files={"rich/__init__.py": b""},
               headers=["License: MIT License"])  # fmt: skip
    options = api.Options(find_links=[tmp_path / "more"], compile=False, only={"rich": "wheel"})
    after, read = (
        api.install(env, ["rich"], options=options).changes[0].after,
        api.Environment.read(env).package("rich"),
    )
    assert after is not None
    assert read is not None
    assert (after.version, after.ecosystem, after.sha256) == ("99.0", "wheel", read.sha256)
    assert read.license == "MIT"
    assert not list(env.rglob("rich/__pycache__"))


CHANGES: dict[str, Callable[[Path, api.ProgressCallback], object]] = {
    "create": lambda work, progress: api.create(work / "new", [*BASE, "pypi:rich"], progress=progress),
    "install": lambda work, progress: api.install(work / "env", ["pypi:rich"], progress=progress),
    "remove": lambda work, progress: api.remove(work / "env", ["numpy"], progress=progress),
    "lock": lambda work, progress: api.lock(["numpy"], output=work / "bridge.lock", progress=progress),
    "resolve": lambda work, progress: api.resolve(["numpy"], progress=progress),
    "convert": lambda work, progress: api.convert(["rich"], work / "made", progress=progress),
    "audit": lambda work, progress: api.audit(work / "env", progress=progress),
}


def steps(run: Callable[[Path, api.ProgressCallback], object], folder: Path) -> list[api.Progress]:
    told: list[api.Progress] = []
    run(folder, told.append)
    return told


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report at every occasion, however fast they follow each other."""
    monkeypatch.setattr("bridge.api.running._BEAT", 0.0)


@pytest.mark.usefixtures("no_wait")
@pytest.mark.parametrize("name", CHANGES)
def test_cancelling_at_any_report_leaves_everything_as_it_was(name: str, env: Path, work: Path) -> None:
    before = {path.name: tree(path) if path.is_dir() else path.read_bytes() for path in kept(work)}
    for number in (1, 2, 5, 10, 20, 40):
        told: list[api.Progress] = []

        def cancel(progress: api.Progress, number: int = number, told: list[api.Progress] = told) -> bool:
            told.append(progress)
            return len(told) < number

        try:
            CHANGES[name](work, cancel)
        except api.CancelledError:
            assert len(told) == number, "the callback is not asked again"
        else:
            assert len(told) < number
            return
        assert {path.name: tree(path) if path.is_dir() else path.read_bytes() for path in kept(work)} == before
    assert env.is_dir()


def kept(work: Path) -> Iterator[Path]:
    return (path for path in sorted(work.iterdir()) if path.name != "cache")


@pytest.mark.usefixtures("no_wait")
def test_there_are_reports_of_each_phase(work: Path) -> None:
    told = [progress.task for progress in steps(CHANGES["create"], work)]
    assert told[0] == "solving"
    assert [task for task in ("staging 3 packages", "committing") if task not in told] == []


def test_cancelling_within_a_transfer_ends_it(env: Path, work: Path) -> None:
    with IndexServer() as server:
        server.publish(make_wheel(work / "more", "large", "1.0", files={"large/data.bin": os.urandom(8 << 20)}))
        options = api.Options(index_url=server.simple)
        before, told = tree(env), list[api.Progress]()

        def cancel(progress: api.Progress) -> bool:
            told.append(progress)
            return progress.done == 0

        with pytest.raises(api.CancelledError, match="cancelled while large-1"):
            api.install(env, ["large"], options=options, progress=cancel)
        last = told[-1]
        assert last.total is not None
        assert 0 < last.done < last.total
        assert tree(env) == before
        assert api.install(env, ["large"], options=options).changes[0].name == "large"


def test_what_a_build_prints_is_not_printed(env: Path, work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    project = work / "loud"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "loud"\nversion = "1.0"\nrequires-python = ">=3.8"\n'
    )
    wheel = make_wheel(work / "built", "loud", "1.0", files={"loud/__init__.py": b""})
    (project / "backend.py").write_text(
        "import shutil\ndef build_wheel(folder, settings=None, metadata=None):\n    print('LOUD')\n"
        f"    shutil.copy({str(wheel.name)!r}, folder)\n    return {wheel.name!r}\n"
    )
    shutil.copy(wheel, project)
    assert api.install(env, [str(project)]).changes[0].name == "loud"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "call",
    [
        lambda: api.resolve(["numpy"], options={"prefer": "wheel"}),  # type: ignore[arg-type]
        lambda: api.resolve(["numpy"], progress=3),  # type: ignore[arg-type]
        lambda: api.create(None, ["numpy"]),  # type: ignore[arg-type]
    ],
    ids=["options", "progress", "prefix"],
)
def test_an_argument_of_another_kind_is_a_type_error(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        call()


def test_an_exception_of_the_callback_comes_out_as_it_is(env: Path) -> None:
    before = tree(env)

    def fail(progress: api.Progress) -> None:
        if progress.task.startswith("staging"):
            raise LookupError("of the caller")

    with pytest.raises(LookupError, match="of the caller"):
        api.install(env, ["pypi:rich"], progress=fail)
    assert tree(env) == before


def test_calls_run_in_any_thread(env: Path) -> None:
    failures: list[BaseException] = []

    def run(*requirements: str) -> None:
        try:
            api.install(env, requirements)
        except Exception as error:  # noqa: BLE001 - the test shows it
            failures.append(error)

    threads = [threading.Thread(target=run, args=(text,)) for text in ("pypi:rich", "pypi:rich", "numpy")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    assert api.Environment.read(env).package("rich") is not None
    assert api.audit(env).is_sound


def test_the_imports_of_a_program_are_not_touched() -> None:
    """Importing the interface neither prints nor replaces streams and signal handlers."""
    script = (
        "import signal, sys\n"
        "before = sys.stdout, sys.stderr, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)\n"
        "from bridge import api\n"
        "after = sys.stdout, sys.stderr, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)\n"
        "assert all(a is b for a, b in zip(before, after))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=os.environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
