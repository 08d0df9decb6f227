"""A lock as the request of a solve: each package as a requirement that only the locked artifact meets.

The solve finds no other versions; it checks that what is locked fits together, the machine and what is asked for
besides, and says who disagrees where something does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bridge.errors import UsageError
from bridge.model import IndexFile
from bridge.requirements.algebra import Requirement, conda_requirement, parse_pypi
from bridge.requirements.files.locks.direct import is_sdist
from bridge.requirements.files.values import FileRequirements, unique, wrong
from bridge.requirements.locked import Lock, Locked, LockedConda, LockedEnvironment, LockedSource, LockedWheel

__all__ = ["asked_by"]


def asked_by(lock: Lock, environment: LockedEnvironment, subdir: str) -> FileRequirements:
    """Return what an environment of a lock asks for on a platform.

    Raises `UsageError` (`lock-platform`; `requirement-file` for an entry that is no requirement), and what reading the
    platform's packages raises.
    """
    packages = environment.on(subdir, lock.path)
    files: dict[str, list[IndexFile]] = {}
    hashes: dict[str, set[str]] = {}
    for each in packages:
        if isinstance(each, LockedConda):
            continue
        names = files.setdefault(each.name, [])  # of a folder or a commit none: no index is asked for the project
        if each.sha256 is not None:
            hashes.setdefault(each.name, set()).add(each.sha256)
            names += [_file(each)] if is_sdist(each.filename) or each.filename.endswith(".whl") else []
    return FileRequirements(
        requirements=unique(_requirements(packages, lock.path)),
        channels=environment.channels,
        extra_index_urls=environment.indexes,
        find_links=environment.find_links,
        hashes={name: frozenset(digests) for name, digests in hashes.items()},
        files={name: tuple(names) for name, names in files.items()},
        records=tuple(each for each in packages if isinstance(each, LockedConda)),
        unhashed=frozenset(each.name for each in packages if isinstance(each, LockedSource) and each.sha256 is None),
        require_hashes=True,
        lock=lock.path,
        requires_python=environment.requires_python,
        environments=environment.markers,
        warnings=lock.warnings,
    )


def _requirements(packages: Iterable[Locked], path: Path) -> Iterable[Requirement]:
    for each in packages:
        try:
            yield conda_requirement(_conda_text(each)) if isinstance(each, LockedConda) else parse_pypi(_text(each))
        except UsageError as error:
            raise wrong(path, each.name, error.message, context=error.context, hint=error.hint) from error


def _conda_text(each: LockedConda) -> str:
    digest = each.record.sha256 or each.record.md5
    return f"{each.record.url}#{digest}" if digest else each.record.url


def _text(each: LockedWheel | LockedSource) -> str:
    marker = f" ; {each.marker}" if each.marker else ""
    name = f"{each.name}[{','.join(each.extras)}]" if each.extras else each.name
    if not _has_url(each):
        return f"pypi:{name}=={each.version}{marker}"
    url = each.url
    if each.sha256 is not None:
        url += f"{'&' if '#' in url else '#'}sha256={each.sha256}"
    editable = "-e " if isinstance(each, LockedSource) and each.is_editable else ""
    return f"{editable}{name} @ {url}{marker}"


def _has_url(each: LockedWheel | LockedSource) -> bool:
    """Whether it is asked for by its URL, and not as a version of a project."""
    return each.is_direct if isinstance(each, LockedWheel) else each.kind != "sdist"


def _file(each: LockedWheel | LockedSource) -> IndexFile:
    return IndexFile(
        project=each.name,
        filename=each.filename,
        version=each.version,
        url=each.url,
        origin=each.index or each.url.rpartition("/")[0],
        sha256=each.sha256,
        size=each.size,
        requires_python=each.requires_python,
        upload_time=each.upload_time,
    )
