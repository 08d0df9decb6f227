"""Packages whose conda-meta record cannot be read, found again: by the name of the file, in the channels.

The name of a record says which package it was (NAME-VERSION-BUILD), and the channels of the environment's other
packages most likely still have it. What it brought is known of its archive, so it can be installed again like any
damaged one.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from bridge.archive.conda import check_conda
from bridge.audit.finding import Report, is_fixable
from bridge.errors import UsageError
from bridge.install.fetching import fetch_archive
from bridge.install.manifest import conda_paths
from bridge.install.sources import Sources
from bridge.model import Installed, PrefixState
from bridge.paths import META
from bridge.prefix.claims import unmanaged
from bridge.prefix.strays import named_package
from bridge.requirements.names import name_of
from converters.record import Record
from converters.target import Python

__all__ = ["damaged_records", "found_again"]

_Named = tuple[str, str, str]


def damaged_records(state: PrefixState, report: Report) -> dict[str, _Named]:
    """The records that cannot be read: path → name, version and build of the package."""
    read = {each.meta_path for each in state.installed}
    found = {}
    for finding in report.findings:
        directory, _, name = (finding.path or "").rpartition("/")
        named = named_package(name)
        if finding.id == "broken-record" and directory == META and named is not None and is_fixable(finding):
            found[f"{META}/{name}"] = named
    return {path: named for path, named in found.items() if path not in read}


def found_again(state: PrefixState, report: Report, sources: Sources) -> Iterator[Installed]:
    """The packages of damaged records as their channel has them.

    A wheel is left out: its dist-info says what its record said, and `bridge adopt` writes it anew. Raises `UsageError`
    (`no-origin`) where no channel has the package, and what fetching its archive raises.
    """
    for path, named in damaged_records(state, report).items():
        installers = _installers(state, named)
        if "bridge" in installers:
            continue
        record = _in_channels(named, sources)
        if record is not None:
            yield _installed(state, path, record, sources)
        elif not installers:
            raise UsageError(
                "no-origin",
                f"{path} cannot be read, and no channel has {'-'.join(named)} to install it again",
                hint="name the channel it came from with --channel; or give the package up, and its files belong to "
                f"nobody: rm {shlex.quote(str(state.prefix / path))}",
            )


def _in_channels(named: _Named, sources: Sources) -> Record | None:
    identity = "-".join(named)
    return next((each for each in sources.channels.records(named[0]) if each.identity == identity), None)


def _installed(state: PrefixState, path: str, record: Record, sources: Sources) -> Installed:
    manifest = check_conda(fetch_archive(record, sources), filename=record.filename)
    is_python = record.name == "python"
    python = Python(version=record.version) if is_python and state.python is None else state.python
    entries = conda_paths(manifest, python, site_packages=state.site_packages)
    is_needed = any(record.name == name_of(text) for each in state.installed for text in each.record.requirements)
    # Nobody knows any more whether it was asked for; what nothing needs must not go with the next removal.
    return Installed(record=record, meta_path=path, entries=entries, requested=() if is_needed else (record.name,))


def _installers(state: PrefixState, named: _Named) -> set[str]:
    """Who placed dist-infos of this project and version that no record covers."""
    name, version, _ = named
    return {
        (each.installer or "unknown").lower()
        for each in unmanaged(state)
        if canonicalize_name(each.name) == canonicalize_name(name) and each.version == version
    }
