"""`HostChannel`: the interpreter that runs bridge, as a channel of two packages."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from bridge import fs
from bridge.cache.blobs import cache_faults
from bridge.channels.host.layout import Interpreter
from bridge.channels.host.packing import Announce, Packing
from bridge.channels.places import HOST
from bridge.errors import FaultError, IntegrityError
from converters.errors import UnsafeInputError
from converters.record import Record, conda_record

__all__ = ["HOST", "HostChannel"]


class HostChannel:
    """`python` and `python_abi`, packed once from the running interpreter into a directory laid out as a channel.

    Each archive has its record in a file beside it. Safe for several processes: they publish equal files atomically.
    """

    def __init__(self, cache: Path, *, packs_late: bool = False) -> None:
        """:param cache: the directory, inside bridge's cache; created when something is packed.
        :param packs_late: return the record of a python before it is packed, without hash and size; another process or
            a thread packs it, and unpacks it into the cache; `archive` waits for it. Close the channel then.
        """
        self._cache = cache.absolute()
        self._root = self._cache.parent
        self._packs_late = packs_late
        self._packing: dict[Path, Packing] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Wait for what packs."""
        for packing in self._packing.values():
            packing.close()

    def records(self, name: str) -> tuple[Record, ...]:
        """The record of `python` or `python_abi`; `()` for any other name.

        The first call for an interpreter packs it (one or two seconds). Raises `UsageError` (`host-layout`) if it
        cannot be packed, `FaultError` if reading or writing fails.
        """
        if name not in ("python", "python_abi"):
            return ()
        layout = Interpreter.of_running()
        path = self._path(layout, name)
        with self._lock:
            record = self._read(path) if path not in self._packing else None
            if record is None and self._packs_late and name == "python":
                if path not in self._packing:
                    self._start_packing(layout, path)
                return (conda_record(dict(self._packing[path].index()) | _location(path), origin=HOST),)
            return (record if record is not None else self._pack(layout, name, path),)

    def stored(self, record: Record) -> Path | None:
        """The path of a record's archive if it was packed before; its content is not verified."""
        path = self._cache / record.subdir / record.filename
        known = self._read(path) if path not in self._packing else None
        return path if known is not None and known.sha256 == record.sha256 else None

    def archive(self, record: Record) -> Path:
        """The path of a record's archive with its sha256; a damaged one is packed again.

        Raises `IntegrityError` (`host-changed`) if the interpreter is no longer the record's, else as `records`.
        """
        path = self._cache / record.subdir / record.filename
        if path in self._packing:
            self._packing[path].wait()
            return path
        with self._lock:
            if record.sha256 is not None and self._hash(path) == record.sha256:
                return path
        layout = Interpreter.of_running()
        if path != self._path(layout, record.name):
            raise _changed(record)
        with self._lock:
            if self._pack(layout, record.name, path).sha256 != record.sha256:
                raise _changed(record)
        return path

    def _path(self, layout: Interpreter, name: str) -> Path:
        """Where the archive of this very installation is."""
        if name == "python_abi":
            return self._cache / "noarch" / f"python_abi-{layout.minor[0]}.{layout.minor[1]}-0_{layout.abi}.conda"
        return self._cache / layout.subdir / f"python-{layout.version}-{layout.build}.conda"

    def _read(self, path: Path) -> Record | None:
        """The record in the file beside an archive; `None` if either is missing or damaged."""
        try:
            document = json.loads(fs.read_regular(_record_path(path), root=self._root))
            content = document["record"]
            size = fs.lstat_regular(path, root=self._root).st_size
            if document["sha256"] != _digest(content) or size != content["size"]:
                return None
            return conda_record(content | _location(path), origin=HOST)
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, UnsafeInputError):
            return None

    def _hash(self, path: Path) -> str | None:
        try:
            return fs.hash_regular(path, root=self._root)
        except OSError:
            return None

    def _pack(self, layout: Interpreter, name: str, path: Path) -> Record:
        from bridge.channels.host import pack  # noqa: PLC0415 - needed only for packing

        write = pack.write_python if name == "python" else pack.write_python_abi
        return self._publish(path, lambda stream: write(stream, layout))

    def begin(self) -> None:
        """Begin to pack the python, if it is packed late and was not packed before: it will be asked for soon."""
        layout = Interpreter.of_running()
        path = self._path(layout, "python")
        if self._packs_late and self._read(path) is None:
            self._start_packing(layout, path)

    def _start_packing(self, layout: Interpreter, path: Path) -> None:
        def work(announce: Announce) -> None:
            from bridge.channels.host import pack  # noqa: PLC0415

            try:
                prepared = pack.PreparedPython(layout)
            except OSError as error:
                raise _pack_failed(error) from error
            announce(prepared.index)
            with cache_faults():
                prepared.keep(self._root, path.name, lambda write: self._publish(path, write).sha256 or "")

        self._packing[path] = Packing(work)

    def _publish(self, path: Path, write: Callable[[BinaryIO], Mapping[str, object]]) -> Record:
        """Write an archive and its record."""
        try:
            with cache_faults(), fs.publish_stream(path, root=self._root) as stream:
                index = write(stream)
        except OSError as error:
            raise _pack_failed(error) from error
        size = fs.lstat_regular(path, root=self._root).st_size
        content = dict(index) | {"sha256": fs.hash_regular(path, root=self._root), "size": size}
        document = json.dumps({"record": content, "sha256": _digest(content)}).encode()
        fs.publish_file(_record_path(path), [document], root=self._root)
        return conda_record(content | _location(path), origin=HOST)


def _location(path: Path) -> dict[str, object]:
    """Fields of a record that are not stored: the directory may have been moved."""
    return {"fn": path.name, "url": path.as_uri()}


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _changed(record: Record) -> IntegrityError:
    return IntegrityError(
        "host-changed",
        f"{record.filename} is not the interpreter that runs bridge now, and is not in the cache",
        context=(f"sha256: {record.sha256}",),
        hint="resolve again to use the current interpreter",
        objects={"record": record},
    )


def _pack_failed(error: OSError) -> FaultError:
    return FaultError(
        "host-fault",
        f"the interpreter bridge runs on could not be packed: {error.strerror}",
        context=(f"file: {error.filename}",) if error.filename else (),
        objects={"errno": error.errno},
    )
