"""Check before the first write that every archive of a plan can be had."""

from __future__ import annotations

from bridge.errors import BridgeError, IntegrityError, NetworkError, UnsafeInputError, UsageError, few
from bridge.fetch.urls import local_path
from bridge.install.checking import file_of
from bridge.install.fetching import fetch_archive
from bridge.install.sources import Sources
from bridge.model import Plan, Remove, Resolved
from bridge.prefix.claims import incoming
from bridge.sdists.location import source_of
from bridge.secrets import masked
from converters.deferred import replace
from converters.record import Record

__all__ = ["available"]

_SHOWN = 20
_GONE = frozenset({"hash-missing", "git-reference", "no-project", "host-changed"})
"""Errors of packages that cannot be verified or made again, or whose source code is gone."""


def available(plan: Plan, sources: Sources) -> Plan:
    """Fetch every archive of the plan; one that is gone is taken from another place that has the same file, and told.

    Raises `NetworkError` (`not-available`), which names every package that can no longer be had; else what fetching
    raises.
    """
    sources.session.warnings += _withdrawn(plan, sources)
    elsewhere: dict[str, Record] = {}
    missing: list[tuple[Record, BridgeError]] = []

    def bring(resolved: Resolved) -> None:
        record = resolved.record
        try:
            fetch_archive(record, sources)
            _check_source(record, sources)
        except (IntegrityError, NetworkError, UnsafeInputError, UsageError) as error:
            if not isinstance(error, NetworkError) and error.id not in _GONE:
                raise
            other = _elsewhere(record, sources)
            if other is None:
                missing.append((record, error))
            else:
                elsewhere[record.identity] = other

    sources.session.client.map(bring, incoming(plan))
    if missing:
        raise _not_available(sorted(missing, key=lambda item: item[0].name))
    for identity, other in sorted(elsewhere.items()):
        message = f"{identity} is no longer at its recorded URL; the same file is taken from {masked(other.url)}"
        sources.session.warnings.append(message)
    if not elsewhere:
        return plan
    operations = (
        step
        if isinstance(step, Remove) or step.new.record.identity not in elsewhere
        else replace(step, new=replace(step.new, record=elsewhere[step.new.record.identity]))
        for step in plan.operations
    )
    return replace(plan, operations=tuple(operations))


def _check_source(record: Record, sources: Sources) -> None:
    """Raise `NetworkError` (`source-changed`) if the source code in a folder is not what was installed from it."""
    source = source_of(record.url) if record.ecosystem == "wheel" else None
    if source is None or source.is_editable or record.revision is None:
        return
    if sources.session.index.revision(file_of(record)) != record.revision:
        raise NetworkError("source-changed", f"the source code has changed since: {masked(source.url)}")


def _withdrawn(plan: Plan, sources: Sources) -> list[str]:
    """Say which wheels were yanked when they were locked, and which of those that are to be downloaded their index has
    yanked since, or lists no more.

    An index is asked only where a download asks it anyway; `audit --online` asks for all.
    """
    session = sources.session
    wheels = [each.record for each in incoming(plan) if each.record.ecosystem == "wheel" and each.record.sha256]
    known = [
        f"{each.filename} was yanked already when it was locked{_because(each.yanked)}"
        for each in wheels
        if each.yanked is not None
    ]
    if session.settings.offline:
        return known
    wanted = [
        each
        for each in wheels
        if each.yanked is None
        and each.origin in session.settings.index_urls
        and local_path(each.url) is None
        and session.client.cached(each.sha256, each.filename) is None
    ]

    def state(record: Record) -> str | None:
        try:
            files = session.index.files(record.pypi_names[0])
        except BridgeError:
            return None  # who downloads it says why
        same = next((each for each in files if each.filename == record.filename), None)
        if same is None:
            return f"{record.filename} is in the lock, and its index no longer lists it"
        if same.yanked is None:
            return None
        return f"{record.filename} is in the lock, and was yanked{_because(same.yanked)}"

    return known + [withdrawn for withdrawn in session.client.map(state, wanted) if withdrawn is not None]


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _elsewhere(record: Record, sources: Sources) -> Record | None:
    """Return the same archive in a channel or an index of this run."""
    if record.sha256 is None or sources.session.settings.offline:
        return None
    try:
        if record.ecosystem == "conda":
            others = sources.channels.records(record.name)
            same = next((each for each in others if each.sha256 == record.sha256 and each.url != record.url), None)
            if same is None:
                return None
            other = replace(record, url=same.url, origin=same.origin, filename=same.filename)
        else:
            index = sources.session.index
            named = [each for each in index.files(record.pypi_names[0]) if each.filename == record.filename]
            file = next((each for each in named if index.hash_of(each) == record.sha256), None)
            if file is None:
                return None
            other = replace(record, url=file.url, origin=file.origin, yanked=file.yanked)
        fetch_archive(other, sources)
    except BridgeError:
        return None
    return other


def _not_available(missing: list[tuple[Record, BridgeError]]) -> NetworkError:
    names = [f"{record.name} {record.version}" for record, _ in missing]
    return NetworkError(
        "not-available",
        f"{'a package' if len(names) == 1 else f'{len(names)} packages'} can no longer be had: {few(names, _SHOWN)}",
        context=[f"{each.filename or each.identity}: {masked(error.message)}" for each, error in missing[:_SHOWN]],
        hint="give a folder that has them with --from DIR, or a channel or an index with -c or --find-links",
        objects={"packages": names},
    )
