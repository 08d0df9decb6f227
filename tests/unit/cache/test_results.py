"""Tables of results: what an earlier run computed counts for the same stamp and the same versions alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.cache.blobs import BlobStore
from bridge.cache.results import _CONTEXT, _MAX_ENTRIES, Results, Table

VALUES = {
    "none": None,
    "small": 3,
    "large": (1 << 300) + 5,
    "negative": -(1 << 90),
    "nested": ["a", ["b", None], {"c": 1}],
    "odd": "\udcff\n",
}


def test_a_later_run_has_the_results_of_an_earlier_one(tmp_path: Path) -> None:
    before = Results(tmp_path)
    before.table("a", "stamp").add(VALUES)
    before.table("b", "stamp").recall("key", lambda: "of b")
    before.save()
    after = Results(tmp_path)
    assert after.table("a", "stamp").entries == VALUES
    assert after.table("b", "stamp").recall("key", never) == "of b"


def test_a_table_with_another_stamp_is_empty(tmp_path: Path) -> None:
    write(tmp_path, {"key": 1}, stamp="then")
    assert Results(tmp_path).table("a", "now").entries == {}
    results = Results(tmp_path)
    assert results.table("a", "then").entries == {"key": 1}
    assert results.table("a", "now").recall("key", lambda: 2) == 2


@pytest.mark.parametrize("packed", [
    json.dumps((_CONTEXT.replace("(3,", "(2,"), "stamp", {"key": 1})).encode(),
    json.dumps((_CONTEXT, "stamp", ["key"])).encode(),
    json.dumps((_CONTEXT, "stamp")).encode(),
    b"7",
    b"\xc1",
    b"[" * 100_000,
    b"",
])  # fmt: skip
def test_what_another_version_wrote_is_an_empty_table(packed: bytes, tmp_path: Path) -> None:
    BlobStore(tmp_path / "results", root=tmp_path).set("a", packed)
    assert Results(tmp_path).table("a", "stamp").entries == {}


def test_a_damaged_table_is_empty(tmp_path: Path) -> None:
    write(tmp_path, {"key": "value"})
    (file,) = (path for path in (tmp_path / "results").rglob("*") if path.is_file())
    file.write_bytes(file.read_bytes().replace(b"value", b"other"))
    assert Results(tmp_path).table("a", "stamp").entries == {}


def test_a_table_that_grew_too_large_begins_again(tmp_path: Path) -> None:
    write(tmp_path, {str(number): number for number in range(_MAX_ENTRIES)})
    results = Results(tmp_path)
    results.table("a", "stamp").recall("new", lambda: -1)
    results.save()
    assert Results(tmp_path).table("a", "stamp").entries == {"new": -1}


def test_without_new_results_nothing_is_written(tmp_path: Path) -> None:
    write(tmp_path, {"key": 1})
    (file,) = (path for path in (tmp_path / "results").rglob("*") if path.is_file())
    file.unlink()
    results = Results(tmp_path)
    results.table("a", "stamp")
    results.save()
    assert not file.exists()


def test_a_text_that_has_no_utf_8_is_kept(tmp_path: Path) -> None:
    write(tmp_path, {"key": "\udc80"})
    assert Results(tmp_path).table("a", "stamp").entries == {"key": "\udc80"}


def test_a_table_with_an_integer_that_is_too_long_is_not_kept(tmp_path: Path) -> None:
    write(tmp_path, {"key": 1 << 20_000})
    assert Results(tmp_path).table("a", "stamp").entries == {}


def test_without_a_cache_results_end_with_the_process() -> None:
    results = Results()
    assert results.table("a", "stamp").recall("key", lambda: 1) == 1
    results.save()
    assert results.table("a", "stamp").entries == {"key": 1}
    assert Table().entries == {}


def write(cache: Path, entries: dict[str, object], stamp: str = "stamp") -> None:
    results = Results(cache)
    results.table("a", stamp).add(entries)
    results.save()


def never() -> str:
    raise AssertionError("the result is known")
