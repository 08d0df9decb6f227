"""What is staged is what the archives hold, where pip and conda put it, with the final prefix in it; or nothing is."""

from __future__ import annotations

import ast
import csv
import hashlib
import importlib.util
import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from installer.scripts import Script
from rattler import PrefixRecord

from bridge import fs, prefix
from bridge.errors import FaultError, IntegrityError, UnsafeInputError, UsageError
from bridge.install import manifest
from bridge.install import staging as link
from bridge.install.ownership import Judgement
from bridge.model import Install, Plan, PrefixState, Resolved
from bridge.prefix.shebangs import for_python
from bridge.transaction.creation import create
from tests.support.builders import make_conda, make_wheel, tree_digest, zip_bytes
from tests.support.environments import MINOR, PYTHON, SITE, TARGET, VERSION, Environment, describe
from tests.support.pip import pip_of

HELLO = b"def main():\n    print('hello from', __name__)\n"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "env")


# --- wheels -----------------------------------------------------------------------------------------------------------


def full_wheel(folder: Path) -> Path:
    """A wheel with everything that a wheel can have."""
    data = "full_tool-1.0.data"
    files = {
        "full_tool/__init__.py": HELLO,
        "full_tool/data.bin": b"\0" * 3000,
        "full_tool/run.sh": b"#!/bin/sh\necho hi\n",
        "full_tool/Ünï cöde.txt": b"text",
        "full_tool/__pycache__/__init__.cpython-311.pyc": b"not bytecode",
        "full_tool-1.0.dist-info/licenses/LICENSE": b"MIT",
        "full_tool-1.0.dist-info/INSTALLER": b"somebody",
        f"{data}/purelib/full_pure.py": b"",
        f"{data}/platlib/full_plat.py": b"x = 1\n",
        f"{data}/headers/full.h": b"#define FULL 1\n",
        f"{data}/data/share/man/man1/full.1": b"man",
        f"{data}/data/etc/full.conf": b"a=1\n",
        f"{data}/scripts/full-script": b"#!python -u\nimport full_tool\nfull_tool.main()\n",
        f"{data}/scripts/full-shell": b"#!/bin/sh\necho shell\n",
        f"{data}/scripts/full-tool": b"#!python\nraise SystemExit('a wrapper of setuptools')\n",
    }
    scripts = {"full-tool": "full_tool:main"}
    executable = ["full_tool/run.sh", f"{data}/scripts/full-script", f"{data}/scripts/full-shell"]
    return make_wheel(folder, "full-tool", "1.0", files=files, console_scripts=scripts, executable=executable)


def normalised(root: Path) -> dict[str, tuple[str, str]]:
    """The tree, with what may differ from pip's taken out of it."""
    found = {}
    for path, seen in tree_digest(root).items():
        name = path.replace("include/site/", "include/")
        if seen[0] == "directory" or name.startswith("conda-meta/") or "__pycache__" in name:
            continue
        if name.endswith(".dist-info/RECORD"):
            rows = csv.reader(io.StringIO((root / path).read_text(encoding="utf-8")))
            # pip lists what the wheel brings as INSTALLER twice, and a wrapper that it does not place.
            names = {row[0].replace("include/site/", "include/") for row in rows}
            kept = sorted(each for each in names if "__pycache__" not in each and ".data/" not in each)
            found[name] = (seen[0], json.dumps(kept))
        elif name.endswith(".dist-info/direct_url.json"):
            found[name] = (seen[0], json.loads((root / path).read_text())["url"])  # Older pips know no `hashes`.
        elif name.endswith(".dist-info/INSTALLER") or name == "bin/full-tool":
            found[name] = (seen[0], "another text")
        elif name == "bin/full-script":
            found[name] = (seen[0], (root / path).read_text().partition("\n")[2])
        else:
            found[name] = seen
    return found


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="no pip to compare with")
def test_a_wheel_lies_as_pip_lays_it(environment: Environment, tmp_path: Path) -> None:
    """The same paths, bytes and modes as pip's, but for shebangs, INSTALLER, the order of RECORD, and bytecode."""
    wheel = full_wheel(tmp_path)
    staging, _ = environment.stage([wheel], requested={"full-tool": (f"full-tool @ {wheel.as_uri()}",)})
    reference = tmp_path / "reference"
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--no-warn-script-location", "--prefix"]
    command = [sys.executable, "-m", "pip", "install", *options, str(reference), str(wheel)]
    subprocess.run(command, check=True, env={**os.environ, "PIP_CONFIG_FILE": os.devnull}, umask=0o022)
    assert normalised(staging) == normalised(reference)


def test_the_scripts_of_a_wheel_run(environment: Environment, tmp_path: Path) -> None:
    environment.apply([full_wheel(tmp_path)])
    assert environment.run("full-tool") == "hello from full_tool"
    assert environment.run("full-script") == "hello from full_tool"
    assert environment.run("full-shell") == "shell"
    code = "import full_tool, full_pure, full_plat, importlib.metadata as m; print(m.version('full-tool'))"
    assert environment.run("python", "-c", code) == "1.0"


@pytest.mark.parametrize("name", ["with space", "with'quote", "with\"both' $x", "x" * 140, "é"])
def test_scripts_run_from_an_odd_prefix(tmp_path: Path, name: str) -> None:
    """W74: a path that no kernel reads goes through /bin/sh."""
    environment = Environment(tmp_path / name)
    package = make_conda(
        tmp_path / "channel", "thing", "1.0", noarch="python", files={"site-packages/thing.py": HELLO},
        entry_points=["thing = thing:main"], depends=["python"],
    )  # fmt: skip
    if '"' in name:
        with pytest.raises(UsageError, match="would not start"):  # rattler does not quote it
            environment.apply([package])
        environment.apply([full_wheel(tmp_path)])
    else:
        environment.apply([full_wheel(tmp_path), package])
        assert environment.run("thing") == "hello from thing"
    assert environment.run("full-tool") == environment.run("full-script") == "hello from full_tool"


@pytest.mark.parametrize("interpreter", ["/usr/bin/python3.11", "/a b/bin/python3.11", f"/{'x' * 130}/python3.11"])
def test_a_packed_script_begins_as_an_entry_point_does(interpreter: str) -> None:
    _, data = Script("x", "x", "x", "console").generate(interpreter, "posix")
    assert data.startswith(for_python(interpreter) + b"\n# -*- coding")


@pytest.mark.parametrize(
    ("line", "is_rewritten"),
    [
        (b"#!python\n", True),
        (b"#!pythonw\n", True),
        (b"#!python\r\n", True),
        (b'#!python -c "import os"\n', True),
        (b"#!python", True),
        (b"#!python3\n", True),
        (b"#!python3.12 -u\n", True),
        (b"#!pythonevil\n", True),
        (b"#!pypy\n", False),
        (b"#! python\n", False),
        (b"#!/bin/sh -c\n", False),
        (b"#!/usr/bin/env python\n", False),
        (b"\x7fELF", False),
        (b"", False),
    ],
)
def test_a_shebang_is_rewritten_only_where_it_is_python(
    environment: Environment, tmp_path: Path, line: bytes, is_rewritten: bool
) -> None:
    """W74: no argument survives, and only a line that begins with `#!python` is touched, as in pip."""
    wheel = make_wheel(tmp_path, "x", "1.0", files={"x-1.0.data/scripts/tool": line + b"pass\n"})
    if line == b"#!python":
        wheel = make_wheel(tmp_path, "x", "1.0", files={"x-1.0.data/scripts/tool": line})
    staging, _ = environment.stage([wheel])
    data = (staging / "bin/tool").read_bytes()
    plain = f"#!{environment.root}/bin/python{MINOR}\n".encode()
    if is_rewritten:
        assert data == plain + (b"" if line == b"#!python" else b"pass\n")
    else:
        assert data == line + b"pass\n"
    assert stat.S_IMODE((staging / "bin/tool").stat().st_mode) == 0o755


def test_record_installer_requested_and_direct_url_are_those_of_the_installed_tree(
    environment: Environment, tmp_path: Path
) -> None:
    wheel = full_wheel(tmp_path)
    environment.apply([wheel], requested={"full-tool": (f"full-tool @ {wheel.as_uri()}",)})
    info = environment.root / SITE / "full_tool-1.0.dist-info"
    assert (info / "INSTALLER").read_text() == "bridge\n"
    assert (info / "REQUESTED").read_bytes() == b""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert json.loads((info / "direct_url.json").read_text())["archive_info"]["hashes"] == {"sha256": digest}
    text = (info / "RECORD").read_text(encoding="utf-8")
    assert ".data/" not in text
    assert "__pycache__" not in text
    (found,) = environment.state.distributions
    assert found.entries is not None
    assert {entry.path for entry in found.entries} == {
        entry.path for entry in environment.installed("full-tool").entries
    }
    for entry in found.entries:
        seen = fs.fingerprint(environment.root, entry.path)
        assert seen is not None
        if not entry.path.endswith("/RECORD"):
            assert (seen.sha256, seen.size) == (entry.fingerprint.sha256, entry.fingerprint.size)


def test_what_nobody_asked_for_is_not_requested(environment: Environment, tmp_path: Path) -> None:
    environment.apply([make_wheel(tmp_path, "x", "1.0")])
    (found,) = environment.state.distributions
    assert (found.requested, found.direct_url, found.installer) == (False, None, "bridge")
    assert environment.installed("x").requested == ()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="no pip to read with")
def test_pip_reads_and_removes_what_bridge_installed(environment: Environment, tmp_path: Path) -> None:
    """RECORD is right, so pip neither complains nor leaves a file."""
    before = tree_digest(environment.root)
    environment.apply([full_wheel(tmp_path)])
    pip = [*pip_of(environment.root / "bin/python"), "--disable-pip-version-check"]
    listed = subprocess.run([*pip, "list", "--format=json"], check=True, capture_output=True, text=True).stdout
    assert json.loads(listed) == [{"name": "full-tool", "version": "1.0"}]
    subprocess.run([*pip, "check"], check=True, capture_output=True)
    subprocess.run([*pip, "uninstall", "-y", "full-tool"], check=True, capture_output=True)
    left = {path for path in tree_digest(environment.root).keys() - before.keys() if not path.startswith("conda-meta/")}
    assert left <= {"include", f"include/python{MINOR}", "share", "share/man", "share/man/man1", "etc"}


def test_many_wheels_are_placed_at_once(environment: Environment, tmp_path: Path) -> None:
    wheels = [
        make_wheel(tmp_path, f"pkg-{n}", "1.0", files={f"pkg_{n}/m{k}.py": b"" for k in range(20)}) for n in range(12)
    ]
    assert len(environment.apply(wheels).changes) == 12 * 25 + 3  # conda's history, and two snapshots
    others = [make_wheel(tmp_path, f"more-{n}", "1.0") for n in range(3)]
    staging = tmp_path / "new"
    staging.mkdir()
    with ThreadPoolExecutor(2) as pool:
        link.stage(environment.task(others), staging, tmp_path / "scratch", executor=pool)
    assert {path.name for path in (staging / SITE).iterdir()} >= {"more_0", "more_1", "more_2"}


def test_a_wheel_that_changed_after_it_was_checked_is_refused(environment: Environment, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "x", "1.0", files={"x.py": b"good"})
    task = environment.task([wheel])
    make_wheel(tmp_path, "x", "1.0", files={"x.py": b"evil"})
    (tmp_path / "new").mkdir()
    with pytest.raises(IntegrityError) as caught:
        link.stage(task, tmp_path / "new", tmp_path / "scratch")
    assert caught.value.id == "record-hash"
    wheel.write_bytes(zip_bytes({"x.py": b"good"})[:-30])
    with pytest.raises((IntegrityError, UnsafeInputError)):
        link.stage(task, tmp_path / "new", tmp_path / "scratch")


# --- conda packages ---------------------------------------------------------------------------------------------------

PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3" + "_placehold" * 16


def full_conda(folder: Path) -> Path:
    """A conda package with everything that a noarch python package can have."""
    return make_conda(
        folder,
        "thing",
        "2.0",
        noarch="python",
        files={
            "site-packages/thing/__init__.py": HELLO,
            "python-scripts/thing-script": b"#!/bin/sh\necho script\n",
            "etc/thing.conf": f"root={PLACEHOLDER}/share\n".encode(),
            "share/thing.bin": b"\0\1" + PLACEHOLDER.encode() + b"/lib\0\0\2",
            "share/empty": b"",
        },
        links={"share/latest": "thing.bin"},
        executable=["python-scripts/thing-script"],
        placeholders={"etc/thing.conf": (PLACEHOLDER, "text"), "share/thing.bin": (PLACEHOLDER, "binary")},
        entry_points=["thing = thing:main"],
        depends=["python"],
    )


def test_a_conda_package_is_linked_with_the_final_prefix(environment: Environment, tmp_path: Path) -> None:
    staging, staged = environment.stage([full_conda(tmp_path / "channel")])
    for path in staging.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            assert str(staging).encode() not in data, path
            assert str(tmp_path / "scratch").encode() not in data, path
            assert PLACEHOLDER.encode() not in data or path.suffix == ".json", path
    assert (staging / "etc/thing.conf").read_text() == f"root={environment.root}/share\n"
    assert len((staging / "share/thing.bin").read_bytes()) == len(PLACEHOLDER) + 9
    assert (staging / "share/latest").readlink() == Path("thing.bin")
    assert not (tmp_path / "scratch").exists()
    assert {change.path for change in staged.changes} == {
        "bin/thing",
        "bin/thing-script",
        "conda-meta/.bridge/history/000000.json.gz",
        "conda-meta/.bridge/history/000001.json.gz",
        "conda-meta/history",
        "conda-meta/thing-2.0-0.json",
        "etc/thing.conf",
        f"{SITE}/thing/__init__.py",
        "share/empty",
        "share/latest",
        "share/thing.bin",
    }


def test_a_conda_package_works_once_it_is_swapped_in(environment: Environment, tmp_path: Path) -> None:
    environment.apply([full_conda(tmp_path / "channel")], requested={"thing": ("thing >=2",)})
    assert environment.run("thing") == "hello from thing"
    assert environment.run("thing-script") == "script"
    document = json.loads((environment.root / "conda-meta/thing-2.0-0.json").read_text())
    assert document["requested_specs"] == ["thing >=2"]
    assert not {"extracted_package_dir", "package_tarball_full_path"} & document.keys()
    assert document["link"]["source"] == ""
    assert document["url"] == (tmp_path / "channel/noarch/thing-2.0-0.conda").as_uri()


def test_rattler_reads_every_record(environment: Environment, tmp_path: Path) -> None:
    environment.apply([full_conda(tmp_path / "channel"), full_wheel(tmp_path)])
    for package in environment.state.installed:
        if package.record.name != "python":
            found = PrefixRecord.from_path(environment.root / package.meta_path)
            assert {str(each.relative_path) for each in found.paths_data.paths} == {
                each.path for each in package.entries
            }


@pytest.mark.parametrize(
    ("file_mode", "length", "is_refused"), [("binary", 20, True), ("text", 20, False), ("binary", 230, False)]
)
def test_a_prefix_that_has_no_room_is_refused_before_anything_is_staged(
    environment: Environment, tmp_path: Path, file_mode: str, length: int, is_refused: bool
) -> None:
    """A binary has no room for a longer prefix."""
    placeholder = "/opt/" + "p" * (length - 5)
    package = make_conda(
        tmp_path / "channel", "x", "1.0", files={"share/x": placeholder.encode() + b"\0"},
        placeholders={"share/x": (placeholder, file_mode)},
    )  # fmt: skip
    if not is_refused:
        environment.stage([package])
        return
    with pytest.raises(UnsafeInputError) as caught:
        environment.stage([package])
    assert caught.value.id == "prefix-too-long"
    assert list((tmp_path / "new").iterdir()) == []


def test_a_prefix_with_a_line_break_is_a_usage_error(environment: Environment, tmp_path: Path) -> None:
    task = environment.task([make_wheel(tmp_path, "x", "1.0")])
    odd = replace(task, plan=replace(task.plan, prefix=tmp_path / "a\nb"))
    with pytest.raises(UsageError) as caught:
        link.stage(odd, tmp_path, tmp_path / "scratch")
    assert (caught.value.id, caught.value.exit_code) == ("prefix-name", 2)


def test_another_archive_than_the_one_that_was_judged_is_refused(environment: Environment, tmp_path: Path) -> None:
    package = make_conda(tmp_path / "channel", "x", "1.0", files={"share/x": b"good", "share/y": b"1"})
    task = environment.task([package])
    others = ({"share/x": b"evil", "share/y": b"1"}, {"share/x": b"good"}, {"share/x": b"good", "share/z": b"1"})
    for number, files in enumerate(others):
        make_conda(tmp_path / "channel", "x", "1.0", files=files)
        staging = tmp_path / f"new-{number}"
        staging.mkdir()
        with pytest.raises((IntegrityError, FaultError)) as caught:
            link.stage(task, staging, tmp_path / "scratch")
        assert caught.value.id in {"staged-differs", "link-failed"}
        assert not (tmp_path / "scratch").exists()


def test_set_id_and_world_writable_bits_are_not_taken_from_an_archive(environment: Environment, tmp_path: Path) -> None:
    package = tmp_path / "channel/noarch/loose-1.0-0.tar.bz2"
    package.parent.mkdir(parents=True)
    content = b"#!/bin/sh\n"
    digest = hashlib.sha256(content).hexdigest()
    paths = {"_path": "bin/loose", "path_type": "hardlink", "sha256": digest, "size_in_bytes": len(content)}
    index = {"name": "loose", "version": "1.0", "build": "0", "build_number": 0, "depends": [], "noarch": "generic"}
    members = {
        "info/index.json": (json.dumps({**index, "subdir": "noarch"}).encode(), 0o644),
        "info/paths.json": (json.dumps({"paths": [paths], "paths_version": 1}).encode(), 0o644),
        "bin/loose": (content, 0o6777),
    }
    with tarfile.open(package, "w:bz2") as tar:
        for name, (data, mode) in members.items():
            header = tarfile.TarInfo(name)
            header.size, header.mode = len(data), mode
            tar.addfile(header, io.BytesIO(data))
    environment.apply([package])
    assert stat.S_IMODE((environment.root / "bin/loose").stat().st_mode) & 0o7002 == 0
    assert os.access(environment.root / "bin/loose", os.X_OK)


def test_a_noarch_package_needs_a_python_of_conda(environment: Environment, tmp_path: Path) -> None:
    next((environment.root / "conda-meta").glob("python-*.json")).unlink()
    with pytest.raises(UsageError) as caught:
        environment.stage([full_conda(tmp_path / "channel")])
    assert caught.value.id == "no-python"
    environment.apply([make_conda(tmp_path / "channel", "generic", "1.0")])


# --- two packages, one path -------------------------------------------------------------------------------------------


def test_equal_bytes_are_written_once_and_owned_by_all(environment: Environment, tmp_path: Path) -> None:
    """Of conda packages, which rattler would put apart, and of wheels alike."""
    channel, shared = tmp_path / "channel", {"site-packages/shared/__init__.py": b"", "share/x": b"1"}
    archives = [
        make_conda(channel, name, "1.0", noarch="python", depends=["python"], files={**shared, f"share/{name}": b""})
        for name in ("c-one", "c-two", "c-three")
    ]
    archives += [
        make_wheel(tmp_path, name, "1.0", files={"shared/__init__.py": b"", f"shared/{name[2:]}.py": b""})
        for name in ("w-one", "w-two")
    ]
    environment.apply(archives)
    for path, count in ((f"{SITE}/shared/__init__.py", 5), ("share/x", 3)):
        owners = [each.record.name for each in environment.state.installed if path in {e.path for e in each.entries}]
        assert len(owners) == count, path
    assert not (environment.root / "__clobbers__").exists()
    record = (environment.root / SITE / "w_two-1.0.dist-info/RECORD").read_text()
    assert "shared/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0" in record


@pytest.mark.parametrize("yielding", ["c-one", "c-two", "w-one"])
def test_who_yields_leaves_the_path_to_the_other(environment: Environment, tmp_path: Path, yielding: str) -> None:
    channel = tmp_path / "channel"
    pairs = {"c-one": "c-two", "c-two": "c-one", "w-one": "c-one"}
    contents = {name: name.encode() for name in ("c-one", "c-two", "w-one")}
    archives = [
        make_wheel(tmp_path, name, "1.0", files={"w_one-1.0.data/data/share/x": contents[name], "w_one.py": b""})
        if name == "w-one"
        else make_conda(channel, name, "1.0", files={"share/x": contents[name], f"share/own-{name}": b""})
        for name in (yielding, pairs[yielding])
    ]
    environment.apply(archives, allow_clobber=[yielding])
    assert (environment.root / "share/x").read_bytes() == contents[pairs[yielding]]
    assert "share/x" not in {entry.path for entry in environment.installed(yielding).entries}
    assert "share/x" in {entry.path for entry in environment.installed(pairs[yielding]).entries}
    own = f"{SITE}/w_one.py" if yielding == "w-one" else f"share/own-{yielding}"
    assert (environment.root / own).is_file()


# --- a new prefix, and the history ------------------------------------------------------------------------------------


def python_package(folder: Path) -> Path:
    """An interpreter as a conda package: a script that runs this one with the site-packages beside it."""
    site = f'"$(dirname "$0")/../{SITE}"'
    script = f'#!/bin/sh\nPYTHONPATH={site} exec "{sys.executable}" "$@"\n'.encode()
    return make_conda(
        folder, "python", VERSION, noarch=None, subdir="linux-64", links={"bin/python": f"python{MINOR}"},
        files={f"bin/python{MINOR}": script, f"lib/python{MINOR}/os.py": b""}, executable=[f"bin/python{MINOR}"],
    )  # fmt: skip


def test_a_new_prefix_is_staged_whole_and_published(tmp_path: Path) -> None:
    """Everything is new, in a sibling directory, with the final path in it; python is one of the packages."""
    archives = [python_package(tmp_path / "channel"), full_conda(tmp_path / "channel"), full_wheel(tmp_path)]
    final, described = tmp_path / "fresh", [(path, *describe(path)) for path in archives]
    steps = tuple(Install(new=Resolved(record=record, requested=(record.name,))) for _, record, _ in described)
    plan = Plan(prefix=final, target=TARGET, operations=steps, python=PYTHON)
    state = PrefixState(prefix=final)
    manifests = {record.identity: found for _, record, found in described}
    predicted = manifest.predict(plan, manifests, site_packages=manifest.site_packages_after(plan, state))
    task = replace(
        Environment(tmp_path / "other").task([]),
        plan=plan,
        state=state,
        archives={record.identity: path for path, record, _ in described},
        manifests=manifests,
        predicted=predicted,
        judgement=Judgement(),
    )
    with create(final, durability="none") as creation:
        staged = link.stage(task, creation.root, tmp_path / "scratch")
        creation.publish()
    assert all(change.before is None for change in staged.changes)
    lying = {path for path, seen in tree_digest(final).items() if seen[0] != "directory"}
    assert lying - {"conda-meta/.bridge/lock"} == {change.path for change in staged.changes}
    subprocess.run([final / "bin/python", "-c", "import thing, full_tool"], check=True)
    assert prefix.read(final).defects == ()
    for command in ("thing", "full-tool"):
        # The interpreter is a script, which no kernel takes for one: it is named here.
        subprocess.run([final / "bin/python", final / "bin" / command], check=True)


def test_the_history_says_what_changed(environment: Environment, tmp_path: Path) -> None:
    environment.write("conda-meta/history", b"==> 2020-01-01 00:00:00 <==\n# cmd: conda create\n")
    archives = [full_conda(tmp_path / "channel"), full_wheel(tmp_path)]
    environment.apply(archives, requested={"thing": ("thing >=2",), "full-tool": ("full-tool[x]",)})
    environment.apply([full_wheel(tmp_path)], remove=["thing"])
    text = (environment.root / "conda-meta/history").read_text()
    assert text.startswith("==> 2020-01-01 00:00:00 <==\n# cmd: conda create\n==> 2026-11-22 10:00:00 <==\n")
    assert re.findall(r"^[+-].*::(.*)$", text, re.MULTILINE) == [
        f"python-{VERSION}-0",  # no history had it
        "full-tool-1.0-py3_none_any_0",
        "thing-2.0-0",
        "thing-2.0-0",
    ]
    specs = [ast.literal_eval(found) for found in re.findall(r"# \w+ specs: (.*)", text)]
    assert specs == [["thing >=2"], ["thing"]]
