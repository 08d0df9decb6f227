"""The container of a `.conda`: an uncompressed zip of metadata.json and two zstd-compressed tars (CEP 35)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from bridge.archive.documents import parse_object
from bridge.archive.limits import Limits
from bridge.archive.refusal import refused, shown
from bridge.archive.tars import TarContents, scan_tar
from bridge.archive.zip_contents import read_member
from bridge.archive.zip_member import STORED, ZipMember
from bridge.archive.zips import read_directory
from bridge.archive.zstd import check_frames, zstd_content
from converters.errors import UnsafeInputError

__all__ = ["is_info", "read_conda"]

_METADATA = "metadata.json"
_FORMAT_VERSION = 2


def is_info(path: str) -> bool:
    """Whether a path is package metadata, which is not installed."""
    return path == "info" or path.startswith("info/")


def read_conda(stream: BinaryIO, archive: str, stem: str, limits: Limits, wanted: Mapping[str, int]) -> TarContents:
    """Judge the zip and scan both tars; `wanted` as in `scan_tar`, `stem` is `name-version-build`.

    Raises `UnsafeInputError`: `conda-layout` (other members, a compressed one, metadata.json of another version, what
    belongs into the other tar), what `read_directory`, `check_frames` and `scan_tar` raise, and `IntegrityError`
    (`zip-crc`).
    """
    members = {member.name: member for member in read_directory(stream, archive, limits)}
    info, package = f"info-{stem}.tar.zst", f"pkg-{stem}.tar.zst"
    if members.keys() != {_METADATA, info, package}:
        found = ", ".join(shown(name) for name in list(members)[:6])
        problem = f"a conda package holds {_METADATA}, {info} and {package}; this one holds {found or 'nothing'}"
        raise refused("conda-layout", archive, problem)
    for member in members.values():
        if member.method != STORED:
            raise refused("conda-layout", archive, "compressed by the zip itself", member=member.name)
    _check_metadata(stream, members[_METADATA], archive, limits)
    contents = _scan_part(stream, members[info], archive, limits, wanted)
    for path, tar_member in contents.members.items():
        if not is_info(path):
            problem = "the info tar holds a path outside info/"
            raise refused("conda-layout", archive, problem, member=path, offset=tar_member.offset)
    payload = _scan_part(stream, members[package], archive, limits, {})
    for path, tar_member in payload.members.items():
        if is_info(path):
            problem = "the package tar holds a path of info/"
            raise refused("conda-layout", archive, problem, member=path, offset=tar_member.offset)
    contents.members.update(payload.members)
    return contents


def _check_metadata(stream: BinaryIO, member: ZipMember, archive: str, limits: Limits) -> None:
    if member.size > limits.document:
        problem = f"{member.size} bytes; at most {limits.document} are allowed"
        raise refused("limit-size", archive, problem, member=member.name, offset=member.offset)
    document = parse_object(b"".join(read_member(stream, member, archive)), archive, member.name, limits)
    version = document.get("conda_pkg_format_version")
    if version != _FORMAT_VERSION or isinstance(version, (bool, float)):
        problem = f"conda_pkg_format_version is {shown(str(version))}, not {_FORMAT_VERSION}"
        raise refused("conda-layout", archive, problem, member=member.name)


def _scan_part(
    stream: BinaryIO, member: ZipMember, archive: str, limits: Limits, wanted: Mapping[str, int]
) -> TarContents:
    """Scan one of the tars. Where that fails on bytes that the zip's CRC disowns, the damage is what is reported."""
    try:
        frames = check_frames(
            stream, member.data_offset, member.size, archive=archive, member=member.name, limits=limits
        )
        if len(frames) != 1:  # rattler and async unpackers read the first frame only
            problem = f"{len(frames)} zstd frames, where unpackers expect one"
            raise refused("conda-layout", archive, problem, member=member.name, offset=frames[1].offset)
        packed = read_member(stream, member, archive)
        blocks = zstd_content(packed, archive, member.name, limits)
        contents = scan_tar(blocks, member.size, archive, limits, wanted)
        for _ in packed:
            pass
    except UnsafeInputError:
        for _ in read_member(stream, member, archive):
            pass
        raise
    return contents
