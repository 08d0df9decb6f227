"""Clauses on slim records: what a project needs beyond the record that provides it (`candidates/halves.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.errors import BuildError, NetworkError, UnsafeInputError
from bridge.requirements.algebra import Requirement
from bridge.resolve.candidates import halves
from bridge.resolve.candidates.halves import Published
from bridge.resolve.encode.space import Space
from converters.metadata import CoreMetadata
from converters.record import Record

__all__ = ["Halves", "VersionMetadata"]


class VersionMetadata:
    """METADATA of versions whose records conda provides, from the files of the index. `read` counts the files."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.read = 0

    def of(self, project: str, version: str) -> CoreMetadata | None:
        """Return METADATA of one version; `None` if no index has it or it is unusable. Raises `NetworkError`."""
        published = self.published(project, version)
        return published.metadata if published is not None else None

    def published(self, project: str, version: str) -> Published | None:
        """Return METADATA of one version and the kind of its wheels. Raises `NetworkError`."""
        catalog = self._space.catalog
        if catalog.index is None:
            return None
        files = catalog.project(project).of_version(version)
        chosen = next((file for file in files if file.is_wheel), files[0] if files else None)
        if chosen is None:
            return None
        try:
            metadata = catalog.index.metadata(chosen)
        except (UnsafeInputError, BuildError) as error:
            self._space.warnings[f"{chosen.filename}: {error.message}"] = None
            return None
        self.read += 1
        has_libraries = any(file.is_wheel and not file.filename.endswith("-any.whl") for file in files)
        return Published(metadata=metadata, has_libraries=has_libraries)


class Halves:
    """Which providers of a project are slim, and what they omit.

    A slim record that the user names with a MatchSpec stands for the project as it is (`Space.named`).
    """

    def __init__(self, space: Space, metadata: VersionMetadata) -> None:
        self._space = space
        self._metadata = metadata
        self._wholes: dict[tuple[str, str], Mapping[str, Record]] = {}

    def ordered(self, project: str, providers: Sequence[str]) -> tuple[str, ...]:
        """Return the providers with the whole before its slim half. Costs METADATA of one version of each half."""
        order = list(providers)
        for part in providers:
            known = self._known(project, part)
            if known and self.omitted(project, part, 0):
                whole = next(iter(known.values())).name
                order.remove(whole)
                order.insert(order.index(part), whole)
        return tuple(order)

    def omitted(self, project: str, part: str, place: int) -> tuple[Requirement, ...]:
        """Return what the project needs beyond a record of `part`, whose place in its list is given."""
        catalog, known = self._space.catalog, self._known(project, part)
        if part in self._space.named or not known:
            return ()
        record = catalog.conda(part).records[place]
        try:
            published = self._metadata.published(project, record.version)
        except NetworkError as error:
            self._space.warnings[f"{error.message}; conda's records decide what {project} needs"] = None
            published = None
        if published is None and self._space.kept.get(part):
            return ()  # installed for this project before: stays as it is without a proof against it
        return halves.omitted(catalog, project, record, known, published)

    def _known(self, project: str, part: str) -> Mapping[str, Record]:
        if (project, part) not in self._wholes:
            self._wholes[project, part] = halves.wholes(self._space.catalog, project, part)
        return self._wholes[project, part]
