"""Markers that a platform alone decides: a source is chosen before the python is."""

from __future__ import annotations

import re

from packaging.markers import Marker

from converters.target import Python, Target

__all__ = ["platform_marker_holds"]

_OF_PYTHON = re.compile(r"\b(python_version|python_full_version|implementation_version|extra)\b")


def platform_marker_holds(marker: Marker, platform: str) -> bool | None:
    """Return whether a marker holds on a subdir; `None` if it depends on the python or on an extra."""
    if _OF_PYTHON.search(str(marker)):
        return None
    environment = Target(subdir=platform).marker_environment(Python(version="3.12"))
    return marker.evaluate({**environment, "extra": ""})
