"""`Record`: the metadata of one package, from a conda channel or a wheel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from typing import Literal

from converters.deferred import dataclass, regex
from converters.errors import UnsafeInputError

__all__ = ["WHEEL_ATTESTATIONS", "Ecosystem", "Record", "conda_record", "milliseconds"]

Ecosystem = Literal["conda", "wheel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The metadata and origin of a package.

    :param name: the native name; for a wheel see `NameMap.native_name`.
    :param requirements: MatchSpecs of a conda record (`depends`), PEP 508 of a wheel (Requires-Dist), so that each is
        evaluated by its own version order.
    :param constraints: conda's `constrains`.
    :param extra_requirements: conda's `extra_depends`, extra → MatchSpecs (CEP 44).
    :param purls: those in the artifact's own record.
    :param timestamp: milliseconds since the epoch; for a wheel the upload time.
    :param origin: the URL of the channel or index.
    :param is_of_channel: a wheel that a conda channel lists (CEP 48), which is its origin.
    :param yanked: the reason (PEP 592), `""` if none is given; `None`: not yanked.
    :param revision: of source code: the commit in a git repository, or the sha256 of a folder's files.
    :param others: keys of a conda record that bridge does not interpret, kept for conda-meta.
    """

    ecosystem: Ecosystem
    name: str
    version: str
    build: str
    build_number: int = 0
    subdir: str
    noarch: Literal["python", "generic"] | None = None
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    extra_requirements: tuple[tuple[str, tuple[str, ...]], ...] = ()
    requires_python: str | None = None
    extras: tuple[str, ...] = ()
    pypi_names: tuple[str, ...] = ()
    purls: tuple[str, ...] = ()
    track_features: tuple[str, ...] = ()
    timestamp: int | None = None
    filename: str = ""
    url: str = ""
    origin: str = ""
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None
    yanked: str | None = None
    license: str | None = None
    python_site_packages_path: str | None = None
    is_of_channel: bool = False
    revision: str | None = None
    others: tuple[tuple[str, object], ...] = field(default=(), compare=False, repr=False)

    @property
    def identity(self) -> str:
        """`name-version-build`: the stem of the file name in conda-meta."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def label(self) -> str:
        """`conda:name-version-build` or `wheel:name-version`: the name of an owner of paths."""
        if self.ecosystem == "conda":
            return f"conda:{self.identity}"
        return f"wheel:{self.pypi_names[0] if self.pypi_names else self.name}-{self.version}"


WHEEL_ATTESTATIONS = "wheel_attestations"
"""The key of index.json with the publishers that the index names for the wheel; `info/attestations` has the proof."""

_LAST_SECOND = 253_402_300_799
# CEP 26, plus the names of old channels: a leading underscore; upper case is folded.
_NAME = regex(r"[a-z0-9_][a-z0-9_.-]{0,127}\Z")
_VERSION = regex(r"[A-Za-z0-9_.+!~-]{1,128}\Z")
_BUILD = regex(r"[A-Za-z0-9_.+-]{0,128}\Z")
# The keys that `conda_record` reads, and those that describe one prefix (conda's `PrefixRecord`). `attestations` says
# what was verified there (`bridge.prefix.attested`): no channel and no package may claim it.
_READ = """
    name version build build_string build_number subdir noarch depends constrains extra_depends track_features purls
    timestamp fn url channel sha256 md5 size license python_site_packages_path
"""
_OF_PREFIX = """
    files paths_data link requested_spec requested_specs extracted_package_dir package_tarball_full_path package_type
    auth attestations
"""
_NOT_OTHERS = frozenset(f"{_READ} {_OF_PREFIX}".split())


def conda_record(data: Mapping[str, object], *, origin: str = "", subdir: str = "noarch") -> Record:
    """Read a record of repodata, index.json or conda-meta (CEP 34, CEP 36).

    Raises `UnsafeInputError` (`record-invalid`) if a field has the wrong type, or if name, version or build, which
    become a file name, could point outside a directory.
    """
    name, version, build = _text(data, "name").lower(), _text(data, "version"), _text(data, "build")
    if not _NAME.match(name) or ".." in name or not _VERSION.match(version) or not _BUILD.match(build):
        raise UnsafeInputError(
            "record-invalid", f"a record has an unsafe name, version or build: {name} {version} {build}"
        )
    noarch = data.get("noarch")
    features = data.get("track_features")
    return Record(
        ecosystem="conda",
        name=name,
        version=version,
        build=build,
        build_number=_number(data, "build_number") or 0,
        subdir=str(data.get("subdir") or subdir),
        noarch="python" if noarch == "python" else "generic" if noarch else None,
        requirements=_texts(data, "depends"),
        constraints=_texts(data, "constrains"),
        extra_requirements=_extras(data),
        track_features=tuple(features.replace(",", " ").split())
        if isinstance(features, str)
        else _texts(data, "track_features"),
        purls=_texts(data, "purls"),
        timestamp=milliseconds(_number(data, "timestamp")),
        filename=str(data.get("fn") or ""),
        url=str(data.get("url") or ""),
        origin=str(data.get("channel") or origin).rstrip("/"),
        sha256=_optional_text(data, "sha256"),
        md5=_optional_text(data, "md5"),
        size=_number(data, "size"),
        license=str(data["license"]) if data.get("license") else None,
        python_site_packages_path=_optional_text(data, "python_site_packages_path"),
        others=_others(data),
    )


def _others(data: Mapping[str, object]) -> tuple[tuple[str, object], ...]:
    items = tuple((key, value) for key, value in data.items() if key not in _NOT_OTHERS and value is not None)
    try:
        return _shared(items)
    except TypeError:  # A list or an object has no hash.
        return items


@lru_cache(maxsize=4096)
def _shared(items: tuple[tuple[str, object], ...]) -> tuple[tuple[str, object], ...]:
    """Share one value among the many records with equal items, to save memory."""
    return items


def _text(data: Mapping[str, object], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        raise UnsafeInputError("record-invalid", f"the {key} of a record is not a string: {value!r}")
    return value


def _optional_text(data: Mapping[str, object], key: str) -> str | None:
    return _text(data, key) if data.get(key) else None


def _number(data: Mapping[str, object], key: str) -> int | None:
    value = data.get(key)
    if value is not None and not isinstance(value, int):
        raise UnsafeInputError("record-invalid", f"the {key} of a record is not an integer: {value!r}")
    return value


def milliseconds(timestamp: int | None) -> int | None:
    """Return a timestamp in milliseconds. As conda's `TimestampField`, read values up to the year 9999 as seconds."""
    return timestamp * 1000 if timestamp is not None and 0 <= timestamp <= _LAST_SECOND else timestamp


def _extras(data: Mapping[str, object]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    extras = data.get("extra_depends") or {}
    if not isinstance(extras, Mapping):
        raise UnsafeInputError("record-invalid", "the extra_depends of a record is not an object")
    return tuple((str(extra), _texts(extras, str(extra))) for extra in extras)


def _texts(data: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = data.get(key) or ()
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise UnsafeInputError("record-invalid", f"the {key} of a record is not a list of strings")
    return tuple(value)
