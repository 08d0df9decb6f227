"""Which candidate comes first, and what is decided first: the whole policy, in one place.

Among the records of a conda name: fewer `track_features`, then the version, the build number, the newer python, the
time (the order of conda and rattler). Among the files of a project: files that are not yanked, final releases, the
version; a wheel before an sdist; a tag of one python before abi3 before none; the nearest platform tag. Between the
ecosystems: `--prefer conda` takes a record where any is left, even an older one; `wheel` turns it around; `newest`
takes the higher version, and conda where they are equal. What was asked for by PEP 508 requirements alone is taken by
`newest` unless wheels are preferred: who asks PyPI's way means the newest there is. What is installed is kept while it
meets what is asked.

What is decided first: python where it was asked for, in the minor that costs least of what else was asked (of the
newest three: one for which a name is left without a record counts most, then one that holds a name at an older
version; of equals the newest); then everything else that was asked for, then python, then the identifier with the
fewest candidates left.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from packaging.tags import Tag

from bridge.model import IndexFile
from bridge.requirements.algebra import conda_version, pep440_version
from bridge.resolve.masks import PRESENT
from converters.record import Record
from converters.target import Target
from converters.wheel import parse_wheel_name

if TYPE_CHECKING:
    from bridge.resolve.space import Space
    from bridge.resolve.store import Term
    from bridge.resolve.variables import Variable

__all__ = [
    "WEIGHED_MINORS",
    "best_version",
    "choose",
    "decision_order",
    "file_rank",
    "newest_of_minors",
    "record_rank",
    "weighs_versions",
]

WEIGHED_MINORS = 3  # of python, where it was asked for and several would do

_MINOR = re.compile(r"(\d+)\.(\d+)")


def record_rank(record: Record) -> tuple[object, ...]:
    """How good a conda record is among those of its name; larger is better."""
    version = conda_version(record.version)
    return (
        -len(record.track_features),
        version is not None,
        version if version is not None else 0,
        record.build_number,
        _newest_python(record),
        record.timestamp or 0,
        record.build,
    )


def _newest_python(record: Record) -> tuple[int, int]:
    """The python minor a build is made for; what is made for none in particular counts as the newest."""
    if record.noarch is None:
        for text in record.requirements:
            if text.startswith(("python_abi ", "python ")) and (found := _MINOR.search(text)):
                return int(found[1]), int(found[2])
    return 99, 0


class _FileRank(Protocol):
    def __call__(self, file: IndexFile) -> tuple[object, ...]: ...


def file_rank(target: Target, *, has_early: bool = False) -> _FileRank:
    """How good a file is among those of its project; larger is better. `has_early`: pre-releases compete (`--pre`)."""
    order = {platform: position for position, platform in enumerate(reversed(target.platform_tags()))}

    def rank(file: IndexFile) -> tuple[object, ...]:
        version = pep440_version(file.version)
        assert version is not None, "files without a version are barred before"
        usable = (file.yanked is None, has_early or not version.is_prerelease, version)
        if not file.is_wheel:
            return (*usable, False, (0, 0, 0), (), -1, file.filename)
        named = parse_wheel_name(file.filename)
        kind = max(_tag_kind(tag) for tag in named.tags)
        platform = max(order.get(tag.platform, -1) for tag in named.tags)
        return (*usable, True, kind, named.build_tag or (), platform, file.filename)

    return rank


@lru_cache(maxsize=8192)
def _tag_kind(tag: Tag) -> tuple[int, int, int]:
    digits = tag.interpreter.lstrip("abcdefghijklmnopqrstuvwxyz")
    minor = int(digits[1:]) if digits[1:].isdigit() else 0
    if tag.abi == "none":
        return (1 if tag.platform != "any" else 0, 0, 0)
    return (2, 0, 0) if tag.abi.startswith("abi3") else (3, minor, 0)


def decision_order(space: Space, variable: Variable) -> tuple[object, ...]:
    """The preference of an identifier; the smallest is decided first. O(1)."""
    python_first = (0, 2) if variable is space.python else (1, 3)
    group = python_first[0 if variable.is_asked else 1]
    domain = space.store.domains[variable.index]
    return (group, domain.bit_count(), -space.store.activity[variable.index], variable.name)


def newest_of_minors(python: Variable, domain: int, most: int) -> list[int]:
    """The best candidate of each of the newest minors of python, at most so many."""
    assert python.conda is not None
    found: dict[str, int] = {}
    for place, record in enumerate(python.conda.records):
        if domain >> place + 1 & 1:
            found.setdefault(".".join(record.version.split(".")[:2]), 2 << place)
            if len(found) == most:
                break
    return list(found.values())


def best_version(variable: Variable, domain: int) -> str | None:
    """The version of the best record left; `None` where only wheels are, or nothing is known yet."""
    left = domain & PRESENT & ~variable.wheel_bit
    if variable.conda is None or left <= 0:
        return None
    return variable.conda.records[(left & -left).bit_length() - 2].version


def weighs_versions(space: Space, variable: Variable) -> bool:
    """Whether the versions of a record and of a wheel decide between them: both have to be known then."""
    prefer = space.catalog.options.prefer
    if prefer == "conda" and variable.asked == {"pep508"}:
        prefer = "newest"
    domain = space.store.domains[variable.index]
    wheel = domain & variable.wheel_bit
    return prefer == "newest" and bool(wheel and domain ^ wheel) and not domain & space.kept.get(variable.name, 0)


def choose(space: Space, variable: Variable) -> tuple[Variable, int]:
    """The best candidate left of a required, known variable: a bit of its own, or of what a bit of it stands for.

    Where `weighs_versions`, its wheels must be known.
    """
    domain = space.store.domains[variable.index]
    kept = domain & space.kept.get(variable.name, 0)
    if kept:
        return variable, kept & -kept
    wheel = domain & variable.wheel_bit
    others = domain & ~wheel
    if not wheel or not others:
        return variable, domain & -domain
    if space.catalog.options.prefer == "wheel":
        return variable, wheel
    return _newest(space, variable) if weighs_versions(space, variable) else (variable, others & -others)


def _newest(space: Space, variable: Variable) -> tuple[Variable, int]:
    """Of the best record (of the first carrier that has any) and the best wheel the newer; of equals the record.

    What is returned is the record or the file itself, so that another is weighed where this one cannot be had.
    """
    store, wheels = space.store, variable.wheels
    assert wheels is not None
    file = _left(space, wheels, (variable.index, variable.wheel_bit)) & PRESENT
    theirs = pep440_version(space.file(wheels, file & -file).version) if file > 0 else None
    chosen, bit, own = wheels, file & -file, variable.wheel_bit
    for place, owner in enumerate(variable.carriers or (variable,)):
        left = _left(space, owner, (variable.index, 2 << place)) & PRESENT & ~owner.wheel_bit
        if left > 0 and (owner is variable or store.domains[variable.index] & 2 << place):
            assert owner.conda is not None
            ours = pep440_version(owner.conda.records[(left & -left).bit_length() - 2].version)
            if file <= 0 or ours is None or theirs is None or ours >= theirs:
                chosen, bit, own = owner, left & -left, 2 << place
            break
    is_taken = chosen is not variable and (bit <= 0 or store.domains[chosen.index] == bit)
    return (variable, own) if is_taken else (chosen, bit)


def _left(space: Space, target: Variable, term: Term) -> int:
    """What would be left of a variable if one more term held, by the demands on it."""
    left = space.store.domains[target.index]
    for demand in target.demands:
        if term in demand.source and space.store.satisfied(other for other in demand.source if other != term):
            left &= demand.allowed
    return left
