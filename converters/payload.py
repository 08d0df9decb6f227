"""The files of a converted package: every member of the wheel in its place, and the records that speak of them.

Kept byte for byte: all modules, data and METADATA. Made anew: RECORD (what it said was true of the wheel, not of what
is installed), INSTALLER, commands of entry points in a pinned package, and the first line of scripts that say
`#!python`. INSTALLER says `conda`, as in every conda package: conda, whichever client, owns and removes these
files; what bridge installs itself from a wheel says so there. REQUESTED is kept where the wheel has one: who asked is
not known here.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, BinaryIO, Protocol, cast

from converters.errors import UnsafeInputError
from converters.layout import PackageLayout, is_cache, refuse_reserved, scheme_of
from converters.native import NativeFile
from converters.package import Member
from converters.wheel import CoreMetadata

__all__ = ["PLACEHOLDER", "Archive", "File", "Manifest", "Payload", "arrange"]

PLACEHOLDER = "/opt/bridge_prefix_placeholder"
"""Stands for the prefix in the first line of scripts; an installer puts the real one there (paths.json, `text`)."""

_SHEBANG = re.compile(rb"#!python(w?)(?:[ \t][^\r\n]{0,500})?(\r?\n|\Z)")
_LONGEST_SCRIPT = 1 << 24  # bytes; only a script with such a first line is read whole
_STALE = ("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "direct_url.json")  # true of the wheel, or of elsewhere
_LICENSE = re.compile(r"(licenses/.+|(licen[cs]e|copying|notice|authors)[^/]*)\Z", re.IGNORECASE)

_COMMAND = """\
#!{placeholder}/bin/python
import re
import sys

from {module} import {imported}

if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw?|\\.exe)?$", "", sys.argv[0])
    sys.exit({attribute}())
"""


class Archive(Protocol):
    """An open wheel, which gives members by name, as `zipfile.ZipFile` does."""

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
    """What is known of a wheel that was judged: its files with their hashes, and what its documents say."""

    @property
    def filename(self) -> str: ...
    @property
    def members(self) -> Sequence[_WheelFile]: ...
    @property
    def dist_info(self) -> str: ...
    @property
    def data_dir(self) -> str | None: ...
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
    """One file of the package. `is_patched`: it holds the placeholder, so its bytes are others once installed."""

    member: Member
    sha256: str
    is_patched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """All files, sorted by path. `licenses`: path below info/licenses → content. `sboms`: paths (PEP 770)."""

    files: tuple[File, ...]
    licenses: tuple[tuple[str, bytes], ...]
    sboms: tuple[str, ...]
    dropped: tuple[str, ...]


def arrange(archive: Archive, wheel: Manifest, layout: PackageLayout) -> Payload:
    """Place every file of the wheel, and make what is to be made.

    Raises `UnsafeInputError`: `reserved-path` for what would lie on others' files, `path-collision` for two files in
    one place.
    """
    taken: dict[str, File] = {}  # by the path where it will lie once installed
    dropped = []
    for member in wheel.members:
        if _is_stale(member.path, wheel) or is_cache(member.path):
            dropped.append(member.path)
        else:
            _take(taken, _place(archive, member, wheel, layout), layout, wheel)
    rows = [_row(layout, file) for file in taken.values()]
    commands = []
    for command in wheel.entry_points:
        path = f"{layout.scripts}/{command.name}"
        source = f"{wheel.dist_info}/entry_points.txt"
        refuse_reserved(wheel.filename, source, layout.installed(path), is_windows=layout.is_windows)
        commands.append(_made(path, _command(command), is_executable=True, is_patched=True))
        rows += [(name, "", "") for name in _commands_of(layout, command)]
    info = f"{layout.site_packages}/{wheel.dist_info}"
    installer = _made(f"{info}/INSTALLER", b"conda\n")
    rows += [_row(layout, installer), (f"{wheel.dist_info}/RECORD", "", "")]
    for made in (installer, _made(f"{info}/RECORD", _record(rows)), *commands):
        _take(taken, made, layout, wheel)
    _refuse_file_as_folder(taken, wheel)
    # Commands of a portable package are made by the installer; here their places were only taken.
    left_out = set(map(_path, commands)) if layout.is_portable else set()
    files = [file for file in taken.values() if _path(file) not in left_out]
    return Payload(
        files=tuple(sorted(files, key=_path)),
        licenses=tuple(_licenses(archive, wheel)),
        sboms=tuple(sorted(m.path for m in wheel.members if m.path.startswith(f"{wheel.dist_info}/sboms/"))),
        dropped=tuple(dropped),
    )


def _path(file: File) -> str:
    return file.member.path


def _is_stale(path: str, wheel: Manifest) -> bool:
    folder, _, name = path.rpartition("/")
    return folder == wheel.dist_info and name in _STALE


def _take(taken: dict[str, File], file: File, layout: PackageLayout, wheel: Manifest) -> None:
    place = layout.installed(file.member.path)
    if place in taken:
        raise UnsafeInputError("path-collision", f"{wheel.filename} would install two files as {place}")
    taken[place] = file


def _refuse_file_as_folder(taken: dict[str, File], wheel: Manifest) -> None:
    """Two schemes may name one path as a file and as a folder (`scripts/x`, `data/bin/x/y`)."""
    folders: set[str] = set()
    for path in taken:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for path in sorted(folders & taken.keys()):
        raise UnsafeInputError("path-collision", f"{wheel.filename} would make {path} both a file and a folder")


def _place(archive: Archive, member: _WheelFile, wheel: Manifest, layout: PackageLayout) -> File:
    """A member of the wheel as a file of the package: streamed, unless its first line is to be rewritten."""
    scheme, rest = scheme_of(member.path, wheel.data_dir)
    project = wheel.dist_info.removesuffix(".dist-info").rpartition("-")[0]
    path = layout.path(scheme, rest, project)
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
    """A script with the placeholder in its first line; `None` where that names neither `#!python` nor `#!pythonw`.

    Arguments after it (`#!python -u`) are dropped, as pip and bridge drop them where they install the wheel.
    """
    with archive.open(member.path) as stream:
        head = stream.read(1024)
        found = _SHEBANG.match(head)
        if found is None or member.size > _LONGEST_SCRIPT:
            return None
        rest = (head + stream.read())[found.end() :]
    name = f"python{found.group(1).decode()}.exe" if layout.is_windows else "bin/python"
    return b"#!" + f"{PLACEHOLDER}/{name}".encode() + (found.group(2) or b"\n") + rest


def _command(command: _Command) -> bytes:
    """The script of an entry point, as pip makes it. A dotted attribute is imported by its first part (C46)."""
    imported = command.attribute.split(".", 1)[0]
    text = _COMMAND.format(
        placeholder=PLACEHOLDER, module=command.module, imported=imported, attribute=command.attribute
    )
    return text.encode()


def _commands_of(layout: PackageLayout, command: _Command) -> Iterator[str]:
    """The files that an entry point becomes, as RECORD has them."""
    path = layout.record_path(f"{layout.scripts}/{command.name}")
    if layout.is_windows:
        yield f"{path}-script.py"
        yield f"{path}.exe"
    else:
        yield path


def _made(path: str, data: bytes, *, is_executable: bool = False, is_patched: bool = False) -> File:
    member = Member.of_bytes(path, data, is_executable=is_executable)
    return File(member=member, sha256=hashlib.sha256(data).hexdigest(), is_patched=is_patched)


def _row(layout: PackageLayout, file: File) -> tuple[str, str, str]:
    """A record entry. What is patched at installation has no hash: none could be right for every prefix."""
    path = layout.record_path(file.member.path)
    if file.is_patched:
        return path, "", ""
    digest = base64.urlsafe_b64encode(bytes.fromhex(file.sha256)).rstrip(b"=").decode()
    return path, f"sha256={digest}", str(file.member.size)


def _record(rows: list[tuple[str, str, str]]) -> bytes:
    """RECORD, sorted; of the data directory's names nothing is left (PEP 376, PEP 427)."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(sorted(rows))
    return out.getvalue().encode()


def _licenses(archive: Archive, wheel: Manifest) -> Iterator[tuple[str, bytes]]:
    """Copies for info/licenses: PEP 639's folder, or the files named like licences beside METADATA."""
    for member in sorted(wheel.members, key=lambda member: member.path):
        rest = member.path.removeprefix(f"{wheel.dist_info}/")
        if rest != member.path and _LICENSE.match(rest) and member.size <= _LONGEST_SCRIPT:
            yield rest.removeprefix("licenses/"), archive.read(member.path)
