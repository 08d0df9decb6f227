"""Tars and conda packages: what is let through, what is refused, and under which name (rows CA01 to CA19, CA22).

The MUSTs are those of POSIX.1-2001 (ustar, pax), RFC 8878 (zstd), CEP 34 and CEP 35.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import random
import struct
import tarfile
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import conda_package_streaming.extract as streaming
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler.package_streaming import extract as rattler_extract

from bridge.archive.conda import check_conda
from bridge.archive.limits import DEFAULT_LIMITS, Limits
from bridge.archive.tars import TarContents, scan_tar
from bridge.archive.zstd import check_frames, zstd_content
from converters.errors import BridgeError, UnsafeInputError
from tests.support.builders import make_conda, tree_digest
from tests.support.hostile import (
    Conda,
    Entry,
    assert_refused,
    gnu_long,
    link_entry,
    nothing_changes,
    path_entry,
    pax,
    symlink,
    tar_file,
    tar_header,
    tar_of,
    zstd,
)

DEMO = "lib/demo.txt"
FILE = tar_file(DEMO)
LONG = "lib/" + "/".join(["deep" * 10] * 6) + "/name.txt"
SMALL = Limits(ratio_free=1 << 16)
GARBAGE = b"\x00\x01\x02garbage"


def write(folder: Path, data: bytes, name: str = "demo-1.0-0.conda") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def refuse(path: Path, limits: Limits = DEFAULT_LIMITS) -> BridgeError:
    """The error that `check_conda` raises, having written nothing."""
    before = tree_digest(path.parent)
    with nothing_changes(), pytest.raises(BridgeError) as caught:
        check_conda(path, limits=limits)
    assert tree_digest(path.parent) == before
    assert path.name in caught.value.message
    return caught.value


# --- the payload: rows that are the same in both formats


def listed(*paths: str) -> list[Mapping[str, object]]:
    return [path_entry(path) for path in paths]


def sparse(size: int) -> bytes:
    return tar_header("a", kind=b"S", magic=b"ustar  \x00", real_size=b"\x80" + size.to_bytes(11, "big"))


def with_field(part: bytes, place: int, value: bytes) -> bytes:
    """A member with other bytes at `place` of its header, and a right checksum."""
    block = bytearray(part)
    block[place : place + len(value)] = value
    total = sum(block[:148]) + 8 * 32 + sum(block[156:512])
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


TARS: Mapping[str, tuple[Sequence[bytes], str]] = {
    "CA01 tar_dotdot": ([tar_file("../evil")], "path-escape"),
    "CA01 tar_dotdot inside": ([tar_file("lib/../../evil")], "path-escape"),
    "CA01 tar_dotdot by prefix": ([tar_file("evil", prefix=b"..")], "path-escape"),
    "CA01 tar_dotdot by pax": ([pax(("path", "../evil")), tar_file("a")], "path-escape"),
    "CA01 tar_dotdot by GNU": ([gnu_long("../evil"), tar_file("a")], "path-escape"),
    "CA01 tar_dotdot below the pax path": ([pax(("path", "a")), tar_file("../evil")], "path-escape"),
    "CA01 tar_dotdot, backslash": ([tar_file("lib\\..\\..\\evil")], "path-escape"),
    "CA02 tar_abs": ([tar_file("/etc/evil")], "path-escape"),
    "CA02 tar_abs after a dot": ([tar_file(".//etc/evil")], "path-escape"),
    "CA02 tar_abs, drive": ([tar_file("C:/evil")], "path-escape"),
    "CA03 symlink_then_file": ([symlink("a", "lib"), tar_file("a/x")], "path-symlink"),
    "CA03 symlink_then_file, out": ([symlink("a", "/canary"), tar_file("a/x")], "path-symlink"),
    "CA03 file_then_symlink": ([tar_file("a/b/x"), symlink("a", "lib")], "path-symlink"),
    "CA03 symlink_then_directory": ([symlink("a", "lib"), tar_header("a/b", kind=b"5")], "path-symlink"),
    "CA03 symlink_then_symlink": ([symlink("a", "lib"), symlink("a/b", "x")], "path-symlink"),
    "CA03 symlink_then_hard_link": (
        [FILE, symlink("a", "lib"), tar_header("a/b", kind=b"1", link=DEMO)],
        "path-symlink",
    ),
    "CA03 symlink replaced": ([symlink("a", "lib"), tar_file("a")], "path-collision"),
    "CA03 symlink and directory": ([symlink("a", "lib"), tar_header("a/", kind=b"5")], "path-collision"),
    "CA04 symlink_escape": ([symlink("lib/a", "../../evil")], "path-escape"),
    "CA04 symlink_escape, absolute": ([symlink("lib/a", "/etc/passwd")], "path-escape"),
    "CA04 symlink_escape, drive": ([symlink("lib/a", "C:/x")], "path-escape"),
    "CA04 symlink_escape, backslash": ([symlink("lib/a", "..\\..\\x")], "path-escape"),
    "CA04 symlink_escape, through another": (
        [symlink("a/b/c/up", "../../.."), symlink("x", "a/b/c/up/../evil")],
        "path-escape",
    ),
    "CA04 symlink_escape, by linkpath": (
        [pax(("linkpath", "../../evil")), symlink("lib/a", "../../evil")],
        "path-escape",
    ),
    "CA04 linkpath that contradicts": ([pax(("linkpath", "b")), symlink("a", "../evil")], "tar-pax"),
    "CA04 GNU link that contradicts": ([gnu_long("b", b"K"), symlink("a", "../evil")], "tar-pax"),
    "CA04 symlink to nothing": ([symlink("a", "")], "conda-layout"),
    "CA04 symlink with a control character": ([symlink("a", "b\x1b[0m")], "conda-layout"),
    "CA05 symlink_loop as parent": ([symlink("a", "b"), symlink("b", "a"), tar_file("a/x")], "path-symlink"),
    "CA06 hardlink_escape": ([tar_header("a", kind=b"1", link="/etc/passwd")], "path-escape"),
    "CA06 hardlink_escape, dotdot": ([tar_header("a", kind=b"1", link="../x")], "path-escape"),
    "CA06 hardlink to what is not yet there": ([tar_header("a", kind=b"1", link=DEMO), FILE], "tar-type"),
    "CA06 hardlink to a symlink": ([symlink("b", "c"), tar_header("a", kind=b"1", link="b")], "tar-type"),
    "CA06 hardlink to a directory": ([tar_header("b", kind=b"5"), tar_header("a", kind=b"1", link="b")], "tar-type"),
    "CA06 hardlink to itself": ([tar_header("a", kind=b"1", link="a")], "tar-type"),
    "CA06 hardlink with content": ([FILE, tar_file("a", kind=b"1", link=DEMO)], "tar-type"),
    "CA07 character device": ([tar_header("a", kind=b"3")], "tar-type"),
    "CA07 block device": ([tar_header("a", kind=b"4")], "tar-type"),
    "CA07 fifo": ([tar_header("a", kind=b"6")], "tar-type"),
    "CA07 contiguous": ([tar_header("a", kind=b"7")], "tar-type"),
    "CA07 dump directory": ([tar_header("a", kind=b"D")], "tar-type"),
    "CA07 volume": ([tar_header("a", kind=b"V")], "tar-type"),
    "CA07 unknown": ([tar_header("a", kind=b"Z")], "tar-type"),
    "CA07 directory with content": ([tar_file("a", kind=b"5")], "tar-type"),
    "CA07 symlink with content": ([tar_file("a", kind=b"2", link="b")], "tar-type"),
    "CA07 file called as a directory": ([tar_file("a/")], "tar-type"),
    "CA09 pax_size_desync": ([pax(("size", "512")), tar_header("a"), tar_file("evil")], "tar-pax"),
    "CA09 pax_size_desync, smaller": ([pax(("size", "0")), FILE], "tar-pax"),
    "CA09 pax_size that is none": ([pax(("size", "-1")), FILE], "tar-pax"),
    "CA09 pax_size of many digits": ([pax(("size", "9" * 5000)), FILE], "tar-pax"),
    "CA10 pax_dup_path": ([pax(("path", "a"), ("path", "b")), tar_file("c")], "tar-pax"),
    "CA10 two pax headers": ([pax(("path", "a")), pax(("path", "b")), tar_file("c")], "tar-pax"),
    "CA10 global path": ([pax(("path", "a"), kind=b"g"), tar_file("c")], "tar-pax"),
    "CA10 global size": ([pax(("size", "1"), kind=b"g"), tar_file("c")], "tar-pax"),
    "CA10 global header between": ([pax(("path", "a")), pax(("comment", "x"), kind=b"g"), FILE], "tar-pax"),
    "CA10 pax and GNU disagree": ([pax(("path", "a")), gnu_long("b"), tar_file("c")], "tar-pax"),
    "CA10 two GNU names": ([gnu_long("a"), gnu_long("b"), tar_file("c")], "tar-pax"),
    "CA10 global header and nothing": ([FILE, pax(("comment", "x"), kind=b"g")], "tar-pax"),
    "CA10 pax header and nothing": ([FILE, pax(("path", "a"))], "tar-pax"),
    "CA10 record without newline": ([pax(raw=b"9 path=ab"), FILE], "tar-pax"),
    "CA10 record too long": ([pax(raw=b"99 path=a\n"), FILE], "tar-pax"),
    "CA10 record too short": ([pax(raw=b"5 path=a\n"), FILE], "tar-pax"),
    "CA10 record of length 0": ([pax(raw=b"0 path=a\n"), FILE], "tar-pax"),
    "CA10 record with a leading zero": ([pax(raw=b"010 path=a\n"), FILE], "tar-pax"),
    "CA10 record without keyword": ([pax(("", "a")), FILE], "tar-pax"),
    "CA10 record without value": ([pax(raw=b"7 path\n"), FILE], "tar-pax"),
    "CA10 NUL in a path": ([pax(("path", "a\0b")), FILE], "tar-pax"),
    "CA10 NUL in a keyword": ([pax(("pa\0th", "b")), FILE], "tar-pax"),
    "CA10 empty path": ([pax(("path", "")), FILE], "tar-pax"),
    "CA10 path that is not UTF-8": ([pax(("path", b"\xff")), FILE], "tar-pax"),
    "CA10 path in another charset": ([pax(("hdrcharset", "BINARY"), ("path", "a")), FILE], "tar-pax"),
    "CA11 sparse_huge": ([sparse(1 << 60)], "limit-size"),
    "CA11 sparse_huge by pax": (
        [pax(("GNU.sparse.major", "1"), ("GNU.sparse.realsize", str(1 << 60))), FILE],
        "limit-size",
    ),
    "CA11 sparse": ([sparse(1 << 20)], "tar-type"),
    "CA11 sparse by pax": ([pax(("GNU.sparse.major", "1"), ("GNU.sparse.name", "a")), FILE], "tar-pax"),
    "CA11 1 EiB": ([tar_header("a", raw_size=b"\x80" + (1 << 60).to_bytes(11, "big"))], "limit-size"),
    "CA11 9 GiB": ([tar_header("a", raw_size=b"\x80" + (9 << 30).to_bytes(11, "big"))], "limit-size"),
    "CA12 negative_offset": ([tar_header("a", raw_size=b"\xff" * 12), tar_file("b")], "conda-layout"),
    "CA12 negative octal": ([tar_header("a", raw_size=b"-0000000001\0"), tar_file("b")], "conda-layout"),
    "CA12 size that is none": ([tar_header("a", raw_size=b"0000000000z\0"), tar_file("b")], "conda-layout"),
    "CA12 size with digits behind": ([tar_header("a", raw_size=b"000\x0000000008"), tar_file("b")], "conda-layout"),
    "CA12 time that is none": ([with_field(FILE, 136, b"yesterday"), tar_file("b")], "conda-layout"),
    "CA12 owner that is none": ([with_field(FILE, 108, b"me"), tar_file("b")], "conda-layout"),
    "CA12 beyond the end": ([tar_header("a", size=1 << 20)], "conda-layout"),
    "checksum": ([tar_header("a", checksum=b"000000\0 ")], "conda-layout"),
    "no magic": ([tar_header("a", magic=b"\0" * 8)], "conda-layout"),
    "GNU magic with a prefix": ([tar_file("a", magic=b"ustar  \x00", prefix=b"../..")], "conda-layout"),
    "prefix without a name": ([tar_file("", prefix=b"lib")], "conda-layout"),
    "no name": ([tar_file("")], "conda-layout"),
    "a dot": ([tar_header(".", kind=b"5")], "conda-layout"),
    "empty component": ([tar_file("lib//x")], "conda-layout"),
    "newline": ([tar_file(b"a\nb")], "conda-layout"),
    "name that is not UTF-8": ([tar_file(b"\xff")], "conda-layout"),
    "name with U+202E": ([tar_file("a\u202eb")], "conda-layout"),
    "long name": ([gnu_long("a" * 256), FILE], "limit-name"),
    "very long name": ([gnu_long("a/" * 600 + "b"), FILE], "limit-name"),
    "deep name": ([gnu_long("/".join("a" * 65)), FILE], "limit-name"),
    "huge pax header": ([pax(("comment", "x" * (1 << 20))), FILE], "limit-size"),
    "two members of one name": ([FILE, FILE], "path-collision"),
    "two members of one name, with a dot": ([FILE, tar_file(f"./{DEMO}")], "path-collision"),
    "file and directory": ([tar_file("lib"), FILE], "path-collision"),
    "composed and decomposed": ([tar_file("caf\xe9"), tar_file("cafe\u0301")], "path-collision"),
    "a block of zeros between": ([FILE, b"\0" * 512, tar_file("evil")], "conda-layout"),
    "bytes after the end": ([FILE, b"\0" * 1024, tar_file("evil")], "conda-layout"),
    "CA18 ships_conda_meta": ([tar_file("conda-meta/x.json")], "reserved-path"),
    "CA18 ships_conda_meta, capitals": ([tar_file("Conda-Meta/history")], "reserved-path"),
    "CA19 extra symlink, out": ([FILE, symlink("lib/extra", "../../evil")], "path-escape"),
    "CA19 extra file below a symlink": ([FILE, symlink("a", "lib"), tar_file("a/extra")], "path-symlink"),
    "CA19 missing file": ([], "conda-layout"),
    "CA19 wrong content": ([tar_file(DEMO, b"CONTENT\n")], "record-hash"),
    "CA19 wrong size": ([tar_file(DEMO, b"content\n\n")], "record-hash"),
    "CA19 symlink in place of a file": ([symlink(DEMO, "x")], "conda-layout"),
    "CA19 directory in place of a file": ([tar_header(DEMO, kind=b"5")], "conda-layout"),
}


@pytest.mark.parametrize("row", TARS)
def test_a_bad_payload_is_refused_in_both_formats(row: str, tmp_path: Path) -> None:
    payload, expected = TARS[row]
    package = Conda(payload=payload)
    for name, data in (("demo-1.0-0.conda", package.build()), ("demo-1.0-0.tar.bz2", package.build_bz2())):
        path = write(tmp_path, data, name)
        started = time.process_time()
        assert_refused(refuse(path), expected)
        assert time.process_time() - started < 2


# --- the container


def recompressed(part: str, change: Callable[[bytes], bytes]) -> Conda:
    package = Conda()
    content = tar_of(*(package.payload if part == "pkg" else package.info_parts()))
    return Conda(tars={part: change(zstd(content))})


def window_frame(exponent: int) -> Callable[[bytes], bytes]:
    """A frame that asks for a window of 2^(10 + exponent) bytes, in front of nothing."""
    return lambda _: b"\x28\xb5\x2f\xfd\x00" + bytes([exponent << 3]) + b"\x01\x00\x00"


def skippable(data: bytes) -> bytes:
    return b"\x50\x2a\x4d\x18" + struct.pack("<I", len(data)) + data


def members(change: Callable[[dict[str, bytes]], None], method: int = 0) -> Conda:
    def build(parts: dict[str, bytes]) -> list[Entry]:
        change(parts)
        return [Entry(name=name, data=data, method=method) for name, data in parts.items()]

    return Conda(members=build)


def rename(old: str, new: str) -> Conda:
    return members(lambda parts: parts.__setitem__(new, parts.pop(old)))


def put(name: str, data: bytes) -> Conda:
    return members(lambda parts: parts.__setitem__(name, data))


def drop(name: str) -> Conda:
    return members(lambda parts: parts.__delitem__(name))


def nested(depth: int) -> bytes:
    return b'{"paths_version": 1, "paths": ' + b"[" * depth + b"]" * depth + b"}"


INFO, PKG = "info-demo-1.0-0.tar.zst", "pkg-demo-1.0-0.tar.zst"
ZEROS = b"\0" * (4 << 20)
BOMB = Conda(payload=[tar_file(DEMO, ZEROS)], paths=[path_entry(DEMO, ZEROS)])
INDEX = tar_file("info/index.json", b'{"name": "evil"}')

CONTAINERS: Mapping[str, tuple[Conda, str]] = {
    "CA13 zstd_window_huge": (recompressed("pkg", window_frame(21)), "limit-size"),
    "CA13 zstd_window_huge, info": (recompressed("info", window_frame(18)), "limit-size"),
    "CA14 zstd bomb": (BOMB, "limit-ratio"),
    "CA14 zstd bomb of padding": (Conda(tar_end=ZEROS), "limit-ratio"),
    "CA14 zstd trailing garbage": (recompressed("pkg", lambda frame: frame + GARBAGE), "conda-layout"),
    "CA14 zstd second frame": (recompressed("pkg", lambda frame: frame + zstd(b"")), "conda-layout"),
    "CA14 zstd skippable frame": (recompressed("pkg", lambda frame: skippable(b"x") + frame), "conda-layout"),
    "CA14 zstd skippable frame behind": (recompressed("pkg", lambda frame: frame + skippable(b"x")), "conda-layout"),
    "CA14 zstd cut": (recompressed("pkg", lambda frame: frame[:-5]), "conda-layout"),
    "CA14 zstd damaged": (recompressed("pkg", lambda frame: frame[:20] + b"\xff" * 9 + frame[29:]), "conda-layout"),
    "CA14 zstd reserved bit": (
        recompressed("pkg", lambda frame: frame[:4] + bytes([frame[4] | 8]) + frame[5:]),
        "conda-layout",
    ),
    "CA14 not zstd": (recompressed("pkg", bz2.compress), "conda-layout"),
    "CA14 empty": (recompressed("pkg", lambda _: b""), "conda-layout"),
    "CA14 skippable only": (recompressed("pkg", lambda _: skippable(b"x")), "conda-layout"),
    "CA14 an empty tar": (recompressed("pkg", lambda _: zstd(b"")), "conda-layout"),
    "CA16 third member": (put("extra", b""), "conda-layout"),
    "CA16 compressed member": (members(lambda _: None, method=8), "conda-layout"),
    "CA16 wrong inner name": (rename(PKG, "pkg-other-1.0-0.tar.zst"), "conda-layout"),
    "CA16 wrong inner suffix": (rename(INFO, "info-demo-1.0-0.tar.bz2"), "conda-layout"),
    "CA16 inner folder": (rename(INFO, f"x/{INFO}"), "conda-layout"),
    "CA16 missing metadata.json": (drop("metadata.json"), "conda-layout"),
    "CA16 missing info": (drop(INFO), "conda-layout"),
    "CA16 missing pkg": (drop(PKG), "conda-layout"),
    "CA16 two pkg tars": (put("pkg-demo-1.0-1.tar.zst", zstd(tar_of())), "conda-layout"),
    "CA16 another version": (put("metadata.json", b'{"conda_pkg_format_version": 3}'), "conda-layout"),
    "CA16 no version": (put("metadata.json", b"{}"), "conda-layout"),
    "CA16 true is no version": (put("metadata.json", b'{"conda_pkg_format_version": true}'), "conda-layout"),
    "CA16 metadata.json is no object": (put("metadata.json", b"[2]"), "conda-layout"),
    "CA17 info_in_pkg_tar": (Conda(payload=[FILE, INDEX]), "conda-layout"),
    "CA17 info_in_pkg_tar, capitals": (Conda(payload=[FILE, tar_file("info/Index.json")]), "conda-layout"),
    "CA17 paths.json in the pkg tar": (
        Conda(payload=[FILE, tar_file("info/paths.json")], info={"paths.json": None}),
        "conda-layout",
    ),
    "CA17 run_exports.json in the pkg tar": (Conda(payload=[FILE, tar_file("info/run_exports.json")]), "conda-layout"),
    "CA17 licence in both tars": (
        Conda(payload=[FILE, tar_file("info/licenses/A")], info={"licenses/A": b"x"}),
        "path-collision",
    ),
    "CA17 file and directory": (
        Conda(payload=[FILE, tar_file("info/licenses/A")], info={"licenses": b"x"}),
        "path-collision",
    ),
    "CA17 link_then_file": (
        Conda(payload=[FILE, tar_file("info/licenses/A")], info_members=[symlink("info/licenses", "../lib")]),
        "path-symlink",
    ),
    "CA17 link_then_directory": (
        Conda(payload=[FILE, tar_header("info/a/b", kind=b"5")], info_members=[symlink("info/a", "../lib")]),
        "path-symlink",
    ),
    "CA17 link in the pkg tar that leaves it": (
        Conda(payload=[FILE, symlink("info/licenses/A", "../../../evil")]),
        "path-escape",
    ),
    "CA17 info as a file": (Conda(payload=[FILE, tar_file("info")]), "conda-layout"),
    "CA17 payload in the info tar": (Conda(info_members=[tar_file("lib/evil")]), "conda-layout"),
    "damage that the zip knows of": (
        Conda(
            members=lambda parts: [
                Entry(
                    name=name,
                    data=data,
                    method=0,
                    packed=data[:30] + b"\xff" * 5 + data[35:] if name == PKG else None,
                )
                for name, data in parts.items()
            ]
        ),
        "zip-crc",
    ),
}


@pytest.mark.parametrize("row", CONTAINERS)
def test_a_bad_container_is_refused(row: str, tmp_path: Path) -> None:
    package, expected = CONTAINERS[row]
    path = write(tmp_path, package.build())
    started = time.process_time()
    assert_refused(refuse(path, SMALL), expected)
    assert time.process_time() - started < 2


BZ2: Mapping[str, tuple[bytes, str]] = {
    "CA15 garbage": (Conda().build_bz2() + GARBAGE, "conda-layout"),
    "CA15 multi-stream": (Conda().build_bz2() + bz2.compress(b""), "conda-layout"),
    "CA15 multi-stream, tar split": (
        bz2.compress(tar_of(*Conda().info_parts(), FILE)[:2048])
        + bz2.compress(tar_of(*Conda().info_parts(), FILE)[2048:]),
        "conda-layout",
    ),
    "CA15 not bzip2": (b"hello", "conda-layout"),
    "CA15 empty": (b"", "conda-layout"),
    "CA15 bomb": (BOMB.build_bz2(), "limit-ratio"),
    "CA17 info twice": (Conda(info_members=[INDEX]).build_bz2(), "path-collision"),
}


@pytest.mark.parametrize("row", BZ2)
def test_a_bad_bzip2_is_refused(row: str, tmp_path: Path) -> None:
    data, expected = BZ2[row]
    assert_refused(refuse(write(tmp_path, data, "demo-1.0-0.tar.bz2"), SMALL), expected)


# --- the documents


def paths_json(*entries: object, **fields: object) -> Conda:
    document = {"paths": list(entries), "paths_version": 1} | fields
    return Conda(info={"paths.json": json.dumps(document).encode()})


def link_json(*entry_points: object, **fields: object) -> Conda:
    document = {
        "noarch": {"type": "python", "entry_points": list(entry_points)},
        "package_metadata_version": 1,
    } | fields
    return Conda(index={"noarch": "python"}, info={"link.json": json.dumps(document).encode()})


def test_files_that_have_most_in_common_are_no_bomb(tmp_path: Path) -> None:
    """As generated clients have: one stream packs what the second file repeats into nothing."""
    shared = random.Random(1).randbytes(16_000)
    files = {f"lib/model_{number}.py": shared + b"%d" % number for number in range(200)}
    package = Conda(
        payload=[tar_file(name, data) for name, data in files.items()],
        paths=[path_entry(name, data) for name, data in files.items()],
    ).build()
    assert sum(map(len, files.values())) > 80 * len(package)
    assert {member.path for member in check_conda(write(tmp_path, package), limits=SMALL).paths} == set(files)


PLACEHOLDER = "/opt/placeholder"

DOCUMENTS: Mapping[str, tuple[Conda, str]] = {
    "CA18 ships repodata_record": (Conda(info={"repodata_record.json": b"{}"}), "reserved-path"),
    "CA19 _path with dotdot": (paths_json(path_entry("../evil")), "path-escape"),
    "CA19 _path absolute": (paths_json(path_entry("/etc/evil")), "path-escape"),
    "CA19 _path of info": (paths_json(path_entry(DEMO), path_entry("info/index.json")), "conda-layout"),
    "CA19 _path twice": (paths_json(path_entry(DEMO), path_entry(DEMO)), "conda-layout"),
    "CA19 _path missing": (paths_json({"sha256": "0" * 64}), "conda-layout"),
    "CA19 _path that is none": (paths_json(path_entry(DEMO, _path=1)), "conda-layout"),
    "CA19 an entry that is none": (paths_json("lib/demo.txt"), "conda-layout"),
    "CA19 missing file": (paths_json(*listed(DEMO, "lib/gone")), "conda-layout"),
    "CA19 missing directory": (paths_json(*listed(DEMO), path_entry("gone", path_type="directory")), "conda-layout"),
    "CA19 wrong sha256": (paths_json(path_entry(DEMO, sha256="0" * 64)), "record-hash"),
    "CA19 wrong size": (paths_json(path_entry(DEMO, size_in_bytes=9)), "record-hash"),
    "CA19 a sha256 that is none": (paths_json(path_entry(DEMO, sha256="0")), "conda-layout"),
    "CA19 a sha256 in capitals": (paths_json(path_entry(DEMO, sha256="A" * 64)), "conda-layout"),
    "CA19 a size that is none": (paths_json(path_entry(DEMO, size_in_bytes="8")), "conda-layout"),
    "CA19 a negative size": (paths_json(path_entry(DEMO, size_in_bytes=-1)), "conda-layout"),
    "CA19 a kind that is none": (paths_json(path_entry(DEMO, path_type="device")), "conda-layout"),
    "CA19 softlink in place of a file": (paths_json(path_entry(DEMO, path_type="softlink")), "conda-layout"),
    "CA19 another version": (paths_json(path_entry(DEMO), paths_version=2), "conda-layout"),
    "CA19 no list": (Conda(info={"paths.json": b'{"paths": {}, "paths_version": 1}'}), "conda-layout"),
    "CA19 unlisted in info/files": (Conda(info={"paths.json": None, "files": b"lib/other\n"}), "conda-layout"),
    "CA19 info/files with dotdot": (Conda(info={"paths.json": None, "files": b"../evil\n"}), "path-escape"),
    "CA20 placeholder of one character": (paths_json(path_entry(DEMO, prefix_placeholder="/")), "conda-layout"),
    "CA20 placeholder with a newline": (paths_json(path_entry(DEMO, prefix_placeholder="/a\nb")), "conda-layout"),
    "CA20 placeholder that is none": (paths_json(path_entry(DEMO, prefix_placeholder=1)), "conda-layout"),
    "CA20 file_mode that is none": (
        paths_json(path_entry(DEMO, prefix_placeholder=PLACEHOLDER, file_mode="x")),
        "conda-layout",
    ),
    "CA20 has_prefix of two fields": (
        Conda(info={"paths.json": None, "files": DEMO.encode(), "has_prefix": b"/opt/x lib/demo.txt"}),
        "conda-layout",
    ),
    "CA22 ep_traversal": (link_json("../../x = m:f"), "entry-point"),
    "CA22 ep_folder": (link_json("a/b = m:f"), "entry-point"),
    "CA22 ep_injection": (link_json("x = m:f);evil("), "entry-point"),
    "CA22 ep_newline": (link_json("x = m:f\nimport os"), "entry-point"),
    "CA22 ep_twice": (link_json("x = m:f", "x = m:g"), "entry-point"),
    "CA22 ep_no_text": (link_json(1), "conda-layout"),
    "CA22 link.json of version 2": (link_json(package_metadata_version=2), "conda-layout"),
    "no index.json": (Conda(info={"index.json": None}), "conda-layout"),
    "another name": (Conda(index={"name": "other"}), "conda-layout"),
    "another build": (Conda(index={"build": "1"}), "conda-layout"),
    "a version that is not a text": (Conda(index={"version": 1.0}), "conda-layout"),
    "noarch that is none": (Conda(index={"noarch": "ruby"}), "conda-layout"),
    "index.json too large": (Conda(index={"x": "y" * (1 << 20)}), "limit-size"),
    "index.json is no JSON": (Conda(info={"index.json": b"{"}), "conda-layout"),
    "index.json is no object": (Conda(info={"index.json": b"[]"}), "conda-layout"),
    "index.json is not UTF-8": (Conda(info={"index.json": b'{"a": "\xff"}'}), "conda-layout"),
    "index.json with NaN": (Conda(index={"x": float("nan")}), "conda-layout"),
    "index.json with a key twice": (Conda(info={"index.json": b'{"name": "demo", "name": "x"}'}), "conda-layout"),
    "index.json with 10^5 digits": (Conda(info={"index.json": b'{"a": ' + b"1" * 10**5 + b"}"}), "conda-layout"),
    "index.json with 41 digits": (Conda(info={"index.json": b'{"a": ' + b"1" * 41 + b"}"}), "conda-layout"),
    "index.json with 41 decimals": (Conda(info={"index.json": b'{"a": 0.' + b"1" * 41 + b"}"}), "conda-layout"),
    "index.json and more": (Conda(info={"index.json": b"{} {}"}), "conda-layout"),
    "index.json as a link": (
        Conda(info={"index.json": None}, info_members=[symlink("info/index.json", "../x")]),
        "conda-layout",
    ),
    "JSON nested 65 deep": (Conda(info={"paths.json": nested(65)}), "limit-size"),
    "JSON nested 10^5 deep": (Conda(info={"paths.json": nested(10**5)}), "limit-size"),
    "JSON of 5 million values": (Conda(info={"paths.json": b"[" + b"0," * 5_000_000 + b"0]"}), "limit-size"),
}


@pytest.mark.parametrize("row", DOCUMENTS)
def test_bad_documents_are_refused(row: str, tmp_path: Path) -> None:
    package, expected = DOCUMENTS[row]
    path = write(tmp_path, package.build())
    started = time.process_time()
    assert_refused(refuse(path), expected)
    assert time.process_time() - started < 2


def test_every_conda_row_is_there() -> None:
    rows = {row.split()[0] for row in (*TARS, *CONTAINERS, *BZ2, *DOCUMENTS)}
    # CA08 (modes) is accepted, CA21 compares with repodata, which is not in the archive.
    assert {f"CA{number:02}" for number in range(1, 23)} - rows == {"CA08", "CA21"}


@pytest.mark.parametrize(
    "name", ["demo.conda", "demo-1.0.conda", "demo-1.0-0.zip", "demo-1.0-0", "d/e-1.0-0\x1b.conda", "démo-1.0-0.conda"]
)
def test_what_is_not_called_as_a_package_is_refused(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, Conda().build())
    with pytest.raises(UnsafeInputError) as caught:
        check_conda(path, filename=name)
    assert_refused(caught.value, "conda-layout")


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_w29_a_truncated_package_is_never_accepted(suffix: str, tmp_path: Path) -> None:
    noise = random.Random(3).randbytes(5000)
    package = Conda(payload=[tar_file(DEMO, noise)], paths=[path_entry(DEMO, noise)])
    whole = package.build() if suffix == ".conda" else package.build_bz2()
    for cut in [*(len(whole) * step // 63 for step in range(63)), len(whole) - 1]:
        path = write(tmp_path, whole[:cut], f"demo-1.0-0{suffix}")
        assert refuse(path).exit_code in {3, 5}


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_every_flipped_byte_is_found(suffix: str, tmp_path: Path) -> None:
    noise = random.Random(4).randbytes(5000)
    package = Conda(payload=[tar_file(DEMO, noise)], paths=[path_entry(DEMO, noise)])
    whole = package.build() if suffix == ".conda" else package.build_bz2()
    for place in range(40, 5000, 61):
        damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        assert refuse(write(tmp_path, damaged, f"demo-1.0-0{suffix}")).exit_code in {3, 5}


# --- tars that are let through: read as tarfile reads them


def scan(data: bytes) -> TarContents:
    pieces = iter([data[:700], data[700:1300], data[1300:]]) if len(data) > 1300 else iter([data])
    return scan_tar(pieces, len(data), "demo.tar", DEFAULT_LIMITS, {})


def by_tarfile(data: bytes) -> dict[str, tuple[str, str | None]]:
    """Path → kind and sha256 (a symlink: its target), as the standard library sees them."""
    found: dict[str, tuple[str, str | None]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in archive:
            name = info.name
            while name.startswith("./"):
                name = name[2:]
            if info.issym():
                found[name] = ("symlink", info.linkname)
            elif info.isdir():
                found.setdefault(name, ("directory", None))
            else:
                content = archive.extractfile(info)
                assert content is not None
                found[name] = ("hardlink" if info.islnk() else "file", hashlib.sha256(content.read()).hexdigest())
    found.pop(".", None)
    found.pop("", None)
    return found


def assert_same_as_tarfile(data: bytes) -> None:
    ours = {
        path: (member.kind, member.link if member.kind == "symlink" else member.sha256)
        for path, member in scan(data).members.items()
    }
    assert ours == by_tarfile(data)


GOOD_TARS: Mapping[str, bytes] = {
    "nothing": tar_of(),
    "ustar": tar_of(tar_file("a"), tar_header("b/", kind=b"5"), tar_file("b/c", b"x" * 1000)),
    "GNU": tar_of(tar_file("a", magic=b"ustar  \x00")),
    "padded": tar_of(tar_file("a"), end=b"\0" * 10240),
    "old type of a file": tar_of(tar_file("a", kind=b"\0")),
    "a name without a NUL": tar_of(tar_file("a" * 100)),
    "a name in two parts": tar_of(tar_file("c.txt", prefix=b"a/b")),
    "below a dot": tar_of(tar_header("./", kind=b"5"), tar_header("./a/", kind=b"5"), tar_file("./a/b")),
    "a directory twice": tar_of(tar_header("a/", kind=b"5"), tar_header("a/", kind=b"5")),
    "GNU long name": tar_of(gnu_long(LONG), tar_file(LONG)),
    "GNU long name of a directory": tar_of(gnu_long(f"{LONG}/"), tar_header(LONG, kind=b"5")),
    "GNU long link": tar_of(gnu_long(LONG, b"K"), symlink("a", LONG)),
    "GNU long name and link": tar_of(gnu_long(LONG), gnu_long(LONG, b"K"), symlink(LONG, LONG)),
    "pax path": tar_of(pax(("path", LONG)), tar_file(LONG)),
    "pax path and GNU long name that agree": tar_of(pax(("path", LONG)), gnu_long(LONG), tar_file(LONG)),
    "pax path below a dot": tar_of(pax(("path", f"./{LONG}")), tar_file("./short")),
    "pax link": tar_of(pax(("linkpath", LONG)), symlink("a", LONG)),
    "pax link, as libarchive writes it": tar_of(pax(("linkpath", LONG)), symlink("a", "././@LongSymLink")),
    "pax link beyond ASCII": tar_of(pax(("linkpath", "é" * 30)), symlink("a", "?" * 30)),
    "pax size that agrees": tar_of(pax(("size", "8")), tar_file("a")),
    "pax times and owners": tar_of(pax(("mtime", "1.5"), ("uname", "é"), ("comment", "")), tar_file("a")),
    "pax attributes": tar_of(pax(("SCHILY.xattr.user.x", b"\xff\x01")), tar_file("a")),
    "pax attributes with a NUL": tar_of(pax(("SCHILY.xattr.com.apple.provenance", b"\x01\0\0")), tar_file("a")),
    "pax charset": tar_of(pax(("hdrcharset", "ISO-IR 10646 2000 UTF-8"), ("path", "é")), tar_file("a")),
    "global comment": tar_of(pax(("comment", "0123abcd"), kind=b"g"), tar_file("a")),
    "hard link": tar_of(tar_file("a"), tar_header("b", kind=b"1", link="a"), tar_header("c", kind=b"1", link="b")),
    "hard link below a dot": tar_of(tar_file("./a"), tar_header("./b", kind=b"1", link="./a")),
    "symlinks": tar_of(symlink("a", "b"), symlink("b", "a"), symlink("c/d", "../a"), symlink("e", "nowhere")),
    "UTF-8 names": tar_of(tar_file("ünï/日本"), symlink("ünï/😀", "日本")),
    "a backslash": tar_of(tar_file("lib/dev-disk\\x2d.device")),
}


@pytest.mark.parametrize("row", GOOD_TARS)
def test_a_good_tar_is_read_as_tarfile_reads_it(row: str) -> None:
    assert_same_as_tarfile(GOOD_TARS[row])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_tarfile_writes_is_accepted(form: int) -> None:
    out = io.BytesIO()
    long = "lib/" + "n" * 90 + "/" + "m" * 60 + ".py"
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name in ("a.txt", long, "ünï/é.txt", "x" * 100):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 5, 1600000000.25 if form == tarfile.PAX_FORMAT else 1600000000
            archive.addfile(info, io.BytesIO(b"12345"))
        for name, kind, target in (
            ("l", tarfile.SYMTYPE, long[:99]),
            ("h", tarfile.LNKTYPE, "a.txt"),
            ("d", tarfile.DIRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    assert_same_as_tarfile(out.getvalue())
    assert len(scan(out.getvalue()).members) == 7


BAD_PARTS = st.sampled_from(["..", "a/", "/a", "", "a//b", "a/../b"])
GOOD_PARTS = st.sampled_from(["a", "b", "c/d", "c/e", "./f", "é", LONG])
PARTS = st.integers(0, 9).flatmap(lambda dice: GOOD_PARTS if dice else BAD_PARTS)


@st.composite
def tar_parts(draw: st.DrawFn) -> bytes:
    name, other, content = draw(PARTS), draw(PARTS), draw(st.binary(max_size=600))
    kinds = [
        tar_file(name, content),
        tar_file(name, content, magic=b"ustar  \x00"),
        tar_file(name, content, prefix=other.encode()[:100]) if len(name) < 100 else tar_file("x", content),
        tar_header(name, kind=b"5"),
        symlink(name, other),
        tar_header(name, kind=b"1", link=other),
        gnu_long(other) + tar_file(name, content),
        gnu_long(other, b"K") + symlink(name, other),
        pax(("path", other)) + tar_file(name, content),
        pax(("path", other), ("size", str(len(content)))) + symlink(name, "z"),
        pax(("comment", other), kind=b"g"),
        gnu_long(other),
        pax(("linkpath", other)),
    ]
    return draw(st.sampled_from(kinds))


def assert_accepted_only_if_tarfile_agrees(data: bytes) -> bool:
    try:
        scan(data)
    except UnsafeInputError:
        return False
    assert_same_as_tarfile(data)
    return True


@given(st.lists(tar_parts(), max_size=4))
@settings(max_examples=200, deadline=None)
def test_where_scan_tar_accepts_tarfile_reads_the_same(parts: list[bytes]) -> None:
    """POSIX.1-2001, pax: "the extended header record shall apply to the next file in the archive"."""
    assert_accepted_only_if_tarfile_agrees(tar_of(*parts))


@given(st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_a_tar_with_changed_headers_is_read_as_tarfile_reads_it_or_not_at_all(seed: int) -> None:
    chance = random.Random(seed)
    blocks = [
        tar_file("a"),
        gnu_long(LONG),
        tar_file(LONG),
        pax(("path", "é")),
        symlink("b", "a"),
        tar_header("d/", kind=b"5"),
    ]
    place = chance.randrange(len(blocks))
    for _ in range(chance.randint(1, 3)):
        value = bytes([chance.choice([0, 32, 47, 48, 49, 53, 76, 120, 255])])
        blocks[place] = with_field(blocks[place], chance.randrange(len(blocks[place])), value)
    assert_accepted_only_if_tarfile_agrees(tar_of(*blocks))


def test_the_comparison_with_tarfile_is_not_empty() -> None:
    assert assert_accepted_only_if_tarfile_agrees(tar_of(tar_file("a")))
    assert not assert_accepted_only_if_tarfile_agrees(tar_of(tar_file("a"), tar_file("a")))


def test_a_tar_of_too_many_members_is_refused() -> None:
    data = tar_of(*(tar_header(f"{number}/", kind=b"5") for number in range(5)))
    assert len(scan_tar(iter([data]), len(data), "demo.tar", Limits(entries=5), {}).members) == 5
    endless = tar_of(*[pax(("comment", "x"), kind=b"g")] * 20, tar_file("a"))
    for many in (data, endless):
        with pytest.raises(UnsafeInputError) as caught:
            scan_tar(iter([many]), len(many), "demo.tar", Limits(entries=4), {})
        assert_refused(caught.value, "limit-entries")


# --- zstd


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=3), st.sampled_from([1, 3, 19]))
@settings(max_examples=60, deadline=None)
def test_the_walk_over_frames_agrees_with_the_decoder(contents: list[bytes], level: int) -> None:
    """RFC 8878, section 3: "zstd data is made up of one or more frames", skippable ones among them."""
    data = b"".join(zstd(content, level) + skippable(content) for content in contents)
    frames = check_frames(io.BytesIO(b"head" + data), 4, len(data), archive="x", member="y", limits=DEFAULT_LIMITS)
    assert [frame.is_skippable for frame in frames] == [False, True] * len(contents)
    assert sum(frame.size for frame in frames) == len(data)
    assert [frame.content_size for frame in frames[::2]] == [len(content) for content in contents]
    blocks = zstd_content(iter([data[:7], data[7:]]), "x", "y", DEFAULT_LIMITS)
    assert b"".join(blocks) == b"".join(contents)


@given(st.binary(min_size=1, max_size=60), st.integers(0, 80))
@settings(max_examples=100, deadline=None)
def test_a_frame_that_is_cut_is_refused(content: bytes, cut: int) -> None:
    data = zstd(content)
    cut = min(cut, len(data) - 1)
    with pytest.raises(UnsafeInputError):
        check_frames(io.BytesIO(data), 0, cut, archive="x", member="y", limits=DEFAULT_LIMITS)


# --- packages that are let through


def assert_same_as(folder: Path, path: Path, *, sizes: bool = True) -> None:
    """The manifest says what an unpacked package holds: every file's sha256, every link's target."""
    manifest = check_conda(path, allow_external_symlinks=True)
    found = {}
    for name, (kind, value) in tree_digest(folder).items():
        if kind != "directory" and not name.startswith("info/") and name != "metadata.json":
            found[name] = ("symlink" if kind == "symlink" else "file", value)
    ours = {
        entry.path: (entry.kind, entry.link if entry.kind == "symlink" else entry.sha256)
        for entry in manifest.paths
        if entry.kind != "directory"
    }
    assert ours == found
    if sizes:
        assert all(
            (folder / entry.path).stat().st_size == entry.size for entry in manifest.paths if entry.kind == "file"
        )


RICH = Conda(
    payload=[
        tar_file("bin/tool", b"#!/bin/sh\n", mode=0o775),
        tar_file("lib/big", b"big" * 100_000),
        gnu_long(LONG),
        tar_file(LONG),
        pax(("path", "share/é.txt")),
        tar_file("share/e.txt"),
        tar_header("bin/hard", kind=b"1", link="bin/tool"),
        symlink("lib/libx.so", "libx.so.1"),
        symlink("lib/libx.so.1", "../bin/tool"),
        tar_header("empty/", kind=b"5"),
    ],
    paths=[
        path_entry("bin/tool", b"#!/bin/sh\n"),
        path_entry("lib/big", b"big" * 100_000),
        path_entry(LONG),
        path_entry("share/é.txt"),
        path_entry("bin/hard", b"#!/bin/sh\n"),
        link_entry("lib/libx.so"),
        link_entry("lib/libx.so.1"),
        path_entry("empty", b"", path_type="directory", sha256=None, size_in_bytes=None),
    ],
)


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_the_manifest_is_what_unpackers_unpack(suffix: str, tmp_path: Path) -> None:
    data = RICH.build() if suffix == ".conda" else RICH.build_bz2()
    path = write(tmp_path, data, f"demo-1.0-0{suffix}")
    manifest = check_conda(path)
    by_path = {entry.path: entry for entry in manifest.paths}
    assert list(by_path) == sorted(by_path)
    assert {name for name, entry in by_path.items() if entry.is_executable} == {"bin/tool", "bin/hard"}
    assert by_path["lib/libx.so"].link == "libx.so.1"
    assert by_path["empty"].kind == "directory"
    streaming.extract(str(path), dest_dir=str(tmp_path / "streaming"))
    assert_same_as(tmp_path / "streaming", path)
    rattler_extract(path, tmp_path / "rattler")
    assert_same_as(tmp_path / "rattler", path)


def test_a_package_of_our_own_is_accepted(tmp_path: Path) -> None:
    path = make_conda(
        tmp_path,
        "demo",
        "1.0",
        noarch="python",
        files={"site-packages/demo.py": b"x", "bin/.demo-post-link.sh": b"exit 0", "etc/prefix": b"/opt/placeholder/x"},
        links={"lib/link": "../etc/prefix"},
        executable=["bin/.demo-post-link.sh"],
        placeholders={"etc/prefix": (PLACEHOLDER, "text")},
        entry_points=["demo = demo:main", "Demo-gui=demo.gui:App.run"],
        info={"about.json": b'{"home": "x"}'},
    )
    manifest = check_conda(path)
    assert (manifest.filename, manifest.noarch) == ("demo-1.0-0.conda", "python")
    assert manifest.entry_points == ("demo = demo:main", "Demo-gui=demo.gui:App.run")
    assert manifest.link_scripts == ("bin/.demo-post-link.sh",)
    assert manifest.about == {"home": "x"}
    assert manifest.index["version"] == "1.0"
    assert manifest.cautions == ()
    patched = {entry.path: (entry.prefix_placeholder, entry.file_mode) for entry in manifest.paths if entry.file_mode}
    assert patched == {"etc/prefix": (PLACEHOLDER, "text")}


@pytest.mark.parametrize("written", [None, False, "generic", True, "python"])
def test_noarch_in_all_its_forms(written: object, tmp_path: Path) -> None:
    expected = {True: "generic", "generic": "generic", "python": "python"}.get(written)
    manifest = check_conda(write(tmp_path, Conda(index={"noarch": written}).build()))
    assert manifest.noarch == expected


def test_ca22_link_scripts_are_named(tmp_path: Path) -> None:
    """CEP 34: "files named like .{package-name}-{action}.{extension}", in `./bin/` and `./Scripts/`."""
    scripts = ["Scripts/.demo-pre-link.bat", "bin/.demo-post-link.sh", "bin/.demo-pre-unlink.sh"]
    scripts.append("python-scripts/.x-y-post-unlink.sh")
    others = ["bin/demo-post-link.sh", "bin/x/.demo-post-link.sh", "lib/.demo-post-link.sh", "bin/.demo-post-link.py"]
    names = scripts + others
    package = Conda(payload=[tar_file(name) for name in names], paths=listed(*names))
    assert check_conda(write(tmp_path, package.build())).link_scripts == tuple(scripts)


def test_ca04_a_link_that_leaves_the_package_needs_permission(tmp_path: Path) -> None:
    links = [symlink("lib/a", "../../evil"), symlink("lib/b", "/etc/passwd")]
    package = Conda(payload=links, paths=[link_entry("lib/a"), link_entry("lib/b")])
    path = write(tmp_path, package.build())
    assert_refused(refuse(path), "path-escape")
    manifest = check_conda(path, allow_external_symlinks=True)
    assert [entry.link for entry in manifest.paths] == ["../../evil", "/etc/passwd"]
    package = Conda(payload=[*links, tar_file("lib/b/x")])
    with pytest.raises(UnsafeInputError) as caught:
        check_conda(write(tmp_path, package.build()), allow_external_symlinks=True)
    assert_refused(caught.value, "path-symlink")


def test_ca05_links_in_a_circle_lead_nowhere(tmp_path: Path) -> None:
    package = Conda(
        payload=[symlink("a", "b"), symlink("b", "a"), symlink("c", "c/../d")],
        paths=[link_entry("a"), link_entry("b"), link_entry("c")],
    )
    assert [entry.kind for entry in check_conda(write(tmp_path, package.build())).paths] == ["symlink"] * 3


@pytest.mark.slow
def test_links_that_take_for_ever_to_follow_are_refused(tmp_path: Path) -> None:
    step = "x/../" * 100
    links = [symlink(f"l{number}", f"l{number + 1}") for number in range(39)] + [
        gnu_long(step, b"K"),
        symlink("l39", step),
    ]
    many = [
        gnu_part for number in range(6000) for gnu_part in (gnu_long(step + "l0", b"K"), symlink(f"m{number}", step))
    ]
    path = write(tmp_path, Conda(payload=[*links, *many], paths=[]).build())
    started = time.process_time()
    assert_refused(refuse(path), "limit-entries")
    assert time.process_time() - started < 4


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o1777, 0o777, 0o646])
def test_ca08_a_loose_mode_is_remarked_and_masked(mode: int, tmp_path: Path) -> None:
    manifest = check_conda(write(tmp_path, Conda(payload=[tar_file(DEMO, mode=mode)]).build()))
    assert [(caution.id, caution.path) for caution in manifest.cautions] == [("loose-mode", DEMO)]
    assert manifest.paths[0].is_executable == bool(mode & 0o111)


def test_names_that_only_other_systems_mind_are_remarked(tmp_path: Path) -> None:
    package = Conda(payload=[tar_file("A/x"), tar_file("a/con")], paths=listed("A/x", "a/con"))
    path = write(tmp_path, package.build())
    assert {caution.id for caution in check_conda(path).cautions} == {"windows-name"}
    package = Conda(payload=[tar_file("a/x"), tar_file("A/X")], paths=listed("a/x", "A/X"))
    path = write(tmp_path, package.build())
    assert [caution.id for caution in check_conda(path).cautions] == ["case-collision"]


def test_a_path_without_a_hash_is_remarked(tmp_path: Path) -> None:
    package = Conda(paths=[path_entry(DEMO, sha256=None, size_in_bytes=None, no_link=True)])
    manifest = check_conda(write(tmp_path, package.build()))
    assert [caution.id for caution in manifest.cautions] == ["unhashed"]
    assert manifest.paths[0].sha256 == hashlib.sha256(b"content\n").hexdigest()
    assert manifest.paths[0].no_link


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_an_old_package_without_paths_json(suffix: str, tmp_path: Path) -> None:
    """CEP 34: "a space-separated list of placeholder, mode, and path", or a path with the default placeholder."""
    package = Conda(
        payload=[tar_file("bin/a"), tar_file("bin/b c"), tar_file("lib/d"), symlink("lib/e", "d")],
        info={
            "paths.json": None,
            "files": b"bin/a\nbin/b c\r\nlib/d\nlib/e\n",
            "has_prefix": b'bin/a\n"/opt/x" "binary" "bin/b c"\n/opt/y text lib/d\n',
            "no_link": b"lib/d\n",
        },
    )
    data = package.build() if suffix == ".conda" else package.build_bz2()
    manifest = check_conda(write(tmp_path, data, f"demo-1.0-0{suffix}"))
    assert [(entry.path, entry.prefix_placeholder, entry.file_mode, entry.no_link) for entry in manifest.paths] == [
        ("bin/a", "/opt/anaconda1anaconda2anaconda3", "text", False),
        ("bin/b c", "/opt/x", "binary", False),
        ("lib/d", "/opt/y", "text", True),
        ("lib/e", None, None, False),
    ]
    assert {entry.sha256 for entry in manifest.paths if entry.kind == "file"} == {
        hashlib.sha256(b"content\n").hexdigest()
    }


def test_a_package_that_lists_nothing_is_taken_as_it_is(tmp_path: Path) -> None:
    manifest = check_conda(write(tmp_path, Conda(info={"paths.json": None}).build()))
    assert [entry.path for entry in manifest.paths] == [DEMO]


def test_a_package_under_another_name_is_judged_by_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, Conda().build(), "0123abcd")
    assert check_conda(path, filename="demo-1.0-0.conda").filename == "demo-1.0-0.conda"


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(entries=1), "limit-entries"),
        (Limits(member_size=7), "limit-size"),
        (Limits(total_size=600), "limit-size"),
        (Limits(index_json=9), "limit-size"),
        (Limits(paths_json=9), "limit-size"),
        (Limits(document=9), "limit-size"),
        (Limits(component=7), "limit-name"),
    ],
)
def test_limits_are_those_that_are_given(limits: Limits, expected: str, tmp_path: Path) -> None:
    assert_refused(refuse(write(tmp_path, Conda().build()), limits), expected)


def test_memory_does_not_grow_with_a_member(tmp_path: Path) -> None:
    def peak(size: int) -> int:
        data = random.Random(5).randbytes(size)
        package = Conda(payload=[tar_file(DEMO, data)], paths=[path_entry(DEMO, data)])
        path = write(tmp_path, package.build())
        del data, package
        tracemalloc.start()
        try:
            check_conda(path)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(24 << 20) < peak(8 << 20) + (1 << 20) < 8 << 20
