"""Translate a wheel's file name and METADATA to a native record.

The resolver (with the index's METADATA) and the installer (with that of the fetched wheel) call the same function, and
their results must be equal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from converters.names import NameMap
from converters.record import Record
from converters.target import Target
from converters.wheel import WheelInfo, check_name, parse_wheel_name

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = ["Build", "best_tag", "build_of", "build_string", "translate"]

_MAX_BUILD = 64  # CEP 26

Build = tuple[str, int, str, bool]
"""The build string of a file, its number and subdir, and whether it is `noarch: python`."""


def translate(info: WheelInfo, target: Target, names: NameMap, build: Build | None = None) -> Record:
    """Return the record of a wheel or sdist for `target`.

    Requirements stay PEP 508 with their markers. The build string is the best tag, without hyphens, at which conda
    splits file names (`py3-none-any` → `py3_none_any_0`). An sdist gets the build `sdist_0`; its wheel is translated
    once it is built. Raises `UnsafeInputError` if file name and METADATA contradict each other.

    :param build: what `build_of` returned for the same file name, name, version and target.
    """
    text, number, subdir, noarch = build or build_of(info, target)
    return Record(
        ecosystem="wheel",
        name=names.native_name(info.metadata.name),
        version=info.metadata.version,
        build=text,
        build_number=number,
        subdir=subdir,
        noarch="python" if noarch else None,
        requirements=info.metadata.requires_dist,
        requires_python=info.metadata.requires_python,
        extras=info.metadata.provides_extra,
        pypi_names=(info.metadata.name,),
        timestamp=info.upload_time,
        filename=info.filename,
        url=info.url,
        origin=info.origin,
        sha256=info.sha256,
        size=info.size,
        yanked=info.yanked,
        license=info.metadata.license,
        revision=info.revision,
    )


def build_of(info: WheelInfo, target: Target) -> Build:
    """Return the build of a wheel or sdist on a target. Raises as `translate`."""
    if not info.filename.endswith(".whl"):
        return "sdist_0", 0, "noarch", False
    named = parse_wheel_name(info.filename)
    check_name(named, info.metadata, info.filename)
    tag = best_tag(named.tags, target)
    is_native = tag.platform != "any"
    text, number = build_string(tag, named.build_tag), named.build_tag[0] if named.build_tag else 0
    return text, number, target.subdir if is_native else "noarch", not is_native and tag.abi == "none"


def best_tag(tags: frozenset[Tag], target: Target) -> Tag:
    """Return the best tag for `target`; if none fits, or the target has no python, the first in text order."""
    if target.python is not None:
        ranks = target.tag_ranks()
        if fitting := tags & ranks.keys():
            return min(fitting, key=ranks.__getitem__)
    return min(tags, key=lambda tag: (tag.platform != "any", not tag.interpreter.startswith("py3"), str(tag)))


def build_string(tag: Tag, build_tag: tuple[int, str] | None) -> str:
    """Return the conda build string of a tag: letters, digits, `_`, `.`, `+`, at most 64 characters (CEP 26)."""
    number = f"{build_tag[0]}{build_tag[1]}" if build_tag else "0"
    text = f"{tag.interpreter}_{tag.abi}_{tag.platform}"
    text = re.sub(r"[^A-Za-z0-9_.+]", "_", text)
    suffix = "_" + re.sub(r"[^A-Za-z0-9_.+]", "_", number)
    return text[: _MAX_BUILD - len(suffix)] + suffix
