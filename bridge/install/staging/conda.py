"""Staging conda packages: unpacked into a directory of the transaction, linked by rattler, held against the plan."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, final

from bridge import fs
from bridge.channels import _rattler
from bridge.errors import UsageError
from bridge.install.manifest import site_packages_after
from bridge.install.provenance import HARD_LINK, conda_package, meta_path, record_bytes
from bridge.install.staging.bytecode import Compiled
from bridge.install.staging.inputs import StagedPaths, StageInputs, differs
from bridge.model import Fingerprint, Resolved
from bridge.paths import EMPTY_SHA256, META
from bridge.prefix import condameta
from bridge.prefix.claims import incoming, leaving

__all__ = ["Unpacking", "link", "paths_of", "record"]

_MOST_LINKS = 16  # one after the other, on the way to a file

_OF_RATTLER = ("CACHEDIR.TAG", f"{META}/history")  # of the staging directory itself, not of a package
_PROBE = re.compile(
    r"(\.refprobe-|symtest_)[^/]*\Z"
)  # what it tries the file system with stays where removing it failed
_UNPACKING = 2  # at a time; each uses several threads of its own
_LOOSE_BITS = 0o7002  # set-id, sticky, writable by anyone: never taken from an archive


def packages_of(inputs: StageInputs) -> list[Resolved]:
    """The conda packages that the plan brings."""
    return [each for each in incoming(inputs.plan) if each.record.ecosystem == "conda"]


def paths_of(inputs: StageInputs) -> set[str]:
    """The paths that these packages bring, but for those that they yield."""
    found: set[str] = set()
    for each in packages_of(inputs):
        identity = each.record.identity
        paths = {entry.path for entry in inputs.predicted[identity] if entry.fingerprint.kind != "directory"}
        found |= paths - inputs.judgement.yielded.get(identity, frozenset())
    return found


@final
class Unpacking:
    """Conda packages on their way out of their archives, each into a directory of its own below `scratch`.

    Unpacking waits on the disk and on decompression, without the interpreter: what is judged early may begin early.
    Leave it (it is a context manager) before `scratch` is removed.
    """

    def __init__(self, scratch: Path) -> None:
        self._directory = scratch / "packages"
        self._pool = ThreadPoolExecutor(_UNPACKING, thread_name_prefix="bridge-unpack")
        self._begun: dict[str, Future[None]] = {}

    def __enter__(self) -> Unpacking:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def begin(self, archives: Mapping[str, Path]) -> None:
        """Unpack archives that were judged, in the background: `Record.identity` → archive. For any thread."""
        fs.make_directories(self._directory)
        job = self._pool.submit(_rattler.extract, {path: self._directory / name for name, path in archives.items()})
        self._begun |= dict.fromkeys(archives, job)

    def finish(self, inputs: StageInputs) -> dict[str, Path]:
        """Unpack what is left, and wait for all: `Record.identity` → directory. Raises as `_rattler.extract`."""
        wanted = [each.record.identity for each in packages_of(inputs)]
        left = {identity: inputs.archives[identity] for identity in wanted if identity not in self._begun}
        if left:
            self.begin(left)
        for identity in wanted:
            self._begun[identity].result()
        return {identity: self._directory / identity for identity in wanted}


def link(inputs: StageInputs, staging: Path, scratch: Path, unpacked: Mapping[str, Path]) -> None:
    """Link the unpacked packages into `staging`."""
    resolved = packages_of(inputs)
    if not resolved:
        return
    python, site = _live_python(inputs, resolved), site_packages_after(inputs.plan, inputs.state)
    together, apart = _groups(inputs, resolved)
    for number, group in enumerate([together, *([each] for each in apart)]):
        if not group:
            continue
        # rattler wants a directory of its own (beside records that it did not write it panics): what it links is moved.
        linked = scratch / f"linked-{number}"
        support = python if python is not None else _staged_python(inputs, staging, group)
        records = [each.record for each in group]
        _rattler.link(
            records, unpacked, linked, inputs.plan.prefix, scratch / "packages", python=support, site_packages=site
        )
        yielded = inputs.judgement.yielded.get(group[0].record.identity, frozenset()) if number else frozenset()
        _move(linked, staging, yielded, _foreseen(inputs, group))


def record(inputs: StageInputs, staging: Path, compiled: Compiled, sources: Mapping[str, str]) -> StagedPaths:
    """Hold what was linked against what was foreseen, and complete the records; all that is theirs.

    :param sources: `Record.identity` → the record's `link.source`.
    """
    found: StagedPaths = {}
    for each in packages_of(inputs):
        found |= _finish_conda(inputs, staging, each, compiled, sources.get(each.record.identity, ""))
    return found


def _groups(inputs: StageInputs, resolved: Sequence[Resolved]) -> tuple[list[Resolved], list[Resolved]]:
    """The packages that are linked together, no two of them with one path, python among them; and the others.

    rattler would move the one of two equal paths away, by a rule of its own. So who shares or yields a path is linked
    apart, and moved without it: those that yield last, when what they yield to is there.
    """
    together: list[Resolved] = []
    apart: list[Resolved] = []
    taken: set[str] = set()
    yielded = inputs.judgement.yielded
    for each in sorted(resolved, key=lambda each: (each.record.identity in yielded, each.record.name != "python")):
        paths = {
            entry.path for entry in inputs.predicted[each.record.identity] if entry.fingerprint.kind != "directory"
        }
        is_alone = each.record.identity not in yielded and taken.isdisjoint(paths)
        (together if is_alone else apart).append(each)
        taken |= paths
    return together, apart


def _live_python(inputs: StageInputs, resolved: Sequence[Resolved]) -> Path | None:
    """The record of the python that stays; `None` where one is staged, or none is needed."""
    if any(each.record.name == "python" for each in resolved):
        return None
    gone = {old.meta_path for old in leaving(inputs.plan)}
    for installed in inputs.state.installed:
        record = installed.record
        if record.name == "python" and record.ecosystem == "conda" and installed.meta_path not in gone:
            return inputs.state.prefix / installed.meta_path
    needing = [each.record.label for each in resolved if each.record.noarch == "python"]
    if needing:
        raise UsageError(
            "no-python",
            f"{needing[0]} needs a python that is a conda package, and the environment has none",
            hint="make an environment with bridge create, or ask for python as well",
        )
    return None


def _staged_python(inputs: StageInputs, staging: Path, group: Sequence[Resolved]) -> Path | None:
    """The record of a python that was linked with an earlier group."""
    for each in incoming(inputs.plan):
        if each.record.name == "python" and each not in group and each.record.ecosystem == "conda":
            return staging / meta_path(each.record)
    return None


def _foreseen(inputs: StageInputs, group: Iterable[Resolved]) -> set[str]:
    """What lies at the top of the prefix of the packages of a group: files and directories."""
    return {entry.path.partition("/")[0] for each in group for entry in inputs.predicted[each.record.identity]}


def _move(source: Path, staging: Path, yielded: Collection[str], foreseen: Collection[str]) -> None:
    """Move what was linked, but for what its package yields and what is there already: the same bytes.

    A directory that is not there yet, and of which nothing stays, is moved whole.
    """
    left = {*yielded, *(path for path in _OF_RATTLER if path not in foreseen)}
    split = {directory.as_posix() for path in left for directory in PurePosixPath(path).parents}

    def move(directory: str) -> None:
        for path, is_directory in list(tree.entries(directory)):
            is_there = target.lstat(path) is not None
            if _PROBE.match(path) and path not in foreseen:
                continue
            if is_directory and (is_there or path in split):
                move(path)
            elif path not in left and not is_there:
                if directory:
                    target.make_directory(directory)
                tree.rename(path, target, path)

    with fs.WritableTree(source) as tree, fs.WritableTree(staging) as target:
        move("")


def _finish_conda(
    inputs: StageInputs, staging: Path, resolved: Resolved, compiled: Compiled, source: str
) -> StagedPaths:
    """Complete the record that rattler wrote, and hold the package's files against what was predicted."""
    record = resolved.record
    yielded = inputs.judgement.yielded.get(record.identity, frozenset())
    path = meta_path(record)
    predicted = {
        entry.path: entry.fingerprint for entry in inputs.predicted[record.identity] if entry.path not in yielded
    }
    bytecode = compiled.of(predicted) if record.noarch == "python" else {}
    with fs.WritableTree(staging) as tree:
        try:
            data = (staging / path).read_bytes()
            installed, defects = condameta.parse(data, path)
        except (OSError, ValueError) as error:
            raise differs(record.label, f"{path}: {error}") from error
        promised = {entry.path: entry.fingerprint for entry in installed.entries if entry.path not in yielded}
        wanted = {path for path in predicted if predicted[path].kind != "directory"}
        if defects or promised.keys() - predicted.keys() or wanted - promised.keys() - {path}:
            odd = sorted((promised.keys() ^ predicted.keys()) - {path})
            raise differs(record.label, *(f"path: {each}" for each in odd[:5]), *(each.detail for each in defects))
        staged = {
            each: _verified(tree, each, (expected, promised.get(each)), record.label)
            for each, expected in predicted.items()
            if each != path
        }
        tree.unlink(path)
        staged[path] = fs.write_file(
            tree, path, [_completed(json.loads(data), resolved, staged, bytecode, yielded, source)]
        )
    return {each: (fingerprint, record.identity) for each, fingerprint in (staged | bytecode).items()}


def _completed(
    document: Mapping[str, Any],
    resolved: Resolved,
    staged: Mapping[str, Fingerprint],
    bytecode: Collection[str],
    yielded: Collection[str],
    source: str,
) -> bytes:
    """The record of a package in this prefix: what its channel says of it, and its files as they were staged.

    Only the paths of rattler's record are used; it takes the rest from the archive. A link gets the sha256 of its
    packed target, as in conda and mamba: `conda doctor` compares `sha256_in_prefix` with the target's content, while
    rattler hashes the link's text. Only links to directories keep that hash, for doctor skips them.
    Bytecode has no hash, as in conda: the interpreter may rewrite it at any time.
    """
    paths = [dict(entry) for entry in document["paths_data"]["paths"] if entry["_path"] not in yielded]
    for entry in paths:
        found = staged.get(entry["_path"])
        if found is not None and found.kind == "file":
            entry |= {"sha256_in_prefix": found.sha256, "size_in_bytes": found.size}
        elif found is not None and found.kind == "symlink" and not _leads_to_directory(entry["_path"], found, staged):
            entry.pop("sha256_in_prefix", None)
            led_to = _led_to(entry["_path"], staged)
            if led_to is not None and entry.get("sha256") in {None, EMPTY_SHA256}:
                # Not every builder says what a link leads to; a link that is changed later is found by it.
                entry |= {"sha256": led_to.sha256, "size_in_bytes": led_to.size}
    paths += [{"_path": path, "path_type": "pyc_file"} for path in sorted(bytecode)]
    return record_bytes(
        conda_package(resolved.record, resolved.requested)
        | {
            # Where what was unpacked could not be linked it was copied: in the prefix both are files of its own.
            "link": {"source": source, "type": HARD_LINK},
            "files": [path for path in document["files"] if path not in yielded] + sorted(bytecode),
            "paths_data": {**document["paths_data"], "paths": paths},
        }
    )


def _led_to(path: str, staged: Mapping[str, Fingerprint]) -> Fingerprint | None:
    """The file of the same package that a link leads to, by way of other links or directly."""
    for _ in range(_MOST_LINKS):
        found = staged.get(path)
        if found is None or found.kind == "file":
            return found
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), found.link or ""))
    return None


def _leads_to_directory(path: str, link: Fingerprint, staged: Collection[str]) -> bool:
    """Whether a link leads to a directory of the same package."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link.link or ""))
    return any(other.startswith(f"{target}/") for other in staged)


def _verified(tree: fs.WritableTree, path: str, promises: Iterable[Fingerprint | None], label: str) -> Fingerprint:
    """What was staged at `path`, hashed, after holding it against every promise; loose modes are taken from it."""
    found = tree.fingerprint(path)
    for promised in promises:
        if promised is None:
            continue
        if found is None or found.kind != promised.kind:
            raise differs(label, f"{path}: a {promised.kind} was to be there")
        if promised.sha256 not in {None, found.sha256} or promised.link not in {None, found.link}:
            raise differs(
                label, f"{path}: planned {promised.sha256 or promised.link}, staged {found.sha256 or found.link}"
            )
    if found is None:
        raise differs(label, f"{path}: nothing was staged")
    if found.kind == "file" and found.mode is not None and found.mode & _LOOSE_BITS:
        with (tree.root / path).open("rb") as stream:
            tree.unlink(path)
            return fs.write_file(tree, path, stream, mode=found.mode & ~_LOOSE_BITS)
    return found
