"""Known vulnerabilities: OSV documents, which versions they affect, where they are read from."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from bridge.audit.advisories import Advisory, Affected, Range, parse_advisory, vulnerable
from bridge.audit.look.advisory_sources import Fetched, ask_index, read_advisories
from bridge.audit.packages import PackageRow
from bridge.errors import UsageError
from bridge.model import Distribution

PAIRS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "scenarios/advisories.jsonl").read_text("utf-8").splitlines()
]
PIP = ("/env/bin/python", "-m", "pip")


def document(pair: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": pair["advisory"],
        "aliases": pair["aliases"],
        "summary": "something",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": pair["project"]},
                "ranges": [{"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in pair["events"]]}],
            }
        ],
    }


def wheel(name: str, version: str) -> PackageRow:
    return PackageRow(owner=f"wheel:{name}-{version}", name=name, version=version, source="wheel")


def found(rows: Iterable[PackageRow], documents: Iterable[object]) -> list[tuple[str | None, str | None]]:
    advisories = [each for text in documents if (each := parse_advisory(text)) is not None]
    return [(each.package, each.advisory) for each in vulnerable(rows, advisories, "/env", PIP)]


def test_each_known_pair_of_package_and_advisory_is_found_and_no_other() -> None:
    """40 pairs of PyPI's advisory database: the newest affected version is found, the version that fixes it is not."""
    assert len(PAIRS) >= 40
    documents = [document(pair) for pair in PAIRS]
    affected = [wheel(pair["project"], pair["affected"]) for pair in PAIRS]
    assert found(affected, documents) == [(pair["project"], pair["advisory"]) for pair in PAIRS]
    assert found([wheel(pair["project"], pair["fixed"]) for pair in PAIRS], documents) == []


VERSIONS = st.builds(
    lambda parts, end: ".".join(map(str, parts)) + end,
    st.lists(st.integers(0, 4), min_size=1, max_size=3),
    st.sampled_from(["", "rc1", ".post1", "a2"]),
)


@given(VERSIONS, VERSIONS, VERSIONS, st.sampled_from(["fixed", "last_affected"]))
def test_a_range_holds_what_the_schema_says(version: str, first: str, last: str, kind: str) -> None:
    """OSV schema, "Evaluation": introduced <= v, and v < fixed or v <= last_affected."""
    here = Affected(ecosystem="pypi", name="x", ranges=(Range(events=(("introduced", first), (kind, last))),))
    if Version(first) >= Version(last):
        return
    end = Version(version) < Version(last) if kind == "fixed" else Version(version) <= Version(last)
    assert here.covers(version) == (Version(first) <= Version(version) and end)


@pytest.mark.parametrize(
    ("version", "listed", "events", "is_affected"),
    [
        ("2.1.0+cu121", ["2.1.0"], [], True),
        ("2.1.0+cu121", [], [("introduced", "0"), ("last_affected", "2.1.0")], True),
        ("2.2.0+cu121", [], [("introduced", "0"), ("fixed", "2.2.0")], False),
        ("1.0.0", ["1.0"], [], True),
        ("1.0.1", ["1.0"], [], False),
        ("3", [], [("introduced", "0"), ("limit", "2")], False),
        ("1", [], [("introduced", "0"), ("limit", "2")], True),
    ],
)
def test_versions_are_compared_as_pypi_has_them(
    version: str, listed: list[str], events: list[tuple[str, str]], *, is_affected: bool
) -> None:
    text = document({"advisory": "A-1", "aliases": [], "project": "torch", "events": events})
    text["affected"][0]["versions"] = listed
    assert bool(found([wheel("torch", version)], [text])) is is_affected


def test_versions_that_come_back_are_affected_again() -> None:
    events = (("introduced", "0"), ("fixed", "1.5"), ("introduced", "2.0"), ("fixed", "2.2"))
    here = Affected(ecosystem="pypi", name="x", ranges=(Range(events=events),))
    assert [each for each in ("0.1", "1.4", "1.5", "1.9", "2.0", "2.1", "2.2", "3") if here.covers(each)] == [
        "0.1",
        "1.4",
        "2.0",
        "2.1",
    ]
    assert here.fixed == ("1.5", "2.2")


def test_a_conda_package_is_found_by_its_own_name_and_by_what_it_carries() -> None:
    numpy = PackageRow(
        owner="conda:py-x-1.0-0",
        name="py-x",
        version="1.0",
        source="conda",
        sha256="ab" * 32,
        distributions=(Distribution(path="d", name="X_Y", version="1.0"),),
    )
    of_project = document({"advisory": "A-1", "aliases": [], "project": "x.y", "events": [("introduced", "0")]})
    by_purl = {"id": "A-2", "affected": [{"package": {"purl": "pkg:conda/conda-forge/py-x"}, "versions": ["1.0"]}]}
    by_hash = {
        "id": "A-3",
        "affected": [{"package": {"purl": "pkg:conda/py-x"}, "database_specific": {"sha256": "AB" * 32}}],
    }
    other = {"id": "A-4", "affected": [{"package": {"ecosystem": "npm", "name": "py-x"}, "versions": ["1.0"]}]}
    withdrawn = {**by_purl, "id": "A-5", "withdrawn": "2026-01-01T00:00:00Z"}
    assert found([numpy], [of_project, by_purl, by_hash, other, withdrawn]) == [
        ("py-x", "A-2"),
        ("py-x", "A-3"),
        ("py-x", "A-1"),
    ]


def test_advisories_with_a_common_alias_are_one_finding() -> None:
    first = document({"advisory": "GHSA-1", "aliases": ["CVE-1"], "project": "x", "events": [("introduced", "0")]})
    second = document(
        {"advisory": "PYSEC-1", "aliases": ["CVE-1"], "project": "x", "events": [("introduced", "0"), ("fixed", "2")]}
    )
    (finding,) = vulnerable(
        [wheel("x", "1")], [parsed for each in (second, first) if (parsed := parse_advisory(each))], "/env", PIP
    )
    assert finding.advisory == "GHSA-1"
    assert finding.aliases == ("CVE-1", "PYSEC-1")
    assert finding.fixed == ("2",)
    assert finding.repair == ("bridge", "update", "-p", "/env", "x")


@dataclass(frozen=True)
class Answer:
    content: bytes


class Pages:
    """A server's answers by URL."""

    def __init__(self, answers: Mapping[str, object]) -> None:
        self.answers = {url: Answer(json.dumps(value).encode()) for url, value in answers.items()}

    def get(self, url: str, *, max_bytes: int) -> Fetched | None:
        answer = self.answers.get(url)
        assert answer is None or len(answer.content) <= max_bytes
        return answer

    def map(
        self, function: Callable[[tuple[str, str]], Fetched | None], items: Iterable[tuple[str, str]]
    ) -> list[Fetched | None]:
        return [function(each) for each in items]


def zipped(documents: Mapping[str, object]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, value in documents.items():
            archive.writestr(name, json.dumps(value))
    return stream.getvalue()


DOCUMENTS = {f"{pair['advisory']}.json": document(pair) for pair in PAIRS[:3]}
WANTED = frozenset(("pypi", pair["project"]) for pair in PAIRS[:3])


def folder(base: Path) -> str:
    (base / "db/deep").mkdir(parents=True)
    for name, value in DOCUMENTS.items():
        (base / "db/deep" / name.replace("json", "yaml")).write_text(yaml.safe_dump(value))
    (base / "db/package.json").write_text('{"name": "jinja2"}')
    return str(base / "db")


def one_file(base: Path, value: object) -> str:
    (base / "all.json").write_text(json.dumps(value))
    return str(base / "all.json")


def zip_file(base: Path) -> str:
    (base / "all.zip").write_bytes(zipped(DOCUMENTS))
    return str(base / "all.zip")


@pytest.mark.parametrize(
    "source",
    [
        folder,
        zip_file,
        lambda base: one_file(base, list(DOCUMENTS.values())),
        lambda base: one_file(base, {"vulns": list(DOCUMENTS.values())}),
        lambda base: one_file(base, {"results": [{"vulns": [value]} for value in DOCUMENTS.values()] + [{}]}),
    ],
    ids=["a folder of YAML", "a zip", "a list", "an answer of the API", "an answer to a batch"],
)
def test_advisories_are_read_from(source: Callable[[Path], str], tmp_path: Path) -> None:
    read = list(read_advisories(source(tmp_path), WANTED, None))
    assert sorted(each.id for each in read) == sorted(pair["advisory"] for pair in PAIRS[:3])
    assert all(isinstance(each, Advisory) for each in read)


# Ten levels of aliases, each ten times the one before.
BOMB = "\n".join(
    [
        "l0: &l0 [x]",
        *(f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 10)}]" for level in range(1, 10)),
        "id: A",
        "affected: [{package: {ecosystem: PyPI, name: x}, database_specific: {sha256: *l9}}]",
    ]
).encode()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'{"name": 1}', "it has no id"),
        (b"[" * 100_000, "not a document"),
        (b'{"id": "A", "affected": 5}', "affected is not a list"),
        (b"PK\x03\x04damaged", "damaged zip"),
        (b"a: [b", "not a document"),
        (BOMB, "not a document"),
    ],
)
def test_a_source_that_is_no_osv_is_one_error(content: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UsageError, match=what) as caught:
        list(read_advisories(str(tmp_path / "x"), WANTED, None))
    assert caught.value.id == "advisory-source"


def test_an_absent_source_is_one_error(tmp_path: Path) -> None:
    for source in (str(tmp_path / "none"), str(tmp_path), "https://example.org/none.zip"):
        with pytest.raises(UsageError) as caught:
            list(read_advisories(source, WANTED, Pages({})))
        assert caught.value.id == "advisory-source"


def test_an_index_is_asked_by_its_json_api() -> None:
    stated = [
        {"id": "PYSEC-1", "aliases": ["CVE-1"], "details": "first line\nsecond", "fixed_in": ["2.0"]},
        {"id": "PYSEC-2", "withdrawn": "2026-01-01", "fixed_in": []},
    ]
    pages = Pages({"https://example.org/pypi/x/1.0/json": {"vulnerabilities": stated}})
    advisories = list(ask_index("https://example.org/simple/", [("x", "1.0"), ("y", "2.0")], pages))
    (finding,) = vulnerable([wheel("x", "1.0"), wheel("x", "1.1")], advisories, "/env", PIP)
    assert (finding.owner, finding.advisory, finding.fixed) == ("wheel:x-1.0", "PYSEC-1", ("2.0",))
    assert finding.evidence == "PYSEC-1 (CVE-1): first line; fixed in 2.0"
    with pytest.raises(UsageError, match="does not say which versions are vulnerable"):
        list(ask_index("https://example.org/simple/", [("z", "1.0")], pages))
