"""Validate a source distribution, `.tar.gz` or `.zip`, before anything of it is unpacked (PEP 517, PEP 625).

It must have one top directory, plain names, and links that stay inside.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import field
from pathlib import Path
from typing import BinaryIO, Literal

from bridge.archive.bounded_stream import BoundedStream
from bridge.archive.limits import DEFAULT_LIMITS, Limits
from bridge.archive.links import check_links
from bridge.archive.refusal import refused, too_large
from bridge.archive.tars import scan_tar
from bridge.archive.zip_contents import read_member
from bridge.archive.zip_member import ZipMember
from bridge.archive.zips import read_directory
from converters.deferred import dataclass
from converters.errors import UnsafeInputError

__all__ = ["SdistMember", "check_sdist", "read_members"]

_BUFFER = 1 << 16
_INPUT = 1 << 17
_OUTPUT = 1 << 20
_HEADER = 512  # a tar member's content follows its header
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True, kw_only=True)
class SdistMember:
    """One member; `link` is a symlink's target or the member that a hard link names.

    `offset` is where its content begins in the unpacked tar; for a zip see `entry`.
    """

    path: str
    kind: Literal["file", "symlink", "hardlink", "directory"]
    size: int = 0
    is_executable: bool = False
    link: str | None = None
    offset: int = 0
    entry: ZipMember | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SdistManifest:
    """The content of an sdist; `root` is its top directory, `metadata` its PKG-INFO."""

    filename: str
    root: str
    members: tuple[SdistMember, ...]
    metadata: bytes | None = field(repr=False, default=None)


def check_sdist(path: Path, *, limits: Limits = DEFAULT_LIMITS, filename: str | None = None) -> SdistManifest:
    """Validate the sdist at `path`, and write nothing.

    :param filename: the sdist's own file name, if `path` has another one.

    Raises `UnsafeInputError` (exit 3: `sdist-layout`, `tar-*`, `zip-*`, `path-*`, `limit-*`), `IntegrityError` (exit 5:
    `zip-crc`) and `OSError`.
    """
    name = filename or path.name
    with path.open("rb", buffering=_BUFFER) as stream:
        if name.endswith(".zip"):
            return _check_zip(stream, name, limits)
        try:
            return _check_tar(stream, path.stat().st_size, name, limits)
        except UnsafeInputError as error:
            if error.id != "conda-layout":  # the tar validator's id for conda packages
                raise
            raise UnsafeInputError(
                "sdist-layout", error.message, context=error.context, hint=error.hint, objects=error.objects
            ) from error


def read_members(path: Path, manifest: SdistManifest) -> Iterator[tuple[SdistMember, Iterator[bytes]]]:
    """The files of a validated sdist with their content, in order; read each before the next one."""
    name = manifest.filename
    with path.open("rb", buffering=_BUFFER) as stream:
        if name.endswith(".zip"):
            for member in manifest.members:
                if member.entry is not None and member.kind == "file":
                    yield member, read_member(stream, member.entry, name)
            return
        content = BoundedStream(gzip_content(stream, name), path.stat().st_size, name, DEFAULT_LIMITS)
        for member in manifest.members:
            if member.kind == "file":
                for _ in content.views(member.offset - content.position):
                    pass
                yield member, map(bytes, content.views(member.size))


def _check_zip(stream: BinaryIO, name: str, limits: Limits) -> SdistManifest:
    entries = read_directory(stream, name, limits)
    members = tuple(
        SdistMember(
            path=entry.name.removesuffix("/"),
            kind="directory" if entry.is_directory else "file",
            size=entry.size,
            is_executable=not entry.is_directory and bool(entry.mode & 0o111),
            entry=entry,
        )
        for entry in entries
    )
    root = _root((member.path for member in members if member.kind != "directory"), name)
    info = next((entry for entry in entries if entry.name == f"{root}/PKG-INFO"), None)
    metadata = None
    if info is not None:
        if info.size > limits.metadata:
            raise too_large(name, info.size, limits.metadata, member=info.name)
        metadata = b"".join(read_member(stream, info, name))
    return SdistManifest(filename=name, root=root, members=members, metadata=metadata)


def _check_tar(stream: BinaryIO, size: int, name: str, limits: Limits) -> SdistManifest:
    # By PEP 625 the directory is named as the file; older sdists with another name are read twice.
    wanted = f"{name.removesuffix('.tar.gz')}/PKG-INFO"
    contents = scan_tar(gzip_content(stream, name), size, name, limits, {wanted: limits.metadata})
    members = tuple(
        SdistMember(
            path=member.path,
            kind=member.kind,
            size=member.size,
            is_executable=member.kind in {"file", "hardlink"} and bool(member.mode & 0o111),
            link=member.link,
            offset=member.offset + _HEADER,
        )
        for member in contents.members.values()
    )
    root = _root((member.path for member in members if member.kind != "directory"), name)
    check_links({member.path: member.link or "" for member in members if member.kind == "symlink"}, name)
    info = contents.members.get(f"{root}/PKG-INFO")
    if info is not None and info.kind == "file" and info.path not in contents.documents:
        contents = scan_tar(gzip_content(stream, name), size, name, limits, {info.path: limits.metadata})
    metadata = contents.documents.get(f"{root}/PKG-INFO")
    return SdistManifest(filename=name, root=root, members=members, metadata=metadata)


def _root(paths: Iterable[str], name: str) -> str:
    roots, has_files_above = set(), False
    for path in paths:
        root, slash, _ = path.partition("/")
        roots.add(root)
        has_files_above = has_files_above or not slash
    if len(roots) != 1 or has_files_above:
        raise refused("sdist-layout", name, "an sdist has one top directory that contains everything (PEP 517)")
    return roots.pop()


def gzip_content(stream: BinaryIO, archive: str) -> Iterator[bytes]:
    """Yield the content of a single-member gzip file (RFC 1952) from its start in blocks of at most 1 MiB.

    Zeros may pad the file; a second member, which not all unpackers read, is refused. Raises `UnsafeInputError`
    (`sdist-layout`).
    """
    stream.seek(0)
    decoder = zlib.decompressobj(_GZIP)
    try:
        while not decoder.eof:
            data = decoder.unconsumed_tail or stream.read(_INPUT)
            block = decoder.decompress(data, _OUTPUT)
            if block:
                yield block
            elif not data:
                raise refused("sdist-layout", archive, "the gzip file is truncated", offset=stream.tell())
    except zlib.error as error:
        problem = f"it cannot be decompressed: {error}"
        raise refused("sdist-layout", archive, problem, offset=stream.tell()) from error
    rest = decoder.unused_data
    while rest:
        if rest.strip(b"\0"):
            problem = "bytes after the gzip member, or a second one"
            raise refused("sdist-layout", archive, problem, offset=stream.tell() - len(rest))
        rest = stream.read(_INPUT)
