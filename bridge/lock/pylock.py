"""pylock.toml (PEP 751): the wheel half of a lock, for several platforms at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from packaging.pylock import Pylock
from packaging.utils import parse_sdist_filename

from bridge.fetch.urls import local_path
from bridge.lock.conda_lock import extras_of, only_environment, python_of
from bridge.lock.content import Content, Written
from bridge.lock.rattler_v6 import relative
from bridge.requirements.locked import Locked, LockedConda, LockedEnvironment, LockedSource, LockedWheel
from bridge.sdists.location import source_of
from converters.target import Python, Target

__all__ = ["write_pylock"]

_MARKED = ("sys_platform", "platform_machine")


def write_pylock(content: Content, path: Path) -> Written:
    """Return the text of a pylock.toml, checked by packaging's own reader.

    Packages that differ between platforms have markers. Raises `UsageError` (`lock-format`) for several environments.
    """
    environment = only_environment(content, "pylock.toml")
    left_out = _left_out(environment)
    pythons = {platform: python_of(listed) for platform, listed in environment.packages.items()}
    markers = {platform: _marker(platform, python) for platform, python in pythons.items()}
    document: dict[str, Any] = {"lock-version": "1.0"}
    if len(environment.packages) > 1:
        document["environments"] = sorted(markers.values())
    versions = {python.minor for python in pythons.values() if python is not None}
    if len(versions) == 1:
        major, minor = versions.pop()
        document["requires-python"] = f"=={major}.{minor}.*"
    document["created-by"] = "bridge"
    document["packages"] = _packages(environment, markers, path.absolute().parent)
    Pylock.from_dict(document)
    return Written(text=_toml(document), left_out=left_out)


def _left_out(environment: LockedEnvironment) -> tuple[str, ...]:
    every = [each for listed in environment.packages.values() for each in listed]
    names = sorted({each.name for each in every if _is_conda(each)})
    left_out = [f"{each.name} {each.version}, whose file is not recorded" for each in every if not each.url]
    if names:
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        packages = f"{len(names)} conda package{'s' * (len(names) > 1)}"
        left_out.insert(0, f"{packages}, which pylock.toml has no place for: {shown}")
    left_out += extras_of(every, "pylock.toml")
    return tuple(dict.fromkeys(left_out))


def _is_conda(each: Locked) -> bool:
    return isinstance(each, LockedConda)


def _marker(platform: str, python: Python | None) -> str:
    environment = Target(subdir=platform).marker_environment(python or Python(version="3.12"))
    return " and ".join(f"{name} == '{environment[name]}'" for name in _MARKED)


def _packages(environment: LockedEnvironment, markers: Mapping[str, str], folder: Path) -> list[dict[str, Any]]:
    """Return one entry for each version of a project; its wheels are those of all platforms that have the version."""
    packages: dict[tuple[str, str, str], dict[str, list[LockedWheel | LockedSource]]] = {}
    for platform, listed in sorted(environment.packages.items()):
        for each in listed:
            if isinstance(each, (LockedWheel, LockedSource)) and each.url:
                kind = "index" if not _is_direct(each) else each.url
                packages.setdefault((each.name, each.version, kind), {}).setdefault(platform, []).append(each)
    entries = []
    for (name, version, _), by_platform in sorted(packages.items()):
        files = {each.url: each for listed in by_platform.values() for each in listed}
        entries.append(_entry(name, version, list(files.values()), _where(by_platform, markers), folder))
    return entries


def _where(by_platform: Mapping[str, object], markers: Mapping[str, str]) -> str:
    if len(by_platform) == len(markers):
        return ""
    texts = [markers[platform] for platform in sorted(by_platform)]
    return texts[0] if len(texts) == 1 else " or ".join(f"({text})" for text in texts)


def _is_direct(each: LockedWheel | LockedSource) -> bool:
    return each.is_direct if isinstance(each, LockedWheel) else each.kind != "sdist" or not each.index


def _entry(
    name: str, version: str, files: list[LockedWheel | LockedSource], marker: str, folder: Path
) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name}
    first = files[0]
    is_tree = isinstance(first, LockedSource) and first.kind in {"git", "directory"}
    if version and not is_tree:
        entry["version"] = version
    if marker:
        entry["marker"] = marker
    if first.requires_python:
        entry["requires-python"] = first.requires_python
    if first.index and not _is_direct(first):
        entry["index"] = first.index
    if is_tree or (_is_direct(first) and len(files) == 1):
        return entry | _direct(first, folder)
    wheels = sorted((each for each in files if isinstance(each, LockedWheel)), key=lambda each: each.filename)
    sources = [each for each in files if isinstance(each, LockedSource)]
    if sources:
        entry["sdist"] = _file(sources[0], folder)
    if wheels:
        entry["wheels"] = [_file(each, folder) for each in wheels]
    if identities := _identities(files):
        entry["attestation-identities"] = identities
    return entry


def _identities(files: Iterable[LockedWheel | LockedSource]) -> list[dict[str, str]]:
    """Return the publishers whose attestations were verified, each as PEP 740 names it."""
    every = [each for file in files if file.facts is not None for each in file.facts.attestations]
    named = [{"kind" if key == "publisher" else key: text for key, text in each.items()} for each in every]
    return [each for place, each in enumerate(named) if each.get("kind") and each not in named[:place]]


def _direct(each: LockedWheel | LockedSource, folder: Path) -> dict[str, Any]:
    source = source_of(each.url)
    if isinstance(each, LockedSource) and source is not None:
        below = {"subdirectory": source.subdirectory} if source.subdirectory else {}
        if each.kind == "git":
            asked = {"requested-revision": each.reference} if each.reference else {}
            return {"vcs": {"type": "git", "url": source.url, **asked, "commit-id": each.revision or "", **below}}
        if each.kind == "directory":
            place = relative(Path(local_path(source.url) or ""), folder)
            return {"directory": {"path": place, "editable": each.is_editable, **below}}
    return {"archive": {key: value for key, value in _file(each, folder).items() if key != "name"}}


def _file(each: LockedWheel | LockedSource, folder: Path) -> dict[str, Any]:
    url = each.url.partition("#")[0]
    path = local_path(url)
    table: dict[str, Any] = {"name": _filename(each)}
    if each.upload_time is not None:
        table["upload-time"] = datetime.fromtimestamp(each.upload_time // 1000, timezone.utc)
    table |= {"url": url} if path is None else {"path": relative(Path(path), folder)}
    if each.size is not None:
        table["size"] = each.size
    return table | {"hashes": {"sha256": each.sha256} if each.sha256 else {}}


def _filename(each: LockedWheel | LockedSource) -> str:
    if isinstance(each, LockedSource):
        try:
            parse_sdist_filename(each.filename)
        except ValueError:
            return each.url.partition("#")[0].rpartition("/")[2]
    return each.filename


def _toml(document: Mapping[str, Any]) -> str:
    """Return the document as TOML; the standard library only reads it."""
    lines = [f"{key} = {_value(value)}" for key, value in document.items() if key != "packages"]
    for package in document["packages"]:
        lines += ["", "[[packages]]"]
        for key, value in package.items():
            if key == "wheels":
                lines += ["wheels = [", *(f"    {_value(each)}," for each in value), "]"]
            else:
                lines.append(f"{key} = {_value(value)}")
    if not document["packages"]:
        lines.append("packages = []")
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
