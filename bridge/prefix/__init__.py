"""Reading a prefix: conda-meta records, dist-infos, the interpreter, and the paths that lie there.

Nothing here writes, runs code, or imports anything from the prefix. What cannot be read as what it claims to be is a
`Defect`, never an exception: a broken prefix is what the audit is for.
"""

from __future__ import annotations

import csv
import json
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from bridge.errors import FaultError, UsageError
from bridge.model import Defect, Distribution, Entry, Installed, PrefixState
from bridge.paths import META, OWN
from bridge.prefix import condameta, distinfo
from converters.record import Record
from converters.target import Python
from converters.wheel import MAX_METADATA, CoreMetadata

__all__ = ["check", "read", "require", "site_directories", "walk"]

T = TypeVar("T")

_MAX_RECORD = 256 << 20  # bytes of one conda-meta JSON or RECORD
_MINOR = re.compile(r"python(\d+\.\d+)(t?)\Z")
_UNREADABLE = (ValueError, RecursionError, OSError, csv.Error)


def read(prefix: Path, *, is_brief: bool = False) -> PrefixState:
    """What `prefix` says of itself. Nothing is hashed; 20,000 paths take about 0.2 s.

    :param is_brief: leave out the RECORD of distributions that a conda-meta record covers (their `entries` are empty):
        who plans a change goes by the record, and reading both takes twice as long.

    A conda-meta record that is empty, truncated, not UTF-8, misnamed or of wrong types is left out and becomes a
    `Defect` (`broken-record`); one that lists a path outside the prefix is kept without that path, with a `Defect`.
    The requirements of a wheel's record are PEP 508, out of its own dist-info. A conda record's `pypi_names` are its
    purls and the projects whose dist-info it installed. `~…` directories (pip's leftovers) are no distributions.
    Raises `FaultError` (`prefix-unreadable`) where a directory may not be listed.
    """
    prefix = Path(os.path.abspath(prefix))
    defects: list[Defect] = []
    installed = _read_records(prefix, defects)
    python, site = _recorded_python(installed, defects) or _layout_python(prefix) or (None, None)
    covered = _covered(installed) if is_brief else frozenset()
    distributions = _read_distributions(prefix, site_directories(prefix, site), defects, covered)
    return PrefixState(
        prefix=prefix,
        installed=_with_distributions(installed, distributions),
        distributions=distributions,
        python=python,
        site_packages=site,
        defects=tuple(sorted(defects, key=lambda defect: (defect.path, defect.detail))),
    )


def require(prefix: Path, *, is_brief: bool = False) -> PrefixState:
    """`read`, for a prefix that must be one.

    Raises `UsageError` (`not-an-environment`) where there is neither conda-meta nor a python.
    """
    check(prefix)
    return read(prefix, is_brief=is_brief)


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
        for entry in sorted(_scan(prefix / folder), key=lambda entry: entry.name):
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
        for name in sorted(_names(prefix / library)):
            if name.startswith(("python", "pypy")):
                found += [f"{library}/{name}/site-packages", f"{library}/{name}/dist-packages"]
        found.append(f"{library}/site-packages")
    kept: dict[str, str] = {}
    for path in found:
        if (prefix / path).is_dir():
            kept.setdefault(os.path.realpath(prefix / path), path)
    return tuple(kept.values())


# --- conda-meta and dist-info -----------------------------------------------------------------------------------------


def _read_records(prefix: Path, defects: list[Defect]) -> list[Installed]:
    found = []
    for name in sorted(_names(prefix / META)):
        path = f"{META}/{name}"
        if not name.endswith(".json"):
            continue
        try:
            installed, wrong = condameta.parse(_content(prefix / path), path)
        except _UNREADABLE as error:
            defects.append(_defect(path, error))
        else:
            found.append(installed)
            defects.extend(wrong)
    return sorted(found, key=lambda installed: (installed.record.name, installed.meta_path))


def _covered(installed: Iterable[Installed]) -> frozenset[str]:
    """The dist-infos that records put there."""
    return frozenset(
        entry.path.rpartition("/")[0]
        for each in installed
        for entry in each.entries
        if entry.path.endswith(("-info/METADATA", "-info/PKG-INFO", "-info/RECORD", "-info/INSTALLER", "-info/WHEEL"))
    )


def _read_distributions(
    prefix: Path, sites: Iterable[str], defects: list[Defect], covered: frozenset[str]
) -> tuple[Distribution, ...]:
    found = []
    for site in sites:
        for entry in sorted(_scan(prefix / site), key=lambda entry: entry.name):
            is_wanted = entry.name.endswith(".egg-info") or (entry.name.endswith(".dist-info") and _is_folder(entry))
            if is_wanted and not entry.name.startswith(("~", ".")):
                path = f"{site}/{entry.name}"
                found.append(_distribution(prefix, path, defects, is_covered=path in covered))
    return tuple(found)


def _distribution(prefix: Path, path: str, defects: list[Defect], *, is_covered: bool) -> Distribution:
    is_egg = path.endswith(".egg-info")
    names = set(_names(prefix / path))

    def parsed(name: str, parse: Callable[[bytes], T]) -> T | None:
        if name not in names:
            return None
        try:
            return parse(_content(prefix / path / name))
        except _UNREADABLE as error:
            defects.append(_defect(f"{path}/{name}", error))
            return None

    metadata = _metadata(prefix, path, defects)
    listing, base = ("installed-files.txt", path) if is_egg else ("RECORD", posixpath.dirname(path))
    listed: tuple[tuple[Entry, ...], list[str]] | None = ((), [])
    if not is_covered:
        listed = parsed(listing, lambda data: distinfo.parse_listing(data, base, str(prefix), is_csv=not is_egg))
    if listed and listed[1]:
        detail = f"{len(listed[1])} row(s) leave the environment or make no sense, first {listed[1][0]!r}"
        defects.append(Defect(id="broken-record", path=f"{path}/{listing}", detail=detail))
    installer = parsed("INSTALLER", lambda data: data.decode("utf-8", "replace").strip())
    return Distribution(
        path=path,
        name=metadata.name,
        version=metadata.version,
        installer=installer.splitlines()[0] if installer else None,
        requested="REQUESTED" in names,
        direct_url=parsed("direct_url.json", distinfo.parse_direct_url),
        requires_python=metadata.requires_python,
        requires_dist=metadata.requires_dist,
        provides_extra=metadata.provides_extra,
        tags=parsed("WHEEL", distinfo.parse_tags) or (),
        entries=listed[0] if listed else None,
    )


def _metadata(prefix: Path, path: str, defects: list[Defect]) -> CoreMetadata:
    # A distutils .egg-info is one file, which is the metadata itself.
    name = "PKG-INFO" if path.endswith(".egg-info") else "METADATA"
    path_of_metadata = f"{path}/{name}" if (prefix / path).is_dir() else path
    try:
        metadata, wrong = distinfo.parse_header(_content(prefix / path_of_metadata), path)
    except FileNotFoundError:
        detail = f"there is no {name}: nothing says what this is"
        defects.append(Defect(id="distribution-without-metadata", path=path_of_metadata, detail=detail))
        return distinfo.name_of(path)
    except _UNREADABLE as error:
        defects.append(_defect(path_of_metadata, error))
        return distinfo.name_of(path)
    if wrong:
        defects.append(Defect(id="broken-record", path=path_of_metadata, detail=wrong))
    return metadata


def _with_distributions(installed: list[Installed], distributions: tuple[Distribution, ...]) -> tuple[Installed, ...]:
    """Each record with what its own dist-infos say: the projects it carries, and a wheel's PEP 508 requirements."""
    anchors = {
        anchor: distribution
        for distribution in distributions
        for anchor in (distribution.path, f"{distribution.path}/METADATA", f"{distribution.path}/PKG-INFO")
    }
    projects = {package.record.name: package.record.pypi_names for package in installed}
    found = []
    for package in installed:
        own = {anchors[entry.path].path: anchors[entry.path] for entry in package.entries if entry.path in anchors}
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
            defects.append(_defect(package.meta_path, error))
    return None


def _layout_python(prefix: Path) -> tuple[Python, str] | None:
    """The python of a prefix that conda did not make (a virtual environment, an installation from source)."""
    links = [prefix / "bin" / name for name in ("python", "python3") if os.path.lexists(prefix / "bin" / name)]
    libraries = [match for name in _names(prefix / "lib") if (match := _MINOR.match(name))]
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
        found = re.search(pattern, _content(path, MAX_METADATA).decode("utf-8", "replace"), re.MULTILINE)
    except (ValueError, OSError):
        return None
    return found[1] if found else None


# --- reading ----------------------------------------------------------------------------------------------------------


def _content(path: Path, limit: int = _MAX_RECORD) -> bytes:
    """The bytes of a regular file of at most `limit` bytes. A device or a pipe is never opened: it could block."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is not a regular file")
    if found.st_size > limit:
        raise ValueError(f"it is larger than {limit} bytes")
    return path.read_bytes()


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise FaultError("prefix-unreadable", f"{folder} cannot be listed: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one; a link that leads round in a circle is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in _scan(folder)]


def _defect(path: str, error: Exception) -> Defect:
    if isinstance(error, OSError):
        detail = f"it cannot be read: {error.strerror}"
    elif isinstance(error, UnicodeDecodeError):
        detail = f"it is not UTF-8: byte {error.start}"
    elif isinstance(error, json.JSONDecodeError):
        detail = f"it is not JSON: {error}" if error.doc.strip() else "it is empty"
    elif isinstance(error, RecursionError):
        detail = "it is nested too deeply"
    else:
        detail = str(error)
    return Defect(id="broken-record", path=path, detail=detail)
