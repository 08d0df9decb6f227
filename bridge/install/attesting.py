"""Judges a plan by the policy before the fetch, and verifies the attestations that it demands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bridge.config.policy import Breach, Policy, Publisher
from bridge.fetch.client import Client
from bridge.install.ruling import broken, brought, refuse
from bridge.install.sources import Sources
from bridge.model import Plan, Remove, Resolved
from bridge.prefix.attested import kept_attestations, with_attestations
from bridge.resolve.attesting import Demands
from bridge.resolve.candidates.provides import provided_by
from bridge.resolve.ruling import attestation_problem, names_of, subject_of_record
from converters.deferred import replace
from converters.names import NameMap
from converters.record import Record

__all__ = ["attested_by", "breaches_of", "refuse_again", "ruled_plan"]


def ruled_plan(plan: Plan, sources: Sources) -> Plan:
    """Return a plan that keeps to the policy, with who attested the packages that need it.

    What is installed already and stays is not judged: `bridge policy check` does that.

    Raises `UnsafeInputError` (`policy`), and what verifying attestations raises.
    """
    policy = sources.session.policy
    if policy is None:
        return plan
    refuse(broken(brought(plan), policy, sources, is_fetched=False), policy)
    attested = attested_by(brought(plan), policy, sources.session.client, sources.names)
    if not attested:
        return plan
    operations = tuple(
        replace(step, new=replace(step.new, record=attested.get(step.new.record.identity, step.new.record)))
        if not isinstance(step, Remove)
        else step
        for step in plan.operations
    )
    return replace(plan, operations=operations)


def attested_by(packages: Iterable[Resolved], policy: Policy, client: Client, names: NameMap) -> dict[str, Record]:
    """Verify the attestations of packages that need some: identity → the record with who attested it.

    Raises `UnsafeInputError` (`policy`) for a package that nobody attested, or not the publisher of the rule.
    """
    records: dict[str, Record] = {}
    breaches: list[Breach] = []
    demands = Demands(policy, client)
    for record in (each.record for each in packages):
        found = demands.of_record(record, provided_by(record, names).projects)
        if found is not None:
            breaches += found.breaches
            kept = [each.to_json() for each in dict.fromkeys(found.publishers)]
            records[record.identity] = with_attestations(record, kept)
    refuse(breaches, policy)
    return records


def refuse_again(record: Record, sources: Sources) -> None:
    """Refuse to fetch a package that is installed once more, if it breaks the policy.

    Raises as `ruled_plan`.
    """
    policy = sources.session.policy
    if policy is not None:
        package = Resolved(record=record)
        refuse(broken([package], policy, sources, is_fetched=True), policy)
        attested_by([package], policy, sources.session.client, sources.names)


def breaches_of(records: Iterable[Record], policy: Policy, names: NameMap) -> Iterator[Breach]:
    """Yield what the records of an environment break."""
    for record in records:
        projects = provided_by(record, names).projects
        yield from policy.breaches(subject_of_record(record, policy, projects, is_claimed=True, has_license=True))
        for rules, rule, publisher in policy.publishers(names_of(record, projects)):
            kept = [
                kept_publisher
                for each in kept_attestations(record)
                if (kept_publisher := Publisher.of_json(each)) is not None
            ]
            channel = record.origin if record.ecosystem == "conda" else None
            if problem := attestation_problem(kept, publisher, channel):
                yield rules.breach(rule, record.label, f"{record.label} {problem}")
