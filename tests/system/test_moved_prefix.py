"""An environment that was moved, copied, or unpacked elsewhere: every file that names another prefix is told, and
`audit --fix` writes what an installation in this place would have written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.prefix.placed import Placeholder, candidates, fill, holds, refit, restore, swap
from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
PLACEHOLDER = "/home/conda/feedstock_root/build_artifacts/tool_1700000000000/_h_env_" + "placehold_" * 20
LIBRARY = b"TOOL\0\1" + b"".join(
    (
        f"{PLACEHOLDER}/share/terminfo".encode() + b"\0\0\0",
        b"plain\0",
        f"{PLACEHOLDER}/etc:{PLACEHOLDER}/lib".encode() + b"\0",
        PLACEHOLDER.encode() + b"\0tail\0",
    )
)
FILES = {
    "lib/tool/data.bin": LIBRARY,
    "lib/pkgconfig/tool.pc": f"prefix={PLACEHOLDER}\nlibdir={PLACEHOLDER}/lib\n".encode(),
    "lib/tool/settings.py": f"HOME = '{PLACEHOLDER}'\n".encode(),
    "bin/tool": f"#!{PLACEHOLDER}/bin/python{MINOR}\nprint('tool')\n".encode(),
    "bin/tool-config": f"#!{PLACEHOLDER}/bin/tool-run -w\nprint 1;\n".encode(),
    "bin/only-shebang": f"#!{PLACEHOLDER}/bin/tool-run\n".encode(),
    "bin/tool-run": b"#!/bin/sh\n",
    "share/tool/plain.txt": b"nothing of a prefix\n",
}
TEXTS = ("lib/pkgconfig/tool.pc", "lib/tool/settings.py", "bin/tool", "bin/tool-config", "bin/only-shebang")
LONG = "long-" * 24 + "name"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    channel = folder / "channel"
    make_python(channel, MINOR)
    spots = dict.fromkeys(TEXTS, (PLACEHOLDER, "text")) | {"lib/tool/data.bin": (PLACEHOLDER, "binary")}
    make_conda(
        channel,
        "tool",
        "1.0",
        subdir="linux-64",
        noarch=None,
        files=FILES,
        executable=("bin/tool", "bin/tool-config", "bin/tool-run", "bin/only-shebang"),
        placeholders=spots,
    )
    make_conda(
        channel,
        "app",
        "1.0",
        noarch="python",
        files={"site-packages/app.py": b"def main():\n    print('app')\n"},
        entry_points=["app = app:main"],
        depends=["python"],
    )
    make_repodata(channel)
    (folder / "wheels").mkdir()
    make_wheel(
        folder / "wheels",
        "cow",
        "1.0",
        files={
            "cow.py": b"def main():\n    print('moo')\n",
            "cow-1.0.data/scripts/graze": b"#!python\nprint('graze')\n",
        },
        console_scripts={"cow": "cow:main"},
    )
    return folder


@pytest.fixture
def bridge(tmp_path: Path, packages: Path) -> Bridge:
    return Bridge.of_folder(tmp_path, packages)


def create(bridge: Bridge, prefix: Path) -> None:
    done = bridge("create", "-p", prefix, "python", "tool", "app", "cow")
    assert done.status == 0, done.err


def contents(prefix: Path) -> dict[str, object]:
    """What lies in a prefix; records as values, without bytecode and bridge's own bookkeeping."""
    found: dict[str, object] = {}
    for path in sorted(prefix.rglob("*")):
        name = path.relative_to(prefix).as_posix()
        if (
            path.is_dir()
            or path.is_symlink()
            or name.startswith(("conda-meta/.bridge", "conda-meta/history"))
            or name.endswith(".pyc")
        ):
            continue
        data = path.read_bytes()
        found[name] = (json.loads(data) if name.endswith(".json") else data, path.stat().st_mode)
    return found


def holders(prefix: Path, former: str) -> Iterator[str]:
    """The files that hold a former prefix; the history tells of the past."""
    for path in prefix.rglob("*"):
        name = path.relative_to(prefix).as_posix()
        is_own = name.startswith(("conda-meta/history", "conda-meta/.bridge"))
        if not is_own and path.is_file() and not path.is_symlink() and holds(path.read_bytes(), former):
            yield name


MOVES = {
    "to a longer name": ("env", "environment"),
    "to a shorter name": ("environment", "e"),
    "to a name with the old one in it": ("env", "env-copy"),
    "to the beginning of the old name": ("env-copy", "env"),
    "beyond what a kernel reads": ("env", LONG),
    "back from there": (LONG, "env"),
    "to a name with a blank": ("env", "an env"),
    "from a name with a blank": ("an env", "env"),
    "one folder up": ("env/inner", "outer"),
    "into itself": ("env", "env.d/env"),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_moved_environment_becomes_what_a_new_one_would_be(bridge: Bridge, tmp_path: Path, move: str) -> None:
    old, new = (tmp_path / name for name in MOVES[move])
    create(bridge, new)
    fresh = contents(new)
    shutil.rmtree(new)
    create(bridge, old)
    new.parent.mkdir(exist_ok=True, parents=True)
    old.rename(new)

    report = bridge("audit", "-p", new, "--json")
    told = {found["path"]: found for found in report.document["findings"] if found["level"] == "error"}
    stale = {path for path in holders(new, str(old)) if not path.endswith((".pyc", ".json"))}
    assert stale <= told.keys()
    assert all(str(old) in told[path]["evidence"] for path in stale)
    assert report.status == 11

    done = bridge("audit", "-p", new, "--fix", "--offline", "--json")
    assert done.status == 0, done.err
    assert not [found for found in done.document["findings"] if found["level"] == "error"]
    assert contents(new) == fresh
    assert not list(holders(new, str(old)))
    for script, said in (("tool", "tool\n"), ("app", "app\n"), ("cow", "moo\n"), ("graze", "graze\n")):
        path = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{new}/lib/python{MINOR}/site-packages"}
        ran = subprocess.run([new / "bin" / script], capture_output=True, text=True, check=False, env=path)
        assert ran.stdout == said, ran.stderr


def test_a_copy_beside_its_original(bridge: Bridge, tmp_path: Path) -> None:
    old, new = tmp_path / "env", tmp_path / "copy"
    create(bridge, old)
    before = contents(old)
    shutil.copytree(old, new, symlinks=True)
    told = {found["path"] for found in bridge("audit", "-p", new, "--json").document["findings"]}
    assert {*TEXTS, "lib/tool/data.bin", "bin/app", "bin/cow", "bin/graze"} <= told
    assert bridge("audit", "-p", new, "--fix", "--offline").status == 0
    assert not list(holders(new, str(old)))
    assert contents(old) == before
    assert bridge("audit", "-p", old).status == 0


@pytest.mark.parametrize("key", ["sha256", "sha256_in_prefix"])
def test_the_record_of_a_link_follows_what_it_leads_to(bridge: Bridge, tmp_path: Path, key: str) -> None:
    """Where the package does not say it, bridge records the hash of the installed target; mamba always does."""
    old, new = tmp_path / "env", tmp_path / "elsewhere"
    create(bridge, old)
    (old / "lib/pkgconfig/tool-1.pc").symlink_to("tool.pc")
    record = next((old / "conda-meta").glob("tool-*.json"))
    document = json.loads(record.read_bytes())
    paths = document["paths_data"]["paths"]
    target = next(path for path in paths if path["_path"] == "lib/pkgconfig/tool.pc")
    paths.append({"_path": "lib/pkgconfig/tool-1.pc", "path_type": "softlink", key: target["sha256_in_prefix"]})
    document["files"].append("lib/pkgconfig/tool-1.pc")
    record.write_text(json.dumps(document))
    assert bridge("audit", "-p", old, "--fail-on", "warning").status == 0
    old.rename(new)
    done = bridge("audit", "-p", new, "--fix", "--offline", "--json")
    assert (done.status, [found["path"] for found in done.document["findings"]]) == (0, [])


def test_another_way_to_the_same_environment_is_no_other_prefix(bridge: Bridge, tmp_path: Path) -> None:
    create(bridge, tmp_path / "env")
    (tmp_path / "way").symlink_to("env")
    assert bridge("audit", "-p", tmp_path / "way", "--fail-on", "warning").status == 0


def test_what_conda_unpack_wrote_is_no_change(bridge: Bridge, tmp_path: Path) -> None:
    """conda-pack's `conda-unpack` writes the new prefix into the files, and leaves the records as they were."""
    old, new = tmp_path / "env", tmp_path / "unpacked"
    create(bridge, old)
    old.rename(new)
    for path in (*TEXTS, "bin/app", "bin/cow", "bin/graze"):
        data = (new / path).read_bytes()
        (new / path).write_bytes(data.replace(os.fsencode(old), os.fsencode(new)))
    packed = fill(LIBRARY, Placeholder(text=PLACEHOLDER, is_binary=True, packed=""), str(new))
    assert packed is not None
    (new / "lib/tool/data.bin").write_bytes(packed)
    assert bridge("audit", "-p", new, "--fail-on", "warning").status == 0
    found = bridge("audit", "-p", new, "--json").document["findings"]
    assert {each["id"] for each in found} == {"rewritten-prefix"}
    before = contents(new)
    assert bridge("audit", "-p", new, "--fix", "--offline").status == 0
    after = contents(new)
    assert after.keys() == before.keys(), "no copies are kept"
    assert {path for path in after if after[path] != before[path]} <= {
        path for path in after if "conda-meta" in path or "RECORD" in path
    }
    assert bridge("audit", "-p", new, "--json").document["findings"] == []


@pytest.mark.slow
def test_what_a_person_changed_besides_is_told_and_kept(bridge: Bridge, tmp_path: Path) -> None:
    old, new = tmp_path / "env", tmp_path / "moved"
    create(bridge, old)
    (old / "lib/pkgconfig/tool.pc").write_bytes(f"prefix={old}\nmine\n".encode())
    old.rename(new)
    found = {each["path"]: each["id"] for each in bridge("audit", "-p", new, "--json").document["findings"]}
    assert found["lib/pkgconfig/tool.pc"] == "modified-file"
    done = bridge("audit", "-p", new, "--fix")
    assert done.status == 0, done.err
    assert (new / "lib/pkgconfig/tool.pc.bridge-saved-1").read_bytes() == f"prefix={old}\nmine\n".encode()
    assert not list(set(holders(new, str(old))) - {"lib/pkgconfig/tool.pc.bridge-saved-1"})


def test_a_prefix_that_a_binary_has_no_room_for_is_refused(bridge: Bridge, tmp_path: Path) -> None:
    old = tmp_path / "env"
    create(bridge, old)
    new = tmp_path / ("deep-" * 40) / ("deep-" * 20)
    new.parent.mkdir()
    old.rename(new)
    before = contents(new)
    done = bridge("audit", "-p", new, "--fix", "--offline")
    assert done.status == 3, done.err
    assert "prefix-too-long" in done.err
    assert "data.bin" in done.err
    assert contents(new) == before


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("name", ["conda-24.11", "conda-26.7", "mamba-2.8", "rattler-0.28"])
def test_real_prefixes_that_were_moved(shared: Path, tmp_path: Path, name: str) -> None:
    archive = shared / f"data/conda-world/prefixes/{name}.tar.zst"
    subprocess.run(["tar", "--zstd", "-xf", archive, "-C", tmp_path], check=True)
    root, former = tmp_path / name, f"/opt/envs/{name}"
    bridge = Bridge.of_folder(tmp_path)
    stale = set(holders(root, former))
    assert len(stale) == 172
    told = {found["path"]: found for found in bridge("audit", "-p", root, "--json").document["findings"]}
    assert all(former in told[path]["evidence"] for path in stale)
    done = bridge("audit", "-p", root, "--fix", "--offline", "--json")
    assert done.status == 0, done.err
    assert not list(holders(root, former))
    assert not [found for found in done.document["findings"] if found["level"] != "info"]


# --- bytes ------------------------------------------------------------------------------------------------------------


@st.composite
def packed_files(draw: st.DrawFn) -> tuple[bytes, Placeholder]:
    is_binary = draw(st.booleans())
    parts = draw(
        st.lists(st.sampled_from([b"a", b"/lib", b":", b"\n", b"#!", b" -x", PLACEHOLDER.encode()]), max_size=12)
    )
    data = b"".join(each + (b"\0" if is_binary and draw(st.booleans()) else b"") for each in parts)
    if draw(st.booleans()) and not is_binary:
        program = draw(st.sampled_from(["python3.12", "perl -w", "python"]))
        data = f"#!{PLACEHOLDER}/bin/{program}\n".encode() + data
    return data, Placeholder(text=PLACEHOLDER, is_binary=is_binary, packed=hashlib.sha256(data).hexdigest())


@given(packed_files(), st.sampled_from(["/opt/envs/x", "/opt/an env", "/" + "n" * 140, PLACEHOLDER[:-1] + "X"]))
def test_what_was_filled_in_can_be_restored(packed: tuple[bytes, Placeholder], prefix: str) -> None:
    data, placeholder = packed
    filled = fill(data, placeholder, prefix)
    assert filled is not None
    if placeholder.is_binary:
        assert len(filled) == len(data)
    assert PLACEHOLDER.encode() not in filled
    assert restore(filled, placeholder, prefix) == data


def test_a_name_that_only_begins_like_the_prefix_is_another_path() -> None:
    assert not holds(b"x=/opt/env2/bin", "/opt/env")
    assert holds(b"x=/opt/env2:/opt/env", "/opt/env")
    assert not holds(b"x=/opt/env/inner/bin", "/opt/env", [b"bin", b"lib"])
    assert holds(b"x=/opt/env/bin", "/opt/env", [b"bin", b"lib"])


def test_candidates_name_the_prefix_first() -> None:
    text = b"cc=/usr/bin/cc\nprefix=/data/envs/a\nlib=/data/envs/a/lib\nbin=/data/envs/a/bin\n"
    assert candidates(text, [b"lib", b"bin"])[0] == "/data/envs/a"


def test_a_binary_without_a_known_placeholder_needs_the_padding_of_a_full_one() -> None:
    padded = b"\x7fELF\0/opt/a/lib".ljust(400, b"\0") + b"\1"
    assert refit(padded, "/opt/a", "/opt/longer") == b"\x7fELF\0/opt/longer/lib".ljust(400, b"\0") + b"\1"
    tight = b"\x7fELF\0/opt/a/lib\0\0\0\0\0\0\0\0\1"
    assert refit(tight, "/opt/a", "/opt/longer") is None
    assert swap(b"/a\0\1", "/a", "/abc", binary=True) is None
