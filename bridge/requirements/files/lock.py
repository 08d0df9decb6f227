"""pylock.toml (PEP 751): the packages of a lock as pinned requirements, and the files that they may come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel, Pylock, PylockValidationError
from packaging.utils import parse_sdist_filename, parse_wheel_filename

from bridge.errors import UnsafeInputError, UsageError
from bridge.fetch.urls import file_name
from bridge.model import IndexFile
from bridge.requirements.algebra import Requirement, parse_pypi
from bridge.requirements.files.values import FileRequirements, unique, wrong
from bridge.secrets import masked
from converters.wheel import MAX_TAGS, count_tags

__all__ = ["read_lock"]

_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z", re.ASCII)
_MEMBERSHIP = re.compile(r"""(["'])([^"']*)\1\s+(not\s+in|in)\s+(extras|dependency_groups)\b""")
_ALWAYS, _NEVER = 'python_version >= "0"', 'python_version < "0"'


def read_lock(
    path: Path, document: Mapping[str, object], extras: Sequence[str], groups: Sequence[str]
) -> FileRequirements:
    """What a pylock.toml locks: requirements bound to wheels, their files, and the hashes of these.

    :param groups: the dependency groups to install; none: the lock's default groups.

    Raises `UnsafeInputError` (`lock-invalid`) where the lock is not what PEP 751 says or lacks a sha256, `UsageError`
    (`requirement-file`) where it locks what bridge does not install, or lacks an extra or a group.
    """
    try:
        lock = Pylock.from_dict(document)
    except PylockValidationError as error:
        raise _invalid(path, str(error)) from error
    _check_known(path, "extras", extras, lock.extras)
    _check_known(path, "dependency-groups", groups, lock.dependency_groups)
    chosen = {"extras": frozenset(extras), "dependency_groups": frozenset(groups or lock.default_groups or ())}
    reading = _Reading(path)
    for place, package in enumerate(lock.packages):
        reading.add(package, f"packages[{place}]", chosen)
    return FileRequirements(
        requirements=unique(reading.requirements),
        hashes={name: frozenset(file.sha256 or "" for file in files) for name, files in reading.files.items()},
        require_hashes=True,
        files={name: tuple(files) for name, files in reading.files.items()},
        requires_python=str(lock.requires_python) if lock.requires_python is not None else None,
        environments=tuple(map(str, lock.environments or ())),
    )


def _invalid(path: Path, problem: str) -> UnsafeInputError:
    hint = "write the lock again with the tool that made it"
    return UnsafeInputError("lock-invalid", f"{path} is no lock by PEP 751: {masked(problem)}", hint=hint)


def _check_known(path: Path, field_name: str, asked: Iterable[str], known: Sequence[str] | None) -> None:
    for name in asked:
        if name not in (known or ()):
            context = (f"{field_name}: {', '.join(known or ()) or 'none'}",)
            raise wrong(path, field_name, f"the lock was made without {name!r}", context=context)


@dataclass(slots=True)
class _Reading:
    path: Path
    requirements: list[Requirement] = field(default_factory=list)
    files: dict[str, list[IndexFile]] = field(default_factory=dict)

    def add(self, package: Package, where: str, chosen: Mapping[str, frozenset[str]]) -> None:
        """Take one package in, unless it belongs to an extra or a group that was not chosen."""
        marker = _settled(str(package.marker), chosen) if package.marker is not None else ""
        if marker == _NEVER:
            return
        if package.vcs is not None or package.directory is not None:
            kind = "a folder of sources" if package.vcs is None else "sources under version control"
            hint = "build a wheel of it, and lock that"
            raise wrong(self.path, f"{where} ({package.name})", f"bridge does not install {kind}", hint=hint)
        sources: list[PackageWheel | PackageSdist | PackageArchive] = [*(package.wheels or ())]
        sources += [source for source in (package.sdist, package.archive) if source is not None]
        files = [self._file(package, source, f"{where} ({package.name})") for source in sources]
        if package.archive is not None:
            text = f"{package.name} @ {files[0].url}#sha256={files[0].sha256}"
        else:
            text = f"pypi:{package.name}=={files[0].version}"
        try:
            self.requirements.append(parse_pypi(f"{text} ; {marker}" if marker else text))
        except UsageError as error:
            raise wrong(self.path, where, error.message, context=error.context) from error
        self.files.setdefault(package.name, []).extend(files)

    def _file(self, package: Package, source: PackageWheel | PackageSdist | PackageArchive, where: str) -> IndexFile:
        name = _name(source)
        sha256 = source.hashes.get("sha256", "")
        if not _SHA256.match(sha256):
            raise _invalid(self.path, f"{where}: {name} has no sha256")
        if name.endswith(".whl") and count_tags(name) > MAX_TAGS:
            raise _invalid(self.path, f"{where}: a file name that stands for more than {MAX_TAGS} tags")
        try:
            project, version = parse_wheel_filename(name)[:2] if name.endswith(".whl") else parse_sdist_filename(name)
        except ValueError as error:
            raise _invalid(self.path, f"{where}: {error}") from error
        if project != package.name:
            raise _invalid(self.path, f"{where}: {name} is a file of {project}")
        url = source.url or (self.path.absolute().parent / (source.path or "")).resolve().as_uri()
        return IndexFile(
            project=project,
            filename=name,
            version=str(version),
            url=url,
            origin=package.index or url.rpartition("/")[0],
            sha256=sha256.lower(),
            size=source.size,
            requires_python=str(package.requires_python) if package.requires_python is not None else None,
            upload_time=_milliseconds(source.upload_time),
        )


def _name(source: PackageWheel | PackageSdist | PackageArchive) -> str:
    if isinstance(source, PackageArchive):
        return Path(source.path).name if source.path else file_name(source.url or "")
    return source.filename


def _milliseconds(moment: datetime | None) -> int | None:
    """Since the epoch; a time without an offset is UTC (PEP 751)."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
    return int(aware.timestamp() * 1000)


def _settled(marker: str, chosen: Mapping[str, frozenset[str]]) -> str:
    """A lock's marker as a PEP 508 one: what it says of extras and groups is settled, and becomes always or never."""

    def settle(found: re.Match[str]) -> str:
        is_in = found[2] in chosen[found[4]]
        return _ALWAYS if is_in == (found[3] == "in") else _NEVER

    return _MEMBERSHIP.sub(settle, marker)
