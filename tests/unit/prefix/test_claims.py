"""The table of claims says what the records say, and nothing else in a prefix changes it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import prefix
from bridge.audit.queries import ownership
from bridge.model import Distribution, Entry, Fingerprint, Installed, PrefixState
from bridge.paths import OWN
from bridge.prefix.claims import Claim, claiming, claims_of, unmanaged
from converters.record import Record
from tests.support.builders import install_distribution, install_record, make_conda, make_repodata
from tests.support.command_line import Bridge

SITE = "lib/python3.11/site-packages"
SHARED = f"{SITE}/google/__init__.py"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Two conda packages that share a file, a wheel that bridge recorded, and one that pip put there on its own."""
    install_record(tmp_path, "a", "1.0", files={SHARED: b"", "share/a": b"a"}, links={"lib/a.so": "a.so.1"})
    install_record(tmp_path, "b", "2.0", files={SHARED: b""})
    info = install_distribution(tmp_path, SITE, "rich", "13.0", installer="bridge")
    files = {f"{SITE}/{info.name}/{path.name}": path.read_bytes() for path in info.iterdir()}
    install_record(tmp_path, "rich", "13.0", build="py3_none_any_0", files=files, fn="rich-13.0-py3-none-any.whl")
    install_distribution(tmp_path, SITE, "stray", "3.0", files={"stray.py": b"x"})
    return tmp_path


def said(claims: Sequence[Claim]) -> list[tuple[str, Fingerprint]]:
    return [(claim.owner.label, claim.entry.fingerprint) for claim in claims]


def test_every_path_has_its_owners_and_what_they_promise(environment: Path) -> None:
    claims = claims_of(prefix.read(environment))
    table = claims.by_path
    empty = Fingerprint(kind="file", sha256=sha256(b""), size=0)
    assert said(table[SHARED]) == [("conda:a-1.0-0", empty), ("conda:b-2.0-0", empty)]
    assert said(table["lib/a.so"]) == [("conda:a-1.0-0", Fingerprint(kind="symlink"))]
    assert said(table["conda-meta/a-1.0-0.json"]) == [("conda:a-1.0-0", Fingerprint(kind="file"))]
    assert said(table[f"{SITE}/stray.py"])[0][0] == "pip:stray-3.0"
    assert [owner.label for owner in claims.owners] == [
        "conda:a-1.0-0",
        "conda:b-2.0-0",
        "wheel:rich-13.0",
        "pip:stray-3.0",
    ]
    assert [owner.is_managed for owner in claims.owners] == [True, True, True, False]
    assert "absent" not in table
    assert table.get("absent") is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (SHARED, ("conda:a-1.0-0", "conda:b-2.0-0")),
        (f"{SITE}/google/__pycache__/__init__.cpython-311.pyc", ("conda:a-1.0-0", "conda:b-2.0-0")),
        (f"{SITE}/__pycache__/stray.cpython-311.opt-1.pyc", ("pip:stray-3.0",)),
        (f"{SITE}/rich-13.0.dist-info/METADATA", ("wheel:rich-13.0",)),
        ("conda-meta/a-1.0-0.json", ("conda:a-1.0-0",)),
        ("conda-meta/../share//a", ("conda:a-1.0-0",)),
        ("share/nobody", ()),
    ],
)
def test_who_owns_a_path(environment: Path, path: str, expected: tuple[str, ...]) -> None:
    assert tuple(each.owner for each in ownership(prefix.read(environment), path).owners) == expected


def test_what_leaves_claims_nothing_and_takes_its_distribution_along(environment: Path) -> None:
    state = prefix.read(environment)
    rich = next(each for each in state.installed if each.record.name == "rich")
    stray = next(each for each in state.distributions if each.name == "stray")
    claims = claims_of(state, without=(rich, stray))
    assert [owner.label for owner in claims.owners] == ["conda:a-1.0-0", "conda:b-2.0-0"]
    assert set(claims.by_path) == {
        SHARED, "share/a", "lib/a.so", "conda-meta/a-1.0-0.json", "conda-meta/b-2.0-0.json"
    }  # fmt: skip
    assert claims.coverage == {}


# --- against a plain table --------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.sampled_from(["x", "y", "s/m.py", "s/c.dist-info/METADATA", "s/c.dist-info/RECORD", "s/b.egg-info"])
HASHES = st.none() | st.sampled_from(["1" * 64, "2" * 64])
FINGERPRINTS = st.builds(Fingerprint, kind=st.just("file"), sha256=HASHES) | st.just(Fingerprint(kind="symlink"))
ENTRIES = st.lists(st.builds(Entry, path=PATHS, fingerprint=FINGERPRINTS), unique_by=lambda each: each.path)


@st.composite
def states(draw: st.DrawFn) -> PrefixState:
    installed = [
        Installed(
            record=Record(
                name=name, version="1", build="0", subdir="noarch", ecosystem=draw(st.sampled_from(["conda", "wheel"]))
            ),
            meta_path=f"conda-meta/{name}-1-0.json",
            entries=tuple(draw(ENTRIES)),
        )
        for name in draw(st.lists(NAMES, unique=True))
    ]
    distributions = [
        Distribution(
            path=path, name=path[2], version="1", installer="pip", entries=draw(st.none() | ENTRIES.map(tuple))
        )
        for path in draw(st.lists(st.sampled_from(["s/c.dist-info", "s/b.egg-info", "s/d.dist-info"]), unique=True))
    ]
    return PrefixState(prefix=Path("/p"), installed=tuple(installed), distributions=tuple(distributions))


def plain_table(state: PrefixState, gone: Sequence[str]) -> dict[str, list[tuple[str, Fingerprint]]]:
    """The same, path by path."""
    found: dict[str, list[tuple[str, Fingerprint]]] = {}
    for installed in state.installed:
        own = Entry(path=installed.meta_path, fingerprint=Fingerprint(kind="file"))
        for entry in (*installed.entries, own) if installed.meta_path not in gone else ():
            found.setdefault(entry.path, []).append((installed.record.label, entry.fingerprint))
    recorded = {entry.path for installed in state.installed for entry in installed.entries}
    for each in state.distributions:
        is_covered = any(f"{each.path}{name}" in recorded for name in ("", "/METADATA", "/RECORD"))
        for entry in each.entries or () if not is_covered and each.path not in gone else ():
            found.setdefault(entry.path, []).append((f"pip:{each.name}-1", entry.fingerprint))
    return found


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(state=states(), data=st.data())
def test_the_table_is_the_records_turned_round(state: PrefixState, data: st.DataObject) -> None:
    """MUST: ownership, audit, owner, remove and the transaction see exactly the claims that the records make."""
    everything: list[Installed | Distribution] = [*state.installed, *unmanaged(state)]
    gone = data.draw(st.lists(st.sampled_from(everything), unique_by=id)) if everything else []
    keys = [each.meta_path if isinstance(each, Installed) else each.path for each in gone]
    claims = claims_of(state, without=gone)
    table = claims.by_path
    expected = plain_table(state, keys)
    assert {path: said(held) for path, held in table.items()} == expected
    assert set(table) == set(expected) == table.keys()
    assert {path: said(held) for path, held in table.shared} == {
        path: held for path, held in expected.items() if len(held) > 1
    }
    for path, held in expected.items():
        promised = [fingerprint.sha256 for _, fingerprint in held if fingerprint.sha256]
        assert table.promise(path) == next(iter(promised), None)
        assert (path in table.hashed()) == bool(promised)
        owner = table.owner(path)
        assert owner is not None
        assert owner.label == held[0][0]
    if not gone:
        assert {path for entries in claiming(state) for path in entries.hashed()} == set(table.hashed())
    wanted = {"1" * 64}
    assert sorted((claim.entry.path, claim.owner.label) for claim in table.promising(wanted)) == sorted(
        (path, label) for path, held in expected.items() for label, f in held if f.sha256 in wanted
    )


# --- what else lies in the prefix -------------------------------------------------------------------------------------


def no_database(path: Path) -> None:
    path.write_bytes(b"not a database")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def forged(path: Path) -> None:
    """A well-formed table, as bridge wrote it once, in which every path belongs to somebody else."""
    with sqlite3.connect(path) as database:
        database.executescript(
            "PRAGMA user_version = 1; CREATE TABLE made_from (digest TEXT NOT NULL);"
            "CREATE TABLE paths (path TEXT, owner TEXT, kind TEXT, sha256 TEXT, size INTEGER);"
        )
        row = ("share/one", "conda:evil-1-0", "file", "0" * 64, 1)
        database.execute("INSERT INTO paths VALUES (?, ?, ?, ?, ?)", row)
    database.close()


@pytest.mark.slow
@pytest.mark.parametrize("write", [no_database, empty, forged], ids=lambda write: str(write.__name__))
def test_no_table_in_the_prefix_is_believed(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """MUST: who owns what is what the records say, whatever lies in bridge's own directory."""
    channel = tmp_path / "channel"
    make_conda(channel, "one", "1.0", files={"share/one": b"one"})
    make_conda(channel, "two", "1.0", files={"share/two": b"two"})
    make_repodata(channel)
    bridge, root = Bridge.of_folder(tmp_path), tmp_path / "env"
    (root / "conda-meta").mkdir(parents=True)
    assert bridge("install", "-p", root, "one").status == 0
    questions = [("owner", "share/one"), ("list",), ("why", "one"), ("audit", "--fail-on", "never")]

    def answers() -> list[object]:
        done = [bridge(first, "-p", root, *rest, "--json") for first, *rest in questions]
        assert all(each.status == 0 for each in done), [each.err for each in done]
        return [json.loads(each.out) for each in done]

    own = {path.name for path in (root / OWN).iterdir()}
    assert own == {"lock", "history"}, "nothing is written that no command reads"
    before = answers()
    write(root / OWN / "ledger.sqlite")
    assert answers() == before
    assert bridge("install", "-p", root, "two").status == 0
    assert bridge("remove", "-p", root, "one").status == 0
    assert not (root / "share/one").exists()
    assert (root / "share/two").read_bytes() == b"two"
