"""How commands are declared, and how a plain command line is read from their declarations.

click reads what is not plain, makes help and completion, and says what is wrong with a command line. It takes 20 ms of
processor time to import, so a command whose words are declared options, their values and arguments runs without it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar, cast

__all__ = [
    "CHANGES",
    "COMMANDS",
    "DECLARED",
    "Parameter",
    "argument",
    "command",
    "document_of",
    "grouped",
    "option",
    "plain_call",
    "running",
]

CHANGES = frozenset({"adopt", "create", "install", "remove", "rollback", "sync", "update"})
"""The commands whose JSON document is that of a change (`schemas/change.json`)."""

COMMANDS = {
    "activate": "entering",
    "adopt": "changing",
    "audit": "auditing",
    "cache": "reading",
    "completion": "informing",
    "config": "configuration",
    "convert": "conversion",
    "create": "changing",
    "deactivate": "entering",
    "diff": "restoring",
    "env": "environments",
    "export": "locking",
    "fetch": "restoring",
    "history": "restoring",
    "index": "channel",
    "info": "informing",
    "install": "changing",
    "list": "reading",
    "lock": "locking",
    "outdated": "searching",
    "mirror": "channel",
    "owner": "reading",
    "pin": "reading",
    "policy": "ruling",
    "recover": "changing",
    "remove": "changing",
    "resolve": "solving",
    "rollback": "restoring",
    "run": "entering",
    "schema": "reading",
    "search": "searching",
    "self": "self_checking",
    "shell": "entering",
    "sync": "restoring",
    "tree": "reading",
    "update": "changing",
    "why": "reading",
}
"""Each command, and its module in `bridge.cli.declarations`, which is imported when the command is used."""

_PLAIN = (None, "path", float)  # types

DECLARED: dict[str, tuple[Callable[..., object], Sequence[Parameter]]] = {}
"""The functions and parameters of the commands that `plain_call` can run, once their modules are imported."""

_PARAMETERS = "__click_params__"  # of a function: its declarations, the last first; as click's own decorators have it
_COMPLETION = "_BRIDGE_COMPLETE"
_running = ""  # the name of the command that runs
Decorated = TypeVar("Decorated", bound=Callable[..., object])


class Parameter:
    """A declared option or argument: its names, and the attributes that click's parameter of that kind has.

    Beside them `choices` has the allowed values, `least` is the smallest number, and a type may be `"path"`. The help
    shows options in sections.
    """

    section: str | None = None

    def __init__(self, kind: str, names: tuple[str, ...], attributes: dict[str, Any]) -> None:
        self.kind, self.attributes, self.names = kind, attributes, names
        self.words = tuple(name for name in names if name.startswith("-"))
        longest = max(self.words, key=lambda word: word[:2] == "--", default="").lstrip("-")
        self.target = next((name for name in names if not name.startswith("-")), longest).replace("-", "_")

    def get(self, attribute: str) -> Any:  # noqa: ANN401
        return self.attributes.get(attribute)

    @property
    def takes_value(self) -> bool:
        return not (self.get("is_flag") or self.get("count") or self.get("flag_value") is not None)

    @property
    def is_plain(self) -> bool:
        """Whether its values need no more than a conversion by a type of python."""
        return self.get("is_flag") is not False and self.get("nargs") in {None, -1} and self.get("type") in _PLAIN

    def converted(self, text: str) -> Any:  # noqa: ANN401
        """Return the value that a text means. Raises `ValueError`."""
        least, choices = self.get("least"), self.get("choices")
        value = int(text) if least is not None else float(text) if self.get("type") is float else text
        if (least is not None and value < least) or (choices is not None and text not in choices):
            raise ValueError(text)
        return value

    def absent(self) -> object:
        """The value of a parameter that was not given."""
        if self.get("multiple") or self.get("nargs") == -1:
            return ()
        if self.get("count"):
            return 0
        return self.get("default") if "default" in self.attributes or not self.get("is_flag") else False


def option(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:  # noqa: ANN401
    """Declare an option, as `click.option` does."""
    return functools.partial(_declare, parameter=("option", names, attributes))


def argument(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:  # noqa: ANN401
    """Declare an argument, as `click.argument` does."""
    return functools.partial(_declare, parameter=("argument", names, attributes))


def _declare(function: Decorated, *, parameter: tuple[str, tuple[str, ...], dict[str, Any]]) -> Decorated:
    vars(function).setdefault(_PARAMETERS, []).append(Parameter(*parameter))
    return function


def grouped(function: Decorated, section: str, declarations: Sequence[Callable[[Decorated], Decorated]]) -> Decorated:
    """Apply declarations, the first of which comes first in the help, in a section of the help."""
    for declaration in reversed(declarations):
        function = declaration(function)
        vars(function)[_PARAMETERS][-1].section = section
    return function


def command(name: str | None = None) -> Callable[[Decorated], Decorated]:
    """Declare a command by a function with declared parameters; its name is that of the function."""

    def declare(function: Decorated) -> Decorated:
        known = name or function.__name__

        @functools.wraps(function)
        def run(**values: object) -> object:
            global _running  # noqa: PLW0603 - a process runs one command line
            _running = known
            return function(**values)

        DECLARED[known] = run, tuple(reversed(vars(function)[_PARAMETERS]))
        return cast("Decorated", run)

    return declare


def plain_call(words: Sequence[str]) -> Callable[[], object] | None:
    """The call that a command line means, if all of its words are plain; `None`: click must read it."""
    name = words[0] if words else ""
    if name not in COMMANDS:
        from bridge.cli.habits import ALIASES

        name = ALIASES.get(name, name)
    if name not in COMMANDS or os.environ.get(_COMPLETION):
        return None
    import_module(f"bridge.cli.declarations.{COMMANDS[name]}")
    if name not in DECLARED:
        return None
    function, parameters = DECLARED[name]
    values = _values(parameters, words[1:])
    return functools.partial(function, **values) if values is not None else None


def _values(parameters: Sequence[Parameter], words: Iterable[str]) -> dict[str, Any] | None:
    """The value of each parameter; `None` if a word, a value or a parameter is not plain."""
    options = {word: each for each in parameters for word in each.words}
    values: dict[str, Any] = {}
    for each in parameters:
        values.setdefault(each.target, each.absent())
    typed: list[str] = []
    left = iter(words)
    for word in left:
        if not word.startswith("-") or word == "-":
            typed.append(word)
            continue
        key, equals, text = word.partition("=")
        named = options.get(key)
        if named is None or not named.is_plain or (equals and not (key.startswith("--") and named.takes_value)):
            return None
        given = text if equals or not named.takes_value else next(left, None)
        if given is None or not _assign(named, given, values):
            return None
    if not _assign_arguments([each for each in parameters if each.kind == "argument"], typed, values):
        return None
    return _completed(parameters, values)


def _assign(option: Parameter, text: str, values: dict[str, Any]) -> bool:
    """Give an option the next value; `False` if its type does not take it."""
    if option.get("count"):
        values[option.target] += 1
    elif not option.takes_value:
        flag = option.get("flag_value")
        values[option.target] = True if flag is None else flag
    else:
        try:
            value = option.converted(text)
        except ValueError:
            return False
        values[option.target] = (*values[option.target], value) if option.get("multiple") else value
    return True


def _assign_arguments(arguments: Sequence[Parameter], typed: Sequence[str], values: dict[str, Any]) -> bool:
    if not arguments:
        return not typed
    if any(each.get("nargs") == -1 for each in arguments):
        if len(arguments) > 1 or not arguments[0].is_plain or (arguments[0].get("required") and not typed):
            return False
        values[arguments[0].target] = tuple(typed)
        return True
    least = sum(each.get("required") is not False for each in arguments)
    if not least <= len(typed) <= len(arguments) or not all(each.is_plain for each in arguments):
        return False
    try:
        values |= {each.target: each.converted(text) for each, text in zip(arguments, typed, strict=False)}
    except ValueError:
        return False
    return True


def _completed(parameters: Sequence[Parameter], values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The values with those that callbacks make of them, without those that no function takes."""
    completed = dict(values)
    for each in parameters:
        if each.kind == "option" and each.get("required") and values[each.target] is None:
            return None
        callback = each.get("callback")
        if callback is not None:
            completed[each.target] = callback(values[each.target])
        if each.get("expose_value") is False:
            del completed[each.target]
    return completed


def document_of(name: str) -> str:
    """The schema in `bridge/schemas` of a command's document."""
    return "change" if name in CHANGES else {"shell": "activate", "deactivate": "activate"}.get(name, name)


def running() -> str:
    """The name of the command that runs; empty for one that click runs, and where none does."""
    return _running
