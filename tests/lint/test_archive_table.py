"""`docs/archives.md` has a row for whatever is refused, and a test for each row."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "archives.md").read_text("utf-8")
REFUSED = PAGE.split("## Refused")[1]
FAMILIES = "conda|entry|limit|metadata|path|record|reserved|sdist|tar|wheel|zip"
# CautionStore of wheels, and names that are no ids.
OTHERS = {"conda-meta", "record-encoding", "wheel-version", "path-data"}


def ids() -> Iterator[str]:
    """Every text in `bridge/archive/` that has the form of a refusal's id, but for those of remarks."""
    for path in (ROOT / "bridge" / "archive").glob("*.py"):
        source = ast.parse(path.read_text("utf-8"))
        remarks = {
            word.value.value
            for node in ast.walk(source)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Caution"
            for word in node.keywords
            if word.arg == "id" and isinstance(word.value, ast.Constant)
        }
        for node in ast.walk(source):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if text not in remarks and re.fullmatch(rf"({FAMILIES})-[a-z0-9-]*[a-z0-9]", text):
                yield text


def rows() -> list[list[str]]:
    return [line.strip("|").split("|") for line in REFUSED.splitlines() if line.startswith("| `")]


def test_every_id_of_a_refusal_has_a_row() -> None:
    told = {name for row in rows() for name in re.findall(r"`([a-z0-9-]+)`", row[0])}
    assert set(ids()) - OTHERS == told


def test_every_row_says_why_and_names_tests_that_are_there() -> None:
    texts = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for row in rows():
        assert len(row) == 4, row
        assert all(cell.strip() for cell in row), row
        for name in row[3].split(","):
            held = f'"{name.strip()}' if name.strip()[0] in "CW" else f"def {name.strip()}("
            assert held in texts, f"{row[0]}: {name}"


def test_every_remark_is_told() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "bridge" / "archive").glob("conda*.py"))
    for name in re.findall(r'Caution\(id="([a-z0-9-]+)"', source):
        assert f"`{name}`" in PAGE.split("## Refused")[0], name
