"""pip's configuration, read as pip does but without importing it: its files, then `PIP_*`.

Source: pip's documentation, "Configuration", and its `configuration.py` and `cli/parser.py`, version 26.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from bridge.config.files import read_named
from bridge.errors import UsageError
from converters.deferred import regex

__all__ = ["BOOLEANS", "PipConfiguration", "configuration_files", "finite", "home_directory", "plain_sections"]

_MAX_SIZE = 1 << 20  # bytes
_PLAIN_LINE = regex(r"\[([a-z]+)\]|([a-z][a-z0-9_-]*) *= *([!-~](?:[ -~]*[!-~])?)|[#;][ -~]*|")
Number = TypeVar("Number", int, float)

BOOLEANS = {
    word: value
    for value, words in ((True, "1 true yes on y t"), (False, "0 false no off n f"))
    for word in words.split()
}


class PipConfiguration:
    """pip's options: `[install]` beats `[global]`, a later file beats an earlier one within a section, and the
    environment beats both. An empty value counts as none.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
        self._files: dict[tuple[str, str], str] = {}
        for path in configuration_files(environ):
            self._read(path)
        for variable, value in environ.items():
            if variable.startswith("PIP_"):
                self._sections[":env:"][_pip_key(variable[4:])] = value

    def _read(self, path: str) -> None:
        try:
            os.stat(path)
        except (OSError, ValueError):
            return
        try:
            data = read_named(Path(path), limit=_MAX_SIZE)
            if len(data) > _MAX_SIZE:
                raise ValueError(f"it is larger than {_MAX_SIZE} bytes")
            sections = plain_sections(data) or _sections(data, path)
        except (IsADirectoryError, PermissionError):
            return  # pip ignores these.
        except (ValueError, OSError) as error:
            raise UsageError(
                "pip-configuration",
                f"pip's configuration file cannot be read: {path}",
                context=(" ".join(str(error).split()),),
                hint="correct the file, or set PIP_CONFIG_FILE to another one (or to the null device, for none)",
            ) from error
        for section, items in sections.items():
            if section in self._sections:
                values = {_pip_key(key): value for key, value in items.items()}
                self._sections[section].update(values)
                self._files.update({(section, key): path for key in values})

    def value(self, *names: str) -> str | None:
        """The value of an option by any of its names, or `None`."""
        for section in (":env:", "install", "global"):
            for name in names:
                if value := self._sections[section].get(name, "").strip():
                    return value
        return None

    def source(self, name: str) -> str | None:
        """The variable or the file that sets an option; `None` if none does."""
        for section in (":env:", "install", "global"):
            if self._sections[section].get(name, "").strip():
                return self._files.get((section, name)) or f"PIP_{name.upper().replace('-', '_')}"
        return None

    def values(self, name: str) -> tuple[str, ...]:
        return tuple((self.value(name) or "").split())

    def flag(self, name: str) -> bool:
        return BOOLEANS.get((self.value(name) or "no").lower(), True)

    def number(self, *names: str, default: Number) -> Number:
        text = self.value(*names)
        value = default if text is None else finite(text, default)
        if value is None:
            raise UsageError("pip-configuration", f"pip's option {names[0]!r} is configured as {text!r}, not a number")
        return value


def plain_sections(data: bytes) -> dict[str, dict[str, str]] | None:
    """Return the options by section, as `configparser` reads them (3 ms to import); `None`: the file takes that.

    Read are sections in lower case, lines `key = value` and comments.
    """
    sections: dict[str, dict[str, str]] = {}
    options: dict[str, str] | None = None
    for line in data.decode("latin-1").split("\n"):
        found = _PLAIN_LINE.fullmatch(line)
        if found is None:
            return None
        section, key, value = found.groups()
        if section is not None:
            if section in sections:
                return None
            options = sections[section] = {}
        elif key is not None:
            if options is None or key in options:
                return None
            options[key] = value
    return sections


def _sections(data: bytes, path: str) -> dict[str, dict[str, str]]:
    """Return the options by section. Raises `ValueError`."""
    import configparser  # noqa: PLC0415 - most files of pip are plain

    parser = configparser.RawConfigParser()
    try:
        parser.read_file(io.TextIOWrapper(io.BytesIO(data)), path)  # in the encoding of the locale
    except configparser.Error as error:
        raise ValueError(str(error)) from error
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _pip_key(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def configuration_files(environ: Mapping[str, str]) -> list[str]:
    """Pip's configuration files, lowest priority first; they need not exist."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    machine, own = _pip_directories(environ)
    if named and os.path.exists(named):
        own = []  # that file replaces the user's files
    base = "pip.ini" if sys.platform == "win32" else "pip.conf"
    files = [os.path.join(directory, base) for directory in (*machine, *own, Path(sys.prefix))]
    return [*files, named] if named else files


def _pip_directories(environ: Mapping[str, str]) -> tuple[list[Path], list[Path]]:
    """The directories of global and of user configuration, lowest priority first."""
    home = home_directory(environ)
    if sys.platform == "win32":
        machine = [Path(environ.get("PROGRAMDATA") or "C:\\ProgramData") / "pip"]
        return machine, [home / "pip", Path(environ.get("APPDATA") or home / "AppData" / "Roaming") / "pip"]
    if sys.platform == "darwin":
        brewed = [Path("/opt/homebrew/share/pip")] if sys.prefix.startswith("/opt/homebrew") else []
        support = home / "Library" / "Application Support" / "pip"
        user = support if support.is_dir() else home / ".config" / "pip"
        return [*brewed, Path("/Library/Application Support/pip")], [home / ".pip", user]
    xdg = environ.get("XDG_CONFIG_DIRS", "").strip() or "/etc/xdg"
    machine = [Path(directory) / "pip" for directory in xdg.split(os.pathsep)] + [Path("/etc")]
    return machine, [home / ".pip", Path(environ.get("XDG_CONFIG_HOME", "").strip() or home / ".config") / "pip"]


def finite(text: str, like: Number) -> Number | None:
    """Parse a finite number >= 0 of the type of `like`; `None` if the text is not one."""
    try:
        value = type(like)(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def home_directory(environ: Mapping[str, str]) -> Path:
    """The home directory: `HOME`, `USERPROFILE`, or the account's."""
    return Path(environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~"))
