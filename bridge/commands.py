"""What each command does, over the ports of a session. Nothing here prints; what is written is written by others."""

from __future__ import annotations

import json
import os
import platform
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag

from bridge import algebra, documents, prefix, transaction
from bridge import audit as audits
from bridge import convert as conversions
from bridge import plan as plans
from bridge import resolve as resolver
from bridge.apply import Outcome, Supply, change_prefix, create_prefix
from bridge.audit.inventory import Inventory, Ownership, Reasons, ownership
from bridge.audit.inventory import inventory as list_inventory
from bridge.audit.inventory import why as give_reasons
from bridge.config import Settings
from bridge.convert import ConvertedPackage
from bridge.errors import BridgeError, NoSolutionError, OwnershipError, UsageError
from bridge.fs import fingerprint
from bridge.model import IndexFile, Plan, PrefixState, Resolution
from bridge.repair import plan_repair
from bridge.requirement_files import FileRequirements, local_requirement, read
from bridge.resolve.catalog import Project
from bridge.session import Session
from converters.names import NameMap
from converters.record import Record
from converters.target import Python
from converters.wheel import CoreMetadata, WheelInfo, parse_wheel_name

__all__ = [
    "Asked",
    "Outcome",
    "asked",
    "audit",
    "convert",
    "create",
    "install",
    "inventory",
    "owner",
    "recover",
    "remove",
    "repair",
    "resolve",
    "resolve_batch",
    "update",
    "why",
]


_Planned = Callable[[], tuple[PrefixState, Plan, Supply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a command line and its files ask for; what the files say of channels and indexes is in `files`."""

    requirements: tuple[algebra.Requirement, ...]
    files: tuple[FileRequirements, ...] = ()

    @property
    def constraints(self) -> tuple[algebra.Requirement, ...]:
        return tuple(constraint for file in self.files for constraint in file.constraints)

    @property
    def requires_python(self) -> str | None:
        """The specifiers of all files, joined: all of them must hold."""
        return ",".join(file.requires_python for file in self.files if file.requires_python) or None

    @property
    def hashes(self) -> dict[str, frozenset[str]]:
        return {project: hashes for file in self.files for project, hashes in file.hashes.items()}

    @property
    def locked(self) -> dict[str, tuple[IndexFile, ...]]:
        return {project: files for file in self.files for project, files in file.files.items()}

    @property
    def warnings(self) -> list[str]:
        return [warning for file in self.files for warning in file.warnings]

    def applied(self, settings: Settings) -> Settings:
        """The settings with what the files say of channels and indexes; an option of the command line beats a file."""
        for file in self.files:
            settings = _with_file(settings, file)
        return settings


def _with_file(settings: Settings, file: FileRequirements) -> Settings:
    if file.channels and not settings.has_channels:
        settings = replace(settings, channels=file.channels, has_channels=True)
    urls = settings.index_urls if file.index_url is None else (file.index_url,)
    if file.no_index:
        urls = ()
    return replace(
        settings,
        index_urls=tuple(dict.fromkeys((*file.extra_index_urls, *urls))),
        find_links=tuple(dict.fromkeys((*settings.find_links, *file.find_links))),
        trusted_hosts=tuple(dict.fromkeys((*settings.trusted_hosts, *file.trusted_hosts))),
        pre=settings.pre or file.pre,
        no_build=settings.no_build or file.no_build,
    )


def asked(texts: Sequence[str], files: Sequence[str], extras: Sequence[str], groups: Sequence[str]) -> Asked:
    """The requirements of a command line, typed and from files. Raises `UsageError`."""
    typed = [algebra.parse(local_requirement(text, Path.cwd()) or text) for text in texts]
    found = tuple(read(Path(file), extras=extras, groups=groups) for file in files)
    requirements = (*typed, *(requirement for file in found for requirement in file.requirements))
    if not requirements:
        raise UsageError("no-requirements", "nothing is asked for", hint="name requirements, or a file with -r")
    return Asked(requirements=requirements, files=found)


def resolve(wanted: Asked, session: Session) -> Resolution:
    """One joint solve on the session's target."""
    channels = session.channels()
    return session.resolve(wanted, channels, session.names(channels))


def resolve_batch(path: Path, session: Session) -> Iterator[dict[str, object]]:
    """Solve the requests of a JSON-lines file, one document each, in order; a request that fails is a document too."""
    channels = session.channels()
    catalog = session.catalog(channels, session.names(channels))
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("batch-file", f"{path} cannot be read", context=(str(error),)) from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        request = _request(line, f"{path}:{number}")
        try:
            conda = [algebra.conda_requirement(text) for text in request["conda"]]
            pypi = [algebra.parse_pypi(text) for text in request["pypi"]]
            found = resolver.resolve([*conda, *pypi], catalog)
        except BridgeError as error:
            yield {"id": request["id"], **documents.error(error)}
        else:
            yield {"id": request["id"], **documents.resolution(found)}


def _request(line: str, where: str) -> dict[str, list[str]]:
    try:
        request = json.loads(line)
        conda, pypi = request.get("conda", []), request.get("pypi", [])
        if not all(isinstance(text, str) for text in [*conda, *pypi]):
            raise TypeError("a requirement is no text")
    except (ValueError, TypeError, AttributeError) as error:
        hint = 'a request is {"id": …, "conda": ["numpy >=2"], "pypi": ["rich>=13"]}'
        raise UsageError("batch-file", f"{where} is no request", context=(str(error),), hint=hint) from error
    return {"id": request.get("id"), "conda": conda, "pypi": pypi}


def create(path: Path, wanted: Asked, session: Session, *, is_dry_run: bool = False) -> Outcome:
    """A new environment. Raises `OwnershipError` (`prefix-exists`) before anything is fetched."""
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise OwnershipError(
            "prefix-exists",
            f"{path} is there already",
            hint=f"add to it with: bridge install -p {path}, or choose another path",
        )
    channels = session.channels()
    names = session.names(channels)
    resolution = session.resolve(wanted, channels, names)
    session.warnings += resolution.warnings
    planned = plans.diff(PrefixState(prefix=path), resolution, path)
    if is_dry_run:
        return Outcome(plan=planned)
    return create_prefix(planned, Supply(session=session, channels=channels, names=names))


def install(path: Path, wanted: Asked, session: Session, *, is_dry_run: bool = False) -> Outcome:
    """Add requirements. What is installed is kept where it can be, and never dropped silently for want of a root."""

    def planned() -> tuple[PrefixState, Plan, Supply]:
        state = prefix.require(path)
        supply = _supply(session, state)
        resolution = _resolve_with(state, wanted, supply, kept=_kept(state))
        session.warnings += resolution.warnings
        return state, plans.diff(state, resolution, path), supply

    return _run(path, planned, session, is_dry_run=is_dry_run)


def update(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> Outcome:
    """Bring packages to the newest that fits; without names, all of them."""

    def planned() -> tuple[PrefixState, Plan, Supply]:
        state = prefix.require(path)
        supply = _supply(session, state)
        moving = {each.meta_path for name in names for each in plans.matching(state, name)}
        staying = [each for each in state.installed if names and each.meta_path not in moving]
        resolution = _resolve_with(
            state, Asked(requirements=()), supply, kept=_kept(replace(state, installed=tuple(staying)))
        )
        session.warnings += resolution.warnings
        return state, plans.diff(state, resolution, path), supply

    return _run(path, planned, session, is_dry_run=is_dry_run)


def remove(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> Outcome:
    """Take packages away, and what came only for their sake. Needs no network."""

    def planned() -> tuple[PrefixState, Plan, Supply]:
        state = prefix.require(path)
        return state, plans.removal(state, session.target, names), _supply(session, state)

    return _run(path, planned, session, is_dry_run=is_dry_run)


def _run(path: Path, planned: _Planned, session: Session, *, is_dry_run: bool) -> Outcome:
    prefix.require(path)
    if is_dry_run:
        return Outcome(plan=planned()[1])
    return change_prefix(path, planned, session)


def _supply(session: Session, state: PrefixState) -> Supply:
    channels = session.channels(state)
    return Supply(session=session, channels=channels, names=session.names(channels, state))


def _kept(state: PrefixState) -> dict[str, str]:
    """Installed packages by the resolver's identifiers, to be kept where they do."""
    kept: dict[str, str] = {}
    for installed in state.installed:
        record = installed.record
        if record.ecosystem == "conda":
            kept[record.name] = record.identity
        elif record.pypi_names:
            kept[f"pypi:{record.pypi_names[0]}"] = record.filename
    return kept


def _resolve_with(state: PrefixState, wanted: Asked, supply: Supply, *, kept: Mapping[str, str]) -> Resolution:
    """Solve for the new requirements, those of before, and the presence of all that is installed.

    Where that has no solution, what was never asked for may go; where it still has none, the explanation is of this.
    """
    fresh = {requirement.name for requirement in wanted.requirements}
    before = [
        algebra.parse(text)
        for installed in state.installed
        for text in installed.requested
        if algebra.parse(text).name not in fresh
    ]
    presence = [_presence(record) for record in (each.record for each in state.installed)]
    everything = replace(wanted, requirements=(*wanted.requirements, *before))
    session, channels, names = supply.session, supply.channels, supply.names
    try:
        return session.resolve(everything, channels, names, present=presence, state=state, kept=kept)
    except NoSolutionError:
        return session.resolve(everything, channels, names, state=state, kept=kept)


def _presence(record: Record) -> algebra.Requirement:
    if record.ecosystem == "wheel" and record.pypi_names:
        return algebra.parse_pypi(record.pypi_names[0])
    return algebra.conda_requirement(record.name)


def convert(
    wanted: Asked,
    output: Path,
    session: Session,
    *,
    has_index: bool,
    archive_format: conversions.Format,
    level: int,
) -> tuple[list[ConvertedPackage], dict[str, BridgeError]]:
    """Convert wheel files, and requirements that the index serves; one that fails does not stop the others.

    Returns the packages, and the errors by the text that led to them.
    """
    names = session.names(session.local_channels())
    written: list[ConvertedPackage] = []
    failures: dict[str, BridgeError] = {}
    for text in (requirement.text for requirement in wanted.requirements):
        try:
            written.append(_convert_one(text, output, session, names, archive_format, level))
        except BridgeError as error:
            failures[text] = error
    if has_index and (written or output.is_dir()):
        conversions.write_index(output)
        conversions.write_names(output, names)
    return written, failures


def _convert_one(
    text: str, output: Path, session: Session, names: NameMap, archive_format: conversions.Format, level: int
) -> ConvertedPackage:
    requirement = algebra.parse_pypi(text)
    file = _newest_file(requirement, session)
    archive = session.index.fetch(file, session.progress)
    origin = WheelInfo(
        filename=file.filename if file.is_wheel else archive.name,
        metadata=session.index.metadata(file),
        url=file.url,
        origin=file.origin,
        sha256=file.sha256 if file.is_wheel else None,
        size=file.size if file.is_wheel else None,
        yanked=file.yanked,
        upload_time=file.upload_time,
    )
    tags = parse_wheel_name(origin.filename).tags
    is_anywhere = any(tag.platform == "any" for tag in tags)
    target = session.target.with_python(_running_python()) if is_anywhere or session.settings.platform else None
    lookup = _Lookup(session)
    return conversions.convert_wheel(
        archive, output, target=target, names=names, origin=origin, lookup=lookup, level=level, format=archive_format
    )


def _newest_file(requirement: algebra.Requirement, session: Session) -> IndexFile:
    """The best file of a project that meets a requirement on the target. Raises `NoSolutionError`."""
    if requirement.url is not None:
        return session.index.file_of_url(requirement.url, requirement.name)
    project = Project(requirement.name, session.index.files(requirement.name), session.target, session.options())
    meets = project.meets(requirement.specifier) & ~(project.yanked & ~project.pinned(requirement.specifier))
    finals = meets & ~project.prereleases
    wants_early = session.settings.pre or not finals
    tags = frozenset(session.target.with_python(_running_python()).tags())
    for place, file in enumerate(project.files):
        if (meets if wants_early else finals) >> place + 1 & 1 and _runs(file, tags):
            return file
    raise NoSolutionError(
        "no-solution",
        f"no file of {requirement.name} meets `{requirement.text}` on {session.target.subdir}",
        context=[f"{reason}: {len(files)} files" for reason, files in project.barred.items()],
        objects={"derivation": []},
    )


def _runs(file: IndexFile, tags: frozenset[Tag]) -> bool:
    return not file.is_wheel or not parse_wheel_name(file.filename).tags.isdisjoint(tags)


def _running_python() -> Python:
    """The interpreter bridge runs on: the python for which a wheel's open markers are judged."""
    return Python(version=platform.python_version(), free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")))


class _Lookup:
    """The metadata of other projects, for the extras that a wheel asks of them; `None` where no index has them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(self, project: str, specifier: SpecifierSet) -> CoreMetadata | None:
        try:
            requirement = algebra.parse_pypi(f"{project}{specifier}")
            return self._session.index.metadata(_newest_file(requirement, self._session))
        except NoSolutionError:
            return None


def audit(path: Path, session: Session) -> audits.Report:
    """Read, hash and judge an environment."""
    state = prefix.require(path)
    return audits.audit(path, session.target, _local_names(session, state))


def repair(path: Path, found: audits.Report, session: Session) -> Outcome:
    """Install again what an audit found damaged, in one transaction."""
    return change_prefix(path, lambda: plan_repair(path, found, lambda state: _supply(session, state)), session)


def inventory(path: Path, session: Session) -> Inventory:
    """What is installed, and from where."""
    state = prefix.require(path)
    return list_inventory(state, _local_names(session, state))


def why(path: Path, name: str, session: Session) -> Reasons:
    """Why a package is there. Raises `UsageError` (`not-installed`)."""
    state = prefix.require(path)
    return give_reasons(state, session.target, _local_names(session, state), name)


def owner(path: Path, wanted: str) -> Ownership:
    """Who owns a path, given relative to the prefix or to the working directory, or absolute."""
    state = prefix.require(path)
    inside = Path(os.path.abspath(wanted))
    relative = wanted if not inside.is_relative_to(path) else inside.relative_to(path).as_posix()
    return ownership(state, relative, fingerprint(path, relative))


def recover(path: Path) -> transaction.Recovery:
    """Settle an interrupted transaction."""
    prefix.require(path)
    return transaction.recover(path)


def _local_names(session: Session, state: PrefixState) -> NameMap:
    return session.names(session.channels(state), state)
