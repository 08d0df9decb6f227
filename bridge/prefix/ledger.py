"""The ledger: an index in SQLite of path → owner, kind, sha256, size.

It is derived from the records, and never believed over them. It is built whole, as bytes, and put in place like every
file; a missing, stale or broken one is built again.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import FaultError
from bridge.faults import faults
from bridge.model import PrefixState
from bridge.paths import OWN
from bridge.prefix.claims import claims, owners_of

__all__ = ["PATH", "Row", "build", "is_current", "open_ledger", "owners_of", "rows", "rows_of"]

PATH = f"{OWN}/ledger.sqlite"
"""Where it lies, prefix-relative."""

_SCHEMA = """
PRAGMA page_size = 4096;
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA user_version = 1;
CREATE TABLE made_from (digest TEXT NOT NULL);
CREATE TABLE paths (
  path TEXT NOT NULL, owner TEXT NOT NULL, kind TEXT NOT NULL, sha256 TEXT, size INTEGER, PRIMARY KEY (path, owner)
) WITHOUT ROWID;
CREATE INDEX by_owner ON paths (owner);
"""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Row:
    """One owner of one path, and what its record promises. Identical bytes may have several owners."""

    path: str
    owner: str
    kind: str
    sha256: str | None = None
    size: int | None = None


def rows_of(state: PrefixState) -> tuple[Row, ...]:
    """All rows that the records of `state` give, sorted by path and owner."""
    found = [
        Row(
            path=path,
            owner=each.owner,
            kind=each.entry.fingerprint.kind,
            sha256=each.entry.fingerprint.sha256,
            size=each.entry.fingerprint.size,
        )
        for path, claimed in claims(state).items()
        for each in claimed
    ]
    return tuple(sorted(found, key=lambda row: (row.path, row.owner)))


def build(state: PrefixState) -> bytes:
    """The database for what the records of `state` say. The same rows give the same bytes."""
    found = rows_of(state)
    values = [(row.path, row.owner, row.kind, row.sha256, row.size) for row in found]
    temporary = tempfile.gettempdir()
    with faults(temporary), tempfile.TemporaryDirectory(prefix="bridge-ledger-", dir=temporary) as folder:
        # Python 3.10 cannot serialise a database in memory; one way for all is one way to test.
        path = Path(folder, "ledger.sqlite")
        try:
            with closing(sqlite3.connect(path)) as database, database:
                database.executescript(_SCHEMA)
                database.execute("INSERT INTO made_from VALUES (?)", (_digest(found),))
                database.executemany("INSERT INTO paths VALUES (?, ?, ?, ?, ?)", values)
        except sqlite3.OperationalError as error:
            raise FaultError(
                "temporary-folder",
                f"the table of owners cannot be written in {temporary}: {error}",
                hint="free some space there, or name another folder with TMPDIR",
            ) from error
        return path.read_bytes()


@contextmanager
def open_ledger(prefix: Path) -> Iterator[sqlite3.Connection | None]:
    """The ledger of `prefix`, read-only, without a lock or a side file; `None` where there is none, or it is broken."""
    path = prefix / PATH
    try:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error:
        yield None
        return
    with closing(database):
        try:
            is_ours = database.execute("PRAGMA user_version").fetchone() == (1,)
            is_whole = is_ours and database.execute("PRAGMA quick_check").fetchone() == ("ok",)
        except sqlite3.Error:
            is_whole = False
        yield database if is_whole else None


def rows(prefix: Path, *, path: str | None = None, owner: str | None = None) -> tuple[Row, ...] | None:
    """The rows of the ledger as it lies there, of one path or one owner where given; `None` without a ledger.

    It may be stale: whoever decides by it asks `is_current` first.
    """
    with open_ledger(prefix) as database:
        if database is None:
            return None
        clause = "WHERE (?1 IS NULL OR path = ?1) AND (?2 IS NULL OR owner = ?2) ORDER BY path, owner"
        try:
            found = database.execute(f"SELECT path, owner, kind, sha256, size FROM paths {clause}", (path, owner))
            return tuple(Row(path=p, owner=o, kind=k, sha256=h, size=s) for p, o, k, h, s in found)
        except sqlite3.Error:
            return None


def is_current(prefix: Path, state: PrefixState) -> bool:
    """Whether the ledger of `prefix` was made from what the records of `state` say."""
    with open_ledger(prefix) as database:
        if database is None:
            return False
        try:
            made_from = database.execute("SELECT digest FROM made_from").fetchone()
        except sqlite3.Error:
            return False
    return bool(made_from == (_digest(rows_of(state)),))


def _digest(found: tuple[Row, ...]) -> str:
    digest = hashlib.sha256()
    for row in found:
        digest.update(repr((row.path, row.owner, row.kind, row.sha256, row.size)).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
