"""The sections that the readers of requirement files know, and the tables in `docs/requirement-files.md` for them.

`python -m tests.support.construct_table` writes the tables anew.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from bridge.requirements import files
from bridge.requirements.files import locks
from bridge.requirements.files.constructs import Section

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "requirement-files.md"
BEGIN = "## Constructs\n"


def sections() -> list[Section]:
    """Return every section that a module of the two packages defines, by name."""
    found: dict[str, Section] = {}
    for package in (files, locks):
        for module in pkgutil.iter_modules(package.__path__):
            for value in vars(importlib.import_module(f"{package.__name__}.{module.name}")).values():
                if isinstance(value, Section):
                    found.setdefault(value.name, value)
    return [found[name] for name in sorted(found)]


def rendered() -> str:
    """Return the tables as Markdown."""
    lines = [BEGIN]
    for section in sections():
        lines += [f"### {section.name}\n", "| key | gets | |", "|---|---|---|"]
        lines += [f"| `{key}` | {construct.fate} | {construct.note} |" for key, construct in section.keys.items()]
        lines += [f"| any other | {section.unknown} | |", ""]
    return "\n".join(lines)


def main() -> None:
    head = DOCUMENT.read_text("utf-8").partition(BEGIN)[0]
    DOCUMENT.write_text(head + rendered(), "utf-8")


if __name__ == "__main__":
    main()
