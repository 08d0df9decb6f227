"""Pack the interpreter in another process, which states the index.json as soon as it is known."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, final

from bridge.errors import BridgeError
from bridge.fs.processes import apart

__all__ = ["Announce", "Packing"]

Announce = Callable[[Mapping[str, object]], None]


@final
class Packing:
    """Work in a copy of this process, so that this one's interpreter lock is free; if that is impossible, in a thread.

    The thread ends with its work: with another thread, the processes that place packages could not be forked.

    :param work: what packs; it calls its argument with the index.json.
    """

    def __init__(self, work: Callable[[Announce], None]) -> None:
        self._lock = threading.Lock()
        self._error: BridgeError | None = None
        self._index: dict[str, Any] | None = None
        self._stated = threading.Event()
        self._reading, writing = os.pipe()
        parent = os.getpid()

        def announce(index: Mapping[str, object]) -> None:
            if os.getpid() == parent:
                self._index = dict(index)
                self._stated.set()
            else:
                with os.fdopen(writing, "wb") as stream:
                    stream.write(json.dumps(index).encode())

        running = apart(lambda: work(announce))
        os.close(writing)  # The copy has it too.
        self._wait: Callable[[], object] | None = running.results
        if not running.is_forked:
            packer = ThreadPoolExecutor(1, thread_name_prefix="bridge-pack")
            future = packer.submit(work, announce)
            future.add_done_callback(lambda _: self._stated.set())
            self._wait = future.result
            packer.shutdown(wait=False)
        self._is_forked = running.is_forked

    def index(self) -> Mapping[str, Any]:
        """The index.json. Raises what the work raises before it is known."""
        with self._lock:
            if self._index is None and self._is_forked:
                with os.fdopen(self._reading, "rb", closefd=False) as stream:
                    text = stream.read()
                self._index = json.loads(text) if text else None
        if not self._is_forked:
            self._stated.wait()
        if self._index is None:
            self.wait()  # It failed, or was killed: then this process repeats the work.
        if self._index is None:
            raise AssertionError("nothing was announced")
        return self._index

    def wait(self) -> None:
        """Return when the package is packed. Raises what the work raised, each time."""
        with self._lock:
            if self._wait is not None:
                try:
                    self._wait()
                except BridgeError as error:
                    self._error = error
                self._wait = None
            if self._error is not None:
                raise self._error

    def close(self) -> None:
        """Wait for the end. Any error was told, or nobody asked."""
        with suppress(BridgeError):
            self.wait()
        with suppress(OSError):
            os.close(self._reading)
