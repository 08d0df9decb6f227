"""Archives judged before anything of them is unpacked: zip, tar, zstd; wheels and conda packages."""

from __future__ import annotations

from bridge.archive.conda import CondaManifest, CondaPath, check_conda
from bridge.archive.entry_points import EntryPoint
from bridge.archive.limits import DEFAULT_LIMITS, Limits
from bridge.archive.paths import Caution
from bridge.archive.wheels import WheelManifest, WheelMember, check_wheel
from bridge.archive.zip_contents import read_member
from bridge.archive.zip_member import ZipMember
from bridge.archive.zips import check_zip, read_directory

__all__ = [
    "DEFAULT_LIMITS",
    "Caution",
    "CondaManifest",
    "CondaPath",
    "EntryPoint",
    "Limits",
    "WheelManifest",
    "WheelMember",
    "ZipMember",
    "check_conda",
    "check_wheel",
    "check_zip",
    "read_directory",
    "read_member",
]
