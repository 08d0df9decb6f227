"""Place the packages of a plan in the staging directory, in several processes, and write the records of wheels.

Creating a file takes the system 60 µs, and python 20 µs with the interpreter locked, so processes gain more than
threads. What a process fails to do is repeated here (`bridge.fs.processes`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from bridge import fs
from bridge.archive.conda import CondaManifest
from bridge.archive.wheel_contents import WheelContents
from bridge.archive.wheels import WheelManifest
from bridge.cache.blobs import sha256_of
from bridge.cache.packages import PackageStore, unpacked_package
from bridge.cache.wheels import unpacked_contents
from bridge.errors import FaultError, IntegrityError
from bridge.fs.processes import Spread, processors, spread
from bridge.install.manifest import site_packages_after
from bridge.install.provenance import meta_path
from bridge.install.staging import conda
from bridge.install.staging.bytecode import Compiled
from bridge.install.staging.inputs import StagedPaths, StageInputs, changed, differs
from bridge.install.staging.linking import Part, link_package, packed_entries
from bridge.install.staging.originals import Originals
from bridge.install.staging.placer import Placer
from bridge.model import Entry, Fingerprint, Resolved
from bridge.prefix.claims import incoming
from converters.deferred import dataclass

if TYPE_CHECKING:
    from bridge.install.staging.wheels import Placement

__all__ = ["Placing"]

_LARGE = 1000  # paths of a conda package that several processes place: of a new environment, nearly all are python's
_FINGERPRINT = tuple(Fingerprint.__annotations__)
_Row = tuple[tuple[Any, ...], str, str | None, str | None]
_Plain = tuple[tuple[_Row, ...], tuple[_Row, ...] | None, bool]
_FEW = 400  # paths of all packages, which one process places before another would have started


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """The entries of a package whose content its archive does not state, and its records, if they were written too.

    `is_copied`: the link mode could not be used.
    """

    generated: tuple[Entry, ...]
    records: tuple[Entry, ...] | None
    is_copied: bool

    @classmethod
    def of(cls, plain: _Plain) -> _Written:
        generated, records, is_copied = plain
        return cls(
            generated=tuple(map(_entry, generated)),
            records=None if records is None else tuple(map(_entry, records)),
            is_copied=is_copied,
        )

    @property
    def plain(self) -> _Plain:
        """The same without classes: for those, both processes would import pickle, 3 ms each."""
        records = None if self.records is None else tuple(map(_row, self.records))
        return tuple(map(_row, self.generated)), records, self.is_copied


def _row(entry: Entry) -> _Row:
    return tuple(getattr(entry.fingerprint, name) for name in _FINGERPRINT), entry.path, entry.packed, entry.placed


def _entry(row: _Row) -> Entry:
    values, path, packed, placed = row
    fingerprint = Fingerprint(**dict(zip(_FINGERPRINT, values, strict=True)))
    return Entry(path=path, fingerprint=fingerprint, packed=packed, placed=placed)


@final
class Placing:
    """Places packages while its block runs; `wait` for them, then `record` the wheels.

    :param taken: paths of the plan's conda packages that rattler links; identical content, or the plan was refused.
    :param packages: the conda packages to place.
    :param executor: threads to use where the process cannot fork; by default a few are started.
    :param sources: `Record.identity` → the `link.source` of a conda package's record, where it is known.

    Without a python, no wheel is placed. Leaving the block ends what still runs.
    """

    def __init__(
        self,
        inputs: StageInputs,
        staging: Path,
        taken: Collection[str],
        packages: Sequence[Resolved] = (),
        executor: Executor | None = None,
        sources: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._inputs, self._staging, self._executor, self._sources = inputs, staging, executor, sources
        self._manifests = {
            identity: each for identity, each in inputs.manifests.items() if isinstance(each, WheelManifest)
        }
        wheels = [each for each in incoming(inputs.plan) if each.record.identity in self._manifests]
        self._shared = _shared(inputs, [*packages, *wheels], taken)
        self._to = _placement(inputs, staging, wheels, self._shared)
        self._packages = [*packages, *(wheels if self._to is not None else ())]
        # Largest first: the process that takes the last one should not be alone with it for long.
        self._packages.sort(key=lambda each: -len(inputs.predicted[each.record.identity]))
        self._tasks = [(each, part) for each in self._packages for part in self._parts(each)]
        self._written: Sequence[_Written] | None = None
        self._stack = ExitStack()
        self._running: Spread[_Plain] | None = None
        self._process = os.getpid()
        self._can_share = True
        paths = sum(len(inputs.predicted[each.record.identity]) for each in self._packages)
        self.are_many = paths >= _FEW
        """Whether there are so many files that it is worth while to work in parallel."""

    def __enter__(self) -> Placing:
        if self.are_many and len(self._tasks) > 1:
            self._running = self._stack.enter_context(
                spread(lambda number: self._place(number).plain, len(self._tasks), processors())
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait(self) -> None:
        """Return when all packages are placed. Raises what placing them raises."""
        if self._written is not None:
            return
        if self._running is not None and self._running.is_forked:
            self._written = [_Written.of(each) for each in self._running.results()]
        else:
            self._written = _each(self._place, range(len(self._tasks)), self._executor)
        generated = self.generated()
        for each, part in self._tasks:
            if part.number == 0:
                self._check(each, generated[each.record.identity])

    @property
    def records(self) -> Mapping[str, tuple[Entry, ...]]:
        """`Record.identity` → the records that are written already."""
        tasks = zip(self._tasks, self._written or (), strict=True)
        return {each.record.identity: written.records for (each, _), written in tasks if written.records}

    @property
    def has_copied(self) -> bool:
        """Whether files were copied because the link mode could not be used."""
        return any(written.is_copied for written in self._written or ())

    def generated(self) -> dict[str, tuple[Entry, ...]]:
        """`Record.identity` → the files of a conda package with the prefix in them, and its commands."""
        self.wait()
        generated: dict[str, tuple[Entry, ...]] = {}
        for (each, _), written in zip(self._tasks, self._written or (), strict=True):
            generated[each.record.identity] = (*generated.get(each.record.identity, ()), *written.generated)
        return generated

    def record(self, compiled: Compiled) -> StagedPaths:
        """Write the records that are not there yet; return all paths of the wheels."""
        self.wait()
        staged: StagedPaths = {}
        for (each, _), written in zip(self._tasks, self._written or (), strict=True):
            identity = each.record.identity
            if identity not in self._manifests:
                continue
            entries = [*self._foreseen(each), *written.generated]
            bytecode = compiled.of(entry.path for entry in entries)
            records = written.records
            if records is None:
                records = self._record(each, entries, bytecode)
            staged |= {entry.path: (entry.fingerprint, identity) for entry in (*entries, *records)}
            staged |= {path: (fingerprint, identity) for path, fingerprint in bytecode.items()}
        return staged

    def _place(self, number: int) -> _Written:
        """Place a package or a part; write the records of a wheel unless there may be bytecode for them to list."""
        inputs, (each, part) = self._inputs, self._tasks[number]
        inputs.check()
        if self._running is not None and self._running.is_forked and os.getpid() == self._process:
            self._remove_rest(each, part)
        manifest = self._manifests.get(each.record.identity)
        with Placer(inputs.link_mode, inputs.cache, can_share=self._can_share, is_synced=inputs.is_synced) as placer:
            if manifest is None:
                generated = self._place_package(each, part, placer)
            else:
                generated = self._place_wheel(each, manifest, placer)
            if placer.has_copied:
                self._can_share = False
        records = None
        if manifest is not None and not inputs.compiles:
            records = self._record(each, [*self._foreseen(each), *generated], ())
        elif part.count == 1 and self._sources.get(each.record.identity) and not inputs.compiles:
            records = self._record_conda(each, generated)
        return _Written(generated=generated, records=records, is_copied=not self._can_share)

    def _place_wheel(self, each: Resolved, manifest: WheelManifest, placer: Placer) -> tuple[Entry, ...]:
        """Place a wheel from the cache; if that is damaged, from its archive."""
        from bridge.install.staging import wheels  # noqa: PLC0415 - conda packages need no `installer`

        identity = each.record.identity
        predicted, unpacked = self._inputs.predicted[identity], self._inputs.unpacked.get(identity)
        if unpacked is not None:
            try:
                with unpacked_contents(manifest, unpacked) as contents:
                    return wheels.place_wheel(each, contents, manifest, predicted, self._placement, placer)
            except IntegrityError:
                with suppress(FaultError):
                    fs.remove_tree(unpacked)
        with WheelContents(self._inputs.archives[identity], manifest) as packed:
            return wheels.place_wheel(each, packed, manifest, predicted, self._placement, placer)

    def _parts(self, each: Resolved) -> list[Part]:
        manifest = self._inputs.manifests[each.record.identity]
        is_large = isinstance(manifest, CondaManifest) and len(manifest.paths) >= _LARGE
        count = processors() if is_large else 1
        return [Part(number=number, count=count) for number in range(count)]

    def _place_package(self, each: Resolved, part: Part, placer: Placer) -> tuple[Entry, ...]:
        """Place a conda package, or a part of it, from the cache; if that is damaged, unpack it again."""
        inputs, identity = self._inputs, each.record.identity
        manifest, unpacked = inputs.manifests[identity], inputs.unpacked[identity]
        if not isinstance(manifest, CondaManifest):
            raise AssertionError(identity)
        others, site = self._others(identity), site_packages_after(inputs.plan, inputs.state) or ""

        def link() -> tuple[Entry, ...]:
            with unpacked_package(unpacked) as contents:
                return link_package(inputs, self._staging, manifest, contents, others, site, placer, part)

        try:
            return link()
        except IntegrityError:
            if inputs.cache is None:
                raise
        with suppress(FaultError):
            fs.remove_tree(unpacked)
        archive = inputs.archive(each.record)
        if each.record.sha256 != sha256_of(archive):
            raise changed(manifest.filename)
        PackageStore(inputs.cache).check(
            archive,
            sha256=each.record.sha256,
            filename=manifest.filename,
            allow_external_symlinks=True,
        )
        return link()

    def _yielded(self, identity: str) -> frozenset[str]:
        return self._inputs.judgement.yielded.get(identity, frozenset())

    def _others(self, identity: str) -> frozenset[str]:
        """The paths of a package that others write."""
        return self._shared[identity] | self._yielded(identity)

    @property
    def _placement(self) -> Placement:
        if self._to is None:
            raise AssertionError("nothing is placed")
        return self._to

    def _remove_rest(self, each: Resolved, part: Part) -> None:
        """Remove what a process wrote of a package, or of its part, before it failed."""
        identity = each.record.identity
        others, manifest = self._others(identity), self._inputs.manifests[identity]
        if part.count > 1 and isinstance(manifest, CondaManifest):
            site = site_packages_after(self._inputs.plan, self._inputs.state) or ""
            scripts = self._inputs.plan.target.layout.scripts
            own = {entry.path for _, entry in packed_entries(manifest, site, scripts, part)}
            if part.number == 0:  # which has the commands too
                packed = {entry.path for _, entry in packed_entries(manifest, site, scripts)}
                own |= {entry.path for entry in self._inputs.predicted[identity]} - packed
            others |= {entry.path for entry in self._inputs.predicted[identity]} - own
        with fs.WritableTree(self._staging) as tree:
            for entry in self._inputs.predicted[identity]:
                is_leaf = entry.fingerprint.kind != "directory"
                if is_leaf and entry.path not in others and tree.lstat(entry.path) is not None:
                    tree.unlink(entry.path)

    def _record(self, each: Resolved, entries: Sequence[Entry], bytecode: Iterable[str]) -> tuple[Entry, ...]:
        from bridge.install.staging import wheels  # noqa: PLC0415 - conda packages need no `installer`

        return wheels.record_wheel(each, self._manifests[each.record.identity], entries, bytecode, self._placement)

    def _record_conda(self, each: Resolved, generated: Sequence[Entry]) -> tuple[Entry, ...] | None:
        """Write the record of a conda package, unless another package writes a file of it."""
        if self._inputs.judgement.shared:
            return None
        source, path = self._sources[each.record.identity], meta_path(each.record)
        staged = conda.record_placed(self._inputs, self._staging, each, Compiled(), source, generated)
        return (Entry(path=path, fingerprint=staged[path][0]),)

    def _foreseen(self, each: Resolved) -> list[Entry]:
        """The entries whose content the archive states: `place_wheel` compares what it writes with them."""
        yielded = self._yielded(each.record.identity)
        predicted = self._inputs.predicted[each.record.identity]
        return [entry for entry in predicted if entry.fingerprint.sha256 is not None and entry.path not in yielded]

    def _check(self, each: Resolved, generated: Iterable[Entry]) -> None:
        identity = each.record.identity
        own = {meta_path(each.record)} | self._yielded(identity)
        if (manifest := self._manifests.get(identity)) is not None:
            own.add(f"{self._placement.site_packages}/{manifest.dist_info}/RECORD")
        else:
            own |= self._shared[identity]
        kinds = {entry.path: entry.fingerprint for entry in self._inputs.predicted[identity]}
        expected = {
            path for path, fingerprint in kinds.items() if fingerprint.kind == "file" and fingerprint.sha256 is None
        } - own
        odd = sorted(expected ^ {entry.path for entry in generated})
        if odd:
            raise differs(each.record.label, *(f"path: {path}" for path in odd[:5]))


def _placement(
    inputs: StageInputs, staging: Path, wheels: Sequence[Resolved], shared: Mapping[str, frozenset[str]]
) -> Placement | None:
    plan = inputs.plan
    if not wheels or plan.python is None:
        return None
    from bridge.install.staging.wheels import Placement  # noqa: PLC0415 - conda packages need no `installer`

    target = plan.target.with_python(plan.python)
    return Placement(
        staging=staging,
        final=plan.prefix,
        target=target,
        python=plan.python,
        site_packages=site_packages_after(plan, inputs.state) or target.layout.site_packages(plan.python),
        names=inputs.names,
        source=Originals(inputs.cache).plain(),
        yielded=inputs.judgement.yielded,
        shared=shared,
    )


def _shared(inputs: StageInputs, packages: Sequence[Resolved], present: Collection[str]) -> dict[str, frozenset[str]]:
    """Map identity → paths that another package of the plan writes with the same content."""
    taken = set(present)
    shared = {}
    for each in packages:
        predicted = inputs.predicted[each.record.identity]
        paths = {entry.path for entry in predicted if entry.fingerprint.kind != "directory"}
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
