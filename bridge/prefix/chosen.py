"""Why an installed package is from its ecosystem, as the solve that chose it recorded it."""

from __future__ import annotations

from bridge.prefix.attested import ATTESTATIONS
from converters.record import Record

__all__ = ["CHOICE", "kept_choice", "of_installation"]

CHOICE = "chosen_because"
"""The key of a conda-meta record with why the other ecosystem did not provide the package (`Resolved.choice`)."""


def kept_choice(record: Record) -> str:
    """Return the reason that a record keeps; empty if it keeps none, as those of older versions and other clients."""
    kept = dict(record.others).get(CHOICE)
    return kept if isinstance(kept, str) else ""


def of_installation(record: Record, choice: str = "") -> dict[str, object]:
    """Return the keys of a conda-meta record that no archive and no channel states.

    :param choice: why a solve chose the package; empty: what the record keeps of it.
    """
    kept = {key: value for key, value in record.others if key in {ATTESTATIONS, CHOICE}}
    return kept | ({CHOICE: choice} if choice else {})
