"""What earlier runs converted into a folder, so that nothing is done twice.

For every file that was converted a small document lies in `.converted/`, written once its packages are there. It is
believed only where each of them still has the hash that it names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge import fs
from bridge.convert.channel_index import digests
from bridge.convert.wheel import ConvertedPackage
from bridge.errors import BridgeError
from bridge.faults import faults
from bridge.index.strict_json import parse_json
from bridge.model import IndexFile
from converters.documents import LAYOUT_VERSION
from converters.record import conda_record
from converters.target import Target

__all__ = ["ConversionLog"]

_FOLDER = ".converted"


class ConversionLog:
    """The documents of one output folder. `options`: what else decides the bytes of a package."""

    def __init__(self, output: Path, options: Sequence[str]) -> None:
        self._output = output
        self._options = (str(LAYOUT_VERSION), *options)

    def find(self, file: IndexFile, target: Target) -> tuple[ConvertedPackage, ...] | None:
        """The packages that `file` became, where all of them are there; `None` where it is to be converted."""
        path = self._path(file, target)
        if path is None or not path.is_file():
            return None
        try:
            with faults(path):
                document = parse_json(path.read_bytes(), str(path))
            return tuple(map(self._package, document["packages"]))  # type: ignore[index]
        except (BridgeError, KeyError, TypeError, _ChangedError):
            return None

    def keep(self, file: IndexFile, target: Target, packages: Sequence[ConvertedPackage]) -> None:
        """Note what `file` became. Raises `FaultError`."""
        path = self._path(file, target)
        if path is None:
            return
        fs.make_directories(path.parent)
        rows = [
            {
                "path": package.path.relative_to(self._output).as_posix(),
                "record": {
                    "name": package.record.name,
                    "version": package.record.version,
                    "build": package.record.build,
                    "build_number": package.record.build_number,
                    "subdir": package.record.subdir,
                    "depends": package.record.requirements,
                    "purls": package.record.purls,
                    "fn": package.record.filename,
                    "sha256": package.record.sha256,
                    "md5": package.record.md5,
                    "size": package.record.size,
                },
                "notes": package.notes,
            }
            for package in packages
        ]
        text = json.dumps({"wheel": file.filename, "packages": rows}, sort_keys=True, indent=1)
        fs.publish_file(path, [text.encode() + b"\n"])

    def _path(self, file: IndexFile, target: Target) -> Path | None:
        """Where the document of `file` lies; `None` for a file without a hash, which could be another one next time."""
        if file.sha256 is None:
            return None
        python = "" if target.python is None else ".".join(map(str, target.python.minor))
        parts = (*self._options, file.filename, file.sha256, file.url, file.origin, target.subdir, python)
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return self._output / _FOLDER / f"{key}.json"

    def _package(self, row: Mapping[str, object]) -> ConvertedPackage:
        described = row["record"]
        if not isinstance(described, dict):
            raise _ChangedError
        record = conda_record(described)
        path = self._output / str(row["path"])
        if not path.is_file() or digests(path)[0] != record.sha256:
            raise _ChangedError
        notes = row["notes"]
        return ConvertedPackage(path=path, record=record, notes=tuple(notes) if isinstance(notes, list) else ())


class _ChangedError(Exception):
    """A package is not there, or is another one."""
