"""Compute what a change does to each path, from the plan, the staged files and the disk.

Only the copies of files that a user changed are written here, staged like everything else.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path

from bridge import fs
from bridge.faults import faults
from bridge.install.manifest import GENERATED, site_packages_after
from bridge.install.ownership import Judgement
from bridge.install.staging.cache_links import content_fingerprint
from bridge.model import Entry, Fingerprint, PathChange, Plan, PrefixState
from bridge.paths import META, ancestors
from bridge.prefix.claims import bytecode_source, claims_of, is_bytecode, leaving, owned_entries, superseded
from bridge.prefix.entries import paths_of
from converters.deferred import dataclass

__all__ = ["KeptAside", "Replacement", "replace_paths"]

_RECORDS = (".dist-info/METADATA", ".dist-info/RECORD")
_INFO = (".dist-info/", ".egg-info/")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAside:
    """A file that differed from what its owner installed: moved from `path` to `saved`."""

    path: str
    saved: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """Every path that changes, sorted, and the files kept aside."""

    changes: tuple[PathChange, ...]
    kept_aside: tuple[KeptAside, ...]


def replace_paths(
    state: PrefixState,
    plan: Plan,
    staged: Mapping[str, tuple[Fingerprint, str]],
    staging: Path,
    judgement: Judgement,
) -> Replacement:
    """Return the changes that bring `staged` into the prefix and remove what leaves it.

    :param staged: path → the fingerprint below `staging`, and its owner's label.

    Identical paths are no change. A removed or replaced file whose content a user changed is kept as
    `PATH.bridge-saved-N`; records of installers (dist-info, conda-meta) and caches are not. Raises `FaultError` if the
    disk cannot be read.
    """
    work = _Replacements(state, plan, staged, staging, judgement)
    changes = [*work.coming(), *work.going()]
    touched = [change for change in changes if change.before is not None]
    if touched:
        taken = {change.path for change in changes} | set(staged)
        changes += [*work.stale_bytecode(touched, taken), *work.leftover_records(touched, taken)]
    changes += [*work.saved, *work.remaining(changes)]
    return Replacement(
        changes=tuple(sorted(changes, key=lambda change: change.path)),
        kept_aside=tuple(sorted(work.kept, key=lambda kept: kept.path)),
    )


class _Replacements:
    """The facts of one change, and the files kept aside so far."""

    def __init__(
        self,
        state: PrefixState,
        plan: Plan,
        staged: Mapping[str, tuple[Fingerprint, str]],
        staging: Path,
        judgement: Judgement,
    ) -> None:
        self.state, self.plan, self.prefix, self.staging = state, plan, plan.prefix, staging
        self.staged, self.judgement = staged, judgement
        old = leaving(plan)
        # Path → the entry of its old owner, and that owner's label.
        self.recorded: dict[str, tuple[Entry, str]] = {
            entry.path: (entry, installed.record.label) for installed in old for entry in owned_entries(installed)
        }
        # An adopted distribution leaves like a package: its files go unless another owner has them too.
        adopted = [
            each for each in superseded(state, plan) if not judgement.adopted.isdisjoint(paths_of(each.entries or ()))
        ]
        for each in adopted:
            self.recorded |= {entry.path: (entry, f"{each.name}-{each.version}") for entry in each.entries or ()}
        self.kept_claims = claims_of(state, without=(*old, *adopted)).by_path
        kinds = {path: entry.fingerprint.kind for path, (entry, _) in self.recorded.items()}
        self.leaving_links = frozenset(path for path, kind in kinds.items() if kind == "symlink")
        self.saved: list[PathChange] = []
        self.kept: list[KeptAside] = []

    def coming(self) -> Iterator[PathChange]:
        """Yield new and replaced paths."""
        disk = fs.Absence(self.prefix)
        for path, (after, owner) in self.staged.items():
            is_behind = self.leaving_links and self._is_behind_leaving_link(path)
            before = None if is_behind else disk.fingerprint(path)
            if before is not None:
                if _is_equal(before, after) or before.kind == after.kind == "directory":
                    continue
                self._keep(path, before)
            yield PathChange(path=path, before=before, after=after, owner=owner, is_record=_is_record(path))

    def _is_behind_leaving_link(self, path: str) -> bool:
        """Whether a parent is a symlink that is removed: its target is at other paths, and stays."""
        directory = next((each for each in ancestors(path) if each in self.leaving_links), None)
        current = None if directory is None else fs.fingerprint(self.prefix, directory, hash=False)
        return current is not None and current.kind == "symlink"

    def going(self) -> Iterator[PathChange]:
        """Yield paths of leaving packages that no other package has or takes."""
        for path, (entry, owner) in self.recorded.items():
            if path in self.staged or path in self.kept_claims:
                continue
            before = fs.fingerprint(self.prefix, path)
            if before is None:
                continue
            if before.kind == "directory" and entry.fingerprint.kind != "directory":
                continue  # Replaced by a directory with unknown content.
            self._keep(path, before)
            yield PathChange(path=path, before=before, after=None, owner=owner, is_record=_is_record(path))

    def remaining(self, changes: Iterable[PathChange]) -> Iterator[PathChange]:
        """Keep the site-packages of a python that stays, even if empty."""
        site = site_packages_after(self.plan, self.state)
        if site is None or all(change.after is not None for change in changes):
            return
        current = fs.fingerprint(self.prefix, site)
        if current is not None and current.kind == "directory":
            yield PathChange(path=site, before=current, after=current)

    def stale_bytecode(self, changes: Iterable[PathChange], taken: Collection[str]) -> Iterator[PathChange]:
        """Yield bytecode of modules that are removed or replaced, whatever its time, except at `taken` paths."""
        modules: dict[str, dict[str, str]] = {}
        for change in changes:
            directory, _, name = change.path.rpartition("/")
            if name.endswith(".py"):
                modules.setdefault(directory, {})[name[: -len(".py")]] = change.owner
        for directory, owners in modules.items():
            cache = f"{directory}/__pycache__" if directory else "__pycache__"
            for name in _names(self.prefix / cache):
                path = f"{cache}/{name}"
                module = name.split(".", 1)[0]
                if module not in owners or not is_bytecode(name) or path in taken or path in self.kept_claims:
                    continue
                before = fs.fingerprint(self.prefix, path, hash=False)
                if before is not None and before.kind != "directory":
                    yield PathChange(path=path, before=before, after=None, owner=owners[module])

    def leftover_records(self, changes: Iterable[PathChange], taken: Collection[str]) -> Iterator[PathChange]:
        """Yield files of other installers in a dist-info that is removed or restored; pip fails on them."""
        for change in changes:
            directory, _, name = change.path.rpartition("/")
            is_gone = name == "METADATA" and change.after is None
            is_restored = name == "RECORD" and change.after is not None
            if not (is_gone or is_restored) or not directory.endswith(".dist-info"):
                continue
            for left in GENERATED:
                path = f"{directory}/{left}"
                before = None if path in taken or path in self.kept_claims else fs.fingerprint(self.prefix, path)
                if before is not None and before.kind != "directory":
                    yield PathChange(path=path, before=before, after=None, owner=change.owner, is_record=True)

    def _keep(self, path: str, current: Fingerprint) -> None:
        """Stage a copy of `path` if a user added or changed it."""
        if path not in self.judgement.set_aside and not self._is_changed(path, current):
            return
        saved = self._free_name(path)
        if current.kind == "symlink":
            after = fs.write_symlink(self.staging, saved, current.link or "")
        else:
            with faults(self.prefix, path), (self.prefix / path).open("rb") as stream:
                after = fs.write_file(self.staging, saved, stream, mode=current.mode or 0o644)
        self.saved.append(PathChange(path=saved, before=None, after=after))
        self.kept.append(KeptAside(path=path, saved=saved))

    def _is_changed(self, path: str, current: Fingerprint) -> bool:
        if path not in self.recorded or current.kind == "directory" or bytecode_source(path) is not None:
            return False
        if path.startswith(f"{META}/") or any(info in path for info in _INFO):
            return False
        recorded = self.recorded[path][0].fingerprint
        if current.kind == "symlink" and recorded.kind == "file":
            # A link into an installer's cache with the recorded content is no change of a user's.
            current = content_fingerprint(self.prefix, path) or current
        if recorded.kind == "directory" or current.kind != recorded.kind:
            return current.kind != recorded.kind
        return recorded.sha256 is not None and current.sha256 != recorded.sha256

    def _free_name(self, path: str) -> str:
        """Return a free name beside `path`, or beside its parent directory if a file replaces that."""
        base = path
        for directory in ancestors(path):
            if directory in self.staged and self.staged[directory][0].kind != "directory":
                base = directory
        for number in count(1):
            name = f"{base}.bridge-saved-{number}"
            is_new = name not in self.staged and all(change.path != name for change in self.saved)
            if is_new and fs.fingerprint(self.prefix, name, hash=False) is None:
                return name
        raise AssertionError("counting ended")


def _is_equal(before: Fingerprint, after: Fingerprint) -> bool:
    """Whether kind, content and mode are the same."""
    if before.kind != after.kind:
        return False
    if after.kind == "file":
        return before.sha256 == after.sha256 and after.mode in {None, before.mode}
    return after.kind == "directory" or before.link == after.link


def _is_record(path: str) -> bool:
    return path.startswith(f"{META}/") or path.endswith(_RECORDS)


def _names(directory: Path) -> Collection[str]:
    with faults(directory):
        try:
            return sorted(os.listdir(directory))
        except (FileNotFoundError, NotADirectoryError):
            return ()
