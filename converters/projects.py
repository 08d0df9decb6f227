"""Names of PyPI projects in their normalised form (PEP 503).

`packaging.utils` has the same function, but imports what reads versions, wheel tags and ELF files (8 ms of processor
time), which most lists and changes do not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from converters.deferred import regex

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

__all__ = ["canonicalize_name"]

_VALID = regex(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")


def canonicalize_name(name: str, *, validate: bool = False) -> NormalizedName:
    """Return the normalised name. Raises `ValueError` for an invalid one if `validate`."""
    if validate and _VALID.fullmatch(name) is None:
        raise ValueError(f"name is invalid: {name!r}")
    value = name.lower().replace("_", "-").replace(".", "-")
    while "--" in value:
        value = value.replace("--", "-")
    return cast("NormalizedName", value)
