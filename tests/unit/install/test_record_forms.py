"""conda-meta records in the form that other clients read: each rule is one of their readers' (decision 0011)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rattler import PrefixRecord

from bridge.install import provenance
from bridge.model import Entry, Fingerprint
from bridge.prefix import condameta
from converters.purls import WheelOrigin, origin_of_wheel, wheel_purl
from converters.record import Record, conda_record
from tests.support.builders import make_conda, make_repodata
from tests.support.command_line import Bridge

# What conda-meta says of a package beside its record in the channel (conda's `PrefixRecord`).
OF_PREFIX = {"files", "paths_data", "link", "requested_spec", "requested_specs", "channel", "url", "fn"}
WHEEL = Record(
    ecosystem="wheel",
    name="pytorch",
    version="2.0+cpu",
    build="cp311_cp311_linux_x86_64_0",
    subdir="linux-64",
    pypi_names=("torch",),
    filename="torch-2.0+cpu-cp311-cp311-linux_x86_64.whl",
    url="https://files.example/torch-2.0%2Bcpu-cp311-cp311-linux_x86_64.whl",
    origin="https://pypi.example/simple",
    sha256="a" * 64,
)
FILE = Entry(path="lib/torch.py", fingerprint=Fingerprint(kind="file", sha256="b" * 64, size=3))


def fn_of_conda(fn: str) -> str:
    """The rule of conda 23.11 to 26.5, `PrefixData._get_json_fn`: another ending is a ValueError in mid-transaction."""
    for ending in (".tar.bz2", ".conda", ".dist-info"):
        if fn.endswith(ending):
            return f"{fn.removesuffix(ending)}.json"
    raise ValueError("Attempted to make prefix record for unknown package type")


def has_null(value: object) -> bool:
    """Whether there is a null; libmamba's `from_json` and rattler's scan stop there."""
    if isinstance(value, Mapping):
        return any(has_null(each) for each in value.values())
    return value is None or (isinstance(value, list) and any(map(has_null, value)))


def records(root: Path) -> dict[str, dict[str, Any]]:
    found = {path.name: json.loads(path.read_text()) for path in (root / "conda-meta").glob("*.json")}
    return {document["name"]: document | {"_file": name} for name, document in found.items()}


# --- wheels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"url": "file:///srv/wheels/torch-2.0+cpu-cp311-cp311-linux_x86_64.whl", "origin": ""},
        {"url": "https://files.example/torch-2.0.tar.gz"},  # built of an sdist
        {"url": "file:///env/lib/python3.11/site-packages/torch-2.0.dist-info", "sha256": None},  # adopted
        {"version": "1!2.0", "pypi_names": ("torch", "alpha")},
    ],
)
def test_the_record_of_a_wheel_is_what_each_client_looks_for(tmp_path: Path, changes: dict[str, Any]) -> None:
    record = replace(WHEEL, **changes)
    data = provenance.conda_meta(record, [FILE], requested=["torch"])
    document = json.loads(data)
    name = Path(provenance.meta_path(record)).name
    assert fn_of_conda(document["fn"]) == name
    # conda, `PrefixData._load_single_record`.
    assert name.removesuffix(".json").rsplit("-", 2) == [record.name, record.version, record.build]
    # conda, `PrefixData.get_python_packages`: what goes below `pip:`.
    assert document["package_type"] == "virtual_python_wheel"
    # mamba, `MTransaction::execute`: what has `pypi` in its channel is left to pip, and its files stay.
    assert "pypi" not in document["channel"]
    # conda-libmamba-solver, `channels_from_installed`: it is asked for no repodata. conda-rattler-solver, on the way to
    # rattler's record and back: the record stays the same, and the wheel is not installed again.
    assert document["channel"] == "<develop>"
    # conda-pack, `load_environment`.
    assert document["link"] == {"source": "", "type": 1}
    assert not has_null(document)
    (tmp_path / name).write_bytes(data)
    assert PrefixRecord.from_path(tmp_path / name).url == record.url
    installed, defects = condameta.parse(data, provenance.meta_path(record))
    assert defects == ()
    folder = record.url.rpartition("/")[0]
    assert (installed.record.ecosystem, installed.record.filename) == ("wheel", record.filename)
    assert (installed.record.origin, installed.record.pypi_names) == (record.origin or folder, record.pypi_names)


def test_nothing_is_lost_where_rattler_writes_the_record_anew(tmp_path: Path) -> None:
    path = tmp_path / Path(provenance.meta_path(WHEEL)).name
    path.write_bytes(provenance.conda_meta(WHEEL, [FILE], depends=["python"], requested=["torch"]))
    PrefixRecord.from_path(path).write_to_path(path, True)
    assert "package_type" not in json.loads(path.read_text())
    installed, _ = condameta.parse(path.read_bytes(), provenance.meta_path(WHEEL))
    assert (installed.record.ecosystem, installed.record.filename) == ("wheel", WHEEL.filename)
    assert (installed.record.origin, installed.record.url) == (WHEEL.origin, WHEEL.url)


@pytest.mark.parametrize(
    ("filename", "index"),
    [
        ("a-1.0-py3-none-any.whl", ""),
        ("a-1.0+l.1-1-py2.py3-none-any.whl", "https://i.example/team/simple/?x=1&y=ü"),
        ("a-1!2-py3-none-any.whl", "file:///srv/my wheels"),
    ],
)
def test_a_purl_gives_back_what_it_was_made_of(filename: str, index: str) -> None:
    purl = wheel_purl("a", "1!2.0+l", filename, index)
    assert purl.startswith("pkg:pypi/a@1%212.0%2Bl?file_name=")
    assert origin_of_wheel(["pkg:pypi/b@1", purl]) == WheelOrigin(project="a", filename=filename, index=index)


@pytest.mark.parametrize("purl", ["pkg:pypi/a@1", "pkg:conda/a?file_name=a.whl", "pkg:pypi/a?file_name=../a.whl", "x"])
def test_a_purl_that_names_no_wheel(purl: str) -> None:
    assert origin_of_wheel([purl]) is None


# --- conda packages ---------------------------------------------------------------------------------------------------


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    """A channel that says of `user` what its index.json does not: patched dependencies, and keys of its own."""
    folder = tmp_path / "channel"
    files = {"share/user.txt": b"u\n", "lib/libu.so.1": b"x", "etc/empty": b""}
    links = {"lib/libu.so": "libu.so.1", "lib/other": "../share"}
    make_conda(folder, "user", "8.6", noarch=None, subdir="linux-64", files=files, links=links, depends=["libz <1.3"])
    make_conda(folder, "libz", "1.3.1", noarch=None, subdir="linux-64", files={"share/libz.txt": b"z\n"})
    make_repodata(folder)
    path = folder / "linux-64/repodata.json"
    repodata = json.loads(path.read_text())
    repodata["packages.conda"]["user-8.6-0.conda"] |= {
        "depends": ["libz >=1.2,<2"],
        "constrains": ["never <1"],
        "license": "BSD-3-Clause",
        "license_family": "BSD",
        "track_features": "one two",
        "features": "three",
        "legacy_bz2_md5": "0" * 32,
        "timestamp": 1700000000123,
        "purls": [],
    }
    path.write_text(json.dumps(repodata))
    return folder


def test_a_conda_package_has_the_record_of_its_channel(tmp_path: Path, bridge: Bridge, channel: Path) -> None:
    done = bridge("create", "-p", tmp_path / "env", "-c", channel, "user")
    assert done.status == 0, done.err
    said = json.loads((channel / "linux-64/repodata.json").read_text())["packages.conda"]
    for name, document in records(tmp_path / "env").items():
        expected = {key: value for key, value in said[document["fn"]].items() if value not in ("", [], None)}
        assert document.keys() - OF_PREFIX - {"_file", "depends", "constrains"} <= expected.keys(), name
        assert {key: document.get(key) for key in expected} == expected, name
        assert fn_of_conda(document["fn"]) == document["_file"]
        assert not has_null(document)
    assert records(tmp_path / "env")["user"]["md5"]
    assert bridge("audit", "-p", tmp_path / "env").status == 0


def test_links_are_as_conda_doctor_and_mamba_have_them(tmp_path: Path, bridge: Bridge, channel: Path) -> None:
    root = tmp_path / "env"
    assert bridge("create", "-p", root, "-c", channel, "user").status == 0
    paths = {entry["_path"]: entry for entry in records(root)["user"]["paths_data"]["paths"]}
    assert "sha256_in_prefix" not in paths["lib/libu.so"]
    for path, entry in paths.items():
        promised = entry.get("sha256_in_prefix")
        if promised is not None and (root / path).is_file():
            assert hashlib.sha256((root / path).read_bytes()).hexdigest() == promised, path
    # A link to a folder is passed by, and its text is what the audit has to go by.
    assert paths["lib/other"]["sha256_in_prefix"] == hashlib.sha256(b"../share").hexdigest()
    assert records(root)["user"]["files"] == list(paths)


def test_what_bridge_does_not_interpret_survives_a_reinstall(tmp_path: Path, bridge: Bridge, channel: Path) -> None:
    root = tmp_path / "env"
    assert bridge("create", "-p", root, "-c", channel, "user").status == 0
    before = (root / "conda-meta/user-8.6-0.json").read_bytes()
    (root / "share/user.txt").write_bytes(b"changed")
    done = bridge("audit", "-p", root, "--fix")
    assert done.status == 0, done.err
    assert (root / "conda-meta/user-8.6-0.json").read_bytes() == before


def test_other_keys_are_of_the_package_only() -> None:
    record = conda_record(
        {
            "name": "a", "version": "1", "build": "0", "license_family": "MIT", "license": None, "app": {"x": 1},
            "features": None, "files": [], "link": {}, "requested_spec": "a", "package_type": "noarch_python",
        }
    )  # fmt: skip
    assert dict(record.others) == {"license_family": "MIT", "app": {"x": 1}}
    assert "license" not in provenance.conda_package(record)
    assert hash(record) == hash(replace(record, others=()))


def test_a_purl_drops_the_last_slash_of_an_index() -> None:
    """As the reader of records does with a channel; else each change would renew the record."""
    assert wheel_purl("a", "1", "a.whl", "https://i.example/simple/") == wheel_purl(
        "a", "1", "a.whl", "https://i.example/simple"
    )
