"""What the output of a failed build says: the line to tell, and the project to install instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bridge.errors import UnsafeInputError
from bridge.sdists.names import parse_sdist_name
from converters.projects import canonicalize_name

__all__ = ["reason", "successor"]

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_NAMES = re.compile(rf"(['\"`])({_NAME})\1|\b(?:pip3? install|install package)\s+({_NAME})")
_REFUSALS = re.compile(r"deprecated|instead|rather than|renamed|no longer|removed|tried to install", re.IGNORECASE)


def reason(label: str, lines: Sequence[str]) -> str:
    """Return the line that says why a build failed: the refusal of a stand-in, else the last one.

    An indented last line belongs to the one before it, as the caret below the text of an error does.
    """
    refusal = next(_refusals(label, lines), None)
    if refusal is not None:
        return lines[refusal]
    return next((line for line in reversed(lines) if line[:1].strip()), lines[-1])


def successor(label: str, lines: Sequence[str]) -> str | None:
    """Return the project that an sdist made only to refuse its build names: `scikit-learn` for `sklearn`."""
    refusal = next(_refusals(label, lines), None)
    if refusal is None:
        return None
    own, text = _project(label), " ".join(lines[refusal:])
    named = (match[2] or match[3] for match in _NAMES.finditer(text))
    return next((name for name in named if canonicalize_name(name) != own), None)


def _refusals(label: str, lines: Sequence[str]) -> Iterator[int]:
    """Yield the numbers of lines that name the project itself and a word of refusal."""
    own = re.compile(
        rf"(?<![\w./-]){'[-_.]'.join(map(re.escape, _project(label).split('-')))}(?![\w/-]|\.\w)", re.IGNORECASE
    )
    for number, line in enumerate(lines):
        if own.search(line) and _REFUSALS.search(line) and "Warning" not in line:
            yield number


def _project(label: str) -> str:
    """Return the normalised project of an sdist; a source tree is known by its directory."""
    try:
        return parse_sdist_name(label)[0]
    except UnsafeInputError:
        return canonicalize_name(label)
