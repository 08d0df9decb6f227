"""What is measured of the code, and what may not stand in it."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
from pathlib import Path

from tests.support.syntax import nodes_in

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("bridge", "converters") for path in (ROOT / folder).rglob("*.py"))
MAX_MODULE, MAX_FUNCTION, MAX_MEDIAN = 400, 60, 15


def functions(path: Path) -> list[tuple[str, int]]:
    nodes = [n for n in nodes_in(path) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [(f"{path.name}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1) for node in nodes]


def test_modules_and_functions_stay_small() -> None:
    large = []
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        lines = len(path.read_text("utf-8").splitlines())
        large += [f"{name}: {lines} lines"] if lines > MAX_MODULE else []
        large += [f"{name}: {function} has {size}" for function, size in functions(path) if size > MAX_FUNCTION]
    assert large == []


def test_no_module_is_a_grab_bag() -> None:
    assert [path.name for path in SOURCES if re.search(r"util|helper|misc|manager", path.stem)] == []


def test_paths_in_commands_are_quoted() -> None:
    """A hint's command must work where a directory has a space in its name."""
    word = re.compile(r"(?:bridge|conda|mamba) (?:[\w-]+ )+-[pr] \{(?!quoted\(|prefix\}|where\})")
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if word.search(line)
    ]
    assert wrong == []


def test_most_functions_are_short() -> None:
    assert statistics.median(lines for path in SOURCES for _, lines in functions(path)) <= MAX_MEDIAN


def committed() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return SOURCES
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_registry_and_no_machine_is_named() -> None:
    """No host of a public registry and no path of one machine; the words are put together here, so as not to stand."""
    dot, slash = "[.]", "/"
    hosts = ["pypi" + dot + "org", "python" + "hosted" + dot, "anaconda" + dot + "(org|com)", "npm" + "js" + dot]
    paths = [slash + name + slash for name in ("work", "root", "farm")]
    pattern = re.compile("|".join(hosts + paths))
    found = []
    for path in committed():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.name}: {line.strip()[:80]}" for line in text.splitlines() if pattern.search(line)]
    assert found == []
