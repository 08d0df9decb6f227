"""Merge layers of conda's configuration, with its marks `#!final`, `#!top` and `#!bottom`. Pure.

Source: conda's documentation, "Administering a multi-user conda installation", and `LoadedParameter.merge` of its
`common/configuration.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from converters.deferred import dataclass, regex

__all__ = ["Layer", "merged_list", "merged_map", "merged_value"]

_KEY = regex(r"([A-Za-z_]\w*)\s*:")
_MARK = regex(r"\s#!\s*(final|top|bottom)\s*\Z")
_ITEM = regex(r"\s*-\s+(.*?)\s+#!\s*(top|bottom)\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The values of one file or variable.

    :param final: keys that no later layer changes. `top`, `bottom`: (key, item) of lists.
    """

    source: str
    values: Mapping[str, object]
    final: frozenset[str] = frozenset()
    top: frozenset[tuple[str, str]] = frozenset()
    bottom: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, source: str, values: Mapping[str, object], text: str, aliases: Mapping[str, str]) -> Layer:
        """Return a layer with the marks in the comments of its text."""
        final, placed = set(), set()
        key = ""
        for line in text.splitlines() if "#!" in text else ():
            if match := _KEY.match(line):
                key = aliases.get(match[1], match[1])
                if (mark := _MARK.search(line)) and mark[1] == "final":
                    final.add(key)
            elif item := _ITEM.match(line):
                placed.add((key, item[1].strip("'\""), item[2]))
        return cls(
            source=source,
            values=values,
            final=frozenset(final),
            top=frozenset((key, item) for key, item, where in placed if where == "top"),
            bottom=frozenset((key, item) for key, item, where in placed if where == "bottom"),
        )


def _effective(layers: Iterable[Layer], key: str) -> list[Layer]:
    """The layers that set a key, lowest priority first, up to the first that is final."""
    effective = []
    for layer in layers:
        if key in layer.values:
            effective.append(layer)
            if key in layer.final:
                break
    return effective


def merged_value(layers: Sequence[Layer], key: str) -> object:
    """The value of the last layer; `None` if no layer sets it."""
    effective = _effective(layers, key)
    return effective[-1].values[key] if effective else None


def merged_list(layers: Sequence[Layer], key: str) -> list[str] | None:
    """The items of all layers, those of later layers first; `None` if a value is no list of texts."""
    lists = [(layer, value) for layer in _effective(layers, key) if (value := _texts(layer.values[key])) != []]
    top: list[str] = []
    middle: list[str] = []
    bottom: list[str] = []
    for _, value in reversed(lists):
        if value is None:
            return None
        middle += value
    for layer, value in lists:
        top += [each for each in value or () if (key, each) in layer.top]
    for layer, value in reversed(lists):
        bottom += [each for each in value or () if (key, each) in layer.bottom]
    ordered = dict.fromkeys((*top, *middle))
    return [*(each for each in ordered if each not in bottom), *dict.fromkeys(bottom)]


def _texts(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(each, (str, int, float)) for each in value):
        return None
    return [str(each) for each in value]


def merged_map(layers: Sequence[Layer], key: str) -> dict[str, object] | None:
    """The entries of all layers; of one name, the last layer's. `None` if a value is no mapping."""
    values: dict[str, object] = {}
    for layer in _effective(layers, key):
        value = layer.values[key]
        if not isinstance(value, dict):
            return None
        values.update((str(name), each) for name, each in value.items())
    return values
