"""The result of `bridge lock` and `bridge export`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge.lock.changes import Change
from bridge.lock.content import Content, Format
from bridge.lock.platforms import Place
from bridge.requirements.locked import Locked, LockedConda, LockedWheel

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A lock that was written, or that still fits (`is_checked`). `left_out`: what its format cannot hold."""

    path: Path
    format: Format | Literal["bill"]
    content: Content
    changes: tuple[Change, ...] = ()
    left_out: tuple[str, ...] = ()
    is_written: bool = False
    is_checked: bool = False
    text: str = ""

    @property
    def summary(self) -> str:
        counts = [
            f"{Place(environment=environment.name, platform=platform)}: {len(listed)} packages"
            for environment in self.content.environments
            for platform, listed in environment.packages.items()
        ]
        what = "fits" if self.is_checked else "written" if self.is_written else "nothing written"
        return f"{self.path}: {what} ({'; '.join(counts)})"

    def to_json(self) -> dict[str, object]:
        """The document of `lock`: the packages of each environment and platform, and what changed."""
        return {
            "path": str(self.path),
            "format": self.format,
            "written": self.is_written,
            "environments": [
                {
                    "name": environment.name,
                    "channels": list(environment.channels),
                    "indexes": list(environment.indexes),
                    "platforms": {
                        platform: [_document(each) for each in sorted(listed, key=lambda each: each.name)]
                        for platform, listed in sorted(environment.packages.items())
                    },
                }
                for environment in self.content.environments
            ],
            "changes": [
                {"name": each.name, "before": each.before, "after": each.after, "places": list(each.places)}
                for each in self.changes
            ],
            "left_out": list(self.left_out),
        }

    def to_export_json(self) -> dict[str, object]:
        """The document of `export`."""
        return {
            "path": str(self.path) if self.is_written else None,
            "format": self.format,
            "text": self.text,
            "left_out": list(self.left_out),
        }


def _document(each: Locked) -> dict[str, object]:
    source = "conda" if isinstance(each, LockedConda) else "wheel" if isinstance(each, LockedWheel) else "source"
    return {
        "name": each.name,
        "version": each.version,
        "source": source,
        "url": each.url,
        "sha256": each.sha256,
        "requested": list(each.requested),
    }
