"""How hard packages are compressed: zstd's levels, 1 to 22."""

__all__ = ["BEST_LEVEL", "DEFAULT_LEVEL", "HIGHEST_LEVEL"]

DEFAULT_LEVEL = 11
"""The level at which packages are about as small as others' at their highest, in a tenth of the time."""
BEST_LEVEL = 19
"""Smaller than those, in their time."""
HIGHEST_LEVEL = 22
