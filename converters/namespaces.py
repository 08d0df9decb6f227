"""Recognise the `__init__.py` of a namespace package of the old kinds, which several projects bring.

Such a file only declares that its package has parts elsewhere: by `pkgutil.extend_path` or `pkg_resources`. Any of them
serves all parts, whatever its comments and fallbacks are.
"""

from __future__ import annotations

import ast

__all__ = ["LONGEST_NAMESPACE", "is_namespace_declaration"]

LONGEST_NAMESPACE = 1024  # bytes; longer files do more than declare
_MODULES = frozenset({"pkgutil", "pkg_resources"})
_CALLS = frozenset({"extend_path", "declare_namespace"})


def is_namespace_declaration(path: str, data: bytes) -> bool:
    """Return whether a file is an `__init__.py` that declares a namespace and does nothing else."""
    if path.rpartition("/")[2] != "__init__.py" or len(data) > LONGEST_NAMESPACE:
        return False
    if b"extend_path" not in data and b"declare_namespace" not in data:
        return False
    try:
        return all(map(_is_part, ast.parse(data).body))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _is_part(statement: ast.stmt) -> bool:
    """Return whether a statement is a docstring, an import of the modules, a declaration, or a `try` around these."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) or _is_declaration(statement.value)
    if isinstance(statement, ast.Import):
        return all(alias.name in _MODULES for alias in statement.names)
    if isinstance(statement, ast.ImportFrom):
        return statement.module in _MODULES and not statement.level
    if isinstance(statement, ast.Assign):
        targets = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        return targets == ["__path__"] and _is_declaration(statement.value)
    if isinstance(statement, ast.Try):
        parts = [*statement.body, *statement.orelse, *statement.finalbody]
        parts += [part for handler in statement.handlers for part in handler.body]
        return all(map(_is_part, parts))
    return isinstance(statement, ast.Pass)


def _is_declaration(value: ast.expr) -> bool:
    """Return whether an expression calls `extend_path` or `declare_namespace`, however it gets at them."""
    if not isinstance(value, ast.Call):
        return False
    arguments = [argument.id for argument in value.args if isinstance(argument, ast.Name)]
    called = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
    return called in _CALLS and set(arguments) <= {"__path__", "__name__"} and len(arguments) == len(value.args)
