"""Name, version, build and subdir of conda packages from local channels, which some locks leave to the URL.

rattler derives these from the URL of a package on a server, and refuses an entry with a `file:` URL that lacks them.
conda-lockfiles and conda-workspaces derive them from every URL, and write none.
"""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

__all__ = ["with_identities"]

_ENTRY = re.compile(
    r"^- conda: (?P<quote>['\"]?)(?P<url>file:[^\s'\"]+)(?P=quote)\r?\n(?P<rest>(?:  [^\n]*(?:\n|\Z)|\r?\n)*)",
    re.MULTILINE,
)
_KEY = re.compile(r"^  (name|version|build|subdir|channel):", re.MULTILINE)
_FILE = re.compile(
    r"(?P<channel>.+)/(?P<subdir>[^/]+)/(?P<name>[^/]+)-(?P<version>[^/-]+)-(?P<build>[^/-]+)\.(?:conda|tar\.bz2)\Z"
)


def with_identities(text: str) -> str:
    """Return the text of a lock, in the layout that the tools write, with what its `file:` URLs tell of packages."""
    head, line, body = text.partition("\npackages:")
    return f"{head}{line}{_ENTRY.sub(_completed, body)}" if "- conda:" in body and "file:" in body else text


def _completed(entry: re.Match[str]) -> str:
    parts = _FILE.match(entry["url"])
    stated = set(_KEY.findall(entry["rest"]))
    if parts is None or stated >= {"name", "version", "build", "subdir", "channel"}:
        return entry[0]
    known = {key: unquote(value) if key != "channel" else value for key, value in parts.groupdict().items()}
    lines = [f"  {key}: {json.dumps(value)}\n" for key, value in known.items() if key not in stated]
    first, _, rest = entry[0].partition("\n")
    return f"{first}\n{''.join(lines)}{rest}"
