"""TOML of requirement files: the standard library's parser, and the inline tables over several lines of TOML 1.1.

pixi reads TOML 1.1, and `tomllib` does so from Python 3.15 on. Until then a text that is not TOML 1.0 is read again
with the line ends, comments and last commas inside inline tables removed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from bridge.requirements.files.values import wrong

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["load_toml"]

_TOKEN = re.compile(
    r"""(?P<string>\"{3}(?:\\.|[^\\])*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
    r"""|(?P<comment>\#[^\n]*)|(?P<comma>,(?=(?:\s|\#[^\n]*)*\}))|(?P<bracket>[\[\]{}])|(?P<end>\r?\n)""",
    re.DOTALL,
)


def load_toml(path: Path, text: str) -> Mapping[str, object]:
    """Return the document. Raises `UsageError` (`requirement-file`)."""
    document: Mapping[str, object]
    try:
        document = tomllib.loads(text)
    except RecursionError as error:
        raise wrong(path, None, "not TOML: nested too deep") from error
    except ValueError as error:
        try:
            document = tomllib.loads(_on_one_line(text))
        except (ValueError, RecursionError):
            raise wrong(path, None, f"not TOML: {error}") from error
    return document


def _on_one_line(text: str) -> str:
    """Return the text with each inline table on one line."""
    open_brackets: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        token = match[0]
        is_inline = "{" in open_brackets
        if match["bracket"]:
            if token in "[{":
                open_brackets.append(token)
            elif open_brackets:
                open_brackets.pop()
        elif is_inline and not match["string"]:
            return " "
        return token

    return _TOKEN.sub(replaced, text)
