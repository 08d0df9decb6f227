"""Undo Debian's changes to the standard library in the packed copy.

Debian and its derivatives look for modules in three `dist-packages` directories and install to `/usr/local`; an
environment has one `lib/python3.x/site-packages`. The texts differ between releases, so functions, conditions and table
entries are found in the syntax tree; code that still names `dist-packages` afterwards is refused.

From 3.11 on `site` is frozen into the binary, and that copy runs. There the word is overwritten with `site-packages`,
which has the same length; `site.getsitepackages()` then lists two more directories, which do not exist.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from typing import cast

from bridge.channels.host.layout import not_packable

__all__ = ["CHANGED", "FROZEN_SINCE", "is_changed", "undo", "undo_frozen"]

FROZEN_SINCE = (3, 11)
_WORD = "dist-packages"
_UPSTREAM = b"site-packages"
_SCHEMES = frozenset({"deb_system", "posix_local", "unix_local"})

_GETSITEPACKAGES = '''\
def getsitepackages(prefixes=None):
    """Returns a list of the site-packages directories of `prefixes` (or of the global ``PREFIXES``)."""
    version = "python%d.%d%s" % (*sys.version_info[:2], "t" if "t" in getattr(sys, "abiflags", "") else "")
    found = dict.fromkeys(PREFIXES if prefixes is None else prefixes)
    return [os.path.join(prefix, "lib", version, "site-packages") for prefix in found if prefix]
'''
_PREFERRED_SCHEMES = """\
def _get_preferred_schemes():
    return {
        'prefix': 'posix_prefix',
        'home': 'posix_home',
        'user': 'posix_user',
    }
"""

Edit = tuple[ast.AST, ast.AST | None, str]
"""First node, last node (`None`: the same), and the text that replaces both and all between."""


def is_changed(site: bytes) -> bool:
    """Whether a `site.py` is Debian's."""
    return _WORD.encode() in site


def undo_frozen(binary: bytes) -> tuple[tuple[int, bytes], ...]:
    """Patches (offset, bytes) for an executable or libpython with frozen modules."""
    return tuple((match.start(), _UPSTREAM) for match in re.finditer(_WORD.encode(), binary))


def undo(module: str, source: bytes) -> bytes:
    """Undo Debian's changes in a module's source; `module` is its path in the standard library.

    Source without `dist-packages` is returned unchanged. Raises `UsageError` (`host-layout`).
    """
    find = CHANGED[module]
    if not is_changed(source):
        return source
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise not_packable(f"its {module} cannot be parsed", context=(str(error),)) from error
    changed = _apply(source, find(tree))
    left = sorted(_named(ast.parse(changed)))
    if left:
        raise not_packable(
            f"its {module} has unknown changes, so the copy would look for modules elsewhere",
            context=[f"{module}, line {line}: {_WORD}" for line in left],
        )
    return changed


def _site(tree: ast.Module) -> Iterator[Edit]:
    yield _function(tree, "getsitepackages", "site.py"), None, _GETSITEPACKAGES


def _sysconfig(tree: ast.Module) -> Iterator[Edit]:
    yield _function(tree, "_get_preferred_schemes", "sysconfig"), None, _PREFERRED_SCHEMES
    yield from _schemes(tree)


def _distutils_sysconfig(tree: ast.Module) -> Iterator[Edit]:
    """`get_python_lib`: disable the branch that returns dist-packages."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.body[0], ast.Return) and _WORD in _strings(node.body[0]):
            yield node.test, None, "False"


def _distutils_install(tree: ast.Module) -> Iterator[Edit]:
    yield from _schemes(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and "unix_local" in _strings(node.args[0]):
            yield node.args[0], None, '"unix_prefix"'


CHANGED: dict[str, Callable[[ast.Module], Iterator[Edit]]] = {
    "site.py": _site,
    "sysconfig.py": _sysconfig,
    "sysconfig/__init__.py": _sysconfig,
    "distutils/sysconfig.py": _distutils_sysconfig,
    "distutils/command/install.py": _distutils_install,
}
"""The modules that decide where modules are, by path relative to the standard library."""


def _function(tree: ast.Module, name: str, module: str) -> ast.FunctionDef:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise not_packable(f"its {module} names {_WORD} but has no function {name}")


def _schemes(tree: ast.Module) -> Iterator[Edit]:
    """Debian's install schemes: entries of a table, assignments to one, names in a list."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield from _entries(node)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            if _SCHEMES & _strings(node.targets[0].slice):
                yield node, None, "pass"
        elif isinstance(node, ast.Tuple) and _SCHEMES & {getattr(name, "value", None) for name in node.elts}:
            kept = [ast.unparse(name) for name in node.elts if not _SCHEMES & _strings(name)]
            yield node, None, f"({', '.join(kept)},)"


def _entries(table: ast.Dict) -> Iterator[Edit]:
    """Remove Debian's keys and values from a table."""
    for position, key in enumerate(table.keys):
        if isinstance(key, ast.Constant) and key.value in _SCHEMES:
            yield key, table.values[position], ""


def _strings(node: ast.AST) -> set[str]:
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def _named(tree: ast.Module) -> Iterator[int]:
    """Lines where code that can run names dist-packages; docstrings may."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.If) and isinstance(node.test, ast.Constant) and not node.test.value:
            pending += node.orelse
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _WORD in node.value:
            yield node.lineno
        pending += ast.iter_child_nodes(node)


def _apply(source: bytes, edits: Iterable[Edit]) -> bytes:
    """Apply the edits to `source`; the syntax tree counts columns in bytes."""
    lines = [0, *(match.end() for match in re.finditer(rb"\r\n|\r|\n", source))]
    spans = []
    for first, last, text in edits:
        start, end = _span(lines, first)[0], _span(lines, last or first)[1]
        if not text:  # remove a table entry with its comma
            end += len(source[end:]) - len(source[end:].lstrip().removeprefix(b","))
        spans.append((start, end, text.encode()))
    written, done = b"", 0
    for start, end, new in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= done:  # skip edits inside a replaced span
            written += source[done:start] + new
            done = end
    return written + source[done:]


def _span(lines: list[int], node: ast.AST) -> tuple[int, int]:
    place = cast("ast.expr", node)
    end_line, end_column = place.end_lineno or 0, place.end_col_offset or 0
    return lines[place.lineno - 1] + place.col_offset, lines[end_line - 1] + end_column
