"""A prefix read with the help of the cache is what a plain reading says, whatever changed, and whatever is cached."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest

from bridge import prefix
from bridge.fs import fingerprint, unchanged
from bridge.model import PrefixState
from bridge.prefix import remembered
from bridge.prefix.records import Reader
from tests.support.builders import install_distribution, install_record

SITE = "lib/python3.11/site-packages"
RICH = f"{SITE}/rich-13.0.dist-info"
STRAY = f"{SITE}/stray-3.0.dist-info"
OTHER = "Metadata-Version: 2.1\nName: s\nVersion: 9\n"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Conda packages with links, odd values and a damaged record, a wheel that bridge recorded, one of pip, an egg."""
    monkeypatch.setattr(unchanged, "_RACY", 0)  # the files of this test are new
    root = tmp_path / "env"
    install_record(root, "a", "1.0", files={"share/a": b"a"}, links={"lib/a.so": "a.so.1"}, odd=[1, {"b": [None, 1.5]}])
    install_record(root, "b", "2.0", files={"share/b": b""}, requested_spec="b >=2", timestamp=1700000000)
    install_record(root, "broken", "1.0").write_text("{")
    info = install_distribution(root, SITE, "rich", "13.0", installer="bridge")
    files = {f"{SITE}/{info.name}/{path.name}": path.read_bytes() for path in info.iterdir()}
    install_record(root, "rich", "13.0", build="py3_none_any_0", files=files, fn="rich-13.0-py3-none-any.whl")
    install_distribution(root, SITE, "stray", "3.0", files={"stray.py": b"x", "a\u00e9.py": b""}, rows=["../../../x,,"])
    (root / STRAY / "direct_url.json").write_text('{"url": "file:///s", "dir_info": {"editable": true}, "n": [1]}')
    (root / SITE / "old-1.egg-info").write_text("Metadata-Version: 1.0\nName: old\nVersion: 1\n")
    (root / SITE / "easy-2.egg/EGG-INFO").mkdir(parents=True)
    (root / SITE / "easy-2.egg/EGG-INFO/PKG-INFO").write_text("Metadata-Version: 1.0\nName: easy\nVersion: 2\n")
    return root


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def whole(state: PrefixState) -> tuple[PrefixState, list[object]]:
    """A state with what its comparison leaves out."""
    return state, [each.record.others for each in state.installed]


def check_same(environment: Path, cache: Path) -> None:
    plain = whole(prefix.read(environment, is_brief=True))
    assert plain[0].installed
    assert whole(prefix.read(environment, is_brief=True, cache=cache)) == plain


def kept(cache: Path) -> Path:
    (file,) = (cache / "records").iterdir()
    return file


def test_what_the_cache_has_is_not_parsed_again(
    environment: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_same(environment, cache)
    first = kept(cache).stat()

    def refused(*_: object, **__: object) -> object:
        raise AssertionError("it was parsed")

    plain = whole(prefix.read(environment, is_brief=True))
    (environment / "conda-meta/broken-1.0-0.json").unlink()  # What is damaged is read each time,
    (environment / SITE / "easy-2.egg/EGG-INFO/PKG-INFO").unlink()  # and so are eggs.
    (environment / SITE / "easy-2.egg/EGG-INFO").rmdir()
    (environment / SITE / "easy-2.egg").rmdir()
    monkeypatch.setattr(Reader, "record", refused)
    monkeypatch.setattr(Reader, "distribution", refused)
    state = prefix.read(environment, is_brief=True, cache=cache)
    assert state.installed == plain[0].installed
    assert state.distributions == tuple(each for each in plain[0].distributions if each.name != "easy")
    assert kept(cache).stat().st_ino == first.st_ino  # nothing new to keep


def edit_record(root: Path) -> None:
    path = root / "conda-meta/a-1.0-0.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "license": "MIT"}))


def become_directory(root: Path) -> None:
    (root / STRAY / "RECORD").unlink()
    (root / STRAY / "RECORD").mkdir()


CHANGES: dict[str, Callable[[Path], object]] = {
    "a record is edited": edit_record,
    "a record is removed": lambda root: (root / "conda-meta/b-2.0-0.json").unlink(),
    "a record is damaged": lambda root: (root / "conda-meta/b-2.0-0.json").write_text("{}"),
    "a package is added": lambda root: install_record(root, "new", "1.0", files={"share/new": b""}),
    "metadata is edited": lambda root: (root / STRAY / "METADATA").write_text(OTHER),
    "metadata is gone": lambda root: (root / STRAY / "METADATA").unlink(),
    "the installer is another": lambda root: (root / RICH / "INSTALLER").write_text("uv\n"),
    "it is requested": lambda root: (root / STRAY / "REQUESTED").touch(),
    "a listing is edited": lambda root: (root / STRAY / "RECORD").write_text("stray.py,,\n"),
    "its origin is gone": lambda root: (root / STRAY / "direct_url.json").unlink(),
    "a covered dist-info is not covered": lambda root: (root / "conda-meta/rich-13.0-py3_none_any_0.json").unlink(),
    "a file becomes a directory": become_directory,
    "a dist-info is replaced": lambda root: (
        (root / STRAY).rename(root / "gone"), install_distribution(root, SITE, "stray", "3.0", installer="other")
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_has_changed_is_read_again(environment: Path, cache: Path, change: Callable[[Path], object]) -> None:
    check_same(environment, cache)
    change(environment)
    check_same(environment, cache)
    check_same(environment, cache)


def damaged(cache: Path) -> dict[str, bytes]:
    data = kept(cache).read_bytes()
    forged = msgpack.packb((remembered._CONTEXT, "/elsewhere", {}))
    wrong = msgpack.packb((remembered._CONTEXT, str(cache.parent / "env"), {"conda-meta/a-1.0-0.json": [1]}))
    summed = [zlib.crc32(each).to_bytes(4, "big") + each for each in (forged, wrong, b"\xc1", b"")]
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    return {"empty": b"", "truncated": data[:-9], "flipped": bytes(flipped), **dict(zip("abcd", summed, strict=True))}


@pytest.mark.parametrize("kind", ["empty", "truncated", "flipped", *"abcd"])
def test_a_damaged_or_foreign_cache_changes_nothing_and_is_made_anew(environment: Path, cache: Path, kind: str) -> None:
    check_same(environment, cache)
    whole_size = kept(cache).stat().st_size
    kept(cache).write_bytes(damaged(cache)[kind])
    check_same(environment, cache)
    assert kept(cache).stat().st_size == whole_size


def test_a_cache_that_cannot_be_written_or_read_changes_nothing(environment: Path, cache: Path) -> None:
    cache.write_text("no directory")
    check_same(environment, cache)
    cache.unlink()
    check_same(environment, cache)
    path = kept(cache)
    path.unlink()
    path.symlink_to(environment / "conda-meta/a-1.0-0.json")
    check_same(environment, cache)
    assert not path.is_symlink()  # the link is replaced, not followed
    assert fingerprint(environment, "conda-meta/a-1.0-0.json") is not None


def test_what_changed_a_moment_ago_is_not_kept(environment: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "_RACY", 3600 * 1_000_000_000)
    check_same(environment, cache)
    assert not (cache / "records").exists()


def test_an_old_time_does_not_hide_a_new_content(environment: Path, cache: Path) -> None:
    check_same(environment, cache)
    path = environment / STRAY / "INSTALLER"
    was = path.stat()
    time.sleep(0.02)  # one tick of the clock of the file system
    path.write_bytes(b"uv \n"[: was.st_size])
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    check_same(environment, cache)
