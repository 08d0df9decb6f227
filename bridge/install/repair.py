"""`bridge audit --fix`: reinstall the packages with damaged files from the very artifacts they came from.

Remains of an interrupted pip are removed in the same transaction. Nothing is solved: the version stays, from the URL
and with the sha256 in its record. Files changed by a user are kept aside, as in every change.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from bridge import prefix as prefixes
from bridge.archive.wheels import check_wheel
from bridge.audit.finding import Finding, Report, is_fixable
from bridge.errors import BridgeError, NetworkError, UsageError
from bridge.fs import Tree
from bridge.install.attesting import refuse_again
from bridge.install.fetching import fetch_archive
from bridge.install.lost_records import damaged_records, recover_records
from bridge.install.relocation import RELOCATED, Relocation, look, relocate
from bridge.install.sources import Sources
from bridge.model import Installed, PathChange, Plan, PrefixState, Reinstall, Remove, Resolved
from bridge.paths import quoted
from bridge.sdists.location import source_of
from converters.deferred import dataclass, replace
from converters.errors import IntegrityError, UnsafeInputError
from converters.record import Record
from converters.target import Target
from converters.translate import translate
from converters.wheel import WheelInfo

__all__ = ["CLEARED", "Repair", "plan_repair", "with_returned"]

CLEARED = frozenset({"leftover", "distribution-without-metadata", "foreign-file"})
"""Findings about paths without an owner, repaired by removal."""

_GONE = (NetworkError, IntegrityError)  # an origin that is away, or has other bytes than were installed

_BYTECODE = "stale-bytecode"
_WHOLE = frozenset({"leftover", "foreign-file"})  # of the others, the parent directory is removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What `--fix` does: reinstall packages, rewrite files, remove paths without an owner.

    `state` is the prefix with the hashes of rewritten files.
    """

    state: PrefixState
    plan: Plan
    sources: Sources
    relocation: Relocation
    cleared: tuple[PathChange, ...]

    @property
    def gone(self) -> tuple[str, ...]:
        """The paths to remove."""
        return tuple(change.path for change in self.cleared)

    def stage(self, staging: Path) -> tuple[PathChange, ...]:
        """Return the changes besides those of the plan; new files are written into `staging`."""
        return (*self.relocation.stage(staging), *self.cleared)


def plan_repair(path: Path, report: Report, sources_of: Callable[[PrefixState], Sources]) -> Repair:
    """Rewrite files that name another prefix, and reinstall the owners of other damaged files.

    Fetches damaged wheels, whose records are made from METADATA, and packages with unreadable records, whose archives
    list their paths.

    Packages that are not available as they were installed are named in warnings, and do not stop the others. If nothing
    else can be repaired, raises what happened to one: `UsageError` (`no-origin`), `NetworkError` or `IntegrityError`;
    also `UnsafeInputError` (`prefix-too-long`) as `bridge.install.relocation`.
    """
    state = prefixes.require(path)
    sources = sources_of(state)
    fixable = [finding for finding in report.findings if is_fixable(finding)]
    duplicates = {each.path for each in fixable if each.id == "duplicate-record"}
    relocation, damaged = _relocated(state, fixable)
    state = relocation.state
    recovered, lost = recover_records(state, report, sources)
    unreadable = damaged_records(state, report)
    state = replace(
        state,
        installed=(*state.installed, *recovered),
        defects=tuple(defect for defect in state.defects if defect.path not in unreadable),
    )
    redundant = [each for each in state.installed if each.meta_path in duplicates]
    broken = [
        each
        for each in state.installed
        if each not in redundant and (each.record.label in damaged or each in recovered)
    ]
    target = sources.session.target
    if state.python is not None:
        target = target.with_python(state.python)
    available, unavailable = _available(broken, target, sources)
    unavailable |= lost
    operations: tuple[Reinstall | Remove, ...] = (
        *(Reinstall(old=old, new=new) for old, new in available),
        *(Remove(old=old) for old in redundant),
    )
    changed = {step.old.meta_path for step in operations}
    plan = Plan(
        prefix=path,
        target=target,
        operations=operations,
        keep=tuple(installed for installed in state.installed if installed.meta_path not in changed),
        python=state.python,
    )
    cleared = _leftovers(path, report, plan, lost)
    if unavailable and not (operations or cleared or relocation.files):
        raise next(iter(unavailable.values()))
    sources.session.warnings += [
        f"{name} is not repaired: {'; '.join(filter(None, (why.message, why.hint)))}"
        for name, why in unavailable.items()
    ]
    return Repair(state=state, plan=plan, sources=sources, relocation=relocation, cleared=cleared)


def with_returned(plan: Plan, bereft: Sequence[Installed], sources: Sources, *, is_dry_run: bool) -> Plan:
    """Return the plan with packages reinstalled that left a path to one that it removes (`bridge.prefix.yielded`).

    To remove packages needs no network: where an archive is not available, a warning names what will be missing.
    """
    target = plan.target if plan.python is None else plan.target.with_python(plan.python)
    if is_dry_run:  # which fetches nothing
        available = [(old, Resolved(record=old.record, requested=old.requested)) for old in bereft]
    else:
        available, unavailable = _available(bereft, target, sources)
        repair = f"bridge audit -p {quoted(plan.prefix)} --fix"
        sources.session.warnings += [
            f"files that {name} left to a removed package are missing now ({why.message}); to bring them back: {repair}"
            for name, why in unavailable.items()
        ]
    again = {old.meta_path for old, _ in available}
    return replace(
        plan,
        operations=(*plan.operations, *(Reinstall(old=old, new=new) for old, new in available)),
        keep=tuple(each for each in plan.keep if each.meta_path not in again),
    )


def _relocated(state: PrefixState, fixable: Sequence[Finding]) -> tuple[Relocation, set[str]]:
    """Return the files that can be rewritten without their archive, and the owners of all other damaged files."""
    foreign = [finding for finding in fixable if finding.id in RELOCATED]
    prefixes_in = look(state.prefix) if foreign else {}
    damaged = {
        each.owner or ""
        for each in fixable
        if each.id not in {"duplicate-record", _BYTECODE} and (each.id not in RELOCATED or each.path not in prefixes_in)
    }
    relocation = relocate(state, prefixes_in, without=damaged)
    if relocation.left:
        damaged |= {each.owner or "" for each in foreign if each.path in relocation.left}
        relocation = relocate(state, prefixes_in, without=damaged)
    return relocation, damaged


def _leftovers(path: Path, report: Report, plan: Plan, lost: Collection[str]) -> tuple[PathChange, ...]:
    """Return removals: remains of pip, dist-infos without metadata, files in conda-meta that are no records, damaged
    records of wheels.

    :param plan: the records of reinstalled packages are replaced, not removed.
    :param lost: damaged records that stay, since nothing can replace them.
    """
    roots = [
        finding.path if finding.id in _WHOLE else finding.path.rpartition("/")[0]
        for finding in report.findings
        if finding.id in CLEARED and finding.path is not None and is_fixable(finding)
        if finding.owner is None or not finding.owner.startswith(("conda:", "wheel:"))
    ]
    roots += _bytecode(report, plan)
    again = {step.old.meta_path for step in plan.operations if isinstance(step, Reinstall)}
    roots += [
        each for each in damaged_records(prefixes.require(path, is_brief=True), report) if each not in {*again, *lost}
    ]
    with Tree(path) as tree:
        paths = [each for root in roots for each in _below(tree, root)]
        fingerprints = {each: tree.fingerprint(each) for each in dict.fromkeys(paths)}
    return tuple(PathChange(path=each, before=was, after=None) for each, was in fingerprints.items() if was is not None)


def _bytecode(report: Report, plan: Plan) -> list[str]:
    """Return the stale bytecode, which python writes again. What a reinstalled package has of it is replaced."""
    paths = {each.path for each in report.findings if each.id == _BYTECODE and each.path and is_fixable(each)}
    steps = [step for step in plan.operations if isinstance(step, Reinstall)] if paths else []
    return sorted(paths.difference(entry.path for step in steps for entry in step.old.entries))


def _below(tree: Tree, root: str) -> list[str]:
    """Return the files below a directory, deepest first; an empty directory, or a file, by itself."""
    status = tree.lstat(root)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return [root]
    return [each for each, is_directory in tree.walk(root) if not is_directory] or [root]


def _available(
    broken: Iterable[Installed], target: Target, sources: Sources
) -> tuple[list[tuple[Installed, Resolved]], dict[str, BridgeError]]:
    """Return the packages whose archives are available, and by name the errors of others, which block none."""
    available: list[tuple[Installed, Resolved]] = []
    unavailable: dict[str, BridgeError] = {}
    for old in broken:
        try:
            refuse_again(old.record, sources)
            new = _again(old, target, sources)
            fetch_archive(new.record, sources)
        except (UsageError, UnsafeInputError) as error:  # Its record names no source, or one that the policy refuses.
            unavailable[old.record.name] = error
            continue
        except _GONE as error:
            other = _elsewhere(old.record, sources)
            if other is None:
                unavailable[old.record.name] = _unavailable(old.record, error, sources)
                continue
            new = Resolved(record=other, requested=old.requested)
        available.append((old, new))
    return available, unavailable


def _elsewhere(record: Record, sources: Sources) -> Record | None:
    """Return the same archive from another channel of the environment, or from one given by the user."""
    if record.ecosystem != "conda":
        return None
    try:
        known = sources.channels.records(record.name)
        other = next((each for each in known if each.sha256 == record.sha256 and each.url != record.url), None)
        if other is not None:
            refuse_again(other, sources)
            fetch_archive(other, sources)
    except (*_GONE, UnsafeInputError):
        return None
    return other


def _unavailable(record: Record, error: BridgeError, sources: Sources) -> BridgeError:
    """Return the error with a hint."""
    where = "name a channel that has it with --channel" if record.ecosystem == "conda" else "make it available again"
    prefix = sources.session.settings.prefix
    return type(error)(
        error.id,
        f"the archive of {record.name} {record.version} is not available: {error.message}",
        context=error.context,
        hint=f"{where}, or give it up and install another version: bridge remove -p {quoted(prefix)} {record.name}",
    )


def _again(old: Installed, target: Target, sources: Sources) -> Resolved:
    record = old.record
    if not record.url or (record.sha256 is None and record.revision is None):
        raise UsageError(
            "no-origin",
            f"the record of {record.name} names no source, so it cannot be reinstalled",
            hint="remove it, then install it again: "
            f"bridge remove -p {quoted(sources.session.settings.prefix)} {record.name}",
        )
    if record.ecosystem == "wheel":
        record = _of_archive(old.record, target, sources)
    return Resolved(record=record, requested=old.requested)


def _of_archive(record: Record, target: Target, sources: Sources) -> Record:
    """Make the record of a wheel from its archive: the installed METADATA may be damaged."""
    archive = fetch_archive(record, sources)
    filename = record.filename if source_of(record.url) is None else archive.name
    manifest = check_wheel(archive, filename=filename)
    info = WheelInfo.of_record(record, manifest.metadata, filename)
    fresh = translate(info, target, sources.names)
    return replace(fresh, name=record.name, build=record.build, subdir=record.subdir, others=record.others)
