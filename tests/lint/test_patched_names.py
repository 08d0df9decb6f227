"""A name of the product that a test replaces by its text exists: no type checker follows a text."""

from __future__ import annotations

import ast
import pkgutil
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


def patched_names() -> set[str]:
    """The texts in `monkeypatch.setattr("bridge.…", …)` and `mock.patch("bridge.…")`."""
    names = set()
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="setattr" | "delattr" | "patch"), args=[ast.Constant(value=str(name)), *_]
                ) if name.startswith(("bridge.", "converters.")):
                    names.add(name)
    return names


@pytest.mark.parametrize("name", sorted(patched_names()))
def test_a_patched_name_exists(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(pkgutil.resolve_name(module), attribute)
