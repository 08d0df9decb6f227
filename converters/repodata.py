"""Build the repodata of a subdir: the whole document (CEP 36, CEP 48) and a shard for each name (CEP 16). Pure.

Records of revision 3 and records that point to wheels go below `v3`, which older clients do not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["RepodataEntry", "bracketed_matchspec", "repodata", "shards"]

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


def repodata(subdir: str, entries: Iterable[RepodataEntry]) -> Document:
    """Return repodata.json of a subdir. The order of `entries` does not matter."""
    ordered = sorted(entries, key=_file)
    document: Document = {"info": {"subdir": subdir}, **_sections(ordered), "removed": [], "repodata_version": 1}
    later = _later(ordered)
    if later:
        count = sum(len(section) for section in later.values())
        document["info"] = {"subdir": subdir, "repodata_revisions": {"v3": {"n_packages": count}}}
        document["v3"] = later
    return document


def shards(entries: Iterable[RepodataEntry]) -> dict[str, Document]:
    """Return package name → shard. A shard has the records of `repodata`, with hashes as bytes."""
    groups: dict[str, list[RepodataEntry]] = {}
    for entry in sorted(entries, key=_file):
        record = dict(entry.record)
        for digest in _DIGESTS:
            if isinstance(text := record.get(digest), str):
                record[digest] = bytes.fromhex(text)
        group = groups.setdefault(str(record["name"]), [])
        group.append(RepodataEntry(stem=entry.stem, extension=entry.extension, record=record))
    documents: dict[str, Document] = {}
    for name, group in sorted(groups.items()):
        later = _later(group)
        shard: Document = {**_sections(group), "removed": []}
        documents[name] = shard | {"v3": later} if later else shard
    return documents


def _file(entry: RepodataEntry) -> tuple[str, str]:
    return entry.stem, entry.extension


def _sections(entries: Iterable[RepodataEntry]) -> dict[str, dict[str, object]]:
    sections: dict[str, dict[str, object]] = {"packages": {}, "packages.conda": {}}
    for entry in entries:
        if not entry.is_later:
            sections[_SECTIONS[entry.extension]][f"{entry.stem}.{entry.extension}"] = entry.record
    return sections


def _later(entries: Iterable[RepodataEntry]) -> dict[str, dict[str, object]]:
    """Return extension → stem → record of revision 3, with MatchSpecs in the bracket form of CEP 48."""
    later: dict[str, dict[str, object]] = {}
    for entry in entries:
        if entry.is_later:
            record = dict(entry.record)
            for key in ("depends", "constrains"):
                record[key] = [bracketed_matchspec(text) for text in _texts(record.get(key))]
            extras = record.get("extra_depends")
            if isinstance(extras, Mapping):
                record["extra_depends"] = {
                    name: [bracketed_matchspec(t) for t in _texts(specs)] for name, specs in extras.items()
                }
            later.setdefault(entry.extension, {})[entry.stem] = record
    return later


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
