"""Staging a plan: every new inode is written aside, and every path that changes is told.

conda packages are linked by rattler, wheels placed through `installer`; both with the final prefix in what names it.
What was staged is held against what was predicted, path by path and hash by hash, before anyone may swap it in. Then
modules are compiled, and the records are written, which list the bytecode too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from bridge import fs
from bridge.archive.conda import CondaManifest
from bridge.archive.wheel_contents import WheelContents
from bridge.archive.wheels import WheelManifest
from bridge.cache.blobs import sha256_of
from bridge.cache.wheels import unpacked_contents
from bridge.errors import FaultError, IntegrityError, UnsafeInputError, UsageError
from bridge.install.manifest import Manifest, site_packages_after
from bridge.install.provenance import conda_depends, meta_path
from bridge.install.staging import conda
from bridge.install.staging.bytecode import Compiled
from bridge.install.staging.compilation import compile_staged
from bridge.install.staging.conda import Unpacking
from bridge.install.staging.history import stage_history, state_after
from bridge.install.staging.inputs import StagedPaths, StageInputs, differs
from bridge.install.staging.originals import Originals
from bridge.install.staging.renewal import renew_records
from bridge.install.staging.replacement import KeptAside, replace_paths
from bridge.install.staging.wheels import Placement, place_wheel, record_wheel
from bridge.model import Entry, PathChange, PrefixState, Resolved
from bridge.paths import OWN
from bridge.prefix.claims import incoming
from bridge.prefix.shebangs import unfit

__all__ = ["StageInputs", "StagedPlan", "Unpacking", "check_prefix", "stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedPlan:
    """What `bridge.transaction` swaps in, what was kept of a person's changes, and the prefix as it is to be.

    `problem` says why modules that should have been compiled were not; empty: they were.
    """

    changes: tuple[PathChange, ...]
    kept_aside: tuple[KeptAside, ...]
    state: PrefixState
    problem: str = ""


def stage(
    inputs: StageInputs,
    staging: Path,
    scratch: Path,
    *,
    executor: Executor | None = None,
    unpacking: Unpacking | None = None,
) -> StagedPlan:
    """Write all that is new into `staging`, as if it were `inputs.plan.prefix`.

    :param staging: a directory of ours, empty but for `conda-meta/.bridge`.
    :param scratch: an absent directory, best on the same file system; it is removed in the end.
    :param executor: of threads, for the wheels; by default a few are started.
    :param unpacking: into `scratch`, where some of the plan's conda packages are being unpacked already.

    Raises `IntegrityError` (`staged-differs`, `record-hash`: an archive is no longer what was judged),
    `UnsafeInputError` (`prefix-too-long`), `UsageError` (`prefix-name`, `no-python`), `FaultError` (the system, or
    rattler, refused; `staged-differs`: something else was written than the archives hold). The prefix is only read.
    """
    check_prefix(inputs.plan.prefix, inputs.manifests.values())
    try:
        return _stage(inputs, staging, scratch, executor, unpacking)
    except IntegrityError as error:
        if error.id != "staged-differs" or not _are_as_judged(inputs):
            raise
        # rattler goes on where the system refuses it a link, and writes something else: that is the system's fault.
        raise FaultError(error.id, error.message, context=error.context, hint=error.hint) from error


def _are_as_judged(inputs: StageInputs) -> bool:
    """Whether the archives are still those whose hashes were verified."""
    hashes = {resolved.record.identity: resolved.record.sha256 for resolved in incoming(inputs.plan)}
    with suppress(OSError):
        return all(hashes[identity] in {None, sha256_of(path)} for identity, path in inputs.archives.items())
    return False


def _stage(
    inputs: StageInputs, staging: Path, scratch: Path, executor: Executor | None, unpacking: Unpacking | None
) -> StagedPlan:
    # Beside this thread, packages are unpacked while the wheels are placed, and what is left over is removed while the
    # records are made.
    with ThreadPoolExecutor(max_workers=1) as beside, ExitStack() as held:
        held.callback(fs.remove_tree, scratch)
        unpacking = held.enter_context(unpacking or conda.Unpacking(scratch))
        unpacked = beside.submit(unpacking.finish, inputs)
        held.callback(wait, [unpacked])
        to, placed = _stage_wheels(inputs, staging, conda.paths_of(inputs), executor)
        conda.link(inputs, staging, scratch, unpacked.result())
        sources = beside.submit(Originals(inputs.cache).keep, inputs, unpacked.result())
        removed = beside.submit(held.pop_all().close)
        compiled = compile_staged(inputs, staging)
        staged = _record_wheels(placed, to, compiled) if to is not None else {}
        staged |= conda.record(inputs, staging, compiled, sources.result())
        removed.result()
    renewed = renew_records(inputs, staging)
    _check_tree(staging, staged.keys() | renewed.keys())
    after = state_after(inputs, staging)
    labels = {resolved.record.identity: resolved.record.label for resolved in incoming(inputs.plan)}
    found = {path: (fingerprint, labels[identity]) for path, (fingerprint, identity) in staged.items()}
    found |= renewed
    found |= {path: (fingerprint, "") for path, fingerprint in stage_history(inputs, staging, after).items()}
    replacement = replace_paths(inputs.state, inputs.plan, found, staging, inputs.judgement)
    return StagedPlan(
        changes=replacement.changes, kept_aside=replacement.kept_aside, state=after, problem=compiled.problem
    )


def check_prefix(prefix: Path, manifests: Iterable[Manifest]) -> None:
    """Whether the prefix's own path can be written into the packages.

    Raises `UsageError` (`prefix-name`) for a path with a line break (W74), or that breaks the first lines of scripts;
    `UnsafeInputError` (`prefix-too-long`) where a binary file of a conda package has no room for it.
    """
    text = str(prefix)
    if any(mark < " " or mark == "\x7f" for mark in text):
        raise UsageError(
            "prefix-name", f"an environment's path cannot hold a line break or control character: {text!r}"
        )
    manifests = tuple(manifests)
    is_of_conda = any(isinstance(each, CondaManifest) for each in manifests)
    if is_of_conda and any("\udc80" <= mark <= "\udcff" for mark in text):
        raise UsageError("prefix-name", f"the path of an environment with conda packages must be UTF-8: {text!r}")
    if (broken := unfit(text, is_of_conda=is_of_conda)) is not None:
        raise UsageError(
            "prefix-name",
            f"scripts in {text} would not start: their first line cannot hold {broken} in a path like this",
            hint="choose a path of letters, digits and - _ . for the environment",
        )
    for manifest in manifests:
        for path in manifest.paths if isinstance(manifest, CondaManifest) else ():
            room = len((path.prefix_placeholder or "").encode())
            if path.file_mode == "binary" and len(os.fsencode(text)) > room:
                raise UnsafeInputError(
                    "prefix-too-long",
                    f"{manifest.filename}: {path.path} has room for a prefix of {room} bytes; {text} is longer",
                    hint="choose a shorter path for the environment",
                )


# --- wheels -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A wheel that was placed, and has no records yet."""

    resolved: Resolved
    manifest: WheelManifest
    entries: tuple[Entry, ...]


def _stage_wheels(
    inputs: StageInputs, staging: Path, present: Collection[str], executor: Executor | None
) -> tuple[Placement | None, Sequence[_Placed]]:
    """Place the wheels, and say where; without any, or without a python, nowhere.

    :param present: paths that conda packages of the plan bring; with the same bytes, or it was refused.
    """
    plan = inputs.plan
    manifests = {identity: each for identity, each in inputs.manifests.items() if isinstance(each, WheelManifest)}
    wheels = [each for each in incoming(plan) if each.record.identity in manifests]
    if not wheels or plan.python is None:
        return None, ()
    target = plan.target.with_python(plan.python)
    specs = {
        each.record.identity: conda_depends(each.record, target, inputs.names, extras=each.extras) for each in wheels
    }
    to = Placement(
        staging=staging,
        final=plan.prefix,
        python=plan.python,
        site_packages=site_packages_after(plan, inputs.state) or plan.python.site_packages,
        depends=specs,
        source=Originals(inputs.cache).plain(),
        yielded=inputs.judgement.yielded,
        shared=_shared(inputs, wheels, present),
    )

    def place(each: Resolved) -> tuple[Entry, ...]:
        identity = each.record.identity
        manifest, unpacked = manifests[identity], inputs.unpacked.get(identity)
        if unpacked is not None:
            try:
                with unpacked_contents(manifest, unpacked) as contents:
                    return place_wheel(each, contents, manifest, to)
            except IntegrityError:
                with suppress(FaultError):  # The cache lost a bit. The wheel itself is here.
                    fs.remove_tree(unpacked)
        with WheelContents(inputs.archives[identity], manifest) as packed:
            return place_wheel(each, packed, manifest, to)

    placed = []
    for each, entries in zip(wheels, _each(place, wheels, executor), strict=True):
        _check_wheel(inputs, each, manifests[each.record.identity], entries, to)
        placed.append(_Placed(resolved=each, manifest=manifests[each.record.identity], entries=entries))
    return to, placed


def _record_wheels(placed: Iterable[_Placed], to: Placement, compiled: Compiled) -> StagedPaths:
    """Write the records of the wheels; all that is theirs."""
    found: StagedPaths = {}
    for each in placed:
        bytecode = compiled.of(entry.path for entry in each.entries)
        records = record_wheel(each.resolved, each.manifest, each.entries, bytecode, to)
        identity = each.resolved.record.identity
        found |= {entry.path: (entry.fingerprint, identity) for entry in (*each.entries, *records)}
        found |= {path: (fingerprint, identity) for path, fingerprint in bytecode.items()}
    return found


def _shared(inputs: StageInputs, wheels: Sequence[Resolved], present: Collection[str]) -> dict[str, frozenset[str]]:
    """Identity → paths that another package of the plan writes, with the same bytes."""
    taken = set(present)
    found = {}
    for each in wheels:
        paths = {entry.path for entry in inputs.predicted[each.record.identity]}
        paths -= inputs.judgement.yielded.get(each.record.identity, frozenset())
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


def _check_wheel(
    inputs: StageInputs, resolved: Resolved, manifest: WheelManifest, entries: Sequence[Entry], to: Placement
) -> None:
    identity = resolved.record.identity
    yielded = inputs.judgement.yielded.get(identity, frozenset())
    own = {f"{to.site_packages}/{manifest.dist_info}/RECORD", meta_path(resolved.record)}
    predicted = {
        entry.path: entry.fingerprint for entry in inputs.predicted[identity] if entry.path not in yielded | own
    }
    written = {entry.path: entry.fingerprint for entry in entries}
    odd = sorted(predicted.keys() ^ written.keys())
    odd += [
        path for path in predicted.keys() & written.keys() if predicted[path].sha256 not in {None, written[path].sha256}
    ]
    if odd:
        raise differs(resolved.record.label, *(f"path: {path}" for path in odd[:5]))


# --- all together -----------------------------------------------------------------------------------------------------


def _check_tree(staging: Path, staged: Collection[str]) -> None:
    """Nothing lies in the staging directory but what was planned. (`__clobbers__`: rattler found two of one name.)"""
    with fs.Tree(staging) as tree:
        for path, is_directory in tree.walk(""):
            if not is_directory and path not in staged and not path.startswith(f"{OWN}/"):
                raise differs("the staging directory", f"path: {path}")
