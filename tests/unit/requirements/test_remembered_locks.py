"""What is kept of a lock is what its reader says, and only of the same text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.requirements.files.locks.reading import read_lock
from bridge.requirements.files.locks.remembered import LockStore
from bridge.requirements.locked import Lock
from tests.unit.requirements.test_lock_files import PIXI

NOTED = """bridge:
  version: 1
  environments:
    default:
      requires_python: '>=3.12'
      virtual_packages: {linux-64: [__glibc=2.28]}
      requested: {x: [x >=1], n: ['n @ file:./n']}
      extras: {y: [e]}
      direct: [y]
"""
OTHERS = "  license: MIT\n  license_family: MIT\n  features: a b\n  extra_depends: {e: [f >=1]}\n  purls:\n"


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    (tmp_path / "pixi.lock").write_text(PIXI.replace("  purls:\n", OTHERS) + NOTED)
    return read_lock(tmp_path / "pixi.lock")


def test_what_is_kept_is_what_was_read(tmp_path: Path, lock: Lock) -> None:
    store, text = LockStore(tmp_path / "cache"), lock.path.read_text()
    assert store.read(lock.path, text, None, "linux-64") is None
    store.keep(lock, text, None, "linux-64")
    known = store.read(lock.path, text, None, "linux-64")
    assert known is not None
    environment, again = lock.environment(), known.environment()
    assert again.on("linux-64", known.path) == environment.on("linux-64", lock.path)
    assert [each.record.others for each in again.packages["linux-64"] if hasattr(each, "record")] == [
        each.record.others for each in environment.packages["linux-64"] if hasattr(each, "record")
    ]
    for name in ("name", "channels", "indexes", "find_links", "requires_python", "virtual_packages", "markers"):
        assert getattr(again, name) == getattr(environment, name)
    assert (known.path, known.format, known.version, known.warnings) == (lock.path, "rattler", "6", ())


def test_another_text_path_platform_or_environment_is_read_again(tmp_path: Path, lock: Lock) -> None:
    store, text = LockStore(tmp_path / "cache"), lock.path.read_text()
    store.keep(lock, text, None, "linux-64")
    assert store.read(lock.path, text.replace("1.2", "1.3"), None, "linux-64") is None
    assert store.read(tmp_path / "other.lock", text, None, "linux-64") is None
    assert store.read(lock.path, text, "other", "linux-64") is None
    assert store.read(lock.path, text, None, "osx-64") is None


def test_a_damaged_value_is_none(tmp_path: Path, lock: Lock) -> None:
    store, text = LockStore(tmp_path / "cache"), lock.path.read_text()
    store.keep(lock, text, None, "linux-64")
    (path,) = (each for each in (tmp_path / "cache").rglob("*") if each.is_file())
    path.write_bytes(path.read_bytes()[:-9])
    assert store.read(lock.path, text, None, "linux-64") is None


def test_a_lock_with_secrets_or_warnings_is_not_kept(tmp_path: Path) -> None:
    for change in (("https://c.example", "https://user:secret@c.example"), ("  md5:", "  checked: true\n  md5:")):
        path = tmp_path / "pixi.lock"
        path.write_text(text := PIXI.replace(*change))
        LockStore(tmp_path / "cache").keep(read_lock(path), text, None, "linux-64")
    assert not os.path.lexists(tmp_path / "cache")
