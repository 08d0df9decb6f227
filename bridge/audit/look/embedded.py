"""Find which prefix is written into the files of packages: this one, or the environment's former one.

A file with a prefix has two hashes in its record: as packed, and as installed. If the record has the placeholder too,
the hash of the packed file proves the prefix; otherwise it is one that the file contains and that other files, scripts
or conda's history name (docs/decisions/0014-prefixes-in-files.md).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bridge import fs
from bridge.audit.look.inspection import EmbeddedPrefix, Script
from bridge.audit.look.observation import Observation
from bridge.model import Entry, Installed
from bridge.paths import META
from bridge.prefix.claims import Claim, Claims
from bridge.prefix.entries import Entries
from bridge.prefix.placed import Placeholder, candidates, fill, holds, restore, swap
from bridge.prefix.placeholders import placeholders_of
from converters.deferred import dataclass, regex

__all__ = ["read_embedded"]

_MAX_GUESSES = 48  # directories that are tried for one file
_MAX_TEXT = 4 << 20  # bytes of a changed file without a placeholder that is searched
_OPTION = regex(r"(?:\s-p|\s--prefix)(?:\s+|=)('[^'\n]+'|\"[^\"\n]+\"|/\S+)")
_OPTIONS = regex(rb"(#!\s?/[^\n]*?/python[\w.]*)(?:\s+-[A-Za-z]+)+(?=\r?\n)")
_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/etc/", "/dev/", "/proc/", "/System/", "/Library/")
_SHARED = frozenset({"/", "/opt", "/home", "/root", "/tmp", "/var", "/srv", "/mnt"})
_CODE = 8  # files of bytecode that are searched for their source path
_MAX_PATH = 4096  # bytes of a path
_MAX_HISTORY = 64 << 20  # bytes of the history


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file to explain. `is_recorded`: it has the sha256 of its record."""

    path: str
    data: bytes
    entry: Entry
    is_recorded: bool
    placeholder: Placeholder | None


def read_embedded(
    root: Path, claims: Claims, observed: Observation, scripts: Mapping[str, Script]
) -> Mapping[str, EmbeddedPrefix]:
    """Path → the prefix in it, of files with another prefix, or with this one although their record differs."""
    search = _Search(root, claims, observed, scripts)
    return {**dict(search.moved_scripts()), **dict(search.files())}


class _Search:
    def __init__(self, root: Path, claims: Claims, observed: Observation, scripts: Mapping[str, Script]) -> None:
        self._root, self._claims, self._observed = root, claims, observed
        self._real = os.path.realpath(root)
        self._here = tuple(dict.fromkeys((str(root), self._real)))
        self._names = [os.fsencode(path) for path in observed.below("")]
        self._scripts = scripts
        self._known: list[str] = []  # former prefixes, the most likely first

    def files(self) -> Iterator[tuple[str, EmbeddedPrefix]]:
        files = sorted(self._suspects(), key=lambda each: len(each.data))
        if not files:
            return
        seeds = _former_prefixes(self._root, self._observed, self._scripts)
        self._known = [each for each in seeds if self._is_elsewhere(each)]
        unproved = []
        for file in files:
            prefix = self._proved(file) if file.placeholder is not None else None
            if prefix is None and (file.placeholder is None or not file.is_recorded):
                unproved.append(file)
            elif prefix is not None and not (file.is_recorded and prefix in self._here):
                yield from self._embedded(file, prefix)
        yield from self._without_proof(unproved)

    def moved_scripts(self) -> Iterator[tuple[str, EmbeddedPrefix]]:
        """Scripts of installers that run with the python of the former prefix."""
        for path, script in self._scripts.items():
            prefix = _prefix_of(script, self._observed)
            if prefix is None or not self._is_elsewhere(prefix) or path not in self._claims.by_path:
                continue
            digest = self._observed[path].fingerprint.sha256
            promised = {claim.entry.fingerprint.sha256 for claim in self._claims.by_path[path]}
            if promised <= {None, digest}:
                yield path, EmbeddedPrefix(prefix=prefix, is_here=False, is_recorded=True)

    # --- which files --------------------------------------------------------------------------------------------------

    def _suspects(self) -> Iterator[_File]:
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
        for owner, suspects in by_owner.items():
            spots = placeholders_of(self._root, owner) if owner else {}
            for path, data, claim, is_recorded in suspects:
                yield _File(
                    path=path, data=data, entry=claim.entry, is_recorded=is_recorded, placeholder=spots.get(path)
                )

    def _filled(self) -> Iterator[tuple[Claim, bool]]:
        """The files whose two hashes prove that a prefix was written in, and that are as promised."""
        for owner in self._claims.recorded:
            is_of_conda = owner.source == "conda"  # No wheel has a placeholder.
            for path in _changed(owner.installed) if owner.installed is not None and is_of_conda else ():
                observed = self._observed.get(path)
                if observed is None or observed.fingerprint.kind != "file" or observed.problem:
                    continue
                claim = next(each for each in self._claims.by_path[path] if each.owner is owner)
                if observed.fingerprint.sha256 == claim.entry.fingerprint.sha256:
                    yield claim, True

    def _different(self) -> Iterator[tuple[Claim, bool]]:
        """The files that are not as promised."""
        for path, observed in self._observed.noted.items():
            digest = observed.fingerprint.sha256
            if observed.fingerprint.kind != "file" or digest is None or path not in self._claims.by_path:
                continue
            claims = self._claims.by_path[path]
            if len(claims) == 1 and claims[0].entry.fingerprint.sha256 not in {None, digest}:
                yield claims[0], False

    # --- which prefix -------------------------------------------------------------------------------------------------

    def _proved(self, file: _File) -> str | None:
        """The prefix that was written into a file, proved by the hash of the packed file."""
        placeholder = file.placeholder
        if placeholder is None:
            return None
        for prefix in (*self._here, *self._known):
            if os.fsencode(prefix) in file.data and restore(file.data, placeholder, prefix) is not None:
                return prefix
        # A first line that is too long for the kernel was replaced, and has no prefix.
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
                    yield from self._embedded(file, prefix)
            elif _is_script_with_options(file) or (
                len(file.data) <= _MAX_TEXT and any(self._is_rewritten(file, each) for each in known)
            ):
                yield file.path, EmbeddedPrefix(prefix=self._here[0], is_here=True, is_recorded=False)

    def _is_rewritten(self, file: _File, former: str) -> bool:
        """Whether the file is as promised, except that this prefix replaces a former one."""
        for here in self._here:
            original = swap(file.data, here, former, binary=b"\0" in file.data)
            if original is not None and hashlib.sha256(original).hexdigest() == file.entry.fingerprint.sha256:
                return True
        return False

    def _embedded(self, file: _File, prefix: str) -> Iterator[tuple[str, EmbeddedPrefix]]:
        is_here = prefix in self._here
        if is_here or self._is_elsewhere(prefix):
            yield file.path, EmbeddedPrefix(prefix=prefix, is_here=is_here, is_recorded=file.is_recorded)

    def _is_elsewhere(self, prefix: str) -> bool:
        """Whether it is another directory than this environment, which may have several paths."""
        is_system = prefix in _SHARED or f"{prefix}/".startswith(_SYSTEM)
        return not is_system and os.path.realpath(prefix) != self._real


def _is_script_with_options(file: _File) -> bool:
    """Whether a script is as promised but for options of its python: pipx adds `-E`, and distributions `-s`."""
    found = _OPTIONS.match(file.data)
    original = b"" if found is None else found[1] + file.data[found.end() :]
    return found is not None and hashlib.sha256(original).hexdigest() == file.entry.fingerprint.sha256


def _former_prefixes(root: Path, observed: Observation, scripts: Mapping[str, Script]) -> Iterator[str]:
    """The former prefixes that scripts, conda's history and bytecode name."""
    seen = set()
    for each in (*_of_scripts(observed, scripts), *_of_history(root), *_of_bytecode(root, observed)):
        if each not in seen:
            seen.add(each)
            yield each


def _of_scripts(observed: Observation, scripts: Mapping[str, Script]) -> Iterator[str]:
    counted = Counter(_prefix_of(script, observed) for script in scripts.values())
    yield from (prefix for prefix, _ in counted.most_common() if prefix is not None)


def _prefix_of(script: Script, observed: Observation) -> str | None:
    """The other prefix whose program runs a script, if this one has the same program."""
    directory, _, name = script.interpreter.rpartition("/")
    prefix, _, programs = directory.rpartition("/")
    program = f"{programs}/{name}"
    if name.endswith(".exe"):  # Windows has python at the root.
        prefix, program = directory, name
    is_there = prefix.startswith("/") and observed.kind(program) is not None
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
    """The prefix in which bytecode was compiled: it contains the path of its module."""
    searched = 0
    for directory in observed.directories_with("__pycache__"):
        if "site-packages" not in directory or searched >= _CODE:
            continue
        for path in observed.below(f"{directory}/__pycache__"):
            name = path.rpartition("/")[2]
            if not name.endswith(".pyc"):
                continue
            searched += 1
            prefix = _compiled_in(root / path, f"/{directory}/{name.partition('.')[0]}.py")
            if prefix is not None:
                yield prefix
            break


def _compiled_in(path: Path, module: str) -> str | None:
    try:
        data = fs.read_content(path)
    except OSError:
        return None
    end = data.find(os.fsencode(module))
    # Marshal writes the length of a string before it, in one byte or four.
    for start in range(end - 1, max(end - _MAX_PATH, 4), -1) if end > 0 else ():
        length = end + len(module) - start
        if data[start] == 47 and (
            data[start - 1] == length or int.from_bytes(data[start - 4 : start], "little") == length
        ):
            return os.fsdecode(data[start:end])
    return None


def _common(files: Iterable[_File], names: Sequence[bytes]) -> Iterator[str]:
    """The directories that most files may have as their prefix, the shortest first."""
    counted: Counter[str] = Counter()
    known = frozenset(names)
    for file in files:
        counted.update(each for each in candidates(file.data, names)[:_MAX_GUESSES] if _leads(file.data, each, known))
    most = max(counted.values(), default=0)
    yield from sorted((each for each, count in counted.items() if count == most), key=len)


def _leads(data: bytes, prefix: str, names: frozenset[bytes]) -> bool:
    """Whether a top-level name of this environment follows the directory somewhere."""
    return any(os.fsencode(prefix) + b"/" + name in data for name in names)


def _changed(installed: Installed) -> Iterable[str]:
    return Entries.of(installed.entries).changed()
