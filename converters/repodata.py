"""Build the repodata of a subdir: the whole document (CEP 36, CEP 48) and a shard for each name (CEP 16). Pure.

Records of revision 3 and records that point to wheels go below `v3`, which older clients do not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["PlacedRecord", "RepodataEntry", "bracketed_matchspec", "placed", "repodata", "shard", "shards"]

_FIRST_REVISION = 3  # of index.json; older clients must not see packages of this or a later revision (CEP 43)
_SECTIONS = {"conda": "packages.conda", "tar.bz2": "packages"}
_DIGESTS = ("sha256", "md5")
_BRACKETS = re.compile(r"\s*([^\s\[\]=<>!~,|]+)\s*\[(.*)\]\s*\Z", re.DOTALL)

Document = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepodataEntry:
    """A package of a subdir. `extension`: `conda`, `tar.bz2` or `whl`; `record`: index.json with hashes and size."""

    stem: str
    extension: str
    record: Mapping[str, object]

    @property
    def is_later(self) -> bool:
        """Whether the entry must be hidden from older clients."""
        revision = self.record.get("schema_version")
        return self.extension == "whl" or (isinstance(revision, int) and revision >= _FIRST_REVISION)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRecord:
    """A record as repodata has it: below the keys of `section`, under `key` (a file name, or a stem in `v3`)."""

    section: tuple[str, ...]
    key: str
    record: Mapping[str, object]


def placed(entry: RepodataEntry) -> PlacedRecord:
    """Return where repodata has an entry. MatchSpecs of revision 3 are in the bracket form of CEP 48."""
    if not entry.is_later:
        key = f"{entry.stem}.{entry.extension}"
        return PlacedRecord(section=(_SECTIONS[entry.extension],), key=key, record=entry.record)
    record = dict(entry.record)
    for field in ("depends", "constrains"):
        record[field] = [bracketed_matchspec(text) for text in _texts(record.get(field))]
    extras = record.get("extra_depends")
    if isinstance(extras, Mapping):
        record["extra_depends"] = {
            name: [bracketed_matchspec(t) for t in _texts(specs)] for name, specs in extras.items()
        }
    return PlacedRecord(section=("v3", entry.extension), key=entry.stem, record=record)


def repodata(subdir: str, entries: Iterable[RepodataEntry]) -> Document:
    """Return repodata.json of a subdir. The order of `entries` does not matter."""
    document: Document = {"info": {"subdir": subdir}, **_sections(map(placed, entries)), "repodata_version": 1}
    later = document.get("v3")
    if isinstance(later, dict):
        count = sum(len(section) for section in later.values())
        document["info"] = {"subdir": subdir, "repodata_revisions": {"v3": {"n_packages": count}}}
    return document


def shard(records: Iterable[PlacedRecord]) -> Document:
    """Return the shard of one name: the records of `repodata`, with hashes as bytes (CEP 16)."""
    return _sections(
        PlacedRecord(section=each.section, key=each.key, record=_with_bytes(each.record)) for each in records
    )


def shards(entries: Iterable[RepodataEntry]) -> dict[str, Document]:
    """Return package name → shard."""
    groups: dict[str, list[PlacedRecord]] = {}
    for entry in entries:
        groups.setdefault(str(entry.record["name"]), []).append(placed(entry))
    return {name: shard(group) for name, group in sorted(groups.items())}


def _with_bytes(record: Mapping[str, object]) -> dict[str, object]:
    changed = dict(record)
    for digest in _DIGESTS:
        if isinstance(text := record.get(digest), str):
            changed[digest] = bytes.fromhex(text)
    return changed


def _sections(records: Iterable[PlacedRecord]) -> Document:
    """Return the sections, sorted by key; the two of older clients and `removed` are always there."""
    sections: dict[str, dict[str, object]] = {"packages": {}, "packages.conda": {}}
    later: dict[str, dict[str, object]] = {}
    for each in sorted(records, key=lambda each: each.key):
        target = sections if len(each.section) == 1 else later
        target.setdefault(each.section[-1], {})[each.key] = each.record
    document: Document = {**sections, "removed": []}
    return document | {"v3": later} if later else document


def _texts(value: object) -> list[str]:
    return [str(text) for text in value] if isinstance(value, (list, tuple)) else []


def bracketed_matchspec(text: str) -> str:
    """Return a MatchSpec in bracket form: `numpy >=2` → `numpy[version=">=2"]` (CEP 29, CEP 48).

    A bare name, or a MatchSpec that has brackets already, is returned as it is.
    """
    if _BRACKETS.match(text):
        return text.strip()
    parts = text.split(None, 2)
    if len(parts) < 2:
        return text.strip()
    fields = [f'version="{parts[1]}"', *(f'build="{build}"' for build in parts[2:])]
    return f"{parts[0]}[{','.join(fields)}]"
