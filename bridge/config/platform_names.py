"""The platforms that tags of wheels and names of other tools mean."""

from __future__ import annotations

from converters.target import SUBDIRS

__all__ = ["platform_meant"]

_SYSTEMS = (("macos", "osx"), ("osx", "osx"), ("darwin", "osx"), ("win", "win"), ("many", "linux"), ("musl", "linux"),
            ("linux", "linux"))  # fmt: skip
_MACHINES = (("arm64", "arm64"), ("aarch64", "aarch64"), ("armv7l", "armv7l"), ("ppc64le", "ppc64le"),
             ("s390x", "s390x"), ("riscv64", "riscv64"), ("win32", "32"), ("i686", "32"))  # fmt: skip


def platform_meant(text: str) -> str | None:
    """The question after the platform that a wheel's tag, or another tool's name for it, means."""
    words = text.lower().replace("-", "_")
    system = next((name for start, name in _SYSTEMS if words.startswith(start)), "")
    machine = next((name for end, name in _MACHINES if words.endswith(end)), "64")
    machine = {("osx", "aarch64"): "arm64", ("win", "aarch64"): "arm64", ("linux", "arm64"): "aarch64"}.get(
        (system, machine), machine
    )
    meant = f"{system}-{machine}"
    return f"did you mean {meant}?" if meant in SUBDIRS else None
