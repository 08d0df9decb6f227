"""Compression levels of packages (zstd, 1 to 22)."""

__all__ = ["BEST_LEVEL", "DEFAULT_LEVEL", "HIGHEST_LEVEL"]

DEFAULT_LEVEL = 11
"""Packages are about as small as those of other tools at level 19, in a tenth of the time."""
BEST_LEVEL = 19
"""Smaller packages than those of other tools, in the same time."""
HIGHEST_LEVEL = 22
