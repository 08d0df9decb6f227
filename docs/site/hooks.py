"""Hooks of mkdocs: the generated pages, their place in the navigation, and what GitHub and mkdocs write differently."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

import generated

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "vulnerabilities.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""Pages of the repository outside `docs/`, and their names in the site."""

_FENCE_WORDS = re.compile(r"^( *```sh) (?:network|conda|container|fails)\b.*$", re.MULTILINE)
# In a code span of a table, GitHub wants a bar escaped, and Python-Markdown shows the backslash.
_ROW = re.compile(r"^\|.*$", re.MULTILINE)
_CODE = re.compile(r"`[^`]*`")
_LINK = re.compile(r"\[([^\]]*)\]\(((?!https?:|#|mailto:)[^)#\s]+)(#[^)]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace each folder in the navigation by its generated pages."""
    made = generated.pages(ROOT)
    config.nav = _expanded(config.nav, sorted(made))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and those of the repository outside `docs/`."""
    for name, content in generated.pages(ROOT).items():
        files.append(File.generated(config, name, content=content))
    for source, name in OUTSIDE.items():
        if files.get_file_from_path(name) is None:
            files.append(File.generated(config, name, content=_moved(source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:  # noqa: ANN401 - mkdocs passes more
    """Take off the words that only the tests read, and lead links to where the site has the page."""
    here = Path("docs") / page.file.src_uri
    markdown = _ROW.sub(lambda row: _CODE.sub(lambda code: code[0].replace("\\|", "|"), row[0]), markdown)
    return _LINK.sub(lambda match: _link(match, here), _FENCE_WORDS.sub(r"\1", markdown))


def _expanded(item: Any, made: list[str]) -> Any:  # noqa: ANN401 - the navigation is what YAML says
    if isinstance(item, list):
        return [_expanded(part, made) for part in item]
    if isinstance(item, dict):
        return {name: _expanded(part, made) for name, part in item.items()}
    if isinstance(item, str) and item.endswith("/"):
        existing = [f"{item}{path.name}" for path in (ROOT / "docs" / item).glob("*.md")]
        found = sorted({name for name in [*made, *existing] if name.startswith(item)})
        return sorted(found, key=lambda name: (not name.endswith("/index.md"), name))
    return item


def _moved(source: str) -> str:
    """A page of the repository, with its links as seen from `docs/`."""
    folder = Path(source).parent
    text = (ROOT / source).read_text("utf-8")
    return _LINK.sub(lambda match: f"[{match[1]}](../{(folder / match[2]).as_posix()}{match[3] or ''})", text)


def _link(match: re.Match[str], here: Path) -> str:
    """A link as the site has it; of a file that the site has not, the text alone."""
    words, target, anchor = match[1], match[2], match[3] or ""
    parts: list[str] = []
    for part in (*here.parent.parts, *Path(target).parts):
        parts = parts[:-1] if part == ".." else [*parts, part]
    path = "/".join(parts)
    if path in OUTSIDE:
        path = f"docs/{OUTSIDE[path]}"
    elif path == "docs/changes":
        path = "docs/changelog.md"
    elif (ROOT / path).is_dir():
        path += "/index.md"
    if not path.startswith("docs/"):
        return words
    up = "../" * (len(here.parent.parts) - 1)
    return f"[{words}]({up}{path.removeprefix('docs/')}{anchor})"
