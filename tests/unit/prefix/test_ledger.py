"""The ledger says what the records say, in the same bytes for the same records, and is never believed over them."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest

from bridge import prefix
from bridge.prefix import ledger
from bridge.prefix.ledger import Row
from tests.support.builders import install_distribution, install_record
from tests.support.work import count_calls

SITE = "lib/python3.11/site-packages"
SHARED = f"{SITE}/google/__init__.py"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Two conda packages that share a file, a wheel that bridge recorded, and one that pip put there on its own."""
    install_record(tmp_path, "a", "1.0", files={SHARED: b"", "share/a": b"a"}, links={"lib/a.so": "a.so.1"})
    install_record(tmp_path, "b", "2.0", files={SHARED: b""})
    info = install_distribution(tmp_path, SITE, "rich", "13.0", installer="bridge")
    files = {f"{SITE}/{info.name}/{path.name}": path.read_bytes() for path in info.iterdir()}
    install_record(tmp_path, "rich", "13.0", build="py3_none_any_0", files=files, fn="rich-13.0-py3-none-any.whl")
    install_distribution(tmp_path, SITE, "stray", "3.0", files={"stray.py": b"x"})
    return tmp_path


def put(environment: Path, data: bytes) -> None:
    path = environment / ledger.PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_every_path_has_its_owners_and_what_they_promise(environment: Path) -> None:
    state = prefix.read(environment)
    put(environment, ledger.build(state))
    found = ledger.rows(environment)
    assert found == ledger.rows_of(state)
    assert ledger.rows(environment, path=SHARED) == (
        Row(path=SHARED, owner="conda:a-1.0-0", kind="file", sha256=sha256(b""), size=0),
        Row(path=SHARED, owner="conda:b-2.0-0", kind="file", sha256=sha256(b""), size=0),
    )
    assert ledger.rows(environment, path="lib/a.so") == (Row(path="lib/a.so", owner="conda:a-1.0-0", kind="symlink"),)
    strays = ledger.rows(environment, owner="pip:stray-3.0")
    assert strays is not None
    assert f"{SITE}/stray.py" in {row.path for row in strays}
    assert {row.owner for row in found or ()} == {"conda:a-1.0-0", "conda:b-2.0-0", "wheel:rich-13.0", "pip:stray-3.0"}
    assert ledger.rows(environment, path="absent") == ()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (SHARED, ("conda:a-1.0-0", "conda:b-2.0-0")),
        (f"{SITE}/google/__pycache__/__init__.cpython-311.pyc", ("conda:a-1.0-0", "conda:b-2.0-0")),
        (f"{SITE}/__pycache__/stray.cpython-311.opt-1.pyc", ("pip:stray-3.0",)),
        (f"{SITE}/rich-13.0.dist-info/METADATA", ("wheel:rich-13.0",)),
        ("conda-meta/a-1.0-0.json", ("conda:a-1.0-0",)),
        ("share/nobody", ()),
    ],
)
def test_who_owns_a_path(environment: Path, path: str, expected: tuple[str, ...]) -> None:
    assert ledger.owners_of(prefix.read(environment), path) == expected


def test_the_same_records_give_the_same_bytes(environment: Path) -> None:
    assert ledger.build(prefix.read(environment)) == ledger.build(prefix.read(environment))


def test_a_ledger_is_current_until_a_record_changes(environment: Path) -> None:
    assert not ledger.is_current(environment, prefix.read(environment)), "there is none yet"
    put(environment, ledger.build(prefix.read(environment)))
    assert ledger.is_current(environment, prefix.read(environment))
    install_record(environment, "b", "2.0", files={SHARED: b"changed"}, write=False)
    assert not ledger.is_current(environment, prefix.read(environment))
    put(environment, ledger.build(prefix.read(environment)))
    (environment / "conda-meta" / "b-2.0-0.json").unlink()
    assert not ledger.is_current(environment, prefix.read(environment))


@pytest.mark.parametrize("data", [b"", b"no database", b"SQLite format 3\0" + b"\0" * 100, None])
def test_a_broken_ledger_is_no_ledger(environment: Path, data: bytes | None) -> None:
    """None: a ledger whose pages were torn."""
    state = prefix.read(environment)
    put(environment, ledger.build(state)[:4096] + b"\xff" * 4096 if data is None else data)
    assert ledger.rows(environment) is None
    assert not ledger.is_current(environment, state)


def test_another_database_is_no_ledger(environment: Path) -> None:
    path = environment / ledger.PATH
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE paths (path TEXT)")
    database.close()
    assert ledger.rows(environment) is None
    assert not ledger.is_current(environment, prefix.read(environment))


def test_reading_leaves_nothing_behind(environment: Path) -> None:
    state = prefix.read(environment)
    put(environment, ledger.build(state))
    folder = (environment / ledger.PATH).parent
    folder.chmod(0o500)
    try:
        assert ledger.is_current(environment, state)
        assert [path.name for path in folder.iterdir()] == ["ledger.sqlite"]
    finally:
        folder.chmod(0o700)


def test_rows_are_built_with_few_calls(tmp_path: Path) -> None:
    for number in range(20):
        paths = [{"_path": f"share/{number}/{each}", "sha256": "a" * 64, "size_in_bytes": 1} for each in range(1000)]
        install_record(tmp_path, f"p{number}", "1", paths_data={"paths": paths, "paths_version": 1})
    state = prefix.read(tmp_path)
    assert count_calls(lambda: ledger.build(state)) < 20_000 * 15
    put(tmp_path, ledger.build(state))
    assert ledger.is_current(tmp_path, state)
