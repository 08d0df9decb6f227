"""Explicit lists (`conda list --explicit`): the URL of each package with its hash behind `#`.

Wheels stand in two forms: as a URL like any other, which is what conda writes for an environment of bridge's, and as
the comment `# pip NAME @ URL --hash=sha256:…` of conda-lock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import UsageError
from bridge.prefix.origin import place_of
from bridge.requirements.algebra import Requirement, conda_requirement, parse_pypi
from bridge.requirements.files.constructs import Section, honoured, ignored, refused
from bridge.requirements.files.local import direct_requirement
from bridge.requirements.files.platforms import check_platform
from bridge.requirements.files.text import EXPLICIT
from bridge.requirements.files.values import FileRequirements, unique, wrong
from bridge.secrets import SECRETS
from converters.target import SUBDIRS

__all__ = ["LINES", "read_explicit"]

LINES = Section(
    name="explicit list",
    keys={
        "URL of a .conda or .tar.bz2": honoured("exactly this file; a hash behind # must fit"),
        "URL of a wheel or an sdist": honoured("exactly this file; a hash behind # must fit"),
        "# pip NAME @ URL": honoured("the same, as conda-lock writes it; `--hash=sha256:` must fit"),
        "# platform:": honoured("refused where the target is another platform"),
        "md5 of a wheel": ignored("wheels are verified by sha256 only"),
        "another line": refused("after @EXPLICIT each line is a URL"),
    },
    unknown="refused",
)

_HINT = f"after {EXPLICIT} each line is the URL of a package, as `conda list --explicit --sha256` writes them"
_PIP = re.compile(r"#\s*pip\s+(?P<requirement>\S.*)\Z")
_PYTHON_FILE = re.compile(r"(?:\.whl|\.tar\.gz|\.zip)\Z")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")


def read_explicit(path: Path, text: str, platform: str) -> FileRequirements:
    """Read each URL as a requirement that only that file meets, and the channels of the URLs.

    What the packages need is solved for like any other need: a list from which one is missing is completed or refused.
    Raises `UsageError` (`requirement-file`).
    """
    check_platform(path, text, platform)
    reading = _Reading(path, platform)
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        pip = _PIP.match(line)
        if pip is not None:
            reading.pip_comment(pip["requirement"], number)
        elif line and line != EXPLICIT and not line.startswith("#"):
            reading.url(line, number)
    return FileRequirements(
        requirements=unique(reading.found),
        channels=tuple(reading.channels),
        hashes={name: frozenset(digests) for name, digests in reading.hashes.items()},
        warnings=tuple(reading.warnings),
    )


@dataclass(slots=True)
class _Reading:
    path: Path
    platform: str
    found: list[Requirement] = field(default_factory=list)
    channels: dict[str, None] = field(default_factory=dict)
    hashes: dict[str, set[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def url(self, line: str, number: int) -> None:
        url, _, fragment = line.partition("#")
        try:
            if _PYTHON_FILE.search(url):
                direct = direct_requirement(url, Path.cwd())
                self._wheel(direct.text if direct is not None else None, url, fragment, number)
                return
            requirement = conda_requirement(line)
        except UsageError as error:
            raise wrong(self.path, number, error.message, context=error.context, hint=_HINT) from error
        if requirement.conda is None or requirement.conda.url is None:
            raise wrong(self.path, number, f"{line!r} is not the URL of a package", hint=_HINT)
        channel, subdir = place_of(url, self.platform)
        if subdir in SUBDIRS and subdir != self.platform:
            problem = f"this package is for {subdir}, and this is solved for {self.platform}"
            raise wrong(self.path, number, problem, hint="write the list on this platform")
        self.found.append(requirement)
        if "://" in channel:
            self.channels[SECRETS.learn(channel)] = None

    def pip_comment(self, text: str, number: int) -> None:
        """Read the comment that conda-lock writes for a wheel: NAME @ URL --hash=sha256:DIGEST."""
        body, *options = re.split(r"\s+--", text)
        digests = [option.removeprefix("hash=sha256:") for option in options if option.startswith("hash=sha256:")]
        if len(digests) != len(options) or len(digests) > 1:
            raise wrong(self.path, number, f"an option that cannot be read: {text}", hint="write --hash=sha256:…")
        url, _, fragment = body.partition("#")
        try:
            self._wheel(url, url, "".join(digests) or fragment, number)
        except UsageError as error:
            raise wrong(self.path, number, error.message, context=error.context) from error

    def _wheel(self, text: str | None, url: str, fragment: str, number: int) -> None:
        fragment = fragment.removeprefix("sha256:").removeprefix("sha256=")
        digest = fragment.lower() if _SHA256.match(fragment) else ""
        if fragment and not digest:
            self.warnings.append(f"{self.path}, line {number}: #{fragment} is not verified, it is no sha256")
        requirement = parse_pypi(f"{text or url}#sha256={digest}" if digest else text or url)
        if digest:
            self.hashes.setdefault(requirement.name, set()).add(digest)
        self.found.append(requirement)
