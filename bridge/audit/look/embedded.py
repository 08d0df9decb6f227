"""Reading which prefix is written into the files of packages: that of this environment, or of where it was before.

Reads only. A file of a package that holds a prefix has two hashes in its record: as packed, and as installed. Where
the record has the placeholder too, the prefix that is found is proved by the hash of the packed file; else it is one
that other files, scripts or conda's history name, and that the file holds.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge import fs
from bridge.audit.claims import Claim, Claims
from bridge.audit.look.inspection import EmbeddedPrefix, Script
from bridge.audit.look.observation import Observation
from bridge.model import Entry, Installed
from bridge.paths import META
from bridge.prefix.entries import Entries
from bridge.prefix.placed import Placeholder, candidates, fill, holds, restore, swap
from bridge.prefix.placeholders import placeholders_of

__all__ = ["former_prefixes", "read_embedded"]

_MAX_GUESSES = 48  # directories of one file that are tried
_MAX_TEXT = 4 << 20  # bytes of a file without a placeholder that is looked into where it was changed
_OPTION = re.compile(r"(?:\s-p|\s--prefix)(?:\s+|=)('[^'\n]+'|\"[^\"\n]+\"|/\S+)")
_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/etc/", "/dev/", "/proc/", "/System/", "/Library/")
_SHARED = frozenset({"/", "/opt", "/home", "/root", "/tmp", "/var", "/srv", "/mnt"})
_CODE = 8  # files of bytecode that are asked where they were compiled
_MAX_PATH = 4096  # bytes of a path
_MAX_HISTORY = 64 << 20  # bytes of the history


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file to be explained. `is_recorded`: its bytes are those that the record promises for the installed file."""

    path: str
    data: bytes
    entry: Entry
    is_recorded: bool
    placeholder: Placeholder | None


def read_embedded(
    root: Path, claims: Claims, observed: Observation, scripts: Mapping[str, Script]
) -> Mapping[str, EmbeddedPrefix]:
    """Path → the prefix in it, of files that hold another one, or this one against what their record promises."""
    search = _Search(root, claims, observed, scripts)
    return {**dict(search.moved_scripts()), **dict(search.found())}


class _Search:
    def __init__(self, root: Path, claims: Claims, observed: Observation, scripts: Mapping[str, Script]) -> None:
        self._root, self._claims, self._observed = root, claims, observed
        self._real = os.path.realpath(root)
        self._here = tuple(dict.fromkeys((str(root), self._real)))
        self._names = [os.fsencode(path) for path in observed.below("")]
        self._scripts = scripts
        self._known: list[str] = []  # former prefixes, the likeliest first

    def found(self) -> Iterator[tuple[str, EmbeddedPrefix]]:
        files = sorted(self._files(), key=lambda each: len(each.data))
        if not files:
            return
        seeds = former_prefixes(self._root, self._observed, self._scripts)
        self._known = [each for each in seeds if self._is_elsewhere(each)]
        unproved = []
        for file in files:
            prefix = self._proved(file) if file.placeholder is not None else None
            if prefix is None and (file.placeholder is None or not file.is_recorded):
                unproved.append(file)
            elif prefix is not None and not (file.is_recorded and prefix in self._here):
                yield from self._told(file, prefix)
        yield from self._without_proof(unproved)

    def moved_scripts(self) -> Iterator[tuple[str, EmbeddedPrefix]]:
        """Scripts of installers that run with the python of the place where the environment was before."""
        for path, script in self._scripts.items():
            prefix = _prefix_of(script, self._observed)
            if prefix is None or not self._is_elsewhere(prefix) or path not in self._claims.by_path:
                continue
            digest = self._observed[path].fingerprint.sha256
            promised = {claim.entry.fingerprint.sha256 for claim in self._claims.by_path[path]}
            if promised <= {None, digest}:
                yield path, EmbeddedPrefix(prefix=prefix, is_here=False, is_recorded=True)

    # --- which files --------------------------------------------------------------------------------------------------

    def _files(self) -> Iterator[_File]:
        by_owner: dict[str, list[tuple[str, bytes, Claim, bool]]] = {}
        for claim, is_recorded in (*self._filled(), *self._different()):
            path = claim.entry.path
            try:
                data = fs.read_content(self._root / path)
            except OSError:
                continue
            if is_recorded and any(holds(data, here, self._names) for here in self._here):
                continue
            owner = claim.owner.installed.meta_path if claim.owner.installed is not None else ""
            by_owner.setdefault(owner, []).append((path, data, claim, is_recorded))
        for owner, found in by_owner.items():
            spots = placeholders_of(self._root, owner) if owner else {}
            for path, data, claim, is_recorded in found:
                yield _File(
                    path=path, data=data, entry=claim.entry, is_recorded=is_recorded, placeholder=spots.get(path)
                )

    def _filled(self) -> Iterator[tuple[Claim, bool]]:
        """The files whose two hashes say that a prefix was written in, and that hold what was promised."""
        for owner in self._claims.recorded:
            is_of_conda = owner.source == "conda"  # No wheel has a placeholder.
            for path in _changed(owner.installed) if owner.installed is not None and is_of_conda else ():
                found = self._observed.get(path)
                if found is None or found.fingerprint.kind != "file" or found.problem:
                    continue
                claim = next(each for each in self._claims.by_path[path] if each.owner is owner)
                if found.fingerprint.sha256 == claim.entry.fingerprint.sha256:
                    yield claim, True

    def _different(self) -> Iterator[tuple[Claim, bool]]:
        """The files that are not what was promised."""
        for path, found in self._observed.noted.items():
            digest = found.fingerprint.sha256
            if found.fingerprint.kind != "file" or digest is None or path not in self._claims.by_path:
                continue
            claims = self._claims.by_path[path]
            if len(claims) == 1 and claims[0].entry.fingerprint.sha256 not in {None, digest}:
                yield claims[0], False

    # --- which prefix -------------------------------------------------------------------------------------------------

    def _proved(self, file: _File) -> str | None:
        """The prefix for which a file was made of the packed one, proved by the hash of that."""
        placeholder = file.placeholder
        if placeholder is None:
            return None
        for prefix in (*self._here, *self._known):
            if os.fsencode(prefix) in file.data and restore(file.data, placeholder, prefix) is not None:
                return prefix
        # A first line that is too long for the kernel names no prefix any more.
        packed = None if placeholder.is_binary else restore(file.data, placeholder, self._here[0])
        if packed is not None:
            made = (each for each in (*self._here, *self._known) if fill(packed, placeholder, each) == file.data)
            return next(made, self._here[0])
        for guess in candidates(file.data, self._names)[:_MAX_GUESSES]:
            if guess not in self._here and restore(file.data, placeholder, guess) is not None:
                self._known.insert(0, guess)
                return guess
        return None

    def _without_proof(self, files: Sequence[_File]) -> Iterator[tuple[str, EmbeddedPrefix]]:
        recorded = [file for file in files if file.is_recorded]
        known = [*self._known, *(each for each in _common(recorded, self._names) if self._is_elsewhere(each))]
        for file in files:
            if file.is_recorded:
                prefix = next((each for each in known if holds(file.data, each)), None)
                if prefix is not None:
                    yield from self._told(file, prefix)
            elif len(file.data) <= _MAX_TEXT and any(self._is_rewritten(file, each) for each in known):
                yield file.path, EmbeddedPrefix(prefix=self._here[0], is_here=True, is_recorded=False)

    def _is_rewritten(self, file: _File, former: str) -> bool:
        """Whether the file is what was promised but for this prefix in the place of a former one."""
        for here in self._here:
            was = swap(file.data, here, former, binary=b"\0" in file.data)
            if was is not None and hashlib.sha256(was).hexdigest() == file.entry.fingerprint.sha256:
                return True
        return False

    def _told(self, file: _File, prefix: str) -> Iterator[tuple[str, EmbeddedPrefix]]:
        is_here = prefix in self._here
        if is_here or self._is_elsewhere(prefix):
            yield file.path, EmbeddedPrefix(prefix=prefix, is_here=is_here, is_recorded=file.is_recorded)

    def _is_elsewhere(self, prefix: str) -> bool:
        """Whether it is another directory than this environment: it may be reached by several paths."""
        is_system = prefix in _SHARED or f"{prefix}/".startswith(_SYSTEM)
        return not is_system and os.path.realpath(prefix) != self._real


def former_prefixes(root: Path, observed: Observation, scripts: Mapping[str, Script]) -> Iterator[str]:
    """Where the environment may have been before, as scripts, conda's history and bytecode name it."""
    seen = set()
    for each in (*_of_scripts(observed, scripts), *_of_history(root), *_of_bytecode(root, observed)):
        if each not in seen:
            seen.add(each)
            yield each


def _of_scripts(observed: Observation, scripts: Mapping[str, Script]) -> Iterator[str]:
    counted = Counter(_prefix_of(script, observed) for script in scripts.values())
    yield from (prefix for prefix, _ in counted.most_common() if prefix is not None)


def _prefix_of(script: Script, observed: Observation) -> str | None:
    """The other prefix whose program runs a script, where this one has a program of that name in the same folder."""
    folder, _, name = script.interpreter.rpartition("/")
    prefix, _, programs = folder.rpartition("/")
    is_there = prefix.startswith("/") and observed.kind(f"{programs}/{name}") is not None
    return prefix if is_there and not script.is_inside else None


def _of_history(root: Path) -> Iterator[str]:
    try:
        text = fs.read_content(root / META / "history", limit=_MAX_HISTORY).decode("utf-8", "replace")
    except OSError:
        return
    for line in text.split("\n"):
        if line.startswith("# cmd:"):
            for written in _OPTION.findall(line):
                prefix = os.path.normpath(written.strip("'\""))
                if prefix.startswith("/"):
                    yield prefix


def _of_bytecode(root: Path, observed: Observation) -> Iterator[str]:
    """The directory that bytecode was compiled in: it holds the path of its module."""
    asked = 0
    for folder in observed.folders_with("__pycache__"):
        if "site-packages" not in folder or asked >= _CODE:
            continue
        for path in observed.below(f"{folder}/__pycache__"):
            name = path.rpartition("/")[2]
            if not name.endswith(".pyc"):
                continue
            asked += 1
            prefix = _compiled_in(root / path, f"/{folder}/{name.partition('.')[0]}.py")
            if prefix is not None:
                yield prefix
            break


def _compiled_in(path: Path, module: str) -> str | None:
    try:
        data = fs.read_content(path)
    except OSError:
        return None
    end = data.find(os.fsencode(module))
    # Marshal writes the length of a text before it: in one byte, or in four.
    for start in range(end - 1, max(end - _MAX_PATH, 4), -1) if end > 0 else ():
        length = end + len(module) - start
        if data[start] == 47 and (
            data[start - 1] == length or int.from_bytes(data[start - 4 : start], "little") == length
        ):
            return os.fsdecode(data[start:end])
    return None


def _common(files: Iterable[_File], names: Sequence[bytes]) -> Iterator[str]:
    """The directories that most of the files may hold as their prefix, the commonest first."""
    counted: Counter[str] = Counter()
    known = frozenset(names)
    for file in files:
        counted.update(each for each in candidates(file.data, names)[:_MAX_GUESSES] if _leads(file.data, each, known))
    most = max(counted.values(), default=0)
    yield from sorted((each for each, count in counted.items() if count == most), key=len)


def _leads(data: bytes, prefix: str, names: frozenset[bytes]) -> bool:
    """Whether a name of the environment's own follows the directory somewhere."""
    return any(os.fsencode(prefix) + b"/" + name in data for name in names)


def _changed(installed: Installed) -> Iterable[str]:
    entries = installed.entries
    if isinstance(entries, Entries):
        return entries.changed()
    return (each.path for each in entries if each.packed is not None and each.fingerprint.kind == "file")
