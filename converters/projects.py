"""Names of PyPI projects in their normalised form (PEP 503).

`packaging.utils` has the same function, but imports what reads versions, wheel tags and ELF files (8 ms of processor
time), which most lists and changes do not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

__all__ = ["canonicalize_name"]


def canonicalize_name(name: str, *, validate: bool = False) -> NormalizedName:
    """Return the normalised name. Raises `ValueError` for an invalid one if `validate`."""
    if validate and not _is_valid(name):
        raise ValueError(f"name is invalid: {name!r}")
    value = name.lower().replace("_", "-").replace(".", "-")
    while "--" in value:
        value = value.replace("--", "-")
    return cast("NormalizedName", value)


def _is_valid(name: str) -> bool:
    """Letters and digits, and between them also `.`, `_` and `-` (PEP 508)."""
    inner = name.replace("-", "").replace("_", "").replace(".", "")
    return name.isascii() and name[:1].isalnum() and name[-1:].isalnum() and inner.isalnum()
