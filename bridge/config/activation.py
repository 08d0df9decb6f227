"""What activating and deactivating an environment sets, unsets and runs, for any shell.

Source: conda's `activate.py` (`build_activate`, `build_deactivate`, `build_reactivate`), version 26: the variables
`CONDA_*`, the state file and `env_vars.d`, and the scripts of `activate.d` and `deactivate.d`. conda can leave what
this entered, and the other way round.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.config.files import read_named
from bridge.errors import UnsafeInputError
from bridge.paths import META

__all__ = ["Activation", "activated", "deactivated", "stated_variables"]

_MAX_STATE = 1 << 20  # bytes
_UNSET = "***unset***"  # `conda env config vars unset` keeps the name with this value
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# A prompt is expanded by the shell that shows it, so a name with `$` or a backquote could run a command.
_IN_PROMPT = re.compile(r"[A-Za-z0-9_./~+@ -]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A change of an environment's state in a shell.

    :param variables: to be set; `None`: to be unset.
    :param before: scripts to run before the variables are set, `after`: thereafter.
    :param prompt: goes before the prompt.
    """

    prefix: Path | None
    variables: Mapping[str, str | None]
    before: tuple[Path, ...] = ()
    after: tuple[Path, ...] = ()
    prompt: str = ""

    def applied(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The variables of a process after the change, as far as no script changes them."""
        merged: dict[str, str | None] = {**environ, **self.variables}
        return {name: value for name, value in merged.items() if value is not None}


@dataclass(slots=True)
class _State:
    """The state of the calling shell."""

    environ: Mapping[str, str]
    level: int = field(init=False)
    prefix: Path | None = field(init=False)

    def __post_init__(self) -> None:
        text = self.environ.get("CONDA_SHLVL", "")
        self.level = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
        active = self.environ.get("CONDA_PREFIX")
        self.prefix = Path(active) if active and self.level > 0 else None

    def path(self, *, without: Path | None, first: Path | None) -> str:
        """`PATH` without the directories of one prefix, after those of another."""
        leaving = set(_directories(without)) if without is not None else set()
        entering = _directories(first) if first is not None else []
        kept = [each for each in self.environ.get("PATH", "").split(os.pathsep) if each not in leaving]
        return os.pathsep.join((*entering, *(each for each in kept if each and each not in entering)))

    def saved(self, level: int, name: str) -> str:
        """The variable in which conda keeps the value that an environment's variable replaces."""
        return f"__CONDA_SHLVL_{level}_{name}"


def activated(prefix: Path, name: str, environ: Mapping[str, str], *, extension: str = "sh") -> Activation:
    """What enters an environment, and leaves the active one.

    :param name: what the prompt shows, and `CONDA_DEFAULT_ENV`.
    :param extension: of the shell's scripts.

    Raises `UnsafeInputError` (`environment-variables`).
    """
    state = _State(environ)
    after = _scripts(prefix, "activate.d", extension)
    if state.prefix == prefix:
        before = tuple(reversed(_scripts(prefix, "deactivate.d", extension)))
        own: dict[str, str | None] = dict(_variables(prefix))
        variables = {"PATH": state.path(without=prefix, first=prefix), **own}
        return Activation(prefix=prefix, variables=variables, before=before, after=after, prompt=_prompt(name))
    changes: dict[str, str | None] = {"PATH": state.path(without=state.prefix, first=prefix)}
    before = ()
    if state.prefix is not None:
        before = tuple(reversed(_scripts(state.prefix, "deactivate.d", extension)))
        changes |= dict.fromkeys(_variables(state.prefix))
        changes[f"CONDA_PREFIX_{state.level}"] = str(state.prefix)
    changes |= _entered(prefix, name, state.level + 1)
    for variable, value in _variables(prefix).items():
        if (replaced := environ.get(variable)) is not None:
            changes[state.saved(state.level, variable)] = replaced
        changes[variable] = value
    return Activation(prefix=prefix, variables=changes, before=before, after=after, prompt=_prompt(name))


def deactivated(name_of: Mapping[Path, str], environ: Mapping[str, str], *, extension: str = "sh") -> Activation | None:
    """What leaves the active environment for the one before it; `None` if none is active.

    :param name_of: the names of environments that have one.

    Raises as `activated`.
    """
    state = _State(environ)
    if state.prefix is None:
        return None
    earlier = environ.get(f"CONDA_PREFIX_{state.level - 1}") if state.level > 1 else None
    to = Path(earlier) if earlier else None
    variables: dict[str, str | None] = {"PATH": state.path(without=state.prefix, first=to)}
    for variable in _variables(state.prefix):
        saved = state.saved(state.level - 1, variable)
        variables[variable] = environ.get(saved)
        if saved in environ:
            variables[saved] = None
    before = tuple(reversed(_scripts(state.prefix, "deactivate.d", extension)))
    if to is None:
        variables |= dict.fromkeys(("CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_PROMPT_MODIFIER"))
        return Activation(prefix=None, variables={**variables, "CONDA_SHLVL": "0"}, before=before)
    name = name_of.get(to) or str(to)
    variables |= {f"CONDA_PREFIX_{state.level - 1}": None, **_entered(to, name, state.level - 1), **_variables(to)}
    after = _scripts(to, "activate.d", extension)
    return Activation(prefix=to, variables=variables, before=before, after=after, prompt=_prompt(name))


def _entered(prefix: Path, name: str, level: int) -> dict[str, str | None]:
    return {
        "CONDA_PREFIX": str(prefix),
        "CONDA_SHLVL": str(level),
        "CONDA_DEFAULT_ENV": name,
        "CONDA_PROMPT_MODIFIER": _prompt(name),
    }


def _prompt(name: str) -> str:
    return f"({name}) " if _IN_PROMPT.match(name) else ""


def _directories(prefix: Path) -> list[str]:
    if sys.platform == "win32":
        below = ("", "Library/mingw-w64/bin", "Library/usr/bin", "Library/bin", "Scripts", "bin")
        return [str(prefix / each) for each in below]
    return [str(prefix / "bin")]


def _scripts(prefix: Path, directory: str, extension: str) -> tuple[Path, ...]:
    place = prefix / "etc" / "conda" / directory
    return tuple(place / name for name in _names(place) if name.endswith(f".{extension}"))


def _names(directory: Path) -> list[str]:
    """The names in a directory, sorted; none if it cannot be read."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _variables(prefix: Path) -> dict[str, str]:
    """The variables of an environment's packages, then those of its state file, which beat them."""
    place = prefix / "etc" / "conda" / "env_vars.d"
    variables: dict[str, str] = {}
    for name in _names(place):
        if name.endswith(".json"):
            variables |= _checked(place / name, _document(place / name))
    return {name: value for name, value in (variables | _stated(prefix)).items() if value != _UNSET}


def stated_variables(prefix: Path) -> dict[str, str]:
    """Return the variables of an environment's state file (`conda env config vars set`, `variables:` of a file).

    Raises `UnsafeInputError` (`environment-variables`) for a file that is not as conda writes it.
    """
    return {name: value for name, value in _stated(prefix).items() if value != _UNSET}


def _stated(prefix: Path) -> dict[str, str]:
    path = prefix / META / "state"
    return _checked(path, _document(path).get("env_vars") or {}) if path.exists() else {}


def _document(path: Path) -> dict[str, object]:
    try:
        document = json.loads(read_named(path, limit=_MAX_STATE))
    except (OSError, ValueError, RecursionError) as error:
        raise _wrong(path, "it is not a JSON document that can be read") from error
    if not isinstance(document, dict):
        raise _wrong(path, "an object was expected")
    return document


def _checked(path: Path, values: object) -> dict[str, str]:
    """Environment variables by name. A name that is none could be a command in the lines for a shell."""
    items: Iterable[tuple[object, object]] = values.items() if isinstance(values, dict) else ()
    if not isinstance(values, dict):
        raise _wrong(path, "`env_vars` is not an object")
    variables = {}
    for name, value in items:
        if not isinstance(name, str) or not _NAME.match(name):
            raise _wrong(path, f"{str(name)[:80]!r} cannot be the name of a variable")
        if isinstance(value, (dict, list)) or "\0" in str(value):
            raise _wrong(path, f"the value of {name} is not a text")
        variables[name] = str(value)
    return variables


def _wrong(path: Path, reason: str) -> UnsafeInputError:
    return UnsafeInputError(
        "environment-variables",
        f"the variables of the environment cannot be read: {path}",
        context=(reason,),
        hint="correct the file, or remove it",
    )
