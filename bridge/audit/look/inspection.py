"""What files of a prefix contain, and what surrounds the prefix: values only. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from converters.deferred import dataclass

__all__ = [
    "PROGRAMS",
    "Binary",
    "CacheEvidence",
    "Editable",
    "EmbeddedPrefix",
    "Format",
    "Inspection",
    "Kernel",
    "PathFile",
    "Script",
    "Settings",
    "Surroundings",
    "UnmetImport",
    "search_directory",
]

PROGRAMS = ("bin", "Scripts", "condabin")  # directories of programs, prefix-relative

Format = Literal["elf", "macho", "pe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """What the loader reads of an ELF, Mach-O or PE file.

    :param machines: the processors it runs on, in conda's words (`x86_64`, `aarch64`, `arm64`, …); a universal Mach-O
        has several.
    :param needed: the names of the libraries it needs, as written.
    :param search: its search path (DT_RPATH, DT_RUNPATH, LC_RPATH), as written.
    :param glibc: the newest glibc symbol version it needs.
    :param versions: each other library with the symbol versions that it must have; `defines`: those of this one.
    :param numpy: `1`: it uses the C API of numpy 1 only; otherwise the oldest numpy it was built for (`1.22`); `""`: it
        does not use numpy's C API.
    :param problem: why it could not be read.
    """

    format: Format
    machines: tuple[str, ...] = ()
    name: str = ""
    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    glibc: tuple[int, int] = (0, 0)
    versions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    defines: tuple[str, ...] = ()
    numpy: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A file in a directory of programs that begins with `#!`.

    :param interpreter: prefix-relative if it is in the prefix, otherwise as written.
    :param is_inside: whether `interpreter` is prefix-relative.
    """

    interpreter: str
    is_inside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFile:
    """A `.pth` (or `.egg-link`) of a site directory; its lines without blank ones and comments."""

    lines: tuple[str, ...]

    @property
    def code(self) -> tuple[str, ...]:
        """The lines that `site` executes."""
        return tuple(line for line in self.lines if line.startswith(("import ", "import\t")))

    @property
    def directories(self) -> tuple[str, ...]:
        """The lines that `site` adds to `sys.path`."""
        return tuple(line for line in self.lines if not line.startswith(("import ", "import\t")))


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPrefix:
    """A file of a package that contains another prefix, or this one although its record has another's hash.

    :param prefix: absolute.
    :param is_here: whether `prefix` is this environment.
    :param is_recorded: whether the file has the sha256 of its record; otherwise it is the package's file with `prefix`.
    """

    prefix: str
    is_here: bool
    is_recorded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Editable:
    """A distribution that python imports from a working copy, and the paths it imports."""

    distribution: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmetImport:
    """An import that fails.

    :param path: the file that has it: an `entry_points.txt`, or a `.pth`.
    :param statement: the entry point, or the line.
    :param missing: what python does not find.
    :param distribution: whose entry point it is.
    :param is_program: whether a program of the environment fails with it: a script, or every start of python.
    """

    path: str
    statement: str
    missing: str
    module: str
    distribution: str | None = None
    is_program: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What python would import besides the prefix's own packages, and the libraries of the system.

    :param user_site: the user's site directory (PEP 370) that this prefix's python reads; `None`: it reads none.
    :param user_modules: top-level module in `user_site` → its path.
    :param user_projects: normalised project in `user_site` → version.
    :param python_path: each directory of PYTHONPATH, and the top-level modules in it.
    :param libraries: the names of the shared libraries in the loader's directories.
    :param looked_at: the directories that were read or found absent.
    """

    user_site: str | None = None
    user_modules: Mapping[str, str] = field(default_factory=dict)
    user_projects: Mapping[str, str] = field(default_factory=dict)
    python_path: tuple[tuple[str, tuple[str, ...]], ...] = ()
    libraries: frozenset[str] = frozenset()
    looked_at: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel of Jupyter; `shown` is its name for people, `interpreter` is absolute; empty: it has none."""

    name: str
    shown: str
    interpreter: str
    is_there: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of an environment of conda.

    :param pinned: the lines of `conda-meta/pinned` without comments.
    :param problems: file → why a client cannot read it.
    :param certificates: variable → the path in it, the file that sets it (empty: the process has it), and why a client
        finds no certificate there; only those that are wrong.
    :param named: the absolute paths in such variables.
    :param without_locks: why files cannot be locked; empty: they can.
    """

    pinned: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    certificates: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    named: tuple[str, ...] = ()
    without_locks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEvidence:
    """What the caches of installers know about files that are not what their records promise.

    :param owners: sha256 → the packages that have such a file, each as its label and the path in it.
    :param linked: prefix-relative path → a file of a cache that is the same inode.
    """

    owners: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    linked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A package that an environment has different from a lock. `id` is that of a finding, `name` the native name."""

    id: str
    name: str
    evidence: str
    repair: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Everything that was read beyond paths and hashes. Keys are prefix-relative paths unless stated.

    :param real_prefix: the prefix with links resolved; `""`: unknown.
    :param venv: the keys of pyvenv.cfg (PEP 405), lower-case; empty: no virtual environment.
    :param interpreters: a python in a directory of programs → its real path, absolute; `""`: that does not exist.
    :param embedded: the prefix in a file, if it is wrong.
    :param activated: an activation script of a virtual environment → the other environment that it activates.
    :param kernels: kernel.json → the kernel.
    :param outside: absolute path that one of the above names → `file`, `directory`, or `""` if it does not exist.
    :param sources: the directories of `outside` that hold modules, and are no part of another python.
    :param drift: how the environment differs from a lock, if one was given.
    :param stale_bytecode: bytecode that python runs although it was compiled from another source.
    :param imports: what entry points and `.pth` lines import, and python does not find.
    :param yanked: dist-info → the reason for which its version was yanked (PEP 592), if an index was asked.
    :param statuses: dist-info → status (PEP 792) and reason of a project that is not active, if an index was asked.
    :param archives: conda-meta record → bridge's cautions about the package's archive, as `(id, path, detail)`.
    """

    real_prefix: str = ""
    binaries: Mapping[str, Binary] = field(default_factory=dict)
    scripts: Mapping[str, Script] = field(default_factory=dict)
    path_files: Mapping[str, PathFile] = field(default_factory=dict)
    editables: tuple[Editable, ...] = ()
    venv: Mapping[str, str] = field(default_factory=dict)
    interpreters: Mapping[str, str] = field(default_factory=dict)
    embedded: Mapping[str, EmbeddedPrefix] = field(default_factory=dict)
    activated: Mapping[str, str] = field(default_factory=dict)
    kernels: Mapping[str, Kernel] = field(default_factory=dict)
    outside: Mapping[str, str] = field(default_factory=dict)
    sources: frozenset[str] = frozenset()
    surroundings: Surroundings = field(default_factory=Surroundings)
    settings: Settings = field(default_factory=Settings)
    caches: CacheEvidence = field(default_factory=CacheEvidence)
    yanked: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    drift: tuple[Drift, ...] = ()
    stale_bytecode: tuple[str, ...] = ()
    imports: tuple[UnmetImport, ...] = ()
    archives: Mapping[str, tuple[tuple[str, str, str], ...]] = field(default_factory=dict)


def search_directory(prefix: str, path: str, directory: str) -> str:
    """A search path of the binary at `path`, with `$ORIGIN` and `@loader_path` replaced; absolute where possible."""
    here = posixpath.join(prefix, posixpath.dirname(path))
    for word in ("$ORIGIN", "${ORIGIN}", "@loader_path"):
        directory = directory.replace(word, here)
    return posixpath.normpath(directory) if directory.startswith("/") else directory
