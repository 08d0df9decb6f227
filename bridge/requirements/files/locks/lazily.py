"""A mapping whose values are made when they are asked for: who installs one platform of a lock reads no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

__all__ = ["Lazily"]

_Value = TypeVar("_Value")


class Lazily(Mapping[str, _Value]):
    """:param makers: key → what makes its value; called once."""

    def __init__(self, makers: Mapping[str, Callable[[], _Value]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, _Value] = {}

    def __getitem__(self, key: str) -> _Value:
        if key not in self._made:
            self._made[key] = self._makers[key]()
        return self._made[key]

    def __contains__(self, key: object) -> bool:
        return key in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __repr__(self) -> str:
        return f"Lazily({sorted(self._makers)})"
