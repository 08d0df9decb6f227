"""Index a directory of packages as a channel: plain, compressed and sharded repodata, and a name map.

Every package is validated before it is listed. An invalid one is left out and reported; the others are indexed.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from json.encoder import encode_basestring_ascii as _json
from pathlib import Path

from bridge import fs
from bridge.convert.index_files import stamp, write_subdir
from bridge.convert.indexed import EXTENSIONS, IndexedPackage, Memory, Stamp, indexed, read_package, read_pointers
from bridge.convert.retention import retained
from bridge.convert.sidecars import sidecars_of, with_sidecars
from bridge.convert.workers import executor
from bridge.errors import BridgeError, UsageError
from bridge.faults import faults
from bridge.paths import NAMES_FILE
from converters.names import NameMap
from converters.projects import canonicalize_name
from converters.repodata import RepodataEntry
from converters.target import SUBDIRS

__all__ = ["ChannelIndex", "check_channel", "write_index", "write_names"]

_INTERPRETER = frozenset({"python", "python_abi", "cpython"})
_PLACES = frozenset({*SUBDIRS, "noarch"})
_SUFFIXES = tuple(f".{extension}" for extension in EXTENSIONS)
_LEFT_BEHIND = 86400  # seconds
_FEW = 64  # packages to read for which no other process is started


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelIndex:
    """What an index lists, and what was done.

    :param subdirs: subdir → its packages.
    :param failures: paths of packages that are left out, with the reason.
    :param left_out: paths of packages, or URLs of wheels, of versions that are no longer kept.
    :param deleted: paths of files that were deleted, or would be with `is_dry_run`.
    :param signed: packages that were signed in this run.
    :param read: how many packages were read; the others were known from the last run.
    """

    channel: Path
    subdirs: Mapping[str, Sequence[IndexedPackage]]
    failures: Mapping[Path, BridgeError]
    left_out: tuple[str, ...] = ()
    deleted: tuple[Path, ...] = ()
    signed: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    read: int = 0
    is_dry_run: bool = False
    seconds: float = 0.0

    @property
    def packages(self) -> tuple[IndexedPackage, ...]:
        return tuple(chain.from_iterable(self.subdirs.values()))


def check_channel(channel: Path) -> None:
    """Raise `UsageError` for a path that is no channel's directory: missing, or a single subdir."""
    if not channel.is_dir():
        raise UsageError("no-channel", f"there is no directory {channel}", hint="give the directory of a channel")
    if channel.name in _PLACES and not any((channel / name).is_dir() for name in _PLACES):
        raise UsageError(
            "no-channel", f"{channel} is one subdir of a channel", hint=f"give the directory above: {channel.parent}"
        )


@contextmanager
def _without_collections() -> Iterator[None]:
    """Suspend the garbage collector: it would scan tens of thousands of records, which make no cycles, many times."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@_without_collections()
def write_index(
    channel: Path,
    wheels: Iterable[RepodataEntry] = (),
    *,
    without: Collection[str] = (),
    keep: int | None = None,
    prunes: bool = False,
    rereads: bool = False,
    is_dry_run: bool = False,
    jobs: int = 1,
    sign: Callable[[Sequence[Path]], object] | None = None,
) -> ChannelIndex:
    """Write the index of each subdir that `channel` has or `wheels` need, and of `noarch`.

    An index is `repodata.json`, `repodata.json.zst` and shards (`repodata_shards.msgpack.zst`). Equal packages and
    records give equal indexes. Invalid packages are left out; see `ChannelIndex.failures`.

    :param wheels: records that point to wheels; records of an earlier index stay, unless one has the same stem.
    :param without: the stems of records of wheels that are to go.
    :param keep: list only the newest versions of each name, as `retained` says.
    :param prunes: delete the packages that are not kept, and the leftovers of interrupted runs.
    :param rereads: read every package again, also those that seem unchanged.
    :param jobs: processes that read packages.
    :param sign: writes attestations beside packages that have none.

    Raises `FaultError`, and what `sign` raises.
    """
    started = time.perf_counter()
    if not is_dry_run:
        fs.make_directories(channel)
    states = _read_channel(channel, wheels, rereads=rereads, jobs=jobs)
    subdirs = {
        name: [each for each in state.packages if not (each.key in without and each.is_wheel)]
        for name, state in states.items()
    }
    kept = retained(subdirs, keep) if keep is not None else subdirs
    kept, signed, remarks = _attested(channel, kept, None if is_dry_run else sign)
    left_out = {name: _without(subdirs[name], kept[name]) for name in subdirs}
    surplus = _surplus(channel, left_out) if prunes else []
    index = ChannelIndex(
        channel=channel,
        subdirs=kept,
        failures={path: error for state in states.values() for path, error in state.failures.items()},
        left_out=tuple(_shown(channel / name, each) for name, gone in left_out.items() for each in gone),
        deleted=tuple(surplus),
        signed=tuple(signed),
        warnings=(*_warnings(channel, kept), *remarks),
        read=sum(state.read for state in states.values()),
        is_dry_run=is_dry_run,
        seconds=time.perf_counter() - started,
    )
    if is_dry_run:
        return index
    has_names = any(each.projects for each in index.packages) or (channel / NAMES_FILE).is_file()
    for name, state in states.items():
        names_file = NAMES_FILE if has_names and name == "noarch" else None
        _write_subdir(channel, name, kept[name], state.memory, names_file)
    for path in index.deleted:  # after the index that no longer names them
        fs.remove_tree(path)
    return index


def _attested(
    channel: Path, subdirs: Mapping[str, Sequence[IndexedPackage]], sign: Callable[[Sequence[Path]], object] | None
) -> tuple[dict[str, list[IndexedPackage]], list[Path], list[str]]:
    """Return the packages with what attests them, those that were signed, and remarks on attestations of no use."""
    found = {name: sidecars_of(channel / name, packages) for name, packages in subdirs.items()}
    remarks = [remark for _, listed in found.values() for remark in listed]
    bare = [
        channel / name / each.file
        for name, packages in subdirs.items()
        for each in packages
        if sign is not None and not each.is_wheel and each.file not in found[name][0]
    ]
    if sign is not None and bare:
        sign(bare)
        found = {name: sidecars_of(channel / name, packages) for name, packages in subdirs.items()}
    return {name: with_sidecars(packages, found[name][0]) for name, packages in subdirs.items()}, bare, remarks


def _write_subdir(
    channel: Path, name: str, packages: Sequence[IndexedPackage], known: Memory, names_file: str | None
) -> None:
    fs.make_directories(channel / name)
    memory = write_subdir(channel / name, packages, known, names_file=names_file)
    memory.pointers = [each for each in packages if each.is_wheel]
    memory.packages = known.packages
    memory.save(channel, name)


@dataclass(slots=True, kw_only=True)
class _Subdir:
    """What was read of a subdir; `memory.packages` are its current files."""

    packages: list[IndexedPackage]
    memory: Memory
    failures: dict[Path, BridgeError]
    read: int


def _read_channel(channel: Path, wheels: Iterable[RepodataEntry], *, rereads: bool, jobs: int) -> dict[str, _Subdir]:
    """Read `noarch`, the other subdirs that are there, and those that `wheels` need."""
    with faults(channel):
        subdirs = {path.name for path in channel.iterdir() if path.name in _PLACES and path.is_dir()}
    added: dict[str, list[RepodataEntry]] = {}
    for entry in wheels:
        added.setdefault(str(entry.record["subdir"]), []).append(entry)
    return {
        name: _read_subdir(channel, name, added.get(name, ()), rereads=rereads, jobs=jobs)
        for name in dict.fromkeys(["noarch", *sorted(subdirs | added.keys())])
    }


def _read_subdir(channel: Path, name: str, added: Sequence[RepodataEntry], *, rereads: bool, jobs: int) -> _Subdir:
    subdir = channel / name
    memory = Memory.load(channel, name)
    failures: dict[Path, BridgeError] = {}
    files = _files(subdir) if subdir.is_dir() else {}
    known = {} if rereads else memory.packages
    new = [file for file, stamped in files.items() if known.get(file, (None,))[0] != stamped]
    read_now = set(new)
    packages = {file: known[file] for file in files if file not in read_now}
    for file, read in zip(new, _read([subdir / file for file in new], jobs), strict=True):
        if isinstance(read, BridgeError):
            failures[subdir / file] = read
        else:
            packages[file] = (files[file], read)
    is_own = memory.repodata is not None and stamp(subdir / "repodata.json") == memory.repodata
    pointers = {each.key: each for each in (memory.pointers if is_own else read_pointers(subdir))}
    pointers |= {entry.stem: indexed(entry) for entry in added}
    memory.packages = packages
    listed = [*(package for _, package in packages.values()), *pointers.values()]
    return _Subdir(packages=listed, memory=memory, failures=failures, read=len(new))


def _files(subdir: Path) -> dict[str, Stamp]:
    """Return the packages in a directory, with their stamps. A link to a file counts as the file."""
    stamps: dict[str, Stamp] = {}
    with faults(subdir), os.scandir(subdir) as entries:
        for entry in entries:
            if entry.name.endswith(_SUFFIXES) and not entry.name.startswith("."):
                try:
                    status = entry.stat()
                except FileNotFoundError:  # a link to nothing, whose reading fails; or removed meanwhile
                    status = entry.stat(follow_symlinks=False)
                stamps[entry.name] = (status.st_size, status.st_mtime_ns)
    return {name: stamps[name] for name in sorted(stamps)}


def _read(paths: Sequence[Path], jobs: int) -> list[IndexedPackage | BridgeError]:
    if len(paths) < _FEW or jobs == 1:
        return list(map(read_package, paths))
    with executor(jobs) as pool:
        return list(pool.map(read_package, paths, chunksize=16))


def _without(packages: Sequence[IndexedPackage], kept: Sequence[IndexedPackage]) -> list[IndexedPackage]:
    if len(packages) == len(kept):
        return []
    stay = {(each.section, each.key) for each in kept}
    return [each for each in packages if (each.section, each.key) not in stay]


def _shown(subdir: Path, package: IndexedPackage) -> str:
    return str(package.record.get("url")) if package.is_wheel else str(subdir / package.file)


def _surplus(channel: Path, left_out: Mapping[str, Sequence[IndexedPackage]]) -> list[Path]:
    """Return what is deleted: packages that are not kept, what attests them, and leftovers."""
    packages = [channel / name / each.file for name, gone in left_out.items() for each in gone if not each.is_wheel]
    sidecars = [sidecar for path in packages for sidecar in sorted(path.parent.glob(f"{path.name}.sigs.*"))]
    return [*packages, *sidecars, *_leftovers(channel)]


def _leftovers(channel: Path) -> list[Path]:
    """Return temporary files of runs that were killed: those of a day ago and older."""
    leftovers = []
    before = time.time() - _LEFT_BEHIND
    for folder in (channel, *(channel / name for name in _PLACES if (channel / name).is_dir())):
        with faults(folder):
            temporary = sorted(folder.glob(".*.bridge-tmp"))
        leftovers += [
            path for path in temporary if (found_at := stamp(path)) is not None and found_at[1] < before * 1e9
        ]
    return leftovers


def _warnings(channel: Path, subdirs: Mapping[str, Sequence[IndexedPackage]]) -> Iterable[str]:
    """Return what a client would not find, or find in the wrong place."""
    with faults(channel):
        others = [path for path in sorted(channel.iterdir()) if path.is_dir() and path.name not in _PLACES]
    for folder in (channel, *others):
        if not folder.name.startswith(".") and (stray := _files(folder)):
            more = f" and {len(stray) - 1} more" if len(stray) > 1 else ""
            yield f"{folder} is not a subdir, so its packages are not indexed: {next(iter(stray))}{more}"
    for subdir, packages in subdirs.items():
        expected = f'"subdir":"{subdir}"'.encode()
        for each in packages:
            if expected not in each.text and (stated := each.record.get("subdir")) not in {None, subdir}:
                yield f"{subdir}/{each.file} is in the wrong directory: its index.json says subdir {stated}"


def write_names(index: ChannelIndex, names: NameMap) -> None:
    """Write the name map of a channel of converted packages, in the form of `--name-map`.

    The projects in the packages' purls and the rows of `names` for their dependencies are evidence. A dependency
    without a row has the name of its project; its row is unconfirmed, since a conda package of that name may be
    something else (`NameMap.unconfirmed`). Raises `FaultError`.
    """
    packages = index.packages
    provided = {each.name: each.projects for each in packages if each.projects}
    rows = {name: _listed(projects.split()) for name, projects in provided.items()}
    required = set(" ".join([each.requires for each in packages]).split())
    for name in required - rows.keys() - _INTERPRETER:
        if not name.startswith("_"):
            rows[name] = _row_of_dependency(name, names)
    lines = ",\n".join(f"{_json(name)}: {rows[name]}" for name in sorted(rows))
    fs.publish_file(index.channel / NAMES_FILE, [f"{{\n{lines}\n}}\n".encode()])


def _row_of_dependency(name: str, names: NameMap) -> str:
    """Return the row of a dependency, as JSON."""
    known = names.row(name)
    if known is None and name.startswith("pypi-"):  # the converter's name for a project whose own name is another thing
        project = name.removeprefix("pypi-")
        known = (project,) if names.native_name(project) == name else None
    if known is not None:
        return _listed(known)
    meant = names.unconfirmed(name)
    return f'{{"unconfirmed": {_listed([canonicalize_name(name)] if meant is None else meant)}}}'


def _listed(projects: Sequence[str]) -> str:
    return f"[{', '.join(map(_json, projects))}]"
