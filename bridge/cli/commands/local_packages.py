"""Conda packages that the user names by their paths."""

from __future__ import annotations

import json
from collections.abc import Iterable

from bridge.convert.indexed import read_package
from bridge.errors import BridgeError, UsageError
from bridge.requirements.algebra import Requirement
from bridge.requirements.files.local import unindexed_package
from bridge.requirements.locked import LockedConda
from converters.record import conda_record

__all__ = ["local_packages"]


def local_packages(requirements: Iterable[Requirement], platform: str) -> dict[str, tuple[LockedConda, ...]]:
    """Return the packages at paths that no channel lists, each as the only candidate of its name.

    Raises what reading a package raises, and `UsageError` (`local-file`): it is for another platform.
    """
    packages: dict[str, tuple[LockedConda, ...]] = {}
    for path in filter(None, map(unindexed_package, requirements)):
        read = read_package(path)
        if isinstance(read, BridgeError):
            raise read
        stated = json.loads(read.text)
        if stated["subdir"] not in {platform, "noarch"}:
            problem = f"{path.name} is for {stated['subdir']}, and this is solved for {platform}"
            raise UsageError("local-file", problem, hint=f"use a package for {platform}, or name the other --platform")
        place = {"url": path.as_uri(), "fn": path.name, "channel": path.parent.parent.as_uri()}
        record = conda_record({**stated, **place}, subdir=stated["subdir"])
        packages[record.name] = (*packages.get(record.name, ()), LockedConda(record=record))
    return packages
