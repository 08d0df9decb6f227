"""Compute the operations between installed and resolved packages. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from shlex import quote

from bridge.errors import NoSolutionError, UsageError
from bridge.model import (
    EGGS,
    Change,
    Entry,
    Fingerprint,
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
from bridge.paths import META, quoted
from bridge.prefix.claims import unmanaged
from bridge.requirements.algebra import marker_holds, parse_pypi, split_binding
from bridge.requirements.names import name_of
from bridge.sdists.location import source_of
from converters.deferred import replace
from converters.projects import canonicalize_name
from converters.record import Record
from converters.target import Python, Target

__all__ = [
    "diff",
    "is_installed",
    "is_moved",
    "is_of_python",
    "is_same",
    "is_same_source",
    "matching",
    "orphaned",
    "removal",
    "unaccounted",
    "with_extras",
    "with_unmanaged",
]


_SHOWN = 10  # names in one message


def diff(state: PrefixState, resolution: Resolution, prefix: Path, *, again: Collection[str] = ()) -> Plan:
    """Return the plan that turns `state` into `resolution`.

    A package is replaced by the one of its name, or of the same PyPI project; packages not in the resolution are
    removed. If python's minor version or free threading changes, everything in site-packages is reinstalled. A newly
    requested package is reinstalled, so that its records say so.

    :param again: meta paths of packages to reinstall, for they differ from their records.
    """
    python = resolution.target.python
    moved = is_moved(state.python, python)
    left = {installed.meta_path: installed for installed in state.installed}
    operations: list[Operation] = []
    keep: list[Installed] = []
    for package in resolution.packages:
        old = _predecessor(package.record, left.values())
        if old is None:
            operations.append(Install(new=package))
            continue
        del left[old.meta_path]
        if not is_same(old.record, package.record):
            operations.append(Change(old=old, new=package))
        elif (
            (moved and is_of_python(package.record))
            or (package.requested and not old.requested)
            or old.meta_path in again
        ):
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


def removal(state: PrefixState, target: Target, names: Iterable[str], unexplained: Collection[str] = ()) -> Plan:
    """Return the plan that removes `names` and the packages that only they needed.

    :param unexplained: meta paths of packages that count as requested (`bridge.prefix.history.unexplained`).

    Raises `UsageError` (`not-installed`); `NoSolutionError` (`still-needed`) if a remaining package needs one of them.
    """
    unwanted = {installed.meta_path: installed for name in names for installed in matching(state, name)}
    graph = _Graph(state, target)
    staying = [installed for installed in state.installed if installed.meta_path not in unwanted]
    # Packages that no requested package needed before were installed by other means: they stay, with dependencies.
    needed_before = graph.closure([installed for installed in state.installed if installed.requested])
    needed = graph.closure(_roots(staying, unexplained, needed_before))
    orphans = [each for each in staying if each.meta_path in needed_before and each.meta_path not in needed]
    keep = [installed for installed in staying if installed not in orphans]
    for installed in unwanted.values():
        users = sorted({user.record.name for user in keep if installed in graph.direct(user)})
        if users:
            raise _still_needed(installed.record.name, users)
    removed = [*unwanted.values(), *orphans]
    return Plan(
        prefix=state.prefix,
        target=target,
        operations=tuple(sorted((Remove(old=old) for old in removed), key=_operation_name)),
        keep=tuple(keep),
        python=None if any(_is_python(old.record) for old in removed) else state.python,
    )


def orphaned(state: PrefixState, plan: Plan, unexplained: Collection[str]) -> list[Installed]:
    """Return the packages that a plan keeps, and that only what it changes or removes needed.

    :param unexplained: as in `removal`.
    """
    before = _Graph(state, plan.target).closure([each for each in state.installed if each.requested])
    others = [each for each in with_unmanaged(state).installed if each not in state.installed]
    after = (*plan.keep, *_coming(plan).values(), *others)
    left = PrefixState(prefix=plan.prefix, installed=after, python=plan.python)
    needed = _Graph(left, plan.target).closure(_roots(after, unexplained, before))
    return [each for each in plan.keep if each.meta_path not in needed]


def unaccounted(state: PrefixState, target: Target) -> tuple[Installed, ...]:
    """Return packages that are neither requested nor needed by a requested one: they were installed by other means.

    py-rattler and old condas record no requests, so this may be a whole environment.
    """
    needed = _Graph(state, target).closure([installed for installed in state.installed if installed.requested])
    return tuple(installed for installed in state.installed if installed.meta_path not in needed)


def with_unmanaged(state: PrefixState) -> PrefixState:
    """Add distributions that pip installed on its own to the installed packages, so that they can be planned for.

    Their `meta_path` is the one conda would use; no such file exists. Distributions without RECORD are left out, for
    their files are unknown. Those of a tool that does not write REQUESTED (PEP 376; pip and uv do) count as requested:
    they are removed only by name.
    """
    added = []
    for distribution in unmanaged(state):
        # Removing an egg means removing its line from a .pth file, which pip does.
        if distribution.entries is None or distribution.path.endswith(EGGS):
            continue
        is_marked = (distribution.installer or "") in {"pip", "uv"} and not distribution.requested
        record = Record(
            name=distribution.name,
            version=distribution.version,
            build="pypi_0",
            build_number=0,
            subdir="pypi",
            ecosystem="wheel",
            origin="pypi",
            requirements=distribution.requires_dist,
            requires_python=distribution.requires_python,
            extras=distribution.provides_extra,
            pypi_names=(distribution.name,),
        )
        anchor = Entry(path=f"{distribution.path}/METADATA", fingerprint=Fingerprint(kind="file"))
        entries = distribution.entries
        if all(entry.path != anchor.path for entry in entries):
            entries = (*entries, anchor)
        added.append(
            Installed(
                record=record,
                meta_path=f"{META}/{record.identity}.json",
                entries=entries,
                requested=() if is_marked else (f"pypi:{distribution.name}",),
            )
        )
    return replace(state, installed=(*state.installed, *added))


def with_extras(plan: Plan) -> Plan:
    """Return the plan with the extras that its packages ask of each other, which a lock does not state."""
    packages = (*plan.keep, *_coming(plan).values())
    graph = _Graph(PrefixState(prefix=plan.prefix, installed=packages, python=plan.python), plan.target)
    reached = graph.reached(packages)

    def completed(new: Resolved) -> Resolved:
        asked = reached.get(new.record.identity, set()) - {""}
        return replace(new, extras=tuple(sorted({*new.extras, *asked})))

    operations = (
        step if isinstance(step, Remove) else replace(step, new=completed(step.new)) for step in plan.operations
    )
    return replace(plan, operations=tuple(operations))


def _roots(
    packages: Iterable[Installed], unexplained: Collection[str], needed_before: Collection[str]
) -> list[Installed]:
    """Return the packages that stay for their own sake: requested ones, and those that no requested one needed."""
    return [
        each
        for each in packages
        if each.requested or each.meta_path in unexplained or each.meta_path not in needed_before
    ]


def _coming(plan: Plan) -> dict[str, Installed]:
    """Return what a plan installs, by identity, as if it was installed."""
    return {
        step.new.record.identity: Installed(
            record=step.new.record, meta_path=step.new.record.identity, entries=(), requested=step.new.requested
        )
        for step in plan.operations
        if not isinstance(step, Remove)
    }


def _still_needed(name: str, users: Sequence[str]) -> NoSolutionError:
    shown, rest = ", ".join(users[:_SHOWN]), len(users) - _SHOWN
    if rest > 0:
        shown = f"{shown} and {rest} more need"
        hint = "to give up the whole environment, delete the directory" if name == "python" else None
    else:
        shown += " need" if len(users) > 1 else " needs"
        hint = f"remove {' '.join(users)} as well"
    message = f"{name} cannot be removed: {shown} it"
    return NoSolutionError("still-needed", message, hint=hint, objects={"users": tuple(users)})


def matching(state: PrefixState, name: str) -> list[Installed]:
    """Return the installed packages of a native name or a PyPI project; `conda:NAME` and `pypi:NAME` bind it.

    Raises `UsageError` (`not-installed`).
    """
    matches = _matches(state, name)
    if not matches:
        wanted = canonicalize_name(name)
        others = [each for each in state.distributions if each.name == wanted]
        hint = f"see what is installed with: bridge list -p {quoted(state.prefix)}"
        if others and others[0].path.endswith(EGGS):
            hint = f"setuptools installed it as an egg: {quote(str(state.interpreter))} -m pip uninstall {name}"
        elif others:
            hint = (
                f"{others[0].installer or 'another tool'} installed it; let bridge adopt it: "
                f"bridge adopt -p {quoted(state.prefix)} {name}"
            )
        raise UsageError("not-installed", f"{name} is not installed in {state.prefix}", hint=hint)
    return matches


def is_installed(state: PrefixState, name: str) -> bool:
    """Whether a package of a native name or a PyPI project is installed."""
    return bool(_matches(state, name))


def _matches(state: PrefixState, name: str) -> list[Installed]:
    bound, name = split_binding(name)
    ecosystem = {"conda:": "conda", "pypi:": "wheel"}.get(bound)
    installed = [each for each in state.installed if ecosystem in {None, each.record.ecosystem}]
    wanted = canonicalize_name(name)
    return [each for each in installed if each.record.name == name.lower() or wanted in each.record.pypi_names[:1]] or [
        each for each in installed if canonicalize_name(each.record.name) == wanted
    ]


class _Graph:
    """The dependencies among installed packages, with markers and extras evaluated."""

    def __init__(self, state: PrefixState, target: Target) -> None:
        # conda-forge has packages whose names differ by a hyphen alone, one of which requires the other
        # (typing-extensions, typing_extensions): a conda package needs the very name, a wheel the project.
        self._by_name = {installed.record.name: installed for installed in state.installed}
        self._by_project: dict[str, Installed] = {}
        for installed in state.installed:
            for project in installed.record.pypi_names:
                self._by_project.setdefault(project, installed)
        for installed in state.installed:
            self._by_project.setdefault(canonicalize_name(installed.record.name), installed)
        self._environment = target.marker_environment(state.python) if state.python is not None else None

    def closure(self, roots: Iterable[Installed]) -> set[str]:
        """Return the meta paths of `roots` and everything they need."""
        return set(self.reached(roots))

    def reached(self, roots: Iterable[Installed]) -> dict[str, set[str]]:
        """Return for `roots` and everything they need: meta path → the extras that are asked of it, and `""`."""
        reached: dict[str, set[str]] = {}
        agenda = [(root, extra) for root in roots for extra in ("", *_extras(root.requested))]
        while agenda:
            installed, extra = agenda.pop()
            seen = reached.setdefault(installed.meta_path, set())
            if extra not in seen:
                seen.add(extra)
                agenda += self._needs(installed, extra)
        return reached

    def direct(self, installed: Installed) -> list[Installed]:
        """Return the direct dependencies of a package, those of its requested extras included."""
        extras = ("", *_extras(installed.requested))
        needs = [other for extra in extras for other, _ in self._needs(installed, extra)]
        return [other for other in needs if other is not installed]

    def _needs(self, installed: Installed, extra: str) -> list[tuple[Installed, str]]:
        record = installed.record
        if record.ecosystem == "conda":
            names = {name_of(text) for text in record.requirements}
            found = [self._by_name.get(name) or self._by_project.get(canonicalize_name(name)) for name in names]
            return [(each, "") for each in found if each is not None]
        needs: list[tuple[str, str]] = [("python", "")]
        for text in record.requirements:
            try:
                requirement = parse_pypi(text)
            except UsageError:
                continue  # the resolver skips it too
            if requirement.marker is None:
                holds = not extra
            else:
                holds = self._environment is None or marker_holds(requirement.marker, self._environment, extra)
            if holds:
                needs += [(requirement.name, wanted) for wanted in ("", *requirement.extras)]
        return [(self._by_project[name], wanted) for name, wanted in needs if name in self._by_project]


def _extras(requested: Iterable[str]) -> list[str]:
    """Return the extras in the texts of requests; a MatchSpec has none."""
    extras: list[str] = []
    for text in requested:
        try:
            extras += parse_pypi(text).extras
        except UsageError:
            continue
    return extras


def _predecessor(record: Record, among: Iterable[Installed]) -> Installed | None:
    """Return the package that a record replaces: of its name, else of its project if one of the two is a wheel."""
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


def is_same(old: Record, new: Record) -> bool:
    """Return whether two records are of the same package, by the hash of their archive where both have it."""
    if (old.ecosystem, old.name, old.version) != (new.ecosystem, new.name, new.version):
        return False
    if old.revision is not None or new.revision is not None:
        return old.revision == new.revision and is_same_source(old.url, new.url)
    if old.sha256 is not None and new.sha256 is not None:
        return old.sha256 == new.sha256
    return old.build == new.build


def is_same_source(old: str, new: str) -> bool:
    """Whether two URLs lead to the same source code, whatever they call its commit."""
    places = [source.place if (source := source_of(url)) is not None else None for url in (old, new)]
    return places[0] == places[1]


def is_of_python(record: Record) -> bool:
    """Whether a package lies in site-packages of any python."""
    return record.ecosystem == "wheel" or record.noarch == "python"


def _is_python(record: Record) -> bool:
    return record.ecosystem == "conda" and record.name == "python"


def is_moved(before: Python | None, after: Python | None) -> bool:
    """Whether a python takes another minor version or another threading, and with these another site-packages."""
    if before is None or after is None:
        return False
    return (before.minor, before.free_threaded) != (after.minor, after.free_threaded)


def _operation_name(operation: Operation) -> str:
    resolved: Resolved | None = getattr(operation, "new", None)
    return resolved.record.name if resolved is not None else operation.old.record.name  # type: ignore[union-attr]
