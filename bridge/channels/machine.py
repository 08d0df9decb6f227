"""The subdir and the virtual packages of this machine, without rattler where these are plain or known."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from bridge.cache.blobs import BlobStore

__all__ = ["current_subdir", "virtual_packages"]

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_DRIVER = Path("/sys/module/nvidia/version")
_LOADER = Path("/etc/ld.so.cache")
_OF_ENVIRONMENT = ("CONDA_OVERRIDE_", "LD_LIBRARY_PATH", "PATH")

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


def virtual_packages(cache: Path) -> tuple[tuple[str, str, str], ...]:
    """Virtual packages of this machine as `(name, version, build)`; honours the `CONDA_OVERRIDE_*` variables.

    They are kept in the cache until the machine starts again, or what they depend on changes: rattler searches for a
    driver of graphics cards by loading libraries and starting programs (7 ms).
    """
    blobs, key = BlobStore(cache / "machine", root=cache), _key()
    known = blobs.read(key, lambda value: tuple((str(a), str(b), str(c)) for a, b, c in value)) if key else None
    if known is None:
        from bridge.channels._rattler import detect_virtual_packages  # noqa: PLC0415 - 20 ms

        known = detect_virtual_packages()
        if key:
            blobs.set(key, json.dumps(known).encode())
    return known


def _key() -> str:
    """What the virtual packages depend on; empty where that is not known."""
    try:
        boot, loader = _BOOT.read_text("ascii"), _LOADER.stat()
        rattler = os.stat(getattr(find_spec("rattler"), "origin", ""))
        cards = [name for name in sorted(os.listdir("/dev")) if name.startswith(("nvidia", "dxg"))]
        libc = os.confstr("CS_GNU_LIBC_VERSION")
    except (OSError, ValueError):
        return ""
    driver = _DRIVER.read_text("ascii", "replace") if _DRIVER.is_file() else ""
    variables = sorted(each for each in os.environ.items() if each[0].startswith(_OF_ENVIRONMENT))
    facts = (boot, driver, cards, libc, os.uname(), loader.st_mtime_ns, rattler.st_mtime_ns, rattler.st_size, variables)
    return repr(facts)
