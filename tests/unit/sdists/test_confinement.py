"""What the code of a build cannot do, each row of docs/security.md by a build that tries it. Every build here is real.

The same attempts are made with each set of mechanisms that a machine may have: what is not kept then must be told.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from bridge.config import Settings
from bridge.config.builds import BuildSettings
from bridge.errors import BuildError
from bridge.sdists.build import build_wheel
from bridge.sdists.build.confinement import available, gaps
from bridge.sdists.confine.request import MECHANISMS
from tests.support.processes import processes_with, wait_until
from tests.support.sdists import make_sdist
from tests.unit.sdists.test_build import NoRequirements, made, reported, sdist_with_backend

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="other systems have none of the mechanisms"
)

FULL = ("namespaces", "landlock", "seccomp")
SETS: dict[str, tuple[str, ...]] = {
    "all": MECHANISMS,
    "namespaces alone": ("namespaces",),
    "no namespaces": ("landlock", "seccomp", "subreaper"),
    "none": (),
}

ATTEMPTS = """
import ctypes, os, socket, subprocess, sys, time
facts = {facts!r}
prefix, found = facts["prefix"], {{}}
kernel = ctypes.CDLL(None, use_errno=True)

def attempt(name, function, *arguments, **options):
    try:
        result = function(*arguments, **options)
        found[name] = "done"
        return result
    except OSError as error:
        found[name] = type(error).__name__

def connect(family, address):
    with socket.socket(family) as one:
        one.settimeout(2)
        one.connect(address)

def read(path):
    with open(path) as stream:
        if not stream.read():
            raise FileNotFoundError(path)

def send(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"datagram", address)

def called(name, *arguments):
    if getattr(kernel, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

file = prefix + "/lib/file"
attempt("chmod", os.chmod, file, 0o777)
attempt("chmod of a folder", os.chmod, prefix + "/lib", 0o700)
attempt("utime", os.utime, file, (1, 1))
attempt("chown", os.chown, file, os.getuid(), os.getgid())
attempt("xattr", os.setxattr, file, "user.evil", b"1")
attempt("create", open, prefix + "/new", "w")
attempt("append", open, file, "a")
attempt("truncate", os.truncate, file, 0)
attempt("unlink", os.unlink, file)
attempt("rename", os.rename, file, prefix + "/lib/other")
attempt("hard link", os.link, file, "hard")
attempt("mkdir", os.mkdir, prefix + "/folder")
attempt("rmdir", os.rmdir, prefix + "/empty")
attempt("symlink", os.symlink, "/", prefix + "/link")
attempt("fifo", os.mkfifo, prefix + "/fifo")
status = subprocess.run(["sh", "-c", "echo evil > " + file], stderr=-3).returncode
found["shell"] = "refused" if status else "done"
attempt("netrc", read, facts["home"] + "/.netrc")
attempt("aws", read, facts["home"] + "/.aws/credentials")
attempt("cache", read, facts["cache"] + "/secret")
attempt("tcp", connect, socket.AF_INET, ("127.0.0.1", facts["port"]))
attempt("udp", send, ("127.0.0.1", facts["udp"]))
attempt("unix socket", connect, socket.AF_UNIX, facts["unix"])
attempt("abstract socket", connect, socket.AF_UNIX, chr(0) + facts["abstract"])
attempt("signal", os.kill, facts["pid"], 0)
attempt("shared memory", open, "/dev/shm/" + facts["mark"], "w")
attempt("mount", called, "mount", b"tmpfs", b"/mnt", b"tmpfs", 0, None)
attempt("raw device", open, facts["device"], "r+b") if facts["device"] else None
planted = b""
for name in os.listdir("/proc"):
    if name.isdigit():
        try:
            planted += open(f"/proc/{{name}}/environ", "rb").read()
        except OSError:
            pass
found["environ"] = "done" if facts["secret"].encode() in planted else "hidden"
# A daemon: forked twice, in a session of its own, with nothing open.
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(3):
            os.close(number)
        os.execvp("sleep", ["sleep", facts["seconds"]])
    os._exit(0)
os.wait()
time.sleep(0.2)
found["daemon"] = "done"
"""


@lru_cache(maxsize=8)
def can(mechanisms: tuple[str, ...]) -> bool:
    """Whether this machine has all of them."""
    wanted = set(mechanisms)
    return wanted <= set(available(mechanisms)) | ({"subreaper"} if "namespaces" in wanted else set())


@contextmanager
def services(folder: Path) -> Iterator[dict[str, Any]]:
    """A listening socket of every kind, as a machine has them."""
    mark = f"bridge-{random.SystemRandom().getrandbits(60)}"
    kinds: dict[str, tuple[int, int, Any]] = {
        "port": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        "unix": (socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "s")),
        "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, f"\0{mark}"),
    }
    open_output: dict[str, socket.socket] = {}
    for name, (family, kind, address) in kinds.items():
        open_output[name] = socket.socket(family, kind)
        open_output[name].bind(address)
        if kind == socket.SOCK_STREAM:
            open_output[name].listen(5)
    try:
        yield {
            "port": open_output["port"].getsockname()[1],
            "udp": open_output["udp"].getsockname()[1],
            "unix": str(folder / "s"),
            "abstract": mark,
            "mark": mark,
            "opened": open_output,
        }
    finally:
        for each in open_output.values():
            each.close()


def attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builds: BuildSettings
) -> tuple[dict[str, str], list[str]]:
    """(attempt → "done" or how it failed, what was told before the build); what is outside is judged too."""
    home, prefix, cache = tmp_path / "home", tmp_path / "env", tmp_path / "cache"
    for folder in (home / ".aws", prefix / "lib", prefix / "empty", cache):
        folder.mkdir(parents=True)
    for path in (home / ".netrc", home / ".aws/credentials", prefix / "lib/file", cache / "secret"):
        path.write_text("content")
    secret = f"planted{random.SystemRandom().getrandbits(60)}"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("bridge.sdists.build.confinement._warned", set())
    # The environment of a process as /proc shows it is that of its start.
    bystander = subprocess.Popen(["sleep", "300"], env={"SECRET": secret, "PATH": os.environ["PATH"]})
    settings = Settings(cache_dir=cache, prefix=prefix, builds=builds)
    seconds = f"{70 + random.SystemRandom().random()}"
    told: list[str] = []
    device = next((path for path in ("/dev/vda", "/dev/sda", "/dev/mem") if os.path.exists(path)), "")
    try:
        with services(tmp_path) as facts:
            open_output = facts.pop("opened")
            facts |= {"prefix": str(prefix), "home": str(home), "cache": str(cache), "pid": os.getpid()}
            facts |= {"secret": secret, "seconds": seconds, "device": device}
            sdist = make_sdist(tmp_path / "sdists", "x", "1.0", hook=reported(ATTEMPTS.format(facts=facts)))
            (tmp_path / "work").mkdir()
            work = tmp_path / "work"
            wheel = build_wheel(sdist, work=work, settings=settings, requirements=NoRequirements(), tell=told.append)
            found: dict[str, str] = json.loads(made(wheel))
            open_output["udp"].setblocking(False)
            try:
                open_output["udp"].recv(100)
            except BlockingIOError:  # sent, if at all, to a network of its own
                found["udp"] = "lost" if found["udp"] == "done" else found["udp"]
            left = Path("/dev/shm", facts["mark"])
            if not left.exists() and found["shared memory"] == "done":
                found["shared memory"] = "its own"
            left.unlink(missing_ok=True)
    finally:
        bystander.kill()
        bystander.wait()
    wait_until(lambda: not processes_with(seconds), 3.0)
    left_over = processes_with(seconds)
    for process in left_over:
        os.kill(process, 9)
    if not left_over:
        found["daemon"] = "ended"
    return found, told


CHANGES = {
    "create", "append", "truncate", "unlink", "rename", "hard link", "mkdir", "rmdir", "symlink", "fifo", "shell",
}  # fmt: skip
MODES = {"chmod", "chmod of a folder", "utime", "chown", "xattr"}
SECRETS = {"netrc", "aws", "cache"}


def succeeded(found: dict[str, str]) -> set[str]:
    return {name for name, how in found.items() if how == "done"}


@pytest.mark.slow
@pytest.mark.parametrize("case", ["all", "namespaces alone"])
def test_with_namespaces_nothing_gets_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """W76, and hole 4: files, modes, processes, shared memory, network, secrets, services, devices."""
    if not can(SETS[case]):
        pytest.skip("this machine does not allow namespaces")
    found, told = attempts(tmp_path, monkeypatch, BuildSettings(mechanisms=SETS[case]))
    assert succeeded(found) == set()
    assert found.keys() >= CHANGES | MODES | SECRETS
    assert told == []


@pytest.mark.slow
def test_without_namespaces_the_rest_is_kept_and_the_difference_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can(SETS["no namespaces"]):
        pytest.skip("this machine has no Landlock or no seccomp")
    found, told = attempts(tmp_path, monkeypatch, BuildSettings(mechanisms=SETS["no namespaces"]))
    # The abstract socket and the signal are kept from it by Landlock of version 6.
    assert succeeded(found) - {"abstract socket", "signal"} <= MODES | {"shared memory", "unix socket"}
    assert not succeeded(found) & (CHANGES | SECRETS)
    assert (found["tcp"], found["udp"], found["daemon"]) == ("PermissionError", "PermissionError", "ended")
    assert len(told) == 1
    assert "modes, owners and times" in told[0]
    assert "shared memory" in told[0]
    assert "network" not in told[0]
    assert "processes" not in told[0]


@pytest.mark.slow
def test_with_nothing_all_of_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, told = attempts(tmp_path, monkeypatch, BuildSettings(mechanisms=()))
    assert found["create"] == found["chmod"] == found["tcp"] == "done"
    assert len(told) == 1
    for gap in ("change any file", "credential files", "modes", "use the network", "leave processes", "shared memory"):
        assert gap in told[0]


def test_each_gap_is_named() -> None:
    assert gaps(FULL, network=False) == []
    assert any("network" in gap for gap in gaps(("landlock", "subreaper"), network=False))
    assert not any("network" in gap for gap in gaps(("landlock", "subreaper"), network=True))
    assert any("processes" in gap for gap in gaps(("landlock", "seccomp"), network=False))


def test_full_confinement_refuses_what_it_cannot_keep(tmp_path: Path) -> None:
    builds = BuildSettings(mechanisms=("landlock",), confinement="full")
    sdist = sdist_with_backend(tmp_path, "raise SystemExit('not to run')")
    with pytest.raises(BuildError) as caught:
        build_wheel(
            sdist,
            work=tmp_path,
            settings=Settings(cache_dir=tmp_path / "cache", builds=builds),
            requirements=NoRequirements(),
            tell=print,
        )
    assert caught.value.id == "build-unconfined"
    assert not (tmp_path / "scratch/output").exists()


# Real conditions: user namespaces used up, and privileges given up, in a process that has neither to begin with.

ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from bridge.sdists.build.confinement import available
print(json.dumps(available()))
"""
ROOT = Path(__file__).resolve().parents[3]


def asked_within(*launcher: str) -> list[str]:
    """What works for a process that is started by a launcher."""
    done = subprocess.run(
        [*launcher, sys.executable, "-c", ASK, str(ROOT)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"it cannot be arranged here: {done.stderr[:200]}")
    found: list[str] = json.loads(done.stdout)
    return found


def test_a_machine_without_user_namespaces() -> None:
    """An ordinary user where an administrator has set `user.max_user_namespaces` to 0."""
    if not can(("namespaces",)):
        pytest.skip("this machine does not allow namespaces")
    none = 'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
    found = asked_within("unshare", "--user", "--map-root-user", "sh", "-c", none, "sh")
    assert "namespaces" not in found
    assert {"subreaper", "seccomp"} <= set(found)


PROBE = """
import os, subprocess, sys, tempfile
sys.path.insert(0, sys.argv[1])
from bridge.sdists.confine.request import SandboxRequest
code = "import sys; sys.path.insert(0, sys.argv[1]); from bridge.sdists.confine import child; "
code += "child.main(sys.stdin.read(), child.probe)"
with tempfile.TemporaryDirectory() as folder:
    request = SandboxRequest(mechanisms=("namespaces", "landlock", "seccomp"), writable=folder, parent=os.getpid())
    command = [sys.executable, "-I", "-B", "-c", code, sys.argv[1]]
    sys.exit(subprocess.run(command, input=request.text().encode()).returncode)
"""


def test_an_ordinary_user_is_confined_as_well() -> None:
    """By user namespaces, without any privilege. The sandbox needs the standard library only: any python will do."""
    python = next((path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if os.path.exists(path)), None)
    if os.geteuid() != 0 or python is None or not can(FULL):
        pytest.skip("needs root, to become another user, a python that this one may run, and namespaces")
    become = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    command = [*become, python, "-c", PROBE, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_network_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 5).close()\nfound = 'connected'"
        sdist = make_sdist(tmp_path / "sdists", "x", "1.0", hook=reported(code))
        for network in (True, False):
            settings = Settings(cache_dir=tmp_path / "cache", builds=BuildSettings(network=network))
            work = tmp_path / f"work-{network}"
            work.mkdir()
            if network:
                wheel = build_wheel(sdist, work=work, settings=settings, requirements=NoRequirements(), tell=print)
                assert json.loads(made(wheel)) == "connected"
            elif can(("namespaces",)) or can(("seccomp",)):
                with pytest.raises(BuildError):
                    build_wheel(sdist, work=work, settings=settings, requirements=NoRequirements(), tell=print)


# Limits.


def build_of(tmp_path: Path, code: str, **builds: Any) -> BuildError:  # noqa: ANN401
    settings = Settings(cache_dir=tmp_path / "cache", builds=BuildSettings(**builds))
    (tmp_path / "work").mkdir()
    with pytest.raises(BuildError) as caught:
        build_wheel(
            sdist_with_backend(tmp_path, code),
            work=tmp_path / "work",
            settings=settings,
            requirements=NoRequirements(),
            tell=lambda _: None,
        )
    return caught.value


@pytest.mark.parametrize("case", ["all", "no namespaces"])
def test_a_build_that_does_not_end(tmp_path: Path, case: str) -> None:
    seconds = f"{80 + random.SystemRandom().random()}"
    code = (
        "import subprocess, time\ndef build_wheel(*_):\n"
        f"    subprocess.Popen(['sleep', '{seconds}'], start_new_session=True)\n    time.sleep(600)"
    )
    error = build_of(tmp_path, code, timeout=4.0, mechanisms=SETS[case])
    assert "BRIDGE_BUILD_TIMEOUT" in error.message
    wait_until(lambda: not processes_with(seconds), 5.0)
    assert not processes_with(seconds)


@pytest.mark.slow
def test_a_flood_of_output_goes_nowhere(tmp_path: Path) -> None:
    code = (
        "import sys\ndef build_wheel(*_):\n    block = 'x' * 99 + '\\n'\n"
        "    for _ in range(4000):\n        sys.stdout.write(block * 1000)\n    raise SystemExit('the end')"
    )
    error = build_of(tmp_path, code)
    assert "the end" in error.message
    written = sum(path.stat().st_size for path in (tmp_path / "work").rglob("*") if path.is_file())
    assert written < 1 << 22


def test_a_backend_that_closes_its_output(tmp_path: Path) -> None:
    error = build_of(tmp_path, "def build_wheel(*_):\n    os.close(1); os.close(2); os._exit(4)")
    assert error.id == "build-failed"


@pytest.mark.slow
def test_threads_may_build_at_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def one(number: int) -> None:
        try:
            folder = tmp_path / str(number)
            (folder / "work").mkdir(parents=True)
            build_wheel(
                make_sdist(folder, "x", "1.0"),
                work=folder / "work",
                settings=Settings(cache_dir=tmp_path / "cache"),
                requirements=NoRequirements(),
                tell=lambda _: None,
            )
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [len(list((tmp_path / str(number)).rglob("built/*.whl"))) for number in range(3)] == [1, 1, 1]


FILLING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from bridge.sdists.build import build_wheel
from bridge.config import Settings
from bridge.errors import BuildError

class Nothing:
    def wheels(self, requirements, label):
        return ()

work = Path(sys.argv[3], "work")
work.mkdir()
try:
    build_wheel(Path(sys.argv[2]), work=work, settings=Settings(cache_dir=work), requirements=Nothing(), tell=print)
except BuildError as error:
    print(error.message)
"""


def test_a_build_that_fills_the_disk_is_ended(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not can(("namespaces",)):
        pytest.skip("needs root, to mount a small file system")
    code = (
        "import time\ndef build_wheel(*_):\n    try:\n        with open('big', 'wb') as file:\n"
        "            while True:\n                file.write(bytes(1 << 20))\n"
        "    except OSError:\n        time.sleep(600)"
    )
    sdist, folder = sdist_with_backend(tmp_path / "sdists", code), tmp_path / "small"
    folder.mkdir()
    mounted = 'mount -t tmpfs -o size=80m tmpfs "$0" && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mounted, str(folder), sys.executable, "-c", FILLING]
    done = subprocess.run(
        [*command, str(ROOT), str(sdist), str(folder)], capture_output=True, text=True, check=False, timeout=120
    )
    assert "it filled the disk" in done.stdout, done.stderr
