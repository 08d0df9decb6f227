"""Parsed modules, shared by the lints of one test process."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import cache
from pathlib import Path


@cache
def tree_of(source: str) -> ast.Module:
    return ast.parse(source)


@cache
def nodes_of(source: str) -> Sequence[ast.AST]:
    """Every node of a module, as `ast.walk` orders them."""
    return tuple(ast.walk(tree_of(source)))


def nodes_in(path: Path) -> Sequence[ast.AST]:
    return nodes_of(path.read_text("utf-8"))
