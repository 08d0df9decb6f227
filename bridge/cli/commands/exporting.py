"""`bridge export`: an environment, or a lock, in one of the formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge import fs, prefix
from bridge.audit.report.clock import stated_time
from bridge.channels.places import located
from bridge.channels.sources import Channels
from bridge.cli.commands.locking import check_folder, locked_channels
from bridge.cli.commands.missing_hashes import with_hashes, with_local_md5
from bridge.cli.session import Session
from bridge.config.activation import stated_variables
from bridge.errors import UsageError
from bridge.lock.bill import bill
from bridge.lock.content import Content, Format, platforms_of
from bridge.lock.environment_yml import environment_document
from bridge.lock.formats import format_of, write
from bridge.lock.installed import asked_for, environment_of
from bridge.lock.outcome import Outcome
from bridge.lock.requirements_txt import write_requirements
from bridge.paths import quoted
from bridge.requirements.files.locks.reading import read_lock
from bridge.requirements.locked import Locked, LockedConda, LockedEnvironment
from bridge.transaction.sharing import share
from converters.deferred import replace

__all__ = ["Exporting", "export", "export_lock"]

_WITH_HASHES: tuple[Format, ...] = ("rattler", "conda-lock", "explicit")
"""The formats that hold hashes of conda packages."""

_BILLS = (".spdx.json", ".spdx.yaml", ".spdx", ".cdx.json", ".cdx.xml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporting:
    """What `bridge export` was asked to do.

    :param has_builds: conda packages are pinned by version and build, not by version alone.
    :param has_hashes: whether a requirements.txt has the hash of each file.
    :param platforms: of a lock: those to take; empty: all. `environment`: of a lock.
    """

    output: str = "-"
    format: Format | None = None
    is_from_history: bool = False
    has_builds: bool = True
    has_hashes: bool = True
    platforms: tuple[str, ...] = ()
    environment: str | None = None

    @property
    def path(self) -> Path:
        """The file to write; its folder is where relative paths start."""
        return Path(self.output if self.output != "-" else "export")

    @property
    def is_bill(self) -> bool:
        return self.format is None and self.output.lower().endswith(_BILLS)

    @property
    def form(self) -> Format:
        if self.format is not None:
            return self.format
        if self.output != "-":
            return format_of(self.path)
        return "environment" if self.has_hashes else "requirements"


def export(path: Path, asked: Exporting, session: Session) -> Outcome:
    """Write an installed environment. Raises `UsageError` (`no-prefix`, `lock-format`, `lock-folder`)."""
    if asked.output != "-":
        check_folder(asked.path)
    with share(path, session.settings.lock_timeout):
        state = prefix.require(path)
        urls = locked_channels(session, state)
        variables = stated_variables(path)
        if asked.is_from_history:
            if asked.form != "environment":
                raise UsageError(
                    "lock-format", "--from-history writes an environment.yml", hint="leave out --format, or -o FILE"
                )
            conda, pip = asked_for(state)
            text = environment_document(
                name=path.name, channels=_names(urls, session), conda=conda, wheels=pip, variables=variables
            )
            content = Content(environments=(), name=path.name, variables=variables)
            is_unknown = not (conda or pip) and bool(state.installed or state.distributions)
            unknown = ("everything: no record of this environment says what was requested",) if is_unknown else ()
            return _published(asked, content, text, unknown)
        target = session.target if state.python is None else session.target.with_python(state.python)
        content, lacking = environment_of(state, target, channels=urls, variables=variables)
        if asked.is_bill or asked.form in _WITH_HASHES:
            content, unverified = _hashed(
                content, lambda: session.channels(state), needs_md5=asked.form == "conda-lock"
            )
            lacking += () if asked.is_bill or asked.form == "explicit" else unverified  # its writer names them
    return _write(asked, content, lacking, session)


def _hashed(content: Content, channels: Callable[[], Channels], *, needs_md5: bool) -> tuple[Content, tuple[str, ...]]:
    """Return the environment with the hashes that its records lack, and which could not be found."""
    (environment,) = content.environments
    ((platform, packages),) = environment.packages.items()
    whole, without = with_hashes(packages, channels, needs_md5=needs_md5)
    environment = replace(environment, packages={platform: whole})
    text = "the sha256 of {}, which neither its record nor its channel states: `bridge sync` refuses such a lock"
    return replace(content, environments=(environment,)), tuple(text.format(name) for name in without)


def export_lock(path: Path, asked: Exporting, session: Session) -> Outcome:
    """Write a lock in another format.

    Raises `UsageError` (`lock-format`, `lock-environment`, `lock-platform`), and as reading a lock.
    """
    lock = read_lock(path)
    environments = lock.environments if asked.environment is None else (lock.environment(asked.environment),)
    platforms = asked.platforms or platforms_of(environments)
    for platform in platforms:
        if not any(platform in each.packages for each in environments):
            environments[0].on(platform, path)
    environments = tuple(
        replace(each, packages={name: each.packages[name] for name in platforms if name in each.packages})
        for each in environments
    )
    if chosen_later := sorted(_chosen_later(environments)):
        raise UsageError(
            "lock-format",
            f"{path} leaves it to the installer which files of a project to take",
            context=(f"{', '.join(chosen_later[:8])}",),
            hint=f"`bridge lock -r {quoted(path)} python -o bridge.lock` chooses for each platform",
        )
    if not asked.is_bill and asked.form == "conda-lock":
        environments = with_local_md5(environments)
    return _write(asked, Content(environments=environments), lock.warnings, session)


def _chosen_later(environments: Iterable[LockedEnvironment]) -> Iterator[str]:
    """Yield the projects that have several files for a platform, or a marker."""
    for packages in (listed for environment in environments for listed in environment.packages.values()):
        counted = Counter(each.name for each in packages if not isinstance(each, LockedConda))
        yield from (name for name, count in counted.items() if count > 1)
        yield from (each.name for each in packages if not isinstance(each, LockedConda) and each.marker)


def _write(asked: Exporting, content: Content, lacking: Sequence[str], session: Session) -> Outcome:
    """Write in the format asked for. Raises `UsageError` (`lock-format`)."""
    if not asked.has_builds and (asked.is_bill or asked.form != "environment"):
        raise UsageError("lock-format", "--no-builds writes an environment.yml", hint="leave out --format, or -o FILE")
    if not asked.has_hashes and (asked.is_bill or asked.form != "requirements"):
        hint = "add --format requirements; the other formats are locks, which need their hashes"
        raise UsageError("lock-format", "--no-hashes writes a requirements.txt", hint=hint)
    if asked.is_bill:
        data = bill(content, asked.path.name, stated_time(), session.names(()), session.target)
        return _published(asked, content, data.decode("utf-8"), lacking)
    shown = content
    if asked.form == "environment":
        environments = tuple(
            replace(
                each,
                channels=tuple(_names(each.channels, session)),
                packages=each.packages if asked.has_builds else _without_builds(each.packages),
            )
            for each in content.environments
        )
        shown = replace(content, environments=environments)
    written = write(shown, asked.path, asked.form) if asked.has_hashes else write_requirements(shown, has_hashes=False)
    return _published(asked, content, written.text, (*lacking, *written.left_out))


def _without_builds(packages: Mapping[str, Sequence[Locked]]) -> dict[str, tuple[Locked, ...]]:
    """Return the packages of each platform, those of conda without their builds."""
    return {
        platform: tuple(
            replace(each, record=replace(each.record, build="")) if isinstance(each, LockedConda) else each
            for each in listed
        )
        for platform, listed in packages.items()
    }


def _published(asked: Exporting, content: Content, text: str, left_out: Sequence[str]) -> Outcome:
    to_file = asked.output != "-"
    if to_file:
        fs.publish_file(asked.path.absolute(), [text.encode("utf-8")])
    return Outcome(
        path=asked.path if to_file else Path("-"),
        format="bill" if asked.is_bill else asked.form,
        content=content,
        left_out=tuple(dict.fromkeys(left_out)),
        is_written=to_file,
        text=text,
    )


def _names(urls: Sequence[str], session: Session) -> list[str]:
    """Return the channels by the names that conda's configuration has for them, else by their URLs."""
    return [_name(url, session) or url for url in urls]


def _name(url: str, session: Session) -> str | None:
    name = url.rstrip("/").rpartition("/")[2]
    if url == session.settings.conda.names.host:
        return "host"
    if not url.startswith(("http:", "https:")) or Path(name).exists():
        return None  # a name that is a folder means the folder
    try:
        return name if list(located([name], session.settings.conda.names, session.target.subdir)) == [url] else None
    except UsageError:
        return None
