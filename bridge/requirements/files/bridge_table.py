"""[tool.bridge] of a pyproject.toml: the conda half of a project, and where packages come from."""

from __future__ import annotations

from bridge.config.keys import KEYS
from bridge.config.layers import placed
from bridge.requirements.files.constructs import Section, describes, honoured, ignored
from bridge.requirements.files.fields import Field
from bridge.requirements.files.values import FileRequirements
from converters.projects import canonicalize_name

__all__ = ["BRIDGE", "read_bridge"]

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


def read_bridge(field: Field, warnings: list[str]) -> FileRequirements:
    """Read [tool.bridge]. Raises `UsageError` (`requirement-file`)."""
    table = BRIDGE.check(field, warnings)
    indexes = table["index"].holding(_table(table["index"].value))
    cooldown = table["exclude-newer"]
    default, named = _cooldown(cooldown.value)
    exceptions: dict[str, int | None] = {
        canonicalize_name(name): None if moment == "never" else cooldown.holding(moment).cutoff()
        for name, moment in named.items()
    }
    return FileRequirements(
        requirements=tuple(each.conda() for each in table["dependencies"].items()),
        channels=_places("channels", table),
        index_url=table["index-url"].text_or_none(),
        extra_index_urls=_places("extra-index-url", table),
        find_links=_places("find-links", table),
        project_indexes={name: url.text() for name, url in indexes.entries()},
        pre=table["pre"].flag(),
        exclude_newer=cooldown.holding(default).cutoff(),
        exclude_newer_of=exceptions,
    )


def _places(name: str, table: Field) -> tuple[str, ...]:
    """The values of a key; paths start from the folder of the file, as where the key is a setting."""
    texts = table[name].holding(_list(table[name].value)).texts()
    return tuple(placed(KEYS[name], text, table.path.absolute().parent) for text in texts)


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
