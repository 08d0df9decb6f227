"""Clients for tests: one cache, quick retries, and nothing of what the machine has configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.config import Settings
from bridge.fetch.client import Client

__all__ = ["MakeClient", "cached_files", "clients"]

MakeClient = Callable[..., Client]

_CONFIGURATION = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def clients(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeClient]:
    """The body of a fixture: a function that makes clients by `Settings`' fields, all closed when the test ends.

    Their cache is `folder/cache`, their netrc `folder/netrc`. `backoff` is that of `Client`.
    """
    for name in _CONFIGURATION:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    made: list[Client] = []

    def make(backoff: float = 0.01, **options: object) -> Client:
        settings = replace(Settings(cache_dir=folder / "cache", timeout=3.0), **options)  # type: ignore[arg-type]
        made.append(Client(settings, backoff=backoff))
        return made[-1]

    yield make
    for client in made:
        client.close()


def cached_files(folder: Path) -> list[str]:
    """The files in the cache of `clients`, relative to it, sorted."""
    root = folder / "cache"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
