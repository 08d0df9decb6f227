"""Source distributions for tests, with a PEP 517 backend of their own in the tree: they need nothing to be built."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.backends import WRITER
from tests.support.builders import EPOCH, zip_bytes

__all__ = ["backend", "make_sdist", "pkg_info", "sdist_members"]

# Writes a wheel that requires what `requires.txt` says; its module holds what a test wants to know of the build.
_BACKEND = """
import sys, time

NAME, VERSION = {name!r}, {version!r}

def report():
    return str(time.time_ns())

{hook}

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return write_wheel(wheel_directory, NAME, VERSION, {{f"{{NAME}}.py": "MADE = " + repr(report()) + "\\n"}})
"""


def backend(name: str, version: str, hook: str = "") -> str:
    """The module of a backend. `hook` is code of it: `report` may be defined anew there."""
    return WRITER + _BACKEND.format(name=name, version=version, hook=hook)


def pkg_info(
    name: str, version: str, *, metadata_version: str = "2.2", requires: Sequence[str] = (), dynamic: Sequence[str] = ()
) -> bytes:
    """A PKG-INFO file."""
    lines = [f"Metadata-Version: {metadata_version}", f"Name: {name}", f"Version: {version}"]
    lines += [f"Dynamic: {field}" for field in dynamic]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    return ("\n".join(lines) + "\n\nA description.\n").encode()


def sdist_members(
    name: str,
    version: str,
    *,
    hook: str = "",
    requires: Sequence[str] = (),
    build_requires: Sequence[str] = (),
    info: bytes | None = None,
    files: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """The files of an sdist below its folder. `hook` is code of the backend: `report` may be defined anew in it.

    `requires`: what the wheel that is built says. `info`: PKG-INFO (`b""`: none), by default one that is dynamic.
    """
    listed = ", ".join(repr(requirement) for requirement in build_requires)
    table = f'[build-system]\nrequires = [{listed}]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    info = pkg_info(name, version, dynamic=["Requires-Dist"]) if info is None else info
    members = {
        "pyproject.toml": table.encode(),
        "backend.py": backend(name, version, hook).encode(),
        "requires.txt": "".join(f"{requirement}\n" for requirement in requires).encode(),
        **dict(files or {}),
    }
    return members | ({"PKG-INFO": info} if info else {})


def make_sdist(
    folder: Path, name: str, version: str, *, suffix: str = ".tar.gz", root: str | None = None, **parts: object
) -> Path:
    """Write an sdist into `folder` and return its path. `parts` are those of `sdist_members`; `root`: its folder."""
    root = f"{name}-{version}" if root is None else root
    members = sdist_members(name, version, **parts)  # type: ignore[arg-type]
    placed = {f"{root}/{path}": data for path, data in members.items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}{suffix}"
    path.write_bytes(zip_bytes(placed) if suffix == ".zip" else _tar_gz(placed))
    return path


def _tar_gz(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in members.items():
            member = tarfile.TarInfo(path)
            member.size, member.mtime = len(data), EPOCH[0]
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(out.getvalue(), mtime=0)
