"""Credentials that other clients keep in files."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from bridge.config.credentials import Credential, StoredCredentials


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the stores of rattler, mamba and anaconda-client."""
    basic = {"BasicHTTP": {"username": "me", "password": "p@ss"}}
    rattler = {
        "forge.example": {"BearerToken": "bearer"}, "*.wild.example": {"CondaToken": "wild"}, "basic.example": basic,
        "forge.example/team": {"CondaToken": "team"}, "port.example:8443": basic, "broken.example": {"BasicHTTP": 1},
    }  # fmt: skip
    mamba = {
        "forge.example": {"type": "BearerToken", "token": "of mamba"},
        "mamba.example": {"type": "BasicHTTPAuthentication", "user": "me",
                          "password": base64.b64encode(b"secret").decode()},
        "bad.example": {"type": "BasicHTTPAuthentication", "user": "me", "password": "%%"},
        "token.example": {"type": "CondaToken", "token": "t-1"},
    }  # fmt: skip
    for path, document in ((".rattler/credentials.json", rattler), (".mamba/auth/authentication.json", mamba)):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(json.dumps(document))
    tokens = tmp_path / "data" / "binstar"
    tokens.mkdir(parents=True)
    (tokens / "https%3A%2F%2Fapi.vendor.example.token").write_text("of-the-vendor\n")
    return tmp_path


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://forge.example/channel", Credential(bearer="bearer")),
        ("https://forge.example/team/label/dev", Credential(token="team")),
        ("https://forge.example/teams", Credential(bearer="bearer")),
        ("https://a.wild.example/channel", Credential(token="wild")),
        ("https://wild.example/channel", None),
        ("https://basic.example/channel", Credential(user=("me", "p@ss"))),
        ("https://basic.example:8443/channel", Credential(user=("me", "p@ss"))),
        ("https://port.example:8443/channel", Credential(user=("me", "p@ss"))),
        ("https://port.example/channel", None),
        ("https://mamba.example/channel", Credential(user=("me", "secret"))),
        ("https://token.example/channel", Credential(token="t-1")),
        ("https://conda.vendor.example/channel", Credential(token="of-the-vendor")),
        ("https://broken.example/channel", None),
        ("https://bad.example/channel", None),
        ("file:///srv/channel", None),
    ],
)
def test_the_nearest_entry_counts(home: Path, url: str, expected: Credential | None) -> None:
    stored = StoredCredentials({"HOME": str(home), "XDG_DATA_HOME": str(home / "data")})
    assert stored.of(url) == expected


def test_conda_may_be_configured_to_send_no_tokens(home: Path) -> None:
    stored = StoredCredentials({"HOME": str(home), "XDG_DATA_HOME": str(home / "data")}, has_tokens=False)
    assert stored.of("https://conda.vendor.example/channel") is None


def test_a_store_may_be_named_and_may_be_broken(home: Path) -> None:
    (home / "own.json").write_text('{"own.example": {"BearerToken": "own"}}')
    (home / "torn.json").write_text('{"own.example"')
    for name, expected in (("own", Credential(bearer="own")), ("torn", None), ("absent", None)):
        stored = StoredCredentials({"HOME": str(home), "RATTLER_AUTH_FILE": str(home / f"{name}.json")})
        assert stored.of("https://own.example/x") == expected


def test_secrets_are_not_shown() -> None:
    shown = repr(Credential(user=("me", "secret"), bearer="secret", token="secret"))
    assert "secret" not in shown
