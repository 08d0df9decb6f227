"""The revisions of `conda-meta/history`, and the snapshots that bridge keeps of them. Pure.

Revisions are numbered as conda does (`conda list --revisions`): the first is 0. A snapshot holds the records of all
packages after a revision without their paths, as conda-meta has them: URLs, hashes and requests.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bridge.errors import UnsafeInputError
from bridge.model import Installed
from bridge.paths import META, OWN
from bridge.prefix.condameta import record_of, requested_of
from converters.deferred import dataclass, regex

__all__ = [
    "HISTORY",
    "SNAPSHOTS",
    "Revision",
    "identity_of",
    "parse_revisions",
    "read_snapshot",
    "snapshot_path",
    "state_after",
    "write_snapshot",
]

HISTORY = f"{META}/history"
SNAPSHOTS = f"{OWN}/history"

_FORMAT = 1
_MAX_SNAPSHOT = 64 << 20  # bytes, unpacked; a thousand packages have 2 MB
_GZIP = 31  # zlib's window bits for a gzip header, which has no time then
_HEADER = regex(r"==>\s*(.+?)\s*<==\s*\Z")
_COMMAND = regex(r"#\s*cmd:\s*(.+)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision: what it added and removed, as conda writes packages (`CHANNEL/SUBDIR::NAME-VERSION-BUILD`).

    :param date: as written, `2026-11-22 10:00:00`.
    :param command: empty if the history does not state it.
    """

    number: int
    date: str
    command: str
    added: tuple[str, ...]
    removed: tuple[str, ...]


def parse_revisions(history: str) -> tuple[Revision, ...]:
    """Return the revisions of a history, as conda's `History.parse` reads it.

    A revision whose lines have no sign lists the whole state; the difference from the state before is returned.
    """
    revisions: list[Revision] = []
    state: set[str] = set()
    sections: list[tuple[str, list[str]]] = []
    for line in history.splitlines():
        header = _HEADER.match(line)
        if header is not None:
            sections.append((header[1], []))
        elif sections and line.strip():
            sections[-1][1].append(line.strip())
    for number, (date, lines) in enumerate(sections):
        command = next((match[1] for line in lines if (match := _COMMAND.match(line))), "")
        content = [line for line in lines if not line.startswith("#")]
        if any(line[0] in "+-" for line in content):
            added = tuple(line[1:].strip() for line in content if line[0] == "+")
            removed = tuple(line[1:].strip() for line in content if line[0] == "-")
        else:
            added = tuple(line for line in content if line not in state)
            removed = tuple(sorted(state.difference(content))) if content else ()
        state = (state - set(removed)) | set(added)
        revisions.append(Revision(number=number, date=date, command=command, added=added, removed=removed))
    return tuple(revisions)


def state_after(revisions: Iterable[Revision]) -> frozenset[str]:
    """Return the packages after these revisions, as the history writes them."""
    state: dict[str, str] = {}
    for revision in revisions:
        for text in revision.removed:
            state.pop(identity_of(text), None)
        state |= {identity_of(text): text for text in revision.added}
    return frozenset(state.values())


def identity_of(text: str) -> str:
    """Return NAME-VERSION-BUILD of a package as the history writes it."""
    identity = text.rpartition("::")[2].strip()
    return re.sub(r"\.(?:tar\.bz2|conda)\Z", "", identity)


def snapshot_path(number: int) -> str:
    """Return the prefix-relative path of a revision's snapshot."""
    return f"{SNAPSHOTS}/{number:06}.json.gz"


def write_snapshot(documents: Sequence[Mapping[str, object]], *, date: str) -> bytes:
    """Return a snapshot: equal bytes for equal input.

    :param documents: records in conda-meta's form; `date`: of the revision.
    """
    ordered = sorted(documents, key=lambda document: (str(document.get("name")), str(document.get("subdir"))))
    text = json.dumps({"version": _FORMAT, "date": date, "packages": ordered}, sort_keys=True, separators=(",", ":"))
    packer = zlib.compressobj(wbits=_GZIP)
    return packer.compress(text.encode("utf-8")) + packer.flush()


def read_snapshot(data: bytes, source: str) -> tuple[str, tuple[Installed, ...]]:
    """Return the date of a snapshot and its packages, which have no entries.

    Raises `UnsafeInputError` (`snapshot-damaged`) for anything that `write_snapshot` does not write.
    """
    try:
        document = json.loads(_unpacked(data).decode("utf-8"))
        if not isinstance(document, dict) or document.get("version") != _FORMAT:
            raise ValueError("it has another format")
        return str(document["date"]), tuple(_installed(each) for each in document["packages"])
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, zlib.error) as error:
        raise UnsafeInputError(
            "snapshot-damaged",
            f"{source} is not a snapshot that bridge wrote",
            context=(str(error)[:200],),
            hint="choose another revision: bridge history -p DIR",
        ) from error


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=_GZIP)
    text = unpacker.decompress(data, _MAX_SNAPSHOT)
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("it is truncated, or larger than a snapshot can be")
    return text


def _installed(document: Any) -> Installed:  # noqa: ANN401 - JSON of any form
    if not isinstance(document, dict):
        raise TypeError("a package is not an object")
    record = record_of(document)
    return Installed(
        record=record, meta_path=f"{META}/{record.identity}.json", entries=(), requested=requested_of(document)
    )
