"""Known findings that are accepted, each with a reason and an end. Pure.

An acceptance file is TOML: a list of `[[accept]]` tables with `id`, `package`, `path` (glob patterns) and `advisory`
(the id or an alias of a vulnerability; at least one of the four), `reason` (required) and `until` (a date, after which
the acceptance ends, or "fixed": it ends when a version fixes the vulnerability).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from fnmatch import fnmatchcase
from typing import Literal

from bridge.audit.finding import Finding, Report
from bridge.errors import UsageError
from converters.deferred import dataclass, replace

__all__ = ["Acceptance", "accepted", "baseline", "read_acceptances"]

_KEYS = ("id", "package", "path", "advisory", "reason", "until")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """A finding, or several, that a person accepts.

    :param id: the kind of finding; `None`: any.
    :param package: a pattern (`fnmatch`) for the package's name or for `owner`.
    :param path: a pattern for the path in the prefix; `*` crosses directories.
    :param until: the last day on which it is accepted; `None`: for ever.
    """

    reason: str
    id: str | None = None
    package: str | None = None
    path: str | None = None
    advisory: str | None = None
    until: date | Literal["fixed"] | None = None

    def covers(self, finding: Finding) -> bool:
        """Whether every given pattern matches; the date is not considered."""
        if self.id is not None and self.id != finding.id:
            return False
        if self.advisory is not None and self.advisory not in (finding.advisory, *finding.aliases):
            return False
        if self.package is not None:
            named = [each for each in (finding.package, finding.owner) if each is not None]
            if not any(fnmatchcase(each, self.package) for each in named):
                return False
        return self.path is None or (finding.path is not None and fnmatchcase(finding.path, self.path))

    @property
    def label(self) -> str:
        """The patterns, as in the file: `clobbered-file numpy lib/*`."""
        return " ".join(each for each in (self.id, self.package, self.path, self.advisory) if each is not None)

    def is_over(self, today: date, finding: Finding | None = None) -> bool:
        """Whether it has ended: its day is past, or a version fixes the vulnerability."""
        if self.until == "fixed":
            return finding is not None and bool(finding.fixed)
        return self.until is not None and self.until < today


def read_acceptances(tables: object, where: str, kinds: Iterable[str]) -> tuple[Acceptance, ...]:
    """Read the tables of an acceptance file.

    :param tables: the value of `accept`: a list of tables.
    :param where: the file, for messages.
    :param kinds: the ids of all checks.
    :raises UsageError: `acceptance-file`, with the place in the file.
    """
    if not isinstance(tables, list):
        raise _wrong(where, "accept", "it is not a list of tables ([[accept]])")
    known = frozenset(kinds)
    return tuple(_read_one(table, where, f"accept[{place}]", known) for place, table in enumerate(tables))


def _read_one(table: object, where: str, place: str, kinds: frozenset[str]) -> Acceptance:
    if not isinstance(table, Mapping):
        raise _wrong(where, place, "it is not a table")
    for key in table:
        if key not in _KEYS:
            raise _wrong(where, f"{place}.{key}", f"there is no such key; known are {', '.join(_KEYS)}")
    texts: dict[str, str] = {}
    for key in ("id", "package", "path", "advisory", "reason"):
        value = table.get(key)
        if value is None:
            continue
        if not isinstance(value, str) or not (value.strip() if key == "reason" else value):
            raise _wrong(where, f"{place}.{key}", "it is not a text")
        texts[key] = value
    if "reason" not in texts:
        raise _wrong(where, place, "it gives no reason")
    if len(texts) == 1:
        raise _wrong(where, place, "it would accept everything; give an id, a package, a path or an advisory")
    if "id" in texts and texts["id"] not in kinds:
        raise _wrong(where, f"{place}.id", f"there is no check {texts['id']!r}; `bridge audit --checks` lists them")
    return Acceptance(until=_date(table.get("until"), where, f"{place}.until"), **texts)


def _date(value: object, where: str, place: str) -> date | Literal["fixed"] | None:
    if value is None or value == "fixed":
        return value
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise _wrong(where, place, f"{value!r} is neither a date such as 2027-01-31 nor 'fixed'") from error


def _wrong(where: str, place: str, what: str) -> UsageError:
    hint = 'an entry: [[accept]], id = "CHECK" (or package, path, advisory), reason = "WHY", until = 2027-01-31'
    return UsageError("acceptance-file", f"{where}: {place}: {what}", hint=hint)


def accepted(report: Report, acceptances: Sequence[Acceptance], today: date) -> tuple[Report, tuple[str, ...]]:
    """The report with the accepted findings set apart, and a warning for each acceptance that ended or is unused."""
    kept: list[Finding] = []
    apart: list[tuple[Finding, str]] = []
    used: set[int] = set()
    for finding in report.findings:
        matching = [each for each in acceptances if each.covers(finding)]
        covering = [each for each in matching if not each.is_over(today, finding)]
        used |= {id(each) for each in covering}
        if covering:
            apart.append((finding, covering[0].reason))
        else:
            kept.append(finding)
    warnings = []
    for each in acceptances:
        ended = [finding for finding in kept if each.covers(finding) and each.is_over(today, finding)]
        if each.is_over(today):
            again = f"{_findings(len(ended))} again" if ended else "nothing is found any more"
            warnings.append(f"the acceptance of {each.label} ended on {each.until}: {again}")
        elif ended:
            fixed = ", ".join(dict.fromkeys(version for finding in ended for version in finding.fixed))
            warnings.append(f"the acceptance of {each.label} has ended: {fixed} fixes it")
        elif id(each) not in used:
            warnings.append(f"the acceptance of {each.label} matches no finding any more: remove it from the file")
    return replace(report, findings=tuple(kept), accepted=tuple(apart)), tuple(warnings)


def _findings(count: int) -> str:
    return "1 finding counts" if count == 1 else f"{count} findings count"


def baseline(report: Report, reason: str) -> str:
    """An acceptance file of every finding above the level info, as TOML."""
    lines: list[str] = []
    for finding in report.findings:
        if finding.level == "info":
            continue
        lines.append("[[accept]]")
        for key, value in _patterns(finding):
            lines.append(f"{key} = {_quoted(value)}")
        lines += [f"reason = {_quoted(reason)}", ""]
    return "\n".join(lines)


def _patterns(finding: Finding) -> Iterator[tuple[str, str]]:
    yield "id", finding.id
    for key, value in (("package", finding.package), ("path", finding.path)):
        if value is not None:
            yield key, _pattern(value)
    if finding.advisory is not None:
        yield "advisory", finding.advisory


def _pattern(text: str) -> str:
    """A pattern for this text; a character that TOML cannot hold is `?`."""
    return re.sub("[\ud800-\udfff\x7f]", "?", re.sub(r"([*?\[])", r"[\1]", text))


def _quoted(text: str) -> str:
    """A basic string of TOML, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)
