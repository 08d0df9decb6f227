"""The policy of a run, with the channels that its names mean there, and the plans that it judges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bridge.channels.places import origins_of
from bridge.config import Settings
from bridge.install.sources import Sources
from bridge.model import Plan, Resolution, Resolved
from converters.deferred import replace

if TYPE_CHECKING:
    from bridge.config.policy import Policy
    from bridge.resolve.ports import RunPort
    from converters.names import NameMap
    from converters.record import Record

__all__ = ["attested", "located_policy", "refuse_unattested", "ruled_plan"]


def located_policy(settings: Settings, subdir: str) -> Policy | None:
    """Return the policy; `None` if there is none. Raises `UsageError` (`invalid-channel`)."""
    names = settings.conda.names
    return None if settings.policy is None else settings.policy.located(lambda text: origins_of(text, names, subdir))


def ruled_plan(plan: Plan, sources: Sources) -> Plan:
    """Return a plan that keeps to the policy; see `bridge.install.attesting.ruled_plan`, and what that raises."""
    if sources.session.policy is None:
        return plan
    from bridge.install.attesting import ruled_plan as judged

    return judged(plan, sources)


def attested(resolution: Resolution, session: RunPort, names: NameMap) -> Resolution:
    """Return a solution whose records keep the attestations that the policy demands, now verified.

    That needs no archive: an attestation states the hash, which the solution has. Raises as
    `bridge.install.attesting.attested_by`.
    """
    if session.policy is None:
        return resolution
    from bridge.install.attesting import attested_by

    records = attested_by(resolution.packages, session.policy, session.client, names)
    packages = [replace(each, record=records.get(each.record.identity, each.record)) for each in resolution.packages]
    return replace(resolution, packages=tuple(packages))


def refuse_unattested(records: Iterable[Record], session: RunPort) -> None:
    """Verify the attestations that the policy demands of records. Raises as `attested`."""
    if session.policy is not None:
        from bridge.install.attesting import attested_by

        attested_by((Resolved(record=each) for each in records), session.policy, session.client, session.names(()))
