"""Writing this prefix into files that name another one, with the hashes of their records, in one transaction.

Each file becomes what conda or rattler would have written: the packed file is made again of what lies there, which its
sha256 proves, and this prefix is written into that. No archive is needed. Where the record has no placeholder (mamba 2
writes none) and in scripts of installers, the old prefix is replaced by the new one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bridge import fs
from bridge.audit.look.inspection import EmbeddedPrefix
from bridge.audit.run import start
from bridge.errors import UnsafeInputError
from bridge.fs import Tree
from bridge.install.provenance import record_bytes, record_hash
from bridge.model import Installed, PathChange, PrefixState
from bridge.prefix import condameta, ledger
from bridge.prefix.placed import Placeholder, fill, holds, is_binary, refit, restore
from bridge.prefix.placeholders import listed_items, placeholders_of

__all__ = ["RELOCATED", "Relocation", "look", "relocate"]

RELOCATED = frozenset({"foreign-prefix", "foreign-shebang", "rewritten-prefix"})
"""The findings that are repaired by writing this prefix into a file, where that can be done without the archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocation:
    """What is to be rewritten: path → content, files and records; bytecode that goes; the state that comes of it.

    :param left: files that cannot be rewritten without the archive they came from.
    """

    state: PrefixState
    files: Mapping[str, bytes] = field(default_factory=dict)
    bytecode: tuple[str, ...] = ()
    left: frozenset[str] = frozenset()

    def stage(self, staging: Path, *, is_alone: bool) -> tuple[PathChange, ...]:
        """Write the new files into `staging`, and the ledger where no plan does that (`is_alone`)."""
        if not self.files:
            return ()
        contents = dict(self.files)
        if is_alone:
            contents[ledger.PATH] = ledger.build(self.state)
        changes: list[PathChange] = []
        with Tree(self.state.prefix) as tree, fs.WritableTree(staging) as new:
            for path, data in contents.items():
                before = tree.fingerprint(path)
                mode = before.mode if before is not None and before.mode is not None else 0o644
                after = fs.write_file(new, path, [data], mode=mode)
                is_record = path.startswith("conda-meta/") or path.endswith(".dist-info/RECORD")
                changes.append(PathChange(path=path, before=before, after=after, is_record=is_record))
            changes += [
                PathChange(path=path, before=before, after=None)
                for path in self.bytecode
                if (before := tree.fingerprint(path)) is not None and before.kind == "file"
            ]
        return tuple(changes)


def look(prefix: Path) -> Mapping[str, EmbeddedPrefix]:
    """Path → the prefix in it, where that is not what it should be. Reads the environment as an audit does."""
    with start(prefix) as running:
        return running.embedded_prefixes()


def relocate(state: PrefixState, placed: Mapping[str, EmbeddedPrefix], *, without: Collection[str] = ()) -> Relocation:
    """What is to be written so that each of these files names `state.prefix`, and each record has its hash.

    :param without: the labels of packages that are left alone, for they are installed again.

    Raises `UnsafeInputError` (`prefix-too-long`) where a binary has too little room for this prefix.
    """
    work = _Work(state, placed)
    for installed in state.installed:
        if installed.record.label not in without:
            work.rewrite(installed)
    return work.result()


class _Work:
    def __init__(self, state: PrefixState, placed: Mapping[str, EmbeddedPrefix]) -> None:
        self._state, self._placed = state, placed
        self._here = str(state.prefix)
        self._former = sorted({each.prefix for each in placed.values() if not each.is_here})
        self._files: dict[str, bytes] = {}
        self._done: dict[str, _Done] = {}
        self._left: set[str] = set()
        self._bytecode: set[str] = set()
        self._tight: list[str] = []
        self._installed: list[Installed] = []

    def rewrite(self, installed: Installed) -> None:
        paths = [entry.path for entry in installed.entries if entry.path in self._placed]
        spots = placeholders_of(self._state.prefix, installed.meta_path) if paths else {}
        for path in paths:
            if path not in self._done:
                self._rewrite_file(path, spots.get(path), is_of_wheel=installed.record.ecosystem == "wheel")
        self._bytecode.update(self._stale(installed))
        done = {path: self._done[path] for path in paths if path in self._done}
        if done:
            self._record(installed, done)

    def _rewrite_file(self, path: str, placeholder: Placeholder | None, *, is_of_wheel: bool) -> None:
        placed = self._placed[path]
        was = fs.read_content(self._state.prefix / path)
        packed = restore(was, placeholder, placed.prefix) if placeholder is not None else None
        if placed.is_here:
            data: bytes | None = was
        elif packed is not None and placeholder is not None:
            data = fill(packed, placeholder, self._here)
            if data is None:
                self._tight.append(f"{path} has room for a prefix of {len(placeholder.text.encode())} bytes")
                return
        else:
            is_unproved = placeholder is not None and is_binary(was)
            data = None if is_unproved else refit(was, placed.prefix, self._here, is_of_wheel=is_of_wheel)
        if data is None:
            self._left.add(path)
            return
        self._done[path] = _Done(
            sha256=_sha256(data), size=len(data), packed_size=None if packed is None else len(packed)
        )
        if data != was:
            self._files[path] = data

    def _stale(self, installed: Installed) -> Iterator[str]:
        """Bytecode of the package that nobody promises the bytes of, and that names a former prefix."""
        if not self._former:
            return
        for entry in installed.entries:
            if entry.path.endswith(".pyc") and entry.fingerprint.sha256 is None:
                try:
                    data = fs.read_content(self._state.prefix / entry.path)
                except OSError:
                    continue
                if any(holds(data, former) for former in self._former):
                    yield entry.path

    def _record(self, installed: Installed, done: Mapping[str, _Done]) -> None:
        """Write the new hashes into the record, and into RECORD where bridge keeps that."""
        document = json.loads(fs.read_content(self._state.prefix / installed.meta_path))
        if installed.record.ecosystem == "wheel":
            done = {**done, **self._listing(installed, done)}
        promised = {entry.path: entry.fingerprint.sha256 for entry in installed.entries}
        changed = {was: found for path, found in done.items() if (was := promised.get(path)) is not None}
        for path, item in listed_items(document):
            if (found := done.get(path)) is not None:
                _update(item, promised.get(path), found)
            elif item.get("path_type") == "softlink":
                _update_link(item, changed)
        data = record_bytes(document)
        self._files[installed.meta_path] = data
        self._installed.append(condameta.parse(data, installed.meta_path)[0])

    def _listing(self, installed: Installed, done: Mapping[str, _Done]) -> Mapping[str, _Done]:
        """Rewrite RECORD, which has the same hashes; what became of it."""
        path = next((each.path for each in installed.entries if each.path.endswith(".dist-info/RECORD")), None)
        if path is None:
            return {}
        try:
            was = fs.read_content(self._state.prefix / path)
        except OSError:
            return {}
        data = _with_hashes(was, posixpath.dirname(posixpath.dirname(path)), done)
        self._files[path] = data
        return {path: _Done(sha256=_sha256(data), size=len(data))}

    def result(self) -> Relocation:
        if self._tight:
            raise UnsafeInputError(
                "prefix-too-long",
                f"{self._here} is too long to be written into {len(self._tight)} file(s)",
                context=tuple(self._tight[:5]),
                hint="move the environment to a shorter path",
            )
        fresh = {each.meta_path: each for each in self._installed}
        installed = tuple(fresh.get(each.meta_path, each) for each in self._state.installed)
        return Relocation(
            state=replace(self._state, installed=installed),
            files=self._files,
            bytecode=tuple(sorted(self._bytecode - self._files.keys())),
            left=frozenset(self._left),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What a file is after it was rewritten; `packed_size` is that of the file in the archive, where that is known."""

    sha256: str
    size: int
    packed_size: int | None = None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _update(item: dict[str, Any], promised: str | None, done: _Done) -> None:
    """Write the new hash into one path of a record, wherever the record has one of the installed file.

    conda and mamba keep the size of the packed file, bridge that of the installed one.
    """
    has_placeholder = isinstance(item.get("prefix_placeholder"), str)
    if isinstance(item.get("sha256_in_prefix"), str) or has_placeholder:
        if not has_placeholder and item.get("sha256") == promised:
            item["sha256"] = done.sha256
        item["sha256_in_prefix"] = done.sha256
    elif isinstance(item.get("sha256"), str):
        item["sha256"] = done.sha256
    is_packed = item.get("size_in_bytes") == done.packed_size or item.get("sha256") != done.sha256
    if "size_in_bytes" in item and (has_placeholder or not is_packed) and item["size_in_bytes"] != done.packed_size:
        item["size_in_bytes"] = done.size


def _update_link(item: dict[str, Any], changed: Mapping[str, _Done]) -> None:
    """Write the new hash of what a link leads to: mamba records it as `sha256_in_prefix`, bridge as `sha256`."""
    for key in ("sha256_in_prefix", "sha256"):
        value = item.get(key)
        if isinstance(value, str) and (found := changed.get(value)) is not None:
            item[key] = found.sha256
            if key == "sha256" and "size_in_bytes" in item:
                item["size_in_bytes"] = found.size


def _with_hashes(data: bytes, site: str, done: Mapping[str, _Done]) -> bytes:
    """RECORD with the new hashes of rows that have one (PEP 376)."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    for row in csv.reader(io.StringIO(data.decode("utf-8", "surrogateescape"))):
        is_hashed = len(row) == 3 and row[1]
        found = done.get(posixpath.normpath(posixpath.join(site, row[0]))) if is_hashed else None
        writer.writerow(row if found is None else [row[0], record_hash(found.sha256), str(found.size)])
    return stream.getvalue().encode("utf-8", "surrogateescape")
