"""What a reader of strangers' input is to the fuzzers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.errors import BridgeError

__all__ = ["Reader"]


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader: `read` is given bytes and a folder to write them into. `seeds` are right; `made` makes one more."""

    name: str
    read: Callable[[bytes, Path], object]
    seeds: Sequence[bytes] = ()
    made: Callable[[Path], bytes] | None = None

    def corpus(self) -> list[bytes]:
        """What mutations begin with."""
        if self.made is None:
            return list(self.seeds)
        with tempfile.TemporaryDirectory() as folder:
            return [*self.seeds, self.made(Path(folder))]

    def is_kept(self, data: bytes, scratch: Path) -> bool:
        """Whether the reader accepts the input; a documented error is none of its faults, anything else is raised."""
        try:
            self.read(data, scratch)
        except BridgeError as error:
            if error.id == "internal":
                raise
            return False
        return True
