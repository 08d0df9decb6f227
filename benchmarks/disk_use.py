"""How much of a disk ten equal environments take, by file system and link mode.

    python benchmarks/disk_use.py [--count 10] [--folder DIR] [REQUIREMENT …]

Each file system is made in a file and mounted (root, mkfs.ext4, mkfs.btrfs, mkfs.xfs); what cannot be is left out. The
cache is on it too. *Cache and one*: what the first environment takes with the cache, in MB; *each further*: the mean of
the others. btrfs compresses nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REQUESTS = ("pandas", "rich", "httpx")
MAKE = {"ext4": ("mkfs.ext4", "-q", "-F"), "btrfs": ("mkfs.btrfs", "-q", "-f"), "xfs": ("mkfs.xfs", "-q", "-f")}
MODES = {"ext4": ("copy", "hardlink"), "btrfs": ("copy", "clone", "hardlink"), "xfs": ("copy", "clone", "hardlink")}
SIZE = 6 << 30  # bytes


@contextmanager
def mounted(kind: str, folder: Path) -> Iterator[Path]:
    image, root = folder / f"{kind}.image", folder / kind
    root.mkdir(exist_ok=True)
    with image.open("wb") as stream:
        stream.truncate(SIZE)
    subprocess.run([*MAKE[kind], image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", image, root], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "-l", root], check=True)
        image.unlink()


def used(root: Path) -> int:
    subprocess.run(["sync", "-f", root], check=True)
    status = os.statvfs(root)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def measure(root: Path, mode: str, count: int, requests: list[str]) -> tuple[int, int]:
    environment = os.environ | {"BRIDGE_CACHE_DIR": str(root / "cache"), "BRIDGE_LINK_MODE": mode}
    sizes = [used(root)]
    for number in range(count):
        words = ["create", "-q", "-p", str(root / f"environment-{number}"), "-c", "host", "python", *requests]
        subprocess.run([sys.executable, "-m", "bridge", *words], env=environment, check=True)
        if number in {0, count - 1}:
            sizes.append(used(root))
    return sizes[1] - sizes[0], (sizes[2] - sizes[1]) // (count - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requirements", nargs="*", default=list(REQUESTS))
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    arguments = parser.parse_args()
    print(f"{'file system':12} {'mode':10} {'cache and one':>14} {'each further':>14} {'all':>8}  MB")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as text:
        for kind, modes in MODES.items():
            if shutil.which(MAKE[kind][0]) is None:
                continue
            for mode in modes:
                with mounted(kind, Path(text)) as root:
                    first, further = measure(root, mode, arguments.count, arguments.requirements)
                total = first + further * (arguments.count - 1)
                row = (f"{first / 1e6:14.0f}", f"{further / 1e6:14.1f}", f"{total / 1e6:8.0f}")
                print(f"{kind:12} {mode:10} {' '.join(row)}", flush=True)


if __name__ == "__main__":
    main()
