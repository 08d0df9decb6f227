"""Look settings up: options, variables, bridge's configuration files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, cast

from bridge.config.keys import KEY_OF_OPTION
from bridge.config.layers import Layer
from bridge.config.pip import BOOLEANS, finite
from bridge.errors import UsageError

__all__ = ["Lookup"]

Number = TypeVar("Number", int, float)


# (key, what other tools call a value) -> what to write, or why there is no such value.
_MEANT = {
    ("index_strategy", "first-index"): "write first",
    ("index_strategy", "first-match"): "write first",
    ("index_strategy", "unsafe-best-match"): "write best",
    ("index_strategy", "unsafe-first-match"): "write best",
    ("channel_priority", "disabled"): "write flexible, which prefers earlier channels",
    ("link_mode", "hard-link"): "write hardlink",
    ("link_mode", "reflink"): "write clone",
    ("link_mode", "softlink"): "write hardlink: links into a cache break when it is emptied",
    ("link_mode", "symlink"): "write hardlink: links into a cache break when it is emptied",
}


class Lookup:
    """Looks a value up: the option, else the environment variable, else bridge's files. Errors name the one used."""

    def __init__(self, options: Mapping[str, object], environ: Mapping[str, str], layers: Sequence[Layer] = ()) -> None:
        """:param layers: highest priority first."""
        self._options = options
        self._environ = environ
        self._layers = layers

    @property
    def given(self) -> Lookup:
        """The same without the files: what the user gave for this run."""
        return Lookup(self._options, self._environ)

    @property
    def configured(self) -> Lookup:
        """The files alone."""
        return Lookup({}, {}, self._layers)

    @property
    def places(self) -> Iterator[Lookup]:
        """Each place where settings are, alone, highest priority first."""
        yield Lookup(self._options, {})
        yield Lookup({}, self._environ)
        for layer in self._layers:
            yield Lookup({}, {}, (layer,))

    def _all(self, key: str) -> Iterator[tuple[object, str]]:
        """Each value of a key and where it comes from, highest priority first."""
        value = self._options.get(key)
        if value is not None and value is not False and value not in ("", ()):
            yield value, "--" + key.replace("_", "-")
        variable = f"BRIDGE_{key.upper()}"
        if named := self._environ.get(variable):
            yield named, variable
        for layer in self._layers:
            if key in layer.values:
                yield layer.values[key], layer.place(KEY_OF_OPTION[key])

    def _find(self, key: str) -> tuple[object, str]:
        return next(self._all(key), (None, f"BRIDGE_{key.upper()}"))

    def wrong(self, key: str, value: object, expected: str, *, hint: str | None = None) -> UsageError:
        """The error for a value of a key, or for a part of it, which names the place that has it."""
        wrong = [place for each, place in self._all(key) if each == value or (_parts(each) and value in _parts(each))]
        source = next(iter(wrong), self._find(key)[1])
        return UsageError(
            "option-value",
            f"{source}: {str(value)!r} is not {expected}",
            hint=hint,
            objects={"option": source, "value": str(value)},
        )

    def source(self, key: str) -> str | None:
        """The option, the variable or the file that sets a value; `None` if none does."""
        value, source = self._find(key)
        return None if value is None else source

    def string(self, key: str) -> str | None:
        value, _ = self._find(key)
        return None if value is None else str(value)

    def is_text(self, key: str) -> bool:
        """Whether the value is one text, as in the environment, and not several."""
        return isinstance(self._find(key)[0], str)

    def strings(self, key: str) -> tuple[str, ...]:
        """The values of a repeatable option, separated by white space in the environment."""
        return _parts(self._find(key)[0])

    def all_strings(self, key: str) -> tuple[str, ...]:
        """The texts of a key from every place, highest priority first."""
        return tuple(str(value) for value, _ in self._all(key))

    def bindings(self, key: str) -> tuple[str, ...]:
        """Values of the form NAME=VALUE, lowest priority first: those of files, then those given for this run."""
        configured = [part for value, _ in self.configured._all(key) for part in reversed(_parts(value))]
        return (*reversed(configured), *self.given.strings(key))

    def flag(self, key: str) -> bool:
        value, _ = self._find(key)
        if value is None or isinstance(value, (bool, int)):
            return bool(value)
        word = str(value).strip().lower()
        if word not in BOOLEANS:
            raise self.wrong(key, value, "one of 1, 0, true, false, yes, no")
        return BOOLEANS[word]

    def level(self, key: str) -> int:
        """How often a flag was given; a number in a variable says it too. Any other value is 0."""
        value, _ = self._find(key)
        return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else 0

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.string(key)
        if value is not None and value not in choices:
            raise self.wrong(key, value, f"one of {', '.join(choices)}", hint=_MEANT.get((key, value)))
        return value or default

    def number(self, key: str, default: Number, *, above_zero: bool = False) -> Number:
        text = self.string(key)
        if text is None:
            return default
        value = finite(text, default)
        if value is None or (above_zero and value == 0):
            kind = {int: "a whole number", float: "a number of seconds"}[type(default)]
            raise self.wrong(key, text, kind + (" above 0" if above_zero else ", 0 or more"))
        return value


def _parts(value: object) -> tuple[str, ...]:
    if value is None or isinstance(value, (bool, int, float)):
        return ()
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(str(part) for part in cast("Iterable[object]", value))
