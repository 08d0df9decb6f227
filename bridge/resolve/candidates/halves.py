"""Slim records: conda packages that provide a PyPI project without all that it needs.

conda-forge splits projects. `geopandas-base` has the modules and the dist-info; `geopandas` depends on exactly that
version of it, provides the same project, and adds what METADATA requires beyond. The slim record alone does not meet a
PyPI requirement: `pip check` would fail, or the project could not start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bridge.errors import UsageError
from bridge.requirements.algebra import Requirement, parse_conda, parse_pypi
from bridge.requirements.names import name_of
from bridge.resolve.candidates.catalog import Catalog
from bridge.resolve.candidates.needs import plain
from bridge.resolve.candidates.packages import CondaName
from bridge.resolve.candidates.provides import canonical, is_python_record, is_python_text
from converters.deferred import dataclass
from converters.metadata import CoreMetadata
from converters.record import Record

__all__ = ["Published", "omitted", "wholes"]

_BEYOND = "999999999"  # later than any version of a package


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What an index has of one version: METADATA, and whether its wheels have compiled files (and so libraries)."""

    metadata: CoreMetadata
    has_libraries: bool


def wholes(catalog: Catalog, project: str, part: str) -> Mapping[str, Record]:
    """Return the records that stand for the whole of a project where `part` is a slim one: by version, newest first.

    Such a record provides the project too, depends on `part` at exactly its own version, and adds dependencies. If
    several names do, the one that is called like the project counts.
    """
    slim = catalog.conda(part)
    builds: dict[str, int] = {}
    for place, record in enumerate(slim.records):
        builds[record.version] = builds.get(record.version, 0) | 2 << place
    whole_records: dict[str, Record] = {}
    others = (name for name in catalog.providers(project) if name != part)
    for name in sorted(others, key=lambda name: canonical(name) != project):
        conda = catalog.conda(name)
        for record, provided in zip(conda.records, conda.provided, strict=True):
            version = record.version
            if version in whole_records or version not in builds or project not in provided.projects:
                continue
            if _pins(record, slim, builds[version]) and _additions(record, _best(slim, version), part):
                whole_records[version] = record
    return whole_records


def omitted(
    catalog: Catalog, project: str, record: Record, known: Mapping[str, Record], published: Published | None
) -> tuple[Requirement, ...]:
    """Return what the project needs and a slim `record` does not bring; empty if it stands for the project.

    :param known: what `wholes` returns for the name of the record.
    :param published: what the index has of its version.

    What METADATA requires decides: that which the whole record brings and the slim one does not. Of what neither
    brings, conda's packagers decided; it is not added. If the wheels of that version are compiled, they contain their
    libraries, and the libraries that the whole record adds count too. Without METADATA, the whole record of the same
    version decides, unless the slim one has the project's name.
    """
    if not known:
        return ()
    part = record.name
    whole = known.get(record.version)
    if published is None:
        is_named = canonical(part) == project and is_python_record(record)
        if whole is None or (is_named and canonical(whole.name) != project):
            return ()
        return _readable(_additions(whole, record, part))
    model = whole if whole is not None else next(iter(known.values()))
    added = _additions(model, record, part)
    missing = tuple(_missing(catalog, published.metadata, record, added))
    libraries = [text for text in added if _is_library(catalog, name_of(text))] if published.has_libraries else []
    return (*missing, *(_readable(libraries) if whole is not None else ()))


def _pins(record: Record, slim: CondaName, builds: int) -> bool:
    """Return whether a record depends on builds of one version of `slim` only."""
    for text in record.requirements:
        if name_of(text) == slim.name:
            try:
                spec = parse_conda(text)
            except UsageError:
                return False
            met = slim.meets(spec)
            is_bounded = not spec.accepts_version("0") and not spec.accepts_version(_BEYOND)
            return bool(met) and not met & ~builds and is_bounded
    return False


def _best(slim: CondaName, version: str) -> Record:
    return next(record for record in slim.records if record.version == version)


def _additions(whole: Record, slim: Record, part: str) -> tuple[str, ...]:
    """Return the MatchSpecs of `whole` on names that `slim` does not depend on."""
    has = set(map(name_of, slim.requirements))
    is_python = is_python_record(slim)
    return tuple(
        text
        for text in whole.requirements
        if (name := name_of(text)) != part
        and name not in has
        and not name.startswith("__")
        and not (is_python and is_python_text(text))
    )


def _readable(texts: Iterable[str]) -> tuple[Requirement, ...]:
    """Return MatchSpecs as requirements, without conditional and unreadable ones."""
    return tuple(requirement for requirement in map(plain, texts) if requirement is not None)


def _missing(catalog: Catalog, metadata: CoreMetadata, slim: Record, added: Sequence[str]) -> Iterable[Requirement]:
    """Yield what METADATA requires without an extra and only the added dependencies bring, at most two steps away."""
    unmet = [each for each in _required(catalog, metadata) if not _brings(catalog, slim.requirements, each, steps=1)]
    for requirement in unmet:
        if not _brings(catalog, slim.requirements, requirement, steps=2) and _brings(
            catalog, added, requirement, steps=2
        ):
            yield requirement


def _required(catalog: Catalog, metadata: CoreMetadata) -> Iterable[Requirement]:
    """Yield what METADATA requires on some python of the target, without URLs: conda has no package of a URL."""
    for text in metadata.requires_dist:
        try:
            requirement = parse_pypi(text)
        except UsageError:
            continue  # a wheel's would be ignored too
        applies = requirement.marker is None or catalog.pythons.for_marker(requirement.marker)
        if applies and requirement.url is None:
            yield requirement


def _brings(catalog: Catalog, texts: Iterable[str], requirement: Requirement, *, steps: int) -> bool:
    """Return whether MatchSpecs name a provider of the project, directly or through their best records."""
    project = canonical(requirement.name)
    providers = {*catalog.names.providers(project), project, project.replace("-", "_"), project.replace("-", ".")}
    names = {name_of(text) for text in texts}
    if not names.isdisjoint(providers):
        return True
    if steps == 1:
        return False
    catalog.prefetch(sorted(names))
    further = (record.requirements for name in names for record in catalog.conda(name).records[:1])
    return any(name_of(text) in providers for requirements in further for text in requirements)


def _is_library(catalog: Catalog, name: str) -> bool:
    """Return whether a name provides no PyPI project: METADATA cannot require it."""
    conda = catalog.conda(name)
    return bool(conda.records) and not conda.projects
