"""Small environments with the records that conda, mamba, micromamba, rattler and pixi of several years write.

The habits of each client come from its public source: conda `core/path_actions.py` (`LinkPathAction`,
`CreatePrefixRecordAction`), conda 4.2 `install.py`; mamba `libmamba/src/core/link.cpp`; rattler
`crates/rattler/src/install`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["CLIENTS", "SITE", "Client", "Package", "make_prefix", "packages", "put_package"]

SITE = "lib/python3.12/site-packages"
_CHANNEL = "file:///srv/channel"
_DIST_INFO = {
    "METADATA": b"Metadata-Version: 2.1\nName: noarchy\nVersion: 1.0\n",
    "INSTALLER": b"conda\n",
    "RECORD": b"noarchy/__init__.py,,\nnoarchy-1.0.dist-info/RECORD,,\n",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """How one client writes a record.

    :param channel: the text of the field, with `{channel}` and `{subdir}`; `None`: left out.
    :param has_package_paths: `paths_data` of noarch python packages has the package's own paths.
    :param links: what `sha256_in_prefix` of a link is the hash of; `packed`: there is only `sha256`, of the target.
    :param has_paths_data: false for clients that knew `files` alone.
    :param is_in_seconds: the unit of `timestamp`.
    :param lists_bytecode: the compiled modules of noarch packages are listed, without a hash.
    :param keeps: files of the client's own in the prefix.
    """

    name: str
    channel: str | None = "{channel}/{subdir}"
    has_package_paths: bool = False
    links: Literal["packed", "target", "text"] = "packed"
    has_paths_data: bool = True
    is_in_seconds: bool = False
    lists_bytecode: bool = True
    keys: Mapping[str, object] | None = None
    keeps: Sequence[str] = ("conda-meta/history",)


CLIENTS = (
    Client(
        name="conda 4.2",
        channel="defaults",
        has_paths_data=False,
        keys={"schannel": "defaults", "subdir": None, "arch": "x86_64", "platform": "linux", "link": None},
    ),
    Client(name="conda 4.8", has_package_paths=True, keys={"requested_spec": "None", "dist_name": "x-1-0"}),
    Client(
        name="conda 23 and 24",
        has_package_paths=True,
        keys={"requested_spec": "noarchy", "package_tarball_full_path": "/pkgs/x.conda", "auth": None},
        keeps=("conda-meta/history", "conda-meta/state", "conda-meta/pinned", ".condarc"),
    ),
    Client(
        name="conda 26",
        has_package_paths=True,
        keys={"requested_specs": ["noarchy"], "indexed_timestamp": 1795970378940, "features": ""},
        keeps=("conda-meta/history", "conda-meta/created_at", "conda-meta/frozen", "conda-meta/.condarc"),
    ),
    Client(name="micromamba 1", links="target", is_in_seconds=True),
    Client(name="mamba 2", channel="{channel}", links="target", is_in_seconds=True),
    Client(name="mamba 2, a channel by name", channel="channel/{subdir}", links="target"),
    Client(name="rattler", channel="{channel}/", links="text", lists_bytecode=False, keys={"requested_specs": []}),
    Client(
        name="pixi",
        channel="{channel}/",
        links="text",
        lists_bytecode=False,
        keeps=("conda-meta/history", "conda-meta/pixi", "conda-meta/pixi_env_prefix"),
    ),
    Client(name="no channel at all", channel=None, keys={"link": None, "license": None, "noarch_python": None}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What a package holds, by its own paths. `placed` are the bytes of files with a prefix written in."""

    name: str
    version: str = "1.0"
    build: str = "0"
    noarch: str | None = None
    files: Mapping[str, bytes]
    links: Mapping[str, str] | None = None
    placed: Mapping[str, bytes] | None = None
    entry_points: Sequence[str] = ()
    depends: Sequence[str] = ()

    @property
    def subdir(self) -> str:
        return "noarch" if self.noarch else "linux-64"

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"


def packages(prefix: Path) -> tuple[Package, ...]:
    """A python that depends on pip, as conda has it; a library with links of each kind; a noarch python package."""
    return (
        Package(
            name="python",
            version="3.12.1",
            build="0_cpython",
            files={"bin/python3.12": b"#!/bin/sh\n", "lib/python3.12/os.py": b"sep = '/'\n"},
            links={"bin/python": "python3.12"},
            depends=("pip",),
        ),
        Package(
            name="libthing",
            files={"lib/libthing.so.1": b"library", "bin/thing": b"/placeholder", "share/data/a": b"a"},
            links={"lib/libthing.so": "libthing.so.1", "share/more": "data", "bin/thing-too": "thing"},
            placed={"bin/thing": os.fsencode(prefix)},
        ),
        Package(
            name="noarchy",
            noarch="python",
            files={
                "site-packages/noarchy/__init__.py": b"V = 1\n",
                "python-scripts/noarchy-script": b"#!/bin/sh\n",
                "share/noarchy/data": b"",
                **{f"site-packages/noarchy-1.0.dist-info/{name}": data for name, data in _DIST_INFO.items()},
            },
            entry_points=("noarchy",),
            depends=("python >=3.8",),
        ),
        Package(name="pip", noarch="python", files={"site-packages/pip/__init__.py": b""}, depends=("python >=3.8",)),
        Package(name="_nothing", noarch="generic", files={}),
    )


def make_prefix(root: Path, client: Client) -> Path:
    """A whole environment at `root`, as `client` makes it, in which nothing was touched since."""
    for package in packages(root):
        put_package(root, package, client)
    for path in client.keeps:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"{}" if path.endswith("state") else b"")
    return root


def put_package(root: Path, package: Package, client: Client) -> Path:
    """Place the files of a package and write its record. Returns the record's path."""
    paths: list[dict[str, object]] = []
    files: list[str] = []

    def add(path: str, **said: object) -> None:
        there = _there(path) if package.noarch == "python" else path
        is_own = client.has_package_paths and package.noarch == "python"
        files.append(there)
        paths.append({"_path": path if is_own else there, **said})

    for path, data in package.files.items():
        there = _there(path) if package.noarch == "python" else path
        lies = (package.placed or {}).get(path, data)
        _write(root / there, lies)
        said: dict[str, object] = {"sha256": _sha256(data), "size_in_bytes": len(data), "path_type": "hardlink"}
        if lies != data:
            said |= {"prefix_placeholder": "/placeholder", "file_mode": "text"}
        if lies != data or client.links != "text":  # rattler writes it only where it differs.
            said["sha256_in_prefix"] = _sha256(lies)
        add(path, **said)
    for path, target in (package.links or {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)
    for path, target in (package.links or {}).items():
        add(path, **_of_link(root / path, target, package, client))
    modules = [path for path in files if path.endswith(".py")] if package.noarch == "python" else []
    for path in modules if client.lists_bytecode else ():
        folder, _, name = path.rpartition("/")
        compiled = f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-312.pyc"
        _write(root / compiled, b"bytecode")
        files.append(compiled)
        paths.append({"_path": compiled, "path_type": "pyc_file"})
    for name in package.entry_points:
        script = f"#!{root}/bin/python3.12\n".encode()
        _write(root / "bin" / name, script)
        files.append(f"bin/{name}")
        paths.append({"_path": f"bin/{name}", "path_type": "unix_python_entry_point"})
        if client.links == "text":
            paths[-1] |= {"sha256": _sha256(script), "size_in_bytes": len(script)}
    record = root / "conda-meta" / f"{package.stem}.json"
    _write(record, json.dumps(_document(package, client, files, paths)).encode())
    return record


def _of_link(link: Path, target: str, package: Package, client: Client) -> dict[str, object]:
    led_to = link.read_bytes() if link.is_file() else b""
    source = (link.parent / target).name
    packed = next((data for path, data in package.files.items() if path.rpartition("/")[2] == source), b"")
    if client.links == "target":  # mamba leaves out sha256; of a folder it hashes nothing.
        return {"path_type": "softlink", "sha256_in_prefix": _sha256(led_to)}
    said: dict[str, object] = {"path_type": "softlink", "sha256": _sha256(packed), "size_in_bytes": len(packed)}
    if client.links == "text":
        said["sha256_in_prefix"] = _sha256(target.encode())
    return said


def _document(
    package: Package, client: Client, files: Sequence[str], paths: Sequence[Mapping[str, object]]
) -> Mapping[str, object]:
    fn = f"{package.stem}.{'tar.bz2' if client.name.startswith('conda 4') else 'conda'}"
    document: dict[str, object] = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": 0,
        "subdir": package.subdir,
        "depends": list(package.depends),
        "constrains": [],
        "fn": fn,
        "url": f"{_CHANNEL}/{package.subdir}/{fn}",
        "md5": "0" * 32,
        "timestamp": 1700000000 if client.is_in_seconds else 1700000000000,
        "files": list(files),
        "link": {"source": f"/pkgs/{package.stem}", "type": 1},
    }
    if client.channel is not None:
        document["channel"] = client.channel.format(channel=_CHANNEL, subdir=package.subdir)
    if package.noarch is not None:
        document["noarch"] = package.noarch
    if client.has_paths_data:
        document["paths_data"] = {"paths_version": 1, "paths": list(paths)}
    document |= client.keys or {}
    if document["subdir"] is None:
        del document["subdir"]
    return document


def _there(path: str) -> str:
    first, _, rest = path.partition("/")
    return {"site-packages": f"{SITE}/{rest}", "python-scripts": f"bin/{rest}"}.get(first, path)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o755 if data.startswith(b"#!") else 0o644)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
