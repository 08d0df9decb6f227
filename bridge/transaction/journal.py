"""The journal and plan of a transaction, from which it can be undone or finished after a crash.

Below `conda-meta/.bridge/txn/<id>/`:

* `plan.json` has every step with the fingerprints before and after; its first line has the crc32 of the rest. It is
  complete before the prefix is touched.
* `journal` is append-only: a line is the crc32 of a JSON text, a blank, the text. The last intact line counts.
* `new/` has the staged inodes by path; `old/<n>` what step n replaced.

The state CLEAN is no line: the directory is renamed to `<id>.after` (or `<id>.before`, once undone), and is waste from
then on. So `old/` is complete as long as the directory has the bare id.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _quote
from typing import Any, Literal, cast

from bridge.errors import UsageError
from bridge.model import Fingerprint, PathChange
from converters.deferred import NamedTuple, dataclass, regex

__all__ = [
    "FORMAT",
    "Identity",
    "Journal",
    "State",
    "Step",
    "Swap",
    "line",
    "new_identifier",
    "now",
    "read_journal",
    "read_prunable",
    "read_swap",
    "write_swap",
]

FORMAT = 1
"""The version of these files. Higher ones are left to the newer bridge that wrote them."""

State = Literal["PLANNED", "STAGED", "SWAPPING", "COMMITTED", "ABORTED"]
_STATES = frozenset({"PLANNED", "STAGED", "SWAPPING", "COMMITTED", "ABORTED"})


_IDENTIFIER = regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")


def now() -> float:
    """Return seconds since the epoch: `BRIDGE_NOW` for reproducible runs, else the clock."""
    try:
        return float(os.environ.get("BRIDGE_NOW") or time.time())
    except ValueError:
        raise UsageError("clock-invalid", "BRIDGE_NOW must be a number of seconds since 1970") from None


def new_identifier() -> str:
    """Return a transaction id: `BRIDGE_TXN_ID` for reproducible runs, else the time and a random part."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now()))
    text = os.environ.get("BRIDGE_TXN_ID") or f"{stamp}-{os.urandom(4).hex()}"
    if not _IDENTIFIER.match(text):
        raise UsageError("transaction-id-invalid", "BRIDGE_TXN_ID must be up to 64 letters, digits, '-' and '_'")
    return text


class Identity(NamedTuple):
    """An inode and its content: `mtime` in ns. A rename keeps it, a write does not. A tuple for speed."""

    inode: int
    size: int
    mtime: int

    @staticmethod
    def of(status: os.stat_result) -> Identity:
        return Identity(status.st_ino, status.st_size, status.st_mtime_ns)


class Step(NamedTuple):
    """One path of a transaction after examination; `change.before` is completed from the disk. A tuple for speed.

    `staged` is the new inode. `emptied`, for a directory that a file or symlink replaces, lists it and the directories
    below, outermost first, with their modes.
    """

    change: PathChange
    staged: Identity | None = None
    emptied: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """Everything a commit does. The n of `old/<n>` is the position in `steps`.

    `made`: directories to create, outermost first, with their mode (`None`: the umask's); `prunable`: directories to
    remove if empty, innermost first.
    """

    steps: tuple[Step, ...]
    made: tuple[tuple[str, int | None], ...] = ()
    prunable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """A parsed journal. `is_damaged`: a line was unreadable. `format` is 0 if not given."""

    state: State | None
    format: int
    is_damaged: bool


def line(state: State, **facts: object) -> bytes:
    """Return one line of a journal. It begins with a line feed, so that a torn line before it stays separate."""
    text = json.dumps({"state": state, **facts}, sort_keys=True).encode()
    return b"\n%08x %s\n" % (zlib.crc32(text), text)


def read_journal(data: bytes) -> Journal:
    """Parse a journal up to its last intact state; torn or changed lines are skipped and reported."""
    state: State | None = None
    version, is_damaged = 0, False
    for text in data.split(b"\n"):
        if not text:
            continue
        checksum, _, body = text.partition(b" ")
        entry = _read_json(body) if checksum == b"%08x" % zlib.crc32(body) else None
        if entry is None or not isinstance(entry.get("state"), str) or entry["state"] not in _STATES:
            is_damaged = True
            continue
        state = cast("State", entry["state"])
        stated = entry.get("format", version)
        version, is_damaged = (stated, is_damaged) if isinstance(stated, int) else (version, True)
    return Journal(state=state, format=version, is_damaged=is_damaged)


def write_swap(swap: Swap, **facts: object) -> bytes:
    """Return the text of `plan.json`. Values in `facts` without a JSON type are written as text."""
    document = {"format": FORMAT, **facts, "made": swap.made, "prunable": swap.prunable}
    head = json.dumps(document, default=str, separators=(",", ":"))[1:-1]
    body = f'{head},"steps":[{",".join(map(_step_text, swap.steps))}]}}'.encode()
    return b'{"crc32":"%08x",\n%s\n' % (zlib.crc32(body), body)


def read_swap(data: bytes) -> Swap | None:
    """Parse a `plan.json`; `None` if it is torn or changed."""
    document = _read_plan(data)
    if document is None:
        return None
    try:
        return Swap(
            steps=tuple(_read_step(step) for step in document["steps"]),
            made=tuple((_text(path), None if mode is None else int(mode)) for path, mode in document["made"]),
            prunable=tuple(_text(path) for path in document["prunable"]),
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return None  # The checksum is right, so it was forged: treat it like a torn one.


def read_prunable(data: bytes) -> tuple[str, ...]:
    """Return `read_swap(data).prunable` in a tenth of the time; empty if unreadable."""
    document = _read_plan(data)
    prunable = document.get("prunable") if document else None
    return tuple(path for path in prunable if isinstance(path, str)) if isinstance(prunable, list) else ()


def _read_plan(data: bytes) -> Mapping[str, Any] | None:
    head, _, body = data.partition(b"\n")
    body = body.removesuffix(b"\n")
    if head != b'{"crc32":"%08x",' % zlib.crc32(body):
        return None
    document = _read_json(b"{" + body)
    return document if document is not None and document.get("format") == FORMAT else None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a path must be text")
    return value


def _read_json(text: bytes) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _step_text(step: Step) -> str:
    """The JSON of a step, in a third of the time of an encoder: this is written while the prefix waits."""
    change = step.change
    owner, is_record = _quote(change.owner), "true" if change.is_record else "false"
    text = f'{{"path":{_quote(change.path)},"owner":{owner},"record":{is_record}'
    if change.before is not None:
        text += f',"before":{_fingerprint_text(change.before)}'
    if change.after is not None:
        text += f',"after":{_fingerprint_text(change.after)}'
    if step.staged is not None:
        inode, size, mtime = step.staged
        text += f',"staged":[{inode},{size},{mtime}]'
    if step.emptied:
        text += f',"emptied":{json.dumps(step.emptied)}'
    return text + "}"


def _fingerprint_text(fingerprint: Fingerprint) -> str:
    if fingerprint.kind == "file" and None not in (fingerprint.sha256, fingerprint.size, fingerprint.mode):
        # Nearly all: `_quote` of a sha256 changes nothing.
        sha256, size, mode = fingerprint.sha256, fingerprint.size, fingerprint.mode
        return f'{{"kind":"file","sha256":"{sha256}","size":{size},"mode":{mode}}}'
    text = f'{{"kind":"{fingerprint.kind}"'
    if fingerprint.sha256 is not None:
        text += f',"sha256":{_quote(fingerprint.sha256)}'
    if fingerprint.size is not None:
        text += f',"size":{fingerprint.size}'
    if fingerprint.mode is not None:
        text += f',"mode":{fingerprint.mode}'
    if fingerprint.link is not None:
        text += f',"link":{_quote(fingerprint.link)}'
    return text + "}"


def _read_step(text: Mapping[str, Any]) -> Step:
    staged = text.get("staged")
    return Step(
        change=PathChange(
            path=_text(text["path"]),
            before=Fingerprint(**text["before"]) if "before" in text else None,
            after=Fingerprint(**text["after"]) if "after" in text else None,
            owner=_text(text["owner"]),
            is_record=bool(text["record"]),
        ),
        staged=Identity(inode=int(staged[0]), size=int(staged[1]), mtime=int(staged[2])) if staged else None,
        emptied=tuple((_text(path), int(mode)) for path, mode in text.get("emptied", ())),
    )
