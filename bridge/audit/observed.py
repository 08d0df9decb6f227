"""What was found at a path of a prefix."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.model import Fingerprint

__all__ = ["Observed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What lies at one path.

    :param fingerprint: of the path itself; its size is there where some record claims the path. `sha256` is that of the
        content (for a link: of the file it leads to), and only there where some record promises one.
    :param is_dangling: a link that leads nowhere.
    :param problem: why it could not be read, or what it is if it is neither a file, a link nor a directory.
    :param links: how many names the inode has, where some record claims the path.
    :param real: the same path without linked directories (`lib64/…` → `lib/…`), where it differs.
    """

    fingerprint: Fingerprint
    is_dangling: bool = False
    problem: str = ""
    links: int = 1
    real: str | None = None
