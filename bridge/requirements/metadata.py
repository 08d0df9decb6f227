"""The requirements in a project's metadata, with some of its extras, as requirements of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from packaging import requirements as pep508

from bridge.errors import UsageError
from bridge.requirements.algebra import Requirement, parse_pypi
from converters.deferred import regex
from converters.metadata import CoreMetadata
from converters.projects import canonicalize_name
from converters.record import Record

__all__ = ["metadata_of_record", "requirements_of"]

_EXTRA = regex(r"\bextra (?P<operator>[=!]=) \"(?P<extra>[^\"]*)\"|\"(?P<first>[^\"]*)\" (?P<reverse>[=!]=) extra\b")
_TRUE, _FALSE = 'python_version >= "0"', 'python_version < "0"'
_PARENTHESES = regex(r"\([^()]*\)")
_BESIDE_TRUE = regex(rf" and {re.escape(_TRUE)}|{re.escape(_TRUE)} and ")


def metadata_of_record(record: Record, project: str) -> CoreMetadata:
    """Return the METADATA of a project's wheel, as far as its record has it."""
    return CoreMetadata(
        name=project,
        version=record.version,
        requires_python=record.requires_python,
        requires_dist=record.requirements,
        provides_extra=record.extras,
        license=record.license,
    )


def requirements_of(metadata: CoreMetadata, extras: Sequence[str]) -> tuple[Requirement, ...]:
    """Return what a project requires with these extras, and with those that they ask of the project itself.

    Texts that are no PEP 508 are left out, as in a solve. Raises `UsageError` (`unknown-extra`).
    """
    wanted: list[str] = list(dict.fromkeys(map(canonicalize_name, extras)))
    unknown = next((extra for extra in wanted if extra not in metadata.provides_extra), None)
    if unknown is not None:
        known = ", ".join(metadata.provides_extra) or "none"
        raise UsageError("unknown-extra", f"{metadata.name} has no extra {unknown!r}", context=(f"extras: {known}",))
    active: set[str] = set()
    while set(wanted) - active:
        active = set(wanted)
        for requirement in _read(metadata, active):
            if requirement.name == metadata.name:
                wanted += [extra for extra in requirement.extras if extra not in wanted]
    requirements = (each for each in _read(metadata, active) if each.name != metadata.name)
    return tuple({each.text: each for each in requirements}.values())


def _read(metadata: CoreMetadata, extras: set[str]) -> Iterator[Requirement]:
    for text in metadata.requires_dist:
        try:
            parsed = pep508.Requirement(text)
            marker = (
                "" if parsed.marker is None else _EXTRA.sub(lambda match: _truth(match, extras), str(parsed.marker))
            )
            if _never_holds(marker):
                continue
            parsed.marker = None
            marker = "" if marker == _TRUE else _BESIDE_TRUE.sub("", marker)
            yield parse_pypi(f"{parsed} ; {marker}" if marker else str(parsed))
        except (ValueError, RecursionError, UsageError):
            continue


def _never_holds(marker: str) -> bool:
    """Whether a marker demands what is false: outside of parentheses it has no `or` beside it."""
    while (bare := _PARENTHESES.sub("", marker)) != marker:
        marker = bare
    return _FALSE in marker and " or " not in marker


def _truth(match: re.Match[str], extras: set[str]) -> str:
    extra = canonicalize_name(match["extra"] if match["extra"] is not None else match["first"])
    is_equal = (match["operator"] or match["reverse"]) == "=="
    return _TRUE if (extra in extras) == is_equal else _FALSE
