"""Validate a wheel before anything of it is unpacked: zip, names, metadata, RECORD, entry points (PEP 427)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

from bridge.archive.entry_points import EntryPoint, commands, read_entry_points
from bridge.archive.limits import DEFAULT_LIMITS, Limits
from bridge.archive.paths import Caution, cautions
from bridge.archive.record import RecordRow, encode_digest, read_record
from bridge.archive.refusal import damaged, refused, shown, too_large
from bridge.archive.wheel_layout import WheelLayout, collision, find_layout, read_wheel_file
from bridge.archive.zip_contents import read_member
from bridge.archive.zip_member import ZipMember
from bridge.archive.zips import read_directory
from converters.deferred import NamedTuple, dataclass
from converters.metadata import CoreMetadata, parse_metadata
from converters.namespaces import is_namespace_declaration
from converters.native import HEAD, NativeFile, read_native
from converters.wheel import check_name, parse_wheel_name

__all__ = ["WheelManifest", "WheelMember", "check_wheel"]

_BUFFER = 1 << 16
_MADE_BY_INSTALLERS = ("INSTALLER", "REQUESTED", "direct_url.json")
_SIGNATURES = ("RECORD", "RECORD.jws", "RECORD.p7s")  # without a hash in RECORD (PEP 427)


class WheelMember(NamedTuple):
    """One file of a wheel, a tuple for speed. `sha256` is computed, in hex; `native` is set for native code.

    `is_namespace`: an `__init__.py` that only declares a namespace package.
    """

    path: str
    sha256: str
    size: int
    is_executable: bool
    native: NativeFile | None
    entry: ZipMember
    is_namespace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelManifest:
    """The content of a wheel, all hashed and compared with RECORD.

    :param members: the files in the order of the archive, without directories.
    :param dist_info: the dist-info directory's name; `data_dirs`: those of the data directories.
    :param tags: the Tag lines of WHEEL, as written.
    """

    filename: str
    members: tuple[WheelMember, ...]
    dist_info: str
    data_dirs: tuple[str, ...]
    metadata: CoreMetadata
    entry_points: tuple[EntryPoint, ...]
    wheel_version: str
    root_is_purelib: bool
    tags: tuple[str, ...]
    cautions: tuple[Caution, ...] = ()


def check_wheel(
    path: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    filename: str | None = None,
    keep: Callable[[int], Callable[[bytes], object]] | None = None,
) -> WheelManifest:
    """Validate the wheel at `path`; read it once, and write nothing.

    :param filename: the wheel's own file name, if `path` has another one.
    :param keep: called with each file's size, in archive order; what it returns receives the content in blocks. Trust
        that only after this returns.

    Raises `UnsafeInputError` (exit 3: `zip-*`, `path-*`, `limit-*`, `wheel-*`, `record-invalid`, `record-algorithm`,
    `metadata-invalid`, `entry-point`, `reserved-path`), `IntegrityError` (exit 5: `zip-crc`, `record-hash`) and
    `OSError`.
    """
    name = filename or path.name
    named = parse_wheel_name(name)
    with path.open("rb", buffering=_BUFFER) as stream:
        members = read_directory(stream, name, limits)
        layout = find_layout(members, name, named)
        documents = _read_documents(stream, layout, name, limits)
        metadata = _parse_metadata(documents["METADATA"], layout, name)
        check_name(named, metadata, name)
        wheel = read_wheel_file(documents["WHEEL"], name, layout.member("WHEEL"))
        listed = layout.member("entry_points.txt")
        points = read_entry_points(documents.get("entry_points.txt", b""), name, listed)
        warned = cautions([*layout.files, *layout.directories]) + wheel.cautions + layout.cautions
        most = len(layout.files) + len(layout.directories)
        rows = read_record(documents["RECORD"], name, layout.member("RECORD"), _exempt(layout), most, layout.files)
        _check_rows(rows, layout, name)
        hashed = _hash_members(stream, layout, rows, documents, name, keep)
    return WheelManifest(
        filename=name,
        members=hashed,
        dist_info=layout.dist_info,
        data_dirs=layout.data_dirs,
        metadata=metadata,
        entry_points=tuple(point for point in commands(points) if point.is_importable),
        wheel_version=wheel.version,
        root_is_purelib=wheel.root_is_purelib,
        tags=wheel.tags,
        cautions=(
            *warned,
            *_cautions_on_metadata(metadata, layout),
            *_cautions_on_points(points, listed),
            *_record_cautions(rows, layout),
        ),
    )


def _parse_metadata(data: bytes, layout: WheelLayout, name: str) -> CoreMetadata:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        member = layout.member("METADATA")
        raise refused("metadata-invalid", name, "not UTF-8", member=member, offset=error.start) from error
    return parse_metadata(data, name)


def _read_documents(stream: BinaryIO, layout: WheelLayout, name: str, limits: Limits) -> Mapping[str, bytes]:
    """The dist-info files that bridge reads, each within its limit."""
    bounds = {
        "METADATA": ("metadata-invalid", limits.metadata),
        "WHEEL": ("metadata-invalid", limits.wheel),
        "RECORD": ("record-invalid", limits.record),
        "entry_points.txt": (None, limits.entry_points),
    }
    documents = {}
    for document, (missing, bound) in bounds.items():
        member = layout.files.get(layout.member(document))
        if member is None:
            if missing is None:
                continue
            raise refused(missing, name, "it is missing", member=layout.member(document))
        if member.size > bound:
            raise too_large(name, member.size, bound, member=member.name, offset=member.offset)
        documents[document] = b"".join(read_member(stream, member, name))
    return documents


def _exempt(layout: WheelLayout) -> frozenset[str]:
    return frozenset(layout.member(signature) for signature in _SIGNATURES)


def _check_rows(rows: Mapping[str, tuple[RecordRow, ...]], layout: WheelLayout, name: str) -> None:
    """Require a row with a hash for every file, and a file or directory for every row (W50, W51, W54, W55).

    A signature may be listed and missing, since nothing installs it, and so may what an installer makes: the wheel was
    packed from an installed tree.
    """
    exempt = _exempt(layout)
    made = frozenset(_rows_of_installers(rows, layout))
    for path, of_path in rows.items():
        if path in layout.files:
            if all(row.algorithm is None for row in of_path) and path not in exempt:
                problem = "RECORD has no hash of it, so nothing shows whether it was changed"
                raise refused("record-invalid", name, problem, member=path)
        elif path.removesuffix("/") not in layout.directories and path not in exempt and path not in made:
            if ".." in path.split("/") or path.startswith("/"):
                raise refused("path-escape", name, "RECORD lists a path outside the wheel", member=path)
            problem = (
                "RECORD lists it, but the wheel does not contain it: it is incomplete, or claims a file of another"
            )
            raise refused("record-invalid", name, problem, member=path)
    for path in layout.files:
        if path not in rows and path not in exempt:
            problem = "RECORD does not list it, so nothing shows whether it belongs to the wheel"
            raise refused("record-invalid", name, problem, member=path)


def _rows_of_installers(rows: Iterable[str], layout: WheelLayout) -> list[str]:
    """Return the paths that are listed and missing, but harmless: what installers make in dist-info, and bytecode."""
    made = {layout.member(document) for document in _MADE_BY_INSTALLERS}
    absent = (path for path in rows if path not in layout.files)
    return [path for path in absent if path in made or ("__pycache__/" in path and path.endswith(".pyc"))]


def _hash_members(
    stream: BinaryIO,
    layout: WheelLayout,
    rows: Mapping[str, tuple[RecordRow, ...]],
    documents: Mapping[str, bytes],
    name: str,
    keep: Callable[[int], Callable[[bytes], object]] | None,
) -> tuple[WheelMember, ...]:
    """Read every member once, in file order, and compare it with RECORD."""
    known = {layout.member(document): data for document, data in documents.items()}
    hashed: dict[str, tuple[str, NativeFile | None, bool]] = {}
    for member in sorted([*layout.files.values(), *layout.directory_entries], key=attrgetter("offset")):
        data = known.get(member.name)
        blocks = read_member(stream, member, name) if data is None else iter([data])
        if keep is not None and member.name not in layout.twins:
            blocks = _kept(blocks, keep(member.size))
        hashed[member.name] = _hash_member(member, blocks, rows.get(member.name, ()), name)
    for path, other in layout.twins.items():
        if hashed[path][0] != hashed[other][0]:
            raise collision(path, other, name)
    return tuple(
        WheelMember(
            path=path,
            sha256=hashed[path][0],
            size=member.size,
            is_executable=member.mode == 0o755,
            native=hashed[path][1],
            is_namespace=hashed[path][2],
            entry=member,
        )
        for path, member in layout.files.items()
        if path not in layout.twins
    )


def _kept(blocks: Iterator[bytes], keep: Callable[[bytes], object]) -> Iterator[bytes]:
    for block in blocks:
        keep(block)
        yield block


def _hash_member(
    member: ZipMember, blocks: Iterator[bytes], rows: tuple[RecordRow, ...], name: str
) -> tuple[str, NativeFile | None, bool]:
    """Compare a member with its rows in RECORD; return its sha256 in hex, its kind of native code, `is_namespace`."""
    hashes = {row.algorithm: hashlib.new(row.algorithm) for row in rows if row.algorithm not in (None, "sha256")}
    hashes["sha256"] = sha256 = hashlib.sha256()
    head = b""
    for block in blocks:
        head = head if len(head) >= HEAD else head + block[:HEAD]
        for computed in hashes.values():
            computed.update(block)
    for row in rows:
        if row.algorithm is None and row.size not in {None, member.size}:
            problem = f"RECORD gives {'no valid number of' if row.size < 0 else row.size} bytes; it has {member.size}"
            raise damaged("record-hash", name, problem, member=member.name, offset=member.offset)
        digest = hashes[row.algorithm or "sha256"].digest()
        if not row.accepts(digest):
            problem = f"RECORD gives {row.algorithm}={shown(row.digest)}; it is {row.algorithm}={encode_digest(digest)}"
            raise damaged("record-hash", name, problem, member=member.name, offset=member.offset)
    is_namespace = member.size == len(head) and is_namespace_declaration(member.name, head)
    return sha256.hexdigest(), read_native(member.name, head), is_namespace


def _cautions_on_metadata(metadata: CoreMetadata, layout: WheelLayout) -> Iterator[Caution]:
    for field in metadata.repeated:
        detail = f"{field} occurs several times; the first counts, as for pip"
        yield Caution(id="metadata-repeated", path=layout.member("METADATA"), detail=detail)


def _cautions_on_points(points: Sequence[EntryPoint], path: str) -> Iterator[Caution]:
    made = commands(points)
    used = {(point.name, point.module, point.attribute) for point in made}
    for point in points:
        if (point.name, point.module, point.attribute) not in used:
            detail = f"the command {point.name} is defined again: {point.module}:{point.attribute} is not used"
            yield Caution(id="entry-point", path=path, detail=detail)
    for point in made:
        if not point.is_importable:
            what = f"{point.module}:{point.attribute}"
            detail = f"the command {point.name} is left out: a part of {what} is no name, so nothing imports it"
            yield Caution(id="entry-point", path=path, detail=detail)
        elif point.ignored:
            detail = f"the command {point.name}: ignored, as by pip, what follows {point.module}:{point.attribute}"
            yield Caution(id="entry-point-text", path=path, detail=f"{detail}: {point.ignored}")


def _record_cautions(rows: Mapping[str, tuple[RecordRow, ...]], layout: WheelLayout) -> Iterator[Caution]:
    """Yield one caution for all rows with a hash in hex, and one for those with a wrong size beside a right hash."""
    record = layout.member("RECORD")
    in_hex = [path for path, of_path in rows.items() if any(row.is_hex for row in of_path)]
    if in_hex:
        detail = f"{len(in_hex)} hashes in hex, not in urlsafe base64" if in_hex[1:] else "a hash in hex, not in base64"
        yield Caution(id="record-encoding", path=record, detail=detail)
    sizes = {path: member.size for path, member in layout.files.items()}
    wrong = [path for path, size in sizes.items() if any(row.size not in {None, size} for row in rows.get(path, ()))]
    if wrong:
        more = f" and {len(wrong) - 1} more files" if wrong[1:] else ""
        yield Caution(id="record-size", path=record, detail=f"it has a wrong size of {wrong[0]}{more}")
    if absent := len(_rows_of_installers(rows, layout)):
        rows_of = "a row of a file" if absent == 1 else f"{absent} rows of files"
        detail = f"{rows_of} that an installer makes, and that the wheel does not contain"
        yield Caution(id="record-rows", path=record, detail=detail)
