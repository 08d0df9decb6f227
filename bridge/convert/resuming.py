"""Reuse the packages that earlier runs wrote to a directory.

For every converted file, `.converted/` has a document, written after its packages. It is used only if all packages
still have the hashes in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bridge import fs
from bridge.convert.digests import digests
from bridge.convert.wheel import ConvertedPackage
from bridge.errors import BridgeError, UnsafeInputError
from bridge.faults import faults
from bridge.index.strict_json import parse_json
from bridge.model import IndexFile
from bridge.paths import path_below
from converters.convert import Packages
from converters.documents import LAYOUT_VERSION
from converters.notes import Note
from converters.record import conda_record

__all__ = ["ConversionLog", "converted_wheels"]

_DIRECTORY = ".converted"
_RECORDED = ("name", "version", "build", "build_number", "subdir", "purls", "sha256", "md5", "size")


class ConversionLog:
    """The documents of an output directory. `options`: what else determines the bytes of a package."""

    def __init__(self, output: Path, options: Sequence[str]) -> None:
        self._output = output
        self._options = (str(LAYOUT_VERSION), *options)

    def find(self, file: IndexFile) -> Packages[ConvertedPackage] | None:
        """Return the packages made from `file`; `None` if it must be converted."""
        path = self._path(file)
        if path is None or not path.is_file():
            return None
        try:
            with faults(path):
                document = parse_json(path.read_bytes(), str(path))
            made = tuple(map(self._package, document["packages"]))  # type: ignore[index]
            return Packages(all=made, notes=_notes(document["notes"]))  # type: ignore[index]
        except (BridgeError, KeyError, TypeError, ValueError):
            return None

    def keep(self, file: IndexFile, made: Packages[ConvertedPackage]) -> None:
        """Record the packages made from `file`. Raises `FaultError`."""
        path = self._path(file)
        if path is None:
            return
        fs.make_directories(path.parent)
        rows = [
            {
                "path": package.path.relative_to(self._output).as_posix(),
                "record": {key: getattr(package.record, key) for key in _RECORDED}
                | {"depends": package.record.requirements, "fn": package.record.filename},
                "notes": list(map(asdict, package.notes)),
                "guessed": package.guessed,
            }
            for package in made.all
        ]
        document = {"wheel": file.filename, "packages": rows, "notes": list(map(asdict, made.notes))}
        text = json.dumps(document, sort_keys=True, indent=1)
        fs.publish_file(path, [text.encode() + b"\n"])

    def _path(self, file: IndexFile) -> Path | None:
        """Return the path of the document of `file`; `None` for a file without a hash, whose content can change."""
        if file.sha256 is None:
            return None
        attested = ("provenance",) if file.provenance is not None else ()
        parts = (*self._options, file.filename, file.sha256, file.url, file.origin, *attested)
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return self._output / _DIRECTORY / f"{key}.json"

    def _package(self, row: Mapping[str, object]) -> ConvertedPackage:
        described, guessed = row["record"], row["guessed"]
        if not isinstance(described, dict) or not isinstance(guessed, list):
            raise TypeError("not a document of this class")
        record = conda_record(described)
        path = self._output / str(row["path"])
        if not path.is_file() or digests(path)[0] != record.sha256:
            raise ValueError("the package is missing or changed")
        return ConvertedPackage(path=path, record=record, notes=_notes(row["notes"]), guessed=tuple(guessed))


def _notes(rows: object) -> tuple[Note, ...]:
    if not isinstance(rows, list):
        raise TypeError("not a document of this class")
    return tuple(Note(**row) for row in rows)


def converted_wheels(output: Path) -> Iterator[tuple[Path, str, list[Path]]]:
    """Yield each document of a directory, the file name of its wheel, and the paths of its packages.

    Paths that would leave the directory are not among them, nor documents that cannot be read. Raises `FaultError`.
    """
    folder = output / _DIRECTORY
    with faults(folder):
        documents = sorted(folder.glob("*.json"))
    for path in documents:
        try:
            with faults(path):
                document: Any = parse_json(path.read_bytes(), str(path))
            packages = [
                output / path_below(row["path"], path.name, "the path of a package") for row in document["packages"]
            ]
            yield path, str(document["wheel"]), packages
        except (UnsafeInputError, KeyError, TypeError):
            continue
