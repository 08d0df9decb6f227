"""Which tests run a line, by the contexts that coverage.py recorded."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from coverage import CoverageData

__all__ = ["Covering", "Selection", "read_seconds"]

# A test of the file's own wing is likelier to notice a fault than one of a wing above it: those are run first.
_OWN = {
    "bridge/resolve": ("tests/unit/resolve/", "tests/scenarios/"),
    "bridge/requirements": ("tests/unit/requirements/",),
    "bridge/install": ("tests/unit/install/",),
    "bridge/transaction": ("tests/unit/transaction/",),
    "bridge/prefix": ("tests/unit/prefix/", "tests/unit/install/"),
    "converters": ("tests/unit/converters/", "tests/unit/requirements/"),
}


@dataclass(frozen=True)
class Selection:
    """The tests for one mutant, in the order in which they are to run."""

    tests: tuple[str, ...]
    # Of each test, as recorded.
    seconds: tuple[float, ...]
    # The line runs while modules are imported: a process that has imported them already does not run it again.
    is_at_import: bool
    # Tests that were left out because the time for one mutant is bounded.
    left_out: int


class Covering:
    """The tests that cover each line, with the seconds that each took."""

    def __init__(self, root: Path, data: Path, seconds: Mapping[str, float]) -> None:
        self._root, self._seconds = root, seconds
        self._data = CoverageData(str(data))
        self._data.read()
        self._paths = {
            path.relative_to(root).as_posix() if path.is_absolute() else name: name
            for name in self._data.measured_files()
            if not (path := Path(name)).is_absolute() or path.is_relative_to(root)
        }
        self._contexts: dict[str, Mapping[int, Sequence[str]]] = {}
        self._statements: dict[str, list[range]] = {}

    def select(self, file: str, line: int, budget: float) -> Selection:
        """Select the tests that run the statement of a line, at most for `budget` seconds.

        Where a statement runs only while its module is imported, those that run anything else of the module.
        """
        contexts = self._contexts_of(file)
        lines = self._statement_of(file, line)
        found = {context for each in lines for context in contexts.get(each, ())}
        is_at_import = "" in found
        tests = _tests(found)
        if is_at_import and not tests:
            tests = _tests(context for each in contexts.values() for context in each)
        own = next((folders for wing, folders in _OWN.items() if file.startswith(wing)), ())
        chosen: list[str] = []
        seconds: list[float] = []
        for test in sorted(tests, key=lambda name: (not name.startswith(own), self._seconds.get(name, 1.0), name)):
            its = self._seconds.get(test, 1.0)
            if chosen and sum(seconds) + its > budget:
                continue
            chosen.append(test)
            seconds.append(its)
        return Selection(tuple(chosen), tuple(seconds), is_at_import, len(tests) - len(chosen))

    def _contexts_of(self, file: str) -> Mapping[int, Sequence[str]]:
        if file not in self._contexts:
            name = self._paths.get(file)
            self._contexts[file] = {} if name is None else self._data.contexts_by_lineno(name)
        return self._contexts[file]

    def _statement_of(self, file: str, line: int) -> range:
        """Return the lines of the smallest statement around a line; of a compound statement, those of its head."""
        if file not in self._statements:
            self._statements[file] = list(_statements((self._root / file).read_text("utf-8")))
        around = [lines for lines in self._statements[file] if line in lines]
        return min(around, key=len, default=range(line, line + 1))


def _statements(source: str) -> Iterator[range]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            body = getattr(node, "body", None)
            start = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.decorator_list:
                start = node.decorator_list[0].lineno
            end = body[0].lineno - 1 if body else getattr(node, "end_lineno", None) or start
            yield range(start, max(start, end) + 1)


def _tests(contexts: Iterable[str]) -> set[str]:
    """Of `node id|phase`, the node ids."""
    return {context.rpartition("|")[0] for context in contexts if context}


def read_seconds(report: Path) -> dict[str, float]:
    """Read the seconds of each test, by node id, from a report in the JUnit format."""
    seconds: dict[str, float] = {}
    for case in ET.parse(report).iter("testcase"):
        module, name = case.get("classname", ""), case.get("name", "")
        seconds[f"{module.replace('.', '/')}.py::{name}"] = float(case.get("time", 0))
    return seconds
