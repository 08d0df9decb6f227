"""What earlier commands requested of an environment. It stands, until the user requests the same name again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bridge.errors import NoSolutionError, UsageError
from bridge.install import plan as plans
from bridge.model import Installed, PrefixState, Resolution, Resolved
from bridge.prefix.history import unexplained
from bridge.requirements import algebra
from bridge.requirements.algebra import Requirement
from converters.projects import canonicalize_name
from converters.record import Record
from converters.target import Target

__all__ = ["check_superseded", "earlier_requests", "removable"]


def earlier_requests(state: PrefixState, wanted: Sequence[Requirement], target: Target) -> tuple[Requirement, ...]:
    """Return the requests of installed packages that `wanted` does not restate.

    A request that its package violates today (another installer or an update by force moved it) stands for the name
    only: it must not block every other change.
    """
    fresh = [each for each in wanted if _applies(each, state, target)]
    requests = {
        request.text: request
        for installed in state.installed
        for request in map(_standing, installed.requested, [installed] * len(installed.requested))
        if not _is_restated(request, installed, fresh)
    }
    return tuple(requests.values())


def check_superseded(
    superseded: Iterable[Installed], resolution: Resolution, wanted: Sequence[Requirement], state: PrefixState
) -> None:
    """Check that no package that was requested earlier gives way to one of another kind that has the same project.

    A wheel may give way to a conda package that the user requests now, if its version meets the earlier request.
    Raises `NoSolutionError` (`no-solution`) with both requests.
    """
    for old in superseded:
        earlier = earlier_requests(_only(state, old), wanted, resolution.target)
        if not earlier:
            continue
        project, new = _shared(old, resolution)
        texts = {each.text for each in wanted}
        if new.record.ecosystem == "conda" and not texts.isdisjoint(new.requested):
            earlier = tuple(each for each in earlier if not each.accepts(new.record.version))
        if not earlier:
            continue
        asked = [f"`{text}`" for text in _roots(new, resolution, texts)] or [new.record.name]
        request, name = earlier[0].text, old.record.name
        facts = [
            *(f"you ask for {text}" for text in asked),
            f"`{request}` was requested earlier",
            f"{_shown(old.record)} and {_shown(new.record)} both provide {project}",
        ]
        raise NoSolutionError(
            "no-solution",
            f"{' and '.join(asked)} and `{request}` (requested earlier) cannot be met together",
            context=[f"because {', '.join(facts)}: there is no solution"],
            hint=f"leave out {' or '.join(asked)}",
            objects={"derivation": [{"because": facts, "so": "there is no solution"}], "superseded": [name]},
        )


def _shown(record: Record) -> str:
    return f"{record.name} {record.version} ({record.ecosystem})"


def removable(state: PrefixState, target: Target, names: Sequence[str]) -> tuple[str, ...]:
    """Return these names and those that need them, so that `bridge remove` removes them all; empty if it cannot."""
    going = dict.fromkeys(names)
    everything, loose = plans.with_unmanaged(state), unexplained(state)
    for _ in range(len(everything.installed)):
        try:
            plans.removal(everything, target, going, loose)
        except NoSolutionError as error:
            users = error.objects.get("users")
            more = [each for each in users if each not in going] if isinstance(users, tuple) else []
            if not more:
                break
            going |= dict.fromkeys(more)
        except UsageError:
            break
        else:
            return tuple(going)
    return ()


def _only(state: PrefixState, installed: Installed) -> PrefixState:
    return PrefixState(prefix=state.prefix, installed=(installed,), python=state.python)


def _standing(text: str, installed: Installed) -> Requirement:
    """Return a request, or its name alone if the text is unreadable or the package does not meet it."""
    record = installed.record
    try:
        request = algebra.parse(text)
    except UsageError:
        return algebra.parse(record.name)
    is_conda = record.ecosystem == "conda" and request.conda is not None
    met = request.conda.accepts_version if is_conda and request.conda is not None else request.accepts
    if request.url is None and not met(record.version):
        return algebra.parse(f"pypi:{request.name}" if request.bound == "wheel" else request.name)
    return request


def _applies(requirement: Requirement, state: PrefixState, target: Target) -> bool:
    if requirement.marker is None or state.python is None:
        return True
    return algebra.marker_holds(requirement.marker, target.marker_environment(state.python))


def _is_restated(request: Requirement, installed: Installed, fresh: Iterable[Requirement]) -> bool:
    """Return whether one of `fresh` names the same package, or all of them each project that it provides.

    A wheel and a conda package may have the name in common and nothing else.
    """
    name, projects = canonicalize_name(request.name), installed.record.pypi_names
    is_conda = installed.record.ecosystem == "conda"
    fresh = tuple(fresh)
    if projects and {canonicalize_name(each.name) for each in fresh}.issuperset(projects):
        return True
    return any(
        canonicalize_name(each.name) == name
        and not (is_conda and name not in projects and (each.bound == "wheel" or each.url is not None))
        for each in fresh
    )


def _shared(old: Installed, resolution: Resolution) -> tuple[str, Resolved]:
    """Return the project that an installed package shares with a new one, and the new one."""
    return next(
        (project, package)
        for package in resolution.packages
        for project in package.record.pypi_names
        if package.record.ecosystem != old.record.ecosystem and project in old.record.pypi_names
    )


def _roots(package: Resolved, resolution: Resolution, texts: set[str]) -> Iterator[str]:
    """Yield those of `texts` for whose sake a package is in a solution."""
    packages = {each.record.name: each for each in resolution.packages}
    agenda, seen = [package], {package.record.name}
    while agenda:
        each = agenda.pop()
        yield from (text for text in each.requested if text in texts)
        for user in each.required_by:
            if user in packages and user not in seen:
                seen.add(user)
                agenda.append(packages[user])
