"""bridge's configuration files of one run, highest priority first, with their values checked. Reads files only.

The project's `[tool.bridge]`, then the user's `bridge/config.toml`, then the system's. `BRIDGE_CONFIG_FILE` names a
file in the place of the user's and the system's; `BRIDGE_NO_CONFIG` reads none at all.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path

from bridge.config.files import read_named
from bridge.config.keys import KEYS, OF_ONE_RUN, PROJECT_TABLES, Key
from bridge.config.pip import BOOLEANS, home_directory
from bridge.config.project import MAX_TOML, ProjectFiles, mentions_table, parse_toml
from bridge.errors import UsageError, did_you_mean
from bridge.secrets import masked
from converters.deferred import dataclass, regex

__all__ = ["ConfigurationFile", "Layer", "checked", "configuration_files", "layers", "parsed", "placed", "read_layer"]

_SCHEME = regex(r"[A-Za-z][A-Za-z0-9+.-]+:")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFile:
    """Where settings may be; the file need not exist.

    :param scope: `project`, `user`, `system`, or `file` for the one that a variable names.
    """

    path: Path
    scope: str

    @property
    def table(self) -> tuple[str, ...]:
        """The keys down to the table with the settings; empty: they are at the top."""
        return ("tool", "bridge") if self.path.name == "pyproject.toml" else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The settings of one file.

    :param values: by option: a text, a tuple of texts, a flag or a number. `warnings`: keys without effect.
    """

    file: ConfigurationFile
    values: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def place(self, key: Key) -> str:
        """The file and the key, for messages."""
        return f"{self.file.path}: {'.'.join((*self.file.table, key.name))}"


def configuration_files(
    environ: Mapping[str, str], project: ProjectFiles | None = None
) -> tuple[ConfigurationFile, ...]:
    """The files of a run, highest priority first; only the project's must exist.

    :param project: the files of the project (default: that of the working directory).
    """
    if BOOLEANS.get(environ.get("BRIDGE_NO_CONFIG", "").strip().lower() or "no", True):
        return ()
    nearest = next(iter(project or ProjectFiles()), None)
    files = [ConfigurationFile(path=nearest, scope="project")] if nearest is not None else []
    if named := environ.get("BRIDGE_CONFIG_FILE"):
        return (*files, ConfigurationFile(path=Path(os.path.abspath(named)), scope="file"))
    user, *system = _bases(environ)
    files.append(ConfigurationFile(path=user / "bridge" / "config.toml", scope="user"))
    files += (ConfigurationFile(path=base / "bridge" / "config.toml", scope="system") for base in system)
    return tuple(files)


def _bases(environ: Mapping[str, str]) -> list[Path]:
    """The user's directory of configuration, then those of the machine (XDG Base Directory Specification)."""
    home = home_directory(environ)
    if sys.platform == "win32":
        user = Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
        return [user, Path(environ.get("PROGRAMDATA") or "C:\\ProgramData")]
    named = environ.get("XDG_CONFIG_HOME", "").strip()
    user = Path(named) if os.path.isabs(named) else home / ".config"
    machine = (environ.get("XDG_CONFIG_DIRS", "").strip() or "/etc/xdg").split(os.pathsep)
    return [user, *dict.fromkeys(Path(each) for each in (*machine, "/etc") if os.path.isabs(each))]


def layers(environ: Mapping[str, str], project: ProjectFiles | None = None) -> tuple[Layer, ...]:
    """The settings of all files of a run, highest priority first. Raises `UsageError` (`configuration-file`).

    :param project: the files of the project (default: that of the working directory).
    """
    project = project or ProjectFiles()
    read = (read_layer(file, project) for file in configuration_files(environ, project))
    return tuple(layer for layer in read if layer is not None)


def read_layer(file: ConfigurationFile, project: ProjectFiles | None = None) -> Layer | None:
    """The settings of a file; `None` if it does not exist or has none. Raises `UsageError` (`configuration-file`)."""
    try:
        if project is not None and file.scope == "project":
            data = project.content(file.path)
        else:
            data = read_named(file.path, limit=MAX_TOML)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if file.scope == "project" and isinstance(error, PermissionError):
            return None  # It belongs to somebody else.
        raise _wrong(file, (), f"it cannot be read: {error.strerror}") from error
    if len(data) > MAX_TOML:
        raise _wrong(file, (), f"it is larger than {MAX_TOML >> 20} MB")
    if not data.strip() or (file.table and not mentions_table(data)):
        return None
    return checked(file, data)


def checked(file: ConfigurationFile, data: bytes) -> Layer | None:
    """The settings of a file with this content. Raises `UsageError` (`configuration-file`)."""
    table: object = parsed(file, data)
    for depth, part in enumerate(file.table, 1):
        table = table.get(part) if isinstance(table, Mapping) else None
        if table is None:
            return None
        if not isinstance(table, Mapping):
            raise _wrong(file, file.table[:depth], "a table was expected")
    assert isinstance(table, Mapping)
    values, warnings = {}, []
    for name, value in table.items():
        key = KEYS.get(name)
        if key is not None and not (file.scope == "project" and key.is_guarded):
            values[key.option] = _value(file, key, value)
        elif not (file.scope == "project" and name in PROJECT_TABLES):
            warnings.append(f"{file.path}: {'.'.join((*file.table, name))} has no effect: {_why(key, name)}")
    return Layer(file=file, values=values, warnings=tuple(warnings))


def parsed(file: ConfigurationFile, data: bytes) -> Mapping[str, object]:
    """The whole document of a file with this content. Raises `UsageError` (`configuration-file`)."""
    try:
        return parse_toml(data)
    except ValueError as error:
        raise _wrong(file, (), f"it is not TOML: {error}") from error


def _why(key: Key | None, name: str) -> str:
    if key is not None:
        return "it changes what this machine trusts, so only the user's or the system's configuration sets it"
    if name.replace("-", "_") in OF_ONE_RUN:
        return f"--{name.replace('_', '-')} is for one command line"
    return "; ".join(filter(None, ("bridge does not know this key", did_you_mean(name.replace("_", "-"), KEYS))))


def _wrong(file: ConfigurationFile, keys: Sequence[str], problem: str) -> UsageError:
    place = f": {'.'.join(keys)}" if keys else ""
    scope = f" --{file.scope}" if file.scope in {"project", "system"} else ""
    hint = f"`bridge config edit{scope}` opens it; BRIDGE_NO_CONFIG=1 reads no such file"
    return UsageError(
        "configuration-file",
        f"{file.path}{place}: {problem}",
        hint=hint,
        objects={"file": str(file.path), "key": ".".join(keys)},
    )


def _value(file: ConfigurationFile, key: Key, value: object) -> object:
    """A value as `load` takes it from an option. Raises `UsageError` (`configuration-file`)."""
    typed = _typed(key, value)
    if typed is None:
        shown = masked(str(value)) if isinstance(value, str) else type(value).__name__
        names = {"dict": "a table", "list": "an array", "bool": str(value).lower(), "int": str(value)}
        shown = repr(shown) if isinstance(value, str) else names.get(shown, str(value))
        raise _wrong(file, (*file.table, key.name), f"{shown} is not {_expected(key)}")
    if key.places == "none":
        return typed
    folder = file.path.parent
    if isinstance(typed, tuple):
        if key.kind == "bindings":
            pairs = (text.partition("=") for text in typed)
            return tuple(f"{name}{equals}{placed(key, location, folder)}" for name, equals, location in pairs)
        return tuple(placed(key, text, folder) for text in typed)
    return placed(key, str(typed), folder)


def _typed(key: Key, value: object) -> object:
    """The value in the form of an option; `None` if it has another type."""
    if isinstance(value, bool) or key.kind == "flag":
        return value if isinstance(value, bool) and key.kind == "flag" else None
    if isinstance(value, int) or (isinstance(value, float) and key.kind == "seconds"):
        return value if key.kind in {"seconds", "count"} and 0 <= value < float("inf") else None
    if key.kind == "cooldown" and not isinstance(value, (str, list)):
        from datetime import date  # noqa: PLC0415 - 2 ms, and few settings name a moment

        if isinstance(value, date):
            return value.isoformat()
    if isinstance(value, str):
        if not value.strip() or (key.choices and value not in key.choices):
            return None
        return (value,) if key.kind in {"texts", "bindings"} else value
    if key.kind == "bindings" and isinstance(value, Mapping):
        texts = all(isinstance(each, str) and each for each in value.values())
        return tuple(f"{name}={each}" for name, each in value.items()) if texts else None
    if key.kind != "text" and isinstance(value, list) and all(isinstance(each, str) and each for each in value):
        return tuple(value)
    return None


def _expected(key: Key) -> str:
    if key.choices:
        return f"one of {', '.join(key.choices)}"
    return {
        "text": "a text",
        "texts": "a text or an array of texts",
        "flag": "true or false",
        "seconds": "a number of seconds, 0 or more",
        "count": "a whole number, 0 or more",
        "bindings": "a table of texts, or an array of texts NAME=VALUE",
        "cooldown": "a date, a duration, or an array of them",
    }[key.kind]


def placed(key: Key, text: str, folder: Path) -> str:
    """A path of a file, which starts from the file's folder; other texts as they are."""
    if key.places != "path" and _SCHEME.match(text):
        return text
    if text.startswith("~"):
        return os.path.expanduser(text)
    is_path = key.places != "url" or text.split("/", 1)[0] in {".", ".."}
    return os.path.abspath(folder / text) if is_path else text
