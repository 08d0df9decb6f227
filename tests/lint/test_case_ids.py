"""Every case id in code and tests (`W61`, `CA04`, `C12`, `X27`, `R05`, `E-CP3`) is defined in docs/cases.md."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFINED = frozenset(re.findall(r"^\| ([A-Z-]+\d+) \|", (ROOT / "docs" / "cases.md").read_text("utf-8"), re.MULTILINE))
_ID = re.compile(r"(?<![\w?=-])(?:E-(?:CP|WC)\d+|(?:CA|[A-DHPRSWX])\d{1,2})(?![\w-]|\.\d)")
_IN_NAME = re.compile(r"\bdef test_((?:ca|[rwx])\d{2})_((?:ca|[rwx])\d{2}_)?")
# Names that look like ids: an environment variable of Windows, and sets of control characters.
NOT_IDS = frozenset({"X86"})


def undefined(text: str) -> set[str]:
    named = set(_ID.findall(text)) - NOT_IDS
    named |= {part.strip("_").upper() for parts in _IN_NAME.findall(text) for part in parts if part}
    return named - DEFINED


def test_every_case_id_in_code_is_defined() -> None:
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.name != "cases.md"]
    sources = [path for folder in ("bridge", "converters", "tests") for path in (ROOT / folder).rglob("*.py")]
    unknown = {path.name: undefined(path.read_text("utf-8")) for path in (*sources, *pages) if path != Path(__file__)}
    assert {name: ids for name, ids in unknown.items() if ids} == {}


def test_an_undefined_id_is_noticed() -> None:
    assert undefined("as in W99, B5 (CA04), E-CP99 and W01; def test_x99_a_fault") == {"W99", "B5", "E-CP99", "X99"}
