"""The content of a requirement file, and the error for a file that cannot be used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.config.builds import Formats
from bridge.errors import UsageError
from bridge.model import IndexFile
from bridge.requirements.algebra import Requirement
from bridge.secrets import masked
from converters.deferred import dataclass, regex

if TYPE_CHECKING:
    from bridge.requirements.locked import LockedConda

__all__ = ["Chosen", "FileRequirements", "combined", "expanded", "unique", "wrong"]

_VARIABLE = regex(r"\$\{?([A-Za-z_]\w*)\}?")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequirements:
    """What one file asks for, in its order, without repetitions.

    :param dynamic: projects by their folder; what their metadata requires is asked for, and only a build tells it.
    :param bind: gives requirements of `dynamic` projects the sources that the file names for them (`tool.uv.sources`).
    :param constraints: must hold for a project if it is installed at all (pip's `-c`).
    :param name: of the environment. `channels`: highest priority first.
    :param index_url: replaces the configured indexes; `extra_index_urls` and `find_links` are added, `no_index`
        removes all indexes. As written, credentials included: mask them before they are shown.
    :param project_indexes: project -> the URL of the only index that may serve it, as written.
    :param pre: pre-releases compete. `formats`: which projects may come as wheels or as sources only.
    :param exclude_newer: milliseconds since the epoch: what was published then or later is excluded.
        `exclude_newer_of`: the same for single packages; `None` for no limit.
    :param hashes: project -> the sha256 (lower-case hex) that its files may have. `require_hashes`: every installed
        wheel must have one of these, dependencies included.
    :param files: project -> the files that a lock names; `Index(locked=…)` takes them. `records`: its conda packages.
    :param unhashed: the projects of a lock whose source code is named by a commit or a folder instead of a hash.
    :param lock: the file, if it is a lock: nothing but what it names may be chosen, unless others are asked for too.
    :param requires_python: the PEP 440 specifier of the project or of the lock. `environments`: markers, of which one
        must hold on the target (PEP 751, `tool.uv.environments`).
    :param variables: environment variables of the activated environment.
    :param warnings: what was read and has no effect, one sentence each.
    """

    requirements: tuple[Requirement, ...] = ()
    dynamic: tuple[Requirement, ...] = ()
    bind: Callable[[Iterable[Requirement]], Iterable[Requirement]] = field(default=iter, compare=False)
    constraints: tuple[Requirement, ...] = ()
    name: str | None = None
    channels: tuple[str, ...] = ()
    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    project_indexes: Mapping[str, str] = field(default_factory=dict)
    trusted_hosts: tuple[str, ...] = ()
    pre: bool = False
    formats: Formats = field(default_factory=Formats)
    exclude_newer: int | None = None
    exclude_newer_of: Mapping[str, int | None] = field(default_factory=dict)
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    require_hashes: bool = False
    files: Mapping[str, tuple[IndexFile, ...]] = field(default_factory=dict)
    records: tuple[LockedConda, ...] = ()
    unhashed: frozenset[str] = frozenset()
    lock: Path | None = None
    requires_python: str | None = None
    environments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def locked_names(self) -> dict[str, tuple[LockedConda | IndexFile, ...]]:
        """What a lock names, by conda name or project."""
        packages: dict[str, tuple[LockedConda | IndexFile, ...]] = dict(self.files)
        for each in self.records:
            packages[each.name] = (*packages.get(each.name, ()), each)
        return packages


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What to take from a file.

    :param platform: the subdir that the file is read for.
    :param extras: of a pyproject.toml or a lock. `groups`: their dependency groups.
    :param environment: of a pixi manifest or a lock.
    :param ignores_missing_paths: `NAME @ file:///…` asks for NAME where the path is gone.
    :param environ: for `${NAME}` in pip's lines, and for `$NAME` in channels.
    """

    platform: str
    extras: Sequence[str] = ()
    groups: Sequence[str] = ()
    environment: str | None = None
    ignores_missing_paths: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)


def expanded(text: str, chosen: Chosen, path: Path, where: str) -> str:
    """Return a channel with `$NAME` and `${NAME}` replaced, as conda does (`conda.env.env._expand_channels`).

    Raises `UsageError` (`requirement-file`) for a variable that is not set, which conda leaves as it is.
    """

    def value(name: re.Match[str]) -> str:
        if name[1] not in chosen.environ:
            raise wrong(path, where, f"the environment variable {name[1]} is not set", hint="set it")
        return chosen.environ[name[1]]

    return _VARIABLE.sub(value, text)


def unique(requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """Return the requirements in their order, each text once."""
    return tuple({(requirement.kind, requirement.text): requirement for requirement in requirements}.values())


def wrong(
    path: Path,
    where: int | str | None,
    problem: str,
    *,
    context: Iterable[str] = (),
    hint: str | None = None,
) -> UsageError:
    """Return the error for a file that cannot be used. `where`: the number of a line, or the name of a field."""
    place = f"{path}, line {where}" if isinstance(where, int) else f"{path}, {where}" if where else str(path)
    return UsageError(
        "requirement-file",
        f"{place}: {masked(problem)}",
        context=[masked(line) for line in context],
        hint=hint,
        objects={"path": str(path), "where": where},
    )


def combined(parts: Sequence[FileRequirements]) -> FileRequirements:
    """Return what several tables of one file say together; of a single value, the first that is given."""
    merged = parts[0]
    for part in parts[1:]:
        merged = FileRequirements(
            requirements=unique((*merged.requirements, *part.requirements)),
            dynamic=(*merged.dynamic, *part.dynamic),
            constraints=unique((*merged.constraints, *part.constraints)),
            name=merged.name or part.name,
            channels=tuple(dict.fromkeys((*merged.channels, *part.channels))),
            index_url=merged.index_url or part.index_url,
            extra_index_urls=tuple(dict.fromkeys((*merged.extra_index_urls, *part.extra_index_urls))),
            find_links=tuple(dict.fromkeys((*merged.find_links, *part.find_links))),
            no_index=merged.no_index or part.no_index,
            project_indexes={**part.project_indexes, **merged.project_indexes},
            trusted_hosts=tuple(dict.fromkeys((*merged.trusted_hosts, *part.trusted_hosts))),
            pre=merged.pre or part.pre,
            formats=merged.formats.with_others(part.formats),
            exclude_newer=min((each for each in (merged.exclude_newer, part.exclude_newer) if each), default=None),
            exclude_newer_of={**part.exclude_newer_of, **merged.exclude_newer_of},
            hashes={**merged.hashes, **part.hashes},
            require_hashes=merged.require_hashes or part.require_hashes,
            files={**merged.files, **part.files},
            records=(*merged.records, *part.records),
            unhashed=merged.unhashed | part.unhashed,
            lock=merged.lock or part.lock,
            requires_python=",".join(each for each in (merged.requires_python, part.requires_python) if each) or None,
            environments=(*merged.environments, *part.environments),
            variables={**part.variables, **merged.variables},
            warnings=tuple(dict.fromkeys((*merged.warnings, *part.warnings))),
        )
    return merged
