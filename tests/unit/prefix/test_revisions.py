"""The revisions of conda-meta/history are those that conda lists, and snapshots keep what records state."""

from __future__ import annotations

import pytest

from bridge.errors import UnsafeInputError
from bridge.prefix.revisions import (
    identity_of,
    parse_revisions,
    read_snapshot,
    state_after,
    write_snapshot,
)

# As conda 4 to 26 and mamba wrote them: a revision without signs lists the whole state.
HISTORY = """
# a comment before
==> 2020-01-01 10:00:00 <==
# cmd: conda create -n x a
ch/linux-64::a-1-0
ch/noarch::b-1-0
==> 2020-01-02 10:00:00 <==
# cmd: conda install c
# conda version: 4.8.0
-ch/linux-64::a-1-0
+ch/linux-64::a-2-0
+ch/noarch::c-1-py_0
# update specs: ['c']
==> 2020-01-03 10:00:00 <==
# neutered specs: []
"""


def test_revisions_are_numbered_and_compared_as_conda_does() -> None:
    found = parse_revisions(HISTORY)
    assert [(each.number, each.date, each.command) for each in found] == [
        (0, "2020-01-01 10:00:00", "conda create -n x a"),
        (1, "2020-01-02 10:00:00", "conda install c"),
        (2, "2020-01-03 10:00:00", ""),
    ]
    assert [(each.added, each.removed) for each in found] == [
        (("ch/linux-64::a-1-0", "ch/noarch::b-1-0"), ()),
        (("ch/linux-64::a-2-0", "ch/noarch::c-1-py_0"), ("ch/linux-64::a-1-0",)),
        ((), ()),
    ]
    assert state_after(found) == {"ch/linux-64::a-2-0", "ch/noarch::b-1-0", "ch/noarch::c-1-py_0"}


@pytest.mark.parametrize("text", ["ch/linux-64::a-1-0", "ch::a-1-0", "a-1-0.tar.bz2", "ch/noarch::a-1-0.conda"])
def test_the_forms_of_a_package(text: str) -> None:
    assert identity_of(text) == "a-1-0"


@pytest.mark.parametrize("text", ["", "no header\n+a-1-0\n", "\0"])
def test_what_is_no_history_has_no_revisions(text: str) -> None:
    assert parse_revisions(text) == ()


def test_a_snapshot_is_read_as_it_was_written() -> None:
    document = {
        "name": "a", "version": "1", "build": "0", "build_number": 0, "subdir": "noarch", "depends": ["b"],
        "url": "https://c.example/x/noarch/a-1-0.conda", "channel": "https://c.example/x", "fn": "a-1-0.conda",
        "sha256": "a" * 64, "requested_specs": ["a >=1"], "license_family": "MIT",
    }  # fmt: skip
    data = write_snapshot([document], date="2020-01-01 10:00:00")
    assert data == write_snapshot([dict(reversed(document.items()))], date="2020-01-01 10:00:00")
    date, (package,) = read_snapshot(data, "a snapshot")
    assert (date, package.requested) == ("2020-01-01 10:00:00", ("a >=1",))
    assert package.record.requirements == ("b",)
    assert dict(package.record.others) == {"license_family": "MIT"}


@pytest.mark.parametrize(
    "packages",
    [{"name": "../a"}, {"name": "a", "version": "1", "build": "/"}, {}, {"name": 7}],
    ids=["name", "build", "empty", "type"],
)
def test_a_snapshot_of_anything_else_is_refused(packages: dict[str, object]) -> None:
    with pytest.raises(UnsafeInputError, match="not a snapshot"):
        read_snapshot(write_snapshot([packages], date=""), "a snapshot")
