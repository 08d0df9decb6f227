"""Readers of texts and documents: what channels, indexes, files of requirements and environments say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import msgpack
import zstandard

from bridge import prefix as prefixes
from bridge.archive.record import read_record
from bridge.channels.repodata.shards import read_index, read_shard
from bridge.index.simple_api import Source, parse_page
from bridge.prefix.records import Reader as RecordReader
from bridge.requirements import algebra
from bridge.requirements.files.reading import read
from bridge.transaction.journal import line, read_journal, read_prunable, read_swap
from converters.metadata import parse_metadata
from converters.record import conda_record
from converters.wheel import parse_wheel_name
from tests.fuzz.values import Reader
from tests.support.builders import install_distribution, install_record, metadata_text

__all__ = ["TEXTS"]

_SITE = "lib/python3.12/site-packages"
_URL = "https://index.example/simple/demo/"
_ENVIRONMENT = {
    "python_version": "3.12",
    "python_full_version": "3.12.1",
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "implementation_name": "cpython",
    "implementation_version": "3.12.1",
}


def _requirement(data: bytes, scratch: Path) -> None:
    found = algebra.parse(data.decode("utf-8", "surrogateescape"))
    if found.specifier is not None:
        algebra.specifier_accepts(found.specifier, "1.0")
        algebra.pins(found.specifier, "1.0")
    if found.marker is not None:
        algebra.marker_holds(found.marker, _ENVIRONMENT)
    if found.conda is not None:
        record = conda_record({"name": "demo", "version": "1.0", "build": "0", "depends": []})
        found.conda.accepts_version("1.0")
        found.conda.accepts_build("py312_0", 0)
        found.conda.accepts_artifact(record)
        if found.conda.condition is not None:
            algebra.conditions_of(found.conda)


def _wheel_name(data: bytes, scratch: Path) -> None:
    parse_wheel_name(data.decode("utf-8", "surrogateescape"))


def _repodata(data: bytes, scratch: Path) -> None:
    """The record of a channel's JSON; that it is JSON, rattler or another reader has found before."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        record = conda_record(document)
        for text in record.requirements:
            _requirement(text.encode("utf-8", "surrogatepass"), scratch)


def _record_rows(data: bytes, scratch: Path) -> None:
    read_record(data, "demo.whl", "RECORD", frozenset(), 100, ())


def _file(name: str) -> Callable[[bytes, Path], None]:
    def read_file(data: bytes, scratch: Path) -> None:
        path = scratch / name
        path.write_bytes(data)
        read(path, environ={})

    return read_file


def _page(kind: str) -> Callable[[bytes, Path], None]:
    def read_page(data: bytes, scratch: Path) -> None:
        parse_page(data, kind, Source(url=_URL, origin=_URL, project="demo"))

    return read_page


def _conda_meta(data: bytes, scratch: Path) -> None:
    path = scratch / "conda-meta/demo-1.0-0.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    RecordReader(prefix=str(scratch)).record("conda-meta/demo-1.0-0.json")
    RecordReader(prefix=str(scratch)).record("conda-meta/demo-1.0-0.json")
    prefixes.read(scratch)


def _dist_info(member: str) -> Callable[[bytes, Path], None]:
    def read_one(data: bytes, scratch: Path) -> None:
        info = scratch / _SITE / "demo-1.0.dist-info"
        if not info.exists():
            install_distribution(scratch, _SITE, "demo", "1.0")
        kept = (info / member).read_bytes() if (info / member).exists() else None
        (info / member).write_bytes(data)
        try:
            RecordReader(prefix=str(scratch)).distribution(f"{_SITE}/demo-1.0.dist-info")
        finally:
            (info / member).unlink() if kept is None else (info / member).write_bytes(kept)

    return read_one


def _journal(data: bytes, scratch: Path) -> None:
    read_journal(data)


def _plan(data: bytes, scratch: Path) -> None:
    read_swap(data)
    read_prunable(data)


def _shards(data: bytes, scratch: Path) -> None:
    packed = zstandard.compress(data)
    digest = hashlib.sha256(packed).digest()
    for _, record in read_shard(packed, "demo", digest, _URL):
        conda_record(record)


def _shard_index(data: bytes, scratch: Path) -> None:
    read_index(zstandard.compress(data), _URL, ())


def _made_record(folder: Path) -> bytes:
    made = install_record(
        folder,
        "demo",
        "1.0",
        files={"lib/a": b"x"},
        links={"lib/b": "a"},
        requested_spec="demo",
        purls=["pkg:pypi/demo@1.0"],
        timestamp=1600000000000,
        sha256="a" * 64,
    )
    return made.read_bytes()


_RECORD = {
    "name": "demo",
    "version": "1.0",
    "build": "py312_0",
    "build_number": 0,
    "subdir": "linux-64",
    "size": 10,
    "depends": ["python >=3.8,<4", "a 1.* *_0", "b[build_number='>3']"],
    "constrains": ["c <2"],
    "timestamp": 16e8,
    "sha256": b"a" * 32,
    "track_features": "x",
    "purls": ["pkg:pypi/demo@1.0"],
    "license": "MIT",
}
_TEXT_RECORD = json.dumps({**_RECORD, "sha256": "a" * 64, "timestamp": 1600000000000}).encode()
_JSON_PAGE = json.dumps(
    {
        "meta": {"api-version": "1.1", "project-status": {"status": "archived"}},
        "name": "demo",
        "files": [
            {
                "filename": "demo-1.0-py3-none-any.whl",
                "url": "../../f/demo-1.0-py3-none-any.whl",
                "size": 10,
                "hashes": {"sha256": "a" * 64},
                "requires-python": ">=3.8",
                "yanked": "broken",
                "core-metadata": True,
                "upload-time": "2026-01-01T00:00:00.000000Z",
            },
            {"filename": "demo-1.0.tar.gz", "url": "https://h/demo-1.0.tar.gz", "hashes": {}},
        ],
    }
).encode()
_HTML = (
    b'<!DOCTYPE html><html><head><meta charset="utf-8"><meta name="pypi:repository-version" content="1.1">'
    b'<base href="/f/">'
    b'</head><body><!-- c --><a href="demo-1.0-py3-none-any.whl#sha256='
    + b"a"
    * 64
    + b'" data-requires-python="&gt;=3.8"'
    b' data-yanked="x" data-core-metadata="sha256=' + b"b" * 64 + b'">demo-1.0-py3-none-any.whl</a></body></html>'
)
_PYLOCK = b"""lock-version = "1.0"
environments = ["sys_platform == 'linux'"]
requires-python = ">=3.8"
created-by = "test"
[[packages]]
name = "demo"
version = "1.0"
marker = "python_version > '3.8'"
[[packages.wheels]]
name = "demo-1.0-py3-none-any.whl"
url = "https://h/demo-1.0-py3-none-any.whl"
upload-time = 2026-01-01T00:00:00Z
size = 10
hashes = {sha256 = "%s"}
""" % (b"a" * 64)
_PYPROJECT = b"""[project]
name = "demo"
version = "1.0"
dependencies = ["a>=1; python_version > '3.8'"]
[project.optional-dependencies]
fast = ["b"]
[dependency-groups]
test = ["c", {include-group = "x"}]
x = []
[tool.bridge]
dependencies = ["d >=1"]
"""
_PIP = (
    b"# c\na==1.0 --hash=sha256:"
    + b"a" * 64
    + b"\nb[c]==2 ; python_version<'4' \\\n  --hash=sha256:"
    + b"b" * 64
    + b" # d\n"
)
_PIP_REFUSED = (
    _PIP
    + b"z @ https://h/z-1-py3-none-any.whl\n--index-url https://u:p@h/s\n-e ./x\n./y.whl\n--no-binary :all:\n${HOME}\n"
)
_PIP_MALFORMED = (b"http://[x\n", b"a @ file://[x\n", b"./" + b"a" * 300 + b".whl\n", b"a @ ./x\0.whl\n")
_ROWS = b'"a,b.py",sha256=' + b"a" * 43 + b",10\nRECORD,,\n"
_YAML = (
    b"name: x\nchannels: [conda-forge, nodefaults]\ndependencies:\n - python >=3.8\n - a=1=*_0\n - pip:\n   - b==1\n"
    b"variables: {A: b}\nprefix: /x\n"
)
_EXPLICIT = b"@EXPLICIT\nhttps://h/c/linux-64/demo-1.0-0.conda#" + b"a" * 32 + b"\n"
_SHARD = {
    "packages": {},
    "packages.conda": {"demo-1.0-py312_0.conda": {**_RECORD, "timestamp": 1600000000000}},
    "removed": [],
}
_SHARDS = {"info": {"base_url": "", "shards_base_url": "./s/"}, "version": 1, "shards": {"demo": b"a" * 32}}
_SWAP = {
    "format": 1,
    "made": [["lib", 493]],
    "prunable": ["lib"],
    "steps": [{"path": "lib/a", "before": None, "after": {"kind": "file", "sha256": "a" * 64}, "staged": [1, 2, 3]}],
}

_PIXI_LOCK = b"""version: 6
environments:
  default:
    channels:
    - url: https://c/c/
    indexes:
    - https://i/simple
    packages:
      linux-64:
      - conda: https://c/c/noarch/x-1-pyh0_0.conda
      - pypi: https://h/y-1.0-py3-none-any.whl
      - pypi: ./app
      - pypi: git+https://h/o/n.git?rev=main#cccccccccccccccccccccccccccccccccccccccc
packages:
- conda: https://c/c/noarch/x-1-pyh0_0.conda
  sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  depends:
  - python >=3.9
- pypi: https://h/y-1.0-py3-none-any.whl
  name: y
  version: '1.0'
  sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  requires_dist:
  - z ; extra == 'e'
- pypi: ./app
  name: app
  version: '1.0'
  editable: true
- pypi: git+https://h/o/n.git?rev=main#cccccccccccccccccccccccccccccccccccccccc
  name: n
  version: '1.0'
"""
_CONDA_LOCK = b"""version: 1
metadata:
  channels: [{url: conda-forge, used_env_vars: []}]
  platforms: [linux-64]
package:
- name: x
  version: '1'
  manager: conda
  platform: linux-64
  dependencies: {python: '>=3.9'}
  url: https://c/c/noarch/x-1-pyh0_0.conda
  hash: {md5: dddddddddddddddddddddddddddddddd}
  category: main
- name: y
  version: '1.0'
  manager: pip
  platform: linux-64
  dependencies: {}
  url: https://h/y-1.0-py3-none-any.whl
  hash: {sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}
"""
_UV_LOCK = b"""version = 1
revision = 3
requires-python = ">=3.9"
[[package]]
name = "app"
version = "0.1"
source = { editable = "." }
dependencies = [{ name = "y", extra = ["e"], marker = "python_full_version < '3.12'" }]
[package.dev-dependencies]
dev = [{ name = "g" }]
[[package]]
name = "y"
version = "1.0"
source = { registry = "https://i/simple" }
[[package.wheels]]
url = "https://h/y-1.0-py3-none-any.whl"
hash = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
[package.optional-dependencies]
e = [{ name = "g", marker = "sys_platform == 'linux'" }]
[[package]]
name = "g"
version = "2.0"
source = { git = "https://h/g?rev=main#cccccccccccccccccccccccccccccccccccccccc" }
"""

TEXTS = (
    Reader(
        "requirement",
        _requirement,
        (
            b"a[b]>=1,!=2.*; python_version < '3' and extra == 'x'",
            b"a @ https://h/a.whl",
            b"conda-forge::numpy >=1.2,<3|4.* py312*_0",
            b"a[version='>=1',build='*_0',build_number='>=2',md5=aa]",
            b"conda:libgdal=3.9=*_0",
            b"pypi:torch[a]~=2.1",
            b"./dist/x-1.0-py3-none-any.whl",
            b"a ==1.* ^py3.*$",
        ),
    ),
    Reader("wheel-name", _wheel_name, (b"a_b-1.0-1x-cp312.cp313-abi3.none-manylinux_2_17_x86_64.any.whl",)),
    Reader(
        "metadata",
        lambda data, scratch: parse_metadata(data, "METADATA"),
        (metadata_text("demo", "1.0", requires=["a>=1; extra == 'x'"], extras=["x"], headers=["License: MIT"]),),
    ),
    Reader("record", _record_rows, (_ROWS, b"b.py,sha512=,\n" + _ROWS)),
    Reader("repodata-record", _repodata, (_TEXT_RECORD,)),
    Reader("shard", _shards, (msgpack.packb(_SHARD),)),
    Reader("shard-index", _shard_index, (msgpack.packb(_SHARDS),)),
    Reader("page-json", _page("application/vnd.pypi.simple.v1+json"), (_JSON_PAGE,)),
    Reader("page-html", _page("text/html; charset=utf-8"), (_HTML,)),
    Reader("requirements.txt", _file("requirements.txt"), (_PIP, _PIP_REFUSED, *_PIP_MALFORMED)),
    Reader("environment.yml", _file("environment.yml"), (_YAML,)),
    Reader("pyproject.toml", _file("pyproject.toml"), (_PYPROJECT,)),
    Reader("pylock.toml", _file("pylock.toml"), (_PYLOCK,)),
    Reader("pixi.lock", _file("pixi.lock"), (_PIXI_LOCK,)),
    Reader("conda-lock.yml", _file("conda-lock.yml"), (_CONDA_LOCK,)),
    Reader("uv.lock", _file("uv.lock"), (_UV_LOCK,)),
    Reader("explicit", _file("explicit.txt"), (_EXPLICIT,)),
    Reader("conda-meta", _conda_meta, (), _made_record),
    Reader("dist-info-METADATA", _dist_info("METADATA"), (metadata_text("demo", "1.0", requires=["a>=1"]),)),
    Reader(
        "dist-info-RECORD", _dist_info("RECORD"), (b"demo/__init__.py,sha256=" + b"a" * 43 + b",0\n../../bin/x,,\n",)
    ),
    Reader(
        "dist-info-direct-url",
        _dist_info("direct_url.json"),
        (b'{"url": "https://h/a.whl", "archive_info": {"hashes": {"sha256": "aa"}}}',),
    ),
    Reader("dist-info-WHEEL", _dist_info("WHEEL"), (b"Wheel-Version: 1.0\nTag: py3-none-any\n",)),
    Reader("journal", _journal, (line("PLANNED") + line("STAGED") + line("SWAPPING", plan="aa"),)),
    Reader("plan", _plan, (json.dumps(_SWAP).encode(),)),
)
