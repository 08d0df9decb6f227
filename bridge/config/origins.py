"""Where each setting of a run comes from, for `bridge info`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.config import Lookup, Settings
from bridge.config.condarc import condarc_files
from bridge.config.pip import PipConfiguration, configuration_files
from bridge.secrets import masked

__all__ = ["Setting", "configuration_of", "settings_with_origins"]

# Option -> (the field of `Settings`, pip's names, conda's keys).
_SETTINGS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "channel": ("channels", (), ("channels",)),
    "channel_priority": ("channel_priority", (), ("channel_priority",)),
    "index_url": ("index_urls", ("index-url", "extra-index-url"), ()),
    "index": ("project_indexes", (), ()),
    "index_strategy": ("index_strategy", (), ()),
    "find_links": ("find_links", ("find-links",), ()),
    "no_index": ("no_index", ("no-index",), ()),
    "name_map": ("name_map", (), ()),
    "platform": ("platform", (), ()),
    "prefer": ("prefer", (), ()),
    "only": ("only", (), ()),
    "exclude_newer": ("cooldown", ("uploaded-prior-to",), ()),
    "offline": ("offline", (), ("offline",)),
    "no_build": ("no_build", (), ()),
    "pre": ("pre", (), ()),
    "patience": ("patience", (), ()),
    "lock_timeout": ("lock_timeout", (), ()),
    "durability": ("durability", (), ()),
    "cache_dir": ("cache_dir", (), ()),
    "ca_bundle": ("ca_bundle", ("cert",), ("ssl_verify",)),
    "client_cert": ("client_cert", ("client-cert",), ("client_ssl_cert",)),
    "proxy": ("proxy", ("proxy",), ("proxy_servers",)),
    "trusted_host": ("trusted_hosts", ("trusted-host",), ("ssl_verify",)),
    "timeout": ("timeout", ("timeout",), ("remote_read_timeout_secs",)),
    "retries": ("retries", ("retries",), ("remote_max_retries",)),
    "keyring_provider": ("keyring", ("keyring-provider",), ()),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting as text, and where it comes from: an option, a variable, a file, or `default`."""

    name: str
    value: str
    source: str


def settings_with_origins(
    settings: Settings, options: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[Setting, ...]:
    """The settings that say what is chosen and how it is fetched, with their sources. Secrets are masked."""
    ask, pip = Lookup(options, environ), PipConfiguration(environ)
    found = []
    for option, (field, names, keys) in _SETTINGS.items():
        sources = [each for each in (ask.source(option), _extra(option, ask)) if each] or [
            *(each for name in names if (each := pip.source(name)) is not None),
            *(each for key in keys for each in settings.conda.sources.get(key, ())),
        ]
        value = _text(getattr(settings, field))
        if option == "exclude_newer":
            value = " ".join(ask.strings(option)) or ("as pip is configured" if sources else "")
        found.append(Setting(name=option.replace("_", "-"), value=value, source=", ".join(sources) or "default"))
    return tuple(found)


def _extra(option: str, ask: Lookup) -> str | None:
    """A second option that adds to the first."""
    return ask.source("extra_index_url") if option == "index_url" else None


def _text(value: object) -> str:
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={masked(str(each))}" for name, each in value.items())
    if isinstance(value, Iterable) and not isinstance(value, (str, Path)):
        return ", ".join(masked(str(each)) for each in value)
    return masked(str(value))


def configuration_of(environ: Mapping[str, str], prefix: Path | None) -> dict[str, list[str]]:
    """The configuration files that exist, lowest priority first, by the tool that they are for."""
    return {
        "conda": [str(path) for path in condarc_files(environ, prefix)],
        "pip": [path for path in configuration_files(environ) if os.path.isfile(path)],
    }
