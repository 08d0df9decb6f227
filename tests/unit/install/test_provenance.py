"""What bridge writes about a wheel is read by pip's, rattler's and its own readers as it was meant."""

from __future__ import annotations

import ast
import csv
import hashlib
import importlib.metadata
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rattler import PrefixRecord

from bridge.install import provenance, record_text
from bridge.install.direct_url import direct_url
from bridge.model import Entry, Fingerprint, Installed, Resolved
from bridge.prefix import condameta, distinfo
from bridge.requirements.direct import is_direct
from converters.names import NameMap
from converters.record import Record
from converters.target import Python, Target
from tests.support.builders import record_hash

SITE = "lib/python3.11/site-packages"
TARGET = Target(subdir="linux-64", python=Python(version="3.11.7"))
RICH = Record(
    ecosystem="wheel",
    name="rich",
    version="13.9.4",
    build="py3_none_any_0",
    subdir="noarch",
    noarch="python",
    requirements=("pygments>=2", "mdurl ; python_version < '3.9'", "ipywidgets>=7 ; extra == 'jupyter'"),
    requires_python=">=3.8",
    extras=("jupyter",),
    pypi_names=("rich",),
    timestamp=1730000000000,
    filename="rich-13.9.4-py3-none-any.whl",
    url="https://index.example/files/rich-13.9.4-py3-none-any.whl",
    origin="https://index.example/simple/",
    sha256="a" * 64,
    size=242424,
    license="MIT",
)


def entry(path: str, data: bytes = b"") -> Entry:
    digest = hashlib.sha256(data).hexdigest()
    return Entry(path=path, fingerprint=Fingerprint(kind="file", sha256=digest, size=len(data)))


ENTRIES = (entry(f"{SITE}/rich/__init__.py", b"x = 1\n"), entry("bin/rich", b"#!\n"))


def test_the_record_has_standard_keys_only_and_no_null() -> None:
    document = json.loads(provenance.conda_meta(RICH, ENTRIES, depends=["python >=3.8"], requested=["rich>=13"]))
    assert "null" not in provenance.conda_meta(RICH, ENTRIES).decode()
    assert document.pop("paths_data") == {
        "paths_version": 1,
        "paths": [
            {
                "_path": found.path,
                "path_type": "hardlink",
                "sha256": found.fingerprint.sha256,
                "sha256_in_prefix": found.fingerprint.sha256,
                "size_in_bytes": found.fingerprint.size,
            }
            for found in sorted(ENTRIES, key=lambda found: found.path)
        ],
    }
    assert document == {
        "name": "rich",
        "version": "13.9.4",
        "build": "py3_none_any_0",
        "build_number": 0,
        "subdir": "noarch",
        "noarch": "python",
        "depends": ["python >=3.8"],
        "constrains": [],
        "url": RICH.url,
        "package_type": "virtual_python_wheel",
        "channel": "<develop>",
        "fn": "rich-13.9.4-py3_none_any_0.conda",
        "sha256": RICH.sha256,
        "size": RICH.size,
        "license": "MIT",
        "timestamp": RICH.timestamp,
        "purls": [
            "pkg:pypi/rich@13.9.4?file_name=rich-13.9.4-py3-none-any.whl&repository_url=https://index.example/simple"
        ],
        "requested_spec": "rich>=13",
        "requested_specs": ["rich>=13"],
        "link": {"source": "", "type": 1},
        "files": ["bin/rich", f"{SITE}/rich/__init__.py"],
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sha256": None, "size": None, "license": None, "timestamp": None, "noarch": None},
        {"version": "1!2.0+cu118", "pypi_names": ("rich", "other")},
        {"subdir": "linux-64", "noarch": None, "build": "cp311_cp311_manylinux_2_17_x86_64_0"},
        {"url": "file:///srv/rich-13.9.4-py3-none-any.whl", "origin": ""},
    ],
)
def test_rattler_reads_the_record(tmp_path: Path, changes: dict[str, Any]) -> None:
    record = replace(RICH, **changes)
    path = tmp_path / Path(provenance.meta_path(record)).name
    path.write_bytes(provenance.conda_meta(record, ENTRIES, depends=["python >=3.8"], requested=["rich"]))
    found = PrefixRecord.from_path(path)
    assert (found.name.normalized, str(found.version), str(found.build)) == (record.name, record.version, record.build)
    assert found.file_name == f"{record.identity}.conda"
    assert found.url == record.url
    assert (found.sha256.hex() if found.sha256 else None) == record.sha256
    assert (found.size, found.subdir) == (record.size, record.subdir)
    assert found.requested_specs == ["rich"]
    assert [str(each.relative_path) for each in found.paths_data.paths] == ["bin/rich", f"{SITE}/rich/__init__.py"]
    assert [each.sha256_in_prefix.hex() for each in found.paths_data.paths if each.sha256_in_prefix] == [
        each.fingerprint.sha256 for each in sorted(ENTRIES, key=lambda each: each.path)
    ]


def test_bridge_reads_the_record_back() -> None:
    data = provenance.conda_meta(RICH, ENTRIES, depends=["python >=3.8"], requested=["rich>=13", "rich<14"])
    installed, defects = condameta.parse(data, provenance.meta_path(RICH))
    expected = replace(RICH, requirements=("python >=3.8",), requires_python=None, extras=())
    assert replace(installed.record, purls=expected.purls) == replace(expected, origin=RICH.origin.rstrip("/"))
    assert installed.requested == ("rich>=13", "rich<14")
    assert sorted(installed.entries, key=str) == sorted(ENTRIES, key=str)
    assert defects == ()


def test_a_wheel_of_no_index_comes_from_its_folder() -> None:
    local = replace(RICH, url="file:///srv/wheels/rich-13.9.4-py3-none-any.whl", origin="wheels")
    data = provenance.conda_meta(local, ())
    assert json.loads(data)["purls"] == ["pkg:pypi/rich@13.9.4?file_name=rich-13.9.4-py3-none-any.whl"]
    installed, _ = condameta.parse(data, provenance.meta_path(local))
    assert (installed.record.origin, installed.record.filename) == ("file:///srv/wheels", local.filename)
    with pytest.raises(ValueError, match="no URL"):
        provenance.conda_meta(replace(RICH, url="rich.whl"), ())


def test_credentials_are_written_nowhere() -> None:
    secret = replace(RICH, url=RICH.url.replace("//", "//u:secret@"), origin=RICH.origin.replace("//", "//u:secret@"))
    added = [Resolved(record=secret, requested=("rich",))]
    command = f"bridge install --index-url {secret.origin} 'x @ {secret.url}'"
    log = provenance.history(b"", when="now", command=command, version="1", added=added, removed=())
    for data in (provenance.conda_meta(secret, ENTRIES), direct_url(secret), log):
        assert b"secret" not in data
        assert b"index.example" in data


@pytest.mark.parametrize(
    ("changes", "extras", "expected"),
    [
        ({}, (), ("python >=3.8", "python 3.11.*", "pygments >=2")),
        ({}, ("jupyter",), ("python >=3.8", "python 3.11.*", "pygments >=2", "ipywidgets >=7")),
        ({"requires_python": None}, (), ("python 3.11.*", "pygments >=2")),
        ({"requires_python": "no version"}, (), ("python 3.11.*", "pygments >=2")),
        (
            {"requirements": ("a===b", "c @ https://index.example/c.whl")},
            (),
            ("python >=3.8", "python 3.11.*", "a", "c"),
        ),
        ({"requirements": ("not a requirement at all",)}, (), ("python >=3.8", "python 3.11.*")),
        (
            {"requirements": ("a ; os_name == 'nt'", "b ; platform_machine == 'x86_64'")},
            (),
            ("python >=3.8", "python 3.11.*", "b"),
        ),
        ({"requirements": ("a ; extra ~= 'x'",)}, (), ("python >=3.8", "python 3.11.*")),
        ({"requirements": ("torch>=2", "torch>=2")}, (), ("python >=3.8", "python 3.11.*", "pytorch >=2")),
    ],
)
def test_what_a_wheel_depends_on(changes: dict[str, Any], extras: tuple[str, ...], expected: tuple[str, ...]) -> None:
    names = NameMap({"pytorch": ["torch"]}, "test")
    record = replace(RICH, **changes)
    assert provenance.conda_depends(record, TARGET, names, extras=extras) == expected


def test_record_is_what_pip_writes_but_for_the_line_ends(tmp_path: Path) -> None:
    entries = (
        *ENTRIES,
        entry(f"{SITE}/with,comma.txt"),
        entry(f"{SITE}/Ünïcode.py"),
        entry("share/man/man1/rich.1", b"man"),
    )
    info = f"{SITE}/rich-13.9.4.dist-info"
    data = record_text.record_file(entries, SITE, f"{info}/RECORD")
    text = data.decode()
    digest = record_hash(b"#!\n")
    assert text.splitlines()[0] == f"../../../bin/rich,{digest},3"
    rows = [line.split(",")[0].strip('"') for line in text.splitlines()]
    assert rows == sorted(rows)
    assert "rich-13.9.4.dist-info/RECORD,," in text.splitlines()
    assert '"with,comma.txt",' in text
    parsed, refused = distinfo.parse_listing(data, SITE, "/prefix")
    assert refused == []
    assert {each for each in parsed if each.fingerprint.sha256} == set(entries)
    for each in (*entries, entry(f"{info}/RECORD")):
        # Since Python 3.12, only files that are there are told.
        (tmp_path / each.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each.path).touch()
    (tmp_path / info / "RECORD").write_bytes(data)
    (tmp_path / info / "METADATA").write_text("Name: rich\nVersion: 13.9.4\n")
    files = importlib.metadata.PathDistribution(tmp_path / info).files
    assert files is not None
    assert {(str(each), each.size) for each in files if each.hash} == {
        (row[0], int(row[2])) for row in csv.reader(text.splitlines()) if row[2]
    }


def test_what_was_not_hashed_is_not_recorded() -> None:
    unhashed = Entry(path="bin/x", fingerprint=Fingerprint(kind="file"))
    with pytest.raises(ValueError, match="bin/x"):
        record_text.record_file([unhashed], SITE, f"{SITE}/x-1.dist-info/RECORD")


def test_direct_url_is_what_the_standard_asks_for() -> None:
    assert json.loads(direct_url(RICH)) == {
        "url": RICH.url,
        "archive_info": {"hash": f"sha256={'a' * 64}", "hashes": {"sha256": "a" * 64}},
    }
    assert json.loads(direct_url(replace(RICH, sha256=None)))["archive_info"] == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rich", False),
        ("rich>=13", False),
        ("rich[jupyter]>=13 ; python_version < '4'", False),
        ("rich @ https://index.example/rich-13.9.4-py3-none-any.whl", True),
        ("./dist/rich-13.9.4-py3-none-any.whl", True),
        ("dist/rich-13.9.4-py3-none-any.whl", True),
        ("https://index.example/rich.tar.gz", True),
        ("pypi:rich @ file:///rich.whl", True),
        ("conda-forge::zlib=1.2=*_0", False),
    ],
)
def test_only_a_url_or_a_path_is_direct(text: str, expected: bool) -> None:
    record = Record(ecosystem="wheel", name="rich", version="13.9.4", build="0", subdir="noarch")
    assert is_direct(record.url, (text,)) is expected


def test_history_is_appended_in_the_form_that_conda_parses() -> None:
    zlib = Record(
        ecosystem="conda", name="zlib", version="1.3", build="h5_0", subdir="linux-64", origin="https://c.example/main"
    )
    old = Installed(record=zlib, meta_path="conda-meta/zlib-1.3-h5_0.json", entries=())
    new = Resolved(record=RICH, requested=("rich[jupyter]>=13",))
    tool = Resolved(record=replace(zlib, name="tool"), requested=("tool>=1",))
    log = provenance.history(
        b"==> 2026-01-01 00:00:00 <==\n# cmd: conda create",
        when="2026-11-22 10:00:00",
        command="bridge install -p x rich\n+evil",
        version="0.1.0",
        added=[new, tool],
        removed=[old],
        removed_specs=["zlib"],
    ).decode()
    assert log == (
        "==> 2026-01-01 00:00:00 <==\n# cmd: conda create\n"
        "==> 2026-11-22 10:00:00 <==\n"
        "# cmd: bridge install -p x rich?+evil\n"
        "# bridge version: 0.1.0\n"
        "-https://c.example/main/linux-64::zlib-1.3-h5_0\n"
        "+<develop>/noarch::rich-13.9.4-py3_none_any_0\n"
        "+https://c.example/main/linux-64::tool-1.3-h5_0\n"
        "# remove specs: ['zlib']\n"
        "# update specs: ['tool>=1']\n"
    )


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ("# update specs: ['rich']", ["rich"]),
        ("# update specs: [\"conda-forge::rich[version='>=1']\", 'zlib']", ["rich"]),
        ("# create specs: ['Rich >=13', 'x']\n# update specs: ['y']", ["rich"]),
        ("# update specs: ['rich']\n# remove specs: ['rich']", None),
        ("# update specs: ['zlib']", None),
        ("# update specs: rich, zlib", None),
    ],
)
def test_a_wheel_is_no_spec_of_condas(specs: str, expected: list[str] | None) -> None:
    """`conda env export --from-history` writes every spec as a conda package; conda 26.7 stops at one of a wheel."""
    previous = f"==> 2026-01-01 00:00:00 <==\n# cmd: conda create\n{specs}\n".encode()
    new = Resolved(record=RICH, requested=("rich",))
    log = provenance.history(
        previous, when="now", command="x", version="1", added=[new], removed=[], wheels={"rich"}
    ).removeprefix(previous)
    found = re.search(r"# remove specs: (.*)", log.decode())
    assert (ast.literal_eval(found[1]) if found else None) == expected
    assert b"# update specs" not in log


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rich", "rich"),
        ("rich>=13,<14", "rich>=13,<14"),
        ("rich =13=py*", "rich =13=py*"),
        ("pypi:rich==13.*", "rich==13.*"),
        ("rich===13", "rich"),
        ("rich[jupyter]", "rich"),
        ("rich>=13 ; python_version > '3'", "rich>=13"),
        ("rich @ https://index.example/r.whl", "rich"),
        ("./rich.whl", "rich"),
        ("Rich-Text>=1", "rich"),
    ],
)
def test_a_spec_in_the_history_is_one_that_conda_can_parse(text: str, expected: str) -> None:
    added = [Resolved(record=replace(RICH, ecosystem="conda"), requested=(text,))]
    log = provenance.history(b"", when="now", command="x", version="1", added=added, removed=()).decode()
    found = re.search(r"# update specs: (.*)", log)
    assert found is not None
    assert ast.literal_eval(found[1]) == [expected]


NAMES = st.from_regex(r"[A-Za-z0-9_é ,\"'.-]{1,12}", fullmatch=True).filter(lambda name: name not in {".", ".."})


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=8), max_size=6))
def test_record_survives_its_reader(contents: dict[str, bytes]) -> None:
    """Whatever a file is called, RECORD MUST give back its path, hash and size (PEP 376)."""
    entries = {entry(f"{SITE}/{path}", data) for path, data in contents.items()}
    data = record_text.record_file(entries, SITE, f"{SITE}/x-1.dist-info/RECORD")
    parsed, refused = distinfo.parse_listing(data, SITE, "/prefix")
    assert (refused, {each for each in parsed if each.fingerprint.sha256}) == ([], entries)
