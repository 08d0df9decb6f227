"""An installed environment as a lock, from its records. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

from bridge.errors import UsageError
from bridge.lock.content import Content
from bridge.lock.explicit import requirement_text
from bridge.lock.solution import locked
from bridge.lock.targets import assumed
from bridge.model import Distribution, Installed, PrefixState, Resolved
from bridge.prefix.claims import unmanaged
from bridge.prefix.entries import paths_of
from bridge.requirements.algebra import parse_pypi, split_binding
from bridge.requirements.displaced import displaced
from bridge.requirements.locked import Locked, LockedEnvironment, LockedSource, LockedWheel, SourceKind
from bridge.sdists.location import stated
from converters.deferred import replace
from converters.projects import canonicalize_name
from converters.record import Record
from converters.target import Target

__all__ = ["asked_for", "environment_of"]

_DIST_INFO = re.compile(r"([^/]+/)*[^/]+\.(?:dist|egg)-info(?=/)")


def environment_of(
    state: PrefixState,
    target: Target,
    *,
    channels: Iterable[str],
    variables: Mapping[str, str] | None = None,
) -> tuple[Content, tuple[str, ...]]:
    """Return an environment as a lock for its platform, and what has no record of its origin, one sentence each.

    A distribution of another installer is named with its version, or by the URL of its direct_url.json (PEP 610).

    :param channels: URLs, highest priority first.
    """
    gone = {each.meta_path for each in displaced(state)}
    by_path = {each.path: each for each in state.distributions}
    packages: list[Locked] = []
    for installed in state.installed:
        if installed.meta_path not in gone:
            direct = any(each.direct_url is not None for each in _own(installed, by_path))
            packages.append(_package(installed, is_direct=direct))
    known = {each.name for each in packages}
    known |= {name for each in state.installed if each.meta_path not in gone for name in each.record.pypi_names}
    lacking = []
    for distribution in unmanaged(state):
        name = canonicalize_name(distribution.name)
        if name in known or not distribution.version:
            continue
        known.add(name)
        foreign = _foreign(distribution, name)
        packages.append(foreign)
        if not foreign.sha256 and not (isinstance(foreign, LockedSource) and foreign.kind != "archive"):
            by = distribution.installer or "another installer"
            lacking.append(f"the file of {name} {distribution.version}, which {by} installed without a record of it")
    environment = LockedEnvironment(
        channels=tuple(channels),
        indexes=tuple(dict.fromkeys(each.index for each in packages if isinstance(each, _PYPI) and each.index)),
        packages={target.subdir: tuple(sorted(packages, key=lambda each: each.name))},
        virtual_packages={target.subdir: assumed(target)},
    )
    content = Content(environments=(environment,), name=state.prefix.name, variables=variables or {})
    return content, tuple(lacking)


_PYPI = (LockedWheel, LockedSource)


def _own(installed: Installed, by_path: Mapping[str, Distribution]) -> list[Distribution]:
    if installed.record.ecosystem != "wheel":
        return []
    folders = {match[0] for path in paths_of(installed.entries) if (match := _DIST_INFO.match(path)) is not None}
    return [by_path[folder] for folder in folders if folder in by_path]


def _package(installed: Installed, *, is_direct: bool) -> Locked:
    resolved = Resolved(record=installed.record, requested=installed.requested, extras=_extras(installed))
    return locked(resolved, direct=is_direct)


def _extras(installed: Installed) -> tuple[str, ...]:
    """Return the extras that the requests of a wheel name."""
    extras: dict[str, None] = {}
    for text in installed.requested if installed.record.ecosystem == "wheel" else ():
        with suppress(UsageError):
            extras |= dict.fromkeys(parse_pypi(split_binding(text.strip())[1]).extras)
    return tuple(sorted(extras))


def _foreign(distribution: Distribution, name: str) -> LockedWheel | LockedSource:
    """Return what direct_url.json says of a distribution without a record, else its version."""
    direct_url = distribution.direct_url or {}
    url = direct_url.get("url")
    if not isinstance(url, str):
        return _wheel(distribution, name, "", "")
    vcs, folder, archive = direct_url.get("vcs_info"), direct_url.get("dir_info"), direct_url.get("archive_info")
    source = stated(direct_url, pins=True) or ""
    if isinstance(vcs, dict):
        commit, asked = str(vcs.get("commit_id") or ""), vcs.get("requested_revision")
        made = _source(distribution, name, "git", source)
        return replace(made, revision=commit, reference=asked if isinstance(asked, str) else "")
    if isinstance(folder, dict):
        is_editable = folder.get("editable") is True
        return replace(_source(distribution, name, "directory", source), is_editable=is_editable)
    hashes = archive.get("hashes") if isinstance(archive, dict) else None
    sha256 = hashes.get("sha256") if isinstance(hashes, dict) else None
    if url.endswith(".whl"):
        return _wheel(distribution, name, url, str(sha256 or ""))
    below = direct_url.get("subdirectory")
    fragment = f"#subdirectory={below}" if isinstance(below, str) and below else ""
    made = _source(distribution, name, "archive", f"{url}{fragment}")
    return replace(made, filename=url.rpartition("/")[2], sha256=str(sha256) if sha256 else None)


def _wheel(distribution: Distribution, name: str, url: str, sha256: str) -> LockedWheel:
    return LockedWheel(
        name=name,
        version=distribution.version,
        url=url,
        filename=url.rpartition("/")[2],
        sha256=sha256,
        is_direct=bool(url),
        requires_dist=distribution.requires_dist,
        requires_python=distribution.requires_python,
    )


def _source(distribution: Distribution, name: str, kind: SourceKind, url: str) -> LockedSource:
    return LockedSource(
        name=name,
        version=distribution.version,
        kind=kind,
        url=url,
        requires_dist=distribution.requires_dist,
        requires_python=distribution.requires_python,
    )


def asked_for(state: PrefixState) -> tuple[list[str], list[str]]:
    """Return what was asked for (`--from-history`): MatchSpecs, and the lines of pip's half."""
    conda: list[str] = []
    pip: list[str] = []
    gone = {each.meta_path for each in displaced(state)}
    for installed in sorted(state.installed, key=lambda each: each.record.name):
        if installed.meta_path in gone:
            continue
        for text in installed.requested:
            (conda if installed.record.ecosystem == "conda" else pip).append(_plain(text, installed.record))
    for distribution in unmanaged(state):
        if distribution.requested or distribution.direct_url is not None:
            foreign = _foreign(distribution, canonicalize_name(distribution.name))
            pip.append(requirement_text(foreign))
    return list(dict.fromkeys(conda)), list(dict.fromkeys(pip))


def _plain(text: str, record: Record) -> str:
    """Return a request without the prefix of its ecosystem; one by URL or path with the project's name."""
    bare = split_binding(text.strip())[1]
    if record.ecosystem == "wheel" and bare.startswith(("./", "../", "/", "~", "file:", "http:", "https:", "git+")):
        name = record.pypi_names[0] if record.pypi_names else record.name
        return f"{name} @ {record.url}"
    return bare
