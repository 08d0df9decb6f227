"""Names of a package that are imported when they are first asked for (PEP 562).

A command pays at its start for the modules that it uses, not for those that lie beside them. For readers and type
checkers the same names stand in an `if TYPE_CHECKING:` block.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["lazily"]


def lazily(package: str, places: Mapping[str, str]) -> Callable[[str], object]:
    """A `__getattr__` for the package of that name.

    :param places: name → the module that defines it, relative to the package (`.client`) or absolute. A module of the
        package must not have the name of something in another one: importing it would hide that.
    """

    def find(name: str) -> object:
        place = places.get(name)
        if place is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(place, package), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
