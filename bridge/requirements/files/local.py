"""Requirements that are paths or URLs instead of names: archives, folders of projects, git repositories.

`./dist/x-1.0-py3-none-any.whl` becomes `x @ file:///…`, a conda package its URL, `-e .` becomes `-e x @ file:///…`.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging import markers

from bridge.errors import UnsafeInputError, UsageError, escaped
from bridge.fetch.urls import file_name, local_path
from bridge.requirements.algebra import MAX_TEXT, Requirement, parse, parse_pypi, split_binding, unnamed_requirement
from bridge.sdists.location import ARCHIVES, SourceLocation, source_of
from bridge.sdists.names import parse_sdist_name
from bridge.secrets import masked
from converters.deferred import dataclass, regex, replace
from converters.projects import canonicalize_name
from converters.wheel import parse_wheel_name

__all__ = ["NO_LINK", "absolute_path", "direct_requirement", "package_url"]

_FILES = (".whl", ".tar.gz", ".zip")
_PACKAGES = (".conda", ".tar.bz2")
_PACKAGE = regex(r"[a-z0-9_][a-z0-9_.-]*-[^-]+-[^-]+(?:\.conda|\.tar\.bz2)\Z")  # NAME-VERSION-BUILD
_NAMED = regex(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\[\]]*\])?\s*@\s*(?P<location>\S.*)\Z", re.DOTALL
)
_MATCHSPEC = regex(r"(?!.*\.(?:whl|tar\.gz|zip)\Z).*::[A-Za-z0-9_]")  # with its channel: file:///CHANNEL::NAME
_SEMICOLON = regex(r"\s+;\s*|;\s+|;\Z|;")
_MAX_SEMICOLONS = 16  # of a URL
_SCHEME = regex(r"[A-Za-z][A-Za-z0-9+.-]+:")
_VERSION_CONTROL = regex(r"(?:git|hg|svn|bzr)\+\S")
NO_LINK = "is installed as without -e: bridge keeps no working copy of a repository"
_NAME_HINT = "write NAME @ URL, with the URL of a wheel, a source distribution, an archive of sources or a repository"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """A text `[NAME[EXTRAS] @] LOCATION[EXTRAS] [; MARKER]`. `extras` have their brackets."""

    text: str
    location: str
    name: str = ""
    extras: str = ""
    marker: str = ""
    is_editable: bool = False

    @classmethod
    def of(cls, text: str, *, is_editable: bool) -> _Parts:
        body, marker = _split_marker(split_binding(text.strip())[1])
        named = _NAMED.match(body) if "@" in body else None
        if named:
            name, location, extras = named["name"], named["location"].strip(), named["extras"] or ""
        else:
            name, (location, extras) = "", _split_extras(body)
        return cls(text=text, location=location, name=name, extras=extras, marker=marker, is_editable=is_editable)

    def requirement(self, url: str, project: str) -> Requirement:
        """The requirement of a URL; `project` is empty if nobody knows it yet."""
        if not project:
            return unnamed_requirement(url, extras=self.extras, marker=self.marker, is_editable=self.is_editable)
        if self.name and canonicalize_name(self.name) != project:
            shown = masked(url).partition("#")[0]
            raise _wrong(self.text, f"{shown.rpartition('/')[2] or shown} is a file of {project}, not of {self.name}")
        marker = f" ; {self.marker}" if self.marker else ""
        return parse_pypi(f"{'-e ' if self.is_editable else ''}{self.name or project}{self.extras} @ {url}{marker}")


def direct_requirement(text: str, base: Path, *, is_editable: bool = False) -> Requirement | None:
    """Return what a path or URL asks for, named or not; `None` if the text is neither.

    `PATH_OR_URL[extra] ; marker` and `NAME[extra] @ PATH_OR_URL ; marker` are read as pip reads them. A text is a path
    if it begins with `/`, `./`, `../`, `~/` or `file:`, is `.` or `..`, ends in `/` or as an archive's name does, or is
    a folder's path with a `/` in it. The requirement has no name if only a build would tell it.

    :param base: the folder that a relative path starts from. `is_editable`: the text came after `-e`, where every
        folder's name is a path.

    Raises `UsageError` (`local-file`, `no-project`, `url-unsupported`) and `UnsafeInputError` (`url-refused`).
    """
    if len(text) > MAX_TEXT:
        return None  # who parses it says that it is too long
    if not is_editable and text.startswith("-e "):
        return direct_requirement(text[3:].strip(), base, is_editable=True)
    parts = _Parts.of(text, is_editable=is_editable)
    location = parts.location
    if "+" in location and _VERSION_CONTROL.match(location):
        return _of_source(parts, location)
    if (
        location.startswith("http")
        and re.match(r"https?://\S+\Z", location)
        and not location.partition("#")[0].endswith(_PACKAGES)
    ):
        return None if _is_matchspec(location) else _of_url(parts)
    if _is_matchspec(location) or not _is_path(location, base, is_editable=is_editable):
        if is_editable:
            raise _wrong(
                text, f"there is no folder {Path(base, location)}", "-e takes a project's folder, or a git URL"
            )
        return None
    return _of_path(parts, base)


def package_url(requirement: Requirement) -> str | None:
    """Return the URL of a conda package that a requirement names, and that may be in no channel; else `None`.

    A package in `CHANNEL/SUBDIR` is met by the channel's record, which may correct its own. Whether a server has a
    channel there is not asked here.
    """
    url = requirement.conda.url if requirement.conda is not None else None
    if url is None:
        return None
    url = url.partition("#")[0]
    location = local_path(url) if url.startswith("file:") else None
    if location is None:
        return url if url.startswith(("https:", "http:")) else None
    is_package = os.path.isfile(location) and not (Path(location).parent / "repodata.json").is_file()
    return Path(location).as_uri() if is_package else None


def _split_marker(text: str) -> tuple[str, str]:
    """Return (what stands before the marker, the marker).

    In a URL a semicolon may be part of the path. It begins a marker where a space is beside it, as pip reads a bare
    URL and PEP 508 a named one, and where a marker follows (pip reads `NAME @ URL;marker`).
    """
    if "://" not in text:
        body, _, marker = text.partition(";")
        return body.strip(), marker.strip()
    for match in itertools.islice(_SEMICOLON.finditer(text), _MAX_SEMICOLONS):
        marker = text[match.end() :]
        if match[0] != ";" or _is_marker(marker):
            return text[: match.start()].strip(), marker.strip()
    return text.strip(), ""


def _is_marker(text: str) -> bool:
    try:
        markers.Marker(text)
    except (ValueError, RecursionError):
        return False
    return True


def _split_extras(text: str) -> tuple[str, str]:
    body, bracket, extras = text.rpartition("[")
    return (body.rstrip(), bracket + extras) if body and extras.endswith("]") else (text, "")


def _is_matchspec(text: str) -> bool:
    return "::" in text and _MATCHSPEC.match(text) is not None


def _is_path(location: str, base: Path, *, is_editable: bool) -> bool:
    if location.startswith(("/", "./", "../", "~/", "file:")) or location in {".", ".."}:
        return True
    if (":" in location and (_SCHEME.match(location) or "::" in location)) or not location:
        return False
    if location.endswith((*_FILES, *_PACKAGES)):
        return True
    return ("/" in location or is_editable) and os.path.isdir(base / location)


def _of_url(parts: _Parts) -> Requirement | None:
    """A requirement at an http URL."""
    url = parts.location
    source = source_of(url)
    if source is not None:
        return _of_source(parts, url, source)
    if parts.name:
        return parts.requirement(url, canonicalize_name(parts.name))
    try:
        return parts.requirement(url, _archive_project(file_name(url)))
    except (UnsafeInputError, ValueError) as error:
        context = (str(error),)
        raise UsageError("local-file", f"{masked(url)} names no archive", context=context, hint=_NAME_HINT) from error


def _of_source(parts: _Parts, url: str, source: SourceLocation | None = None) -> Requirement:
    source = source or source_of(url)
    assert source is not None
    if parts.is_editable and source.kind == "archive":
        raise _wrong(parts.text, "an archive cannot be editable", "omit -e, or unpack it and name the folder")
    if parts.is_editable:
        parts = replace(parts, is_editable=False)  # there is no working copy that a link could lead to
    if source.extras and not parts.extras:  # pip's old `#egg=NAME[EXTRA]`
        parts = replace(parts, name=source.name, extras=source.extras)
    return parts.requirement(url, source.name or canonicalize_name(parts.name))


def _of_path(parts: _Parts, base: Path) -> Requirement:
    location = parts.location
    try:
        path = absolute_path(location, base)
    except ValueError as error:
        raise _wrong(parts.text, f"{masked(location)} is not a URL: {error}") from error
    fragment = urlsplit(location).fragment if location.startswith("file:") else ""
    url = path.as_uri() + (f"#{fragment}" if fragment else "")
    if os.path.isfile(path) and _PACKAGE.match(path.name) and not (parts.name or parts.marker or parts.extras):
        return parse(url)
    if os.path.isdir(path):  # False for a name that is too long; `Path.is_dir` raises before Python 3.13
        return _of_folder(parts, path, fragment)
    if not os.path.isfile(path):
        raise _wrong(parts.text, f"there is no {'folder' if parts.is_editable else 'file'} {path}", "check the path")
    if path.name.endswith(_PACKAGES):
        hint = "name it by its path alone, below the folder of its channel: CHANNEL/SUBDIR/NAME-VERSION-BUILD.conda"
        raise _wrong(parts.text, f"{path.name} is not a conda package that can be named like this", hint)
    if parts.is_editable:
        raise _wrong(parts.text, f"{path.name} is a file, and cannot be editable", "omit -e")
    source = source_of(url)
    if source is not None:
        return _of_source(parts, url, source)
    try:
        return parts.requirement(url, _archive_project(path.name))
    except UnsafeInputError as error:
        raise _wrong(parts.text, error.message, error.hint) from error


def _of_folder(parts: _Parts, path: Path, fragment: str) -> Requirement:
    # A folder that is named like an archive is told from one by the slash.
    url = path.as_uri() + ("/" if path.name.endswith((*ARCHIVES, *_FILES, *_PACKAGES)) else "")
    url += f"#{fragment}" if fragment else ""
    source = source_of(url)
    assert source is not None
    from bridge.sdists.static import is_project, read_static  # noqa: PLC0415 - imports a reader of TOML

    project = path / source.subdirectory
    if not is_project(project):
        raise UsageError(
            "no-project",
            f"{project} is not a project: it has neither a pyproject.toml nor a setup.py",
            context=(f"asked for: {escaped(parts.text)}",),
            hint="name a project's folder, a wheel, a source distribution or a requirement",
        )
    return parts.requirement(url, read_static(project).name or source.name or canonicalize_name(parts.name))


def absolute_path(location: str, base: Path) -> Path:
    """Return the absolute path; a relative path or `file:` URL (`file:dist/x.whl`) starts from `base`.

    Raises `ValueError` for a malformed URL, and `UnsafeInputError` (`url-refused`) for the URL of another host.
    """
    if location.startswith("file:"):
        parts = urlsplit(location)
        location_path = local_path(location) if parts.path.startswith("/") else unquote(parts.path)
        location = location_path or ""
    return Path(os.path.abspath(base / os.path.expanduser(location)))


def _archive_project(name: str) -> str:
    return parse_wheel_name(name).project if name.endswith(".whl") else parse_sdist_name(name)[0]


def _wrong(text: str, problem: str, hint: str | None = None) -> UsageError:
    return UsageError("local-file", problem, context=(f"asked for: {escaped(masked(text))}",), hint=hint)
