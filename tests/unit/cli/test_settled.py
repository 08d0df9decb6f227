"""A request or a lock that changed nothing is not solved or read again, as long as all that decides is the same."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.cli import commands, main
from bridge.cli.options import Words
from bridge.fs import unchanged
from bridge.paths import OWN
from bridge.prefix.signature import signature_of_records
from tests.support.builders import install_distribution, install_record, make_conda, make_repodata, make_wheel
from tests.support.environments import SITE, Environment

NOTHING = "nothing to do"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a channel, wheels, and an environment of `tool` and the wheel `leaf`."""
    folder = tmp_path_factory.mktemp("template")
    make_conda(folder / "channel", "tool", "1.0", files={"share/tool": b""})
    make_repodata(folder / "channel")
    make_wheel(folder / "wheels", "leaf", "1.0")
    root = Environment(folder / "env").root
    words = ["install", "-q", "-p", str(root), "-c", str(folder / "channel"), "--override-channels", "--no-index"]
    assert main([*words, "--find-links", str(folder / "wheels"), "tool", "leaf"]) == 0
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(unchanged, "_RACY", 0)  # the files of this test are new
    monkeypatch.setenv("BRIDGE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(template, tmp_path, symlinks=True, dirs_exist_ok=True)
    (tmp_path / "wanted.txt").write_text("leaf\n")
    (tmp_path / "names.json").write_text("{}")
    return tmp_path


def install(folder: Path, *words: str) -> int:
    named = ["-p", str(folder / "env"), "-c", str(folder / "channel"), "--find-links", str(folder / "wheels")]
    return main(["install", "--no-index", "--override-channels", *named, *words])


@pytest.fixture
def known(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder where `install tool leaf` is known to do nothing, and cannot be solved: the channel is gone."""
    assert install(folder, "tool", "leaf") == 0
    assert NOTHING in capsys.readouterr().err
    (folder / "channel").rename(folder / "away")
    return folder


def test_what_is_known_to_do_nothing_needs_no_channel(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(known, "tool", "leaf") == 0
    assert NOTHING in capsys.readouterr().err
    assert install(known, "tool", "leaf", "--dry-run", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (known / "away").rename(known / "channel")
    (known / "cache/settled").rename(known / "cache/forgotten")
    assert install(known, "tool", "leaf", "--dry-run", "--json") == 0
    assert document | {"seconds": 0} == json.loads(capsys.readouterr().out) | {"seconds": 0}


@pytest.mark.parametrize(
    "words", [("tool",), ("tool", "leaf>=1"), ("tool", "leaf", "-U"), ("tool", "leaf", "--prefer", "newest")]
)
def test_another_request_is_solved(known: Path, words: tuple[str, ...]) -> None:
    assert install(known, *words) != 0


def test_what_is_known_is_not_even_parsed(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bridge.cli.commands.request", None)
    assert install(known, "tool", "leaf") == 0
    assert install(known, "tool", "leaf>=1") != 0


@pytest.mark.parametrize(
    ("words", "are_plain"),
    [
        (Words(requirements=["tool", "conda:leaf>=1.0,<2", "pypi:a_b == 1.*"]), True),
        (Words(requirements=["tool", "./leaf"]), False),
        (Words(requirements=["leaf.whl"]), False),
        (Words(requirements=["leaf @ https://host/leaf.zip"]), False),
        (Words(requirements=["https://host/leaf.zip"]), False),
        (Words(requirements=["tool\n"]), False),
        (Words(requirements=["tool"], files=["wanted.txt"]), False),
        (Words(requirements=["tool"], editables=["."]), False),
        (Words(), False),
    ],
)
def test_words_that_mean_the_same_everywhere(words: Words, are_plain: bool) -> None:
    assert words.are_plain == are_plain


def in_use(root: Path) -> None:
    (root / OWN / "txn/20260101-000000-0").mkdir(parents=True)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a package is added": lambda root: install_record(root, "new", "1.0"),
    "a package is removed": lambda root: (root / "conda-meta/tool-1.0-0.json").unlink(),
    "a record is touched": lambda root: (root / "conda-meta/tool-1.0-0.json").touch(),
    "a pin is added": lambda root: (root / "conda-meta/pinned").write_text("tool 2.*\n"),
    "it is frozen": lambda root: (root / "conda-meta/frozen").write_text("{}"),
    "another installer came": lambda root: install_distribution(root, SITE, "stray", "1.0"),
    "a distribution is gone": lambda root: shutil.rmtree(root / SITE / "leaf-1.0.dist-info"),
    "metadata is edited": lambda root: (root / SITE / "leaf-1.0.dist-info/METADATA").write_text("Name: leaf\n"),
    "an egg is linked": lambda root: (root / SITE / "leaf.egg-link").write_text(f"{root}\n.\n"),
    "a transaction was interrupted": in_use,
    "it is gone": shutil.rmtree,
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_in_a_changed_environment_it_is_solved(known: Path, change: Callable[[Path], object]) -> None:
    change(known / "env")
    assert install(known, "tool", "leaf") != 0


def test_hard_links_that_another_environment_gets_change_nothing(folder: Path) -> None:
    """A further name moves `ctime`: no record is a hard link, and of the interpreter that time does not count."""
    first, second = (Environment(folder / name).root for name in ("first", "second"))
    options = ["--find-links", str(folder / "wheels"), "--link-mode", "hardlink", "tool", "leaf"]
    words = ["install", "-q", "--no-index", "--override-channels", "-c", str(folder / "channel"), *options]
    assert main([*words, "-p", str(first)]) == 0
    (first / "bin/python").unlink()
    (first / "bin/python").touch()
    before = signature_of_records(first)
    assert main([*words, "-p", str(second)]) == 0
    assert (first / "share/tool").samefile(second / "share/tool")
    os.link(first / "bin/python", folder / "program")
    assert signature_of_records(first) == before
    (first / "bin/python").write_bytes(b"another")
    assert signature_of_records(first) != before


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"format": 1, "state": 0}', b'{"format": 1, "requests": 3}'])
def test_a_damaged_memory_is_none(known: Path, data: bytes) -> None:
    (file,) = (known / "cache/settled").iterdir()
    file.write_bytes(data)
    assert install(known, "tool", "leaf") != 0


def test_it_is_known_for_a_day(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 23 * 3600)
    assert install(known, "tool", "leaf") == 0
    monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)
    assert install(known, "tool", "leaf") != 0
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    assert install(known, "tool", "leaf") != 0


def test_files_that_are_named_count_by_their_content(folder: Path) -> None:
    words = ("-r", "wanted.txt", "--name-map", "names.json")
    assert install(folder, *words) == 0
    (folder / "channel").rename(folder / "away")
    assert install(folder, *words) == 0
    (folder / "names.json").write_text('{"tool": null}')
    assert install(folder, *words) != 0
    (folder / "names.json").write_text("{}")
    assert install(folder, *words) == 0
    (folder / "wanted.txt").write_text("leaf\ntool\n")
    assert install(folder, *words) != 0


@pytest.mark.parametrize("kind", ["url", "warning", "policy", "new files"])
def test_what_more_than_the_records_decides_is_not_remembered(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tool", "leaf"]
    if kind == "url":
        words[1] = "./wheels/leaf-1.0-py3-none-any.whl"
        assert install(folder, *words) == 0  # its origin is recorded
    elif kind == "warning":
        shutil.rmtree(folder / "env" / SITE / "leaf-1.0.dist-info")  # pip replaced it
        install_distribution(folder / "env", SITE, "leaf", "9.0")
    elif kind == "policy":
        (folder / "policy.toml").write_text("[packages]\nallow = ['*']\n")
        words += ["--policy", "policy.toml"]
    else:
        monkeypatch.setattr(unchanged, "_RACY", 3600 * 1_000_000_000)
    install(folder, *words)
    assert ("warning" in capsys.readouterr().err) == (kind == "warning")
    assert not (folder / "cache/settled").exists()


# --- sync -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def synced(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder where `sync` of a lock is known to do nothing, and a sync that reads the lock fails."""
    assert main(["export", "-q", "-p", str(folder / "env"), "-o", "pylock.toml"]) == 0
    assert sync(folder) == 0
    assert NOTHING in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "bridge.cli.commands.syncing", None)
    monkeypatch.delattr(commands, "syncing")
    return folder


def sync(folder: Path, *words: str) -> int:
    lock = [] if words and words[0].endswith(".txt") else ["pylock.toml"]
    return main(["sync", "-p", str(folder / "env"), *lock, *words])


def test_a_lock_that_is_known_to_change_nothing_is_not_read(synced: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sync(synced) == 0
    assert NOTHING in capsys.readouterr().err
    assert sync(synced, "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["operations"] == []


@pytest.mark.parametrize("kind", ["a package is removed", "a distribution is gone", "a pin is added"])
def test_a_changed_environment_is_compared_with_the_lock(synced: Path, kind: str) -> None:
    CHANGES[kind](synced / "env")
    assert sync(synced) != 0


def test_a_changed_lock_is_read(synced: Path) -> None:
    text = (synced / "pylock.toml").read_text()
    (synced / "pylock.toml").write_text(text + "# later\n")
    assert sync(synced) != 0
    (synced / "pylock.toml").write_text(text)
    assert sync(synced, "--keep") != 0
    assert sync(synced, "--file-environment", "other") != 0
    assert sync(synced) == 0


def test_a_list_of_requirements_is_read_each_time(folder: Path) -> None:
    digest = hashlib.sha256((folder / "wheels/leaf-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    (folder / "list.txt").write_text(f"leaf==1.0 --hash=sha256:{digest}\n")
    assert sync(folder, "list.txt", "--no-index", "--find-links", str(folder / "wheels")) == 0
    assert not (folder / "cache/settled").exists()
