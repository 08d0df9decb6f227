"""Decide which files are unowned, which dist-infos are stale and which records are unread. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from packaging import version as pep440

from bridge.audit.look.observation import Observation
from bridge.model import EGGS, Distribution, PrefixState
from bridge.paths import META, parent_directories
from bridge.prefix.claims import Claims, Owner, bytecode_source
from converters.deferred import regex
from converters.projects import canonicalize_name

__all__ = [
    "is_kept_aside",
    "is_same_version",
    "leftovers",
    "named_record",
    "names_conda",
    "release",
    "stale_distributions",
    "unowned",
    "unread_names",
]

_KEPT_ASIDE = regex(r"\.bridge-saved-\d+\Z")
_CONDA_CLIENTS = ("conda", "bridge", "rattler", "pixi", "mamba")

# Files of conda, mamba, pixi, rattler and constructor themselves: no package lists these.
_BOOKKEEPING = frozenset(
    {
        *(".condarc", ".mambarc", ".messages.txt", ".nonadmin", "CACHEDIR.TAG", "condarc"),
        *(f"{META}/{name}" for name in (".condarc", ".nonadmin", "condarc", "created_at", "explicit.txt", "frozen")),
        *(f"{META}/{name}" for name in ("history", "initial-state.explicit.txt", "nonadmin", "pinned", "state")),
        *(f"{META}/{name}" for name in ("pixi", "pixi_env_prefix")),
    }
)


# --- unowned files ----------------------------------------------------------------------------------------------------


def leftovers(state: PrefixState, observed: Observation) -> tuple[str, ...]:
    """The `~name`s that pip left directly in a directory of dist-infos, sorted."""
    sites = {each.path.rpartition("/")[0] for each in state.distributions}
    sites |= {state.site_packages} if state.site_packages else set()
    paths = (path for site in sites for path in observed.below(site))
    return tuple(sorted(path for path in paths if path.rpartition("/")[2].startswith("~")))


def unowned(state: PrefixState, claims: Claims, observed: Observation) -> Mapping[str, int]:
    """Each unowned file, or the topmost directory that has nothing owned in it → the number of files.

    Owned is what a record claims or mentions, records and bookkeeping, bytecode of an owned module, the content of a
    dist-info without a record, pip's leftovers (findings of their own), and other environments inside this one.
    Bytecode of an unowned module counts with its module.
    """
    claimed = claims.by_path.keys()
    owned = _owned(state, claims, observed)
    owned_below = tuple(f"{directory}/" for directory in _owned_directories(state, claims, observed))
    free: list[str] = []
    unclaimed: list[str] = []  # owned, but by no claim
    for path in [path for path in observed.plain if path not in claimed]:
        source = bytecode_source(path)
        if path in owned or source in owned or source in claimed or path.startswith(owned_below):
            unclaimed.append(path)
        elif source not in observed:
            free.append(path)
    return _collapse(free, parent_directories((*claimed, *unclaimed)) if free else set())


def _collapse(paths: Iterable[str], owned_directories: set[str]) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for path in paths:
        top, directory = path, path.rpartition("/")[0]
        while directory and directory not in owned_directories:
            top, directory = directory, directory.rpartition("/")[0]
        counted[top] += 1
    return dict(sorted(counted.items()))


def _owned(state: PrefixState, claims: Claims, observed: Observation) -> set[str]:
    """Paths that are owned without being claimed."""
    owned = {*claims.mentioned, *_BOOKKEEPING, *leftovers(state, observed)}
    # setuptools lists its eggs there.
    owned |= {
        f"{each.path.rpartition('/')[0]}/easy-install.pth" for each in state.distributions if each.path.endswith(EGGS)
    }
    owned |= {*observed.reals}
    owned |= {package.meta_path for package in state.installed}
    owned |= {defect.path for defect in state.defects}
    return owned


def _owned_directories(state: PrefixState, claims: Claims, observed: Observation) -> Iterator[str]:
    """Directories whose whole content is owned."""
    yield from leftovers(state, observed)
    yield from (owner.distribution.path for owner in claims.unmanaged if owner.distribution is not None)
    # Environments inside this one (a base's `envs/…`) and conda's package cache are not this prefix.
    inside = (path for path in observed.directories_with("history") if path.endswith("/conda-meta"))
    yield from (path.removesuffix("/conda-meta") for path in inside)
    if "pkgs/urls.txt" in observed:
        yield "pkgs"


def is_kept_aside(path: str) -> bool:
    """Whether it is a changed file that bridge kept aside (`bridge.install.staging.replacement`)."""
    return _KEPT_ASIDE.search(path) is not None


# --- records and dist-infos -------------------------------------------------------------------------------------------


def names_conda(installer: str | None) -> bool:
    """Whether INSTALLER names a tool that writes conda-meta records."""
    return (installer or "").lower().startswith(_CONDA_CLIENTS)


def unread_names(state: PrefixState) -> frozenset[str]:
    """The native names of the conda-meta records that could not be read, from their file names."""
    read = {package.meta_path for package in state.installed}
    broken = {each.path for each in state.defects if each.id == "broken-record" and each.path.startswith(f"{META}/")}
    return frozenset(name for path in broken - read if (name := named_record(path)) is not None)


def named_record(path: str) -> str | None:
    """The native name in the file name of a conda-meta record; `None`: the path is not that of a record."""
    directory, _, name = path.rpartition("/")
    stem = name.removesuffix(".json")
    return stem.rsplit("-", 2)[0] if directory == META and stem != name else None


def stale_distributions(state: PrefixState, claims: Claims, broken: Iterable[Owner]) -> Mapping[str, Distribution]:
    """Path of a dist-info that an upgrade left behind → the one of the same project to keep.

    Kept is the one that a record covers; otherwise the one whose RECORD matches most files; otherwise the newest.

    :param broken: the owner of each claim that the disk contradicts.
    """
    groups: dict[tuple[str, str], list[Distribution]] = {}
    for each in state.distributions:
        groups.setdefault((each.path.rpartition("/")[0], canonicalize_name(each.name)), []).append(each)
    several = [same for same in groups.values() if len(same) > 1]
    wrong = Counter(map(id, broken)) if several else Counter()

    def rank(each: Distribution) -> tuple[bool, float, tuple[int, ...]]:
        count = len(each.entries or ())
        matching = 1 - wrong[id(claims.answering[each.path])] / count if count else -1.0
        return bool(claims.coverage[each.path]), matching, release(each.version)

    best = [(max(same, key=rank), same) for same in several]
    return {each.path: kept for kept, same in best for each in same if each is not kept}


def release(version: str) -> tuple[int, ...]:
    """The release segment of a PEP 440 version, for ordering; `()`: it is none."""
    try:
        return pep440.Version(version).release
    except pep440.InvalidVersion:
        return ()


def is_same_version(first: str, second: str) -> bool:
    """Whether two versions are equal by PEP 440, or the same text."""
    try:
        return first == second or pep440.Version(first) == pep440.Version(second)
    except pep440.InvalidVersion:
        return False
