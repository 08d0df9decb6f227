"""A source distribution on the disk: unpacked safely, and what it says of itself without being built (PEP 643).

Most who import this ask for a file's name only; what opens archives is imported where one is open_output.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import parse_sdist_filename
from packaging.version import Version

from bridge.errors import UnsafeInputError
from bridge.faults import faults

if TYPE_CHECKING:
    from bridge.archive.sdists import SdistMember
    from converters.wheel import CoreMetadata

__all__ = ["check_sdist_name", "is_static", "parse_sdist_name", "read_pkg_info", "unpack"]

_DECIDING = frozenset({"version", "requires-dist", "requires-python", "provides-extra"})
_METADATA_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\Z", re.ASCII)
_FIRST_STATIC = (2, 2)
# packaging strips white space, and takes a path, or letters beyond ASCII, for part of a name.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._!+-]*\Z", re.ASCII)
_LONGEST_NAME = 255  # characters; what file systems take


def parse_sdist_name(filename: str) -> tuple[str, Version]:
    """(normalised project, version) of an sdist's file name. Raises `UnsafeInputError` (`sdist-name`)."""
    try:
        if len(filename) > _LONGEST_NAME or not _FILE_NAME.match(filename):
            raise ValueError("it has characters that names and versions do not have, or is too long")
        return parse_sdist_filename(filename)
    except ValueError as error:  # InvalidSdistFilename and InvalidVersion are
        raise UnsafeInputError(
            "sdist-name",
            f"not the file name of a source distribution: {filename[:_LONGEST_NAME]!r}",
            context=(str(error)[:_LONGEST_NAME],),
            hint="it is to be NAME-VERSION.tar.gz (PEP 625), or the older NAME-VERSION.zip",
        ) from error


def check_sdist_name(metadata: CoreMetadata, filename: str) -> None:
    """Raise `UnsafeInputError` (`sdist-name`) where PKG-INFO, or what was built, contradicts the file name."""
    project, version = parse_sdist_name(filename)
    if metadata.name != project or Version(metadata.version) != version:
        raise UnsafeInputError(
            "sdist-name",
            f"{filename}: its metadata says {metadata.name} {metadata.version}",
            context=(f"the file name says {project} {version}",),
        )


def read_pkg_info(path: Path, filename: str) -> bytes | None:
    """PKG-INFO out of an sdist, which is judged whole first; `None` where it has none. Raises as `check_sdist`."""
    from bridge.archive.sdists import check_sdist

    with faults(path):
        return check_sdist(path, filename=filename).metadata


def is_static(pkg_info: bytes, source: str, *, is_vouched: bool = False) -> bool:
    """Whether a PKG-INFO says what every wheel built from its sdist will say, as far as a solver asks (PEP 643).

    So it is from Metadata-Version 2.2 on, unless one of Version, Requires-Dist, Requires-Python and Provides-Extra is
    Dynamic. What is older cannot say so: it is believed where an index vouches for it (`is_vouched`: it publishes it as
    the metadata of the file, with a hash, PEP 658). What is built is held against it before anything is installed.
    Raises `UnsafeInputError` (`metadata-invalid`, `limit-size`); `source` names the file in it.
    """
    from pkginfo import Distribution

    from converters.wheel import parse_metadata

    parse_metadata(pkg_info, source)
    stated = Distribution()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what pkginfo does not know of a version is judged below
        stated.parse(pkg_info)
    found = _METADATA_VERSION.match(stated.metadata_version or "")
    if found is None or (int(found[1]), int(found[2])) < _FIRST_STATIC:
        return is_vouched
    return _DECIDING.isdisjoint(field.lower() for field in stated.dynamic)


def unpack(path: Path, target: Path) -> Path:
    """Unpack the sdist at `path` into the new folder `target`, and return the folder that was at its top.

    It is judged whole first. Of the modes only "executable" survives. Raises as `check_sdist`, and `FaultError`.
    """
    from bridge import fs
    from bridge.archive.sdists import check_sdist, read_members

    with faults(path):
        manifest = check_sdist(path)
    fs.make_directories(target)
    with fs.WritableTree(target) as tree, faults(path):
        for member, content in read_members(path, manifest):
            fs.write_file(tree, member.path, content, mode=_mode(member))
        for member in manifest.members:
            if member.kind == "directory":
                fs.make_directory(tree, member.path)
            elif member.kind == "hardlink":  # as a copy, so that a build that changes one leaves the other
                with open(target / (member.link or ""), "rb") as stream:
                    fs.write_file(tree, member.path, stream, mode=_mode(member))
        for member in manifest.members:
            if member.kind == "symlink":
                fs.write_symlink(tree, member.path, member.link or "")
    return target / manifest.root


def _mode(member: SdistMember) -> int:
    return 0o755 if member.is_executable else 0o644
