"""pixi.lock and conda.lock (rattler-lock 4 to 7): rattler's reader, and of the YAML what py-rattler keeps to itself.

conda-workspaces writes conda.lock: version 6 under the number 1.

py-rattler hands over neither the package indexes nor `editable` nor unknown keys. For these the YAML is read too, but
without the entries of conda packages, which are most of a lock: only the names of their keys are looked at.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

from bridge.channels._rattler_lock import LockedPypi, RattlerEnvironment, RattlerPlatform, read_rattler_lock
from bridge.errors import UnsafeInputError, UsageError
from bridge.fs.publish import publish_file
from bridge.model import UNKNOWN_CHANNEL
from bridge.prefix.origin import place_of
from bridge.requirements.files.constructs import Section, describes, honoured
from bridge.requirements.files.fields import Field
from bridge.requirements.files.locks.bridge_table import Noted, read_table
from bridge.requirements.files.locks.direct import (
    check_sdist,
    check_wheel,
    git_parts,
    git_url,
    is_sdist,
    name_of_file,
    place_url,
    with_fragment,
)
from bridge.requirements.files.locks.errors import invalid
from bridge.requirements.files.locks.identities import with_identities
from bridge.requirements.files.locks.lazily import Lazily
from bridge.requirements.files.values import wrong
from bridge.requirements.files.yaml_text import MAX_LOCK_NODES, load_yaml
from bridge.requirements.locked import Lock, Locked, LockedConda, LockedEnvironment, LockedSource, LockedWheel
from converters.projects import canonicalize_name
from converters.record import conda_record
from converters.target import SUBDIRS

__all__ = ["CONDA", "ENVIRONMENT", "LOCK", "PYPI", "is_rattler", "read_rattler"]

_SOLVED = describes("how the lock was solved; nothing is solved again")
LOCK = Section(
    name="pixi.lock",
    keys={
        "version": honoured("4 to 7, and 1 of the same format in conda.lock; others are refused"),
        "platforms": honoured("the subdirs and virtual packages of the platforms' names"),
        "environments": honoured("`--environment` chooses one; by default the only one, or `default`"),
        "packages": honoured("exactly these artifacts, hashes required"),
        "bridge": honoured("what `bridge lock` noted, see below; other tools pass over it"),
    },
)
ENVIRONMENT = Section(
    name="pixi.lock environment",
    keys={
        "channels": honoured("where further requirements are looked for"),
        "indexes": honoured("the same of package indexes"),
        "find-links": honoured("the same of links"),
        "options": _SOLVED,
        "packages": honoured("what is installed on each platform"),
    },
)
_OF_REPODATA = (
    "kind",
    "url",
    "path",
    "name",
    "version",
    "build",
    "build_number",
    "subdir",
    "channel",
    "noarch",
    "depends",
    "constrains",
    "extra_depends",
    "sha256",
    "md5",
    "size",
    "timestamp",
    "track_features",
    "purls",
    "python_site_packages_path",
    "file_name",
    "license",
)
_NO_EFFECT = ("arch", "platform", "features", "license_family", "run_exports", "legacy_bz2_md5", "legacy_bz2_size")
_OF_SOURCES = ("input", "sources", "variants", "package_build_source")
CONDA = Section(
    name="pixi.lock conda",
    keys={
        "conda": honoured("the artifact's URL or path"),
        **dict.fromkeys(_OF_REPODATA, honoured("as in repodata")),
        **dict.fromkeys(_NO_EFFECT, describes("it has no effect on what is installed")),
        **dict.fromkeys(_OF_SOURCES, describes("of source code, which is refused where it is asked for")),
    },
)
PYPI = Section(
    name="pixi.lock pypi",
    keys={
        "pypi": honoured("a URL, a path, or `git+URL#COMMIT`; `direct+URL` was asked for by its URL"),
        "kind": honoured("`pypi` (version 4 and 5)"),
        "url": honoured("as `pypi` (version 4 and 5)"),
        "path": honoured("a wheel, an archive or a folder (version 4 and 5)"),
        "name": honoured("the project"),
        "version": honoured("must be that of the artifact"),
        "sha256": honoured("required, but of folders and repositories"),
        "md5": describes("wheels are verified by sha256"),
        "requires_dist": honoured("what the project needs is in the lock too"),
        "requires_python": honoured("the python must meet it"),
        "editable": honoured("a folder is installed as with `-e`"),
        "index": honoured("the index that has it"),
        "extras": describes("what they need is in the lock too"),
    },
)

_FORMAT = "lock of rattler (pixi.lock, conda.lock)"
_VERSION = re.compile(r"^version:[ \t]*\d+", re.MULTILINE)
_WORKSPACE_LOCK, _WORKSPACE_VERSION = "conda.lock", re.compile(r"^version:[ \t]*1[ \t\r]*$", re.MULTILINE)
_ENVIRONMENTS = re.compile(r"^(?:environments|packages):", re.MULTILINE)
_KNOWN = frozenset({"4", "5", "6", "7"})
_MARKS = (codecs.BOM_UTF8[:2], codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # rattler reads UTF-8 without a mark
_CONDA_ENTRY = re.compile(r"^- (?:conda:|kind: conda$)[^\n]*\n(?:(?: [^\n]*)?\n)*", re.MULTILINE)
_CONDA_LINE = re.compile(r"^ +- conda: \S+\n", re.MULTILINE)
_KEY = re.compile(r"^  ([A-Za-z_][\w-]*):", re.MULTILINE)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Extra:
    """What the YAML says beyond rattler's reader: of environments, and of PyPI packages by their location."""

    version: str
    indexes: Mapping[str, tuple[str, ...]]
    find_links: Mapping[str, tuple[str, ...]]
    editable: frozenset[str]
    index_of: Mapping[str, str]
    noted: Mapping[str, Noted] | None
    warnings: tuple[str, ...]


def is_rattler(text: str) -> bool:
    """Return whether a text is a lock of rattler, of any version and layout."""
    return _VERSION.search(text) is not None and _ENVIRONMENTS.search(text) is not None


def read_rattler(path: Path, text: str) -> Lock:
    """Read a lock of rattler. The packages of a platform are read when they are asked for.

    Raises `UsageError` (`requirement-file`) for a version that bridge does not know, and `UnsafeInputError`
    (`lock-invalid`) for what rattler refuses; asking for a platform raises the same for entries that cannot be
    installed.
    """
    if not path.is_file():  # rattler reads it again
        raise wrong(path, None, "a lock of pixi or rattler cannot be read from a pipe", hint="write it to a file")
    is_of_workspace = path.name == _WORKSPACE_LOCK and _WORKSPACE_VERSION.search(text) is not None
    readable = _WORKSPACE_VERSION.sub("version: 6", text, count=1) if is_of_workspace else text
    readable = with_identities(readable)
    extra = _extra(path, readable)
    try:
        is_plain = readable == text and not path.read_bytes()[:2].startswith(_MARKS)
        environments = read_rattler_lock(path) if is_plain else _of_text(readable)
    except ValueError as error:
        raise invalid(path, _FORMAT, " ".join(str(error).split())[:300]) from error
    return Lock(
        path=path,
        format="rattler",
        version=extra.version,
        environments=tuple(_environment(each, extra, path) for each in environments),
        warnings=extra.warnings,
    )


def _of_text(text: str) -> list[RattlerEnvironment]:
    """Read a lock from its text; rattler reads files only. Locations stay as the lock writes them."""
    with TemporaryDirectory(prefix="bridge-lock-") as folder:
        copy = Path(folder, "pixi.lock")
        publish_file(copy, [text.encode()])
        return read_rattler_lock(copy)


def _extra(path: Path, text: str) -> _Extra:
    keys: set[str] = set()

    def without(match: re.Match[str]) -> str:
        keys.update(_KEY.findall(match[0]))
        return ""

    head, line, body = f"{text}\n".partition("\npackages:\n")  # a last line without an end would be left of an entry
    is_usual = body.startswith("- ")  # the layout that rattler writes
    shorter = f"{_CONDA_LINE.sub('', head)}{line}{_CONDA_ENTRY.sub(without, body)}" if is_usual else text
    try:
        document = load_yaml(path, shorter, max_nodes=MAX_LOCK_NODES)
    except UsageError:
        document = load_yaml(path, text, max_nodes=MAX_LOCK_NODES)  # edited by hand, or no YAML
    version = str(document.get("version")) if isinstance(document, dict) else ""
    if version not in _KNOWN:
        hint = "write the lock again with a version of the tool that writes version 4 to 7"
        raise wrong(path, "version", f"bridge does not read version {version} of this format", hint=hint)
    warnings: list[str] = []
    top = LOCK.check(Field(document, path), warnings)
    named = {str(name): ENVIRONMENT.check(each, warnings) for name, each in top["environments"].entries()}
    listed = top["packages"]
    CONDA.check(listed.holding(dict.fromkeys(keys)), warnings)
    packages = [each.value for each in listed.items() if isinstance(each.value, dict)]
    pypi = [each for each in packages if "pypi" in each or each.get("kind") == "pypi"]
    for each in packages:
        if "conda_source" not in each and "input" not in each:
            (PYPI if each in pypi else CONDA).check(listed.holding(each), warnings)
    places = {str(each.get("pypi") or each.get("url") or each.get("path")): each for each in pypi}
    return _Extra(
        version=version,
        indexes={name: _urls(each["indexes"]) for name, each in named.items()},
        find_links={name: _urls(each["find-links"]) for name, each in named.items()},
        editable=frozenset(place for place, each in places.items() if Field(each, path, place)["editable"].flag()),
        index_of={place: str(each["index"]) for place, each in places.items() if each.get("index")},
        noted=read_table(top["bridge"], warnings),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _urls(field: Field) -> tuple[str, ...]:
    """Return URLs, or of `find-links` the tables `url:` and `path:`."""
    values = [each.value for each in field.items()]
    places = [(each.get("path") or each.get("url")) if isinstance(each, dict) else each for each in values]
    return tuple(place_url(str(place), field.path) for place in places)


def _environment(environment: RattlerEnvironment, extra: _Extra, path: Path) -> LockedEnvironment:
    places = _by_subdir(environment.platforms())
    makers: dict[str, Callable[[], tuple[Locked, ...]]] = {
        subdir: partial(_packages, environment, platform.name, extra, path) for subdir, platform in places.items()
    }
    locked = LockedEnvironment(
        name=environment.name,
        channels=tuple(place_url(url, path) for url in environment.channels),
        indexes=extra.indexes.get(environment.name, ()),
        find_links=extra.find_links.get(environment.name, ()),
        packages=Lazily(makers),
        virtual_packages={subdir: each.virtual_packages for subdir, each in places.items()},
    )
    return locked if extra.noted is None else _noted(extra, environment.name).of_environment(locked)


def _noted(extra: _Extra, name: str) -> Noted:
    return (extra.noted or {}).get(name) or Noted()


def _by_subdir(platforms: tuple[RattlerPlatform, ...]) -> dict[str, RattlerPlatform]:
    """Return the platform of each subdir: that with its name, else the only one; the others are kept by their names."""
    platforms_by_name = {each.name: each for each in platforms if each.name in SUBDIRS}
    others: dict[str, list[RattlerPlatform]] = {}
    for each in platforms:
        if each.name not in SUBDIRS:
            others.setdefault(each.subdir, []).append(each)
    for subdir, named in others.items():
        if subdir not in platforms_by_name and len(named) == 1:
            platforms_by_name[subdir] = named[0]
        else:
            platforms_by_name |= {each.name: each for each in named}
    return platforms_by_name


def _packages(environment: RattlerEnvironment, platform: str, extra: _Extra, path: Path) -> tuple[Locked, ...]:
    try:
        for name, location in environment.sources(platform):
            hint = "build it (pixi build, rattler-build), and lock the package"
            problem = f"{name} is locked as source code ({location}), which bridge does not build as a conda package"
            raise wrong(path, f"environments.{environment.name}", problem, hint=hint)
        conda = [_conda(record, path) for record in environment.conda(platform)]
        indexes = extra.indexes.get(environment.name, ())
        pypi = [_pypi(each, indexes, extra, path) for each in environment.pypi(platform)]
    except ValueError as error:
        raise invalid(path, _FORMAT, " ".join(str(error).split())[:300]) from error
    if extra.noted is None:
        return (*conda, *pypi)
    noted = _noted(extra, environment.name)
    return tuple(noted.of_package(each, indexes) for each in (*conda, *pypi))


def _conda(data: Mapping[str, object], path: Path) -> LockedConda:
    place = place_url(str(data.get("url") or ""), path)
    channel = place_of(place, "")[0]
    if data.get("channel") and (channel != UNKNOWN_CHANNEL or place.startswith("file:")):  # else rattler's guess
        channel = place_url(str(data["channel"]), path)
    try:
        # rattler adds these two to every package that it reads from a lock; no channel needs to state them.
        stated = {key: value for key, value in data.items() if key not in {"arch", "platform"}}
        record = conda_record({**stated, "url": place, "channel": channel})
    except UnsafeInputError as error:
        raise invalid(path, _FORMAT, error.message) from error
    if not (record.sha256 or record.md5):
        raise invalid(path, _FORMAT, f"{record.filename or place} has no hash")
    return LockedConda(record=record)


def _pypi(each: LockedPypi, indexes: tuple[str, ...], extra: _Extra, path: Path) -> LockedWheel | LockedSource:
    name = canonicalize_name(each.name)
    if each.location.startswith("git+"):
        return _git(each, name, path)
    place = each.location.removeprefix("direct+")
    is_local = "://" not in place or place.startswith("file:")
    url = place_url(place, path)
    subdirectory = parse_qs(urlsplit(place).fragment).get("subdirectory", [""])[0]
    filename = url.rpartition("/")[2]
    if not filename.endswith((".whl", ".tar.gz", ".zip", ".tgz")) and is_local:
        return LockedSource(
            name=name,
            version=each.version,
            kind="directory",
            url=with_fragment(url, subdirectory),
            path=place,
            is_editable=each.location in extra.editable,
            requires_dist=each.requires_dist,
            requires_python=each.requires_python,
        )
    filename = name_of_file(url, path)
    if each.sha256 is None or not _SHA256.match(each.sha256):
        raise invalid(path, _FORMAT, f"{filename} has no sha256")
    index = extra.index_of.get(each.location, indexes[0] if len(indexes) == 1 else "")
    is_direct = each.location.startswith("direct+") or is_local
    if filename.endswith(".whl"):
        check_wheel(filename, name, each.version, path)
        return LockedWheel(
            name=name,
            version=each.version,
            url=url,
            filename=filename,
            sha256=each.sha256,
            md5=each.md5,
            index="" if is_direct else index,
            is_direct=is_direct,
            requires_dist=each.requires_dist,
            requires_python=each.requires_python,
        )
    check_sdist(filename, name, path)
    is_of_index = not is_direct and not subdirectory and is_sdist(filename)
    return LockedSource(
        name=name,
        version=each.version,
        kind="sdist" if is_of_index else "archive",
        url=with_fragment(url, subdirectory),
        path=place if is_local else "",
        filename=filename,
        sha256=each.sha256,
        md5=each.md5,
        index=index if is_of_index else "",
        requires_dist=each.requires_dist,
        requires_python=each.requires_python,
    )


def _git(each: LockedPypi, name: str, path: Path) -> LockedSource:
    """`git+URL?rev=…&subdirectory=…#COMMIT`, as uv writes it."""
    repository, asked, commit = git_parts(each.location.removeprefix("git+"), path)
    return LockedSource(
        name=name,
        version=each.version,
        kind="git",
        url=git_url(repository, commit, asked.get("subdirectory", ""), path),
        revision=commit,
        reference=asked.get("rev") or asked.get("tag") or asked.get("branch") or "",
        requires_dist=each.requires_dist,
        requires_python=each.requires_python,
    )
