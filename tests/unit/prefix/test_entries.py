"""Entries in columns are the entries that were made one by one, however they were read."""

from __future__ import annotations

import csv
import io
import json
import pickle
from collections.abc import Sequence
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model import Entry, Fingerprint
from bridge.paths import EMPTY_SHA256
from bridge.prefix import condameta, distinfo
from bridge.prefix.entries import Entries
from tests.support.prefixes import SITE

HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
DIGESTS = st.one_of(st.none(), HEX, st.sampled_from([EMPTY_SHA256, "0" * 64, "A" * 64, "x"]))
SIZES = st.one_of(st.none(), st.integers(0, 1 << 70))
FILES = st.builds(Fingerprint, kind=st.just("file"), sha256=DIGESTS, size=SIZES)
LINKS = st.builds(Fingerprint, kind=st.sampled_from(["symlink", "directory"]), link=st.one_of(st.none(), st.just("x")))
PATHS = st.text("ab/.é", min_size=1, max_size=6)
ENTRIES = st.lists(
    st.builds(Entry, path=PATHS, fingerprint=st.one_of(FILES, LINKS), packed=DIGESTS), unique_by=lambda each: each.path
)


@settings(max_examples=100, deadline=None)
@given(entries=ENTRIES)
def test_columns_give_back_what_was_put_in(entries: list[Entry]) -> None:
    """MUST: an audit in columns finds what one over entries finds."""
    columns = Entries.of(entries)
    assert list(columns) == entries == [columns[row] for row in range(len(entries))]
    assert columns == entries
    assert columns == Entries.of(entries)
    assert hash(columns) == hash(tuple(entries))
    assert columns[1:] == tuple(entries[1:])
    assert pickle.loads(pickle.dumps(columns)) == columns
    assert list(columns.hashed()) == [each.path for each in entries if each.fingerprint.sha256 or each.packed]


def test_columns_are_another_sequence_only_where_all_is_equal() -> None:
    one = Entry(path="a", fingerprint=Fingerprint(kind="file"))
    assert Entries.of([one]) != (one, one)
    assert Entries.of([one]) != "a"
    with pytest.raises(IndexError):
        Entries.of([one])[1]


# --- RECORD -----------------------------------------------------------------------------------------------------------

WRITTEN = st.one_of(
    st.sampled_from(
        ["a.py", "a/b.py", "../../../bin/x", "./c", "d//e", "f/", "/prefix/g", "/etc/passwd", "..", "", "é", 'q"uote',
         "h,i", "../../../../out", ".hidden", "a/.b", "conda-meta", "../../../conda-meta/.bridge/x", "a\x00b", "a.py",
         "x" * 5000]
    ),
    PATHS,
)  # fmt: skip
WRITTEN_HASHES = st.one_of(
    st.just(""),
    st.binary(min_size=32, max_size=32).map(lambda data: f"sha256={distinfo_hash(data)}"),
    st.sampled_from(["sha256=zz", "md5=abc", "sha256=" + "é" * 43, "sha256=" + "-_" * 21 + "A", "sha256=" + "ab" * 32]),
)
WRITTEN_SIZES = st.sampled_from(["", "0", "12", "-1", "1_0", "٣", "x", "9" * 30, " 5"])
ROWS = st.lists(st.tuples(WRITTEN, WRITTEN_HASHES, WRITTEN_SIZES), max_size=5)
PLAIN_ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a.py", "b.py", "../../../bin/x", "c/d.py", "./e", "é"]),
        st.binary(min_size=32, max_size=32).map(lambda data: f"sha256={distinfo_hash(data)}") | st.just(""),
        st.sampled_from(["", "0", "12"]),
    ),
    max_size=5,
    unique_by=lambda row: row[0],
)


def distinfo_hash(data: bytes) -> str:
    import base64

    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def row_by_row(data: bytes, base: str) -> tuple[Sequence[Entry], list[str]]:
    with mock.patch.object(distinfo, "record_rows", return_value=None):
        return distinfo.parse_listing(data, base, "/prefix")


@settings(max_examples=150, deadline=None)
@given(
    rows=st.one_of(ROWS, PLAIN_ROWS),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    raw=st.booleans(),
    cut=st.integers(0, 3),
)
def test_listings_read_in_bulk_say_the_same(rows: list[tuple[str, ...]], end: str, raw: bool, cut: int) -> None:
    """MUST: damaged metadata is told as before, whatever way it is read."""
    stream = io.StringIO()
    if raw:
        stream.write("".join(",".join(row) + end for row in rows))
    else:
        csv.writer(stream, lineterminator=end).writerows(rows)
    data = stream.getvalue().encode()[: -cut or None]
    try:
        expected = row_by_row(data, SITE)
    except (ValueError, csv.Error) as error:
        with pytest.raises(type(error)):
            distinfo.parse_listing(data, SITE, "/prefix")
        return
    assert distinfo.parse_listing(data, SITE, "/prefix") == expected


@settings(max_examples=60, deadline=None)
@given(rows=PLAIN_ROWS.filter(bool))
def test_well_formed_listings_are_read_in_bulk(rows: list[tuple[str, ...]]) -> None:
    data = "".join(",".join(row) + "\n" for row in rows).encode()
    with mock.patch("csv.reader", side_effect=AssertionError):
        found, refused = distinfo.parse_listing(data, SITE, "/prefix")
    assert (len(found), refused) == (len(rows), [])


# --- conda-meta -------------------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(), HEX, st.sampled_from([EMPTY_SHA256, "A" * 64, "f" * 63, "", "hardlink", "softlink", "directory"]),
    st.integers(-1, 1 << 70), st.just([]), st.just(True),
)  # fmt: skip
ITEMS = st.fixed_dictionaries(
    {
        "_path": st.one_of(
            PATHS, st.sampled_from(["lib/x", "a/../b", "/abs", "conda-meta/.bridge/x", "\ud800", "a\x00"])
        )
    },
    optional=dict.fromkeys(("path_type", "sha256", "sha256_in_prefix", "size_in_bytes"), VALUES),
)


@settings(max_examples=150, deadline=None)
@given(items=st.lists(st.one_of(ITEMS, ITEMS, ITEMS, st.none(), st.just({}), st.just("x")), max_size=4), digest=HEX)
def test_paths_read_in_bulk_say_the_same(items: list[object], digest: str) -> None:
    """MUST: damaged metadata is told as before, whatever way it is read."""
    plain = {"_path": "lib/plain", "path_type": "hardlink", "sha256": digest, "size_in_bytes": 3}
    document = {"name": "a", "version": "1", "build": "0", "build_number": 0, "paths_data": {"paths": [plain, *items]}}
    data = json.dumps(document).encode()
    with mock.patch.object(condameta, "conda_paths", return_value=None):
        try:
            expected = condameta.parse(data, "conda-meta/a-1-0.json")
        except ValueError as error:
            expected = str(error)  # type: ignore[assignment]
    for in_columns in (False, True):
        try:
            found = condameta.parse(data, "conda-meta/a-1-0.json", in_columns=in_columns)
        except ValueError as error:
            found = str(error)  # type: ignore[assignment]
        assert found == expected
