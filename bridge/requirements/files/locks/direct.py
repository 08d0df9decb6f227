"""What a lock says of packages that come from no index: folders, archives and git repositories, as `LockedSource`."""

from __future__ import annotations

import os
import posixpath
import re
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from packaging.utils import InvalidSdistFilename, parse_sdist_filename, parse_wheel_filename

from bridge.fetch.urls import file_name
from bridge.requirements.algebra import pep440_version
from bridge.requirements.files.locks.errors import invalid
from bridge.requirements.files.origins import repository
from bridge.secrets import SECRETS
from converters.wheel import MAX_TAGS, count_tags

__all__ = [
    "COMMIT",
    "check_sdist",
    "check_wheel",
    "git_parts",
    "git_url",
    "is_sdist",
    "milliseconds",
    "name_of_file",
    "path_url",
    "place_url",
    "with_fragment",
]

COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z", re.ASCII)


def git_url(url: str, commit: str, subdirectory: str, path: Path) -> str:
    """Return a repository in one state as a requirement names it; a relative `url` starts from the lock's folder."""
    return with_fragment(f"{place_url(repository(url, path), path)}@{commit}", subdirectory)


def git_parts(text: str, path: Path) -> tuple[str, dict[str, str], str]:
    """Return (repository, what was asked for, commit) of `URL?rev=…&subdirectory=…#COMMIT`, as uv and pixi write it.

    Raises `UnsafeInputError` (`lock-invalid`) for another text.
    """
    try:
        parts = urlsplit(text)
        repository = parts._replace(query="", fragment="").geturl()
    except ValueError as error:
        raise invalid(path, "lock", f"not a URL: {text[:200]} ({error})") from error
    if not COMMIT.match(parts.fragment):
        raise invalid(path, "lock", f"source code is locked at no commit: {text[:200]}")
    return repository, {key: values[0] for key, values in parse_qs(parts.query).items()}, parts.fragment


def path_url(text: str, path: Path) -> str:
    """Return the `file:` URL of a path or `file:` URL that a lock states, relative to its folder."""
    if text.startswith("file:"):
        text = unquote(urlsplit(text).path)
    place = Path(os.path.abspath(path.absolute().parent / os.path.expanduser(text.replace("\\", "/"))))
    return place.as_uri()


def place_url(text: str, path: Path) -> str:
    """Return the URL of an artifact without its fragment and secrets, which are kept for requests; `text` is a URL or a
    path, relative to the lock's folder.

    Raises `UnsafeInputError` (`lock-invalid`) for what is neither.
    """
    try:
        if "://" not in text or text.startswith("file:"):
            return path_url(text.partition("#")[0] if text.startswith("file:") else text, path)
        return SECRETS.learn(text)
    except ValueError as error:
        raise invalid(path, "lock", f"not a URL: {text[:200]} ({error})") from error


def name_of_file(url: str, path: Path) -> str:
    """Return the file name at the end of a URL. Raises `UnsafeInputError` (`lock-invalid`) if it is not safe as one."""
    try:
        name = unquote(file_name(url))
    except ValueError as error:
        raise invalid(path, "lock", f"not a URL: {url[:200]} ({error})") from error
    if not name or name in {".", ".."} or any(each in name for each in "/\\\0"):
        raise invalid(path, "lock", f"not the URL of a file: {url[:200]}")
    return name


def check_sdist(filename: str, name: str, path: Path) -> None:
    """Raise `UnsafeInputError` (`lock-invalid`) for a source distribution of another project."""
    project = parse_sdist_filename(filename)[0] if is_sdist(filename) else name
    if project != name:
        raise invalid(path, "lock", f"{filename} is a file of {project}, not of {name}")


def check_wheel(filename: str, name: str, version: str, path: Path) -> None:
    """Raise `UnsafeInputError` (`lock-invalid`) for a file name that is not that of a project's wheel."""
    problem = ""
    if count_tags(filename) > MAX_TAGS:
        problem = f"{filename[:100]!r} stands for more than {MAX_TAGS} tags"
    else:
        try:
            named = parse_wheel_filename(filename)
        except ValueError as error:
            problem = str(error)
        else:
            if named[0] != name:
                problem = f"{filename} is a file of {named[0]}, not of {name}"
            elif version and pep440_version(version) not in {None, named[1]}:
                problem = f"{filename} is not a file of {name} {version}"
    if problem:
        raise invalid(path, "lock", problem)


def with_fragment(url: str, subdirectory: str) -> str:
    """Return the URL of source code whose project lies in a subdirectory."""
    folder = posixpath.normpath(subdirectory or ".")
    return url if folder == "." else f"{url}#subdirectory={quote(folder)}"


def is_sdist(filename: str) -> bool:
    """Return whether a file name says the project and the version of a source distribution."""
    try:
        parse_sdist_filename(filename)
    except InvalidSdistFilename:
        return False
    return True


def milliseconds(moment: datetime | None) -> int | None:
    """Return a time since the epoch; one without an offset is UTC (PEP 751)."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
    return int(aware.timestamp() * 1000)
