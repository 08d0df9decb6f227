"""The parts of the page that are text: the verdict, the findings by package, and the packages. Pure.

They are whole without scripts and on paper; scripts only fold, filter and copy. Each text of a package is escaped.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape

from bridge import __version__
from bridge.audit.finding import LEVELS, Finding, Level, grouped, is_fixable
from bridge.audit.packages import PackageRow
from bridge.audit.report.facts import Facts
from bridge.secrets import masked

__all__ = ["findings_part", "footer_part", "header_part", "packages_part", "title_of"]

_FEW = 5  # findings of one kind that are shown before the rest is unfolded


def _text(value: object) -> str:
    return escape(masked(str(value)))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _of_level(number: int, level: Level) -> str:
    return f"{number} info" if level == "info" else _count(number, level)


def title_of(facts: Facts) -> str:
    """The title of the window, escaped: the verdict and the environment."""
    return f"{_text(facts.report.prefix.name or 'environment')}: {_verdict(facts)}"


def _verdict(facts: Facts) -> str:
    errors, warnings = facts.report.count("error"), facts.report.count("warning")
    if not errors and not warnings:
        return "nothing is wrong"
    concerned = {each.owner or each.package for each in facts.report.findings if each.level != "info"} - {None}
    counted = [_of_level(number, level) for number, level in zip((errors, warnings), LEVELS[:2], strict=True) if number]
    return " and ".join(counted) + (f" in {_count(len(concerned), 'package')}" if concerned else "")


def header_part(facts: Facts, when: datetime) -> str:
    """The verdict first, then what was examined, when and by what."""
    report = facts.report
    level = next((each for each in LEVELS[:2] if report.count(each)), "good")
    verdict = _verdict(facts)
    rows = {
        "Examined": f"{when:%Y-%m-%d %H:%M} UTC",
        "By": f"bridge {__version__}",
        "Platform": facts.platform,
        "Python": facts.python or "none",
        "Packages": _counted_packages(facts),
        "Files": f"{report.files:,}",
        "Findings": _joined(_of_level(number, each) for each in LEVELS if (number := report.count(each))),
    }
    if report.accepted:
        rows["Accepted"] = _count(len(report.accepted), "finding")
    listed = "".join(f"<div><dt>{key}</dt><dd>{_text(value)}</dd></div>" for key, value in rows.items())
    fixable = sum(is_fixable(each) for each in report.findings)
    repair = ""
    if fixable:
        command = ("bridge", "audit", "-p", str(report.prefix), "--fix")
        repair = (
            f"<p>One command repairs {fixable} of {_count(len(report.findings), 'finding')}:</p>{_command(command)}"
        )
    return (
        f'<header><h1 class="{level}"><span class="mark" aria-hidden="true">{"✓" if level == "good" else "✗"}</span>'
        f"{verdict[0].upper()}{verdict[1:]}</h1>"
        f'<p class="prefix mono">{_text(report.prefix)}</p><dl class="facts">{listed}</dl>{repair}</header>'
    )


def _counted_packages(facts: Facts) -> str:
    counted = facts.report.packages
    names = (("conda", "conda"), ("wheel", "wheels"), ("unmanaged", "unmanaged"))
    numbers = [(counted.get(source, 0), name) for source, name in names]  # type: ignore[call-overload]
    return _joined(f"{number} {name}" for number, name in numbers if number)


def _joined(counts: Iterable[str]) -> str:
    """Return counts as one text, in which no number is on another line than what it counts."""
    return ", ".join(each.replace(" ", "\N{NO-BREAK SPACE}") for each in counts) or "none"


def _command(words: Sequence[str]) -> str:
    return (
        f'<div class="repair"><code>{_text(shlex.join(words))}</code>'
        '<button type="button" class="js copy">copy</button></div>'
    )


def findings_part(facts: Facts) -> str:
    """A card for each package with findings, the worst first; what no package owns comes last within its level."""
    if not facts.report.findings and not facts.report.accepted:
        return "<p>There is nothing to report.</p>"
    cards: dict[str, list[tuple[Finding, ...]]] = {}
    for group in grouped(facts.report.findings):
        cards.setdefault(group[0].owner or group[0].package or "", []).append(group)
    numbers = {row.owner: (number, row) for number, row in enumerate(facts.rows)}
    ordered = sorted(cards.items(), key=lambda card: _rank(card[0], card[1]))
    parts = [_card(owner, groups, numbers.get(owner)) for owner, groups in ordered]
    return "\n".join([*parts, *_accepted(facts)])


def _rank(owner: str, groups: Sequence[Sequence[Finding]]) -> tuple[list[int], bool, str]:
    counted = [-sum(len(group) for group in groups if group[0].level == level) for level in LEVELS]
    worst = [int(not each) for each in counted]
    return [*worst, *counted], not owner, owner


def _card(owner: str, groups: Sequence[Sequence[Finding]], known: tuple[int, PackageRow] | None) -> str:
    title, source, place = owner or "Not of a package", "", ""
    if known is not None:
        number, row = known
        title, place = f"{row.name} {row.version}", f' id="package-{number}"'
        source = f'<span class="{row.source}">{row.source}</span> <span class="soft">{_origin(row)}</span>'
    levels = [(level, sum(len(group) for group in groups if group[0].level == level)) for level in LEVELS]
    badges = " ".join(
        f'<span class="badge {level}">{_of_level(count, level)}</span>' for level, count in levels if count
    )
    body = "".join(map(_group, groups))
    return (
        f'<article class="package"{place}><header><h3>{_text(title)}</h3>{badges} <span>{source}</span></header>'
        f"{body}</article>"
    )


def _group(group: Sequence[Finding]) -> str:
    first = group[0]
    by = f' <span>by <strong class="mono">{_text(first.by)}</strong></span>' if first.by else ""
    same = len(group) > 1 and len({each.evidence for each in group}) == 1
    items = "".join(f"<li>{_item(each, is_brief=same)}</li>" for each in group)
    evidence = f'<p class="evidence">{_text(first.evidence)}</p>' if same else ""
    if len(group) > _FEW:
        listed = f'<ul class="cut">{items}</ul><button type="button" class="js unfold">show all {len(group)}</button>'
    else:
        listed = f"<ul>{items}</ul>"
    repair = _command(first.repair) if first.repair else ""
    return (
        f'<div class="finding {first.level}-finding" data-level="{first.level}" data-id="{_text(first.id)}">'
        f'<h4><span class="{first.level}">{first.level}</span> <span class="kind">{_text(first.id)}</span>{by}</h4>'
        f"{evidence}{listed}{repair}</div>"
    )


def _item(finding: Finding, *, is_brief: bool = False) -> str:
    path = f"<code>{_text(finding.path)}</code>" if finding.path else ""
    if is_brief and path:
        return path
    return f'{path}{"<br>" if path else ""}<span class="evidence">{_text(finding.evidence)}</span>'


def _accepted(facts: Facts) -> Iterator[str]:
    if facts.report.accepted:
        items = "".join(
            f"<li>{_text(each.id)} {_text(each.owner or each.package or '')} {_item(each)}"
            f'<br><span class="soft">accepted: {_text(reason)}</span></li>'
            for each, reason in facts.report.accepted
        )
        yield (
            '<article class="package"><header><h3>Accepted</h3></header>'
            f'<div class="finding"><ul>{items}</ul></div></article>'
        )


def _origin(row: PackageRow) -> str:
    return _text(row.origin or row.installer or "")


def packages_part(facts: Facts) -> str:
    """A table of all packages, with the names of those that each requires."""
    names = {row.owner: row.name for row in facts.rows}
    needs: dict[str, dict[str, None]] = {}
    for each in facts.dependencies:
        needs.setdefault(each.dependant, {})[names.get(each.dependency, each.dependency)] = None
    body = "".join(_row(number, row, needs.get(row.owner, {})) for number, row in enumerate(facts.rows))
    head = "".join(f"<th scope='col'>{each}</th>" for each in ("package", "version", "from", "licence", "requires"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(number: int, row: PackageRow, needs: Iterable[str]) -> str:
    asked = ' <span class="soft">(requested)</span>' if row.is_requested else ""
    gone = f' <strong class="error">{_text(row.displacement)}</strong>' if row.displacement else ""
    return (
        f'<tr data-package="{number}"><td class="name"><span class="label">{_text(row.name)}</span>{asked}{gone}</td>'
        f"<td>{_text(row.version)}</td>"
        f'<td class="wide"><span class="{row.source}">{row.source}</span> <span class="soft">{_origin(row)}</span></td>'
        f'<td class="wide">{_text(row.license or "")}</td><td class="wide needs">{_text(", ".join(needs))}</td></tr>'
    )


def footer_part() -> str:
    """What made the page, and the licence of the library in it."""
    return (
        f"Made by bridge {__version__}. The page holds all its data and loads nothing. It contains dagre "
        "(copyright Chris Pettitt and contributors, MIT licence), which lays out the graph."
    )
