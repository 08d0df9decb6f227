"""The artifacts of one package of a uv.lock."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from bridge.errors import UnsafeInputError
from bridge.requirements.files.fields import Field
from bridge.requirements.files.locks.direct import (
    check_sdist,
    check_wheel,
    git_parts,
    git_url,
    milliseconds,
    name_of_file,
    path_url,
    place_url,
    with_fragment,
)
from bridge.requirements.files.locks.errors import invalid
from bridge.requirements.files.locks.uv_graph import Node
from bridge.requirements.locked import Locked, LockedSource, LockedWheel
from converters.projects import canonicalize_name

__all__ = ["locked_files"]

_FORMAT = "uv.lock of version 1"
_ARCHIVES = (".whl", ".tar.gz", ".zip", ".tgz")


def locked_files(node: Node, extras: tuple[str, ...], marker: str, path: Path) -> list[Locked]:
    """Return the wheels and the source code of a package; none of a virtual project.

    Raises `UnsafeInputError` (`lock-invalid`) for a file without a sha256 or without a place.
    """
    return _Files(node, extras, marker, path).found()


class _Files:
    def __init__(self, node: Node, extras: tuple[str, ...], marker: str, path: Path) -> None:
        self._node, self._extras, self._marker, self._path = node, extras, marker, path
        self._name = canonicalize_name(node.name)

    def found(self) -> list[Locked]:
        source = self._node.source
        if "virtual" in source:
            return []
        if "git" in source:
            return [self._git(source["git"])]
        for kind in ("editable", "directory"):
            if kind in source:
                return [self._folder(source[kind], is_editable=kind == "editable")]
        entry = Field(self._node.entry, self._path, self._name)
        packages: list[Locked] = [self._wheel(each) for each in entry["wheels"].tables()]
        if "sdist" in entry:
            packages.append(self._sdist(entry["sdist"].table()))
        if not packages:
            raise self._invalid("it has neither wheels nor an sdist")
        return packages

    def _invalid(self, problem: str) -> UnsafeInputError:
        return invalid(self._path, _FORMAT, f"{self._name} {self._node.version}: {problem}")

    def _wheel(self, entry: Mapping[str, object]) -> LockedWheel:
        url = self._url(entry)
        filename = str(entry.get("filename") or name_of_file(url, self._path))
        check_wheel(filename, self._name, self._node.version, self._path)
        return LockedWheel(
            name=self._name,
            version=self._node.version,
            url=url,
            filename=filename,
            sha256=self._sha256(entry, filename),
            size=_size(entry),
            index=self._index,
            is_direct=self._is_direct,
            extras=self._extras,
            upload_time=_milliseconds(entry.get("upload-time")),
            marker=self._marker,
        )

    def _sdist(self, entry: Mapping[str, object]) -> LockedSource:
        url = self._url(entry)
        filename = name_of_file(url, self._path)
        check_sdist(filename, self._name, self._path)
        return LockedSource(
            name=self._name,
            version=self._node.version,
            kind="archive" if self._is_direct else "sdist",
            url=with_fragment(url, self._node.source.get("subdirectory", "")),
            path=str(self._node.source.get("path") or entry.get("path") or ""),
            filename=filename,
            sha256=self._sha256(entry, filename),
            size=_size(entry),
            index=self._index,
            extras=self._extras,
            upload_time=_milliseconds(entry.get("upload-time")),
            marker=self._marker,
        )

    @property
    def _is_direct(self) -> bool:
        return "registry" not in self._node.source

    @property
    def _index(self) -> str:
        registry = self._node.registry
        if not registry:
            return ""
        return place_url(registry, self._path)

    def _url(self, entry: Mapping[str, object]) -> str:
        """Return where a file is: its URL, its path in a folder that serves as an index, or its package's own."""
        source = self._node.source
        if entry.get("url"):
            place = str(entry["url"])
        elif entry.get("path"):
            place = posixpath.join(source.get("registry", ""), str(entry["path"]))
        elif "url" in source or "path" in source:
            place = source.get("url") or source["path"]
        else:
            raise self._invalid("a file without a URL or a path")
        return place_url(place, self._path)

    def _sha256(self, entry: Mapping[str, object], filename: str) -> str:
        kind, _, digest = str(entry.get("hash") or "").partition(":")
        if kind != "sha256" or len(digest) != 64 or set(digest.lower()) - set("0123456789abcdef"):
            raise self._invalid(f"{filename} has no sha256")
        return digest.lower()

    def _folder(self, folder: str, *, is_editable: bool) -> LockedSource:
        return LockedSource(
            name=self._name,
            version=self._node.version,
            kind="directory",
            url=with_fragment(path_url(folder, self._path), self._node.source.get("subdirectory", "")),
            path=folder,
            is_editable=is_editable,
            extras=self._extras,
            marker=self._marker,
        )

    def _git(self, text: str) -> LockedSource:
        """`URL?rev=…&subdirectory=…#COMMIT`."""
        repository, asked, commit = git_parts(text, self._path)
        subdirectory = asked.get("subdirectory") or self._node.source.get("subdirectory", "")
        return LockedSource(
            name=self._name,
            version=self._node.version,
            kind="git",
            url=git_url(repository, commit, subdirectory, self._path),
            revision=commit,
            reference=asked.get("rev") or asked.get("tag") or asked.get("branch") or "",
            extras=self._extras,
            marker=self._marker,
        )


def _size(entry: Mapping[str, object]) -> int | None:
    size = entry.get("size")
    return size if isinstance(size, int) else None


def _milliseconds(value: object) -> int | None:
    """Return a time of uv's, a text or a TOML date-time, since the epoch."""
    try:
        return milliseconds(datetime.fromisoformat(str(value).replace("Z", "+00:00")) if value is not None else None)
    except ValueError:
        return None
