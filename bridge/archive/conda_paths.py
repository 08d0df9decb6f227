"""A conda package's list of its files: paths.json, or the documents of older packages (CEP 34)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from bridge.archive.documents import parse_object
from bridge.archive.limits import Limits
from bridge.archive.paths import check_path
from bridge.archive.refusal import refused, shown
from converters.deferred import dataclass, regex

__all__ = ["PATH_DOCUMENTS", "ListedPath", "read_listing"]

PATH_DOCUMENTS = ("info/paths.json", "info/files", "info/has_prefix", "info/no_link")
_PATHS_JSON, _FILES, _HAS_PREFIX, _NO_LINK = PATH_DOCUMENTS

_KINDS: Mapping[object, Literal["file", "symlink", "directory"]] = {
    "hardlink": "file",
    "softlink": "symlink",
    "directory": "directory",
}
_SHA256 = regex(r"[0-9a-f]{64}\Z")
_SHORTEST_PLACEHOLDER = 2  # characters: one would match everywhere
_DEFAULT_PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"
_QUOTED = regex(r'"([^"]*)"|\'([^\']*)\'|(\S+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPath:
    """One path as the package lists it; `None` if not stated (`info/files` has paths only)."""

    path: str
    kind: Literal["file", "symlink", "directory"] | None = None
    sha256: str | None = None
    size: int | None = None
    prefix_placeholder: str | None = None
    file_mode: Literal["text", "binary"] | None = None
    no_link: bool = False


def read_listing(documents: Mapping[str, bytes], archive: str, limits: Limits) -> Mapping[str, ListedPath] | None:
    """The listed paths, from paths.json if present; `None` if the package has no list.

    Raises `UnsafeInputError`: `conda-layout`, `path-escape`, `limit-*`.
    """
    if _PATHS_JSON in documents:
        listings = _read_paths_json(documents[_PATHS_JSON], archive, limits)
    elif _FILES in documents:
        listings = _read_files(documents, archive)
    else:
        return None
    listed: dict[str, ListedPath] = {}
    for listing in listings:
        check_path(listing.path, archive, "conda-layout", limits)
        if listing.path in listed:  # clients differ in which entry they use
            raise refused("conda-layout", archive, "the package lists it twice", member=listing.path)
        if len(listed) >= limits.entries:
            raise refused("limit-entries", archive, f"the package lists more than {limits.entries} paths")
        listed[listing.path] = listing
    return listed


def _read_paths_json(data: bytes, archive: str, limits: Limits) -> Iterator[ListedPath]:
    document = parse_object(data, archive, _PATHS_JSON, limits)
    entries = document.get("paths")
    # conda and rattler know only version 1.
    if document.get("paths_version") != 1 or not isinstance(entries, list):
        raise refused("conda-layout", archive, "not a list of paths of version 1", member=_PATHS_JSON)
    for entry in entries:
        yield _read_entry(entry, archive)


def _read_entry(entry: object, archive: str) -> ListedPath:
    path = entry.get("_path") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(path, str):
        raise refused("conda-layout", archive, "an entry without _path", member=_PATHS_JSON)
    kind = _KINDS.get(str(entry.get("path_type", "hardlink")))
    if kind is None:
        problem = f"paths.json has the unknown type {shown(str(entry['path_type']))}"
        raise refused("conda-layout", archive, problem, member=path)
    sha256, size = entry.get("sha256"), entry.get("size_in_bytes")
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.match(sha256)):
        raise refused("conda-layout", archive, "its sha256 in paths.json is invalid", member=path)
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise refused("conda-layout", archive, "its size in paths.json is invalid", member=path)
    placeholder, mode = _read_placeholder(entry.get("prefix_placeholder"), entry.get("file_mode"), path, archive)
    return ListedPath(
        path=path,
        kind=kind,
        sha256=sha256,
        size=size,
        prefix_placeholder=placeholder,
        file_mode=mode,
        no_link=entry.get("no_link") is True,
    )


def _read_placeholder(
    placeholder: object, mode: object, path: str, archive: str
) -> tuple[str | None, Literal["text", "binary"] | None]:
    """The placeholder and its mode; both `None` for none or an empty one (CEP 34's default)."""
    if placeholder is None or placeholder == "":
        return None, None
    # A placeholder of one character, or with control characters, would match inside code (CA20).
    if not isinstance(placeholder, str) or len(placeholder) < _SHORTEST_PLACEHOLDER or not placeholder.isprintable():
        problem = f"the prefix placeholder {shown(str(placeholder))!r} cannot be replaced safely"
        raise refused("conda-layout", archive, problem, member=path)
    if mode is None or mode == "text":
        return placeholder, "text"
    if mode == "binary":
        return placeholder, "binary"
    raise refused("conda-layout", archive, f"its file_mode is {shown(str(mode))}, not text or binary", member=path)


def _read_files(documents: Mapping[str, bytes], archive: str) -> Iterator[ListedPath]:
    placeholders = dict(_read_has_prefix(documents.get(_HAS_PREFIX, b""), archive))
    copied = set(_lines(documents.get(_NO_LINK, b""), archive, _NO_LINK))
    for path in _lines(documents[_FILES], archive, _FILES):
        text, how = placeholders.get(path, (None, None))
        placeholder, mode = _read_placeholder(text, how, path, archive)
        yield ListedPath(path=path, prefix_placeholder=placeholder, file_mode=mode, no_link=path in copied)


def _lines(data: bytes, archive: str, member: str) -> Iterator[str]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused("conda-layout", archive, "not UTF-8", member=member, offset=error.start) from error
    for line in text.split("\n"):
        content = line.strip("\r")
        if content.strip():
            yield content


def _read_has_prefix(data: bytes, archive: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Parse lines of `PLACEHOLDER MODE PATH`, each optionally quoted, or of a path alone, as conda does."""
    for line in _lines(data, archive, _HAS_PREFIX):
        fields = [double or single or bare for double, single, bare in _QUOTED.findall(line)]
        if len(fields) == 3:
            yield fields[2], (fields[0], fields[1])
        elif len(fields) == 1:
            yield fields[0], (_DEFAULT_PLACEHOLDER, "text")
        else:
            problem = f"not a placeholder, mode and path: {shown(line)}"
            raise refused("conda-layout", archive, problem, member=_HAS_PREFIX)
