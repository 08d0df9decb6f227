"""Source distributions of an index: their own metadata, and the wheels that are built from them.

`bridge.index` imports this module for the first sdist that it opens: reading and building archives takes longer to
import than a solve of wheels takes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bridge.cache.blobs import sha256_of
from bridge.config import Settings
from bridge.faults import faults
from bridge.model import IndexFile
from bridge.sdists.build.project import Requirements
from bridge.sdists.build.wheels import BuiltWheels
from bridge.sdists.metadata import is_static, read_pkg_info

__all__ = ["SdistSource"]


class SdistSource:
    """The sdists of one index; the parameters are those of `BuiltWheels`. For many threads at once."""

    def __init__(
        self,
        settings: Settings,
        requirements: Callable[[str], Requirements],
        tell: Callable[[str], None],
        building: tuple[str, ...] = (),
    ) -> None:
        self._built = BuiltWheels(settings, requirements, tell, building=building)

    def is_static(self, pkg_info: bytes, filename: str, *, is_vouched: bool = False) -> bool:
        """Whether a PKG-INFO holds for every wheel of its sdist (PEP 643). Raises as `metadata.is_static`."""
        return is_static(pkg_info, filename, is_vouched=is_vouched)

    def static_pkg_info(self, path: Path, filename: str) -> bytes | None:
        """The PKG-INFO in an sdist, if it has a static one. Raises as `metadata.read_pkg_info`."""
        data = read_pkg_info(path, filename)
        return data if data is not None and is_static(data, filename) else None

    def wheel(self, file: IndexFile, path: Path) -> Path:
        """The wheel of a verified sdist, built unless it was before. Raises as `build_wheel`."""
        with faults(path):
            return self._built.wheel(path, file.sha256 or sha256_of(path))
