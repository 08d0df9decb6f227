"""Read an sdist without building it: unpack it safely, and read its metadata (PEP 643)."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from pkginfo import Distribution

from bridge import fs
from bridge.archive.sdists import SdistMember, check_sdist, read_members
from bridge.faults import faults
from converters.metadata import parse_metadata

__all__ = ["is_static", "read_pkg_info", "unpack"]

_DECIDING = frozenset({"version", "requires-dist", "requires-python", "provides-extra"})
_METADATA_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})\Z", re.ASCII)
_FIRST_STATIC = (2, 2)


def read_pkg_info(path: Path, filename: str) -> bytes | None:
    """PKG-INFO of an sdist, which is validated first; `None` if it has none. Raises as `check_sdist`."""
    with faults(path):
        return check_sdist(path, filename=filename).metadata


def is_static(pkg_info: bytes, source: str, *, is_vouched: bool = False) -> bool:
    """Whether PKG-INFO has the values of every wheel built from its sdist that a solver needs (PEP 643).

    True from Metadata-Version 2.2 on, unless Version, Requires-Dist, Requires-Python or Provides-Extra is Dynamic.
    Older metadata is believed if an index publishes it with a hash (`is_vouched`, PEP 658); the built wheel is checked
    against it before installation. Raises `UnsafeInputError` (`metadata-invalid`, `limit-size`) that names `source`.
    """
    parse_metadata(pkg_info, source)
    distribution = Distribution()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions that pkginfo does not know
        distribution.parse(pkg_info)
    version = _METADATA_VERSION.match(distribution.metadata_version or "")
    if version is None or (int(version[1]), int(version[2])) < _FIRST_STATIC:
        return is_vouched
    return _DECIDING.isdisjoint(field.lower() for field in distribution.dynamic)


def unpack(path: Path, target: Path) -> Path:
    """Validate and unpack the sdist at `path` into the new directory `target`; return its top directory.

    Of the modes only "executable" survives. Raises as `check_sdist`, and `FaultError`.
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
            elif member.kind == "hardlink":  # copied, so that a build cannot change both
                with open(target / (member.link or ""), "rb") as stream:
                    fs.write_file(tree, member.path, stream, mode=_mode(member))
        for member in manifest.members:
            if member.kind == "symlink":
                fs.write_symlink(tree, member.path, member.link or "")
    return target / manifest.root


def _mode(member: SdistMember) -> int:
    return 0o755 if member.is_executable else 0o644
