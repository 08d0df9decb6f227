"""What a bill of materials says, whatever its format: packages, their names, suppliers, origins and needs. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

from bridge.audit.packages import PackageRow
from bridge.audit.report.facts import Facts
from bridge.secrets import masked
from converters.descriptions import people
from converters.projects import canonicalize_name
from converters.purls import wheel_purl

__all__ = ["Party", "artifact_url", "authors", "identity", "listed", "needs", "plain", "purls", "supplier"]

_NAMESPACE = uuid.UUID("6f5b3f1e-6a0c-5b7e-9d0c-3a0f3b1f7c11")  # of the identifiers derived from contents
_REMOTE = ("https", "http", "git+https", "git+http", "git+ssh", "ftp", "s3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """An organisation or a person."""

    name: str
    url: str = ""
    address: str = ""


def listed(facts: Facts) -> list[PackageRow]:
    """Each package once, if it has a name and a version, and is still there.

    The remains of a dist-info may have no name, and the record of what another installer replaced stays behind.
    """
    rows = (row for row in facts.rows if row.name and row.version and row.displaced is None)
    return list({row.owner: row for row in rows}.values())


def needs(facts: Facts) -> Mapping[str, list[str]]:
    """The label of each package → those of the packages that it requires."""
    by_owner: dict[str, dict[str, None]] = {row.owner: {} for row in listed(facts)}
    for each in facts.dependencies:
        if each.dependant in by_owner and each.dependency in by_owner:
            by_owner[each.dependant][each.dependency] = None
    return {owner: sorted(needed) for owner, needed in by_owner.items()}


def identity(facts: Facts, when: datetime) -> uuid.UUID:
    """The bill's identifier: the same for the same packages at the same time."""
    lines = (f"{row.owner} {row.sha256}" for row in facts.rows)
    return uuid.uuid5(_NAMESPACE, "\n".join([when.isoformat(), *lines]))


def purls(row: PackageRow) -> tuple[str, ...]:
    """The package URLs of a package, its own first: `pkg:conda/…` with build and subdir, `pkg:pypi/…`.

    A conda package with distributions has those of their projects too (CEP 63's `purls`).
    """
    projects = tuple(wheel_purl(canonicalize_name(each.name), each.version) for each in row.distributions)
    if row.source == "conda":
        words = {"build": row.build, "channel": masked(row.origin) if row.origin else None, "subdir": row.subdir}
        qualifiers = "&".join(f"{key}={quote(value, safe='')}" for key, value in words.items() if value)
        return (f"pkg:conda/{quote(row.name)}@{quote(row.version)}{'?' + qualifiers if qualifiers else ''}", *projects)
    return projects or (wheel_purl((row.pypi_names or (row.name,))[0], row.version),)


def supplier(row: PackageRow) -> Party | None:
    """Who distributes a package: its channel by name, or the host of its index; else its first author."""
    origin = masked(row.origin) if row.origin else ""
    where = urlsplit(origin) if "://" in origin else None
    if row.source == "conda" and origin:
        name = (where.path if where else origin).rstrip("/").rpartition("/")[2]
        name = name or (where.hostname or "" if where else origin)
        return Party(name=plain(name) or "channel", url=origin if where and where.scheme in _REMOTE else "")
    if where and where.hostname:
        return Party(name=where.hostname, url=f"{where.scheme}://{where.netloc}")
    return next(iter(authors(row)), None)


def authors(row: PackageRow) -> list[Party]:
    """The authors that METADATA names."""
    pairs = ((plain(name), plain(address)) for name, address in people(row.author or ""))
    return [Party(name=name or address, address=address) for name, address in pairs if name or address]


def artifact_url(row: PackageRow) -> str:
    """The URL that the package was got from, if others can reach it; empty: none."""
    url = masked(row.url) if row.url else ""
    return url if urlsplit(url).scheme in _REMOTE else ""


def plain(text: str) -> str:
    """The text on one line, without what XML cannot hold."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
