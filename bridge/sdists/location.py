"""URLs that lead to source code instead of a wheel or a named sdist: folders, git repositories, plain archives.

The URL of a requirement says everything that a build needs. Its fragment may hold pip's `subdirectory=PATH` and
`egg=NAME`, and bridge's `editable=true`, which `-e` becomes. Pure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from bridge.errors import UnsafeInputError, UsageError
from bridge.sdists.names import parse_sdist_name
from bridge.secrets import masked
from converters.deferred import dataclass, regex
from converters.projects import canonicalize_name

__all__ = ["ARCHIVES", "EDITABLE", "SourceLocation", "pinned", "source_of", "stated"]

Kind = Literal["directory", "git", "archive"]

ARCHIVES = (".tar.gz", ".tgz", ".zip")
EDITABLE = "editable=true"
_GIT_SCHEMES = frozenset({"http", "https", "ssh", "git", "file"})
_VERSION_CONTROL = regex(r"(git|hg|svn|bzr)\+", re.IGNORECASE)
_SCP = regex(r"git\+(?:ssh://)?([^/@\s]+@[^/:\s]+):(?![0-9]+(?:/|\Z))(\S*)")
_REFERENCE = regex(r"[A-Za-z0-9_./+#%,=@{}~^!$&()'-]{1,250}\Z", re.ASCII)
_OF_CODE_HOST = regex(r"/(?:archive|zipball|tarball|zip|tar\.gz)/")
_EGG = regex(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?P<extras>\[[^\[\]]*\])?\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLocation:
    """A place of source code.

    :param url: without fragment; of git without `git+` and reference. `reference`: a branch, tag or commit, or empty.
    :param subdirectory: of the project in it, POSIX, or empty. `name`: the normalised project of `egg=`, or empty;
        `extras`: those of `egg=`, in brackets.
    """

    kind: Kind
    url: str
    reference: str = ""
    subdirectory: str = ""
    is_editable: bool = False
    name: str = ""
    extras: str = ""

    @property
    def place(self) -> tuple[str, str, str, bool]:
        """What two URLs of the same code have in common, whatever they call it."""
        return self.kind, self.url.rstrip("/").removesuffix(".git"), self.subdirectory, self.is_editable


@lru_cache(maxsize=4096)
def source_of(url: str) -> SourceLocation | None:
    """Return what a URL leads to; `None` for a wheel, or for an sdist whose name says what it is.

    Raises `UsageError` (`url-unsupported`) for other version control systems and transports, `UnsafeInputError`
    (`url-refused`) for a reference, host or subdirectory that a program could take for something else.
    """
    if "+" in url[:4] and _VERSION_CONTROL.match(url):
        return _git(url)
    place, _, fragment = url.partition("#")
    try:
        parts = urlsplit(place)
    except ValueError:
        return None  # who parses it says why it is no URL
    if parts.scheme not in {"http", "https", "file"}:
        return None
    last = unquote(parts.path.rpartition("/")[2])
    if last.endswith(".dist-info"):
        return None  # of an adopted wheel, which has no archive
    subdirectory, name, extras, is_editable = _fragment(url, fragment)
    kind: Kind = "archive"
    if parts.scheme == "file" and not last.endswith((*ARCHIVES, ".whl", ".conda", ".tar.bz2")):
        kind = "directory"
    elif last.endswith(".whl") or not (subdirectory or name or _is_unnamed_archive(parts.path, last)):
        return None
    return SourceLocation(
        kind=kind,
        url=place,
        subdirectory=subdirectory,
        is_editable=is_editable and kind == "directory",
        name=name,
        extras=extras,
    )


def stated(direct_url: Mapping[str, object], *, pins: bool = False) -> str | None:
    """Return the URL of source code in a direct_url.json (PEP 610) as a requirement states it; `None` for an archive.

    :param pins: name the commit instead of what was asked for.
    """
    url, vcs, folder = (direct_url.get(key) for key in ("url", "vcs_info", "dir_info"))
    if not isinstance(url, str):
        return None
    below = direct_url.get("subdirectory")
    marks = [f"subdirectory={below}"] if isinstance(below, str) and below else []
    if isinstance(vcs, Mapping):
        reference = vcs.get("commit_id" if pins else "requested_revision")
        url = f"git+{url}@{reference}" if isinstance(reference, str) and reference else f"git+{url}"
    elif isinstance(folder, Mapping):
        marks += [EDITABLE] if folder.get("editable") is True else []
    else:
        return None
    return f"{url}#{'&'.join(marks)}" if marks else url


def pinned(url: str, revision: str | None) -> str:
    """Return the URL of source code in the state `revision`: of git with the commit; a folder has no such URL."""
    source = source_of(url)
    if source is None or source.kind != "git" or not revision:
        return url
    fragment = url.partition("#")[2]
    return f"git+{source.url}@{revision}" + (f"#{fragment}" if fragment else "")


def _is_unnamed_archive(path: str, filename: str) -> bool:
    """Whether a path leads to an archive of sources whose name is no sdist's (`/archive/main.zip`, `/zipball/main`)."""
    if not filename.endswith(ARCHIVES):
        return bool(filename) and _OF_CODE_HOST.search(path) is not None
    try:
        parse_sdist_name(filename)
    except UnsafeInputError:
        return True
    return False


def _git(url: str) -> SourceLocation:
    place, _, fragment = url.partition("#")
    if not place.lower().startswith("git+"):
        raise UsageError(
            "url-unsupported",
            f"bridge reads git repositories, and no other version control system: {masked(url)}",
            hint="build a wheel of it (python -m build --wheel) and require that by its path or URL",
        )
    match = _SCP.match(place)
    if match is not None:
        hint = f"write it as a URL: git+ssh://{match[1]}/{match[2]}"
        raise UsageError("url-unsupported", f"not a URL: {masked(url)}", hint=hint)
    place = place[4:]
    try:
        parts = urlsplit(place)
        parts.port  # noqa: B018 - raises ValueError for an invalid port
    except ValueError as error:
        raise UsageError("url-unsupported", f"not a URL: {masked(url)}", context=(str(error),)) from error
    if parts.scheme not in _GIT_SCHEMES or not (parts.hostname or parts.scheme == "file"):
        allowed = ", ".join(f"git+{scheme}" for scheme in sorted(_GIT_SCHEMES))
        raise UsageError("url-unsupported", f"not the URL of a git repository: {masked(url)}", hint=f"use {allowed}")
    path, at, reference = parts.path.rpartition("@")
    if not at:
        path, reference = parts.path, ""
    reference = unquote(reference)
    if at and (reference.startswith("-") or not _REFERENCE.match(reference) or ".." in reference):
        raise UnsafeInputError(
            "url-refused",
            f"not the name of a branch, a tag or a commit: {reference!r}",
            context=(masked(url),),
            hint="write git+https://HOST/REPOSITORY@BRANCH_TAG_OR_COMMIT",
        )
    if (parts.hostname or "").startswith("-") or unquote(path).startswith(("-", "/-")):
        raise UnsafeInputError("url-refused", f"a host or path that begins with `-`: {masked(url)}")
    subdirectory, name, extras, _ = _fragment(url, fragment)
    return SourceLocation(
        kind="git",
        url=parts._replace(path=path).geturl(),
        reference=reference,
        subdirectory=subdirectory,
        name=name,
        extras=extras,
    )


def _fragment(url: str, fragment: str) -> tuple[str, str, str, bool]:
    """(subdirectory, normalised name, extras, whether it is editable) of a URL's fragment."""
    values = parse_qs(fragment)
    subdirectory = posixpath.normpath(values.get("subdirectory", ["."])[-1].strip("/") or ".")
    if subdirectory.split("/")[0] == ".." or "\0" in subdirectory or "\\" in subdirectory:
        raise UnsafeInputError("url-refused", f"a subdirectory outside of the source: {masked(url)}")
    egg = _EGG.match(values["egg"][-1]) if "egg" in values else None
    if "egg" in values and egg is None:
        raise UsageError("url-unsupported", f"not the name of a project: egg={values['egg'][-1]!r}")
    return (
        "" if subdirectory == "." else subdirectory,
        canonicalize_name(egg["name"]) if egg else "",
        (egg["extras"] or "") if egg else "",
        EDITABLE in fragment.split("&"),
    )
