"""The lines in which the terminal shows an audit and the answer of `why`, with rich's markup. Pure."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bridge.audit.finding import LEVELS, Finding, Report, grouped, is_fixable
from bridge.cli.texts import safe
from bridge.errors import few
from bridge.secrets import masked

if TYPE_CHECKING:
    from bridge.audit.packages import PackageRow
    from bridge.audit.queries import Reason, Reasons

__all__ = ["reason_lines", "report_lines", "source_url"]

_LEVELS = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_MAX_DETAILS = 6  # groups that are shown in full without -v
_MAX_CHAINS = 5  # of requested packages, in `why`
_MAX_GROUPS = 60  # groups in the terminal; --json has all
_FACTS = {  # kind -> the sentence for one and for several
    "unmanaged-distribution": (
        "1 distribution that pip or another installer owns; `bridge adopt -p {prefix}` takes it over",
        "{count} distributions that pip or another installer owns; `bridge adopt -p {prefix}` takes them over",
    ),
    "unowned-file": ("1 file or directory that no package owns", "{count} files and directories that no package owns"),
}


def report_lines(report: Report, *, is_detailed: bool) -> Iterator[str]:
    """The findings, worst first: a summary by kind and package, or each group with its evidence and repair.

    :param is_detailed: show each group, and those of level info too; few groups are always shown so.
    """
    prefix = safe(shlex.quote(str(report.prefix)))
    shown = [each for each in report.findings if is_detailed or each.level != "info"]
    groups = grouped(shown)
    if is_detailed or len(groups) <= _MAX_DETAILS:
        for group in groups[:_MAX_GROUPS]:
            yield from _details(group)
        if len(groups) > _MAX_GROUPS:
            more = len(groups) - _MAX_GROUPS
            yield f"… and {more} more groups; a kind or a package after `bridge audit` shows its own, --json shows all"
    else:
        yield from _summary(groups)
        yield "-v shows each of them; a kind or a package after `bridge audit` shows its own"
    facts = [each for each in report.findings if each.level == "info"]
    if facts and not is_detailed:
        yield from _facts(facts, prefix)
    if report.accepted:
        yield f"{len(report.accepted)} accepted and not counted"
    yield _verdict(report)
    fixable = sum(is_fixable(each) for each in report.findings)
    if fixable:
        what = "it" if fixable == len(shown) == 1 else f"{fixable} of {len(report.findings)} findings"
        yield f"`bridge audit -p {prefix} --fix` repairs {what}"


def _summary(groups: Sequence[Sequence[Finding]]) -> Iterator[str]:
    """A line for each kind: how many findings, in which packages, and who caused them."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for group in groups:
        kinds.setdefault((group[0].level, group[0].id), []).extend(group)
    for (level, kind), findings in kinds.items():
        packages = Counter(each.package or "no package" for each in findings)
        names = [f"{safe(name)} ({count})" if count > 1 else safe(name) for name, count in packages.most_common()]
        causes = list(dict.fromkeys(each.by for each in findings if each.by))
        by = f"; by {safe(few(causes, 2))}" if causes else ""
        yield f"[{_LEVELS[level]}]{level}[/] [bold]{kind}[/] {len(findings)}: {few(names, 4)}{by}"


def _facts(facts: Sequence[Finding], prefix: str) -> Iterator[str]:
    """A line for each kind of fact that people ask about, and one for all others."""
    counts = Counter(each.id for each in facts)
    for kind, text in _FACTS.items():
        if count := counts.pop(kind, 0):
            yield f"[cyan]info[/]: {text[count > 1].format(count=count, prefix=prefix)}"
    if counts:
        yield f"[cyan]info[/]: {', '.join(f'{count} {name}' for name, count in counts.items())} (-v)"


def _verdict(report: Report) -> str:
    by_source = ", ".join(f"{count} {source}" for source, count in report.packages.items())
    count = report.packages.get("unmanaged", 0)
    # In a venv pip installed every package.
    packages = f"{count} packages" if count == sum(report.packages.values()) else by_source
    counts = [f"[{_LEVELS[level]}]{report.count(level)} {level}[/]" for level in LEVELS if report.count(level)]
    is_sound = not report.count("error") and not report.count("warning")
    verdict = "[green]sound[/]" if is_sound else ", ".join(counts)
    return f"{safe(str(report.prefix))}: {packages}; {report.files} files; {verdict}"


def _details(group: Sequence[Finding]) -> Iterator[str]:
    first = group[0]
    whose = safe(first.owner or first.package or "")
    count = f" ({len(group)} times)" if len(group) > 1 else ""
    yield f"[{_LEVELS[first.level]}]{first.level}[/] [bold]{first.id}[/] {whose}{count}".rstrip()
    paths = list(dict.fromkeys(finding.path for finding in group if finding.path))
    if paths:
        yield f"  {safe(few(paths, 2))}"
    yield f"  {safe(first.evidence)}"
    if first.by:
        yield f"  [bold]by {safe(first.by)}[/]"
    if first.repair:
        yield f"  repair: {safe(shlex.join(first.repair))}"


def reason_lines(reasons: Reasons, *, is_detailed: bool) -> Iterator[str]:
    """Why packages are installed, as markup."""
    for reason in reasons.packages:
        row = reason.row
        origin = source_url(row) or masked(row.origin or row.installer or "somewhere")
        how = "was installed by" if row.source == "unmanaged" else f"comes from {row.source}:"
        yield f"[bold]{safe(row.owner)}[/] {how} {safe(origin)}"
        if row.is_requested:
            yield f"  requested as: {safe(', '.join(row.requested) or 'by name')}"
        yield from _chains(reason, is_detailed=is_detailed)
        if not row.is_requested and not reason.required_by:
            yield "  no package requires it"
        yield f"  provides {safe(', '.join(row.pypi_names) or 'no PyPI project')} ({reason.rests_on})"
        for publisher in row.attestations:
            yield f"  attested by {safe(_named(publisher))}"
        for publisher in row.wheel_attestations:
            yield f"  made from a wheel of {safe(_named(publisher))}, says its channel"
        for sentence in (reason.because, *reason.left_out):
            yield f"  {safe(sentence)}"


def _named(publisher: Mapping[str, str]) -> str:
    """Return a publisher and, of a conda package, the channel that its attestation is for."""
    text = " ".join(value for key, value in publisher.items() if key != "channel")
    return f"{text} for {masked(publisher['channel'])}" if "channel" in publisher else text


def _chains(reason: Reason, *, is_detailed: bool) -> Iterator[str]:
    """Every path to a requested package, then the dependants on none of them."""
    shown = set()
    for chain in reason.chains[: len(reason.chains) if is_detailed else _MAX_CHAINS]:
        shown.add(chain[-1].dependant.label)
        steps = " -> ".join(f"{each.dependant.label} needs {each.text}" for each in chain)
        yield f"  requested: {safe(steps)}"
    if len(reason.chains) > _MAX_CHAINS and not is_detailed:
        yield f"  … and {len(reason.chains) - _MAX_CHAINS} more requested packages; -v shows all"
    for edge in reason.required_by:
        if edge.dependant.label not in shown:
            yield f"  {safe(edge.dependant.label)} needs {safe(edge.text)}"


def source_url(row: PackageRow) -> str:
    """The URL of the source code that a package was built from, without its fragment; empty for any other."""
    from bridge.sdists.location import source_of

    is_source = row.source == "wheel" and not row.origin and row.url is not None and source_of(row.url) is not None
    return masked(row.url or "").partition("#")[0] if is_source else ""
