"""`bridge info`: versions, the platform, and every setting with its source."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from bridge import __version__
from bridge.channels.machine import current_subdir
from bridge.cli.session import Session
from bridge.config.environments import environment_name, environments_file, known_environments, root_prefix
from bridge.config.layers import Layer, layers
from bridge.config.lookup import Lookup
from bridge.config.origins import Setting, configuration_of, settings_with_origins
from bridge.secrets import masked
from converters.deferred import dataclass

__all__ = ["Information", "information"]

_LIBRARIES = ("py-rattler", "packaging", "installer", "resolvelib", "requests", "click", "rich")


@dataclass(frozen=True, slots=True, kw_only=True)
class Information:
    """What a run would use. `prefix_source` says why it is this environment."""

    libraries: Mapping[str, str]
    subdir: str
    subdir_source: str
    virtual_packages: Mapping[str, str]
    prefix: Path | None
    prefix_name: str
    prefix_source: str
    root: Path | None
    environments: int
    environments_file: Path
    channels: tuple[str, ...]
    caches: Mapping[str, str]
    files: Mapping[str, list[str]]
    settings: tuple[Setting, ...]

    def to_json(self) -> dict[str, object]:
        """The document of `bridge info --json` (`bridge/schemas/info.json`)."""
        return {
            "bridge": __version__,
            "python": {"version": platform.python_version(), "executable": sys.executable},
            "libraries": dict(self.libraries),
            "platform": self.subdir,
            "virtual_packages": dict(self.virtual_packages),
            "environment": {
                "prefix": None if self.prefix is None else str(self.prefix),
                "name": self.prefix_name or None,
                "source": self.prefix_source,
            },
            "conda_root": None if self.root is None else str(self.root),
            "environments": {"count": self.environments, "file": str(self.environments_file)},
            "channel_urls": list(self.channels),
            "caches": dict(self.caches),
            "configuration_files": dict(self.files),
            "settings": [{"name": each.name, "value": each.value, "source": each.source} for each in self.settings],
        }

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """The lines of the table: what, value, source."""
        yield "bridge", __version__, f"python {platform.python_version()}, {sys.executable}"
        for library, version in self.libraries.items():
            yield library, version, ""
        yield "platform", self.subdir, self.subdir_source
        virtual = ", ".join(f"{name} {version}" for name, version in self.virtual_packages.items())
        yield "virtual packages", virtual, ""
        name = f" ({self.prefix_name})" if self.prefix_name else ""
        yield "environment", f"{self.prefix}{name}" if self.prefix else "none", self.prefix_source
        yield "conda", str(self.root) if self.root else "not found", ""
        yield "environments", str(self.environments), f"bridge env list; {self.environments_file}"
        for tool, files in self.files.items():
            yield f"{tool}'s configuration", ", ".join(files) or "none", ""
        yield "channel URLs", ", ".join(self.channels), ""
        for each in self.settings:
            yield each.name, each.value or "-", each.source


def information(session: Session, options: Mapping[str, object], environ: Mapping[str, str]) -> Information:
    """Gather it; asks no server. Raises `UsageError` for settings that cannot be read."""
    settings = session.settings
    prefix = settings.prefix
    own, here = layers(environ), current_subdir()
    return Information(
        libraries={name: version for name in _LIBRARIES if (version := _version(name)) is not None},
        subdir=session.target.subdir,
        subdir_source="--platform" if settings.platform else "" if session.target.subdir == here else "the environment",
        virtual_packages={name: version for name, version, _ in session.target.virtual_packages},
        prefix=prefix,
        prefix_name=environment_name(prefix, settings.conda, environ) if prefix is not None else "",
        prefix_source=_prefix_source(options, environ, own) if prefix is not None else "",
        root=root_prefix(environ),
        environments=len(known_environments(settings.conda, environ)),
        environments_file=environments_file(environ),
        channels=tuple(map(masked, session.channel_urls())),
        caches={"bridge": str(settings.cache_dir), "host": str(settings.cache_dir / "host")},
        files=configuration_of(environ, prefix),
        settings=settings_with_origins(settings, options, environ, own),
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _prefix_source(options: Mapping[str, object], environ: Mapping[str, str], own: Sequence[Layer]) -> str:
    for option, form in (("prefix", "-p"), ("name", "-n")):
        if options.get(option):
            return form
    ask = Lookup({}, environ, own)
    named = (place.source(option) for place in ask.places for option in ("prefix", "name"))
    return next((each for each in named if each), "CONDA_PREFIX" if environ.get("CONDA_PREFIX") else os.curdir)
