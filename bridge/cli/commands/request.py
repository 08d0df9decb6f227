"""The request of a command line: typed requirements and requirement files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cache.results import Results
from bridge.cli.habits.requirements import check_requirement
from bridge.cli.options import Words
from bridge.config import Settings
from bridge.errors import UsageError
from bridge.model import IndexFile
from bridge.requirements import algebra
from bridge.requirements.files.local import NO_LINK, direct_requirement, package_url
from bridge.requirements.files.values import FileRequirements
from bridge.requirements.typed import typed
from bridge.secrets import SECRETS, masked
from converters.deferred import dataclass, replace

if TYPE_CHECKING:
    from bridge.cli.session import Session
    from bridge.requirements.locked import LockedConda
    from bridge.resolve.locked_records import LockedRecords

__all__ = ["Request", "hint_of_files", "read_request"]

_USUAL = ("environment.yml", "environment.yaml", "pixi.toml", "pyproject.toml", "requirements.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The requirements of a command line and its files; `files` also name channels and indexes.

    `pythons`: the Requires-Python of dynamic projects; `remarks`: warnings about what was typed; `has_typed`: not all
    requirements come from files.
    """

    requirements: tuple[algebra.Requirement, ...]
    files: tuple[FileRequirements, ...] = ()
    pythons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    has_typed: bool = False

    @property
    def words(self) -> str:
        """The requirements as words of a command line, for hints; those of files have no such form."""
        import shlex

        return "" if self.files else shlex.join(masked(each.text) for each in self.requirements)

    @property
    def constraints(self) -> tuple[algebra.Requirement, ...]:
        return tuple(constraint for file in self.files for constraint in file.constraints)

    @property
    def requires_python(self) -> str | None:
        """The specifiers of all files; all must hold."""
        stated = [file.requires_python for file in self.files if file.requires_python]
        return ",".join((*stated, *self.pythons)) or None

    @property
    def is_open(self) -> bool:
        """Whether more decides than what it says: what is at a URL, a program that makes its values."""
        sources = (*self.requirements, *self.constraints)
        return any(each.url for each in sources) or any(file.dynamic for file in self.files)

    @property
    def environments(self) -> tuple[str, ...]:
        """The markers of locks; one must hold on the target (PEP 751)."""
        return tuple(marker for file in self.files for marker in file.environments)

    @property
    def requires_hashes(self) -> bool:
        """Whether each wheel needs a hash: of a lock, unless something else is asked for beside it."""
        return any(file.require_hashes and not (file.lock is not None and self._has_others) for file in self.files)

    @property
    def _has_others(self) -> bool:
        return self.has_typed or any(file.lock is None for file in self.files)

    @property
    def unhashed(self) -> frozenset[str]:
        return frozenset(name for file in self.files for name in file.unhashed)

    @property
    def hashes(self) -> dict[str, frozenset[str]]:
        return {project: hashes for file in self.files for project, hashes in file.hashes.items()}

    @property
    def locked(self) -> dict[str, tuple[IndexFile, ...]]:
        return {project: files for file in self.files for project, files in file.files.items()}

    @property
    def packages(self) -> list[algebra.Requirement]:
        """Those that name conda packages by paths outside channels, or by URLs outside the channels of its files."""
        channels = {channel for file in self.files for channel in file.channels}
        places = [(each, package_url(each)) for each in self.requirements]
        return [each for each, url in places if url is not None and url.rsplit("/", 2)[0] not in channels]

    def locked_records(self, session: Session) -> LockedRecords | None:
        """The conda packages of paths, URLs and locks; those of nothing but locks with a python are all that may be
        chosen.

        `None`: there are no such packages. Raises as `local_packages`.
        """
        packages = self.packages
        if not packages and not any(file.records or file.lock for file in self.files):
            return None
        from bridge.resolve.locked_records import LockedRecords

        records: dict[str, tuple[LockedConda, ...]] = {}
        if packages:
            from bridge.cli.commands.local_packages import local_packages

            records = local_packages(packages, session)
        host = session.settings.conda.names.host  # the built-in channel packs its packages itself
        for each in (each for file in self.files for each in file.records if each.record.origin != host):
            records[each.name] = (*records.get(each.name, ()), each)
        versions = {
            name: (sorted({each.version for each in named}), str(file.lock))
            for file in self.files
            if file.lock is not None
            for name, named in file.locked_names.items()
        }
        is_whole = "python" in records and not self._has_others
        return LockedRecords(by_name=records, versions=versions, is_whole=is_whole)

    @property
    def warnings(self) -> list[str]:
        return [*self.remarks, *(warning for file in self.files for warning in file.warnings)]

    def named(self, session: Session) -> Request:
        """The same request, with what only source code tells: projects of URLs, requirements of dynamic projects.

        Raises what building raises.
        """
        requirements = list(session.named(self.requirements))
        specifiers = []
        for file, project in [(every, each) for every in self.files for each in every.dynamic]:
            session.tell(f"the requirements of {project.name} are dynamic: bridge asks its build backend for them")
            from bridge.requirements.metadata import requirements_of

            metadata = session.index.metadata(session.index.file_of_url(project.url or "", project.name))
            requirements += file.bind(requirements_of(metadata, project.extras))
            specifiers += [metadata.requires_python] if metadata.requires_python else []
        return replace(self, requirements=tuple(requirements), pythons=tuple(specifiers))

    def applied(self, settings: Settings) -> Settings:
        """The settings with the channels and indexes of the files; channels given with `-c` come first.

        A file's channel is optional beside those: people name their mirror with `-c`, where the file's host is barred.
        """
        given = settings.channels if settings.has_channels else ()
        named = () if settings.override_channels else [channel for file in self.files for channel in file.channels]
        channels = tuple(dict.fromkeys((*given, *named)))
        if channels:
            optional = tuple(channel for channel in named if channel not in given) if given else ()
            settings = replace(settings, channels=channels, has_channels=True, optional_channels=optional)
        elif self.packages:  # they may need nothing else
            settings = replace(settings, optional_channels=settings.channels)
        for file in self.files:
            settings = _with_file(settings, file)
        return _with_indexes(settings, self.files)


def _with_file(settings: Settings, file: FileRequirements) -> Settings:
    return replace(
        settings,
        find_links=_known((*settings.find_links, *file.find_links)),
        trusted_hosts=tuple(dict.fromkeys((*settings.trusted_hosts, *file.trusted_hosts))),
        pre=settings.pre or file.pre,
        variables={**settings.variables, **file.variables},
        cooldown=settings.cooldown.or_default(file.exclude_newer).with_exceptions(file.exclude_newer_of),
        builds=replace(settings.builds, formats=settings.builds.formats.with_others(file.formats)),
    )


def _with_indexes(settings: Settings, files: Iterable[FileRequirements]) -> Settings:
    """Add the indexes of files, in the order that `bridge.config.indexes` states."""
    if settings.no_index:
        return settings
    files = tuple(files)
    typed = [url for url in settings.index_urls if url not in settings.default_indexes]
    added = [url for file in files for url in (file.index_url, *file.extra_index_urls) if url is not None]
    is_none = any(file.no_index for file in files)
    replaces_default = is_none or any(file.index_url is not None for file in files)
    default = () if replaces_default else settings.default_indexes
    bound = {project: url for file in files for project, url in file.project_indexes.items()}
    return replace(
        settings,
        index_urls=_known((*typed, *(() if is_none else added), *default)),
        default_indexes=default,
        project_indexes=dict(zip(bound, map(_learned, bound.values()), strict=True)) | dict(settings.project_indexes),
    )


def _known(urls: Iterable[str]) -> tuple[str, ...]:
    """Unique URLs without their secrets, which are kept for requests. Raises `UsageError`."""
    return tuple(dict.fromkeys(map(_learned, urls)))


def _learned(url: str) -> str:
    try:
        if "://" in url:
            url = SECRETS.learn(url)
            SECRETS.add_place(url)
        return url
    except ValueError as error:
        raise UsageError("url-invalid", f"not a URL to fetch from: {masked(url)}", context=(str(error),)) from error


def hint_of_files() -> str:
    """What to do without requirements: the files of this directory that people keep them in."""
    there = " or ".join(f"-r {name}" for name in _USUAL if Path(name).is_file())
    return f"name requirements, or a file: {there or '-r FILE'}"


def read_request(words: Words, platform: str | None = None, cache: Path | None = None) -> Request:
    """Parse the requirements of a command line and read its files for a platform. Raises `UsageError`.

    :param cache: keeps what `packaging` makes of them.
    """
    with typed(Results(cache)) as read:
        request = _read_request(words, platform)
        read.extend((*request.requirements, *request.constraints))
    return request


def _read_request(words: Words, platform: str | None) -> Request:
    options = (*(f"--extra {name}" for name in words.extras), *(f"--group {name}" for name in words.groups))
    options = (*options, *((f"--environment {words.environment}",) if words.environment else ()))
    if options and not words.files:
        option = options[0]
        hint = f"-r pyproject.toml {option}"
        raise UsageError("no-requirements", f"{option} names a part of a file, and no file is named", hint=hint)
    for text in words.requirements:
        check_requirement(text)
    typed = [direct_requirement(text, Path.cwd()) or algebra.parse(text) for text in words.requirements]
    linked = [_editable(text) for text in words.editables]
    plain = [masked(each.url or "") for each in linked if not each.text.startswith("-e ")]
    files = tuple(_read(Path(file), words, platform) for file in words.files)
    requirements = (*typed, *linked, *(requirement for file in files for requirement in file.requirements))
    if not requirements and not any(file.dynamic for file in files):
        where = f" in {', '.join(words.files)}" if words.files else ""
        raise UsageError("no-requirements", f"no requirements{where}", hint=hint_of_files())
    remarks = tuple(f"{url} {NO_LINK}" for url in plain)
    return Request(requirements=requirements, files=files, remarks=remarks, has_typed=bool(typed or linked))


def _editable(text: str) -> algebra.Requirement:
    requirement = direct_requirement(text, Path.cwd(), is_editable=True)
    if requirement is None:
        raise UsageError("invalid-requirement", f"-e {text[:200]} is too long")
    return requirement


def _read(path: Path, words: Words, platform: str | None) -> FileRequirements:
    """Read a requirement file. Extras and groups are those of the TOML files; without any, a file refuses them."""
    from bridge.requirements.files.reading import read

    has_choice = path.suffix.lower() == ".toml" or not any(file.lower().endswith(".toml") for file in words.files)
    return read(
        path,
        platform=platform,
        extras=words.extras if has_choice else (),
        groups=words.groups if has_choice else (),
        environment=words.environment if has_choice else None,
        ignores_missing_paths=words.ignores_missing_paths,
    )
