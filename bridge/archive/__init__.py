"""Archives judged before anything of them is unpacked: zip, tar, zstd; wheels and conda packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.lazy import lazily

if TYPE_CHECKING:
    from bridge.archive.conda import CondaManifest, CondaPath, check_conda
    from bridge.archive.entry_points import EntryPoint
    from bridge.archive.limits import DEFAULT_LIMITS, Limits
    from bridge.archive.paths import Caution
    from bridge.archive.wheel_contents import WheelContents
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
    "WheelContents",
    "WheelManifest",
    "WheelMember",
    "ZipMember",
    "check_conda",
    "check_wheel",
    "check_zip",
    "read_directory",
    "read_member",
]

_PLACES = {
    ".conda": ("CondaManifest", "CondaPath", "check_conda"),
    ".entry_points": ("EntryPoint",),
    ".limits": ("DEFAULT_LIMITS", "Limits"),
    ".paths": ("Caution",),
    ".wheel_contents": ("WheelContents",),
    ".wheels": ("WheelManifest", "WheelMember", "check_wheel"),
    ".zip_contents": ("read_member",),
    ".zip_member": ("ZipMember",),
    ".zips": ("check_zip", "read_directory"),
}

__getattr__ = lazily(__name__, {name: place for place, names in _PLACES.items() for name in names})
