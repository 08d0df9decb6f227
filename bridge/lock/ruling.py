"""What locked packages break of the policy. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from bridge.config.policy import Breach, Policy, Subject
from bridge.requirements.locked import Facts, Locked, LockedConda, LockedSource
from bridge.resolve.candidates.provides import provided_by
from bridge.resolve.ruling import subject_of_record
from converters.names import NameMap
from converters.projects import canonicalize_name

__all__ = ["locked_breaches", "refuse_locked"]


def locked_breaches(packages: Iterable[Locked], policy: Policy, names: NameMap) -> Iterator[Breach]:
    """Yield each rule that a locked package breaks, by what the lock states: licences are judged where it has them."""
    for each in packages:
        yield from policy.breaches(_subject(each, policy, names))


def refuse_locked(packages: Iterable[Locked], policy: Policy | None, names: Callable[[], NameMap]) -> None:
    """Refuse what breaks the policy. Raises `UnsafeInputError` (`policy`).

    :param names: called if there is a policy.
    """
    if policy is None:
        return
    if breaches := list(locked_breaches(packages, policy, names())):
        raise policy.refusal(breaches)


def _subject(locked: Locked, policy: Policy, names: NameMap) -> Subject:
    if isinstance(locked, LockedConda):
        return subject_of_record(
            locked.record,
            policy,
            provided_by(locked.record, names).projects,
            is_claimed=True,
            has_license=locked.record.license is not None,
        )
    is_source = isinstance(locked, LockedSource)
    facts = locked.facts or Facts()
    has_hash = bool(locked.sha256) or (isinstance(locked, LockedSource) and locked.revision is not None)
    return Subject(
        label=f"wheel:{locked.name}-{locked.version}",
        names=(canonicalize_name(locked.name),),
        origin=locked.index or locked.url,  # what a lock names by its URL has its hash beside it
        url=locked.url,
        is_claimed=True,
        is_source=is_source,
        is_license_known=facts.license is not None,
        license=facts.license,
        yanked=facts.yanked,
        has_hash=has_hash,
        timestamp=locked.upload_time,
    )
