"""What a build gets to see, what it cannot do, and what is kept of it. Every build here is real."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import bridge
from bridge.archive.wheels import check_wheel
from bridge.cache.blobs import sha256_of
from bridge.config import Settings
from bridge.config.builds import BuildSettings
from bridge.errors import BuildError, UnsafeInputError
from bridge.fetch.client import Client
from bridge.sdists.build import build_wheel
from bridge.sdists.build.environment import build_environment, hidden_paths
from bridge.sdists.build.wheels import BuiltWheels
from bridge.sdists.compatibility import check_runs
from bridge.sdists.confine.request import MECHANISMS
from converters.target import Python, Target
from tests.support.builders import make_wheel
from tests.support.command_line import clean_environment
from tests.support.indexes import Index
from tests.support.processes import processes_with, wait_until
from tests.support.sdists import make_sdist
from tests.support.servers import IndexServer

ROOT = Path(bridge.__file__).resolve().parents[1]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache", timeout=5.0, retries=0)


def build(sdist: Path, settings: Settings, work: Path, told: list[str] | None = None) -> Path:
    work.mkdir()
    with closing(Client(settings)) as client:
        requirements = Index(client, settings.index_urls, settings.find_links).build_requirements()
        tell = (told if told is not None else []).append
        return build_wheel(sdist, work=work, settings=settings, requirements=requirements, tell=tell)


class NoRequirements:
    """For builds that require nothing."""

    def wheels(self, requirements: Sequence[Requirement], label: str) -> Sequence[Path]:
        assert not requirements
        return ()


def built_wheels(settings: Settings) -> BuiltWheels:
    return BuiltWheels(settings, lambda _: NoRequirements(), lambda _: None)


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
    built_wheels(settings).wheel(sdist, sha256_of(sdist))
    forbidding = replace(settings, no_build=True)
    attempts: list[Callable[[], Path]] = [
        lambda: build(sdist, forbidding, tmp_path / "work"),
        lambda: built_wheels(forbidding).wheel(sdist, sha256_of(sdist)),
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


SECRETS = (
    "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "TWINE_PASSWORD", "HF_TOKEN", "NPM_TOKEN", "NETRC",
    "UV_INDEX_URL", "PIP_INDEX_URL", "BRIDGE_INDEX_URL", "SSH_AUTH_SOCK", "CI_JOB_TOKEN", "DOCKER_AUTH_CONFIG",
    "CMAKE_SECRET_TOKEN", "ANYTHING_ELSE", "VIRTUAL_ENV", "PYTHONHOME", "CONDA_EXE", "HTTPS_PROXY", "LD_PRELOAD",
)  # fmt: skip

ENVIRONMENTS: dict[str, tuple[BuildSettings, Mapping[str, str], dict[str, str | None]]] = {
    "secrets": (BuildSettings(), dict.fromkeys(SECRETS, "planted"), dict.fromkeys(SECRETS)),
    "a URL with credentials": (
        BuildSettings(network=True),
        {"HTTPS_PROXY": "http://me:secret@proxy", "HTTP_PROXY": "http://proxy:1", "CMAKE_ARGS": "-Du=https://a:b@h/"},
        {"HTTPS_PROXY": None, "HTTP_PROXY": "http://proxy:1", "CMAKE_ARGS": None},
    ),
    "what is asked for": (BuildSettings(variables=("MY_SWITCH",)), {"MY_SWITCH": "on"}, {"MY_SWITCH": "on"}),
    "pip": (
        BuildSettings(),
        {"PIP_REQUIRE_VIRTUALENV": "1", "PIP_TARGET": "/env", "PIP_CONFIG_FILE": "/etc/pip.conf"},
        {"PIP_CONFIG_FILE": os.devnull, "PIP_REQUIRE_VIRTUALENV": None, "PIP_TARGET": None},
    ),
    "the target": (
        BuildSettings(),
        {"CC": "/envs/mine/bin/cc", "CXX": "c++", "LIBRARY_PATH": "/envs/mine/lib:/lib"},
        {"CC": None, "CXX": "c++", "LIBRARY_PATH": None},
    ),
    "the path": (
        BuildSettings(),
        {"PATH": "/envs/mine/bin:/usr/bin:/envs/mine2/bin:/envs/other/bin", "CONDA_PREFIX": "/envs/other"},
        {"PATH": "/usr/bin:/envs/mine2/bin"},
    ),
    "what compilers read": (
        BuildSettings(),
        {"CFLAGS": "-O2", "MACOSX_DEPLOYMENT_TARGET": "11", "LANG": "C", "LC_ALL": "C", "CMAKE_ARGS": "-G Ninja",
         "SOURCE_DATE_EPOCH": "1", "PKG_CONFIG_PATH": "/opt/pc", "GDAL_CONFIG": "/opt/gdal-config", "FC": "gfortran"},
        {"CFLAGS": "-O2", "MACOSX_DEPLOYMENT_TARGET": "11", "LANG": "C", "LC_ALL": "C", "CMAKE_ARGS": "-G Ninja",
         "SOURCE_DATE_EPOCH": "1", "PKG_CONFIG_PATH": "/opt/pc", "GDAL_CONFIG": "/opt/gdal-config", "FC": "gfortran"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_the_environment_of_a_build(tmp_path: Path, settings: Settings, case: str) -> None:
    builds, environ, expected = ENVIRONMENTS[case]
    found = build_environment(replace(settings, builds=builds, prefix=Path("/envs/mine")), tmp_path, environ)
    assert {name: found.get(name) for name in expected} == expected


def test_what_is_hidden_of_a_home(tmp_path: Path, settings: Settings) -> None:
    home = tmp_path / "home"
    for folder in (".ssh", ".pyenv/shims", ".local/bin", ".local/share/keyrings", ".config/gh", "work", ".cargo/bin"):
        (home / folder).mkdir(parents=True)
    for name in (".netrc", "_netrc", ".npmrc", ".pypirc", "notes.txt", ".cargo/credentials.toml"):
        (home / name).write_text("secret")
    kept = [str(home / ".local/bin"), str(home / ".pyenv/shims"), str(home / ".cargo/bin")]
    found = hidden_paths(settings, {"HOME": str(home)}, kept)
    below = {os.path.relpath(path, home) for path in found if path.startswith(str(home))}
    expected = {".ssh", ".netrc", "_netrc", ".npmrc", ".pypirc", ".local/share", ".config", ".cargo/credentials.toml"}
    assert below == expected


def test_build_requirements_come_from_the_indexes_of_the_run(tmp_path: Path, settings: Settings) -> None:
    tool = make_wheel(tmp_path / "wheels", "tool", "3.0", files={"tool.py": b"ANSWER = 42\n"})
    with IndexServer() as server:
        server.publish(tool)
        hook = reported("import tool\nfound = tool.ANSWER")
        sdist = make_sdist(tmp_path / "sdists", "x", "1.0", hook=hook, build_requires=["tool>=2"])
        wheel = build(sdist, replace(settings, index_urls=(server.simple,)), tmp_path / "work")
        assert server.count("/simple/tool/") == 1
    assert json.loads(made(wheel)) == 42


# What a build can do; what it cannot is in `test_confinement`.


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
from bridge.sdists.build import build_wheel
from bridge.config import Settings
from bridge.config.builds import BuildSettings

class Nothing:
    def wheels(self, requirements, label):
        return ()

settings = Settings(cache_dir=Path(sys.argv[3]), builds=BuildSettings(mechanisms=tuple(sys.argv[4:])))
build_wheel(Path(sys.argv[1]), work=Path(sys.argv[2]), settings=settings, requirements=Nothing(), tell=print)
"""


@pytest.mark.slow
@pytest.mark.parametrize("mechanisms", [MECHANISMS, ("landlock", "seccomp", "subreaper"), ()])
def test_an_interrupted_build_leaves_no_process(tmp_path: Path, mechanisms: tuple[str, ...]) -> None:
    seconds = f"{60 + random.SystemRandom().random()}"
    code = "import subprocess, time\ndef build_wheel(*_):\n"
    code += f"    subprocess.Popen(['sleep', '{seconds}'])\n    time.sleep(60)"
    sdist, work = sdist_with_backend(tmp_path, code), tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-c", INTERRUPTED, str(sdist), str(work), str(tmp_path / "cache"), *mechanisms]
    process = subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    wait_until(lambda: bool(processes_with(seconds)))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert b"KeyboardInterrupt" in said
    wait_until(lambda: not processes_with(seconds))
    assert not processes_with(seconds)


# What is kept.


@pytest.mark.slow
def test_a_wheel_is_built_once(tmp_path: Path, settings: Settings) -> None:
    sdist = make_sdist(tmp_path, "x", "1.0")
    first = built_wheels(settings).wheel(sdist, sha256_of(sdist))
    assert first.is_relative_to(settings.cache_dir / "built")
    again = built_wheels(settings).wheel(sdist, sha256_of(sdist))
    assert made(again) == made(first)
    assert again == first
    other = make_sdist(tmp_path / "other", "x", "1.0", requires=["y"])
    assert built_wheels(settings).wheel(other, sha256_of(other)) != first


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_wheel_is_built_again(tmp_path: Path, settings: Settings, damage: str) -> None:
    sdist = make_sdist(tmp_path, "x", "1.0")
    wheel = built_wheels(settings).wheel(sdist, sha256_of(sdist))
    before = made(wheel)
    if damage == "changed":
        wheel.write_bytes(wheel.read_bytes() + b"\0")
    else:
        wheel.unlink()
    again = built_wheels(settings).wheel(sdist, sha256_of(sdist))
    check_wheel(again)
    assert made(again) != before


@pytest.mark.slow
def test_nothing_is_left_of_a_build(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    code = "os.chmod(os.getcwd(), 0o500)\nfound = os.getcwd()"
    sdist = make_sdist(tmp_path / "sdists", "x", "1.0", hook=reported(code))
    assert json.loads(made(built_wheels(settings).wheel(sdist, sha256_of(sdist)))).startswith(str(scratch))
    broken = sdist_with_backend(tmp_path, "raise ValueError")
    with pytest.raises(BuildError):
        built_wheels(settings).wheel(broken, sha256_of(broken))
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
