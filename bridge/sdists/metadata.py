"""Read an sdist without building it: unpack it safely, and read its metadata (PEP 643)."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from pkginfo import Distribution

from bridge import fs
from bridge.archive.sdists import SdistMember, check_sdist, read_members
from bridge.faults import faults
from converters.wheel import parse_metadata

__all__ = ["is_static", "read_pkg_info", "unpack"]

_DECIDING = frozenset({"version", "requires-dist", "requires-python", "provides-extra"})
_METADATA_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\Z", re.ASCII)
_FIRST_STATIC = (2, 2)


def read_pkg_info(path: Path, filename: str) -> bytes | None:
    """PKG-INFO out of an sdist, which is judged whole first; `None` where it has none. Raises as `check_sdist`."""
    with faults(path):
        return check_sdist(path, filename=filename).metadata


def is_static(pkg_info: bytes, source: str, *, is_vouched: bool = False) -> bool:
    """Whether a PKG-INFO says what every wheel built from its sdist will say, as far as a solver asks (PEP 643).

    So it is from Metadata-Version 2.2 on, unless one of Version, Requires-Dist, Requires-Python and Provides-Extra is
    Dynamic. What is older cannot say so: it is believed where an index vouches for it (`is_vouched`: it publishes it as
    the metadata of the file, with a hash, PEP 658). What is built is held against it before anything is installed.
    Raises `UnsafeInputError` (`metadata-invalid`, `limit-size`); `source` names the file in it.
    """
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
