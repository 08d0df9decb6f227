"""Recover packages whose conda-meta record is unreadable, from the channels.

The record's file name gives NAME-VERSION-BUILD, and the environment's channels most likely still have that package. Its
archive lists its paths, so it can be reinstalled like any damaged package.
"""

from __future__ import annotations

import shlex

from bridge.archive.conda import check_conda
from bridge.audit.finding import Report, is_fixable
from bridge.errors import BridgeError, NetworkError, UsageError
from bridge.install.attesting import refuse_again
from bridge.install.fetching import fetch_archive
from bridge.install.manifest import conda_paths
from bridge.install.sources import Sources
from bridge.model import Installed, PrefixState
from bridge.paths import META
from bridge.prefix.claims import unmanaged
from bridge.prefix.strays import named_package
from bridge.requirements.names import name_of
from converters.errors import IntegrityError, UnsafeInputError
from converters.projects import canonicalize_name
from converters.record import Record
from converters.target import Python

__all__ = ["damaged_records", "recover_records"]

_Named = tuple[str, str, str]


def damaged_records(state: PrefixState, report: Report) -> dict[str, _Named]:
    """Return the unreadable records: path → (name, version, build)."""
    read = {each.meta_path for each in state.installed}
    damaged = {}
    for finding in report.findings:
        directory, _, name = (finding.path or "").rpartition("/")
        named = named_package(name)
        if finding.id == "broken-record" and directory == META and named is not None and is_fixable(finding):
            damaged[f"{META}/{name}"] = named
    return {path: named for path, named in damaged.items() if path not in read}


def recover_records(
    state: PrefixState, report: Report, sources: Sources
) -> tuple[tuple[Installed, ...], dict[str, BridgeError]]:
    """Return the packages of damaged records as their channel has them, and path → why another is not available.

    Wheels are skipped: `bridge adopt` rewrites their record from the dist-info.
    """
    recovered: list[Installed] = []
    lost: dict[str, BridgeError] = {}
    for path, named in damaged_records(state, report).items():
        installers = _installers(state, named)
        if "bridge" in installers:
            continue
        try:
            record = _in_channels(named, sources)
            if record is not None:
                refuse_again(record, sources)
                recovered.append(_installed(state, path, record, sources))
        except (NetworkError, IntegrityError, UnsafeInputError) as error:
            lost[path] = error
            continue
        if record is None and not installers:
            lost[path] = UsageError(
                "no-origin",
                f"{path} is unreadable, and no channel has {'-'.join(named)} to reinstall it",
                hint="name its channel with --channel; or give up the package, so that no package owns its files: "
                f"rm {shlex.quote(str(state.prefix / path))}",
            )
    return tuple(recovered), lost


def _in_channels(named: _Named, sources: Sources) -> Record | None:
    identity = "-".join(named)
    return next((each for each in sources.channels.records(named[0]) if each.identity == identity), None)


def _installed(state: PrefixState, path: str, record: Record, sources: Sources) -> Installed:
    manifest = check_conda(fetch_archive(record, sources), filename=record.filename)
    is_python = record.name == "python"
    python = Python(version=record.version) if is_python and state.python is None else state.python
    entries = conda_paths(manifest, python, site_packages=state.site_packages, layout=state.layout)
    is_needed = any(record.name == name_of(text) for each in state.installed for text in each.record.requirements)
    # The request is lost. Without one, a package that nothing needs would go with the next removal.
    return Installed(record=record, meta_path=path, entries=entries, requested=() if is_needed else (record.name,))


def _installers(state: PrefixState, named: _Named) -> set[str]:
    """Return the installers of dist-infos of this project and version that no record covers."""
    name, version, _ = named
    return {
        (each.installer or "unknown").lower()
        for each in unmanaged(state)
        if canonicalize_name(each.name) == canonicalize_name(name) and each.version == version
    }
