"""`NAME @ file:///…` where the path is gone: what `pip freeze` writes for a package that was built on another machine.

Packages of Anaconda's and of conda-forge keep the folder in which they were built, such as
`/croot/numpy_1680000000/work` or `/home/conda/feedstock_root/build_artifacts/…/numpy-1.26.4-cp311-….whl`.
"""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

from packaging import utils

from bridge.requirements.algebra import MAX_TEXT
from converters.deferred import dataclass, regex

__all__ = ["MissingPath", "missing_path"]

_NAMED = regex(
    r"(?P<project>[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\[\]]*\])?)\s*@\s*(?P<url>file:/\S*)\s*(?P<marker>;.*)?\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPath:
    """:param requirement: of the project by its name, and by its version if the path has one."""

    path: str
    requirement: str
    has_version: bool


def missing_path(text: str) -> MissingPath | None:
    """Return what a requirement by a path asks for if that path does not exist; `None` for any other text."""
    match = _NAMED.match(text) if "@" in text and len(text) <= MAX_TEXT else None
    if match is None:
        return None
    url = match["url"].removesuffix(";")
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return None
    if not path.startswith("/") or "\0" in path or os.path.exists(path):
        return None
    version = _version(path.rstrip("/").rpartition("/")[2])
    marker = f" {match['marker'].strip()}" if match["marker"] else ""
    return MissingPath(
        path=path,
        requirement=f"{match['project'].strip()}{f'=={version}' if version else ''}{marker}",
        has_version=version is not None,
    )


def _version(name: str) -> str | None:
    try:
        return str((utils.parse_wheel_filename(name) if name.endswith(".whl") else utils.parse_sdist_filename(name))[1])
    except ValueError:
        return None
