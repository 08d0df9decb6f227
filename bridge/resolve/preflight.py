"""What is known of a request without solving it: before the solve, what cannot be right; after it, who else has it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.markers import Marker

from bridge.errors import BridgeError, NoSolutionError, UnsafeInputError
from bridge.faults import faults
from bridge.fetch.urls import local_path, masked, split_credentials
from bridge.model import IndexFile, Resolution
from bridge.requirements.algebra import Requirement, marker_holds
from bridge.requirements.wanted import Wanted
from converters.record import Record

if TYPE_CHECKING:
    from bridge.index.simple_api import Status

__all__ = ["cautions", "check_channels", "check_local_files", "check_solution", "with_other_indexes"]

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


def _unconfigured(requested: str, what: str, channel: str, origins: Mapping[str, str]) -> NoSolutionError:
    """The error for a request that only a channel can serve which is not among this run's."""
    there = ", ".join(dict.fromkeys(map(masked, origins.values()))) or "none"
    facts = [f"you ask for `{requested}`", f"the channel {channel} is not configured"]
    return NoSolutionError(
        "no-solution",
        f"`{requested}` {what} is not configured",
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
                from bridge.archive.wheels import check_wheel  # noqa: PLC0415 - few requests name a file

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
    """The error, and beside it which folder has what is asked for, where an index before it serves the project.

    The first index that has a project serves it alone; a person who meets that for the first time sees no reason. An
    index on the network is not asked for what one before it has, not even to explain: the name may be private.

    :param files_of: (URL of an index, project) → what that index has.
    """
    facts = list(_elsewhere(requirements, urls, files_of))
    if not facts:
        return error
    hint = "where you want the file of another index, name the file: NAME @ URL"
    return NoSolutionError(
        error.id,
        error.message,
        context=(*error.context, *facts),
        hint=f"{error.hint}; {hint}" if error.hint else hint,
        objects=error.objects,
    )


def _elsewhere(
    requirements: Iterable[Requirement], urls: Sequence[str], files_of: Callable[[str, str], Sequence[IndexFile]]
) -> Iterator[str]:
    """What to say of each project that an index serves without the versions that are asked for."""
    for requirement in requirements:
        if requirement.bound == "conda" or requirement.kind == "matchspec" or requirement.url is not None:
            continue
        name, first = requirement.name, ""
        for url in urls:
            if first and local_path(url) is None:
                continue  # the name may be a private one: nobody else is to learn of it
            files: Sequence[IndexFile] = ()
            with suppress(BridgeError):  # what one index does not answer is no reason to hide why there is no solution
                files = files_of(url, name)
            versions = list(dict.fromkeys(file.version for file in files if _meets(requirement, file)))
            if versions and first:
                yield (
                    f"{_shown(url)} has {name} {_few(versions)}, but {_shown(first)} has {name} too and comes first: it"
                    " alone serves it"
                )
                break
            if versions:
                break
            first = first or (url if files else "")


def _meets(requirement: Requirement, file: IndexFile) -> bool:
    if requirement.specifier is not None:
        return requirement.specifier.contains(file.version, prereleases=True)
    return requirement.conda is None or requirement.conda.accepts_version(file.version)


def cautions(found: Resolution, statuses: Mapping[str, Status], installed: Iterable[Record] = ()) -> Iterator[str]:
    """What to warn of: yanked files that a pin asks for (PEP 592), and projects that are archived (PEP 792).

    :param statuses: project -> what its index says of it; `installed`: what is there already, which is not told again.
    """
    there = {record.identity for record in installed}
    for package in found.packages:
        record = package.record
        if record.ecosystem != "wheel" or record.identity in there:
            continue
        if record.yanked is not None:
            reason = record.yanked or "no reason given"
            yield f"{record.label.removeprefix('wheel:')} was yanked by its publisher: {reason}"
        status = statuses.get(record.pypi_names[0]) if record.pypi_names else None
        if status is not None:
            yield f"{record.pypi_names[0]} is {status.word}, says its index: {status.reason}"


def check_solution(
    found: Resolution, wanted: Wanted, kept: Collection[str] = (), *, requires_hashes: bool = False
) -> None:
    """What files say of the whole solution: the environments of a lock (PEP 751), and hashes for all (pip).

    :param kept: URLs of what is in the environment, which is not fetched.

    Raises `NoSolutionError` (`lock-environment`) and `UnsafeInputError` (`hash-missing`).
    """
    if wanted.environments and found.target.python is not None:
        markers = [Marker(text) for text in wanted.environments]
        environment = found.target.marker_environment()
        if not any(marker_holds(marker, environment) for marker in markers):
            raise NoSolutionError(
                "lock-environment",
                "the lock was made for other environments than this one",
                context=[f"made for: {marker}" for marker in markers],
                hint="lock again for this platform and python",
                objects={"derivation": []},
            )
    if requires_hashes:
        fetched = [each.record for each in found.packages if each.record.url not in kept]
        bare = [record.pypi_names[0] for record in fetched if record.ecosystem == "wheel"]
        missing = sorted(set(bare) - wanted.hashes.keys())
        if missing:
            raise UnsafeInputError(
                "hash-missing",
                f"hashes are required, and none is given for {', '.join(missing[:5])}",
                hint="list every package with its --hash, those that others need included",
            )


def _few(versions: Sequence[str]) -> str:
    if len(versions) <= _MANY:
        return ", ".join(versions)
    return f"{versions[-1]} to {versions[0]}"


def _shown(url: str) -> str:
    return split_credentials(url)[0]
