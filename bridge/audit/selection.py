"""Select findings by kind, package and path. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from bridge.audit.checks import CHECKS, Check
from bridge.audit.checks.choice import kinds_of
from bridge.audit.finding import INTERRUPTED, Finding, Report
from converters.deferred import dataclass, replace

__all__ = ["Filter", "read_filter", "restricted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a person asks about: any of the kinds, and any of the packages, and any of the paths.

    :param kinds: ids of checks; empty: all.
    :param packages: patterns for names of packages; empty: all.
    :param paths: patterns for paths; a directory covers what is below it; empty: all.
    """

    kinds: frozenset[str] = frozenset()
    packages: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is one that was asked about."""
        if self.kinds and finding.id not in self.kinds:
            return False
        if self.packages and not any(_names(finding, each) for each in self.packages):
            return False
        path = finding.path
        return not self.paths or (path is not None and any(_lies(path, each) for each in self.paths))


def read_filter(words: Iterable[str], others: Sequence[Check] = ()) -> Filter:
    """A word is a kind or a theme of checks, a path (it has a `/`), or the name of a package."""
    kinds: set[str] = set()
    packages: list[str] = []
    paths: list[str] = []
    for word in words:
        named = kinds_of(word, (*CHECKS, *others))
        if named:
            kinds |= named
        elif "/" in word:
            paths.append(word.rstrip("/"))
        else:
            packages.append(word)
    return Filter(kinds=frozenset(kinds), packages=tuple(packages), paths=tuple(paths))


def restricted(report: Report, kinds: frozenset[str], wanted: Filter) -> Report:
    """The report with the findings of these kinds that the filter covers; an interrupted transaction stays."""
    findings = (
        each for each in report.findings if each.id == INTERRUPTED or (each.id in kinds and wanted.covers(each))
    )
    return replace(report, findings=tuple(findings))


def _names(finding: Finding, pattern: str) -> bool:
    owners = (each.partition(":")[2] for each in (finding.owner, finding.by) if each is not None)
    return any(fnmatchcase(each, pattern) for each in (finding.package, *owners) if each) or (
        finding.by is not None and finding.by.partition(":")[2].startswith(f"{pattern}-")
    )


def _lies(path: str, pattern: str) -> bool:
    return path.startswith(f"{pattern}/") or fnmatchcase(path, pattern)
