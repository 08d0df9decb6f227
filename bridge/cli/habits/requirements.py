"""Requirements as other tools have them: a file's name without `-r`, `NAME@VERSION` of uv, `NAME^1` of poetry."""

from __future__ import annotations

import os

from bridge.errors import UsageError
from converters.deferred import regex

__all__ = ["check_requirement"]

_FILES = (".cfg", ".in", ".lock", ".toml", ".txt", ".yaml", ".yml")
_USUAL = frozenset(
    {"conda-lock.yml", "environment.yaml", "environment.yml", "pixi.lock", "pixi.toml", "pylock.toml", "pyproject.toml",
     "requirements.in", "requirements.txt", "uv.lock"}
)  # fmt: skip
_VERSIONED = regex(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[^\[\]]*\])?)\s*@?\s*(?P<constraint>(?<=@)latest|(?<=@)[\d*^~=<>!][^/:@]*|[\^~]\d[^/:@]*)\Z"
)


def check_requirement(text: str) -> None:
    """Refuse a text that means something in another tool only.

    Raises `UsageError`: `local-file` for a file that `-r` reads, `invalid-requirement` for a version in another syntax.
    """
    if text.lower().endswith(_FILES) and (os.path.isfile(text) or os.path.basename(text) in _USUAL):
        raise UsageError(
            "local-file", f"{text} is a file of requirements, not a requirement", hint=f"read it with: -r {text}"
        )
    if text.startswith(("conda:", "pypi:")) or not any(mark in text for mark in "@^~"):
        return
    if (match := _VERSIONED.match(text)) is None:
        return
    name, constraint = match["name"], match["constraint"]
    if constraint == "latest":
        hint = f"write {name}: bridge takes the newest version that fits, and `bridge update {name}` a newer one"
    else:
        hint = f"write '{name}{_specifier(constraint)}'"
    raise UsageError("invalid-requirement", f"{text!r} is neither a MatchSpec nor a PEP 508 requirement", hint=hint)


def _specifier(constraint: str) -> str:
    from bridge.requirements.files.poetry_versions import specifier_of

    try:
        return specifier_of(constraint)
    except ValueError:
        return ">=VERSION"
