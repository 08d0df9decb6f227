"""Wheels, conda packages and prefixes for tests: valid by default, every part overridable."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import posixpath
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from converters.package import Member, write_conda

EPOCH = (2020, 1, 1, 0, 0, 0)


def record_hash(data: bytes) -> str:
    """A RECORD hash: `sha256=` and the unpadded urlsafe base64 digest (PEP 376)."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def metadata_text(
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    requires_python: str | None = ">=3.8",
    extras: Sequence[str] = (),
    headers: Sequence[str] = (),
) -> bytes:
    """A METADATA file."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *headers]
    if requires_python:
        lines.append(f"Requires-Python: {requires_python}")
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    return ("\n".join(lines) + "\n").encode()


def wheel_members(
    name: str,
    version: str,
    *,
    tag: str = "py3-none-any",
    files: Mapping[str, bytes] | None = None,
    requires: Sequence[str] = (),
    requires_python: str | None = ">=3.8",
    extras: Sequence[str] = (),
    headers: Sequence[str] = (),
    console_scripts: Mapping[str, str] | None = None,
    gui_scripts: Mapping[str, str] | None = None,
    metadata: bytes | None = None,
    record: bytes | None = None,
) -> dict[str, bytes]:
    """The members of a wheel, RECORD included; `tag` may be compressed (`py2.py3-none-any`)."""
    module = name.replace("-", "_").replace(".", "_")
    info = f"{module}-{version}.dist-info"
    pure = tag.endswith("-any")
    interpreters, abis, platforms = (part.split(".") for part in tag.split("-"))
    tags = [f"Tag: {i}-{a}-{p}" for i in interpreters for a in abis for p in platforms]
    members = dict(files if files is not None else {f"{module}/__init__.py": f"VERSION = {version!r}\n".encode()})
    members[f"{info}/METADATA"] = metadata or metadata_text(
        name, version, requires=requires, requires_python=requires_python, extras=extras, headers=headers
    )
    wheel = ["Wheel-Version: 1.0", "Generator: tests", f"Root-Is-Purelib: {str(pure).lower()}", *tags]
    members[f"{info}/WHEEL"] = ("\n".join(wheel) + "\n").encode()
    if console_scripts or gui_scripts:
        text = ""
        for section, scripts in (("console_scripts", console_scripts), ("gui_scripts", gui_scripts)):
            if scripts:
                text += f"[{section}]\n" + "".join(f"{k} = {v}\n" for k, v in scripts.items())
        members[f"{info}/entry_points.txt"] = text.encode()
    rows = [f"{path},{record_hash(data)},{len(data)}" for path, data in members.items()]
    members[f"{info}/RECORD"] = (
        record if record is not None else ("\n".join([*rows, f"{info}/RECORD,,"]) + "\n").encode()
    )
    return members


def zip_bytes(members: Mapping[str, bytes], *, executable: Sequence[str] = ()) -> bytes:
    """A deflated zip of `members`, the same bytes for the same input."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = (0o100755 if path in executable else 0o100644) << 16
            archive.writestr(entry, data)
    return out.getvalue()


def make_wheel(
    folder: Path, name: str, version: str, *, tag: str = "py3-none-any", build: str = "", **parts: object
) -> Path:
    """Write a wheel into `folder` and return its path. `parts` are those of `wheel_members`, plus `executable`."""
    executable = parts.pop("executable", ())
    members = wheel_members(name, version, tag=tag, **parts)  # type: ignore[arg-type]
    module = name.replace("-", "_").replace(".", "_")
    path = folder / f"{module}-{version}{'-' + build if build else ''}-{tag}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zip_bytes(members, executable=executable))  # type: ignore[arg-type]
    return path


def make_conda(
    folder: Path,
    name: str,
    version: str,
    *,
    build: str = "0",
    build_number: int = 0,
    subdir: str = "noarch",
    noarch: str | None = "generic",
    depends: Sequence[str] = (),
    constrains: Sequence[str] = (),
    files: Mapping[str, bytes] | None = None,
    links: Mapping[str, str] | None = None,
    executable: Sequence[str] = (),
    placeholders: Mapping[str, tuple[str, str]] | None = None,
    entry_points: Sequence[str] = (),
    index: Mapping[str, object] | None = None,
    info: Mapping[str, bytes] | None = None,
) -> Path:
    """Write `FOLDER/SUBDIR/NAME-VERSION-BUILD.conda`; `placeholders`: path → (prefix placeholder, "text" or "binary").

    `index` overrides keys of index.json, `info` adds or replaces files below `info/`.
    """
    contents = dict(files if files is not None else {f"share/{name}/{name}.txt": f"{name} {version}\n".encode()})
    links = dict(links or {})
    paths: list[dict[str, object]] = []
    for path in sorted([*contents, *links]):
        entry: dict[str, object] = {"_path": path}
        if path in links:
            # Of a link, the hash and the size are those of what it leads to.
            data = contents.get(posixpath.normpath(posixpath.join(posixpath.dirname(path), links[path])), b"")
            entry |= {"path_type": "softlink", "sha256": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}
        else:
            data = contents[path]
            entry |= {"path_type": "hardlink", "sha256": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}
        if placeholders and path in placeholders:
            entry |= {"prefix_placeholder": placeholders[path][0], "file_mode": placeholders[path][1]}
        paths.append(entry)
    index_json: dict[str, object] = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": build_number,
        "subdir": subdir,
        "depends": list(depends),
        "constrains": list(constrains),
        "timestamp": 1600000000000,
    }
    if noarch:
        index_json["noarch"] = noarch
    described = {
        "index.json": json.dumps(index_json | dict(index or {})).encode(),
        "paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
        "about.json": b"{}",
    }
    if noarch == "python":
        link = {"noarch": {"type": "python", "entry_points": list(entry_points)}, "package_metadata_version": 1}
        described["link.json"] = json.dumps(link).encode()
    described |= dict(info or {})
    target = folder / subdir / f"{name}-{version}-{build}.conda"
    target.parent.mkdir(parents=True, exist_ok=True)
    members = [Member.of_bytes(path, data, is_executable=path in executable) for path, data in contents.items()]
    members += [Member(path=path, link=link_target) for path, link_target in links.items()]
    with target.open("wb") as stream:
        write_conda(stream, f"{name}-{version}-{build}", described, members)
    return target


def make_python(channel: Path, minor: str, *, index: Mapping[str, object] | None = None) -> Path:
    """A package `python` whose program starts the interpreter of the tests; `index` overrides keys of index.json."""
    script = f'#!/bin/sh\nexec {sys.executable} "$@"\n'.encode()
    files = {f"bin/python{minor}": script, f"lib/python{minor}/site-packages/README.txt": b""}
    return make_conda(
        channel, "python", f"{minor}.1", subdir="linux-64", noarch=None, files=files,
        links={"bin/python": f"python{minor}"}, executable=[f"bin/python{minor}"], index=index,
    )  # fmt: skip


def make_repodata(folder: Path, subdirs: Sequence[str] = ("noarch", "linux-64")) -> None:
    """Write `repodata.json` for the `.conda` files under `folder`, read back from their own index.json."""
    import conda_package_streaming.package_streaming as streaming

    for subdir in subdirs:
        records: dict[str, object] = {}
        for path in sorted((folder / subdir).glob("*.conda")):
            data = path.read_bytes()
            for tar, member in streaming.stream_conda_info(path):
                if member.name == "info/index.json":
                    content = tar.extractfile(member)
                    assert content is not None
                    record = json.loads(content.read())
                    record |= {"sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data).hexdigest()}
                    records[path.name] = record | {"size": len(data)}
        (folder / subdir).mkdir(parents=True, exist_ok=True)
        document = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": records, "repodata_version": 1}
        (folder / subdir / "repodata.json").write_text(json.dumps(document))


def install_record(
    prefix: Path,
    name: str,
    version: str,
    *,
    build: str = "0",
    files: Mapping[str, bytes] | None = None,
    links: Mapping[str, str] | None = None,
    write: bool = True,
    **keys: object,
) -> Path:
    """Put `files` and `links` into `prefix` as an installed package would lie there, with its conda-meta record.

    `keys` override those of the record (`None` leaves a key out); `write=False` writes the record alone.
    """
    files, links = dict(files or {}), dict(links or {})
    paths: list[dict[str, object]] = []
    for path, data in files.items():
        digest = hashlib.sha256(data).hexdigest()
        paths.append({"_path": path, "path_type": "hardlink", "sha256": digest, "sha256_in_prefix": digest})
        paths[-1]["size_in_bytes"] = len(data)
    paths += [{"_path": path, "path_type": "softlink", "size_in_bytes": 0} for path in links]
    for path in [*files, *links] if write else []:
        (prefix / path).parent.mkdir(parents=True, exist_ok=True)
        if path in links:
            (prefix / path).symlink_to(links[path])
        else:
            (prefix / path).write_bytes(files[path])
    record: dict[str, object] = {
        "name": name,
        "version": version,
        "build": build,
        "build_number": 0,
        "subdir": "noarch",
        "depends": [],
        "fn": f"{name}-{version}-{build}.conda",
        "url": f"file:///channel/noarch/{name}-{version}-{build}.conda",
        "channel": "file:///channel",
        "files": [*files, *links],
        "paths_data": {"paths_version": 1, "paths": paths},
    }
    record = {key: value for key, value in (record | keys).items() if value is not None}
    target = prefix / "conda-meta" / f"{name}-{version}-{build}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record))
    return target


def install_distribution(
    prefix: Path,
    site: str,
    name: str,
    version: str,
    *,
    files: Mapping[str, bytes] | None = None,
    installer: str | None = "pip",
    rows: Sequence[str] = (),
    without: Sequence[str] = (),
    **parts: object,
) -> Path:
    """Put a distribution into `prefix` as pip would: its files and dist-info below `site`; returns the dist-info.

    `files` are relative to `site`; `parts` are those of `metadata_text`; `rows` are added to RECORD as they are;
    `without` names members of the dist-info to leave out.
    """
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    contents = dict(files if files is not None else {f"{name.replace('-', '_')}/__init__.py": b""})
    contents[f"{info}/METADATA"] = metadata_text(name, version, **parts)  # type: ignore[arg-type]
    contents[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if installer is not None:
        contents[f"{info}/INSTALLER"] = f"{installer}\n".encode()
    written = [f"{path},{record_hash(data)},{len(data)}" for path, data in contents.items()]
    contents[f"{info}/RECORD"] = ("\n".join([*written, *rows, f"{info}/RECORD,,"]) + "\n").encode()
    for path, data in contents.items():
        if path.removeprefix(f"{info}/") not in without:
            (prefix / site / path).parent.mkdir(parents=True, exist_ok=True)
            (prefix / site / path).write_bytes(data)
    return prefix / site / info


def tree_digest(root: Path) -> dict[str, tuple[str, str]]:
    """Every path below `root` → (kind and mode, sha256 or link target): what "byte-identical" compares."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = ("symlink", str(path.readlink()))
        elif path.is_dir():
            found[name] = ("directory", "")
        else:
            found[name] = (f"file {path.stat().st_mode & 0o7777:o}", hashlib.sha256(path.read_bytes()).hexdigest())
    return found
