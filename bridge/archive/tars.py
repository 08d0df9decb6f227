"""A tar, judged while it streams by: each member's header, name and kind, and the sha256 of its content.

Only what conda packages hold is let through: files, directories, symbolic links and hard links, with ustar names, GNU
long names or pax paths. Where two tar readers could see different members, the archive is refused (CVE-2025-62518).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from bridge.archive.bounded_stream import BoundedStream
from bridge.archive.limits import Limits
from bridge.archive.paths import Caution, check_path, check_tree, find_control, parent_folders
from bridge.archive.refusal import refused, shown
from bridge.archive.tar_header import BLOCK, Header, parse_header, parse_pax
from converters.errors import UnsafeInputError

__all__ = ["TarContents", "TarKind", "TarMember", "check_members", "is_info", "scan_tar"]

TarKind = Literal["file", "symlink", "hardlink", "directory"]

_KINDS: Mapping[bytes, TarKind] = {
    b"0": "file",
    b"\0": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"5": "directory",
}
_LONGEST_PAX = 1 << 20  # bytes
_LONGEST_NUMBER = 20  # digits


@dataclass(frozen=True, slots=True, kw_only=True)
class TarMember:
    """One member. `path` is in normal form; `link` is a symlink's target as written, or a hard link's member.

    A hard link has the `sha256`, `size` and mode of the file it names. `offset` is in the unpacked tar, in bytes.
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
    """The members by path, in the order of the archive, and the bytes of those that were asked for.

    :param remarks: what was tolerated in the container (`bridge.archive.conda_layout`).
    """

    members: dict[str, TarMember] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    remarks: list[Caution] = field(default_factory=list)


@dataclass(slots=True)
class _Pending:
    """What extension headers have said of the member that follows them."""

    path: str | None = None
    link: str | None = None
    size: int | None = None
    has_pax: bool = False
    is_open: bool = False  # whether there was any extension header
    has_global: bool = False


def scan_tar(
    blocks: Iterator[bytes], packed_size: int, archive: str, limits: Limits, wanted: Mapping[str, int]
) -> TarContents:
    """Judge and hash every member of an unpacked tar.

    :param blocks: the unpacked bytes; one block is held at a time.
    :param packed_size: bytes it was packed in, for the ratio.
    :param wanted: path → limit in bytes, of the files whose content is to be kept.

    Raises `UnsafeInputError`: `tar-type`, `tar-pax`, `conda-layout`, `path-escape`, `path-symlink`, `path-collision`,
    `limit-*`.
    """
    scan = _Scan(BoundedStream(blocks, packed_size, archive, limits), wanted)
    entries = 0
    while scan.read_header():
        entries += 1
        if len(scan.contents.members) > limits.entries or entries > 3 * limits.entries:
            raise refused("limit-entries", archive, f"more than {limits.entries} members", offset=scan.offset)
    scan.check_end()
    check_members(scan.contents.members, archive)
    return scan.contents


class _Scan:
    """The state of one scan: where the current header begins, and what extension headers announced."""

    __slots__ = ("archive", "contents", "limits", "long_infos", "offset", "pending", "unpacked", "wanted")

    def __init__(self, unpacked: BoundedStream, wanted: Mapping[str, int]) -> None:
        self.unpacked = unpacked
        self.archive = unpacked.archive
        self.limits = unpacked.limits
        self.wanted = wanted
        self.contents = TarContents()
        self.pending = _Pending()
        self.offset = 0
        self.long_infos = 0  # members below info/ whose names only `_info_limits` allow

    def refused(self, error_id: str, problem: str, member: str | bytes | None = None) -> UnsafeInputError:
        return refused(error_id, self.archive, problem, member=member, offset=self.offset)

    def read_header(self) -> bool:
        """Read one header, and what belongs to it; whether there was one."""
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
        """Two blocks of zeros end a tar; after them only zeros may pad it."""
        if self.pending.is_open or self.pending.has_global:  # a global one too: tarfile takes it for a broken archive
            raise self.refused("tar-pax", "an extension header without its member")
        # Some readers stop at the first block of zeros, some at the second, some read on after both.
        if any(self.unpacked.take(BLOCK)):
            raise self.refused("conda-layout", "the tar goes on after a block of zeros")
        for piece in self.unpacked.rest():
            if piece.count(0) != len(piece):
                raise self.refused("conda-layout", "bytes after the end of the tar")

    def _padded(self, size: int) -> bytes:
        data = self.unpacked.take(size)
        self.unpacked.take(-size % BLOCK)
        return data

    def _read_long_name(self, header: Header) -> None:
        """GNU's way: a member whose content is the name, or the link, of the next one."""
        if header.size > self.limits.info_name + 1:
            problem = f"a name of {header.size} bytes; at most {self.limits.info_name} are allowed"
            raise self.refused("limit-name", problem)
        raw = self._padded(header.size)
        name = self._decode(raw.removesuffix(b"\0"))
        if header.kind == b"L":
            self.pending.path = self._once(self.pending.path, name)
        else:
            self.pending.link = self._once(self.pending.link, name)
        self.pending.is_open = True

    def _read_pax(self, header: Header) -> None:
        if header.size > _LONGEST_PAX:
            raise self.refused("limit-size", f"a pax header of {header.size} bytes; at most {_LONGEST_PAX} are allowed")
        is_global = header.kind == b"g"
        data = self._padded(header.size)
        records = parse_pax(data, self.archive, self.offset, is_global=is_global, largest=self.limits.member_size)
        # Which of two counts, and for which member, differs from reader to reader (CA10).
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
                raise self.refused("tar-pax", f"a size that is no number: {shown(size)}")
            self.pending.size = int(size)

    def _once(self, known: str | None, value: str) -> str:
        if known not in {None, value}:
            raise self.refused("tar-pax", "two long names for one member", value)
        return value

    def _decode(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:  # paths.json cannot list it, and conda-meta could not record it.
            raise self.refused("conda-layout", "the name is not UTF-8", raw) from error

    def _read_member(self, header: Header) -> TarMember | None:
        """Judge one member and hash its content; `None` for the root directory, and a directory that came before."""
        name = self._name(header)
        kind = self._kind(header, name)
        path = self._path(name, is_directory=kind == "directory")
        self._check_size(header, kind, name)
        known = self.contents.members.get(path)
        # Unpackers keep the last one, scanners look at the first; and a link may take the place of a folder (CA03).
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
        if not link or find_control(link):  # No system makes the one, and no terminal shows the other as it is.
            raise self.refused("conda-layout", f"a symbolic link to {shown(link) or 'nothing'}", path)
        if len(link.encode()) > self.limits.name:
            raise self.refused("limit-name", "the link's target is too long", path)
        return TarMember(path=path, kind=kind, offset=self.offset, mode=header.mode, link=link)

    def _kind(self, header: Header, name: str) -> TarKind:
        kind = _KINDS.get(header.kind)
        if kind is not None:
            return kind
        if header.kind == b"S" and header.real_size > self.limits.member_size:
            problem = f"a sparse file of {header.real_size} bytes; at most {self.limits.member_size} are allowed"
            raise self.refused("limit-size", problem, name)
        # Devices and pipes are no part of a package, and what other letters mean differs between readers (CA07).
        problem = f"a member of type {shown(header.kind)}: only files, directories and links are allowed"
        raise self.refused("tar-type", problem, name)

    def _check_size(self, header: Header, kind: TarKind, name: str) -> None:
        # CVE-2025-62518: a reader that takes the other size goes on at another place, and sees other members.
        if self.pending.size not in {None, header.size}:
            problem = f"the pax header says {self.pending.size} bytes, the tar header {header.size}"
            raise self.refused("tar-pax", problem, name)
        if header.size > self.limits.member_size:
            raise self.refused(
                "limit-size", f"{header.size} bytes; at most {self.limits.member_size} are allowed", name
            )
        if kind != "file" and header.size:  # Some readers skip the content, others take it for the next header.
            raise self.refused("tar-type", f"a {kind} with {header.size} bytes of content", name)

    def _name(self, header: Header) -> str:
        if self.pending.path is None:
            return self._decode(header.name)
        # A reader that knows no extension headers would take the name of the header itself.
        if header.name.startswith(b"/") or b".." in header.name.split(b"/"):
            raise self.refused("path-escape", "the path leaves the tree", header.name)
        return self.pending.path

    def _link(self, header: Header, path: str) -> str:
        """A link's target. A long one from an extension header must go on where the header's own field is cut off."""
        link = self.pending.link
        if link is None:
            return self._decode(header.link)
        cut = (link.encode(), link.encode("ascii", "replace"))
        if not header.link.startswith(b"././@Long") and not any(text.startswith(header.link) for text in cut):
            problem = f"the link goes to {shown(header.link)} for some readers, to {shown(link)} for others"
            raise self.refused("tar-pax", problem, path)
        return link

    def _path(self, name: str, *, is_directory: bool = False) -> str:
        """A member's name in normal form: without `./` before it, nor a directory's slash after it; `""`: the root."""
        path = name
        while path.startswith("./"):
            path = path[2:]
        if is_directory:
            if not path and name:
                return ""
            path = path.removesuffix("/")
        elif path.endswith("/"):
            raise self.refused("tar-type", "a file whose name is a directory's", name)
        check_path(path, self.archive, "conda-layout", self._limits_of(path), self.offset)
        return path

    def _limits_of(self, path: str) -> Limits:
        """The bounds on a name: wider ones below `info/`, for a bounded number of members."""
        limits = self.limits
        is_long = len(path) > limits.name or path.count("/") >= limits.depth
        if not is_long or not is_info(path) or self.long_infos >= limits.long_infos:
            return limits
        self.long_infos += 1
        return replace(limits, name=limits.info_name, depth=limits.info_depth)

    def _hash_content(self, path: str, size: int) -> str:
        """Hash a file's content, keeping it where it is wanted; return the sha256 in hex."""
        bound = self.wanted.get(path)
        sha256 = hashlib.sha256()
        if bound is None:
            for view in self.unpacked.views(size):
                sha256.update(view)
        elif size > bound:
            raise self.refused("limit-size", f"{size} bytes; at most {bound} are allowed", path)
        else:
            data = self.contents.documents[path] = self.unpacked.take(size)
            sha256.update(data)
        self.unpacked.take(-size % BLOCK)
        return sha256.hexdigest()

    def _hard_link(self, path: str, link: str) -> TarMember:
        """A hard link names a file that came before it, and nothing else (CA06)."""
        target = self._path(link)
        known = self.contents.members.get(target)
        if known is None or known.kind not in {"file", "hardlink"}:
            raise self.refused("tar-type", f"a hard link to {shown(link)}, which is no file that came before", path)
        return TarMember(
            path=path,
            kind="hardlink",
            offset=self.offset,
            mode=known.mode,
            size=known.size,
            sha256=known.sha256,
            link=target,
        )


def is_info(path: str) -> bool:
    """Whether a path is package metadata, which is not installed."""
    return path == "info" or path.startswith("info/")


def check_members(members: Mapping[str, TarMember], archive: str) -> None:
    """Refuse members that cannot lie on one disk together, or that lie below a symbolic link, in any order (CA03).

    Raises `UnsafeInputError` (`path-symlink`, `path-collision`).
    """
    links = {path for path, member in members.items() if member.kind == "symlink"}
    for link in sorted(links & parent_folders(members)):
        path = next(path for path in members if path.startswith(f"{link}/"))
        problem = f"it lies below {shown(link)}, which is a symbolic link"
        raise refused("path-symlink", archive, problem, member=path, offset=members[path].offset)
    directories = [path for path, member in members.items() if member.kind == "directory"]
    check_tree([path for path, member in members.items() if member.kind != "directory"], directories, archive)
