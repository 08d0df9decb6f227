"""Environments for tests, laid out by hand: conda-meta records, dist-infos and files that agree, until they do not."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.builders import metadata_text, record_hash

SITE = "lib/python3.12/site-packages"


def digest(data: bytes) -> str:
    """The sha256 of `data`, in hex."""
    return hashlib.sha256(data).hexdigest()


class PrefixBuilder:
    """An environment below `root` with a conda python 3.12; every method adds one package and returns its files."""

    def __init__(self, root: Path, *, python: str | None = "3.12.4") -> None:
        self.root = root
        root.mkdir(parents=True)
        if python:
            self.write("conda-meta/history", b"")
            build = "h0_0_cpython"
            files = {"bin/python3.12": b"ELF", "lib/python3.12/os.py": b"name = 'posix'\n"}
            self.conda("python", python, files, build=build, links={"bin/python": "python3.12"})

    def write(self, path: str, data: bytes) -> None:
        """Write a file that no record knows."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def conda(
        self,
        name: str,
        version: str,
        files: Mapping[str, bytes],
        *,
        build: str = "0",
        subdir: str = "linux-64",
        noarch: str | None = None,
        links: Mapping[str, str] | None = None,
        depends: Sequence[str] = (),
        constrains: Sequence[str] = (),
        requested: Sequence[str] = (),
        hashes: Mapping[str, str | None] | None = None,
        link_hashes: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> dict[str, bytes]:
        """Install a conda package. `hashes` overrides what is promised, `extra` keys of the record."""
        paths: list[dict[str, object]] = []
        for path, data in files.items():
            self.write(path, data)
            promised = (hashes or {}).get(path, digest(data))
            entry: dict[str, object] = {"_path": path, "path_type": "hardlink", "size_in_bytes": len(data)}
            # Two hashes that differ say that a prefix was written in; audit searches such files for it.
            packed = digest(b"as packed") if os.fsencode(self.root) in data else promised
            paths.append(entry | ({"sha256": packed, "sha256_in_prefix": promised} if promised else {}))
        for path, target in (links or {}).items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).symlink_to(target)
            packed = (link_hashes or {}).get(path, digest(b""))
            paths.append({"_path": path, "path_type": "softlink", "sha256": packed, "size_in_bytes": 0})
        record: dict[str, object] = {
            "name": name,
            "version": version,
            "build": build,
            "build_number": 0,
            "subdir": "noarch" if noarch else subdir,
            "depends": list(depends),
            "constrains": list(constrains),
            "channel": "file:///channel",
            "fn": f"{name}-{version}-{build}.conda",
            "url": f"file:///channel/{subdir}/{name}-{version}-{build}.conda",
            "sha256": digest(f"{name} {version}".encode()),
            "requested_specs": list(requested),
            "paths_data": {"paths_version": 1, "paths": paths},
        }
        record |= ({"noarch": noarch} if noarch else {}) | dict(extra or {})
        self.write(f"conda-meta/{name}-{version}-{build}.json", json.dumps(record).encode())
        return dict(files)

    def distribution(
        self,
        name: str,
        version: str,
        files: Mapping[str, bytes] | None = None,
        *,
        installer: str | None = "pip",
        requires: Sequence[str] = (),
        requires_python: str | None = None,
        extras: Sequence[str] = (),
        tag: str = "py3-none-any",
        requested: bool = False,
        record: bool = True,
        extra: Mapping[str, bytes] | None = None,
        rows: Sequence[str] = (),
        headers: Sequence[str] = (),
    ) -> dict[str, bytes]:
        """Lay files and a dist-info as pip would; the files' paths are prefix-relative."""
        info = f"{SITE}/{name.replace('-', '_')}-{version}.dist-info"
        module = f"{SITE}/{name.replace('-', '_')}/__init__.py"
        laid = dict(files if files is not None else {module: f"VERSION = {version!r}\n".encode()}) | dict(extra or {})
        metadata = metadata_text(
            name, version, requires=requires, requires_python=requires_python, extras=extras, headers=headers
        )
        laid[f"{info}/METADATA"] = metadata
        laid[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
        if installer is not None:
            laid[f"{info}/INSTALLER"] = installer.encode() + b"\n"
        if requested:
            laid[f"{info}/REQUESTED"] = b""
        if record:
            hashed = [f"{_from_site(path)},{record_hash(data)},{len(data)}" for path, data in laid.items()]
            laid[f"{info}/RECORD"] = "\n".join([*hashed, *rows, f"{_from_site(info)}/RECORD,,", ""]).encode()
        for path, data in laid.items():
            self.write(path, data)
        return laid

    def wheel(self, name: str, version: str, files: Mapping[str, bytes] | None = None, **parts: object) -> None:
        """Install a wheel as bridge does: a dist-info, and a conda-meta record over all of it."""
        requested = parts.pop("specs", ())
        laid = self.distribution(name, version, files, installer="bridge", **parts)  # type: ignore[arg-type]
        filename = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        extra = {"fn": filename, "url": f"file:///index/{filename}", "channel": "file:///index"}
        self.conda(
            name,
            version,
            laid,
            build="py3_none_any_0",
            noarch="python",
            requested=requested,  # type: ignore[arg-type]
            depends=["python 3.12.*"],
            extra={**extra, "purls": [f"pkg:pypi/{name}@{version}"]},
        )

    def conda_python(self, name: str, version: str, **parts: object) -> None:
        """Install a conda package of a python project: its dist-info is among its files."""
        keys = ("files", "requires", "requires_python", "extras", "installer", "tag", "record", "requested")
        shape = {key: parts.pop(key) for key in keys if key in parts}
        laid = self.distribution(name, version, **{"installer": "conda", **shape})  # type: ignore[arg-type]
        self.conda(name, version, laid, depends=("python >=3.12,<3.13.0a0", *parts.pop("depends", ())), **parts)  # type: ignore[misc, arg-type]


def _from_site(path: str) -> str:
    return path.removeprefix(f"{SITE}/") if path.startswith(f"{SITE}/") else f"../../../{path}"
