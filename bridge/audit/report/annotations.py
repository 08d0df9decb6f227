"""The findings for programs that show them beside code: SARIF, JUnit and GitHub's workflow commands. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from bridge import __version__
from bridge.audit.finding import LEVELS, Finding, Level, Report
from converters.deferred import regex

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["github", "junit", "sarif"]

_SARIF_LEVELS: Mapping[Level, str] = {"error": "error", "warning": "warning", "info": "note"}
_GITHUB_LEVELS: Mapping[Level, str] = {"error": "error", "warning": "warning", "info": "notice"}
_NOT_XML = regex("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _sentence(finding: Finding) -> str:
    """The evidence with the package, the cause and the repair, in one text."""
    parts = [f"{finding.owner or finding.package}: " if finding.owner or finding.package else "", finding.evidence]
    parts += [f"; by {finding.by}"] if finding.by else []
    parts += [f". Repair: {shlex.join(finding.repair)}"] if finding.repair else []
    return "".join(parts).encode("utf-8", "backslashreplace").decode()


def sarif(report: Report) -> str:
    """A log of SARIF 2.1.0 (OASIS): one run, one rule for each kind found; accepted findings are suppressed results."""
    kinds = sorted({each.id for each in report.findings} | {each.id for each, _ in report.accepted})
    results = [_result(each, kinds, None) for each in report.findings]
    results += [_result(each, kinds, reason) for each, reason in report.accepted]
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "bridge",
                        "semanticVersion": __version__,
                        "rules": [{"id": kind, "name": kind.title().replace("-", "")} for kind in kinds],
                    }
                },
                "originalUriBaseIds": {"PREFIX": {"uri": f"{report.prefix.absolute().as_uri()}/"}},
                "results": results,
            }
        ],
    }
    return json.dumps(document, indent=2) + "\n"


def _result(finding: Finding, kinds: list[str], accepted: str | None) -> dict[str, object]:
    # A result without a place is shown by no viewer; the records stand for the whole environment.
    path = (finding.path or "conda-meta").encode("utf-8", "surrogateescape")
    result: dict[str, object] = {
        "ruleId": finding.id,
        "ruleIndex": kinds.index(finding.id),
        "level": _SARIF_LEVELS[finding.level],
        "message": {"text": _sentence(finding)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(path), "uriBaseId": "PREFIX"}}}],
        "partialFingerprints": {"finding/v1": "|".join((finding.id, finding.package or "", quote(path)))},
    }
    if accepted is not None:
        result["suppressions"] = [{"kind": "external", "justification": accepted}]
    return result


def junit(report: Report, fail_on: Level | None = "error") -> str:
    """A test suite of JUnit XML with a case for each finding: failed at or above `fail_on`, skipped if accepted."""
    worst = -1 if fail_on is None else LEVELS.index(fail_on)
    failing = [each for each in report.findings if LEVELS.index(each.level) <= worst]
    cases = [_case(each, each in failing) for each in report.findings]
    cases += [_case(each, False, reason) for each, reason in report.accepted]
    if not cases:
        cases = ['  <testcase classname="bridge.audit" name="environment"/>']
    head = f'tests="{len(cases)}" failures="{len(failing)}" errors="0" skipped="{len(report.accepted)}"'
    name = quoteattr(_clean(f"bridge audit {report.prefix}"))
    return "\n".join(
        ('<?xml version="1.0" encoding="UTF-8"?>', f"<testsuite name={name} {head}>", *cases, "</testsuite>", "")
    )


def _case(finding: Finding, fails: bool, accepted: str | None = None) -> str:
    name = quoteattr(_clean(" ".join(each for each in (finding.package, finding.path) if each) or finding.id))
    text = _clean(_sentence(finding))
    inner = f"<system-out>{escape(text)}</system-out>"
    if accepted is not None:
        inner = f"<skipped message={quoteattr(_clean(accepted))}/>{inner}"
    elif fails:
        attributes = f"type={quoteattr(finding.id)} message={quoteattr(_clean(finding.evidence))}"
        inner = f"<failure {attributes}>{escape(text)}</failure>"
    return f'  <testcase classname="bridge.audit.{finding.id}" name={name}>{inner}</testcase>'


def _clean(text: str) -> str:
    """The text without characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", text)


def github(report: Report) -> Iterator[str]:
    """A workflow command for each finding: `::error title=…,file=…::…`. GitHub shows ten of each level in a step."""
    for finding in report.findings:
        place = str(report.prefix / finding.path) if finding.path else str(report.prefix)
        subject = f"{finding.id} {finding.owner or finding.package or ''}".rstrip()
        properties = f"title={_property(subject)},file={_property(place)}"
        yield f"::{_GITHUB_LEVELS[finding.level]} {properties}::{_data(_sentence(finding))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()
    return _data(text).replace(":", "%3A").replace(",", "%2C")
