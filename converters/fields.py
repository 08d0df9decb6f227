"""The fields of METADATA: read line by line where it is plain, else by the e-mail parser of `packaging`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from converters.deferred import regex

if TYPE_CHECKING:
    from packaging.metadata import RawMetadata

__all__ = ["read_fields"]

_TEXTS = {
    "author": "author", "author-email": "author_email", "home-page": "home_page", "license": "license",
    "license-expression": "license_expression", "maintainer": "maintainer", "maintainer-email": "maintainer_email",
    "metadata-version": "metadata_version", "name": "name", "requires-python": "requires_python",
    "summary": "summary", "version": "version",
}  # fmt: skip
_LISTS = {
    "classifier": "classifiers", "dynamic": "dynamic", "license-file": "license_files",
    "provides-extra": "provides_extra", "requires-dist": "requires_dist",
}  # fmt: skip
_IGNORED = frozenset({"platform", "download-url", "keywords", "description-content-type"})
_FIELD = regex(r"([A-Za-z][A-Za-z0-9-]*):[ \t]*(\S.*)")


def read_fields(data: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    """As `packaging.metadata.parse_email`: the fields that it knows, and the values of those that it cannot parse.

    Of METADATA without anything unusual the description and the fields that bridge does not use are left out.
    """
    plain = _plain_fields(data)
    if plain is not None:
        return plain
    from packaging.metadata import parse_email  # noqa: PLC0415 - slow to import

    return parse_email(data)


def _plain_fields(data: bytes) -> tuple[RawMetadata, dict[str, list[str]]] | None:
    """The fields of a header in which each line is a field or continues one; `None` for any other."""
    head = data.partition(b"\n\n")[0]
    if b"\r" in head or b"=?" in head:
        return None
    try:
        lines = head.decode("utf-8").rstrip("\n").split("\n")
    except UnicodeDecodeError:
        return None
    fields: dict[str, list[str]] = {}
    values: list[str] = []
    for line in lines:
        if line[:1] in {" ", "\t"} and values:
            values[-1] += f"\n{line}"
            continue
        match = _FIELD.fullmatch(line)
        if match is None:
            return None
        values = fields.setdefault(match[1].lower(), [])
        values.append(match[2])
    # The e-mail parser joins the lines of a value that is not ASCII, and drops spaces at its end.
    if any(
        not value.isascii() and (value[-1].isspace() or "\n" in value) for each in fields.values() for value in each
    ):
        return None
    return _sorted_out(fields)


def _sorted_out(fields: Mapping[str, list[str]]) -> tuple[RawMetadata, dict[str, list[str]]]:
    raw: Any = {}
    unparsed = {}
    for name, values in fields.items():
        if name in _LISTS:
            raw[_LISTS[name]] = values
        elif name == "project-url":
            pairs = [value.partition(",") for value in values]
            urls = {label.strip(): url.strip() for label, _, url in pairs}
            if len(urls) < len(pairs):
                unparsed[name] = values
            else:
                raw["project_urls"] = urls
        elif name in _TEXTS and len(values) == 1:
            raw[_TEXTS[name]] = values[0]
        elif name not in _IGNORED:
            unparsed[name] = values
    return raw, unparsed
