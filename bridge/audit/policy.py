"""Decide which files are unowned, which dist-infos are stale and which records are unread. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bridge.audit.claims import Claims, Owner
from bridge.audit.look.observation import Observation
from bridge.model import EGGS, Distribution, PrefixState
from bridge.paths import META
from bridge.prefix.claims import bytecode_source

__all__ = [
    "is_kept_aside",
    "leftovers",
    "named_record",
    "names_conda",
    "stale_distributions",
    "unowned",
    "unread_names",
]

_KEPT = re.compile(r"\.bridge-saved-\d+\Z")
_CONDAS = ("conda", "bridge", "rattler", "pixi", "mamba")
# Written by conda, mamba, pixi, rattler and constructor for themselves: no package lists these.
_BOOKKEEPING = frozenset(
    {
        ".condarc",
        ".mambarc",
        ".messages.txt",
        ".nonadmin",
        "CACHEDIR.TAG",
        "condarc",
        *(
            f"{META}/{name}"
            for name in (
                ".condarc",
                ".nonadmin",
                "condarc",
                "created_at",
                "explicit.txt",
                "frozen",
                "history",
                "initial-state.explicit.txt",
                "nonadmin",
                "pinned",
                "pixi",
                "pixi_env_prefix",
                "state",
            )
        ),
    }
)


def leftovers(state: PrefixState, observed: Observation) -> tuple[str, ...]:
    """The `~name`s that pip left directly below a directory of dist-infos, sorted."""
    sites = {each.path.rpartition("/")[0] for each in state.distributions}
    sites |= {state.site_packages} if state.site_packages else set()
    below = (path for site in sites for path in observed.below(site))
    return tuple(sorted(path for path in below if path.rpartition("/")[2].startswith("~")))


def unowned(state: PrefixState, claims: Claims, observed: Observation) -> Mapping[str, int]:
    """Path → how many files it stands for: each unowned file, or the topmost directory that holds nothing owned.

    Owned is what a record claims or mentions, records and bookkeeping, bytecode of an owned module, what lies in a
    dist-info that no record covers, pip's leftovers (they are findings by themselves), and other environments inside
    this one. Bytecode of an unowned module goes with its module.
    """
    claimed = claims.by_path.keys()
    owned = _owned(state, claims, observed)
    apart = tuple(f"{folder}/" for folder in _owned_folders(state, claims, observed))
    free: list[str] = []
    spoken: list[str] = []
    for path in [path for path in observed.plain if path not in claimed]:
        source = bytecode_source(path)
        if path in owned or source in owned or source in claimed or path.startswith(apart):
            spoken.append(path)
        elif source not in observed:
            free.append(path)
    above: set[str] = set()
    for path in (*claimed, *spoken) if free else ():
        _add_parents(path, above)
    return _collapse(free, above)


def _collapse(paths: Iterable[str], owned_directories: set[str]) -> Mapping[str, int]:
    counted: Counter[str] = Counter()
    for path in paths:
        top, folder = path, path.rpartition("/")[0]
        while folder and folder not in owned_directories:
            top, folder = folder, folder.rpartition("/")[0]
        counted[top] += 1
    return dict(sorted(counted.items()))


def _owned(state: PrefixState, claims: Claims, observed: Observation) -> set[str]:
    """What is spoken for without being claimed."""
    owned = {*claims.mentioned, *_BOOKKEEPING, *leftovers(state, observed)}
    # setuptools names its eggs there.
    owned |= {
        f"{each.path.rpartition('/')[0]}/easy-install.pth" for each in state.distributions if each.path.endswith(EGGS)
    }
    owned |= {found.real for found in observed.noted.values() if found.real is not None}
    owned |= {package.meta_path for package in state.installed}
    owned |= {defect.path for defect in state.defects}
    return owned


def _owned_folders(state: PrefixState, claims: Claims, observed: Observation) -> Iterator[str]:
    """Folders all of whose content is spoken for."""
    yield from leftovers(state, observed)
    yield from (owner.distribution.path for owner in claims.unmanaged if owner.distribution is not None)
    # Environments inside this one (a base's `envs/…`) and conda's package cache are not this prefix.
    yield from (
        folder.removesuffix("/conda-meta")
        for folder in observed.folders_with("history")
        if folder.endswith("/conda-meta")
    )
    if "pkgs/urls.txt" in observed:
        yield "pkgs"


def _add_parents(path: str, above: set[str]) -> None:
    folder = path.rpartition("/")[0]
    while folder and folder not in above:
        above.add(folder)
        folder = folder.rpartition("/")[0]


def is_kept_aside(path: str) -> bool:
    """Whether bridge keeps a file there that it found changed (`bridge.install.staging.replacement`)."""
    return _KEPT.search(path) is not None


def names_conda(installer: str | None) -> bool:
    """Whether an INSTALLER names one of those who keep records in conda-meta."""
    return (installer or "").lower().startswith(_CONDAS)


def unread_names(state: PrefixState) -> frozenset[str]:
    """The native names of the records of conda-meta that could not be read, as their file names say them."""
    read = {package.meta_path for package in state.installed}
    broken = {each.path for each in state.defects if each.id == "broken-record" and each.path.startswith(f"{META}/")}
    return frozenset(name for path in broken - read if (name := named_record(path)) is not None)


def named_record(path: str) -> str | None:
    """The native name that the file name of a conda-meta record gives; `None` where it is none."""
    folder, _, name = path.rpartition("/")
    stem = name.removesuffix(".json")
    return stem.rsplit("-", 2)[0] if folder == META and stem != name else None


def stale_distributions(state: PrefixState, claims: Claims, broken: Iterable[Owner]) -> Mapping[str, Distribution]:
    """Path of a dist-info that an upgrade left behind → the one of the same project that is to be kept.

    To be kept is what a record covers; else what has a RECORD of which most is true; else the newest version.

    :param broken: the owner of each claim that the disk does not keep.
    """
    groups: dict[tuple[str, str], list[Distribution]] = {}
    for each in state.distributions:
        groups.setdefault((each.path.rpartition("/")[0], canonicalize_name(each.name)), []).append(each)
    several = [same for same in groups.values() if len(same) > 1]
    wrong = Counter(map(id, broken)) if several else Counter()

    def rank(each: Distribution) -> tuple[bool, float, tuple[int, ...]]:
        count = len(each.entries or ())
        kept = 1 - wrong[id(claims.answering[each.path])] / count if count else -1.0
        return bool(claims.coverage[each.path]), kept, _release(each.version)

    best = [(max(same, key=rank), same) for same in several]
    return {each.path: first for first, same in best for each in same if each is not first}


def _release(version: str) -> tuple[int, ...]:
    try:
        return Version(version).release
    except InvalidVersion:
        return ()
