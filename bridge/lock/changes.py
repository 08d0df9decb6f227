"""What differs between two locks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.lock.platforms import Place
from bridge.requirements.locked import Locked, LockedConda, LockedEnvironment, LockedSource
from bridge.sdists.location import source_of

__all__ = ["Change", "changes", "described"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A package that came, went or changed on the same way in each of its places. Texts are `VERSION [BUILD]`."""

    name: str
    before: str | None
    after: str | None
    places: tuple[str, ...]

    def __str__(self) -> str:
        if self.before is None:
            text = f"+ {self.name} {self.after}"
        elif self.after is None:
            text = f"- {self.name} {self.before}"
        else:
            text = f"~ {self.name} {self.before} -> {self.after}"
        return f"{text} ({', '.join(self.places)})"


def described(each: Locked) -> str:
    """Return the version, with the build of a conda package, and the kind of any other."""
    if isinstance(each, LockedConda):
        return f"{each.version} {each.record.build}"
    return f"{each.version or 'unversioned'} ({'wheel' if each.url.endswith('.whl') else 'source'})"


def changes(
    before: Sequence[LockedEnvironment], after: Sequence[LockedEnvironment], *, is_of_wheels: bool = False
) -> tuple[Change, ...]:
    """Return how packages differ, sorted by name; files of equal description and another hash differ too.

    :param is_of_wheels: the format holds no conda packages, and its wheels may be for platforms that are not locked.
    """
    old, new = _table(before), _table(after)
    if is_of_wheels:
        places = {place for place, _ in new}
        new = {key: each for key, each in new.items() if not isinstance(each, LockedConda)}
        old = {key: each for key, each in old.items() if key[0] in places}
    versions: dict[tuple[str, str | None, str | None], list[str]] = {}
    for place, name in sorted({*old, *new}, key=lambda key: (key[1], key[0])):
        one, two = old.get((place, name)), new.get((place, name))
        if one is not None and two is not None and _same(one, two):
            continue
        texts = (described(one) if one is not None else None, described(two) if two is not None else None)
        versions.setdefault((name, *texts), []).append(place)
    return tuple(
        Change(name=name, before=one, after=two, places=tuple(places)) for (name, one, two), places in versions.items()
    )


def _table(environments: Iterable[LockedEnvironment]) -> dict[tuple[str, str], Locked]:
    return {
        (str(Place(environment=environment.name, platform=platform)), each.name): each
        for environment in environments
        for platform, packages in environment.packages.items()
        for each in packages
    }


def _same(one: Locked, two: Locked) -> bool:
    if one.sha256 is not None and two.sha256 is not None:
        return one.sha256 == two.sha256
    return one.version == two.version and _place(one) == _place(two)


def _place(each: Locked) -> tuple[object, ...]:
    source = source_of(each.url)
    revision = each.revision if isinstance(each, LockedSource) and each.kind == "git" else None
    return (source.place[:3] if source is not None else (each.url,)) + (revision,)
