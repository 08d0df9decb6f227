"""`HostChannel`: the interpreter that runs bridge, as a channel of two packages."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import fs
from bridge.cache.blobs import cache_faults
from bridge.cache.packages import PackageStore, unpacked_package
from bridge.channels.host.layout import Interpreter
from bridge.channels.host.packing import Announce, Packing
from bridge.channels.places import HOST
from bridge.errors import FaultError, IntegrityError
from converters.errors import UnsafeInputError
from converters.record import Record, conda_record

if TYPE_CHECKING:
    from bridge.channels.host.pack import Prepared

__all__ = ["HOST", "HostChannel"]


class HostChannel:
    """`python` and `python_abi`, packed once from the running interpreter into the cache, as unpacked packages.

    Each has its record in a file; in the same directory, laid out as a channel, archives are written when one is asked
    for. Safe for several processes: they publish equal files atomically.
    """

    def __init__(self, cache: Path, *, packs_late: bool = False) -> None:
        """:param cache: bridge's, in which the channel has the directory `host`.
        :param packs_late: return the record of a python before it is packed, without hash and size; another process or
            a thread packs it; `packed` waits for it. Close the channel then.
        """
        self._root = cache.absolute()
        self._cache = self._root / "host"
        self._store = PackageStore(self._root)
        self._packs_late = packs_late
        self._packing: dict[Path, Packing] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Wait for what packs."""
        for packing in self._packing.values():
            packing.close()

    def records(self, name: str) -> tuple[Record, ...]:
        """The record of `python` or `python_abi`; `()` for any other name.

        The first call for an interpreter packs it (half a second). Raises `UsageError` (`host-layout`) if it cannot be
        packed, `FaultError` if reading or writing fails.
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

    def packed(self, record: Record) -> Record:
        """The record of a python with hash and size, which is packed then. Raises as `records`."""
        path = self._cache / record.subdir / record.filename
        if path not in self._packing:
            return record
        self._packing[path].wait()
        return self._read(path) or self._pack(Interpreter.of_running(), record.name, path)

    def stored(self, record: Record) -> Path | None:
        """The path that a record's archive has or would have, if its content was packed before; it is not verified."""
        path = self._cache / record.subdir / record.filename
        known = self._read(path) if path not in self._packing else self.packed(record)
        return path if known is not None and known.sha256 == record.sha256 else None

    def archive(self, record: Record) -> Path:
        """The path of a record's archive with its sha256, which is written if there is none.

        Raises `IntegrityError` (`host-changed`) if that would need the interpreter, which is no longer the record's,
        else as `records`.
        """
        path = self._cache / record.subdir / record.filename
        record = self.packed(record)
        with self._lock:
            if record.sha256 is not None and (self._hash(path) == record.sha256 or self._write(record.sha256, path)):
                return path
        layout = Interpreter.of_running()
        if path != self._path(layout, record.name):
            raise _changed(record)
        with self._lock:
            found = self._pack(layout, record.name, path).sha256
            if found is None or found != record.sha256 or not self._write(found, path):
                raise _changed(record)
        return path

    def _path(self, layout: Interpreter, name: str) -> Path:
        """Where the archive of this very installation is."""
        if name == "python_abi":
            return self._cache / "noarch" / f"python_abi-{layout.minor[0]}.{layout.minor[1]}-0_{layout.abi}.conda"
        return self._cache / layout.subdir / f"python-{layout.version}-{layout.build}.conda"

    def _read(self, path: Path) -> Record | None:
        """The record of an archive; `None` if it is damaged, or neither the archive nor its content is there."""
        try:
            document = json.loads(fs.read_regular(_record_path(path), root=self._root))
            content = document["record"]
            unpacked = self._store.path(content["sha256"])
            if document["sha256"] != _digest(content) or not (unpacked.is_file() or path.is_file()):
                return None
            return conda_record(content | _location(path), origin=HOST)
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError, UnsafeInputError):
            return None

    def _hash(self, path: Path) -> str | None:
        try:
            return fs.hash_regular(path, root=self._root)
        except OSError:
            return None

    def _write(self, sha256: str, path: Path) -> bool:
        """Write the archive of a package that the cache has unpacked; `False` if it has not, or not with that hash."""
        from bridge.channels.host import pack  # noqa: PLC0415 - needed only for packing

        known = self._store.known(sha256, path.name, False)
        if known is None:
            return False
        manifest, unpacked = known
        try:
            with (
                unpacked_package(unpacked) as contents,
                cache_faults(),
                fs.publish_stream(path, root=self._root) as stream,
            ):
                pack.write_archive(stream, manifest, contents)
        except (IntegrityError, LookupError, ValueError):
            return False
        return self._hash(path) == sha256

    def _pack(self, layout: Interpreter, name: str, path: Path) -> Record:
        from bridge.channels.host import pack  # noqa: PLC0415 - needed only for packing

        with _reading():
            return self._keep(pack.prepare(layout, name), layout, path)

    def begin(self) -> None:
        """Begin to pack the python, if it is packed late and was not packed before: it will be asked for soon."""
        layout = Interpreter.of_running()
        path = self._path(layout, "python")
        if self._packs_late and self._read(path) is None:
            self._start_packing(layout, path)

    def _start_packing(self, layout: Interpreter, path: Path) -> None:
        def work(announce: Announce) -> None:
            from bridge.channels.host import pack  # noqa: PLC0415

            with _reading():
                prepared = pack.prepare(layout, "python")
                announce(prepared.index)
                self._keep(prepared, layout, path)

        self._packing[path] = Packing(work)

    def _keep(self, prepared: Prepared, layout: Interpreter, path: Path) -> Record:
        """Put a package into the cache, unpacked, and write its record."""
        from bridge.channels.host import pack  # noqa: PLC0415

        with cache_faults():
            content = prepared.keep(self._store, path.name)
        if path != self._path(layout, str(content["name"])):
            raise pack.changed(layout.binary)
        with cache_faults():
            document = json.dumps({"record": content, "sha256": _digest(content)}).encode()
            fs.publish_file(_record_path(path), [document], root=self._root)
        return conda_record(dict(content) | _location(path), origin=HOST)


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


@contextmanager
def _reading() -> Iterator[None]:
    """Turn an `OSError` about the interpreter's files into a `FaultError`."""
    try:
        yield
    except OSError as error:
        raise FaultError(
            "host-fault",
            f"the interpreter bridge runs on could not be packed: {error.strerror}",
            context=(f"file: {error.filename}",) if error.filename else (),
            objects={"errno": error.errno},
        ) from error
