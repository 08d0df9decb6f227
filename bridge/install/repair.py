"""`bridge audit --fix`: install again, from the very artifacts they came from, the packages whose files are damaged.

What an interrupted pip left behind goes in the same transaction. Nothing is solved: the same version comes back, from
the URL and with the sha256 that its record has. A file that a person changed is kept aside, as in every other change.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bridge import prefix as prefixes
from bridge.archive.wheels import check_wheel
from bridge.audit.finding import Report, is_fixable
from bridge.errors import NetworkError, UsageError
from bridge.fs import Tree
from bridge.install.fetching import fetch_archive
from bridge.install.lost_records import damaged_records, found_again
from bridge.install.relocation import RELOCATED, Relocation, look, relocate
from bridge.install.sources import Sources
from bridge.model import Installed, PathChange, Plan, PrefixState, Reinstall, Remove, Resolved
from converters.record import Record
from converters.target import Target
from converters.translate import translate
from converters.wheel import WheelInfo

__all__ = ["CLEARED", "Repair", "plan_repair"]

CLEARED = frozenset({"leftover", "distribution-without-metadata", "foreign-file"})
"""The findings whose path no package owns, and that are repaired by taking it away."""

_WHOLE = frozenset({"leftover", "foreign-file"})  # of the others, the directory that the path lies in


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What `--fix` does: packages to be installed again, files to be rewritten, what no package owns to be removed.

    `state` is the prefix with the hashes of what is rewritten.
    """

    state: PrefixState
    plan: Plan
    sources: Sources
    relocation: Relocation
    cleared: tuple[PathChange, ...]

    @property
    def gone(self) -> tuple[str, ...]:
        """The paths that are removed."""
        return tuple(change.path for change in self.cleared)

    def stage(self, staging: Path) -> tuple[PathChange, ...]:
        """The changes besides those of the plan; new files are written into `staging`."""
        return (*self.relocation.stage(staging, is_alone=self.plan.is_empty), *self.cleared)


def plan_repair(path: Path, report: Report, sources_of: Callable[[PrefixState], Sources]) -> Repair:
    """Rewrite the files that name another prefix, and reinstall the owners of what is damaged otherwise.

    Fetches the wheels among them: their records are made from METADATA; and the packages whose records cannot be read:
    what they brought is known of their archives. Raises `UsageError` (`no-origin`) for a package whose record does not
    say where it came from; `NetworkError` where nothing can be repaired because archives cannot be had;
    `UnsafeInputError` (`prefix-too-long`), as `bridge.install.relocation`.
    """
    state = prefixes.require(path)
    sources = sources_of(state)
    fixable = [finding for finding in report.findings if is_fixable(finding)]
    misplaced = [finding for finding in fixable if finding.id in RELOCATED]
    placed = look(path) if misplaced else {}
    doubles = {each.path for each in fixable if each.id == "duplicate-record"}
    damaged = {
        each.owner or ""
        for each in fixable
        if each.id != "duplicate-record" and (each.id not in RELOCATED or each.path not in placed)
    }
    relocation = relocate(state, placed, without=damaged)
    # What cannot be written without its archive comes out of that.
    damaged |= {each.owner or "" for each in misplaced if each.path in relocation.left}
    if relocation.left:
        relocation = relocate(state, placed, without=damaged)
    state = relocation.state
    lost = tuple(found_again(state, report, sources))
    unreadable = damaged_records(state, report)
    state = replace(
        state,
        installed=(*state.installed, *lost),
        defects=tuple(defect for defect in state.defects if defect.path not in unreadable),
    )
    superfluous = [each for each in state.installed if each.meta_path in doubles]
    broken = [
        each for each in state.installed if each not in superfluous and (each.record.label in damaged or each in lost)
    ]
    target = sources.session.target
    if state.python is not None:
        target = target.with_python(state.python)
    brought, missed = _brought(broken, target, sources)
    operations: tuple[Reinstall | Remove, ...] = (
        *(Reinstall(old=old, new=new) for old, new in brought),
        *(Remove(old=old) for old in superfluous),
    )
    changed = {step.old.meta_path for step in operations}
    plan = Plan(
        prefix=path,
        target=target,
        operations=operations,
        keep=tuple(installed for installed in state.installed if installed.meta_path not in changed),
        python=state.python,
    )
    cleared = _leftovers(path, report, plan)
    if missed and not (operations or cleared or relocation.files):
        raise next(iter(missed.values()))
    sources.session.warnings += [f"{name} is not repaired: {why.message}; {why.hint}" for name, why in missed.items()]
    return Repair(state=state, plan=plan, sources=sources, relocation=relocation, cleared=cleared)


def _leftovers(path: Path, report: Report, plan: Plan) -> tuple[PathChange, ...]:
    """What `--fix` takes away: each file of what pip left behind, and of dist-infos that say nothing any more; files in
    conda-meta that are no records, and the damaged records of wheels.

    :param plan: what is installed again; the records of that are replaced.
    """
    roots = [
        finding.path if finding.id in _WHOLE else finding.path.rpartition("/")[0]
        for finding in report.findings
        if finding.id in CLEARED and finding.path is not None and is_fixable(finding)
        if finding.owner is None or not finding.owner.startswith(("conda:", "wheel:"))
    ]
    again = {step.old.meta_path for step in plan.operations if isinstance(step, Reinstall)}
    roots += [each for each in damaged_records(prefixes.require(path, is_brief=True), report) if each not in again]
    with Tree(path) as tree:
        found = [each for root in roots for each in _below(tree, root)]
        fingerprints = {each: tree.fingerprint(each) for each in dict.fromkeys(found)}
    return tuple(PathChange(path=each, before=was, after=None) for each, was in fingerprints.items() if was is not None)


def _below(tree: Tree, root: str) -> list[str]:
    """The files of a directory, deepest first, or the file itself; the directory, where it is empty."""
    status = tree.lstat(root)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return [root]
    return [each for each, is_directory in tree.walk(root) if not is_directory] or [root]


def _brought(
    broken: Iterable[Installed], target: Target, sources: Sources
) -> tuple[list[tuple[Installed, Resolved]], dict[str, NetworkError]]:
    """The packages whose archives can be had, and by name why others cannot: one that is gone blocks no other."""
    found: list[tuple[Installed, Resolved]] = []
    missed: dict[str, NetworkError] = {}
    for old in broken:
        try:
            new = _again(old, target, sources)
            fetch_archive(new.record, sources)
        except NetworkError as error:
            other = _elsewhere(old.record, sources)
            if other is None:
                missed[old.record.name] = _unavailable(old.record, error, sources)
                continue
            new = Resolved(record=other, requested=old.requested)
        found.append((old, new))
    return found, missed


def _elsewhere(record: Record, sources: Sources) -> Record | None:
    """The same archive in another channel of the environment, or in one that was named."""
    if record.ecosystem != "conda":
        return None
    try:
        known = sources.channels.records(record.name)
        found = next((each for each in known if each.sha256 == record.sha256 and each.url != record.url), None)
        if found is not None:
            fetch_archive(found, sources)
    except NetworkError:
        return None
    return found


def _unavailable(record: Record, error: NetworkError, sources: Sources) -> NetworkError:
    """The error, with what to do."""
    where = "name a channel that has it with --channel" if record.ecosystem == "conda" else "make it available again"
    prefix = sources.session.settings.prefix
    return NetworkError(
        error.id,
        f"the archive of {record.name} {record.version} cannot be had: {error.message}",
        context=error.context,
        hint=f"{where}, or take the package away and install another one: bridge remove -p {prefix} {record.name}",
    )


def _again(old: Installed, target: Target, sources: Sources) -> Resolved:
    record = old.record
    if not record.url or record.sha256 is None:
        raise UsageError(
            "no-origin",
            f"the record of {record.name} does not say where it came from, so it cannot be installed again",
            hint=f"remove it and install it anew: bridge remove {record.name}",
        )
    if record.ecosystem == "wheel":
        record = _of_archive(old.record, target, sources)
    return Resolved(record=record, requested=old.requested)


def _of_archive(record: Record, target: Target, sources: Sources) -> Record:
    """The record of a wheel out of the wheel itself: what is installed of its METADATA may be what is damaged."""
    manifest = check_wheel(fetch_archive(record, sources), filename=record.filename)
    info = WheelInfo.of_record(record, manifest.metadata, record.filename)
    fresh = translate(info, target, sources.names)
    return replace(fresh, name=record.name, build=record.build, subdir=record.subdir)
