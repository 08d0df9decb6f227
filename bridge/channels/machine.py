"""The subdir of this machine, without rattler where that is plain."""

from __future__ import annotations

import os
import sys

__all__ = ["current_subdir"]

# (`sys.platform`, `os.uname().machine`) of 64-bit interpreters → the subdir, as rattler's `Platform::current` has it.
_PLAIN = {
    ("linux", "x86_64"): "linux-64",
    ("linux", "aarch64"): "linux-aarch64",
    ("linux", "ppc64le"): "linux-ppc64le",
    ("linux", "s390x"): "linux-s390x",
    ("linux", "riscv64"): "linux-riscv64",
    ("darwin", "x86_64"): "osx-64",
    ("darwin", "arm64"): "osx-arm64",
}


def current_subdir() -> str:
    """The subdir of this machine (`linux-64`)."""
    if hasattr(os, "uname") and sys.maxsize > 1 << 32:
        plain = _PLAIN.get((sys.platform, os.uname().machine))
        if plain is not None:
            return plain
    from bridge.channels import _rattler  # noqa: PLC0415 - 20 ms

    return _rattler.current_subdir()
