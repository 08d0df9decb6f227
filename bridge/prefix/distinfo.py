"""Parse the files of a dist-info directory (PEP 376, PEP 610, PEP 627). Pure."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping

from bridge.prefix.columns import read_rows
from bridge.prefix.entries import Entries
from bridge.secrets import public
from converters.deferred import regex, replace
from converters.errors import BridgeError
from converters.fields import read_fields
from converters.metadata import CoreMetadata, parse_metadata
from converters.projects import canonicalize_name

__all__ = ["name_of", "parse_direct_url", "parse_header", "parse_listing", "parse_requires", "parse_tags"]

_WINDOWS_SITE = "Lib/site-packages"
# A noarch package is written once for all systems: its rows begin where site-packages has three levels, as on POSIX.
_OF_POSIX = regex(r"\.\./\.\./\.\./(?:bin|etc|include|man|share)/")
# Rows of directories, which `wheel tags` writes against the specification.
_OF_DIRECTORY = regex(r"^[^\",\r\n]+/,[^\r\n]*(?:\r\n?|\n)?", re.MULTILINE)
_BLANK_LINE = regex(rb"\r?\n\r?\n")


def name_of(path: str) -> CoreMetadata:
    """Name and version in a directory's name (`NAME-VERSION.dist-info`, `NAME-VERSION-py3.11.egg-info`)."""
    name, _, version = posixpath.basename(path).rsplit(".", 1)[0].partition("-")
    return CoreMetadata(name=canonicalize_name(name), version=re.split(r"-py\d", version)[0])


def parse_header(data: bytes, path: str) -> tuple[CoreMetadata, str | None]:
    """METADATA or PKG-INFO, and its defect, if any; missing fields come from `path`.

    The description, often most of the file, is not parsed. Raises `ValueError` if nothing can be read.
    """
    head = _BLANK_LINE.split(data, maxsplit=1)[0] + b"\n\n"
    try:
        return parse_metadata(head, path), None
    except BridgeError as error:
        named, (raw, _) = name_of(path), read_fields(head)
        header = replace(
            named,
            name=canonicalize_name(raw.get("name") or named.name),
            version=raw.get("version") or named.version,
            requires_python=raw.get("requires_python"),
            requires_dist=tuple(raw.get("requires_dist", ())),
        )
        return header, error.message


def parse_listing(data: bytes, base: str, prefix: str, *, is_csv: bool = True) -> tuple[Entries, list[str]]:
    """RECORD's rows (or the lines of an egg's `installed-files.txt`) as entries, and the rows that were refused.

    Rows of directories (`name/`) are left out. The parameters and the refused rows are those of `read_rows`; a byte
    order mark is refused too. Raises `ValueError` if the file is not UTF-8, or a RECORD lists not even itself.
    """
    text = data.decode("utf-8")
    refused = []
    if text.startswith("\ufeff"):  # Other readers take it as part of the first path.
        refused.append(text[:200].partition(",")[0])
        text = text[1:]
    if is_csv and "/," in text:
        text = _OF_DIRECTORY.sub("", text)
    entries, malformed = read_rows(text, base, prefix, is_csv=is_csv)
    if base == _WINDOWS_SITE:
        malformed = [row for row in malformed if not _OF_POSIX.match(row)]
    if is_csv and not entries:
        raise ValueError("it lists no file, not even itself")
    return entries, refused + malformed


def parse_direct_url(data: bytes) -> Mapping[str, object]:
    """direct_url.json (PEP 610). Raises `ValueError` or `RecursionError` if it is not a JSON object."""
    document = json.loads(data.decode("utf-8"))
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    url = document.get("url")
    return document | {"url": public(url)} if isinstance(url, str) else document


def parse_requires(data: bytes) -> tuple[str, ...]:
    """The `requires.txt` of an egg as PEP 508 texts. Its sections are extras and markers (setuptools)."""
    requirements, extra, marker = [], "", ""
    for line in data.decode("utf-8", "replace").splitlines():
        text = line.strip()
        if text.startswith("[") and text.endswith("]"):
            extra, _, marker = text[1:-1].partition(":")
        elif text and not text.startswith("#"):
            conditions = [f"({marker})" if marker and extra else marker, f'extra == "{extra}"' if extra else ""]
            condition = " and ".join(each for each in conditions if each)
            requirements.append(f"{text} ; {condition}" if condition else text)
    return tuple(requirements)


def parse_tags(data: bytes) -> tuple[str, ...]:
    """The `Tag:` lines of a WHEEL file, as they are written."""
    lines = data.decode("utf-8", "replace").splitlines()
    return tuple(line.partition(":")[2].strip() for line in lines if line.lower().startswith("tag:"))
