"""Known vulnerabilities: documents of the OSV format, and the installed packages that they affect. Pure.

The format is that of the OSV schema (1.7): `affected` names packages by ecosystem and name or by purl, and versions by
`versions` and by the events of `ranges`. PyPI's versions are compared by PEP 440, conda's in conda's order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol
from urllib.parse import unquote

from packaging.version import InvalidVersion, Version

from bridge.audit.finding import Finding
from bridge.audit.packages import PackageRow
from bridge.requirements.matchspec import conda_version
from converters.deferred import dataclass
from converters.projects import canonicalize_name

__all__ = ["KIND", "OF_INDEX", "Advisory", "Affected", "named_by", "parse_advisory", "vulnerable"]

KIND = "vulnerable-version"
OF_INDEX = "index"
"""The source of advisories that is the package index itself."""

Ecosystem = Literal["pypi", "conda"]
_ECOSYSTEMS: Mapping[str, Ecosystem] = {"pypi": "pypi", "conda": "conda", "conda-forge": "conda"}
_HASH_KEYS = ("sha256", "hashes", "artifact_hashes")


class Place(Protocol):
    """The place of a version among others of its ecosystem."""

    def __lt__(self, other: Any, /) -> bool: ...  # noqa: ANN401
    def __gt__(self, other: Any, /) -> bool: ...  # noqa: ANN401
    def __ge__(self, other: Any, /) -> bool: ...  # noqa: ANN401


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A range of versions, by events: a kind (`introduced`, `fixed`, `last_affected`, `limit`) and a version."""

    events: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """The affected versions of one package.

    :param name: normalised for `pypi`, lower case for `conda`.
    :param hashes: sha256 of artifacts that are affected whatever their version.
    :param stated_fixes: fixed versions that are stated apart from the ranges.
    """

    ecosystem: Ecosystem
    name: str
    versions: frozenset[str] = frozenset()
    ranges: tuple[Range, ...] = ()
    hashes: frozenset[str] = frozenset()
    stated_fixes: tuple[str, ...] = ()

    def covers(self, version: str) -> bool:
        """Whether a version is affected: it is listed, or lies in a range. A version that cannot be read is not.

        The label of a local build (`2.1.0+cu121`) is left out, since advisories speak of what PyPI has.
        """
        public = version.partition("+")[0] if self.ecosystem == "pypi" else version
        if not self.versions.isdisjoint({version, public}):
            return True
        place = _order(self.ecosystem, public)
        if place is None:
            return False
        is_listed = any(place == _order(self.ecosystem, each) for each in self.versions)
        return is_listed or any(self._is_in(each, place) for each in self.ranges)

    def _is_in(self, wanted: Range, place: Place) -> bool:
        limits = [self._place(text) for kind, text in wanted.events if kind == "limit" and text != "*"]
        if limits and place >= max(limits):
            return False
        is_affected = False
        for kind, text in sorted(wanted.events, key=lambda event: self._place(event[1])):
            bound = self._place(text)
            if kind == "introduced" and place >= bound:
                is_affected = True
            elif (kind == "fixed" and place >= bound) or (kind == "last_affected" and place > bound):
                is_affected = False
        return is_affected

    def _place(self, text: str) -> Place:
        """The place of a version among others; "0" is before all."""
        place = None if text == "0" else _order(self.ecosystem, text)
        return _first(self.ecosystem) if place is None else place

    @property
    def fixed(self) -> tuple[str, ...]:
        """The versions that fix it, lowest first."""
        versions = {text for each in self.ranges for kind, text in each.events if kind == "fixed"}
        versions |= set(self.stated_fixes)
        return tuple(sorted(versions, key=self._place))


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One vulnerability."""

    id: str
    aliases: tuple[str, ...] = ()
    summary: str = ""
    affected: tuple[Affected, ...] = ()


@lru_cache(maxsize=8192)
def _order(ecosystem: Ecosystem, version: str) -> Place | None:
    if ecosystem == "conda":
        return conda_version(version)
    try:
        return Version(version)
    except InvalidVersion:
        return None


def _first(ecosystem: Ecosystem) -> Place:
    first = _order(ecosystem, "0.dev0")
    assert first is not None
    return first


def parse_advisory(document: object) -> Advisory | None:
    """Read one OSV document; `None`: it was withdrawn, or affects neither PyPI's nor conda's packages.

    :raises ValueError: it is no OSV document.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("id"), str):
        raise ValueError("it has no id")
    affected = document.get("affected", [])
    if not isinstance(affected, list):
        raise ValueError("affected is not a list")
    if document.get("withdrawn"):
        return None
    parsed = tuple(entry for each in affected if (entry := _affected(each)) is not None)
    if not parsed:
        return None
    summary = document.get("summary") or str(document.get("details") or "").strip().partition("\n")[0]
    return Advisory(
        id=document["id"],
        aliases=tuple(each for each in document.get("aliases") or () if isinstance(each, str)),
        summary=" ".join(str(summary).split())[:200],
        affected=parsed,
    )


def _affected(entry: object) -> Affected | None:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("package"), Mapping):
        return None
    named = _package(entry["package"])
    if named is None:
        return None
    ecosystem, name = named
    versions, ranges = entry.get("versions") or (), entry.get("ranges") or ()
    return Affected(
        ecosystem=ecosystem,
        name=name,
        versions=frozenset(map(str, versions)) if isinstance(versions, Sequence) else frozenset(),
        ranges=tuple(_range(each) for each in ranges if isinstance(each, Mapping) and each.get("type") != "GIT"),
        hashes=frozenset(_hashes(entry)),
    )


def _package(package: Mapping[str, object]) -> tuple[Ecosystem, str] | None:
    purl = package.get("purl")
    if isinstance(purl, str) and purl.startswith(("pkg:pypi/", "pkg:conda/")):
        kind, _, rest = purl.removeprefix("pkg:").partition("/")
        text = unquote(rest.partition("?")[0].partition("@")[0].rpartition("/")[2])
    else:
        kind = str(package.get("ecosystem", "")).partition(":")[0].lower()
        text = str(package.get("name", ""))
    ecosystem = _ECOSYSTEMS.get(kind)
    if ecosystem is None or not text:
        return None
    return ecosystem, canonicalize_name(text) if ecosystem == "pypi" else text.lower()


def _range(entry: Mapping[str, object]) -> Range:
    events = entry.get("events")
    pairs = (
        (kind, str(event[kind]))
        for event in (events if isinstance(events, Sequence) else ())
        if isinstance(event, Mapping)
        for kind in ("introduced", "fixed", "last_affected", "limit")
        if kind in event
    )
    return Range(events=tuple(pairs))


def _hashes(entry: Mapping[str, object]) -> Iterator[str]:
    """The sha256 hashes in the fields that databases add, as those of malicious packages do."""
    pending: list[object] = [entry.get("database_specific"), entry.get("ecosystem_specific")]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            for key, inner in value.items():
                hashes = inner if isinstance(inner, list) else [inner]
                if key in _HASH_KEYS:
                    yield from (each.lower() for each in hashes if isinstance(each, str))
                pending += [each for each in hashes if isinstance(each, (Mapping, list))]
        elif isinstance(value, list):
            pending += value


def named_by(rows: Iterable[PackageRow]) -> frozenset[tuple[str, str]]:
    """The packages that advisories may name: ecosystem and name of each package and of the distributions in it."""
    return frozenset((ecosystem, name) for row in rows for ecosystem, name, _ in _identities(row))


def _identities(row: PackageRow) -> Iterator[tuple[Ecosystem, str, str]]:
    if row.source == "conda":
        yield "conda", row.name.lower(), row.version
    for each in row.distributions:
        yield "pypi", canonicalize_name(each.name), each.version
    if not row.distributions and row.source != "conda":
        for name in row.pypi_names or (row.name,):
            yield "pypi", canonicalize_name(name), row.version


def vulnerable(
    rows: Iterable[PackageRow], advisories: Iterable[Advisory], prefix: str, pip: Sequence[str]
) -> tuple[Finding, ...]:
    """A finding for each package and vulnerability; advisories that share an alias are one vulnerability.

    :param pip: the words that run pip for the prefix; pip updates what has no record.
    """
    by_name: dict[tuple[str, str], list[tuple[Advisory, Affected]]] = {}
    for advisory in sorted(advisories, key=lambda each: each.id):
        for affected in advisory.affected:
            by_name.setdefault((affected.ecosystem, affected.name), []).append((advisory, affected))
    findings = []
    for row in rows:
        matches: list[tuple[Advisory, Affected]] = []
        for ecosystem, name, version in _identities(row):
            for advisory, affected in by_name.get((ecosystem, name), ()):
                if affected.covers(version) or (row.sha256 is not None and row.sha256 in affected.hashes):
                    matches.append((advisory, affected))
        findings += [_finding(row, same, prefix, pip) for same in _merged(matches)]
    return tuple(findings)


def _merged(matches: Sequence[tuple[Advisory, Affected]]) -> Iterator[list[tuple[Advisory, Affected]]]:
    """Groups of advisories that share an id or an alias."""
    groups: list[tuple[set[str], list[tuple[Advisory, Affected]]]] = []
    for each in matches:
        names = {each[0].id, *each[0].aliases}
        same = [group for group in groups if group[0] & names]
        joined = (names.union(*(group[0] for group in same)), [one for group in same for one in group[1]] + [each])
        groups = [group for group in groups if group not in same] + [joined]
    yield from (members for _, members in groups)


def _finding(row: PackageRow, same: Sequence[tuple[Advisory, Affected]], prefix: str, pip: Sequence[str]) -> Finding:
    advisory = same[0][0]
    others = sorted({name for each, _ in same for name in (each.id, *each.aliases)} - {advisory.id})
    fixed = tuple(dict.fromkeys(version for _, affected in same for version in affected.fixed))
    name = f"{advisory.id} ({', '.join(others)})" if others else advisory.id
    summary = next((each.summary for each, _ in same if each.summary), "")
    remedy = f"fixed in {', '.join(fixed)}" if fixed else "no version is known to fix it"
    own = ("bridge", "update", "-p", prefix, row.name)
    update = (*pip, "install", "--upgrade", row.name) if row.source == "unmanaged" else own
    return Finding(
        id=KIND,
        level="error",
        package=row.name,
        owner=row.owner,
        evidence=f"{name}: {summary + '; ' if summary else ''}{remedy}",
        repair=update if fixed else (),
        advisory=advisory.id,
        aliases=tuple(others),
        fixed=fixed,
    )
