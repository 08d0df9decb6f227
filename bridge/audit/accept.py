"""Known findings that are accepted, each with a reason and an end. Pure.

An acceptance file is TOML: a list of `[[accept]]` tables with `id`, `package` and `path` (glob patterns; at
least one of the three), `reason` (required) and `until` (a date; the acceptance ends after that day).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from fnmatch import fnmatchcase

from bridge.audit.finding import Finding, Report
from bridge.errors import UsageError

__all__ = ["Acceptance", "accepted", "baseline", "read_acceptances"]

_KEYS = ("id", "package", "path", "reason", "until")


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
    until: date | None = None

    def covers(self, finding: Finding) -> bool:
        """Whether every given pattern matches; the date is not considered."""
        if self.id is not None and self.id != finding.id:
            return False
        if self.package is not None:
            named = [each for each in (finding.package, finding.owner) if each is not None]
            if not any(fnmatchcase(each, self.package) for each in named):
                return False
        return self.path is None or (finding.path is not None and fnmatchcase(finding.path, self.path))

    @property
    def label(self) -> str:
        """The patterns, as in the file: `clobbered-file numpy lib/*`."""
        return " ".join(each for each in (self.id, self.package, self.path) if each is not None)


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
    for key in ("id", "package", "path", "reason"):
        value = table.get(key)
        if value is None:
            continue
        if not isinstance(value, str) or not (value.strip() if key == "reason" else value):
            raise _wrong(where, f"{place}.{key}", "it is not a text")
        texts[key] = value
    if "reason" not in texts:
        raise _wrong(where, place, "it gives no reason")
    if len(texts) == 1:
        raise _wrong(where, place, "it would accept everything; give an id, a package or a path")
    if "id" in texts and texts["id"] not in kinds:
        raise _wrong(where, f"{place}.id", f"there is no check {texts['id']!r}; `bridge audit --checks` lists them")
    return Acceptance(until=_date(table.get("until"), where, f"{place}.until"), **texts)


def _date(value: object, where: str, place: str) -> date | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise _wrong(where, place, f"{value!r} is not a date such as 2027-01-31") from error


def _wrong(where: str, place: str, what: str) -> UsageError:
    return UsageError("acceptance-file", f"{where}: {place}: {what}")


def accepted(report: Report, acceptances: Sequence[Acceptance], today: date) -> tuple[Report, tuple[str, ...]]:
    """The report with the accepted findings set apart, and a warning for each acceptance that ended or is unused."""
    current = [each for each in acceptances if each.until is None or each.until >= today]
    kept: list[Finding] = []
    apart: list[tuple[Finding, str]] = []
    used: set[int] = set()
    for finding in report.findings:
        covering = [each for each in current if each.covers(finding)]
        used |= {id(each) for each in covering}
        if covering:
            apart.append((finding, covering[0].reason))
        else:
            kept.append(finding)
    warnings = []
    for each in acceptances:
        if each.until is not None and each.until < today:
            found = sum(each.covers(finding) for finding in kept)
            again = f"{found} finding{'s' if found != 1 else ''} count again" if found else "nothing is found any more"
            warnings.append(f"the acceptance of {each.label} ended on {each.until}: {again}")
        elif id(each) not in used:
            warnings.append(f"the acceptance of {each.label} matches no finding any more: remove it from the file")
    return replace(report, findings=tuple(kept), accepted=tuple(apart)), tuple(warnings)


def baseline(report: Report, reason: str) -> str:
    """An acceptance file of every finding above the level info, as TOML."""
    lines: list[str] = []
    for finding in report.findings:
        if finding.level == "info":
            continue
        lines.append("[[accept]]")
        for key, value in (("id", finding.id), ("package", finding.package), ("path", finding.path)):
            if value is not None:
                lines.append(f"{key} = {_quoted(value if key == 'id' else _pattern(value))}")
        lines += [f"reason = {_quoted(reason)}", ""]
    return "\n".join(lines)


def _pattern(text: str) -> str:
    """A pattern for this text; a character that TOML cannot hold is `?`."""
    return re.sub("[\ud800-\udfff\x7f]", "?", re.sub(r"([*?\[])", r"[\1]", text))


def _quoted(text: str) -> str:
    """A basic string of TOML, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)
