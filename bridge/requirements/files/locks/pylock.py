"""pylock.toml (PEP 751), read by `packaging.pylock`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel, Pylock, PylockValidationError
from packaging.utils import parse_sdist_filename, parse_wheel_filename

from bridge.errors import UnsafeInputError
from bridge.fetch.urls import file_name
from bridge.requirements.files.constructs import Section, describes, honoured
from bridge.requirements.files.fields import Field
from bridge.requirements.files.locks.direct import (
    COMMIT,
    check_wheel,
    git_url,
    milliseconds,
    path_url,
    place_url,
    with_fragment,
)
from bridge.requirements.files.locks.errors import invalid
from bridge.requirements.files.locks.lazily import Lazily
from bridge.requirements.files.values import Chosen, wrong
from bridge.requirements.locked import Lock, Locked, LockedEnvironment, LockedSource, LockedWheel
from bridge.sdists.location import ARCHIVES
from converters.target import SUBDIRS

__all__ = ["PACKAGE", "TOP", "read_pylock"]

_MADE = describes("how the lock was made")
TOP = Section(
    name="pylock.toml",
    keys={
        "lock-version": honoured("1; others are refused"),
        "environments": honoured("one must hold on the target"),
        "requires-python": honoured("the python must meet it"),
        "extras": honoured("`--extra` chooses among them"),
        "dependency-groups": honoured("`--group` chooses among them"),
        "default-groups": honoured("where no `--group` is given"),
        "created-by": _MADE,
        "packages": honoured("exactly these artifacts, hashes required"),
        "tool": describes("of the tool that wrote the lock"),
    },
)
PACKAGE = Section(
    name="pylock.toml packages",
    keys={
        "name": honoured("the project"),
        "version": honoured("must be that of the artifact"),
        "marker": honoured("it is installed where this holds"),
        "requires-python": honoured("the python must meet it"),
        "index": honoured("recorded as its origin"),
        "wheels": honoured("the one with the best tag is installed"),
        "sdist": honoured("built where no wheel fits"),
        "archive": honoured("installed as by its URL or path"),
        "directory": honoured("installed as by its path, also `editable`"),
        "vcs": honoured("git at its commit; other systems are refused"),
        "dependencies": describes("what the project needs has entries of its own"),
        "attestation-identities": describes("who published it; a policy has the attestations of the index verified"),
        "tool": describes("of the tool that wrote the lock"),
    },
)

_FORMAT = "lock by PEP 751"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z", re.ASCII)
_MEMBERSHIP = re.compile(r"""(["'])([^"']*)\1\s+(not\s+in|in)\s+(extras|dependency_groups)\b""")
_ALWAYS, _NEVER = 'python_version >= "0"', 'python_version < "0"'


def read_pylock(path: Path, document: Mapping[str, object], chosen: Chosen) -> Lock:
    """Read a pylock.toml.

    :param chosen: its `extras`; its `groups`, without any the lock's default groups.

    Raises `UnsafeInputError` (`lock-invalid`) where the lock is not what PEP 751 says or lacks a sha256, `UsageError`
    (`requirement-file`) where it locks what bridge does not install, or lacks an extra or a group.
    """
    warnings: list[str] = []
    try:
        lock = Pylock.from_dict(document)
    except PylockValidationError as error:
        raise invalid(path, _FORMAT, str(error)) from error
    TOP.check(Field(document, path), warnings)
    packages = document.get("packages")
    for place, package in enumerate(packages if isinstance(packages, list) else ()):
        PACKAGE.check(Field(package, path, f"packages[{place}]"), warnings)
    _check_known(path, "extras", chosen.extras, lock.extras)
    _check_known(path, "dependency-groups", chosen.groups, lock.dependency_groups)
    taken = {
        "extras": frozenset(chosen.extras),
        "dependency_groups": frozenset(chosen.groups or lock.default_groups or ()),
    }
    locked = tuple(
        each for place, package in enumerate(lock.packages) for each in _Reading(path, place, package).found(taken)
    )
    environment = LockedEnvironment(
        indexes=tuple(dict.fromkeys(each.index for each in locked if each.index)),
        packages=Lazily({subdir: partial(tuple[Locked, ...], locked) for subdir in SUBDIRS}),
        requires_python=str(lock.requires_python) if lock.requires_python is not None else None,
        markers=tuple(map(str, lock.environments or ())),
        extras=tuple(lock.extras or ()),
        groups=tuple(lock.dependency_groups or ()),
    )
    return Lock(
        path=path,
        format="pylock",
        version=str(lock.lock_version),
        environments=(environment,),
        warnings=tuple(dict.fromkeys(re.sub(r"packages\[\d+\]", "packages", each) for each in warnings)),
    )


def _check_known(path: Path, field_name: str, asked: Iterable[str], known: Sequence[str] | None) -> None:
    for name in asked:
        if name not in (known or ()):
            context = (f"{field_name}: {', '.join(known or ()) or 'none'}",)
            raise wrong(path, field_name, f"the lock was made without {name!r}", context=context)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The reading of one package."""

    path: Path
    place: int
    package: Package

    def found(self, taken: Mapping[str, frozenset[str]]) -> list[LockedWheel | LockedSource]:
        """Return its artifacts; none of a package that belongs to an extra or a group that was not chosen."""
        marker = _settled(str(self.package.marker), taken) if self.package.marker is not None else ""
        if marker == _NEVER:
            return []
        if self.package.vcs is not None:
            return [self._git(marker)]
        if self.package.directory is not None:
            return [self._directory(marker)]
        files = [self._wheel(each, marker, is_direct=False) for each in self.package.wheels or ()]
        if self.package.archive is not None:
            return [self._archive(self.package.archive, marker)]
        sdists = [self._source(each, "sdist", marker) for each in (self.package.sdist,) if each is not None]
        return [*files, *sdists]

    @property
    def _where(self) -> str:
        return f"packages[{self.place}] ({self.package.name})"

    @property
    def _requires_python(self) -> str | None:
        return str(self.package.requires_python) if self.package.requires_python is not None else None

    def _invalid(self, problem: str) -> UnsafeInputError:
        return invalid(self.path, _FORMAT, f"{self._where}: {problem}")

    def _wheel(self, file: PackageWheel | PackageArchive, marker: str, *, is_direct: bool) -> LockedWheel:
        name = _name(file)
        check_wheel(name, self.package.name, str(self.package.version or ""), self.path)
        return LockedWheel(
            name=self.package.name,
            version=str(parse_wheel_filename(name)[1]),
            url=self._url(file),
            filename=name,
            sha256=self._sha256(file),
            md5=file.hashes.get("md5"),
            size=file.size,
            index="" if is_direct else self.package.index or "",
            is_direct=is_direct,
            requires_python=self._requires_python,
            upload_time=milliseconds(file.upload_time),
            marker=marker,
        )

    def _archive(self, archive: PackageArchive, marker: str) -> LockedWheel | LockedSource:
        if _name(archive).endswith(".whl"):
            return self._wheel(archive, marker, is_direct=True)
        return self._source(archive, "archive", marker)

    def _source(
        self, file: PackageSdist | PackageArchive, kind: Literal["sdist", "archive"], marker: str
    ) -> LockedSource:
        name, version = _name(file), str(self.package.version or "")
        try:
            project, stated = parse_sdist_filename(name)
        except ValueError as error:
            if kind == "sdist" or not name.endswith(ARCHIVES):  # an archive may have any name
                raise self._invalid(str(error)) from error
        else:
            version = str(stated)
            if project != self.package.name:
                raise self._invalid(f"{name} is a file of {project}")
        subdirectory = (file.subdirectory or "") if isinstance(file, PackageArchive) else ""
        return LockedSource(
            name=self.package.name,
            version=version,
            kind=kind,
            url=with_fragment(self._url(file), subdirectory),
            path=file.path or "",
            filename=name,
            sha256=self._sha256(file),
            md5=file.hashes.get("md5"),
            size=file.size,
            index=(self.package.index or "") if kind == "sdist" else "",
            requires_python=self._requires_python,
            upload_time=milliseconds(file.upload_time),
            marker=marker,
        )

    def _sha256(self, file: PackageWheel | PackageSdist | PackageArchive) -> str:
        sha256 = file.hashes.get("sha256", "")
        if not _SHA256.match(sha256):
            raise self._invalid(f"{_name(file)} has no sha256")
        return sha256.lower()

    def _url(self, file: PackageWheel | PackageSdist | PackageArchive) -> str:
        return place_url(file.url or file.path or "", self.path)

    def _directory(self, marker: str) -> LockedSource:
        directory = self.package.directory
        assert directory is not None
        return LockedSource(
            name=self.package.name,
            version=str(self.package.version or ""),
            kind="directory",
            url=with_fragment(path_url(directory.path, self.path), directory.subdirectory or ""),
            path=directory.path,
            is_editable=bool(directory.editable),
            requires_python=self._requires_python,
            marker=marker,
        )

    def _git(self, marker: str) -> LockedSource:
        vcs = self.package.vcs
        assert vcs is not None
        if vcs.type != "git":
            hint = "build a wheel of it, and lock that"
            raise wrong(self.path, self._where, f"bridge reads git repositories, and none of {vcs.type}", hint=hint)
        if not COMMIT.match(vcs.commit_id):
            raise self._invalid(f"{vcs.commit_id!r} is not a commit of git")
        url = git_url(vcs.url or vcs.path or "", vcs.commit_id, vcs.subdirectory or "", self.path)
        return LockedSource(
            name=self.package.name,
            version=str(self.package.version or ""),
            kind="git",
            url=url,
            revision=vcs.commit_id,
            reference=vcs.requested_revision or "",
            requires_python=self._requires_python,
            marker=marker,
        )


def _name(source: PackageWheel | PackageSdist | PackageArchive) -> str:
    if isinstance(source, PackageArchive):
        return Path(source.path).name if source.path else file_name(source.url or "")
    return source.filename


def _settled(marker: str, chosen: Mapping[str, frozenset[str]]) -> str:
    """A lock's marker as a PEP 508 one: what it says of extras and groups is settled, and becomes always or never."""

    def settle(match: re.Match[str]) -> str:
        is_in = match[2] in chosen[match[4]]
        return _ALWAYS if is_in == (match[3] == "in") else _NEVER

    return _MEMBERSHIP.sub(settle, marker)
