"""Who attested an installed package, as its record keeps it."""

from __future__ import annotations

from collections.abc import Mapping

from converters.deferred import replace
from converters.record import WHEEL_ATTESTATIONS, Record

__all__ = [
    "ADVERTISED",
    "ATTESTATIONS",
    "attested",
    "kept_attestations",
    "with_attestations",
    "with_wheel_attestations",
]

_KEYS = ("publisher", "repository", "workflow", "environment", "email", "channel")

ATTESTATIONS = "attestations"
"""The key of a conda-meta record with the publishers whose attestations were verified when it was installed."""

ADVERTISED = "attestations_sha256"
"""The key of a channel's record that advertises attestations (CEP 50)."""


def kept_attestations(record: Record, key: str = ATTESTATIONS) -> tuple[Mapping[str, str], ...]:
    """Return the publishers that a record keeps, each as key → text; what is no such entry is ignored.

    :param key: also `WHEEL_ATTESTATIONS`, what a channel says of the wheel from which a package was made.
    """
    kept = dict(record.others).get(key)
    entries = [each for each in kept if isinstance(each, Mapping)] if isinstance(kept, (list, tuple)) else []
    publishers = [{name: each[name] for name in _KEYS if isinstance(each.get(name), str)} for each in entries]
    return tuple(each for each in publishers if each)


def attested(record: Record, document: Mapping[str, object]) -> Record:
    """Return the record of a conda-meta document with the attestations that it keeps."""
    kept = document.get(ATTESTATIONS)
    return record if kept is None else with_attestations(record, kept)


def with_attestations(record: Record, kept: object, key: str = ATTESTATIONS) -> Record:
    """Return a record that keeps these attestations under a key, and no others there."""
    others = tuple((name, value) for name, value in record.others if name != key)
    return replace(record, others=(*others, (key, kept)))


def with_wheel_attestations(record: Record, index: Mapping[str, object]) -> Record:
    """Return the record of a conda package with what its own index.json says of the wheel that it was made from."""
    stated = index.get(WHEEL_ATTESTATIONS)
    return record if stated is None else with_attestations(record, stated, WHEEL_ATTESTATIONS)
