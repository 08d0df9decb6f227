"""Staging a plan: every new inode is written aside, and every path that changes is told.

conda packages are linked by rattler, wheels placed through `installer`; both with the final prefix in what names it.
What was staged is held against what was predicted, path by path and hash by hash, before anyone may swap it in.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from bridge import _rattler, fs, ledger
from bridge.archive import CondaManifest, WheelManifest
from bridge.errors import IntegrityError, UnsafeInputError, UsageError
from bridge.link.replacement import KeptAside, replace_paths
from bridge.link.wheels import Placement, place_wheel
from bridge.manifest import Manifest, site_packages_after
from bridge.model import Entry, Fingerprint, PathChange, Plan, PrefixState, Reinstall, Remove, Resolved
from bridge.owners import incoming, leaving, owned_entries, unmanaged
from bridge.ownership import Judgement
from bridge.paths import META, OWN
from bridge.prefix import condameta
from bridge.provenance import conda_depends, history, meta_path
from converters.names import NameMap

__all__ = ["Staged", "Task", "check_prefix", "stage"]

_HISTORY = f"{META}/history"
_OF_RATTLER = ("CACHEDIR.TAG", _HISTORY)  # of the staging directory itself, not of a package
_LOOSE_BITS = 0o7002  # set-id, sticky, writable by anyone: never taken from an archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """All that staging needs to know.

    :param state: the prefix as it is; for a new one, an empty state.
    :param archives: `Record.identity` → the fetched archive; `manifests`: what it was judged to hold.
    :param predicted: `Record.identity` → its paths (`bridge.manifest.predict`).
    :param command: the command line, for conda's history; `when`: `2026-11-22 10:00:00`; `version`: of bridge.
    """

    plan: Plan
    state: PrefixState
    archives: Mapping[str, Path]
    manifests: Mapping[str, Manifest]
    predicted: Mapping[str, tuple[Entry, ...]]
    judgement: Judgement
    names: NameMap
    command: str
    when: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What `bridge.transaction` swaps in, what was kept of a person's changes, and the prefix as it is to be."""

    changes: tuple[PathChange, ...]
    kept_aside: tuple[KeptAside, ...]
    state: PrefixState


def stage(task: Task, staging: Path, scratch: Path, *, executor: Executor | None = None) -> Staged:
    """Write all that is new into `staging`, as if it were `task.plan.prefix`.

    :param staging: a directory of ours, empty but for `conda-meta/.bridge`.
    :param scratch: an absent directory, best on the same file system; it is removed in the end.
    :param executor: of threads, for the wheels; by default a few are started.

    Raises `IntegrityError` (`staged-differs`, `record-hash`), `UnsafeInputError` (`prefix-too-long`), `UsageError`
    (`prefix-name`, `no-python`), `FaultError` (the system, or rattler, refused). The prefix is only read.
    """
    check_prefix(task.plan.prefix, task.manifests.values())
    try:
        staged = _stage_conda(task, staging, scratch)
        staged |= _stage_wheels(task, staging, staged.keys(), executor)
    finally:
        fs.remove_tree(scratch)
    _check_tree(staging, staged)
    after = _state_after(task, staging)
    labels = {resolved.record.identity: resolved.record.label for resolved in incoming(task.plan)}
    found = {path: (fingerprint, labels[identity]) for path, (fingerprint, identity) in staged.items()}
    found |= {path: (fingerprint, "") for path, fingerprint in _stage_own(task, staging, after).items()}
    replacement = replace_paths(task.state, task.plan, found, staging, task.judgement)
    return Staged(changes=replacement.changes, kept_aside=replacement.kept_aside, state=after)


def check_prefix(prefix: Path, manifests: Iterable[Manifest]) -> None:
    """Whether the prefix's own path can be written into the packages.

    Raises `UsageError` (`prefix-name`) for a path with a line break (W74); `UnsafeInputError` (`prefix-too-long`) where
    a binary file of a conda package has no room for it (P14).
    """
    text = str(prefix)
    if any(mark in text for mark in "\n\r\0"):
        raise UsageError("prefix-name", f"an environment's path cannot hold a line break: {text!r}")
    for manifest in manifests:
        for path in manifest.paths if isinstance(manifest, CondaManifest) else ():
            room = len((path.prefix_placeholder or "").encode())
            if path.file_mode == "binary" and len(os.fsencode(text)) > room:
                raise UnsafeInputError(
                    "prefix-too-long",
                    f"{manifest.filename}: {path.path} has room for a prefix of {room} bytes; {text} is longer",
                    hint="choose a shorter path for the environment",
                )


# --- conda packages ---------------------------------------------------------------------------------------------------

_Laid = dict[str, tuple[Fingerprint, str]]  # path → what was staged, and the identity of whose it is


def _stage_conda(task: Task, staging: Path, scratch: Path) -> _Laid:
    resolved = [each for each in incoming(task.plan) if each.record.ecosystem == "conda"]
    if not resolved:
        return {}
    python = _live_python(task, resolved)
    unpacked = {each.record.identity: scratch / "packages" / each.record.identity for each in resolved}
    fs.make_directories(scratch / "packages")
    _rattler.extract({task.archives[identity]: folder for identity, folder in unpacked.items()})
    together, apart = _groups(task, resolved)
    for number, group in enumerate([together, *([each] for each in apart)]):
        target = scratch / f"apart-{number}" if number else staging
        if group:
            support = python if python is not None else _staged_python(task, staging, group)
            records = [each.record for each in group]
            _rattler.link(records, unpacked, target, task.plan.prefix, scratch / "packages", python=support)
        if number:
            _move(target, staging, task, group[0])
    with fs.WritableTree(staging) as tree:
        for path in _OF_RATTLER:
            if tree.lstat(path) is not None:
                tree.unlink(path)
    found: _Laid = {}
    for each in resolved:
        found |= _finish_conda(task, staging, each)
    return found


def _groups(task: Task, resolved: Sequence[Resolved]) -> tuple[list[Resolved], list[Resolved]]:
    """The packages that are linked together, no two of them with one path, python among them; and the others.

    rattler would move the one of two equal paths away, by a rule of its own. So who shares or yields a path is linked
    apart, and moved without it: those that yield last, when what they yield to is there.
    """
    together: list[Resolved] = []
    apart: list[Resolved] = []
    taken: set[str] = set()
    yielded = task.judgement.yielded
    for each in sorted(resolved, key=lambda each: (each.record.identity in yielded, each.record.name != "python")):
        paths = {entry.path for entry in task.predicted[each.record.identity] if entry.fingerprint.kind != "directory"}
        is_alone = each.record.identity not in yielded and taken.isdisjoint(paths)
        (together if is_alone else apart).append(each)
        taken |= paths
    return together, apart


def _live_python(task: Task, resolved: Sequence[Resolved]) -> Path | None:
    """The record of the python that stays; `None` where one is staged, or none is needed."""
    if any(each.record.name == "python" for each in resolved):
        return None
    gone = {old.meta_path for old in leaving(task.plan)}
    for installed in task.state.installed:
        record = installed.record
        if record.name == "python" and record.ecosystem == "conda" and installed.meta_path not in gone:
            return task.state.prefix / installed.meta_path
    needing = [each.record.label for each in resolved if each.record.noarch == "python"]
    if needing:
        raise UsageError(
            "no-python",
            f"{needing[0]} needs a python that is a conda package, and the environment has none",
            hint="make an environment with bridge create, or ask for python as well",
        )
    return None


def _staged_python(task: Task, staging: Path, group: Sequence[Resolved]) -> Path | None:
    """The record of a python that was linked with an earlier group."""
    for each in incoming(task.plan):
        if each.record.name == "python" and each not in group and each.record.ecosystem == "conda":
            return staging / meta_path(each.record)
    return None


def _move(source: Path, staging: Path, task: Task, resolved: Resolved) -> None:
    """Move what was linked apart, but for what the package yields and what is there already: the same bytes."""
    yielded = task.judgement.yielded.get(resolved.record.identity, frozenset())
    with fs.WritableTree(source) as tree, fs.WritableTree(staging) as target:
        for path, is_directory in list(tree.walk("")):
            if is_directory or path in yielded or path in _OF_RATTLER or target.lstat(path) is not None:
                continue
            target.make_directory(path.rpartition("/")[0])
            tree.rename(path, target, path)


def _finish_conda(task: Task, staging: Path, resolved: Resolved) -> _Laid:
    """Complete the record that rattler wrote, and hold the package's files against what was predicted."""
    record = resolved.record
    yielded = task.judgement.yielded.get(record.identity, frozenset())
    path = meta_path(record)
    predicted = {
        entry.path: entry.fingerprint for entry in task.predicted[record.identity] if entry.path not in yielded
    }
    with fs.WritableTree(staging) as tree:
        try:
            data = _completed((staging / path).read_bytes(), resolved, yielded)
            installed, defects = condameta.parse(data, path)
        except (OSError, ValueError) as error:
            raise _differs(record.label, f"{path}: {error}") from error
        promised = {entry.path: entry.fingerprint for entry in installed.entries}
        wanted = {path for path in predicted if predicted[path].kind != "directory"}
        if defects or promised.keys() - predicted.keys() or wanted - promised.keys() - {path}:
            odd = sorted((promised.keys() ^ predicted.keys()) - {path})
            raise _differs(record.label, *(f"path: {each}" for each in odd[:5]), *(each.detail for each in defects))
        tree.unlink(path)
        found = {path: (fs.write_file(tree, path, [data]), record.identity)}
        for each, expected in predicted.items():
            if each != path:
                found[each] = _verified(tree, each, (expected, promised.get(each)), record.label), record.identity
    return found


def _completed(data: bytes, resolved: Resolved, yielded: Collection[str]) -> bytes:
    """The record as rattler wrote it, with what was asked for, and without the folders of the unpacked packages."""
    document = json.loads(data)
    for key in ("extracted_package_dir", "package_tarball_full_path", "requested_spec", "requested_specs"):
        document.pop(key, None)
    if isinstance(document.get("link"), dict):
        document["link"]["source"] = ""
    if resolved.requested:
        document |= {"requested_spec": resolved.requested[0], "requested_specs": list(resolved.requested)}
    if yielded:
        document["files"] = [path for path in document["files"] if path not in yielded]
        paths = document["paths_data"]["paths"]
        document["paths_data"]["paths"] = [path for path in paths if path["_path"] not in yielded]
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def _verified(tree: fs.WritableTree, path: str, promises: Iterable[Fingerprint | None], label: str) -> Fingerprint:
    """What was staged at `path`, hashed, after holding it against every promise; loose modes are taken from it."""
    found = tree.fingerprint(path)
    for promised in promises:
        if promised is None:
            continue
        if found is None or found.kind != promised.kind:
            raise _differs(label, f"{path}: a {promised.kind} was to be there")
        if promised.sha256 not in {None, found.sha256} or promised.link not in {None, found.link}:
            raise _differs(
                label, f"{path}: planned {promised.sha256 or promised.link}, staged {found.sha256 or found.link}"
            )
    if found is None:
        raise _differs(label, f"{path}: nothing was staged")
    if found.kind == "file" and found.mode is not None and found.mode & _LOOSE_BITS:
        with (tree.root / path).open("rb") as stream:
            tree.unlink(path)
            return fs.write_file(tree, path, stream, mode=found.mode & ~_LOOSE_BITS)
    return found


# --- wheels -----------------------------------------------------------------------------------------------------------


def _stage_wheels(task: Task, staging: Path, present: Collection[str], executor: Executor | None) -> _Laid:
    """Place the wheels.

    :param present: paths that conda packages of the plan brought; with the same bytes, or it was refused.
    """
    plan = task.plan
    manifests = {identity: each for identity, each in task.manifests.items() if isinstance(each, WheelManifest)}
    wheels = [each for each in incoming(plan) if each.record.identity in manifests]
    if not wheels or plan.python is None:
        return {}
    target = plan.target.with_python(plan.python)
    specs = {
        each.record.identity: conda_depends(each.record, target, task.names, extras=each.extras) for each in wheels
    }
    to = Placement(
        staging=staging,
        final=plan.prefix,
        python=plan.python,
        site_packages=site_packages_after(plan, task.state) or plan.python.site_packages,
        depends=specs,
        yielded=task.judgement.yielded,
        shared=_shared(task, wheels, present),
    )

    def place(each: Resolved) -> tuple[Entry, ...]:
        identity = each.record.identity
        return place_wheel(each, task.archives[identity], manifests[identity], to)

    found: _Laid = {}
    for each, entries in zip(wheels, _each(place, wheels, executor), strict=True):
        _check_wheel(task, each, entries)
        found |= {entry.path: (entry.fingerprint, each.record.identity) for entry in entries}
    return found


def _shared(task: Task, wheels: Sequence[Resolved], present: Collection[str]) -> dict[str, frozenset[str]]:
    """Identity → paths that another package of the plan writes, with the same bytes."""
    taken = set(present)
    found = {}
    for each in wheels:
        paths = {entry.path for entry in task.predicted[each.record.identity]}
        paths -= task.judgement.yielded.get(each.record.identity, frozenset())
        found[each.record.identity] = frozenset(paths & taken)
        taken |= paths
    return found


def _each(
    place: Callable[[Resolved], tuple[Entry, ...]], wheels: Sequence[Resolved], executor: Executor | None
) -> list[tuple[Entry, ...]]:
    if len(wheels) == 1:
        return [place(wheels[0])]
    if executor is not None:
        return list(executor.map(place, wheels))
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="bridge-link") as pool:
        return list(pool.map(place, wheels))


def _check_wheel(task: Task, resolved: Resolved, entries: Sequence[Entry]) -> None:
    identity = resolved.record.identity
    yielded = task.judgement.yielded.get(identity, frozenset())
    predicted = {entry.path: entry.fingerprint for entry in task.predicted[identity] if entry.path not in yielded}
    written = {entry.path: entry.fingerprint for entry in entries}
    odd = sorted(predicted.keys() ^ written.keys())
    odd += [
        path for path in predicted.keys() & written.keys() if predicted[path].sha256 not in {None, written[path].sha256}
    ]
    if odd:
        raise _differs(resolved.record.label, *(f"path: {path}" for path in odd[:5]))


# --- all together -----------------------------------------------------------------------------------------------------


def _check_tree(staging: Path, staged: _Laid) -> None:
    """Nothing lies in the staging directory but what was planned. (`__clobbers__`: rattler found two of one name.)"""
    with fs.Tree(staging) as tree:
        for path, is_directory in tree.walk(""):
            if not is_directory and path not in staged and not path.startswith(f"{OWN}/"):
                raise _differs("the staging directory", f"path: {path}")


def _state_after(task: Task, staging: Path) -> PrefixState:
    """The prefix's own records as they will be, for the ledger."""
    gone = {old.meta_path for old in leaving(task.plan)}
    installed = [each for each in task.state.installed if each.meta_path not in gone]
    for resolved in incoming(task.plan):
        path = meta_path(resolved.record)
        installed.append(condameta.parse((staging / path).read_bytes(), path)[0])
    taken = {entry.path for each in installed for entry in owned_entries(each)}
    return replace(
        task.state,
        prefix=task.plan.prefix,
        installed=tuple(sorted(installed, key=lambda each: (each.record.name, each.meta_path))),
        distributions=tuple(
            each for each in unmanaged(task.state) if not any(entry.path in taken for entry in each.entries or ())
        ),
        python=task.plan.python,
        site_packages=site_packages_after(task.plan, task.state),
    )


def _stage_own(task: Task, staging: Path, after: PrefixState) -> dict[str, Fingerprint]:
    """The history, as conda keeps it, and the ledger."""
    plan = task.plan
    repeated = {step.new.record.identity for step in plan.operations if isinstance(step, Reinstall)}
    added = [each for each in incoming(plan) if each.record.identity not in repeated]
    kept = {each.record.identity for each in incoming(plan)} & repeated
    removed = [each for each in leaving(plan) if each.record.identity not in kept]
    unwanted = [step.old for step in plan.operations if isinstance(step, Remove) and step.old.requested]
    found = {ledger.PATH: fs.write_file(staging, ledger.PATH, [ledger.build(after)])}
    if not (added or removed):
        return found  # What is only repaired is no revision.
    path = task.state.prefix / _HISTORY
    data = history(
        path.read_bytes() if path.is_file() else b"",
        when=task.when,
        command=task.command,
        version=task.version,
        added=added,
        removed=removed,
        removed_specs=[old.record.name for old in unwanted],
    )
    return found | {_HISTORY: fs.write_file(staging, _HISTORY, [data])}


def _differs(what: str, *context: str) -> IntegrityError:
    return IntegrityError(
        "staged-differs",
        f"{what} was not staged as its archive said; nothing was changed",
        context=context,
        hint="run the command again; if it happens again, this is a fault of bridge: report it",
    )
