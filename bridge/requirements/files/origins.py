"""Where a table says that one Python project comes from: an index, a repository, a path or a URL."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bridge.errors import UnsafeInputError, UsageError
from bridge.requirements.algebra import Requirement, parse_pypi, split_binding
from bridge.requirements.files.fields import Field
from bridge.requirements.files.local import direct_requirement

__all__ = ["Origin", "repository", "sourced"]

_SCP = re.compile(r"(?P<user>[A-Za-z0-9_.-]+@)?(?P<host>[A-Za-z0-9_.-]+):(?P<path>(?!//).+)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One place. At most one of `index`, `git`, `location` and `url` is set; none: wherever the indexes have it.

    :param index: the URL of the only index that may serve the project.
    :param git: the URL of a repository; `revision`: a branch, a tag or a commit of it.
    :param location: a folder, a wheel or a source distribution; relative to the file.
    :param subdirectory: of a repository or an archive.
    """

    index: str | None = None
    git: str | None = None
    revision: str | None = None
    location: str | None = None
    url: str | None = None
    subdirectory: str | None = None
    is_editable: bool = False


def sourced(requirement: Requirement, origin: Origin, field: Field) -> Requirement:
    """Return the requirement bound to its origin, which a field states. Raises `UsageError` (`requirement-file`).

    A project that is bound to one index is bound to wheels too: a conda package does not come from there.
    """
    if origin.index is not None:
        return parse_pypi(f"pypi:{split_binding(requirement.text)[1]}")
    url = _url(origin, field)
    if url is None:
        return requirement
    if requirement.url is not None:
        raise field.wrong(f"{requirement.name} has a URL already: {requirement.url}")
    name = re.split(r"[\[<>=!~;@ ]", split_binding(requirement.text)[1], maxsplit=1)[0]
    extras = f"[{','.join(requirement.extras)}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker is not None else ""
    text = f"{name}{extras} @ {url}{marker}"
    try:
        direct = direct_requirement(text, field.path.absolute().parent, is_editable=origin.is_editable)
        return direct if direct is not None else parse_pypi(text)
    except (UsageError, UnsafeInputError) as error:
        raise field.wrong(error.message, context=error.context, hint=error.hint) from error


def _url(origin: Origin, field: Field) -> str | None:
    fragment = f"#subdirectory={quote(origin.subdirectory)}" if origin.subdirectory else ""
    if origin.git is not None:
        revision = f"@{origin.revision}" if origin.revision else ""
        return f"{repository(origin.git, field.path)}{revision}{fragment}"
    if origin.url is not None:
        return f"{origin.url}{fragment}"
    if origin.location is None:
        return None
    place = Path(os.path.abspath(field.path.absolute().parent / os.path.expanduser(origin.location)))
    if not place.exists():
        raise field.wrong(f"there is neither a file nor a folder {place}")
    return f"{place.as_uri()}{fragment}"


def repository(url: str, path: Path) -> str:
    """Return a repository as pip writes it: `git+https://…`; `git@host:owner/name` becomes `git+ssh://…`."""
    if url.startswith("git+"):
        return url
    if "://" in url:
        return f"git+{url}"
    scp = _SCP.match(url)
    if scp is not None and not (path.absolute().parent / url).exists():
        return f"git+ssh://{scp['user'] or ''}{scp['host']}/{scp['path']}"
    return f"git+{Path(os.path.abspath(path.absolute().parent / os.path.expanduser(url))).as_uri()}"
