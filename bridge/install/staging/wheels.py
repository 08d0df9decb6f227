"""Place one wheel in a staging directory with `installer`, through a destination that writes by `bridge.fs`.

Written are the members where pip puts them, commands with the interpreter of the final prefix, and the records of
`bridge.install.provenance`. Every member is hashed and compared with its checked manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

import installer
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import Hash, RecordEntry
from installer.scripts import Script
from installer.sources import WheelSource
from installer.utils import Scheme

from bridge import fs
from bridge.archive.wheels import WheelManifest, WheelMember
from bridge.cache.contents import Contents
from bridge.errors import IntegrityError, UnsafeInputError
from bridge.install.direct_url import direct_url
from bridge.install.manifest import place, scheme_of, wheel_members
from bridge.install.provenance import INSTALLER, conda_depends, conda_meta, meta_path
from bridge.install.record_text import record_file
from bridge.install.staging.inputs import changed
from bridge.install.staging.placer import Placer
from bridge.model import Entry, Fingerprint, Resolved
from bridge.prefix.shebangs import for_python, split
from bridge.requirements.direct import is_direct
from converters.deferred import dataclass
from converters.names import NameMap
from converters.target import PrefixLayout, Python, Target

if TYPE_CHECKING:
    from installer.scripts import LauncherKind

__all__ = ["Placement", "place_wheel", "record_wheel"]

_LAUNCHERS: Mapping[str, LauncherKind] = {"win-64": "win-amd64", "win-32": "win-ia32", "win-arm64": "win-arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The staging directory for wheels, and the final prefix and python that scripts name.

    `target` is the platform, which decides the layout. `site_packages` is prefix-relative; `names` are for
    the MatchSpecs of records, and `source` is their `link.source`. By `Record.identity`: `yielded`, paths left to
    another package; `shared`, paths that another package writes with the same content.
    """

    staging: Path
    final: Path
    target: Target
    python: Python
    site_packages: str
    names: NameMap
    source: str
    yielded: Mapping[str, frozenset[str]]
    shared: Mapping[str, frozenset[str]]

    @property
    def interpreter(self) -> str:
        """The absolute path of the interpreter in scripts."""
        return str(self.final / self.layout.interpreter(self.python))

    @property
    def layout(self) -> PrefixLayout:
        return self.target.layout

    @property
    def first_line(self) -> bytes:
        """The first line (or lines) of a script. Windows has no shell trick: launchers read any path."""
        return b"#!" + self.interpreter.encode() if self.target.is_windows else for_python(self.interpreter)


def place_wheel(
    resolved: Resolved,
    contents: Contents,
    manifest: WheelManifest,
    predicted: Iterable[Entry],
    to: Placement,
    placer: Placer,
) -> tuple[Entry, ...]:
    """Write a wheel below `to.staging`, without its records.

    :param predicted: its paths (`bridge.install.manifest`). Those with a sha256 get exactly that content; the others,
        which are generated, are returned with their fingerprints.

    Raises `IntegrityError` (`record-hash`: the content changed after its check; the files are removed),
    `UnsafeInputError` (`wheel-scheme`), and what `bridge.fs.write_file` raises.
    """
    record = resolved.record
    extra = {"INSTALLER": INSTALLER}
    if resolved.requested:
        extra["REQUESTED"] = b""
    if is_direct(record.url, resolved.requested):
        extra["direct_url.json"] = direct_url(record)
    members = wheel_members(manifest, to.python, to.site_packages, to.layout)
    stated = {entry.path: entry.fingerprint for entry in predicted if entry.fingerprint.sha256 is not None}
    hashes = {path: member.sha256 for member, path in members}
    scripts = {member.path for member, path in members if path not in stated}
    with fs.WritableTree(to.staging) as tree:
        destination = _Destination(tree, manifest, to, hashes, record.identity)
        try:
            destination.write_members(contents, members, stated, placer)
            installer.install(_Source(contents, manifest, scripts), destination, extra)
        except InstallerError as error:
            raise UnsafeInputError("wheel-scheme", f"{manifest.filename} cannot be placed: {error}") from error
        except (IntegrityError, UnsafeInputError) as error:
            destination.remove()
            if error.id.startswith("zip-"):
                raise changed(manifest.filename, error.message) from error
            raise
    return tuple(destination.entries)


def record_wheel(
    resolved: Resolved, manifest: WheelManifest, entries: Iterable[Entry], bytecode: Iterable[str], to: Placement
) -> tuple[Entry, ...]:
    """Write RECORD and the conda-meta record of a placed wheel; return both with their fingerprints.

    RECORD lists what was written: the wheel's own rows describe another tree.

    :param entries: as `place_wheel` returned them; `bytecode`: compiled paths, listed without a hash as by pip and
        conda, for the interpreter may rewrite them.
    """
    record = resolved.record
    listed = [*entries, *(Entry(path=path, fingerprint=Fingerprint(kind="file")) for path in bytecode)]
    with fs.WritableTree(to.staging) as tree:
        path = f"{to.site_packages}/{manifest.dist_info}/RECORD"
        yielded = to.yielded.get(record.identity, frozenset())
        own: list[Entry] = []
        if path not in yielded:
            written = fs.write_file(tree, path, [record_file(listed, to.site_packages, path)])
            own.append(Entry(path=path, fingerprint=written))
        data = conda_meta(
            record,
            [*listed, *own],
            depends=conda_depends(record, to.target, to.names, extras=resolved.extras),
            requested=resolved.requested,
            choice=resolved.choice,
            source=to.source,
            yielded=yielded,
        )
        path = meta_path(record)
        own.append(Entry(path=path, fingerprint=fs.write_file(tree, path, [data])))
    return tuple(own)


class _Source(WheelSource):
    """The members to place. Metadata files are generated from the manifest, so nothing is parsed twice."""

    def __init__(self, contents: Contents, manifest: WheelManifest, kept: set[str]) -> None:
        super().__init__(manifest.metadata.name, manifest.metadata.version)
        self._contents, self._manifest, self._kept = contents, manifest, kept

    @property
    def dist_info_dir(self) -> str:
        return self._manifest.dist_info

    @property
    def data_dir(self) -> str:
        return super().data_dir

    @property
    def dist_info_filenames(self) -> list[str]:
        return ["WHEEL", "entry_points.txt"]

    def read_dist_info(self, filename: str) -> str:
        if filename != "entry_points.txt":
            is_purelib = str(self._manifest.root_is_purelib).lower()
            # `installer` reads 1.x only; what the wheel has was accepted by `check_wheel`.
            return f"Wheel-Version: 1.0\nRoot-Is-Purelib: {is_purelib}\n"
        lines: dict[str, list[str]] = {}
        for point in self._manifest.entry_points:
            lines.setdefault(point.group, []).append(f"{point.name} = {point.module}:{point.attribute}")
        return "\n".join(chain.from_iterable((f"[{group}]", *points) for group, points in lines.items()))

    def get_contents(self) -> Iterator[tuple[tuple[str, str, str], BinaryIO, bool]]:
        for member in self._manifest.members:
            if member.path in self._kept:
                scheme, rest = scheme_of(self._manifest, member.path)
                # `installer` knows one data directory; the wheel may name it otherwise, or have several.
                path = rest if rest == member.path else f"{self.data_dir}/{scheme}/{rest}"
                with self._contents.open(member.path) as stream:
                    yield (path, "", ""), cast("BinaryIO", stream), member.is_executable


class _Destination(WheelDestination):
    """Write below the staging directory by `bridge.fs`; `entries` is what was generated."""

    def __init__(
        self,
        tree: fs.WritableTree,
        manifest: WheelManifest,
        to: Placement,
        hashes: Mapping[str, str],
        identity: str,
    ) -> None:
        self.entries: list[Entry] = []
        self._tree, self._manifest, self._to, self._hashes = tree, manifest, to, hashes
        self._yielded = to.yielded.get(identity, frozenset())
        self._shared = to.shared.get(identity, frozenset())
        self._stated: list[str] = []

    def write_members(
        self,
        contents: Contents,
        members: Iterable[tuple[WheelMember, str]],
        stated: Mapping[str, Fingerprint],
        placer: Placer,
    ) -> None:
        """Write the members whose content is stated; `installer` would take thrice the time for each."""
        tree, others = self._tree, self._yielded | self._shared
        for member, path in members:
            expected = stated.get(path)
            if expected is None or path in others:
                continue
            sha256 = placer.place(tree, path, contents, member.path, expected)
            self._compare(path, sha256, expected.sha256)
            self._stated.append(path)

    def write_script(self, name: str, module: str, attr: str, section: Literal["console", "gui"]) -> RecordEntry:
        path, script = self._to.layout.command_of_wheel(name), Script(name, module, attr, section)
        if self._to.target.is_windows:
            kind = _LAUNCHERS[self._to.target.subdir]
            return self._write(path, [script.generate(self._to.interpreter, kind)[1]], mode=0o755)
        _, rest = split(script.generate("/python", "posix")[1])
        return self._write(path, [self._to.first_line, rest], mode=0o755)

    def write_file(
        self, scheme: Scheme, path: str | PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        project = self._manifest.metadata.name
        target = place(str(scheme), fspath(path), project, self._to.python, self._to.site_packages, self._to.layout)
        if scheme == "scripts":
            return self._write_packed_script(target, stream)
        return self._write(target, stream, mode=0o755 if is_executable else 0o644, sha256=self._hashes.get(target))

    def _write_packed_script(self, path: str, stream: BinaryIO) -> RecordEntry:
        """Write a script of the wheel, executable; a first line `#!python` gets the interpreter (PEP 427)."""
        data = stream.read()
        self._compare(path, hashlib.sha256(data).hexdigest(), self._hashes.get(path))
        first, newline, rest = data.partition(b"\n")
        if _names_python(first):
            data = self._to.first_line + (newline or b"\n") + rest
        return self._write(path, [data], mode=0o755)

    def _write(
        self, path: str, blocks: Iterable[bytes] | BinaryIO, *, mode: int, sha256: str | None = None
    ) -> RecordEntry:
        if path in self._yielded:
            return RecordEntry(path, None, None)
        if path in self._shared:
            fingerprint = _hashed(blocks, mode)
        else:
            fingerprint = fs.write_file(self._tree, path, blocks, mode=mode)
        self.entries.append(Entry(path=path, fingerprint=fingerprint))
        self._compare(path, fingerprint.sha256, sha256)
        return RecordEntry(path, Hash("sha256", fingerprint.sha256 or ""), fingerprint.size)

    def remove(self) -> None:
        """Remove what was written."""
        for path in (*self._stated, *(entry.path for entry in self.entries)):
            if path not in self._shared:
                self._tree.unlink(path)

    def _compare(self, path: str, actual: str | None, expected: str | None) -> None:
        if expected is not None and actual != expected:
            raise changed(self._manifest.filename, f"path: {path}", f"checked: {expected}", f"read: {actual}")

    def finalize_installation(
        self,
        scheme: Scheme,
        record_file_path: str,
        records: Iterable[tuple[Scheme, RecordEntry]],
    ) -> None:
        """Do nothing: `record_wheel` writes RECORD once its content is known."""


def _hashed(blocks: Iterable[bytes] | BinaryIO, mode: int) -> Fingerprint:
    """Return the fingerprint of content that is not written."""
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    return Fingerprint(kind="file", sha256=digest.hexdigest(), size=size, mode=mode)


def _names_python(line: bytes) -> bool:
    """Whether a first line begins with `#!python`; what follows (`#!python3.12 -u`) is dropped, as in pip."""
    return line.startswith(b"#!python")
