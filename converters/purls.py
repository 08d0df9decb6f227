"""Package URLs of wheels. The qualifiers `file_name`, `repository_url` and `vcs_url` are those of the purl
specification; `revision` is one of bridge.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl, quote

from converters.deferred import dataclass

__all__ = ["WheelOrigin", "origin_of_wheel", "wheel_purl"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelOrigin:
    """The project and file name in a wheel's purl.

    Each may be empty: `index`, the URL of the Simple API; `channel`, that of the conda channel; `revision`, that of the
    source code it was built from.
    """

    project: str
    filename: str
    index: str = ""
    channel: str = ""
    revision: str = ""


def wheel_purl(
    project: str,
    version: str,
    filename: str = "",
    index: str = "",
    *,
    channel: str = "",
    revision: str = "",
    vcs_url: str = "",
) -> str:
    """Return `pkg:pypi/PROJECT@VERSION?file_name=…&repository_url=…`, without qualifiers that have no value.

    `channel` is the conda channel that lists the wheel, in place of an index.

    The qualifiers are sorted by name, as the canonical form requires.
    """
    values = {"channel": channel.rstrip("/"), "file_name": filename, "repository_url": index.rstrip("/")}
    values |= {"revision": revision, "vcs_url": vcs_url}
    qualifiers = "&".join(f"{key}={quote(value, safe=':/')}" for key, value in values.items() if value)
    return f"pkg:pypi/{project}@{quote(version, safe='')}{'?' if qualifiers else ''}{qualifiers}"


def origin_of_wheel(purls: Iterable[str]) -> WheelOrigin | None:
    """Return the origin in the first purl that names a wheel file; `None`: no purl does."""
    for purl in purls:
        head, _, rest = purl.partition("?")
        qualifiers = dict(parse_qsl(rest.partition("#")[0].replace("+", "%2B")))
        filename = qualifiers.get("file_name", "")
        if head.startswith("pkg:pypi/") and filename.endswith(".whl") and "/" not in filename:
            project = head.removeprefix("pkg:pypi/").partition("@")[0]
            index, revision = qualifiers.get("repository_url", ""), qualifiers.get("revision", "")
            channel = qualifiers.get("channel", "")
            return WheelOrigin(project=project, filename=filename, index=index, channel=channel, revision=revision)
    return None
