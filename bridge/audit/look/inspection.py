"""What was read of a prefix, and of what surrounds it, beyond names and hashes. Values only."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "PROGRAMS",
    "Binary",
    "CacheEvidence",
    "Editable",
    "EmbeddedPrefix",
    "Inspection",
    "PathFile",
    "Script",
    "Surroundings",
    "search_folder",
]

PROGRAMS = ("bin", "Scripts", "condabin")  # the folders of programs, prefix-relative

Format = Literal["elf", "macho", "pe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """An ELF, Mach-O or PE file, as far as the loader and an audit care.

    :param machines: the processors it runs on, in conda's words (`x86_64`, `aarch64`, `arm64`, …); a universal Mach-O
        has several.
    :param needed: the libraries it names, as it names them.
    :param search: where it has them looked for (DT_RPATH, DT_RUNPATH, LC_RPATH), as written.
    :param glibc: the newest version of glibc's symbols that it needs.
    :param numpy: `1`: it knows numpy's C API only where numpy 1 had it; else the oldest numpy it says it runs with
        (`1.22`); `""`: it says nothing of numpy.
    :param problem: why it could not be read as what its first bytes say.
    """

    format: Format
    machines: tuple[str, ...] = ()
    name: str = ""
    needed: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    glibc: tuple[int, int] = (0, 0)
    numpy: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A text in the prefix's folder of programs that begins with `#!`.

    :param interpreter: what runs it: prefix-relative where it lies in the prefix, else as written.
    :param is_inside: whether `interpreter` is prefix-relative.
    """

    interpreter: str
    is_inside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFile:
    """A `.pth` (or `.egg-link`) of a site directory: the lines that count, without blanks and comments."""

    lines: tuple[str, ...]

    @property
    def code(self) -> tuple[str, ...]:
        """The lines that `site` executes."""
        return tuple(line for line in self.lines if line.startswith(("import ", "import\t")))

    @property
    def folders(self) -> tuple[str, ...]:
        """The lines that `site` puts on `sys.path`."""
        return tuple(line for line in self.lines if not line.startswith(("import ", "import\t")))


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPrefix:
    """A file of a package into which another prefix is written, or this one against what the record promises.

    :param prefix: the absolute path that the file holds.
    :param is_here: whether that is this environment.
    :param is_recorded: whether the file has the sha256 of its record; else it is what the package has, with `prefix`.
    """

    prefix: str
    is_here: bool
    is_recorded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Editable:
    """A distribution that is imported from a working copy, and the paths it is imported from."""

    distribution: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What python would import besides the prefix's own packages, and what the system offers to the loader.

    :param user_site: the folder of the user's own packages that this prefix's python would read; `None`: it reads none.
    :param user_modules: top-level module → where it lies in `user_site`.
    :param user_projects: normalised project → version, of the dist-infos in `user_site`.
    :param python_path: each folder of PYTHONPATH, and the top-level modules in it.
    :param libraries: the names of the shared libraries in the loader's own folders.
    :param looked_at: the folders that all this was read from, and those that were looked for.
    """

    user_site: str | None = None
    user_modules: Mapping[str, str] = field(default_factory=dict)
    user_projects: Mapping[str, str] = field(default_factory=dict)
    python_path: tuple[tuple[str, tuple[str, ...]], ...] = ()
    libraries: frozenset[str] = frozenset()
    looked_at: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEvidence:
    """What the caches of installers say of files that are not what their records promise.

    :param owners: sha256 → the packages in whose unpacked copy or archive a file with these bytes lies, each as its
        label and the path there.
    :param linked: prefix-relative path → a file of a cache that is the same inode.
    """

    owners: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    linked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """All of it.

    :param real_prefix: the prefix without links on the way to it; `""`: nobody looked.
    :param binaries: prefix-relative path → the program or library there.
    :param scripts: prefix-relative path → the script there.
    :param path_files: prefix-relative path → the `.pth` or `.egg-link` there.
    :param venv: the keys of pyvenv.cfg (PEP 405), lower-case; empty where there is none.
    :param interpreters: prefix-relative path of a python in the folder of programs → the file it leads to, absolute;
        `""`: it leads nowhere.
    :param yanked: dist-info → the reason for which an index took the version back (PEP 592), where one was asked.
    :param archives: conda-meta record → what bridge remarked of the package's archive, as `(id, path, detail)`.
    :param embedded: prefix-relative path → the prefix in it, where that is not what it should be.
    :param outside: absolute path that something above names → what is there: `file`, `directory`, or `""` for nothing.
    """

    real_prefix: str = ""
    binaries: Mapping[str, Binary] = field(default_factory=dict)
    scripts: Mapping[str, Script] = field(default_factory=dict)
    path_files: Mapping[str, PathFile] = field(default_factory=dict)
    editables: tuple[Editable, ...] = ()
    venv: Mapping[str, str] = field(default_factory=dict)
    interpreters: Mapping[str, str] = field(default_factory=dict)
    embedded: Mapping[str, EmbeddedPrefix] = field(default_factory=dict)
    outside: Mapping[str, str] = field(default_factory=dict)
    surroundings: Surroundings = field(default_factory=Surroundings)
    caches: CacheEvidence = field(default_factory=CacheEvidence)
    yanked: Mapping[str, str] = field(default_factory=dict)
    archives: Mapping[str, tuple[tuple[str, str, str], ...]] = field(default_factory=dict)


def search_folder(prefix: str, path: str, folder: str) -> str:
    """A search path of the binary at `path`, with `$ORIGIN` or `@loader_path` put in: absolute, unless it cannot be."""
    here = posixpath.join(prefix, posixpath.dirname(path))
    for word in ("$ORIGIN", "${ORIGIN}", "@loader_path"):
        folder = folder.replace(word, here)
    return posixpath.normpath(folder) if folder.startswith("/") else folder
