"""Remove the installation's location from the parts of an interpreter.

* Executables and libraries: search paths into the installation become relative (`$ORIGIN`), in place, and the
  installation's own libraries found so are packed too. PREFIX may stay compiled in: CPython finds its home by the
  landmark beside its binary (`Modules/getpath.py`, in 3.10 `getpath.c`).
* Texts: paths of the installation get a prefix placeholder. In a shared prefix (`/usr`) only packed paths do:
  `/usr/bin/install` stays.
* Debian's changes to the standard library are undone.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from bridge.channels.host import debian, macho
from bridge.channels.host.contents import SHARED, PackagePath
from bridge.channels.host.elf import Elf, Text, inspect
from bridge.channels.host.layout import Interpreter, not_packable
from bridge.paths import parent_directories
from converters.deferred import replace

__all__ = ["PLACEHOLDER", "PrefixRewriter", "Relocation", "is_generated"]

PLACEHOLDER = "/prefix-of-the-host-channel"
_ROOTS = frozenset({"", "bin", "lib", "include", "share", "share/man"})
_CONFIGURED_PREFIX = re.compile(rb"""^\s*\{?\s*['"]prefix['"]:\s*['"]([^'"]+)['"]""", re.MULTILINE)


class Relocation:
    """The relocation of an interpreter's parts; `glibc` is the newest version that they need (`(0, 0)`: none).

    Creating one reads the executables and libraries. Raises `UsageError` (`host-layout`) for a path that cannot be
    overwritten, `OSError`.
    """

    def __init__(self, layout: Interpreter, parts: Iterable[PackagePath]) -> None:
        parts = tuple(parts)
        natives = _Binaries(layout, parts)
        self._layout = layout
        self._rest = [part for part in parts if not _may_be_native(part)]
        self._binaries = _frozen(layout, natives.relocated())
        self.glibc = natives.glibc

    def parts(self) -> Iterator[PackagePath]:
        """The relocated parts, sorted by path; texts have their content. Raises as the class."""
        binaries, rest = {part.path: part for part in self._binaries}, {part.path: part for part in self._rest}
        spelling = PrefixRewriter(self._layout, binaries.keys() | rest.keys(), _configured(self._rest))
        for path in sorted(binaries.keys() | rest.keys()):
            yield binaries[path] if path in binaries else _text(self._layout, spelling, rest[path])


def is_generated(path: str) -> bool:
    """Whether python's own installation writes the file, with paths in it."""
    directory, _, name = path.rpartition("/")
    if name.startswith(("_sysconfigdata_", "_sysconfig_vars_")) or name == "build-details.json":
        return True
    if posixpath.basename(directory).startswith("config-"):
        return name in ("Makefile", "python-config.py")
    return directory == "lib/pkgconfig" or (directory == "bin" and name.endswith("-config"))


def _may_be_native(part: PackagePath) -> bool:
    if part.source is None or part.link is not None:
        return False
    name = posixpath.basename(part.path)
    return ".so" in name or name.endswith(".dylib") or (part.path.startswith("bin/") and not name.endswith("-config"))


def _frozen(layout: Interpreter, parts: list[PackagePath]) -> list[PackagePath]:
    """Undo Debian's changes in frozen modules."""
    if layout.minor < debian.FROZEN_SINCE or not debian.is_changed((layout.stdlib / "site.py").read_bytes()):
        return parts
    patches = {
        part.path: debian.undo_frozen(_source(part).read_bytes())
        for part in parts
        if part.path.startswith(("bin/", "lib/libpython"))
    }
    if not any(patches.values()):
        raise not_packable("its site module is Debian's, and the copy frozen into the binary was not found")
    return [replace(part, patches=(*part.patches, *patches.get(part.path, ()))) for part in parts]


def _configured(parts: Iterable[PackagePath]) -> str | None:
    """The prefix given to `configure`, which texts may still name (`/install`)."""
    for part in parts:
        if posixpath.basename(part.path).startswith("_sysconfigdata_") and part.source is not None:
            match = _CONFIGURED_PREFIX.search(part.source.read_bytes())
            if match:
                return match[1].decode("utf-8", "surrogateescape")
    return None


def _text(layout: Interpreter, spelling: PrefixRewriter, part: PackagePath) -> PackagePath:
    if part.source is None:
        return part
    data = part.source.read_bytes()
    module = part.path.removeprefix(f"lib/{layout.name}/")
    if module in debian.CHANGED:
        data = debian.undo(module, data)
    written = data
    if is_generated(part.path) or (not spelling.is_shared and b"\0" not in data):
        written = spelling.rewrite(data)
    return replace(part, data=written, placeholder=PLACEHOLDER if written != data else None)


class PrefixRewriter:
    """Replaces the spellings of the installation's prefix by the placeholder."""

    def __init__(self, layout: Interpreter, known: Collection[str], configured: str | None) -> None:
        """:param known: the package's paths; :param configured: the prefix given to `configure`, if known."""
        spelled = {str(layout.prefix), os.path.realpath(layout.prefix)}
        self.is_shared = bool(SHARED & spelled)
        self._known = {*known, *_ROOTS, *parent_directories(known)}
        spelled |= {configured} if configured and configured.startswith("/") else set()
        self._multiarch = f"/{layout.multiarch}/" if layout.multiarch and self.is_shared else None
        self._spelled = [os.fsencode(name) for name in sorted(spelled, key=len, reverse=True)]
        names = b"|".join(map(re.escape, self._spelled))
        # A path starts where none can continue, or after an option's letter (-L/usr/lib), and is matched greedily.
        begins = rb"(?:(?<![\w.\-/+])|(?<=[^\w.\-/+]\.)|(?<=\W-[LIRF])|(?<=^-[LIRF]))"
        self._path = re.compile(begins + rb"(?:" + names + rb")((?:/[\w.+\-/]*)?)(?![\w.\-+])")

    def rewrite(self, text: bytes) -> bytes:
        """Return `text` with the placeholder instead of the prefix."""
        if not any(name in text for name in self._spelled):
            return text
        return self._path.sub(self._replaced, text)

    def _replaced(self, match: re.Match[bytes]) -> bytes:
        rest = match[1].decode("utf-8", "surrogateescape")
        if self._multiarch:  # Debian's LIBDIR is `lib` in the package
            rest = f"{rest}/".replace(self._multiarch, "/").rstrip("/")
        if self.is_shared and posixpath.normpath(rest or "/").strip("/") not in self._known:
            return match[0]
        return os.fsencode(PLACEHOLDER + rest)


class _Binaries:
    """Executables and libraries; `glibc` is the newest version that any of them needs."""

    def __init__(self, layout: Interpreter, parts: Iterable[PackagePath]) -> None:
        self._layout = layout
        self._parts = [part for part in parts if _may_be_native(part)]
        self._known = {part.path for part in parts}
        self._prefix = os.path.realpath(layout.prefix)
        # Below /usr every search path except libpython's directory is the system's.
        self._is_own = self._prefix not in ("/", "/usr")
        self._library_directories = {os.path.realpath(path.parent) for path in layout.libraries}
        self.glibc = (0, 0)

    def relocated(self) -> list[PackagePath]:
        """The parts with their patches, then the installation's libraries that they need."""
        patched = []
        for part in self._parts:  # grows during the loop
            elf = self._inspect(part)
            if elf is None:
                patched.append(part)
                continue
            self.glibc = max(self.glibc, elf.glibc)
            for library in self._companions(part, elf):
                self._known.add(library.path)
                self._parts.append(library)
            patched.append(replace(part, patches=tuple(self._patches(part, elf))))
            if part.path == f"bin/{self._layout.name}":
                self._refuse_unless_complete(part, elf)
        return patched

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
                directory, name = posixpath.split(text.value)
                yield from self._patch(part, text, f"{self._relative(part, directory)}/{name}")

    def _patch(self, part: PackagePath, text: Text, written: str) -> Iterator[tuple[int, bytes]]:
        if written == text.value:
            return
        old, new = text.value.encode(), written.encode()
        if text.is_shared or len(new) > len(old):
            raise not_packable(
                "a library search path into the installation cannot be made relative in place",
                context=(f"file: {part.source}", f"search path: {text.value}", f"needed instead: {written}"),
            )
        yield text.offset, new.ljust(len(old), b"\0")

    def _relative(self, part: PackagePath, entry: str) -> str:
        """Return a search path's entry for the package: relative to the file if it is in the installation."""
        directory = self._directory(part, entry)
        place = None if directory is None else self._place(directory)
        if place is None:
            return entry
        steps = posixpath.relpath(place, posixpath.dirname(part.path))
        written = "$ORIGIN" if steps == "." else f"$ORIGIN/{steps}"
        same = entry.startswith(("$ORIGIN", "${ORIGIN}")) and posixpath.normpath(
            entry.replace("${ORIGIN}", "$ORIGIN")
        ) == posixpath.normpath(written)
        return entry if same else written

    @staticmethod
    def _directory(part: PackagePath, entry: str) -> str | None:
        """The real directory of an entry, if it is absolute."""
        origin = posixpath.dirname(str(_source(part)))
        path = entry.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
        return os.path.realpath(path) if path.startswith("/") else None

    def _place(self, directory: str) -> str | None:
        """The package's directory for one of the installation; `None` for a system directory."""
        if directory in self._library_directories:
            return "lib"
        if self._is_own and (directory + "/").startswith(self._prefix + "/"):
            return posixpath.relpath(directory, self._prefix)
        return None

    def _companions(self, part: PackagePath, elf: Elf) -> Iterator[PackagePath]:
        for directories, name in _needed(elf):
            for entry in directories:
                real = self._directory(part, entry)
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
        for directories, name in _needed(elf):
            if name.startswith("libpython") and not any(
                (real := self._directory(part, entry)) and self._place(real) == "lib" for entry in directories
            ):
                raise not_packable(
                    "the system's loader decides where its library is, so a copy would use the original one",
                    context=(f"{part.source} needs {name} and has no search path to it",),
                )


def _needed(elf: Elf) -> Iterator[tuple[list[str], str]]:
    """(directories to search, file name) of each needed library."""
    search = [entry for text in elf.search for entry in text.value.split(":")]
    for text in elf.needed:
        directory, name = posixpath.split(text.value)
        yield ([directory] if directory else search), name


def _source(part: PackagePath) -> Path:
    if part.source is None:
        raise ValueError(f"{part.path} has no source")
    return part.source
