"""`bridge.build`: what a build gets to see, what it cannot do, and what is kept of it. Every build here is real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge import build_child
from bridge.archive import check_wheel
from bridge.build import BuiltWheels, build_wheel, check_runs, child_environment
from bridge.config import Settings
from bridge.errors import BuildError, UnsafeInputError
from bridge.fetch.cache import sha256_of
from converters.target import Python, Target
from tests.builders import make_wheel, tree_digest
from tests.command_line import clean_environment
from tests.sdists import make_sdist
from tests.servers import IndexServer

ROOT = Path(build_child.__file__).resolve().parents[1]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache", timeout=5.0, retries=0)


def build(sdist: Path, settings: Settings, work: Path) -> Path:
    work.mkdir()
    return build_wheel(sdist, work=work, settings=settings)


def made(wheel: Path) -> str:
    """What the backend wrote into the module of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(next(name for name in archive.namelist() if name.endswith(".py"))).decode()
    names: dict[str, str] = {}
    exec(text, names)
    return names["MADE"]


def reported(code: str) -> str:
    """A backend's `report`: JSON of the value of `found`, which `code` computes."""
    body = "\n".join(f"    {line}" for line in code.splitlines())
    return f"import json\ndef report():\n{body}\n    return json.dumps(found)\n"


def run(tmp_path: Path, settings: Settings, code: str) -> Any:  # noqa: ANN401 - whatever the code found
    sdist = make_sdist(tmp_path / "sdists", "x", "1.0", hook=reported(code))
    return json.loads(made(build(sdist, settings, tmp_path / "work")))


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_a_wheel_is_built(tmp_path: Path, settings: Settings, suffix: str) -> None:
    sdist = make_sdist(tmp_path, "x", "1.0", suffix=suffix, requires=["y>=2"])
    wheel = build(sdist, settings, tmp_path / "work")
    assert wheel.is_relative_to(tmp_path / "work")
    assert check_wheel(wheel).metadata.requires_dist == ("y>=2",)


WHEEL = "x-1.0-py3-none-any.whl"
FAILURES = {
    "an exception": (
        'def build_wheel(*_):\n    print("token https://me:secret@h.example/")\n    raise RuntimeError("no compiler")',
        "no compiler",
    ),
    "an exit": ("def build_wheel(*_):\n    print('boom', flush=True)\n    os._exit(3)", "boom"),
    "no wheel": ("def build_wheel(*_):\n    return 'x-1.0-py3-none-any.whl'", "it made 0 wheels"),
    "no backend": ("raise ImportError('gone')", "Backend 'backend' is not available"),
    "a fifo": (
        f"def build_wheel(where, *_):\n    os.mkfifo(f'{{where}}/{WHEEL}')\n    return {WHEEL!r}",
        "made 0 wheels",
    ),
    "two wheels": (
        (
            f"def build_wheel(where, *_):\n    for name in ({WHEEL!r}, 'other.whl'):\n"
            f"        open(f'{{where}}/{{name}}', 'w').close()\n    return {WHEEL!r}"
        ),
        "made 2 wheels",
    ),
    "a requirement that is nowhere": (
        "def get_requires_for_build_wheel(*_):\n    return ['nowhere-to-be-found']",
        "nowhere-to-be-found",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_build_that_fails(tmp_path: Path, settings: Settings, case: str) -> None:
    code, said = FAILURES[case]
    with pytest.raises(BuildError) as caught:
        build(sdist_with_backend(tmp_path, code), settings, tmp_path / "work")
    error = caught.value
    assert (error.id, error.exit_code) == ("build-failed", 6)
    assert said in error.message
    assert "x-1.0.tar.gz" in error.message
    assert error.hint
    assert len(error.context) <= 20
    assert "secret" not in "\n".join(error.context)


def sdist_with_backend(folder: Path, code: str) -> Path:
    return make_sdist(folder, "x", "1.0", files={"backend.py": f"import os\n{code}\n".encode()})


def test_the_last_lines_of_the_output_are_told(tmp_path: Path, settings: Settings) -> None:
    code = (
        "import sys\ndef build_wheel(*_):\n"
        "    for number in range(100):\n        print('line', number)\n"
        "    print('\\x1b[31mred\\x1b[0m', 'z' * 10_000)\n    sys.stdout.flush()\n    sys.exit('the end')"
    )
    with pytest.raises(BuildError, match="the end") as caught:
        build(sdist_with_backend(tmp_path, code), settings, tmp_path / "work")
    lines = caught.value.context
    assert len(lines) == 20
    assert lines[-1] == "the end"
    assert lines[-2].startswith("red zzz")
    assert max(map(len, lines)) <= 300
    assert "line 99" in lines


@pytest.mark.parametrize("name", ["y-1.0-py3-none-any.whl", "x-2.0-py3-none-any.whl", "nonsense.whl"])
def test_another_wheel_than_asked_for(tmp_path: Path, settings: Settings, name: str) -> None:
    code = f"def build_wheel(where, *_):\n    open(where + '/{name}', 'w').close()\n    return '{name}'"
    with pytest.raises(UnsafeInputError) as caught:
        build(sdist_with_backend(tmp_path, code), settings, tmp_path / "work")
    assert caught.value.id == "wheel-name"


def test_no_build_runs_nothing(tmp_path: Path, settings: Settings) -> None:
    """W76: `--no-build`: "6; setup.py not run"; also where the wheel lies in the cache."""
    sdist = make_sdist(tmp_path, "x", "1.0")
    BuiltWheels(settings).wheel(sdist, sha256_of(sdist))
    forbidding = replace(settings, no_build=True)
    attempts: list[Callable[[], Path]] = [
        lambda: build(sdist, forbidding, tmp_path / "work"),
        lambda: BuiltWheels(forbidding).wheel(sdist, sha256_of(sdist)),
    ]
    for attempt in attempts:
        with pytest.raises(BuildError) as caught:
            attempt()
        assert (caught.value.id, caught.value.exit_code) == ("build-needed", 6)
    assert list((tmp_path / "work").iterdir()) == []


# What a build sees.


def test_home_temporary_files_and_the_working_directory_are_scratch(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = tmp_path / "env"
    (prefix / "bin").mkdir(parents=True)
    monkeypatch.setenv("CONDA_PREFIX", str(prefix))
    monkeypatch.setenv("CFLAGS", f"-I{prefix}/include")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "mine"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(prefix / "bin"), os.environ["PATH"]]))
    code = (
        "import tempfile, os.path\n"
        "found = [dict(os.environ), tempfile.gettempdir(), os.path.expanduser('~'), os.getcwd(), sys.path]"
    )
    environment, temporary, home, folder, path = run(tmp_path, settings, code)
    work = str((tmp_path / "work").resolve())
    assert all(place.startswith(f"{work}/") for place in (temporary, home, folder))
    assert str(prefix) not in json.dumps(environment)
    assert not [name for name in environment if name.startswith(("CONDA", "BRIDGE_", "XDG_"))]
    assert not [entry for entry in path if "site-packages" in entry and not entry.startswith(work)]
    assert str(tmp_path / "mine") not in path


def test_no_list_of_processes_shows_credentials(tmp_path: Path, settings: Settings) -> None:
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("this system has no /proc to look at")
    code = (
        "found, pid = [], os.getpid()\n"
        "while pid > 1:\n"
        "    found.append(open(f'/proc/{pid}/cmdline').read())\n"
        "    pid = int(open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1])\n"
        "found.append(os.environ['PIP_INDEX_URL'])"
    )
    url = "https://me:secret@h.example/simple"
    *commands, seen = run(tmp_path, replace(settings, index_urls=(url,)), code)
    assert seen == url
    assert len(commands) > 2
    assert not [command for command in commands if "secret" in command]


ENVIRONMENTS: dict[str, tuple[dict[str, object], Mapping[str, str], dict[str, str | None]]] = {
    "indexes": (
        {"index_urls": ("https://a/simple", "https://b/simple", "/wheels of mine")},
        {"PIP_INDEX_URL": "https://other", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_TARGET": "/env"},
        {
            "PIP_INDEX_URL": "https://a/simple",
            "PIP_EXTRA_INDEX_URL": "https://b/simple file:///wheels%20of%20mine",
            "PIP_NO_INDEX": None,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_REQUIRE_VIRTUALENV": None,
            "PIP_TARGET": None,
        },
    ),
    "no index": ({}, {}, {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": None}),
    "offline": (
        {"offline": True, "index_urls": ("https://a", "file:///b"), "find_links": ("https://c", "/d")},
        {},
        {"PIP_INDEX_URL": "file:///b", "PIP_EXTRA_INDEX_URL": None, "PIP_FIND_LINKS": "file:///d"},
    ),
    "trust": (
        {"ca_bundle": "/ca.pem", "client_cert": "/c.pem", "proxy": "http://p:1", "trusted_hosts": ("a", "b:8")},
        {},
        {
            "PIP_CERT": "/ca.pem",
            "PIP_CLIENT_CERT": "/c.pem",
            "PIP_PROXY": "http://p:1",
            "PIP_TRUSTED_HOST": "a b:8",
        },
    ),
    "a cooldown": ({"exclude_newer": 1735787045678}, {}, {"PIP_UPLOADED_PRIOR_TO": "2025-01-02T03:04:05Z"}),
    "the target": (
        {"prefix": Path("/envs/mine")},
        {"CC": "/envs/mine/bin/cc", "CXX": "c++", "LIBRARY_PATH": "/envs/mine/lib:/lib"},
        {"CC": None, "CXX": "c++", "LIBRARY_PATH": None},
    ),
    "the path": (
        {"prefix": Path("/envs/mine")},
        {"PATH": "/envs/mine/bin:/usr/bin:/envs/mine2/bin:/envs/other/bin", "CONDA_PREFIX": "/envs/other"},
        {"PATH": "/usr/bin:/envs/mine2/bin"},
    ),
    "other environments": (
        {},
        {"VIRTUAL_ENV": "/v", "PYTHONHOME": "/p", "CONDA_EXE": "/c", "UV_INDEX_URL": "u", "BRIDGE_INDEX_URL": "b"},
        dict.fromkeys(("VIRTUAL_ENV", "PYTHONHOME", "CONDA_EXE", "UV_INDEX_URL", "BRIDGE_INDEX_URL")),
    ),
    "what compilers read": (
        {},
        {"CFLAGS": "-O2", "MACOSX_DEPLOYMENT_TARGET": "11", "LANG": "C", "HTTPS_PROXY": "http://p"},
        {"CFLAGS": "-O2", "MACOSX_DEPLOYMENT_TARGET": "11", "LANG": "C", "HTTPS_PROXY": "http://p"},
    ),
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_the_environment_of_a_build(tmp_path: Path, settings: Settings, case: str) -> None:
    options, environ, expected = ENVIRONMENTS[case]
    found = child_environment(replace(settings, **options), tmp_path, environ)  # type: ignore[arg-type]
    assert {name: found.get(name) for name in expected} == expected


def test_what_stays_in_the_real_home(tmp_path: Path, settings: Settings) -> None:
    home = tmp_path / "home"
    (home / ".rustup").mkdir(parents=True)
    (home / ".netrc").write_text("")
    found = child_environment(settings, tmp_path / "work", {"HOME": str(home)})
    assert (found["RUSTUP_HOME"], found["NETRC"]) == (str(home / ".rustup"), str(home / ".netrc"))
    assert found["HOME"] == str(tmp_path / "work/home")
    assert "NETRC" not in child_environment(settings, tmp_path / "work", {"HOME": str(tmp_path)})


def test_build_requirements_come_from_the_indexes_of_the_run(tmp_path: Path, settings: Settings) -> None:
    tool = make_wheel(tmp_path / "wheels", "tool", "3.0", files={"tool.py": b"ANSWER = 42\n"})
    with IndexServer() as server:
        server.publish(tool)
        hook = reported("import tool\nfound = tool.ANSWER")
        sdist = make_sdist(tmp_path / "sdists", "x", "1.0", hook=hook, build_requires=["tool>=2"])
        wheel = build(sdist, replace(settings, index_urls=(server.simple,)), tmp_path / "work")
        assert server.count("/simple/tool/") == 1
    assert json.loads(made(wheel)) == 42


# What a build cannot do.


def can_confine() -> bool:
    """Asked in a process of its own: confining one is for good."""
    code = f"import runpy, sys; sys.exit(not runpy.run_path({build_child.__file__!r})['confine']([]))"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


ATTEMPTS = (
    "prefix = {prefix!r}\nfound = []\n"
    "def attempt(function, *arguments):\n"
    "    try:\n        function(*arguments)\n        found.append('done')\n"
    "    except OSError as error:\n        found.append(type(error).__name__)\n"
    "attempt(open, prefix + '/new', 'w')\n"
    "attempt(open, prefix + '/lib/file', 'a')\n"
    "attempt(os.truncate, prefix + '/lib/file', 0)\n"
    "attempt(os.unlink, prefix + '/lib/file')\n"
    "attempt(os.rename, prefix + '/lib/file', prefix + '/lib/other')\n"
    "attempt(os.link, prefix + '/lib/file', 'hard')\n"
    "attempt(os.mkdir, prefix + '/folder')\n"
    "attempt(os.rmdir, prefix + '/empty')\n"
    "attempt(os.symlink, '/', prefix + '/link')\n"
    "attempt(os.mkfifo, prefix + '/fifo')\n"
    "import subprocess\n"
    "found.append(subprocess.run(['sh', '-c', 'echo evil > ' + prefix + '/lib/file'], stderr=-3).returncode != 0)\n"
    "open(os.devnull, 'w').close()\n"
    "found.append(open(prefix + '/lib/file').read())\n"
)


def test_w76_a_build_cannot_write_the_prefix(tmp_path: Path, settings: Settings) -> None:
    """W76: "it runs only in the isolated build environment, which cannot write the prefix", even if it knows where."""
    if not can_confine():
        pytest.skip("this kernel has no Landlock: the build merely does not know where the prefix is")
    prefix = tmp_path / "env"
    for folder in ("lib", "empty"):
        (prefix / folder).mkdir(parents=True)
    (prefix / "lib/file").write_text("content")
    before = tree_digest(prefix)
    found = run(tmp_path, replace(settings, prefix=prefix), ATTEMPTS.format(prefix=str(prefix)))
    assert tree_digest(prefix) == before
    assert found[-2:] == [True, "content"]
    assert "done" not in found


def test_semaphores_and_temporary_files_work(tmp_path: Path, settings: Settings) -> None:
    code = (
        "import multiprocessing, tempfile, shutil\n"
        "multiprocessing.Lock().acquire()\n"
        "with tempfile.NamedTemporaryFile() as stream:\n    stream.write(b'x')\n"
        "folder = tempfile.mkdtemp()\nopen(folder + '/a', 'w').close()\nos.mkdir(folder + '/b')\n"
        "os.rename(folder + '/a', folder + '/b/a')\nshutil.rmtree(folder)\nfound = 'fine'"
    )
    assert run(tmp_path, settings, code) == "fine"


INTERRUPTED = """
import sys
from pathlib import Path
from bridge.build import build_wheel
from bridge.config import Settings
build_wheel(Path(sys.argv[1]), work=Path(sys.argv[2]), settings=Settings(cache_dir=Path(sys.argv[3])))
"""


def test_an_interrupted_build_leaves_no_process(tmp_path: Path) -> None:
    code = (
        "import pathlib, time\ndef build_wheel(*_):\n"
        "    pathlib.Path.home().joinpath('pid').write_text(str(os.getpid()))\n    time.sleep(60)"
    )
    sdist, work = sdist_with_backend(tmp_path, code), tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-c", INTERRUPTED, str(sdist), str(work), str(tmp_path / "cache")]
    process = subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stderr=subprocess.PIPE, start_new_session=True
    )
    pid = work / "home/pid"
    deadline = time.monotonic() + 30
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert b"KeyboardInterrupt" in said
    deadline = time.monotonic() + 10
    while is_alive(int(pid.read_text())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(int(pid.read_text()))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody waited for does not."""
    status = Path(f"/proc/{pid}/stat")
    if status.parent.parent.joinpath("self").exists():
        return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# What is kept.


def test_a_wheel_is_built_once(tmp_path: Path, settings: Settings) -> None:
    sdist = make_sdist(tmp_path, "x", "1.0")
    first = BuiltWheels(settings).wheel(sdist, sha256_of(sdist))
    assert first.is_relative_to(settings.cache_dir / "built")
    again = BuiltWheels(settings).wheel(sdist, sha256_of(sdist))
    assert made(again) == made(first)
    assert again == first
    other = make_sdist(tmp_path / "other", "x", "1.0", requires=["y"])
    assert BuiltWheels(settings).wheel(other, sha256_of(other)) != first


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_wheel_is_built_again(tmp_path: Path, settings: Settings, damage: str) -> None:
    sdist = make_sdist(tmp_path, "x", "1.0")
    wheel = BuiltWheels(settings).wheel(sdist, sha256_of(sdist))
    before = made(wheel)
    if damage == "changed":
        wheel.write_bytes(wheel.read_bytes() + b"\0")
    else:
        wheel.unlink()
    again = BuiltWheels(settings).wheel(sdist, sha256_of(sdist))
    check_wheel(again)
    assert made(again) != before


def test_nothing_is_left_of_a_build(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    code = "os.chmod(os.getcwd(), 0o500)\nfound = os.getcwd()"
    sdist = make_sdist(tmp_path / "sdists", "x", "1.0", hook=reported(code))
    assert json.loads(made(BuiltWheels(settings).wheel(sdist, sha256_of(sdist)))).startswith(str(scratch))
    broken = sdist_with_backend(tmp_path, "raise ValueError")
    with pytest.raises(BuildError):
        BuiltWheels(settings).wheel(broken, sha256_of(broken))
    assert list(scratch.iterdir()) == []


def test_a_wheel_that_does_not_run_on_the_target(tmp_path: Path) -> None:
    target = Target(subdir="linux-64", virtual_packages=(("__glibc", "2.36", "0"),))
    target = target.with_python(Python(version="3.12.1"))
    for tag in ("py3-none-any", "cp312-cp312-linux_x86_64", "cp310-abi3-manylinux_2_17_x86_64"):
        check_runs(make_wheel(tmp_path, "x", "1.0", tag=tag), target, "x-1.0.tar.gz")
    for tag in ("cp311-cp311-linux_x86_64", "cp312-cp312-macosx_11_0_arm64"):
        with pytest.raises(BuildError, match=r"x-1\.0\.tar\.gz was built by") as caught:
            check_runs(make_wheel(tmp_path, "x", "1.0", tag=tag), target, "x-1.0.tar.gz")
        assert caught.value.id == "build-unfit"
