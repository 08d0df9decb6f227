"""Who owns which path of a prefix: its records turned round, and the distributions that nobody recorded. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bridge.model import (
    Change,
    Distribution,
    Entry,
    Fingerprint,
    Install,
    Installed,
    Plan,
    PrefixState,
    Reinstall,
    Remove,
    Resolved,
)

__all__ = [
    "Claim",
    "bytecode_source",
    "claims",
    "incoming",
    "is_bytecode",
    "label",
    "leaving",
    "owned_entries",
    "owners_of",
    "superseded",
    "unmanaged",
]

_BYTECODE = (".pyc", ".pyo", ".nbi", ".nbc")  # CPython's caches and Numba's, below __pycache__
_ANCHORS = ("METADATA", "PKG-INFO", "RECORD", "INSTALLER", "WHEEL", "EGG-INFO/PKG-INFO")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One package's promise for one path.

    `owner` is its label; `package` its native name, or the project's where pip put it there on its own (`is_managed`
    is false then).
    """

    owner: str
    package: str
    entry: Entry
    is_managed: bool = True


def claims(state: PrefixState, *, without: Collection[Installed] = ()) -> dict[str, tuple[Claim, ...]]:
    """Claims by path: of the conda-meta records, then of the distributions that no record covers. About 2 µs a path.

    :param without: packages that are about to go; their distributions do not stay behind as unmanaged ones.
    """
    gone = {installed.meta_path for installed in without}
    found: dict[str, tuple[Claim, ...]] = {}
    for installed in state.installed:
        if installed.meta_path not in gone:
            record = installed.record
            _add(found, record.label, record.name, owned_entries(installed), is_managed=True)
    for distribution in unmanaged(state):
        _add(found, label(distribution), distribution.name, distribution.entries or (), is_managed=False)
    return found


def owned_entries(installed: Installed) -> tuple[Entry, ...]:
    """The entries of a package and its own conda-meta record."""
    own = Entry(path=installed.meta_path, fingerprint=Fingerprint(kind="file"))
    return (*(entry for entry in installed.entries if entry.path != own.path), own)


def unmanaged(state: PrefixState) -> tuple[Distribution, ...]:
    """The distributions that no conda-meta record put there: pip's own."""
    recorded = {entry.path for installed in state.installed for entry in installed.entries}
    return tuple(
        each
        for each in state.distributions
        if each.path not in recorded and not any(f"{each.path}/{name}" in recorded for name in _ANCHORS)
    )


def owners_of(state: PrefixState, path: str) -> tuple[str, ...]:
    """The labels of the packages that own `path`; a module's cached bytecode belongs to the module's owners."""
    found = claims(state)
    source = bytecode_source(path)
    return tuple(claim.owner for claim in found.get(path) or found.get(source or "", ()))


def bytecode_source(path: str) -> str | None:
    """The module whose cache `path` is (PEP 3147: `a/__pycache__/m.cpython-312.pyc` → `a/m.py`), else `None`."""
    folder, _, name = path.rpartition("/")
    if not is_bytecode(name) or not f"/{folder}".endswith("/__pycache__"):
        return None
    return f"{folder[: -len('__pycache__')]}{name.split('.', 1)[0]}.py"


def is_bytecode(name: str) -> bool:
    """Whether a file of this name in a `__pycache__` is a cache: CPython's or Numba's."""
    return name.endswith(_BYTECODE)


def leaving(plan: Plan) -> tuple[Installed, ...]:
    """The installed packages whose files go, replaced or not."""
    return tuple(step.old for step in plan.operations if isinstance(step, (Change, Reinstall, Remove)))


def incoming(plan: Plan) -> tuple[Resolved, ...]:
    """The packages that are placed."""
    return tuple(step.new for step in plan.operations if isinstance(step, (Change, Install, Reinstall)))


def superseded(state: PrefixState, plan: Plan) -> tuple[Distribution, ...]:
    """The unmanaged distributions of the projects that the plan places.

    Only these may give way to an incoming package. A distribution of another project that shares a path with it (the
    `__init__.py` of a namespace, a `LICENSE`) keeps all its files: a path may have several owners.
    """
    projects = {project for resolved in incoming(plan) for project in resolved.record.pypi_names}
    return tuple(each for each in unmanaged(state) if each.name in projects)


def label(distribution: Distribution) -> str:
    """An unmanaged distribution as an owner: `INSTALLER:name-version`."""
    installer = (distribution.installer or "unknown").split(maxsplit=1)[0]
    return f"{installer}:{distribution.name}-{distribution.version}"


def _add(
    found: dict[str, tuple[Claim, ...]], owner: str, package: str, entries: Iterable[Entry], *, is_managed: bool
) -> None:
    for entry in entries:
        before = found.get(entry.path, ())
        if all(claim.owner != owner for claim in before):
            claim = Claim(owner=owner, package=package, entry=entry, is_managed=is_managed)
            found[entry.path] = (*before, claim)
