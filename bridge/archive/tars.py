"""Validate a tar as a stream: each member's header, name and kind, and the sha256 of its content.

Allowed are files, directories, symbolic links and hard links, with ustar names, GNU long names or pax paths. An archive
in which two tar readers could see different members is refused (CVE-2025-62518).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Literal

from bridge.archive.bounded_stream import BoundedStream
from bridge.archive.limits import Limits
from bridge.archive.paths import Caution, check_path, check_tree
from bridge.archive.refusal import refused, shown, too_large
from bridge.archive.tar_header import BLOCK, Header, parse_header, parse_pax
from bridge.paths import find_control, parent_directories
from converters.deferred import dataclass, replace
from converters.errors import UnsafeInputError

__all__ = ["Keep", "TarContents", "TarMember", "check_members", "is_info", "scan_tar"]

TarKind = Literal["file", "symlink", "hardlink", "directory"]
Keep = Callable[[str, int], Callable[[memoryview], object]]

_KINDS: Mapping[bytes, TarKind] = {b"0": "file", b"\0": "file", b"1": "hardlink", b"2": "symlink", b"5": "directory"}
_LONGEST_PAX = 1 << 20  # bytes
_LONGEST_NUMBER = 20  # digits


@dataclass(frozen=True, slots=True, kw_only=True)
class TarMember:
    """One member. `path` is normalised; `link` is a symlink's target as written, or a hard link's member.

    A hard link has the `sha256`, `size` and mode of its file. `offset` is of the header in the unpacked tar.
    """

    path: str
    kind: TarKind
    offset: int
    mode: int
    size: int = 0
    sha256: str | None = None
    link: str | None = None


@dataclass(slots=True, kw_only=True)
class TarContents:
    """The members by path in order, and the content of the `wanted` ones; `cautions` are about the container."""

    members: dict[str, TarMember] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    cautions: list[Caution] = field(default_factory=list)


@dataclass(slots=True)
class _Pending:
    """The values of extension headers for the next member."""

    path: str | None = None
    link: str | None = None
    size: int | None = None
    has_pax: bool = False
    is_open: bool = False  # whether there was any extension header
    has_global: bool = False


def scan_tar(
    blocks: Iterator[bytes],
    packed_size: int,
    archive: str,
    limits: Limits,
    wanted: Mapping[str, int],
    keep: Keep | None = None,
) -> TarContents:
    """Validate and hash every member of an unpacked tar.

    :param blocks: the unpacked bytes; one block is held at a time.
    :param packed_size: in bytes, for the ratio.
    :param wanted: path → limit in bytes, of the files whose content to keep.
    :param keep: called with the path and the size of each other file; what it returns receives the content.

    Raises `UnsafeInputError`: `tar-type`, `tar-pax`, `conda-layout`, `path-escape`, `path-symlink`, `path-collision`,
    `limit-*`.
    """
    scan = _Scan(BoundedStream(blocks, packed_size, archive, limits), wanted, keep)
    entries = 0
    while scan.read_header():
        entries += 1
        if len(scan.contents.members) > limits.entries or entries > 3 * limits.entries:
            raise refused("limit-entries", archive, f"more than {limits.entries} members", offset=scan.offset)
    scan.check_end()
    check_members(scan.contents.members, archive)
    return scan.contents


class _Scan:
    """The state of one scan; `offset` is of the current header."""

    __slots__ = ("archive", "contents", "keep", "limits", "long_infos", "offset", "pending", "unpacked", "wanted")

    def __init__(self, unpacked: BoundedStream, wanted: Mapping[str, int], keep: Keep | None) -> None:
        self.unpacked = unpacked
        self.archive = unpacked.archive
        self.limits = unpacked.limits
        self.wanted = wanted
        self.keep = keep
        self.contents = TarContents()
        self.pending = _Pending()
        self.offset = 0
        self.long_infos = 0  # members below info/ whose names only `_info_limits` allow

    def refused(self, error_id: str, problem: str, member: str | bytes | None = None) -> UnsafeInputError:
        return refused(error_id, self.archive, problem, member=member, offset=self.offset)

    def read_header(self) -> bool:
        """Read one header with its content; return False at the end."""
        self.offset = self.unpacked.position
        block = self.unpacked.take(BLOCK)
        if not any(block):
            return False
        header = parse_header(block, self.archive, self.offset)
        if header.kind in {b"L", b"K"}:
            self._read_long_name(header)
        elif header.kind in {b"x", b"g"}:
            self._read_pax(header)
        else:
            member = self._read_member(header)
            self.pending = _Pending()
            if member is not None:
                self.contents.members[member.path] = member
        return True

    def check_end(self) -> None:
        """Require two blocks of zeros at the end, and only zeros as padding."""
        if self.pending.is_open or self.pending.has_global:  # tarfile rejects a global one at the end too
            raise self.refused("tar-pax", "an extension header without its member")
        # Readers stop at the first block of zeros, at the second, or read on.
        if any(self.unpacked.take(BLOCK)):
            raise self.refused("conda-layout", "the tar continues after a block of zeros")
        for piece in self.unpacked.rest():
            if piece.count(0) != len(piece):
                raise self.refused("conda-layout", "bytes after the end of the tar")

    def _padded(self, size: int) -> bytes:
        data = self.unpacked.take(size)
        self.unpacked.take(-size % BLOCK)
        return data

    def _read_long_name(self, header: Header) -> None:
        """Read a GNU long name: a member whose content is the name or link of the next one."""
        if header.size > self.limits.info_name + 1:
            problem = f"a name of {header.size} bytes; at most {self.limits.info_name} are allowed"
            raise self.refused("limit-name", problem)
        name = self._decode(self._padded(header.size).removesuffix(b"\0"))
        if header.kind == b"L":
            self.pending.path = self._once(self.pending.path, name)
        else:
            self.pending.link = self._once(self.pending.link, name)
        self.pending.is_open = True

    def _read_pax(self, header: Header) -> None:
        if header.size > _LONGEST_PAX:
            raise too_large(self.archive, header.size, _LONGEST_PAX, member="pax header", offset=self.offset)
        is_global = header.kind == b"g"
        data = self._padded(header.size)
        records = parse_pax(data, self.archive, self.offset, is_global=is_global, largest=self.limits.member_size)
        # Readers differ in which of two headers counts, and for which member (CA10).
        if self.pending.has_pax or (is_global and self.pending.is_open):
            raise self.refused("tar-pax", "two pax headers for one member")
        if is_global:
            self.pending.has_global = True
            return
        self.pending.has_pax = self.pending.is_open = True
        path, link, size = records.get("path"), records.get("linkpath"), records.get("size")
        if path is not None:
            self.pending.path = self._once(self.pending.path, path)
        if link is not None:
            self.pending.link = self._once(self.pending.link, link)
        if size is not None:
            if not (size.isascii() and size.isdecimal() and len(size) < _LONGEST_NUMBER):
                raise self.refused("tar-pax", f"a size that is not a number: {shown(size)}")
            self.pending.size = int(size)

    def _once(self, known: str | None, value: str) -> str:
        if known not in {None, value}:
            raise self.refused("tar-pax", "two long names for one member", value)
        return value

    def _decode(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.refused("conda-layout", "the name is not UTF-8", raw) from error

    def _read_member(self, header: Header) -> TarMember | None:
        """Validate one member and hash its content; `None` for the root and a repeated directory."""
        name = self._name(header)
        kind = self._kind(header, name)
        path = self._path(name, is_directory=kind == "directory")
        self._check_size(header, kind, name)
        known = self.contents.members.get(path)
        # Unpackers keep the last one, scanners read the first; a link may replace a directory (CA03).
        if known is not None and not (kind == known.kind == "directory"):
            raise self.refused("path-collision", "two members of this name", path)
        if not path or known is not None:
            return None
        if kind == "file":
            sha256 = self._hash_content(path, header.size)
            return TarMember(
                path=path, kind=kind, offset=self.offset, mode=header.mode, size=header.size, sha256=sha256
            )
        if kind == "directory":
            return TarMember(path=path, kind=kind, offset=self.offset, mode=header.mode)
        link = self._link(header, path)
        if kind == "hardlink":
            return self._hard_link(path, link)
        if not link or find_control(link):
            raise self.refused("conda-layout", f"a symbolic link to {shown(link) or 'nothing'}", path)
        if len(link.encode()) > self.limits.name:
            raise self.refused("limit-name", "the link's target is too long", path)
        return TarMember(path=path, kind=kind, offset=self.offset, mode=header.mode, link=link)

    def _kind(self, header: Header, name: str) -> TarKind:
        kind = _KINDS.get(header.kind)
        if kind is not None:
            return kind
        if header.kind == b"S" and header.real_size > self.limits.member_size:
            raise too_large(self.archive, header.real_size, self.limits.member_size, member=name, offset=self.offset)
        # Packages have no devices and pipes, and readers differ in other types (CA07).
        problem = f"a member of type {shown(header.kind)}: only files, directories and links are allowed"
        raise self.refused("tar-type", problem, name)

    def _check_size(self, header: Header, kind: TarKind, name: str) -> None:
        # A reader that uses the other size would see other members (CVE-2025-62518).
        if self.pending.size not in {None, header.size}:
            problem = f"the pax header gives {self.pending.size} bytes, the tar header {header.size}"
            raise self.refused("tar-pax", problem, name)
        if header.size > self.limits.member_size:
            raise too_large(self.archive, header.size, self.limits.member_size, member=name, offset=self.offset)
        if kind != "file" and header.size:  # some readers skip the content, others treat it as the next header
            raise self.refused("tar-type", f"a {kind} with {header.size} bytes of content", name)

    def _name(self, header: Header) -> str:
        if self.pending.path is None:
            return self._decode(header.name)
        # A reader without extension headers would use the header's own name.
        if header.name.startswith(b"/") or b".." in header.name.split(b"/"):
            raise self.refused("path-escape", "the path leaves the tree", header.name)
        return self.pending.path

    def _link(self, header: Header, path: str) -> str:
        """A link's target; the header's own field must be the beginning of an extension header's value."""
        link = self.pending.link
        if link is None:
            return self._decode(header.link)
        cut = (link.encode(), link.encode("ascii", "replace"))
        if not header.link.startswith(b"././@Long") and not any(text.startswith(header.link) for text in cut):
            problem = f"the link is {shown(header.link)} for some readers, {shown(link)} for others"
            raise self.refused("tar-pax", problem, path)
        return link

    def _path(self, name: str, *, is_directory: bool = False) -> str:
        """Normalise a member's name: no leading `./`, no trailing slash; `""` is the root."""
        path = name
        while path.startswith("./"):
            path = path[2:]
        if is_directory:
            if not path and name:
                return ""
            path = path.removesuffix("/")
        elif path.endswith("/"):
            raise self.refused("tar-type", "a file with a directory's name", name)
        check_path(path, self.archive, "conda-layout", self._limits_of(path), self.offset)
        return path

    def _limits_of(self, path: str) -> Limits:
        """The limits of a name; wider below `info/` for a limited number of members."""
        limits = self.limits
        is_long = len(path) > limits.name or path.count("/") >= limits.depth
        if not is_long or not is_info(path) or self.long_infos >= limits.long_infos:
            return limits
        self.long_infos += 1
        return replace(limits, name=limits.info_name, depth=limits.info_depth)

    def _hash_content(self, path: str, size: int) -> str:
        """Return the sha256 of a file's content, keeping the content if wanted."""
        bound = self.wanted.get(path)
        sha256 = hashlib.sha256()
        if bound is None:
            kept = self.keep(path, size) if self.keep is not None else None
            for view in self.unpacked.views(size):
                sha256.update(view)
                if kept is not None:
                    kept(view)
        elif size > bound:
            raise too_large(self.archive, size, bound, member=path, offset=self.offset)
        else:
            data = self.contents.documents[path] = self.unpacked.take(size)
            sha256.update(data)
        self.unpacked.take(-size % BLOCK)
        return sha256.hexdigest()

    def _hard_link(self, path: str, link: str) -> TarMember:
        """A hard link must name an earlier file (CA06)."""
        target = self._path(link)
        known = self.contents.members.get(target)
        if known is None or known.kind not in {"file", "hardlink"}:
            raise self.refused("tar-type", f"a hard link to {shown(link)}, which is not an earlier file", path)
        return replace(known, path=path, kind="hardlink", offset=self.offset, link=target)


def is_info(path: str) -> bool:
    """Whether a path is metadata, which is not installed."""
    return path == "info" or path.startswith("info/")


def check_members(members: Mapping[str, TarMember], archive: str) -> None:
    """Refuse members that cannot exist together, or that are below a symbolic link, in any order (CA03).

    Raises `UnsafeInputError` (`path-symlink`, `path-collision`).
    """
    links = {path for path, member in members.items() if member.kind == "symlink"}
    for link in sorted(links & parent_directories(members)):
        path = next(path for path in members if path.startswith(f"{link}/"))
        problem = f"it is below {shown(link)}, which is a symbolic link"
        raise refused("path-symlink", archive, problem, member=path, offset=members[path].offset)
    directories = [path for path, member in members.items() if member.kind == "directory"]
    check_tree([path for path, member in members.items() if member.kind != "directory"], directories, archive)
