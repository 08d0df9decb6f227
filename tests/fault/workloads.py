"""Small prefixes and the changes between them, as values: path → what lies there.

`bytes` is a file (mode 0755 below `bin/`, else 0644), `str` a symlink's target, `None` a directory.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge import fs
from bridge.model import Fingerprint, PathChange
from bridge.paths import OWN
from bridge.transaction.commit import change
from bridge.transaction.creation import create

Node = bytes | str | None
Nodes = Mapping[str, Node]

MEMORY = next((path for path in ["/dev/shm"] if os.access(path, os.W_OK)), None)
"""A folder in memory, where there is one: thousands of small prefixes are no work for a disk."""

SITE = "lib/python3.12/site-packages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """From `before` to `after`. `before` is `None` where the prefix is yet to be made."""

    before: Nodes | None
    after: Nodes


OLD: Nodes = {
    "bin/demo": b"#!/bin/sh\necho 1\n",
    "conda-meta/history": b"==> 1 <==\n",
    "conda-meta/demo-1.0-0.json": b'{"version": "1.0"}',
    "etc/user.conf": b"of the user\n",
    "lib/libdemo.so": "libdemo.so.1",
    "lib/libdemo.so.1": b"\x7fELF1",
    "lib/real/a.txt": b"a",
    "lib/real/deep/b.txt": b"b",
    "lib/alias": "real",
    "lib/kind": b"a file that becomes a directory",
    "share/empty": None,
    f"{SITE}/demo/__init__.py": b"VERSION = 1\n",
    f"{SITE}/demo/gone.py": b"",
    f"{SITE}/demo-1.0.dist-info/RECORD": b"demo/__init__.py,,\n",
}

NEW: Nodes = {
    "bin/demo": b"#!/bin/sh\necho 2\n",
    "bin/demo2": b"#!/bin/sh\necho new\n",
    "conda-meta/history": b"==> 1 <==\n==> 2 <==\n",
    "conda-meta/demo-2.0-0.json": b'{"version": "2.0"}',
    "etc/user.conf": b"of the user\n",
    "lib/libdemo.so": "libdemo.so.2",
    "lib/libdemo.so.2": b"\x7fELF2",
    "lib/real": "alias",  # a directory with contents becomes a symlink
    "lib/alias/c.txt": b"c",  # a symlink becomes a directory with contents
    "lib/alias/deep/d.txt": b"d",
    "lib/kind/e.txt": b"e",
    "share/empty": "full",  # an empty directory becomes a symlink
    "share/full": None,
    f"{SITE}/demo/__init__.py": b"VERSION = 2\n",
    f"{SITE}/demo/sub/new.py": b"x = 1\n",
    f"{SITE}/demo/sub/__pycache__/new.pyc": b"\0\0\0\0",
    f"{SITE}/demo-2.0.dist-info/RECORD": b"demo/__init__.py,,\n",
}

USER: Nodes = {"etc/user.conf": b"of the user\n"}

WORKLOADS = {
    "install": Workload(before={**USER, "conda-meta/history": b""}, after=OLD),
    "install-bare": Workload(before=USER, after=NEW),  # a prefix without conda-meta
    "upgrade": Workload(before=OLD, after=NEW),
    "downgrade": Workload(before=NEW, after=OLD),
    "remove": Workload(before=NEW, after={**USER, "conda-meta/history": b"==> 3 <==\n"}),
    "create": Workload(before=None, after=NEW),
}


def is_record(path: str) -> bool:
    return path.startswith("conda-meta/") or ".dist-info/" in path


def mode_of(path: str) -> int:
    return 0o755 if path.startswith("bin/") else 0o644


def fingerprint_of(path: str, node: Node) -> Fingerprint:
    if node is None:
        return Fingerprint(kind="directory")
    if isinstance(node, str):
        return Fingerprint(kind="symlink", link=node)
    return Fingerprint(kind="file", sha256=hashlib.sha256(node).hexdigest(), size=len(node), mode=mode_of(path))


def changes(before: Nodes, after: Nodes) -> list[PathChange]:
    """What is to be done to come from one to the other, in no helpful order. Directories that stay are listed too."""
    found = []
    for path in sorted({*before, *after}, key=lambda path: hashlib.sha256(path.encode()).digest()):
        old, new = _node_at(before, path), _node_at(after, path)
        if old != new or (new is not None and new.kind == "directory"):
            found.append(PathChange(path=path, before=old, after=new, owner="demo", is_record=is_record(path)))
    return found


def _node_at(nodes: Nodes, path: str) -> Fingerprint | None:
    if path in nodes:
        return fingerprint_of(path, nodes[path])
    is_parent = any(other.startswith(f"{path}/") for other in nodes)
    return Fingerprint(kind="directory") if is_parent else None


def write(root: Path | fs.WritableTree, path: str, node: Node) -> Fingerprint:
    if node is None:
        return fs.make_directory(root, path)
    if isinstance(node, str):
        return fs.write_symlink(root, path, node)
    return fs.write_file(root, path, [node], mode=mode_of(path))


def build(root: Path, nodes: Nodes) -> None:
    """Make a prefix without the module under test."""
    root.mkdir()
    for path, node in nodes.items():
        target = os.path.join(root, path)
        os.makedirs(target if node is None else os.path.dirname(target), exist_ok=True)
        if isinstance(node, str):
            os.symlink(node, target)
        elif node is not None:
            with open(target, "wb") as stream:
                stream.write(node)
            os.chmod(target, mode_of(path))


def run(prefix: Path, workload: Workload, durability: fs.Durability = "batched") -> None:
    """Do it, with the module under test."""
    if workload.before is None:
        with create(prefix, durability=durability) as creation, fs.WritableTree(creation.root) as root:
            for path, node in workload.after.items():
                write(root, path, node)
            creation.publish()
        return
    with change(prefix, durability=durability) as transaction:
        todo = changes(workload.before, workload.after)
        with fs.WritableTree(transaction.staging) as staging:
            for one in todo:
                if one.after is not None:
                    write(staging, one.path, workload.after.get(one.path))
        transaction.commit(todo, plan={"specs": ["demo"]})


def observe(root: Path, *, identity: bool = False) -> dict[str, tuple[object, ...]]:
    """All that lies below `root` but bridge's own folder: kind, mode and content; with `identity` inode and mtime."""
    found: dict[str, tuple[object, ...]] = {}
    folders = [""] if root.is_dir() else []
    # Thousands of prefixes are compared by this: `pathlib` would take most of the time.
    while folders:
        below = folders.pop()
        with os.scandir(os.path.join(root, below)) as entries:
            for entry in entries:
                key, state = f"{below}{entry.name}", entry.stat(follow_symlinks=False)
                mode = oct(stat.S_IMODE(state.st_mode))
                if entry.is_symlink():
                    found[key] = ("symlink", os.readlink(entry.path))
                elif entry.is_dir():
                    if key == OWN:
                        continue
                    found[key] = ("directory", mode)
                    folders.append(f"{key}/")
                else:
                    with open(entry.path, "rb") as stream:
                        found[key] = ("file", mode, stream.read())
                if identity and not stat.S_ISDIR(state.st_mode):
                    found[key] += (state.st_ino, state.st_mtime_ns)
    return found


def own(root: Path) -> list[str]:
    """What bridge keeps of its own in a prefix."""
    return sorted(path.relative_to(root).as_posix() for path in [root / OWN, *(root / OWN).rglob("*")] if path.exists())
