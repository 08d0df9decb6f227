"""Reading a prefix: conda-meta records, dist-infos, the interpreter, and the paths that lie there.

Nothing here writes, runs code, or imports anything from the prefix. What cannot be read as what it claims to be is a
`Defect`, never an exception: a broken prefix is what the audit is for.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bridge.errors import UsageError
from bridge.model import Defect, Distribution, Installed, PrefixState
from bridge.paths import META, OWN
from bridge.prefix.claims import covered
from bridge.prefix.eggs import eggs_in
from bridge.prefix.entries import Entries, paths_of
from bridge.prefix.locations import relocated
from bridge.prefix.processes import spread
from bridge.prefix.records import Found, Reader, content, defect_of, names_in, scan
from bridge.prefix.strays import is_record_name, sorted_out, strays
from converters.record import Record
from converters.target import Python
from converters.wheel import MAX_METADATA

__all__ = ["check", "read", "require", "site_directories", "walk"]

_MANY = 64  # records and dist-infos from which copies of this process are worth their start
_MINOR = re.compile(r"python(\d+\.\d+)(t?)\Z")


def read(
    prefix: Path,
    *,
    is_brief: bool = False,
    jobs: int = 1,
    meanwhile: Callable[[], object] | None = None,
) -> PrefixState:
    """What `prefix` says of itself. Nothing is hashed; 20,000 paths take about 0.2 s.

    :param jobs: processes that read.
    :param meanwhile: what this process may do while others read.
    :param is_brief: leave out the RECORD of distributions that a conda-meta record covers (their `entries` are empty):
        who plans a change goes by the record, and reading both takes twice as long.

    A conda-meta record that is empty, truncated, not UTF-8, misnamed or of wrong types is left out and becomes a
    `Defect` (`broken-record`), a file there that is no record another (`foreign-file`); a record that lists a path
    outside the prefix is kept without that path, with a `Defect`. The requirements of a wheel's record are PEP 508, out
    of its own dist-info. A conda record's `pypi_names` are its purls and the projects whose dist-info it installed.
    `~…` directories (pip's leftovers) are no distributions.
    Raises `FaultError` (`prefix-unreadable`) where a directory may not be listed.
    """
    prefix = Path(os.path.abspath(prefix))
    reader = Reader(prefix=str(prefix))
    known = _spread(prefix, reader, jobs, meanwhile) if jobs > 1 and not is_brief else {}
    found = [known.get(path) or reader.record(path) for path in _records(prefix)]
    installed = sorted(
        (each for each, _ in found if isinstance(each, Installed)), key=lambda each: (each.record.name, each.meta_path)
    )
    defects = list(sorted_out((one for _, wrong in found for one in wrong), {each.meta_path for each in installed}))
    defects += strays(names_in(str(prefix / META)))
    python, site = _recorded_python(installed, defects) or _layout_python(prefix) or (None, None)
    installed = [_relocated(each, site) for each in installed]
    paths = _distributions(prefix, site_directories(prefix, site))
    brief = covered(installed, paths) if is_brief else frozenset()
    read = [known.get(path) or reader.distribution(path, is_covered=path in brief) for path in paths]
    defects += [defect for _, wrong in read for defect in wrong]
    distributions = tuple(each for each, _ in read if isinstance(each, Distribution))
    return PrefixState(
        prefix=prefix,
        installed=_with_distributions(installed, distributions),
        distributions=distributions,
        python=python,
        site_packages=site,
        defects=tuple(sorted(defects, key=lambda defect: (defect.path, defect.detail))),
    )


def require(
    prefix: Path,
    *,
    is_brief: bool = False,
    jobs: int = 1,
    meanwhile: Callable[[], object] | None = None,
) -> PrefixState:
    """`read`, for a prefix that must be one.

    Raises `UsageError` (`not-an-environment`) where there is neither conda-meta nor a python.
    """
    check(prefix)
    return read(prefix, is_brief=is_brief, jobs=jobs, meanwhile=meanwhile)


def check(prefix: Path) -> None:
    """Whether `prefix` is an environment, without reading it. Raises as `require`."""
    if not (prefix / META).is_dir() and _layout_python(prefix) is None:
        said = "neither conda-meta nor a python is in it" if prefix.is_dir() else "there is no such directory"
        raise UsageError(
            "not-an-environment",
            f"{os.path.abspath(prefix)} is not an environment: {said}",
            hint=f"make one with: bridge create -p {os.path.abspath(prefix)} python",
        )


def walk(prefix: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every path below `prefix` but bridge's own folder, with its `lstat`; parents come before what they hold.

    Links are not followed. Raises `FaultError` (`prefix-unreadable`) where a directory may not be listed.
    """
    pending = [""]
    while pending:
        folder = pending.pop()
        below: list[str] = []
        for entry in sorted(scan(f"{prefix}/{folder}"), key=lambda entry: entry.name):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if path == OWN:
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # It went while we were looking.
            yield path, found
            if stat.S_ISDIR(found.st_mode):
                below.append(path)
        pending.extend(reversed(below))


def site_directories(prefix: Path, site: str | None = None) -> tuple[str, ...]:
    """The folders of `prefix` that hold dist-infos, prefix-relative: `site` first, then what any python left there.

    A folder that is reached by two names (a `lib64` that links to `lib`) is given once.
    """
    found = [site] if site else []
    for library in ("lib", "lib64", "Lib"):
        for name in sorted(names_in(str(prefix / library))):
            if name.startswith(("python", "pypy")):
                found += [f"{library}/{name}/site-packages", f"{library}/{name}/dist-packages"]
        found.append(f"{library}/site-packages")
    kept: dict[str, str] = {}
    for path in found:
        if (prefix / path).is_dir():
            kept.setdefault(os.path.realpath(prefix / path), path)
    return tuple(kept.values())


# --- conda-meta and dist-info -----------------------------------------------------------------------------------------


def _records(prefix: Path) -> list[str]:
    return [f"{META}/{name}" for name in sorted(names_in(str(prefix / META))) if is_record_name(name)]


def _distributions(prefix: Path, sites: Iterable[str]) -> list[str]:
    found = []
    for site in sites:
        for entry in sorted(scan(str(prefix / site)), key=lambda entry: entry.name):
            is_wanted = entry.name.endswith(".egg-info") or (entry.name.endswith(".dist-info") and _is_folder(entry))
            if is_wanted and not entry.name.startswith(("~", ".")):
                found.append(f"{site}/{entry.name}")
        found += [f"{site}/{name}" for name in eggs_in(str(prefix), site, names_in(str(prefix / site)))]
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one; a link that leads round in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _spread(prefix: Path, reader: Reader, jobs: int, meanwhile: Callable[[], object] | None) -> Mapping[str, Found]:
    """Path → what is read there: of every record, and of every dist-info where one usually lies; the largest first."""
    records = sorted(_records(prefix), key=lambda path: -_size(prefix / path))
    paths = [*records, *_distributions(prefix, site_directories(prefix))]
    count = len(records)

    def read_one(number: int) -> Found:
        path = paths[number]
        return reader.record(path) if number < count else reader.distribution(path)

    with spread(read_one, len(paths), jobs if len(paths) >= _MANY else 1) as reading:
        if meanwhile is not None:
            meanwhile()
        return dict(zip(paths, reading.results(), strict=True))


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _relocated(package: Installed, site: str | None) -> Installed:
    """A noarch python package whose record names the package's own paths only: where python has them."""
    if site is None or package.record.noarch != "python":
        return package
    paths = relocated(paths_of(package.entries), site, "Scripts" if site.startswith("Lib/") else "bin")
    if paths is None:
        return package
    moved = (replace(entry, path=path) for entry, path in zip(package.entries, paths, strict=True))
    return replace(package, entries=Entries.of(moved))


def _with_distributions(installed: list[Installed], distributions: tuple[Distribution, ...]) -> tuple[Installed, ...]:
    """Each record with what its own dist-infos say: the projects it carries, and a wheel's PEP 508 requirements."""
    anchors = {
        anchor: distribution
        for distribution in distributions
        for anchor in map(distribution.path.__add__, ("", "/METADATA", "/PKG-INFO", "/EGG-INFO/PKG-INFO"))
    }
    projects = {package.record.name: package.record.pypi_names for package in installed}
    found = []
    for package in installed:
        own = {anchors[path].path: anchors[path] for path in paths_of(package.entries) if path in anchors}
        carried = sorted(each.name for each in own.values())
        record = replace(package.record, pypi_names=tuple(dict.fromkeys((*package.record.pypi_names, *carried))))
        if record.ecosystem == "wheel":
            wheel = next(iter(own.values()), None)
            record = replace(
                record,
                requirements=wheel.requires_dist if wheel else _names_needed(record, projects),
                requires_python=wheel.requires_python if wheel else None,
                extras=wheel.provides_extra if wheel else (),
            )
        found.append(replace(package, record=record))
    return tuple(found)


def _names_needed(record: Record, projects: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What a wheel needs whose dist-info is gone (pip replaced or removed it): the names of its conda-meta `depends`.

    The versions there are conda's and are left out; python is what every wheel needs.
    """
    native = [re.split(r"[ =<>!~\[;(@]", text.strip(), maxsplit=1)[0] for text in record.requirements]
    needed = [name for name in native if name and not name.startswith("__") and name not in {"python", "python_abi"}]
    return tuple((projects.get(name) or (name,))[0] for name in needed)


# --- the interpreter --------------------------------------------------------------------------------------------------


def _recorded_python(installed: Sequence[Installed], defects: list[Defect]) -> tuple[Python, str] | None:
    """The python of conda-meta and its site-packages. CEP 17: the record may name another folder than the usual."""
    for package in installed:
        record = package.record
        if record.name != "python" or record.ecosystem != "conda":
            continue
        site = record.python_site_packages_path
        is_free_threaded = bool(
            re.search(r"_cp\d+t\Z", record.build) or (site and re.search(r"python\d+\.\d+t/", site))
        )
        python = Python(version=record.version, free_threaded=is_free_threaded)
        try:
            return python, site or python.site_packages
        except ValueError as error:
            defects.append(defect_of(package.meta_path, error))
    return None


def _layout_python(prefix: Path) -> tuple[Python, str] | None:
    """The python of a prefix that conda did not make (a virtual environment, an installation from source)."""
    links = [prefix / "bin" / name for name in ("python", "python3") if os.path.lexists(prefix / "bin" / name)]
    libraries = [match for name in names_in(str(prefix / "lib")) if (match := _MINOR.match(name))]
    if not links or not libraries:
        return None
    configured = _configured_version(prefix)
    resolved = {os.path.basename(os.path.realpath(link)) for link in links}

    def rank(library: re.Match[str]) -> tuple[bool, bool, bool, list[int]]:
        in_bin = (prefix / "bin" / library[0]).exists()
        minor = [int(part) for part in library[1].split(".")]
        return _is_of(configured, library), library[0] in resolved, in_bin, minor

    best = max(libraries, key=rank)
    version = configured if configured and _is_of(configured, best) else _header_version(prefix, best)
    python = Python(version=version or best[1], free_threaded=bool(best[2]))
    return python, python.site_packages


def _is_of(version: str | None, library: re.Match[str]) -> bool:
    return f"{version}.".startswith(f"{library[1]}.")


def _configured_version(prefix: Path) -> str | None:
    """The version in pyvenv.cfg (PEP 405): `version` of venv, `version_info` of virtualenv and uv."""
    return _search(prefix / "pyvenv.cfg", r"^\s*version(?:_info)?\s*=\s*(\d+\.\d+(?:\.\d+)?)")


def _header_version(prefix: Path, library: re.Match[str]) -> str | None:
    found = _search(prefix / "include" / library[0] / "patchlevel.h", r'^#define\s+PY_VERSION\s+"([^"+]+)')
    return found if _is_of(found, library) else None


def _search(path: Path, pattern: str) -> str | None:
    try:
        found = re.search(pattern, content(str(path), MAX_METADATA).decode("utf-8", "replace"), re.MULTILINE)
    except (ValueError, OSError):
        return None
    return found[1] if found else None
