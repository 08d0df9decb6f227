"""The one translation: a wheel's file name and METADATA become a native record.

The resolver (from `.metadata`), `convert` and the installer (from the fetched wheel) call this same function; what the
installer reads must equal what was solved with.
"""

from __future__ import annotations

import re
from typing import Literal

from packaging.tags import Tag

from converters.names import NameMap
from converters.record import Record
from converters.target import Target
from converters.wheel import WheelInfo, check_name, parse_wheel_name

__all__ = ["best_tag", "build_string", "translate"]

_MAX_BUILD = 64  # CEP 26


def translate(info: WheelInfo, target: Target, names: NameMap) -> Record:
    """`info` as a record for `target`.

    Requirements stay PEP 508, unevaluated: their markers are judged by whoever solves or writes. The build string is
    made of the tag that fits best (`py3-none-any` → `py3_none_any_0`; no hyphen: conda splits file names there).
    An sdist is recorded as what it will become, with the build `sdist_0`; its wheel is translated again once built.
    Raises `UnsafeInputError` where the file name and METADATA contradict each other.
    """
    if not info.filename.endswith(".whl"):
        return _record(info, names.native_name(info.metadata.name), info.metadata.name, "sdist_0", 0, "noarch", None)
    named = parse_wheel_name(info.filename)
    check_name(named, info.metadata, info.filename)
    number = named.build_tag[0] if named.build_tag else 0
    tag = best_tag(named.tags, target)
    is_portable = tag.platform == "any"
    return _record(
        info,
        names.native_name(named.project),
        named.project,
        build_string(tag, named.build_tag),
        number,
        "noarch" if is_portable else target.subdir,
        "python" if is_portable and tag.abi == "none" else None,
    )


def _record(
    info: WheelInfo,
    name: str,
    project: str,
    build: str,
    build_number: int,
    subdir: str,
    noarch: Literal["python"] | None,
) -> Record:
    return Record(
        ecosystem="wheel",
        name=name,
        version=info.metadata.version,
        build=build,
        build_number=build_number,
        subdir=subdir,
        noarch=noarch,
        requirements=info.metadata.requires_dist,
        requires_python=info.metadata.requires_python,
        extras=info.metadata.provides_extra,
        pypi_names=(project,),
        timestamp=info.upload_time,
        filename=info.filename,
        url=info.url,
        origin=info.origin,
        sha256=info.sha256,
        size=info.size,
        yanked=info.yanked,
        license=info.metadata.license,
    )


def best_tag(tags: frozenset[Tag], target: Target) -> Tag:
    """The tag that fits `target` best; without a python on the target, or where none fits, the first by text."""
    if target.python is not None:
        for tag in target.tags():
            if tag in tags:
                return tag
    return min(tags, key=lambda tag: (tag.platform != "any", not tag.interpreter.startswith("py3"), str(tag)))


def build_string(tag: Tag, build_tag: tuple[int, str] | None) -> str:
    """A conda build string for a wheel tag: letters, digits, `_`, `.` and `+` only, at most 64 characters (CEP 26)."""
    number = f"{build_tag[0]}{build_tag[1]}" if build_tag else "0"
    text = f"{tag.interpreter}_{tag.abi}_{tag.platform}"
    text = re.sub(r"[^A-Za-z0-9_.+]", "_", text)
    suffix = "_" + re.sub(r"[^A-Za-z0-9_.+]", "_", number)
    return text[: _MAX_BUILD - len(suffix)] + suffix
