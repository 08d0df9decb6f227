"""Odd wheels that pip installs: those that bridge accepts too, with its one remark, and those that it refuses."""

from __future__ import annotations

import base64
import bz2
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.builders import metadata_text, record_hash, wheel_members
from tests.support.hostile import Entry, Zip, unicode_extra, zip_of

__all__ = ["ACCEPTED", "INFO", "NAME", "REFUSED", "Odd", "write_odd"]

NAME = "demo-1.0-py3-none-any.whl"
INFO = "demo-1.0.dist-info"
INIT = "demo/__init__.py"
CODE = b"VERSION = 1\n"


def _hash(algorithm: str, data: bytes = CODE) -> str:
    return f"{algorithm}={base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b'=').decode()}"


HASH = record_hash(CODE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """How a wheel differs from a plain one.

    `row`: that of `demo/__init__.py` in RECORD; `rows`: further ones; `metadata`, `wheel`, `points`: those files;
    `files`: further files; `container`: makes the zip of the entries. `says`: a part of the remark, or of the reason.
    """

    says: str = ""
    row: str | None = None
    rows: Sequence[str] = ()
    metadata: bytes | None = None
    wheel: str | None = None
    points: str | None = None
    files: Mapping[str, bytes] | None = None
    container: Callable[[list[Entry]], bytes] | None = None
    drop: Sequence[str] = ()


def write_odd(folder: Path, odd: Odd) -> Path:
    """Write the wheel `demo 1.0` with one oddity."""
    members = wheel_members("demo", "1.0", files={INIT: CODE, **(odd.files or {})}, metadata=odd.metadata)
    del members[f"{INFO}/RECORD"]
    if odd.wheel is not None:
        members[f"{INFO}/WHEEL"] = odd.wheel.encode()
    if odd.points is not None:
        members[f"{INFO}/entry_points.txt"] = f"[console_scripts]\n{odd.points}\n".encode()
    rows = {name: f"{name},{record_hash(data)},{len(data)}" for name, data in members.items()}
    if odd.row is not None:
        rows[INIT] = odd.row
    kept = [row for name, row in rows.items() if name not in odd.drop]
    record = "\n".join([*kept, *odd.rows, f"{INFO}/RECORD,,"]) + "\n"
    entries = [Entry(name=name, data=data) for name, data in members.items()]
    entries.append(Entry(name=f"{INFO}/RECORD", data=record.encode()))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_bytes((odd.container or (lambda all_of_them: zip_of(*all_of_them)))(entries))
    return path


def _metadata(*lines: str, head: str = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n") -> bytes:
    return (head + "".join(f"{line}\n" for line in lines)).encode()


def _wheel(*lines: str, end: str = "\n") -> str:
    return end.join((*lines, "Root-Is-Purelib: true", "Tag: py3-none-any", ""))


def _first(**fields: object) -> Callable[[list[Entry]], bytes]:
    """The first entry, which is `demo/__init__.py`, with other fields."""
    return lambda entries: zip_of(Entry(name=INIT, data=CODE, **fields), *entries[1:])  # type: ignore[arg-type]


def _named(name: bytes) -> Callable[[list[Entry]], bytes]:
    """The second entry under another name in the zip."""
    return lambda entries: zip_of(entries[0], Entry(name=name, data=entries[1].data), *entries[2:])


DATA = "demo-1.0.data"
ACCEPTED: Mapping[str, Odd] = {
    "RECORD: another spelling of the dist-info (uv#13666)": Odd(
        drop=(f"{INFO}/METADATA", f"{INFO}/WHEEL"),
        rows=[
            f"Demo-1_0.dist-info/METADATA,{record_hash(metadata_text('demo', '1.0'))},",
            f"Demo-1_0.dist-info/WHEEL,{record_hash(wheel_members('demo', '1.0')[f'{INFO}/WHEEL'])},",
        ],
    ),
    "RECORD: spaces around the fields": Odd(row=f"{INIT}, {HASH}, 12"),
    "RECORD: empty fields at the end of a row": Odd(row=f"{INIT},{HASH},12,,"),
    "RECORD: no size": Odd(row=f"{INIT},{HASH}"),
    "RECORD: a size in words": Odd(row=f"{INIT},{HASH},twelve", says="a wrong size of demo/__init__.py"),
    "RECORD: a negative size": Odd(row=f"{INIT},{HASH},-1", says="a wrong size of demo/__init__.py"),
    "RECORD: blake2s": Odd(row=f"{INIT},{_hash('blake2s')},12"),
    "RECORD: SHA256": Odd(row=f"{INIT},{HASH.replace('sha256', 'SHA256')},12"),
    "RECORD: plain base64": Odd(
        row=f"{INIT},sha256={base64.b64encode(hashlib.sha256(CODE).digest()).decode()},12",
    ),
    "RECORD: a row of bytecode that is missing": Odd(
        rows=["demo/__pycache__/__init__.cpython-311.pyc,,"], says="a row of a file that an installer makes"
    ),
    "RECORD: rows of what an installer makes": Odd(
        rows=[f"{INFO}/INSTALLER,{record_hash(b'pip')},3", f"{INFO}/REQUESTED,,"],
        says="2 rows of files that an installer makes",
    ),
    "WHEEL: two equal versions": Odd(wheel=_wheel("Wheel-Version: 1.0", "Wheel-Version: 1.0"), says="occurs 2 times"),
    "WHEEL: version 1": Odd(wheel=_wheel("Wheel-Version: 1")),
    "WHEEL: version 1.0.0": Odd(wheel=_wheel("Wheel-Version: 1.0.0")),
    "WHEEL: version 0.1": Odd(wheel=_wheel("Wheel-Version: 0.1"), says="older than 1.0"),
    "WHEEL: a folded version": Odd(wheel=_wheel("Wheel-Version:\n 1.0")),
    "WHEEL: carriage returns": Odd(wheel=_wheel("Wheel-Version: 1.0", end="\r")),
    "METADATA: Name twice": Odd(metadata=_metadata("Name: Demo"), says="Name occurs several times"),
    "METADATA: Version twice": Odd(metadata=_metadata("Version: 1.0.0"), says="Version occurs several times"),
    "METADATA: two Requires-Python": Odd(
        metadata=_metadata("Requires-Python: >=3.8", "Requires-Python: >=3.9"), says="Requires-Python occurs several"
    ),
    "METADATA: a version that is none": Odd(metadata=_metadata(head="Metadata-Version: x\nName: demo\nVersion: 1.0\n")),
    "METADATA: a marker on the kernel": Odd(
        metadata=_metadata('Requires-Dist: other; platform_release >= "20.0"'), says="depends on the kernel"
    ),
    "entry point: a comment after #": Odd(points="x = demo:f # note", says="what follows demo:f: # note"),
    "entry point: a comment after ;": Odd(points="x = demo:f ; note", says="what follows demo:f: ; note"),
    "entry point: a call": Odd(points="x = demo:f()", says="what follows demo:f: ()"),
    "entry point: no identifier": Odd(points="x = demo:1f", says="nothing imports it"),
    "entry point: an extra (conda-pypi#477)": Odd(points="x = demo:f [cli]"),
    "WHEEL: empty tags (uv#2149)": Odd(wheel="Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: \nTag: -any\n"),
    "METADATA: Requires and Provides (wheelfile#13)": Odd(metadata=_metadata("Requires: other", "Provides: demo")),
    "data: static files (conda-pypi#151)": Odd(files={f"{DATA}/data/share/jupyter/x.json": b"{}"}),
    "entry point: @ in the name": Odd(points="demo@1 = demo:f"),
    "entry point: , in the name": Odd(points="a,b = demo:f"),
    "zip: padding in an extra field": Odd(container=_first(local_extra=b"\0\0\0")),
    "data: a directory libs": Odd(files={f"{DATA}/data/libs/x.txt": b"x"}),
}

REFUSED: Mapping[str, tuple[str, Odd]] = {
    "RECORD: md5": ("record-algorithm", Odd(row=f"{INIT},{_hash('md5')},12", says="another file with that hash")),
    "RECORD: sha1": ("record-algorithm", Odd(row=f"{INIT},{_hash('sha1')},12", says="another file with that hash")),
    "RECORD: an unknown algorithm": (
        "record-algorithm",
        Odd(row=f"{INIT},rot13=AAAA,12", says="nothing can be compared"),
    ),
    "RECORD: empty": (
        "record-invalid",
        Odd(drop=(INIT, f"{INFO}/METADATA", f"{INFO}/WHEEL"), says="nothing shows whether it belongs"),
    ),
    "RECORD: a file without a row": ("record-invalid", Odd(drop=(INIT,), says="nothing shows whether it belongs")),
    "RECORD: a file without a hash": (
        "record-invalid",
        Odd(row=f"{INIT},,12", says="nothing shows whether it was changed"),
    ),
    "RECORD: a row without a file": (
        "record-invalid",
        Odd(rows=[f"demo/gone.py,{HASH},12"], says="claims a file of another"),
    ),
    "RECORD: the directory of the installation (pip#14256)": (
        "record-invalid",
        Odd(rows=["./,,"], says="claims a file of another"),
    ),
    "RECORD: no rows of data files (uv#8798)": (
        "record-invalid",
        Odd(files={f"{DATA}/data/demo/x.dll": b"x"}, drop=(f"{DATA}/data/demo/x.dll",), says="nothing shows whether"),
    ),
    "RECORD: two hashes of a file": (
        "record-invalid",
        Odd(rows=[f"{INIT},{_hash('sha256', b'')},12"], says="neither can be trusted"),
    ),
    "RECORD: four fields": (
        "record-invalid",
        Odd(row=f"{INIT},{HASH},12,x", says="readers take different ones for the hash"),
    ),
    "RECORD: no CSV": ("record-invalid", Odd(rows=['"a,,'], says="readers find different rows")),
    "RECORD: a path outside": ("path-escape", Odd(rows=[f"../../../bin/x,{HASH},12"], says="outside the wheel")),
    "RECORD: another hash": ("record-hash", Odd(row=f"{INIT},{_hash('sha256', b'')},12", says="RECORD gives")),
    "METADATA: two names": ("metadata-invalid", Odd(metadata=_metadata("Name: evil"), says="different packages")),
    "METADATA: two versions": ("metadata-invalid", Odd(metadata=_metadata("Version: 2"), says="different packages")),
    "METADATA: a field after a form feed": (
        "metadata-invalid",
        Odd(metadata=_metadata("Summary: a\x0cName: evil"), says="hide some from a part of its readers"),
    ),
    "METADATA: version 3": (
        "metadata-invalid",
        Odd(metadata=_metadata(head="Metadata-Version: 3.0\nName: demo\nVersion: 1.0\n"), says="fields may mean other"),
    ),
    "METADATA: another version": (
        "wheel-name",
        Odd(metadata=metadata_text("demo", "2.0"), says="tools take it for different packages"),
    ),
    "METADATA: a requirement by URL": (
        "requirement-untranslatable",
        Odd(metadata=_metadata("Requires-Dist: other @ https://h/other-1-py3-none-any.whl"), says="somebody else's"),
    ),
    "entry point: a path": ("entry-point", Odd(points="a/b = demo:f", says="could read as something else")),
    "entry point: an option": ("entry-point", Odd(points="-x = demo:f", says="could read as something else")),
    "entry point: a hidden file": ("entry-point", Odd(points=".x = demo:f", says="could read as something else")),
    "entry point: a continued line": (
        "entry-point",
        Odd(points="x = demo:f\n y = demo:g", says="continues another only for some readers"),
    ),
    "entry point: python": ("reserved-path", Odd(points="python = demo:f", says="belongs to python")),
    "data: a dist-info": (
        "wheel-dist-info",
        Odd(files={f"{DATA}/purelib/other-2.dist-info/METADATA": b"x"}, says="take for another package"),
    ),
    "data: two files for one place": (
        "path-collision",
        Odd(files={f"{DATA}/purelib/{INIT}": b"other"}, says="hide it from a reader"),
    ),
    "data: a record of conda": (
        "reserved-path",
        Odd(files={f"{DATA}/data/conda-meta/x.json": b"{}"}, says="conda-meta belongs to the environment"),
    ),
    "data: a script of conda's": (
        "reserved-path",
        Odd(files={f"{DATA}/data/etc/conda/activate.d/x.sh": b"x"}, says="run it when the environment is activated"),
    ),
    "data: a library of python's": (
        "reserved-path",
        Odd(files={f"{DATA}/data/lib/libssl.so.3": b"x"}, says="a package that python needs"),
    ),
    "zip: bzip2": ("zip-method", Odd(container=_first(method=12, packed=bz2.compress(CODE)), says="hides the content")),
    "zip: a name without an encoding": (
        "zip-name",
        Odd(files={"demo/é.txt": b"x"}, container=_named("demo/é.txt".encode()), says="give it different names"),
    ),
    "zip: a dotted path": (
        "zip-name",
        Odd(files={"demo/x.txt": b"x"}, container=_named(b"./demo/x.txt"), says="could hide another member"),
    ),
    "zip: another name in an extra field": (
        "zip-name",
        Odd(container=_first(central_extra=unicode_extra(b"demo/evil.py", INIT.encode())), says="another name"),
    ),
    "zip: bytes before it": (
        "zip-frame",
        Odd(container=lambda entries: Zip(entries=entries, prefix=b"#!/bin/sh\n").build(), says="in different ways"),
    ),
    "zip: bytes after it": (
        "zip-frame",
        Odd(container=lambda entries: Zip(entries=entries, suffix=b"\0" * 8).build(), says="in different ways"),
    ),
    "zip: a member twice": (
        "zip-duplicate",
        Odd(container=lambda entries: zip_of(*entries, entries[0]), says="in different ways"),
    ),
    "zip: a member that the directory does not list": (
        "zip-mismatch",
        Odd(
            container=lambda entries: zip_of(*entries, Entry(name="demo/hidden.py", hidden=True)),
            says="in different ways",
        ),
    ),
    "zip: sizes that differ": ("zip-mismatch", Odd(container=_first(local={"size": 1}), says="in different ways")),
    "zip: a symbolic link": ("zip-type", Odd(container=_first(mode=0o120777), says="lead outside the archive")),
}
