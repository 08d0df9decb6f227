"""Readers of archives: mutated bytes are the archive, or a document in one that is otherwise right."""

from __future__ import annotations

import bz2
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bridge.archive.conda import CondaManifest, check_conda
from bridge.archive.sdists import check_sdist
from bridge.archive.wheels import WheelManifest, check_wheel
from bridge.install.manifest import conda_paths, wheel_paths
from converters.names import NameMap
from converters.record import conda_record
from converters.target import Python, Target
from converters.translate import translate
from converters.wheel import WheelInfo
from tests.fuzz.values import Reader
from tests.support.builders import record_hash, wheel_members, zip_bytes
from tests.support.hostile import Conda, path_entry, tar_file, zstd
from tests.support.sdists import make_sdist

__all__ = ["ARCHIVES"]

_PYTHON = Python(version="3.12.1")
_TARGET = Target(subdir="linux-64", virtual_packages=(("__glibc", "2.36", "0"),), python=_PYTHON)
_WHEEL, _INFO = "demo-1.0-py3-none-any.whl", "demo-1.0.dist-info"
_CONDA, _BZ2 = "demo-1.0-0.conda", "demo-1.0-0.tar.bz2"


def _judge_wheel(data: bytes, scratch: Path) -> None:
    path = scratch / _WHEEL
    path.write_bytes(data)
    manifest: WheelManifest = check_wheel(path)
    info = WheelInfo(filename=_WHEEL, metadata=manifest.metadata, url=path.as_uri(), sha256="0" * 64)
    record = translate(info, _TARGET, NameMap.empty())
    wheel_paths(manifest, record, _PYTHON)


def _judge_conda(data: bytes, scratch: Path, name: str = _CONDA) -> None:
    path = scratch / name
    path.write_bytes(data)
    manifest: CondaManifest = check_conda(path)
    conda_paths(manifest, _PYTHON)
    conda_record(manifest.index)


def _judge_bz2(data: bytes, scratch: Path) -> None:
    _judge_conda(data, scratch, _BZ2)


def _judge_tar(data: bytes, scratch: Path) -> None:
    _judge_conda(bz2.compress(data, 1), scratch, _BZ2)


def _judge_sdist(data: bytes, scratch: Path) -> None:
    path = scratch / "demo-1.0.tar.gz"
    path.write_bytes(data)
    check_sdist(path)


def _members() -> dict[str, bytes]:
    files = {"demo/__init__.py": b"x = 1\n", "demo-1.0.data/scripts/run": b"#!python\n"}
    headers = ("Summary: text", "Home-page: https://h/", "Keywords: a,b", "Dynamic: Requires-Dist")
    return wheel_members(
        "demo",
        "1.0",
        files=files,
        headers=headers,
        extras=["fast"],
        console_scripts={"demo": "demo:main"},
        requires=["a>=1; python_version < '3.13'", "b[c]==2.*; extra == 'fast'", "d @ https://h/d-1-py3-none-any.whl"],
    )


def _wheel_with(member: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, scratch: Path) -> None:
        members = _members() | {f"{_INFO}/{member}": data}
        if member != "RECORD":
            rows = [f"{path},{record_hash(each)},{len(each)}" for path, each in members.items() if "RECORD" not in path]
            members[f"{_INFO}/RECORD"] = ("\n".join([*rows, f"{_INFO}/RECORD,,"]) + "\n").encode()
        _judge_wheel(zip_bytes(members), scratch)

    return read


def _conda_with(member: str) -> Callable[[bytes, Path], None]:
    def read(data: bytes, scratch: Path) -> None:
        info: Mapping[str, bytes | None] = {**_documents(member), member: data}
        _judge_conda(Conda(info=info).build(), scratch)

    return read


def _documents(member: str) -> dict[str, bytes | None]:
    """Without paths.json, `files` and what belongs to it count."""
    if member not in {"files", "has_prefix", "no_link"}:
        return {"link.json": _LINK, "about.json": b"{}"}
    return {"paths.json": None, "files": b"lib/demo.txt\n"}


_LINK = b'{"noarch": {"type": "python", "entry_points": ["demo = demo:main"]}, "package_metadata_version": 1}'
_INDEX = (
    b'{"name": "demo", "version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch", "noarch": "python",'
    b' "depends": ["python >=3.8"], "constrains": [], "license": "MIT", "timestamp": 1600000000000, '
    b'"track_features": "", "python_site_packages_path": "lib/python3.12/site-packages", "extra_depends": {"a": ["b"]}}'
)
_PATHS = Conda(
    paths=[path_entry("lib/demo.txt", prefix_placeholder="/opt/placeholder", file_mode="text", no_link=False)]
).documents()["info/paths.json"]
_PLAIN = Conda()


def _tar() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in (*_PLAIN.documents().items(), ("lib/demo.txt", b"content\n"), ("lib/" + "é" * 120, b"long")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, kind in (("lib/link", tarfile.SYMTYPE), ("lib/hard", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "lib/demo.txt" if kind == tarfile.LNKTYPE else "demo.txt"
            tar.addfile(member)
    return made.getvalue()


def _payload() -> bytes:
    """The tar of the payload of a valid package."""
    with zipfile.ZipFile(io.BytesIO(_PLAIN.build())) as package:
        return next(package.read(name) for name in package.namelist() if name.startswith("pkg-"))


def _sdist(folder: Path) -> bytes:
    return make_sdist(folder, "demo", "1.0").read_bytes()


ARCHIVES = (
    Reader("wheel", _judge_wheel, (zip_bytes(_members()),)),
    Reader("wheel-METADATA", _wheel_with("METADATA"), (_members()[f"{_INFO}/METADATA"],)),
    Reader("wheel-RECORD", _wheel_with("RECORD"), (_members()[f"{_INFO}/RECORD"],)),
    Reader("wheel-WHEEL", _wheel_with("WHEEL"), (_members()[f"{_INFO}/WHEEL"],)),
    Reader("wheel-entry-points", _wheel_with("entry_points.txt"), (_members()[f"{_INFO}/entry_points.txt"],)),
    Reader("conda", _judge_conda, (Conda().build(), Conda(payload=[tar_file("lib/demo.txt")]).build())),
    Reader(
        "conda-zstd",
        lambda data, scratch: _judge_conda(Conda(tars={"pkg": data}).build(), scratch),
        (_payload(), zstd(_tar())),
    ),
    Reader("conda-bz2", _judge_bz2, (Conda().build_bz2(),)),
    Reader("conda-tar", _judge_tar, (_tar(),)),
    Reader("conda-index", _conda_with("index.json"), (_INDEX,)),
    Reader("conda-paths", _conda_with("paths.json"), (_PATHS,)),
    Reader("conda-link", _conda_with("link.json"), (_LINK,)),
    Reader("conda-about", _conda_with("about.json"), (b'{"home": "https://h/", "summary": "text", "license": "MIT"}',)),
    Reader(
        "conda-has-prefix", _conda_with("has_prefix"), (b'"/opt/place holder" text "lib/demo.txt"\nlib/demo.txt\n',)
    ),
    Reader("conda-files", _conda_with("files"), (b"lib/demo.txt\n",)),
    Reader("sdist", _judge_sdist, (), _sdist),
)
