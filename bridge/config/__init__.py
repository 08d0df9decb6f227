"""`Settings`: common options, environment variables and pip's configuration, resolved. Reads files only.

An option beats `BRIDGE_<OPTION>`, which beats pip's configuration, which beats the default. pip's configuration is
read as pip does (its files in order, then `PIP_*`), without importing pip.

The first index that has a project serves it. Their order:

1. an index given by option or `BRIDGE_INDEX_URL`, then the extra indexes; no other is asked;
2. with extra indexes only: these, then the indexes of pip's configuration;
3. pip's `index-url`, then its `extra-index-url`.

The default index always comes last, so that a private project is never looked up in the public index first
(dependency confusion). pip instead merges all indexes and takes the highest version.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args
from urllib.parse import urlsplit

from bridge.config.builds import BuildSettings, load_builds
from bridge.config.moments import parse_cutoff, parse_timestamp
from bridge.config.pip import BOOLEANS, PipConfiguration, finite, home_directory
from bridge.errors import UsageError
from bridge.secrets import SECRETS, masked
from converters.target import SUBDIRS

__all__ = [
    "OPTIONS",
    "Color",
    "Durability",
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
Color = Literal["auto", "always", "never"]

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The resolved common options. Times are in seconds.

    `index_urls` and `channels`: highest priority first, without secrets, which `bridge.secrets` keeps; `proxy` keeps
    its own. `has_channels`: the user named channels. `exclude_newer`: milliseconds since the epoch; files published
    then or later are excluded. `require_hashes` and `constraints` (files) come from pip's configuration.
    """

    prefix: Path | None = None
    channels: tuple[str, ...] = ("conda-forge",)
    has_channels: bool = False
    channel_priority: ChannelPriority = "strict"
    index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    name_map: str | None = None
    platform: str | None = None
    virtual_packages: tuple[tuple[str, str], ...] = ()
    prefer: Prefer = "conda"
    only: Mapping[str, str] = field(default_factory=dict)
    exclude_newer: int | None = None
    offline: bool = False
    no_build: bool = False
    builds: BuildSettings = field(default_factory=BuildSettings)
    require_hashes: bool = False
    constraints: tuple[str, ...] = ()
    pre: bool = False
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
    cache_dir: Path
    ca_bundle: str | None = None
    client_cert: str | None = None
    proxy: str | None = field(default=None, repr=False)
    trusted_hosts: tuple[str, ...] = ()
    timeout: float = 15.0
    retries: int = 3
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    progress: bool = True
    color: Color = "auto"


# The options of `load`, by parameter name. The second group is set only by BRIDGE_* or pip's configuration.
# fmt: off
OPTIONS = frozenset(
    {
        "prefix", "channel", "channel_priority", "index_url", "extra_index_url", "name_map", "platform",
        "virtual_package", "prefer", "only", "exclude_newer", "offline", "no_build", "pre", "adopt", "set_aside",
        "allow_clobber", "compile", "build_network",
        "allow_link_scripts", "allow_external_symlinks", "refuse_startup_code", "override_frozen",
        "lock_timeout", "durability", "json",
        "quiet", "verbose", "no_progress", "color",

        "find_links", "cache_dir", "ca_bundle", "client_cert", "proxy", "trusted_host", "timeout", "retries",
        "build_timeout", "build_confinement", "build_env",
    }
)
# fmt: on


def load(options: Mapping[str, object], environ: Mapping[str, str], *, now: float | None = None) -> Settings:
    """Resolve the settings of one run.

    :param options: by parameter name (`index_url`, `no_build`); `None`, `False`, `""` and `()` mean "not given".
    :param environ: replaces the environment of the process.
    :param now: seconds since the epoch, for durations of `--exclude-newer` (default: the clock).

    Raises `UsageError` (`option-value`, `pip-configuration`).
    """
    if unknown := set(options) - OPTIONS:
        raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
    ask = Lookup(options, environ)
    pip = PipConfiguration(environ)
    prefix = ask.string("prefix") or environ.get("CONDA_PREFIX") or None
    cutoff = ask.string("exclude_newer") or pip.value("uploaded-prior-to")
    index_urls, find_links = _indexes(ask, pip)
    return Settings(
        prefix=None if prefix is None else Path(os.path.abspath(prefix)),
        channels=_without_secrets(ask, "channel", ask.strings("channel")) or ("conda-forge",),
        has_channels=bool(ask.strings("channel")),
        channel_priority=cast("ChannelPriority", ask.choice("channel_priority", get_args(ChannelPriority), "strict")),
        index_urls=_without_secrets(ask, "index_url", index_urls),
        find_links=_without_secrets(ask, "find_links", find_links),
        name_map=next(iter(_without_secrets(ask, "name_map", filter(None, [ask.string("name_map")]))), None),
        platform=_platform(ask),
        virtual_packages=_virtual_packages(ask),
        prefer=cast("Prefer", ask.choice("prefer", get_args(Prefer), "conda")),
        only=_only(ask),
        exclude_newer=None if cutoff is None else _cutoff(ask, cutoff, time.time() if now is None else now),
        offline=ask.flag("offline"),
        no_build=ask.flag("no_build"),
        builds=load_builds(ask, pip, offline=ask.flag("offline")),
        require_hashes=pip.flag("require-hashes"),
        constraints=pip.values("constraint"),
        pre=ask.flag("pre"),
        adopt=ask.flag("adopt"),
        set_aside=ask.flag("set_aside"),
        allow_clobber=ask.strings("allow_clobber"),
        allow_link_scripts=ask.flag("allow_link_scripts"),
        compile=ask.flag("compile"),
        allow_external_symlinks=ask.flag("allow_external_symlinks"),
        refuse_startup_code=ask.flag("refuse_startup_code"),
        # CEP 22: the override must not be configurable, so BRIDGE_OVERRIDE_FROZEN is not read.
        override_frozen=bool(options.get("override_frozen")),
        lock_timeout=ask.number("lock_timeout", 60.0),
        durability=cast("Durability", ask.choice("durability", get_args(Durability), "batched")),
        cache_dir=_cache_dir(ask, environ),
        ca_bundle=ask.string("ca_bundle") or pip.value("cert") or _first(environ, _CA_VARIABLES),
        client_cert=ask.string("client_cert") or pip.value("client-cert"),
        proxy=ask.string("proxy") or pip.value("proxy"),
        trusted_hosts=ask.strings("trusted_host") or pip.values("trusted-host"),
        timeout=ask.number("timeout", pip.number("timeout", "default-timeout", default=15.0), above_zero=True),
        retries=ask.number("retries", pip.number("retries", default=3)),
        json=ask.flag("json"),
        quiet=ask.flag("quiet"),
        verbose=ask.flag("verbose"),
        progress=not ask.flag("no_progress"),
        color=cast("Color", ask.choice("color", get_args(Color), "auto")),
    )


_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def _first(environ: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)


class Lookup:
    """Looks a value up: the option, else the environment variable. Errors name the one used."""

    def __init__(self, options: Mapping[str, object], environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ

    def _find(self, key: str) -> tuple[object, str]:
        value = self._options.get(key)
        if value is not None and value is not False and value not in ("", ()):
            return value, "--" + key.replace("_", "-")
        variable = f"BRIDGE_{key.upper()}"
        return self._environ.get(variable) or None, variable

    def wrong(self, key: str, value: object, expected: str) -> UsageError:
        source = self._find(key)[1]
        return UsageError(
            "option-value",
            f"{source}: {str(value)!r} is not {expected}",
            objects={"option": source, "value": str(value)},
        )

    def string(self, key: str) -> str | None:
        value, _ = self._find(key)
        return None if value is None else str(value)

    def strings(self, key: str) -> tuple[str, ...]:
        """The values of a repeatable option, separated by white space in the environment."""
        value, _ = self._find(key)
        if value is None:
            return ()
        return (
            tuple(value.split())
            if isinstance(value, str)
            else tuple(str(part) for part in cast("Iterable[object]", value))
        )

    def flag(self, key: str) -> bool:
        value, _ = self._find(key)
        if value is None or isinstance(value, (bool, int)):
            return bool(value)
        word = str(value).strip().lower()
        if word not in BOOLEANS:
            raise self.wrong(key, value, "one of 1, 0, true, false, yes, no")
        return BOOLEANS[word]

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.string(key)
        if value is not None and value not in choices:
            raise self.wrong(key, value, f"one of {', '.join(choices)}")
        return value or default

    def number(self, key: str, default: Number, *, above_zero: bool = False) -> Number:
        text = self.string(key)
        if text is None:
            return default
        value = finite(text, default)
        if value is None or (above_zero and value == 0):
            kind = {int: "a whole number", float: "a number of seconds"}[type(default)]
            raise self.wrong(key, text, kind + (" above 0" if above_zero else ", 0 or more"))
        return value


def _platform(ask: Lookup) -> str | None:
    platform = ask.string("platform")
    if platform is None:
        return None
    if platform not in SUBDIRS:
        raise ask.wrong("platform", platform, f"a known platform ({', '.join(sorted(SUBDIRS))})")
    return platform


def _virtual_packages(ask: Lookup) -> tuple[tuple[str, str], ...]:
    found = []
    for text in ask.strings("virtual_package"):
        name, _, version = text.partition("=")
        if not re.fullmatch(r"__[a-z0-9_]+", name) or not version.strip():
            raise ask.wrong("virtual_package", text, "of the form __NAME=VERSION, as in __glibc=2.28")
        # Wheel tags compare with numbers; other virtual packages have conda versions.
        form = _NUMERIC if name in {"__glibc", "__osx"} else _VERSION
        if not form.fullmatch(version.strip()):
            raise ask.wrong("virtual_package", text, "of the form __NAME=VERSION, as in __glibc=2.28")
        found.append((name, version.strip()))
    return tuple(found)


_NUMERIC = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,4}")
_VERSION = re.compile(r"[0-9A-Za-z._!+=-]{1,64}")


def _only(ask: Lookup) -> dict[str, str]:
    found = {}
    for text in ask.strings("only"):
        name, _, ecosystem = text.partition("=")
        if not name or ecosystem not in {"conda", "wheel"}:
            raise ask.wrong("only", text, "of the form NAME=conda or NAME=wheel")
        found[name.lower()] = ecosystem
    return found


def _cutoff(ask: Lookup, text: str, now: float) -> int:
    try:
        return parse_cutoff(text, now)
    except ValueError as error:
        raise ask.wrong("exclude_newer", text, str(error)) from error


def _indexes(ask: Lookup, pip: PipConfiguration) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The indexes and find-links of this run, in the order of the module docstring."""
    named, extra, links = ask.string("index_url"), ask.strings("extra_index_url"), ask.strings("find_links")
    if named is not None:
        return _unique((named, *extra)), links
    if pip.flag("no-index"):
        configured: tuple[str, ...] = ()
    elif pip_named := pip.value("index-url", "pypi-url"):
        configured = (pip_named, *pip.values("extra-index-url"))
    else:
        configured = (*pip.values("extra-index-url"), default_index())
    return _unique((*extra, *configured)), links or pip.values("find-links")


def _without_secrets(ask: Lookup, key: str, urls: Iterable[str]) -> tuple[str, ...]:
    """URLs without their secrets, which are kept for requests. Raises `UsageError`."""
    found = []
    for url in urls:
        try:
            if "://" in url or (key != "channel" and _SCHEME.match(url) and not os.path.exists(url)):
                url = SECRETS.learn(url)  # noqa: PLW2901 - finds passwords that make a URL malformed
                _check_place(url)
            found.append(url)
        except ValueError as error:
            raise ask.wrong(key, masked(url), f"a URL: {error}") from error
    return tuple(found)


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def _check_place(url: str) -> None:
    """Raise `ValueError` for a URL without a host or with an invalid port."""
    parts = urlsplit(url)
    if parts.scheme != "file" and not parts.hostname:
        raise ValueError("it has no host")
    try:
        _ = parts.port  # The property validates.
    except ValueError:
        raise ValueError("its port is invalid") from None  # The text may contain part of a password.


def _unique(urls: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(urls))


def default_index() -> str:
    """The URL of the default index: a constant of pypi-simple.

    Importing that package takes a quarter of a second, so the constant is read from its source if possible.
    """
    spec = importlib.util.find_spec("pypi_simple")
    if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
        for node in ast.parse(Path(spec.origin).read_bytes()).body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Constant):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(target, ast.Name) and target.id == "PYPI_SIMPLE_ENDPOINT" for target in targets):
                    return str(node.value.value)
    return str(importlib.import_module("pypi_simple").PYPI_SIMPLE_ENDPOINT)


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
