"""Damaged environments of `test_audit.py`, as data: damage whose consequences are not reported again."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.support.audit_cases import INFO, Case, Expected, do, put
from tests.support.builders import metadata_text, record_hash
from tests.support.prefixes import SITE, PrefixBuilder, digest

MODULE = f"{SITE}/rich/__init__.py"
LISTING = f"{INFO}/RECORD"
RICH = "conda-meta/rich-13.0-0.json"
UNMANAGED: Expected = ("unmanaged-distribution", "info", INFO, "pip:rich-13.0", None)


def listing(name: str, change: Callable[[bytes], bytes], *found: Expected) -> Case:
    """What pip put there, with another RECORD."""

    def build(made: PrefixBuilder) -> None:
        files = {MODULE: b"VERSION = 13\n", f"{SITE}/rich/_more.py": b"MORE = 1\n"}
        laid = made.distribution("rich", "13.0", files)
        made.write(LISTING, change(laid[LISTING]))

    return Case(name, build, (UNMANAGED, *found))


def broken(path: str = LISTING, owner: str | None = "pip:rich-13.0") -> Expected:
    return ("broken-record", "error", path, owner, None)


def record(name: str, change: Callable[[bytes], bytes], owner: str | None = None) -> Case:
    """A conda package of a python project that another needs, with another conda-meta record."""

    def build(made: PrefixBuilder) -> None:
        made.conda_python("rich", "13.0", installer="conda")
        made.wheel("black", "1", requires=["rich>=13"])
        made.conda("tool", "1", {}, depends=["rich >=13"])
        made.write(RICH, change((made.root / RICH).read_bytes()))

    return Case(name, build, (broken(RICH, owner),))


def _left_behind(made: PrefixBuilder) -> None:
    """A virtual environment in which an upgrade left the old dist-info."""
    (made.root / "conda-meta").rename(made.root.parent / "no-conda-meta")
    made.write("pyvenv.cfg", b"version = 3.12.4\n")
    old = {f"{SITE}/rich/__init__.py": b"VERSION = 12\n", f"{SITE}/rich/gone.py": b""}
    made.distribution("rich", "12.0", old)
    (made.root / f"{SITE}/rich/gone.py").unlink()
    made.distribution("rich", "13.0", {MODULE: b"VERSION = 13\n"})


def _other_installer(made: PrefixBuilder) -> None:
    """An INSTALLER of a few bytes that another package promises for its own."""
    made.conda_python("pip", "25", installer="pip")
    made.conda_python("rich", "13.0", installer="conda")
    made.write(f"{INFO}/INSTALLER", b"pip\n")


def _linked(made: PrefixBuilder, target: str) -> None:
    """A link whose record has the sha256 of its text, as rattler writes it, and that of no bytes for what is packed."""
    files = {"bin/tool-1": b"#!/bin/sh\n", "bin/other": b"#!/bin/sh\necho\n"}
    made.conda("tool", "1", files, links={"bin/tool": "tool-1"})
    path = made.root / "conda-meta/tool-1-0.json"
    document = json.loads(path.read_bytes())
    document["paths_data"]["paths"][-1]["sha256_in_prefix"] = digest(b"tool-1")
    path.write_text(json.dumps(document))
    for name in files:
        (made.root / name).chmod(0o755)
    (made.root / "bin/tool").unlink()
    (made.root / "bin/tool").symlink_to(target)


CONSEQUENCES = [
    listing("RECORD with Windows line ends", lambda data: data.replace(b"\n", b"\r\n")),
    listing("RECORD without a line end", lambda data: data.rstrip(b"\n")),
    listing("RECORD with a byte order mark", lambda data: b"\xef\xbb\xbf" + data, broken()),
    listing("RECORD that is empty", lambda data: b"", broken()),
    listing("RECORD in UTF-16", lambda data: data.decode().encode("utf-16"), broken()),
    listing("RECORD that was cut short", lambda data: data[: data.index(b"_more.py") + 12], broken()),
    listing("RECORD with tabs", lambda data: data.replace(b",", b"\t"), broken()),
    listing("RECORD with a quote that nobody closes", lambda data: data + b'"rich/more.py,,\n', broken()),
    listing(
        "RECORD with the size of another file",
        lambda data: data.replace(
            record_hash(b"MORE = 1\n").encode() + b",9", record_hash(b"MORE = 1\n").encode() + b",8"
        ),
        ("record-lies", "warning", f"{SITE}/rich/_more.py", "pip:rich-13.0", None),
    ),
    record("a record that was cut short", lambda data: data[: len(data) // 2]),
    record("a record of NULs", lambda data: bytes(len(data))),
    record("a record in UTF-16", lambda data: data.decode().encode("utf-16")),
    record("a record without its files", lambda data: data.replace(b'"paths_data"', b'"path_data"')),
    record(
        "a record with a null",
        lambda data: data.replace(b'"constrains": []', b'"constrains": null'),
        "conda:rich-13.0-0",
    ),
    Case(
        "what an upgrade left of pip's",
        _left_behind,
        (
            ("duplicate-distribution", "error", f"{SITE}/rich-12.0.dist-info", "pip:rich-12.0", "pip:rich-13.0"),
            ("clobbered-file", "warning", MODULE, "pip:rich-12.0", "pip:rich-13.0"),
        ),
    ),
    Case(
        "no more than METADATA of an older version",
        do(
            lambda made: made.distribution("rich", "13.0"),
            put(f"{SITE}/rich-9.dist-info/METADATA", metadata_text("rich", "9")),
        ),
        (
            UNMANAGED,
            ("duplicate-distribution", "error", f"{SITE}/rich-9.dist-info", "unknown:rich-9", "pip:rich-13.0"),
            ("distribution-without-record", "error", f"{SITE}/rich-9.dist-info", "unknown:rich-9", None),
            ("unmanaged-distribution", "info", f"{SITE}/rich-9.dist-info", "unknown:rich-9", None),
        ),
    ),
    Case(
        "garbage in the RECORD of a conda package: nobody wrote over it",
        do(lambda made: made.conda_python("rich", "13.0", installer="conda"), put(LISTING, b"\xff\xfe\x00")),
        (
            broken(owner="conda:rich-13.0-0"),
            ("modified-file", "error", LISTING, "conda:rich-13.0-0", None),
        ),
    ),
    Case(
        "the corpse of a dist-info meets no requirement",
        do(lambda made: made.wheel("black", "1", requires=["rich"]), put(f"{INFO}/REQUESTED", b"")),
        (
            ("distribution-without-metadata", "error", f"{INFO}/METADATA", "unknown:rich-13.0", None),
            ("unmet-requirement", "error", "conda-meta/black-1-py3_none_any_0.json", "wheel:black-1", None),
        ),
    ),
    Case("links as rattler records them", lambda made: _linked(made, "tool-1")),
    Case(
        "a link that leads to another file now",
        lambda made: _linked(made, "other"),
        (("modified-file", "error", "bin/tool", "conda:tool-1-0", None),),
    ),
    Case(
        "a few bytes that others promise too name nobody",
        _other_installer,
        (
            ("modified-file", "error", f"{INFO}/INSTALLER", "conda:rich-13.0-0", None),
            ("installer-lies", "info", INFO, "conda:rich-13.0-0", None),
            ("installer-lies", "info", f"{SITE}/pip-25.dist-info", "conda:pip-25-0", None),
        ),
    ),
]
