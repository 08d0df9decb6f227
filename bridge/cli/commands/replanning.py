"""Planning a change of an environment: one solve for what is asked now, what was asked before, and what is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from packaging.utils import canonicalize_name

from bridge.cli.commands.request import Request
from bridge.errors import NoSolutionError, OwnershipError
from bridge.install import plan as plans
from bridge.install.frozen_and_pinned import pins
from bridge.install.sources import Sources
from bridge.model import Installed, Plan, PrefixState, Resolution, Resolved
from bridge.prefix.claims import incoming, label
from bridge.requirements import algebra
from bridge.requirements.foreign import Foreign, displaced, foreign
from bridge.resolve.installed import InstalledCandidates
from converters.record import Record

__all__ = ["plan_change"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What one change is planned from.

    :param state: the packages whose records count: without those that another installer replaced (`replaced`).
    :param moving: meta paths of the installed packages that are to be brought up to date.
    :param untrue: meta paths of the records in `state` whose dist-info is gone.
    """

    state: PrefixState
    wanted: Request
    sources: Sources
    others: tuple[Foreign, ...]
    moving: frozenset[str]
    untrue: frozenset[str]
    replaced: tuple[Installed, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names that are asked for now."""
        return frozenset(canonicalize_name(each.name) for each in self.wanted.requirements)


def plan_change(state: PrefixState, wanted: Request, sources: Sources, moving: Collection[str] = ()) -> Plan:
    """The plan that meets `wanted` and brings `moving` (meta paths) up to date.

    What was installed is kept where it can be. A package that another installer removed is installed again where it is
    asked for, moves, or is needed by what comes; a distribution that another installer put there meets needs and stays
    as it is. Raises `NoSolutionError`, `NetworkError`; `OwnershipError` (`foreign-distribution`) where `moving` names
    what another installer replaced.
    """
    case = _case(state, wanted, sources, frozenset(moving))
    again = frozenset(each.meta_path for each in case.state.installed if _is_wanted(each, case))
    while True:
        found = _resolve(case, again)
        own = _without(found, case.others)
        plan = plans.diff(case.state, own, state.prefix, again=again)
        needed = _needed(found, plan, case)
        lacking = frozenset(
            each.meta_path for each in case.state.installed if each.meta_path in case.untrue and _has(each, needed)
        )
        if lacking <= again:
            break
        again |= lacking
    _check_replaced(plan, case)
    _tell_dropped(case)
    sources.session.warnings += found.warnings
    sources.session.warnings += [_warning(each) for each in case.others if each.replaces is not None]
    return replace(plan, keep=(*plan.keep, *case.replaced))


def _case(state: PrefixState, wanted: Request, sources: Sources, moving: frozenset[str]) -> _Case:
    others = foreign(state, sources.session.target)
    names = {canonicalize_name(each.name) for each in wanted.requirements}
    if sources.session.settings.adopt:  # What is asked for takes the place of what another installer put there.
        others = tuple(each for each in others if each.project not in names)
    if len(moving) < len(state.installed):
        for each in others:
            if each.replaces is not None and each.replaces.meta_path in moving:
                raise _was_replaced(each, state)
    replaced = {each.replaces.meta_path: each.replaces for each in others if each.replaces is not None}
    true = replace(state, installed=tuple(each for each in state.installed if each.meta_path not in replaced))
    return _Case(
        state=true,
        wanted=wanted,
        sources=sources,
        others=others,
        moving=moving,
        untrue=frozenset(each.meta_path for each in displaced(true)),
        replaced=tuple(replaced.values()),
    )


def _check_replaced(plan: Plan, case: _Case) -> None:
    """Whether nothing comes in the place of what another installer replaced: neither would be whole afterwards."""
    coming = {name for each in incoming(plan) for name in (each.record.name, *each.record.pypi_names)}
    for each in case.others:
        if each.replaces is not None and not coming.isdisjoint({each.project, each.replaces.record.name}):
            raise _was_replaced(each, case.state)


def _tell_dropped(case: _Case) -> None:
    """Warn of the environment's channels that did not answer. An update that could ask none of them was none."""
    channels, session = case.sources.channels, case.sources.session
    remote = [url for url, text in zip(channels.urls, channels.texts, strict=True) if text != "host"]
    if case.moving and channels.dropped and len(channels.dropped) == len(remote):
        raise next(iter(channels.dropped.values()))
    session.warnings += [f"what came from it stays as it is: {error.message}" for error in channels.dropped.values()]


def _is_wanted(installed: Installed, case: _Case) -> bool:
    """Whether a package whose record is not true is asked for by name, or moves."""
    if installed.meta_path not in case.untrue:
        return False
    names = {canonicalize_name(installed.record.name), *installed.record.pypi_names}
    return installed.meta_path in case.moving or not names.isdisjoint(case.names)


def _has(installed: Installed, needed: Collection[str]) -> bool:
    return installed.record.name in needed


def _needed(found: Resolution, plan: Plan, case: _Case) -> frozenset[str]:
    """The names of what comes and of what is asked for now, and of all that these need."""
    texts = {each.text for each in case.wanted.requirements}
    agenda = [each.record.name for each in incoming(plan)]
    agenda += [each.record.name for each in found.packages if not texts.isdisjoint(each.requested)]
    needs: dict[str, list[str]] = {}
    for package in found.packages:
        for user in package.required_by:
            needs.setdefault(user, []).append(package.record.name)
    reached: set[str] = set()
    while agenda:
        name = agenda.pop()
        if name not in reached:
            reached.add(name)
            agenda += needs.get(name, ())
    return frozenset(reached)


def _without(found: Resolution, others: Iterable[Foreign]) -> Resolution:
    """The solution without the distributions that other installers put there: they are there."""
    urls = {each.file.url for each in others}
    return replace(found, packages=tuple(each for each in found.packages if each.record.url not in urls))


def _was_replaced(found: Foreign, state: PrefixState) -> OwnershipError:
    return OwnershipError(
        "foreign-distribution",
        _warning(found),
        hint=f"record what is there: bridge adopt -p {state.prefix} {found.project}; then ask again",
    )


def _warning(found: Foreign) -> str:
    assert found.replaces is not None
    record, by = found.replaces.record, label(found.distribution)
    return f"{record.name} {record.version} was replaced by {by}, which bridge did not install and leaves alone"


def _kept(case: _Case) -> dict[str, str]:
    """Installed packages by the resolver's identifiers, to be kept where they do; what is to move is not kept."""
    kept: dict[str, str] = {}
    for installed in case.state.installed:
        record = installed.record
        if installed.meta_path in case.moving:
            continue
        if record.ecosystem == "conda":
            kept[record.name] = record.identity
        elif record.pypi_names:
            kept[f"pypi:{record.pypi_names[0]}"] = record.filename
    return kept | {f"pypi:{each.project}": each.file.filename for each in case.others}


def _resolve(case: _Case, again: frozenset[str]) -> Resolution:
    """Solve for the new requirements, those of before, and the presence of all that is installed.

    What carries the same project as something that comes now gives way to it, with what was asked for its sake: one
    package of several distributions to their wheels, and wheels to the package that carries them.
    """
    gone: set[str] = set()
    while True:
        left = replace(case.state, installed=tuple(each for each in case.state.installed if each.meta_path not in gone))
        found = _solve(left, case, again)
        superseded = {each.meta_path for each in _superseded(_without(found, case.others).packages, left)}
        if not superseded:
            return found
        gone |= superseded


def _superseded(packages: Iterable[Resolved], state: PrefixState) -> Iterator[Installed]:
    """The installed packages that share a project, in another ecosystem, with one that comes."""
    there = {(each.record.ecosystem, each.record.name): each for each in state.installed}
    records = [package.record for package in packages]
    wheels = {record.pypi_names[0]: record for record in records if record.ecosystem == "wheel"}
    for record in records:
        for project in record.pypi_names if record.ecosystem == "conda" else ():
            wheel = wheels.get(project)
            if wheel is None:
                continue
            pair = [there.get((each.ecosystem, each.name)) for each in (record, wheel)]
            if pair.count(None) == 1:
                yield from (each for each in pair if each is not None)


def _solve(left: PrefixState, case: _Case, again: Collection[str]) -> Resolution:
    """Where the presence of all that is left has no solution, what came for the sake of something else may go; where it
    still has none, the explanation is of this. What nothing accounts for stays: nobody records that it is not wanted.
    """
    fresh = {requirement.name for requirement in case.wanted.requirements}
    before = [
        algebra.parse(text)
        for installed in left.installed
        for text in installed.requested
        if algebra.parse(text).name not in fresh
    ]
    presence = [_presence(each.record) for each in left.installed]
    target = case.sources.session.target
    strays = [_presence(each.record) for each in plans.unaccounted(left, target)]
    everything = replace(case.wanted, requirements=(*case.wanted.requirements, *before))
    session, channels, names = case.sources.session, case.sources.channels, case.sources.names
    there, kept, pinned = _present(case, again), _kept(case), pins(left.prefix)
    try:
        return session.resolve(everything, channels, names, retained=presence, offered=there, kept=kept, pins=pinned)
    except NoSolutionError:
        return session.resolve(everything, channels, names, retained=strays, offered=there, kept=kept, pins=pinned)


def _present(case: _Case, again: Collection[str]) -> InstalledCandidates:
    """What the environment offers; a wheel that is to be installed again has to come from where it came from."""
    moving = [each.record for each in case.state.installed if each.meta_path in case.moving]
    return InstalledCandidates(
        records=tuple(
            each.record
            for each in case.state.installed
            if each.meta_path not in again or each.record.ecosystem == "conda"
        ),
        foreign=case.others,
        requested=case.names,
        direct=frozenset(each.name for each in case.state.distributions if each.direct_url is not None) - case.names,
        urls=frozenset(each.url for each in case.wanted.requirements if each.url is not None),
        updated=frozenset(name for record in moving for name in record.pypi_names[:1]),
    )


def _presence(record: Record) -> algebra.Requirement:
    if record.ecosystem == "wheel" and record.pypi_names:
        return algebra.parse_pypi(record.pypi_names[0])
    return algebra.conda_requirement(record.name)
