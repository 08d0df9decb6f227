"""Lay out the files of a converted package.

Modules, data and METADATA are kept byte for byte. RECORD is generated for the installed paths; so are INSTALLER, the
commands of entry points in a pinned package, and the first line of scripts with `#!python`. INSTALLER is `conda`, as in
every conda package, since a conda client owns these files. REQUESTED is kept, since only the wheel's author knows it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, BinaryIO, Protocol, cast

from converters.errors import UnsafeInputError
from converters.layout import PackageLayout, command_of_wrapper, is_cache, refuse_reserved, scheme_of
from converters.metadata import CoreMetadata
from converters.native import NativeFile
from converters.package import Member

__all__ = ["PLACEHOLDER", "Archive", "File", "Manifest", "Payload", "arrange", "linked"]

PLACEHOLDER = "/opt/bridge_prefix_placeholder"
"""Stands for the prefix in the first line of scripts; installers replace it (paths.json, file mode `text`)."""

_SHEBANG = re.compile(rb"#!python(w(?![\w.])|)[^\r\n]{0,4000}(\r?\n|\Z)")
_LONGEST_SCRIPT = 1 << 24  # bytes; only a script with such a first line is read into memory
_STALE = ("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "direct_url.json")  # wrong for the installed files
_LICENSE = re.compile(r"(license(?:s|_files)/.+|(licen[cs]e|copying|notice|authors)[^/]*)\Z", re.IGNORECASE)

_COMMAND = """\
#!{interpreter}
import re
import sys

from {module} import {imported}

if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw?|\\.exe)?$", "", sys.argv[0])
    sys.exit({attribute}())
"""


class Archive(Protocol):
    """An open wheel; the interface is that of `zipfile.ZipFile`."""

    def open(self, name: str) -> IO[bytes]: ...
    def read(self, name: str) -> bytes: ...


class _WheelFile(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def is_executable(self) -> bool: ...
    @property
    def native(self) -> NativeFile | None: ...


class _Command(Protocol):
    @property
    def group(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def module(self) -> str: ...
    @property
    def attribute(self) -> str: ...


class _Caution(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def detail(self) -> str: ...


class Manifest(Protocol):
    """A validated wheel: its files with their hashes, and the contents of its dist-info."""

    @property
    def filename(self) -> str: ...
    @property
    def members(self) -> Sequence[_WheelFile]: ...
    @property
    def dist_info(self) -> str: ...
    @property
    def data_dirs(self) -> Sequence[str]: ...
    @property
    def metadata(self) -> CoreMetadata: ...
    @property
    def entry_points(self) -> Sequence[_Command]: ...
    @property
    def tags(self) -> Sequence[str]: ...
    @property
    def cautions(self) -> Sequence[_Caution]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of the package. `is_patched`: it contains the placeholder, so installation changes its bytes."""

    member: Member
    sha256: str
    is_patched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """All files, sorted by path. `licenses`: path in info/licenses, content. `sboms`: paths (PEP 770).

    `dropped`: members that were left out; `replaced`: those with the path of an entry point's command;
    `missing_licenses`: files that METADATA lists and the wheel does not contain.
    """

    files: tuple[File, ...]
    licenses: tuple[tuple[str, bytes], ...]
    sboms: tuple[str, ...]
    dropped: tuple[str, ...]
    replaced: tuple[str, ...] = ()
    missing_licenses: tuple[str, ...] = ()


def arrange(archive: Archive, wheel: Manifest, layout: PackageLayout) -> Payload:
    """Place every file of the wheel and generate the others.

    Raises `UnsafeInputError`: `reserved-path` for a path that belongs to another package, `path-collision` for two
    files with one path.
    """
    taken: dict[str, File] = {}  # by installed path
    dropped, replaced = [], []
    names = {command.name for command in wheel.entry_points}
    for member in wheel.members:
        if _is_stale(member.path, wheel) or is_cache(member.path):
            dropped.append(member.path)
        elif _is_replaced(member.path, wheel, layout, names):
            replaced.append(member.path)
        else:
            _take(taken, _place(archive, member, wheel, layout), layout, wheel)
    rows = [_row(layout, file) for file in taken.values()]
    commands, by_installer = [], linked(wheel, layout)
    for command in wheel.entry_points:
        path = f"{layout.scripts}/{command.name}"
        source = f"{wheel.dist_info}/entry_points.txt"
        refuse_reserved(wheel.filename, source, layout.installed(path), is_windows=layout.is_windows)
        commands.append(_made(path, _command(command, layout), is_executable=True, is_patched=True))
        recorded = layout.record_path(path)
        is_launcher = layout.is_windows and command in by_installer
        rows += [(f"{recorded}{end}", "", "") for end in (("-script.py", ".exe") if is_launcher else ("",))]
    info = f"{layout.site_packages}/{wheel.dist_info}"
    installer = _made(f"{info}/INSTALLER", b"conda\n")
    rows += [_row(layout, installer), (f"{wheel.dist_info}/RECORD", "", "")]
    for made in (installer, _made(f"{info}/RECORD", _record(rows)), *commands):
        _take(taken, made, layout, wheel)
    _refuse_file_as_directory(taken, wheel)
    # The installer makes the commands in link.json; here they only reserve their paths.
    left_out = {f"{layout.scripts}/{command.name}" for command in by_installer}
    files = [file for file in taken.values() if _path(file) not in left_out]
    return Payload(
        files=tuple(sorted(files, key=_path)),
        licenses=tuple(_licenses(archive, wheel)),
        sboms=tuple(sorted(m.path for m in wheel.members if m.path.startswith(f"{wheel.dist_info}/sboms/"))),
        dropped=tuple(dropped),
        replaced=tuple(replaced),
        missing_licenses=tuple(field for field, paths in _listed_licenses(wheel).items() if not paths),
    )


def linked(wheel: Manifest, layout: PackageLayout) -> tuple[_Command, ...]:
    """Return the commands that the installer of a package makes, which link.json lists.

    rattler and mamba refuse a package with others than ASCII ones, and mamba one with a blank in a name. For these the
    package has scripts.
    """
    portable = wheel.entry_points if layout.is_portable else ()
    return tuple(
        each for each in portable if f"{each.name}{each.module}{each.attribute}".isascii() and " " not in each.name
    )


def _is_replaced(path: str, wheel: Manifest, layout: PackageLayout, names: Collection[str]) -> bool:
    """Return whether a command is installed in place of a file, as by pip: the wrapper of setuptools, or a script."""
    scheme, rest = scheme_of(path, wheel.data_dirs)
    if scheme == "scripts":
        return command_of_wrapper(rest) in names
    folder, _, name = rest.rpartition("/")
    return scheme == "data" and name in names and layout.installed(f"{layout.scripts}/x") == f"{folder}/x"


def _path(file: File) -> str:
    return file.member.path


def _is_stale(path: str, wheel: Manifest) -> bool:
    parent, _, name = path.rpartition("/")
    return parent == wheel.dist_info and name in _STALE


def _take(taken: dict[str, File], file: File, layout: PackageLayout, wheel: Manifest) -> None:
    installed = layout.installed(file.member.path)
    if installed in taken:
        raise UnsafeInputError("path-collision", f"{wheel.filename} would install two files as {installed}")
    taken[installed] = file


def _refuse_file_as_directory(taken: dict[str, File], wheel: Manifest) -> None:
    """Refuse a path that is a file in one scheme and a directory in another (`scripts/x`, `data/bin/x/y`)."""
    directories: set[str] = set()
    for path in taken:
        parent = path.rpartition("/")[0]
        while parent and parent not in directories:
            directories.add(parent)
            parent = parent.rpartition("/")[0]
    for path in sorted(directories & taken.keys()):
        raise UnsafeInputError("path-collision", f"{wheel.filename} would make {path} both a file and a directory")


def _place(archive: Archive, member: _WheelFile, wheel: Manifest, layout: PackageLayout) -> File:
    """Return a wheel member as a file of the package, streamed unless its first line changes."""
    scheme, rest = scheme_of(member.path, wheel.data_dirs)
    path = layout.path(scheme, rest, wheel.metadata.name)  # headers go where pip and bridge install them
    if scheme in ("scripts", "data"):
        refuse_reserved(wheel.filename, member.path, layout.installed(path), is_windows=layout.is_windows)
    if scheme == "scripts":
        script = _script(archive, member, layout)
        if script is not None:
            return _made(path, script, is_executable=True, is_patched=True)
    source = Member(
        path=path,
        size=member.size,
        open=cast("partial[BinaryIO]", partial(archive.open, member.path)),
        is_executable=member.is_executable or scheme == "scripts",
    )
    return File(member=source, sha256=member.sha256)


def _script(archive: Archive, member: _WheelFile, layout: PackageLayout) -> bytes | None:
    """Return a script with the placeholder in its first line; `None` unless that starts with `#!python`.

    What follows (`#!python3.12 -u`) is dropped, as pip and bridge do when they install the wheel.
    """
    with archive.open(member.path) as stream:
        head = stream.read(4096)
        shebang = _SHEBANG.match(head)
        if shebang is None or member.size > _LONGEST_SCRIPT:
            return None
        rest = (head + stream.read())[shebang.end() :]
    name = _interpreter(layout, shebang.group(1).decode())
    return b"#!" + f"{PLACEHOLDER}/{name}".encode() + (shebang.group(2) or b"\n") + rest


def _interpreter(layout: PackageLayout, w: str = "") -> str:
    return f"python{w}.exe" if layout.is_windows else "bin/python"


def _command(command: _Command, layout: PackageLayout) -> bytes:
    """Return the script of an entry point, like pip's. Only the first part of a dotted attribute is imported (C46)."""
    imported = command.attribute.split(".", 1)[0]
    values = {"module": command.module, "imported": imported, "attribute": command.attribute}
    return _COMMAND.format(interpreter=f"{PLACEHOLDER}/{_interpreter(layout)}", **values).encode()


def _made(path: str, data: bytes, *, is_executable: bool = False, is_patched: bool = False) -> File:
    member = Member.of_bytes(path, data, is_executable=is_executable)
    return File(member=member, sha256=hashlib.sha256(data).hexdigest(), is_patched=is_patched)


def _row(layout: PackageLayout, file: File) -> tuple[str, str, str]:
    """Return a record entry, without a hash for a patched file, whose bytes depend on the prefix."""
    path = layout.record_path(file.member.path)
    if file.is_patched:
        return path, "", ""
    digest = base64.urlsafe_b64encode(bytes.fromhex(file.sha256)).rstrip(b"=").decode()
    return path, f"sha256={digest}", str(file.member.size)


def _record(rows: list[tuple[str, str, str]]) -> bytes:
    """Return the sorted RECORD (PEP 376, PEP 427)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(sorted(rows))
    return out.getvalue().encode()


def _licenses(archive: Archive, wheel: Manifest) -> Iterator[tuple[str, bytes]]:
    """Yield copies for info/licenses: the files that METADATA lists, and those that are licences by place or name.

    PEP 639 puts them below `licenses/`, hatchling before 1.12 below `license_files/`, setuptools before 77 beside
    METADATA.
    """
    inside = f"{wheel.dist_info}/"
    listed = {path for paths in _listed_licenses(wheel).values() for path in paths}
    licenses: dict[str, str] = {}
    for member in sorted(wheel.members, key=lambda member: member.path):
        rest = member.path.removeprefix(inside)
        is_license = member.path in listed or (rest != member.path and _LICENSE.match(rest))
        if is_license and member.size <= _LONGEST_SCRIPT:
            name = rest.removeprefix("licenses/").removeprefix("license_files/")
            licenses.setdefault(name if name not in licenses else rest, member.path)
    for name, path in sorted(licenses.items()):
        yield name, archive.read(path)


def _listed_licenses(wheel: Manifest) -> dict[str, list[str]]:
    """Return the License-File fields, each with the members that it can mean."""
    members = {member.path for member in wheel.members}
    roots = tuple(f"{wheel.dist_info}/{folder}" for folder in ("licenses/", "license_files/", ""))
    return {
        field: [
            path
            for root in roots
            for path in dict.fromkeys((root + field, root + field.rpartition("/")[2]))
            if path in members
        ]
        for field in wheel.metadata.license_files
    }
