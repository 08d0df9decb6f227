"""`bridge.lock` and pixi.lock: rattler-lock, version 6.

py-rattler reads this version and writes only version 7, without hashes of wheels, so the YAML is written here and read
back through it (`bridge.channels`). A table `bridge` holds what the format has no field for: what the lock was made
from, which request chose what, extras, assumed virtual packages. rattler and pydantic models of other tools skip it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bridge.fetch.urls import local_path
from bridge.lock.content import Content, Inputs, Written
from bridge.lock.yaml_text import yaml_text
from bridge.requirements.files.locks.bridge_table import key_of_file, near, table_of_facts
from bridge.requirements.locked import Locked, LockedConda, LockedEnvironment, LockedSource, LockedWheel
from bridge.sdists.location import source_of
from converters.record import Record

__all__ = ["TABLE", "location", "relative", "write_rattler"]

TABLE = "bridge"
_TABLE_VERSION = 1
_VERSIONS = {"conda.lock": 1}  # conda-workspaces gives its file another number for the same format


def write_rattler(content: Content, path: Path) -> Written:
    """Return the text of a lock at `path`; locations of files near the lock are relative to it."""
    folder = path.absolute().parent
    left_out: dict[str, None] = {}
    packages: dict[tuple[object, ...], dict[str, object]] = {}
    environments = {}
    for environment in _default_first(content.environments):
        for each in (each for listed in environment.packages.values() for each in listed):
            if each.url:
                packages.setdefault(_order(each, folder), _package(each, folder, left_out))
            else:
                left_out[f"{each.name} {each.version}, whose file is not recorded"] = None
        environments[environment.name] = _environment(environment, folder)
    document = {
        "version": _VERSIONS.get(path.name, 6),
        "environments": environments,
        "packages": [packages[key] for key in sorted(packages, key=str)],
        TABLE: _table(content, folder),
    }
    return Written(text=yaml_text(document), left_out=tuple(left_out))


def _default_first(environments: Iterable[LockedEnvironment]) -> list[LockedEnvironment]:
    return sorted(environments, key=lambda each: (each.name != "default", each.name))


def _order(each: Locked, folder: Path) -> tuple[object, ...]:
    return (not isinstance(each, LockedConda), each.name, each.version, location(each, folder) if each.url else "")


def _environment(environment: LockedEnvironment, folder: Path) -> dict[str, object]:
    table: dict[str, object] = {"channels": [{"url": f"{url.rstrip('/')}/"} for url in environment.channels]}
    if environment.indexes:
        table["indexes"] = list(environment.indexes)
    if environment.find_links:
        table["find-links"] = [_find_links(place, folder) for place in environment.find_links]
    table["packages"] = {
        platform: [
            {_key(each): location(each, folder)} for each in sorted(listed, key=lambda e: _order(e, folder)) if each.url
        ]
        for platform, listed in sorted(environment.packages.items())
    }
    return table


def _sorted(packages: Iterable[Locked], folder: Path) -> list[Locked]:
    return sorted(packages, key=lambda each: _order(each, folder))


def _find_links(place: str, folder: Path) -> dict[str, str]:
    if "://" in place and not place.startswith("file:"):
        return {"url": place}
    return {"path": relative(Path(local_path(place) or place).absolute(), folder)}


def _key(each: Locked) -> str:
    return "conda" if isinstance(each, LockedConda) else "pypi"


def location(each: Locked, folder: Path) -> str:
    """Return where a package comes from, as pixi writes it: a URL, or a path relative to the lock."""
    if isinstance(each, LockedConda):
        return each.url
    if isinstance(each, LockedSource) and each.kind == "git":
        return _git(each)
    path = local_path(each.url.partition("#")[0])
    if path is not None:
        return relative(Path(path), folder)
    is_direct = isinstance(each, LockedWheel) and each.is_direct
    return f"direct+{each.url}" if is_direct else each.url


def _git(each: LockedSource) -> str:
    """Return a git repository at a commit: `git+URL?rev=ASKED&subdirectory=PATH#COMMIT`."""
    source = source_of(each.url)
    assert source is not None
    asked = {"rev": each.reference, "subdirectory": source.subdirectory}
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in asked.items() if value)
    return f"git+{source.url}{'?' if query else ''}{query}#{each.revision or source.reference}"


def relative(path: Path, folder: Path) -> str:
    """Return a path relative to the folder of the lock, unless they have nothing in common but the root."""
    if os.path.commonpath([path, folder]) == os.sep:
        return path.as_posix()
    relative_path = Path(os.path.relpath(path, folder)).as_posix()
    return relative_path if relative_path.startswith(".") else f"./{relative_path}"


def _package(each: Locked, folder: Path, left_out: dict[str, None]) -> dict[str, object]:
    if isinstance(each, LockedConda):
        return _conda(each.record)
    table: dict[str, object] = {"pypi": location(each, folder), "name": each.name, "version": each.version or "0"}
    table |= {key: value for key, value in (("sha256", each.sha256), ("md5", each.md5)) if value}
    requires = [_requirement(text, each.name, left_out) for text in each.requires_dist or ()]
    if any(requires):
        table["requires_dist"] = [text for text in requires if text]
    if each.requires_python:
        python = _specifier(each.requires_python, each.name, left_out)
        table |= {"requires_python": python} if python else {}
    if isinstance(each, LockedSource) and each.is_editable:
        table["editable"] = True
    return table


def _requirement(text: str, name: str, left_out: dict[str, None]) -> str:
    """Return a requirement in the form of the present PEP 508, which other parsers insist on; empty if it is none."""
    try:
        return str(Requirement(text))
    except InvalidRequirement:
        left_out[f"a requirement of {name} that PEP 508 does not allow: {text}"] = None
        return ""


def _specifier(text: str, name: str, left_out: dict[str, None]) -> str:
    try:
        return str(SpecifierSet(text))
    except InvalidSpecifier:
        left_out[f"the Requires-Python of {name}, which PEP 440 does not allow: {text}"] = None
        return ""


def _conda(record: Record) -> dict[str, object]:
    """Return a conda package; what rattler derives from the URL in the same way is left out."""
    stem = re.sub(r"\.(conda|tar\.bz2)\Z", "", record.filename or record.url.rpartition("/")[2])
    is_local = not record.url.startswith(("http:", "https:"))  # of these rattler derives nothing
    is_told = stem == record.identity and record.url.rsplit("/", 2)[-2] == record.subdir and not is_local
    table: dict[str, object] = {"conda": record.url}
    if not is_told:
        table |= {"name": record.name, "version": record.version, "build": record.build, "subdir": record.subdir}
    table["build_number"] = record.build_number  # rattler derives another one from `py312_cp312`
    if record.noarch is not None or record.subdir == "noarch":
        table["noarch"] = record.noarch or "generic"
    others = dict(record.others)
    extra = {name: list(specs) for name, specs in record.extra_requirements}
    values: dict[str, object] = {
        "sha256": record.sha256,
        "md5": record.md5,
        "legacy_bz2_md5": others.get("legacy_bz2_md5"),
        "depends": list(record.requirements),
        "constrains": list(record.constraints),
        "extra_depends": extra,
        "channel": record.url.rsplit("/", 2)[0] if is_local else None,
        "features": others.get("features"),
        "track_features": list(record.track_features),
        "license": record.license,
        "license_family": others.get("license_family"),
        "purls": sorted(record.purls),
        "size": record.size,
        "legacy_bz2_size": others.get("legacy_bz2_size"),
        "timestamp": record.timestamp,
        "python_site_packages_path": record.python_site_packages_path,
    }
    return table | {key: value for key, value in values.items() if value not in (None, [], {}, "")}


def _table(content: Content, folder: Path) -> dict[str, object]:
    """Return the table of bridge: only what is not empty."""
    inputs = _inputs(content.inputs)
    environments = {}
    for environment in _default_first(content.environments):
        tables = _of_environment(environment, folder)
        if tables:
            environments[environment.name] = tables
    table: dict[str, object] = {"version": _TABLE_VERSION}
    return table | ({"inputs": inputs} if inputs else {}) | ({"environments": environments} if environments else {})


def _inputs(inputs: Inputs) -> dict[str, object]:
    names = ("requirements", "editables", "files", "extras", "groups", "environments", "platforms")
    lists = {name: list(getattr(inputs, name)) for name in names}
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in inputs.options.items()}
    return {name: value for name, value in {**lists, "options": dict(sorted(options.items()))}.items() if value}


def _of_environment(environment: LockedEnvironment, folder: Path) -> dict[str, object]:
    """Return what is known of an environment's packages beyond the format, by their names."""
    requested: dict[str, dict[str, None]] = {}
    extras: dict[str, dict[str, None]] = {}
    indexes: dict[str, str] = {}
    direct: dict[str, None] = {}
    versions: dict[str, str] = {}
    facts: dict[str, Mapping[str, object]] = {}
    for each in (each for listed in environment.packages.values() for each in listed):
        if each.facts is not None and (known := table_of_facts(each.facts, folder)):
            facts[key_of_file(each)] = known
        for text in each.requested:
            requested.setdefault(each.name, {})[near(text, folder)] = None
        if isinstance(each, LockedConda):
            continue
        for extra in each.extras:
            extras.setdefault(each.name, {})[extra] = None
        if isinstance(each, LockedSource) and each.kind == "directory" and each.version:
            versions[each.name] = each.version  # rattler takes it for dynamic
        if isinstance(each, LockedWheel) and each.is_direct:
            direct[each.name] = None
        elif each.index != "".join(environment.indexes[:1]) and (isinstance(each, LockedWheel) or each.index):
            indexes[each.name] = each.index
    tables: dict[str, Mapping[str, object]] = {
        "virtual_packages": {name: list(texts) for name, texts in sorted(environment.virtual_packages.items())},
        "requested": {name: list(texts) for name, texts in sorted(requested.items())},
        "extras": {name: sorted(names) for name, names in sorted(extras.items())},
        "indexes": dict(sorted(indexes.items())),
        "versions": dict(sorted(versions.items())),
        "files": {name: facts[name] for name in sorted(facts)},
    }
    document: dict[str, object] = {name: table for name, table in tables.items() if table}
    document |= {"direct": sorted(direct)} if direct else {}
    return document | ({"requires_python": environment.requires_python} if environment.requires_python else {})
