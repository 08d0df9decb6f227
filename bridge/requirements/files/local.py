"""Requirements that are paths: `./dist/x-1.0-py3-none-any.whl` becomes `x @ file:///…`, a conda package its URL."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker

from bridge.errors import UnsafeInputError, UsageError
from bridge.fetch.urls import file_name, local_path
from bridge.requirements.algebra import MAX_TEXT
from bridge.sdists.names import parse_sdist_name
from bridge.secrets import masked
from converters.wheel import parse_wheel_name

__all__ = ["local_requirement", "url_requirement"]

_ARCHIVES = (".whl", ".tar.gz", ".zip")
_PACKAGES = (".conda", ".tar.bz2")
_PACKAGE = re.compile(r"[a-z0-9_][a-z0-9_.-]*-[^-]+-[^-]+(?:\.conda|\.tar\.bz2)\Z")  # NAME-VERSION-BUILD
_NAMED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<extras>\[[^\[\]]*\])?\s*@\s*(?P<location>\S.*)\Z", re.DOTALL
)
_MATCHSPEC = re.compile(r"(?!.*\.(?:whl|tar\.gz|zip)\Z).*::[A-Za-z0-9_]")  # with its channel: file:///CHANNEL::NAME
_SEMICOLON = re.compile(r"\s+;\s*|;\s+|;\Z|;")
_MAX_SEMICOLONS = 16  # of a URL
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def local_requirement(text: str, base: Path) -> str | None:
    """A path to a wheel or an sdist as a PEP 508 text, one to a conda package as its URL; `None`: the text is no path.

    Extras and a marker may follow, as pip has it (`./x-1.0.tar.gz[extra] ; marker`); `NAME @ PATH` is read as well. A
    text is a path if it begins with `/`, `./`, `../`, `~/` or `file:`, or ends as an archive's name does. Raises
    `UsageError` (`local-file`) where the path leads to nothing that can be installed.

    :param base: the folder that a relative path starts from.
    """
    if len(text) > MAX_TEXT:
        return None  # who parses it says that it is too long
    bare = text.strip().removeprefix("pypi:").strip()
    body, marker = _split_marker(bare)
    named = _NAMED.match(body)
    location, extras = (named["location"], named["extras"]) if named else _split_extras(body)
    if not _is_path(location) or _MATCHSPEC.match(location):
        return None
    try:
        path = _resolve(location, base)
    except ValueError as error:
        raise _wrong(text, f"{masked(location)} is no URL: {error}") from error
    fragment = urlsplit(location).fragment if location.startswith("file:") else ""
    url = path.as_uri() + (f"#{fragment}" if fragment else "")
    if os.path.isfile(path) and _PACKAGE.match(path.name) and not (named or marker or extras):
        return url
    project = _project_of(path, text)
    if named and re.sub(r"[-_.]+", "-", named["name"]).lower() != project:
        raise _wrong(text, f"{path.name} is a file of {project}, not of {named['name']}")
    return f"{named['name'] if named else project}{extras or ''} @ {url}" + (f" ; {marker}" if marker else "")


def url_requirement(text: str) -> str | None:
    """Return a requirement by URL, with or without a name before it, as a PEP 508 text; `None` for any other text.

    Raises `UsageError` (`local-file`) where there is no name, and the URL's last part is no archive's.
    """
    if len(text) > MAX_TEXT:
        return None
    body, marker = _split_marker(text.strip())
    named = _NAMED.match(body)
    if named and _SCHEME.match(named["location"]):
        return f"{body} ; {marker}" if marker else None
    url, extras = _split_extras(body)
    if not re.match(r"https?://\S+\Z", url):
        return None
    try:
        project = _archive_project(file_name(url))
    except (UnsafeInputError, ValueError) as error:
        hint = "write NAME @ URL, with the URL of a wheel or of a source distribution"
        raise UsageError("local-file", f"{masked(url)} names no archive", context=(str(error),), hint=hint) from error
    return f"{project}{extras or ''} @ {url}" + (f" ; {marker}" if marker else "")


def _split_marker(text: str) -> tuple[str, str]:
    """Return (what stands before the marker, the marker).

    In a URL a semicolon may be part of the path. It begins a marker where a space is beside it, as pip reads a bare
    URL and PEP 508 a named one, and where a marker follows (pip reads `NAME @ URL;marker`).
    """
    if "://" not in text:
        body, _, marker = text.partition(";")
        return body.strip(), marker.strip()
    for found in itertools.islice(_SEMICOLON.finditer(text), _MAX_SEMICOLONS):
        marker = text[found.end() :]
        if found[0] != ";" or _is_marker(marker):
            return text[: found.start()].strip(), marker.strip()
    return text.strip(), ""


def _is_marker(text: str) -> bool:
    try:
        Marker(text)
    except (ValueError, RecursionError):
        return False
    return True


def _split_extras(text: str) -> tuple[str, str]:
    body, bracket, extras = text.rpartition("[")
    return (body.rstrip(), bracket + extras) if body and extras.endswith("]") else (text, "")


def _is_path(location: str) -> bool:
    if location.startswith(("/", "./", "../", "~/", "file:")) or location in {".", ".."}:
        return True
    return location.endswith((*_ARCHIVES, *_PACKAGES)) and not _SCHEME.match(location) and "::" not in location


def _resolve(location: str, base: Path) -> Path:
    """The absolute path; of a `file:` URL that is relative (`file:dist/x.whl`), from `base` as well.

    Raises `ValueError` for a malformed URL.
    """
    if location.startswith("file:"):
        parts = urlsplit(location)
        found = local_path(location) if parts.path.startswith("/") else unquote(parts.path)
        location = found or ""
    return Path(os.path.abspath(base / os.path.expanduser(location)))


def _project_of(path: Path, text: str) -> str:
    if os.path.isdir(path):  # False for a name that is too long; `Path.is_dir` raises before Python 3.13
        hint = f"build a wheel of it first: python -m build --wheel {path}"
        raise _wrong(text, f"{path} is a folder; bridge installs wheels and source distributions", hint)
    if not os.path.isfile(path):
        raise _wrong(text, f"there is no file {path}")
    if path.name.endswith(_PACKAGES):
        hint = "name it by its path alone, below the folder of its channel: CHANNEL/SUBDIR/NAME-VERSION-BUILD.conda"
        raise _wrong(text, f"{path.name} is no conda package that can be named so", hint)
    try:
        return _archive_project(path.name)
    except UnsafeInputError as error:
        raise _wrong(text, error.message, error.hint) from error


def _archive_project(name: str) -> str:
    return parse_wheel_name(name).project if name.endswith(".whl") else parse_sdist_name(name)[0]


def _wrong(text: str, problem: str, hint: str | None = None) -> UsageError:
    return UsageError("local-file", problem, context=(f"asked for: {text}",), hint=hint)
