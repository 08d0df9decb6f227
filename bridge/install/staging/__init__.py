"""Stage a plan: write every new inode aside, and return every path that changes.

rattler links conda packages, `installer` places wheels; both embed the final prefix. The staged files are compared with
the prediction by path and hash before anything is swapped. Then modules are compiled, and the records written, which
list the bytecode.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from pathlib import Path

from bridge import fs
from bridge.archive.conda import CondaManifest
from bridge.cache.blobs import sha256_of
from bridge.errors import BridgeError, FaultError, IntegrityError, UnsafeInputError, UsageError
from bridge.install.manifest import Manifest
from bridge.install.staging import conda
from bridge.install.staging.bytecode import Compiled
from bridge.install.staging.compilation import compile_staged
from bridge.install.staging.history import stage_history
from bridge.install.staging.inputs import StagedPaths, StageInputs, differs
from bridge.install.staging.linking import can_link
from bridge.install.staging.originals import Originals
from bridge.install.staging.placing import Placing
from bridge.install.staging.renewal import renew_records
from bridge.install.staging.repairs import note_of_repair
from bridge.install.staging.replacement import KeptAside, replace_paths
from bridge.install.staging.snapshots import expired_snapshots, stage_snapshots
from bridge.install.staging.variables import stage_variables
from bridge.model import PathChange, Resolved
from bridge.paths import OWN
from bridge.prefix.claims import incoming
from bridge.prefix.shebangs import unfit
from converters.deferred import dataclass

__all__ = ["StageInputs", "StagedPlan", "check_prefix", "stage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedPlan:
    """The changes for `bridge.transaction` and the user's files kept aside.

    `problem` is the reason why modules were not compiled; empty if they were. `has_copied`: the link mode could not be
    used, and files were copied.
    """

    changes: tuple[PathChange, ...]
    kept_aside: tuple[KeptAside, ...]
    problem: str = ""
    has_copied: bool = False


def stage(
    inputs: StageInputs,
    staging: Path,
    scratch: Path,
    *,
    executor: Executor | None = None,
    placed: Callable[[], None] = lambda: None,
) -> StagedPlan:
    """Write all new files into `staging`, as if it were `inputs.plan.prefix`, which is only read.

    :param staging: a directory of ours, empty except for `conda-meta/.bridge`.
    :param scratch: an absent directory, ideally on the same file system; removed at the end.
    :param executor: threads for the wheels; by default a few are started.
    :param placed: called when many files are written, and what is left is little: records, the history.

    Raises `IntegrityError` (`staged-differs`; `record-hash`: an archive changed after its check), `UnsafeInputError`
    (`prefix-too-long`), `UsageError` (`prefix-name`, `no-python`), `FaultError` (the system or rattler refused;
    `staged-differs`: the written files differ from the archives).
    """
    check_prefix(inputs.plan.prefix, inputs.manifests.values())
    try:
        return _stage(inputs, staging, scratch, executor, placed)
    except IntegrityError as error:
        if error.id != "staged-differs" or not _are_unchanged(inputs):
            raise
        # If the system refuses a link, rattler goes on and writes something else.
        raise FaultError(error.id, error.message, context=error.context, hint=error.hint) from error


def _are_unchanged(inputs: StageInputs) -> bool:
    """Whether the archives still have the hashes that were verified."""
    with suppress(OSError, BridgeError):
        planned = (resolved.record for resolved in incoming(inputs.plan))
        records = [record for record in planned if record.identity in inputs.archives]
        return all(record.sha256 in {None, sha256_of(inputs.archive(record))} for record in records)
    return False


def _stage(
    inputs: StageInputs, staging: Path, scratch: Path, executor: Executor | None, placed: Callable[[], None]
) -> StagedPlan:
    packages = conda.packages_of(inputs)
    is_own = can_link(inputs, packages)
    if is_own:
        conda.require_python(inputs)
        compiled, staged, has_copied = _place(inputs, staging, packages, executor, placed)
    else:
        compiled, staged, has_copied = _link(inputs, staging, scratch, executor)
    renewed = renew_records(inputs, staging)
    if not is_own or inputs.compiles:
        _check_tree(staging, staged.keys() | renewed.keys())
    labels = {resolved.record.identity: resolved.record.label for resolved in incoming(inputs.plan)}
    staged_paths = {path: (fingerprint, labels[identity]) for path, (fingerprint, identity) in staged.items()}
    staged_paths |= renewed
    unowned = stage_history(inputs, staging) | stage_variables(inputs, staging)
    unowned |= (snapshots := stage_snapshots(inputs, staging, unowned))
    staged_paths |= {path: (fingerprint, "") for path, fingerprint in unowned.items()}
    replacement = replace_paths(inputs.state, inputs.plan, staged_paths, staging, inputs.judgement)
    changes = (*replacement.changes, *expired_snapshots(inputs.state.prefix, snapshots))
    changes += note_of_repair(inputs, staging, changes, replacement.kept_aside)
    return StagedPlan(
        changes=changes,
        kept_aside=replacement.kept_aside,
        problem=compiled.problem,
        has_copied=has_copied,
    )


def _place(
    inputs: StageInputs,
    staging: Path,
    packages: Sequence[Resolved],
    executor: Executor | None,
    written: Callable[[], None],
) -> tuple[Compiled, StagedPaths, bool]:
    """Place wheels and conda packages, all of which the cache has unpacked."""
    sources = Originals(inputs.cache).keep(inputs, inputs.unpacked)
    with Placing(inputs, staging, (), packages, executor, sources) as placed:
        placed.wait()
        if placed.are_many:
            written()
        if not all(sources.values()):  # What was damaged in the cache was unpacked again.
            sources |= Originals(inputs.cache).keep(inputs, inputs.unpacked)
        inputs.check()
        compiled = compile_staged(inputs, staging)
        inputs.check()
        staged = placed.record(compiled)
        staged |= conda.record(inputs, staging, compiled, sources, placed.generated(), placed.records)
        return compiled, staged, placed.has_copied


def _link(
    inputs: StageInputs, staging: Path, scratch: Path, executor: Executor | None
) -> tuple[Compiled, StagedPaths, bool]:
    """Place wheels, while rattler unpacks conda packages into `scratch`, and links them.

    A second thread unpacks, and removes the remains while records are written. What other processes place is begun
    before this one has threads.
    """
    with (
        Placing(inputs, staging, conda.paths_of(inputs), (), executor) as wheels,
        ThreadPoolExecutor(max_workers=1) as background,
        ExitStack() as cleanup,
    ):
        cleanup.callback(fs.remove_tree, scratch)
        unpacking = cleanup.enter_context(conda.Unpacking(scratch))
        unpacked = background.submit(unpacking.finish, inputs)
        cleanup.callback(wait, [unpacked])
        conda.link(inputs, staging, scratch, unpacked.result(), wheels.wait)
        wheels.wait()
        sources = background.submit(Originals(inputs.cache).keep, inputs, unpacked.result())
        removed = background.submit(cleanup.pop_all().close)
        inputs.check()
        compiled = compile_staged(inputs, staging)
        inputs.check()
        staged = wheels.record(compiled)
        staged |= conda.record(inputs, staging, compiled, sources.result(), None, {})
        removed.result()
        return compiled, staged, wheels.has_copied


def check_prefix(prefix: Path, manifests: Iterable[Manifest]) -> None:
    """Check that the prefix's path can be written into the packages.

    Raises `UsageError` (`prefix-name`) for a path with a line break, or that breaks the first lines of scripts;
    `UnsafeInputError` (`prefix-too-long`) if a binary file of a conda package has no room for it.
    """
    text = str(prefix)
    if any(character < " " or character == "\x7f" for character in text):
        raise UsageError(
            "prefix-name",
            f"an environment's path cannot contain a line break or control character: {text!r}",
            hint="choose another path with -p DIR",
        )
    manifests = tuple(manifests)
    is_of_conda = any(isinstance(each, CondaManifest) for each in manifests)
    if is_of_conda and any("\udc80" <= character <= "\udcff" for character in text):
        raise UsageError(
            "prefix-name",
            f"the path of an environment with conda packages must be UTF-8: {text!r}",
            hint="choose another path with -p DIR",
        )
    if (broken := unfit(text, is_of_conda=is_of_conda)) is not None:
        raise UsageError(
            "prefix-name",
            f"scripts in {text} would not start: their first line cannot contain {broken} in such a path",
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


def _check_tree(staging: Path, staged: Collection[str]) -> None:
    """Check that `staging` has no unplanned files, which rattler (`__clobbers__`) or a compiler may have written."""
    with fs.Tree(staging) as tree:
        for path, is_directory in tree.walk(""):
            if not is_directory and path not in staged and not path.startswith(f"{OWN}/"):
                raise differs("the staging directory", f"path: {path}")
