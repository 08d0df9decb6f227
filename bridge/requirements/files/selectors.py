"""Selectors of environment.yml: `- pywin32  # [win]` and `- sel(win): pywin32` (CEP 24), for one platform."""

from __future__ import annotations

import ast
import re

__all__ = ["comment_selectors", "selector_holds"]

_SELECTED = re.compile(r"^\s*-\s+(?P<entry>\S.*?)\s+#\s*\[(?P<expression>[^\[\]]*)\]\s*$")
_MAX_EXPRESSION = 200

# Names that conda-build's selectors have for platforms; `py27`, `np` and the like are none (CEP 24).
_ARCHITECTURES = {
    "64": "x86_64",
    "32": "x86",
    "aarch64": "aarch64",
    "arm64": "arm64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "armv7l": "armv7l",
}
_NAMES = {
    "linux", "osx", "win", "unix", "linux32", "linux64", "win32", "win64", "osx64",
    "x86", "x86_64", "x64", "aarch64", "arm64", "ppc64le", "s390x", "riscv64", "armv6l", "armv7l", "emscripten", "wasi",
}  # fmt: skip


def comment_selectors(text: str) -> list[tuple[int, str, str]]:
    """Return (number of the line, what it asks for, expression) of each line of a list that ends in a selector."""
    selectors = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.rstrip().endswith("]") and (match := _SELECTED.match(line[: _MAX_EXPRESSION * 2])) is not None:
            selectors.append((number, match["entry"].strip("\"'"), match["expression"].strip()))
    return selectors


def selector_holds(expression: str, subdir: str) -> bool | None:
    """Evaluate a selector on a platform; `None` if it is no expression of CEP 24."""
    if len(expression) > _MAX_EXPRESSION:
        return None
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
        return _holds(tree, _true_names(subdir))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _holds(node: ast.expr, true: frozenset[str]) -> bool:
    if isinstance(node, ast.BoolOp):
        parts = [_holds(value, true) for value in node.values]
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _holds(node.operand, true)
    if isinstance(node, ast.Name) and node.id in _NAMES:
        return node.id in true
    raise ValueError("not a selector")


def _true_names(subdir: str) -> frozenset[str]:
    system, _, number = subdir.partition("-")
    architecture = _ARCHITECTURES.get(number, number)
    names = {system, architecture, *({"unix"} if system in {"linux", "osx"} else ())}
    if architecture in {"x86", "x86_64"}:
        names |= {"x86", f"{system}{number}"} | ({"x64"} if architecture == "x86_64" else set())
    return frozenset(names)
