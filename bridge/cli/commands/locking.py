"""`bridge lock`: a solve for each environment and platform, written as one lock."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from bridge import fs
from bridge.channels.machine import current_subdir
from bridge.cli.commands.missing_hashes import with_local_md5
from bridge.cli.commands.request import Request, hint_of_files, read_request
from bridge.cli.options import Words
from bridge.cli.policies import attested
from bridge.cli.session import Session
from bridge.errors import NoSolutionError, UsageError
from bridge.lock.changes import changes
from bridge.lock.check import misfits
from bridge.lock.content import Content, Format, Inputs, Written, platforms_of
from bridge.lock.formats import format_of, write
from bridge.lock.outcome import Outcome
from bridge.lock.platforms import Place, solve_all
from bridge.lock.previous import Previous, read_previous
from bridge.lock.recorded import (
    recorded_file,
    recorded_option,
    recorded_requirement,
    typed_file,
    typed_option,
    typed_requirement,
)
from bridge.lock.solution import locked_packages
from bridge.lock.targets import assumed, lock_target
from bridge.model import IndexFile, PrefixState, Resolution
from bridge.requirements.algebra import Requirement
from bridge.requirements.files.outline import outline
from bridge.requirements.files.values import unique
from bridge.requirements.locked import Locked, LockedEnvironment
from bridge.resolve import SolveRequest, Standing
from bridge.resolve.installed import InstalledCandidates
from converters.deferred import replace

__all__ = ["DECIDING", "Locking", "OpenSession", "lock", "locked_channels"]

OpenSession: TypeAlias = Callable[[Mapping[str, object], str, Request], AbstractContextManager[Session]]
"""Opens a session: the options that decide what is chosen, the platform, the request."""

DECIDING = frozenset(
    {
        "channel", "override_channels", "channel_priority", "index_url", "extra_index_url", "index", "index_strategy",
        "find_links", "no_index", "name_map", "virtual_package", "prefer", "only", "exclude_newer", "no_build", "pre",
    }
)  # fmt: skip
"""The options that decide which packages are chosen; a lock keeps them."""

_DEFAULT_NAMES: dict[Format, str] = {"rattler": "bridge.lock", "conda-lock": "conda-lock.yml", "pylock": "pylock.toml"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Locking:
    """What `bridge lock` was asked to do.

    :param options: those that were typed and decide what is chosen, by parameter name.
    :param platforms: as typed.
    :param upgrade: names to upgrade; `upgrades_all`: every one.
    """

    words: Words
    options: Mapping[str, object]
    platforms: tuple[str, ...] = ()
    output: str | None = None
    format: Format | None = None
    upgrade: tuple[str, ...] = ()
    upgrades_all: bool = False
    is_check: bool = False
    is_dry_run: bool = False


@dataclass(slots=True)
class _Opened:
    """The requests and sessions of one run, by place."""

    requests: dict[Place, Request] = field(default_factory=dict)
    sessions: dict[Place, Session] = field(default_factory=dict)


def check_folder(path: Path) -> None:
    """Check that a file can be written. Raises `UsageError` (`lock-folder`): its folder is missing."""
    if not path.absolute().parent.is_dir():
        raise UsageError(
            "lock-folder",
            f"{path} cannot be written: {path.parent} is not a directory",
            hint=f"make it first: mkdir -p {shlex.quote(str(path.parent))}",
        )


def lock(asked: Locking, open_session: OpenSession) -> Outcome:
    """Solve for each environment and platform and write the lock, or check the one that is there.

    Raises `NoSolutionError`; `UsageError` (`lock-inputs`, `lock-format`, `requirement-file`).
    """
    path, form = _place(asked)
    check_folder(path)
    previous = read_previous(path, form) if asked.output != "-" else Previous()
    inputs = _inputs(asked, previous, path, form)
    with ExitStack() as stack:
        opened = _Opened()
        folder = path.absolute().parent
        options = {name: typed_option(name, value, folder) for name, value in inputs.options.items()}
        for place, words in _places(inputs, asked, path):
            request = _request(words, place)
            session = stack.enter_context(open_session(options, place.platform, request))
            request = request.named(session)
            is_of_machine = "host" in session.channel_urls() and place.platform == current_subdir()
            session.set_target(
                lock_target(
                    place.platform,
                    session.settings.virtual_packages,
                    request.requirements,
                    session.target if is_of_machine else None,
                )
            )
            opened.requests[place], opened.sessions[place] = request, session
        if asked.is_check:
            return _checked(opened, previous, inputs, path, form)
        return _locked(opened, previous, inputs, asked, path, form)


def _locked(opened: _Opened, previous: Previous, inputs: Inputs, asked: Locking, path: Path, form: Format) -> Outcome:
    """Solve for every place, and write the lock."""

    def solve(place: Place, agreed: Mapping[str, str], pins: Sequence[Requirement]) -> Resolution:
        return _solve(opened, place, Standing(agreed=agreed, pins=tuple(pins)), previous, asked)

    places = tuple(opened.sessions)
    kept = {place: previous.versions(place, without=asked.upgrade) for place in places if not asked.upgrades_all}
    unknown = [f"{name} is not locked: nothing to upgrade" for name in _unlocked(asked.upgrade, previous)]
    next(iter(opened.sessions.values())).tell_once(unknown)
    resolutions = solve_all(places, solve, kept)
    environments = _environments(resolutions, opened, previous, asked)
    if form == "conda-lock":
        environments = with_local_md5(environments)
    content = Content(environments=environments, inputs=inputs)
    written = write(content, path, form)
    _write(path, written, asked)
    return Outcome(
        path=path,
        format=form,
        content=content,
        changes=changes(previous.environments, content.environments, is_of_wheels=form == "pylock"),
        left_out=written.left_out,
        is_written=not asked.is_dry_run and asked.output != "-",
        text=written.text,
    )


def _unlocked(names: Iterable[str], previous: Previous) -> list[str]:
    """Return the names that nothing locks."""
    listed = (listed for environment in previous.environments for listed in environment.packages.values())
    known = {each.name for packages in listed for each in packages}
    return [name for name in names if name not in known]


def _place(asked: Locking) -> tuple[Path, Format]:
    if asked.output is None:
        form: Format = asked.format or "rattler"
        if form not in _DEFAULT_NAMES:
            raise UsageError("lock-format", f"--format {form} needs a file to write", hint="name it with -o FILE")
        return Path(_DEFAULT_NAMES[form]), form
    if asked.output == "-":
        return Path("-"), asked.format or "rattler"
    return Path(asked.output), asked.format or format_of(Path(asked.output))


def _inputs(asked: Locking, previous: Previous, path: Path, form: Format) -> Inputs:
    """Return what to lock: what was typed, else what the lock that is there was made from."""
    words, folder = asked.words, path.absolute().parent
    typed = Inputs(
        requirements=tuple(recorded_requirement(text, folder) for text in words.requirements),
        editables=tuple(recorded_requirement(text, folder) for text in words.editables),
        files=tuple(recorded_file(file, folder) for file in words.files),
        extras=tuple(words.extras),
        groups=tuple(words.groups),
        environments=(words.environment,) if words.environment else (),
        platforms=asked.platforms,
        options={name: recorded_option(name, value, folder) for name, value in asked.options.items()},
    )
    if not typed.is_empty:
        # Other tools' locks, and conda-lock's format, do not say what they were made from, but for which platforms.
        locked = () if form == "pylock" else platforms_of(previous.environments)
        return replace(typed, platforms=typed.platforms or previous.inputs.platforms or locked)
    before = previous.inputs
    if before.is_empty:
        context = () if not previous.exists else (f"{path} does not say what it was made from",)
        raise UsageError("lock-inputs", "nothing to lock", context=context, hint=hint_of_files())
    return replace(before, platforms=typed.platforms or before.platforms, options={**before.options, **asked.options})


def _places(inputs: Inputs, asked: Locking, path: Path) -> Iterator[tuple[Place, Words]]:
    """Yield each environment and platform to solve for, with its words."""
    folder = path.absolute().parent
    files = [typed_file(file, folder) for file in inputs.files]
    outlines = [outline(Path(file)) for file in files]
    named = tuple(dict.fromkeys(platform for each in outlines for platform in each.platforms))
    platforms = inputs.platforms or named or (current_subdir(),)
    words = Words(
        requirements=[typed_requirement(text, folder) for text in inputs.requirements],
        files=files,
        extras=inputs.extras,
        groups=inputs.groups,
        editables=[typed_requirement(text, folder) for text in inputs.editables],
        ignores_missing_paths=asked.words.ignores_missing_paths,
    )
    environments = {name: allowed for each in outlines for name, allowed in each.environments.items()}
    groups = tuple(dict.fromkeys(group for each in outlines for group in each.groups))
    chosen = inputs.environments or tuple(environments) or ("default",)
    if not (inputs.groups or inputs.extras or inputs.environments):
        chosen = tuple(dict.fromkeys((*chosen, *groups)))
    for name in chosen:
        if name in environments or name not in (*groups, "default"):
            # Of a name that no file has, the reader says which environments there are.
            own = replace(words, environment=name if name != "default" else None)
        else:
            own = replace(words, groups=(name,)) if name in groups else words
        allowed = environments.get(name) or platforms
        for platform in platforms:
            if platform in allowed:
                yield Place(environment=name, platform=platform), own


def _request(words: Words, place: Place) -> Request:
    """Return the request of an environment; that of a dependency group has the project too."""
    if words.groups != (place.environment,):
        return read_request(words, place.platform)
    project = read_request(replace(words, groups=()), place.platform)
    group = read_request(replace(words, requirements=(), editables=()), place.platform)
    return replace(
        project,
        requirements=unique((*project.requirements, *group.requirements)),
        files=(*project.files, *group.files),
    )


def _solve(opened: _Opened, place: Place, standing: Standing, previous: Previous, asked: Locking) -> Resolution:
    session, request = opened.sessions[place], opened.requests[place]
    kept = {} if asked.upgrades_all else previous.kept(place, without=asked.upgrade)
    channels = session.channels()
    names = session.names(channels.urls)
    urls = frozenset(each.url for each in request.requirements if each.url)
    offered = InstalledCandidates(records=previous.records(place), urls=urls, is_known_only=True)
    resolution = session.resolve(request, channels, names, standing=replace(standing, kept=kept), offered=offered)
    session.tell_once(resolution.warnings)
    return attested(resolution, session, names)


def _hashed(resolution: Resolution, session: Session) -> Resolution:
    """Return a solution with the hashes of files whose index states none: these are fetched."""
    packages = []
    for package in resolution.packages:
        record = package.record
        if record.ecosystem == "wheel" and record.sha256 is None and record.revision is None:
            record = replace(record, sha256=session.index.hash_of(IndexFile.of_record(record)))
        packages.append(replace(package, record=record))
    return replace(resolution, packages=tuple(packages))


def _environments(
    resolutions: Mapping[Place, Resolution], opened: _Opened, previous: Previous, asked: Locking
) -> tuple[LockedEnvironment, ...]:
    by_name: dict[str, dict[str, tuple[Locked, ...]]] = {}
    for place, solution in resolutions.items():
        packages = locked_packages(_hashed(solution, opened.sessions[place]))
        if not asked.upgrades_all:
            packages = tuple(previous.with_choices(place, packages, without=asked.upgrade))
        by_name.setdefault(place.environment, {})[place.platform] = packages
    return tuple(_environment(name, packages, opened) for name, packages in by_name.items())


def _environment(name: str, packages: Mapping[str, tuple[Locked, ...]], opened: _Opened) -> LockedEnvironment:
    places = [Place(environment=name, platform=platform) for platform in packages]
    sessions = [opened.sessions[place] for place in places]
    requests = [opened.requests[place] for place in places]
    return LockedEnvironment(
        name=name,
        channels=_unique(url for session in sessions for url in locked_channels(session)),
        indexes=_unique(url for session in sessions for url in session.settings.index_urls),
        find_links=_unique(place for session in sessions for place in session.settings.find_links),
        packages=packages,
        virtual_packages={place.platform: assumed(opened.sessions[place].target) for place in places},
        requires_python=next((each.requires_python for each in requests if each.requires_python), None),
    )


def locked_channels(session: Session, state: PrefixState | None = None) -> list[str]:
    """Return the URLs of the channels as locks name them: `host` is the folder where its packages are kept."""
    host = session.settings.conda.names.host or "host"
    return [host if url == "host" else url.rstrip("/") for url in session.channel_urls(state)]


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _write(path: Path, written: Written, asked: Locking) -> None:
    if not asked.is_dry_run and asked.output != "-":
        fs.publish_file(path.absolute(), [written.text.encode("utf-8")])


def _checked(opened: _Opened, previous: Previous, inputs: Inputs, path: Path, form: Format) -> Outcome:
    """Compare the lock that is there with what it should lock. Raises `NoSolutionError` (`lock-outdated`)."""
    if not previous.exists:
        raise UsageError("lock-inputs", f"there is no lock {path} to check", hint="write it with `bridge lock`")
    differences = [f"{place}: {text}" for place in opened.sessions for text in _misfits(opened, place, previous)]
    differences += _others(opened.sessions, previous)
    if previous.is_conflict:
        differences.insert(0, "it has a merge conflict")
    if differences:
        raise NoSolutionError(
            "lock-outdated",
            f"{path} no longer fits what it was made from",
            context=tuple(dict.fromkeys(differences)),
            hint="`bridge lock` updates it, and changes no more than it must",
        )
    content = Content(environments=previous.environments, inputs=inputs)
    return Outcome(path=path, format=form, content=content, is_checked=True)


def _misfits(opened: _Opened, place: Place, previous: Previous) -> list[str]:
    session, request = opened.sessions[place], opened.requests[place]
    locked = previous.environment(place)
    if locked is None:
        return ["it is not locked"]
    wanted = SolveRequest(
        requirements=request.requirements,
        constraints=request.constraints,
        requires_python=request.requires_python,
    )
    urls = locked_channels(session)
    names = session.names(session.channel_urls())
    texts = misfits(wanted, locked.packages[place.platform], session.target, names, session.options())
    if urls != [url.rstrip("/") for url in locked.channels]:
        texts.append(f"the lock has the channels {', '.join(locked.channels)}, and this request {', '.join(urls)}")
    return texts


def _others(places: Iterable[Place], previous: Previous) -> Sequence[str]:
    wanted = set(places)
    return [
        f"{place} is locked and no longer required"
        for environment in previous.environments
        for platform in environment.packages
        if (place := Place(environment=environment.name, platform=platform)) not in wanted
    ]
