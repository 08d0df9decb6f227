"""The fingerprint of a path: kind, content and mode."""

from __future__ import annotations

from typing import Literal

from converters.deferred import dataclass

__all__ = ["Fingerprint", "PathKind"]

PathKind = Literal["file", "symlink", "directory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What is (or will be) at a path. `link` is a symlink's target text; `mode` is `st_mode & 0o7777`.

    `sha256`, `size` and `mode` are `None` where unknown.
    """

    kind: PathKind
    sha256: str | None = None
    size: int | None = None
    mode: int | None = None
    link: str | None = None
