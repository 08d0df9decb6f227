"""From what is installed and what is to be: the operations between them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from bridge.errors import NoSolutionError, UsageError
from bridge.model import (
    Change,
    Install,
    Installed,
    Operation,
    Plan,
    PrefixState,
    Reinstall,
    Remove,
    Resolution,
    Resolved,
)
from converters.record import Record
from converters.target import Python, Target

__all__ = ["diff", "matching", "removal"]

_NAME_END = re.compile(r"[ =<>!~\[;(@]")


def diff(state: PrefixState, resolution: Resolution, prefix: Path) -> Plan:
    """What turns `state` into `resolution`.

    A package is replaced by the one of its name, or by the one that brings the same PyPI project; what is in neither is
    removed. Where python's minor version (or its free threading) changes, whatever lies in site-packages is installed
    again. A package that is now asked for and was not before is installed again, so that its records say so.
    """
    python = resolution.target.python
    moved = state.python is not None and python is not None and _layout(state.python) != _layout(python)
    left = {installed.meta_path: installed for installed in state.installed}
    operations: list[Operation] = []
    keep: list[Installed] = []
    for package in resolution.packages:
        old = _predecessor(package.record, left.values())
        if old is None:
            operations.append(Install(new=package))
            continue
        del left[old.meta_path]
        if not _is_same(old.record, package.record):
            operations.append(Change(old=old, new=package))
        elif (moved and _is_of_python(package.record)) or (package.requested and not old.requested):
            operations.append(Reinstall(old=old, new=package))
        else:
            keep.append(old)
    operations += [Remove(old=old) for old in left.values()]
    return Plan(
        prefix=prefix,
        target=resolution.target,
        operations=tuple(sorted(operations, key=_operation_name)),
        keep=tuple(keep),
        python=python or state.python,
    )


def removal(state: PrefixState, target: Target, names: Iterable[str]) -> Plan:
    """What takes `names` away, and what came only for their sake.

    Raises `UsageError` (`not-installed`); `NoSolutionError` (`still-needed`) where a package that stays needs one of
    them.
    """
    gone = {installed.meta_path: installed for name in names for installed in matching(state, name)}
    staying = [installed for installed in state.installed if installed.meta_path not in gone]
    needed = _closure([installed for installed in staying if installed.requested], state.installed)
    # What nothing that was asked for needs, and did not need before either, was put there by other means: it stays.
    reachable_before = _closure([installed for installed in state.installed if installed.requested], state.installed)
    orphans = [
        installed
        for installed in staying
        if installed.meta_path in reachable_before and installed.meta_path not in needed
    ]
    staying_for_good = [installed for installed in staying if installed not in orphans]
    for installed in gone.values():
        users = [
            user.record.name
            for user in staying_for_good
            if installed in _direct(user, state.installed) and installed.record.name != user.record.name
        ]
        if users:
            raise NoSolutionError(
                "still-needed",
                f"{installed.record.name} cannot be removed: {', '.join(sorted(users))} needs it",
                hint=f"remove {' '.join(sorted(users))} as well",
            )
    removed = [*gone.values(), *orphans]
    return Plan(
        prefix=state.prefix,
        target=target,
        operations=tuple(sorted((Remove(old=old) for old in removed), key=_operation_name)),
        keep=tuple(staying_for_good),
        python=None if any(_is_python(old.record) for old in removed) else state.python,
    )


def matching(state: PrefixState, name: str) -> list[Installed]:
    """The installed packages of a native name or of a PyPI project. Raises `UsageError` (`not-installed`)."""
    wanted = _canonical(name)
    found = [
        installed
        for installed in state.installed
        if installed.record.name == name.lower() or wanted in installed.record.pypi_names[:1]
    ] or [installed for installed in state.installed if _canonical(installed.record.name) == wanted]
    if not found:
        unmanaged = [each for each in state.distributions if each.name == wanted]
        hint = f"see what is installed with: bridge list -p {state.prefix}"
        if unmanaged:
            hint = f"it was put there by {unmanaged[0].installer or 'another tool'}; remove it with that tool"
        raise UsageError("not-installed", f"{name} is not installed in {state.prefix}", hint=hint)
    return found


def _closure(roots: Collection[Installed], among: Collection[Installed]) -> set[str]:
    reached: set[str] = set()
    agenda = list(roots)
    while agenda:
        installed = agenda.pop()
        if installed.meta_path not in reached:
            reached.add(installed.meta_path)
            agenda += _direct(installed, among)
    return reached


def _direct(installed: Installed, among: Collection[Installed]) -> list[Installed]:
    """The installed packages that this one names in its requirements, whatever their versions, markers and extras."""
    wanted = {_canonical(_NAME_END.split(text.strip(), maxsplit=1)[0]) for text in installed.record.requirements}
    if installed.record.ecosystem == "wheel":
        wanted.add("python")
    return [
        other
        for other in among
        if _canonical(other.record.name) in wanted or not wanted.isdisjoint(other.record.pypi_names)
    ]


def _predecessor(record: Record, among: Iterable[Installed]) -> Installed | None:
    by_project = None
    for installed in among:
        if installed.record.name == record.name:
            return installed
        if set(installed.record.pypi_names[:1]) & set(record.pypi_names) and "wheel" in (
            record.ecosystem,
            installed.record.ecosystem,
        ):
            by_project = installed
    return by_project


def _is_same(old: Record, new: Record) -> bool:
    if (old.ecosystem, old.name, old.version) != (new.ecosystem, new.name, new.version):
        return False
    if old.sha256 is not None and new.sha256 is not None:
        return old.sha256 == new.sha256
    return old.build == new.build


def _is_of_python(record: Record) -> bool:
    return record.ecosystem == "wheel" or record.noarch == "python"


def _is_python(record: Record) -> bool:
    return record.ecosystem == "conda" and record.name == "python"


def _layout(python: Python) -> tuple[tuple[int, int], bool]:
    return python.minor, python.free_threaded


def _operation_name(operation: Operation) -> str:
    resolved: Resolved | None = getattr(operation, "new", None)
    return resolved.record.name if resolved is not None else operation.old.record.name  # type: ignore[union-attr]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
