"""Commands as workloads: the whole of `bridge`, from its words to its exit status, on small packages of every kind.

A channel has two pythons (scripts that start the one of the tests), a library with links, a prefix in its bytes and a
directory that becomes a link, and a noarch package `demo`; a folder has wheels of `demo`. What a command does to its
environment is then held against what it does when nothing fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fault.enumeration import Bench
from tests.fault.running import PACKAGES
from tests.fault.server import Outcome, Server
from tests.fault.workloads import Workload, observe, own
from tests.support.builders import make_conda, make_python, make_repodata, make_wheel

PLACEHOLDER = "/opt/" + "placehold_" * 12
LOCK = "list.txt"
BASE = ("create", "python=3.11")
INSTALL = ("install", "pypi:demo==1.0", "lib=1.0")
LARGE = b"many blocks" * 4000  # such files are cloned or linked by their own
UPGRADE = ("install", "pypi:demo==2.0", "lib=2.0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What was run before, and the command itself. Without anything before it, it makes the environment."""

    before: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]


COMMANDS: Mapping[str, Command] = {
    "bridge-create": Command(before=(), words=("create", "python=3.11", *INSTALL[1:])),
    "bridge-install": Command(before=(BASE,), words=INSTALL),
    "bridge-upgrade": Command(before=(BASE, INSTALL), words=UPGRADE),
    "bridge-downgrade": Command(before=(BASE, UPGRADE), words=INSTALL),
    "bridge-remove": Command(before=(BASE, UPGRADE), words=("remove", "demo", "lib")),
    "bridge-move": Command(before=(BASE, INSTALL), words=("install", "conda:demo")),
    "bridge-move-back": Command(
        before=(BASE, ("install", "conda:demo", "lib=1.0")), words=("install", "pypi:demo", "demo")
    ),
    "bridge-sync": Command(before=(BASE, INSTALL), words=("sync", f"{PACKAGES}/{LOCK}")),
    "bridge-sync-new": Command(before=(), words=("sync", f"{PACKAGES}/{LOCK}")),
    "bridge-rollback": Command(before=(BASE, INSTALL, UPGRADE), words=("rollback", "1")),
    "bridge-python": Command(before=(BASE, INSTALL), words=("install", "python=3.12")),
}


def make_packages(folder: Path) -> None:
    """Write the channel and the wheels below `folder`."""
    channel, wheels = folder / "channel", folder / "wheels"
    for minor in ("3.11", "3.12"):
        make_python(channel, minor)
    for version, kind in (("1.0", "directory"), ("2.0", "link")):
        files = {
            "share/lib/prefix.txt": f"{PLACEHOLDER}/share {version}\n".encode(),
            f"lib/liblib.so.{version}": version.encode(),
            "share/lib/real/a.txt": version.encode(),
            "share/lib/large.bin": version.encode() + LARGE,
        }
        links = {"lib/liblib.so": f"liblib.so.{version}"}
        if kind == "directory":
            files |= {"share/lib/alias/b.txt": b"b", "share/lib/alias/a.txt": b"of its own"}
        else:
            links["share/lib/alias"] = "real"
        placeholders = {"share/lib/prefix.txt": (PLACEHOLDER, "text")}
        make_conda(
            channel, "lib", version, subdir="linux-64", noarch=None, files=files, links=links, placeholders=placeholders
        )
    shared = {
        "demo/__init__.py": b"from demo.a import A\n\ndef main(): pass\n",
        "demo/data.bin": b"\0" * 100,
        "demo/large.bin": LARGE,
    }
    noarch = {f"site-packages/{path}": data for path, data in {**shared, "demo/a.py": b"A = 'conda'\n"}.items()}
    make_conda(
        channel, "demo", "3.0", noarch="python", files=noarch, entry_points=["demo = demo:main"], depends=["python"]
    )
    make_repodata(channel)
    one = {"demo/a.py": b"A = 1\n", "demo/kind.py": b"", "demo-1.0.data/data/share/demo/map.txt": b"here"}
    two = {"demo/a.py": b"A = 2\n", "demo/kind/__init__.py": b"", "demo-2.0.data/scripts/demo-run": b"#!python\n"}
    for version, files in (("1.0", one), ("2.0", two)):
        make_wheel(wheels, "demo", version, files=shared | files, console_scripts={"demo": "demo:main"})
    make_lock(folder, "wheels/demo-2.0-py3-none-any.whl", "linux-64/lib-2.0-0.conda", "linux-64/python-3.12.1-0.conda")


def make_lock(folder: Path, *archives: str) -> None:
    """Write an explicit list of a wheel and conda packages: another python, version and kinds of paths."""
    lines = ["@EXPLICIT"]
    for name in archives:
        path = folder / name if name.endswith(".whl") else folder / "channel" / name
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"{path.as_uri()}#{'sha256=' if path.suffix == '.whl' else ''}{digest}")
    (folder / LOCK).write_text("\n".join([*lines, ""]))


def environment(folder: Path, link_mode: str = "copy") -> dict[str, str]:
    """What steers the commands: only these packages, and one byte for byte the same result each time."""
    return {
        "BRIDGE_CHANNEL": str(folder / "channel"),
        "BRIDGE_FIND_LINKS": str(folder / "wheels"),
        "BRIDGE_CACHE_DIR": str(folder / "cache"),
        "BRIDGE_COMPILE": "1",
        "BRIDGE_LINK_MODE": link_mode,
        "CONDA_REGISTER_ENVS": "false",  # the list is of the person who runs the harness
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "SOURCE_DATE_EPOCH": "1500000000",  # bytecode by hash: times are no part of it
    }


class CommandBench(Bench):
    """A command and a place to run it in. `folder` has the packages, and lies outside of what is counted."""

    def __init__(self, server: Server, home: Path, name: str, durability: str = "batched") -> None:
        self.server, self.name, self.durability = server, name, durability
        self.command = COMMANDS[name]
        self.home = home / name
        self.home.mkdir()
        self.prefix = self.home / "env"
        self.template = home / f"{name}-before"
        for words in self.command.before:
            self._plain(words)
        is_new = not self.command.before
        self.workload = Workload(before=None if is_new else {}, after={})
        if not is_new:
            os.rename(self.prefix, self.template)
            shutil.copytree(self.template, self.prefix, symlinks=True)
        self.own_before = own(self.prefix)
        self._plain(self.command.words)
        self.after, self.own_after = observe(self.prefix), own(self.prefix)
        self.calls = self.run().calls
        assert observe(self.prefix) == self.after, "it does not come to the same end twice"

    def _plain(self, words: tuple[str, ...]) -> Outcome:
        done = self.server.run(self.prefix, json.dumps(words), durability=self.durability)
        assert done.exit_code == 0, done
        return done

    def run(self, *, at: int = 0, code: int = 0, mode: str = "once", failpoint: str = "") -> Outcome:
        self.begun = self.reset()
        words = json.dumps(self.command.words)
        return self.server.run(
            self.prefix, words, at=at, code=code, mode=mode, failpoint=failpoint, durability=self.durability
        )

    def again(self) -> Outcome:
        return self.server.run(self.prefix, json.dumps(self.command.words), durability=self.durability)

    def _fill(self) -> None:
        if self.command.before:
            shutil.copytree(self.template, self.prefix, symlinks=True)
