"""Fixtures that several test modules share."""

from __future__ import annotations

import ensurepip
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

from bridge import config
from bridge.fetch.client import Client
from bridge.secrets import SECRETS
from tests.support.builders import make_wheel
from tests.support.clients import MakeClient, clients
from tests.support.command_line import Bridge
from tests.support.servers import IndexServer, Server

# Under `nohup`, or in the background of a shell, these signals are ignored, and so they would be in every command that
# a test starts: tests that interrupt a command need them as a terminal leaves them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# No test enters its environments in the list of the person who runs it.
os.environ["CONDA_REGISTER_ENVS"] = "false"

# How long an example takes says more about the machine than about the code.
COMMON = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
# A run of the suite says the same of the same commit; to look for what nobody thought of: HYPOTHESIS_PROFILE=search.
settings.register_profile("fixed", COMMON, derandomize=True)
settings.register_profile("search", COMMON, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than processors: many tests wait for a server, a terminal or a process."""
    return (os.cpu_count() or 1) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """A failure may depend on the order of the tests: say how to run them in it again."""
    seed = config.getoption("randomly_seed", None)
    if terminalreporter.stats.keys() & {"failed", "error"} and seed is not None:
        terminalreporter.write_line(f"the same order again: pytest --randomly-seed={seed}")


SHARED = Path(os.environ.get("BRIDGE_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of frozen real data; tests that use it carry the marker `shared`."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"the frozen data is not beside the project (set BRIDGE_SHARED; looked at {SHARED.name}/)")
    return SHARED


@pytest.fixture(scope="session")
def real_index() -> None:
    """A package index that answers, as pip is configured; tests that use it carry the marker `network`."""
    settings = config.load({}, os.environ)
    host = urlsplit(settings.index_urls[-1]).hostname
    try:
        socket.create_connection((host or "", 443), timeout=10).close()
    except OSError:
        pytest.skip("no package index answers")


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run that all processes of pytest-xdist share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def bridge_cache(run_folder: Path) -> Path:
    """One cache for all commands of a run: the interpreter is packed once."""
    folder = run_folder / "cache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A few wheels that need each other, and the pip that comes with this python where there is one."""
    folder = tmp_path_factory.mktemp("wheels")
    script = b"def main():\n    print('moo from', __name__)\n"
    made = {
        "cow-1.0": make_wheel(
            folder, "cow", "1.0", files={"cow/__init__.py": script}, console_scripts={"cow": "cow:main"}
        ),
        "cow-2.0": make_wheel(
            folder, "cow", "2.0", files={"cow/__init__.py": script}, console_scripts={"cow": "cow:main"}
        ),
        "barn-1.0": make_wheel(folder, "barn", "1.0", requires=["cow>=1", 'never; python_version < "3"']),
        "farm-1.0": make_wheel(
            folder,
            "farm",
            "1.0",
            requires=["barn", "hay; extra == 'food'"],
            extras=["food"],
            files={
                "farm/__init__.py": b"import barn\n",
                "farm-1.0.data/scripts/plough": b"#!python\nprint('ploughing')\n",
                "farm-1.0.data/data/share/barnyard/map.txt": b"here be cows\n",
            },
        ),
        "hay-1.0": make_wheel(folder, "hay", "1.0"),
        "pinned-1.0": make_wheel(folder, "pinned", "1.0", requires=["cow<2"]),
    }
    bundled = sorted((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    return made | ({"pip": bundled[-1]} if bundled else {})


@pytest.fixture(scope="session")
def index(wheels: dict[str, Path]) -> Iterator[IndexServer]:
    """A package index on loopback that serves `wheels`."""
    with IndexServer() as server:
        for wheel in wheels.values():
            server.publish(wheel)
        yield server


@pytest.fixture
def make_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeClient]:
    """Makes HTTP clients with one cache, which are closed at the end."""
    yield from clients(tmp_path, monkeypatch)


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client()


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server on loopback that a test fills."""
    with Server() as running:
        yield running


@pytest.fixture
def bridge(bridge_cache: Path, index: IndexServer, tmp_path: Path) -> Bridge:
    """The command, against the loopback index, in an empty folder."""
    return Bridge(bridge_cache, index.simple, tmp_path)


@pytest.fixture(autouse=True)
def no_known_secrets() -> None:
    """Servers of different tests take each other's ports; what one was given must not go to the next."""
    SECRETS.forget()
