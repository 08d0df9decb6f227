"""Plan a change of an environment: one solve for new requests, earlier requests and installed packages."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator

from bridge.cli.commands.request import Request
from bridge.cli.commands.way_out import with_way_out
from bridge.errors import NoSolutionError, OwnershipError
from bridge.install import plan as plans
from bridge.install.earlier import check_superseded, earlier_requests
from bridge.install.frozen_and_pinned import pins
from bridge.install.sources import Sources
from bridge.model import Installed, Plan, PrefixState, Resolution, Resolved
from bridge.paths import quoted
from bridge.prefix.claims import incoming, label, leaving
from bridge.requirements import algebra
from bridge.requirements.displaced import displaced
from bridge.requirements.foreign import Foreign, foreign
from bridge.resolve import SEARCHED, Standing
from bridge.resolve.installed import InstalledCandidates
from converters.deferred import dataclass, replace
from converters.projects import canonicalize_name
from converters.record import Record

__all__ = ["plan_change"]


_FOR_ALL = 0.5  # of `--patience`: the attempt to keep every installed package


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """The inputs of one plan.

    :param state: the prefix without the packages that another installer replaced (`replaced`).
    :param moving: meta paths of the installed packages to update.
    :param untrue: meta paths of the records in `state` whose dist-info is gone.
    :param patience: the seconds that its solves may take together.
    """

    state: PrefixState
    wanted: Request
    sources: Sources
    others: tuple[Foreign, ...]
    moving: frozenset[str]
    untrue: frozenset[str]
    replaced: tuple[Installed, ...]
    patience: float

    @property
    def names(self) -> frozenset[str]:
        """The requested names."""
        return frozenset(canonicalize_name(each.name) for each in self.wanted.requirements)


def plan_change(state: PrefixState, wanted: Request, sources: Sources, moving: Collection[str] = ()) -> Plan:
    """Plan to satisfy `wanted` and to update `moving` (meta paths), keeping installed packages where possible.

    A package that another installer removed is reinstalled if it is requested, updated, or needed by a new package. A
    distribution of another installer satisfies requirements and stays as it is. Raises `NoSolutionError`,
    `NetworkError`, and `OwnershipError` (`foreign-distribution`) if `moving` names a package that another installer
    replaced.
    """
    case = _case(state, wanted, sources, frozenset(moving))
    again = frozenset(each.meta_path for each in case.state.installed if _is_wanted(each, case))
    while True:
        resolution = _resolve_or_explain(case, again)
        own = _without(resolution, case.others)
        plan = plans.diff(case.state, own, state.prefix, again=again)
        needed = _needed(resolution, plan, case)
        lacking = frozenset(
            each.meta_path for each in case.state.installed if each.meta_path in case.untrue and _has(each, needed)
        )
        if lacking <= again:
            break
        again |= lacking
    _check_replaced(plan, case)
    _tell_dropped(case)
    sources.session.warnings += resolution.warnings
    sources.session.warnings += [_warning(each) for each in case.others if each.replaces is not None]
    untrue = case.untrue - {each.meta_path for each in leaving(plan)}
    sources.session.warnings += [
        f"{each.record.name} {each.record.version} was replaced or removed by another installer, and stays so; to"
        f" restore it: bridge install -p {quoted(state.prefix)} {each.record.name}"
        for each in case.state.installed
        if each.meta_path in untrue
    ]
    return replace(plan, keep=(*plan.keep, *case.replaced))


def _case(state: PrefixState, wanted: Request, sources: Sources, moving: frozenset[str]) -> _Case:
    others = foreign(state, sources.session.target)
    names = {canonicalize_name(each.name) for each in wanted.requirements}
    if sources.session.settings.adopt:  # A requested package replaces the distribution of another installer.
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
        patience=sources.session.settings.patience,
    )


def _check_replaced(plan: Plan, case: _Case) -> None:
    """Refuse to install over a package that another installer replaced: both would be incomplete afterwards."""
    coming = {name for each in incoming(plan) for name in (each.record.name, *each.record.pypi_names)}
    for each in case.others:
        if each.replaces is not None and not coming.isdisjoint({each.project, each.replaces.record.name}):
            raise _was_replaced(each, case.state)


def _tell_dropped(case: _Case) -> None:
    """Warn about channels of the environment that did not answer; raise if an update reached none of them."""
    channels, session = case.sources.channels, case.sources.session
    remote = [url for url, text in zip(channels.urls, channels.texts, strict=True) if text != "host"]
    if case.moving and channels.dropped and len(channels.dropped) == len(remote):
        raise next(iter(channels.dropped.values()))
    session.warnings += [
        f"{error.message}; the packages of this channel stay as they are" for error in channels.dropped.values()
    ]


def _is_wanted(installed: Installed, case: _Case) -> bool:
    """Whether a package whose record is untrue is requested by name or updated."""
    if installed.meta_path not in case.untrue:
        return False
    names = {canonicalize_name(installed.record.name), *installed.record.pypi_names}
    return installed.meta_path in case.moving or not names.isdisjoint(case.names)


def _has(installed: Installed, needed: Collection[str]) -> bool:
    return installed.record.name in needed


def _needed(resolution: Resolution, plan: Plan, case: _Case) -> frozenset[str]:
    """The names of new and requested packages and of their dependencies."""
    texts = {each.text for each in case.wanted.requirements}
    agenda = [each.record.name for each in incoming(plan)]
    agenda += [each.record.name for each in resolution.packages if not texts.isdisjoint(each.requested)]
    needs: dict[str, list[str]] = {}
    for package in resolution.packages:
        for user in package.required_by:
            needs.setdefault(user, []).append(package.record.name)
    reached: set[str] = set()
    while agenda:
        name = agenda.pop()
        if name not in reached:
            reached.add(name)
            agenda += needs.get(name, ())
    return frozenset(reached)


def _without(resolution: Resolution, others: Iterable[Foreign]) -> Resolution:
    """The solution without the distributions of other installers."""
    urls = {each.file.url for each in others}
    return replace(resolution, packages=tuple(each for each in resolution.packages if each.record.url not in urls))


def _was_replaced(foreign: Foreign, state: PrefixState) -> OwnershipError:
    return OwnershipError(
        "foreign-distribution",
        _warning(foreign),
        hint=f"record it with `bridge adopt -p {quoted(state.prefix)} {foreign.project}`, then repeat the command",
    )


def _warning(foreign: Foreign) -> str:
    assert foreign.replaces is not None
    record, by = foreign.replaces.record, label(foreign.distribution)
    return f"{record.name} {record.version} was replaced by {by}, which bridge did not install and leaves alone"


def _kept(case: _Case) -> dict[str, str]:
    """The installed packages to prefer, by the resolver's identifiers, without those to update."""
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


def _resolve_or_explain(case: _Case, again: frozenset[str]) -> Resolution:
    """Solve; an error names the commands that give up the earlier requests in the conflict.

    The solves that look for these commands have what the first one left of its patience. They count from then on: what
    they need of channels and indexes was read.
    """
    ends = 0.0

    def attempt(state: PrefixState, wanted: Request, others: tuple[Foreign, ...]) -> Resolution:
        warnings = list(case.sources.session.warnings)
        try:
            changed = replace(case, state=state, wanted=wanted, others=others, patience=ends - time.monotonic())
            return _resolve(changed, again)
        finally:
            case.sources.session.warnings[:] = warnings  # nothing comes of this solve

    try:
        return _resolve(case, again)
    except NoSolutionError as error:
        target = case.sources.session.target
        ends = time.monotonic() + case.patience - _searched(error)
        raise with_way_out(error, case.state, case.wanted, case.others, target, attempt) from error


def _resolve(case: _Case, again: frozenset[str]) -> Resolution:
    """Solve for new and earlier requests and the presence of every installed package.

    An installed package that nobody requested gives way to a new package of the other ecosystem that provides the same
    project: a conda package of several distributions to their wheels, or wheels to such a package.
    """
    gone: set[str] = set()
    while True:
        left = replace(case.state, installed=tuple(each for each in case.state.installed if each.meta_path not in gone))
        resolution = _solve(left, case, again)
        superseded = list(_superseded(_without(resolution, case.others).packages, left))
        if not superseded:
            return resolution
        check_superseded(superseded, resolution, case.wanted.requirements, left)
        gone |= {each.meta_path for each in superseded}


def _superseded(packages: Iterable[Resolved], state: PrefixState) -> Iterator[Installed]:
    """The installed packages that provide the same project as a new package of the other ecosystem."""
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
    """Require every installed package; if that has no solution, only those that no request accounts for.

    An error explains the second solve; both together take no longer than `case.patience`. Packages that nothing
    accounts for must stay: no record shows them unwanted.
    """
    target = case.sources.session.target
    before = tuple(earlier_requests(left, case.wanted.requirements, target))
    presence = [_presence(each.record) for each in left.installed]
    strays = [_presence(each.record) for each in plans.unaccounted(left, target)]
    session, channels, names = case.sources.session, case.sources.channels, case.sources.names
    there, kept, pinned = _present(case, again), _kept(case), tuple(pins(left.prefix))

    def solved(retained: Iterable[algebra.Requirement], patience: float) -> Resolution:
        standing = Standing(earlier=before, retained=tuple(retained), pins=pinned, kept=kept)
        return session.resolve(case.wanted, channels, names, standing=standing, offered=there, patience=patience)

    try:
        return solved(presence, case.patience * _FOR_ALL)
    except NoSolutionError as error:
        if len(strays) == len(presence) and error.id == "no-solution":
            raise
        spent = _searched(error)
    try:
        return solved(strays, case.patience - spent)
    except NoSolutionError as error:
        error.objects = {**error.objects, SEARCHED: spent + _searched(error)}
        raise


def _searched(error: NoSolutionError) -> float:
    """Return the seconds that a search without a solution took; 0 if its solution was refused."""
    seconds = error.objects.get(SEARCHED)
    return seconds if isinstance(seconds, float) else 0.0


def _present(case: _Case, again: Collection[str]) -> InstalledCandidates:
    """The candidates that the environment offers; a wheel to reinstall must come from its source again."""
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
