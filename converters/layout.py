"""The path of each wheel file in a conda package, and once installed (PEP 427, CEP 20, CEP 34).

There are two layouts. A *portable* package (`noarch: python`, in any subdir) has modules in `site-packages/` and
scripts in `python-scripts/`; the installer moves both, and makes the commands of entry points from link.json. A
*pinned* package, for one python minor version, has the final paths, with scripts in `bin/`. Windows packages are always
portable, since only an installer can make the launchers.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from converters.deferred import dataclass, regex
from converters.errors import UnsafeInputError
from converters.target import Python

__all__ = ["PackageLayout", "Scheme", "command_of_wrapper", "is_cache", "junk_of", "refuse_reserved", "scheme_of"]

Scheme = Literal["purelib", "platlib", "scripts", "headers", "data"]

_RESERVED: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (regex(pattern), owner)
    for pattern, owner in (
        (r"(conda-meta|info|pkgs|envs|condabin|\.condarc)(/|\Z)", "conda itself"),
        (r"(site-packages|python-scripts)/", "the installer, which moves it elsewhere"),
        (r"(bin|scripts)/\.[^/]*-(pre|post)-(link|unlink)\.(sh|bat)\Z", "conda, which would run it while it installs"),
        (r"etc/conda/", "conda, which would run it when the environment is activated"),
        (r"menu/", "conda, which would make menu entries of it"),
        (r"(bin|scripts)/(conda|conda-env|activate|deactivate)(\.(exe|bat|ps1))?\Z", "conda itself"),
        (r"(bin|scripts)/(pythonw?[0-9.]*t?(-config)?|pypy[0-9.]*)(\.exe)?\Z", "python"),
        (r"(bin|scripts)/(2to3|idle|pydoc)[0-9.-]*(\.exe)?\Z", "python"),
        (r"python[0-9a-z._]*\.(exe|dll|pdb|zip)\Z", "python"),
        (r"dlls/|libs/python[^/]*\Z", "python on Windows"),
        (r"lib/python[0-9.]+t?/", "python; modules belong in purelib or platlib"),
        (r"include/python[0-9.]+t?/", "python; headers belong in the headers scheme"),
        (r"lib/libpython", "python"),
        (r"(lib|library/bin)/lib(ssl|crypto|z|lzma|bz2|ffi|expat|sqlite3|uuid)(-[0-9a-z_-]+)?\.(so|dylib|dll|[0-9])",
         "a package that python needs"),
        (r"lib/lib(stdc\+\+|gcc_s|c\+\+|gomp|omp|ncursesw?|tinfow?|readline|tcl8|tk8)[0-9.]*\.(so|dylib|[0-9])",
         "a package that python needs"),
        (r"(etc/)?ssl/", "the certificates of the environment"),
    )
)  # fmt: skip
_ON_WINDOWS = regex(r"lib/(?!site-packages/)")  # the standard library
_JUNK = regex(
    r"(tests?|docs?|examples?|scripts|tools|benchmarks|src|conftest\.py|setup\.(py|cfg)|pyproject\.toml|"
    r"(readme|licen[cs]e|copying|changelog|changes|history|authors|notice|requirements)(\.\w+)?)\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageLayout:
    """Directories in the package. `include` is `None` if headers cannot be placed."""

    site_packages: str
    scripts: str
    include: str | None = None
    is_portable: bool = True
    is_windows: bool = False

    @classmethod
    def portable(cls, *, is_windows: bool = False) -> PackageLayout:
        """Return the layout for any python. `is_windows`: the package is for Windows only."""
        include = "include" if is_windows else None  # on Windows the directory does not name the python
        return cls(site_packages="site-packages", scripts="python-scripts", include=include, is_windows=is_windows)

    @classmethod
    def pinned(cls, python: Python) -> PackageLayout:
        """Return the layout for one python minor version of a POSIX platform."""
        name = python.site_packages.removeprefix("lib/").removesuffix("/site-packages")
        return cls(site_packages=python.site_packages, scripts="bin", include=f"include/{name}", is_portable=False)

    def path(self, scheme: Scheme, rest: str, project: str) -> str:
        """Return the path in the package of a file of `scheme`. Raises `ValueError` for headers if portable."""
        if scheme in ("purelib", "platlib"):
            return f"{self.site_packages}/{rest}"
        if scheme == "scripts":
            return f"{self.scripts}/{rest}"
        if scheme == "data":
            return rest
        if self.include is None:
            raise ValueError(f"{rest}: the directory of headers depends on the python minor version")
        return f"{self.include}/{project}/{rest}"

    def installed(self, path: str) -> str:
        """Return the installed path, relative to the prefix; modules keep a `site-packages/`."""
        if path.startswith("python-scripts/") and self.is_portable:
            return f"{'Scripts' if self.is_windows else 'bin'}/{path.removeprefix('python-scripts/')}"
        return path

    def record_path(self, path: str) -> str:
        """Return the path in the installed RECORD, relative to site-packages (PEP 376).

        site-packages is two levels deep on Windows (`Lib/site-packages`) and three elsewhere. A package for all
        systems is written for POSIX; on Windows its RECORD is off by one level for files outside site-packages.
        """
        if path.startswith(f"{self.site_packages}/"):
            return path.removeprefix(f"{self.site_packages}/")
        return ("../../" if self.is_windows else "../../../") + self.installed(path)


def scheme_of(member: str, data_dirs: Collection[str]) -> tuple[Scheme, str]:
    """Return a wheel member's scheme and its path there. Files outside the data directories are modules."""
    if data_dirs and member.partition("/")[0] in data_dirs:
        _, scheme, rest = member.split("/", 2)
        return scheme, rest  # type: ignore[return-value] # the validator accepts these five only
    return "purelib", member


def command_of_wrapper(script: str) -> str:
    """Return the entry point for which setuptools writes a script: EP for `EP`, `EP.exe` and `EP-script.py`, as in pip.

    Such a script is not installed, since the installer makes the command.
    """
    name = script.rpartition("/")[2]
    for ending in (".exe", "-script.py", ".pya"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def refuse_reserved(filename: str, member: str, path: str, *, is_windows: bool) -> None:
    """Raise `UnsafeInputError` (`reserved-path`) for a path that belongs to conda, python or a package python needs.

    :param path: the installed path, relative to the prefix; compared without case, as some file systems do.
    """
    folded = path.lower()
    owner = next((owner for pattern, owner in _RESERVED if pattern.match(folded)), None)
    if owner is None and is_windows and _ON_WINDOWS.match(folded):
        owner = "python on Windows"
    if owner is not None:
        raise UnsafeInputError(
            "reserved-path",
            f"{filename} would put {path} into the environment, which belongs to {owner}",
            context=(f"member: {member}",),
        )


def is_cache(path: str) -> bool:
    """Return whether a file is bytecode that every python generates again."""
    return "__pycache__" in path.split("/") and path.endswith(".pyc")


def junk_of(modules: list[str], project: str) -> tuple[str, ...]:
    """Return top-level names in site-packages that were probably packaged by mistake (`tests`, `README.md`), sorted."""
    names = {path.split("/", 1)[0] for path in modules}
    return tuple(sorted(name for name in names if _JUNK.match(name) and name.lower() != project.replace("-", "_")))
