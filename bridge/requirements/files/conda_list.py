"""Lists of conda's: `conda list --export`, and the MatchSpecs that `conda create --file` reads."""

from __future__ import annotations

import re
from pathlib import Path

from packaging import requirements as pep508

from bridge.errors import UsageError
from bridge.requirements.algebra import Requirement, conda_requirement, parse, parse_pypi
from bridge.requirements.files.platforms import check_platform
from bridge.requirements.files.values import FileRequirements, unique, wrong
from converters.deferred import regex

__all__ = ["is_conda_list", "read_conda_list"]

# NAME=VERSION=BUILD, a channel before it where `show_channel_urls` is set.
_EXPORTED = regex(r"(?:\S+::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)=(?P<version>[^=\s]+)=(?P<build>[^=\s]+)\Z")
_SPEC_ONLY = regex(r"[\w./:-]+::[\w.-]|[\w.-]+\s*(?:=(?![=])|\s[\d*])")
_PYPI_BUILD = regex(r"pypi(_\d+)?\Z")
_PIP_ONLY = regex(r"-|\.{0,2}/|[a-z+]+://|\S+\s*@\s")


def is_conda_list(text: str) -> bool:
    """Return whether the lines are MatchSpecs, of which at least one is no requirement of pip's (`numpy=1.26`)."""
    lines = [bare for line in text.splitlines() if (bare := _bare(line))]
    if not lines or any(_PIP_ONLY.match(line) for line in lines):
        return False
    return any(_SPEC_ONLY.match(line) and not _is_pep508(line) for line in lines)


def read_conda_list(path: Path, text: str, platform: str) -> FileRequirements:
    """Read such a list. A line with a build asks for conda's record, one with `pypi_0` for a wheel.

    A line without a build is asked of both ecosystems, as on the command line. Raises `UsageError`
    (`requirement-file`).
    """
    check_platform(path, text, platform)
    requirements: list[Requirement] = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = _bare(line)
        if not bare:
            continue
        try:
            requirements.append(_requirement(bare))
        except UsageError as error:
            hint = "a list of conda's has lines NAME=VERSION=BUILD, or a MatchSpec on each line"
            raise wrong(path, number, error.message, context=error.context, hint=hint) from error
    return FileRequirements(requirements=unique(requirements))


def _requirement(line: str) -> Requirement:
    exported = _EXPORTED.match(line)
    if exported is None:
        return parse(line)
    if _PYPI_BUILD.match(exported["build"]) or line.startswith("pypi::"):
        return parse_pypi(f"pypi:{exported['name']}=={exported['version']}")
    return conda_requirement(line)


def _bare(line: str) -> str:
    return (re.split(r"(?:^|\s)#", line, maxsplit=1)[0] if "#" in line else line).strip()


def _is_pep508(line: str) -> bool:
    try:
        pep508.Requirement(line)
    except (pep508.InvalidRequirement, RecursionError):
        return False
    return True
