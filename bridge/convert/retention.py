"""Which packages of a subdir an index keeps: the newest versions, and the older ones that these need. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from bridge.convert.indexed import IndexedPackage
from bridge.errors import UsageError
from bridge.requirements.matchspec import conda_version, parse_conda
from bridge.requirements.names import name_of

__all__ = ["retained"]


def retained(subdirs: Mapping[str, Sequence[IndexedPackage]], keep: int) -> dict[str, list[IndexedPackage]]:
    """Return the packages to keep: the newest `keep` versions of each name in each subdir, with all their builds.

    An older version stays if a package that is kept depends on it and no kept version meets that dependency.
    """
    kept: dict[str, list[IndexedPackage]] = {}
    older: dict[str, list[tuple[str, IndexedPackage]]] = {}
    for subdir, packages in subdirs.items():
        newest = _newest(packages, keep)
        kept[subdir] = [each for each in packages if each.version in newest[each.name]]
        for each in packages:
            if each.version not in newest[each.name]:
                older.setdefault(each.name, []).append((subdir, each))
    by_name: dict[str, list[IndexedPackage]] = {}
    for each in (each for packages in kept.values() for each in packages):
        by_name.setdefault(each.name, []).append(each)
    waiting = [each for packages in kept.values() for each in packages] if older else []
    seen: set[str] = set()
    while waiting:
        for text in _depends(waiting.pop(), older):
            if text in seen:
                continue
            seen.add(text)
            for subdir, each in _missing(text, by_name, older):
                kept[subdir].append(each)
                by_name.setdefault(each.name, []).append(each)
                waiting.append(each)
    return kept


def _newest(packages: Iterable[IndexedPackage], keep: int) -> dict[str, Collection[str]]:
    versions: dict[str, set[str]] = {}
    for each in packages:
        versions.setdefault(each.name, set()).add(each.version)
    return {name: _last(of_name, keep) for name, of_name in versions.items()}


def _last(versions: Collection[str], count: int) -> Collection[str]:
    if len(versions) <= count:
        return versions
    ordered = sorted((parsed, text) for text in versions if (parsed := conda_version(text)) is not None)
    return {text for _, text in ordered[-count:]}


def _depends(package: IndexedPackage, older: Collection[str]) -> list[str]:
    depends = package.record.get("depends")
    texts = map(str, depends) if isinstance(depends, list) else ()
    return [text for text in texts if name_of(text).lower() in older]


def _missing(
    text: str, kept: Mapping[str, Sequence[IndexedPackage]], older: Mapping[str, Sequence[tuple[str, IndexedPackage]]]
) -> list[tuple[str, IndexedPackage]]:
    """Return the packages of the newest older version that meets a dependency which no kept package meets."""
    try:
        spec = parse_conda(text)
    except UsageError:
        return []

    def meets(package: IndexedPackage) -> bool:
        record = package.record
        build, number = str(record.get("build")), record.get("build_number")
        fits = spec.accepts_build(build, number if isinstance(number, int) else 0)
        return spec.accepts_version(package.version) and fits

    if any(meets(each) for each in kept.get(spec.name, ())):
        return []
    matching = [(subdir, each) for subdir, each in older.get(spec.name, ()) if meets(each)]
    versions = _last({each.version for _, each in matching}, 1)
    return [(subdir, each) for subdir, each in matching if each.version in versions]
