"""The keys of a pixi manifest (pixi.toml, [tool.pixi]) and what bridge makes of each (pixi's manifest reference)."""

from __future__ import annotations

from bridge.requirements.files.constructs import Construct, Section, describes, honoured, ignored, refused

__all__ = [
    "CHANNEL",
    "CONDA_SPEC",
    "ENVIRONMENT",
    "FEATURE",
    "MANIFEST",
    "PLATFORM",
    "PYPI_OPTIONS",
    "PYPI_SPEC",
    "SYSTEM",
    "TARGET",
    "WORKSPACE",
]

_METADATA = describes("what the workspace is")
_BUILDS = "bridge builds no conda packages from source: name the package"
_ISOLATED = "builds are isolated, each with what it asks for: remove the key"

_CONTENT: dict[str, Construct] = {
    "dependencies": honoured("MatchSpecs"),
    "host-dependencies": honoured("the same, as pixi installs them"),
    "build-dependencies": honoured("the same, as pixi installs them"),
    "pypi-dependencies": honoured("requirements of projects"),
    "constraints": honoured("what must hold if a package is installed at all"),
    "activation": ignored("bridge runs no activation scripts of a workspace, and sets none of its variables"),
    "tasks": ignored("only pixi runs them"),
    "dev": refused(_BUILDS),
}
_FEATURE: dict[str, Construct] = {
    **_CONTENT,
    "pypi-options": honoured("indexes and formats"),
    "system-requirements": honoured("virtual packages that the target must have"),
    "target": honoured("the same tables for some platforms"),
}
_OF_FEATURE: dict[str, Construct] = {
    "channels": honoured("before those of the workspace"),
    "channel-priority": honoured("`strict`; another is refused"),
    "platforms": honoured("the target must be one of them"),
    "solve-strategy": honoured("`highest`; another is refused"),
}
TARGET = Section(name="pixi target.PLATFORM", keys=_CONTENT)
FEATURE = Section(
    name="pixi feature.NAME",
    keys={
        **_FEATURE,
        **_OF_FEATURE,
    },
)
MANIFEST = Section(
    name="pixi",
    keys={
        **_FEATURE,
        "workspace": honoured("channels and platforms"),
        "project": honoured("the former name of `workspace`"),
        "feature": honoured("where an environment has it"),
        "environments": honoured("one of them, by `--environment`; else `default`"),
        "exclude-newer": honoured("the cooldown of single packages"),
        "package": ignored("it says how pixi builds a conda package"),
        "tool": ignored("it configures other programs"),
        "$schema": describes("the schema of the file"),
    },
)
WORKSPACE = Section(
    name="pixi workspace",
    keys={
        "channels": honoured("the channels, by their priorities"),
        "platforms": honoured("the target must be one of them"),
        "channel-priority": honoured("`strict`; another is refused"),
        "solve-strategy": honoured("`highest`; another is refused"),
        "exclude-newer": honoured("a cooldown"),
        "pypi-options": honoured("as below a feature"),
        "name": _METADATA,
        "version": _METADATA,
        "description": _METADATA,
        "authors": _METADATA,
        "license": _METADATA,
        "license-file": _METADATA,
        "readme": _METADATA,
        "homepage": _METADATA,
        "repository": _METADATA,
        "documentation": _METADATA,
        "preview": ignored("it switches features of pixi itself"),
        "requires-pixi": ignored("it is the version of pixi itself"),
        "build-variants": ignored("they concern packages that pixi builds"),
        "build-variants-files": ignored("they concern packages that pixi builds"),
        "target": ignored("it concerns packages that pixi builds"),
        "conda-pypi-map": refused("name the map with --name-map"),
        "s3-options": refused("bridge reads channels over http and https, and folders"),
        "pinning-strategy": ignored("it configures `pixi add`"),
    },
)
PLATFORM = Section(
    name="pixi workspace.platforms",
    keys={
        "platform": honoured("the subdir"),
        "name": honoured("a name for `target`"),
        "linux": honoured("as in `system-requirements`"),
        "macos": honoured("as in `system-requirements`"),
        "libc": honoured("as in `system-requirements`"),
        "cuda": honoured("as in `system-requirements`"),
        "archspec": honoured("as in `system-requirements`"),
    },
    unknown="refused",
)
CHANNEL = Section(
    name="pixi channels",
    keys={
        "channel": honoured("its name or URL"),
        "priority": honoured("a higher one comes first"),
        "exclude-newer": refused("name the channel with --exclude-newer CHANNEL=…"),
    },
    unknown="refused",
)
ENVIRONMENT = Section(
    name="pixi environments.NAME",
    keys={
        "features": honoured("its features"),
        "no-default-feature": honoured("without the tables at the top"),
        **_FEATURE,
        **_OF_FEATURE,
        "solve-group": ignored("this environment is solved alone, so its versions may differ from those of the group"),
    },
    unknown="refused",
)
SYSTEM = Section(
    name="pixi system-requirements",
    keys={
        "linux": honoured("`__linux` of at least this version"),
        "macos": honoured("`__osx` of at least this version"),
        "libc": honoured("`__glibc` of at least this version"),
        "cuda": honoured("`__cuda` of at least this version"),
        "archspec": honoured("`__archspec` of this microarchitecture"),
    },
    unknown="refused",
)
PYPI_OPTIONS = Section(
    name="pixi pypi-options",
    keys={
        "index-url": honoured("the package index, asked last"),
        "extra-index-urls": honoured("further indexes, asked first"),
        "find-links": honoured("folders or pages of files"),
        "no-build": honoured("wheels only, for all or some projects"),
        "no-binary": honoured("source distributions only, for all or some projects"),
        "index-strategy": honoured("`first-index`; another is refused"),
        "prerelease-mode": honoured("`allow`, `if-necessary-or-explicit` and `explicit`; another is refused"),
        "no-build-isolation": refused(_ISOLATED),
        "dependency-overrides": refused("bridge overrides no package's requirements"),
        "skip-wheel-filename-check": refused("a wheel must have the name of its project"),
    },
    unknown="refused",
)
CONDA_SPEC = Section(
    name="pixi dependencies.NAME",
    keys={
        "version": honoured("of the MatchSpec"),
        "build": honoured("of the MatchSpec"),
        "build-number": honoured("of the MatchSpec"),
        "channel": honoured("the only channel that may serve it"),
        "subdir": honoured("of the MatchSpec"),
        "file-name": honoured("of the MatchSpec"),
        "md5": honoured("of the MatchSpec"),
        "sha256": honoured("of the MatchSpec"),
        "license": honoured("of the MatchSpec"),
        "extras": honoured("of the MatchSpec"),
        "when": honoured("a condition of the MatchSpec (CEP 43)"),
        "url": honoured("exactly this file"),
        "git": refused(_BUILDS),
        "path": refused(_BUILDS),
        "branch": refused(_BUILDS),
        "rev": refused(_BUILDS),
        "tag": refused(_BUILDS),
        "subdirectory": refused(_BUILDS),
    },
    unknown="refused",
)
PYPI_SPEC = Section(
    name="pixi pypi-dependencies.NAME",
    keys={
        "version": honoured("a PEP 440 specifier, or `*`"),
        "extras": honoured("its extras"),
        "index": honoured("the only index that may serve it"),
        "git": honoured("a repository"),
        "branch": honoured("its branch"),
        "tag": honoured("its tag"),
        "rev": honoured("its commit"),
        "subdirectory": honoured("of a repository or an archive"),
        "path": honoured("a folder, a wheel or a source distribution"),
        "editable": honoured("installed as a link to the folder"),
        "url": honoured("a wheel or a source distribution"),
        "env-markers": honoured("a PEP 508 marker"),
    },
    unknown="refused",
)
