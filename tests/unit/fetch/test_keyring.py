"""The keyring as a package of this interpreter, and keyrings that fail."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bridge.fetch.keyring import Keyring
from tests.support.clients import MakeClient
from tests.support.servers import Server

# In the place of the package: what of its interface pip uses. The real one would ask the keyring of this machine.
PACKAGE = """
from collections import namedtuple
asked = []
def get_credential(service, user):
    asked.append((service, user))
    if service == "broken":
        raise RuntimeError("no backend")
    return namedtuple("Credential", "username password")("me", "secret") if {service!r} in service else None
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    path = tmp_path / "packages/keyring.py"
    path.parent.mkdir()
    path.write_text(PACKAGE.replace("{service!r}", repr(f"127.0.0.1:{server.port}")))
    return path


def test_a_page_that_asks_for_credentials(make_client: MakeClient, server: Server, package: Path) -> None:
    assert package.exists()
    server.add("/simple/x/", b"page", credentials=("me", "secret"))
    server.add("/simple/y/", b"page", credentials=("me", "secret"))
    client = make_client(keyring="import")
    for name in ("x", "y"):
        page = client.get(f"{server.url}/simple/{name}/", max_bytes=100)
        assert page is not None
        assert page.content == b"page"
    assert [asked.status for asked in server.asked] == [401, 200, 200]  # the second page is beside the first
    assert sys.modules["keyring"].asked == [(f"127.0.0.1:{server.port}", None)]


def test_a_keyring_that_fails_has_no_passwords(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert package.exists()
    assert Keyring("auto").find("broken", None) is None
    assert Keyring("disabled").find("127.0.0.1", "me") is None
    program = tmp_path / "bin/keyring"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    assert Keyring("subprocess").find("h.example", "me") is None
    for text in ("#!/bin/sh\nexit 1\n", "#!/bin/sh\n", "no program"):
        program.write_text(text)
        program.chmod(0o755)
        assert Keyring("subprocess").find("h.example", "me") is None
    program.write_text("#!/bin/sh\necho $3-password\n")
    assert Keyring("subprocess").find("h.example", "me") == ("me", "me-password")
    assert Keyring("subprocess").find("h.example", None) is None
    assert Keyring("subprocess").find("h.example", "--list-backends") is None
