"""Package indexes: the files of a project and their METADATA, with as few requests as possible.

By the strategy `first`, the first index that has a project serves it alone (dependency confusion); by `best`, all do,
as in pip. Only "not found" leads to the next index: one that cannot be reached, or refuses, is an error. Files of
`find_links` are added, as in pip and uv. A project that is bound to one index comes from there alone.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from bridge.cache.blobs import sha256_of
from bridge.errors import BuildError, IntegrityError, NetworkError, UnsafeInputError
from bridge.faults import faults
from bridge.fetch.client import Client
from bridge.fetch.memo import Memo
from bridge.fetch.responses import Progress
from bridge.fetch.urls import local_path
from bridge.index.kept_metadata import KeptMetadata
from bridge.index.listings import Listings
from bridge.index.naming import normal
from bridge.index.simple_api import (
    Status,
    file_of_link,
)
from bridge.index.typed import check_expected, check_promises, of_another_project
from bridge.model import IndexFile
from bridge.sdists.location import source_of
from bridge.sdists.names import check_sdist_name
from bridge.secrets import SECRETS, masked
from converters.deferred import replace
from converters.metadata import MAX_METADATA, CoreMetadata, parse_metadata
from converters.wheel import check_name, parse_wheel_name, read_metadata

if TYPE_CHECKING:
    from bridge.config import Settings
    from bridge.config.indexes import IndexStrategy
    from bridge.config.policy import Policy
    from bridge.index.sdists import SdistSource
    from bridge.index.source_trees import SourceTrees
    from bridge.sdists.build.project import Requirements

__all__ = ["Index"]

_BROKEN_ZIP = (zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError)


class Index:
    """The package indexes of one run, as one. Safe for many threads.

    :param urls: of Simple APIs, highest priority first; `file:` URLs and paths of directories too.
    :param find_links: directories of archives, or pages that link to archives.
    :param strategy: `first` or `best`. `of_projects`: project → the URL of the only index that may serve it.
    :param locked: project → its files, if a lock names them: no index is read for these projects.
    :param tell: called with notices for the user before an sdist is built.
    :param building: the builds for which this index finds requirements.
    :param solver: finds the requirements of a build, given an index and the settings; without it nothing can be built.
    :param policy: says which index may serve which project; no other one is asked for it.
    """

    def __init__(
        self,
        client: Client,
        urls: Sequence[str],
        find_links: Sequence[str] = (),
        *,
        strategy: IndexStrategy = "first",
        of_projects: Mapping[str, str] | None = None,
        locked: Mapping[str, Sequence[IndexFile]] | None = None,
        tell: Callable[[str], None] = lambda _: None,
        building: tuple[str, ...] = (),
        solver: Callable[[Index, Settings], Requirements] | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._client = client
        self._tell, self._building, self._solver = tell, building, solver
        self.policy = policy
        self._listings = Listings(
            client, urls, find_links, strategy=strategy, of_projects=of_projects, may_serve=self._may_serve
        )
        self._locked = dict(locked or {})
        self._kept = KeptMetadata(client.metadata)
        self._files: Memo[str, Sequence[IndexFile]] = Memo(self._find, client)
        self._typed: Memo[tuple[str, str], IndexFile] = Memo(self._read_url, client)
        self._metadata: Memo[IndexFile, CoreMetadata] = Memo(self._read_metadata, client)

    @property
    def skipped(self) -> Mapping[str, str]:
        """The names of dropped files, each with the reason."""
        return self._listings.skipped

    @property
    def statuses(self) -> Mapping[str, Status]:
        """The status of each project that has one (PEP 792)."""
        return self._listings.statuses

    @property
    def missing(self) -> Sequence[str]:
        """The find-links locations that do not exist."""
        return self._listings.missing

    def files(self, project: str) -> Sequence[IndexFile]:
        """Return the wheels and sdists of a project, by any spelling of its name; `()` if no index has it.

        Raises `NetworkError` if an index fails other than with 404, `UnsafeInputError` for an untrusted page (see
        `simple_api.parse_page`), `UsageError` (`project-name`).
        """
        return self._files.get(normal(project))

    def compare_serials(self) -> None:
        """Ask for no page that has not changed (`bridge.index.listings.Listings.compare_serials`)."""
        self._listings.compare_serials()

    def prefetch_files(self, projects: Iterable[str]) -> None:
        """Start to fetch the pages of `projects`; `files` raises the errors. Threads gain nothing without waiting."""
        for project in map(normal, projects):
            if not self._listings.is_known(project):
                self._files.begin(project)

    def metadata(self, file: IndexFile) -> CoreMetadata:
        """Return the METADATA of a file, checked against its file name.

        Of a wheel, in this order: what an earlier run kept, the wheel if it is local or in the cache, the PEP 658 file,
        the wheel's end by Range requests, the whole wheel. METADATA read by Range is not covered by the wheel's hash;
        it is compared when the wheel is fetched. Of an sdist: the PEP 658 file, or its PKG-INFO, if that is static (PEP
        643); else that of the wheel, which is built now.

        Raises `IntegrityError` (`hash-mismatch`), `UnsafeInputError` (`metadata-invalid`, `wheel-name`,
        `wheel-dist-info`, `zip-frame`, `hash-missing`; for an sdist also `sdist-*`), `NetworkError`, `BuildError`.
        """
        return self._metadata.get(file)

    def metadata_without_build(self, file: IndexFile) -> CoreMetadata | None:
        """Return the METADATA of a file, as `metadata`; `None` for an sdist of which only a build would tell."""
        if file.is_wheel:
            return self._metadata.get(file)
        data = self._static_metadata(file)
        return None if data is None else _of_sdist(data, file)

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None:
        """Start to fetch the METADATA of wheels; `metadata` raises the errors."""
        for file in files:
            if file.is_wheel and not self._kept.has(file):
                self._metadata.begin(file)

    @cached_property
    def _sdists(self) -> SdistSource:
        from bridge.index.sdists import SdistSource  # noqa: PLC0415 - see the module

        return SdistSource(self._client.settings, self.build_requirements, self._tell, building=self._building)

    @cached_property
    def _sources(self) -> SourceTrees:
        from bridge.index.source_trees import SourceTrees  # noqa: PLC0415 - see the module

        return SourceTrees(self._client, self.build_requirements, self._tell, building=self._building)

    def build_requirements(self, key: str = "") -> Requirements:
        """Return what finds the requirements of builds on these indexes; `key` names a single build.

        Raises `BuildError` (`build-failed`) if this index was made without a solver.
        """
        if self._solver is None:
            raise BuildError("build-failed", "this index has no solver for the requirements of a build")
        building = (*self._building, key) if key else self._building
        listings = self._listings
        index = Index(
            self._client,
            listings.urls,
            listings.find_links,
            strategy=listings.strategy,
            of_projects=listings.of_projects,
            tell=self._tell,
            building=building,
            solver=self._solver,
            policy=self.policy,
        )
        return self._solver(index, self._client.settings)

    def _may_serve(self, project: str, origin: str) -> bool:
        return self.policy is None or self.policy.may_serve((project,), origin)

    def fetch(self, file: IndexFile, on_progress: Progress | None = None) -> Path:
        """Return the verified wheel: the file itself, or one built from a verified sdist (with another name and hash).

        Raises `UnsafeInputError` (`hash-missing`), `BuildError`, else as `Client.download`.
        """
        if source_of(file.url) is not None:
            return self._sources.wheel(file)
        path = self._archive(file, on_progress)
        if file.is_wheel:
            self._confirm(file, path)
            return path
        return self._sdists.wheel(file, path)

    def _archive(self, file: IndexFile, on_progress: Progress | None = None) -> Path:
        if file.sha256 is None and local_path(file.url) is None and not file.expected:
            raise UnsafeInputError(
                "hash-missing",
                f"the index gives no sha256 for {file.filename}, so the download could not be verified",
                context=(f"index: {file.origin}",),
                hint="ask the operator of the index to publish hashes, or state the hash in a requirement file:"
                f" {file.project}=={file.version} --hash=sha256:…",
            )
        SECRETS.inherit(file.url, file.origin)
        path = self._client.download(
            file.url, sha256=file.sha256, size=file.size, name=file.filename, on_progress=on_progress
        )
        if file.sha256 is None and file.expected:
            with faults(path):
                check_expected(file, sha256_of(path))
        return path

    def hash_of(self, file: IndexFile) -> str:
        """Return the sha256 of a file; the file is fetched if its index does not state one.

        Raises `IntegrityError` (`hash-mismatch`) for a hash that is not among `file.expected`, else as `fetch`.
        """
        if file.sha256 is not None:
            return file.sha256
        path = self._archive(file)
        with faults(path):
            return sha256_of(path)

    def remarks(self, project: str) -> Sequence[str]:
        """Return why a project has no more files (see `bridge.index.listings.Listings.remarks`)."""
        return () if project in self._locked else self._listings.remarks(normal(project))

    def project_of_url(self, url: str) -> str:
        """Return the project whose source code is at a URL. Raises as `file_of_url`."""
        return self._typed.get((url, "")).project

    def revision(self, file: IndexFile) -> str | None:
        """Return the revision of source code once it is built (`SourceTrees.revision`)."""
        return self._sources.revision(file)

    def file_of_url(self, url: str, project: str) -> IndexFile:
        """Return the file that a requirement names by URL or path (`name @ URL`), with that `url` and no `origin`.

        The fragment may hold a hash (`#sha256=…`). Without one the file is fetched now and hashed: the user who typed
        the URL vouches for it.

        Source code at a URL (`bridge.sdists.location`) is read, and built if only that tells its version.

        Raises `UsageError` (`file-url`) if it is no wheel, sdist or source code of the project; else as `fetch`.
        """
        file = self._typed.get((url, "" if source_of(url) is not None else normal(project)))
        if file.project != normal(project):
            raise of_another_project(url, project, f"it is the project {file.project}")
        return file

    def _find(self, project: str) -> Sequence[IndexFile]:
        if project in self._locked:
            return tuple(self._locked[project])
        return self._listings.files(project)

    def _read_url(self, key: tuple[str, str]) -> IndexFile:
        url, project = SECRETS.kept_public(key[0]), key[1]
        if source_of(url) is not None:
            return self._sources.file(url)
        path = local_path(url)
        link = url if path is None or "://" in url else Path(path).resolve().as_uri()
        try:
            file = file_of_link(link, self._listings.source(link, "", project))
        except ValueError as error:
            raise of_another_project(url, project, str(error)) from error
        if path is None and file.sha256 is not None:
            return replace(file, url=url)
        artifact = self._client.download(url, sha256=file.sha256, size=None, name=file.filename)
        with faults(artifact):
            check_promises(url, artifact)
            return replace(file, url=url, sha256=sha256_of(artifact), size=artifact.stat().st_size)

    # Metadata.

    def _read_metadata(self, file: IndexFile) -> CoreMetadata:
        if source_of(file.url) is not None:
            return self._sources.metadata(file)
        if not file.is_wheel:
            return self._sdist_metadata(file)
        try:
            if (kept := self._kept.parsed(file)) is not None:
                if (kept.name, kept.version) != (file.project, file.version):  # else no version is parsed
                    check_name(parse_wheel_name(file.filename), kept, file.filename)
                return kept
        except UnsafeInputError:
            self._kept.drop(file)
        named = parse_wheel_name(file.filename)
        data = self._metadata_bytes(file)
        metadata = parse_metadata(data, file.filename)
        check_name(named, metadata, file.filename)
        self._kept.set(file, data, is_verified=False)
        return metadata

    def _sdist_metadata(self, file: IndexFile) -> CoreMetadata:
        """Return the METADATA of an sdist, static or that of a build."""
        data = self._static_metadata(file)
        if data is None:
            wheel = self._sdists.wheel(file, self._archive(file))
            data = _metadata_of(wheel, wheel.name)
        return _of_sdist(data, file)

    def _static_metadata(self, file: IndexFile) -> bytes | None:
        """Return the static METADATA of an sdist, and keep it: without it another machine may build another."""
        name = file.filename
        data = kept = self._kept.get(file)
        if data is None and file.has_metadata and not self._client.settings.offline:
            data = self._published_metadata(file)
        is_vouched = kept is None and file.metadata_sha256 is not None
        if data is None or not self._sdists.is_static(data, name, is_vouched=is_vouched):
            data = self._sdists.static_pkg_info(self._archive(file), name)
            if data is not None:
                self._kept.set(file, data, is_verified=True)
        return data

    def _confirm(self, file: IndexFile, path: Path) -> None:
        """Replace METADATA that was read without its hash by that of the verified wheel."""
        if self._kept.is_stated_only(file):
            with suppress(UnsafeInputError):  # reported when the wheel is opened
                self._kept.set(file, _metadata_of(path, file.filename), is_verified=True)

    def _metadata_bytes(self, file: IndexFile) -> bytes:
        local = local_path(file.url)
        path = Path(local) if local is not None else self._client.cached(file.sha256, file.filename)
        if path is None and self._client.settings.offline:
            path = self.fetch(file)  # raises that it is missing
        if path is not None:
            return _metadata_of(path, file.filename)
        data = self._published_metadata(file) if file.has_metadata else None
        if data is None:
            data = self._ranged_metadata(file)
        return _metadata_of(self.fetch(file), file.filename) if data is None else data

    def _published_metadata(self, file: IndexFile) -> bytes | None:
        """Return the file beside the wheel (PEP 658); `None` if it is missing although the index announces it."""
        SECRETS.inherit(f"{file.url}.metadata", file.origin)
        parts = urlsplit(SECRETS.address(file.url).full)
        url = urlunsplit(parts._replace(path=parts.path + ".metadata"))
        page = self._client.get(url, max_bytes=MAX_METADATA, is_page=False)
        if page is None:
            return None
        digest = hashlib.sha256(page.content).hexdigest()
        if file.metadata_sha256 not in {None, digest}:
            raise IntegrityError(
                "hash-mismatch",
                f"the metadata file of {file.filename} does not match the hash of the index",
                context=(f"expected: {file.metadata_sha256}", f"found: {digest}", masked(url)),
            )
        return page.content

    def _ranged_metadata(self, file: IndexFile) -> bytes | None:
        """Read METADATA by Range requests; `None` if that is impossible."""
        SECRETS.inherit(file.url, file.origin)
        try:
            remote = self._client.open_remote(file.url, file.size)
            if remote is None:
                return None
            with closing(remote):
                return read_metadata(file.filename, remote)
        except NetworkError as error:
            if error.id != "range-refused":
                raise
        except _BROKEN_ZIP:
            pass  # the whole file shows whether the archive or the server is at fault
        return None


def _of_sdist(data: bytes, file: IndexFile) -> CoreMetadata:
    metadata = parse_metadata(data, file.filename)
    check_sdist_name(metadata, file.filename)
    return metadata


def _metadata_of(path: Path, filename: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return read_metadata(filename, stream)
    except _BROKEN_ZIP as error:
        reason = (str(path), str(error)[:200])
        raise UnsafeInputError("zip-frame", f"not a readable zip archive: {filename}", context=reason) from error
