"""Wheels unpacked in the cache: what is read back is what was judged, or the wheel itself is read."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.archive.wheels import WheelManifest, check_wheel
from bridge.cache import prune as caches
from bridge.cache import wheels as wheel_store
from bridge.cache.wheels import WheelStore, unpacked_contents
from bridge.errors import CancelledError, IntegrityError, UnsafeInputError
from bridge.install import staging as link
from tests.support.builders import make_wheel, tree_digest, wheel_members
from tests.support.command_line import Bridge
from tests.support.environments import SITE, Environment
from tests.support.hostile import Entry, zip_of
from tests.support.servers import IndexServer

LARGE = (1 << 20) + 7  # bytes; more than is read at once


def read(manifest: WheelManifest, unpacked: Path) -> dict[str, bytes]:
    with unpacked_contents(manifest, unpacked) as contents:
        found = {}
        for member in manifest.members:
            with contents.open(member.path) as stream:
                found[member.path] = stream.read()
        return found


def truth(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}


def judged(store: WheelStore, archive: Path, *, name: str | None = None) -> tuple[WheelManifest, Path]:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    manifest, unpacked = store.check(archive, filename=name or archive.name, sha256=digest)
    assert unpacked is not None
    return manifest, unpacked


def test_unpacking_ends_when_it_is_to(tmp_path: Path) -> None:
    """After Ctrl-C nobody waits until a wheel of gigabytes is unpacked, and nothing is left of it."""
    archive, written = make_wheel(tmp_path, "demo", "1.0", files={"big.bin": b"a" * LARGE}), []

    def check() -> None:
        written.append(1)
        if len(written) == 3:
            raise CancelledError("cancelled", "enough")

    with pytest.raises(CancelledError):
        judged(WheelStore(tmp_path / "kept", check=check), archive)
    assert len(written) == 3
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]


def test_what_another_version_unpacked_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade of bridge, `cache --verify` would else call the whole cache damaged."""
    archive = make_wheel(tmp_path, "demo", "1.0")
    _, unpacked = judged(WheelStore(tmp_path / "kept"), archive)
    monkeypatch.setattr(wheel_store, "__version__", "9.9")
    assert wheel_store.is_intact(unpacked)
    assert judged(WheelStore(tmp_path / "kept"), archive)[1] == unpacked
    unpacked.write_bytes(unpacked.read_bytes()[:-1])
    assert not wheel_store.is_intact(unpacked)


FILES = st.dictionaries(
    st.from_regex(r"[a-z]{1,3}(/[a-zé]{1,3}){0,2}\.(py|so)", fullmatch=True), st.binary(max_size=3000), max_size=6
)


@pytest.mark.slow
@given(FILES, st.sampled_from([0, 1, LARGE - 7, LARGE]), st.booleans())
@settings(max_examples=60)
def test_what_is_kept_is_what_was_judged(
    tmp_path_factory: pytest.TempPathFactory, files: Mapping[str, bytes], size: int, is_native: bool
) -> None:
    """MUST: whatever the store hands out equals the wheel's own content, and what was found in it."""
    folder = tmp_path_factory.mktemp("store")
    head = b"\x7fELF\x02\x01\x01" + bytes(11) + b"\x3e\x00" if is_native else b""
    archive = make_wheel(
        folder,
        "demo",
        "1.0",
        files={"big/data.so": (head + b"a" * size)[:size], **files},
        executable=["big/data.so"],
        console_scripts={"demo": "demo:main"},
        requires=["x>=1; extra == 'y'"],
        extras=["y"],
    )
    try:
        expected = check_wheel(archive)
    except UnsafeInputError:
        with pytest.raises(UnsafeInputError):
            judged(WheelStore(folder / "kept"), archive)
        return
    first, unpacked = judged(WheelStore(folder / "kept"), archive)
    again, _ = judged(WheelStore(folder / "kept"), archive)
    assert first == again == expected
    assert read(again, unpacked) == truth(archive)
    assert wheel_store.is_intact(unpacked)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    files = {"demo/__init__.py": b"x = 1\n" * 40, "demo/large.bin": os.urandom(LARGE), "demo/z.py": b"z"}
    return make_wheel(tmp_path, "demo", "1.0", files=files)


def test_it_is_judged_and_inflated_once(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, unpacked = judged(WheelStore(tmp_path / "kept"), archive)
    monkeypatch.setattr(wheel_store, "check_wheel", lambda *_, **__: pytest.fail("it was judged again"))
    assert judged(WheelStore(tmp_path / "kept"), archive) == (manifest, unpacked)
    archive.unlink()
    assert read(manifest, unpacked).keys() == {member.path for member in manifest.members}


def test_every_damage_is_noticed(archive: Path, tmp_path: Path) -> None:
    """MUST: "damaged entries are noticed": one bit anywhere, or an end that is missing."""
    store = WheelStore(tmp_path / "kept")
    manifest, unpacked = judged(store, archive)
    whole = unpacked.read_bytes()
    members = whole.index(b'{"format":')
    for point in {*range(0, len(whole), 200_003), *range(len(whole) - 900, len(whole), 89), len(whole) - 1, 241, LARGE}:
        for data in (whole[:point], whole[:point] + bytes([whole[point] ^ 1]) + whole[point + 1 :]):
            unpacked.write_bytes(data)
            assert not wheel_store.is_intact(unpacked)
            found, _ = judged(store, archive)
            assert found == manifest
            # Damage of the index is noticed when it is read; of the content, when it is placed.
            assert (unpacked.read_bytes() == whole) is (point >= members or len(data) == point)


@pytest.mark.parametrize("damage", ["bit", "end", "gone", "folder"])
def test_what_is_damaged_is_placed_out_of_the_wheel(
    environment: Environment, tmp_path: Path, archive: Path, damage: str
) -> None:
    """MUST: "damaged entries are noticed and fetched again"."""
    _, unpacked = judged(WheelStore(tmp_path / "kept"), archive)
    plain, _ = environment.stage([archive])
    expected = tree_digest(plain / SITE)
    task = environment.task([archive])
    [identity] = task.archives
    data = unpacked.read_bytes()
    if damage in {"gone", "folder"}:
        unpacked.unlink()
    if damage == "folder":
        unpacked.mkdir()
    if damage == "bit":
        unpacked.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
    if damage == "end":
        unpacked.write_bytes(data[:300_000])
    (tmp_path / "staged").mkdir()
    link.stage(replace(task, unpacked={identity: unpacked}), tmp_path / "staged", tmp_path / "scratch")
    assert tree_digest(tmp_path / "staged" / SITE) == expected
    assert not unpacked.exists()  # the next one judges the wheel anew
    archive.unlink()
    with pytest.raises(FileNotFoundError):
        link.stage(replace(task, unpacked={identity: unpacked}), tmp_path / "staged", tmp_path / "scratch")


def test_what_is_refused_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "demo-1.0-py3-none-any.whl"
    path.write_bytes(zip_of(Entry(name="demo/../../evil.py", data=b"")))
    for _ in range(2):
        with pytest.raises(UnsafeInputError):
            judged(WheelStore(tmp_path / "kept"), path)
    assert not [each for each in (tmp_path / "kept").rglob("*") if each.is_file()]
    members = wheel_members("demo", "1.0", files={"demo.py": b"x"}) | {"demo.py": b"y"}
    path.write_bytes(zip_of(*(Entry(name=name, data=data) for name, data in members.items())))
    with pytest.raises(IntegrityError, match="RECORD"):
        judged(WheelStore(tmp_path / "kept"), path)
    assert not [each for each in (tmp_path / "kept").rglob("*") if each.is_file()]


def test_another_name_or_version_is_judged_anew(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = WheelStore(tmp_path / "kept")
    manifest, _ = judged(store, archive)
    other = "demo-1.0-1-py3-none-any.whl"
    assert judged(store, archive, name=other)[0].filename == other
    with pytest.raises(UnsafeInputError):
        judged(store, archive, name="other-1.0-py3-none-any.whl")
    judged(store, archive)
    monkeypatch.setattr(wheel_store, "__version__", "0.0")
    assert judged(store, archive)[0] == manifest
    monkeypatch.setattr(wheel_store, "__version__", "0.1")
    monkeypatch.setattr(wheel_store, "check_wheel", lambda *_, **__: pytest.fail("it was judged again"))
    with pytest.raises(pytest.fail.Exception):
        judged(store, archive)


def test_a_store_that_cannot_be_written_costs_only_time(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    manifest, unpacked = WheelStore(tmp_path / "kept").check(archive, filename=archive.name, sha256=digest)
    assert (manifest, unpacked) == (check_wheel(archive), None)


@pytest.mark.slow
def test_what_is_written_to_an_environment_never_reaches_the_cache(tmp_path: Path, archive: Path) -> None:
    """MUST: links "into prefixes only where nobody can write through them"; here a prefix shares no inode."""
    with IndexServer() as server:
        server.publish(archive)
        bridge = Bridge(cache=tmp_path / "cache", index=server.simple, folder=tmp_path)
        for number in (1, 2):
            done = bridge("create", "-p", tmp_path / f"env{number}", "-c", "host", "python", "demo")
            assert done.status == 0, done.err
        [site] = (tmp_path / "env1").glob("lib/python*/site-packages")
        with (site / "demo/__init__.py").open("ab") as stream:
            stream.write(b"changed = True\n")
        [kept] = (tmp_path / "cache/unpacked").rglob("*.unpacked")
        assert wheel_store.is_intact(kept)
        done = bridge("create", "-p", tmp_path / "env3", "-c", "host", "python", "demo")
        assert done.status == 0, done.err
        relative = site.relative_to(tmp_path / "env1") / "demo/__init__.py"
        assert (tmp_path / "env3" / relative).read_bytes() == (tmp_path / "env2" / relative).read_bytes()
        assert not any(each.stat().st_nlink > 1 for each in (tmp_path / "env3" / relative).parent.iterdir())
        kept.write_bytes(kept.read_bytes()[:100] + b"!" + kept.read_bytes()[101:])
        assert caches.inspect(tmp_path / "cache", verifies=True).damaged == (str(kept.relative_to(tmp_path / "cache")),)
        assert caches.prune(tmp_path / "cache", before=0, now=0).removed == 1
