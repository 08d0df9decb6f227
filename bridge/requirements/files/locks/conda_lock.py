"""conda-lock.yml, version 1 of conda-lock's unified format; micromamba reads and writes it too.

Written by hand: rattler's reader refuses hashes and channels that conda-lock itself writes (decision on requirement
files).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs

from bridge.errors import UnsafeInputError
from bridge.prefix.origin import place_of
from bridge.requirements.files.constructs import Section, describes, honoured
from bridge.requirements.files.fields import Field
from bridge.requirements.files.locks.direct import (
    COMMIT,
    check_sdist,
    check_wheel,
    git_url,
    is_sdist,
    name_of_file,
    place_url,
)
from bridge.requirements.files.locks.errors import invalid
from bridge.requirements.files.locks.lazily import Lazily
from bridge.requirements.files.values import Chosen, expanded, wrong
from bridge.requirements.files.yaml_text import MAX_LOCK_NODES, load_yaml
from bridge.requirements.locked import Lock, Locked, LockedConda, LockedEnvironment, LockedSource, LockedWheel
from converters.projects import canonicalize_name
from converters.record import conda_record
from converters.target import SUBDIRS

__all__ = ["METADATA", "PACKAGE", "TOP", "is_conda_lock", "read_conda_lock"]

TOP = Section(
    name="conda-lock.yml",
    keys={
        "version": honoured("1; others are refused"),
        "metadata": honoured("platforms and channels"),
        "package": honoured("exactly these artifacts, hashes required"),
    },
)
METADATA = Section(
    name="conda-lock.yml metadata",
    keys={
        "channels": honoured("where further requirements are looked for"),
        "platforms": honoured("the platforms of the lock"),
        **{
            key: describes("how the lock was made")
            for key in [
                "content_hash",
                "sources",
                "time_metadata",
                "git_metadata",
                "inputs_metadata",
                "custom_metadata",
            ]
        },
    },
)
PACKAGE = Section(
    name="conda-lock.yml package",
    keys={
        "name": honoured("the package, or the project"),
        "version": honoured("must be that of the artifact"),
        "manager": honoured("`conda` or `pip`"),
        "platform": honoured("the platform it is locked for"),
        "dependencies": honoured("what the package needs"),
        "url": honoured("the artifact, also `git+URL@COMMIT`"),
        "hash": honoured("sha256; for a conda package an md5 serves too"),
        "source": honoured("`url`: a wheel that was asked for by its URL"),
        "build": honoured("as in the file's name"),
        "category": honoured("`main` and `dev`, as `conda-lock install`; others by `--extra`"),
        "optional": describes("as `category` says"),
    },
)

_FORMAT = "conda-lock.yml of version 1"
_PACKAGES = re.compile(r"^package:", re.MULTILINE)
_METADATA = re.compile(r"^(?:metadata|version):", re.MULTILINE)
_ALWAYS = ("main", "dev")
_HASH = {"sha256": re.compile(r"[0-9a-fA-F]{64}\Z", re.ASCII), "md5": re.compile(r"[0-9a-fA-F]{32}\Z", re.ASCII)}
_FILE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>[^-]+?)(?:\.conda|\.tar\.bz2)\Z")


def is_conda_lock(content: str) -> bool:
    """Return whether a text is a lock of conda-lock, of any version and layout."""
    return _PACKAGES.search(content) is not None and _METADATA.search(content) is not None


def read_conda_lock(path: Path, content: str, chosen: Chosen) -> Lock:
    """Read a conda-lock.yml.

    :param chosen: its `extras` are the categories to install besides `main` and `dev`.

    Raises `UsageError` (`requirement-file`) for another version, a value of the wrong type, and a category that the
    lock does not have, `UnsafeInputError` (`lock-invalid`) for an entry without a hash or with a malformed one.
    """
    document = load_yaml(path, content, max_nodes=MAX_LOCK_NODES)
    warnings: list[str] = []
    top = TOP.check(Field(document, path), warnings)
    version = top["version"]
    if version.value != 1:
        hint = "write it again with conda-lock 1 or later"
        raise version.wrong(f"bridge does not read version {version.value} of conda-lock's format", hint=hint)
    metadata = METADATA.check(top["metadata"].or_empty(), warnings)
    entries = [PACKAGE.check(each, warnings).table() for each in top["package"].items()]
    if not entries:
        raise wrong(path, "package", "the lock has no packages", hint="write the lock again, or omit -r")
    _check_platforms(entries, path)
    entries, left_out = _of_categories(entries, chosen.extras, path)
    if left_out:
        warnings.append(f"{path}: packages of {', '.join(left_out)} are left out; --extra NAME asks for them")
    subdirs = (
        *metadata["platforms"].texts(),
        *(str(each["platform"]) for each in entries),
    )
    makers = {subdir: partial(_packages, entries, subdir, path) for subdir in dict.fromkeys(subdirs)}
    channels = [each for each in map(partial(_channel, chosen), metadata["channels"].items()) if each != "nodefaults"]
    return Lock(
        path=path,
        format="conda-lock",
        version="1",
        environments=(LockedEnvironment(channels=tuple(channels), packages=Lazily(makers)),),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _check_platforms(entries: Iterable[Mapping[str, object]], path: Path) -> None:
    for each in entries:
        if each.get("platform") not in SUBDIRS or each.get("manager") not in {"conda", "pip"}:
            problem = (
                f"{each.get('name')} has the platform {each.get('platform')} and the manager {each.get('manager')}"
            )
            raise invalid(path, _FORMAT, problem)


def _of_categories(
    entries: Sequence[Mapping[str, object]], asked: Sequence[str], path: Path
) -> tuple[list[Mapping[str, object]], list[str]]:
    """Return the entries to install, and the categories that are left out."""
    known = dict.fromkeys(str(each.get("category", "main")) for each in entries)
    for name in asked:
        if name not in known:
            raise wrong(
                path, "category", f"the lock has no category {name!r}", context=(f"it has: {', '.join(known)}",)
            )
    taken = {*_ALWAYS, *asked}
    kept = [each for each in entries if str(each.get("category", "main")) in taken]
    return kept, [name for name in known if name not in taken]


def _channel(chosen: Chosen, field: Field) -> str:
    """Return a channel, as a name or URL, `$NAME` in it replaced."""
    place = expanded(field.spelled_out("url")["url"].text(), chosen, field.path, "metadata.channels")
    return place_url(place, field.path) if "://" in place else place


def _packages(entries: Iterable[Mapping[str, object]], subdir: str, path: Path) -> tuple[Locked, ...]:
    packages: dict[tuple[object, object], Locked] = {}  # an entry for each category
    for each in entries:
        key = (each.get("manager"), each.get("url"))
        is_virtual = str(each.get("name")).startswith("__")  # conda-lock wrote the assumed ones until version 2
        if each.get("platform") == subdir and key not in packages and not is_virtual:
            packages[key] = _conda(each, path) if each["manager"] == "conda" else _pip(each, path)
    return tuple(packages.values())


def _hashes(each: Mapping[str, object], path: Path, name: str) -> dict[str, str]:
    hashes = {}
    for kind, value in Field(each, path, name)["hash"].table().items():
        digest = str(value).removeprefix(f"{kind}:")
        if kind in _HASH and not _HASH[kind].match(digest):
            raise invalid(path, _FORMAT, f"{name}: {value!r} is not a valid {kind}")
        hashes[kind] = digest.lower()
    return hashes


def _conda(each: Mapping[str, object], path: Path) -> LockedConda:
    name = Field(each, path, "package")["name"].text()
    entry = Field(each, path, name)
    url = place_url(entry["url"].text(), path)
    filename = name_of_file(url, path)
    hashes = _hashes(each, path, name)
    named = _FILE.match(filename)
    if named is None or named["name"] != name or named["version"] != str(each.get("version")):
        raise invalid(path, _FORMAT, f"{filename} is not the file of {name} {each.get('version')}")
    if not hashes.keys() & _HASH.keys():
        raise invalid(path, _FORMAT, f"{filename} has no hash")
    channel, subdir = place_of(url, str(each.get("platform")))
    needs = [f"{need} {spec}".rstrip(" *") for need, spec in entry["dependencies"].table().items()]
    is_python = subdir == "noarch" and (
        named["build"].startswith("py") or "python" in {need.split()[0] for need in needs}
    )
    data = {
        **hashes,
        "name": name,
        "version": named["version"],
        "build": named["build"],
        "subdir": subdir,
        "depends": needs,
        "noarch": "python" if is_python else "generic" if subdir == "noarch" else None,
        "fn": filename,
        "url": url,
        "channel": channel,
    }
    try:
        return LockedConda(record=conda_record(data), is_complete=False)
    except UnsafeInputError as error:
        raise invalid(path, _FORMAT, error.message) from error


def _pip(each: Mapping[str, object], path: Path) -> LockedWheel | LockedSource:
    name = canonicalize_name(Field(each, path, "package")["name"].text())
    version, url = str(each.get("version") or ""), Field(each, path, name)["url"].text()
    if url.startswith("git+"):
        return _git(name, version, url, path)
    place, fragment = place_url(url, path), url.partition("#")[2]
    filename = place.rpartition("/")[2]
    sha256 = _hashes(each, path, name).get("sha256", "")
    if not filename.endswith((".whl", ".tar.gz", ".zip", ".tgz")) and place.startswith("file:"):
        return LockedSource(name=name, version=version, kind="directory", url=place, path=url)
    filename = name_of_file(place, path)
    if not sha256:
        raise invalid(path, _FORMAT, f"{filename} has no sha256")
    is_direct = bool(each.get("source")) or place.startswith("file:")
    if filename.endswith(".whl"):
        check_wheel(filename, name, version, path)
        return LockedWheel(name=name, version=version, url=place, filename=filename, sha256=sha256, is_direct=is_direct)
    check_sdist(filename, name, path)
    is_of_index = not is_direct and not fragment and is_sdist(filename)
    return LockedSource(
        name=name,
        version=version,
        kind="sdist" if is_of_index else "archive",
        url=f"{place}#{fragment}" if fragment else place,
        filename=filename,
        sha256=sha256,
    )


def _git(name: str, version: str, url: str, path: Path) -> LockedSource:
    place, _, fragment = url.removeprefix("git+").partition("#")
    repository, _, commit = place.rpartition("@")
    if not COMMIT.match(commit):
        raise invalid(path, _FORMAT, f"{name} is locked at no commit: {url}")
    subdirectory = parse_qs(fragment).get("subdirectory", [""])[0]
    place = git_url(repository, commit, subdirectory, path)
    return LockedSource(name=name, version=version, kind="git", url=place, revision=commit)
