"""Whether a plan keeps to the policy: judged before the fetch, and again when the archives are known. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from bridge.config.policy import Breach, Policy, refusal
from bridge.install.sources import Sources
from bridge.model import Plan, Reinstall, Remove, Resolved
from bridge.resolve.candidates.provides import provided_by
from bridge.resolve.ruling import names_of, subject_of_record
from converters.names import NameMap
from converters.record import Record

__all__ = ["breaches_of", "refuse_clobbering", "refuse_fetched", "refuse_plan"]


def refuse_plan(plan: Plan, sources: Sources) -> None:
    """Refuse a plan that brings what breaks the policy. Raises `UnsafeInputError` (`policy`).

    What is installed already and stays is not judged: `bridge policy check` does that.
    """
    policy = sources.session.policy
    if policy is not None:
        _refuse(_broken(_brought(plan), policy, sources, is_fetched=False))


def refuse_fetched(plan: Plan, sources: Sources) -> None:
    """The same, with what only the archives state: licences, hashes. Raises `UnsafeInputError` (`policy`)."""
    policy = sources.session.policy
    if policy is not None:
        _refuse(_broken(_brought(plan), policy, sources, is_fetched=True))


def refuse_clobbering(
    plan: Plan, yielded: Mapping[str, frozenset[str]], policy: Policy | None, *, agreed: Collection[str]
) -> None:
    """Refuse packages that yield paths, which `--allow-clobber` admits and the policy does not.

    :param yielded: identity → paths. `agreed`: `NAME:PATH` that yield by themselves, as parts of a namespace do.

    Raises `UnsafeInputError` (`policy`).
    """
    if policy is None:
        return
    records = {each.record.identity: each.record for each in _brought(plan)}
    clobbering = [
        record
        for identity, paths in yielded.items()
        if (record := records.get(identity)) is not None
        and any(f"{record.name}:{path}" not in agreed for path in paths)
    ]
    _refuse([breach for each in clobbering for breach in policy.clobbering(each.label, names_of(each))])


def _brought(plan: Plan) -> list[Resolved]:
    """The packages that a plan brings; one that is repaired is installed already."""
    found = []
    for step in plan.operations:
        if isinstance(step, Reinstall) and step.new.record == step.old.record:
            continue
        if not isinstance(step, Remove):
            found.append(step.new)
    return found


def _broken(packages: Iterable[Resolved], policy: Policy, sources: Sources, *, is_fetched: bool) -> list[Breach]:
    found: list[Breach] = []
    for each in packages:
        has_license = is_fetched or "license" not in each.unstated
        subject = subject_of_record(
            each.record,
            provided_by(each.record, sources.names).projects,
            is_claimed=sources.is_exact,
            has_license=has_license,
        )
        found += policy.breaches(subject)
    return found


def breaches_of(records: Iterable[Record], policy: Policy, names: NameMap, *, has_licenses: bool) -> Iterator[Breach]:
    """Yield what records break.

    :param has_licenses: whether a record without a licence has none; a lock does not state those of wheels.
    """
    for record in records:
        projects = provided_by(record, names).projects
        has_license = has_licenses or record.license is not None
        yield from policy.breaches(subject_of_record(record, projects, is_claimed=True, has_license=has_license))


def _refuse(breaches: list[Breach]) -> None:
    if breaches:
        raise refusal(breaches)
