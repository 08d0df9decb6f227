"""Bills of materials: read and validated by the libraries of CycloneDX and SPDX, of made and of real environments."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from cyclonedx.validation.xml import XmlValidator
from spdx_tools.spdx.model.actor import Actor, ActorType
from spdx_tools.spdx.model.document import Document
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from bridge import prefix
from bridge.audit.finding import Finding, Report
from bridge.audit.report.bill_contents import purls
from bridge.audit.report.clock import stated_time
from bridge.audit.report.facts import Facts, gather
from bridge.audit.report.sbom import bill_of_materials
from bridge.errors import UsageError
from tests.support.audit_cases import LINUX, NAMES, numpy
from tests.support.prefixes import SITE, PrefixBuilder, digest

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
SPELLINGS = ("bill.cdx.json", "bill.xml", "bill.spdx.json", "bill.spdx", "bill.spdx.yaml")


def facts_of(root: Path, *findings: Finding) -> Facts:
    counted = Report(prefix=root, packages={}, files=0, unowned=0, findings=findings)
    return gather(prefix.read(root), LINUX, NAMES, counted)


@pytest.fixture
def mixed(tmp_path: Path) -> PrefixBuilder:
    """Conda packages of two channels, a wheel, and distributions of pip with metadata as people write it."""
    made = PrefixBuilder(tmp_path / "env")
    numpy(made)
    made.wheel("rich", "13.0", requires=["numpy>=1"], requested=True, specs=["rich>=13"])
    made.distribution(
        "black", "24.1", requires=["rich"],
        headers=["License-Expression: MIT", "Author: Lukasz (ambv)", "Author-email: lukasz@example.org",
                 "Project-URL: Homepage, https://example.org/black"],
    )  # fmt: skip
    made.distribution("odd", "1.0", headers=["License: BSD", "Author: A \x07 <b>", "Home-page: no url at all"])
    made.distribution("later", "1.0", headers=["License-Expression: Apache-2.0+ AND LicenseRef-Mine"])
    made.distribution("other", "1.0", headers=["License: B.S.D", "Author-email: =?, x@@y"])
    source = {"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "0" * 40}}
    info = f"{SITE}/cloned-1.0.dist-info/direct_url.json"
    made.distribution("cloned", "1.0", extra={info: json.dumps(source).encode()})
    gcc = {
        "license": "GPL-3.0-only WITH GCC-exception-3.1",
        "channel": "https://example.org/conda-forge/linux-64",
        "url": "https://example.org/conda-forge/linux-64/libgcc-15.1.0-0.conda",
        "md5": "0" * 32,
    }
    made.conda("libgcc", "15.1.0", {"lib/libgcc": b"x"}, extra=gcc)
    return made


def spdx_of(facts: Facts, folder: Path, name: str = "bill.spdx.json") -> Document:
    target = folder / name
    target.write_bytes(bill_of_materials(facts, name, WHEN))
    return parse_file(str(target))


def check(facts: Facts, folder: Path, spellings: Sequence[str] = ("bill.cdx.json", "bill.spdx.json")) -> None:
    """Validate the bill in some spellings."""
    for name in spellings:
        text = bill_of_materials(facts, name, WHEN).decode()
        if name.endswith(".cdx.json"):
            assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
        elif name.endswith(".xml"):
            assert XmlValidator(SchemaVersion.V1_6).validate_str(text) is None
        else:
            messages = validate_full_spdx_document(spdx_of(facts, folder, name))
            assert [each.validation_message for each in messages] == []


@pytest.mark.slow
def test_each_spelling_is_valid(mixed: PrefixBuilder, tmp_path: Path) -> None:
    check(facts_of(mixed.root), tmp_path, SPELLINGS)


@pytest.mark.slow
def test_the_environment_of_these_tests_has_a_valid_bill(tmp_path: Path) -> None:
    facts = facts_of(Path(sys.prefix))
    if len(facts.rows) < 20:
        pytest.skip("the tests run in an environment with few packages")
    check(replace(facts, rows=facts.rows[:30]), tmp_path)  # the schema's validator takes 60 ms for each package
    components = json.loads(bill_of_materials(facts, "bill.cdx.json", WHEN))["components"]
    assert sum("licenses" in each for each in components) > 0.9 * len(components)


@pytest.mark.shared
def test_an_environment_of_conda_has_a_valid_bill(shared: Path, tmp_path: Path) -> None:
    root = tmp_path / "env"
    root.mkdir()
    archive = shared / "data/conda-world/prefixes/conda-26.7.tar.zst"
    subprocess.run(["tar", "--zstd", "-xf", str(archive), "-C", str(root), "--wildcards", "*/conda-meta/*"], check=True)
    (env,) = root.iterdir()
    facts = facts_of(env)
    check(facts, tmp_path)
    packages = spdx_of(facts, tmp_path).packages
    assert {str(each.license_declared) for each in packages if each.name == "libgcc"} == {
        "GPL-3.0-only WITH GCC-exception-3.1"
    }
    assert all(each.checksums and each.supplier for each in packages)


def test_cyclonedx_states_what_a_bill_needs(mixed: PrefixBuilder) -> None:
    facts = facts_of(mixed.root)
    text = bill_of_materials(facts, "bill.json", WHEN)
    assert text == bill_of_materials(facts, "bill.json", WHEN), "the same facts, the same bytes"
    bom = Bom.from_json(json.loads(text))  # type: ignore[attr-defined]
    found = {each.name: each for each in bom.components}
    assert str(found["numpy"].purl).startswith("pkg:conda/numpy@1.26.4?build=0")
    assert str(found["rich"].purl) == "pkg:pypi/rich@13.0"
    assert [each.content for each in found["rich"].hashes] == [digest(b"rich 13.0")]
    assert ("bridge:purl", "pkg:pypi/numpy@1.26.4") in {(each.name, each.value) for each in found["numpy"].properties}
    needs = {str(each.ref.value): {str(need.ref.value) for need in each.dependencies} for each in bom.dependencies}
    assert needs["wheel:rich-13.0"] >= {"conda:numpy-1.26.4-0"}
    documents = {each["name"]: each for each in json.loads(text)["components"]}
    black, gcc = documents["black"], documents["libgcc"]
    assert black["licenses"] == [{"license": {"acknowledgement": "declared", "id": "MIT"}}]
    assert black["authors"] == [{"name": "Lukasz (ambv)", "email": "lukasz@example.org"}]
    assert black["externalReferences"] == [{"type": "website", "url": "https://example.org/black"}]
    assert gcc["licenses"] == [{"acknowledgement": "declared", "expression": "GPL-3.0-only WITH GCC-exception-3.1"}]
    assert gcc["supplier"] == {"name": "conda-forge", "url": ["https://example.org/conda-forge"]}
    (distribution,) = gcc["externalReferences"]
    assert distribution["url"] == "https://example.org/conda-forge/linux-64/libgcc-15.1.0-0.conda"
    assert {each["alg"] for each in gcc["hashes"]} == {"SHA-256", "MD5"}
    assert documents["odd"]["licenses"] == [{"license": {"acknowledgement": "declared", "name": "BSD"}}]


def test_cyclonedx_has_known_vulnerabilities(mixed: PrefixBuilder, tmp_path: Path) -> None:
    finding = Finding(
        id="vulnerable-version", level="error", package="rich", owner="wheel:rich-13.0", evidence="PYSEC-1: bad",
        advisory="PYSEC-1", aliases=("CVE-1",), fixed=("13.1",),
    )  # fmt: skip
    facts = facts_of(mixed.root, finding, replace(finding, owner="pip:black-24.1"))
    check(facts, tmp_path)
    (found,) = json.loads(bill_of_materials(facts, "bill.json", WHEN))["vulnerabilities"]
    assert (found["id"], found["recommendation"]) == ("PYSEC-1", "update to 13.1")
    assert [each["ref"] for each in found["affects"]] == ["pip:black-24.1", "wheel:rich-13.0"]


def test_cyclonedx_as_xml(mixed: PrefixBuilder) -> None:
    root = ET.parse(io.BytesIO(bill_of_materials(facts_of(mixed.root), "bill.xml", WHEN))).getroot()
    assert root.tag.endswith("/bom/1.6}bom")


def test_spdx_states_what_a_bill_needs(mixed: PrefixBuilder, tmp_path: Path) -> None:
    document = spdx_of(facts_of(mixed.root), tmp_path)
    found = {package.name: package for package in document.packages}
    assert [each.locator for each in found["rich"].external_references] == ["pkg:pypi/rich@13.0"]
    assert [each.value for each in found["rich"].checksums] == [digest(b"rich 13.0")]
    assert document.creation_info.created == WHEN.replace(tzinfo=None)
    assert found["libgcc"].download_location == "https://example.org/conda-forge/linux-64/libgcc-15.1.0-0.conda"
    assert found["libgcc"].supplier == Actor(ActorType.ORGANIZATION, "conda-forge")
    assert found["black"].originator == Actor(ActorType.PERSON, "Lukasz [ambv]", "lukasz@example.org")
    licenses = {name: str(package.license_declared) for name, package in found.items()}
    assert licenses["black"] == "MIT"
    assert licenses["odd"] == "LicenseRef-BSD"
    assert licenses["other"] == "LicenseRef-B.S.D"
    assert licenses["later"] == "LicenseRef-Apache-2.0-AND-LicenseRef-Mine"
    assert {each.license_id for each in document.extracted_licensing_info} == {
        "LicenseRef-BSD", "LicenseRef-B.S.D", "LicenseRef-Apache-2.0-AND-LicenseRef-Mine",
    }  # fmt: skip


def test_what_another_installer_replaced_is_no_part_of_the_bill(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    made.wheel("rich", "13.0")
    for path in (made.root / SITE).glob("rich-13.0.dist-info/*"):
        path.unlink()
    (made.root / SITE / "rich-13.0.dist-info").rmdir()
    made.distribution("rich", "14.0")
    components = json.loads(bill_of_materials(facts_of(made.root), "bill.json", WHEN))["components"]
    assert [each["version"] for each in components if each["name"] == "rich"] == ["14.0"]


def test_purls_of_a_package_with_several_distributions(tmp_path: Path) -> None:
    made = PrefixBuilder(tmp_path / "env")
    info = f"{SITE}/second-2.0.dist-info/METADATA"
    made.conda_python("first", "1.0", files={info: b"Metadata-Version: 2.1\nName: second\nVersion: 2.0\n"})
    row = next(each for each in facts_of(made.root).rows if each.name == "first")
    assert purls(row)[0].startswith("pkg:conda/first@1.0?build=0&channel=")
    assert set(purls(row)[1:]) == {"pkg:pypi/first@1.0", "pkg:pypi/second@2.0"}


def test_the_time_of_a_bill_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1500000000")
    assert stated_time() == datetime(2017, 7, 14, 2, 40, tzinfo=timezone.utc)
    for wrong in ("yesterday", "1e9", "9" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
            stated_time()
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    monkeypatch.setenv("BRIDGE_NOW", "1")
    assert stated_time() == datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc)
