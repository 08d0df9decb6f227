"""Read a prefix: conda-meta records, dist-infos, the interpreter, and all paths.

Nothing here writes, runs code, or imports anything from the prefix. A damaged record is a `Defect`, never an exception:
the audit reads broken prefixes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bridge.errors import UsageError
from bridge.fs.processes import spread
from bridge.model import Defect, Distribution, Installed, PrefixState
from bridge.paths import META, OWN, quoted
from bridge.prefix.claims import covered
from bridge.prefix.eggs import eggs_in
from bridge.prefix.entries import Entries, paths_of
from bridge.prefix.history import history_of, requested_specs
from bridge.prefix.locations import relocated
from bridge.prefix.records import Reader, ReadResult, content, defect_of, names_in, scan
from bridge.prefix.remembered import Remembering
from bridge.prefix.strays import is_record_name, sorted_out, strays
from bridge.secrets import masked
from converters.deferred import regex, replace
from converters.metadata import MAX_METADATA
from converters.record import Record
from converters.target import POSIX, SUBDIRS, WINDOWS, Python

__all__ = ["check", "no_environment", "read", "require", "site_directories", "walk"]

_MANY = 64  # records and dist-infos for which forking pays off
_MINOR = regex(r"python(\d+\.\d+)(t?)\Z")
_LIBRARY = regex(r"python(\d)(\d+)(t?)\.dll\Z", re.IGNORECASE)  # of Windows


def read(
    prefix: Path,
    *,
    is_brief: bool = False,
    jobs: int = 1,
    each: Callable[[Installed], object] | None = None,
    cache: Path | None = None,
) -> PrefixState:
    """Read the records of `prefix`. Nothing is hashed; 20,000 paths take about 0.1 s.

    :param jobs: processes that read; of two, the other one is left to the caller.
    :param each: called with each package as soon as its record is read, which knows nothing of other records then.
    :param is_brief: skip the RECORD of distributions that a conda-meta record covers (their `entries` are empty): a
        plan uses the conda-meta record, and reading both takes twice as long.
    :param cache: bridge's cache, which spares a brief reading the records that have not changed since the last one.

    A conda-meta record that is empty, truncated, not UTF-8, misnamed or of wrong types is left out and becomes a
    `Defect` (`broken-record`); a file there that is no record becomes another (`foreign-file`). A record that lists a
    path outside the prefix is kept without that path, with a `Defect`. The requirements of a wheel's record are PEP
    508, from its dist-info. A conda record's `pypi_names` are its purls and the projects whose dist-info it installed.
    `~…` directories (pip's leftovers) are not distributions.
    Raises `FaultError` (`prefix-unreadable`) if a directory cannot be listed.
    """
    prefix = Path(os.path.abspath(prefix))
    reader = Reader(prefix=str(prefix))
    known = _spread(prefix, reader, jobs) if jobs > 2 and not is_brief else {}
    remembering = Remembering(reader, cache) if cache is not None and is_brief else None
    reading = remembering or reader
    records = []
    for path in _records(prefix):
        records.append(known.get(path) or reading.record(path))
        package = records[-1][0]
        if each is not None and isinstance(package, Installed):
            each(package)
    installed = sorted(
        (each for each, _ in records if isinstance(each, Installed)),
        key=lambda each: (each.record.name, each.meta_path),
    )
    defects = list(sorted_out((one for _, wrong in records for one in wrong), {each.meta_path for each in installed}))
    defects += strays(names_in(str(prefix / META)))
    python, site = _recorded_python(installed, defects) or _layout_python(prefix) or (None, None)
    installed = [_relocated(each, site) for each in _with_history(installed, prefix)]
    paths = _distributions(prefix, site_directories(prefix, site))
    brief = covered(installed, paths) if is_brief else frozenset()
    read = [known.get(path) or reading.distribution(path, is_covered=path in brief) for path in paths]
    if remembering is not None:
        remembering.keep()
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


def _with_history(installed: Sequence[Installed], prefix: Path) -> list[Installed]:
    """Add the requests of `conda-meta/history` to conda records without any.

    conda writes a record without its request if a later command for something else replaced the package.
    """
    if all(each.requested or each.record.ecosystem != "conda" for each in installed):
        return list(installed)
    specs = requested_specs(history_of(prefix))
    return [
        replace(each, requested=(masked(specs[each.record.name]),))
        if each.record.ecosystem == "conda" and not each.requested and each.record.name in specs
        else each
        for each in installed
    ]


def require(
    prefix: Path,
    *,
    is_brief: bool = False,
    jobs: int = 1,
    each: Callable[[Installed], object] | None = None,
    cache: Path | None = None,
) -> PrefixState:
    """Read a prefix that must exist; the parameters are those of `read`.

    Raises `UsageError` (`not-an-environment`) if it has neither conda-meta nor a python.
    """
    check(prefix)
    return read(prefix, is_brief=is_brief, jobs=jobs, each=each, cache=cache)


def check(prefix: Path, packages: str = "python") -> None:
    """Check that `prefix` is an environment, without reading it. Raises as `require`.

    :param packages: what a new environment would be made with, for the command of a hint.
    """
    if not (prefix / META).is_dir() and _layout_python(prefix) is None:
        raise no_environment(prefix, "it contains neither conda-meta nor a python", packages)


def no_environment(prefix: Path, missing: str, packages: str = "python") -> UsageError:
    """The error for a path that is no environment (`not-an-environment`).

    :param missing: what the directory lacks, if it is one. `packages`: as for `check`.
    """
    path = os.path.abspath(prefix)
    hint = f"make one with: bridge create -p {quoted(path)} {packages}"
    if prefix.is_dir():
        reason = missing
    elif os.path.lexists(prefix):
        reason, hint = "it is not a directory", "-p takes the directory of an environment; `bridge env list` shows all"
    else:
        reason = "there is no such directory"
        if prefix.name in SUBDIRS:
            hint = f"--platform {prefix.name} names a platform; -p names the directory of an environment"
    return UsageError("not-an-environment", f"{path} is not an environment: {reason}", hint=hint)


def walk(prefix: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every path below `prefix` except bridge's own directory, with its `lstat`. Parents precede their content.

    Links are not followed. Raises `FaultError` (`prefix-unreadable`) if a directory cannot be listed.
    """
    pending = [""]
    while pending:
        directory = pending.pop()
        below: list[str] = []
        for entry in sorted(scan(f"{prefix}/{directory}"), key=lambda entry: entry.name):
            path = f"{directory}/{entry.name}" if directory else entry.name
            if path == OWN:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # It was removed in the meantime.
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                below.append(path)
        pending.extend(reversed(below))


def site_directories(prefix: Path, site: str | None = None) -> tuple[str, ...]:
    """The prefix-relative directories with dist-infos: `site` first, then those of any python.

    A directory with two names (`lib64` links to `lib`) is returned once.
    """
    directories = [site] if site else []
    for library in ("lib", "lib64", "Lib"):
        for name in sorted(names_in(str(prefix / library))):
            if name.startswith(("python", "pypy")):
                directories += [f"{library}/{name}/site-packages", f"{library}/{name}/dist-packages"]
        directories.append(f"{library}/site-packages")
    kept: dict[str, str] = {}
    for path in directories:
        if (prefix / path).is_dir():
            kept.setdefault(os.path.realpath(prefix / path), path)
    return tuple(kept.values())


# --- conda-meta and dist-info -----------------------------------------------------------------------------------------


def _records(prefix: Path) -> list[str]:
    return [f"{META}/{name}" for name in sorted(names_in(str(prefix / META))) if is_record_name(name)]


def _distributions(prefix: Path, sites: Iterable[str]) -> list[str]:
    distributions = []
    for site in sites:
        for entry in sorted(scan(str(prefix / site)), key=lambda entry: entry.name):
            is_wanted = entry.name.endswith(".egg-info") or (entry.name.endswith(".dist-info") and _is_directory(entry))
            if is_wanted and not entry.name.startswith(("~", ".")):
                distributions.append(f"{site}/{entry.name}")
        distributions += [f"{site}/{name}" for name in eggs_in(str(prefix), site, names_in(str(prefix / site)))]
    return distributions


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Whether it is a directory or a link to one; a circular link is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _spread(prefix: Path, reader: Reader, jobs: int) -> Mapping[str, ReadResult]:
    """Read every record, and the dist-infos in the usual directories, in `jobs` processes; large records first."""
    records = sorted(_records(prefix), key=lambda path: -_size(prefix / path))
    paths = [*records, *_distributions(prefix, site_directories(prefix))]
    count = len(records)

    def read_one(number: int) -> ReadResult:
        path = paths[number]
        return reader.record(path) if number < count else reader.distribution(path)

    with spread(read_one, len(paths), jobs if len(paths) >= _MANY else 1, takes_part=True) as reading:
        return dict(zip(paths, reading.results(), strict=True))


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _relocated(package: Installed, site: str | None) -> Installed:
    """Map the paths of a noarch python package to the environment, where its record has only the package's paths."""
    if site is None or package.record.noarch != "python":
        return package
    paths = relocated(paths_of(package.entries), site, "Scripts" if site.startswith("Lib/") else "bin")
    if paths is None:
        return package
    moved = (replace(entry, path=path) for entry, path in zip(package.entries, paths, strict=True))
    return replace(package, entries=Entries.of(moved))


def _with_distributions(installed: list[Installed], distributions: tuple[Distribution, ...]) -> tuple[Installed, ...]:
    """Add to each record the projects of its dist-infos, and to a wheel's its PEP 508 requirements."""
    anchors = {
        anchor: distribution
        for distribution in distributions
        for anchor in map(distribution.path.__add__, ("", "/METADATA", "/PKG-INFO", "/EGG-INFO/PKG-INFO"))
    }
    projects = {package.record.name: package.record.pypi_names for package in installed}
    completed = []
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
        completed.append(replace(package, record=record))
    return tuple(completed)


def _names_needed(record: Record, projects: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The requirements of a wheel without a dist-info (pip replaced or removed it): the names in its `depends`.

    Versions are left out, as they are conda's; so is python, which every wheel needs.
    """
    native = [re.split(r"[ =<>!~\[;(@]", text.strip(), maxsplit=1)[0] for text in record.requirements]
    needed = [name for name in native if name and not name.startswith("__") and name not in {"python", "python_abi"}]
    return tuple((projects.get(name) or (name,))[0] for name in needed)


# --- the interpreter --------------------------------------------------------------------------------------------------


def _recorded_python(installed: Sequence[Installed], defects: list[Defect]) -> tuple[Python, str] | None:
    """The python of conda-meta and its site-packages, which its record may set (CEP 17)."""
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
            layout = WINDOWS if record.subdir.startswith("win-") else POSIX
            return python, site or layout.site_packages(python)
        except ValueError as error:
            defects.append(defect_of(package.meta_path, error))
    return None


def _layout_python(prefix: Path) -> tuple[Python, str] | None:
    """The python of a prefix that conda did not create (a virtual environment, an installation from source)."""
    links = [prefix / "bin" / name for name in ("python", "python3") if os.path.lexists(prefix / "bin" / name)]
    libraries = [match for name in names_in(str(prefix / "lib")) if (match := _MINOR.match(name))]
    if not links or not libraries:
        return _windows_python(prefix)
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


def _windows_python(prefix: Path) -> tuple[Python, str] | None:
    """The python of a prefix for Windows: its program at the root, or of a virtual environment in `Scripts`."""
    program = next((each for each in (prefix, prefix / "Scripts") if (each / "python.exe").is_file()), None)
    libraries = [match for name in names_in(str(prefix)) if (match := _LIBRARY.match(name))]
    version = _configured_version(prefix) or (f"{libraries[0][1]}.{libraries[0][2]}" if libraries else None)
    if program is None or version is None:
        return None
    python = Python(version=version, free_threaded=bool(libraries and libraries[0][3]))
    return python, WINDOWS.site_packages(python)


def _is_of(version: str | None, library: re.Match[str]) -> bool:
    return f"{version}.".startswith(f"{library[1]}.")


def _configured_version(prefix: Path) -> str | None:
    """The version in pyvenv.cfg (PEP 405): `version` of venv, `version_info` of virtualenv and uv."""
    return _search(prefix / "pyvenv.cfg", r"^\s*version(?:_info)?\s*=\s*(\d+\.\d+(?:\.\d+)?)")


def _header_version(prefix: Path, library: re.Match[str]) -> str | None:
    version = _search(prefix / "include" / library[0] / "patchlevel.h", r'^#define\s+PY_VERSION\s+"([^"+]+)')
    return version if _is_of(version, library) else None


def _search(path: Path, pattern: str) -> str | None:
    try:
        match = re.search(pattern, content(str(path), MAX_METADATA).decode("utf-8", "replace"), re.MULTILINE)
    except (ValueError, OSError):
        return None
    return match[1] if match else None
