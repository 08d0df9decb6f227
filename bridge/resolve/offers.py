"""What channels and indexes offer of one name, version by version, and which offer a solve tries first. Pure.

The order of candidates is that of `bridge.resolve.candidates.ranks`; between the ecosystems it is the policy of
`bridge.resolve.search.preference`. A solve may take another one because of what it requires.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field, replace

from bridge.errors import UsageError
from bridge.model import IndexFile
from bridge.requirements.algebra import (
    Requirement,
    conda_version,
    parse_conda,
    pep440_version,
    python_specifier,
    specifier_accepts,
)
from bridge.requirements.names import name_of
from bridge.resolve import Catalog
from converters.deferred import dataclass
from converters.projects import canonicalize_name
from converters.record import Record
from converters.target import Target
from converters.wheel import parse_wheel_name

__all__ = ["Offer", "Offers", "offers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One record of a channel or one file of an index.

    :param unusable: why it cannot be taken on the target; empty if nothing speaks against it.
    """

    candidate: Record | IndexFile
    unusable: str = ""

    @property
    def version(self) -> str:
        return self.candidate.version

    def on(self, target: Target) -> str:
        """Why the candidate does not suit a target with a python; empty if it does."""
        each = self.candidate
        return _misfit(each, target) if isinstance(each, Record) else _other_python(each, target)

    def to_json(self) -> dict[str, object]:
        """An item of `conda` or `wheel` in `bridge/schemas/search.json`."""
        each = self.candidate
        common = {
            "version": each.version,
            "filename": each.filename,
            "url": each.url,
            "sha256": each.sha256,
            "size": each.size,
            "unusable": self.unusable or None,
        }
        if isinstance(each, Record):
            own = {"name": each.name, "build": each.build, "build_number": each.build_number, "subdir": each.subdir}
            return {**own, "channel": each.origin, "timestamp": each.timestamp, "license": each.license, **common}
        own_file = {"name": each.project, "index": each.origin, "requires_python": each.requires_python}
        return {**own_file, "yanked": each.yanked, "upload_time": each.upload_time, **common}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """All offers for a requirement, best first in each ecosystem."""

    text: str
    name: str
    platform: str
    python: str | None
    conda: tuple[Offer, ...] = ()
    wheels: tuple[Offer, ...] = ()
    taken: Offer | None = field(default=None)

    def versions(self) -> list[tuple[str, list[Offer], list[Offer]]]:
        """The offers of both ecosystems by version, the newest first; equal versions stand on one line."""
        rows: dict[object, tuple[str, list[Offer], list[Offer]]] = {}
        for offer in (*self.conda, *self.wheels):
            version = pep440_version(offer.version)
            row = rows.setdefault(version if version is not None else offer.version, (offer.version, [], []))
            (row[1] if isinstance(offer.candidate, Record) else row[2]).append(offer)

        def newest(row: tuple[str, list[Offer], list[Offer]]) -> tuple[bool, object]:
            version = conda_version(row[0])
            return version is not None, version if version is not None else row[0]

        return sorted(rows.values(), key=newest, reverse=True)

    def newest(self, limit: int | None) -> Offers:
        """The offers of the newest versions only; `None`: of all."""
        if limit is None:
            return self
        left = {id(offer) for _, conda, wheels in self.versions()[:limit] for offer in (*conda, *wheels)}
        return replace(
            self,
            conda=tuple(each for each in self.conda if id(each) in left),
            wheels=tuple(each for each in self.wheels if id(each) in left),
        )

    def to_json(self) -> dict[str, object]:
        """The document of `bridge search --json` (`bridge/schemas/search.json`)."""
        taken = None
        if self.taken is not None:
            source = "conda" if isinstance(self.taken.candidate, Record) else "wheel"
            taken = {"source": source, "version": self.taken.version, "filename": self.taken.candidate.filename}
        return {
            "query": self.text,
            "platform": self.platform,
            "python": self.python,
            "taken": taken,
            "conda": [offer.to_json() for offer in self.conda],
            "wheel": [offer.to_json() for offer in self.wheels],
        }


def offers(requirement: Requirement, catalog: Catalog) -> Offers:
    """Find what meets a requirement. Raises `NetworkError`.

    :param catalog: its target has a python if offers must suit that of an environment.
    """
    target = catalog.target
    project = canonicalize_name(requirement.name)
    conda: list[Offer] = []
    own = requirement.conda.name if requirement.conda is not None else requirement.name
    only = catalog.options.only.get(project) or catalog.options.only.get(own)
    if requirement.bound != "wheel":
        spelled = (project, project.replace("-", "_"), project.replace("-", "."))
        providing = () if requirement.kind == "matchspec" else (*catalog.names.providers(project), *spelled)
        names = dict.fromkeys((own, *providing))
        catalog.prefetch(names)
        for name in names:
            if name == own or project in catalog.conda(name).projects:
                conda += _records(requirement, catalog, name, target)
    wheels: list[Offer] = []
    if requirement.bound != "conda" and catalog.index is not None and (requirement.kind != "matchspec" or not conda):
        wheels = _files(requirement, catalog, project, target)
    is_requested_of_conda = (
        any(isinstance(each.candidate, Record) and each.candidate.name == own for each in conda)
        and requirement.kind != "pep508"
    )
    prefer = "newest" if catalog.options.prefer == "conda" and not is_requested_of_conda else catalog.options.prefer
    first = {"wheel": "wheel", "conda": "conda"}.get(only or "", prefer)
    # A wheel stands for a conda package only if that provides its project.
    may_be_wheel = not is_requested_of_conda or only == "wheel" or catalog.conda(own).wheel_project == project
    return Offers(
        text=requirement.text,
        name=own,
        platform=target.subdir,
        python=target.python.version if target.python is not None else None,
        conda=tuple(conda),
        wheels=tuple(wheels),
        taken=_taken(conda if only != "wheel" else (), wheels if only != "conda" and may_be_wheel else (), first),
    )


def _taken(conda: Sequence[Offer], wheels: Sequence[Offer], prefer: str) -> Offer | None:
    record = next((each for each in conda if not each.unusable), None)
    file = next((each for each in wheels if not each.unusable), None)
    if record is None or file is None:
        return record or file
    if prefer != "newest":
        return file if prefer == "wheel" else record
    ours, theirs = pep440_version(record.version), pep440_version(file.version)
    return file if ours is not None and theirs is not None and theirs > ours else record


def _records(requirement: Requirement, catalog: Catalog, name: str, target: Target) -> list[Offer]:
    records = catalog.conda(name)
    return [
        Offer(candidate=record, unusable="too new" if records.too_new >> place + 1 & 1 else _misfit(record, target))
        for place, record in enumerate(records.records)
        if _meets(requirement, record)
    ]


def _meets(requirement: Requirement, record: Record) -> bool:
    if requirement.kind == "pep508":
        return requirement.accepts(record.version)
    spec = requirement.conda
    return spec is None or (
        spec.accepts_version(record.version)
        and spec.accepts_build(record.build, record.build_number, record.origin, record.subdir)
        and spec.accepts_channel(record.origin)
        and spec.accepts_artifact(record)
    )


def _misfit(record: Record, target: Target) -> str:
    """Why a record does not suit the target: a virtual package, or the python."""
    for text in record.requirements:
        name = name_of(text)
        version = target.virtual(name) if name.startswith("__") else None
        if name.startswith("__") and version is None:
            return f"needs {text}"
        if name == "python" and target.python is not None:
            version = target.python.version
        elif name == "python_abi" and target.python is not None:
            version = ".".join(map(str, target.python.minor))
        if version is not None and not _accepts(text, version):
            return f"needs {text}"
    return ""


def _accepts(text: str, version: str) -> bool:
    try:
        return parse_conda(text).accepts_version(version)
    except UsageError:
        return True


def _files(requirement: Requirement, catalog: Catalog, project: str, target: Target) -> list[Offer]:
    listed = catalog.project(project)
    usable = [Offer(candidate=file, unusable=_unfit(file, target, catalog)) for file in listed.files]
    excluded = [
        Offer(candidate=file, unusable=_EXCLUDED.get(reason, reason))
        for reason, files in listed.excluded.items()
        for file in files
        if reason != "version"
    ]
    return [each for each in (*usable, *_newest_first(excluded)) if requirement.accepts(each.version)]


_EXCLUDED = {
    "no-time": "has no time",
    "too-new": "too new",
    "sdist": "sources are not built",
    "no-binary": "wheels are not taken",
    "platform": "for another platform",
    "name": "malformed name",
    "hash": "another hash is required",
}


def _unfit(file: IndexFile, target: Target, catalog: Catalog) -> str:
    if file.yanked is not None:
        return "yanked"
    version = pep440_version(file.version)
    if version is not None and version.is_prerelease and not catalog.options.pre:
        return "pre-release"
    return _other_python(file, target)


def _other_python(file: IndexFile, target: Target) -> str:
    if target.python is None:
        return ""
    specifier = python_specifier(file.requires_python) if file.requires_python else None
    if specifier is not None and not specifier_accepts(specifier, target.python.version):
        return f"needs python {file.requires_python}"
    if file.is_wheel and frozenset(target.tags()).isdisjoint(parse_wheel_name(file.filename).tags):
        return "for another python"
    return ""


def _newest_first(offered: Iterable[Offer]) -> list[Offer]:
    dated = [(version, each) for each in offered if (version := pep440_version(each.version)) is not None]
    return [each for _, each in sorted(dated, key=lambda pair: pair[0], reverse=True)]
