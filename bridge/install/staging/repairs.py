"""What a repair replaced: a repair adds no revision, so a note beside the ledger lets `bridge rollback` undo it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from bridge import fs
from bridge.errors import BridgeError
from bridge.install.staging.inputs import StageInputs
from bridge.install.staging.replacement import KeptAside
from bridge.model import Fingerprint, PathChange, Reinstall
from bridge.paths import META, OWN
from bridge.prefix.revisions import HISTORY, parse_revisions
from converters.deferred import dataclass

__all__ = ["RepairNote", "note_of_repair", "read_note", "undo"]

_NOTE = f"{OWN}/repair.json"
_FORMAT = 1
_MAX_SIZE = 64 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairNote:
    """The last repair.

    :param date, revisions: when it was, and how many revisions the history had.
    :param kept: path → where the file that was replaced is kept. `restored`: files that were missing.
    :param written: path → the sha256 of what the repair wrote there.
    """

    date: str
    revisions: int
    kept: Mapping[str, str]
    restored: tuple[str, ...]
    written: Mapping[str, str]


def note_of_repair(
    inputs: StageInputs, staging: Path, changes: Iterable[PathChange], kept: Iterable[KeptAside]
) -> tuple[PathChange, ...]:
    """Stage the note of a repair; of another change there is none."""
    prefix, steps = inputs.state.prefix, inputs.plan.operations
    replaced = {each.path: each for each in changes if not each.path.startswith(f"{META}/")}
    is_repair = all(isinstance(step, Reinstall) and step.old.requested == step.new.requested for step in steps)
    if not is_repair or any(each.path == HISTORY for each in changes):
        return ()
    aside = {each.path: each.saved for each in kept}
    restored = [path for path, each in replaced.items() if each.before is None and path not in aside.values()]
    if any(
        each.before is not None and path not in aside and not path.endswith(".pyc") for path, each in replaced.items()
    ):
        aside, restored = {}, []  # what another installer wrote is not kept, and a part of it would be worse than none
    written = {path: each.after for path, each in replaced.items() if path in aside or path in restored}
    document = {
        "version": _FORMAT,
        "date": inputs.when,
        "revisions": _count(prefix),
        "kept": aside,
        "restored": restored,
        "written": {path: each.sha256 for path, each in written.items() if each is not None and each.sha256},
    }
    after = fs.write_file(staging, _NOTE, [json.dumps(document, sort_keys=True).encode("utf-8", "surrogatepass")])
    return (PathChange(path=_NOTE, before=fs.fingerprint(prefix, _NOTE), after=after, is_record=True),)


def read_note(prefix: Path) -> RepairNote | None:
    """Return the note of the last repair, if no revision came after it; one that is damaged counts as none."""
    try:
        document = json.loads(fs.read_regular(prefix / _NOTE, root=prefix, limit=_MAX_SIZE))
        note = RepairNote(
            date=str(document["date"]),
            revisions=int(document["revisions"]),
            kept={str(path): str(saved) for path, saved in document["kept"].items()},
            restored=tuple(map(str, document["restored"])),
            written={str(path): str(sha256) for path, sha256 in document["written"].items()},
        )
    except (OSError, BridgeError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    return note if document.get("version") == _FORMAT and note.revisions == _count(prefix) else None


def undo(note: RepairNote, prefix: Path, staging: Path) -> tuple[tuple[PathChange, ...], tuple[str, ...]]:
    """Stage what a repair replaced, and remove what it restored; also return the files that are left as they are.

    A file that has changed since the repair is left, and so is one whose former version is gone.
    """
    changes: list[PathChange] = []
    left: list[str] = []
    with fs.Tree(prefix) as tree:
        for path in (*note.kept, *note.restored):
            now = tree.fingerprint(path)
            saved = note.kept.get(path)
            before = tree.fingerprint(saved) if saved is not None else None
            is_gone = saved is not None and (before is None or before.kind != "file")
            if is_gone or now is None or now.sha256 != note.written.get(path):
                left.append(path)
                continue
            after = None
            if saved is not None and before is not None:
                after = _copied(prefix / saved, before, staging, path)
                changes.append(PathChange(path=saved, before=before, after=None))
            changes.append(PathChange(path=path, before=now, after=after))
        changes.append(PathChange(path=_NOTE, before=tree.fingerprint(_NOTE), after=None, is_record=True))
    return tuple(changes), tuple(left)


def _copied(source: Path, was: Fingerprint, staging: Path, path: str) -> Fingerprint:
    return fs.write_file(staging, path, [fs.read_content(source)], mode=was.mode or 0o644)


def _count(prefix: Path) -> int:
    path = prefix / HISTORY
    data = fs.read_content(path) if path.is_file() else b""
    return len(parse_revisions(data.decode("utf-8", "replace")))
