"""Pack `python` and `python_abi` of the host channel: unpacked, into the cache, and as archives when one is needed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from bridge.archive.conda import CondaManifest, CondaPath
from bridge.archive.paths import cautions
from bridge.archive.tars import Keep
from bridge.cache.contents import Contents
from bridge.cache.packages import PackageStore
from bridge.channels.host.contents import PackagePath, collect
from bridge.channels.host.layout import Interpreter
from bridge.channels.host.relocate import Relocation
from bridge.errors import FaultError
from bridge.paths import EMPTY_SHA256
from converters.package import Member, write_conda

__all__ = ["Index", "Prepared", "changed", "prepare", "write_archive"]

UNCOMPRESSED = 0  # compressing took more time than all else, and an archive is seldom asked for
_LICENSE = "PSF-2.0"

Index = Mapping[str, object]
"""An index.json (CEP 34)."""
Buffer = bytes | memoryview


def _abi_index(layout: Interpreter) -> Index:
    """The index.json of `python_abi`, which ties packages built for this ABI to a python that has it."""
    version = f"{layout.minor[0]}.{layout.minor[1]}"
    return {
        "name": "python_abi",
        "version": version,
        "build": f"0_{layout.abi}",
        "build_number": 0,
        "subdir": "noarch",
        "noarch": "generic",
        "depends": [],
        "constrains": [f"python {version}.* *_{layout.abi}"],
        "license": _LICENSE,
    }


def _python_index(layout: Interpreter, glibc: tuple[int, int]) -> Index:
    """The index.json of `python`; `glibc` is the newest version needed, `(0, 0)` for none."""
    version = f"{layout.minor[0]}.{layout.minor[1]}"
    depends = [f"python_abi {version}.* *_{layout.abi}"]
    if glibc > (0, 0):
        depends.append(f"__glibc >={glibc[0]}.{glibc[1]}")
    if layout.deployment_target:
        depends.append(f"__osx >={layout.deployment_target}")
    index: dict[str, object] = {
        "name": "python",
        "version": layout.version,
        "build": layout.build,
        "build_number": 0,
        "subdir": layout.subdir,
        "depends": depends,
        "constrains": [],
        "license": _LICENSE,
        "timestamp": layout.timestamp,
    }
    if layout.free_threaded:
        index["python_site_packages_path"] = layout.site_packages  # CEP 17
    return index


class Prepared:
    """A package of the channel before it is packed, with its `index`.

    :param parts: called when it is packed; returns its paths, sorted.
    """

    def __init__(self, index: Index, summary: str, parts: Callable[[], Iterable[PackagePath]]) -> None:
        self.index = index
        self._about = {"summary": summary, "license": _LICENSE}
        self._parts = parts

    def keep(self, store: PackageStore, filename: str) -> Index:
        """Put it into the cache, unpacked; return its index.json with `sha256` and `size` of its archive.

        The archive itself is not kept: `write_archive` writes it when it is needed. Raises `UsageError`
        (`host-layout`), `OSError`.
        """
        archive = _Pieces()
        paths: list[CondaPath] = []

        def fill(keep: Keep) -> CondaManifest:
            buffer = bytearray()
            paths.extend(_packed(part, keep, buffer) for part in self._parts())
            return CondaManifest(
                filename=filename,
                index=self.index,
                paths=tuple(paths),
                noarch="generic" if "noarch" in self.index else None,
                entry_points=(),
                link_scripts=(),
                about=self._about,
                cautions=cautions(path.path for path in paths),
            )

        def hashed(contents: Mapping[str, memoryview]) -> str:
            _write(cast("BinaryIO", archive), self.index, self._about, paths, contents.get)
            return archive.sha256()

        _, sha256 = store.keep(fill, hashed)
        return dict(self.index) | {"sha256": sha256, "size": archive.tell()}


def write_archive(stream: BinaryIO, manifest: CondaManifest, contents: Contents) -> None:
    """Write the archive of a package that the cache has unpacked.

    Its bytes depend on nothing but its content, so they have the sha256 that `Prepared.keep` returned.
    """

    def content(path: str) -> bytes:
        return b"".join(contents.blocks(path))

    _write(stream, manifest.index, manifest.about, manifest.paths, content)


def _write(
    stream: BinaryIO, index: Index, about: Index, paths: Sequence[CondaPath], content: Callable[[str], Buffer | None]
) -> None:
    members = [
        Member(
            path=path.path,
            size=path.size or 0,
            data=content(path.path) if path.link is None else None,
            is_executable=path.is_executable,
            link=path.link,
        )
        for path in paths
    ]
    write_conda(stream, _stem(index), _info(index, about, paths), members, level=UNCOMPRESSED)


class _Pieces:
    """Keeps what is written to it in pieces, to hash it: a copy of all takes as long as that."""

    def __init__(self) -> None:
        self._written: dict[int, Buffer] = {}  # by offset; headers of the zip are written again, with checksums
        self._place = 0

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> None:
        self._place = place

    def write(self, data: Buffer) -> None:
        self._written[self._place] = data
        self._place += len(data)

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def sha256(self) -> str:
        """Return the hash, and forget the content."""
        digest = hashlib.sha256()
        for data in self._written.values():
            digest.update(data)
        self._written.clear()
        return digest.hexdigest()


def prepare(layout: Interpreter, name: str) -> Prepared:
    """Prepare `python` or `python_abi`, which has no files. Raises `UsageError` (`host-layout`), `OSError`."""
    if name == "python_abi":
        return Prepared(_abi_index(layout), "The ABI of a CPython", tuple)
    relocation = Relocation(layout, collect(layout))
    about = "CPython, as it is installed where it was packed"
    return Prepared(_python_index(layout, relocation.glibc), about, relocation.parts)


def _stem(index: Index) -> str:
    return f"{index['name']}-{index['version']}-{index['build']}"


def _info(index: Index, about: Index, paths: Sequence[CondaPath]) -> dict[str, bytes]:
    return {
        "index.json": _json(index),
        "paths.json": _json({"paths": [_entry(path) for path in paths], "paths_version": 1}),
        "about.json": _json(about),
        "files": "".join(f"{path.path}\n" for path in paths).encode(),
    }


def _entry(path: CondaPath) -> Index:
    """The entry of paths.json (CEP 34)."""
    entry: dict[str, object] = {
        "_path": path.path,
        "path_type": "hardlink" if path.link is None else "softlink",
        "sha256": path.sha256,
        "size_in_bytes": path.size,
    }
    if path.prefix_placeholder is not None:
        entry |= {"prefix_placeholder": path.prefix_placeholder, "file_mode": path.file_mode}
    return entry


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _packed(part: PackagePath, keep: Keep, buffer: bytearray) -> CondaPath:
    """Read a path, pass on the content of a file, and return what the manifest says of it.

    :param buffer: memory for one file after another: new memory takes longer than reading into it.
    """
    if part.link is not None:
        return CondaPath(path=part.path, kind="symlink", link=part.link, sha256=EMPTY_SHA256, size=0)
    data = memoryview(part.data if part.data is not None else _read(part, buffer))
    keep(part.path, len(data))(data)
    return CondaPath(
        path=part.path,
        kind="file",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        is_executable=part.is_executable,
        mode=0o755 if part.is_executable else 0o644,
        prefix_placeholder=part.placeholder,
        file_mode=None if part.placeholder is None else "text",
    )


def changed(path: Path | None) -> FaultError:
    return FaultError(
        "host-changed",
        "the interpreter bridge runs on changed while it was being packed",
        context=(f"file: {path}",),
        hint="wait until its upgrade has finished, and try again",
    )


def _read(part: PackagePath, buffer: bytearray) -> memoryview:
    """The content of a file with its patches."""
    if part.source is None:
        raise ValueError(f"{part.path} has no content")
    with part.source.open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        buffer.extend(bytes(max(size - len(buffer), 0)))
        data, read = memoryview(buffer)[:size], 0
        while read < size and (count := stream.readinto(data[read:])):
            read += count
    if read != size:
        raise changed(part.source)
    for offset, written in part.patches:
        data[offset : offset + len(written)] = written
    return data
