"""The channel `host`: the running interpreter as a conda package, linked by rattler and run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor
from itertools import starmap
from pathlib import Path
from typing import Any

import conda_package_streaming.package_streaming as streaming
import pytest
import zstandard

from bridge.cache.packages import PackageStore, is_intact
from bridge.channels.host import HostChannel, Interpreter
from bridge.channels.host.relocate import PLACEHOLDER
from bridge.errors import BridgeError, FaultError, IntegrityError
from bridge.fs import processes
from converters.package import Member, write_conda
from converters.record import Record
from tests.support.installations import small_installation

ROOT = Path(__file__).resolve().parents[3]
NAME = f"python{sys.version_info[0]}.{sys.version_info[1]}{sys.abiflags}"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Interpreter:
    """An installation of a few files that stands in for the running one."""
    layout = small_installation(tmp_path)
    monkeypatch.setattr(Interpreter, "of_running", classmethod(lambda cls: layout))
    return layout


def unpacked(archive: Path) -> tuple[dict[str, bytes], dict[str, str], dict[str, bytes]]:
    """The files, the links and the info files of a conda package."""
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    info: dict[str, bytes] = {}
    for component, found in (("pkg", files), ("info", info)):
        for tar, member in streaming.stream_conda_component(str(archive), component=component):
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                links[member.name] = member.linkname
            else:
                found[member.name.removeprefix("info/") if component == "info" else member.name] = content.read()
    return files, links, info


def test_only_what_belongs_to_python_is_packed(small: Interpreter, tmp_path: Path) -> None:
    channel = HostChannel(tmp_path / "cache")
    files, links, info = unpacked(channel.archive(channel.records("python")[0]))
    assert sorted(files) == [
        "bin/python3.12",
        "bin/python3.12-config",
        "include/python3.12/Python.h",
        "include/python3.12/pyconfig.h",
        "lib/pkgconfig/python-3.12.pc",
        "lib/python3.12/_sysconfigdata__linux_.py",
        "lib/python3.12/json/__init__.py",
        "lib/python3.12/os.py",
        "lib/python3.12/site-packages/README.txt",
        "lib/python3.12/site.py",
        "share/terminfo/x/xterm",
    ]
    assert links == {
        "bin/python": "python3.12",
        "bin/python3": "python3.12",
        "bin/python3-config": "python3.12-config",
        "lib/python3.12/_sysconfigdata__other_.py": "_sysconfigdata__linux_.py",
    }
    assert files["include/python3.12/pyconfig.h"] == b"#define SIZEOF_LONG 8\n"
    assert files["bin/python3.12-config"] == f"#!/bin/sh\nprefix={PLACEHOLDER}\n".encode()
    assert f"'LIBDIR': '{PLACEHOLDER}/lib'".encode() in files["lib/python3.12/_sysconfigdata__linux_.py"]
    paths = json.loads(info["paths.json"])["paths"]
    assert [entry["_path"] for entry in paths if "prefix_placeholder" in entry] == [
        "bin/python3.12-config",
        "lib/pkgconfig/python-3.12.pc",
        "lib/python3.12/_sysconfigdata__linux_.py",
    ]
    assert str(small.prefix).encode() not in b"".join([*files.values(), *info.values()])


def test_the_records_match_the_specs_that_name_an_abi(small: Interpreter, tmp_path: Path) -> None:
    channel = HostChannel(tmp_path / "cache")
    (python,), (abi,) = channel.records("python"), channel.records("python_abi")
    assert (python.name, python.version, python.subdir, python.noarch) == ("python", "3.12.4", "linux-64", None)
    assert python.build.endswith("_cp312")
    assert python.requirements == ("python_abi 3.12.* *_cp312",)
    assert python.origin == "host"
    assert python.url == f"{(tmp_path / 'cache/host').as_uri()}/linux-64/{python.filename}"
    assert python.timestamp == int(small.binary.stat().st_mtime) * 1000
    assert (abi.version, abi.build, abi.subdir, abi.noarch) == ("3.12", "0_cp312", "noarch", "generic")
    assert abi.constraints == ("python 3.12.* *_cp312",)
    for record in (python, abi):
        archive = channel.archive(record)
        assert archive.name == record.filename == f"{record.identity}.conda"
        assert archive.stat().st_size == record.size
        assert hashlib.sha256(archive.read_bytes()).hexdigest() == record.sha256
    assert channel.records("numpy") == ()


def test_a_free_threaded_build_says_where_its_modules_are(
    small: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = dataclasses.replace(small, free_threaded=True, version="3.14.0rc2", minor=(3, 14))
    monkeypatch.setattr(Interpreter, "of_running", classmethod(lambda cls: layout))
    channel = HostChannel(tmp_path / "cache")
    (record,) = channel.records("python")
    assert record.build.endswith("_cp314t")
    assert record.python_site_packages_path == "lib/python3.14t/site-packages"
    assert channel.records("python_abi")[0].constraints == ("python 3.14.* *_cp314t",)
    files, links, _ = unpacked(channel.archive(record))
    assert "bin/python3.14t" in files
    assert links["bin/python3.14"] == links["bin/python"] == "python3.14t"
    assert "lib/python3.14t/site-packages/README.txt" in files


def test_packed_once(small: Interpreter, tmp_path: Path) -> None:
    first = HostChannel(tmp_path / "cache").records("python")[0]
    assert not list((tmp_path / "cache").rglob("*.conda"))  # before it is asked for
    (unpacked,) = (tmp_path / "cache" / "unpacked").rglob("*.package")
    inode, again = unpacked.stat().st_ino, HostChannel(tmp_path / "cache")
    assert again.records("python") == (first,)
    assert unpacked.stat().st_ino == inode
    archive = again.archive(first)
    inode = archive.stat().st_ino
    assert HostChannel(tmp_path / "cache").archive(first).stat().st_ino == inode


def test_equal_bytes_wherever_it_is_packed(small: Interpreter, tmp_path: Path) -> None:
    records = [HostChannel(tmp_path / folder).records("python")[0] for folder in ("one", "two")]
    assert records[0].sha256 == records[1].sha256


def test_an_upgrade_in_place_is_packed_anew(small: Interpreter, tmp_path: Path) -> None:
    channel = HostChannel(tmp_path / "cache")
    (before,) = channel.records("python")
    small.binary.write_bytes(b"#!/bin/sh\nexit 1\n")
    (after,) = channel.records("python")
    assert after.build != before.build
    assert unpacked(channel.archive(after))[0]["bin/python3.12"] == small.binary.read_bytes()
    channel.archive(before).unlink()  # the cache has what it contains
    assert channel.archive(before).is_file()
    channel.archive(before).unlink()
    PackageStore(tmp_path / "cache").path(before.sha256 or "").unlink()
    with pytest.raises(IntegrityError) as caught:
        channel.archive(before)
    assert caught.value.id == "host-changed"


@pytest.mark.parametrize("sizes", [[], [0], [1], [1 << 17], [(1 << 17) - 1024 + 1], [5, 3 << 17, 7]])
def test_an_archive_that_is_not_compressed(sizes: list[int], tmp_path: Path) -> None:
    """Every zstd reads it, also in blocks, and its bytes follow from its content."""
    contents = {f"lib/{number}": os.urandom(size) for number, size in enumerate(sizes)}
    index = {"name": "raw", "version": "1", "build": "0", "build_number": 0, "subdir": "noarch", "depends": []}
    info = {"index.json": json.dumps(index).encode(), "paths.json": b'{"paths": [], "paths_version": 1}'}
    info["files"] = "".join(f"{path}\n" for path in contents).encode()
    archive = tmp_path / "raw-1-0.conda"
    with archive.open("wb") as stream:
        write_conda(stream, "raw-1-0", info, starmap(Member.of_bytes, contents.items()), level=0)
    assert unpacked(archive)[0] == contents
    with zipfile.ZipFile(archive) as members:
        tars = {name: members.read(name) for name in members.namelist() if name.endswith(".zst")}
    for packed in tars.values():
        streamed = zstandard.ZstdDecompressor(max_window_size=1 << 17).stream_reader(packed).read()
        assert zstandard.decompress(packed) == streamed  # by the size that the frame states


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize("pattern", ["*.conda", "*.conda.json", "*.package", "judged/*/*"])
def test_damage_in_the_cache_is_noticed_and_mended(
    small: Interpreter, tmp_path: Path, damage: types.FunctionType, pattern: str
) -> None:
    good = HostChannel(tmp_path / "cache").records("python")[0]
    archive = HostChannel(tmp_path / "cache").archive(good)
    damaged = [path for path in (tmp_path / "cache").rglob(pattern) if path.is_file()]
    assert damaged
    for path in damaged:
        damage(path)
    if pattern != "*.conda":
        archive.unlink()
    channel = HostChannel(tmp_path / "cache")
    assert channel.records("python") == (good,)
    assert hashlib.sha256(channel.archive(good).read_bytes()).hexdigest() == good.sha256


def test_many_at_once_get_the_same(small: Interpreter, tmp_path: Path) -> None:
    def take(_: int) -> tuple[Record, bytes]:
        channel = HostChannel(tmp_path / "cache")
        (record,) = channel.records("python")
        return record, channel.archive(record).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(take, range(24)))
    assert all(result == results[0] for result in results)
    assert hashlib.sha256(results[0][1]).hexdigest() == results[0][0].sha256
    assert not list((tmp_path / "cache").rglob("*.bridge-tmp"))


def test_a_file_that_cannot_be_read_is_named(
    small: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = small.stdlib / "json" / "__init__.py"
    original = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path == broken:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(FaultError) as caught:
        HostChannel(tmp_path / "cache").records("python")
    assert caught.value.id == "host-fault"
    assert any(str(broken) in line for line in caught.value.context)
    assert not list((tmp_path / "cache").rglob("*.conda*"))


def test_a_cache_that_cannot_be_written(small: Interpreter, tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(BridgeError):
        HostChannel(tmp_path / "cache").records("python")


# The running interpreter.


def system_python() -> str | None:
    """The distribution's python, where it is of this version and can run the modules installed for this one."""
    found = f"/usr/bin/{NAME}"
    if not os.path.isfile(found) or os.path.realpath(found) == os.path.realpath(Interpreter.of_running().binary):
        return None
    return found


PACK_AND_LINK = """
import json, os, sys
from pathlib import Path
from bridge.channels import _rattler_link
from bridge.channels._rattler import current_subdir
from bridge.channels.host import HostChannel, Interpreter
folder = Path(sys.argv[1])
channel = HostChannel(folder / "cache")
records = [channel.records(name)[0] for name in ("python", "python_abi")]
unpacked = {record.identity: folder / "packages" / record.identity for record in records}
(folder / "packages").mkdir()
(folder / "rattler").mkdir()
_rattler_link.extract({channel.archive(record): unpacked[record.identity] for record in records})
_rattler_link.link(records, unpacked, folder / "env", folder / "env", folder / "rattler", current_subdir())
(again,) = HostChannel(folder / "again").records("python")
layout = Interpreter.of_running()
own = [str(path) for path in (layout.binary, layout.stdlib, *layout.libraries)]
print(json.dumps({
    "archive": str(channel.archive(records[0])),
    "sha256": records[0].sha256,
    "again": again.sha256,
    "version": layout.version,
    "own": own,
}), flush=True)
os._exit(0)
"""

LOOK = """
import _ctypes, ctypes, hashlib, json, site, sqlite3, ssl, sys, sysconfig, venv, zlib
print(json.dumps({
    "version": sys.version.split()[0],
    "prefix": [sys.prefix, sys.base_prefix, sys.exec_prefix],
    "path": sys.path[1:],
    "paths": sysconfig.get_paths(),
    "scheme": sysconfig.get_paths() == sysconfig.get_paths("posix_prefix"),
    "site": site.getsitepackages(),
    "files": [sysconfig.get_config_h_filename(), sysconfig.get_makefile_filename()],
    "variables": [value for value in sysconfig.get_config_vars().values() if isinstance(value, str)],
    "maps": open("/proc/self/maps").read() if sys.platform == "linux" else "",
}))
"""


@pytest.fixture(scope="module", params=["running", "system"])
def linked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with `cache` and `env`, packed and linked by an interpreter that is really run; and what it said."""
    executable = sys.executable if request.param == "running" else system_python()
    if executable is None:
        pytest.skip(f"there is no other {NAME} in /usr/bin")
    folder = tmp_path_factory.mktemp(request.param)
    modules = os.pathsep.join([str(ROOT), *(path for path in sys.path if path.endswith("-packages"))])
    environment = {**os.environ, "PYTHONPATH": modules, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [executable, "-c", PACK_AND_LINK, str(folder)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return folder, json.loads(ran.stdout)


def clean_environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}


def look(python: Path) -> dict[str, Any]:
    command = [str(python), "-W", "error", "-c", LOOK]
    ran = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.slow
def test_the_linked_interpreter_is_at_home_in_its_prefix(linked: tuple[Path, dict[str, Any]]) -> None:
    folder, packed = linked
    env = str(folder / "env")
    for name in ("python", "python3", NAME):
        found = look(folder / "env" / "bin" / name)
        assert found["prefix"] == [env] * 3
        assert found["scheme"]
    assert found["version"].rstrip("+") == packed["version"]
    site_packages = f"{env}/lib/{NAME}/site-packages"
    assert site_packages in found["path"]
    assert found["paths"]["purelib"] == found["paths"]["platlib"] == site_packages
    assert site_packages in found["site"]
    everything = [*found["path"], *found["paths"].values(), *found["site"], *found["files"]]
    assert [path for path in everything if not path.startswith(f"{env}/") and path != env] == []


@pytest.mark.slow
def test_the_environment_does_not_depend_on_the_original(linked: tuple[Path, dict[str, Any]]) -> None:
    """MUST: "The environment is independent of the original afterwards"."""
    folder, packed = linked
    found = look(folder / "env" / "bin" / "python")
    assert [own for own in packed["own"] if own in found["maps"]] == []
    assert [value for value in found["variables"] for own in packed["own"] if own in value] == []
    if shutil.which("strace") is None:
        pytest.skip("opened files are only looked at where strace is installed")
    trace = folder / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=openat,execve,readlink,newfstatat", "-o", str(trace)]
    command += [str(folder / "env" / "bin" / "python"), "-c", "import ssl, sqlite3, ctypes, venv, sysconfig"]
    ran = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    if ran.returncode != 0 and "PTRACE" in ran.stderr.upper():
        pytest.skip("strace may not trace here")
    assert ran.returncode == 0, ran.stderr
    assert [line for line in trace.read_text().splitlines() for own in packed["own"] if f'"{own}' in line] == []


def test_virtual_environments_can_be_made_of_it(linked: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = linked
    python = str(folder / "env" / "bin" / "python")

    def run(*command: str) -> str:
        return subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=True).stdout

    run(python, "-m", "venv", "--without-pip", str(tmp_path / "venv"))
    code = "import sys, sysconfig; print(sys.base_prefix, sysconfig.get_path('purelib'))"
    output = run(str(tmp_path / "venv" / "bin" / "python"), "-c", code)
    assert output.split() == [str(folder / "env"), f"{tmp_path}/venv/lib/{NAME}/site-packages"]
    if (folder / "env" / "lib" / NAME / "ensurepip").is_dir():  # Debian's is not packed
        assert run(python, "-m", "ensurepip", "--version").startswith("pip ")


def test_the_archive_tells_what_it_holds(linked: tuple[Path, dict[str, Any]]) -> None:
    packed = linked[1]
    files, links, info = unpacked(Path(packed["archive"]))
    entries = {entry["_path"]: entry for entry in json.loads(info["paths.json"])["paths"]}
    assert sorted(entries) == sorted([*files, *links])
    for path, data in files.items():
        assert entries[path]["path_type"] == "hardlink"
        assert entries[path]["size_in_bytes"] == len(data)
        assert entries[path]["sha256"] == hashlib.sha256(data).hexdigest()
    for path in entries:
        assert not path.endswith((".pyc", ".a")), path
        assert not {"test", "tests", "dist-packages", "__pycache__"}.intersection(path.split("/")), path
    assert [path for path in entries if "site-packages" in path] == [f"lib/{NAME}/site-packages/README.txt"]
    assert info["files"].decode().split() == sorted(entries)
    for name in ("index.json", "about.json"):
        assert not [own for own in packed["own"] if own.encode() in info[name]]
    index = json.loads(info["index.json"])
    if sys.platform.startswith("linux"):
        assert any(text.startswith("__glibc >=2.") for text in index["depends"])


def test_packing_it_again_gives_equal_bytes(linked: tuple[Path, dict[str, Any]]) -> None:
    assert linked[1]["again"] == linked[1]["sha256"]


def test_it_is_packed_while_others_go_on(small: Interpreter, tmp_path: Path) -> None:
    """The record comes first, without a hash; the archive is the same as ever, and waited for."""
    (expected,) = HostChannel(tmp_path / "one").records("python")
    late = HostChannel(tmp_path / "two", packs_late=True)
    (draft,) = late.records("python")
    assert (draft.sha256, draft.size) == (None, None)
    assert late.records("python") == (draft,)
    bare = dataclasses.replace(expected, sha256=None, size=None, url=draft.url, origin=draft.origin)
    assert draft == bare
    assert hashlib.sha256(late.archive(draft).read_bytes()).hexdigest() == expected.sha256
    for thread in threading.enumerate():  # Its thread ends: with another one, nothing is placed by forked processes.
        if thread.name.startswith("bridge-pack"):
            thread.join(30)
            assert not thread.is_alive()
    late.close()
    (again,) = HostChannel(tmp_path / "two", packs_late=True).records("python")
    assert again.sha256 == expected.sha256


@pytest.mark.parametrize("forks", [True, False])
def test_what_is_packed_late_is_in_the_cache_unpacked(
    small: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: bool
) -> None:
    """MUST: the same manifest and the same file as when the archive is read."""
    if not forks:
        monkeypatch.setattr(processes, "may_fork", lambda: False)
    late = HostChannel(tmp_path / "cache", packs_late=True)
    archive = late.archive(late.records("python")[0])
    late.close()
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    kept = PackageStore(tmp_path / "cache").known(sha256, archive.name, False)
    read, path = PackageStore(tmp_path / "other").check(archive, sha256=sha256, filename=archive.name)
    assert kept is not None
    assert path is not None
    assert kept == (read, PackageStore(tmp_path / "cache").path(sha256))
    assert kept[1].read_bytes() == path.read_bytes()
    assert kept[1].stat().st_mtime == path.stat().st_mtime
    assert is_intact(kept[1])
    assert not [each for each in (tmp_path / "cache").rglob("*") if each.name.startswith(".")]


def test_a_package_that_nobody_wants_is_not_waited_for(small: Interpreter, tmp_path: Path) -> None:
    late = HostChannel(tmp_path / "cache", packs_late=True)
    late.begin()
    late.close()
    assert HostChannel(tmp_path / "cache").records("python")[0].sha256


def test_what_goes_wrong_while_it_is_packed_is_told_by_the_archive(small: Interpreter, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    late = HostChannel(tmp_path / "cache", packs_late=True)
    (draft,) = late.records("python")
    with pytest.raises(FaultError, match="the cache cannot be written"):
        late.archive(draft)
    late.close()


def test_closing_waits_for_the_packing(small: Interpreter, tmp_path: Path) -> None:
    late = HostChannel(tmp_path / "cache", packs_late=True)
    (draft,) = late.records("python")
    late.close()
    kept = tmp_path / "cache" / "host" / draft.subdir
    assert [path.name for path in kept.iterdir()] == [f"{draft.filename}.json"]
