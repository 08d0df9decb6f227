"""What a prefix says of itself is read whole; what cannot be read is a defect, never an exception."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import prefix
from bridge.errors import FaultError, UsageError
from bridge.model import Entry, Fingerprint, PrefixState
from bridge.paths import inside
from bridge.prefix import condameta
from bridge.prefix.columns import hex_digest
from converters.target import Python
from tests.support.builders import install_distribution, install_record, make_wheel, record_hash
from tests.support.work import count_calls

SITE = "lib/python3.11/site-packages"
PYTHON = {"bin/python3.11": b"#!", "lib/python3.11/os.py": b"sep = '/'\n"}


def with_python(folder: Path, version: str = "3.11.7", build: str = "h1_0_cpython", site: str | None = None) -> Path:
    links = {"bin/python": "python3.11"}
    install_record(folder, "python", version, build=build, files=PYTHON, links=links, python_site_packages_path=site)
    return folder


def fingerprint(data: bytes) -> Fingerprint:
    return Fingerprint(kind="file", sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def test_a_conda_record_becomes_a_package_with_its_entries(tmp_path: Path) -> None:
    install_record(
        with_python(tmp_path),
        "libthing",
        "2.0",
        build="h5_3",
        files={"lib/libthing.so.2": b"elf"},
        links={"lib/libthing.so": "libthing.so.2"},
        depends=["libc >=2"],
        constrains=["other <3"],
        timestamp=1600000000,
        noarch="generic",
        sha256="a" * 64,
        md5="b" * 32,
        size=12,
        license="MIT",
        track_features="one, two",
        requested_specs=["libthing >=2"],
    )
    package = prefix.read(tmp_path).installed[0]
    record = package.record
    assert (record.identity, record.ecosystem, record.noarch) == ("libthing-2.0-h5_3", "conda", "generic")
    assert (record.requirements, record.constraints) == (("libc >=2",), ("other <3",))
    assert record.timestamp == 1600000000000, "seconds become milliseconds"
    assert (record.sha256, record.md5, record.size, record.license) == ("a" * 64, "b" * 32, 12, "MIT")
    assert record.track_features == ("one", "two")
    assert package.requested == ("libthing >=2",)
    assert package.meta_path == "conda-meta/libthing-2.0-h5_3.json"
    assert package.entries == (
        Entry(path="lib/libthing.so.2", fingerprint=fingerprint(b"elf")),
        Entry(path="lib/libthing.so", fingerprint=Fingerprint(kind="symlink")),
    )


def test_the_hash_in_the_prefix_is_the_promise_not_the_one_in_the_package(tmp_path: Path) -> None:
    paths = [{"_path": "bin/x", "path_type": "hardlink", "sha256": "a" * 64, "sha256_in_prefix": "b" * 64}]
    install_record(tmp_path, "x", "1", paths_data={"paths": paths, "paths_version": 1})
    assert prefix.read(tmp_path).installed[0].entries[0].fingerprint.sha256 == "b" * 64


def test_a_record_without_paths_data_still_owns_its_files(tmp_path: Path) -> None:
    install_record(tmp_path, "old", "1", files={"share/old": b""}, paths_data=None)
    assert prefix.read(tmp_path).installed[0].entries == (
        Entry(path="share/old", fingerprint=Fingerprint(kind="file")),
    )


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"requested_specs": ["a", "b"], "requested_spec": "c"}, ("a", "b")),
        ({"requested_spec": "c"}, ("c",)),
        ({"requested_spec": "None"}, ()),
        ({"requested_spec": ""}, ()),
        ({}, ()),
    ],
)
def test_what_was_asked_for(tmp_path: Path, keys: dict[str, Any], expected: tuple[str, ...]) -> None:
    install_record(tmp_path, "x", "1", **keys)
    assert prefix.read(tmp_path).installed[0].requested == expected


def test_a_wheel_record_takes_its_requirements_from_its_own_dist_info(tmp_path: Path) -> None:
    info = install_distribution(
        with_python(tmp_path),
        SITE,
        "rich",
        "13.9.4",
        requires=["pygments>=2 ; extra == 'color'", "mdurl"],
        extras=["color"],
    )
    metadata = (info / "METADATA").read_bytes()
    install_record(
        tmp_path,
        "rich",
        "13.9.4",
        build="py3_none_any_0",
        files={f"{SITE}/rich-13.9.4.dist-info/METADATA": metadata},
        fn="rich-13.9.4-py3-none-any.whl",
        depends=["python >=3.8", "mdurl"],
        purls=["pkg:pypi/Rich@13.9.4"],
    )
    record = prefix.read(tmp_path).installed[1].record
    assert (record.ecosystem, record.label, record.pypi_names) == ("wheel", "wheel:rich-13.9.4", ("rich",))
    assert record.requirements == ("pygments>=2 ; extra == 'color'", "mdurl")
    assert (record.requires_python, record.extras) == (">=3.8", ("color",))


def test_a_wheel_whose_dist_info_is_gone_still_needs_what_its_record_names(tmp_path: Path) -> None:
    with_python(tmp_path)
    install_record(tmp_path, "python-tzdata", "1", fn="tzdata-1-py3-none-any.whl", purls=["pkg:pypi/tzdata@1"])
    install_record(
        tmp_path,
        "x",
        "1",
        fn="x-1-py3-none-any.whl",
        depends=["python >=3.8", "python_abi 3.11.*", "__unix", "python-tzdata 1.*", "other[version='>=2']"],
    )
    found = {each.record.name: each.record for each in prefix.read(tmp_path).installed}
    assert found["x"].requirements == ("tzdata", "other")


def test_conda_s_own_records_of_pip_packages_are_readable(tmp_path: Path) -> None:
    install_record(tmp_path, "x", "1", build="pypi_0", fn="x-1.dist-info", url="", channel="pypi", subdir="pypi")
    assert prefix.read(tmp_path).installed[0].record.ecosystem == "wheel"


def test_a_conda_package_carries_every_project_whose_dist_info_it_installed(tmp_path: Path) -> None:
    """The shape of pystac: one conda package, many distributions, and a purl that names one of them."""
    with_python(tmp_path)
    carried = {}
    for name in ("part-a", "part-b"):
        info = install_distribution(tmp_path, SITE, name, "1.0", installer="conda")
        carried[f"{SITE}/{info.name}/METADATA"] = (info / "METADATA").read_bytes()
    install_record(tmp_path, "whole", "1.0", files=carried, purls=["pkg:pypi/whole@1.0"])
    assert prefix.read(tmp_path).installed[1].record.pypi_names == ("whole", "part-a", "part-b")


# Each row: what lies in conda-meta/x-1-0.json, and a word of the reason that is given.
BROKEN: dict[str, tuple[bytes, str]] = {
    "zero bytes": (b"", "empty"),
    "spaces": (b" \n", "empty"),
    "truncated": (b'{"name": "x", "vers', "not JSON"),
    "not UTF-8": (b'{"name": "\xff"}', "not UTF-8"),
    "a list": (b"[]", "not a JSON object"),
    "null": (b"null", "not a JSON object"),
    "no name": (b'{"version": "1", "build": "0"}', "name"),
    "a number for a version": (b'{"name": "x", "version": 1, "build": "0"}', "version"),
    "another name": (b'{"name": "y", "version": "1", "build": "0"}', "y-1-0.json"),
    "depends is a text": (b'{"name": "x", "version": "1", "build": "0", "depends": "a"}', "depends"),
    "depends of numbers": (b'{"name": "x", "version": "1", "build": "0", "depends": [1]}', "depends"),
    "paths is an object": (b'{"name": "x", "version": "1", "build": "0", "paths_data": {"paths": {}}}', "paths"),
    "a path is a number": (
        b'{"name": "x", "version": "1", "build": "0", "paths_data": {"paths": [{"_path": 1}]}}',
        "_path",
    ),
    "size is a text": (b'{"name": "x", "version": "1", "build": "0", "size": "big"}', "size"),
    "size is endless": (b'{"name": "x", "version": "1", "build": "0", "size": Infinity}', "size"),
    "a number of 5000 digits": (
        b'{"name": "x", "version": "1", "build": "0", "size": ' + b"9" * 5000 + b"}",
        "",
    ),
    "nested too deeply": (b'{"name":' * 200_000, ""),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_record_is_a_defect_and_the_others_are_read(tmp_path: Path, case: str) -> None:
    data, word = BROKEN[case]
    install_record(tmp_path, "good", "1", files={"share/good": b""})
    (tmp_path / "conda-meta" / "x-1-0.json").write_bytes(data)
    state = prefix.read(tmp_path)
    assert [package.record.name for package in state.installed] == ["good"]
    assert [(defect.id, defect.path) for defect in state.defects] == [("broken-record", "conda-meta/x-1-0.json")]
    assert word in state.defects[0].detail


@pytest.mark.parametrize(
    "path", ["../../x", "/etc/passwd", "a/../../x", "lib/../x", "..", "a\0b", "conda-meta/.bridge/lock", "\ud800"]
)
def test_a_path_that_no_package_may_have_is_no_entry(tmp_path: Path, path: str) -> None:
    """Uninstalling deletes nothing outside, for there is nothing to delete."""
    paths = [{"_path": path}, {"_path": "share/x"}]
    install_record(tmp_path, "x", "1", paths_data={"paths": paths, "paths_version": 1})
    state = prefix.read(tmp_path)
    assert [entry.path for entry in state.installed[0].entries] == ["share/x"]
    assert [(defect.id, defect.path) for defect in state.defects] == [("broken-record", "conda-meta/x-1-0.json")]


def test_neither_a_pipe_nor_a_directory_named_like_a_record_blocks_or_breaks_the_reading(tmp_path: Path) -> None:
    (tmp_path / "conda-meta" / "folder-1-0.json").mkdir(parents=True)
    os.mkfifo(tmp_path / "conda-meta" / "pipe-1-0.json")
    (tmp_path / "conda-meta" / "gone-1-0.json").symlink_to("nowhere")
    (tmp_path / "conda-meta" / "history").write_text("")
    assert [defect.path for defect in prefix.read(tmp_path).defects] == [
        "conda-meta/folder-1-0.json",
        "conda-meta/gone-1-0.json",
        "conda-meta/pipe-1-0.json",
    ]


def test_a_distribution_of_pip_is_read(tmp_path: Path) -> None:
    script = b"#!/x\n"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tool").write_bytes(script)
    info = install_distribution(
        with_python(tmp_path),
        SITE,
        "Some.Tool",
        "1.0.0",
        files={"tool.py": b"x = 1\n", "with,comma.txt": b""},
        rows=[f"../../../bin/tool,{record_hash(script)},{len(script)}", "__pycache__/tool.cpython-311.pyc,,"],
    )
    record = (info / "RECORD").read_text()
    (info / "RECORD").write_text(record.replace("with,comma.txt", '"with,comma.txt"'))
    (info / "REQUESTED").touch()
    (info / "direct_url.json").write_text('{"url": "file:///x.whl", "archive_info": {}}')
    state = prefix.read(tmp_path)
    (found,) = state.distributions
    assert (found.name, found.version, found.installer, found.requested) == ("some-tool", "1.0.0", "pip", True)
    assert found.direct_url == {"url": "file:///x.whl", "archive_info": {}}
    assert found.tags == ("py3-none-any",)
    assert found.entries is not None
    entries = {entry.path: entry.fingerprint for entry in found.entries}
    assert entries["bin/tool"] == fingerprint(script)
    assert entries[f"{SITE}/with,comma.txt"] == fingerprint(b"")
    assert entries[f"{SITE}/__pycache__/tool.cpython-311.pyc"] == Fingerprint(kind="file")
    assert state.defects == ()


@pytest.mark.parametrize(
    ("row", "is_kept"),
    [
        ("../../../bin/x,,", True),
        ("../../../../x,,", False),
        ("/etc/passwd,,", False),
        ("{prefix}/share/x,,", True),
        ("{prefix}-sibling/x,,", False),
        ("x.py,sha256=short,1", False),
        ("x.py,sha256=!!,1", False),
        (f"x.py,{record_hash(b'x')},many", False),
        ("x.py,md5=abc,1", True),
        ("x.py,sha256=" + "0" * 64 + ",1", True),
    ],
)
def test_a_row_that_leaves_the_prefix_or_makes_no_sense_is_no_entry(tmp_path: Path, row: str, is_kept: bool) -> None:
    install_distribution(with_python(tmp_path), SITE, "x", "1.0", files={}, rows=[row.format(prefix=tmp_path)])
    state = prefix.read(tmp_path)
    assert len(state.distributions[0].entries or ()) == 4 + is_kept
    assert [defect.id for defect in state.defects] == ([] if is_kept else ["broken-record"])


@pytest.mark.parametrize("record", [b"\xff,,\n", b'"unclosed\n' + b"x" * 200_000, b"x" * 200_000])
def test_an_unreadable_record_file_is_a_defect_and_no_entries(tmp_path: Path, record: bytes) -> None:
    info = install_distribution(with_python(tmp_path), SITE, "x", "1.0")
    (info / "RECORD").write_bytes(record)
    state = prefix.read(tmp_path)
    assert state.distributions[0].entries is None
    assert [defect.path for defect in state.defects] == [f"{SITE}/x-1.0.dist-info/RECORD"]


def test_a_missing_record_is_none_and_a_missing_metadata_is_a_defect(tmp_path: Path) -> None:
    with_python(tmp_path)
    install_distribution(tmp_path, SITE, "a", "1.0", without=["RECORD"])
    install_distribution(tmp_path, SITE, "b", "2.0", without=["METADATA"])
    state = prefix.read(tmp_path)
    assert [(found.name, found.version, found.entries is None) for found in state.distributions] == [
        ("a", "1.0", True),
        ("b", "2.0", False),
    ]
    assert [defect.path for defect in state.defects] == [f"{SITE}/b-2.0.dist-info/METADATA"]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (b"Name: X_y\nVersion: not a version\nRequires-Dist: z\n", ("x-y", "not a version", ("z",))),
        (b"Version: 1\n", ("x", "1", ())),
        (b"\xff\xfe", ("x", "1.0", ())),
        (b"", ("x", "1.0", ())),
        (b"Name: x\r\nVersion: 3\r\n\r\nName: y\r\n", ("x", "3", ())),
    ],
)
def test_metadata_is_read_as_far_as_it_goes(tmp_path: Path, metadata: bytes, expected: tuple[object, ...]) -> None:
    info = install_distribution(with_python(tmp_path), SITE, "x", "1.0")
    (info / "METADATA").write_bytes(metadata)
    (found,) = prefix.read(tmp_path).distributions
    assert (found.name, found.version, found.requires_dist) == expected


def test_egg_infos_are_distributions_and_pip_s_leftovers_are_not(tmp_path: Path) -> None:
    site = with_python(tmp_path) / SITE
    (site / "old-1.2-py3.11.egg-info").mkdir(parents=True)
    (site / "old-1.2-py3.11.egg-info" / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: old\nVersion: 1.2\n")
    (site / "old-1.2-py3.11.egg-info" / "installed-files.txt").write_text("../old.py\nPKG-INFO\n")
    (site / "flat-3.0-py3.11.egg-info").write_text("Metadata-Version: 1.0\nName: flat\nVersion: 3.0\n")
    install_distribution(tmp_path, SITE, "~umpy", "1.0")
    state = prefix.read(tmp_path)
    assert [(found.name, found.version) for found in state.distributions] == [("flat", "3.0"), ("old", "1.2")]
    assert [entry.path for entry in state.distributions[1].entries or ()] == [
        f"{SITE}/old.py",
        f"{SITE}/old-1.2-py3.11.egg-info/PKG-INFO",
    ]
    assert state.defects == ()


@pytest.mark.parametrize(
    ("identity", "recorded", "is_free_threaded", "site"),
    [
        ("3.11.7-h1_0_cpython", None, False, SITE),
        ("3.13.1-h9_5_cp313t", "lib/python3.13t/site-packages", True, "lib/python3.13t/site-packages"),
        ("3.13.1-h9_5_cp313t", None, True, "lib/python3.13t/site-packages"),
        ("3.13.1-0", "lib/python3.13t/site-packages", True, "lib/python3.13t/site-packages"),
        ("3.14.0-0", "../x", False, "lib/python3.14/site-packages"),
    ],
)
def test_the_python_of_conda_meta(
    tmp_path: Path, identity: str, recorded: str | None, is_free_threaded: bool, site: str
) -> None:
    version, build = identity.split("-")
    state = prefix.read(with_python(tmp_path, version, build, recorded))
    assert (state.python, state.site_packages) == (Python(version=version, free_threaded=is_free_threaded), site)


@pytest.mark.slow
def test_a_virtual_environment_is_an_environment_and_pip_s_packages_in_it_are_read(tmp_path: Path) -> None:
    """A real interpreter, a real venv, a real pip."""
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False)
    wheel = make_wheel(tmp_path, "demo-tool", "1.0", console_scripts={"demo": "demo_tool:main"})
    target = ["--prefix", str(environment), "--no-index", "--no-deps", "--no-warn-script-location", str(wheel)]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *target], check=True, env={**os.environ, "PIP_USER": "0"}
    )
    state = prefix.require(environment)
    version = sys.version_info
    assert state.python == Python(version=f"{version.major}.{version.minor}.{version.micro}")
    (found,) = state.distributions
    assert (found.name, found.installer, found.requested) == ("demo-tool", "pip", True)
    assert found.entries is not None
    for entry in found.entries:
        assert (environment / entry.path).is_file(), entry.path
        if entry.fingerprint.sha256:
            assert fingerprint((environment / entry.path).read_bytes()) == entry.fingerprint
    assert "bin/demo" in {entry.path for entry in found.entries}
    assert state.defects == ()


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ({"bin/python": "", "lib/python3.9/os.py": "", "lib/python3.11/os.py": "", "bin/python3.9": ""}, "3.9"),
        ({"bin/python": "", "lib/python3.9/os.py": "", "lib/python3.11/os.py": ""}, "3.11"),
        (
            {
                "bin/python3": "",
                "lib/python3.12/os.py": "",
                "include/python3.12/patchlevel.h": '#define PY_VERSION      "3.12.1+"\n',
            },
            "3.12.1",
        ),
        (
            {"bin/python": "", "lib/python3.10/x": "", "pyvenv.cfg": "home = /x\nversion_info = 3.10.4.final.0\n"},
            "3.10.4",
        ),
        ({"bin/python": "", "lib/python3.13t/os.py": ""}, "3.13t"),
        ({"lib/python3.13/os.py": ""}, None),
        ({"bin/python": ""}, None),
    ],
)
def test_the_python_of_a_layout(tmp_path: Path, layout: dict[str, str], expected: str | None) -> None:
    for path, text in layout.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    python = prefix.read(tmp_path).python
    assert (python and python.version + ("t" if python.free_threaded else "")) == expected


def test_a_folder_with_two_names_is_read_once(tmp_path: Path) -> None:
    install_distribution(with_python(tmp_path), SITE, "x", "1.0")
    (tmp_path / "lib64").symlink_to("lib")
    assert prefix.site_directories(tmp_path) == (SITE,)
    assert len(prefix.read(tmp_path).distributions) == 1


def test_a_folder_that_is_no_environment_is_a_usage_error(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError) as caught:
            prefix.require(folder)
        assert (caught.value.id, caught.value.exit_code) == ("not-an-environment", 2)
    (tmp_path / "conda-meta").mkdir()
    assert prefix.require(tmp_path) == PrefixState(prefix=tmp_path)


def test_a_walk_gives_every_path_but_bridge_s_own_and_follows_no_link(tmp_path: Path) -> None:
    with_python(tmp_path)
    (tmp_path / "conda-meta" / ".bridge" / "txn").mkdir(parents=True)
    (tmp_path / "loop").symlink_to(".")
    found = list(prefix.walk(tmp_path))
    paths = [path for path, _ in found]
    meta = "conda-meta/python-3.11.7-h1_0_cpython.json"
    expected = {
        "bin",
        "bin/python",
        "bin/python3.11",
        "conda-meta",
        meta,
        "lib",
        "lib/python3.11",
        "lib/python3.11/os.py",
    }
    assert set(paths) == expected | {"loop"}
    assert all("/" not in path or path.rpartition("/")[0] in paths[: paths.index(path)] for path in paths)
    assert dict(found)["bin/python"] == os.lstat(tmp_path / "bin/python")


def test_a_folder_that_cannot_be_listed_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").symlink_to("conda-meta")
    with pytest.raises(FaultError, match="cannot be listed"):
        prefix.read(tmp_path)


def test_entries_are_read_with_few_calls(tmp_path: Path) -> None:
    """Environments have tens of thousands of entries: what is done for each is counted."""
    for number in range(50):
        paths = [
            {
                "_path": f"{SITE}/p{number}/m{each}.py",
                "path_type": "hardlink",
                "sha256": "a" * 64,
                "size_in_bytes": each,
            }
            for each in range(400)
        ]
        install_record(tmp_path, f"p{number}", "1", paths_data={"paths": paths, "paths_version": 1})
    assert sum(len(package.entries) for package in prefix.read(tmp_path).installed) == 20_000
    assert count_calls(lambda: prefix.read(tmp_path)) < 20_000 * 30


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = [
    "name",
    "version",
    "build",
    "depends",
    "files",
    "paths_data",
    "purls",
    "noarch",
    "url",
    "size",
    "track_features",
]


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_no_json_makes_a_record_raise_anything_but_the_errors_it_names(document: dict[str, object]) -> None:
    """`parse` MUST raise `ValueError` or `RecursionError`, and nothing else, whatever the JSON holds."""
    identity = "-".join(str(document.get(key)) for key in ("name", "version", "build"))
    try:
        found, _ = condameta.parse(json.dumps(document).encode(), f"conda-meta/{identity}.json")
    except ValueError:
        return
    assert found.record.identity == identity


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="./ab\\\0é\ud800", max_size=12), st.sampled_from(["", "lib/site"]))
def test_no_path_of_a_record_leaves_the_prefix(path: str, base: str) -> None:
    """A path that is accepted MUST lie below the prefix, as it stands, with no empty, `.` or `..` part."""
    found = inside(path, base)
    if found is not None:
        assert not os.path.isabs(found)
        assert not {"", ".", ".."} & set(found.split("/"))
        os.fsencode(found)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=32))
def test_a_digest_survives_its_record_spelling(data: bytes) -> None:
    assert hex_digest(record_hash(data)) == hashlib.sha256(data).hexdigest()
