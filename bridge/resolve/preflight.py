"""Checks of a request before the solve, and of its solution or error after it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from bridge.config.cooldown import Cooldown
from bridge.errors import NoSolutionError, UnsafeInputError, UsageError, few
from bridge.model import IndexFile, Resolution
from bridge.requirements.algebra import CondaSpec, Requirement, marker_holds, parse
from bridge.secrets import masked
from converters.deferred import regex, replace
from converters.record import Record

if TYPE_CHECKING:
    from bridge.index.simple_api import Status
    from bridge.requirements.wanted import Wanted

__all__ = [
    "bound_to_channels",
    "check_solution",
    "solution_warnings",
    "undated_warning",
    "with_hashes",
    "with_hidden_records",
    "without_choices",
]

_MANY = 3
_QUOTED = regex(r"`([^`]+)`(?:, which conda calls (\S+))?")
_OF_PYTHON = regex(r" requires python (.+)")


def bound_to_channels(
    requirements: Iterable[Requirement],
    reach: Callable[[str, str], frozenset[str]],
    lists_wheels: Callable[[str, frozenset[str]], bool] = lambda *_: False,
    given: Collection[str] = (),
) -> tuple[Requirement, ...]:
    """Return the requirements, each channel clause with the origins of the channels that it names.

    :param reach: (conda name, channel clause) → those origins; it lets these channels serve the name.
    :param lists_wheels: (conda name, origins) → whether these channels list wheels under the name; then a clause on the
        channel alone does not bind it to conda.
    """
    return tuple(
        requirement if requirement.conda is None else _bound(requirement, requirement.conda, reach, lists_wheels, given)
        for requirement in requirements
    )


def _bound(
    requirement: Requirement,
    spec: CondaSpec,
    reach: Callable[[str, str], frozenset[str]],
    lists_wheels: Callable[[str, frozenset[str]], bool],
    given: Collection[str],
) -> Requirement:
    if spec.url is not None and spec.url.partition("#")[0] not in given:
        reach(spec.name, spec.url.rsplit("/", 2)[0])  # the package's record has to be read
    if spec.channel is None:
        return requirement
    origins = reach(spec.name, spec.channel)
    is_free = not spec.names_a_file and not requirement.text.startswith("conda:") and lists_wheels(spec.name, origins)
    return replace(requirement, conda=replace(spec, origins=origins), bound=None if is_free else requirement.bound)


def with_hidden_records(
    error: NoSolutionError, requirements: Iterable[Requirement], hidden: Callable[[str], Sequence[Record]]
) -> NoSolutionError:
    """Add to an error which records strict channel priority leaves out, of the names that the explanation mentions.

    :param hidden: conda name → the records that an earlier channel with the name hides.
    """
    asked = {each.text for each in requirements}
    facts, clauses = [], []
    for name, stated in _stated(error).items():
        by_channel: dict[str, list[str]] = {}
        for record in hidden(name):
            by_channel.setdefault(record.origin, []).append(record.version)
        requests = [each for each in stated if each.text in asked]
        others = [each for each in stated if each.text not in asked]
        for channel, every in by_channel.items():
            versions = [version for version in every if all(each.accepts(version) for each in requests)]
            versions = [version for version in versions if not others or any(each.accepts(version) for each in others)]
            if versions:
                from bridge.resolve.explain.ranges import version_range  # noqa: PLC0415 - only a refusal needs it

                shown = version_range(name, versions, every)
                facts.append(f"{masked(channel)} has {shown}, which strict priority hides behind an earlier channel")
                clauses.append(f"`{masked(channel)}::{name}`")
    if not facts:
        return error
    hint = f"use --channel-priority flexible, or ask for {' or '.join(clauses[:_MANY])}"
    return NoSolutionError(
        error.id,
        error.message,
        context=(*error.context, *facts),
        hint=f"{error.hint}, or {hint}" if error.hint else hint,
        objects=error.objects,
    )


def _stated(error: NoSolutionError) -> Mapping[str, Sequence[Requirement]]:
    """Return the requirements that the sentences of an explanation quote, by conda name."""
    steps = error.objects.get("derivation")
    stated: dict[str, list[Requirement]] = {}
    for step in steps if isinstance(steps, list) else ():
        for sentence in step["because"]:
            of_python = [(f"python {text}", "") for text in _OF_PYTHON.findall(sentence)]
            for text, called in (*_QUOTED.findall(sentence), *of_python):
                with suppress(UsageError):  # an option, or a part of a requirement
                    requirement = parse(text)
                    stated.setdefault(called or requirement.name, []).append(requirement)
    return stated


def solution_warnings(
    resolution: Resolution, statuses: Mapping[str, Status], installed: Iterable[Record] = ()
) -> Iterator[str]:
    """Yield warnings: yanked files that a pin requests (PEP 592), and archived projects (PEP 792).

    :param statuses: project → its status on the index; `installed`: packages for which no warning is repeated, unless
        their projects were quarantined since.
    """
    known = {record.identity for record in installed}
    for package in resolution.packages:
        record = package.record
        if record.ecosystem != "wheel":
            continue
        status = statuses.get(record.pypi_names[0]) if record.pypi_names else None
        is_quarantined = status is not None and status.word == "quarantined"
        if record.identity in known and not is_quarantined:
            continue
        if record.yanked is not None:
            reason = record.yanked or "no reason given"
            yield f"{record.label.removeprefix('wheel:')} was yanked by its publisher: {reason}"
        if status is not None:
            yield f"{record.pypi_names[0]} is {status.word} on its index: {status.reason}"


def undated_warning(resolution: Resolution, cooldown: Cooldown, installed: Iterable[Record] = ()) -> str | None:
    """Return the warning about new conda packages that have no time, which a cooldown cannot judge."""
    known = {record.identity for record in installed}
    undated = sorted(
        record.name
        for record in (package.record for package in resolution.packages)
        if record.ecosystem == "conda"
        and record.timestamp is None
        and record.identity not in known
        and cooldown.limit((record.name, *record.pypi_names), record.origin) is not None
    )
    if not undated:
        return None
    return f"--exclude-newer cannot judge packages whose channel gives no time: {few(undated, 5)}"


def check_solution(
    resolution: Resolution, wanted: Wanted, kept: Collection[str] = (), *, requires_hashes: bool = False
) -> None:
    """Check a whole solution: the environments of a lock (PEP 751), and required hashes (pip).

    :param kept: URLs of installed packages, which are not fetched.

    Raises `NoSolutionError` (`lock-environment`) and `UnsafeInputError` (`hash-missing`).
    """
    if wanted.environments and resolution.target.python is not None:
        environment = resolution.target.marker_environment()
        if not any(marker_holds(marker, environment) for marker in wanted.environments):
            raise NoSolutionError(
                "lock-environment",
                "the lock was made for other environments than this one",
                context=[f"made for: {marker}" for marker in wanted.environments],
                hint="lock again for this platform and python",
                objects={"derivation": []},
            )
    if requires_hashes:
        fetched = [each.record for each in resolution.packages if each.record.url not in kept]
        bare = [record.pypi_names[0] for record in fetched if record.ecosystem == "wheel"]
        missing = sorted(set(bare) - wanted.hashes.keys() - set(wanted.unhashed))
        if missing:
            raise UnsafeInputError(
                "hash-missing",
                f"hashes are required, but none is given for {', '.join(missing[:5])}",
                hint="list every package with its --hash, dependencies included",
            )


def without_choices(resolution: Resolution) -> Resolution:
    """Return a solution whose packages do not state why the other ecosystem does not provide them."""
    return replace(resolution, packages=tuple(replace(each, choice="") for each in resolution.packages))


def with_hashes(
    resolution: Resolution,
    hashes: Mapping[str, frozenset[str]],
    kept: Collection[str],
    hash_of: Callable[[IndexFile], str],
) -> Resolution:
    """Return the solution with the sha256 of files whose index states none, where the request requires hashes.

    :param kept: URLs of installed packages, which are not fetched.
    :param hash_of: fetches a file and checks its hash. Raises `IntegrityError` (`hash-mismatch`).
    """
    packages = []
    for package in resolution.packages:
        record = package.record
        project = record.pypi_names[0] if record.ecosystem == "wheel" and record.pypi_names else ""
        if project in hashes and record.sha256 is None and record.url not in kept:
            file = replace(IndexFile.of_record(record), expected=tuple(sorted(hashes[project])))
            packages.append(replace(package, record=replace(record, sha256=hash_of(file))))
        else:
            packages.append(package)
    return replace(resolution, packages=tuple(packages))
