"""The order of candidates within one list.

Records of a conda name: fewer `track_features`, then version, build number, newer python, timestamp (the order of conda
and rattler). Files of a project: not yanked, final releases, version; a wheel before an sdist; a tag of one python
before abi3 before none; the nearest platform tag.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from bridge.model import IndexFile
from bridge.requirements.algebra import conda_version, pep440_version
from bridge.requirements.names import name_of
from converters.deferred import regex
from converters.record import Record
from converters.target import Target
from converters.wheel import parse_wheel_name

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = ["file_rank", "record_rank"]

_MINOR = regex(r"(\d+)\.(\d+)")


def record_rank(record: Record) -> tuple[object, ...]:
    """Return the sort key of a conda record among those of its name; larger is better."""
    version = conda_version(record.version)
    return (
        -len(record.track_features),
        version is not None,
        version if version is not None else 0,
        record.build_number,
        _newest_python(record),
        record.timestamp or 0,
        record.build,
    )


def _newest_python(record: Record) -> tuple[int, int]:
    """Return the python minor that a build is made for; a build for none in particular counts as the newest."""
    if record.noarch is None:
        for text in record.requirements:
            if name_of(text) in {"python_abi", "python"} and (minor := _MINOR.search(text)):
                return int(minor[1]), int(minor[2])
    return 99, 0


def file_rank(target: Target, *, has_early: bool = False) -> Callable[[IndexFile], tuple[object, ...]]:
    """Return a sort key for the files of a project; larger is better. `has_early`: pre-releases compete (`--pre`)."""
    order = {platform: position for position, platform in enumerate(reversed(target.platform_tags()))}

    def rank(file: IndexFile) -> tuple[object, ...]:
        version = pep440_version(file.version)
        assert version is not None, "files without a version are excluded before"
        usable = (file.yanked is None, has_early or not version.is_prerelease, version)
        if not file.is_wheel:
            return (*usable, False, (0, 0, 0), (), -1, file.filename)
        named = parse_wheel_name(file.filename)
        kind = max(_tag_kind(tag) for tag in named.tags)
        platform = max(order.get(tag.platform, -1) for tag in named.tags)
        return (*usable, True, kind, named.build_tag or (), platform, file.filename)

    return rank


@lru_cache(maxsize=8192)
def _tag_kind(tag: Tag) -> tuple[int, int, int]:
    digits = tag.interpreter.lstrip("abcdefghijklmnopqrstuvwxyz")
    minor = int(digits[1:]) if digits[1:].isdigit() else 0
    if tag.abi == "none":
        return (1 if tag.platform != "any" else 0, 0, 0)
    return (2, 0, 0) if tag.abi.startswith("abi3") else (3, minor, 0)
