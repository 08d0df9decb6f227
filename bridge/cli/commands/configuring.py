"""`bridge config`: the keys of bridge's configuration files, read and changed."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bridge.cli.texts import size
from bridge.config import Settings, load
from bridge.config.keys import KEYS, Key, key_of
from bridge.config.layers import ConfigurationFile, Layer, checked, configuration_files, layers, read_layer
from bridge.config.lookup import Lookup
from bridge.config.origins import settings_with_origins
from bridge.errors import BridgeError, UsageError, did_you_mean
from bridge.fs import make_directories
from bridge.fs.publish import publish_file, remove_regular
from bridge.secrets import masked
from converters.deferred import replace

__all__ = [
    "Change",
    "Entry",
    "Value",
    "change",
    "edit",
    "entries",
    "key_and_name",
    "known_key",
    "remove",
    "target",
    "value_of",
]

_LIMIT = 4 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A key that a variable or a file sets. `is_used`: no place of higher priority sets it too."""

    key: str
    value: str
    source: str
    is_used: bool

    def to_json(self) -> dict[str, object]:
        """An item of `entries` in `bridge/schemas/config.json`."""
        return {"key": self.key, "value": self.value, "source": self.source, "used": self.is_used}


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """The value of a key that applies, as text, and the places it comes from; each line of a list."""

    key: str
    lines: tuple[str, ...]
    source: str

    def to_json(self) -> dict[str, object]:
        """The document of `bridge config get --json` (`bridge/schemas/config.json`)."""
        return {"key": self.key, "values": list(self.lines), "source": self.source}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a command did to a file. `warnings`: what has no effect in it, or beats it."""

    path: Path
    is_changed: bool
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The document of `bridge config set --json` (`bridge/schemas/config.json`)."""
        return {"file": str(self.path), "changed": self.is_changed, "warnings": list(self.warnings)}


def known_key(text: str) -> Key:
    """The key that a person names. Raises `UsageError` (`configuration-key`)."""
    key = key_of(text)
    if key is None:
        question = did_you_mean(text.lower().replace("_", "-"), KEYS, most=2)
        hint = question or "`bridge config schema` lists all"
        raise UsageError("configuration-key", f"there is no key {text!r}", hint=hint)
    return key


def key_and_name(text: str) -> tuple[Key, str]:
    """A key, and the name in its table where it is written `KEY.NAME`. Raises `UsageError` (`configuration-key`)."""
    head, _, name = text.partition(".")
    key = key_of(head) if name else None
    return (key, name) if key is not None and key.kind == "bindings" else (known_key(text), "")


def entries(environ: Mapping[str, str], files: Sequence[Layer]) -> Iterator[Entry]:
    """What variables and bridge's files set, by key, highest priority first. Secrets are masked."""
    for key in KEYS.values():
        places = [place for place in Lookup({}, environ, files).places if place.source(key.option) is not None]
        for number, place in enumerate(places):
            value = ", ".join(map(masked, _lines(place, key)))
            is_used = number == 0 or key.name in {"index", "only"}
            yield Entry(key=key.name, value=value, source=place.source(key.option) or "", is_used=is_used)


def _lines(place: Lookup, key: Key) -> tuple[str, ...]:
    if key.kind == "flag":
        return ("yes" if place.flag(key.option) else "no",)
    if key.kind not in {"texts", "bindings"} and (place.is_text(key.option) or key.kind in {"seconds", "count"}):
        return (place.string(key.option) or "",)
    return place.strings(key.option)


def value_of(key: Key, settings: Settings, environ: Mapping[str, str]) -> Value:
    """The value that applies, also a default."""
    files = layers(environ)
    ask = Lookup({}, environ, files)
    if (source := ask.source(key.option)) is not None:
        lines = ask.bindings(key.option) if key.name in {"index", "only"} else _lines(ask, key)
        return Value(key=key.name, lines=tuple(map(masked, lines)), source=source)
    shown = {each.name: each for each in settings_with_origins(settings, {}, environ, files)}
    value = shown.get(key.name)
    if value is None:
        return Value(key=key.name, lines=(), source="default")
    several = key.kind in {"texts", "bindings"}
    lines = tuple(value.value.split(", ")) if several else (value.value,)
    return Value(key=key.name, lines=tuple(filter(None, lines)), source=value.source)


def target(scope: str, environ: Mapping[str, str]) -> ConfigurationFile:
    """The file that a command reads or changes.

    :param scope: `user`, `project` or `system`.
    :raises UsageError: `configuration-file`: there is none.
    """
    files = configuration_files({name: each for name, each in environ.items() if name != "BRIDGE_NO_CONFIG"})
    if scope == "project":
        candidates = [each for each in files if each.scope == scope]
        missing = "there is no pyproject.toml in the working directory or above"
        hint = "run it in a project's directory, or leave --project out for the user's file"
        if not candidates:
            raise UsageError("configuration-file", missing, hint=hint)
        return candidates[0]
    candidates = [each for each in files if each.scope in {scope, "file"}]
    exists = next((each for each in candidates if each.path.exists()), None)
    return exists or (candidates[0] if scope == "user" or candidates[0].scope == "file" else candidates[-1])


def _content(file: ConfigurationFile) -> str:
    from bridge.config.files import read_named

    try:
        data = read_named(file.path, limit=_LIMIT)
        if len(data) > _LIMIT:
            raise UsageError("configuration-file", f"{file.path} is larger than {size(_LIMIT)}")
        return data.decode()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8"
        raise UsageError("configuration-file", f"{file.path} cannot be read: {reason}") from error


def change(
    file: ConfigurationFile, key: Key, words: Sequence[str], environ: Mapping[str, str], *, is_added: bool = False
) -> Change:
    """Set a key in a file by one rename. An invalid value changes nothing.

    :raises UsageError: `configuration-value`, `configuration-file`, `option-value`.
    """
    from bridge.config.editing import typed_value, with_key

    if file.scope == "project" and key.is_guarded:
        raise UsageError(
            "configuration-key",
            f"{key.name} changes what this machine trusts, so no project sets it",
            hint=f"bridge config set {key.name} … without --project",
        )
    before = _content(file)
    value = typed_value(key, [_placed(key, word, file) for word in words])
    done = _replaced(file, before, with_key(file, before, key, value, is_added=is_added), environ)
    return replace(done, warnings=(*done.warnings, *_beaten(file, key, environ)))


def remove(file: ConfigurationFile, key: Key, parts: Sequence[str], environ: Mapping[str, str]) -> Change:
    """Remove a key from a file by one rename, or only parts of its list or table.

    :raises UsageError: `configuration-file`.
    """
    from bridge.config.editing import without_key

    before = _content(file)
    after = without_key(file, before, key, parts)
    if after is None:
        named = f"{key.name} with {', '.join(parts)}" if parts else key.name
        return Change(path=file.path, is_changed=False, warnings=(f"{file.path} does not set {named}",))
    return _replaced(file, before, after, environ)


def _replaced(file: ConfigurationFile, before: str, after: str, environ: Mapping[str, str]) -> Change:
    """Write a new text if it is valid. Raises `UsageError` (`configuration-value`, `configuration-file`)."""
    try:
        layer = _validated(file, after, environ)
    except UsageError as error:
        _validated(file, before, environ)  # It may have been wrong before.
        raise UsageError("configuration-value", error.message, hint="nothing was changed") from error
    if after != before:
        _write(file.path, after)
    return Change(path=file.path, is_changed=after != before, warnings=layer.warnings if layer else ())


def _placed(key: Key, word: str, file: ConfigurationFile) -> str:
    """A path of the command line as a path of the file: in a project relative to it."""
    name, equals, location = word.rpartition("=") if key.kind == "bindings" else ("", "", word)
    is_path = key.places == "path" or location.split("/", 1)[0] in {".", ".."} or key.places == "location"
    if key.places == "none" or "://" in location or location.startswith("~") or not is_path:
        return word
    path = os.path.abspath(location)
    if file.scope == "project":
        path = os.path.relpath(path, file.path.parent)
        path = path if path.startswith(os.pardir) else os.path.join(os.curdir, path)
    return f"{name}{equals}{path}"


def _validated(file: ConfigurationFile, text: str, environ: Mapping[str, str]) -> Layer | None:
    """Read a text as the file would be. Raises `UsageError`."""
    layer = checked(file, text.encode())
    if layer is not None:
        without = {name: each for name, each in environ.items() if not name.startswith("BRIDGE_")}
        load({}, without, files=(layer,))
    return layer


def _beaten(file: ConfigurationFile, key: Key, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What sets the same key with a higher priority."""
    above = []
    for each in configuration_files(environ):
        if each.path == file.path:
            break
        try:
            layer = read_layer(each)
        except BridgeError:
            continue
        above += [layer] if layer is not None else []
    source = Lookup({}, environ, above).source(key.option)
    return () if source is None else (f"{source} sets {key.name} too, and comes first",)


def _write(path: Path, text: str) -> None:
    """Replace a file, which keeps its mode; a new one may hold secrets, so only its owner reads it."""
    make_directories(path.parent)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
    publish_file(path, [text.encode()], mode=mode, sync=True)


def edit(file: ConfigurationFile, environ: Mapping[str, str]) -> Change:
    """Open a copy of a file in the user's editor, and replace the file with it if it is valid.

    :raises UsageError: `configuration-file`: the copy is invalid; it stays for the next `bridge config edit`.
    """
    if not (environ.get("VISUAL") or environ.get("EDITOR") or sys.stdin.isatty()):
        hint = f"set EDITOR, or use: bridge config set KEY VALUE; the file is {file.path}"
        raise UsageError("editor", "there is no terminal, and neither VISUAL nor EDITOR names an editor", hint=hint)
    copy = file.path.with_name(f"{file.path.name}.edited")
    before = _content(file)
    if not copy.exists():
        _write(copy, before or _template())
    try:
        click.edit(filename=str(copy))
    except click.ClickException as error:
        remove_regular(copy, root=copy.parent)
        hint = f"set EDITOR to one that is there, or change {file.path} yourself"
        raise UsageError("editor", error.format_message(), hint=hint) from error
    after = _content(ConfigurationFile(path=copy, scope=file.scope))
    if after == (before or _template()):
        remove_regular(copy, root=copy.parent)
        return Change(path=file.path, is_changed=False)
    try:
        layer = _validated(file, after, environ)
    except UsageError as error:
        message = f"{error.message} (the file is unchanged; what was written is in {copy})"
        raise UsageError("configuration-file", message, hint="edit it again: the command opens that copy") from error
    _write(file.path, after)
    remove_regular(copy, root=copy.parent)
    return Change(path=file.path, is_changed=True, warnings=layer.warnings if layer else ())


def _template() -> str:
    """A file in which each key is a comment."""
    lines = ["# bridge's configuration: `bridge config schema` describes the keys.", ""]
    lines += [f"# {key.name}: {key.meaning}" for key in KEYS.values()]
    return "\n".join(lines) + "\n"
