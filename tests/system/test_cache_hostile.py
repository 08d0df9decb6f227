"""A cache in which somebody else has put other things: nothing outside is read or written, and no command hangs.

"Symbolic names should not be followed" (CWE-59, CWE-61). Each test fills a cache by a real command, replaces what lies
there, and runs a command again: it gives the same answer, or one clear error.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge import fs
from bridge.cache.blobs import BlobStore
from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge
from tests.support.servers import IndexServer

PRECIOUS = b"precious, and not for anybody else\n"


def _symlink(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def _dangling(path: Path, outside: Path) -> None:
    path.symlink_to(outside.with_name("made-outside"))


def _pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def _endless(path: Path, outside: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path, outside: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # The name of a socket may have 107 bytes only.
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    except OSError:  # The file's own name is too long for a socket.
        os.mkfifo(path.name)
    finally:
        os.chdir(here)


def _huge(path: Path, outside: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(1 << 40)


def _nonsense(path: Path, outside: Path) -> None:
    path.write_bytes(b"\x00\xff{]")


PLANTS: dict[str, Callable[[Path, Path], None]] = {
    "symlink": _symlink,
    "dangling": _dangling,
    "pipe": _pipe,
    "endless": _endless,
    "socket": _socket,
    "huge": _huge,
    "nonsense": _nonsense,
}


WORDS = ("leaf", "pypi:cow", "python")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URLs of an index and of a channel, both over HTTP."""
    folder = tmp_path_factory.mktemp("served")
    make_conda(folder, "leaf", "1.0", files={"share/leaf.txt": b"leaf"})
    make_python(folder, f"{sys.version_info[0]}.{sys.version_info[1]}")
    make_repodata(folder)
    with IndexServer() as server:
        server.publish(make_wheel(folder, "cow", "1.0", files={"cow/__init__.py": b"x = 1\n"}))
        for path in folder.rglob("*"):
            if path.is_file():
                server.add(f"/channel/{path.relative_to(folder).as_posix()}", path.read_bytes())
        yield server.simple, f"{server.url}/channel"


@pytest.fixture(scope="module")
def filled(world: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment and the cache that it was made with; tests work on copies of the cache."""
    folder = tmp_path_factory.mktemp("filled")
    index, channel = world
    bridge = Bridge(cache=folder / "cache", index=index, folder=folder)
    done = bridge("create", "-p", folder / "env", "-c", channel, *WORDS)
    assert done.status == 0, done.err
    assert bridge("create", "-p", folder / "hosted", "-c", "host", "python_abi").status == 0
    past = time.time() - 60  # An audit is remembered where nothing changed in the two seconds before it.
    for path in (folder / "env").rglob("*"):
        os.utime(path, (past, past), follow_symlinks=False)
    time.sleep(2.1)
    assert bridge("audit", "-p", folder / "env").status == 0
    return folder


def _files(cache: Path) -> list[Path]:
    return [path for path in sorted(cache.rglob("*")) if path.is_file() and path.name != ".lock"]


@pytest.mark.parametrize("turn", range(len(PLANTS)))
def test_what_lies_in_place_of_cache_files_is_not_followed(
    turn: int, world: tuple[str, str], filled: Path, tmp_path: Path
) -> None:
    """Each file of the cache becomes another kind of thing; in as many turns each becomes each."""
    index, channel = world
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(PRECIOUS)
    cache = tmp_path / "cache"
    shutil.copytree(filled / "cache", cache)
    kinds = list(PLANTS.values())
    parts = {path.relative_to(cache).parts[0] for path in _files(cache)}
    assert parts >= {"artifacts", "audit", "host", "http", "judged", "metadata", "repodata", "unpacked"}
    for place, path in enumerate(_files(cache)):
        path.unlink()
        kinds[(place + turn) % len(kinds)](path, outside / "precious")
    bridge = Bridge(cache=cache, index=index, folder=tmp_path)
    done = bridge("create", "-p", tmp_path / "env", "-c", channel, *WORDS, timeout=60)
    assert done.status == 0, done.err
    assert bridge("create", "-p", tmp_path / "hosted", "-c", "host", "python_abi", timeout=60).status == 0
    assert bridge("audit", "-p", filled / "env", timeout=60).status == 0
    assert bridge("cache", "--verify", timeout=60).status == 0
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("precious", PRECIOUS)]


@pytest.mark.parametrize("name", ["artifacts", "http judged metadata unpacked audit", "host", "repodata"])
def test_folders_of_the_cache_that_are_symlinks_lead_nowhere(name: str, world: tuple[str, str], tmp_path: Path) -> None:
    index, channel = world
    outside, cache = tmp_path / "outside", tmp_path / "cache"
    outside.mkdir()
    cache.mkdir()
    for part in name.split():
        (cache / part).symlink_to(outside)
    bridge = Bridge(cache=cache, index=index, folder=tmp_path)
    words = ("-c", "host", "python_abi") if name == "host" else ("-c", channel, *WORDS)
    done = bridge("create", "-p", tmp_path / "env", *words)
    if " " in name:  # These cost time, never the result.
        assert done.status == 0, done.err
    else:
        assert done.status == 7, done.err
        assert "a symlink is in the way" in done.err
        assert "hint: name another directory for the cache in BRIDGE_CACHE_DIR" in done.err
    assert (tmp_path / "env").exists() == (done.status == 0)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("nonsense", [None, 3, [], "text", {"sha256": []}, {"name": 5}, [[[[]]]]])
def test_an_entry_with_a_right_checksum_and_no_sense_is_dropped(
    nonsense: object, world: tuple[str, str], filled: Path, tmp_path: Path
) -> None:
    """Whoever may write the cache may write a checksum too: what an entry says is never a fault of the command."""
    index, channel = world
    cache = tmp_path / "cache"
    shutil.copytree(filled / "cache", cache)
    text = json.dumps(nonsense).encode()
    for part in ("http", "judged", "metadata"):
        for path in _files(cache / part):
            fs.publish_file(path, [hashlib.sha256(text).hexdigest().encode(), b"\n", text])
    bridge = Bridge(cache=cache, index=index, folder=tmp_path)
    done = bridge("create", "-p", tmp_path / "env", "-c", channel, *WORDS)
    assert done.status == 0, done.err


def test_a_value_that_cannot_be_parsed_is_forgotten(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    blobs.set("key", b"[1, 2]")
    assert blobs.read("key", lambda value: value["name"]) is None
    assert blobs.get("key") is None
    blobs.set("key", b'{"name": "x"}')
    assert blobs.read("key", lambda value: value["name"]) == "x"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another account")
def test_files_of_another_account_are_not_read(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "http", root=tmp_path)
    blobs.set("key", b"value")
    (path,) = _files(tmp_path)
    assert blobs.get("key") == b"value"
    os.chown(path, 12345, 12345)
    assert blobs.get("key") is None
    os.chown(tmp_path, 12345, 12345)  # The person chose this folder: its owner's files are theirs.
    assert blobs.get("key") == b"value"
