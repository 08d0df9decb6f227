"""Read one record of conda-meta, or one dist-info. Damage is a `Defect`, never an exception."""

from __future__ import annotations

import csv
import json
import os
import posixpath
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bridge.errors import FaultError
from bridge.model import EGGS, Defect, Distribution, Installed
from bridge.prefix import condameta, distinfo
from bridge.prefix.eggs import read_egg
from bridge.prefix.entries import Entries
from converters.deferred import dataclass
from converters.metadata import CoreMetadata

__all__ = ["ReadResult", "Reader", "content", "defect_of", "names_in", "scan"]

T = TypeVar("T")
ReadResult = tuple[Installed | Distribution | None, tuple[Defect, ...]]

_MAX_RECORD = 256 << 20  # bytes of one conda-meta JSON or RECORD
_UNREADABLE = (ValueError, RecursionError, OSError, csv.Error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the records of one prefix. Entries are columns (`bridge.prefix.entries.Entries`)."""

    prefix: str

    def record(self, path: str) -> ReadResult:
        """The conda-meta record at a prefix-relative path, or the reason why it cannot be read."""
        try:
            return condameta.parse(content(f"{self.prefix}/{path}"), path)
        except _UNREADABLE as error:
            return None, (defect_of(path, error),)

    def distribution(self, path: str, *, is_covered: bool = False) -> ReadResult:
        """The dist-info (or `.egg-info`, `.egg`, `.egg-link`) at a prefix-relative path.

        :param is_covered: a record has its entries; skip them.
        Raises `FaultError` (`prefix-unreadable`) if its directory cannot be listed.
        """
        if path.endswith(EGGS):
            return self._egg(path)
        defects: list[Defect] = []
        is_egg = path.endswith(".egg-info")
        names = set(names_in(f"{self.prefix}/{path}"))

        def parsed(name: str, parse: Callable[[bytes], T]) -> T | None:
            if name not in names:
                return None
            try:
                return parse(content(f"{self.prefix}/{path}/{name}"))
            except _UNREADABLE as error:
                defects.append(defect_of(f"{path}/{name}", error))
                return None

        metadata = self._metadata(path, defects)
        listing, base = ("installed-files.txt", path) if is_egg else ("RECORD", posixpath.dirname(path))
        listed: tuple[Entries, list[str]] | None = (Entries.of(()), [])
        if not is_covered:
            listed = parsed(listing, lambda data: distinfo.parse_listing(data, base, self.prefix, is_csv=not is_egg))
        if listed and listed[1]:
            detail = f"{len(listed[1])} row(s) leave the environment or make no sense, first {listed[1][0]!r}"
            defects.append(Defect(id="broken-record", path=f"{path}/{listing}", detail=detail))
        entries = listed[0] if listed else None
        installer = parsed("INSTALLER", lambda data: data.decode("utf-8", "replace").strip())
        distribution = Distribution(
            path=path,
            name=metadata.name,
            version=metadata.version,
            installer=installer.splitlines()[0] if installer else None,
            requested="REQUESTED" in names,
            direct_url=parsed("direct_url.json", distinfo.parse_direct_url),
            requires_python=metadata.requires_python,
            requires_dist=metadata.requires_dist or parsed("requires.txt", distinfo.parse_requires) or (),
            provides_extra=metadata.provides_extra,
            tags=parsed("WHEEL", distinfo.parse_tags) or (),
            license=metadata.license,
            author=metadata.author,
            home=metadata.home_page,
            entries=entries,
        )
        return distribution, tuple(defects)

    def _egg(self, path: str) -> ReadResult:
        """An egg or a link to a working copy, or the reason why it cannot be read."""
        try:
            egg = read_egg(self.prefix, path)
            metadata, wrong = distinfo.parse_header(egg.metadata, path)
        except _UNREADABLE as error:
            return None, (defect_of(path, error),)
        source = None
        if egg.source is not None:
            source = {"url": Path(egg.source).as_uri(), "dir_info": {"editable": True}}
        distribution = Distribution(
            path=path,
            name=metadata.name,
            version=metadata.version,
            direct_url=source,
            requires_python=metadata.requires_python,
            requires_dist=metadata.requires_dist or distinfo.parse_requires(egg.requires),
            provides_extra=metadata.provides_extra,
            license=metadata.license,
            author=metadata.author,
            home=metadata.home_page,
            entries=egg.entries,
        )
        return distribution, (Defect(id="broken-record", path=path, detail=wrong),) if wrong else ()

    def _metadata(self, path: str, defects: list[Defect]) -> CoreMetadata:
        # A distutils .egg-info is one file, which is the metadata itself.
        name = "PKG-INFO" if path.endswith(".egg-info") else "METADATA"
        path_of_metadata = f"{path}/{name}" if os.path.isdir(f"{self.prefix}/{path}") else path
        try:
            metadata, wrong = distinfo.parse_header(content(f"{self.prefix}/{path_of_metadata}"), path)
        except FileNotFoundError:
            detail = f"there is no {name}: nothing says what this is"
            defects.append(Defect(id="distribution-without-metadata", path=path_of_metadata, detail=detail))
            return distinfo.name_of(path)
        except _UNREADABLE as error:
            defects.append(defect_of(path_of_metadata, error))
            return distinfo.name_of(path)
        if wrong:
            defects.append(Defect(id="broken-record", path=path_of_metadata, detail=wrong))
        return metadata


def content(path: str, limit: int = _MAX_RECORD) -> bytes:
    """The bytes of a regular file of at most `limit` bytes. Devices and pipes are never opened: they could block.

    Raises `ValueError` and `OSError`.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if status.st_size > limit:
        raise ValueError(f"it is larger than {limit} bytes")
    with open(path, "rb") as stream:
        return stream.read()


def scan(directory: str) -> list[os.DirEntry[str]]:
    """The entries of a directory; none if it does not exist. Raises `FaultError` (`prefix-unreadable`)."""
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise FaultError("prefix-unreadable", f"{directory} cannot be listed: {error.strerror}") from error


def names_in(directory: str) -> list[str]:
    """The names in a directory; none if it does not exist. Raises `FaultError` (`prefix-unreadable`)."""
    return [entry.name for entry in scan(directory)]


def defect_of(path: str, error: Exception) -> Defect:
    """The reason why a record cannot be read, for the user."""
    if isinstance(error, OSError):
        detail = f"it cannot be read: {error.strerror}"
    elif isinstance(error, UnicodeDecodeError):
        detail = f"it is not UTF-8: byte {error.start}"
    elif isinstance(error, json.JSONDecodeError):
        detail = f"it is not JSON: {error}" if error.doc.strip() else "it is empty"
    elif isinstance(error, RecursionError):
        detail = "it is nested too deeply"
    else:
        detail = str(error)
    package = error.identity if isinstance(error, condameta.MisnamedError) else ""
    return Defect(id="broken-record", path=path, detail=detail, package=package)
