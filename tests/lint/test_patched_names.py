"""A name of the product that a test replaces by its text exists: no type checker follows a text."""

from __future__ import annotations

import ast
import pkgutil
from pathlib import Path

from tests.support.syntax import nodes_in

TESTS = Path(__file__).resolve().parents[1]


def patched_names() -> set[str]:
    """The texts in `monkeypatch.setattr("bridge.…", …)` and `mock.patch("bridge.…")`."""
    names = set()
    for path in TESTS.rglob("*.py"):
        for node in nodes_in(path):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="setattr" | "delattr" | "patch"), args=[ast.Constant(value=str(name)), *_]
                ) if name.startswith(("bridge.", "converters.")):
                    names.add(name)
    return names


def test_patched_names_exist() -> None:
    names = patched_names()
    assert names
    missing = {name for name in names if not _exists(name)}
    assert not missing


def _exists(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    return hasattr(pkgutil.resolve_name(module), attribute)
