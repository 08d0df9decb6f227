"""Lists that lock what they name: explicit lists of URLs, and pip's requirements with versions and hashes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from bridge.errors import UsageError
from bridge.fetch.urls import file_name
from bridge.model import IndexFile
from bridge.paths import quoted
from bridge.prefix.origin import place_of
from bridge.requirements.algebra import Requirement
from bridge.requirements.files.locks.direct import COMMIT
from bridge.requirements.files.values import FileRequirements
from bridge.requirements.locked import Lock, Locked, LockedConda, LockedEnvironment, LockedSource, LockedWheel
from bridge.sdists.location import SourceLocation, source_of
from bridge.secrets import masked
from converters.deferred import replace
from converters.record import conda_record

__all__ = ["lock_of_list"]

_PACKAGE = re.compile(r"(?P<name>[^/]+)-(?P<version>[^-/]+)-(?P<build>[^-/]+)(?:\.tar\.bz2|\.conda)\Z")
_SHA256 = re.compile(r"sha256[=:]([0-9a-f]{64})\Z")


class IndexPort(Protocol):
    """What a list without URLs needs of `bridge.index.Index`."""

    def files(self, project: str) -> Sequence[IndexFile]: ...

    def hash_of(self, file: IndexFile) -> str: ...


def lock_of_list(path: Path, listed: FileRequirements, subdir: str, index: Callable[[], IndexPort]) -> Lock:
    """Return the lock that a list is.

    :param listed: its requirements have names.
    :param index: called and asked for projects that are named without a URL.

    Raises `UsageError` (`not-a-lock`) for an entry that names neither an archive by its hash, a repository by its
    commit, nor a folder.
    """
    packages: list[Locked] = []
    for each in listed.requirements:
        if each.conda is not None and each.conda.url is not None:
            packages.append(_conda(each, path, subdir))
        elif each.url is not None:
            packages.append(_by_url(each, listed, path))
        else:
            packages += _of_index(each, listed, path, index())
    environment = LockedEnvironment(
        channels=listed.channels,
        packages={subdir: tuple(packages)},
        requires_python=listed.requires_python,
        markers=listed.environments,
    )
    return Lock(path=path, format="explicit", environments=(environment,), warnings=listed.warnings)


def _conda(requirement: Requirement, path: Path, platform: str) -> LockedConda:
    facts = dict(requirement.conda.artifact) if requirement.conda is not None else {}
    url = facts["url"]
    matched = _PACKAGE.match(file_name(url))
    if matched is None or "sha256" not in facts:
        raise _no_lock(path, url, "it has no sha256 behind `#`")
    channel, subdir = place_of(url, platform)
    data = {
        **matched.groupdict(),
        "url": url,
        "fn": file_name(url),
        "subdir": subdir,
        "channel": channel,
        "sha256": facts["sha256"].lower(),
    }
    return LockedConda(record=conda_record(data), is_complete=False)


def _by_url(requirement: Requirement, listed: FileRequirements, path: Path) -> LockedWheel | LockedSource:
    source = source_of(requirement.url or "")
    if source is not None and source.kind != "archive":
        return _tree(requirement, source, path)
    place, _, fragment = (requirement.url or "").partition("#")
    digest = next((match[1] for part in fragment.split("&") if (match := _SHA256.match(part))), None)
    hashes = listed.hashes.get(requirement.name, frozenset())
    if digest is None and len(hashes) == 1:  # `NAME @ URL --hash=sha256:…`
        (digest,) = hashes
    filename = file_name(place)
    if digest is None:
        raise _no_lock(path, requirement.text, "it has no sha256 behind `#`")
    marker = requirement.marker or ""
    common = {"name": requirement.name, "url": place, "filename": filename, "sha256": digest, "marker": marker}
    extras = tuple(sorted(requirement.extras))
    try:
        version = str(parse_wheel_filename(filename)[1])
    except InvalidWheelFilename:
        return LockedSource(kind="sdist", extras=extras, **common)  # type: ignore[arg-type]
    return LockedWheel(version=version, extras=extras, **common)  # type: ignore[arg-type]


def _tree(requirement: Requirement, source: SourceLocation, path: Path) -> LockedSource:
    """Return a repository at a commit, or a folder, which is installed as it is."""
    if source.kind == "git" and not COMMIT.match(source.reference):
        raise _no_lock(path, requirement.text, "it names no commit")
    return LockedSource(
        name=requirement.name,
        kind="git" if source.kind == "git" else "directory",
        url=requirement.url or "",
        revision=source.reference or None,
        reference=source.reference,
        is_editable=source.is_editable,
        extras=tuple(sorted(requirement.extras)),
        marker=requirement.marker or "",
    )


def _of_index(requirement: Requirement, listed: FileRequirements, path: Path, index: IndexPort) -> list[Locked]:
    """Return the files of a project that have the version and one of the hashes."""
    pinned = any(clause.startswith("==") for clause in (requirement.specifier or "").split(","))
    if requirement.kind != "pep508" and not pinned:
        raise _no_lock(path, requirement.text, "it names no archive")
    hashes = listed.hashes.get(requirement.name, frozenset())
    if not hashes or not pinned:
        raise _no_lock(path, requirement.text, "it has no --hash" if pinned else "it pins no version (==)")
    files = [each for each in _hashed(requirement, index) if each.sha256 in hashes]
    if not files:
        raise UsageError(
            "lock-file-gone",
            f"no index has a file of {masked(requirement.text)} with one of the hashes in {path}",
            hint="name an index that has it with --index-url, or a folder with --find-links; where an earlier index "
            "has the project without that file: --index-strategy best",
        )
    return [_file(each, requirement.marker or "") for each in files]


def _hashed(requirement: Requirement, index: IndexPort) -> Iterator[IndexFile]:
    """Yield the files of the pinned version; a folder states no hashes, so its files are hashed."""
    for each in index.files(requirement.name):
        if requirement.accepts(each.version):
            yield each if each.sha256 is not None else replace(each, sha256=index.hash_of(each))


def _file(file: IndexFile, marker: str) -> LockedWheel | LockedSource:
    common = {
        "name": file.project,
        "version": file.version,
        "url": file.url,
        "filename": file.filename,
        "size": file.size,
        "index": file.origin,
        "requires_python": file.requires_python,
        "upload_time": file.upload_time,
        "marker": marker,
    }
    if file.is_wheel:
        return LockedWheel(**common, sha256=file.sha256 or "")  # type: ignore[arg-type]
    return LockedSource(**common, kind="sdist", sha256=file.sha256)  # type: ignore[arg-type]


def _no_lock(path: Path, entry: str, problem: str) -> UsageError:
    return UsageError(
        "not-a-lock",
        f"{path} is not a lock: {masked(entry)[:200]}: {problem}",
        hint=f"solve it instead: bridge install -r {quoted(path)}",
    )
