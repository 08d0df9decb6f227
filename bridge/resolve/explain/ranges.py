"""Words for sets of versions and builds. A range is written only where it has no gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bridge.requirements.algebra import pep440_version
from bridge.requirements.matchspec import conda_version
from converters.deferred import NamedTuple

__all__ = ["Build", "candidates", "listed", "version_range"]

_MANY = 3  # versions or builds that are all named
_MANY_RANGES = 4


class Build(NamedTuple):
    """One candidate of a name: its version, and the build or file that tells it from others of the version."""

    version: str
    build: str


def listed(parts: Sequence[str]) -> str:
    """Join as `a`, `a and b`, `a, b and c`; empty for none."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def version_range(name: str, versions: Iterable[str], every: Iterable[str]) -> str:
    """`name 1.0`, `name 1.0 and 1.1`, `name 1.0 to 2.3 and 3.1`, or `9 of the 20 versions of name from 1.0 to 3.1`.

    :param every: all versions that there are, best first; `versions` are some of them.
    """
    ordered, chosen = _ascending(dict.fromkeys(every)), frozenset(versions)
    runs: list[list[str]] = [[]]
    for version in ordered:
        if version in chosen:
            runs[-1].append(version)
        elif runs[-1]:
            runs.append([])
    runs = [run for run in runs if run]
    texts = [text for run in runs for text in (run if len(run) <= 2 else [f"{run[0]} to {run[-1]}"])]
    if len(chosen) > _MANY and len(texts) > _MANY_RANGES:
        return f"{len(chosen)} of the {len(ordered)} versions of {name} from {runs[0][0]} to {runs[-1][-1]}"
    if len(runs) == 1 and len(runs[0]) == _MANY:
        texts = runs[0]
    return f"{name} {listed(texts)}"


def _ascending(versions: Iterable[str]) -> list[str]:
    """Return versions, the oldest first; the best is not the newest where that is a pre-release."""
    texts = list(versions)[::-1]
    of_both: tuple[Callable[[str], Any], ...] = (pep440_version, conda_version)
    for parse in of_both:
        known = {text: parse(text) for text in texts}
        if all(version is not None for version in known.values()):
            return sorted(texts, key=known.__getitem__)
    return texts


def candidates(name: str, chosen: Sequence[Build], every: Sequence[Build], noun: str) -> str:
    """Describe some candidates of a name: whole versions as ranges, and builds where a version has others too.

    :param every: all candidates, newest first; `noun` is what several candidates of one version are: `builds`, `files`.
    """
    left = {each.version for each in frozenset(every).difference(chosen)}
    whole = [each.version for each in chosen if each.version not in left]
    partly = list(dict.fromkeys(each.version for each in chosen if each.version in left))
    versions = [each.version for each in every]
    if not left and len(set(versions)) > 1:
        return f"every {name}"
    parts = [version_range(name, whole, versions)] if whole else []
    if len(partly) == 1:
        builds = [each.build for each in chosen if each.version == partly[0]]
        same = sum(each.version == partly[0] for each in every)
        few = 0 < len(builds) <= _MANY
        parts.append(
            f"{name} {partly[0]} {listed(list(reversed(builds)))}"
            if few
            else f"{len(builds)} of the {same} {noun} of {name} {partly[0]}"
        )
    elif partly:
        parts.append(f"some {noun} of {version_range(name, partly, versions)}")
    return listed(parts)
