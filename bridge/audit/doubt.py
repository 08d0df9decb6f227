"""What of the records is in doubt: those that could not be read, and dist-infos that an upgrade left behind. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bridge.audit.claims import Claims, Owner
from bridge.model import Distribution, PrefixState
from bridge.paths import META

__all__ = ["is_kept_aside", "named_record", "names_conda", "stale_distributions", "unread_names"]

_KEPT = re.compile(r"\.bridge-saved-\d+\Z")
_CONDAS = ("conda", "bridge", "rattler", "pixi", "mamba")


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
