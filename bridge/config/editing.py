"""Change one key in the text of a configuration file; comments, order and layout of the rest stay. Pure."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import cast

import tomlkit
from tomlkit.exceptions import TOMLKitError

from bridge.config.keys import Key
from bridge.config.layers import ConfigurationFile, parsed
from bridge.config.pip import BOOLEANS, finite
from bridge.errors import UsageError

__all__ = ["typed_value", "with_key", "without_key"]

_MARK = "\ufeff"  # of UTF-8, as some editors write it


def typed_value(key: Key, words: Sequence[str]) -> object:
    """What the words of a command line mean for a key. Raises `UsageError` (`configuration-value`)."""
    if key.kind in {"texts", "bindings"}:
        return list(words)
    if key.kind == "cooldown" and len(words) > 1:
        return list(words)
    (word, *others) = words
    if others:
        raise UsageError("configuration-value", f"{key.name} has one value, and {len(words)} were given")
    if key.kind == "flag" and word.lower() in BOOLEANS:
        return BOOLEANS[word.lower()]
    if key.kind in {"seconds", "count"}:
        whole = finite(word, 0)
        number = whole if whole is not None else finite(word, 0.0)
        if number is not None:
            return number
    return word  # `bridge.config.layers` tells what is wrong with it.


def with_key(file: ConfigurationFile, text: str, key: Key, value: object, *, is_added: bool = False) -> str:
    """Return the text with a key set; bindings (NAME=VALUE) become a table.

    :param is_added: to what a list or a table has.
    :raises UsageError: `configuration-file`: the text is not TOML, or cannot be changed without loss.
    """
    document = _parsed(file, text)
    table: MutableMapping[str, object] = document
    for part in file.table:
        if part not in table:
            table[part] = tomlkit.table(is_super_table=part != file.table[-1])
        table = cast("MutableMapping[str, object]", table[part])
    if key.kind == "bindings":
        pairs = (str(each).partition("=") for each in cast("Sequence[object]", value))
        value = {name.strip(): other.strip() for name, _, other in pairs}
    table[key.name] = _merged(table.get(key.name), value, is_added=is_added)
    return _checked(file, text, document)


def without_key(file: ConfigurationFile, text: str, key: Key, parts: Sequence[str] = ()) -> str | None:
    """Return the text without a key; `None`: there is nothing to remove. Raises as `with_key`.

    :param parts: remove only these texts of a list, or names of a table; what is empty then goes too.
    """
    document = _parsed(file, text)
    table: object = document
    for part in file.table:
        table = table.get(part) if isinstance(table, Mapping) else None
    if not isinstance(table, MutableMapping) or key.name not in table:
        return None
    value = table[key.name]
    if parts and not _emptied(value, parts):
        return None
    if not parts or not value:
        del table[key.name]
    return _checked(file, text, document)


def _emptied(value: object, parts: Sequence[str]) -> bool:
    """Remove parts of a list or a table; `False`: it has none of them."""
    if isinstance(value, MutableMapping):
        emptied = [name for name in value if name in parts]
        for name in emptied:
            del value[name]
        return bool(emptied)
    if not isinstance(value, MutableSequence):
        return False
    places = [place for place, each in enumerate(value) if each in parts or str(each).partition("=")[0] in parts]
    for place in reversed(places):
        del value[place]
    return bool(places)


def _merged(before: object, value: object, *, is_added: bool) -> object:
    """The new value of a key; a table or an array that stays keeps its comments."""
    if isinstance(value, dict):
        if not isinstance(before, MutableMapping):
            value = {**(_bindings(before) if is_added and before is not None else {}), **value}
            before = tomlkit.inline_table()
        for name in [] if is_added else [each for each in before if each not in value]:
            del before[name]
        before.update(value)
        return before
    if isinstance(value, list) and is_added and before is not None:
        known = before if isinstance(before, list) else [before]
        known.extend(each for each in value if each not in known)
        return known
    return value


def _parsed(file: ConfigurationFile, text: str) -> MutableMapping[str, object]:
    parsed(file, text.encode())
    try:
        return cast("MutableMapping[str, object]", tomlkit.parse(text.removeprefix(_MARK)))
    except TOMLKitError as error:
        raise _unchangeable(file) from error


def _checked(file: ConfigurationFile, text: str, document: Mapping[str, object]) -> str:
    """The new text, if it means the new document, and if no comment was lost."""
    changed = tomlkit.dumps(document)
    plain = document.unwrap() if hasattr(document, "unwrap") else document
    if parsed(file, changed.encode()) != plain:
        raise _unchangeable(file)
    if "\r\n" not in text and text and not changed.endswith("\n"):
        changed += "\n"
    return _MARK + changed if text.startswith(_MARK) else changed


def _unchangeable(file: ConfigurationFile) -> UsageError:
    scope = f" --{file.scope}" if file.scope in {"project", "system"} else ""
    return UsageError(
        "configuration-file",
        f"{file.path}: its tables cannot be changed by a command",
        hint=f"`bridge config edit{scope}` opens it",
    )


def _bindings(value: object) -> dict[str, str]:
    pairs = (str(each).partition("=") for each in (value if isinstance(value, list) else [value]))
    return {name.strip(): other.strip() for name, _, other in pairs}
