"""Where each setting of a run comes from, for `bridge info`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bridge.config import Settings
from bridge.config.condarc import condarc_files
from bridge.config.keys import KEYS
from bridge.config.layers import ConfigurationFile, Layer, read_layer
from bridge.config.layers import configuration_files as own_files
from bridge.config.lookup import Lookup
from bridge.config.pip import PipConfiguration, configuration_files
from bridge.secrets import masked
from converters.deferred import dataclass

__all__ = ["Setting", "configuration_of", "settings_with_origins"]

# Option -> the field of `Settings`, where that has another name.
_FIELDS: Mapping[str, str] = {
    "channel": "channels",
    "index_url": "index_urls",
    "index": "project_indexes",
    "virtual_package": "virtual_packages",
    "from": "from_directories",
    "trusted_host": "trusted_hosts",
    "keyring_provider": "keyring",
}
# Option -> (pip's names, conda's keys), in the order in which they are asked.
_ELSEWHERE: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "channel": ((), ("channels",)),
    "channel_priority": ((), ("channel_priority",)),
    "index_url": (("index-url", "extra-index-url"), ()),
    "find_links": (("find-links",), ()),
    "no_index": (("no-index",), ()),
    "exclude_newer": (("uploaded-prior-to",), ()),
    "offline": ((), ("offline",)),
    "ca_bundle": (("cert",), ("ssl_verify",)),
    "client_cert": (("client-cert",), ("client_ssl_cert",)),
    "proxy": (("proxy",), ("proxy_servers",)),
    "trusted_host": (("trusted-host",), ("ssl_verify",)),
    "timeout": (("timeout", "default-timeout"), ("remote_read_timeout_secs",)),
    "retries": (("retries",), ("remote_max_retries",)),
    "keyring_provider": (("keyring-provider",), ()),
    "yes": ((), ("always_yes",)),
    "link_mode": ((), ("always_copy",)),
}
_NOT_SHOWN = frozenset({"prefix", "name", "extra_index_url"})  # shown with others


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A setting as text, and where it comes from: an option, a variable, a file, or `default`."""

    name: str
    value: str
    source: str


def settings_with_origins(
    settings: Settings, options: Mapping[str, object], environ: Mapping[str, str], files: Sequence[Layer]
) -> tuple[Setting, ...]:
    """Every setting with its sources. Secrets are masked.

    :param files: bridge's own files, highest priority first.
    """
    ask, pip = Lookup(options, environ, files), PipConfiguration(environ)
    rows = []
    for key in KEYS.values():
        if key.option in _NOT_SHOWN:
            continue
        names, keys = _ELSEWHERE.get(key.option, ((), ()))
        sources = [each for each in (ask.source(key.option), _extra(key.option, ask)) if each] or [
            *(each for name in names if (each := pip.source(name)) is not None),
            *(each for name in keys for each in settings.conda.sources.get(name, ())),
        ]
        if key.option != "exclude_newer":
            value = _text(_value(settings, key.option))
        else:
            value = " ".join(ask.strings(key.option)) or ("as pip is configured" if sources else "")
        rows.append(Setting(name=key.name, value=value, source=", ".join(sources) or "default"))
    return tuple(rows)


def _value(settings: Settings, option: str) -> object:
    if option == "no_progress":
        return not settings.progress
    if option == "build_env":
        return settings.builds.variables
    if option.startswith("build_"):
        return getattr(settings.builds, option.removeprefix("build_"))
    if option == "virtual_package":
        return dict(settings.virtual_packages)
    return getattr(settings, _FIELDS.get(option, option))


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
    own = [str(file.path) for file in reversed(own_files(environ)) if _has_settings(file)]
    return {
        "bridge": own,
        "conda": [str(path) for path in condarc_files(environ, prefix)],
        "pip": [path for path in configuration_files(environ) if os.path.isfile(path)],
    }


def _has_settings(file: ConfigurationFile) -> bool:
    """Whether a file exists and, of a project, has `[tool.bridge]`."""
    return file.path.is_file() if not file.table else read_layer(file) is not None
