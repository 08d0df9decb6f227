"""Environments that other clients made are read as they are: no file is missed and none is accused."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import prefix
from bridge.audit.finding import Report
from bridge.audit.run import audit
from bridge.model import Installed, PrefixState
from bridge.prefix.entries import paths_of
from bridge.prefix.locations import located, relocated
from bridge.prefix.origin import channel_of, is_channel, subdir_of
from converters.names import NameMap
from converters.target import Target
from tests.support.wild import CLIENTS, SITE, Client, make_prefix, packages, put_package

TARGET = Target(subdir="linux-64", virtual_packages=(("__glibc", "2.36", "0"), ("__unix", "0", "0")))
BY_NAME = {client.name: client for client in CLIENTS}


def audited(path: Path) -> Report:
    return audit(path, TARGET, NameMap({}, "test"), jobs=1)


def accused(path: Path) -> list[tuple[str, str | None]]:
    return [(each.id, each.path) for each in audited(path).findings if each.level != "info"]


def package(state: PrefixState, name: str) -> Installed:
    return next(each for each in state.installed if each.record.name == name)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_an_untouched_environment_is_clean_and_every_file_has_its_owner(tmp_path: Path, client: Client) -> None:
    root = make_prefix(tmp_path / "env", client)
    report = audited(root)
    assert [each for each in report.findings if each.level != "info"] == []
    assert report.packages == {"conda": 5, "wheel": 0, "unmanaged": 0}
    state = prefix.read(root)
    owned = {path for each in state.installed for path in (*paths_of(each.entries), each.meta_path)}
    lying = {path for path, _ in prefix.walk(root) if not (root / path).is_dir() or (root / path).is_symlink()}
    bytecode = {path for path in lying if path.endswith(".pyc")}
    assert lying - owned - bytecode == set(client.keeps)
    assert owned <= lying


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_damage_is_still_told(tmp_path: Path, client: Client) -> None:
    root = make_prefix(tmp_path / "env", client)
    (root / SITE / "noarchy/__init__.py").write_bytes(b"changed\n")
    (root / "share/noarchy/data").unlink()
    (root / "lib/libthing.so").unlink()
    (root / "lib/libthing.so").symlink_to("../bin/thing")
    promised = {("missing-file", "share/noarchy/data")}
    if client.has_paths_data:
        promised |= {("modified-file", f"{SITE}/noarchy/__init__.py"), ("modified-file", "lib/libthing.so")}
    assert set(accused(root)) == promised


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_channel_has_no_subdir_and_the_time_is_in_milliseconds(tmp_path: Path, client: Client) -> None:
    for each in prefix.read(make_prefix(tmp_path / "env", client)).installed:
        assert each.record.origin == "file:///srv/channel"
        assert each.record.timestamp == 1700000000000
        assert each.record.subdir == ("noarch" if each.record.noarch else "linux-64")


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_all_readers_agree(tmp_path: Path, client: Client) -> None:
    """One reader for all commands: RECORD read or not, one process or several."""
    root = make_prefix(tmp_path / "env", client)
    expected = prefix.read(root)
    assert prefix.read(root, jobs=2) == expected
    assert prefix.read(root, is_brief=True).installed == expected.installed


PATHS = st.lists(
    st.sampled_from(["site-packages/a", "site-packages/b/a", "python-scripts/a", "share/a", "bin/b"]), unique=True
)


@settings(max_examples=200, deadline=None)
@given(
    listed=PATHS, order=st.randoms(use_true_random=False), site=st.sampled_from([SITE, "lib/python3.13t/site-packages"])
)
def test_each_path_of_a_package_is_found_in_files_whatever_their_order(
    listed: list[str], order: Random, site: str
) -> None:
    """Conda unlinks by `files`: every path of it, and no other, is the package's."""
    expected = list(relocated(listed, site) or listed)
    compiled = [f"{site}/__pycache__/a.cpython-312.pyc"]
    files = [*expected, *compiled]
    order.shuffle(files)
    found, rest = located(listed, files)
    assert (list(found), list(rest)) == (expected, compiled)


def test_a_path_that_files_leaves_out_is_taken_as_it_is() -> None:
    assert located(["bin/a", "share/x"], ["bin/a"]) == (["bin/a", "share/x"], ())
    assert located(["bin/a"], []) == (["bin/a"], ())
    assert located([], ["bin/a", "bin/a"]) == ([], ("bin/a",))


@pytest.mark.parametrize("missing", ["files", "paths_data"])
def test_package_paths_without_files_are_where_python_has_them(tmp_path: Path, missing: str) -> None:
    root = make_prefix(tmp_path / "env", BY_NAME["conda 26"])
    record = root / "conda-meta/noarchy-1.0-0.json"
    document = json.loads(record.read_text())
    del document[missing]
    record.write_text(json.dumps(document))
    entries = package(prefix.read(root), "noarchy").entries
    assert {f"{SITE}/noarchy/__init__.py", "bin/noarchy-script", "bin/noarchy"} <= set(paths_of(entries))
    assert accused(root) == []


def test_a_link_of_mamba_s_is_not_accused_when_another_package_s_target_was_upgraded(tmp_path: Path) -> None:
    """Mamba hashes the file that a link leads to: that file may be of a package that was upgraded since."""
    client = BY_NAME["mamba 2"]
    root = make_prefix(tmp_path / "env", client)
    library = packages(root)[1]
    linked = type(library)(name="linked", files={}, links={"lib/alias.so": "libthing.so.1"})
    put_package(root, linked, client)
    upgraded = {**library.files, "lib/libthing.so.1": b"another library"}
    (root / "conda-meta/libthing-1.0-0.json").unlink()
    for path in library.links or {}:
        (root / path).unlink()
    put_package(
        root, type(library)(name="libthing", files=upgraded, links=library.links, placed=library.placed), client
    )
    assert accused(root) == []


@pytest.mark.parametrize("name", ["conda 26", "mamba 2", "rattler"])
def test_a_link_that_leads_nowhere_is_told(tmp_path: Path, name: str) -> None:
    root = make_prefix(tmp_path / "env", BY_NAME[name])
    (root / "lib/libthing.so").unlink()
    (root / "lib/libthing.so").symlink_to("libthing.so.2")
    assert "lib/libthing.so" in {path for _, path in accused(root)}


def test_files_that_lie_in_the_cache_are_no_damage(tmp_path: Path) -> None:
    """Conda's `always_softlink`: every file is a link to the package cache, and recorded as one."""
    root = make_prefix(tmp_path / "env", BY_NAME["conda 26"])
    record = root / "conda-meta/libthing-1.0-0.json"
    document = json.loads(record.read_text())
    cached = tmp_path / "pkgs/libthing.so.1"
    cached.parent.mkdir()
    (root / "lib/libthing.so.1").rename(cached)
    (root / "lib/libthing.so.1").symlink_to(cached)
    for entry in document["paths_data"]["paths"]:
        if entry["_path"] == "lib/libthing.so.1":
            entry["path_type"] = "softlink"
            del entry["sha256_in_prefix"]
    record.write_text(json.dumps(document))
    assert accused(root) == []


@pytest.mark.parametrize(
    ("document", "channel", "subdir"),
    [
        ({"channel": "https://host/x/linux-64", "subdir": "linux-64"}, "https://host/x", "linux-64"),
        ({"channel": "https://host/x/noarch/", "subdir": "noarch"}, "https://host/x", "noarch"),
        ({"channel": "https://host/x/label/dev/osx-arm64"}, "https://host/x/label/dev", "osx-arm64"),
        ({"channel": "https://host/linux-tools", "subdir": "noarch"}, "https://host/linux-tools", "noarch"),
        ({"channel": "conda-forge/linux-64"}, "conda-forge", "linux-64"),
        ({"channel": "name", "url": "https://host/name/noarch/x-1-0.conda"}, "https://host/name", "noarch"),
        ({"channel": "<unknown>", "url": "file:///c/win-64/x-1-0.tar.bz2#0123"}, "file:///c", "win-64"),
        ({"channel": None, "schannel": "defaults"}, "defaults", None),
        ({"channel": "host", "url": "file:///cache/linux-64/python.conda"}, "host", "linux-64"),
        ({"channel": 3, "subdir": None}, "", None),
    ],
)  # fmt: skip
def test_the_channel_of_a_record(document: dict[str, object], channel: str, subdir: str | None) -> None:
    assert (channel_of(document), subdir_of(document)) == (channel, subdir)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("https://x/y", True), ("conda-forge", True), ("conda-forge/label/dev", True), ("host", True),
     ("", False), ("<unknown>", False), ("pypi", False), ("defaults", False), ("local", False)],
)  # fmt: skip
def test_what_can_be_asked_as_a_channel(origin: str, expected: bool) -> None:
    assert is_channel(origin) is expected


# --- the real ones ----------------------------------------------------------------------------------------------------

PREFIXES = ("conda-24.11", "conda-26.7", "mamba-2.8", "rattler-0.28")


@pytest.mark.shared
@pytest.mark.parametrize("name", PREFIXES)
def test_the_environments_of_real_clients_have_no_finding(shared: Path, tmp_path: Path, name: str) -> None:
    """At the place where they were made, of which their files tell, nothing is amiss."""
    root = unpacked(shared, name)
    report = audited(root)
    assert [each for each in report.findings if each.level != "info"] == []
    assert (report.packages["conda"], report.unowned) == (15, 0)
    assert prefix.read(root, jobs=2) == prefix.read(root)


def unpacked(shared: Path, name: str) -> Path:
    """One of them below `/opt/envs`; skips where that may not be written."""
    root = Path("/opt/envs") / name
    if not root.is_dir():
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            pytest.skip(f"{root.parent} cannot be made, and the environments were made for that place")
        archive = shared / f"data/conda-world/prefixes/{name}.tar.zst"
        done = subprocess.run(["tar", "--zstd", "-xf", archive, "-C", root.parent], check=False)
        if done.returncode:
            pytest.skip(f"tar cannot unpack {archive.name} below {root.parent}")
    return root
