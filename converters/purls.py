"""Package URLs (purl) of wheels: the project and version, the file's name, and the index that served it.

The qualifiers `file_name` and `repository_url` are those of the purl specification (its list of known qualifiers, and
its `pypi` type).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

__all__ = ["WheelOrigin", "origin_of_wheel", "wheel_purl"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelOrigin:
    """What a purl says of one wheel. `index` is the URL of the Simple API, or empty."""

    project: str
    filename: str
    index: str = ""


def wheel_purl(project: str, version: str, filename: str = "", index: str = "") -> str:
    """`pkg:pypi/PROJECT@VERSION?file_name=…&repository_url=…`; qualifiers without a value are left out.

    The qualifiers are in the order of their names, as the purl specification demands of the canonical form.
    """
    said = {"file_name": filename, "repository_url": index.rstrip("/")}  # as records of channels are read
    qualifiers = "&".join(f"{key}={quote(value, safe=':/')}" for key, value in said.items() if value)
    return f"pkg:pypi/{project}@{quote(version, safe='')}{'?' if qualifiers else ''}{qualifiers}"


def origin_of_wheel(purls: Iterable[str]) -> WheelOrigin | None:
    """What the first purl says that names a wheel's file; `None` where none does."""
    for purl in purls:
        head, _, rest = purl.partition("?")
        qualifiers = dict(parse_qsl(rest.partition("#")[0].replace("+", "%2B")))
        filename = qualifiers.get("file_name", "")
        if head.startswith("pkg:pypi/") and filename.endswith(".whl") and "/" not in filename:
            project = head.removeprefix("pkg:pypi/").partition("@")[0]
            return WheelOrigin(project=project, filename=filename, index=qualifiers.get("repository_url", ""))
    return None
