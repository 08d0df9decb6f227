"""What is known of a request without solving it: before the solve, what cannot be right; after it, who else has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bridge.algebra import Requirement
from bridge.errors import BridgeError, NoSolutionError
from bridge.faults import faults
from bridge.fetch.urls import local_path, masked, split_credentials
from bridge.model import IndexFile

__all__ = ["check_channels", "check_local_files", "with_other_indexes"]

_MANY = 3


def check_channels(requirements: Iterable[Requirement], origins: Mapping[str, str]) -> None:
    """Whether each channel that is asked for by name is one of this run's.

    :param origins: URL → how it is called, of the channels and of those that installed packages came from.

    Raises `NoSolutionError` (`no-solution`).
    """
    for requirement in requirements:
        spec = requirement.conda
        if spec is not None and spec.url is not None:
            _check_url(requirement.text, spec.url, origins)
        if spec is None or spec.channel is None:
            continue
        anything = replace(spec, build=None, build_number=None, subdir=None)
        if not any(anything.accepts_build("", 0, origin) for origin in origins):
            raise _unconfigured(requirement.text, f"asks for the channel {spec.channel}, which", spec.channel, origins)


def _check_url(text: str, url: str, origins: Mapping[str, str]) -> None:
    """Whether a conda package that is named by its URL is one of this run's channels': its record has to be read."""
    channel = url.rsplit("/", 2)[0]
    if not any(channel == origin.rstrip("/") for origin in origins):
        raise _unconfigured(masked(text), "is a package of a channel that", masked(channel), origins)


def _unconfigured(asked: str, what: str, channel: str, origins: Mapping[str, str]) -> NoSolutionError:
    """The error for a request that only a channel can serve which is not among this run's."""
    there = ", ".join(dict.fromkeys(map(masked, origins.values()))) or "none"
    facts = [f"you ask for `{asked}`", f"the channel {channel} is not configured"]
    return NoSolutionError(
        "no-solution",
        f"`{asked}` {what} is not configured",
        context=(f"channels: {there}",),
        hint=f"add it with -c {channel}",
        objects={"derivation": [{"because": facts, "so": "there is no solution"}]},
    )


def check_local_files(requirements: Iterable[Requirement]) -> None:
    """Judge the wheels and sdists of this machine that a person names, so that a damaged one is told as what it is.

    One that is not there is left to the index. Raises `UnsafeInputError` and `IntegrityError` as `bridge.archive`.
    """
    for requirement in requirements:
        location = None if requirement.url is None else local_path(requirement.url.partition("#")[0])
        if location is None or not (path := Path(location)).is_file():
            continue
        with faults(path):
            if path.suffix == ".whl":
                from bridge.archive import check_wheel  # noqa: PLC0415 - few requests name a file

                check_wheel(path)
            elif path.name.endswith((".tar.gz", ".zip")):
                from bridge.archive.sdists import check_sdist  # noqa: PLC0415

                check_sdist(path)


def with_other_indexes(
    error: NoSolutionError,
    requirements: Iterable[Requirement],
    urls: Sequence[str],
    files_of: Callable[[str, str], Sequence[IndexFile]],
) -> NoSolutionError:
    """The error, and beside it which index has what is asked for, where one that comes before it serves the project.

    The first index that has a project serves it alone; a person who meets that for the first time sees no reason.

    :param files_of: (URL of an index, project) → what that index has.
    """
    said = list(_elsewhere(requirements, urls, files_of))
    if not said:
        return error
    facts = [
        f"{_shown(later)} has {name} {_few(versions)}, but {_shown(first)} has {name} too and comes first: it alone"
        " serves it"
        for name, versions, first, later in said
    ]
    later = said[0][3]
    hint = f"ask {_shown(later)} first: --index-url {_shown(later)}"
    return NoSolutionError(
        error.id,
        error.message,
        context=(*error.context, *facts),
        hint=f"{hint}, or {error.hint}" if error.hint else hint,
        objects=error.objects,
    )


def _elsewhere(
    requirements: Iterable[Requirement], urls: Sequence[str], files_of: Callable[[str, str], Sequence[IndexFile]]
) -> Iterator[tuple[str, list[str], str, str]]:
    """(project, versions, the index that serves it, a later one that has these versions) where only a later one has."""
    for requirement in requirements:
        if requirement.bound == "conda" or requirement.kind == "matchspec" or requirement.url is not None:
            continue
        first: str | None = None
        for url in urls:
            files: Sequence[IndexFile] = ()
            with suppress(BridgeError):  # what one index does not answer is no reason to hide why there is no solution
                files = files_of(url, requirement.name)
            versions = list(dict.fromkeys(file.version for file in files if _meets(requirement, file)))
            if first is not None and versions:
                yield requirement.name, versions, first, url
                break
            if files and first is None:
                if versions:
                    break
                first = url


def _meets(requirement: Requirement, file: IndexFile) -> bool:
    if requirement.specifier is not None:
        return requirement.specifier.contains(file.version, prereleases=True)
    return requirement.conda is None or requirement.conda.accepts_version(file.version)


def _few(versions: Sequence[str]) -> str:
    if len(versions) <= _MANY:
        return ", ".join(versions)
    return f"{versions[-1]} to {versions[0]}"


def _shown(url: str) -> str:
    return split_credentials(url)[0]
