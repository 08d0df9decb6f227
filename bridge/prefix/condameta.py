"""Parse a record of conda-meta. Pure.

The fields are those of conda's `PrefixRecord` (`conda/models/records.py`) and rattler's (`prefix_record.rs`). This
module alone knows the differences between clients, so that all commands see the same package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import unquote

from bridge.model import Defect, Entry, Fingerprint, Installed, PathKind
from bridge.paths import EMPTY_SHA256, META, NO_CHANNEL, SITE_PACKAGES, RelativePath, path_below
from bridge.prefix.attested import attested
from bridge.prefix.columns import read_items
from bridge.prefix.entries import Entries
from bridge.prefix.locations import located
from bridge.prefix.origin import channel_of, subdir_of
from bridge.secrets import masked, public
from converters.deferred import regex, replace
from converters.errors import UnsafeInputError
from converters.names import projects_of_purls
from converters.projects import canonicalize_name
from converters.purls import origin_of_wheel
from converters.record import Record, conda_record, milliseconds

__all__ = ["MisnamedError", "parse", "record_of", "requested_of"]

_KINDS: Mapping[str, PathKind] = {"softlink": "symlink", "directory": "directory"}
_LISTS = ("depends", "constrains", "files", "paths_data")
_HEX = regex(r"[0-9a-f]{64}\Z")


class MisnamedError(ValueError):
    """A record whose file name is not that of its package. conda ignores it.

    :param identity: NAME-VERSION-BUILD of the package.
    """

    def __init__(self, identity: str) -> None:
        super().__init__(f"its name should be {identity}.json: conda does not see it")
        self.identity = identity


def parse(data: bytes, path: str) -> tuple[Installed, tuple[Defect, ...]]:
    """The package of the record at `path` (`conda-meta/NAME-VERSION-BUILD.json`).

    Paths that leave the prefix are left out and become a `Defect`, like whatever other clients cannot read. Raises
    `ValueError` (or `RecursionError`) with the reason if the record is empty, truncated, not UTF-8, misnamed, or has
    values of wrong types.
    """
    document = json.loads(data.decode("utf-8"))
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    record = record_of(document)
    if path not in {f"{META}/{record.identity}.json", _named_after_wheel(document)}:
        raise MisnamedError(record.identity)
    if "files" not in document and "paths_data" not in document:
        raise ValueError("it says nothing of its files")
    entries, refused = _entries(document)
    details = [f"it lists {len(refused)} path(s) that no package may have, first {refused[0]!r}"] if refused else []
    # rattler cannot read such a null, and refuses the whole environment.
    details += [f"its {key} is null" for key in _LISTS if key in document and document[key] is None]
    if document.get(SITE_PACKAGES) and record.python_site_packages_path is None:
        details.append(f"its {SITE_PACKAGES} is not a place in the environment: {document[SITE_PACKAGES]!r}")
    defects = tuple(Defect(id="broken-record", path=path, detail=detail) for detail in details)
    return Installed(record=record, meta_path=path, entries=entries, requested=requested_of(document)), defects


def _named_after_wheel(document: Mapping[str, object]) -> str | None:
    """The record's name that conda 26.5 makes of the file name of a channel's wheel."""
    name = document.get("fn")
    return f"{META}/{name.removesuffix('.whl')}.json" if isinstance(name, str) and name.endswith(".whl") else None


def record_of(document: Mapping[str, object]) -> Record:
    """The record as `conda_record` reads it, with what only installed records have. Raises `ValueError`."""
    timestamp = document.get("timestamp")
    if isinstance(timestamp, float) and abs(timestamp) < 1 << 63:  # Old condas wrote seconds with a fraction.
        document = {**document, "timestamp": int(timestamp)}
    try:
        record = conda_record(document, subdir=subdir_of(document) or "noarch")
    except UnsafeInputError as error:
        raise ValueError(error.message) from error
    site = record.python_site_packages_path
    record = replace(
        record,
        url=public(record.url),
        pypi_names=projects_of_purls(record.purls),
        timestamp=milliseconds(record.timestamp),
        sha256=record.sha256 if record.sha256 and _HEX.match(record.sha256) else None,
        python_site_packages_path=None if site is None else _place(site),
    )
    if _is_wheel(record, document.get("package_type")):
        return attested(_wheel(record), document)  # Its channel is an index; no part of its URL is a subdir.
    return attested(replace(record, origin=public(channel_of(document))), document)


def _place(site_packages: str) -> RelativePath | None:
    try:
        return path_below(site_packages, META, SITE_PACKAGES)
    except UnsafeInputError:
        return None


def _is_wheel(record: Record, package_type: object) -> bool:
    """Whether a record is of a wheel: as bridge writes them, as it wrote them before (`fn` was the wheel's file name),
    or as conda makes them for packages of pip (channel, subdir and build are `pypi`).
    """
    # rattler drops `package_type` when it rewrites a record, and keeps the purls.
    is_named = record.origin == NO_CHANNEL and origin_of_wheel(record.purls) is not None
    files = (record.filename, record.url.partition("#")[0])
    return (
        is_named
        or (isinstance(package_type, str) and package_type.startswith("virtual_python_"))
        or any(name.endswith(".whl") for name in files)
        or (record.build.startswith("pypi_") and "pypi" in record.origin)
    )


def _wheel(record: Record) -> Record:
    """A wheel's record with its real file name and index: `fn` and `channel` have what conda and mamba need."""
    wheel_origin = origin_of_wheel(record.purls)
    parent, _, last = record.url.partition("#")[0].rpartition("/")
    filename = record.filename
    if not filename.endswith(".whl"):
        filename = wheel_origin.filename if wheel_origin else unquote(last) if last.endswith(".whl") else filename
    origin = record.origin
    if origin == NO_CHANNEL:
        named = (wheel_origin.channel or wheel_origin.index).rstrip("/") if wheel_origin else ""
        origin = named or ("" if wheel_origin and wheel_origin.revision else parent)
    names = record.pypi_names
    if wheel_origin:  # The project of the file comes first.
        names = tuple(dict.fromkeys((canonicalize_name(wheel_origin.project), *names)))
    revision = wheel_origin.revision or None if wheel_origin else None
    return replace(
        record,
        ecosystem="wheel",
        filename=filename,
        origin=public(origin),
        pypi_names=names,
        revision=revision,
        is_of_channel=bool(wheel_origin and wheel_origin.channel),
    )


def requested_of(document: Mapping[str, object]) -> tuple[str, ...]:
    single = document.get("requested_spec")
    specs = _texts(document, "requested_specs") or ((single,) if isinstance(single, str) else ())
    # Older condas write the text "None" for packages that were not requested.
    return tuple(masked(spec) for spec in specs if spec not in {"", "None"})


def _entries(document: Mapping[str, object]) -> tuple[Entries, list[str]]:
    """The record's entries, and the paths that were refused."""
    data = document.get("paths_data")
    items = data.get("paths") if isinstance(data, dict) else None
    items = [] if items is None else items  # conda wrote no paths_data before 4.3
    if not isinstance(items, list):
        raise ValueError("paths_data.paths is not a list")
    written = [item.get("_path") if isinstance(item, dict) else None for item in items]
    listed = [path for path in written if isinstance(path, str)]
    if len(listed) < len(written):
        raise ValueError("paths_data.paths has an item without a _path")
    paths, bare = located(listed, _texts(document, "files"))
    paths, items = (*paths, *bare), [*items, *({} for _ in bare)]
    return read_items(paths, items, _entry)


def _entry(item: Mapping[str, object], path: str) -> Entry:
    fingerprint = _promised(item)
    packed = _digest(item.get("sha256"))
    placed = _digest(item.get("sha256_in_prefix")) if fingerprint.kind == "symlink" else None
    return Entry(
        path=path,
        fingerprint=fingerprint,
        packed=packed if packed not in {fingerprint.sha256, EMPTY_SHA256} else None,
        placed=placed if placed not in {packed, EMPTY_SHA256} else None,
    )


def _promised(item: Mapping[str, object]) -> Fingerprint:
    kind = _KINDS.get(str(item.get("path_type")), "file")
    if kind != "file":  # The hash and the size of a link are those of its target.
        return Fingerprint(kind=kind)
    size = item.get("size_in_bytes")
    return Fingerprint(
        kind=kind,
        sha256=_digest(item.get("sha256_in_prefix") or item.get("sha256")),
        size=size if type(size) is int and size >= 0 else None,
    )


def _digest(value: object) -> str | None:
    return value if isinstance(value, str) and _HEX.match(value) else None


def _texts(document: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = document.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{key} is not a list of texts")
    return tuple(value)
