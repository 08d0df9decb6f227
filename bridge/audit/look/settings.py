"""Read the settings of an environment of conda, and the certificates that variables name. Reads only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from bridge.audit.look.inspection import Settings
from bridge.config.activation import stated_variables
from bridge.errors import BridgeError
from bridge.fs.system import try_lock
from bridge.paths import META
from bridge.prefix.pinned import PINNED, pinned_lines
from bridge.prefix.records import content

__all__ = ["CERTIFICATES", "read_settings"]

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
"""The variables that name the certificates of programs (OpenSSL, requests, curl, pip)."""

_MAX_SIZE = 1 << 20
_MAX_BUNDLE = 16 << 20
_VARIABLES = "etc/conda/env_vars.d"


def read_settings(prefix: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of an environment of conda, and what is wrong with them."""
    problems: dict[str, str] = {}
    stated: dict[str, str] = {}
    try:
        stated = stated_variables(prefix)
    except BridgeError as error:
        problems[f"{META}/state"] = "; ".join((error.message, *error.context))
    for name in _json_files(prefix / _VARIABLES):
        path = f"{_VARIABLES}/{name}"
        try:
            if not isinstance(json.loads(content(str(prefix / path), _MAX_SIZE)), dict):
                problems[path] = "it is not a JSON object"
        except (OSError, ValueError, RecursionError) as error:
            problems[path] = f"it is not a JSON document: {error}"
    named = {name: (value, "") for name in CERTIFICATES if (value := environ.get(name))}
    named |= {name: (value, f"{META}/state") for name in CERTIFICATES if (value := stated.get(name))}
    return Settings(
        pinned=_pinned(prefix, problems),
        problems=problems,
        certificates={
            name: (value, where, problem)
            for name, (value, where) in named.items()
            if (problem := _without_certificates(name, value))
        },
        named=tuple(sorted({os.path.abspath(value) for value, _ in named.values() if "\0" not in value})),
        without_locks=_without_locks(prefix),
    )


def _pinned(prefix: Path, problems: dict[str, str]) -> tuple[str, ...]:
    """The lines of `conda-meta/pinned` without comments."""
    try:
        return tuple(spec for _, spec in pinned_lines(prefix) if spec)
    except (OSError, ValueError) as error:
        problems[PINNED] = f"it cannot be read: {error}"
        return ()


def _json_files(directory: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory) if name.endswith(".json"))
    except OSError:
        return []


def _without_certificates(name: str, value: str) -> str:
    """Why a client finds no certificate at a path; empty: it does."""
    try:
        if os.path.isdir(value):
            return "" if name != "SSL_CERT_FILE" else "is a directory"
        if not os.path.exists(value):
            return "does not exist"
        data = content(value, _MAX_BUNDLE)
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"
    return "" if b"-----BEGIN " in data and b"CERTIFICATE-----" in data else "has no certificate"


def _without_locks(prefix: Path) -> str:
    """Why a file of the prefix cannot be locked; empty: it can, or there is none."""
    try:
        descriptor = os.open(prefix / META / "history", os.O_RDONLY | os.O_NONBLOCK)  # a pipe would block
    except OSError:
        return ""
    try:
        try_lock(descriptor, is_shared=True)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        os.close(descriptor)
    return ""
