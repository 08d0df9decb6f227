"""Find what entry points and `.pth` lines import and python does not find. Reads only; imports nothing.

Modules are looked for as python's path finder does, in the directories of `sys.path`. What only running code can tell
(a package that changes its path, a finder of an editable distribution) counts as found.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bridge.audit.look.inspection import PathFile, UnmetImport
from bridge.model import Distribution
from bridge.prefix.entries import Entries
from converters.deferred import regex

__all__ = ["SearchPath", "installs_finder", "unmet_imports"]

_PROGRAMS = ("console_scripts", "gui_scripts")
_VALUE = regex(r"([A-Za-z_][\w.]*)\s*(?::\s*([A-Za-z_]\w*)[\w.]*\s*)?(\[.*\])?\s*\Z")  # module, name, extras
_LOADED = regex(r"(?:__import__|\bimport_module)\(['\"]([\w.]+)['\"]")
_SUFFIXES = (".py", ".pyc", ".so", ".pyd")
_FINDER = regex(r"editable|finder|loader|hook", re.IGNORECASE)
_DYNAMIC = regex(rb"__path__|sys\.modules|__getattr__|import_module|lazy", re.IGNORECASE)
_ANY_NAME = regex(rb"import\s+\*|__getattr__|globals\(\)|setattr\(|exec\(|sys\.modules")
_MAX_TEXT = 4 << 20
_OF_OLD_PYTHONS = {
    *("asynchat", "asyncore", "distutils", "imp", "smtpd", "aifc", "audioop", "cgi", "cgitb", "chunk", "crypt"),
    *("imghdr", "lib2to3", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau"),
    *("telnetlib", "uu", "xdrlib"),
}
_STANDARD = sys.stdlib_module_names | _OF_OLD_PYTHONS  # of any version, so that none is missed


class SearchPath:
    """The directories of `sys.path`, and what is in them."""

    def __init__(self, directories: Iterable[str], *, is_complete: bool = True) -> None:
        """:param is_complete: whether python finds modules nowhere else."""
        self._directories = tuple(dict.fromkeys(directories))
        self._is_complete = is_complete and not any(os.path.isfile(each) for each in self._directories)
        self._names: dict[str, frozenset[str]] = {}

    def missing(self, module: str, name: str = "") -> str:
        """What python does not find of a module and a name in it, in words; empty: everything may be there.

        Raises nothing: what cannot be read may be there.
        """
        top, *below = module.split(".")
        if top in _STANDARD or top in sys.builtin_module_names:
            return ""
        places = self._found(self._directories, top)
        if not places:
            return f"the module {top}" if self._is_complete else ""
        for depth, part in enumerate(below, 1):
            if any(not os.path.isdir(each) for each in places):
                return ""  # A module can replace itself by a package.
            inside = self._found(places, part)
            if not inside:
                return "" if any(map(_is_dynamic, places)) else f"the module {'.'.join([top, *below[:depth]])}"
            places = inside
        return f"the name {name} in {module}" if name and not self._may_define(places, name) else ""

    def _found(self, directories: Sequence[str], name: str) -> list[str]:
        """The module or package of this name; of a namespace package, each part."""
        parts = []
        for directory in directories:
            names = self._listed(directory)
            path = f"{directory}/{name}"
            is_directory = name in names and os.path.isdir(path)
            if is_directory and any(each.startswith("__init__.") for each in self._listed(path)):
                return [path]
            files = sorted(each for each in names if each.startswith(f"{name}.") and each.endswith(_SUFFIXES))
            if files:
                return [f"{directory}/{files[0]}"]
            parts += [path] if is_directory else []
        return parts

    def _listed(self, directory: str) -> frozenset[str]:
        names = self._names.get(directory)
        if names is None:
            try:
                names = frozenset(os.listdir(directory))
            except OSError:
                names = frozenset()
            self._names[directory] = names
        return names

    def _may_define(self, places: Sequence[str], name: str) -> bool:
        path = f"{places[0]}/__init__.py" if os.path.isdir(places[0]) else places[0]
        text = _read(path) if path.endswith(".py") else b""
        return not text or name.encode() in text or bool(_ANY_NAME.search(text))


def installs_finder(lines: Iterable[str], path: SearchPath) -> bool:
    """Whether a line of a `.pth` file starts code that finds further modules, and is there."""
    return any(_FINDER.search(line) and not any(map(path.missing, _imported(line))) for line in lines)


def unmet_imports(
    prefix: Path, site: str, distributions: Iterable[Distribution], path_files: Mapping[str, PathFile], path: SearchPath
) -> Iterator[UnmetImport]:
    """What does not find its module, of the distributions and `.pth` files of one site directory.

    :param site: prefix-relative; other directories are not searched.
    """
    own = {
        each: file
        for each, file in path_files.items()
        if each.rpartition("/")[0] == site and each.endswith((".pth", ".start"))
    }
    for file, path_file in own.items():
        for line in path_file.code:
            for module in _imported(line):
                if missing := path.missing(module):
                    yield UnmetImport(path=file, statement=line, missing=missing, module=module)
                    break
    hooks = {file for file, path_file in own.items() if any(map(_FINDER.search, path_file.code))}
    for distribution in distributions:
        if distribution.path.rpartition("/")[0] != site:
            continue
        if hooks and not hooks.isdisjoint(Entries.of(distribution.entries or ()).paths):
            continue  # Its finder decides what is imported.
        yield from _of_distribution(prefix, distribution, path)


def _of_distribution(prefix: Path, distribution: Distribution, path: SearchPath) -> Iterator[UnmetImport]:
    name = "EGG-INFO/entry_points.txt" if distribution.path.endswith(".egg") else "entry_points.txt"
    file = f"{distribution.path}/{name}"
    for group, statement, module, attribute in _points(_read(f"{prefix}/{file}").decode("utf-8", "replace")):
        is_program = group in _PROGRAMS
        if missing := path.missing(module, attribute if is_program else ""):
            yield UnmetImport(
                path=file,
                statement=statement if is_program else f"{statement} of {group}",
                missing=missing,
                module=module,
                distribution=distribution.path,
                is_program=is_program,
            )


def _points(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Group, statement, module and name of each entry point; those that need an extra may be unmet."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
            continue
        name, separator, value = line.partition("=")
        match = _VALUE.match(value.strip())
        if group and separator and match and not match[3] and not line.startswith(("#", ";")):
            yield group, f"{name.strip()} = {value.strip()}", match[1].strip("."), match[2] or ""


def _imported(line: str) -> list[str]:
    """The modules that a line of a `.pth` file imports, unless other code decides that."""
    try:
        statements = ast.parse(line).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    modules = [alias.name for each in statements if isinstance(each, ast.Import) for alias in each.names]
    modules += [each.module for each in statements if isinstance(each, ast.ImportFrom) and each.module]
    return [*modules, *_LOADED.findall(line)]


def _is_dynamic(package: str) -> bool:
    """Whether a package may have modules that are not below it."""
    return _DYNAMIC.search(_read(f"{package}/__init__.py")) is not None


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as stream:
            return stream.read(_MAX_TEXT)
    except (OSError, ValueError):
        return b""
