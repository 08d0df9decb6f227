"""`bridge adopt`: record distributions that pip installed on its own, in one transaction, without changing their files.

A distribution must be complete: every path of its RECORD with the recorded content. If an index serves a wheel of that
version with the same content, the record names it as the source; else the record has the URL of direct_url.json (PEP
610) or of the dist-info, without hash.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from bridge import __version__
from bridge import prefix as prefixes
from bridge.archive.wheels import check_wheel
from bridge.cache.blobs import sha256_of
from bridge.errors import BridgeError, OwnershipError, UsageError
from bridge.install.applied import AppliedPlan
from bridge.install.attesting import ruled_plan
from bridge.install.manifest import GENERATED, wheel_members
from bridge.install.ownership import judge
from bridge.install.provenance import meta_path
from bridge.install.sources import Sources, command_line
from bridge.install.staging import StageInputs
from bridge.install.staging.adopted import stage_adopted
from bridge.install.staging.cache_links import content_fingerprint
from bridge.model import (
    EGGS,
    Change,
    Distribution,
    Entry,
    Fingerprint,
    IndexFile,
    Install,
    Installed,
    Plan,
    PrefixState,
    Resolved,
)
from bridge.paths import quoted
from bridge.prefix.claims import ClaimTable, bytecode_source, claims_of, incoming, is_bytecode, unmanaged
from bridge.requirements.displaced import displaced, projects_of
from bridge.sdists.location import EDITABLE, stated
from bridge.transaction import commit
from bridge.transaction.journal import now
from converters.deferred import dataclass, replace
from converters.errors import UnsafeInputError
from converters.metadata import CoreMetadata
from converters.projects import canonicalize_name
from converters.record import Record
from converters.translate import translate
from converters.wheel import WheelInfo, parse_wheel_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.resolve.ports import RunPort

__all__ = ["adopt"]

_SHOWN = 5  # paths of one distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adoptable:
    """A distribution that can be adopted, with the current content of its paths."""

    distribution: Distribution
    entries: tuple[Entry, ...]


def adopt(
    prefix: Path,
    names: Sequence[str],
    session: RunPort,
    sources_of: Callable[[PrefixState], Sources],
    *,
    is_dry_run: bool = False,
) -> AppliedPlan:
    """Adopt the distributions of these projects; without names all, with a warning for those that cannot be adopted.

    Raises `UsageError` (`not-unmanaged`) for a project that pip did not install; `OwnershipError` (`not-adoptable`) if
    a named one, or every one, cannot be adopted; and what a transaction raises. Nothing is changed then.
    """
    started = time.perf_counter()
    if is_dry_run:
        state = prefixes.require(prefix)
        return AppliedPlan(plan=_plan(state, names, session, sources_of(state))[0])
    settings = session.settings
    with commit.change(prefix, lock_timeout=settings.lock_timeout, durability=settings.durability) as running:
        state = prefixes.require(prefix)
        sources = sources_of(state)
        plan, whole = _plan(state, names, session, sources)
        if plan.is_empty:
            return AppliedPlan(plan=plan, seconds=time.perf_counter() - started)
        distributions = {identity: each.distribution for identity, each in whole.items()}
        staged = stage_adopted(_inputs(state, plan, whole, sources), running.staging, distributions)
        running.commit(staged.changes, plan={"command": command_line()})
    return AppliedPlan(plan=plan, staged=staged, seconds=time.perf_counter() - started)


def _plan(
    state: PrefixState, names: Sequence[str], session: RunPort, sources: Sources
) -> tuple[Plan, dict[str, _Adoptable]]:
    """Return the plan that writes the records, and the distribution of each record's identity."""
    adoptable: list[_Adoptable] = []
    problems: list[str] = []
    wanted = _wanted(state, names)
    owned = claims_of(state).by_path
    for distribution in wanted:
        wrong, entries = _examine(state.prefix, distribution)
        wrong = wrong or list(_owned_by_others(state, distribution, entries, owned))[:_SHOWN]
        if wrong:
            problems += [f"{distribution.name} {distribution.version}: {text}" for text in wrong]
        else:
            adoptable.append(_Adoptable(distribution=distribution, entries=entries))
    if problems and (names or not adoptable):
        raise OwnershipError(
            "not-adoptable",
            f"an incomplete distribution cannot be adopted: {problems[0]}",
            context=problems[1:],
            hint=f"reinstall it with pip, which removes the egg: "
            f"{quote(str(state.interpreter))} -m pip install --force-reinstall {wanted[0].name}"
            if wanted[0].path.endswith(EGGS)
            else f"reinstall it with pip, or remove it: bridge remove -p {quoted(state.prefix)} {wanted[0].name}",
        )
    session.warnings += [f"not adopted: {problem}" for problem in problems]
    target = session.target if state.python is None else session.target.with_python(state.python)
    steps: list[Install | Change] = []
    whole: dict[str, _Adoptable] = {}
    replaced: set[str] = set()
    for each in adoptable:
        record = _record(each, state, sources)
        requested = (_request(each.distribution),) if each.distribution.requested else ()
        new = Resolved(record=record, requested=requested)
        old = _superseded(state, each.distribution)
        replaced |= {old.meta_path} if old is not None else set()
        steps.append(Install(new=new) if old is None else Change(old=old, new=new))
        whole[record.identity] = each
    keep = tuple(installed for installed in state.installed if installed.meta_path not in replaced)
    plan = Plan(prefix=state.prefix, target=target, operations=tuple(steps), keep=keep, python=state.python)
    return ruled_plan(plan, sources), whole


def _wanted(state: PrefixState, names: Sequence[str]) -> tuple[Distribution, ...]:
    there = unmanaged(state)
    if not names:
        return there
    by_name = {each.name: each for each in there}
    unknown = [name for name in names if canonicalize_name(name) not in by_name]
    if unknown:
        known = ", ".join(sorted(by_name)) or "bridge installed every distribution there"
        raise UsageError(
            "not-unmanaged",
            f"{unknown[0]} is not a distribution that another tool installed in {state.prefix}",
            hint=f"one of: {known}" if by_name else known,
        )
    return tuple(by_name[name] for name in dict.fromkeys(map(canonicalize_name, names)))


def _examine(prefix: Path, distribution: Distribution) -> tuple[list[str], tuple[Entry, ...]]:
    """Return what prevents a distribution from being adopted, and its entries. Its bytecode may be missing."""
    if distribution.entries is None or not distribution.path.endswith(".dist-info"):
        return ["it has no RECORD, so its files are unknown"], ()
    missing, changed, links, entries = [], [], [], []
    for entry in distribution.entries:
        current = content_fingerprint(prefix, entry.path)
        if current is None:
            if not is_bytecode(entry.path):
                missing.append(entry.path)
        elif current.kind == "symlink" and entry.fingerprint.sha256 is not None:
            links.append(entry.path)
        elif current.kind == "file" and bytecode_source(entry.path) is not None:
            entries.append(Entry(path=entry.path, fingerprint=Fingerprint(kind="file")))  # python may write it anew
        elif current.kind == "directory" or entry.fingerprint.sha256 not in {None, current.sha256}:
            changed.append(entry.path)
        else:
            entries.append(Entry(path=entry.path, fingerprint=current))
    problems = [f"{path} is missing" for path in missing[:_SHOWN]]
    problems += [f"{path} was changed since it was installed" for path in changed[:_SHOWN]]
    problems += [f"{path} links to something other than a file" for path in links[:_SHOWN]]
    rest = len(missing) + len(changed) + len(links) - len(problems)
    return [*problems, f"{rest} more files"] if rest else problems, tuple(entries)


def _owned_by_others(
    state: PrefixState, distribution: Distribution, entries: Iterable[Entry], owned: ClaimTable
) -> Iterator[str]:
    """Report paths where pip overwrote a file of another project's package."""
    old = _superseded(state, distribution)
    for entry in entries:
        for claim in owned.get(entry.path, ()):
            promised = claim.entry.fingerprint.sha256
            is_own = old is not None and claim.owner.label == old.record.label
            if claim.owner.is_managed and not is_own and promised not in {None, entry.fingerprint.sha256}:
                yield f"{entry.path} belongs to {claim.owner.label}"


def _superseded(state: PrefixState, distribution: Distribution) -> Installed | None:
    """Return the package of the same project that pip replaced, whose record is outdated."""
    for installed in state.installed:
        if distribution.name in installed.record.pypi_names[:1]:
            return installed
    # A record without purls identifies its project by the dist-info that it lists.
    return next((each for each in displaced(state) if projects_of(state, each) == {distribution.name}), None)


def _request(distribution: Distribution) -> str:
    """Return what was asked for: source code by its URL, as an index may have another project of its name."""
    url = stated(distribution.direct_url or {})
    if url is None:
        return f"pypi:{distribution.name}"
    plain = url.removesuffix(EDITABLE).rstrip("#&")
    return f"{distribution.name} @ {url}" if plain == url else f"-e {distribution.name} @ {plain}"


def _record(whole: _Adoptable, state: PrefixState, sources: Sources) -> Record:
    distribution = whole.distribution
    target = sources.session.target if state.python is None else sources.session.target.with_python(state.python)
    metadata = CoreMetadata(
        name=distribution.name,
        version=distribution.version,
        requires_python=distribution.requires_python,
        requires_dist=distribution.requires_dist,
        provides_extra=distribution.provides_extra,
    )
    direct_url = distribution.direct_url or {}
    direct = stated(direct_url) or direct_url.get("url")
    info = WheelInfo(
        filename=_wheel_name(distribution),
        metadata=metadata,
        url=direct if isinstance(direct, str) and "://" in direct else (state.prefix / distribution.path).as_uri(),
    )
    if distribution.direct_url is None:
        try:
            served = _served(whole, state, sources)
        except BridgeError as error:
            sources.session.warnings.append(f"the source of {distribution.name} is unknown: {error.message}")
            served = None
        if served is not None:
            info = replace(
                info,
                filename=served.filename,
                url=served.url,
                origin=served.origin,
                sha256=served.sha256,
                size=served.size,
            )
    vcs = direct_url.get("vcs_info")
    commit = vcs.get("commit_id") if isinstance(vcs, Mapping) else None
    return replace(translate(info, target, sources.names), revision=commit if isinstance(commit, str) else None)


def _wheel_name(distribution: Distribution) -> str:
    """Return the wheel's file name according to WHEEL (PEP 427: compressed tags)."""
    parts = [tag.split("-") for tag in distribution.tags or ("py3-none-any",)]
    tag = "-".join(".".join(sorted({part[place] for part in parts if len(part) == 3})) for place in range(3))
    stem = distribution.path.rpartition("/")[2].removesuffix(".dist-info")
    return f"{stem}-{tag}.whl"


def _served(whole: _Adoptable, state: PrefixState, sources: Sources) -> IndexFile | None:
    """Return the wheel on an index whose content equals the installed files."""
    settings = sources.session.settings
    if not settings.has_indexes:
        return None
    expected = parse_wheel_name(_wheel_name(whole.distribution))
    for file in sources.session.index.files(whole.distribution.name):
        if not file.is_wheel:
            continue
        try:
            named = parse_wheel_name(file.filename)
        except UnsafeInputError:
            continue
        if (named.version, named.tags) == (expected.version, expected.tags):
            path = sources.session.index.fetch(file, sources.session.progress)
            if _is_equal(path, file.filename, whole, state):
                return replace(file, sha256=file.sha256 or sha256_of(path), size=path.stat().st_size)
    return None


def _is_equal(archive: Path, filename: str, whole: _Adoptable, state: PrefixState) -> bool:
    if state.python is None:
        return False
    manifest = check_wheel(archive, filename=filename)
    installed = {entry.path: entry.fingerprint.sha256 for entry in whole.entries}
    site = whole.distribution.path.rpartition("/")[0]
    scripts = f"{state.layout.scripts}/"
    # The installer writes the first line of scripts, so only their path is compared.
    return all(
        path in installed and (path.startswith(scripts) or installed[path] == member.sha256)
        for member, path in wheel_members(manifest, state.python, site, state.layout)
    )


def _inputs(state: PrefixState, plan: Plan, whole: Mapping[str, _Adoptable], sources: Sources) -> StageInputs:
    predicted = {
        step.record.identity: tuple(_predicted(step.record, whole[step.record.identity])) for step in incoming(plan)
    }
    judgement = judge(state, plan, predicted, lambda path: content_fingerprint(state.prefix, path), adopt=True)
    return StageInputs(
        plan=plan,
        state=state,
        archives={},
        manifests={},
        predicted=predicted,
        judgement=judgement,
        names=sources.names,
        cache=sources.session.settings.cache_dir,
        command=command_line(),
        when=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now())),
        version=__version__,
    )


def _predicted(record: Record, whole: _Adoptable) -> Iterator[Entry]:
    """Yield the paths of the package; files that are rewritten have no hash."""
    written = {f"{whole.distribution.path}/{name}" for name in GENERATED}
    for entry in whole.entries:
        is_written = entry.path in written
        yield replace(entry, fingerprint=Fingerprint(kind=entry.fingerprint.kind)) if is_written else entry
    yield Entry(path=meta_path(record), fingerprint=Fingerprint(kind="file"))
