"""What the policy judges of records, of files and of URLs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from bridge.model import UNKNOWN_CHANNEL, IndexFile
from bridge.requirements.algebra import Requirement
from bridge.sdists.location import source_of
from bridge.secrets import masked
from converters.names import Provided
from converters.projects import canonicalize_name
from converters.record import Record

if TYPE_CHECKING:
    from bridge.config.policy import Breach, Policy, Publisher, Subject

__all__ = [
    "attestation_problem",
    "barred_records",
    "file_rule",
    "license_rule",
    "names_of",
    "refuse_file",
    "refuse_license",
    "refuse_url",
    "refuse_urls",
    "subject_of_record",
]

_FOUND = ".dist-info"
"""The end of what stands for the URL of a distribution of another installer: nothing says where it came from."""


def subject_of_record(
    record: Record, policy: Policy, projects: Iterable[str] = (), *, is_claimed: bool, has_license: bool
) -> Subject:
    """Return what is judged of a record.

    :param projects: that it provides beside those it names. `is_claimed`, `has_license`: as in `Subject`.
    """
    from bridge.prefix.attested import ADVERTISED  # noqa: PLC0415 - most runs have no policy

    is_wheel = record.ecosystem == "wheel"
    is_found = record.url.endswith(_FOUND)
    return policy.subject(
        label=record.label,
        names=_names(record.name, *record.pypi_names, *projects),
        origin="" if is_found else record.url.rpartition("/")[0] if record.origin == UNKNOWN_CHANNEL else record.origin,
        url="" if is_found else record.url,
        is_claimed=is_claimed,
        is_source=is_wheel and not is_found and _is_source(record.url, record.filename),
        is_license_known=has_license,
        license=record.license,
        has_hash=record.sha256 is not None or is_found or record.origin == "host",
        has_attestation=None if is_claimed or is_wheel else ADVERTISED in dict(record.others),
        yanked=record.yanked,
        timestamp=record.timestamp,
    )


def names_of(record: Record, projects: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the normalised names of a record and of the projects that it names, or else provides."""
    return _names(record.name, *record.pypi_names, *projects)


def attestation_problem(publishers: Sequence[Publisher], wanted: Publisher, channel: str | None) -> str | None:
    """Return why verified attestations are not enough for a rule; `None`: they are.

    An index vouches for the publishers of its projects. Nobody does so for the signers of conda packages, so the rule
    has to name one. What a signer published for one channel is refused from another one (CEP 27), unless the rule
    names that channel: a package of a channel for tests must not pass for a release.

    :param channel: that serves a conda package; `None`: it is a wheel.
    """
    if not publishers:
        return "has no attestation"
    if channel is not None and wanted.is_anybody:
        return "is a conda package, for which the rule must name the publisher's repository or email"
    admitted = [each for each in publishers if wanted.admits(each)]
    if not admitted:
        return f"is attested by {', '.join(dict.fromkeys(map(str, publishers)))}, and not by {wanted}"
    return None if channel is None else _channel_problem({each.channel for each in admitted}, wanted.channel, channel)


def _channel_problem(targets: Collection[str], wanted: str, channel: str) -> str | None:
    """Return why none of the channels of attestations is the right one; an empty one: its statement names none."""
    from bridge.config.policy.places import normal_place  # noqa: PLC0415 - most runs have no policy

    shown = ", ".join(masked(each) for each in sorted(targets) if each) or "no channel"
    if wanted:
        if normal_place(wanted) in map(normal_place, targets):
            return None
        return f"is attested for {shown}, and not for {masked(wanted)}"
    if "" in targets or normal_place(channel) in map(normal_place, targets):
        return None
    return f"is attested for {shown}, and comes from {masked(channel)}; a rule for a mirror has `channel`"


def _subject_of_file(file: IndexFile, policy: Policy) -> Subject:
    return policy.subject(
        label=file.filename or file.project,
        names=_names(file.project),
        origin=file.origin,
        url=file.url,
        is_source=_is_source(file.url, file.filename),
        is_index_file=bool(file.origin) and not file.is_of_channel,
        is_license_known=False,
        has_hash=file.sha256 is not None,
        has_attestation=file.provenance is not None if file.origin and not file.is_of_channel else None,
        yanked=file.yanked,
        timestamp=file.upload_time,
    )


def file_rule(file: IndexFile, policy: Policy) -> str | None:
    """Return the rule that a file breaks, by what its index says of it; `None`: it breaks none.

    Distributions of other installers stay, whatever they are.
    """
    if file.url.endswith(_FOUND):
        return None
    breach = next(policy.breaches(_subject_of_file(file, policy)), None)
    return None if breach is None else breach.reason


def license_rule(name: str, license_name: str | None, policy: Policy) -> str | None:
    """Return the rule that the licence of a wheel's METADATA breaks; `None`: it breaks none."""
    breach = _license_breach(name, license_name, policy)
    return None if breach is None else breach.reason


def _license_breach(name: str, license_name: str | None, policy: Policy) -> Breach | None:
    if not policy.judges_licenses:
        return None
    subject = policy.subject(label=name, names=_names(name), origin="", license=license_name)
    return next((each for each in policy.breaches(subject) if each.rule.endswith("licenses")), None)


def refuse_url(project: str, url: str, policy: Policy) -> None:
    """Refuse what a URL or a path names, before it is read or built. Raises `UnsafeInputError` (`policy`)."""
    filename = url.partition("#")[0].rpartition("/")[2]
    subject = policy.subject(
        label=project or url,
        names=_names(project) if project else (),
        origin="",
        url=url,
        is_source=_is_source(url, filename),
        is_license_known=False,
    )
    if breaches := list(policy.breaches(subject)):
        raise policy.refusal(breaches)


def refuse_file(file: IndexFile, policy: Policy | None) -> None:
    """Refuse a file that breaks the policy. Raises `UnsafeInputError` (`policy`)."""
    if policy is not None and (breaches := list(policy.breaches(_subject_of_file(file, policy)))):
        raise policy.refusal(breaches)


def refuse_license(file: IndexFile, license_name: str | None, policy: Policy) -> None:
    """Refuse a wheel whose METADATA states a licence that is not allowed. Raises `UnsafeInputError` (`policy`)."""
    if breach := _license_breach(file.project, license_name, policy):
        raise policy.refusal([breach])


def refuse_urls(requirements: Iterable[Requirement], policy: Policy) -> None:
    """The same for requirements with a URL. Raises `UnsafeInputError` (`policy`)."""
    for each in requirements:
        if each.url:
            refuse_url(each.name, each.url, policy)


def barred_records(records: Sequence[Record], provided: Sequence[Provided], policy: Policy) -> dict[str, int]:
    """Return rule → the bits of the records that break it.

    Records of one channel, licence and age are judged once: names with thousands of records are common.
    """
    from bridge.prefix.attested import ADVERTISED  # noqa: PLC0415

    counts: dict[str, int] = {}
    known: dict[tuple[object, ...], str | None] = {}
    for place, (record, each) in enumerate(zip(records, provided, strict=True)):
        limit = policy.cutoff(_names(record.name, *each.projects))
        is_new = limit is not None and record.timestamp is not None and record.timestamp > limit
        is_attested = any(key == ADVERTISED for key, _ in record.others)
        key = (each.projects, record.origin, record.license, is_new, record.sha256 is None, is_attested)
        if key not in known:
            subject = subject_of_record(record, policy, each.projects, is_claimed=False, has_license=True)
            breach = next(policy.breaches(subject), None)
            known[key] = None if breach is None else breach.reason
        if (rule := known[key]) is not None:
            counts[rule] = counts.get(rule, 0) | 2 << place
    return counts


def _is_source(url: str, filename: str) -> bool:
    """Return whether a wheel has to be built; one that was built is recorded with the URL of its source."""
    return source_of(url) is not None or not (url.partition("#")[0] or filename).endswith(".whl")


def _names(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(canonicalize_name, names)))
