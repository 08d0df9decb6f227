"""Zips, tars and conda packages written byte by byte: valid by default, wrong where a test says so, always the same.

Nothing here goes through `zipfile` or `tarfile`, which cannot write what an attacker can.
"""

from __future__ import annotations

import bz2
import hashlib
import json
import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import zstandard

from converters.errors import BridgeError, IntegrityError, UnsafeInputError

UTF8 = 1 << 11
DESCRIPTOR = 1 << 3
BLOCK = 512


def deflate(data: bytes) -> bytes:
    """Raw deflate data."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@dataclass(kw_only=True)
class Entry:
    """One member of a zip. `local` and `central` override fields of the two headers, by the names used in `_fields`.

    `descriptor`: "signed", "bare", "signed64" or "bare64". `packed`: the bytes in the file, where they are not the
    honest ones. `hidden`: no entry in the directory. `ghost`: no local header, no data.
    """

    name: str | bytes
    data: bytes = b"content\n"
    method: int = 8
    packed: bytes | None = None
    flags: int = 0
    mode: int = 0o100644
    made_by: int = 3
    local: Mapping[str, int] = field(default_factory=dict)
    central: Mapping[str, int] = field(default_factory=dict)
    local_name: bytes | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    descriptor: str | None = None
    descriptor_values: Mapping[str, int] = field(default_factory=dict)
    before: bytes = b""
    hidden: bool = False
    ghost: bool = False

    @property
    def raw_name(self) -> bytes:
        return self.name if isinstance(self.name, bytes) else self.name.encode()

    def fields(self) -> dict[str, int]:
        body = self.body()
        flags = self.flags | (0 if self.raw_name.isascii() or isinstance(self.name, bytes) else UTF8)
        return {
            "flags": flags | (DESCRIPTOR if self.descriptor else 0),
            "method": self.method,
            "crc": zlib.crc32(self.data),
            "packed": len(body),
            "size": len(self.data),
        }

    def body(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflate(self.data) if self.method == 8 else self.data


def _local(entry: Entry) -> bytes:
    values = entry.fields()
    if entry.descriptor:
        values |= {"crc": 0, "packed": 0, "size": 0}
    values |= dict(entry.local)
    name = entry.raw_name if entry.local_name is None else entry.local_name
    head = struct.pack(
        "<4s5H3L2H",
        b"PK\x03\x04",
        20,
        values["flags"],
        values["method"],
        0,
        0x21,
        values["crc"],
        values["packed"],
        values["size"],
        len(name),
        len(entry.local_extra),
    )
    return head + name + entry.local_extra


def _descriptor(entry: Entry) -> bytes:
    if entry.descriptor is None:
        return b""
    values = entry.fields() | dict(entry.descriptor_values)
    layout = "<LQQ" if entry.descriptor.endswith("64") else "<LLL"
    signature = b"PK\x07\x08" if entry.descriptor.startswith("signed") else b""
    return signature + struct.pack(layout, values["crc"], values["packed"], values["size"])


def _central(entry: Entry, offset: int) -> bytes:
    values = (
        entry.fields()
        | {"offset": offset, "disk": 0, "needed": 20, "attributes": entry.mode << 16}
        | dict(entry.central)
    )
    head = struct.pack(
        "<4s6H3L5H2L",
        b"PK\x01\x02",
        entry.made_by << 8 | 20,
        values["needed"],
        values["flags"],
        values["method"],
        0,
        0x21,
        values["crc"],
        values["packed"],
        values["size"],
        len(entry.raw_name),
        len(entry.central_extra),
        0,
        values["disk"],
        0,
        values["attributes"],
        values["offset"],
    )
    return head + entry.raw_name + entry.central_extra


def end_record(*, entries: int, size: int, offset: int, comment: bytes = b"", comment_size: int | None = None) -> bytes:
    """The end record of a zip."""
    length = len(comment) if comment_size is None else comment_size
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, entries, entries, size, offset, length) + comment


def zip64_end(*, entries: int, size: int, offset: int, extension: bytes = b"") -> bytes:
    """The zip64 end record."""
    length = 44 + len(extension)
    return struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", length, 45, 45, 0, 0, entries, entries, size, offset) + extension


def zip64_locator(offset: int, disks: int = 1) -> bytes:
    """What points to the zip64 end record."""
    return struct.pack("<4sLQL", b"PK\x06\x07", 0, offset, disks)


def zip64_extra(*values: int) -> bytes:
    """The zip64 extra field with 64-bit values."""
    return struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values)


def unicode_extra(name: bytes, of: bytes) -> bytes:
    """The Info-ZIP Unicode Path field that gives `of` the name `name`."""
    data = b"\x01" + zlib.crc32(of).to_bytes(4, "little") + name
    return struct.pack("<HH", 0x7075, len(data)) + data


@dataclass(kw_only=True)
class Zip:
    """A zip of `entries`. `tail` replaces what follows the directory; it is given (entries, size, offset)."""

    entries: Sequence[Entry]
    prefix: bytes = b""
    suffix: bytes = b""
    comment: bytes = b""
    after_members: bytes = b""
    offset_base: int | None = None
    tail: Callable[[int, int, int], bytes] | None = None

    def build(self) -> bytes:
        out = bytearray(self.prefix)
        base = 0 if self.offset_base is None else self.offset_base - len(self.prefix)
        directory = bytearray()
        listed = 0
        for entry in self.entries:
            if not entry.ghost:
                out += entry.before
            offset = len(out) + base
            if not entry.ghost:
                out += _local(entry) + entry.body() + _descriptor(entry)
            if not entry.hidden:
                directory += _central(entry, offset)
                listed += 1
        out += self.after_members
        start = len(out) + base
        out += directory
        if self.tail is not None:
            out += self.tail(listed, len(directory), start)
        else:
            out += end_record(entries=listed, size=len(directory), offset=start, comment=self.comment)
        return bytes(out + self.suffix)


def zip_of(*entries: Entry) -> bytes:
    """A zip of these entries and nothing else."""
    return Zip(entries=entries).build()


def polyglot_tar_zip() -> bytes:
    """A zip whose first 512 bytes are a tar header with a right checksum (CVE-2026-3219)."""
    start = 30 + 1  # the local header and the name "a"
    content = bytearray(600)
    content[257 - start : 265 - start] = b"ustar\x0000"
    content[124 - start : 136 - start] = b"00000000000\0"
    # The zip's own CRC lies in the block that the checksum covers, and depends on it: vary a byte behind the block.
    checksum = 0
    for salt in range(1 << 16):
        content[-2:] = salt.to_bytes(2, "big")
        content[148 - start : 156 - start] = b"%06o\0 " % checksum
        data = zip_of(Entry(name="a", data=bytes(content), method=0))
        actual = sum(data[:512]) - sum(data[148:156]) + 8 * 32
        if actual == checksum:
            return data
        checksum = checksum or actual
    raise AssertionError("no checksum fits")


# --- tar


def tar_header(
    name: str | bytes,
    *,
    size: int = 0,
    kind: bytes = b"0",
    link: str | bytes = b"",
    mode: int = 0o644,
    prefix: bytes = b"",
    magic: bytes = b"ustar\x0000",
    raw_size: bytes | None = None,
    checksum: bytes | None = None,
    real_size: bytes = b"",
) -> bytes:
    """One header block; `raw_size`, `checksum` and `real_size` replace the fields' own bytes."""
    block = bytearray(BLOCK)
    raw_name = name.encode() if isinstance(name, str) else name
    raw_link = link.encode() if isinstance(link, str) else link
    block[0:100] = raw_name[:100].ljust(100, b"\0")
    block[100:108] = b"%07o\0" % mode
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = (b"%011o\0" % size if raw_size is None else raw_size).ljust(12, b"\0")
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[157:257] = raw_link[:100].ljust(100, b"\0")
    block[257:265] = magic
    block[345:500] = prefix.ljust(155, b"\0")
    if real_size:
        block[483:495] = real_size.ljust(12, b"\0")
    total = sum(block[:148]) + 8 * 32 + sum(block[156:])
    block[148:156] = b"%06o\0 " % total if checksum is None else checksum
    return bytes(block)


def padded(data: bytes) -> bytes:
    """`data` up to the next block."""
    return data + b"\0" * (-len(data) % BLOCK)


def tar_file(name: str | bytes, data: bytes = b"content\n", **fields: object) -> bytes:
    """A regular file with its content."""
    return tar_header(name, **({"size": len(data)} | fields)) + padded(data)  # type: ignore[arg-type]


def symlink(name: str, target: str, **fields: object) -> bytes:
    """A symbolic link."""
    return tar_header(name, kind=b"2", link=target, **fields)  # type: ignore[arg-type]


def pax_record(key: str | bytes, value: str | bytes) -> bytes:
    """One `LENGTH KEY=VALUE` line."""
    raw = b" " + (key if isinstance(key, bytes) else key.encode()) + b"="
    raw += (value if isinstance(value, bytes) else value.encode()) + b"\n"
    length = len(raw)
    while length != len(str(length)) + len(raw):
        length = len(str(length)) + len(raw)
    return str(length).encode() + raw


def pax(*records: tuple[str | bytes, str | bytes], kind: bytes = b"x", raw: bytes | None = None) -> bytes:
    """A pax header for the next member (`x`) or for all that follow (`g`)."""
    data = b"".join(pax_record(key, value) for key, value in records) if raw is None else raw
    return tar_header("PaxHeader", size=len(data), kind=kind) + padded(data)


def gnu_long(name: str | bytes, kind: bytes = b"L") -> bytes:
    """GNU's long name (`L`) or long link (`K`) of the next member."""
    raw = (name.encode() if isinstance(name, str) else name) + b"\0"
    return tar_header("././@LongLink", size=len(raw), kind=kind, magic=b"ustar  \x00") + padded(raw)


def tar_of(*parts: bytes, end: bytes = b"\0" * 1024) -> bytes:
    """Members one after another, and the two blocks of zeros."""
    return b"".join(parts) + end


# --- conda packages


def zstd(data: bytes, level: int = 3) -> bytes:
    """One zstd frame."""
    return zstandard.ZstdCompressor(level=level).compress(data)


def path_entry(path: str, data: bytes = b"content\n", **fields: object) -> dict[str, object]:
    """An entry of paths.json; a field given as `None` is left out."""
    entry: dict[str, object] = {
        "_path": path,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_in_bytes": len(data),
    }
    return {key: value for key, value in (entry | fields).items() if value is not None}


def link_entry(path: str) -> dict[str, object]:
    """An entry of paths.json for a symbolic link."""
    return path_entry(path, b"", path_type="softlink")


@dataclass(kw_only=True)
class Conda:
    """A conda package `NAME-VERSION-BUILD`. `payload` are tar members, `paths` the entries of paths.json.

    `info` adds or replaces files below `info/` (`None`: leaves them out). `tars` replaces the packed inner tars, by
    `info` or `pkg`; `members` replaces the outer zip's members.
    """

    stem: str = "demo-1.0-0"
    payload: Sequence[bytes] = (tar_file("lib/demo.txt"),)
    paths: Sequence[Mapping[str, object]] | None = None
    index: Mapping[str, object] = field(default_factory=dict)
    info: Mapping[str, bytes | None] = field(default_factory=dict)
    info_members: Sequence[bytes] = ()
    tars: Mapping[str, bytes] = field(default_factory=dict)
    members: Callable[[dict[str, bytes]], Sequence[Entry]] | None = None
    tar_end: bytes = b"\0" * 1024

    def documents(self) -> dict[str, bytes]:
        name, version, build = self.stem.rsplit("-", 2)
        index = {"name": name, "version": version, "build": build, "build_number": 0, "subdir": "noarch", "depends": []}
        entries = [path_entry("lib/demo.txt")] if self.paths is None else list(self.paths)
        documents: dict[str, bytes | None] = {
            "index.json": json.dumps(index | dict(self.index)).encode(),
            "paths.json": json.dumps({"paths": entries, "paths_version": 1}).encode(),
        }
        documents |= dict(self.info)
        return {f"info/{name}": data for name, data in documents.items() if data is not None}

    def info_parts(self) -> list[bytes]:
        return [*(tar_file(path, data) for path, data in self.documents().items()), *self.info_members]

    def build(self) -> bytes:
        """The bytes of `STEM.conda`."""
        parts = {
            "metadata.json": b'{"conda_pkg_format_version": 2}',
            f"pkg-{self.stem}.tar.zst": self.tars.get("pkg", zstd(tar_of(*self.payload, end=self.tar_end))),
            f"info-{self.stem}.tar.zst": self.tars.get("info", zstd(tar_of(*self.info_parts()))),
        }
        if self.members is not None:
            return Zip(entries=self.members(parts)).build()
        return zip_of(*(Entry(name=name, data=data, method=0) for name, data in parts.items()))

    def build_bz2(self) -> bytes:
        """The bytes of `STEM.tar.bz2`."""
        return bz2.compress(tar_of(*self.info_parts(), *self.payload, end=self.tar_end))


# --- what every refusal must hold


def assert_refused(error: BridgeError, expected: str) -> None:
    """The id, and the exit code with it: 5 for content that is not what was promised, 3 for all else.

    The message is one line without control characters, and says what to do next.
    """
    is_integrity = expected in {"zip-crc", "record-hash"}
    assert error.id == expected, error.message
    assert error.exit_code == (5 if is_integrity else 3)
    assert isinstance(error, IntegrityError if is_integrity else UnsafeInputError)
    assert error.message.isprintable()
    assert all(line.isprintable() for line in error.context)


# --- proof that nothing was written

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate")
_RUNS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "socket.connect")
_watched: list[str] | None = None


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _watched is None:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        if not str(arguments[0]).endswith(".pyc") and "__pycache__" not in str(arguments[0]):
            _watched.append(f"open {arguments[0]!r}")
    elif event in _CHANGES or event in _RUNS:
        _watched.append(f"{event} {arguments!r}")


sys.addaudithook(_audit)


@contextmanager
def nothing_changes() -> Iterator[None]:
    """Fail if the code inside opens a file for writing, changes a directory, runs a program or connects anywhere.

    Bytecode that an import leaves behind does not count.
    """
    global _watched  # noqa: PLW0603 - an audit hook can neither be removed nor be given an argument
    _watched = []
    try:
        yield
        seen, _watched = _watched, None
    finally:
        _watched = None
    assert seen == []
