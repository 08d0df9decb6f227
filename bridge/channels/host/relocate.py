"""Making the parts of an interpreter forget where they lay.

* Executables and libraries: search paths that lead into the installation become relative to the file (`$ORIGIN`), in
  place; libraries of the installation's own that are found so come along. PREFIX may stay compiled in: CPython finds
  its home by the landmark beside its binary (`Modules/getpath.py`, in 3.10 `getpath.c`).
* Texts: each path of the installation gets a prefix placeholder. Where python shares its prefix with other software
  (`/usr`), only paths that the package has are paths of the installation: `/usr/bin/install` stays what it is.
* Debian's own changes to the standard library are undone.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bridge.channels.host import debian, macho
from bridge.channels.host.contents import SHARED, PackagePath
from bridge.channels.host.elf import Elf, Text, inspect
from bridge.channels.host.layout import Interpreter, not_packable

__all__ = ["PLACEHOLDER", "PrefixRewriter", "is_generated", "relocate"]

PLACEHOLDER = "/prefix-of-the-host-channel"
_ROOTS = frozenset({"", "bin", "lib", "include", "share", "share/man"})
_CONFIGURED_PREFIX = re.compile(rb"""^\s*\{?\s*['"]prefix['"]:\s*['"]([^'"]+)['"]""", re.MULTILINE)


def relocate(layout: Interpreter, parts: Iterable[PackagePath]) -> tuple[tuple[PackagePath, ...], tuple[int, int]]:
    """The parts as they are to be packed, sorted by path, and the newest glibc they need (`(0, 0)`: none).

    Everything but executables and libraries is held in memory from here on (about 25 MB). Raises `UsageError`
    (`host-layout`) where a path into the installation cannot be written over, `OSError` where a file cannot be read.
    """
    parts = tuple(parts)
    natives = _Binaries(layout, parts)
    rest = [part for part in parts if not _may_be_native(part)]
    found = _frozen(layout, natives.relocated())
    known = {part.path for part in (*found, *rest)}
    read = [part if part.source is None else replace(part, data=part.source.read_bytes()) for part in rest]
    spelling = PrefixRewriter(layout, known, _configured(read))
    texts = [_text(layout, spelling, part) for part in read]
    return tuple(sorted((*found, *texts), key=lambda part: part.path)), natives.glibc


def is_generated(path: str) -> bool:
    """Whether a file is written by python's own installation and holds its paths."""
    folder, _, name = path.rpartition("/")
    if name.startswith(("_sysconfigdata_", "_sysconfig_vars_")) or name == "build-details.json":
        return True
    if posixpath.basename(folder).startswith("config-"):
        return name in ("Makefile", "python-config.py")
    return folder == "lib/pkgconfig" or (folder == "bin" and name.endswith("-config"))


def _may_be_native(part: PackagePath) -> bool:
    if part.source is None or part.link is not None:
        return False
    name = posixpath.basename(part.path)
    return ".so" in name or name.endswith(".dylib") or (part.path.startswith("bin/") and not name.endswith("-config"))


def _frozen(layout: Interpreter, parts: list[PackagePath]) -> list[PackagePath]:
    """Debian's changes undone where they are compiled in."""
    if layout.minor < debian.FROZEN_SINCE or not debian.is_changed((layout.stdlib / "site.py").read_bytes()):
        return parts
    hosts = {part.path: debian.undo_frozen(_source(part).read_bytes()) for part in parts if _is_interpreter(part)}
    if not any(hosts.values()):
        raise not_packable("its site module is Debian's, and the copy frozen into the binary was not found")
    return [replace(part, patches=(*part.patches, *hosts.get(part.path, ()))) for part in parts]


def _is_interpreter(part: PackagePath) -> bool:
    return part.path.startswith(("bin/", "lib/libpython"))


def _configured(parts: Sequence[PackagePath]) -> str | None:
    """The prefix that python was configured with, which its texts may still name (`/install`)."""
    for part in parts:
        is_configuration = posixpath.basename(part.path).startswith("_sysconfigdata_")
        if is_configuration and (match := _CONFIGURED_PREFIX.search(part.data or b"")):
            return match[1].decode("utf-8", "surrogateescape")
    return None


def _text(layout: Interpreter, spelling: PrefixRewriter, part: PackagePath) -> PackagePath:
    data = part.data
    if data is None:
        return part
    module = part.path.removeprefix(f"lib/{layout.name}/")
    if module in debian.CHANGED:
        data = debian.undo(module, data)
    if is_generated(part.path) or (not spelling.is_shared and b"\0" not in data):
        written = spelling.rewrite(data)
        if written != data:
            return replace(part, data=written, placeholder=PLACEHOLDER)
    return replace(part, data=data)


class PrefixRewriter:
    """How the installation's prefix is spelled in its texts, and which of the paths below it are the package's."""

    def __init__(self, layout: Interpreter, known: Iterable[str], configured: str | None) -> None:
        """:param known: the package's paths. :param configured: the prefix of `configure`, where it is another one."""
        spelled = {str(layout.prefix), os.path.realpath(layout.prefix)}
        self.is_shared = bool(SHARED & spelled)
        self._known = set(known) | _ROOTS
        for path in known:
            self._known.update(str(folder) for folder in PurePosixPath(path).parents if str(folder) != ".")
        spelled |= {configured} if configured and configured.startswith("/") else set()
        self._multiarch = f"/{layout.multiarch}/" if layout.multiarch and self.is_shared else None
        self._spelled = [os.fsencode(name) for name in sorted(spelled, key=len, reverse=True)]
        names = b"|".join(map(re.escape, self._spelled))
        # A path begins where no path can go on, or after an option's letter (-L/usr/lib), and goes as far as it can.
        begins = rb"(?:(?<![\w.\-/+])|(?<=[^\w.\-/+]\.)|(?<=\W-[LIRF])|(?<=^-[LIRF]))"
        self._path = re.compile(begins + rb"(?:" + names + rb")((?:/[\w.+\-/]*)?)(?![\w.\-+])")

    def rewrite(self, text: bytes) -> bytes:
        """`text` with the placeholder instead of the prefix."""
        if not any(name in text for name in self._spelled):
            return text
        return self._path.sub(self._replaced, text)

    def _replaced(self, match: re.Match[bytes]) -> bytes:
        rest = match[1].decode("utf-8", "surrogateescape")
        if self._multiarch:  # Debian's LIBDIR: in the package it is lib
            rest = f"{rest}/".replace(self._multiarch, "/").rstrip("/")
        if self.is_shared and posixpath.normpath(rest or "/").strip("/") not in self._known:
            return match[0]
        return os.fsencode(PLACEHOLDER + rest)


class _Binaries:
    """Executables and libraries. `glibc` is the newest version that any of them needs."""

    def __init__(self, layout: Interpreter, parts: Iterable[PackagePath]) -> None:
        self._layout = layout
        self._parts = [part for part in parts if _may_be_native(part)]
        self._known = {part.path for part in parts}
        self._prefix = os.path.realpath(layout.prefix)
        # Below /usr every search path is the system's, but for the folder of libpython.
        self._is_own = self._prefix not in ("/", "/usr")
        self._library_folders = {os.path.realpath(path.parent) for path in layout.libraries}
        self.glibc = (0, 0)

    def relocated(self) -> list[PackagePath]:
        """The parts with their patches; and, behind them, libraries of the installation that they need."""
        found = []
        for part in self._parts:  # grows while it is walked
            elf = self._inspect(part)
            if elf is None:
                found.append(part)
                continue
            self.glibc = max(self.glibc, elf.glibc)
            for library in self._companions(part, elf):
                self._known.add(library.path)
                self._parts.append(library)
            found.append(replace(part, patches=tuple(self._patches(part, elf))))
            if part.path == f"bin/{self._layout.name}":
                self._refuse_unless_complete(part, elf)
        return found

    def _inspect(self, part: PackagePath) -> Elf | None:
        source = _source(part)
        if self._layout.subdir.startswith("osx-"):
            if paths := macho.paths_below(source, {self._prefix, str(self._layout.prefix)}):
                raise not_packable("its binaries name its own libraries by absolute paths", context=sorted(paths))
            return None
        try:
            return inspect(source)
        except ValueError as error:
            raise not_packable("one of its binaries cannot be read", context=(str(error),)) from error

    def _patches(self, part: PackagePath, elf: Elf) -> Iterator[tuple[int, bytes]]:
        for text in elf.search:
            entries = [self._relative(part, entry) for entry in text.value.split(":")]
            yield from self._patch(part, text, ":".join(dict.fromkeys(entries)))
        for text in elf.needed:
            if "/" in text.value:
                folder, name = posixpath.split(text.value)
                yield from self._patch(part, text, f"{self._relative(part, folder)}/{name}")

    def _patch(self, part: PackagePath, text: Text, written: str) -> Iterator[tuple[int, bytes]]:
        if written == text.value:
            return
        old, new = text.value.encode(), written.encode()
        if text.is_shared or len(new) > len(old):
            raise not_packable(
                "a library search path that leads into the installation cannot be made relative in place",
                context=(f"file: {part.source}", f"search path: {text.value}", f"needed instead: {written}"),
            )
        yield text.offset, new.ljust(len(old), b"\0")

    def _relative(self, part: PackagePath, entry: str) -> str:
        """A search path's entry as it is to be in the package: relative to the file where it is the package's."""
        folder = self._folder(part, entry)
        place = None if folder is None else self._place(folder)
        if place is None:
            return entry
        steps = posixpath.relpath(place, posixpath.dirname(part.path))
        written = "$ORIGIN" if steps == "." else f"$ORIGIN/{steps}"
        same = entry.startswith(("$ORIGIN", "${ORIGIN}")) and posixpath.normpath(
            entry.replace("${ORIGIN}", "$ORIGIN")
        ) == posixpath.normpath(written)
        return entry if same else written

    @staticmethod
    def _folder(part: PackagePath, entry: str) -> str | None:
        """The real folder that an entry means, where it is an absolute one."""
        origin = posixpath.dirname(str(_source(part)))
        path = entry.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
        return os.path.realpath(path) if path.startswith("/") else None

    def _place(self, folder: str) -> str | None:
        """The folder of the package that stands for a real folder of the installation; `None`: the system's."""
        if folder in self._library_folders:
            return "lib"
        if self._is_own and (folder + "/").startswith(self._prefix + "/"):
            return posixpath.relpath(folder, self._prefix)
        return None

    def _companions(self, part: PackagePath, elf: Elf) -> Iterator[PackagePath]:
        for text in elf.needed:
            folder, name = posixpath.split(text.value)
            entries = [folder] if folder else [entry for value in elf.search for entry in value.value.split(":")]
            for entry in entries:
                real = self._folder(part, entry)
                place = None if real is None else self._place(real)
                if real is None or place is None or not os.path.isfile(posixpath.join(real, name)):
                    continue
                path = posixpath.normpath(f"{place}/{name}")
                if path not in self._known:
                    source = Path(os.path.realpath(posixpath.join(real, name)))
                    yield PackagePath(path=path, source=source, is_executable=True)
                break

    def _refuse_unless_complete(self, part: PackagePath, elf: Elf) -> None:
        if "musl" in elf.loader:
            raise not_packable(
                "it is built for musl, for which conda has no platform", context=(f"loader: {elf.loader}",)
            )
        for text in elf.needed:
            folder, name = posixpath.split(text.value)
            entries = [folder] if folder else [entry for value in elf.search for entry in value.value.split(":")]
            if name.startswith("libpython") and not any(
                (real := self._folder(part, entry)) and self._place(real) == "lib" for entry in entries
            ):
                raise not_packable(
                    "the system's loader decides where its library is found, so a copy would keep using the original's",
                    context=(f"{part.source} needs {name} and has no search path to it",),
                )


def _source(part: PackagePath) -> Path:
    if part.source is None:
        raise ValueError(f"{part.path} has no source")
    return part.source
