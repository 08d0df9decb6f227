"""Entries in columns are the entries that were made one by one, however they were read."""

from __future__ import annotations

import csv
import io
import json
import pickle
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from bridge.model import Entry, Fingerprint
from bridge.paths import EMPTY_SHA256, inside
from bridge.prefix import condameta, distinfo
from bridge.prefix.columns import hex_digest
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
    """A plain reader of RECORD, as the standard library's csv and `inside` have it."""
    entries: dict[str, Entry] = {}
    refused: list[str] = []
    text = re.sub(r"(?m)^[^\",\r\n]+/,[^\r\n]*(?:\r\n?|\n)?", "", data.decode())  # directories
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            refused.append(f"line {rows.line_num}: {error}")
            break
        if row and row[0] and len(row) < 3:
            refused.append(row[0][:200])
        elif row and row[0]:
            path = inside(row[0].removeprefix("/prefix/"), "" if row[0].startswith("/prefix/") else base)
            try:
                digest = hex_digest(row[1]) if row[1] else None
                size = int(row[2]) if row[2] else None
            except ValueError:
                path = None
            if path is None:
                refused.append(row[0])
            else:
                entries[path] = Entry(path=path, fingerprint=Fingerprint(kind="file", sha256=digest, size=size))
    if not entries:
        raise ValueError("it lists no file, not even itself")
    return tuple(entries.values()), refused


@settings(max_examples=150, deadline=None)
@given(
    rows=st.one_of(ROWS, PLAIN_ROWS),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    raw=st.booleans(),
    cut=st.integers(0, 3),
)
def test_a_listing_says_what_its_rows_say(rows: list[tuple[str, ...]], end: str, raw: bool, cut: int) -> None:
    """MUST: whole columns are converted as their rows would be, damaged ones too."""
    stream = io.StringIO()
    if raw:
        stream.write("".join(",".join(row) + end for row in rows))
    else:
        try:
            csv.writer(stream, lineterminator=end).writerows(rows)
        except csv.Error:  # NUL, before python 3.11
            reject()
    data = stream.getvalue().encode()[: -cut or None]
    try:
        expected = row_by_row(data, SITE)
    except (ValueError, csv.Error) as error:
        with pytest.raises(type(error)):
            distinfo.parse_listing(data, SITE, "/prefix")
        return
    assert distinfo.parse_listing(data, SITE, "/prefix") == expected


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


def item_by_item(items: Sequence[object]) -> tuple[Sequence[Entry], list[str]]:
    """A plain reader of `paths_data.paths`."""
    entries: dict[str, Entry] = {}
    refused = []
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("_path"), str):
            raise ValueError("paths_data.paths has an item without a _path")
        path = inside(item["_path"])
        if path is None:
            refused.append(item["_path"])
        else:
            entries[path] = condameta._entry(item, path)
    return tuple(entries.values()), refused


@settings(max_examples=150, deadline=None)
@given(items=st.lists(st.one_of(ITEMS, ITEMS, ITEMS, st.none(), st.just({}), st.just("x")), max_size=4), digest=HEX)
def test_a_record_says_what_its_items_say(items: list[object], digest: str) -> None:
    """MUST: whole columns are converted as their items would be, damaged ones too."""
    plain = {"_path": "lib/plain", "path_type": "hardlink", "sha256": digest, "size_in_bytes": 3}
    document = {"name": "a", "version": "1", "build": "0", "build_number": 0, "paths_data": {"paths": [plain, *items]}}
    data = json.dumps(document).encode()
    try:
        expected, refused = item_by_item([plain, *items])
    except ValueError as error:
        with pytest.raises(ValueError, match=str(error)):
            condameta.parse(data, "conda-meta/a-1-0.json")
        return
    found, defects = condameta.parse(data, "conda-meta/a-1-0.json")
    assert found.entries == expected
    assert [defect.detail for defect in defects] == (
        [f"it lists {len(refused)} path(s) that no package may have, first {refused[0]!r}"] if refused else []
    )


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(entries=ENTRIES, data=st.data())
def test_rows_are_chosen_and_replaced(entries: list[Entry], data: st.DataObject) -> None:
    columns = Entries.of(entries)
    rows = data.draw(st.lists(st.sampled_from(range(len(entries))), unique=True)) if entries else []
    assert list(columns.only(rows)) == [entries[row] for row in rows]
    others = {row: data.draw(st.builds(Entry, path=st.just(entries[row].path), fingerprint=FILES)) for row in rows}
    assert list(columns.with_rows(others)) == [others.get(row, entry) for row, entry in enumerate(entries)]


def test_rows_of_directories_are_left_out() -> None:
    """As in cmake 3.27.2, after `wheel tags`."""
    own = "cm-1.dist-info/RECORD,,\n"
    data = f"cm/,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\ncm/x.py,,\ncm/data/,,\n{own}".encode()
    entries, refused = distinfo.parse_listing(data, SITE, "/prefix")
    assert ([entry.path for entry in entries], refused) == ([f"{SITE}/cm/x.py", f"{SITE}/cm-1.dist-info/RECORD"], [])
