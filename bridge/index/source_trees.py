"""Source code that a requirement names by its URL: folders, git repositories, archives. Built when it is needed.

`bridge.index` imports this module for the first such requirement, as it does `bridge.index.sdists`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bridge import fs
from bridge.cache.blobs import sha256_of
from bridge.errors import UnsafeInputError, UsageError
from bridge.faults import faults
from bridge.fetch.client import Client
from bridge.fetch.git import GitRepository
from bridge.fetch.urls import local_path
from bridge.index.typed import check_promises
from bridge.model import IndexFile
from bridge.sdists.build import BuildTree, check_buildable, copied
from bridge.sdists.build.project import Requirements
from bridge.sdists.build.wheels import BuiltWheels
from bridge.sdists.confine.request import Action
from bridge.sdists.location import SourceLocation, source_of
from bridge.sdists.metadata import unpack
from bridge.sdists.static import StaticProject, read_static
from bridge.sdists.trees import tree_revision
from bridge.secrets import masked
from converters.deferred import replace
from converters.metadata import CoreMetadata, parse_metadata

__all__ = ["SourceTrees"]

_MAGIC = {b"PK\x03\x04": ".zip", b"\x1f\x8b": ".tar.gz"}


class SourceTrees:
    """The source code of one run; the parameters are those of `BuiltWheels`. For many threads at once."""

    def __init__(
        self,
        client: Client,
        requirements: Callable[[str], Requirements],
        tell: Callable[[str], None],
        building: tuple[str, ...] = (),
    ) -> None:
        self._client, self._settings = client, client.settings
        self._built = BuiltWheels(client.settings, requirements, tell, building=building)

    def file(self, url: str) -> IndexFile:
        """Return the project at a URL in its present state (`revision`, or the `sha256` of an archive).

        Raises `UsageError` (`no-project`, `git-*`), `NetworkError`, and what building its metadata raises.
        """
        location = _location(url)
        check_buildable(self._settings, masked(url))
        file = IndexFile(project="", filename=_label(location), version="", url=url, origin="")
        if location.kind == "archive":
            promised = parse_qs(urlsplit(url).fragment).get("sha256", [None])[-1]
            file = replace(file, sha256=promised.lower() if promised else None)
            path, sha256 = self._archive(file, location)
            file = replace(file, sha256=sha256, size=path.stat().st_size)
        elif location.kind == "git":
            file = replace(file, revision=self._repository(location).commit(location.reference))
        else:
            file = replace(file, revision=tree_revision(_folder(location)))
        metadata = self.metadata(file)
        return replace(file, project=metadata.name, version=metadata.version)

    def metadata(self, file: IndexFile) -> CoreMetadata:
        """Return its metadata: that of a static pyproject.toml (PEP 621), else what the build backend says.

        Raises as `build_tree`, and `UnsafeInputError` (`metadata-invalid`).
        """
        location = _location(file.url)
        with self._static(file, location) as static:
            if static.metadata is not None:
                return static.metadata
        path = self._made(file, location, "editable-metadata" if location.is_editable else "metadata")
        with faults(path):
            return parse_metadata(path.read_bytes(), _label(location))

    def wheel(self, file: IndexFile) -> Path:
        """Return the wheel of a project, built unless it was before. Raises as `build_tree`."""
        location = _location(file.url)
        return self._made(file, location, "editable" if location.is_editable else "wheel")

    def revision(self, file: IndexFile) -> str | None:
        """Return the state that was built: of a folder the present one, for the build of a link may write in it."""
        location = _location(file.url)
        return tree_revision(_folder(location)) if location.kind == "directory" else file.revision

    def _made(self, file: IndexFile, location: SourceLocation, action: Action) -> Path:
        tree = BuildTree(label=_label(location), place=lambda target: self._place(file, location, target))
        # Of a folder the present state counts: a record may have another one.
        state = tree_revision(_folder(location)) if location.kind == "directory" else file.revision or file.sha256
        return self._built.of_tree(tree, action, f"{file.url}\n{state}")

    def _place(self, file: IndexFile, location: SourceLocation, target: Path) -> Path:
        """Write the sources into `target`, and return the project's directory in it; of an editable one, itself."""
        if location.kind == "directory":
            if location.is_editable:
                return _folder(location)
            top = copied(_folder(location, with_subdirectory=False), target)
        elif location.kind == "git":
            self._repository(location).checkout(file.revision or "", target)
            top = target
        else:
            path, sha256 = self._archive(file, location)
            assert sha256 == (file.sha256 or sha256)
            top = unpack(path, target)
        project = top / location.subdirectory
        if not project.is_dir() or not project.resolve().is_relative_to(top.resolve()):
            raise UsageError(
                "no-project", f"{masked(file.url)} has no directory {location.subdirectory}",
                hint="correct the part after #subdirectory=",
            )  # fmt: skip
        return project

    @contextmanager
    def _static(self, file: IndexFile, location: SourceLocation) -> Iterator[StaticProject]:
        if location.kind == "directory":
            yield read_static(_folder(location))
            return
        with tempfile.TemporaryDirectory(prefix="bridge-source-") as work:
            yield read_static(self._place(file, location, Path(work) / "source"))

    def _repository(self, location: SourceLocation) -> GitRepository:
        return GitRepository(location.url, self._settings.cache_dir, offline=self._settings.offline)

    def _archive(self, file: IndexFile, location: SourceLocation) -> tuple[Path, str]:
        """Download an archive under a name that tells its form, and hash it."""
        path = self._client.download(file.url, sha256=file.sha256, size=None, name=_label(location))
        with faults(path):
            check_promises(file.url, path)
            sha256 = file.sha256 or sha256_of(path)
            with path.open("rb") as stream:
                start = stream.read(4)
        suffix = next((suffix for magic, suffix in _MAGIC.items() if start.startswith(magic)), None)
        if suffix is None:
            raise UnsafeInputError("sdist-layout", f"{masked(file.url)} is neither a zip archive nor a tar.gz")
        if path.name.endswith(suffix):
            return path, sha256
        named = self._settings.cache_dir / "sources" / f"{sha256}{suffix}"
        if not named.is_file():
            with faults(path), path.open("rb") as stream:
                fs.publish_file(named, stream, root=self._settings.cache_dir)
        return named, sha256


def _location(url: str) -> SourceLocation:
    location = source_of(url)
    assert location is not None, url
    return location


def _folder(location: SourceLocation, *, with_subdirectory: bool = True) -> Path:
    path = Path(local_path(location.url) or "")
    if not path.is_dir():
        raise UsageError("no-project", f"there is no folder {path}", hint="correct the path, or require another source")
    return (path / location.subdirectory if with_subdirectory else path).resolve()


def _label(location: SourceLocation) -> str:
    """A short name for messages: that of the folder, the repository or the archive."""
    path = location.url.rstrip("/").rpartition("/")[2].partition("?")[0]
    return path.removesuffix(".git") or location.url
