"""Pack `python` and `python_abi` of the host channel: unpacked, into the cache, and as archives when one is needed."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from bridge.archive.conda import CondaManifest, manifest_of
from bridge.archive.tars import Keep, TarContents, TarMember
from bridge.cache.contents import Contents
from bridge.cache.packages import PackageStore
from bridge.channels.host.contents import PackagePath, collect
from bridge.channels.host.layout import Interpreter
from bridge.channels.host.relocate import Relocation
from bridge.errors import FaultError
from converters.package import Member, write_conda

__all__ = ["Index", "Prepared", "changed", "prepare", "write_again"]

UNCOMPRESSED = 0  # compressing took more time than all else, and an archive is seldom asked for
_LICENSE = "PSF-2.0"

Index = Mapping[str, object]
"""An index.json (CEP 34)."""


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

    :param parts: called for its paths when it is packed.
    """

    def __init__(self, index: Index, summary: str, parts: Callable[[], Iterable[PackagePath]]) -> None:
        self.index = index
        self._summary = summary
        self._parts = parts
        self._payload: list[_PackedPath] = []
        self._documents: dict[str, bytes] = {}

    def write(self, stream: BinaryIO, keep: Keep | None = None) -> None:
        """Write its archive. Raises `UsageError` (`host-layout`), `FaultError` (`host-changed`), `OSError`.

        :param keep: receives the content of its files, as in `bridge.archive.tars.scan_tar`.
        """
        payload = self._payload = [_PackedPath(part) for part in self._parts()]

        def info() -> dict[str, bytes]:
            self._documents = _info(self.index, self._summary, [item.entry() for item in payload])
            return self._documents

        write_conda(stream, _stem(self.index), info, [item.member(keep) for item in payload], level=UNCOMPRESSED)

    def keep(self, store: PackageStore, filename: str) -> Index:
        """Put it into the cache, unpacked; return its index.json with `sha256` and `size` of its archive.

        The archive itself is not kept: `write_again` writes the same bytes. Raises as `write`.
        """
        archive = _Pieces()

        def packed(keep: Keep) -> tuple[CondaManifest, str]:
            self.write(cast("BinaryIO", archive), keep)
            return self._manifest(filename), archive.sha256()

        sha256 = store.keep(packed)
        return dict(self.index) | {"sha256": sha256, "size": archive.tell()}

    def _manifest(self, filename: str) -> CondaManifest:
        """What an archive of that file name contains, which was written."""
        contents = TarContents(
            members={item.path: item.tar_member() for item in sorted(self._payload, key=lambda item: item.path)},
            documents={f"info/{name}": data for name, data in self._documents.items() if name != "files"},
        )
        return manifest_of(contents, filename)


class _Pieces:
    """Keeps what is written to it in pieces, to hash it: a copy of all takes as long as that."""

    def __init__(self) -> None:
        self._written: dict[int, bytes] = {}  # by offset; headers of the zip are written again, with checksums
        self._place = 0

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> None:
        self._place = place

    def write(self, data: bytes) -> None:
        self._written[self._place] = data
        self._place += len(data)

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for data in self._written.values():
            digest.update(data)
        return digest.hexdigest()


def prepare(layout: Interpreter, name: str) -> Prepared:
    """Prepare `python` or `python_abi`, which has no files. Raises `UsageError` (`host-layout`), `OSError`."""
    if name == "python_abi":
        return Prepared(_abi_index(layout), "The ABI of a CPython", tuple)
    relocation = Relocation(layout, collect(layout))
    about = "CPython, as it is installed where it was packed"
    return Prepared(_python_index(layout, relocation.glibc), about, relocation.parts)


def write_again(stream: BinaryIO, manifest: CondaManifest, contents: Contents) -> None:
    """Write the archive of a package that the cache has unpacked.

    Its bytes depend on nothing but its content, so they have the sha256 that `Prepared.keep` returned.
    """

    def parts() -> Iterator[PackagePath]:
        for path in manifest.paths:
            yield PackagePath(
                path=path.path,
                link=path.link,
                data=b"".join(contents.blocks(path.path)) if path.link is None else None,
                placeholder=path.prefix_placeholder,
                is_executable=path.is_executable,
            )

    Prepared(manifest.index, str(manifest.about["summary"]), parts).write(stream)


def _stem(index: Index) -> str:
    return f"{index['name']}-{index['version']}-{index['build']}"


def _info(index: Index, summary: str, entries: Iterable[Index]) -> dict[str, bytes]:
    paths = list(entries)
    about = {"summary": summary, "license": _LICENSE}
    return {
        "index.json": _json(index),
        "paths.json": _json({"paths": paths, "paths_version": 1}),
        "about.json": _json(about),
        "files": "".join(f"{entry['_path']}\n" for entry in paths).encode(),
    }


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


class _PackedPath:
    """One path on its way into the archive; its entry of paths.json is known afterwards."""

    def __init__(self, part: PackagePath) -> None:
        self._part = part
        self._sha256 = hashlib.sha256(b"").hexdigest()
        self._size = 0
        if part.data is not None:
            self._size = len(part.data)
        elif part.source is not None:
            self._size = part.source.stat().st_size

    @property
    def path(self) -> str:
        return self._part.path

    def member(self, keep: Keep | None) -> Member:
        if self._part.link is not None:
            return Member(path=self.path, link=self._part.link)
        return Member(
            path=self.path,
            size=self._size,
            open=lambda: self._open(keep),
            is_executable=self._part.is_executable,
        )

    def tar_member(self) -> TarMember:
        if self._part.link is not None:
            return TarMember(path=self.path, kind="symlink", offset=0, mode=0o777, link=self._part.link)
        mode = 0o755 if self._part.is_executable else 0o644
        return TarMember(path=self.path, kind="file", offset=0, mode=mode, size=self._size, sha256=self._sha256)

    def _open(self, keep: Keep | None) -> BinaryIO:
        data = self._part.data
        if data is None and self._part.source is not None:
            data = _patched(self._part.source.read_bytes(), self._part.patches)
        if data is None or len(data) != self._size:
            raise changed(self._part.source)
        self._sha256 = hashlib.sha256(data).hexdigest()
        if keep is not None:
            keep(self.path, self._size)(memoryview(data))
        return io.BytesIO(data)

    def entry(self) -> Index:
        """The entry of paths.json (CEP 34)."""
        entry: dict[str, object] = {
            "_path": self._part.path,
            "path_type": "hardlink" if self._part.link is None else "softlink",
            "sha256": self._sha256,
            "size_in_bytes": self._size,
        }
        if self._part.placeholder is not None:
            entry |= {"prefix_placeholder": self._part.placeholder, "file_mode": "text"}
        return entry


def changed(path: Path | None) -> FaultError:
    return FaultError(
        "host-changed",
        "the interpreter bridge runs on changed while it was being packed",
        context=(f"file: {path}",),
        hint="wait until its upgrade has finished, and try again",
    )


def _patched(data: bytes, patches: Sequence[tuple[int, bytes]]) -> bytes:
    if not patches:
        return data
    pieces: list[bytes | memoryview] = []
    view, position = memoryview(data), 0
    for offset, written in sorted(patches):
        pieces += [view[position:offset], written]
        position = offset + len(written)
    return b"".join((*pieces, view[position:]))
