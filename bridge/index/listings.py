"""Which files a project has on the package indexes and find-links locations of one run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.errors import NetworkError
from bridge.fetch.client import Client
from bridge.fetch.memo import Memo
from bridge.fetch.responses import Page
from bridge.fetch.urls import local_path
from bridge.index.naming import page_url
from bridge.index.parsed_pages import ParsedPages
from bridge.index.project_list import read_projects
from bridge.index.simple_api import (
    ACCEPT,
    MAX_PAGE,
    PageListing,
    Source,
    Status,
    directory_listing,
    file_of_link,
    is_archive,
    parse_page,
)
from bridge.model import IndexFile
from bridge.secrets import SECRETS, masked
from converters.projects import canonicalize_name

if TYPE_CHECKING:
    from bridge.config.indexes import IndexStrategy

__all__ = ["Listings"]

_FORBIDDEN = 403  # the status of an answer


class Listings:
    """The pages of several indexes, as one. Thread-safe. The parameters are those of `bridge.index.Index`.

    `skipped` maps the names of dropped files to the reason, `statuses` projects to their status (PEP 792), `missing`
    are the find-links locations that do not exist.
    """

    def __init__(
        self,
        client: Client,
        urls: Sequence[str],
        find_links: Sequence[str],
        *,
        strategy: IndexStrategy,
        of_projects: Mapping[str, str] | None = None,
        may_serve: Callable[[str, str], bool] = lambda _project, _origin: True,
    ) -> None:
        """:param may_serve: (project, index or location) → whether the policy allows it; no other one is asked."""
        self._client = client
        self._pages = ParsedPages(client.settings)
        self.may_serve = may_serve
        self.urls = tuple(map(SECRETS.kept_public, urls))
        self.find_links = tuple(map(SECRETS.kept_public, find_links))
        self.strategy = strategy
        self.of_projects = {project: SECRETS.kept_public(url) for project, url in (of_projects or {}).items()}
        self.skipped: dict[str, str] = {}
        self.statuses: dict[str, Status] = {}
        self.missing: list[str] = []
        self._urls: dict[tuple[str, str], str] = {}
        self._remarks: dict[str, list[str]] = {}
        self._skipped_links: dict[str, Sequence[tuple[str, str]]] = {}  # of each find-links location
        self._projects: Memo[str, dict[str, int | None]] = Memo(partial(read_projects, client), client)
        self._has_serials = False
        self._flat: Memo[str, dict[str, tuple[IndexFile, ...]]] = Memo(self._read_flat, client)

    def files(self, project: str) -> Sequence[IndexFile]:
        """Return the files of a project by its normalised name. Raises as `bridge.index.Index.files`."""
        if project in self.of_projects:
            if not self._may_serve(project, self.of_projects[project]):
                return ()
            return self._files_of(self.of_projects[project], project) or ()
        locations = [location for location in self.find_links if self._may_serve(project, location)]
        linked = [file for location in locations for file in self._flat.get(location).get(project, ())]
        try:
            served = self._serve(project)
        except NetworkError as error:
            if error.id != "offline" or not linked:
                raise
            served = ()
        named = {file.filename for file in linked}
        return (*linked, *(file for file in served if file.filename not in named)) if linked else served

    def compare_serials(self) -> None:
        """Read the list of projects of each index, and ask for no page that has not changed since it was stored.

        That is one large request instead of one for each project: only where the list gives serials, as PyPI's does.
        """
        self._has_serials = True
        for base in {*self.urls, *self.of_projects.values()}:
            if local_path(base) is None:
                self._projects.begin(base)

    def remarks(self, project: str) -> Sequence[str]:
        """Return, for a project that `files` was asked for, why links are no candidates: one sentence each."""
        release = re.compile(rf"{re.escape(project)}-v?[0-9]")
        linked = [
            _left_out(name, reason)
            for names in self._skipped_links.values()
            for name, reason in names
            if release.match(canonicalize_name(name))
        ]
        return tuple(dict.fromkeys((*self._remarks.get(project, ()), *linked)))

    def _serve(self, project: str) -> Sequence[IndexFile]:
        """Return the files of the first index that has the project, or of all that have it.

        Files of the same name and hash are one; of the same name and different hashes, a `--hash` may admit only one.
        """
        served: dict[tuple[str, str | None], IndexFile] = {}
        for base in self.urls:
            if not self._may_serve(project, base):
                continue
            files = self._files_of(base, project)
            if files is not None and self.strategy == "first":
                return files
            for file in files or ():
                served.setdefault((file.filename, file.sha256), file)
        return tuple(served.values())

    def _may_serve(self, project: str, place: str) -> bool:
        is_allowed = self.may_serve(project, place)
        if not is_allowed:
            self._remark(project, f"{masked(place)} is not searched for {project}, because the policy forbids it")
        return is_allowed

    def _files_of(self, base: str, project: str) -> Sequence[IndexFile] | None:
        """Return the files of a project on one index; `None` if it does not have the project."""
        path = local_path(base)
        if path is not None:
            return self._local_files(Path(path), base, project)
        url = self._page_url(base, project)
        source = self.source(url, base, project)
        if not self._has_serials and (listing := self._pages.fresh(url, source)) is not None:
            self._client.note_cached(url)
            return self._accept(listing, base, project)
        serial = self._projects.get(base).get(project) if self._has_serials else None
        try:
            page = self._client.get(url, accept=ACCEPT, max_bytes=MAX_PAGE, serial=serial)
        except NetworkError as error:
            # Object stores answer 403 for what they do not have. The list of projects shows that it is not there.
            names = self._projects.get(base) if error.objects.get("status") == _FORBIDDEN else ()
            if not names or project in names:
                raise
            return None
        if page is None:
            return None
        if page.base in {"", url} and (listing := self._pages.parsed(url, page, source)) is not None:
            return self._accept(listing, base, project)
        listing = parse_page(page.content, page.headers.get("content-type", ""), self._source_of(page, base, project))
        return self._accept(self._pages.keep(url, page, listing), base, project)

    def is_known(self, project: str) -> bool:
        """Whether the files of a project are on this machine: its index would not be asked."""
        base = self.of_projects.get(project) or next(iter(self.urls), None)
        if base is None or self._has_serials or self.strategy != "first" or self.find_links:
            return False
        return local_path(base) is None and self._pages.is_fresh(self._page_url(base, project))

    def _page_url(self, base: str, project: str) -> str:
        if (base, project) not in self._urls:
            self._urls[base, project] = page_url(base, project)
        return self._urls[base, project]

    def _remark(self, project: str, sentence: str) -> None:
        self._remarks.setdefault(project, []).append(sentence)

    def _parse(self, page: Page, origin: str, project: str | None) -> Sequence[IndexFile]:
        source = self._source_of(page, origin, project)
        listing = parse_page(page.content, page.headers.get("content-type", ""), source)
        return self._accept(listing, origin, project)

    def _source_of(self, page: Page, origin: str, project: str | None) -> Source:
        return self.source(page.base or page.url, origin, project)

    def _accept(self, listing: PageListing, origin: str, project: str | None) -> Sequence[IndexFile]:
        self.skipped.update(listing.dropped)
        if project is None:
            self._skipped_links[origin] = listing.dropped
            return listing.files
        for name, reason in listing.dropped:
            self._remark(project, _left_out(name, reason))
        if listing.status is not None:
            self.statuses[project] = listing.status
        return listing.files

    def _local_files(self, root: Path, origin: str, project: str) -> Sequence[IndexFile] | None:
        """Return a project's files below a directory: by `<project>/index.html`, else the files of `<project>/`."""
        if not root.is_dir():
            hint = "correct the path or remove the index from the configuration; bridge does not skip to the next index"
            raise NetworkError("index-missing", f"there is no package index at {root}", hint=hint)
        directory = root.resolve() / project
        page = self._client.get((directory / "index.html").as_uri(), max_bytes=MAX_PAGE)
        if page is not None:
            return self._parse(page, origin, project)
        if not directory.is_dir():
            return None
        return self._accept(
            directory_listing(directory, self.source(directory.as_uri(), origin, project)), origin, project
        )

    def _read_flat(self, location: str) -> dict[str, tuple[IndexFile, ...]]:
        """Read a find-links location, by project: a directory with its pages, a page, or a file itself, as in pip.

        A missing one is noted in `missing`.
        """
        local = local_path(location)
        path = None if local is None else Path(local).expanduser().resolve()
        if path is not None and path.is_dir():
            files = [*self._accept(directory_listing(path, self.source(path.as_uri(), location, None)), location, None)]
            for page_path in sorted(path.glob("*.htm*")):
                files += self._linked(page_path.as_uri(), location) or ()
        else:
            linked = self._linked(location if path is None else path.as_uri(), location)
            if linked is None:
                self.skipped[masked(location)] = "there is no such directory or page"
                self.missing.append(masked(location))
                return {}
            files = [*linked]
        groups: dict[str, list[IndexFile]] = {}
        for file in files:
            groups.setdefault(file.project, []).append(file)
        return {project: tuple(group) for project, group in groups.items()}

    def _linked(self, url: str, location: str) -> Sequence[IndexFile] | None:
        """Return the file at a URL, or those that the page there links to; `None` if there is neither."""
        if is_archive(url):
            path = local_path(url)
            if path is not None and not Path(path).is_file():
                return None
            return (file_of_link(url, self.source(url, location, None)),)
        page = self._client.get(url, max_bytes=MAX_PAGE)
        return None if page is None else self._parse(page, location, None)

    def source(self, url: str, origin: str, project: str | None) -> Source:
        """Return the source of a page at `url`, for `simple_api`."""
        hosts = self._client.settings.trusted_hosts
        return Source(url=url, origin=origin, project=project, trusted_hosts=hosts)


def _left_out(name: str, reason: str) -> str:
    return f"{masked(name)} is left out: {reason}"
