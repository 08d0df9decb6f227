"""[tool.bridge] of a pyproject.toml: the conda half of a project, and where packages come from."""

from __future__ import annotations

from pathlib import Path

from bridge.errors import UsageError
from bridge.requirements.algebra import conda_requirement
from bridge.requirements.files import fields
from bridge.requirements.files.constructs import Section, honoured, told
from bridge.requirements.files.values import FileRequirements, wrong

__all__ = ["BRIDGE", "read_bridge"]

_HERE = "tool.bridge"

BRIDGE = Section(
    name="tool.bridge",
    keys={
        "dependencies": honoured("MatchSpecs, as in an environment.yml"),
        "channels": honoured("the channels, unless `-c` names others"),
        "index-url": honoured("the package index, instead of the configured ones"),
        "extra-index-url": honoured("further indexes"),
        "find-links": honoured("folders or pages of files"),
        "index": honoured("the only index of a project: NAME = URL"),
        "pre": honoured("pre-releases compete"),
        "exclude-newer": honoured("a cooldown"),
        "audit": told("`bridge audit` reads it"),
        "policy": told("`--policy` reads it"),
        "convert": told("`bridge convert` reads it"),
    },
    unknown="refused",
)


def read_bridge(path: Path, value: object, warnings: list[str]) -> FileRequirements:
    """Read [tool.bridge]. Raises `UsageError` (`requirement-file`)."""
    table = BRIDGE.check(value, path, _HERE, warnings)
    requirements = []
    for place, text in enumerate(fields.texts(table.get("dependencies"), path, f"{_HERE}.dependencies")):
        try:
            requirements.append(conda_requirement(text))
        except UsageError as error:
            where = f"{_HERE}.dependencies[{place}]"
            raise wrong(path, where, error.message, context=error.context) from error
    index = table.get("index-url")
    indexes = fields.table(table.get("index"), path, f"{_HERE}.index")
    return FileRequirements(
        requirements=tuple(requirements),
        channels=fields.texts(table.get("channels"), path, f"{_HERE}.channels"),
        index_url=None if index is None else fields.text(index, path, f"{_HERE}.index-url"),
        extra_index_urls=fields.texts(table.get("extra-index-url"), path, f"{_HERE}.extra-index-url"),
        find_links=fields.texts(table.get("find-links"), path, f"{_HERE}.find-links"),
        project_indexes={name: fields.text(url, path, f"{_HERE}.index.{name}") for name, url in indexes.items()},
        pre=fields.flag(table.get("pre"), path, f"{_HERE}.pre"),
        exclude_newer=fields.cutoff(table.get("exclude-newer"), path, f"{_HERE}.exclude-newer"),
    )
