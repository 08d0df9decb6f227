"""`bridge audit` as continuous integration calls it: acceptance files, project settings, filters, other forms."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.support.builders import make_wheel
from tests.support.command_line import Bridge
from tests.support.prefixes import PrefixBuilder

NP = "lib/python3.12/site-packages/numpy/version.py"


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    return Bridge.of_folder(tmp_path)


@pytest.fixture
def damaged(tmp_path: Path) -> PrefixBuilder:
    """An environment with one changed file of numpy, and a file of the user."""
    made = PrefixBuilder(tmp_path / "env")
    made.conda("numpy", "2.1.3", {NP: b"right"})
    made.write(NP, b"wrong")
    made.write("notes.txt", b"mine")
    return made


@pytest.mark.slow
def test_an_accepted_finding_passes_until_it_ends(bridge: Bridge, damaged: PrefixBuilder, tmp_path: Path) -> None:
    assert bridge("audit", "-p", damaged.root).status == 11
    assert bridge("audit", "-p", damaged.root, "--baseline", "known.toml").status == 11
    done = bridge("audit", "-p", damaged.root, "--accept", "known.toml")
    assert done.status == 0
    assert "1 accepted and not counted" in done.out
    known = tmp_path / "known.toml"
    known.write_text(known.read_text().replace("reason", "until = 2020-01-01\nreason", 1))
    late = bridge("audit", "-p", damaged.root, "--accept", "known.toml")
    assert late.status == 11
    assert "ended on 2020-01-01" in late.err


@pytest.mark.slow
def test_the_project_s_settings_apply_and_the_command_line_wins(
    bridge: Bridge, damaged: PrefixBuilder, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.bridge.audit]\nfail-on = "info"\n[[tool.bridge.audit.accept]]\npackage = "numpy"\nreason = "ours"\n'
    )
    assert bridge("audit", "-p", damaged.root).status == 11, "the user's file is a fact"
    assert bridge("audit", "-p", damaged.root, "--fail-on", "error").status == 0
    document = bridge("audit", "-p", damaged.root, "--json").document
    assert [each["id"] for each in document["findings"]] == ["unowned-file"]
    assert [each["reason"] for each in document["accepted"]] == ["ours"]
    (tmp_path / "pyproject.toml").write_text('[tool.bridge.audit]\nfail_on = "info"\n')
    refused = bridge("audit", "-p", damaged.root)
    assert refused.status == 2
    assert "tool.bridge.audit.fail_on: there is no such key" in refused.err


@pytest.mark.slow
def test_words_restrict_findings_status_and_repair(bridge: Bridge, damaged: PrefixBuilder) -> None:
    assert bridge("audit", "-p", damaged.root, "unowned").status == 0
    shown = bridge("audit", "-p", damaged.root, "modified-file", "numpy")
    assert shown.status == 11
    assert NP in shown.out
    assert "notes.txt" not in shown.out
    wrong = bridge("audit", "-p", damaged.root, "modifed-file")
    assert wrong.status == 2
    assert "did you mean modified-file?" in wrong.err
    assert "did you mean numpy?" in bridge("audit", "-p", damaged.root, "nunpy").err


@pytest.mark.slow
def test_checks_are_listed_and_chosen(bridge: Bridge, damaged: PrefixBuilder) -> None:
    listed = bridge("audit", "--checks", "--json").document
    schema = json.loads((Path(__file__).parents[2] / "bridge/schemas/audit.json").read_text())
    jsonschema.validate(listed, schema)
    assert {"id": "modified-file", "theme": "files", "level": "error"} in listed["checks"]
    assert {"id": "denied-license", "theme": "packages", "level": "error"} in listed["checks"]
    assert bridge("audit", "-p", damaged.root, "--checks", "all,-modified-file").status == 0
    assert bridge("audit", "-p", damaged.root, "--checks", "packages").status == 0
    assert bridge("audit", "-p", damaged.root, "--checks=records,files").status == 11


def test_other_forms_are_written_beside_the_report(bridge: Bridge, damaged: PrefixBuilder, tmp_path: Path) -> None:
    done = bridge("audit", "-p", damaged.root, "--sarif", "a.sarif", "--junit", "a.xml", "--github")
    assert done.status == 11
    assert f"::error title=modified-file conda%3Anumpy-2.1.3-0,file={damaged.root / NP}::" in done.out
    results = json.loads((tmp_path / "a.sarif").read_text())["runs"][0]["results"]
    assert [each["ruleId"] for each in results] == ["modified-file", "unowned-file"]
    assert 'failures="1"' in (tmp_path / "a.xml").read_text()
    both = bridge("audit", "-p", damaged.root, "--github", "--json")
    assert both.status == 2


@pytest.mark.slow
def test_vulnerabilities_are_found_and_updated(tmp_path: Path) -> None:
    """An environment of one wheel, a newer version of which fixes an advisory: `--fix` updates within the requests."""
    bridge = Bridge.of_folder(tmp_path, BRIDGE_CHANNEL="host")
    folder = tmp_path / "wheels"
    make_wheel(folder, "frail", "1.0")
    assert bridge("create", "-p", "held", "frail<2").status == 0
    assert bridge("create", "-p", "made", "frail").status == 0
    make_wheel(folder, "frail", "2.0")
    affected = {"package": {"ecosystem": "PyPI", "name": "Frail"}, "ranges": [{"type": "ECOSYSTEM", "events": []}]}
    affected["ranges"][0]["events"] = [{"introduced": "0"}, {"fixed": "2.0"}]  # type: ignore[index]
    (tmp_path / "osv.json").write_text(json.dumps({"id": "OSV-1", "affected": [affected]}))
    found = bridge("audit", "-p", "made", "--vulnerabilities", "osv.json", "--json")
    assert found.status == 11
    (finding,) = [each for each in found.document["findings"] if each["level"] == "error"]
    assert (finding["id"], finding["advisory"], finding["fixed"]) == ("vulnerable-version", "OSV-1", ["2.0"])
    held = bridge("audit", "-p", "held", "--vulnerabilities", "osv.json", "--fix")
    assert held.status == 11, "the request frail<2 stands"
    fixed = bridge("audit", "-p", "made", "--vulnerabilities", "osv.json", "--fix")
    assert fixed.status == 0, fixed.err
    assert "frail" in fixed.err
    assert bridge("audit", "-p", "made", "--vulnerabilities", "osv.json").status == 0


def test_vulnerabilities_without_an_index_are_one_error(bridge: Bridge, damaged: PrefixBuilder) -> None:
    refused = bridge("audit", "-p", damaged.root, "--vulnerabilities")
    assert (refused.status, "no package index is configured" in refused.err) == (2, True), refused.err


def test_licences_are_shown_and_ruled(bridge: Bridge, tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env", python=None)
    made.conda("gsl", "2.8", {"lib/libgsl.so.28": b"so"}, extra={"license": "GPL-3.0-or-later"})
    made.conda("libgcc", "15.1.0", {"lib/x": b"x"}, extra={"license": "GPL-3.0-only WITH GCC-exception-3.1"})
    made.conda("mutex", "1.0", {"lib/y": b"y"}, extra={"license": "None"})
    made.distribution("rich", "14.0", headers=["License: MIT License", "Author: Will", "Author-email: w@example.org"])
    listed = {each["name"]: each["license"] for each in bridge("list", "-p", made.root, "--json").document["packages"]}
    assert listed == {
        "gsl": "GPL-3.0-or-later",
        "libgcc": "GPL-3.0-only WITH GCC-exception-3.1",
        "mutex": None,
        "rich": "MIT",
    }
    assert "GPL-3.0-or-later" in bridge("list", "-p", made.root, "-v").out
    denied = bridge("audit", "-p", made.root, "--deny-license", "GPL-*", "--json")
    assert denied.status == 11
    (finding,) = (each for each in denied.document["findings"] if each["id"] == "denied-license")
    assert (finding["owner"], finding["level"]) == ("conda:gsl-2.8-0", "error")
    assert finding["evidence"] == "its licence is 'GPL-3.0-or-later': GPL-3.0-or-later is denied"
    (tmp_path / "pyproject.toml").write_text('[tool.bridge.audit.licenses]\nallow = ["MIT", "GPL-3.0-only"]\n')
    ruled = bridge("audit", "-p", made.root, "denied-license")
    assert ruled.status == 11
    assert "conda:mutex-1.0-0" in ruled.out
    assert "gsl" not in ruled.out
    accepted = bridge("audit", "-p", made.root, "--allow-license", "GPL-*", "--allow-license", "MIT",
                      "--allow-license", "NOASSERTION", "denied-license")  # fmt: skip
    assert accepted.status == 0, accepted.err
    assert bridge("audit", "-p", made.root, "--checks", "all,-denied-license").status == 0
    wrong = bridge("audit", "-p", made.root, "--deny-license", "GPL3")
    assert wrong.status == 2
    assert "'GPL3' is not an SPDX licence" in wrong.err
