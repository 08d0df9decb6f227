"""Wheels: what is let through, what is refused, and under which name (rows W29, W35 to W68).

The MUSTs are those of PEP 427 and of the wheel specification: "RECORD is a list of (almost) all the files in the wheel
and their secure hashes"; "md5, sha1 and sha224 are not permitted".
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import random
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.archive.entry_points import EntryPoint, parse_entry_point
from bridge.archive.record import read_record
from bridge.archive.wheels import check_wheel
from converters.errors import BridgeError, UnsafeInputError
from tests.support.builders import make_wheel, metadata_text, record_hash, tree_digest, wheel_members
from tests.support.hostile import Entry, assert_refused, nothing_changes, zip_of

INFO = "demo-1.0.dist-info"


def write_wheel(
    folder: Path,
    files: Mapping[str, bytes] | None = None,
    *,
    filename: str = "demo-1.0-py3-none-any.whl",
    change: Callable[[dict[str, bytes]], None] | None = None,
    change_record: Callable[[list[str]], None] | None = None,
    raw_record: bytes | None = None,
    extra: tuple[Entry, ...] = (),
    executable: frozenset[str] = frozenset(),
) -> Path:
    """A wheel of `demo 1.0`, right unless changed: `change` takes the members before they are recorded."""
    members = wheel_members("demo", "1.0", files=files)
    del members[f"{INFO}/RECORD"]
    if change is not None:
        change(members)
    rows = [row_of(name, data) for name, data in members.items()] + [f"{INFO}/RECORD,,"]
    if change_record is not None:
        change_record(rows)
    record = "".join(f"{row}\n" for row in rows).encode() if raw_record is None else raw_record
    entries = [
        Entry(name=name, data=data, mode=0o100755 if name in executable else 0o100644) for name, data in members.items()
    ]
    path = folder / filename
    path.write_bytes(zip_of(*entries, *extra, Entry(name=f"{INFO}/RECORD", data=record)))
    return path


def row_of(name: str, data: bytes) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([name, record_hash(data), len(data)])
    return line.getvalue()


def refuse_wheel(path: Path) -> BridgeError:
    before = tree_digest(path.parent)
    with nothing_changes(), pytest.raises(BridgeError) as caught:
        check_wheel(path)
    assert tree_digest(path.parent) == before
    assert path.name in caught.value.message
    return caught.value


def remove(name: str) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.__delitem__(name)


def put(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.__setitem__(name, data)


def metadata(**parts: object) -> Callable[[dict[str, bytes]], None]:
    return put(f"{INFO}/METADATA", metadata_text(**({"name": "demo", "version": "1.0"} | parts)))  # type: ignore[arg-type]


def wheel_file(*lines: str) -> Callable[[dict[str, bytes]], None]:
    return put(f"{INFO}/WHEEL", "".join(f"{line}\n" for line in lines).encode())


def points(text: str | bytes) -> Callable[[dict[str, bytes]], None]:
    return put(f"{INFO}/entry_points.txt", text if isinstance(text, bytes) else text.encode())


def replace_row(old: str, new: str) -> Callable[[list[str]], None]:
    def change(rows: list[str]) -> None:
        rows[:] = [new if row.startswith(f"{old},") else row for row in rows]

    return change


def add_row(row: str) -> Callable[[list[str]], None]:
    return lambda rows: rows.append(row)


def drop_row(name: str) -> Callable[[list[str]], None]:
    return lambda rows: rows.__delitem__(next(index for index, row in enumerate(rows) if row.startswith(f"{name},")))


EMPTY_HASH = record_hash(b"")
INIT = "demo/__init__.py"
PLAIN = {INIT: b"VERSION = 1\n"}
OTHER = "other-2.dist-info"

WHEELS: Mapping[str, tuple[Mapping[str, object], str]] = {
    "W35 data_scheme_escape": ({"files": {"demo-1.0.data/scripts/../../../bin/python": b""}}, "path-escape"),
    "W36 data_unknown_scheme": ({"files": {"demo-1.0.data/evil/x": b""}}, "wheel-scheme"),
    "W36 a file in place of a scheme": ({"files": {"demo-1.0.data/x": b""}}, "wheel-scheme"),
    "W36 a file called as a scheme": ({"files": {"demo-1.0.data/data": b""}}, "wheel-scheme"),
    "W36 data_unknown_scheme under another name": ({"files": {"demo-1.0-7.data/evil/x": b""}}, "wheel-scheme"),
    "W39 writes_conda_meta": ({"files": {"demo-1.0.data/data/conda-meta/x.json": b"{}"}}, "reserved-path"),
    "W39 writes_conda_meta, capitals": ({"files": {"demo-1.0.data/data/Conda-Meta/history": b""}}, "reserved-path"),
    "two members for one place": (
        {"files": {INIT: b"a", f"demo-1.0.data/purelib/{INIT}": b"b"}},
        "path-collision",
    ),
    "two members for one place in two data directories": (
        {"files": {"demo-1.0.data/data/share/x": b"a", "demo-1.0-7.data/data/share/x": b"b"}},
        "path-collision",
    ),
    "headers for one place": (
        {"files": {"demo-1.0.data/headers/x.h": b"a", "demo-1.0.data/data/include/python3.12/demo/x.h": b"b"}},
        "path-collision",
    ),
    "two scripts for one place": (
        {"files": {"demo-1.0.data/scripts/x": b"a", "demo-1.0.data/data/bin/x": b"b"}},
        "path-collision",
    ),
    "W49 record_missing": ({"raw_record": b"", "filename": "demo-1.0-py3-none-any.whl"}, "record-invalid"),
    "W50 record_file_unlisted": ({"change_record": drop_row(INIT)}, "record-invalid"),
    "W51 record_extra_row": ({"change_record": add_row(f"demo/gone.py,{EMPTY_HASH},0")}, "record-invalid"),
    "W51 record_extra_directory": ({"change_record": add_row("gone/,,")}, "record-invalid"),
    "W52 record_hash_wrong": ({"change_record": replace_row(INIT, f"{INIT},{EMPTY_HASH},")}, "record-hash"),
    "W52 record_hash_wrong, sha512": ({"change_record": replace_row(INIT, f"{INIT},sha512=AAAA,")}, "record-hash"),
    "W52 record_hash_wrong, hex": (
        {"change_record": replace_row(INIT, f"{INIT},sha256={hashlib.sha256(b'').hexdigest()},")},
        "record-hash",
    ),
    "W53 record_md5": ({"change_record": replace_row(INIT, f"{INIT},md5=1B2M2Y8AsgTpgAmY7PhCfg,")}, "record-algorithm"),
    "W53 record_sha1": (
        {"change_record": replace_row(INIT, f"{INIT},sha1=2jmj7l5rSw0yVb_vlWAYkK_YBwk,")},
        "record-algorithm",
    ),
    "W53 record_sha224": ({"change_record": replace_row(INIT, f"{INIT},sha224=AAAA,")}, "record-algorithm"),
    "W53 record_unknown": ({"change_record": replace_row(INIT, f"{INIT},rot13=AAAA,")}, "record-algorithm"),
    "W54 record_no_hash": ({"change_record": replace_row(INIT, f"{INIT},,")}, "record-invalid"),
    "W54 record_no_algorithm": ({"change_record": replace_row(INIT, f"{INIT},AAAA,")}, "record-invalid"),
    "W54 record_no_digest": ({"change_record": replace_row(INIT, f"{INIT},sha256=,")}, "record-invalid"),
    "W55 record_dotdot": ({"change_record": add_row(f"../../../home/x,{EMPTY_HASH},0")}, "path-escape"),
    "W55 record_absolute": ({"change_record": add_row(f"/etc/x,{EMPTY_HASH},0")}, "path-escape"),
    "W56 record_dup_rows": ({"change_record": add_row(f"{INIT},{EMPTY_HASH},0")}, "record-invalid"),
    "W56 record_dup_rows, another size": (
        {"change_record": add_row(f"{INIT},{record_hash(PLAIN[INIT])},13")},
        "record-invalid",
    ),
    "W56 record_dup_rows, other slashes": ({"change_record": add_row(f"/{INIT},{EMPTY_HASH},12")}, "record-invalid"),
    "W56 record_dup_rows, another algorithm": ({"change_record": add_row(f"{INIT},sha512=AAAA,12")}, "record-hash"),
    "W55 record_dotdot to a member": (
        {"change_record": replace_row(INIT, f"demo/../{INIT},{record_hash(PLAIN[INIT])},12")},
        "path-escape",
    ),
    "W57 four fields": ({"change_record": replace_row(INIT, f"{INIT},{EMPTY_HASH},0,x")}, "record-invalid"),
    "W57 one field": ({"change_record": replace_row(INIT, INIT)}, "record-invalid"),
    "W57 carriage return in a row": ({"change_record": add_row("a\rb,,")}, "record-invalid"),
    "W57 open quote": ({"change_record": add_row('"a,,')}, "record-invalid"),
    "W57 text after a quote": ({"change_record": add_row('"a"b,,')}, "record-invalid"),
    "W57 field of 10^6 characters": ({"change_record": add_row("a" * 10**6 + ",,")}, "record-invalid"),
    "W57 10^6 rows": ({"raw_record": b"".join(b"%d,,\n" % number for number in range(10**6))}, "record-invalid"),
    "W57 10^6 blank lines": ({"raw_record": b"\n" * 10**6}, "record-invalid"),
    "W57 not UTF-8": ({"raw_record": b"\xff,,\n"}, "record-invalid"),
    "W57 NUL": ({"change_record": add_row("a\0b,,")}, "record-invalid"),
    "W57 size that is no number": ({"change_record": replace_row(INIT, f"{INIT},{EMPTY_HASH},-1")}, "record-hash"),
    "W58 two_distinfo": ({"files": {**PLAIN, f"{OTHER}/METADATA": b""}}, "wheel-dist-info"),
    "W58 two_distinfo, capitals": ({"files": {**PLAIN, "other-2.DIST-INFO/METADATA": b""}}, "wheel-dist-info"),
    "W58 hidden in the data directory": (
        {"files": {f"demo-1.0.data/purelib/{OTHER}/METADATA": b""}},
        "wheel-dist-info",
    ),
    "W58 no dist-info": ({"change": lambda members: members.clear(), "raw_record": b""}, "wheel-dist-info"),
    "W58 no METADATA": ({"change": remove(f"{INFO}/METADATA")}, "wheel-dist-info"),
    "W59 name_mismatch": ({"change": metadata(name="other")}, "wheel-name"),
    "W59 name_mismatch in dist-info": ({"filename": "other-1.0-py3-none-any.whl"}, "wheel-dist-info"),
    "W60 version_mismatch": ({"change": metadata(version="2.0")}, "wheel-name"),
    "W60 version_mismatch in dist-info": ({"filename": "demo-2.0-py3-none-any.whl"}, "wheel-dist-info"),
    "not a wheel's name": ({"filename": "demo.whl"}, "wheel-name"),
    "W62 huge_metadata": ({"change": metadata(headers=[f"Summary: {'x' * (1 << 20)}"])}, "limit-size"),
    "W62 10^6 Requires-Dist": ({"change": metadata(requires=["a"] * 10**6)}, "limit-size"),
    "W62 huge WHEEL": ({"change": put(f"{INFO}/WHEEL", b"x" * ((64 << 10) + 1))}, "limit-size"),
    "W62 huge entry_points.txt": ({"change": points(b"#" * ((1 << 20) + 1))}, "limit-size"),
    "W63 bad_utf8_metadata": (
        {"change": put(f"{INFO}/METADATA", b"Name: demo\nVersion: 1.0\nAuthor: \xe9\n")},
        "metadata-invalid",
    ),
    "W63 bad_utf8_metadata, description": (
        {"change": put(f"{INFO}/METADATA", b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n\n\xe9\n")},
        "metadata-invalid",
    ),
    "W63 bad_utf8 in WHEEL": (
        {"change": put(f"{INFO}/WHEEL", b"Wheel-Version: 1.0\nGenerator: \xe9\n")},
        "metadata-invalid",
    ),
    "W64 duplicate name": ({"change": metadata(headers=["Name: evil"])}, "metadata-invalid"),
    "W64 duplicate version": ({"change": metadata(headers=["Version: 2"])}, "metadata-invalid"),
    "W64 vertical tab": ({"change": metadata(headers=["Summary: a\x0bName: evil"])}, "metadata-invalid"),
    "W64 line separator": ({"change": metadata(headers=["Summary: a\u2028Name: evil"])}, "metadata-invalid"),
    "W64 paragraph separator": ({"change": metadata(headers=["Summary: a\u2029Name: evil"])}, "metadata-invalid"),
    "W64 file separator": (
        {"change": metadata(headers=["License: a\n        \x1cRequires-Dist: b"])},
        "metadata-invalid",
    ),
    "W64 carriage return": ({"change": metadata(headers=["Summary: a\rName: evil"])}, "metadata-invalid"),
    "W64 no name": ({"change": put(f"{INFO}/METADATA", b"Metadata-Version: 2.1\nVersion: 1.0\n")}, "metadata-invalid"),
    "W65 ep_traversal": ({"change": points("[console_scripts]\n../../x = m:f\n")}, "entry-point"),
    "W65 ep_absolute": ({"change": points("[gui_scripts]\n/abs = m:f\n")}, "entry-point"),
    "W65 ep_folder": ({"change": points("[console_scripts]\na/b = m:f\n")}, "entry-point"),
    "W65 ep_backslash": ({"change": points("[console_scripts]\na\\b = m:f\n")}, "entry-point"),
    "W65 ep_empty": ({"change": points("[console_scripts]\n = m:f\n")}, "entry-point"),
    "W65 ep_dots": ({"change": points("[console_scripts]\n.. = m:f\n")}, "entry-point"),
    "W65 ep_option": ({"change": points("[console_scripts]\n-rf = m:f\n")}, "entry-point"),
    "W65 ep_long": ({"change": points(f"[console_scripts]\n{'a' * 201} = m:f\n")}, "entry-point"),
    "W66 ep_injection": ({"change": points("[console_scripts]\nx = m:f\nimport os;os.system('id')\n")}, "entry-point"),
    "W66 ep_injection, continued": ({"change": points("[console_scripts]\nx = m:f\n y = m:g\n")}, "entry-point"),
    "W66 ep_injection, other line break": (
        {"change": points("[console_scripts]\nx = m:f\x0by = m:g\n")},
        "entry-point",
    ),
    "W66 ep_call": ({"change": points("[console_scripts]\nx = m:f);evil(\n")}, "entry-point"),
    "W66 ep_module": ({"change": points("[console_scripts]\nx = m;import os:f\n")}, "entry-point"),
    "W66 ep_no_attribute": ({"change": points("[console_scripts]\nx = m\n")}, "entry-point"),
    "W66 ep_not_utf8": ({"change": points(b"[console_scripts]\nx = m:\xe9\n")}, "entry-point"),
    "W68 wheel_version_2": ({"change": wheel_file("Wheel-Version: 2.0", "Root-Is-Purelib: true")}, "metadata-invalid"),
    "W68 no wheel_version": ({"change": wheel_file("Root-Is-Purelib: true")}, "metadata-invalid"),
    "W68 two wheel_versions": (
        {"change": wheel_file("Wheel-Version: 1.0", "Wheel-Version: 2.0", "Root-Is-Purelib: true")},
        "metadata-invalid",
    ),
    "W68 wheel_version_nonsense": (
        {"change": wheel_file("Wheel-Version: one", "Root-Is-Purelib: true")},
        "metadata-invalid",
    ),
    "no WHEEL": ({"change": remove(f"{INFO}/WHEEL")}, "metadata-invalid"),
}


@pytest.mark.parametrize("row", WHEELS)
def test_a_bad_wheel_is_refused(row: str, tmp_path: Path) -> None:
    parts, expected = WHEELS[row]
    path = write_wheel(tmp_path, **({"files": PLAIN} | dict(parts)))  # type: ignore[arg-type]
    started = time.process_time()
    assert_refused(refuse_wheel(path), expected)
    assert time.process_time() - started < 2


def test_every_wheel_row_is_there() -> None:
    rows = {row.split()[0] for row in (*WHEELS, *CAUTIONS)}
    assert rows >= {f"W{number}" for number in [35, 36, 39, 40, 42, 44, *range(49, 61), *range(62, 67), 68]}


def test_w49_a_wheel_without_record_is_refused(tmp_path: Path) -> None:
    members = wheel_members("demo", "1.0")
    del members[f"{INFO}/RECORD"]
    path = tmp_path / "demo-1.0-py3-none-any.whl"
    path.write_bytes(zip_of(*(Entry(name=name, data=data) for name, data in members.items())))
    assert_refused(refuse_wheel(path), "record-invalid")


def test_a_wheel_is_read_whole(tmp_path: Path) -> None:
    files = {
        INIT: b"",
        "demo/data/ünï.txt": b"x" * 3_000_000,
        "demo/tool": b"#!/bin/sh\n",
        'demo/a,"b".txt': b"csv\n",
        "demo-1.0.data/scripts/run": b"#!python\n",
        "demo-1.0.data/data/share/x": b"x",
        "demo-1.0.data/headers/x.h": b"x",
    }
    text = "[console_scripts]\n# a comment\nDemo = demo.main:run [extra]\n\n[other.group]\nx y z\n"
    text += "[gui_scripts]\ndemo-gui=demo:a.b\n"
    path = write_wheel(tmp_path, files, change=points(text), executable=frozenset({"demo/tool"}))
    with nothing_changes():
        manifest = check_wheel(path)
    with zipfile.ZipFile(path) as archive:
        expected = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    assert {member.path: member.sha256 for member in manifest.members} == expected
    assert {member.path for member in manifest.members if member.is_executable} == {"demo/tool"}
    assert {member.path: member.size for member in manifest.members}["demo/data/ünï.txt"] == 3_000_000
    assert (manifest.filename, manifest.dist_info, manifest.data_dirs) == (path.name, INFO, ("demo-1.0.data",))
    assert (manifest.metadata.name, manifest.metadata.version) == ("demo", "1.0")
    assert manifest.entry_points == (
        EntryPoint(group="console_scripts", name="Demo", module="demo.main", attribute="run"),
        EntryPoint(group="gui_scripts", name="demo-gui", module="demo", attribute="a.b"),
    )
    assert (manifest.wheel_version, manifest.root_is_purelib, manifest.tags) == ("1.0", True, ("py3-none-any",))
    assert [caution.path for caution in manifest.cautions] == ['demo/a,"b".txt']


def digest_of(algorithm: str, data: bytes) -> str:
    return f"{algorithm}=" + base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=").decode()


DIRECTORY = Entry(name="demo/", data=b"", mode=0o040755)
VERSION = PLAIN[INIT]

FINE: Mapping[str, Mapping[str, object]] = {
    "directories as members": {"extra": (DIRECTORY, Entry(name="empty/", data=b"", mode=0o040755))},
    "directories in RECORD": {"extra": (DIRECTORY,), "change_record": add_row("demo/,,")},
    "a directory in RECORD that is no member": {"change_record": add_row("demo/,,")},
    "sha384": {"change_record": replace_row(INIT, f"{INIT},{digest_of('sha384', VERSION)},12")},
    "sha512": {"change_record": replace_row(INIT, f"{INIT},{digest_of('sha512', VERSION)},12")},
    "blake2b": {"change_record": replace_row(INIT, f"{INIT},{digest_of('blake2b', VERSION)},12")},
    "RECORD with a hash of itself": {"change_record": replace_row(f"{INFO}/RECORD", f"{INFO}/RECORD,md5=x,7")},
    "RECORD that does not list itself": {"change_record": drop_row(f"{INFO}/RECORD")},
    "signatures missing": {"change_record": add_row(f"{INFO}/RECORD.jws,,")},
    "signatures unlisted": {"extra": (Entry(name=f"{INFO}/RECORD.jws"), Entry(name=f"{INFO}/RECORD.p7s"))},
    "an algorithm in capitals": {
        "change_record": replace_row(INIT, f"{INIT},{digest_of('sha256', VERSION).replace('sha', 'SHA')},12")
    },
    "RECORD with a byte order mark": {"change_record": lambda rows: rows.__setitem__(0, f"\ufeff{rows[0]}")},
    "no sizes": {"change_record": replace_row(INIT, f"{INIT},{record_hash(VERSION)},")},
    "padded hash": {"change_record": replace_row(INIT, f"{INIT},{record_hash(VERSION)}=,12")},
    "a row twice": {"change_record": add_row(f"{INIT},{record_hash(VERSION)},12")},
    "RECORD's own row twice": {"change_record": add_row(f"{INFO}/RECORD,,")},
    "a row twice, once without a hash": {"change_record": add_row(f"{INIT},,")},
    "a row twice, with two algorithms": {"change_record": add_row(f"{INIT},{digest_of('sha512', VERSION)},12")},
    "a leading slash": {"change_record": replace_row(INIT, f"/{INIT},{record_hash(VERSION)},12")},
    "a leading dot": {"change_record": replace_row(INIT, f"./{INIT},{record_hash(VERSION)},12")},
    "a doubled slash": {"change_record": replace_row(INIT, f"demo//__init__.py,{record_hash(VERSION)},12")},
    "a backslash": {"change_record": replace_row(INIT, f"demo\\__init__.py,{record_hash(VERSION)},12")},
    "the standard alphabet of base64": {
        "change_record": replace_row(
            INIT, f"{INIT},sha256={base64.b64encode(hashlib.sha256(VERSION).digest()).decode()},12"
        )
    },
    "a directory in RECORD without its slash": {"change_record": add_row("demo,,")},
    "data directory with a build tag": {"files": {"demo-1.0-7.data/data/x": b"", "demo-1.0-7.data/scripts/y": b""}},
    "data directory without a version": {"files": {"demo.data/data/x": b""}},
    "data directory in another spelling": {"files": {"Demo-1.0.0.data/data/x": b""}},
    "data directory of another version": {"files": {"demo-2.0.data/data/x": b""}},
    "two data directories": {"files": {"demo-1.0.data/data/x": b"", "Demo-1.0-1.data/data/y": b""}},
    "data directory in capitals": {"files": {"demo-1.0.DATA/data/x": b""}},
    "headers beside data/include": {
        "files": {"demo-1.0.data/headers/demo/x.h": b"a", "demo-1.0.data/data/include/demo/x.h": b"a"}
    },
    "headers beside other data/include": {
        "files": {"demo-1.0.data/headers/x.h": b"a", "demo-1.0.data/data/include/x.h": b"b"}
    },
    "a command in both groups": {"change": points("[console_scripts]\nx = m:f\n[gui_scripts]\nx = m:f\n")},
    "blank line at the end": {"change_record": add_row("")},
    "Windows line ends": {"change_record": lambda rows: rows.__setitem__(slice(None), [f"{row}\r" for row in rows])},
    "a quoted name": {"change_record": replace_row(INIT, f'"{INIT}",{record_hash(VERSION)},12')},
    "indented entry points": {"change": points("\n    [console_scripts]\n    x = m:f\n    y=m:g\n")},
    "entry points with a byte order mark": {"change": points("\ufeff[console_scripts]\r\nx = m:f\r\n")},
    "no entry points": {"change": points("")},
    "form feeds in a licence": {"change": metadata(headers=["License: GPL", "        \x0c        ", "        \x0c"])},
    "names of conda inside the package": {"files": {INIT: VERSION, "conda-meta/x.json": b"", "x.data": b""}},
}


@pytest.mark.parametrize("row", FINE)
def test_a_good_wheel_is_accepted(row: str, tmp_path: Path) -> None:
    path = write_wheel(tmp_path, **({"files": PLAIN} | dict(FINE[row])))  # type: ignore[arg-type]
    manifest = check_wheel(path)
    with zipfile.ZipFile(path) as archive:
        files = [info.filename for info in archive.infolist() if not info.is_dir()]
        assert [member.path for member in manifest.members] == files
    assert manifest.cautions == ()


def test_a_wheel_made_by_zipfile_is_accepted(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "Demo.Thing", "1.0+local.1", tag="cp311-abi3-linux_x86_64", build="2")
    manifest = check_wheel(path)
    assert (manifest.metadata.name, manifest.metadata.version) == ("demo-thing", "1.0+local.1")
    assert manifest.root_is_purelib is False
    assert manifest.tags == ("cp311-abi3-linux_x86_64",)


def test_a_wheel_under_another_name_is_judged_by_its_own(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, PLAIN).rename(tmp_path / "0123abcd")
    assert check_wheel(path, filename="demo-1.0-py3-none-any.whl").filename == "demo-1.0-py3-none-any.whl"
    assert_refused(refuse_wheel(path), "wheel-name")


def test_hashes_in_hex_are_checked_and_remarked_once(tmp_path: Path) -> None:
    def in_hex(rows: list[str]) -> None:
        rows[:] = [f"{name},sha256={hashlib.sha256(VERSION).hexdigest()},12" for name in files] + rows[len(files) :]

    files = {f"demo/{number}.py": VERSION for number in range(5)}
    manifest = check_wheel(write_wheel(tmp_path, files, change_record=in_hex))
    assert [(caution.id, caution.path) for caution in manifest.cautions] == [("record-encoding", f"{INFO}/RECORD")]
    assert "5 hashes" in manifest.cautions[0].detail


def test_a_wrong_size_beside_a_right_hash_is_remarked_once(tmp_path: Path) -> None:
    """No installer looks at sizes; the hash shows that the file is the one that was published."""
    files = {"demo/a.py": b"x", "demo/b.py": b"x"}

    def wrong(rows: list[str]) -> None:
        rows[:] = [f"{name},{record_hash(b'x')},2" for name in files] + rows[len(files) :]

    manifest = check_wheel(write_wheel(tmp_path, files, change_record=wrong))
    assert [caution.id for caution in manifest.cautions] == ["record-size"]
    assert manifest.cautions[0].detail == "it has a wrong size of demo/a.py and 1 more files"


@pytest.mark.parametrize("row", ["demo/a, b.py,{0},1", "demo/a, b.py,{0},", '"demo/a, b.py",{0}'])
def test_a_path_with_commas_needs_no_quotes_and_a_row_no_size(row: str, tmp_path: Path) -> None:
    """Tools that join the fields by commas write such rows."""
    path = "demo/a, b.py"
    change = replace_row(f'"{path}"', row.format(record_hash(b"x")))
    assert path in [
        member.path for member in check_wheel(write_wheel(tmp_path, {path: b"x"}, change_record=change)).members
    ]
    assert_refused(refuse_wheel(write_wheel(tmp_path, {path: b"y"}, change_record=change)), "record-hash")


def test_of_two_lines_for_one_command_the_last_counts(tmp_path: Path) -> None:
    change = points("[console_scripts]\nx = m:f\ny = m:f\nx = m:g\n[gui_scripts]\ny = m:f\n")
    manifest = check_wheel(write_wheel(tmp_path, PLAIN, change=change))
    assert [(point.name, point.attribute) for point in manifest.entry_points] == [("x", "g"), ("y", "f")]
    assert [caution.detail for caution in manifest.cautions] == ["the command x is defined again: m:f is not used"]


def test_equal_members_for_one_place_are_one(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, {INIT: VERSION, f"demo-1.0.data/purelib/{INIT}": VERSION})
    assert INIT in (paths := [member.path for member in check_wheel(path).members])
    assert f"demo-1.0.data/purelib/{INIT}" not in paths


def test_a_data_directory_of_another_project_is_remarked(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, {**PLAIN, "other-1.0.data/data/x": b""})
    assert [(caution.id, caution.path) for caution in check_wheel(path).cautions] == [
        ("data-directory", "other-1.0.data")
    ]


@pytest.mark.parametrize("value", ["demo.lambda:f", "class:f", "demo:def", "demo:f.import"])
def test_a_command_that_python_cannot_import_is_left_out(value: str, tmp_path: Path) -> None:
    """Conda refuses to link it, and with it all other packages of the transaction (conda#16340)."""
    manifest = check_wheel(write_wheel(tmp_path, PLAIN, change=points(f"[console_scripts]\nkw = {value}\nx = m:f\n")))
    assert [point.name for point in manifest.entry_points] == ["x"]
    assert [caution.id for caution in manifest.cautions] == ["entry-point"]


CAUTIONS: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "W40 case_collision": (("Foo.py", "foo.py"), "case-collision", "foo.py"),
    "W40 case_collision of folders": (("Foo/a.py", "foo/b.py"), "case-collision", "foo"),
    "W42 nfkc_casefold ligature": (("ﬁle.py", "file.py"), "case-collision", "ﬁle.py"),
    "W42 nfkc_casefold sharp s": (("STRAẞE.py", "strasse.py"), "case-collision", "strasse.py"),
    "W44 device": (("CON",), "windows-name", "CON"),
    "W44 device with a suffix": (("a/nul.txt",), "windows-name", "a/nul.txt"),
    "W44 dot": (("a.",), "windows-name", "a."),
    "W44 blank": (("a ",), "windows-name", "a "),
    "W44 stream": (("x:ads",), "windows-name", "x:ads"),
    "W44 folder": (("aux/a.py",), "windows-name", "aux"),
    "backslash": (("a\\b.py",), "windows-name", "a\\b.py"),
}


@pytest.mark.parametrize("row", CAUTIONS)
def test_what_only_other_systems_mind_is_a_caution(row: str, tmp_path: Path) -> None:
    names, expected, where = CAUTIONS[row]
    path = write_wheel(tmp_path, dict.fromkeys(names, b""))
    assert [(caution.id, caution.path) for caution in check_wheel(path).cautions] == [(expected, where)]


@pytest.mark.parametrize(("version", "remarks"), [("1.0", []), ("1.9", ["wheel-version"])])
def test_w68_a_newer_minor_version_is_remarked(version: str, remarks: list[str], tmp_path: Path) -> None:
    change = wheel_file(f"Wheel-Version: {version}", "Root-Is-Purelib: False", "Tag: py2-none-any", "Tag: py3-none-any")
    manifest = check_wheel(write_wheel(tmp_path, PLAIN, change=change))
    assert [caution.id for caution in manifest.cautions] == remarks
    assert (manifest.wheel_version, manifest.root_is_purelib) == (version, False)
    assert manifest.tags == ("py2-none-any", "py3-none-any")


@pytest.mark.parametrize(
    "lines", [(), ("Root-Is-Purelib: perhaps",), ("Root-Is-Purelib: true", "Root-Is-Purelib: false")]
)
def test_an_unclear_root_is_purelib_is_remarked(lines: tuple[str, ...], tmp_path: Path) -> None:
    """Pip reads everything but `true` as false, and both places are site-packages."""
    manifest = check_wheel(write_wheel(tmp_path, PLAIN, change=wheel_file("Wheel-Version: 1.0", *lines)))
    assert [caution.id for caution in manifest.cautions] == ["root-is-purelib"]
    assert manifest.root_is_purelib is False


def test_w29_a_truncated_wheel_is_never_accepted(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "demo", "1.0", files={f"demo/{number}.py": b"x = 1\n" * number for number in range(20)})
    whole = path.read_bytes()
    for cut in [*(len(whole) * step // 62 for step in range(62)), len(whole) - 1, len(whole) - 22]:
        path.write_bytes(whole[:cut])
        assert refuse_wheel(path).exit_code in {3, 5}


def test_every_flipped_byte_of_the_content_is_found(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "demo", "1.0", files={"demo/data.bin": random.Random(1).randbytes(4000)})
    whole = path.read_bytes()
    for place in range(50, 3500, 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert refuse_wheel(path).exit_code in {3, 5}


@pytest.mark.slow
def test_memory_does_not_grow_with_a_member(tmp_path: Path) -> None:
    def peak(size: int) -> int:
        data = {"demo/data.bin": random.Random(2).randbytes(size), "demo/text": b"some text\n" * (size // 10)}
        path = write_wheel(tmp_path, data)
        del data
        tracemalloc.start()
        try:
            check_wheel(path)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(12 << 20) < peak(4 << 20) + (1 << 20) < 8 << 20


# --- W57: RECORD as the csv module reads it


@given(st.text(st.sampled_from('ab,"\r\n\ufeff=/ '), max_size=40))
@settings(max_examples=200, deadline=None)
def test_record_is_read_as_csv_reads_it_or_refused(text: str) -> None:
    """PEP 376: "the csv module is used to read and write this file"."""
    try:
        rows = read_record(text.encode(), "demo.whl", "RECORD", frozenset(), 100, ())
    except UnsafeInputError:
        return
    oracle = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    assert list(rows) == list(dict.fromkeys(row[0] for row in oracle))


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1), st.integers(0, 99))
)
@settings(max_examples=100, deadline=None)
def test_whatever_csv_writes_is_read_back(sizes: dict[str, int]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(
        [name, digest_of("sha256", b""), size] for name, size in sizes.items()
    )
    rows = read_record(out.getvalue().encode(), "demo.whl", "RECORD", frozenset(), len(sizes), ())
    assert {name: row.size for name, (row,) in rows.items()} == sizes


# --- W65, W66: entry points


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_no_entry_point_that_is_let_through_can_leave_bin_or_add_code(name: str, value: str) -> None:
    """Entry points specification: "the name MUST NOT contain characters that are not allowed in file names"."""
    try:
        point = parse_entry_point(f"{name} = {value}", "console_scripts", "demo.whl", "entry_points.txt")
    except UnsafeInputError:
        return
    assert point.name == Path(point.name).name
    assert point.name not in {".", ".."}
    assert all(part.isidentifier() for part in f"{point.module}.{point.attribute}".split("."))


@pytest.mark.parametrize("name", ["demo", "Demo", "pip3.11", "2to3", "_x", "a+b", "a-b_c.d", "My App", "été"])
def test_real_command_names_are_accepted(name: str) -> None:
    point = parse_entry_point(f"{name}=a.b:c.d [x, y-z]", "console_scripts", "demo.whl", "entry_points.txt")
    assert point == EntryPoint(group="console_scripts", name=name, module="a.b", attribute="c.d")
