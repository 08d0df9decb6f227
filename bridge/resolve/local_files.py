"""Check local archives before a solve, so that a damaged one gets a specific error.

A request that names no file does not import this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bridge.archive.sdists import check_sdist
from bridge.archive.wheels import check_wheel
from bridge.faults import faults
from bridge.fetch.urls import local_path
from bridge.requirements.algebra import Requirement

__all__ = ["check_local_files"]


def check_local_files(requirements: Iterable[Requirement]) -> None:
    """Check the local wheels and sdists that the user names, so that a damaged one gets a specific error.

    A missing file is left to the index. Raises `UnsafeInputError` and `IntegrityError` as `bridge.archive`.
    """
    for requirement in requirements:
        location = None if requirement.url is None else local_path(requirement.url.partition("#")[0])
        if location is None or not (path := Path(location)).is_file():
            continue
        with faults(path):
            if path.suffix == ".whl":
                check_wheel(path)
            elif path.name.endswith((".tar.gz", ".zip")):
                check_sdist(path)
