"""The container of a `.conda`: an uncompressed zip of metadata.json and two zstd-compressed tars (CEP 35)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

from bridge.archive.documents import parse_object
from bridge.archive.limits import Limits
from bridge.archive.paths import Caution
from bridge.archive.refusal import refused, shown, too_large
from bridge.archive.tars import Keep, TarContents, TarMember, check_members, is_info, scan_tar
from bridge.archive.zip_contents import read_member
from bridge.archive.zip_member import STORED, ZipMember
from bridge.archive.zips import read_directory
from bridge.archive.zstd import check_frames, zstd_content
from converters.errors import UnsafeInputError

__all__ = ["read_conda"]

_METADATA = "metadata.json"
_FORMAT_VERSION = 2
_RUN_EXPORTS = ("info/run_exports.json", "info/run_exports.yaml")  # conda-build reads them out of the info tar


def read_conda(
    stream: BinaryIO,
    archive: str,
    stem: str,
    limits: Limits,
    wanted: Mapping[str, int],
    keep: Keep | None = None,
) -> TarContents:
    """Validate the zip and scan both tars; `stem` is `name-version-build`.

    :param wanted: of the metadata, and `keep`, of the package, are as in `scan_tar`.

    Raises `UnsafeInputError` (`conda-layout`, else as `read_directory`, `check_frames` and `scan_tar`) and
    `IntegrityError` (`zip-crc`).
    """
    members = {member.name: member for member in read_directory(stream, archive, limits)}
    info, package = f"info-{stem}.tar.zst", f"pkg-{stem}.tar.zst"
    # rattler unpacks every *.tar.zst, conda those named like the file, so other members give different trees. CEP 35
    # requires these three, and no known builder wrote others (CA16).
    if members.keys() != {_METADATA, info, package}:
        names = ", ".join(shown(name) for name in list(members)[:6])
        problem = f"a conda package has {_METADATA}, {info} and {package}; this one has {names or 'no members'}"
        raise refused("conda-layout", archive, problem)
    for member in members.values():
        if member.method != STORED:  # CEP 35; clients read the info tar by Range requests
            raise refused("conda-layout", archive, "compressed by the zip itself", member=member.name)
    has_version = _check_metadata(stream, members[_METADATA], archive, limits)
    contents = _scan_part(stream, members[info], archive, limits, wanted)
    for path, tar_member in contents.members.items():
        if not is_info(path):  # a tool that reads only the package tar would miss it (CA17)
            problem = "the info tar has a path outside info/"
            raise refused("conda-layout", archive, problem, member=path, offset=tar_member.offset)
    payload = _scan_part(stream, members[package], archive, limits, {}, keep)
    _merge(contents, payload.members, archive, wanted)
    contents.cautions += _zip_cautions(members.values())
    if not has_version:
        detail = "it is empty, as conda-package-handling 1.7 wrote it; treated as version 2 of the format"
        contents.cautions.append(Caution(id="empty-metadata", path=_METADATA, detail=detail))
    return contents


def _merge(contents: TarContents, payload: Mapping[str, TarMember], archive: str, wanted: Mapping[str, int]) -> None:
    """Add the package tar's members to the info tar's, as unpackers put both into one directory.

    Until mid 2026 conda-build put `info/licenses/` and others into the package tar, and every client installs such
    packages. Documents that clients read must be in the info tar (CA17), and no path may be in both tars.

    Raises `UnsafeInputError`: `conda-layout`, `path-collision`, `path-symlink`.
    """
    read = {path.lower() for path in (*wanted, *_RUN_EXPORTS)}
    strays: list[str] = []
    has_info = False
    for path, member in payload.items():
        if not is_info(path):
            continue
        has_info = True
        if path.lower() in read or (path == "info" and member.kind != "directory"):
            problem = "the package tar has metadata that belongs into the info tar; clients may read either"
            raise refused("conda-layout", archive, problem, member=path, offset=member.offset)
        if path in contents.members and not (member.kind == contents.members[path].kind == "directory"):
            raise refused("path-collision", archive, "it is in both tars", member=path, offset=member.offset)
        if member.kind != "directory":
            strays.append(path)
    contents.members.update(payload)
    if has_info:
        check_members(contents.members, archive)
    if strays:
        detail = f"metadata in the package tar, {len(strays)} in all, as conda-build wrote it until 2026"
        contents.cautions.append(Caution(id="info-in-package-tar", path=strays[0], detail=detail))


def _zip_cautions(members: Iterable[ZipMember]) -> Iterator[Caution]:
    for member in members:
        if member.has_idle_zip64:
            detail = "an unused zip64 field of zeros, as rattler-build 0.21 to 0.28 wrote it"
            yield Caution(id="idle-zip64-field", path=member.name, detail=detail)
            return


def _check_metadata(stream: BinaryIO, member: ZipMember, archive: str, limits: Limits) -> bool:
    """Refuse another version of the format; return whether a version is given.

    Until February 2022 conda-package-handling wrote an empty file (its issue 88), which can only mean version 2; conda,
    mamba and rattler install such packages.
    """
    if member.size > limits.document:
        raise too_large(archive, member.size, limits.document, member=member.name, offset=member.offset)
    if not member.size:
        return False
    document = parse_object(b"".join(read_member(stream, member, archive)), archive, member.name, limits)
    version = document.get("conda_pkg_format_version")
    if version != _FORMAT_VERSION or isinstance(version, (bool, float)):
        problem = f"conda_pkg_format_version is {shown(str(version))}, not {_FORMAT_VERSION}"
        raise refused("conda-layout", archive, problem, member=member.name)
    return True


def _scan_part(
    stream: BinaryIO,
    member: ZipMember,
    archive: str,
    limits: Limits,
    wanted: Mapping[str, int],
    keep: Keep | None = None,
) -> TarContents:
    """Scan one of the tars; on failure report a wrong CRC of the zip first."""
    try:
        frames = check_frames(
            stream, member.data_offset, member.size, archive=archive, member=member.name, limits=limits
        )
        if len(frames) != 1:  # decoders differ in whether they read on after the first frame (CA14)
            problem = f"{len(frames)} zstd frames instead of one"
            raise refused("conda-layout", archive, problem, member=member.name, offset=frames[1].offset)
        packed = read_member(stream, member, archive)
        blocks = zstd_content(packed, archive, member.name, limits)
        contents = scan_tar(blocks, member.size, archive, limits, wanted, keep)
        for _ in packed:
            pass
    except UnsafeInputError:
        for _ in read_member(stream, member, archive):
            pass
        raise
    return contents
