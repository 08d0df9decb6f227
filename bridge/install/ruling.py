"""Whether what a plan brings keeps to the policy. Pure. Runs without a policy load it too, so it imports little."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from bridge.install.sources import Sources
from bridge.model import Plan, Reinstall, Remove, Resolved
from bridge.resolve.candidates.provides import provided_by
from bridge.resolve.ruling import names_of, subject_of_record

if TYPE_CHECKING:
    from bridge.config.policy import Breach, Policy

__all__ = ["broken", "brought", "refuse", "refuse_clobbering", "refuse_fetched"]


def refuse_fetched(plan: Plan, sources: Sources) -> None:
    """Refuse what breaks the policy, now that the archives state all of it: licences, hashes.

    `bridge.install.attesting.ruled_plan` has judged the plan. Raises `UnsafeInputError` (`policy`).
    """
    policy = sources.session.policy
    if policy is not None:
        refuse(broken(brought(plan), policy, sources, is_fetched=True), policy)


def refuse_clobbering(
    plan: Plan, yielded: Mapping[str, frozenset[str]], policy: Policy | None, *, agreed: Collection[str]
) -> None:
    """Refuse packages that yield paths, which `--allow-clobber` admits and the policy does not.

    :param yielded: identity → paths. `agreed`: `NAME:PATH` that yield by themselves, as parts of a namespace do.

    Raises `UnsafeInputError` (`policy`).
    """
    if policy is None:
        return
    records = {each.record.identity: each.record for each in brought(plan)}
    clobbering = [
        record
        for identity, paths in yielded.items()
        if (record := records.get(identity)) is not None
        and any(f"{record.name}:{path}" not in agreed for path in paths)
    ]
    refuse([breach for each in clobbering for breach in policy.clobbering(each.label, names_of(each))], policy)


def brought(plan: Plan) -> list[Resolved]:
    """The packages that a plan brings; one that is repaired is installed already."""
    brought_packages = []
    for step in plan.operations:
        if isinstance(step, Reinstall) and step.new.record == step.old.record:
            continue
        if not isinstance(step, Remove):
            brought_packages.append(step.new)
    return brought_packages


def broken(packages: Iterable[Resolved], policy: Policy, sources: Sources, *, is_fetched: bool) -> list[Breach]:
    """Return what packages break, apart from attestations."""
    breaches: list[Breach] = []
    for each in packages:
        has_license = is_fetched or "license" not in each.unstated
        subject = subject_of_record(
            each.record,
            policy,
            provided_by(each.record, sources.names).projects,
            is_claimed=sources.is_exact,
            has_license=has_license,
        )
        breaches += policy.breaches(subject)
    return breaches


def refuse(breaches: list[Breach], policy: Policy) -> None:
    """Raise `UnsafeInputError` (`policy`) if there are breaches."""
    if breaches:
        raise policy.refusal(breaches)
