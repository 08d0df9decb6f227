"""Defects that are seeded into real environments, each as people and their tools make them, with what must be found.

A seed changes one environment and says what an audit has to say of it: one of the kinds of finding, the path or the
package, and who is the culprit where there is one. A finding that the seed does not account for is a false alarm.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.binaries import elf
from tests.support.builders import install_record, metadata_text, record_hash
from tests.support.defect_environments import EXTENSION, SITE, Environment

ALL = ("venv", "uv", "bridge", "conda")
RECORDED = ("bridge", "conda")
PIPS = ("venv", "uv")
NUMPY_1 = b"\0numpy.core._multiarray_umath\0"


@dataclass(frozen=True)
class Expected:
    """What must be found.

    :param ids: the kinds of finding of which one must be there, at one of `paths` (or below), or of one of `packages`.
    :param by: the culprits of which one must be named; empty: nobody is to blame.
    :param also: further paths and packages of which findings are no false alarms.
    """

    ids: tuple[str, ...]
    paths: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def is_met_by(self, finding: dict[str, object]) -> bool:
        return finding["id"] in self.ids and (self._names(finding, self.paths) or finding["package"] in self.packages)

    def accounts_for(self, finding: dict[str, object]) -> bool:
        return (
            self._names(finding, (*self.paths, *self.also))
            or finding["package"] in {*self.packages, *self.also}
            or self.is_met_by(finding)
        )

    @staticmethod
    def _names(finding: dict[str, object], paths: Sequence[str]) -> bool:
        path = str(finding["path"] or "")
        return any(path == each or path.startswith(f"{each}/") for each in paths)


Seed = Callable[[Environment, random.Random], Expected]


@dataclass(frozen=True)
class Kind:
    """One kind of defect, and the environments that can have it."""

    name: str
    where: tuple[str, ...]
    seed: Seed


KINDS: list[Kind] = []


def kind(name: str, where: tuple[str, ...] = ALL) -> Callable[[Seed], Seed]:
    def register(seed: Seed) -> Seed:
        KINDS.append(Kind(name, where, seed))
        return seed

    return register


# --- what is there --------------------------------------------------------------------------------------------------

PURE = [
    "alpha/part1.py",
    "alpha/part5.py",
    "alpha/__init__.py",
    "beta/__init__.py",
    "beta/data.txt",
    "delta/more/deep.py",
]


def some_file(env: Environment, rng: random.Random) -> Path:
    """A file of a package: a module, data, an extension, a library, a script, metadata."""
    choices = [env.site / path for path in PURE]
    choices += [env.site / f"gamma/_fast.{EXTENSION}", env.site / "alpha-1.0.dist-info/WHEEL"]
    if env.kind == "conda":
        choices += [env.root / path for path in ("lib/libzed.so.1.3", "share/zed/readme.txt", "etc/zed.conf")]
        choices += [env.site / "pyzed/table.py", env.root / "bin/zedtool"]
    return rng.choice(choices)


def at(env: Environment, file: Path, *ids: str, by: tuple[str, ...] = (), also: tuple[str, ...] = ()) -> Expected:
    return Expected(ids, (env.path(file),), by=by, also=also)


def label(env: Environment, named: str, *, is_placed: bool = False) -> str:
    """A package as findings spell it: placed by pip on its own, or by what made the environment."""
    if env.has_records and not is_placed:
        return f"wheel:{named}"
    return f"{'pip' if is_placed or env.kind == 'venv' else 'uv'}:{named}"


DIFFERENT = ("modified-file", "clobbered-file", "broken-binary")


@kind("a byte added")
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_file(env, rng)
    file.write_bytes(file.read_bytes() + b"#")
    return at(env, file, *DIFFERENT)


@kind("a bit flipped")
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_file(env, rng)
    data = bytearray(file.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(bytes(data))
    return at(env, file, *DIFFERENT)


@kind("truncated")
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_file(env, rng)
    data = file.read_bytes()
    file.write_bytes(data[: rng.randrange(len(data))])
    return at(env, file, *DIFFERENT)


@kind("zeroed, as after a power cut")
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_file(env, rng)
    file.write_bytes(bytes(len(file.read_bytes())))
    return at(env, file, *DIFFERENT)


@kind("deleted")
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_file(env, rng)
    file.unlink()
    also = ("lib/libzed.so", "lib/libzed.so.1") if file.name == "libzed.so.1.3" else ()
    return at(env, file, "missing-file", also=also)


@kind("a folder deleted")
def _(env: Environment, rng: random.Random) -> Expected:
    folder = env.site / rng.choice(["alpha", "delta/more", "beta"])
    shutil.rmtree(folder)
    return at(env, folder, "missing-file")


@kind("a folder in the place of a file")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / rng.choice(PURE)
    file.unlink()
    file.mkdir()
    return at(env, file, "modified-file")


@kind("a link to nowhere in the place of a file")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / rng.choice(PURE)
    file.unlink()
    file.symlink_to("nowhere.py")
    return at(env, file, "modified-file", "broken-link")


@kind("the bytes of another package")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / rng.choice(["alpha/part1.py", "delta/more/deep.py"])
    file.write_bytes((env.site / "beta/data.txt").read_bytes())
    return at(env, file, "modified-file", by=(label(env, "beta-1.5"),))


@kind("a wheel placed over a package")
def _(env: Environment, rng: random.Random) -> Expected:
    path = rng.choice(PURE)
    env.place(env.wheel("rogue", "9.9", files={path: b"rogue\n", "rogue.py": b"\n"}))
    return at(env, env.site / path, "clobbered-file", by=("pip:rogue-9.9",), also=("rogue",))


@kind("uv placed a wheel over a package", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    path = rng.choice(PURE)
    env.place(env.wheel("rogue", "9.9", files={path: b"rogue\n"}), installer="uv")
    return at(env, env.site / path, "clobbered-file", by=("uv:rogue-9.9",), also=("rogue",))


@kind("pip installed another version over a package")
def _(env: Environment, rng: random.Random) -> Expected:
    placed = rng.choice(["2.0", "1.0"])
    env.place(env.wheels / f"beta-{placed}-py3-none-any.whl")
    # What requires beta may be unmet now, which is true.
    also = ("beta", "alpha")
    return Expected(("clobbered-file",), (f"{SITE}/beta/__init__.py",), by=(f"pip:beta-{placed}",), also=also)


@kind("pip upgraded a package of another tool", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    env.pip("install", "--no-deps", "--upgrade", env.wheels / "beta-2.0-py3-none-any.whl")
    ids = ("missing-file", "clobbered-file")
    return Expected(ids, (f"{SITE}/beta/__init__.py", f"{SITE}/beta/data.txt"), by=("pip:beta-2.0",), also=("beta",))


@kind("pip uninstalled a package of another tool", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    name = rng.choice(["beta", "delta"])
    env.pip("uninstall", "--yes", name)
    return Expected(("missing-file",), packages=(name,), also=("alpha",))


@kind("pip reinstalled the same version, rebuilt", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    wheel = env.wheel("beta", "1.5", files={"beta/__init__.py": b"rebuilt\n", "beta/data.txt": b"beta\n" * 9})
    env.pip("install", "--no-deps", "--force-reinstall", wheel)
    return Expected(("clobbered-file",), (f"{SITE}/beta/__init__.py",), by=("pip:beta-1.5",), also=("beta",))


@kind("a wheel unzipped over a package, which a cache has")
def _(env: Environment, rng: random.Random) -> Expected:
    (env.site / "beta/__init__.py").write_bytes(b"X = 2\n")
    info = env.folder / "uv/archive-v0/abc/beta-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text(f"beta/__init__.py,{record_hash(b'X = 2' + chr(10).encode())},6\n")
    env.environ["UV_CACHE_DIR"] = str(env.folder / "uv")
    return at(env, env.site / "beta/__init__.py", "clobbered-file", by=("wheel:beta-2.0",))


@kind("a conda package unpacked over a file, which a cache has", ("conda",))
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.root / "lib/libzed.so.1.3"
    data = elf(soname="libzed.so.1", needed=["libc.so.6"])
    file.write_bytes(data)
    info = env.folder / "pkgs/libzed-1.4-0/info"
    info.mkdir(parents=True)
    (info / "index.json").write_text(json.dumps({"name": "libzed", "version": "1.4", "build": "0"}))
    paths = [{"_path": "lib/libzed.so.1.3", "sha256": hashlib.sha256(data).hexdigest()}]
    (info / "paths.json").write_text(json.dumps({"paths": paths}))
    env.environ["CONDA_PKGS_DIRS"] = str(env.folder / "pkgs")
    return at(env, file, "clobbered-file", by=("conda:libzed-1.4-0",))


@kind("edited through a hard link of a cache", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / rng.choice(["alpha/part1.py", "delta/more/deep.py"])
    there = env.folder / f"pkgs/some-1.0-0/{env.path(file)}"
    there.parent.mkdir(parents=True)
    (env.folder / "pkgs/some-1.0-0/info").mkdir()
    (env.folder / "pkgs/some-1.0-0/info/paths.json").write_text("{}")
    os.link(file, there)
    there.write_bytes(b"edited in the cache\n")
    env.environ["CONDA_PKGS_DIRS"] = str(env.folder / "pkgs")
    return at(env, file, "edited-through-link")


@kind("two conda-meta records of one path", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    install_record(env.root, "intruder", "1", files={f"{SITE}/alpha/part1.py": b"intruder\n"}, subdir="linux-64")
    ids = ("double-owner", "clobbered-file")
    return Expected(ids, (f"{SITE}/alpha/part1.py",), by=("conda:intruder-1-0",), also=("intruder",))


@kind("a link retargeted", ("conda",))
def _(env: Environment, rng: random.Random) -> Expected:
    link = env.root / "lib/libzed.so.1"
    link.unlink()
    link.symlink_to(rng.choice(["libomp.so", "/etc/hostname", "../share/zed/readme.txt"]))
    return at(env, link, "modified-file", "outside-link")


@kind("a link to a file that is gone", ("conda",))
def _(env: Environment, rng: random.Random) -> Expected:
    (env.root / "lib/libzed.so.1.3").unlink()
    also = ("lib/libzed.so.1.3",)
    return Expected(("broken-link",), ("lib/libzed.so", "lib/libzed.so.1"), also=also)


@kind("a file that nobody owns")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / rng.choice(["stray.py", "alpha/stray.py", "beta/stray.dat"])
    file.write_bytes(b"stray\n")
    return at(env, file, "unowned-file")


@kind("a folder that nobody owns")
def _(env: Environment, rng: random.Random) -> Expected:
    folder = env.site / "strays"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/a.py").write_bytes(b"")
    (folder / "__init__.py").write_bytes(b"")
    return at(env, folder, "unowned-file")


@kind("names that differ in case")
def _(env: Environment, rng: random.Random) -> Expected:
    env.place(env.wheel("upper", "1.0", files={"alpha/Part1.py": b"\n", "upper.py": b"\n"}))
    return at(env, env.site / "alpha/Part1.py", "case-collision", also=("upper", "alpha"))


@kind("names that differ in composition")
def _(env: Environment, rng: random.Random) -> Expected:
    env.place(env.wheel("accents", "1.0", files={"accents/caf\u00e9.py": b"\n", "accents/cafe\u0301.py": b"2\n"}))
    return Expected(("unicode-collision",), packages=("accents",))


@kind("a script that nobody may run")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.root / f"bin/{rng.choice(['alpha', 'plough'])}"
    file.chmod(0o644)
    return at(env, file, "not-executable")


@kind("a file that everybody may change")
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_file(env, rng)
    file.chmod(file.stat().st_mode | 0o002)
    return at(env, file, "world-writable")


# --- records --------------------------------------------------------------------------------------------------------


def some_record(env: Environment, rng: random.Random) -> Path:
    return rng.choice(sorted((env.root / "conda-meta").glob("[a-g]*-*.json")))


def hidden(env: Environment, file: Path) -> tuple[str, ...]:
    """What a record covers no more once it cannot be read: the package, its paths, and what needs it."""
    name = file.name.rsplit("-", 2)[0]
    listed = [str(each["_path"]) for each in json.loads(file.read_bytes())["paths_data"]["paths"]]
    folders = {path.rpartition("/")[0] for path in listed} | {"lib", "share", SITE, "etc", "bin"}
    return (
        name,
        "alpha",
        "gamma",
        "zedtool",
        "pyzed",
        *listed,
        *(each for each in folders if each.startswith(f"{SITE}/")),
    )


@kind("an empty record", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_record(env, rng)
    also = hidden(env, file)
    file.write_bytes(b"")
    return at(env, file, "broken-record", also=also)


@kind("a record cut short", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_record(env, rng)
    also = hidden(env, file)
    file.write_bytes(file.read_bytes()[: rng.randrange(20, 400)])
    return at(env, file, "broken-record", also=also)


@kind("a record under another name", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_record(env, rng)
    also = hidden(env, file)
    new = file.rename(file.with_name("renamed-1-0.json"))
    return at(env, new, "broken-record", also=also)


@kind("a record with values of wrong types", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_record(env, rng)
    also = hidden(env, file)
    document = json.loads(file.read_bytes())
    key = rng.choice(["depends", "name", "version", "paths_data"])
    document[key] = {"paths_data": {"paths": 7}}.get(key, 7)
    file.write_text(json.dumps(document))
    return at(env, file, "broken-record", also=also)


@kind("a record that lists a path outside", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    file = some_record(env, rng)
    document = json.loads(file.read_bytes())
    document["paths_data"]["paths"].append({"_path": "../../etc/passwd", "path_type": "hardlink"})
    file.write_text(json.dumps(document))
    return at(env, file, "broken-record")


@kind("two records of one package", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    new = install_record(env.root, "alpha", "0.1", files={})
    return Expected(("duplicate-record",), (env.path(new),), packages=("alpha",))


@kind("a record that came as another package", ("conda",))
def _(env: Environment, rng: random.Random) -> Expected:
    file = next((env.root / "conda-meta").glob("libzed-*.json"))
    document = json.loads(file.read_bytes())
    document |= {"fn": "libzed-0.9-0.conda", "url": "file:///channel/linux-64/libzed-0.9-0.conda"}
    file.write_text(json.dumps(document))
    return at(env, file, "record-lies")


@kind("a record and METADATA of different versions", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / "beta-1.5.dist-info/METADATA"
    file.write_bytes(metadata_text("beta", "1.9"))
    return Expected(("record-lies", "modified-file"), packages=("beta",))


@kind("a record deleted", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    file = next((env.root / "conda-meta").glob("delta-*.json"))
    file.unlink()
    return Expected(("unmanaged-distribution", "installer-lies"), packages=("delta",), also=("bin/plough",))


def some_info(env: Environment, rng: random.Random) -> Path:
    return env.site / rng.choice(["alpha-1.0.dist-info", "beta-1.5.dist-info", "delta-0.7.dist-info"])


@kind("RECORD deleted")
def _(env: Environment, rng: random.Random) -> Expected:
    info = some_info(env, rng)
    (info / "RECORD").unlink()
    name = info.name.split("-")[0]
    also = (name, f"{SITE}/{name}", "bin/alpha", "bin/plough")
    return at(env, info, "distribution-without-record", "missing-file", also=also)


@kind("RECORD of garbage")
def _(env: Environment, rng: random.Random) -> Expected:
    info = some_info(env, rng)
    (info / "RECORD").write_bytes(bytes(rng.randrange(256) for _ in range(200)) + b"\xff\xfe")
    name = info.name.split("-")[0]
    also = (name, f"{SITE}/{name}", "bin/alpha", "bin/plough")
    return at(env, info, "broken-record", "distribution-without-record", "modified-file", also=also)


@kind("RECORD that leaves the environment")
def _(env: Environment, rng: random.Random) -> Expected:
    info = some_info(env, rng)
    with (info / "RECORD").open("a") as stream:
        stream.write(f"../../../../../../etc/passwd,{record_hash(b'x')},1\n")
    return at(env, info / "RECORD", "broken-record")


@kind("METADATA deleted")
def _(env: Environment, rng: random.Random) -> Expected:
    info = some_info(env, rng)
    (info / "METADATA").unlink()
    return at(env, info, "distribution-without-metadata")


@kind("METADATA of garbage")
def _(env: Environment, rng: random.Random) -> Expected:
    info = some_info(env, rng)
    (info / "METADATA").write_bytes(bytes(rng.randrange(256) for _ in range(300)))
    return at(env, info, "broken-record", "modified-file")


@kind("the rest of a dist-info")
def _(env: Environment, rng: random.Random) -> Expected:
    info = env.site / "corpse-1.0.dist-info"
    info.mkdir()
    (info / rng.choice(["REQUESTED", "INSTALLER", "direct_url.json"])).write_bytes(b"{}")
    return Expected(("distribution-without-metadata",), (env.path(info),), packages=("corpse",))


@kind("two dist-infos of one project")
def _(env: Environment, rng: random.Random) -> Expected:
    info = env.site / "beta-1.1.dist-info"
    shutil.copytree(env.site / "beta-1.5.dist-info", info)
    (info / "METADATA").write_bytes(metadata_text("beta", "1.1"))
    (info / "RECORD").write_text("beta-1.1.dist-info/RECORD,,\n")
    return Expected(("duplicate-distribution",), packages=("beta",), also=(env.path(info), "alpha"))


@kind("a dist-info under another name")
def _(env: Environment, rng: random.Random) -> Expected:
    info = env.site / "delta-0.7.dist-info"
    new = info.rename(env.site / "delta-9.9.dist-info")
    ids = ("misnamed-distribution", "missing-file")
    return Expected(ids, (env.path(new), env.path(info)), packages=("delta",), also=("bin/plough", f"{SITE}/delta"))


@kind("what an interrupted pip leaves")
def _(env: Environment, rng: random.Random) -> Expected:
    folder = env.site / rng.choice(["~lpha", "~eta-1.5.dist-info", "~~lpha"])
    folder.mkdir()
    (folder / "x.py").write_bytes(b"")
    return at(env, folder, "leftover")


@kind("INSTALLER that lies")
def _(env: Environment, rng: random.Random) -> Expected:
    file = env.site / "delta-0.7.dist-info/INSTALLER"
    file.write_text("conda\n")
    return Expected(("installer-lies", "modified-file"), packages=("delta",))


@kind("packages of a python that was here before")
def _(env: Environment, rng: random.Random) -> Expected:
    info = env.root / "lib/python3.8/site-packages/old-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_bytes(metadata_text("old", "1.0"))
    (info / "RECORD").write_text("old-1.0.dist-info/METADATA,,\nold-1.0.dist-info/RECORD,,\n")
    return Expected(("unseen-distribution",), packages=("old",))


@kind("a change of bridge's that was interrupted", RECORDED)
def _(env: Environment, rng: random.Random) -> Expected:
    folder = env.root / "conda-meta/.bridge/txn/20260101-1"
    (folder / "new").mkdir(parents=True)
    return Expected(("interrupted-transaction",), ("conda-meta/.bridge",))
