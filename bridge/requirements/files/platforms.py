"""The platform that a list of conda's was written on: `# platform: linux-64`."""

from __future__ import annotations

from pathlib import Path

from bridge.requirements.files.values import wrong
from converters.deferred import regex

__all__ = ["check_platform"]

_PLATFORM = regex(r"#\s*platform:\s*(\S+)\s*\Z")


def check_platform(path: Path, text: str, platform: str) -> None:
    """Raise `UsageError` (`requirement-file`) where a list of builds is of another platform."""
    for number, line in enumerate(text.splitlines(), 1):
        match = _PLATFORM.match(line.strip())
        if match is not None and match[1] not in {platform, "noarch"}:
            hint = "write the list on this platform, or use a file without builds (conda env export --from-history)"
            problem = f"the list has builds for {match[1]}, and this is solved for {platform}"
            raise wrong(path, number, problem, hint=hint)
