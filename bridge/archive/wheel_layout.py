"""The layout of a wheel: dist-info directory, data directory with its schemes, WHEEL file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from packaging import version as pep440

from bridge.archive.paths import Caution, check_tree
from bridge.archive.refusal import refused, shown
from bridge.archive.zip_member import ZipMember
from converters.deferred import dataclass, regex
from converters.errors import UnsafeInputError
from converters.projects import canonicalize_name
from converters.wheel import WheelName, dist_info_member

__all__ = ["WheelFile", "WheelLayout", "collision", "find_layout", "read_wheel_file"]

_SCHEMES = frozenset({"purelib", "platlib", "headers", "scripts", "data"})
_HEADERS = regex(r"include/python[0-9]+\.[0-9]+t?/")  # of the headers scheme; then the project's name
_VERSION = regex(r"([0-9]{1,9})((?:\.[0-9]{1,9}){0,8})\Z", re.ASCII)
_LINE_BREAK = regex("\r\n?")
_FOLD = regex(r"\n[ \t]+(?=\S)")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelLayout:
    """A wheel's members by kind.

    :param data_dirs: the top directories that end in `.data`.
    :param directories: those in the archive and the parents of files.
    :param twins: members installed to the path of an earlier one, to which they must be equal.
    """

    dist_info: str
    data_dirs: tuple[str, ...]
    files: Mapping[str, ZipMember]
    directories: frozenset[str]
    directory_entries: tuple[ZipMember, ...]
    twins: Mapping[str, str]
    cautions: tuple[Caution, ...] = ()

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
    data_dirs = tuple(root for root in roots if root.endswith(".data"))
    return WheelLayout(
        dist_info=dist_info,
        data_dirs=data_dirs,
        files=files,
        directories=frozenset(directories),
        directory_entries=entries,
        twins=_check_data(data_dirs, files, directories, named, archive),
        cautions=tuple(_cautions_on_roots(data_dirs, named)),
    )


def _check_root(root: str, suffix: str, named: WheelName, archive: str, error_id: str) -> None:
    """Refuse a dist-info directory of another project or version."""
    if not _fits(root, suffix, named) or not root.endswith(suffix):
        problem = f"the directory {shown(root)} should be called {named.project}-{named.version}{suffix}"
        raise refused(error_id, archive, f"{problem}; other tools would take it for another package")


def _fits(root: str, suffix: str, named: WheelName) -> bool:
    project, _, version = root[: -len(suffix)].rpartition("-")
    try:
        return canonicalize_name(project) == named.project and pep440.Version(version) == named.version
    except pep440.InvalidVersion:
        return False


def _cautions_on_roots(data_dirs: Sequence[str], named: WheelName) -> Iterator[Caution]:
    """Yield a caution for a data directory of another project; a build tag or a missing version is harmless."""
    for root in data_dirs:
        project = canonicalize_name(root.removesuffix(".data"))
        if project != named.project and not project.startswith(f"{named.project}-"):
            yield Caution(id="data-directory", path=root, detail="named like another project's; installed as by pip")


def _check_data(
    data_dirs: Sequence[str], files: Mapping[str, ZipMember], directories: set[str], named: WheelName, archive: str
) -> Mapping[str, str]:
    """Validate `NAME-VERSION.data/SCHEME/…` and return the twins.

    Every top directory that ends in `.data` is a data directory, as in pip: setuptools adds the build tag to its name,
    and maturin omitted the version. The schemes must be known, and no path reserved.
    """
    places: dict[str, tuple[str, str]] = {}
    twins: dict[str, str] = {}
    for path in (*files, *directories):
        root, _, inside = path.partition("/")
        scheme, separator, _ = inside.partition("/")
        if root in data_dirs and inside and (scheme not in _SCHEMES or (path in files and not separator)):
            raise refused("wheel-scheme", archive, "not a scheme of a data directory", member=path)
    for path in files if data_dirs else ():
        root, _, inside = path.partition("/")
        is_data = root in data_dirs
        scheme, place = _installed_place(inside, named.project) if is_data else ("purelib", f"site-packages/{path}")
        other_scheme, other = places.setdefault(place, (scheme, path))
        if other != path:
            if scheme != other_scheme and "scripts" in (scheme, other_scheme):  # the first line of one is rewritten
                raise collision(path, other, archive)
            twins[path] = other
        if is_data:
            first, _, rest = place.lower().partition("/")
            if first == "conda-meta":
                raise refused("reserved-path", archive, "conda-meta belongs to the environment", member=path)
            if first == "site-packages" and rest.partition("/")[0].endswith(".dist-info"):
                problem = "a dist-info directory inside the data directory, which tools would take for another package"
                raise refused("wheel-dist-info", archive, problem, member=path)
    return twins


def collision(path: str, other: str, archive: str) -> UnsafeInputError:
    """Return the error for two different members with one installed path."""
    problem = f"it would be installed to the same path as {shown(other)}, and hide it from a reader of the wheel"
    return refused("path-collision", archive, problem, member=path)


def _installed_place(inside: str, project: str) -> tuple[str, str]:
    """Return the scheme of a data directory's file and its path below the prefix, independent of the python version."""
    scheme, _, rest = inside.partition("/")
    if scheme in ("purelib", "platlib"):
        return scheme, f"site-packages/{rest}"
    if scheme == "headers":
        return scheme, f"headers/{project}/{rest}"
    if scheme == "scripts":
        return scheme, f"bin/{rest}"
    return scheme, _HEADERS.sub("headers/", rest, count=1)


def read_wheel_file(data: bytes, archive: str, member: str) -> WheelFile:
    """Parse WHEEL. Raises `UnsafeInputError` (`metadata-invalid`) if ambiguous or not of version 1 (W68)."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused("metadata-invalid", archive, "not UTF-8", member=member, offset=error.start) from error
    fields: dict[str, list[str]] = {}
    for line in _FOLD.sub(" ", _LINE_BREAK.sub("\n", text)).split("\n"):
        key, separator, value = line.partition(":")
        if separator:
            fields.setdefault(key.strip().lower(), []).append(value.strip())
    cautions = list(_check_version(fields.get("wheel-version", ()), archive, member))
    version = fields["wheel-version"][0]
    purelib = {value.lower() for value in fields.get("root-is-purelib", ())}
    if purelib not in ({"true"}, {"false"}):  # it decides nothing: both places are site-packages
        cautions.append(Caution(id="root-is-purelib", path=member, detail="Root-Is-Purelib is missing or unclear"))
    return WheelFile(
        version=version,
        root_is_purelib=purelib == {"true"},
        tags=tuple(fields.get("tag", ())),
        cautions=tuple(cautions),
    )


def _check_version(versions: Sequence[str], archive: str, member: str) -> Iterator[Caution]:
    """Refuse another major version than 1, also beside a 1, and yield a caution for anything but one `1.0`.

    The specification: an installer fails if the major version is greater than it supports.
    """
    if not versions:
        problem = "it has no Wheel-Version, so the rules for the content are unknown"
        raise refused("metadata-invalid", archive, problem, member=member)
    for version in versions:
        parsed = _VERSION.match(version)
        if parsed is None or int(parsed[1]) > 1:
            problem = f"Wheel-Version is {shown(version)}, not 1.0: the rules for the content are unknown"
            raise refused("metadata-invalid", archive, problem, member=member)
        if int(parsed[1]) == 0 or parsed[2].strip(".0"):
            order = "older" if int(parsed[1]) == 0 else "newer"
            yield Caution(id="wheel-version", path=member, detail=f"Wheel-Version {version} is {order} than 1.0")
    if versions[1:]:
        yield Caution(id="wheel-version", path=member, detail=f"Wheel-Version occurs {len(versions)} times")
