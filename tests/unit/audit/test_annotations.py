"""The forms of a report for other programs: SARIF, JUnit, annotations of GitHub."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from bridge.audit.finding import Finding, Level, Report
from bridge.audit.report.annotations import github, junit, sarif

TEXT = st.text(max_size=12)
LEVEL: st.SearchStrategy[Level] = st.sampled_from(["error", "warning", "info"])
FINDINGS = st.lists(
    st.builds(
        Finding,
        id=st.sampled_from(["modified-file", "leftover"]),
        level=LEVEL,
        evidence=TEXT,
        package=st.none() | TEXT,
        path=st.none() | st.binary(max_size=9).map(lambda data: data.decode("utf-8", "surrogateescape")),
        by=st.none() | st.just("wheel:x-1"),
    ),
    max_size=4,
)


def report(findings: list[Finding], accepted: list[Finding]) -> Report:
    return Report(
        prefix=Path("/an env"),
        packages={"conda": 1},
        files=3,
        unowned=0,
        findings=tuple(findings),
        accepted=tuple((each, "known") for each in accepted),
    )


@given(FINDINGS, FINDINGS)
def test_sarif_has_each_finding_with_its_level_and_suppressions(findings: list[Finding], known: list[Finding]) -> None:
    """SARIF 2.1.0, 3.27.10 and 3.27.23: level is error, warning or note; suppressions name why a result is ignored."""
    text = sarif(report(findings, known))
    (run,) = json.loads(text.encode("utf-8"))["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    words = {"error": "error", "warning": "warning", "info": "note"}
    results = run["results"]
    assert [(rules[each["ruleIndex"]], each["level"]) for each in results] == [
        (each.id, words[each.level]) for each in [*findings, *known]
    ]
    assert ["suppressions" in each for each in results] == [False] * len(findings) + [True] * len(known)
    assert run["originalUriBaseIds"]["PREFIX"]["uri"] == "file:///an%20env/"


@given(FINDINGS, FINDINGS, LEVEL)
def test_junit_fails_what_fails_the_command(findings: list[Finding], known: list[Finding], fail_on: Level) -> None:
    found = report(findings, known)
    suite = ET.fromstring(junit(found, fail_on).encode("utf-8"))
    failures = len(suite.findall("testcase/failure"))
    assert int(suite.attrib["failures"]) == failures
    assert (found.failure(fail_on) is not None) == (failures > 0)
    assert len(suite.findall("testcase/skipped")) == len(known)
    assert len(suite.findall("testcase")) == max(1, len(findings) + len(known))


@given(FINDINGS)
def test_an_annotation_of_github_is_one_line(findings: list[Finding]) -> None:
    """Workflow commands: `%`, line ends, and in properties `:` and `,`, are escaped."""
    lines = list(github(report(findings, [])))
    assert len(lines) == len(findings)
    for line, finding in zip(lines, findings, strict=True):
        assert not {"\n", "\r"} & set(line)
        command, properties, _ = line.split("::", 2)[1].partition(" title=")
        assert command == {"error": "error", "warning": "warning", "info": "notice"}[finding.level]
        assert properties


def test_an_annotation_names_package_file_and_repair() -> None:
    finding = Finding(
        id="modified-file",
        level="error",
        evidence="50% of it",
        package="numpy",
        path="lib/a,b.py",
        owner="conda:numpy-2.1-0",
        repair=("bridge", "audit", "--fix"),
    )
    (line,) = github(report([replace(finding)], []))
    assert line == (
        "::error title=modified-file conda%3Anumpy-2.1-0,file=/an env/lib/a%2Cb.py::"
        "conda:numpy-2.1-0: 50%25 of it. Repair: bridge audit --fix"
    )
