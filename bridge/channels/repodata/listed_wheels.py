"""Wheels in the section `packages.whl` of a repodata.json, where channels of conda-pypi had them before CEP 48.

rattler reads only the section `v3`. The keys are file names, or a name with a build; the record's `url` leads to the
wheel (in drafts of the CEP also `artifact_url` and `download_url`), and its `fn` may be another name for it.
"""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from urllib.parse import urljoin

from bridge.channels.repodata.base_urls import invalid

__all__ = ["listed_wheels"]

_SECTION = "packages.whl"
_LINKS = ("url", "artifact_url", "download_url", "fn")


def listed_wheels(path: Path, url: str) -> dict[str, list[dict[str, object]]]:
    """Return name → records; empty without the section. Reads a file without the section in one scan of its bytes.

    :param url: of the subdir, without a trailing slash.

    Raises `UnsafeInputError` (`repodata-invalid`).
    """
    if not _has_section(path):
        return {}
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise invalid(url, f"it is not JSON: {error}") from error
    section = document.get(_SECTION) if isinstance(document, dict) else None
    listed: dict[str, list[dict[str, object]]] = {}
    for key, record in section.items() if isinstance(section, dict) else ():
        if isinstance(record, dict) and isinstance(name := record.get("name"), str):
            links = (record.get(link) for link in _LINKS)
            link = next((each for each in links if isinstance(each, str) and each), f"{key.removesuffix('.whl')}.whl")
            listed.setdefault(name, []).append({**record, "url": urljoin(f"{url}/", link)})
    return listed


def _has_section(path: Path) -> bool:
    with path.open("rb") as stream:
        if path.stat().st_size == 0:
            return False
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(f'"{_SECTION}"'.encode()) >= 0
