"""A mutant put into functions that exist already, so that a process need not import everything again for it."""

from __future__ import annotations

import gc
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

__all__ = ["Functions"]

_Key = tuple[str, int]


class Functions:
    """The functions of this process, by file, name and line."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_place: dict[tuple[str, _Key], list[FunctionType]] = defaultdict(list)
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(f"{root}/"):
                self._by_place[each.__code__.co_filename, _key(each.__code__)].append(each)

    def swap(self, file: str, old: str, new: str) -> bool:
        """Give the functions of a file their new code; `False`: what changes runs when the module is imported."""
        path = str(self._root / file)
        if not any(getattr(module, "__file__", None) == path for module in list(sys.modules.values())):
            return True
        changed = list(_changed(compile(old, path, "exec"), compile(new, path, "exec"), ()))
        swaps: list[tuple[FunctionType, CodeType]] = []
        for chain in changed:
            found = [(function, code) for key, code in chain for function in self._by_place.get((path, key), ())]
            if not found:
                return False
            swaps += found
        try:
            for function, code in swaps:
                function.__code__ = code
        except ValueError:  # it has other free variables
            return False
        return bool(changed)


def _key(code: CodeType) -> _Key:
    return code.co_name, code.co_firstlineno


def _changed(
    old: CodeType, new: CodeType, above: tuple[tuple[_Key, CodeType], ...]
) -> Iterator[tuple[tuple[_Key, CodeType], ...]]:
    """For each code object whose own instructions differ, the new ones of the functions around it, and its own."""
    olds = [each for each in old.co_consts if isinstance(each, CodeType)]
    news = [each for each in new.co_consts if isinstance(each, CodeType)]
    keys = [_key(each) for each in olds]
    if _own(old) != _own(new) or keys != [_key(each) for each in news] or len(set(keys)) < len(keys):
        # Two lambdas of one line cannot be told apart: the function around them is taken as the one that differs.
        if old != new:
            yield above
        return
    for before, after in zip(olds, news, strict=True):
        if before != after:
            yield from _changed(before, after, (*above, (_key(before), after)))


def _own(code: CodeType) -> tuple[object, ...]:
    constants = [repr(each) for each in code.co_consts if not isinstance(each, CodeType)]
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars
