"""The files of an installed conda package that contain its prefix, as its record lists them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.prefix.locations import located
from bridge.prefix.placed import Placeholder
from bridge.prefix.records import content
from converters.deferred import regex

__all__ = ["listed_items", "placeholders_of"]

_HEX = regex(r"[0-9a-f]{64}\Z")
_MODES = {"binary": True, "text": False}


def placeholders_of(root: Path, meta_path: str) -> Mapping[str, Placeholder]:
    """Path → placeholder, for the files for which the record has one (mamba 2 writes none).

    An unreadable record gives none; `bridge.prefix.read` reports it.
    """
    try:
        document = json.loads(content(f"{root}/{meta_path}"))
        items = listed_items(document)
        return {path: spot for path, item in items if (spot := _placeholder(item)) is not None}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def listed_items(document: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The items of `paths_data` of a record, each with its path in the environment.

    Raises `KeyError` or `TypeError` if the document is not such a record.
    """
    items = document["paths_data"]["paths"]
    paths, _ = located([item["_path"] for item in items], document.get("files") or ())
    return list(zip(paths, items, strict=True))


def _placeholder(item: Mapping[str, object]) -> Placeholder | None:
    text, mode, packed = item.get("prefix_placeholder"), item.get("file_mode"), item.get("sha256")
    if not isinstance(text, str) or not text or mode not in _MODES or not isinstance(packed, str):
        return None
    return Placeholder(text=text, is_binary=_MODES[str(mode)], packed=packed) if _HEX.match(packed) else None
