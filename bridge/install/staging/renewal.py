"""Update records written by an older bridge to the current form (decision 0011), for packages that a change keeps.

Records of other clients stay unchanged.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bridge import fs
from bridge.install.provenance import conda_package, wheel_package
from bridge.install.record_text import record_bytes
from bridge.install.staging.inputs import StageInputs
from bridge.install.staging.originals import Originals, is_of_bridge
from bridge.model import Fingerprint, Installed
from bridge.prefix.claims import leaving
from converters.record import Record

__all__ = ["renew_records"]


def renew_records(inputs: StageInputs, staging: Path) -> dict[str, tuple[Fingerprint, str]]:
    """Stage the renewed records of kept packages: path → fingerprint and the owner's label.

    Raises `FaultError` if the system refuses to write. Unreadable records are left to the audit.
    """
    removed = {old.meta_path for old in leaving(inputs.plan)}
    renewed = {}
    source = Originals(inputs.cache).plain()
    for installed in inputs.state.installed:
        if installed.meta_path in removed or not _may_be_old(installed, inputs.channel_records):
            continue
        data = _renewed(inputs.state.prefix, installed, inputs.channel_records.get(installed.record.identity), source)
        if data is not None:
            written = fs.write_file(staging, installed.meta_path, [data])
            renewed[installed.meta_path] = written, installed.record.label
    return renewed


def _may_be_old(installed: Installed, known: Mapping[str, Record]) -> bool:
    """Whether the record is worth reading again: most are not, and some are large."""
    if installed.record.ecosystem == "wheel":
        return True
    lacks_channel = installed.record.md5 is None and installed.record.identity in known
    return lacks_channel or any(entry.placed for entry in installed.entries if entry.fingerprint.kind == "symlink")


def _renewed(prefix: Path, installed: Installed, known: Record | None, source: str) -> bytes | None:
    """Return the record in the current form; `None` if it has that already, or is not bridge's."""
    try:
        old = json.loads(fs.read_content(prefix / installed.meta_path))
    except (OSError, ValueError, RecursionError):
        return None
    link = old.get("link")
    # Other clients record their package cache.
    if not isinstance(link, dict) or not is_of_bridge(link.get("source")) or "extracted_package_dir" in old:
        return None
    new = dict(old)
    if installed.record.ecosystem == "wheel":
        new |= wheel_package(installed.record, installed.requested)
        new["link"] = link | {"source": link["source"] or source}
    elif known is not None and installed.record.md5 is None and _is_same_archive(known, installed.record):
        new |= conda_package(known)
        new |= {key: old[key] for key in ("url", "channel", "fn") if key in old}
    if isinstance(old.get("paths_data"), dict):
        new["paths_data"] = {**old["paths_data"], "paths": list(_paths(prefix, old["paths_data"].get("paths") or ()))}
    return record_bytes(new) if new != old else None


def _is_same_archive(known: Record, record: Record) -> bool:
    return known.sha256 is not None and known.sha256 == record.sha256


def _paths(prefix: Path, entries: Iterable[Any]) -> Iterator[Any]:
    """Yield a record's paths, links without rattler's hash of their own text, except links to directories."""
    for entry in entries:
        path = entry.get("_path") if isinstance(entry, dict) else None
        if path is None or entry.get("path_type") != "softlink" or "sha256_in_prefix" not in entry:
            yield entry
            continue
        placed = entry["sha256_in_prefix"]
        if placed == _text_hash(prefix / path) and not (prefix / path).is_dir():
            yield {key: value for key, value in entry.items() if key != "sha256_in_prefix"}
        else:
            yield entry


def _text_hash(path: Path) -> str | None:
    try:
        return hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()
    except OSError:
        return None
