"""Write this prefix into files that name another one, and their new hashes into the records, in one transaction.

Each file becomes what conda or rattler would have written: the packed content is restored from the installed one and
verified by its sha256, then this prefix is written into it. No archive is needed. Without a placeholder in the record
(mamba 2 writes none), and in scripts of installers, the old prefix is replaced by the new one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import posixpath
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from bridge import fs
from bridge.audit.look.inspection import EmbeddedPrefix
from bridge.audit.reading import start
from bridge.audit.run import embedded_prefixes
from bridge.errors import UnsafeInputError
from bridge.fs import Tree
from bridge.install.record_text import record_bytes, record_hash
from bridge.model import Installed, PathChange, PrefixState
from bridge.prefix import condameta
from bridge.prefix.placed import Placeholder, fill, holds, is_binary, refit, restore
from bridge.prefix.placeholders import listed_items, placeholders_of
from converters.deferred import dataclass, replace

__all__ = ["RELOCATED", "Relocation", "look", "relocate"]

RELOCATED = frozenset({"foreign-prefix", "foreign-shebang", "rewritten-prefix"})
"""Findings repaired by writing this prefix into a file, if that works without the archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocation:
    """The files and records to rewrite (path → content), bytecode to remove, and the resulting state.

    :param left: files that cannot be rewritten without their archive.
    """

    state: PrefixState
    files: Mapping[str, bytes] = field(default_factory=dict)
    bytecode: tuple[str, ...] = ()
    left: frozenset[str] = frozenset()

    def stage(self, staging: Path) -> tuple[PathChange, ...]:
        """Write the new files into `staging`."""
        if not self.files:
            return ()
        changes: list[PathChange] = []
        with Tree(self.state.prefix) as tree, fs.WritableTree(staging) as new:
            for path, data in self.files.items():
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
    """Return path → the prefix in it, if that is not the right one. Reads the environment as an audit does."""
    with start(prefix) as running:
        return embedded_prefixes(running)


def relocate(state: PrefixState, placed: Mapping[str, EmbeddedPrefix], *, without: Collection[str] = ()) -> Relocation:
    """Compute the files that must name `state.prefix`, and their records.

    :param without: labels of packages to skip, which are reinstalled.

    Raises `UnsafeInputError` (`prefix-too-long`) if a binary has too little room for this prefix.
    """
    work = _Relocator(state, placed)
    for installed in state.installed:
        if installed.record.label not in without:
            work.rewrite(installed)
    return work.result()


class _Relocator:
    def __init__(self, state: PrefixState, placed: Mapping[str, EmbeddedPrefix]) -> None:
        self._state, self._placed = state, placed
        self._here = str(state.prefix)
        self._former = sorted({each.prefix for each in placed.values() if not each.is_here})
        self._files: dict[str, bytes] = {}
        self._done: dict[str, _Rewritten] = {}
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
        self._done[path] = _Rewritten(
            sha256=_sha256(data), size=len(data), packed_size=None if packed is None else len(packed)
        )
        if data != was:
            self._files[path] = data

    def _stale(self, installed: Installed) -> Iterator[str]:
        """Yield bytecode without a recorded hash that names a former prefix."""
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

    def _record(self, installed: Installed, done: Mapping[str, _Rewritten]) -> None:
        """Write the new hashes into the conda-meta record, and into RECORD of a wheel."""
        document = json.loads(fs.read_content(self._state.prefix / installed.meta_path))
        if installed.record.ecosystem == "wheel":
            done = {**done, **self._listing(installed, done)}
        recorded = {entry.path: entry.fingerprint.sha256 for entry in installed.entries}
        changed = {was: rewritten for path, rewritten in done.items() if (was := recorded.get(path)) is not None}
        for path, item in listed_items(document):
            if (rewritten := done.get(path)) is not None:
                _update(item, recorded.get(path), rewritten)
            elif item.get("path_type") == "softlink":
                _update_link(item, changed)
        data = record_bytes(document)
        self._files[installed.meta_path] = data
        self._installed.append(condameta.parse(data, installed.meta_path)[0])

    def _listing(self, installed: Installed, done: Mapping[str, _Rewritten]) -> Mapping[str, _Rewritten]:
        """Rewrite RECORD, and return its own new hash."""
        path = next((each.path for each in installed.entries if each.path.endswith(".dist-info/RECORD")), None)
        if path is None:
            return {}
        try:
            was = fs.read_content(self._state.prefix / path)
        except OSError:
            return {}
        data = _with_hashes(was, posixpath.dirname(posixpath.dirname(path)), done)
        self._files[path] = data
        return {path: _Rewritten(sha256=_sha256(data), size=len(data))}

    def result(self) -> Relocation:
        if self._tight:
            raise UnsafeInputError(
                "prefix-too-long",
                f"{self._here} is too long for {len(self._tight)} file(s)",
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
class _Rewritten:
    """A rewritten file; `packed_size` is its size in the archive, if known."""

    sha256: str
    size: int
    packed_size: int | None = None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _update(item: dict[str, Any], promised: str | None, done: _Rewritten) -> None:
    """Update the hash of one path in a record, in whatever key the record has for the installed file.

    conda and mamba record the size of the packed file, bridge that of the installed one.
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


def _update_link(item: dict[str, Any], changed: Mapping[str, _Rewritten]) -> None:
    """Update the hash of a link's target: mamba records it as `sha256_in_prefix`, bridge as `sha256`."""
    for key in ("sha256_in_prefix", "sha256"):
        value = item.get(key)
        if isinstance(value, str) and (rewritten := changed.get(value)) is not None:
            item[key] = rewritten.sha256
            if key == "sha256" and "size_in_bytes" in item:
                item["size_in_bytes"] = rewritten.size


def _with_hashes(data: bytes, site: str, done: Mapping[str, _Rewritten]) -> bytes:
    """Return RECORD with new hashes in the rows that have one (PEP 376)."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    for row in csv.reader(io.StringIO(data.decode("utf-8", "surrogateescape"))):
        is_hashed = len(row) == 3 and row[1]
        rewritten = done.get(posixpath.normpath(posixpath.join(site, row[0]))) if is_hashed else None
        writer.writerow(row if rewritten is None else [row[0], record_hash(rewritten.sha256), str(rewritten.size)])
    return stream.getvalue().encode("utf-8", "surrogateescape")
