"""Place the wheels of a plan in the staging directory, in several processes, and write their records.

Creating a file takes the system 60 µs, and python 20 µs with the interpreter locked, so processes gain more than
threads. What a process fails to do is repeated here (`bridge.prefix.processes`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

from bridge import fs
from bridge.archive.wheel_contents import WheelContents
from bridge.archive.wheels import WheelManifest
from bridge.cache.wheels import unpacked_contents
from bridge.errors import FaultError, IntegrityError
from bridge.install.manifest import site_packages_after
from bridge.install.provenance import conda_depends, meta_path
from bridge.install.staging.bytecode import Compiled
from bridge.install.staging.inputs import StagedPaths, StageInputs, differs
from bridge.install.staging.originals import Originals
from bridge.install.staging.placer import Placer
from bridge.install.staging.wheels import Placement, place_wheel, record_wheel
from bridge.model import Entry, Resolved
from bridge.prefix.claims import incoming
from bridge.prefix.processes import Spread, processors, spread

__all__ = ["Placing"]

_FEW = 400  # members of all wheels, which one process places before another would have started


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """The entries of a wheel whose content its archive does not state, and its records, if they were written too.

    `is_copied`: the link mode could not be used.
    """

    generated: tuple[Entry, ...]
    records: tuple[Entry, ...] | None
    is_copied: bool


@final
class Placing:
    """Places the wheels of a plan while its block runs; `wait` for them, then `record` them.

    :param taken: paths of the plan's conda packages; identical content, or the plan was refused.
    :param executor: threads to use where the process cannot fork; by default a few are started.

    Without wheels or python, nothing is placed. Leaving the block ends what still runs.
    """

    def __init__(
        self, inputs: StageInputs, staging: Path, taken: Collection[str], executor: Executor | None = None
    ) -> None:
        self._inputs, self._executor = inputs, executor
        self._manifests = {
            identity: each for identity, each in inputs.manifests.items() if isinstance(each, WheelManifest)
        }
        wheels = [each for each in incoming(inputs.plan) if each.record.identity in self._manifests]
        # Largest first: the process that takes the last one should not be alone with it for long.
        self._wheels = sorted(wheels, key=lambda each: -len(self._manifests[each.record.identity].members))
        self._to = _placement(inputs, staging, self._wheels, taken)
        self._written: Sequence[_Written] | None = None
        self._stack = ExitStack()
        self._running: Spread[_Written] | None = None
        self._process = os.getpid()
        self._mode = inputs.link_mode

    def __enter__(self) -> Placing:
        members = sum(len(self._manifests[each.record.identity].members) for each in self._wheels)
        if self._to is not None and members >= _FEW and len(self._wheels) > 1:
            self._running = self._stack.enter_context(spread(self._place, len(self._wheels), processors()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait(self) -> None:
        """Return when all wheels are placed. Raises what placing them raises."""
        if self._written is not None:
            return
        if self._to is None:
            self._written = ()
        elif self._running is not None and self._running.is_forked:
            self._written = self._running.results()
        else:
            self._written = _each(self._place, range(len(self._wheels)), self._executor)

    @property
    def has_copied(self) -> bool:
        """Whether files were copied because the link mode could not be used."""
        return any(written.is_copied for written in self._written or ())

    def record(self, compiled: Compiled) -> StagedPaths:
        """Write the records that are not there yet; return all paths of the wheels."""
        self.wait()
        staged: StagedPaths = {}
        for each, written in zip(self._wheels, self._written or (), strict=False):
            identity = each.record.identity
            entries = [*self._foreseen(each), *written.generated]
            bytecode = compiled.of(entry.path for entry in entries)
            records = written.records
            if records is None:
                records = self._record(each, entries, bytecode)
            staged |= {entry.path: (entry.fingerprint, identity) for entry in (*entries, *records)}
            staged |= {path: (fingerprint, identity) for path, fingerprint in bytecode.items()}
        return staged

    def _place(self, number: int) -> _Written:
        """Place one wheel, and write its records unless there may be bytecode for them to list."""
        inputs, each = self._inputs, self._wheels[number]
        inputs.check()
        identity = each.record.identity
        manifest, unpacked = self._manifests[identity], inputs.unpacked.get(identity)
        if self._running is not None and self._running.is_forked and os.getpid() == self._process:
            self._remove_rest(each)
        with Placer(self._mode, inputs.cache) as placer:
            generated = None if unpacked is None else self._place_unpacked(each, manifest, unpacked, placer)
            if generated is None:
                with WheelContents(inputs.archives[identity], manifest) as packed:
                    generated = place_wheel(each, packed, manifest, inputs.predicted[identity], self._placement, placer)
            if placer.has_copied:
                self._mode = "copy"
        self._check(each, generated)
        entries = [*self._foreseen(each), *generated]
        return _Written(
            generated=generated,
            records=None if inputs.compiles else self._record(each, entries, ()),
            is_copied=self._mode != inputs.link_mode,
        )

    def _place_unpacked(
        self, each: Resolved, manifest: WheelManifest, unpacked: Path, placer: Placer
    ) -> tuple[Entry, ...] | None:
        """Place a wheel from the cache; `None` if that is damaged, and then nothing is left."""
        try:
            with unpacked_contents(manifest, unpacked) as contents:
                predicted = self._inputs.predicted[each.record.identity]
                return place_wheel(each, contents, manifest, predicted, self._placement, placer)
        except IntegrityError:
            with suppress(FaultError):
                fs.remove_tree(unpacked)
            return None

    @property
    def _placement(self) -> Placement:
        if self._to is None:
            raise AssertionError("nothing is placed")
        return self._to

    def _remove_rest(self, each: Resolved) -> None:
        """Remove what a process wrote of a wheel before it failed."""
        to, identity = self._placement, each.record.identity
        others = to.shared.get(identity, frozenset()) | to.yielded.get(identity, frozenset())
        with fs.WritableTree(to.staging) as tree:
            for entry in self._inputs.predicted[identity]:
                if entry.path not in others and tree.lstat(entry.path) is not None:
                    tree.unlink(entry.path)

    def _record(self, each: Resolved, entries: Sequence[Entry], bytecode: Iterable[str]) -> tuple[Entry, ...]:
        return record_wheel(each, self._manifests[each.record.identity], entries, bytecode, self._placement)

    def _foreseen(self, each: Resolved) -> list[Entry]:
        """The entries whose content the archive states: `place_wheel` compares what it writes with them."""
        yielded = self._inputs.judgement.yielded.get(each.record.identity, frozenset())
        predicted = self._inputs.predicted[each.record.identity]
        return [entry for entry in predicted if entry.fingerprint.sha256 is not None and entry.path not in yielded]

    def _check(self, each: Resolved, generated: Iterable[Entry]) -> None:
        identity = each.record.identity
        info = self._manifests[identity].dist_info
        own = {f"{self._placement.site_packages}/{info}/RECORD", meta_path(each.record)}
        own |= self._inputs.judgement.yielded.get(identity, frozenset())
        expected = {entry.path for entry in self._inputs.predicted[identity] if entry.fingerprint.sha256 is None} - own
        odd = sorted(expected ^ {entry.path for entry in generated})
        if odd:
            raise differs(each.record.label, *(f"path: {path}" for path in odd[:5]))


def _placement(
    inputs: StageInputs, staging: Path, wheels: Sequence[Resolved], taken: Collection[str]
) -> Placement | None:
    plan = inputs.plan
    if not wheels or plan.python is None:
        return None
    target = plan.target.with_python(plan.python)
    return Placement(
        staging=staging,
        final=plan.prefix,
        target=target,
        python=plan.python,
        site_packages=site_packages_after(plan, inputs.state) or target.layout.site_packages(plan.python),
        depends={
            each.record.identity: conda_depends(each.record, target, inputs.names, extras=each.extras)
            for each in wheels
        },
        source=Originals(inputs.cache).plain(),
        yielded=inputs.judgement.yielded,
        shared=_shared(inputs, wheels, taken),
    )


def _shared(inputs: StageInputs, wheels: Sequence[Resolved], present: Collection[str]) -> dict[str, frozenset[str]]:
    """Map identity → paths that another package of the plan writes with the same content."""
    taken = set(present)
    shared = {}
    for each in wheels:
        paths = {entry.path for entry in inputs.predicted[each.record.identity]}
        paths -= inputs.judgement.yielded.get(each.record.identity, frozenset())
        shared[each.record.identity] = frozenset(paths & taken)
        taken |= paths
    return shared


def _each(place: Callable[[int], _Written], numbers: range, executor: Executor | None) -> list[_Written]:
    if len(numbers) == 1:
        return [place(0)]
    if executor is not None:
        return list(executor.map(place, numbers))
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="bridge-link") as pool:
        return list(pool.map(place, numbers))
