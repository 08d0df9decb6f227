"""The file names of source distributions (PEP 625, and the older `NAME-VERSION.zip`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bridge.errors import UnsafeInputError
from converters.deferred import regex
from converters.metadata import CoreMetadata

if TYPE_CHECKING:
    from packaging.version import Version

__all__ = ["check_sdist_name", "parse_sdist_name"]

# packaging strips white space, and accepts paths and letters beyond ASCII.
_FILE_NAME = regex(r"[A-Za-z0-9][A-Za-z0-9._!+-]*\Z", re.ASCII)
_LONGEST_NAME = 255  # characters


def parse_sdist_name(filename: str) -> tuple[str, Version]:
    """(normalised project, version) of an sdist's file name. Raises `UnsafeInputError` (`sdist-name`)."""
    from packaging.utils import parse_sdist_filename  # noqa: PLC0415 - slow to import; a list reads no such name

    try:
        if len(filename) > _LONGEST_NAME or not _FILE_NAME.match(filename):
            raise ValueError("it is too long, or has characters not allowed in names and versions")
        return parse_sdist_filename(filename)
    except ValueError as error:  # InvalidSdistFilename and InvalidVersion are ValueErrors
        raise UnsafeInputError(
            "sdist-name",
            f"not the file name of a source distribution: {filename[:_LONGEST_NAME]!r}",
            context=(str(error)[:_LONGEST_NAME],),
            hint="it must be NAME-VERSION.tar.gz (PEP 625), or the older NAME-VERSION.zip",
        ) from error


def check_sdist_name(metadata: CoreMetadata, filename: str) -> None:
    """Raise `UnsafeInputError` (`sdist-name`) if metadata contradicts the file name."""
    from packaging.version import Version  # noqa: PLC0415

    project, version = parse_sdist_name(filename)
    if metadata.name != project or Version(metadata.version) != version:
        raise UnsafeInputError(
            "sdist-name",
            f"{filename}: its metadata says {metadata.name} {metadata.version}",
            context=(f"the file name says {project} {version}",),
        )
