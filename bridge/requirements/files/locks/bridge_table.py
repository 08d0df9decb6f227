"""The table `bridge` of a lock of rattler that bridge wrote: what the format has no field for (decision 0031)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.requirements.files.constructs import Section, describes, honoured
from bridge.requirements.files.fields import table, text, texts
from bridge.requirements.locked import Locked, LockedConda, LockedEnvironment, LockedWheel

__all__ = ["NEAR", "OF_ENVIRONMENT", "TABLE", "Noted", "read_table"]

NEAR = "file:./"
"""How the URL of a file near the lock begins in the text of a request."""

TABLE = Section(
    name="pixi.lock bridge",
    keys={
        "version": describes("of this table"),
        "inputs": honoured("what `bridge lock` without arguments locks again"),
        "environments": honoured("see below"),
    },
)
OF_ENVIRONMENT = Section(
    name="pixi.lock bridge environment",
    keys={
        "virtual_packages": honoured("what was assumed of each platform"),
        "requires_python": honoured("the python must meet it"),
        "requested": honoured("the requests that are recorded for each package"),
        "extras": honoured("those that are recorded for each project"),
        "indexes": honoured("the index of each project that is not of the first"),
        "versions": honoured("those of folders, which rattler takes for dynamic"),
        "direct": honoured("the projects that were asked for by URL or path"),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What is noted of one environment, by the names of its packages; `direct`: none of a lock without the table."""

    virtual_packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires_python: str | None = None
    requested: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    indexes: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    direct: frozenset[str] = frozenset()

    def of_environment(self, environment: LockedEnvironment) -> LockedEnvironment:
        """Return the environment with what is noted of the whole of it."""
        virtual = {**environment.virtual_packages, **self.virtual_packages}
        return replace(
            environment, virtual_packages=virtual, requires_python=self.requires_python or environment.requires_python
        )

    def of_package(self, each: Locked, indexes: tuple[str, ...]) -> Locked:
        """Return a package with what is noted of it; `indexes` are those of the environment."""
        requested = self.requested.get(each.name, ())
        if isinstance(each, LockedConda):
            return replace(each, requested=requested)
        extras = self.extras.get(each.name, ())
        index = "" if each.name in self.direct else self.indexes.get(each.name, indexes[0] if indexes else "")
        if isinstance(each, LockedWheel):
            is_direct = each.name in self.direct
            return replace(each, requested=requested, extras=extras, index=index, is_direct=is_direct)
        index = index if each.kind == "sdist" else ""
        version = each.version or self.versions.get(each.name, "")
        return replace(each, requested=requested, extras=extras, index=index, version=version)


def read_table(value: object, path: Path, warnings: list[str]) -> dict[str, Noted] | None:
    """Return what is noted, by environment; `None` for a lock without the table.

    Raises `UsageError` (`requirement-file`) for a table that is not as bridge writes it.
    """
    if value is None:
        return None
    top = TABLE.check(value, path, "bridge", warnings)
    notes = {}
    for name, each in table(top.get("environments"), path, "bridge.environments").items():
        where = f"bridge.environments.{name}"
        noted = OF_ENVIRONMENT.check(each, path, where, warnings)
        python = noted.get("requires_python")
        notes[str(name)] = Noted(
            virtual_packages=_lists(noted.get("virtual_packages"), path, f"{where}.virtual_packages"),
            requires_python=None if python is None else text(python, path, f"{where}.requires_python"),
            requested={
                name: tuple(each.replace(NEAR, f"{path.absolute().parent.as_uri()}/") for each in requests)
                for name, requests in _lists(noted.get("requested"), path, f"{where}.requested").items()
            },
            extras=_lists(noted.get("extras"), path, f"{where}.extras"),
            indexes=_texts(noted.get("indexes"), path, f"{where}.indexes"),
            versions=_texts(noted.get("versions"), path, f"{where}.versions"),
            direct=frozenset(texts(noted.get("direct"), path, f"{where}.direct")),
        )
    return notes


def _texts(value: object, path: Path, where: str) -> dict[str, str]:
    return {str(name): text(each, path, f"{where}.{name}") for name, each in table(value, path, where).items()}


def _lists(value: object, path: Path, where: str) -> dict[str, tuple[str, ...]]:
    return {str(name): texts(each, path, f"{where}.{name}") for name, each in table(value, path, where).items()}
