"""Credentials for channels in files of other clients: of rattler and pixi, of mamba, and anaconda-client's tokens.

Source: rattler's `rattler_networking/src/authentication_storage`, mamba's documentation of `authentication.json`, and
`conda/gateways/anaconda_client.py`. What rattler and pixi keep in the system's keyring is the text of one entry.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from urllib.parse import unquote_plus, urlsplit

from bridge.config.files import read_named
from bridge.config.pip import home_directory
from converters.deferred import dataclass

__all__ = ["KEYRING_SERVICE", "Credential", "StoredCredentials", "of_keyring"]

KEYRING_SERVICE = "rattler"
"""The service of rattler's entries in the system's keyring; the user is a host or `*.DOMAIN`."""

_MAX_SIZE = 1 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One of: user and password, a bearer token, or a token for the path (`/t/TOKEN/`)."""

    user: tuple[str, str] | None = field(default=None, repr=False)
    bearer: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


class StoredCredentials:
    """The credentials of the user's stores, read when first asked for. Unreadable files and entries count as absent.

    :param has_tokens: use the tokens of anaconda-client (conda's `add_anaconda_token`).
    """

    def __init__(self, environ: Mapping[str, str], *, has_tokens: bool = True) -> None:
        self._environ = environ
        self._has_tokens = has_tokens
        self._known: dict[str, Credential] | None = None

    def of(self, url: str) -> Credential | None:
        """Return what is stored for a URL: for its longest known path, its host, or a wildcard of its domain."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            return None
        if self._known is None:
            self._known = dict(self._read())
        host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        path = f"{host}{parts.path}".rstrip("/")
        while path:
            if credential := self._known.get(path):
                return credential
            path = path.rpartition("/")[0]
        labels = parts.hostname.split(".")
        names = (".".join(("*", *labels[place:])) for place in range(1, len(labels)))
        return next((credential for name in (parts.hostname, *names) if (credential := self._known.get(name))), None)

    def _read(self) -> Iterator[tuple[str, Credential]]:
        """(host, `*.domain` or host with a path; credential), the store with the highest priority last."""
        home = home_directory(self._environ)
        if self._has_tokens:
            yield from self._tokens(home)
        yield from _of_file(home / ".mamba" / "auth" / "authentication.json", _of_mamba)
        named = self._environ.get("RATTLER_AUTH_FILE")
        yield from _of_file(Path(named) if named else home / ".rattler" / "credentials.json", _of_rattler)

    def _tokens(self, home: Path) -> Iterator[tuple[str, Credential]]:
        """`<quoted URL of an API>.token`; the channels of `api.DOMAIN` are on `conda.DOMAIN`."""
        for directory in _token_directories(home, self._environ):
            with suppress(OSError):
                for path in sorted(directory.glob("*.token")):
                    parts = urlsplit(unquote_plus(path.stem))
                    token = read_named(path, limit=_MAX_SIZE).decode("utf-8", "replace").strip()
                    if parts.hostname and token:
                        host = parts.netloc.rpartition("@")[2].lower()
                        host = f"conda.{host.removeprefix('api.')}" if host.startswith("api.") else host
                        yield f"{host}{parts.path}".rstrip("/"), Credential(token=token)


def _token_directories(home: Path, environ: Mapping[str, str]) -> list[Path]:
    if named := environ.get("BINSTAR_CONFIG_DIR"):
        return [Path(named) / "data"]
    if sys.platform == "darwin":
        return [home / "Library" / "Application Support" / "binstar"]
    if sys.platform == "win32":
        return [Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "ContinuumIO" / "binstar"]
    return [Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "binstar"]


def _of_file(path: Path, read: Callable[[Mapping[str, object]], Credential | None]) -> Iterator[tuple[str, Credential]]:
    try:
        document = json.loads(read_named(path, limit=_MAX_SIZE))
    except (OSError, ValueError, RecursionError):
        return
    for host, entry in document.items() if isinstance(document, dict) else ():
        credential = read(entry) if isinstance(entry, dict) else None
        if credential is not None:
            yield host.partition("://")[2].rstrip("/") or host.rstrip("/"), credential


def of_keyring(text: str) -> Credential | None:
    """Return the credential in the text of rattler's entry in a keyring; `None` if it is of another form."""
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _of_rattler(entry) if isinstance(entry, dict) else None


def _of_rattler(entry: Mapping[str, object]) -> Credential | None:
    """`{"BearerToken": …}`, `{"CondaToken": …}` or `{"BasicHTTP": {"username": …, "password": …}}`."""
    bearer, token, basic = (entry.get(key) for key in ("BearerToken", "CondaToken", "BasicHTTP"))
    if isinstance(bearer, str):
        return Credential(bearer=bearer)
    if isinstance(token, str):
        return Credential(token=token)
    return _basic(basic.get("username"), basic.get("password")) if isinstance(basic, dict) else None


def _of_mamba(entry: Mapping[str, object]) -> Credential | None:
    """`{"type": "BearerToken" or "CondaToken", "token": …}`, or `BasicHTTPAuthentication`, its password in base64."""
    kind, token, password = entry.get("type"), entry.get("token"), entry.get("password")
    if isinstance(token, str):
        return Credential(bearer=token) if kind == "BearerToken" else Credential(token=token)
    if kind != "BasicHTTPAuthentication" or not isinstance(password, str):
        return None
    import base64  # noqa: PLC0415 - few credentials are of this kind

    try:
        return _basic(entry.get("user"), base64.b64decode(password, validate=True).decode())
    except ValueError:
        return None


def _basic(user: object, password: object) -> Credential | None:
    return Credential(user=(user, password)) if isinstance(user, str) and isinstance(password, str) else None
