"""Which mutants there are, and a sample of them."""

from __future__ import annotations

import ast
import random
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

__all__ = ["SCOPE", "Mutant", "draw", "mutated", "operator_names"]

SCOPE = (
    "bridge/resolve/**/*.py",
    "bridge/requirements/*.py",
    "bridge/install/plan.py",
    "bridge/install/ownership.py",
    "bridge/transaction/*.py",
    "bridge/prefix/claims.py",
    "converters/translate.py",
    "converters/versions.py",
    "converters/markers.py",
    "converters/tags.py",
    "converters/names.py",
)

# These take arguments of their own.
_PARAMETRIC = {"VariableReplacer", "VariableInserter"}
# Equal members of enumerations, small integers and interned strings are identical as well.
_BY_IDENTITY = {
    "ReplaceComparisonOperator_Eq_Is",
    "ReplaceComparisonOperator_NotEq_IsNot",
    "ReplaceComparisonOperator_Is_Eq",
    "ReplaceComparisonOperator_IsNot_NotEq",
}
# Decorators that say something to the type checker alone.
_FOR_THE_TYPE_CHECKER = {"final", "override", "overload", "runtime_checkable"}

_NEVER_MUTATED = {"name", "string", "newline", "endmarker"}

Position = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One replacement at one place of one file, as cosmic-ray counts them."""

    file: str
    operator: str
    occurrence: int
    line: int
    column: int
    text: str

    @property
    def id(self) -> str:
        return f"{self.file}:{self.line}:{self.column}:{self.operator}:{self.occurrence}"


def operator_names() -> tuple[str, ...]:
    """The operators that are used."""
    return tuple(sorted(set(OperatorProvider()) - _PARAMETRIC - _BY_IDENTITY))


def mutated(source: str, mutant: Mutant) -> str:
    """Return the source with the mutant's fault in it."""
    changed: str | None = mutate_code(source, OperatorProvider()[mutant.operator](), mutant.occurrence)
    if changed is None:
        raise ValueError(f"there is no such mutant: {mutant.id}")
    return changed


def draw(root: Path, count: int, seed: int) -> list[Mutant]:
    """Draw places uniformly, and one replacement at each: places with many replacements weigh no more than others."""
    by_place: dict[tuple[str, Position, Position], list[Mutant]] = defaultdict(list)
    for file in sorted(path for pattern in SCOPE for path in root.glob(pattern)):
        name = file.relative_to(root).as_posix()
        for start, end, mutant in _mutants_of(name, file.read_text("utf-8")):
            by_place[name, start, end].append(mutant)
    order = random.Random(seed)
    places = sorted(by_place)
    order.shuffle(places)
    drawn: list[Mutant] = []
    for place in places:
        if len(drawn) == count:
            break
        mutant = order.choice(by_place[place])
        if _is_program(mutated((root / mutant.file).read_text("utf-8"), mutant)):
            drawn.append(mutant)
    return drawn


def _is_program(source: str) -> bool:
    """Whether the compiler takes it without a warning, as of `1 is 2`."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            compile(source, "<mutant>", "exec")
        except (SyntaxError, SyntaxWarning):
            return False
    return True


def _mutants_of(name: str, source: str) -> Iterator[tuple[Position, Position, Mutant]]:
    lines = source.splitlines()
    excluded = _without_behaviour(ast.parse(source))
    nodes = [node for node in ast_nodes(get_ast(source)) if node.type not in _NEVER_MUTATED]
    for operator_name in operator_names():
        is_decorator = operator_name == "RemoveDecorator"
        operator = OperatorProvider()[operator_name]()
        places = [place for node in nodes for place in operator.mutation_positions(node)]
        for occurrence, (start, end) in enumerate(places):
            # A decorator begins with its sign and ends with the line; the span of its expression is within.
            inner = ((start[0], start[1] + 1), (end[0] - 1, 0)) if is_decorator else (start, end)
            if not any(first <= inner[0] and inner[1] <= last for first, last in excluded):
                text = lines[start[0] - 1].strip()
                yield start, end, Mutant(name, operator_name, occurrence, start[0], start[1], text)


def _without_behaviour(tree: ast.Module) -> Sequence[tuple[Position, Position]]:
    """Spans of annotations, aliases of types, imports for the type checker, and arguments of `dataclass`."""
    spans: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            spans.append(node.annotation)
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).endswith("TypeAlias"):
                spans.append(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            spans += [decorator for decorator in node.decorator_list if _is_for_the_type_checker(decorator)]
            if not isinstance(node, ast.ClassDef) and node.returns is not None:
                spans.append(node.returns)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            spans.append(node)
    return [_span(node) for node in spans]


def _is_for_the_type_checker(decorator: ast.expr) -> bool:
    if isinstance(decorator, ast.Call):
        return ast.unparse(decorator.func) == "dataclass"
    return ast.unparse(decorator) in _FOR_THE_TYPE_CHECKER


def _span(node: ast.AST) -> tuple[Position, Position]:
    assert isinstance(node, ast.expr | ast.stmt)
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
