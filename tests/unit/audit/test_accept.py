"""Accepted findings, restricted reports, and the checks of other distributions."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.audit.accept import Acceptance, accepted, baseline, read_acceptances
from bridge.audit.checks import CHECKS
from bridge.audit.checks.choice import AFTER, choose, plugins, theme_of
from bridge.audit.elsewhere import GROUP
from bridge.audit.finding import Finding, Report
from bridge.audit.reading import start
from bridge.audit.run import report as report_of
from bridge.audit.selection import read_filter, restricted
from bridge.errors import UsageError
from tests.support.audit_cases import LINUX, NAMES
from tests.support.prefixes import PrefixBuilder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KINDS = [each.id for each in CHECKS]
TODAY = date(2026, 12, 1)
MODIFIED = Finding(
    id="modified-file", level="error", evidence="x", package="numpy", path="lib/a/b.py", owner="conda:numpy-2.1-0"
)
CLOBBERED = replace(MODIFIED, id="clobbered-file", by="wheel:rich-13.0", path="lib/a/c.py")
FACT = Finding(id="unowned-file", level="info", evidence="y", path="notes.txt")


def report(*findings: Finding) -> Report:
    return Report(prefix=Path("/env"), packages={"conda": 1}, files=3, unowned=0, findings=findings)


def read(text: str) -> tuple[Acceptance, ...]:
    return read_acceptances(tomllib.loads(text)["accept"], "known.toml", KINDS)


def test_an_accepted_finding_neither_counts_nor_fails() -> None:
    known = read('[[accept]]\nid = "modified-file"\npackage = "nump*"\nreason = "ours"\nuntil = 2026-12-01\n')
    found, warnings = accepted(report(MODIFIED, CLOBBERED, FACT), known, TODAY)
    assert found.findings == (CLOBBERED, FACT)
    assert found.accepted == ((MODIFIED, "ours"),)
    assert not warnings
    document = found.to_json()
    assert document["accepted"] == [{**MODIFIED.to_json(), "reason": "ours"}]


def test_an_acceptance_that_has_ended_is_told_and_counts_no_more() -> None:
    known = read('[[accept]]\nid = "modified-file"\nreason = "ours"\nuntil = "2026-11-30"\n')
    found, warnings = accepted(report(MODIFIED), known, TODAY)
    assert found.findings == (MODIFIED,)
    assert warnings == ("the acceptance of modified-file ended on 2026-11-30: 1 finding counts again",)


def test_an_acceptance_that_matches_nothing_is_told() -> None:
    known = read('[[accept]]\npath = "lib/z/*"\nreason = "ours"\n')
    _, warnings = accepted(report(MODIFIED), known, TODAY)
    assert warnings == ("the acceptance of lib/z/* matches no finding any more: remove it from the file",)


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ('id = "modified-file"', "accept[0]: it gives no reason"),
        ('reason = "r"', "accept[0]: it would accept everything"),
        ('id = "modified"\nreason = "r"', "accept[0].id: there is no check 'modified'"),
        ('id = "modified-file"\nreason = "r"\nuntil = "soon"', "accept[0].until: 'soon' is neither a date"),
        ('id = "modified-file"\nreason = "r"\nuntill = 2026-01-01', "accept[0].untill: there is no such key"),
        ('id = ["modified-file"]\nreason = "r"', "accept[0].id: it is not a text"),
    ],
)
def test_a_wrong_acceptance_is_one_error(table: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(f"[[accept]]\n{table}\n")
    assert caught.value.id == "acceptance-file"
    assert f"known.toml: {what}" in caught.value.message


@given(
    st.lists(
        st.builds(replace, st.sampled_from([MODIFIED, CLOBBERED]), path=st.text(min_size=1, max_size=8)), max_size=4
    )
)
def test_a_baseline_accepts_exactly_what_was_found(findings: list[Finding]) -> None:
    text = baseline(report(*findings, FACT), "known")
    document = tomllib.loads(text.encode("utf-8").decode())
    known = read_acceptances(document.get("accept", []), "baseline", KINDS)
    found, warnings = accepted(report(*findings, FACT), known, TODAY)
    assert found.findings == (FACT,)
    assert not warnings
    other = replace(MODIFIED, path="something/else")
    assert accepted(report(other), known, TODAY)[0].findings == (other,)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), [MODIFIED, CLOBBERED, FACT]),
        (("clobbered-file",), [CLOBBERED]),
        (("files",), [MODIFIED, CLOBBERED]),
        (("rich",), [CLOBBERED]),
        (("num*", "modified-file"), [MODIFIED]),
        (("lib/a",), [MODIFIED, CLOBBERED]),
        (("lib/*/c.py",), [CLOBBERED]),
        (("unowned",), [FACT]),
        (("scipy",), []),
    ],
)
def test_words_restrict_a_report(words: tuple[str, ...], expected: list[Finding]) -> None:
    every = choose(())
    assert list(restricted(report(MODIFIED, CLOBBERED, FACT), every, read_filter(words)).findings) == expected


def test_checks_are_chosen_by_id_and_theme() -> None:
    files = {each.id for each in CHECKS if theme_of(each) == "files"}
    assert choose(("files", "-case-collision")) == files - {"case-collision"} | {"interrupted-transaction"}
    assert choose(("-files",)) == {*AFTER, *(each.id for each in CHECKS)} - files
    with pytest.raises(UsageError) as caught:
        choose(("clobered-file",))
    assert caught.value.hint == "did you mean clobbered-file?"


def point(name: str) -> EntryPoint:
    return EntryPoint(name=name.lower(), value=f"tests.support.audit_plugin:{name}", group=GROUP)


def test_a_check_of_another_distribution_runs(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.wheel("old", "0.9")
    others = tuple(plugins([point("YOUNG")]))
    with start(made.root) as running:
        found = report_of(running, LINUX, NAMES, others=others)
    assert [(each.id, each.package) for each in found.findings] == [("young-package", "old")]
    assert "young-package" in choose(("audit_plugin",), others)


def test_a_check_of_another_distribution_that_fails_is_named(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    others = tuple(plugins([point("BROKEN")]))
    with start(made.root) as running, pytest.raises(UsageError) as caught:
        report_of(running, LINUX, NAMES, others=others)
    assert caught.value.id == "audit-plugin"
    assert "broken-check" in caught.value.message
    with pytest.raises(UsageError, match="cannot be loaded"):
        tuple(plugins([point("MISSING")]))


def test_an_acceptance_until_fixed_ends_with_a_fix() -> None:
    unfixed = replace(MODIFIED, id="vulnerable-version", advisory="GHSA-1", aliases=("CVE-1",))
    known = read_acceptances([{"advisory": "CVE-1", "reason": "no fix", "until": "fixed"}], "f", KINDS)
    found, warnings = accepted(report(unfixed, MODIFIED), known, TODAY)
    assert (found.findings, warnings) == ((MODIFIED,), ())
    fixed = replace(unfixed, fixed=("2.0",))
    found, warnings = accepted(report(fixed), known, TODAY)
    assert found.findings == (fixed,)
    assert warnings == ("the acceptance of CVE-1 has ended: 2.0 fixes it",)
