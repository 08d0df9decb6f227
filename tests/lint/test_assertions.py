"""No test is green whatever happens: each reaches an assertion, and none asserts a constant."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.syntax import tree_of

TESTS = Path(__file__).resolve().parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef
# Calls outside the tests that fail by themselves.
CHECKS = frozenset({"raises", "fail", "check_schema", "check_call"})


def calls(function: Function) -> Iterator[str]:
    """`name` for each call of a plain name, `.name` for each call of an attribute."""
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id=name)):
                yield name
            case ast.Call(func=ast.Attribute(attr=name)):
                yield f".{name}"


def is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True


def is_constant(test: ast.expr) -> bool:
    """Whether an asserted expression is true whatever the code under test does."""
    match test:
        case ast.Constant() | ast.JoinedStr() | ast.Lambda():
            return True
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return bool(parts)
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(is_constant(value) for value in values)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(is_constant(value) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return is_constant(operand)
        case ast.Compare(left=left, comparators=[right]):
            return is_literal(left) and is_literal(right)
    return False


def asserts_itself(function: Function) -> bool:
    """Whether a function holds an assertion that can fail, or a call that fails by itself."""
    return any(isinstance(node, ast.Assert) and not is_constant(node.test) for node in ast.walk(function)) or any(
        name.lstrip(".") in CHECKS for name in calls(function)
    )


def functions_of(tree: ast.Module) -> dict[str, Function]:
    """The functions of a module by name, and the methods of its classes by `.name`."""
    found: dict[str, Function] = {}
    for node in tree.body:
        if isinstance(node, Function):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            found |= {f".{each.name}": each for each in node.body if isinstance(each, Function)}
    return found


def imported_from_tests(tree: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests.")
        for alias in node.names
    }


def cannot_fail(trees: dict[str, ast.Module]) -> list[str]:
    """The tests that reach no assertion: neither their own nor one of a function of the tests that they call."""
    functions = {name: functions_of(tree) for name, tree in trees.items()}
    reached = {each for found in functions.values() for each, node in found.items() if asserts_itself(node)}
    before = -1
    while before != len(reached):
        before = len(reached)
        reached |= {
            each for found in functions.values() for each, node in found.items() if reached.intersection(calls(node))
        }
    silent = []
    for name, found in functions.items():
        visible = {each for each in reached if each.startswith(".")}
        visible |= reached & (found.keys() | imported_from_tests(trees[name]))
        silent += [
            f"{name}: {each}"
            for each, node in found.items()
            if each.lstrip(".").startswith("test_")
            if not asserts_itself(node) and not visible.intersection(calls(node))
        ]
    return silent


def constants(trees: dict[str, ast.Module]) -> list[str]:
    """The assertions that hold whatever happens."""
    return [
        f"{name}:{node.lineno}"
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert) and is_constant(node.test)
    ]


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    paths = sorted(TESTS.rglob("*.py"))
    return {path.relative_to(TESTS).as_posix(): tree_of(path.read_text("utf-8")) for path in paths}


@pytest.mark.slow
def test_each_test_reaches_an_assertion(trees: dict[str, ast.Module]) -> None:
    assert cannot_fail(trees) == []


def test_no_assertion_is_of_a_constant(trees: dict[str, ast.Module]) -> None:
    assert constants(trees) == []


@pytest.mark.parametrize(
    "body",
    ["run()", "try:\n  run()\n except ValueError:\n  pass", "assert True", "assert run() or True", "assert (1, 2)"],
)
def test_a_test_that_cannot_fail_is_found(body: str) -> None:
    tree = ast.parse(f"def run(): ...\ndef test_it():\n {body}\n")
    assert cannot_fail({"test.py": tree}) == ["test.py: test_it"]
    assert len(constants({"test.py": tree})) == body.count("assert")


@pytest.mark.parametrize("body", ["check()", "assert run()", "with pytest.raises(ValueError):\n  run()"])
def test_a_test_that_can_fail_is_not(body: str) -> None:
    tree = ast.parse(f"def run(): ...\ndef check():\n assert run()\ndef test_it():\n {body}\n")
    assert cannot_fail({"test.py": tree}) == []
    assert constants({"test.py": tree}) == []
