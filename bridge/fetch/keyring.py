"""Passwords from the system's keyring, found as pip finds them (pip 26, `network/auth.py`)."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from bridge.config.network import KeyringProvider

__all__ = ["Keyring"]

_SECONDS = 120  # for the person to unlock the keyring


class Keyring:
    """Asks the keyring, each service once. Thread-safe. A keyring that fails has no passwords.

    :param provider: `import` uses the package `keyring` of this interpreter, `subprocess` the command `keyring` of
        `PATH`, `auto` the first that exists.
    """

    def __init__(self, provider: KeyringProvider) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str | None], tuple[str, str] | None] = {}

    def find(self, service: str, user: str | None) -> tuple[str, str] | None:
        """Return (user, password) for a service: the URL of an index, or a host and port. `user`: only this one's."""
        with self._lock:  # a keyring may ask the person to unlock it: once, not in each thread
            if (service, user) not in self._known:
                self._known[service, user] = self._find(service, user)
            return self._known[service, user]

    def _find(self, service: str, user: str | None) -> tuple[str, str] | None:
        if self._provider in {"auto", "import"} and find_spec("keyring") is not None:
            return _imported(service, user)
        command = _command() if self._provider in {"auto", "subprocess"} else None
        return None if command is None or user is None else _asked(command, service, user)


def _imported(service: str, user: str | None) -> tuple[str, str] | None:
    try:
        keyring = import_module("keyring")
        if hasattr(keyring, "get_credential"):
            credential = keyring.get_credential(service, user)
            return None if credential is None else (str(credential.username), str(credential.password))
        password = None if user is None else keyring.get_password(service, user)
    except Exception:  # noqa: BLE001 - backends raise anything
        return None
    return None if user is None or password is None else (user, str(password))


def _command() -> str | None:
    """Return the command `keyring`, not one beside this interpreter: it is here to be imported, or of no use."""
    scripts = Path(sysconfig.get_path("scripts"))
    folders = [Path(text) for text in os.environ.get("PATH", os.defpath).split(os.pathsep) if text]
    name = "keyring.exe" if os.name == "nt" else "keyring"
    candidates = (folder / name for folder in folders if folder.is_dir() and not _is_same(folder, scripts))
    return next((str(path) for path in candidates if path.is_file() and os.access(path, os.X_OK)), None)


def _is_same(one: Path, other: Path) -> bool:
    return other.is_dir() and one.samefile(other)


def _asked(command: str, service: str, user: str) -> tuple[str, str] | None:
    if service.startswith("-") or user.startswith("-"):
        return None  # they would be options
    try:
        said = subprocess.run(
            [command, "get", service, user],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"},
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    password = said.stdout.decode("utf-8", "replace").strip(os.linesep)
    return (user, password) if said.returncode == 0 and password else None
