"""Make the documents in `info/` of a converted package (CEP 34, CEP 44): index.json, paths.json, about.json, link.json.

They depend only on the wheel, its provenance and the target. `timestamp` is the wheel's upload time; if that is not
known it is omitted, because clients that wait until packages have a minimum age rely on it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

from converters.dependencies import Dependencies
from converters.errors import UnsafeInputError
from converters.layout import PackageLayout
from converters.names import NameMap
from converters.payload import PLACEHOLDER, File, Manifest, Payload, linked
from converters.record import WHEEL_ATTESTATIONS
from converters.shape import Shape
from converters.versions import conda_version, to_version_spec
from converters.wheel import WheelInfo, WheelName

__all__ = ["LAYOUT_VERSION", "index_of", "info_files"]

LAYOUT_VERSION = 2
"""Part of the hash in the build string. Increment it whenever the same wheel gives other bytes than before."""

_NAME = re.compile(r"[a-z0-9_][a-z0-9]*([._-][a-z0-9]+)*\Z")  # CEP 26
_LONGEST_NAME = 64

# The keys of publishers (PEP 740) → those of records. GitLab's workflow has a path.
_PUBLISHER = {
    "kind": "publisher",
    "repository": "repository",
    "workflow": "workflow",
    "workflow_filepath": "workflow",
    "environment": "environment",
    "email": "email",
}

Index = dict[str, object]


def index_of(
    named: WheelName, wheel: Manifest, info: WheelInfo, *, shape: Shape, needs: Dependencies, names: NameMap
) -> tuple[Index, Mapping[str, str]]:
    """Return index.json and hash_input.json, whose hash is in the build string (C29).

    Packages of one wheel with different subdirs or dependencies get different build strings. `extra_depends` does not
    raise `schema_version`, which would hide the package from older clients; those install the base, as they should.
    Raises `UnsafeInputError` (`package-name`, `version-untranslatable`, `requirement-untranslatable`).
    """
    python = to_version_spec(shape.pythons)
    depends = ["python" if python is None else f"python {python}", *shape.limits, *needs.depends]
    number = named.build_tag[0] if named.build_tag else 0
    hash_input = {
        "layout": str(LAYOUT_VERSION),
        "filename": info.filename,
        "sha256": info.sha256 or "",
        "subdir": shape.subdir,
        "depends": "\n".join(depends),
        "constrains": "\n".join(shape.fit.constrains),
        "extra_depends": json.dumps(needs.extra_depends, sort_keys=True),
    }
    digest = hashlib.sha1(json.dumps(hash_input, sort_keys=True).encode(), usedforsecurity=False).hexdigest()[:7]
    index: Index = {
        "name": _package_name(names.native_name(named.project), info.filename),
        "version": conda_version(wheel.metadata.version),
        "build": f"{shape.label}h{digest}_{number}",
        "build_number": number,
        "subdir": shape.subdir,
        "depends": depends,
        "constrains": list(shape.fit.constrains),
        "purls": [f"pkg:pypi/{named.project}@{quote(wheel.metadata.version, safe='')}"],
    }
    if shape.layout.is_portable:
        index["noarch"] = "python"
    elif shape.subdir == "noarch":
        index["noarch"] = "generic"
    if needs.extra_depends:
        index["extra_depends"] = {extra: list(specs) for extra, specs in needs.extra_depends.items()}
    if wheel.metadata.license:
        index["license"] = wheel.metadata.license
    if info.upload_time is not None:
        index["timestamp"] = info.upload_time
    if publishers := publishers_of(info.provenance):
        index[WHEEL_ATTESTATIONS] = publishers
    return index, hash_input


def publishers_of(provenance: bytes) -> list[dict[str, str]]:
    """Return the publishers that a provenance object names (PEP 740), unverified; none in what is no such object."""
    try:
        document = json.loads(provenance) if provenance else None
    except (ValueError, RecursionError):
        return []
    bundles = document.get("attestation_bundles") if isinstance(document, dict) else None
    publishers = []
    for each in bundles if isinstance(bundles, list) else ():
        publisher = each.get("publisher") if isinstance(each, dict) else None
        if isinstance(publisher, dict):
            named = [(own, publisher.get(key)) for key, own in _PUBLISHER.items()]
            publishers.append({own: value for own, value in named if isinstance(value, str) and value})
    return publishers


def _package_name(name: str, filename: str) -> str:
    if not _NAME.match(name) or len(name) > _LONGEST_NAME:
        raise UnsafeInputError(
            "package-name",
            f"{filename}: {name} is not a valid name of a conda package",
            context=(f"CEP 26: at most {_LONGEST_NAME} lower-case letters, digits and single separators",),
            hint="set another name with --name-map",
        )
    return name


def info_files(
    wheel: Manifest,
    info: WheelInfo,
    payload: Payload,
    *,
    layout: PackageLayout,
    index: Mapping[str, object],
    hash_input: Mapping[str, str],
) -> dict[str, bytes]:
    """Return all files of `info/` as name → content."""
    documents: dict[str, object] = {
        "index.json": index,
        "paths.json": {"paths_version": 1, "paths": [_path_entry(file) for file in payload.files]},
        "about.json": _about(wheel, info, payload),
        "hash_input.json": hash_input,
        "run_exports.json": {},
    }
    if layout.is_portable:
        commands = [f"{each.name} = {each.module}:{each.attribute}" for each in linked(wheel, layout)]
        noarch = {"type": "python", "entry_points": commands}
        documents["link.json"] = {"noarch": noarch, "package_metadata_version": 1}
    files = {name: _json(document) for name, document in documents.items()}
    files |= {f"licenses/{name}": data for name, data in payload.licenses}
    return files | ({f"attestations/{info.filename}.provenance": info.provenance} if info.provenance else {})


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _path_entry(file: File) -> dict[str, object]:
    entry: dict[str, object] = {
        "_path": file.member.path,
        "path_type": "hardlink",
        "sha256": file.sha256,
        "size_in_bytes": file.member.size,
    }
    return entry | {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"} if file.is_patched else entry


def _about(wheel: Manifest, info: WheelInfo, payload: Payload) -> dict[str, object]:
    """Return about.json: the description and the source wheel (C50), without unknown values."""
    source = {
        "filename": info.filename,
        "sha256": info.sha256,
        "size": info.size,
        "url": _public(info.url),
        "index": _public(info.origin),
        "upload_time": info.upload_time,
        "yanked": info.yanked,
        "tags": list(wheel.tags),
        "sboms": list(payload.sboms),
    }
    about = {
        "summary": wheel.metadata.summary,
        "home": wheel.metadata.home_page,
        "dev_url": wheel.metadata.source_url,
        "doc_url": wheel.metadata.documentation_url,
        "license": wheel.metadata.license,
        "extra": {
            "layout": LAYOUT_VERSION,
            "wheel": {key: value for key, value in source.items() if value not in (None, "", [])},
        },
    }
    return {key: value for key, value in about.items() if value}


def _public(url: str) -> str:
    """Return a URL without credentials, query and fragment; an empty string for a local path."""
    parts = urlsplit(url)
    if parts.scheme == "file" or not parts.netloc:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
