"""Who attested an installed package, as its record keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from converters.record import Record

__all__ = ["ADVERTISED", "ATTESTATIONS", "attested", "kept_attestations", "with_attestations"]

ATTESTATIONS = "attestations"
"""The key of a conda-meta record with the publishers whose attestations were verified when it was installed."""

ADVERTISED = "attestations_sha256"
"""The key of a channel's record that advertises attestations (CEP 50)."""


def kept_attestations(record: Record) -> tuple[Mapping[str, str], ...]:
    """Return the publishers that a record keeps, each as key → text; what is no such entry is ignored."""
    kept = dict(record.others).get(ATTESTATIONS)
    entries = [each for each in kept if isinstance(each, Mapping)] if isinstance(kept, (list, tuple)) else []
    return tuple({str(key): str(value) for key, value in each.items()} for each in entries)


def attested(record: Record, document: Mapping[str, object]) -> Record:
    """Return the record of a conda-meta document with the attestations that it keeps."""
    kept = document.get(ATTESTATIONS)
    return record if kept is None else with_attestations(record, kept)


def with_attestations(record: Record, kept: object) -> Record:
    """Return a record that keeps these attestations, and no others."""
    others = tuple((key, value) for key, value in record.others if key != ATTESTATIONS)
    return replace(record, others=(*others, (ATTESTATIONS, kept)))
