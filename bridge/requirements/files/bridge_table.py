"""[tool.bridge] of a pyproject.toml: the conda half of a project, and where packages come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bridge.config.keys import KEYS
from bridge.config.layers import placed
from bridge.errors import UsageError
from bridge.requirements.algebra import conda_requirement
from bridge.requirements.files import fields
from bridge.requirements.files.constructs import Section, describes, honoured, ignored
from bridge.requirements.files.values import FileRequirements, wrong
from converters.projects import canonicalize_name

__all__ = ["BRIDGE", "read_bridge"]

_HERE = "tool.bridge"

_GUARDED = frozenset(name for name, key in KEYS.items() if key.is_guarded)
_SETTINGS = KEYS.keys() - _GUARDED - {
    "channels", "index-url", "extra-index-url", "find-links", "index", "pre", "exclude-newer",
}  # fmt: skip

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
        **{name: describes("a setting of every command in the project") for name in sorted(_SETTINGS)},
        **{name: ignored("only the user's or the system's configuration sets it") for name in sorted(_GUARDED)},
        "audit": ignored("`bridge audit` reads it"),
        "policy": ignored("`--policy` reads it"),
        "convert": ignored("`bridge convert` reads it"),
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
    indexes = fields.table(_table(table.get("index")), path, f"{_HERE}.index")
    default, named = _cooldown(table.get("exclude-newer"))
    exceptions: dict[str, int | None] = {
        canonicalize_name(name): None if moment == "never" else fields.cutoff(moment, path, f"{_HERE}.exclude-newer")
        for name, moment in named.items()
    }
    return FileRequirements(
        requirements=tuple(requirements),
        channels=_places("channels", table, path),
        index_url=None if index is None else fields.text(index, path, f"{_HERE}.index-url"),
        extra_index_urls=_places("extra-index-url", table, path),
        find_links=_places("find-links", table, path),
        project_indexes={name: fields.text(url, path, f"{_HERE}.index.{name}") for name, url in indexes.items()},
        pre=fields.flag(table.get("pre"), path, f"{_HERE}.pre"),
        exclude_newer=fields.cutoff(default, path, f"{_HERE}.exclude-newer"),
        exclude_newer_of=exceptions,
    )


def _places(name: str, table: Mapping[str, object], path: Path) -> tuple[str, ...]:
    """The values of a key; paths start from the folder of the file, as where the key is a setting."""
    texts = fields.texts(_list(table.get(name)), path, f"{_HERE}.{name}")
    return tuple(placed(KEYS[name], text, path.absolute().parent) for text in texts)


# A setting may be written in the forms of a config.toml: one text for a list, NAME=VALUE for a table.
def _list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _table(value: object) -> object:
    pairs = _list(value)
    if isinstance(pairs, list) and all(isinstance(each, str) and "=" in each for each in pairs):
        return dict(each.split("=", 1) for each in pairs)
    return value


def _cooldown(value: object) -> tuple[object, dict[str, str]]:
    """The last moment without a name, and those of names."""
    moments = value if isinstance(value, list) else [value]
    named = [each for each in moments if isinstance(each, str) and "=" in each]
    default = next((each for each in reversed(moments) if each not in named), None)
    return default, dict(each.rsplit("=", 1) for each in named)
