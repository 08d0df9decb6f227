"""Modules of others that are executed when a name of theirs is first used, instead of when they are imported.

click and dataclasses import `inspect` and others for functions that most runs never call, and the package of rattler
imports all of its modules where bridge needs a few. Only the process of the command line does this; a program that
imports bridge has the usual imports.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

__all__ = ["postpone"]

_POSTPONED = (
    "hashlib", "inspect", "ipaddress", "platform", "rattler", "rattler.repo_data", "subprocess", "sysconfig",
    "packaging.markers", "packaging.requirements", "packaging.specifiers", "packaging.tags", "packaging.utils",
    "packaging.version",
)  # fmt: skip
_executing = threading.RLock()


def postpone(names: Iterable[str] = _POSTPONED) -> None:
    """Put modules into `sys.modules` without executing them, unless they are there."""
    for name in names:
        spec = find_spec(name) if name not in sys.modules else None
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            object.__setattr__(module, "__class__", _Postponed)
            sys.modules[name] = module
            package, _, attribute = name.rpartition(".")
            if package:  # `import a.b` of a module that is there binds no `b`
                setattr(sys.modules[package], attribute, module)


class _Postponed(ModuleType):
    """A module that is not executed yet; modules of a package can be imported nevertheless."""

    def __getattr__(self, name: str) -> object:
        """Execute the module for a name that it does not have yet; other threads wait until it is complete."""
        with _executing:
            if "__executing__" not in self.__dict__ and type(self) is _Postponed:
                self.__dict__["__executing__"] = True
                spec: ModuleSpec = self.__dict__["__spec__"]
                assert spec.loader is not None
                spec.loader.exec_module(self)
                object.__setattr__(self, "__class__", ModuleType)
            return ModuleType.__getattribute__(self, name)
