"""The names of tests are the same in each process, so that pytest-xdist can share them out."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def unstable_ids(trees: dict[str, ast.Module]) -> list[str]:
    """The tests named by the `repr` of a set, whose order differs between the processes of pytest-xdist."""
    return [
        f"{name}:{node.lineno}"
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "parametrize"
        if any(isinstance(each.value, ast.Name) and each.value.id in {"repr", "str"} for each in node.keywords)
        if any(isinstance(part, ast.Set) and len(part.elts) > 1 for part in ast.walk(node))
    ]


def test_the_names_of_tests_are_the_same_in_each_process() -> None:
    texts = {path.relative_to(TESTS).as_posix(): path.read_text("utf-8") for path in TESTS.rglob("*.py")}
    named = {name: ast.parse(text) for name, text in texts.items() if "ids=repr" in text or "ids=str" in text}
    assert named
    assert unstable_ids(named) == []


def test_a_set_in_a_name_is_found() -> None:
    text = "@pytest.mark.parametrize('a', [{'x', 'y'}], ids=repr)\ndef test_it(a): ..."
    assert unstable_ids({"example": ast.parse(text)}) == ["example:1"]
