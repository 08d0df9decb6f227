"""What python and pip see in an environment, read without bridge: the oracle of tests that mix installers."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

__all__ = ["conda_records", "damage", "seen_by_python"]


def seen_by_python(site: Path) -> dict[str, list[str]]:
    """Normalised project name → the versions that `importlib.metadata` finds in `site`; more than one is a fault."""
    found: dict[str, list[str]] = {}
    for each in metadata.distributions(path=[str(site)]):
        name = each.metadata["Name"]
        if name is not None:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), []).append(each.version)
    return found


def damage(site: Path) -> list[str]:
    """The rows of every RECORD in `site` whose file is gone or has other bytes, as `DIST-INFO: PATH (what)`."""
    return [f"{info.name}: {text}" for info in sorted(site.glob("*.dist-info")) for text in _wrong_rows(site, info)]


def _wrong_rows(site: Path, info: Path) -> Iterator[str]:
    if not (info / "RECORD").is_file():
        yield "there is no RECORD"
        return
    with (info / "RECORD").open(newline="", encoding="utf-8") as stream:
        for path, promised, _ in csv.reader(stream):
            file = site / path
            if path.endswith(".pyc"):
                continue
            if not file.is_file():
                yield f"{path} is missing"
            elif promised:
                digest = hashlib.sha256(file.read_bytes()).digest()
                if promised != "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode():
                    yield f"{path} has other bytes"


def conda_records(prefix: Path) -> dict[str, list[str]]:
    """Name → versions of the records in conda-meta; more than one version of a name is a fault."""
    found: dict[str, list[str]] = {}
    for path in sorted((prefix / "conda-meta").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(record["name"], []).append(record["version"])
    return found
