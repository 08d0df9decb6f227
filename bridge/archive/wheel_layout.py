"""The layout of a wheel: dist-info directory, data directory with its schemes, WHEEL file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bridge.archive.paths import Caution, check_tree
from bridge.archive.refusal import refused, shown
from bridge.archive.zip_member import ZipMember
from converters.wheel import WheelName, dist_info_member

__all__ = ["WheelFile", "WheelLayout", "find_layout", "read_wheel_file"]

_PLACES = {
    "purelib": "site-packages/",
    "platlib": "site-packages/",
    "headers": "include/",
    "scripts": "bin/",
    "data": "",
}
_VERSION = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelLayout:
    """A wheel's members; `directories` include those that files imply."""

    dist_info: str
    data_dir: str | None
    files: Mapping[str, ZipMember]
    directories: frozenset[str]
    directory_entries: tuple[ZipMember, ...]

    def member(self, document: str) -> str:
        """The archive's name of a dist-info file."""
        return f"{self.dist_info}/{document}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFile:
    """The content of the WHEEL file."""

    version: str
    root_is_purelib: bool
    tags: tuple[str, ...]
    cautions: tuple[Caution, ...] = ()


def find_layout(members: Sequence[ZipMember], archive: str, named: WheelName) -> WheelLayout:
    """Classify and validate a wheel's members.

    Raises `UnsafeInputError`: `wheel-dist-info`, `wheel-scheme` (W36), `reserved-path` (W39), `path-collision` (two
    members for one installed path).
    """
    files = {member.name: member for member in members if not member.is_directory}
    entries = tuple(member for member in members if member.is_directory)
    directories = check_tree(files, [entry.name[:-1] for entry in entries], archive)
    roots = sorted(directory for directory in directories if "/" not in directory)
    infos = [root for root in roots if root.lower().endswith(".dist-info")]
    dist_info = dist_info_member(list(files), archive, "METADATA").split("/", 1)[0]
    if infos != [dist_info]:
        raise refused("wheel-dist-info", archive, f"a wheel has one dist-info directory; found: {', '.join(infos)}")
    _check_root(dist_info, ".dist-info", named, archive, "wheel-dist-info")
    for name in files:  # installer loops forever on such a file
        if "/" not in name and name.lower().endswith(".data") and _fits(name, ".data", named):
            raise refused("wheel-scheme", archive, "a file where the data directory belongs", member=name)
    data_dirs = [root for root in roots if root.lower().endswith(".data")]
    if len(data_dirs) > 1:
        raise refused("wheel-scheme", archive, f"several data directories: {', '.join(map(shown, data_dirs))}")
    data_dir = data_dirs[0] if data_dirs else None
    if data_dir is not None:
        _check_root(data_dir, ".data", named, archive, "wheel-scheme")
        _check_data(data_dir, files, directories, archive)
    return WheelLayout(
        dist_info=dist_info,
        data_dir=data_dir,
        files=files,
        directories=frozenset(directories),
        directory_entries=entries,
    )


def _check_root(root: str, suffix: str, named: WheelName, archive: str, error_id: str) -> None:
    """Refuse a dist-info or data directory of another project or version."""
    if not _fits(root, suffix, named) or not root.endswith(suffix):
        problem = f"the directory {shown(root)} should be called {named.project}-{named.version}{suffix}"
        raise refused(error_id, archive, problem)


def _fits(root: str, suffix: str, named: WheelName) -> bool:
    project, _, version = root[: -len(suffix)].rpartition("-")
    try:
        return canonicalize_name(project) == named.project and Version(version) == named.version
    except InvalidVersion:
        return False


def _check_data(data_dir: str, files: Mapping[str, ZipMember], directories: set[str], archive: str) -> None:
    """Validate `NAME-VERSION.data/SCHEME/…`: known schemes, nothing reserved, one member per installed path."""
    inside = f"{data_dir}/"
    for path in (*files, *directories):
        scheme, separator, _ = path[len(inside) :].partition("/")
        if path.startswith(inside) and (scheme not in _PLACES or (path in files and not separator)):
            raise refused("wheel-scheme", archive, "not a scheme of a data directory", member=path)
    places: dict[str, str] = {}
    for path in files:
        place = _installed_place(path, inside)
        other = places.setdefault(place, path)
        if other != path:
            problem = f"it would be installed to the same path as {shown(other)}"
            raise refused("path-collision", archive, problem, member=path)
        if path.startswith(inside):
            first, _, rest = place.lower().partition("/")
            if first == "conda-meta":
                raise refused("reserved-path", archive, "conda-meta belongs to the environment", member=path)
            if first == "site-packages" and rest.partition("/")[0].endswith(".dist-info"):
                problem = "a dist-info directory inside the data directory"
                raise refused("wheel-dist-info", archive, problem, member=path)


def _installed_place(path: str, inside: str) -> str:
    """A member's path below the prefix, independent of the python version."""
    if not path.startswith(inside):
        return f"site-packages/{path}"
    scheme, _, rest = path[len(inside) :].partition("/")
    return _PLACES[scheme] + rest


def read_wheel_file(data: bytes, archive: str, member: str) -> WheelFile:
    """Parse WHEEL. Raises `UnsafeInputError` (`metadata-invalid`) if ambiguous or not of version 1 (W68)."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused("metadata-invalid", archive, "not UTF-8", member=member, offset=error.start) from error
    fields: dict[str, list[str]] = {}
    for line in text.replace("\r\n", "\n").split("\n"):
        key, separator, value = line.partition(":")
        if separator:
            fields.setdefault(key.strip().lower(), []).append(value.strip())
    version = _single(fields, "Wheel-Version", archive, member)
    parsed = _VERSION.match(version)
    if parsed is None or parsed[1] != "1":
        problem = f"Wheel-Version is {shown(version)}; bridge installs wheels of version 1"
        raise refused("metadata-invalid", archive, problem, member=member)
    purelib = _single(fields, "Root-Is-Purelib", archive, member).lower()
    if purelib not in {"true", "false"}:
        problem = f"Root-Is-Purelib is {shown(purelib)}, neither true nor false"
        raise refused("metadata-invalid", archive, problem, member=member)
    newer = Caution(id="wheel-version", path=member, detail=f"Wheel-Version {version} is newer than 1.0")
    return WheelFile(
        version=version,
        root_is_purelib=purelib == "true",
        tags=tuple(fields.get("tag", ())),
        cautions=() if parsed[2].strip("0") == "" else (newer,),
    )


def _single(fields: Mapping[str, list[str]], key: str, archive: str, member: str) -> str:
    values = fields.get(key.lower(), [])
    if len(values) != 1:
        raise refused("metadata-invalid", archive, f"{key} occurs {len(values)} times, not once", member=member)
    return values[0]
