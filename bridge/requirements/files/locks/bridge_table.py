"""The table `bridge` of a lock of rattler that bridge wrote: what the format has no field for (decision 0031)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.requirements.files.constructs import Section, describes, honoured
from bridge.requirements.files.fields import Field
from bridge.requirements.locked import Facts, Locked, LockedConda, LockedEnvironment, LockedWheel
from converters.deferred import replace

__all__ = ["OF_ENVIRONMENT", "OF_FILE", "TABLE", "Noted", "key_of_file", "near", "read_table", "table_of_facts"]

_FILE = re.compile(r"file://(?P<path>/[^\s`'\"#\[;]+)")
_NEAR = re.compile(r"file:(?P<path>\.{1,2}/[^\s`'\"#\[;]*)")

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
        "files": honoured("see below, by the name of each file"),
    },
)
OF_FILE = Section(
    name="pixi.lock bridge file",
    keys={
        "license": honoured("of a wheel: a policy decides on it"),
        "yanked": honoured("it was yanked already when it was locked: a warning, and a policy decides on it"),
        "attestations": describes("whose attestations were verified for the lock; a policy has them verified again"),
        "attestations_sha256": honoured("as in repodata: of the attestations of a conda package"),
        "chosen_because": honoured("recorded, for `bridge why`"),
        "size": honoured("of an archive of source code, in bytes"),
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
    files: Mapping[str, Facts] = field(default_factory=dict)

    def of_environment(self, environment: LockedEnvironment) -> LockedEnvironment:
        """Return the environment with what is noted of the whole of it."""
        virtual = {**environment.virtual_packages, **self.virtual_packages}
        return replace(
            environment, virtual_packages=virtual, requires_python=self.requires_python or environment.requires_python
        )

    def of_package(self, each: Locked, indexes: tuple[str, ...]) -> Locked:
        """Return a package with what is noted of it; `indexes` are those of the environment."""
        requested = self.requested.get(each.name, ())
        each = replace(each, facts=self.files.get(key_of_file(each)))
        if isinstance(each, LockedConda):
            return replace(each, requested=requested)
        extras = self.extras.get(each.name, ())
        index = "" if each.name in self.direct else self.indexes.get(each.name, indexes[0] if indexes else "")
        if isinstance(each, LockedWheel):
            is_direct = each.name in self.direct
            return replace(each, requested=requested, extras=extras, index=index, is_direct=is_direct)
        index = index if each.kind == "sdist" else ""
        version = each.version or self.versions.get(each.name, "")
        size = each.facts.size if each.facts is not None else None
        return replace(each, requested=requested, extras=extras, index=index, version=version, size=size)


def read_table(field: Field, warnings: list[str]) -> dict[str, Noted] | None:
    """Return what is noted, by environment; `None` for a lock without the table.

    Raises `UsageError` (`requirement-file`) for a table that is not as bridge writes it.
    """
    if field.value is None:
        return None
    folder = field.path.absolute().parent
    notes = {}
    for name, each in TABLE.check(field, warnings)["environments"].entries():
        noted = OF_ENVIRONMENT.check(each, warnings)
        notes[str(name)] = Noted(
            virtual_packages=_lists(noted["virtual_packages"]),
            requires_python=noted["requires_python"].text_or_none(),
            requested={
                package: tuple(_far(text, folder) for text in requests)
                for package, requests in _lists(noted["requested"]).items()
            },
            extras=_lists(noted["extras"]),
            indexes=_texts(noted["indexes"]),
            versions=_texts(noted["versions"]),
            direct=frozenset(noted["direct"].texts()),
            files={str(file): _facts(facts, warnings) for file, facts in noted["files"].entries()},
        )
    return notes


def key_of_file(each: Locked) -> str:
    """Return what the facts of a package are found by: its file name; of a folder or a repository its project."""
    if isinstance(each, LockedConda):
        return each.record.filename or each.url.rpartition("/")[2]
    is_file = isinstance(each, LockedWheel) or each.kind not in {"directory", "git"}
    return (each.url.partition("#")[0].rpartition("/")[2] if is_file else "") or each.name


def near(text: str, folder: Path) -> str:
    """Return a text with its `file:` URLs relative to the folder of the lock, as far as they share one with it."""
    base = folder.as_uri().removeprefix("file://")

    def relative(url: re.Match[str]) -> str:
        if posixpath.commonpath([url["path"], base]) == "/":
            return url[0]
        path = posixpath.relpath(url["path"], base)
        return f"file:{path if path.startswith('..') else f'./{path}'}"

    return _FILE.sub(relative, text)


def _far(text: str, folder: Path) -> str:
    """Return a text that `near` made with the URLs of this machine."""
    base = folder.as_uri()
    return _NEAR.sub(lambda url: f"file://{posixpath.normpath(base.removeprefix('file://') + '/' + url['path'])}", text)


def table_of_facts(facts: Facts, folder: Path) -> dict[str, object]:
    """Return the facts of a file as the table of a lock in `folder` has them: only what is known."""
    values = {
        "license": facts.license,
        "yanked": facts.yanked,
        "attestations": [dict(each) for each in facts.attestations] or None,
        "attestations_sha256": facts.advertised,
        "chosen_because": near(facts.choice, folder) or None,
        "size": facts.size,
    }
    return {key: value for key, value in values.items() if value is not None}


def _facts(field: Field, warnings: list[str]) -> Facts:
    facts = OF_FILE.check(field, warnings)
    size = facts["size"]
    return Facts(
        license=facts["license"].text_or_none(),
        yanked=facts["yanked"].text_or_none(),
        advertised=facts["attestations_sha256"].text_or_none(),
        attestations=tuple(map(_texts, facts["attestations"].items())),
        choice=_far(facts["chosen_because"].text_or_none() or "", field.path.absolute().parent),
        size=None if size.value is None else size.number(),
    )


def _texts(field: Field) -> dict[str, str]:
    return {str(name): each.text() for name, each in field.entries()}


def _lists(field: Field) -> dict[str, tuple[str, ...]]:
    return {str(name): each.texts() for name, each in field.entries()}
