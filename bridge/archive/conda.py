"""Validate a conda package, `.conda` or `.tar.bz2`, before anything of it is unpacked (CEP 34, CEP 35)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from bridge.archive.bzip2 import bzip2_content
from bridge.archive.conda_layout import read_conda
from bridge.archive.conda_paths import PATH_DOCUMENTS, ListedPath, read_listing
from bridge.archive.documents import parse_object
from bridge.archive.entry_points import parse_entry_point
from bridge.archive.limits import DEFAULT_LIMITS, Limits
from bridge.archive.links import check_links
from bridge.archive.paths import Caution, cautions
from bridge.archive.refusal import damaged, refused, shown
from bridge.archive.tars import Keep, TarMember, is_info, scan_tar
from bridge.model import PathKind
from bridge.paths import SITE_PACKAGES, path_below
from converters.deferred import dataclass, regex

__all__ = ["CondaManifest", "CondaPath", "check_conda"]

_BUFFER = 1 << 16
_INDEX, _ABOUT, _LINK = "info/index.json", "info/about.json", "info/link.json"
_FILE_STEM = regex(r"[A-Za-z0-9_.+!-]{1,245}\Z")
# `python-scripts` of a noarch python package is linked into `bin` or `Scripts`.
_LINK_SCRIPT = regex(r"(bin|Scripts|python-scripts)/\.[^/]+-(pre|post)-(link|unlink)\.(sh|bat)\Z", re.IGNORECASE)
_LINK_TYPES = ("python", "generic")
_LOOSE_BITS = 0o7002  # set-id, sticky, writable by anyone


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaPath:
    """One path that the package installs, before placeholders are replaced.

    :param sha256: of a file's content in hex, `size` in bytes, both compared with paths.json.
    :param mode: of a file, without set-id bits.
    :param link: a symbolic link's target, as written; its `sha256` and `size` are those that paths.json gives.
    :param prefix_placeholder: the text to replace by the prefix, in `file_mode`.
    """

    path: str
    kind: PathKind
    sha256: str | None = None
    size: int | None = None
    is_executable: bool = False
    mode: int = 0o644
    link: str | None = None
    prefix_placeholder: str | None = None
    file_mode: Literal["text", "binary"] | None = None
    no_link: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaManifest:
    """What a conda package installs, with all content hashed and compared with paths.json.

    :param index: index.json; `about`: about.json, empty if absent.
    :param paths: sorted, without `info/`.
    :param entry_points: of a noarch python package, as written (`name = module:attribute`), validated.
    :param link_scripts: those of `paths` that conda would run on link and unlink.
    """

    filename: str
    index: Mapping[str, object]
    paths: tuple[CondaPath, ...]
    noarch: Literal["python", "generic"] | None
    entry_points: tuple[str, ...]
    link_scripts: tuple[str, ...]
    about: Mapping[str, object]
    cautions: tuple[Caution, ...] = ()


def check_conda(
    path: Path,
    *,
    limits: Limits = DEFAULT_LIMITS,
    allow_external_symlinks: bool = False,
    filename: str | None = None,
    keep: Keep | None = None,
) -> CondaManifest:
    """Validate the conda package at `path`; read it once, and write nothing.

    :param allow_external_symlinks: accept symbolic links that leave the package; members below them stay refused.
    :param filename: the package's own file name, if `path` has another one.
    :param keep: receives the content of files, as in `scan_tar`; trust it only after this returns.

    Raises `UnsafeInputError` (exit 3: `zip-*`, `tar-*`, `conda-layout`, `path-*`, `reserved-path`, `limit-*`,
    `entry-point`), `IntegrityError` (exit 5: `zip-crc`, `record-hash`) and `OSError`.
    """
    name = filename or path.name
    stem = _stem(name)
    with path.open("rb", buffering=_BUFFER) as stream:
        if name.endswith(".conda"):
            contents = read_conda(stream, name, stem, limits, _wanted(limits), keep)
        else:
            size = stream.seek(0, 2)
            contents = scan_tar(bzip2_content(stream, name), size, name, limits, _wanted(limits), keep)
    _check_places(contents.members, name)
    if not allow_external_symlinks:
        links = {path: each.link or "" for path, each in contents.members.items() if each.kind == "symlink"}
        check_links(links, name)
    index = _read_index(contents.documents, name, stem, limits)
    listing = read_listing(contents.documents, name, limits)
    paths = tuple(_reconcile(contents.members, listing, name))
    noarch = _read_noarch(index, name)
    warned = cautions(path.path for path in paths) + tuple(_other_cautions(contents.members, listing))
    warned += tuple(contents.cautions) + tuple(_misnamed(index, stem))
    about = contents.documents.get(_ABOUT)
    return CondaManifest(
        filename=name,
        index=index,
        paths=paths,
        noarch=noarch,
        entry_points=_read_entry_points(contents.documents, name, limits),
        link_scripts=tuple(path.path for path in paths if _LINK_SCRIPT.match(path.path)),
        about={} if about is None else parse_object(about, name, _ABOUT, limits),
        cautions=warned,
    )


def _stem(name: str) -> str:
    """`name-version-build`, from which clients name a cache directory and a record.

    Raises `UnsafeInputError` (`conda-layout`) for any other file name, which could escape.
    """
    for suffix in (".conda", ".tar.bz2"):
        stem = name.removesuffix(suffix)
        if stem != name and len(stem.rsplit("-", 2)) == 3 and _FILE_STEM.match(stem):
            return stem
    raise refused("conda-layout", name, "not NAME-VERSION-BUILD.conda, nor .tar.bz2")


def _wanted(limits: Limits) -> Mapping[str, int]:
    return dict.fromkeys(PATH_DOCUMENTS, limits.paths_json) | {
        _INDEX: limits.index_json,
        _ABOUT: limits.document,
        _LINK: limits.document,
    }


def _check_places(members: Mapping[str, TarMember], name: str) -> None:
    """Refuse reserved paths in any case (CA18; CEP 34, "additional restrictions")."""
    for path, member in members.items():
        lowered = path.lower()
        if lowered.partition("/")[0] == "conda-meta" or lowered == "info/repodata_record.json":
            problem = "the path belongs to the environment or the package cache"
            raise refused("reserved-path", name, problem, member=path, offset=member.offset)


def _read_index(documents: Mapping[str, bytes], name: str, stem: str, limits: Limits) -> Mapping[str, object]:
    if _INDEX not in documents:
        raise refused("conda-layout", name, "it is missing", member=_INDEX)
    index = parse_object(documents[_INDEX], name, _INDEX, limits)
    stated = [index.get(key) for key in ("name", "version", "build")]
    identity = "-".join(map(str, stated))
    # The members of a .conda repeat the file's name, so a contradicting one is refused. Clients go by the index of a
    # renamed .tar.bz2, which is later compared with its channel's record.
    may_differ = name.endswith(".tar.bz2") and all(stated) and _FILE_STEM.match(identity)
    if not all(isinstance(part, str) for part in stated) or (identity != stem and not may_differ):
        problem = f"it describes {shown(identity)}, which differs from the file name"
        raise refused("conda-layout", name, problem, member=_INDEX)
    if index.get(SITE_PACKAGES):
        path_below(index[SITE_PACKAGES], name, SITE_PACKAGES)
    return index


def _misnamed(index: Mapping[str, object], stem: str) -> Iterator[Caution]:
    identity = f"{index['name']}-{index['version']}-{index['build']}"
    if identity != stem:
        yield Caution(id="misnamed-archive", path=_INDEX, detail=f"it describes {identity}, the file name {stem}")


def _read_noarch(index: Mapping[str, object], name: str) -> Literal["python", "generic"] | None:
    noarch = index.get("noarch")
    if noarch == "python":
        return "python"
    if noarch == "generic" or noarch is True:  # the oldest packages have `true`
        return "generic"
    if noarch:  # conda and rattler refuse it too
        raise refused("conda-layout", name, f"noarch is {shown(str(noarch))}", member=_INDEX)
    return None


def _read_entry_points(documents: Mapping[str, bytes], name: str, limits: Limits) -> tuple[str, ...]:
    """The commands in link.json (CA22)."""
    if _LINK not in documents:
        return ()
    document = parse_object(documents[_LINK], name, _LINK, limits)
    noarch, version = document.get("noarch", {"type": "generic"}), document.get("package_metadata_version", 1)
    if version is True or version != 1 or not isinstance(noarch, dict) or noarch.get("type") not in _LINK_TYPES:
        raise refused("conda-layout", name, "unknown version or type of link.json", member=_LINK)
    texts = noarch.get("entry_points", [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise refused("conda-layout", name, "entry_points is not a list of strings", member=_LINK)
    commands = [_read_command(text, name) for text in texts]
    if len(set(commands)) != len(commands):  # clients differ in which one they use
        raise refused("entry-point", name, "a command is defined twice", member=_LINK)
    return tuple(texts)


def _read_command(text: str, name: str) -> str:
    """The name of one command; rattler links none with extras or a module that is not ASCII."""
    point = parse_entry_point(text, "console_scripts", name, _LINK)
    value = text.partition("=")[2].strip()
    if not value.isascii() or value.endswith("]"):
        raise refused("entry-point", name, f"not ASCII, or with extras: {shown(text)}", member=_LINK)
    return point.name


def _reconcile(
    members: Mapping[str, TarMember], listing: Mapping[str, ListedPath] | None, name: str
) -> Iterator[CondaPath]:
    """Compare the payload with the package's list (CA19); yield the installed paths, sorted.

    Unlisted files are not installed, as with conda, mamba and rattler.
    """
    payload = {path: member for path, member in members.items() if not is_info(path)}
    if listing is None:
        listing = {path: ListedPath(path=path) for path, member in payload.items() if member.kind != "directory"}
    parents = {path.rpartition("/")[0] for path in payload}
    for path in sorted(listing):
        known = payload.get(path)
        if known is None:
            if listing[path].kind != "directory" or path not in parents:
                raise refused("conda-layout", name, "the package lists it but does not contain it", member=path)
            yield CondaPath(path=path, kind="directory")
        else:
            yield _reconcile_path(known, listing[path], name)


def _reconcile_path(member: TarMember, listed: ListedPath, name: str) -> CondaPath:
    kind: PathKind = "file" if member.kind == "hardlink" else member.kind
    # Clients would install, say, an empty file instead of a library's link.
    if listed.kind not in {None, kind}:
        problem = f"paths.json lists a {listed.kind}, but it is a {kind}"
        raise refused("conda-layout", name, problem, member=member.path, offset=member.offset)
    if kind != "file":
        if listed.prefix_placeholder is not None:  # rattler would replace the link by its patched target
            raise refused("conda-layout", name, f"a {kind} with a prefix placeholder", member=member.path)
        return CondaPath(
            path=member.path,
            kind=kind,
            sha256=listed.sha256 if kind == "symlink" else None,
            size=listed.size if kind == "symlink" else None,
            link=member.link,
            no_link=listed.no_link,
        )
    # conda only warns about a wrong hash, rattler ignores it.
    for what, promised, actual in (("size", listed.size, member.size), ("sha256", listed.sha256, member.sha256)):
        if promised not in {None, actual}:
            problem = f"paths.json gives the {what} {promised}; it is {actual}"
            raise damaged("record-hash", name, problem, member=member.path, offset=member.offset)
    return CondaPath(
        path=member.path,
        kind=kind,
        sha256=member.sha256,
        size=member.size,
        is_executable=bool(member.mode & 0o111),
        mode=member.mode & 0o777,
        prefix_placeholder=listed.prefix_placeholder,
        file_mode=listed.file_mode,
        no_link=listed.no_link,
    )


def _other_cautions(members: Mapping[str, TarMember], listing: Mapping[str, ListedPath] | None) -> Iterator[Caution]:
    for path, member in members.items():
        if member.kind == "file" and member.mode & _LOOSE_BITS:
            yield Caution(id="loose-mode", path=path, detail=f"packed with mode {member.mode:o}, which is masked")
        if listing is not None and path not in listing and member.kind != "directory" and not is_info(path):
            yield Caution(id="unlisted-member", path=path, detail="the package does not list it: not installed")
    for path, listed in (listing or {}).items():
        if listed.kind == "file" and listed.sha256 is None:
            yield Caution(id="unhashed", path=path, detail="paths.json has no sha256 of it")
