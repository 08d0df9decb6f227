"""Stage conda packages: unpack into a directory of the transaction, link by rattler, compare with the plan."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, final

from bridge import fs
from bridge.archive.conda import CondaManifest
from bridge.errors import UsageError
from bridge.install.manifest import site_packages_after
from bridge.install.provenance import HARD_LINK, conda_package, meta_path
from bridge.install.record_text import record_bytes
from bridge.install.staging.bytecode import Compiled
from bridge.install.staging.inputs import StagedPaths, StageInputs, differs
from bridge.install.staging.linking import packed_entries, record_document
from bridge.model import Entry, Fingerprint, Resolved
from bridge.paths import EMPTY_SHA256, META, quoted
from bridge.prefix import condameta
from bridge.prefix.chosen import CHOICE
from bridge.prefix.claims import incoming, leaving
from bridge.prefix.yielded import of_yielded
from converters.deferred import regex

__all__ = ["Unpacking", "link", "packages_of", "paths_of", "record", "record_placed", "require_python"]

_MOST_LINKS = 16  # followed to reach a file

_OF_RATTLER = ("CACHEDIR.TAG", f"{META}/history")  # of the staging directory itself, not of a package
_PROBE = regex(r"(\.refprobe-|symtest_)[^/]*\Z")  # probes of the file system that rattler failed to remove
_UNPACKING = 2  # at a time; each uses several threads of its own
_LOOSE_BITS = 0o7002  # set-id, sticky, writable by anyone: never installed


def packages_of(inputs: StageInputs) -> list[Resolved]:
    """Return the conda packages of the plan."""
    return [each for each in incoming(inputs.plan) if each.record.ecosystem == "conda"]


def paths_of(inputs: StageInputs) -> set[str]:
    """Return the paths of these packages, except those they yield."""
    result: set[str] = set()
    for each in packages_of(inputs):
        identity = each.record.identity
        paths = {entry.path for entry in inputs.predicted[identity] if entry.fingerprint.kind != "directory"}
        result |= paths - inputs.judgement.yielded.get(identity, frozenset())
    return result


@final
class Unpacking:
    """Unpack conda packages in the background, each into its own directory below `scratch`.

    Unpacking waits for disk and decompression outside the interpreter lock, so it starts as soon as a package is
    checked. Leave this context manager before `scratch` is removed.
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
        """Start unpacking checked archives: `Record.identity` → archive. Thread-safe."""
        fs.make_directories(self._directory)
        job = self._pool.submit(_extract, {path: self._directory / name for name, path in archives.items()})
        self._begun |= dict.fromkeys(archives, job)

    def finish(self, inputs: StageInputs) -> dict[str, Path]:
        """Unpack the rest, and wait for all: `Record.identity` → directory. Raises as `_rattler_link.extract`."""
        records = {each.record.identity: each.record for each in packages_of(inputs)}
        left = {identity: inputs.archive(each) for identity, each in records.items() if identity not in self._begun}
        if left:
            self.begin(left)
        for identity in records:
            self._begun[identity].result()
        return {identity: self._directory / identity for identity in records}


def _extract(archives: Mapping[Path, Path]) -> None:
    from bridge.channels import _rattler_link  # noqa: PLC0415 - 14 ms; bridge places most packages itself

    _rattler_link.extract(archives)


def link(
    inputs: StageInputs, staging: Path, scratch: Path, unpacked: Mapping[str, Path], placed: Callable[[], None]
) -> None:
    """Link the unpacked packages into `staging`.

    :param placed: returns when nothing else writes there: directories are moved as a whole.
    """
    resolved = packages_of(inputs)
    if not resolved:
        return
    from bridge.channels import _rattler_link  # noqa: PLC0415 - as in `_extract`

    python, site = _live_python(inputs, resolved), site_packages_after(inputs.plan, inputs.state)
    together, single = _groups(inputs, resolved)
    for number, group in enumerate([together, *([each] for each in single)]):
        if not group:
            continue
        inputs.check()
        # rattler panics beside records that it did not write, so it links into a directory of its own.
        linked = scratch / f"linked-{number}"
        support = python if python is not None else _staged_python(inputs, staging, group)
        records = [each.record for each in group]
        _rattler_link.link(
            records,
            unpacked,
            linked,
            inputs.plan.prefix,
            scratch / "packages",
            inputs.plan.target.subdir,
            python=support,
            site_packages=site,
        )
        yielded = inputs.judgement.yielded.get(group[0].record.identity, frozenset()) if number else frozenset()
        placed()
        _move(linked, staging, yielded, _foreseen(inputs, group))


def record(
    inputs: StageInputs,
    staging: Path,
    compiled: Compiled,
    sources: Mapping[str, str],
    placed: Mapping[str, Sequence[Entry]] | None,
    written: Mapping[str, Sequence[Entry]],
) -> StagedPaths:
    """Compare the linked files with the prediction, and complete the records; return all paths.

    :param sources: `Record.identity` → the record's `link.source`.
    :param placed: `Record.identity` → files with the prefix in them, and commands, if rattler linked nothing.
    :param written: `Record.identity` → the record, if `record_placed` wrote it before.
    """
    staged: StagedPaths = {}
    for each in packages_of(inputs):
        inputs.check()
        source = sources.get(each.record.identity, "")
        if placed is None:
            staged |= _finish_conda(inputs, staging, each, compiled, source)
        else:
            identity = each.record.identity
            staged |= record_placed(
                inputs, staging, each, compiled, source, placed[identity], written.get(identity, ())
            )
    return staged


def record_placed(
    inputs: StageInputs,
    staging: Path,
    resolved: Resolved,
    compiled: Compiled,
    source: str,
    generated: Sequence[Entry],
    written: Sequence[Entry] = (),
) -> StagedPaths:
    """Write the record of a package that `linking` placed; its files were compared when they were written.

    :param written: the record, if this was done before.
    """
    record = resolved.record
    manifest = inputs.manifests[record.identity]
    if not isinstance(manifest, CondaManifest):
        raise AssertionError(record.identity)
    yielded = inputs.judgement.yielded.get(record.identity, frozenset())
    site, scripts = site_packages_after(inputs.plan, inputs.state) or "", inputs.plan.target.layout.scripts
    staged = {entry.path: entry.fingerprint for entry in generated}
    with fs.WritableTree(staging) as tree:
        for _, entry in packed_entries(manifest, site, scripts):
            if entry.path not in yielded and entry.path not in staged:
                fingerprint = entry.fingerprint
                if fingerprint.kind == "directory" or entry.path in inputs.judgement.shared:
                    fingerprint = tree.fingerprint(entry.path) or fingerprint
                staged[entry.path] = fingerprint
        bytecode = compiled.of(staged) if record.noarch == "python" else {}
        if not written:
            document = record_document(manifest, staged, site, scripts)
            path = meta_path(record)
            data = _completed(document, resolved, staged, bytecode, yielded, source)
            written = [Entry(path=path, fingerprint=fs.write_file(tree, path, [data]))]
        staged |= {entry.path: entry.fingerprint for entry in written}
    return {each: (fingerprint, record.identity) for each, fingerprint in (staged | bytecode).items()}


def _groups(inputs: StageInputs, resolved: Sequence[Resolved]) -> tuple[list[Resolved], list[Resolved]]:
    """Split packages into those linked together, with disjoint paths and python among them, and the others.

    rattler resolves equal paths by a rule of its own. So packages that share or yield a path are linked alone and moved
    without it; those that yield last, after the owners of their yielded paths.
    """
    together: list[Resolved] = []
    single: list[Resolved] = []
    taken: set[str] = set()
    yielded = inputs.judgement.yielded
    for each in sorted(resolved, key=lambda each: (each.record.identity in yielded, each.record.name != "python")):
        paths = {
            entry.path for entry in inputs.predicted[each.record.identity] if entry.fingerprint.kind != "directory"
        }
        is_alone = each.record.identity not in yielded and taken.isdisjoint(paths)
        (together if is_alone else single).append(each)
        taken |= paths
    return together, single


def _live_python(inputs: StageInputs, resolved: Sequence[Resolved]) -> Path | None:
    """Return the record of the python that stays; `None` if one is staged, or none is needed."""
    if any(each.record.name == "python" for each in resolved):
        return None
    gone = {old.meta_path for old in leaving(inputs.plan)}
    for installed in inputs.state.installed:
        record = installed.record
        if record.name == "python" and record.ecosystem == "conda" and installed.meta_path not in gone:
            return inputs.state.prefix / installed.meta_path
    needing = [each.record for each in resolved if each.record.noarch == "python"]
    if needing:
        raise UsageError(
            "no-python",
            f"{needing[0].label} needs python as a conda package, and the environment has none",
            hint=f"add python: bridge install -p {quoted(inputs.state.prefix)} python {needing[0].name}",
        )
    return None


def _staged_python(inputs: StageInputs, staging: Path, group: Sequence[Resolved]) -> Path | None:
    """Return the record of a python that was linked with an earlier group."""
    for each in incoming(inputs.plan):
        if each.record.name == "python" and each not in group and each.record.ecosystem == "conda":
            return staging / meta_path(each.record)
    return None


def require_python(inputs: StageInputs) -> None:
    """Raise `UsageError` (`no-python`) if a noarch package has no python that is a conda package."""
    _live_python(inputs, packages_of(inputs))


def _foreseen(inputs: StageInputs, group: Iterable[Resolved]) -> set[str]:
    """Return the top-level names of a group's packages."""
    return {entry.path.partition("/")[0] for each in group for entry in inputs.predicted[each.record.identity]}


def _move(source: Path, staging: Path, yielded: Collection[str], foreseen: Collection[str]) -> None:
    """Move linked files, except yielded paths and those that exist already with the same content.

    Rename a directory in one step if the target is absent and nothing is excluded.
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
    """Complete the record that rattler wrote, and compare the package's files with the prediction."""
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
        recorded = {entry.path: entry.fingerprint for entry in installed.entries if entry.path not in yielded}
        wanted = {path for path in predicted if predicted[path].kind != "directory"}
        if defects or recorded.keys() - predicted.keys() or wanted - recorded.keys() - {path}:
            differing = sorted((recorded.keys() ^ predicted.keys()) - {path})
            raise differs(
                record.label, *(f"path: {each}" for each in differing[:5]), *(each.detail for each in defects)
            )
        staged = {
            each: _verified(tree, each, (expected, recorded.get(each)), record.label)
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
    """Return the record of a package in this prefix: its channel's metadata, and its files as staged.

    Only the paths of rattler's record are used; it takes the rest from the archive. A link gets the sha256 of its
    packed target, as in conda and mamba: `conda doctor` compares `sha256_in_prefix` with the target's content, while
    rattler hashes the link's text. Only links to directories keep that hash, for doctor skips them. Bytecode has no
    hash, as in conda: the interpreter may rewrite it at any time.
    """
    paths = [dict(entry) for entry in document["paths_data"]["paths"] if entry["_path"] not in yielded]
    for entry in paths:
        fingerprint = staged.get(entry["_path"])
        if fingerprint is not None and fingerprint.kind == "file":
            entry |= {"sha256_in_prefix": fingerprint.sha256, "size_in_bytes": fingerprint.size}
        elif (
            fingerprint is not None
            and fingerprint.kind == "symlink"
            and not _leads_to_directory(entry["_path"], fingerprint, staged)
        ):
            entry.pop("sha256_in_prefix", None)
            target = _link_target(entry["_path"], staged)
            if target is not None and entry.get("sha256") in {None, EMPTY_SHA256}:
                # Not every builder records the target's hash, which reveals a link changed later.
                entry |= {"sha256": target.sha256, "size_in_bytes": target.size}
    paths += [{"_path": path, "path_type": "pyc_file"} for path in sorted(bytecode)]
    completed = (
        conda_package(resolved.record, resolved.requested)
        | ({CHOICE: resolved.choice} if resolved.choice else {})
        | of_yielded(yielded)
        | {
            # Files that could not be linked were copied: in the prefix the result is the same.
            "link": {"source": source, "type": HARD_LINK},
            "files": [path for path in document["files"] if path not in yielded] + sorted(bytecode),
            "paths_data": {**document["paths_data"], "paths": paths},
        }
    )
    return record_bytes({key: value for key, value in completed.items() if value is not None})


def _link_target(path: str, staged: Mapping[str, Fingerprint]) -> Fingerprint | None:
    """Return the file of the same package that a link leads to, directly or through other links."""
    for _ in range(_MOST_LINKS):
        fingerprint = staged.get(path)
        if fingerprint is None or fingerprint.kind == "file":
            return fingerprint
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), fingerprint.link or ""))
    return None


def _leads_to_directory(path: str, link: Fingerprint, staged: Collection[str]) -> bool:
    """Whether a link leads to a directory of the same package."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link.link or ""))
    return any(other.startswith(f"{target}/") for other in staged)


def _verified(tree: fs.WritableTree, path: str, expectations: Iterable[Fingerprint | None], label: str) -> Fingerprint:
    """Return the staged fingerprint at `path` after comparing it with every expectation; drop loose mode bits."""
    staged = tree.fingerprint(path)
    for expected in expectations:
        if expected is None:
            continue
        if staged is None or staged.kind != expected.kind:
            raise differs(label, f"{path}: {expected.kind} expected")
        if expected.sha256 not in {None, staged.sha256} or expected.link not in {None, staged.link}:
            raise differs(
                label, f"{path}: planned {expected.sha256 or expected.link}, staged {staged.sha256 or staged.link}"
            )
    if staged is None:
        raise differs(label, f"{path}: nothing was staged")
    if staged.kind == "file" and staged.mode is not None and staged.mode & _LOOSE_BITS:
        with (tree.root / path).open("rb") as stream:
            tree.unlink(path)
            return fs.write_file(tree, path, stream, mode=staged.mode & ~_LOOSE_BITS)
    return staged
