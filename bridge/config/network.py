"""How servers are reached: options, then pip's configuration, then conda's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, cast, get_args

from bridge.config.condarc import CondaConfiguration
from bridge.config.pip import PipConfiguration

if TYPE_CHECKING:
    from typing import TypedDict

    from bridge.config.lookup import Lookup

    class _Network(TypedDict):
        offline: bool
        from_directories: tuple[str, ...]
        ca_bundle: str | None
        client_cert: str | None
        proxy: str | None
        trusted_hosts: tuple[str, ...]
        timeout: float
        retries: int
        keyring: KeyringProvider


__all__ = ["KeyringProvider", "load_network"]

KeyringProvider = Literal["auto", "disabled", "import", "subprocess"]

_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def load_network(ask: Lookup, pip: PipConfiguration, conda: CondaConfiguration, environ: Mapping[str, str]) -> _Network:
    """Return the fields of `Settings` that concern the network. Raises `UsageError`."""
    bundle = conda.ssl_verify if isinstance(conda.ssl_verify, str) else None
    retries = 3 if conda.retries is None else conda.retries
    timeout = pip.number("timeout", "default-timeout", default=conda.timeout or 15.0)
    return {
        "offline": ask.flag("offline") if ask.source("offline") else conda.offline,
        "from_directories": tuple(map(os.path.abspath, ask.strings("from"))),
        "ca_bundle": ask.string("ca_bundle") or pip.value("cert") or _first(environ, _CA_VARIABLES) or bundle,
        "client_cert": ask.string("client_cert") or pip.value("client-cert") or conda.client_cert,
        "proxy": ask.string("proxy") or pip.value("proxy"),
        "trusted_hosts": ask.strings("trusted_host") or pip.values("trusted-host"),
        "timeout": ask.number("timeout", timeout, above_zero=True),
        "retries": ask.number("retries", pip.number("retries", default=retries)),
        "keyring": cast("KeyringProvider", ask.choice("keyring_provider", get_args(KeyringProvider), _of_pip(pip))),
    }


def _of_pip(pip: PipConfiguration) -> str:
    value = pip.value("keyring-provider")
    return value if value is not None and value in get_args(KeyringProvider) else "auto"


def _first(environ: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)
