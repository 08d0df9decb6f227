"""`HostChannel`: the interpreter that bridge runs on, as a channel of two packages."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from bridge import fs
from bridge.cache.blobs import cache_faults
from bridge.channels.host.layout import Interpreter
from bridge.errors import FaultError, IntegrityError
from converters.errors import UnsafeInputError
from converters.record import Record, conda_record

__all__ = ["HostChannel"]


class HostChannel:
    """`python` and `python_abi`, packed from the running interpreter once and kept in a folder.

    The folder is laid out as a channel (`linux-64/`, `noarch/`), with the record of each archive beside it. Several
    processes may use it at once: what they write is equal, and appears whole.
    """

    name = "host"

    def __init__(self, cache: Path, *, packs_late: bool = False) -> None:
        """:param cache: the folder, in the cache of bridge; it is made when something is packed.
        :param packs_late: whether the record of a python that was not packed yet is given before it is packed, without
            a hash and a size: it is packed meanwhile, and `archive` waits for it. Close the channel then.
        """
        self._cache = cache.absolute()
        self._root = self._cache.parent
        self.url = self._cache.as_uri()
        self._packs_late = packs_late
        self._packing: dict[Path, tuple[Record, Future[Record]]] = {}
        self._packer = ThreadPoolExecutor(1, thread_name_prefix="bridge-pack")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Wait for what is being packed."""
        self._packer.shutdown()

    def records(self, name: str) -> tuple[Record, ...]:
        """The records of `python` or `python_abi`; of any other name there are none.

        The first call for an interpreter packs it (a second or two); after that a record is read from the folder.
        Raises `UsageError` (`host-layout`) where this interpreter cannot be packed, `FaultError` where the system
        refused to read or to write.
        """
        if name not in ("python", "python_abi"):
            return ()
        layout = Interpreter.of_running()
        path = self._path(layout, name)
        with self._lock:
            if path in self._packing:
                return (self._packing[path][0],)
            record = self._read(path)
            if record is None and self._packs_late and name == "python":
                return (self._start_packing(layout, path),)
            return (record if record is not None else self._pack(layout, name, path),)

    def archive(self, record: Record) -> Path:
        """The path of a record's archive, with the sha256 that the record promises; packed again where it is damaged.

        Raises `IntegrityError` (`host-changed`) where the interpreter is no longer the one of the record, and what
        `records` raises.
        """
        path = self._cache / record.subdir / record.filename
        if path in self._packing:
            self._packing[path][1].result()
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
        """Where the archive of this very installation lies."""
        if name == "python_abi":
            return self._cache / "noarch" / f"python_abi-{layout.minor[0]}.{layout.minor[1]}-0_{layout.abi}.conda"
        return self._cache / layout.subdir / f"python-{layout.version}-{layout.build}.conda"

    def _read(self, path: Path) -> Record | None:
        """The record that lies beside an archive; `None` where either is missing, or is seen to be damaged."""
        try:
            document = json.loads(fs.read_regular(_record_path(path), root=self._root))
            content = document["record"]
            found = fs.lstat_regular(path, root=self._root)
            if document["sha256"] != _digest(content) or found.st_size != content["size"]:
                return None
            return conda_record(content | self._place(path), origin=self.url)
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, UnsafeInputError):
            return None

    def _hash(self, path: Path) -> str | None:
        try:
            return fs.hash_regular(path, root=self._root)
        except OSError:
            return None

    def _place(self, path: Path) -> dict[str, object]:
        """What a record says of where its archive lies: the folder may have been moved since it was written."""
        return {"fn": path.name, "url": path.as_uri()}

    def _pack(self, layout: Interpreter, name: str, path: Path) -> Record:
        from bridge.channels.host import pack  # noqa: PLC0415 - read only when something is packed

        write = pack.write_python if name == "python" else pack.write_python_abi
        return self._publish(path, lambda stream: write(stream, layout))

    def _start_packing(self, layout: Interpreter, path: Path) -> Record:
        from bridge.channels.host import pack  # noqa: PLC0415

        try:
            prepared = pack.PreparedPython(layout)
        except OSError as error:
            raise _pack_failed(error) from error
        record = conda_record(dict(prepared.index) | self._place(path), origin=self.url)
        self._packing[path] = record, self._packer.submit(self._publish, path, prepared.write)
        return record

    def _publish(self, path: Path, write: Callable[[BinaryIO], Mapping[str, object]]) -> Record:
        """Write an archive and the record beside it."""
        try:
            with cache_faults(), fs.publish_stream(path, root=self._root) as stream:
                index = write(stream)
        except OSError as error:
            raise _pack_failed(error) from error
        size = fs.lstat_regular(path, root=self._root).st_size
        content = dict(index) | {"sha256": fs.hash_regular(path, root=self._root), "size": size}
        beside = _record_path(path)
        fs.publish_file(beside, [json.dumps({"record": content, "sha256": _digest(content)}).encode()], root=self._root)
        return conda_record(content | self._place(path), origin=self.url)


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _changed(record: Record) -> IntegrityError:
    return IntegrityError(
        "host-changed",
        f"{record.filename} is not the interpreter that bridge runs on now, and is not in the cache",
        context=(f"sha256: {record.sha256}",),
        hint="resolve again, so that the interpreter as it is now is taken",
        objects={"record": record},
    )


def _pack_failed(error: OSError) -> FaultError:
    return FaultError(
        "host-fault",
        f"the interpreter bridge runs on could not be packed: {error.strerror}",
        context=(f"file: {error.filename}",) if error.filename else (),
        objects={"errno": error.errno},
    )
