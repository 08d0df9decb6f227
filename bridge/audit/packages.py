"""The installed packages, one row each: the answer of `bridge list`, from the records alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bridge.model import Distribution, PrefixState
from bridge.prefix.attested import kept_attestations
from bridge.prefix.claims import Claims, Owner, Source, claims_of
from bridge.requirements import displaced as displacements
from bridge.requirements.names import name_of
from converters.deferred import replace
from converters.descriptions import spdx_expression, stated
from converters.names import NameMap
from converters.projects import canonicalize_name
from converters.record import WHEEL_ATTESTATIONS, Record

__all__ = ["PackageList", "PackageRow", "distributions_by_owner", "is_requested", "package_list", "projects_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRow:
    """One installed package. `origin` is the URL of the channel or index; `installer` is the content of INSTALLER.

    :param requested: the requested specs; `is_requested` is also true for PEP 376's REQUESTED, which has no spec.
    :param license: an SPDX expression, or the short name that the record or METADATA has.
    :param attestations: the publishers whose attestations were verified when it was installed, each as key → text.
    :param wheel_attestations: those that the channel of a converted package names for its wheel; not verified.
    :param author, home: of METADATA (`bridge.model.Distribution`).
    :param displaced: what another installer did to it, so that its record is no longer true.
    :param displaced_by: the owner of the files in its place.
    """

    owner: str
    name: str
    version: str
    source: Source
    build: str | None = None
    subdir: str | None = None
    origin: str | None = None
    url: str | None = None
    sha256: str | None = None
    md5: str | None = None
    license: str | None = None
    attestations: tuple[Mapping[str, str], ...] = field(default=(), hash=False)
    wheel_attestations: tuple[Mapping[str, str], ...] = field(default=(), hash=False)
    author: str | None = None
    home: str | None = None
    is_requested: bool = False
    requested: tuple[str, ...] = ()
    pypi_names: tuple[str, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    installer: str | None = None
    displaced: Literal["removed", "replaced"] | None = None
    displaced_by: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Its own name, and those of its projects and dist-infos."""
        return tuple(dict.fromkeys((self.name, *self.pypi_names, *(each.name for each in self.distributions))))

    @property
    def displacement(self) -> str | None:
        """`displaced` and `displaced_by` in words."""
        if self.displaced == "replaced":
            return f"replaced by {self.displaced_by}"
        return "removed by another installer" if self.displaced else None

    def to_json(self) -> dict[str, object]:
        """An item of `packages` in `bridge/schemas/list.json`: a wheel has an `index`, other packages a `channel`."""
        return {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "subdir": self.subdir,
            "source": self.source,
            "index" if self.source == "wheel" else "channel": self.origin,
            "url": self.url,
            "sha256": self.sha256,
            "license": self.license,
            "attestations": [dict(each) for each in self.attestations],
            "wheel_attestations": [dict(each) for each in self.wheel_attestations],
            "pypi_names": list(self.pypi_names),
            "requested": self.is_requested,
            "requested_specs": list(self.requested),
            "installer": self.installer,
            "distributions": [
                {"name": each.name, "version": each.version, "path": each.path} for each in self.distributions
            ],
            "owner": self.owner,
            "displaced": self.displaced,
            "displaced_by": self.displaced_by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageList:
    """All installed packages, sorted by name."""

    prefix: Path
    rows: tuple[PackageRow, ...]

    def to_json(self) -> dict[str, object]:
        """The document of `bridge list --json` (`bridge/schemas/list.json`)."""
        return {"prefix": str(self.prefix), "packages": [row.to_json() for row in self.rows]}


def package_list(state: PrefixState, names: NameMap) -> PackageList:
    """Every conda-meta record and every dist-info that none of them covers, sorted by name."""
    claims = claims_of(state)
    distributions = distributions_by_owner(claims, state)
    listed = [_row(owner, distributions.get(owner, ()), names) for owner in claims.owners]
    rows = _with_displacement(state, listed)
    rows = tuple(sorted(rows, key=lambda row: (row.name, row.version, row.owner)))
    return PackageList(prefix=state.prefix, rows=rows)


def _with_displacement(state: PrefixState, rows: Sequence[PackageRow]) -> tuple[PackageRow, ...]:
    """The rows, with what other installers did to the packages of conda-meta."""
    displaced = {each.record.label: displacements.projects_of(state, each) for each in displacements.displaced(state)}
    others = {project: row.owner for row in rows if row.source == "unmanaged" for project in row.pypi_names}
    result = []
    for row in rows:
        if row.owner in displaced:
            by = min((others[each] for each in displaced[row.owner] if each in others), default=None)
            row = replace(row, displaced="replaced" if by else "removed", displaced_by=by)  # noqa: PLW2901
        result.append(row)
    return tuple(result)


def _row(owner: Owner, distributions: tuple[Distribution, ...], names: NameMap) -> PackageRow:
    installer = next((each.installer for each in distributions if each.installer), None)
    is_asked = is_requested(owner, distributions)
    if owner.installed is None:
        distribution = distributions[0]
        url = (distribution.direct_url or {}).get("url")
        return PackageRow(
            owner=owner.label,
            name=distribution.name,
            version=distribution.version,
            source=owner.source,
            url=url if isinstance(url, str) else None,
            license=distribution.license,
            author=distribution.author,
            home=distribution.home,
            is_requested=is_asked,
            pypi_names=(canonicalize_name(distribution.name),),
            distributions=distributions,
            installer=installer,
        )
    record = owner.installed.record
    own = next((each for each in distributions if canonicalize_name(each.name) in record.pypi_names), None)
    own = own or (distributions[0] if len(distributions) == 1 else None)
    return PackageRow(
        owner=owner.label,
        name=record.name,
        version=record.version,
        source=owner.source,
        build=record.build,
        subdir=record.subdir or None,
        origin=record.origin or None,
        url=record.url or None,
        sha256=record.sha256,
        md5=record.md5,
        license=_license(record, own),
        attestations=kept_attestations(record),
        wheel_attestations=kept_attestations(record, WHEEL_ATTESTATIONS),
        author=own.author if own else None,
        home=own.home if own else None,
        is_requested=is_asked,
        requested=owner.installed.requested,
        pypi_names=projects_of(owner, names),
        distributions=distributions,
        installer=installer,
    )


def _license(record: Record, own: Distribution | None) -> str | None:
    """Return what a conda package's record states, since it may carry more than the project, or a wheel's METADATA."""
    texts = (stated(record.license), own.license if own else None)
    text = next((each for each in (texts if record.ecosystem == "conda" else reversed(texts)) if each), None)
    return text and (spdx_expression(text) or text)


def distributions_by_owner(claims: Claims, state: PrefixState) -> dict[Owner, tuple[Distribution, ...]]:
    """Return the distributions that each owner brought; one without any is left out."""
    brought: dict[Owner, list[Distribution]] = {}
    for each in state.distributions:
        brought.setdefault(claims.answering[each.path], []).append(each)
    return {owner: tuple(distributions) for owner, distributions in brought.items()}


def is_requested(owner: Owner, distributions: Sequence[Distribution]) -> bool:
    """Return whether a person asked for a package, which brought these distributions.

    A conda package's REQUESTED was written when it was built, and means nothing here.
    """
    if owner.installed is not None and owner.installed.requested:
        return True
    return owner.source != "conda" and any(each.requested for each in distributions)


def projects_of(owner: Owner, names: NameMap) -> tuple[str, ...]:
    """The projects that an owner provides: by its record, or else by the name map."""
    if owner.installed is None:
        return (canonicalize_name(owner.package),)
    record = owner.installed.record
    if record.pypi_names or record.ecosystem == "wheel":
        return record.pypi_names
    is_python = any(name_of(text) == "python" for text in record.requirements)
    return names.provides(record.name, purls=record.purls, is_python=is_python).projects
