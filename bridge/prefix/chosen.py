"""Why an installed package is from its ecosystem, as the solve that chose it recorded it."""

from __future__ import annotations

from converters.record import Record

__all__ = ["CHOICE", "kept_choice"]

CHOICE = "chosen_because"
"""The key of a conda-meta record with why the other ecosystem did not provide the package (`Resolved.choice`)."""


def kept_choice(record: Record) -> str:
    """Return the reason that a record keeps; empty if it keeps none, as those of older versions and other clients."""
    kept = dict(record.others).get(CHOICE)
    return kept if isinstance(kept, str) else ""
