"""Write the packages `python` and `python_abi` of the host channel."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from bridge.archive.conda import CondaManifest, manifest_of
from bridge.archive.tars import Keep, TarContents, TarMember
from bridge.cache.packages import PackageStore
from bridge.channels.host.contents import PackagePath, collect
from bridge.channels.host.layout import Interpreter
from bridge.channels.host.relocate import relocate
from bridge.errors import FaultError
from converters.package import Member, write_conda

__all__ = ["Index", "PreparedPython", "write_python", "write_python_abi"]

LEVEL = 1
THREADS = 2  # any number above 0 gives the same bytes
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


def write_python_abi(stream: BinaryIO, layout: Interpreter) -> Index:
    """Write `python_abi`, which has no files, and return its index.json."""
    index = _abi_index(layout)
    write_conda(stream, _stem(index), _info(index, "The ABI of a CPython", []), (), level=LEVEL)
    return index


def write_python(stream: BinaryIO, layout: Interpreter) -> Index:
    """Write `python` and return its index.json. Raises `UsageError` (`host-layout`), `OSError`."""
    return PreparedPython(layout).write(stream)


class PreparedPython:
    """The package `python` before it is written, with its `index`.

    Creating one takes a third of the time. Raises `UsageError` (`host-layout`), `OSError`.
    """

    def __init__(self, layout: Interpreter) -> None:
        self._layout = layout
        parts, self._glibc = relocate(layout, collect(layout))
        self.index = _python_index(layout, self._glibc)
        self._payload = [_PackedPath(part) for part in parts]
        self._documents: dict[str, bytes] = {}

    def write(self, stream: BinaryIO, keep: Keep | None = None) -> Index:
        """Write it and return its index.json. Raises `FaultError` (`host-changed`), `OSError`.

        :param keep: receives the content of its files, as in `bridge.archive.tars.scan_tar`.
        """
        payload, about = self._payload, "CPython, as it is installed where it was packed"

        def info() -> dict[str, bytes]:
            self._documents = _info(self.index, about, [item.entry() for item in payload])
            return self._documents

        write_conda(
            stream,
            _stem(self.index),
            info,
            [item.member(keep) for item in payload],
            level=LEVEL,
            threads=THREADS,
        )
        if _python_index(self._layout, self._glibc) != self.index:
            raise _changed(self._layout.binary)
        return self.index

    def keep(self, cache: Path, filename: str, publish: Callable[[Callable[[BinaryIO], Index]], str]) -> None:
        """Write it as the archive `filename`, and into the cache as an unpacked package.

        :param publish: publishes what its argument writes, and returns its sha256.
        """

        def packed(keep: Keep) -> tuple[CondaManifest, str]:
            sha256 = publish(lambda stream: self.write(stream, keep))
            return self._manifest(filename), sha256

        PackageStore(cache).keep(packed)

    def _manifest(self, filename: str) -> CondaManifest:
        """What an archive of that file name contains, which was written."""
        contents = TarContents(
            members={item.path: item.tar_member() for item in sorted(self._payload, key=lambda item: item.path)},
            documents={f"info/{name}": data for name, data in self._documents.items() if name != "files"},
        )
        return manifest_of(contents, filename)


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
            raise _changed(self._part.source)
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


def _changed(path: Path | None) -> FaultError:
    return FaultError(
        "host-changed",
        "the interpreter bridge runs on changed while it was being packed",
        context=(f"file: {path}",),
        hint="wait until its upgrade has finished, and try again",
    )


def _patched(data: bytes, patches: Sequence[tuple[int, bytes]]) -> bytes:
    if not patches:
        return data
    changed = bytearray(data)
    for offset, written in patches:
        changed[offset : offset + len(written)] = written
    return bytes(changed)
