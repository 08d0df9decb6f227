"""`Settings`: common options, environment variables and configuration files, resolved. Reads files only.

An option beats `BRIDGE_<OPTION>`, which beats bridge's own files (`layers`: the project's, the user's, the system's),
which beat pip's configuration, which beats conda's, which beats the default. pip's configuration is read as pip does
(its files in order, then `PIP_*`), conda's as conda does, without importing either. `indexes` says in which order
indexes serve.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from bridge.config.builds import BuildSettings, load_builds
from bridge.config.condarc import CondaConfiguration, read_condarc
from bridge.config.cooldown import Cooldown, load_cooldown
from bridge.config.indexes import IndexStrategy, default_index, load_indexes
from bridge.config.keys import KEY_OF_OPTION, OF_ONE_RUN
from bridge.config.layers import Layer, layers
from bridge.config.locations import public_locations
from bridge.config.lookup import Lookup
from bridge.config.moments import parse_cutoff, parse_timestamp
from bridge.config.network import KeyringProvider, load_network
from bridge.config.output import Color, load_output
from bridge.config.pip import PipConfiguration, home_directory
from bridge.config.policy_files import load_policy
from bridge.config.project import ProjectFiles
from bridge.errors import UsageError
from converters.deferred import dataclass, regex, replace
from converters.target import SUBDIRS

if TYPE_CHECKING:
    from typing import TypedDict

    from bridge.config.policy import Policy

    class _Changing(TypedDict):
        adopt: bool
        set_aside: bool
        allow_clobber: tuple[str, ...]
        allow_link_scripts: bool
        compile: bool
        allow_external_symlinks: bool
        refuse_startup_code: bool
        durability: Durability
        link_mode: LinkMode


__all__ = [
    "OPTIONS",
    "Color",
    "Durability",
    "LinkMode",
    "Lookup",
    "Prefer",
    "Settings",
    "default_index",
    "load",
    "parse_cutoff",
    "parse_timestamp",
]

Prefer = Literal["conda", "wheel", "newest"]
ChannelPriority = Literal["strict", "flexible"]
Durability = Literal["full", "batched", "none"]
LinkMode = Literal["auto", "clone", "copy", "hardlink"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The resolved common options. Times are in seconds.

    `name`: of the environment, if it was named by `-n`. `has_prefix`: it was given, and is not just the active one.
    `index_urls` and `channels`: highest priority first, without secrets, which `bridge.secrets` keeps; `proxy` keeps
    its own. `default_indexes`: those of `index_urls` that the user did not name on the command line, but configured.
    `project_indexes`: project → the only index that may serve it. `no_index`: files may not add an index either.
    `has_channels`: the user named channels; `override_channels`: files may not add any. `optional_channels`: those of
    `channels` that only a file names, beside the user's. `conda`: what is configured for conda only. `variables`: of
    files, for the activated environment. `from_directories`: folders of archives, searched before the network.
    `require_hashes` and `constraints` (files) come from pip's configuration. `policy`: names of channels in it are not
    located yet.
    """

    prefix: Path | None = None
    has_prefix: bool = False
    name: str | None = None
    channels: tuple[str, ...] = ("conda-forge",)
    has_channels: bool = False
    override_channels: bool = False
    optional_channels: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    conda: CondaConfiguration = field(default_factory=CondaConfiguration)
    warnings: tuple[str, ...] = ()
    channel_priority: ChannelPriority = "strict"
    index_urls: tuple[str, ...] = ()
    default_indexes: tuple[str, ...] = ()
    project_indexes: Mapping[str, str] = field(default_factory=dict)
    index_strategy: IndexStrategy = "first"
    no_index: bool = False
    find_links: tuple[str, ...] = ()
    from_directories: tuple[str, ...] = ()
    name_map: str | None = None
    platform: str | None = None
    virtual_packages: tuple[tuple[str, str], ...] = ()
    prefer: Prefer = "conda"
    only: Mapping[str, str] = field(default_factory=dict)
    cooldown: Cooldown = field(default_factory=Cooldown)
    policy: Policy | None = None
    offline: bool = False
    no_build: bool = False
    builds: BuildSettings = field(default_factory=BuildSettings)
    require_hashes: bool = False
    constraints: tuple[str, ...] = ()
    pre: bool = False
    patience: float = 60.0
    adopt: bool = False
    set_aside: bool = False
    allow_clobber: tuple[str, ...] = ()
    allow_link_scripts: bool = False
    compile: bool = False
    allow_external_symlinks: bool = False
    refuse_startup_code: bool = False
    override_frozen: bool = False
    lock_timeout: float = 60.0
    durability: Durability = "batched"
    link_mode: LinkMode = "auto"
    cache_dir: Path
    ca_bundle: str | None = None
    client_cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    trusted_hosts: tuple[str, ...] = ()
    timeout: float = 15.0
    retries: int = 3
    keyring: KeyringProvider = "auto"
    yes: bool = False
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    traces: bool = False
    progress: bool = True
    color: Color = "auto"

    @property
    def has_indexes(self) -> bool:
        """Whether there is an index or a find-links location to take files from."""
        return bool(self.index_urls or self.find_links or self.project_indexes)


OPTIONS = OF_ONE_RUN.union(KEY_OF_OPTION)
"""The options of `load`, by parameter name."""


def load(
    options: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    now: float | None = None,
    files: Sequence[Layer] | None = None,
) -> Settings:
    """Resolve the settings of one run.

    :param options: by parameter name (`index_url`, `no_build`); `None`, `False`, `""` and `()` mean "not given".
    :param environ: replaces the environment of the process.
    :param now: seconds since the epoch, for durations of `--exclude-newer` (default: the clock).
    :param files: bridge's own files, highest priority first (default: those of this environment and directory).
    :raises UsageError: `option-value`, `configuration-file`, `pip-configuration`, `conda-configuration`.
    """
    if unknown := set(options) - OPTIONS:
        raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
    project = ProjectFiles()
    files = layers(environ, project) if files is None else files
    ask, pip = Lookup(options, environ, files), PipConfiguration(environ)
    name, prefix, conda = _environment(ask, environ, _cache_dir(ask, environ))
    network = load_network(ask, pip, conda, environ)
    indexes = load_indexes(ask, pip)
    return Settings(
        prefix=prefix if prefix is not None else _active(environ),
        has_prefix=prefix is not None and bool(ask.given.string("prefix") or ask.given.string("name")),
        name=name,
        channels=_channels(ask, conda),
        has_channels=bool(ask.given.strings("channel")),
        override_channels=ask.flag("override_channels"),
        conda=conda,
        warnings=tuple(warning for layer in files for warning in layer.warnings),
        channel_priority=_priority(ask, conda),
        index_urls=indexes.urls,
        default_indexes=indexes.default,
        project_indexes=indexes.of_projects,
        index_strategy=indexes.strategy,
        no_index=indexes.is_none,
        find_links=indexes.find_links,
        name_map=next(iter(public_locations(ask, "name_map", filter(None, [ask.string("name_map")]))), None),
        platform=_platform(ask),
        virtual_packages=_virtual_packages(ask),
        prefer=cast("Prefer", ask.choice("prefer", get_args(Prefer), "conda")),
        only=_only(ask),
        cooldown=load_cooldown(ask, pip, time.time() if now is None else now),
        policy=load_policy(ask, environ, time.time() if now is None else now, project),
        **network,
        no_build=ask.flag("no_build"),
        builds=load_builds(ask, pip, offline=network["offline"]),
        require_hashes=pip.flag("require-hashes"),
        constraints=pip.values("constraint"),
        pre=ask.flag("pre"),
        patience=ask.number("patience", 60.0, above_zero=True),
        **_changing(ask, conda),
        # CEP 22: the override must not be configurable, so BRIDGE_OVERRIDE_FROZEN is not read.
        override_frozen=bool(options.get("override_frozen")),
        lock_timeout=ask.number("lock_timeout", 60.0),
        cache_dir=_cache_dir(ask, environ),
        **load_output(ask, conda),
    )


def _changing(ask: Lookup, conda: CondaConfiguration) -> _Changing:
    """How an environment is changed."""
    return {
        "adopt": ask.flag("adopt"),
        "set_aside": ask.flag("set_aside"),
        "allow_clobber": ask.strings("allow_clobber"),
        "allow_link_scripts": ask.flag("allow_link_scripts"),
        "compile": ask.flag("compile"),
        "allow_external_symlinks": ask.flag("allow_external_symlinks"),
        "refuse_startup_code": ask.flag("refuse_startup_code"),
        "durability": cast("Durability", ask.choice("durability", get_args(Durability), "batched")),
        "link_mode": cast(
            "LinkMode", ask.choice("link_mode", get_args(LinkMode), "copy" if conda.always_copy else "auto")
        ),
    }


def _channels(ask: Lookup, conda: CondaConfiguration) -> tuple[str, ...]:
    """The channels given, else those of bridge's or conda's configuration. Raises `UsageError`."""
    given = ask.given.strings("channel")
    if ask.flag("override_channels") and not given:
        raise UsageError(
            "override-channels", "--override-channels without a channel", hint="name the channels to use with -c"
        )
    if files := [text for text in given if text.lower().endswith((".txt", ".in")) and not os.path.isdir(text)]:
        raise UsageError(
            "channel-file",
            f"-c names a channel, and {files[0]} is the name of a file",
            hint="pip's constraints: write `-c FILE` into a requirements.txt, and give that with -r",
        )
    return public_locations(ask, "channel", ask.strings("channel") or conda.channels) or ("conda-forge",)


def _priority(ask: Lookup, conda: CondaConfiguration) -> ChannelPriority:
    default = conda.channel_priority or "strict"
    return cast("ChannelPriority", ask.choice("channel_priority", get_args(ChannelPriority), default))


def _platform(ask: Lookup) -> str | None:
    platform = ask.string("platform")
    if platform is None:
        return None
    if platform not in SUBDIRS:
        from bridge.config.platform_names import platform_meant  # noqa: PLC0415 - few platforms are unknown

        raise ask.wrong(
            "platform", platform, f"a known platform ({', '.join(sorted(SUBDIRS))})", hint=platform_meant(platform)
        )
    return platform


def _virtual_packages(ask: Lookup) -> tuple[tuple[str, str], ...]:
    packages = []
    for text in ask.strings("virtual_package"):
        name, _, version = text.partition("=")
        if not re.fullmatch(r"__[a-z0-9_]+", name) or not version.strip():
            raise ask.wrong("virtual_package", text, "of the form __NAME=VERSION, as in __glibc=2.28")
        # Wheel tags compare with numbers; other virtual packages have conda versions.
        form = _NUMERIC if name in {"__glibc", "__osx"} else _VERSION
        if not form.fullmatch(version.strip()):
            raise ask.wrong("virtual_package", text, "of the form __NAME=VERSION, as in __glibc=2.28")
        packages.append((name, version.strip()))
    return tuple(packages)


_NUMERIC = regex(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,4}")
_VERSION = regex(r"[0-9A-Za-z._!+=-]{1,64}")


def _only(ask: Lookup) -> dict[str, str]:
    values = {}
    for text in ask.bindings("only"):
        name, _, ecosystem = text.partition("=")
        if not name or ecosystem not in {"conda", "wheel"}:
            raise ask.wrong("only", text, "of the form NAME=conda or NAME=wheel")
        values[name.lower()] = ecosystem
    return values


def _environment(
    ask: Lookup, environ: Mapping[str, str], cache: Path
) -> tuple[str | None, Path | None, CondaConfiguration]:
    """The name and the directory of the environment that was given, and conda's configuration for it.

    Raises `UsageError` (`usage`, `environment-name`, `conda-configuration`).
    """
    name, prefix = _given(ask)
    conda = _conda(environ, prefix, cache)
    if name is None:
        return None, prefix, conda
    from bridge.config.environments import locate  # noqa: PLC0415 - most runs name a prefix, or none

    prefix = locate(name, conda, environ)
    return name, prefix, _conda(environ, prefix, cache)


def _given(ask: Lookup) -> tuple[str | None, Path | None]:
    """The name or the directory of the environment, from the first place with either. Raises `UsageError` (`usage`)."""
    for place in ask.places:
        directory, name = place.string("prefix"), place.string("name")
        if directory and name:
            forms = f"{place.source('prefix')} and {place.source('name')}".replace("--prefix and --name", "-p and -n")
            raise UsageError("usage", f"{forms} both name the environment", hint="give one of them")
        if directory:
            return None, Path(os.path.abspath(directory))
        if name:
            return name, None
    return None, None


def _active(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("CONDA_PREFIX")
    return Path(os.path.abspath(named)) if named else None


def _conda(environ: Mapping[str, str], prefix: Path | None, cache: Path) -> CondaConfiguration:
    """Return conda's configuration; the names of channels include the folder of `host`."""
    condarc = read_condarc(environ, prefix)
    return replace(condarc, names=replace(condarc.names, host=(cache / "host").absolute().as_uri()))


def _cache_dir(ask: Lookup, environ: Mapping[str, str]) -> Path:
    named = ask.string("cache_dir")
    if named is not None:
        return Path(os.path.abspath(named))
    configured = environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(configured):  # the XDG specification ignores relative paths
        return Path(configured) / "bridge"
    if sys.platform == "darwin":
        return home_directory(environ) / "Library" / "Caches" / "bridge"
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or home_directory(environ) / "AppData" / "Local") / "bridge" / "Cache"
    return home_directory(environ) / ".cache" / "bridge"
