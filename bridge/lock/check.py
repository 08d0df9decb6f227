"""`bridge lock --check`: whether a lock still fits what it was made from. Reads no channel, index or archive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bridge.errors import NoSolutionError, UsageError
from bridge.lock.records import LockedPort
from bridge.lock.ruling import locked_breaches
from bridge.requirements.algebra import Requirement, marker_holds
from bridge.requirements.locked import Locked, LockedConda
from bridge.resolve import Catalog, Options, SolveRequest, Standing, resolve
from converters.deferred import replace
from converters.names import NameMap
from converters.projects import canonicalize_name
from converters.target import Python, Target

__all__ = ["misfits"]


def misfits(
    request: SolveRequest, packages: Sequence[Locked], target: Target, names: NameMap, options: Options
) -> list[str]:
    """Return what no longer fits, one sentence each: requests that nothing locked meets, packages that nothing needs or
    that break the policy.

    The locked packages are the only candidates of a solve; it must choose all of them. The policy is judged apart, for
    a solve takes a licence that the lock does not state for none.
    """
    policy, options = options.policy, replace(options, policy=None)
    broken = [] if policy is None else [str(each) for each in locked_breaches(packages, policy, names)]
    port = LockedPort(packages)
    kept = {each.name: each.record.identity for each in packages if isinstance(each, LockedConda)}
    alone = SolveRequest(
        requirements=request.requirements,
        constraints=request.constraints,
        requires_python=request.requires_python,
        standing=Standing(kept=kept),
    )
    try:
        resolution = resolve(alone, Catalog(port, port, target, names, options))
    except (NoSolutionError, UsageError) as error:
        return [*(list(_unmet(request.requirements, packages, target)) or [error.message]), *broken]
    chosen = {name for each in resolution.packages for name in (each.record.name, *each.record.pypi_names)}
    unneeded = [
        f"{each.name} {each.version} is locked, and nothing needs it any more"
        for each in packages
        if each.name not in chosen
    ]
    return unneeded + broken


def _unmet(requirements: Iterable[Requirement], packages: Sequence[Locked], target: Target) -> Iterator[str]:
    """Yield the requests that no locked package meets."""
    python = next((Python(version=each.version) for each in packages if each.name == "python"), None)
    known: dict[str, Locked] = {}
    for each in packages:
        provided = each.record.pypi_names if isinstance(each, LockedConda) else ()
        for name in (*provided, canonicalize_name(each.name), each.name):
            known[name] = each
    for requirement in requirements:
        if requirement.name.startswith("__"):
            continue
        marker = requirement.marker
        if marker is not None and python is not None and not marker_holds(marker, target.marker_environment(python)):
            continue
        package = known.get(requirement.name) or known.get(canonicalize_name(requirement.name))
        if package is None:
            yield f"{requirement.text} is requested, and not locked"
        elif not requirement.accepts(package.version):
            yield f"{requirement.text} is requested, and {package.name} {package.version} is locked"
