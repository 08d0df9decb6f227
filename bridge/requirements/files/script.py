"""The requirements that a python script states of itself, in a comment (PEP 723)."""

from __future__ import annotations

from pathlib import Path

from bridge.requirements.files.constructs import Section, honoured
from bridge.requirements.files.fields import Field
from bridge.requirements.files.pyproject import read_pyproject
from bridge.requirements.files.toml_text import load_toml
from bridge.requirements.files.values import Chosen, FileRequirements, wrong
from converters.deferred import regex, replace

__all__ = ["SCRIPT", "is_script", "read_script"]

SCRIPT = Section(
    name="script",
    keys={
        "dependencies": honoured("what the script requires"),
        "requires-python": honoured("the python must fit"),
        "tool": honoured("as in a pyproject.toml"),
    },
)
_START = regex(r"# /// ([a-zA-Z0-9-]+)[ \t]*\Z")
_END = "# ///"


def is_script(path: Path, text: str) -> bool:
    """Whether a file is a python script that states its requirements; `setup.py` states none."""
    return path.suffix.lower() in {".py", ".pyw"} and bool(_blocks(text))


def read_script(path: Path, text: str, chosen: Chosen) -> FileRequirements:
    """Read the block `script` of a script. Raises `UsageError` (`requirement-file`)."""
    blocks = _blocks(text)
    if len(blocks) > 1:
        raise wrong(path, None, "a script has one block `# /// script` (PEP 723); this has several")
    lines = (line[2:] if line.startswith("# ") else line[1:] for line in blocks[0])
    warnings: list[str] = []
    table = SCRIPT.check(Field(load_toml(path, "\n".join(lines)), path), warnings).table()
    own = {key: table[key] for key in ("dependencies", "requires-python") if key in table}
    tool = {"tool": table["tool"]} if "tool" in table else {}
    listed = read_pyproject(Field({"project": {"name": path.stem, **own}, **tool}, path), chosen)
    return replace(listed, warnings=(*warnings, *listed.warnings))


def _blocks(text: str) -> list[list[str]]:
    """Return the lines within each block `script`. A block ends at the last `# ///` of its comment."""
    blocks: list[list[str]] = []
    kind, lines, end = "", list[str](), -1
    for line in (*text.splitlines(), ""):
        if not kind:
            start = _START.match(line)
            kind, lines, end = start[1] if start is not None else "", [], -1
        elif line == "#" or line.startswith("# "):
            end = len(lines) if line.rstrip() == _END else end
            lines.append(line)
        else:
            blocks += [lines[:end]] if kind == "script" and end >= 0 else []
            kind = ""
    return blocks
