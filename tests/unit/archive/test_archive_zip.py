"""Zips: what is let through, what is refused, and under which name (rows W01 to W34, W41, W43, W45).

The MUSTs are those of APPNOTE 6.3.10: one central directory at the end, local headers that repeat it, no bytes besides.
"""

from __future__ import annotations

import io
import random
import struct
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.archive.limits import Limits
from bridge.archive.zip_contents import read_member
from bridge.archive.zip_member import ZipMember
from bridge.archive.zips import read_directory
from converters.errors import BridgeError, IntegrityError, UnsafeInputError
from tests.support.hostile import (
    DESCRIPTOR,
    UTF8,
    Entry,
    Zip,
    assert_refused,
    deflate,
    end_record,
    nothing_changes,
    polyglot_tar_zip,
    unicode_extra,
    zip64_end,
    zip64_extra,
    zip64_locator,
    zip_of,
)

A = Entry(name="a.py", data=b"a = 1\n")
B = Entry(name="b.py", data=b"b = 2\n")
ZEROS = b"\0" * (80 << 20)


def check_zip(stream: BinaryIO, name: str, limits: Limits | None = None) -> tuple[ZipMember, ...]:
    """Validate the structure and the content of all members."""
    members = read_directory(stream, name, limits or Limits())
    for member in sorted(members, key=lambda member: member.offset):
        for _ in read_member(stream, member, name):
            pass
    return members


def refuse_zip(data: bytes, limits: Limits | None = None) -> BridgeError:
    """The error that `check_zip` raises, which must be one of ours, on one printable line, with nothing written."""
    with nothing_changes(), pytest.raises(BridgeError) as caught:
        check_zip(io.BytesIO(data), "demo.zip", limits or Limits())
    assert "demo.zip" in caught.value.message
    assert caught.value.message.isprintable()
    assert caught.value.hint
    return caught.value


# --- W01 to W30: the container


def lying_end64(entries: int, size: int, offset: int) -> bytes:
    """W13: the locator points past the zip64 end record that stands before it (CVE-2025-8291)."""
    return (
        zip64_end(entries=entries, size=size, offset=offset)
        + zip64_locator(offset)
        + end_record(entries=0xFFFF, size=0xFFFFFFFF, offset=0xFFFFFFFF)
    )


def extended_end64(entries: int, size: int, offset: int) -> bytes:
    return (
        zip64_end(entries=entries, size=size, offset=offset, extension=b"x" * 20)
        + zip64_locator(offset + size)
        + end_record(entries=0xFFFF, size=0xFFFFFFFF, offset=0xFFFFFFFF)
    )


def end64_with(
    short_entries: int | None = None, short_size: int | None = None, disks: int = 1
) -> Callable[[int, int, int], bytes]:
    """A zip64 tail whose 32-bit end record says what it is told to, and the truth elsewhere."""

    def tail(entries: int, size: int, offset: int) -> bytes:
        return (
            zip64_end(entries=entries, size=size, offset=offset)
            + zip64_locator(offset + size, disks)
            + end_record(
                entries=entries if short_entries is None else short_entries,
                size=size if short_size is None else short_size,
                offset=offset,
            )
        )

    return tail


def end_with(wrong_entries: int | None = None, wrong_offset: int | None = None) -> Callable[[int, int, int], bytes]:
    def tail(entries: int, size: int, offset: int) -> bytes:
        return end_record(
            entries=entries if wrong_entries is None else wrong_entries,
            size=size,
            offset=offset if wrong_offset is None else wrong_offset,
        )

    return tail


def split_archive(entries: int, size: int, offset: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 1, entries, entries, size, offset, 0)


def many_entries(entries: int, size: int, offset: int) -> bytes:
    count = 5_000_000
    return (
        zip64_end(entries=count, size=size, offset=offset)
        + zip64_locator(offset + size)
        + end_record(entries=0xFFFF, size=0xFFFFFFFF, offset=0xFFFFFFFF)
    )


def quoted_overlap() -> bytes:
    """W20: the first member's stored content is the second member, header and all (CVE-2024-0450)."""
    inner = zip_of(Entry(name="b.py", method=0, data=b"b = 2\n"))
    quoted = inner[: inner.index(b"PK\x01\x02")]
    outer = Entry(name="a.py", method=0, data=quoted)
    start = 30 + len("a.py")
    return zip_of(outer, Entry(name="b.py", method=0, data=b"b = 2\n", ghost=True, central={"offset": start}))


STRUCTURE: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "W01 dup_lfh_same_name": (
        lambda: zip_of(Entry(name="a.py", data=b"evil\n", hidden=True), A),
        "zip-duplicate",
    ),
    "W01 hidden between": (lambda: zip_of(A, Entry(name="b.py", data=b"evil\n", hidden=True), B), "zip-duplicate"),
    "W02 dup_cd_name": (lambda: zip_of(A, Entry(name="a.py", data=b"evil\n")), "zip-duplicate"),
    "W03 dup_identical": (lambda: zip_of(A, A), "zip-duplicate"),
    "W03 one header, listed twice": (
        lambda: zip_of(A, Entry(name="a.py", data=A.data, ghost=True, central={"offset": 0})),
        "zip-duplicate",
    ),
    "W04 lfh_cd_name_differs": (lambda: zip_of(Entry(name="b.py", local_name=b"a.py")), "zip-mismatch"),
    "W04 lfh_cd_name_length_differs": (lambda: zip_of(Entry(name="b.py", local_name=b"bb.py")), "zip-mismatch"),
    "W05 lfh_cd_size_differs": (lambda: zip_of(Entry(name="a.py", local={"size": 9})), "zip-mismatch"),
    "W05 lfh_cd_packed_size_differs": (lambda: zip_of(Entry(name="a.py", local={"packed": 3})), "zip-mismatch"),
    "W05 lfh_cd_crc_differs": (lambda: zip_of(Entry(name="a.py", local={"crc": 1})), "zip-mismatch"),
    "W05 lfh_cd_method_differs": (lambda: zip_of(Entry(name="a.py", local={"method": 0})), "zip-mismatch"),
    "W05 lfh_cd_utf8_flag_differs": (lambda: zip_of(Entry(name="a.py", local={"flags": UTF8})), "zip-mismatch"),
    "W05 descriptor flag in the directory only": (
        lambda: zip_of(Entry(name="a.py", central={"flags": DESCRIPTOR})),
        "zip-mismatch",
    ),
    "W06 crc_wrong": (lambda: zip_of(Entry(name="a.py", local={"crc": 1}, central={"crc": 1})), "zip-crc"),
    "W06 crc_wrong, stored": (
        lambda: zip_of(Entry(name="a.py", method=0, local={"crc": 1}, central={"crc": 1})),
        "zip-crc",
    ),
    "W06 no deflate data": (lambda: zip_of(Entry(name="a.py", packed=b"\xff\xff\xff\xff")), "zip-crc"),
    "W07 missing_local": (lambda: zip_of(A, Entry(name="c.py", ghost=True, central={"offset": 7000})), "zip-mismatch"),
    "W07 missing_local, inside another": (
        lambda: zip_of(A, Entry(name="c.py", ghost=True, central={"offset": 5})),
        "zip-overlap",
    ),
    "W07 missing_local, in the directory": (
        lambda: zip_of(A, Entry(name="c.py", ghost=True)),
        "zip-mismatch",
    ),
    "W08 missing_cd": (lambda: zip_of(A, Entry(name="b.py", hidden=True)), "zip-mismatch"),
    "W08 missing_cd, first": (lambda: zip_of(Entry(name="b.py", hidden=True), A), "zip-mismatch"),
    "W08 missing_cd, with a descriptor": (
        lambda: zip_of(Entry(name="b.py", hidden=True, descriptor="signed"), A),
        "zip-mismatch",
    ),
    "W08 missing_cd, all": (lambda: zip_of(Entry(name="b.py", hidden=True)), "zip-mismatch"),
    "W09 stacked_zip": (lambda: zip_of(A) + zip_of(B), "zip-frame"),
    "W09 stacked_zip, offsets adjusted": (
        lambda: Zip(entries=[B], prefix=zip_of(A)).build(),
        "zip-frame",
    ),
    "W10 trailing_data": (lambda: zip_of(A) + b"\n", "zip-frame"),
    "W10 trailing_data after a comment": (
        lambda: Zip(entries=[A], comment=b"a comment", suffix=b"\0").build(),
        "zip-frame",
    ),
    "W11 prefix_data": (lambda: Zip(entries=[A], prefix=b"#!/bin/sh\n", offset_base=0).build(), "zip-frame"),
    "W11 prefix_data, offsets adjusted": (lambda: Zip(entries=[A], prefix=b"#!/bin/sh\n").build(), "zip-frame"),
    "W11 one byte between members": (lambda: zip_of(A, Entry(name="b.py", before=b"\0")), "zip-frame"),
    "W11 one byte before the directory": (lambda: Zip(entries=[A], after_members=b"\0").build(), "zip-frame"),
    "W11 no member, some bytes": (lambda: Zip(entries=[], after_members=b"hello").build(), "zip-frame"),
    "W12 zip_in_comment": (lambda: Zip(entries=[A], comment=zip_of(B)).build(), "zip-frame"),
    "W12 end record in the comment": (
        lambda: Zip(entries=[A], comment=end_record(entries=0, size=0, offset=0) + b"..").build(),
        "zip-frame",
    ),
    "W13 zip64_locator_lie": (lambda: Zip(entries=[A], tail=lying_end64).build(), "zip-zip64"),
    "W13 locator of two disks": (lambda: Zip(entries=[A], tail=end64_with(disks=2)).build(), "zip-zip64"),
    "W13 no zip64 record": (
        lambda: Zip(entries=[A], tail=end_with(wrong_offset=0xFFFFFFFF)).build(),
        "zip-zip64",
    ),
    "W14 zip64_extensible": (lambda: Zip(entries=[A], tail=extended_end64).build(), "zip-zip64"),
    "W15 zip64_eocd_confusion": (lambda: Zip(entries=[A], tail=end64_with(short_entries=2)).build(), "zip-zip64"),
    "W15 zip64_eocd_confusion, size": (lambda: Zip(entries=[A], tail=end64_with(short_size=46)).build(), "zip-zip64"),
    "W15 zip64 sizes missing": (
        lambda: zip_of(Entry(name="a.py", central={"size": 0xFFFFFFFF})),
        "zip-zip64",
    ),
    "W15 zip64 field disagrees": (lambda: zip_of(Entry(name="a.py", central_extra=zip64_extra(99))), "zip-zip64"),
    "W15 zip64 field too long": (
        lambda: zip_of(Entry(name="a.py", central={"size": 0xFFFFFFFF}, central_extra=zip64_extra(8, 0))),
        "zip-zip64",
    ),
    "W15 zip64 field too short": (
        lambda: zip_of(
            Entry(name="a.py", central={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF}, central_extra=zip64_extra(8))
        ),
        "zip-zip64",
    ),
    "W15 zip64 field twice": (
        lambda: zip_of(Entry(name="a.py", central_extra=zip64_extra(8) + zip64_extra(8))),
        "zip-zip64",
    ),
    "W16 unicode_path_extra": (
        lambda: zip_of(Entry(name="a.py", central_extra=unicode_extra(b"b.py", b"a.py"))),
        "zip-name",
    ),
    "W16 unicode_path_extra, local": (
        lambda: zip_of(Entry(name="a.py", local_extra=unicode_extra(b"b.py", b"a.py"))),
        "zip-name",
    ),
    "W16 unicode_path_extra twice": (
        lambda: zip_of(Entry(name="a.py", central_extra=unicode_extra(b"a.py", b"a.py") * 2)),
        "zip-name",
    ),
    "W16 extra field overruns": (lambda: zip_of(Entry(name="a.py", central_extra=b"\x99\x99\x09\0x")), "zip-mismatch"),
    "W16 local extra field overruns": (lambda: zip_of(Entry(name="a.py", local_extra=b"\x99\x99\x09")), "zip-mismatch"),
    "W17 cp437 name": (lambda: zip_of(Entry(name=b"caf\x82.py")), "zip-name"),
    "W17 invalid UTF-8 name": (lambda: zip_of(Entry(name=b"caf\xe9.py", flags=UTF8)), "zip-name"),
    "W17 surrogate in UTF-8": (lambda: zip_of(Entry(name=b"\xed\xa0\x80.py", flags=UTF8)), "zip-name"),
    "W18 nul_in_name": (lambda: zip_of(Entry(name="a.py\0.txt")), "zip-name"),
    "W19 newline": (lambda: zip_of(Entry(name="a\nb.py")), "zip-name"),
    "W19 escape": (lambda: zip_of(Entry(name="a\x1b[31mb.py")), "zip-name"),
    "W19 right-to-left": (lambda: zip_of(Entry(name="a\u202eyp.exe")), "zip-name"),
    "W19 line separator": (lambda: zip_of(Entry(name="a\u2028b.py")), "zip-name"),
    "W19 empty name": (lambda: zip_of(Entry(name="")), "zip-name"),
    "W20 quoted_overlap": (quoted_overlap, "zip-overlap"),
    "W20 one content for two": (
        lambda: zip_of(A, Entry(name="b.py", data=A.data, ghost=True, central={"offset": 0})),
        "zip-overlap",
    ),
    "W20 into the directory": (
        lambda: zip_of(
            Entry(name="a.py", method=0, local={"packed": 60, "size": 60}, central={"packed": 60, "size": 60})
        ),
        "zip-overlap",
    ),
    "W21 bomb_flat": (lambda: zip_of(Entry(name="a.py", data=ZEROS)), "limit-ratio"),
    "W22 bomb_many": (lambda: Zip(entries=[A], tail=many_entries).build(), "limit-entries"),
    "W22 count too small": (lambda: Zip(entries=[A, B], tail=end_with(wrong_entries=1)).build(), "zip-frame"),
    "W22 count too large": (lambda: Zip(entries=[A, B], tail=end_with(wrong_entries=3)).build(), "zip-frame"),
    "W22 count too large, and room for it": (
        lambda: Zip(entries=[Entry(name="a" * 99)], tail=end_with(wrong_entries=2)).build(),
        "zip-frame",
    ),
    "W23 usize_lie": (
        lambda: zip_of(Entry(name="a.py", data=ZEROS, local={"size": 10}, central={"size": 10})),
        "zip-size",
    ),
    "W23 usize_lie, too large": (
        lambda: zip_of(Entry(name="a.py", local={"size": 99}, central={"size": 99})),
        "zip-size",
    ),
    "W23 stored, sizes differ": (
        lambda: zip_of(Entry(name="a.py", method=0, local={"size": 99}, central={"size": 99})),
        "zip-size",
    ),
    "W23 deflate data, then more": (
        lambda: zip_of(Entry(name="a.py", packed=deflate(b"content\n") + b"!")),
        "zip-size",
    ),
    "W23 deflate data, then much more": (
        lambda: zip_of(Entry(name="a.py", packed=deflate(b"content\n") + b"!" * (1 << 20))),
        "zip-size",
    ),
    "W23 deflate data, cut": (lambda: zip_of(Entry(name="a.py", packed=deflate(b"content\n")[:-3])), "zip-size"),
    "W24 method_lzma": (lambda: zip_of(Entry(name="a.py", method=14)), "zip-method"),
    "W24 method_bzip2": (lambda: zip_of(Entry(name="a.py", method=12)), "zip-method"),
    "W24 method_zstd": (lambda: zip_of(Entry(name="a.py", method=93)), "zip-method"),
    "W24 a version to come": (lambda: zip_of(Entry(name="a.py", central={"needed": 64})), "zip-method"),
    "W25 encrypted": (lambda: zip_of(Entry(name="a.py", flags=1)), "zip-method"),
    "W25 strongly encrypted": (lambda: zip_of(Entry(name="a.py", flags=1 << 6)), "zip-method"),
    "W25 masked headers": (lambda: zip_of(Entry(name="a.py", flags=1 << 13)), "zip-method"),
    "W27 data_descriptor_bad crc": (
        lambda: zip_of(Entry(name="a.py", descriptor="signed", descriptor_values={"crc": 0})),
        "zip-mismatch",
    ),
    "W27 data_descriptor_bad size": (
        lambda: zip_of(Entry(name="a.py", descriptor="bare", descriptor_values={"size": 1})),
        "zip-mismatch",
    ),
    "W27 data_descriptor_bad packed size": (
        lambda: zip_of(Entry(name="a.py", descriptor="signed", descriptor_values={"packed": 1})),
        "zip-mismatch",
    ),
    "W27 data_descriptor_bad width": (lambda: zip_of(Entry(name="a.py", descriptor="signed64"), B), "zip-mismatch"),
    "W27 data_descriptor_bad, header not zero": (
        lambda: zip_of(Entry(name="a.py", descriptor="signed", local={"size": 1})),
        "zip-mismatch",
    ),
    "W27 flag without a descriptor": (lambda: zip_of(Entry(name="a.py", flags=DESCRIPTOR), B), "zip-mismatch"),
    "W28 polyglot_tar_zip": (polyglot_tar_zip, "zip-frame"),
    "W30 symlink_mode": (lambda: zip_of(Entry(name="a", mode=0o120777)), "zip-type"),
    "W30 symlink_mode, made by DOS": (lambda: zip_of(Entry(name="a", mode=0o120777, made_by=0)), "zip-type"),
    "W30 device": (lambda: zip_of(Entry(name="a", mode=0o060644)), "zip-type"),
    "W30 fifo": (lambda: zip_of(Entry(name="a", mode=0o010644)), "zip-type"),
    "W30 directory by mode only": (lambda: zip_of(Entry(name="a", data=b"", mode=0o040755)), "zip-type"),
    "W30 directory by DOS attribute only": (
        lambda: zip_of(Entry(name="a", data=b"", made_by=0, central={"attributes": 0x10})),
        "zip-type",
    ),
    "W30 directory by name only": (lambda: zip_of(Entry(name="a/", data=b"")), "zip-type"),
    "W30 directory with content": (lambda: zip_of(Entry(name="a/", mode=0o040755)), "zip-size"),
    "another disk": (lambda: zip_of(Entry(name="a.py", central={"disk": 1})), "zip-frame"),
    "split archive": (lambda: Zip(entries=[A], tail=split_archive).build(), "zip-frame"),
    "no zip at all": (lambda: b"hello", "zip-frame"),
    "empty file": (lambda: b"", "zip-frame"),
    "member of 9 GiB": (
        lambda: zip_of(
            Entry(
                name="a.py",
                local={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF},
                local_extra=zip64_extra(9 << 30, 1 << 30),
                central={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF},
                central_extra=zip64_extra(9 << 30, 1 << 30),
            )
        ),
        "limit-size",
    ),
    "W31 dotdot": (lambda: zip_of(Entry(name="../../evil.py")), "path-escape"),
    "W32 absolute": (lambda: zip_of(Entry(name="/etc/evil")), "path-escape"),
    "W32 drive": (lambda: zip_of(Entry(name="C:\\x")), "path-escape"),
    "W32 drive, slash": (lambda: zip_of(Entry(name="C:/x")), "path-escape"),
    "W32 share": (lambda: zip_of(Entry(name="\\\\srv\\x")), "path-escape"),
    "W33 backslash": (lambda: zip_of(Entry(name="a\\..\\..\\b.py")), "path-escape"),
    "W34 sibling_prefix": (lambda: zip_of(Entry(name="../site-packagesx/evil.py")), "path-escape"),
    "dot component": (lambda: zip_of(Entry(name="./a.py")), "zip-name"),
    "empty component": (lambda: zip_of(Entry(name="a//b.py")), "zip-name"),
    "W41 nfc_nfd": (lambda: zip_of(Entry(name="caf\xe9.py"), Entry(name="cafe\u0301.py")), "path-collision"),
    "W41 nfc_nfd, folders": (lambda: zip_of(Entry(name="\xe9/a.py"), Entry(name="e\u0301/b.py")), "path-collision"),
    "W43 file_vs_dir": (lambda: zip_of(Entry(name="a"), Entry(name="a/b")), "path-collision"),
    "W43 file_vs_dir, deep": (lambda: zip_of(Entry(name="a/b/c/d"), Entry(name="a/b")), "path-collision"),
    "W43 file and directory": (
        lambda: zip_of(Entry(name="a"), Entry(name="a/", data=b"", mode=0o040755)),
        "path-collision",
    ),
    "W45 long_component": (lambda: zip_of(Entry(name="a" * 256)), "limit-name"),
    "W45 long_component in UTF-8": (lambda: zip_of(Entry(name="é" * 128)), "limit-name"),
    "W45 long path": (lambda: zip_of(Entry(name="/".join(["a" * 200] * 6))), "limit-name"),
    "W45 long path, 4097": (lambda: zip_of(Entry(name="/".join(["a" * 240] * 17))), "limit-name"),
    "W45 depth": (lambda: zip_of(Entry(name="/".join(["a"] * 65))), "limit-name"),
}


@pytest.mark.parametrize("row", STRUCTURE)
def test_a_bad_container_is_refused(row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build, expected = STRUCTURE[row]
    data = build()
    monkeypatch.chdir(tmp_path)
    started = time.process_time()
    assert_refused(refuse_zip(data), expected)
    assert time.process_time() - started < 2
    assert list(tmp_path.iterdir()) == []


def test_every_container_row_is_there() -> None:
    rows = {row.split()[0] for row in STRUCTURE}
    # W26 is accepted, W29 is a loop of its own.
    assert {f"W{number:02}" for number in range(1, 31)} - rows == {"W26", "W29"}
    assert rows >= {"W31", "W32", "W33", "W34", "W41", "W43", "W45"}


def test_an_error_names_the_archive_the_member_and_the_offset() -> None:
    error = refuse_zip(zip_of(A, Entry(name="b.py", local={"size": 9})))
    assert error.message.startswith("demo.zip: b.py: ")
    assert error.message.endswith(f"(at byte {len(zip_of(A)) - 22 - 46 - 4})")
    assert error.objects["member"] == "b.py"


def test_a_name_with_control_characters_is_shown_escaped() -> None:
    error = refuse_zip(zip_of(Entry(name="a\x1b[31m\u202e\nb.py")))
    assert r"a\x1b[31m\u202e\nb.py" in error.message
    assert all("\x1b" not in line and "\n" not in line for line in error.context)


ACCEPTED: Mapping[str, Callable[[], bytes]] = {
    "nothing": zip_of,
    "deflated": lambda: zip_of(A, B),
    "stored": lambda: zip_of(Entry(name="a.py", method=0), Entry(name="b", method=0, data=b"")),
    "empty, deflated": lambda: zip_of(Entry(name="a.py", data=b"")),
    "comment": lambda: Zip(entries=[A], comment=b"made by hand").build(),
    "W26 data_descriptor_ok": lambda: zip_of(Entry(name="a.py", descriptor="signed"), B),
    "W26 without a signature": lambda: zip_of(Entry(name="a.py", descriptor="bare"), B),
    "W26 flag in the local header only": lambda: zip_of(
        Entry(name="a.py", descriptor="signed", central={"flags": 0}), B
    ),
    "W26 stored": lambda: zip_of(Entry(name="a.py", method=0, descriptor="signed"), B),
    "W26 zip64": lambda: zip_of(Entry(name="a.py", descriptor="signed64", local_extra=zip64_extra()), B),
    "W26 zip64, as zipfile streams it": lambda: zip_of(
        Entry(
            name="a.py",
            descriptor="signed64",
            local={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF},
            local_extra=zip64_extra(0, 0),
        ),
        B,
    ),
    "zip64 sizes": lambda: zip_of(
        Entry(
            name="a.py",
            method=0,
            local={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF},
            local_extra=zip64_extra(8, 8),
            central={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF},
            central_extra=zip64_extra(8, 8),
        )
    ),
    "zip64 end records": lambda: Zip(entries=[A, B], tail=end64_with()).build(),
    "zip64 end records that alone know": lambda: Zip(
        entries=[A, B],
        tail=lambda entries, size, offset: (
            zip64_end(entries=entries, size=size, offset=offset)
            + zip64_locator(offset + size)
            + end_record(entries=0xFFFF, size=0xFFFFFFFF, offset=0xFFFFFFFF)
        ),
    ).build(),
    "the same name in the extra field": lambda: zip_of(
        Entry(name="a.py", central_extra=unicode_extra(b"a.py", b"a.py"))
    ),
    "another extra field": lambda: zip_of(Entry(name="a.py", local_extra=b"\x0d\x00\x02\x00ab")),
    "directories": lambda: zip_of(
        Entry(name="a/", data=b"", method=0, mode=0o040755), Entry(name="a/b/", data=b"", mode=0), Entry(name="a/b/c")
    ),
    "UTF-8 names": lambda: zip_of(Entry(name="ünï/日本.py"), Entry(name="ünï/😀.py")),
    "no mode": lambda: zip_of(Entry(name="a", mode=0, made_by=0)),
    "a name as long as allowed": lambda: zip_of(Entry(name="a" * 255), Entry(name="/".join(["b"] * 64))),
    "a path as long as allowed": lambda: zip_of(Entry(name="/".join(["a" * 255] * 4)[:1024])),
    "names that only Windows minds": lambda: zip_of(Entry(name="CON"), Entry(name="x:ads"), Entry(name="a.")),
}


@pytest.mark.parametrize("row", ACCEPTED)
def test_a_good_container_is_read_as_zipfile_reads_it(row: str) -> None:
    data = ACCEPTED[row]()
    with nothing_changes():
        members = check_zip(io.BytesIO(data), "demo.zip")
    assert_same_as_zipfile(data, members)


def assert_same_as_zipfile(data: bytes, members: tuple[ZipMember, ...] | None = None) -> None:
    stream = io.BytesIO(data)
    ours = read_directory(stream, "demo.zip")
    assert members is None or members == ours
    with zipfile.ZipFile(io.BytesIO(data)) as theirs:
        assert [member.name for member in ours] == theirs.namelist()
        for member in ours:
            info = theirs.getinfo(member.name)
            assert b"".join(read_member(stream, member, "demo.zip")) == theirs.read(info)
            assert (member.is_directory, member.offset) == (info.is_dir(), info.header_offset)


@pytest.mark.parametrize(
    ("mode", "expected"), [(0o104755, 0o755), (0o106711, 0o755), (0o100644, 0o644), (0o100666, 0o644), (0, 0o644)]
)
def test_w30_only_the_execute_bit_of_a_mode_survives(mode: int, expected: int) -> None:
    (member,) = check_zip(io.BytesIO(zip_of(Entry(name="a", mode=mode))), "demo.zip")
    assert member.mode == expected


def test_sizes_are_judged_before_content_is_read() -> None:
    data = zip_of(Entry(name="a.py", method=0, local={"size": 99}, central={"size": 99}))
    with pytest.raises(UnsafeInputError) as caught:
        read_directory(io.BytesIO(data), "demo.zip")
    assert_refused(caught.value, "zip-size")


def test_a_file_that_shrinks_while_it_is_read_is_refused() -> None:
    data = zip_of(Entry(name="a.py", data=random.Random(6).randbytes(5000)))
    (member,) = read_directory(io.BytesIO(data), "demo.zip")
    with pytest.raises(UnsafeInputError) as caught:
        list(read_member(io.BytesIO(data[:3000]), member, "demo.zip"))
    assert_refused(caught.value, "zip-frame")


def test_members_may_lie_in_another_order_than_the_directory_lists_them() -> None:
    straight = zip_of(A, B)
    start = straight.index(b"PK\x01\x02")
    end = straight.index(b"PK\x05\x06")
    middle = straight.index(b"PK\x01\x02", start + 1)
    swapped = straight[:start] + straight[middle:end] + straight[start:middle] + straight[end:]
    assert [member.name for member in check_zip(io.BytesIO(swapped), "demo.zip")] == ["b.py", "a.py"]
    assert_same_as_zipfile(swapped)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(entries=1), "limit-entries"),
        (Limits(member_size=5), "limit-size"),
        (Limits(total_size=11), "limit-size"),
        (Limits(directory=99), "limit-size"),
        (Limits(name=3), "limit-name"),
        (Limits(component=3), "limit-name"),
        (Limits(ratio=0, ratio_free=0), "limit-ratio"),
    ],
)
def test_limits_are_those_that_are_given(limits: Limits, expected: str) -> None:
    assert_refused(refuse_zip(zip_of(A, B), limits), expected)
    check_zip(io.BytesIO(zip_of(A, B)), "demo.zip", Limits(entries=2, member_size=6, total_size=12))


def test_an_archive_of_many_members_is_refused_or_read_in_time() -> None:
    data = zip_of(*(Entry(name=f"m{number}", data=b"", method=0) for number in range(20_000)))
    started = time.process_time()
    assert len(check_zip(io.BytesIO(data), "demo.zip")) == 20_000
    assert_refused(refuse_zip(data, Limits(entries=19_999)), "limit-entries")
    assert time.process_time() - started < 4


# --- W29: an archive that is cut


def test_w29_a_truncated_zip_is_never_accepted() -> None:
    whole = zip_of(*(Entry(name=f"m{number}.py", data=b"x = 1\n" * number) for number in range(20)))
    for cut in [*(len(whole) * step // 62 for step in range(62)), len(whole) - 1, len(whole) - 22]:
        assert refuse_zip(whole[:cut]).exit_code in {3, 5}


# --- what check_zip accepts, zipfile reads in the same way

CONTENTS = st.binary(max_size=40)
GOOD_NAMES = st.sampled_from(["a", "b.py", "c/d", "c/e", "é", "f/g/h"])
NAMES = st.integers(0, 9).flatmap(
    lambda dice: GOOD_NAMES if dice else st.text(st.sampled_from("ab/.é\\\0:"), max_size=6)
)
SMALL = st.sampled_from([0, 1, 5, 0x21, 0xFFFF, 0xFFFFFFFF])


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """A member that is honest, or has one field changed on either side."""
    changed = {draw(st.sampled_from(["size", "packed", "crc", "method", "flags"])): draw(SMALL) & 0xFFFF}
    return Entry(
        name=draw(NAMES),
        data=draw(CONTENTS),
        method=draw(st.sampled_from([0, 8])),
        descriptor=draw(st.sampled_from([None, None, "signed", "bare", "signed64", "bare64"])),
        local=changed if draw(st.integers(0, 19)) == 0 else {},
        central=changed if draw(st.integers(0, 19)) == 0 else {},
        local_extra=draw(st.sampled_from([b"", b"", b"", zip64_extra(), zip64_extra(5, 5), b"\x09\x09\0\0"])),
        central_extra=draw(st.sampled_from([b"", b"", b"", b"", b"\x09\x09\0\0", zip64_extra(5)])),
        before=b"\0" if draw(st.integers(0, 19)) == 0 else b"",
        hidden=draw(st.integers(0, 19)) == 0,
    )


def assert_accepted_only_if_zipfile_agrees(data: bytes) -> bool:
    try:
        members = check_zip(io.BytesIO(data), "demo.zip")
    except (UnsafeInputError, IntegrityError):
        return False
    assert_same_as_zipfile(data, members)
    return True


@given(st.lists(entries(), max_size=3), st.binary(max_size=5))
@settings(max_examples=150, deadline=None)
def test_where_check_zip_accepts_zipfile_reads_the_same(members: list[Entry], comment: bytes) -> None:
    """APPNOTE 4.3.2: "each file placed into a ZIP file MUST be preceded by a local file header record"."""
    assert_accepted_only_if_zipfile_agrees(Zip(entries=members, comment=comment).build())


@given(st.integers(0, 2**32), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_a_zip_with_some_bytes_changed_is_read_as_zipfile_reads_it_or_not_at_all(seed: int, changes: int) -> None:
    chance = random.Random(seed)
    data = bytearray(zip_of(A, Entry(name="é/b", method=0, descriptor="signed"), Entry(name="c", data=b"x" * 300)))
    for _ in range(changes):
        place = chance.randrange(len(data))
        kind = chance.randrange(3)
        data[place : place + (kind != 1)] = b"" if kind == 0 else bytes([chance.randrange(256)])
    assert_accepted_only_if_zipfile_agrees(bytes(data))


def test_the_comparison_with_zipfile_is_not_empty() -> None:
    assert assert_accepted_only_if_zipfile_agrees(zip_of(A, B))
    assert not assert_accepted_only_if_zipfile_agrees(zip_of(A, A))
