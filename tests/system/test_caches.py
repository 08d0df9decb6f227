"""`bridge cache`: what lies there, what is damaged, what goes; and never from under another process."""

from __future__ import annotations

import hashlib
import json
import os
import time
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from bridge.cache import prune as caches
from bridge.errors import PrefixLockedError
from tests.support.builders import make_repodata
from tests.support.command_line import Bridge
from tests.support.environments import SITE, Environment
from tests.support.servers import IndexServer

DAY = 86400.0


def put(folder: Path, data: bytes, *, name: str | None = None, days: float = 0.0) -> Path:
    """An archive in the cache, last used some days ago."""
    digest = name or hashlib.sha256(data).hexdigest()
    path = folder / "artifacts/sha256" / digest[:2] / digest / "demo-1.0-py3-none-any.whl"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    used = time.time() - days * DAY
    os.utime(path, (used, used))
    return path


def test_it_tells_what_lies_where(tmp_path: Path) -> None:
    put(tmp_path, b"12345")
    (tmp_path / "http").mkdir()
    (tmp_path / "http" / "page").write_bytes(b"1" * 1500)
    found = caches.inspect(tmp_path)
    assert [(part.name, part.files, part.size) for part in found.parts] == [("artifacts", 1, 5), ("http", 1, 1500)]
    bridge = Bridge(cache=tmp_path, index=None, folder=tmp_path)
    done = bridge("cache", "--json")
    schema = json.loads((resources.files("bridge") / "schemas" / "cache.json").read_text("utf-8"))
    jsonschema.validate(done.document, schema)
    assert done.document["folder"] == str(tmp_path)
    assert (done.document["files"], done.document["size"]) == (2, 1505)
    said = bridge("cache")
    assert "1.5 kB" in said.out
    assert str(tmp_path) in said.err


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    bridge = Bridge(cache=tmp_path / "none", index=None, folder=tmp_path)
    for words in (["cache"], ["cache", "--prune"], ["cache", "--verify"]):
        done = bridge(*words, "--json")
        assert done.status == 0, done.err
        assert done.document["files"] == 0
    assert not (tmp_path / "none").exists()


def test_damage_is_named_and_pruned(tmp_path: Path) -> None:
    whole, damaged = put(tmp_path, b"whole"), put(tmp_path, b"other", name="a" * 64)
    relative = damaged.relative_to(tmp_path).as_posix()
    assert caches.inspect(tmp_path).damaged == ()
    assert caches.inspect(tmp_path, verifies=True).damaged == (relative,)
    found = caches.prune(tmp_path, before=0.0, now=time.time())
    assert (found.damaged, found.removed, found.freed) == ((relative,), 1, 5)
    assert whole.exists()
    assert not damaged.parent.exists()


def test_what_was_not_used_for_long_goes(tmp_path: Path) -> None:
    old, new = put(tmp_path, b"old", days=40), put(tmp_path, b"new", days=20)
    bridge = Bridge(cache=tmp_path, index=None, folder=tmp_path)
    assert bridge("cache", "--prune", "--json").document["removed"] == 1
    assert (old.exists(), new.exists()) == (False, True)
    assert bridge("cache", "--prune", "--older-than", "0d").status == 0
    assert [path.name for path in tmp_path.rglob("*")] == [".lock"]


@pytest.mark.parametrize("text", ["soon", "-1d", ""])
def test_a_time_that_makes_no_sense_is_a_usage_error(tmp_path: Path, text: str) -> None:
    kept = put(tmp_path, b"x", days=400)
    done = Bridge(cache=tmp_path, index=None, folder=tmp_path)("cache", "--prune", f"--older-than={text}")
    assert done.status == 2
    assert "--older-than" in done.err
    assert kept.exists()


def test_what_a_killed_process_left_half_written_goes_when_nobody_can_be_writing_it(tmp_path: Path) -> None:
    path = put(tmp_path, b"x").with_name(".0123456789abcdef.bridge-tmp")
    path.write_bytes(b"half")
    assert caches.prune(tmp_path, before=0.0, now=time.time()).removed == 0
    assert caches.prune(tmp_path, before=0.0, now=time.time() + 7200).removed == 1
    assert not path.exists()


def test_links_are_neither_followed_nor_counted(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"x")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "artifacts").symlink_to(outside)
    caches.prune(cache, before=time.time() + DAY, now=time.time())
    assert (outside / "precious").exists()


def test_nothing_is_taken_from_under_another_process(tmp_path: Path) -> None:
    kept = put(tmp_path, b"x", days=400)
    with caches.in_use(tmp_path), caches.in_use(tmp_path):
        with pytest.raises(PrefixLockedError) as caught:
            caches.prune(tmp_path, before=time.time(), now=time.time())
        assert caught.value.id == "cache-in-use"
        assert caught.value.exit_code == 8
        assert kept.exists()
    assert caches.prune(tmp_path, before=time.time(), now=time.time()).removed == 1


def test_a_cache_that_cannot_be_written_is_used_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    entered = False
    with caches.in_use(tmp_path / "file" / "cache"):
        entered = True
    assert entered
    assert (tmp_path / "file").read_bytes() == b""


def test_a_damaged_archive_is_fetched_again(bridge: Bridge, index: IndexServer, tmp_path: Path) -> None:
    """An install reads an archive only after holding it against the hash that the index promises, and reads none that
    it has unpacked.
    """
    own = Bridge(cache=tmp_path / "cache", index=bridge.index, folder=tmp_path)
    make_repodata(tmp_path / "channel")
    words = ["install", "-c", tmp_path / "channel", "pypi:cow", "-p"]
    assert own(*words, Environment(tmp_path / "one").root).status == 0
    archives = sorted((tmp_path / "cache/artifacts/sha256").rglob("*.whl"))
    assert archives
    for path in archives:
        path.write_bytes(path.read_bytes()[:-1] + b"X")
    done = own(*words, Environment(tmp_path / "two").root, "--offline")
    assert done.status == 0, done.err
    one, two = (tmp_path / name / SITE / "cow/__init__.py" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    for path in (tmp_path / "cache/unpacked").rglob("*.unpacked"):
        path.write_bytes(path.read_bytes().replace(b"print", b"PRINT"))
    done = own(*words, Environment(tmp_path / "three").root, "--offline")
    assert done.status == 0, done.err  # Each member of the archive is compared.
    assert (tmp_path / "three" / SITE / "cow/__init__.py").read_bytes() == one.read_bytes()
    done = own(*words, Environment(tmp_path / "four").root, "--offline")
    assert done.status == 5
    assert "is damaged" in done.err
    done = own(*words, tmp_path / "four")
    assert done.status == 0, done.err
    assert caches.inspect(tmp_path / "cache", verifies=True).damaged == ()
