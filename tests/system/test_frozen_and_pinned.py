"""What conda keeps in conda-meta about an environment: `pinned` holds in every change, `frozen` forbids all of them."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from bridge import prefix
from bridge.errors import UsageError
from bridge.install.frozen_and_pinned import pins
from tests.support.builders import install_distribution, make_conda, make_repodata, make_wheel, tree_digest
from tests.support.command_line import Bridge
from tests.support.environments import SITE, Environment


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a channel, wheels, and an environment of `tool`, `other` and the wheel `leaf`.

    Each is installed at 1.0, where 2.0 is offered.
    """
    folder = tmp_path_factory.mktemp("template")
    bridge, root = Bridge.of_folder(folder), Environment(folder / "env").root
    for version in ("1.0", "2.0"):
        make_wheel(folder / "wheels", "leaf", version)
        for name in ("tool", "other"):
            make_conda(folder / "channel", name, version, files={f"share/{name}": version.encode()})
        make_repodata(folder / "channel")
        if version == "1.0":
            done = bridge("install", "-p", root, "tool", "other", "pypi:leaf")
            assert done.status == 0, done.err
    return folder


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """A copy of the environment."""
    return Path(shutil.copytree(template / "env", tmp_path / "env", symlinks=True))


@pytest.fixture
def bridge(template: Path, tmp_path: Path) -> Bridge:
    return Bridge.of_folder(tmp_path, template, HOME=str(tmp_path))


def pin(root: Path, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    (root / "conda-meta/pinned").write_bytes(data)


def versions(root: Path) -> dict[str, str]:
    return {
        each.record.name: each.record.version for each in prefix.read(root).installed if each.record.name != "python"
    }


PINNED = [
    "tool 1.*",
    "tool ==1.0",
    "tool=1.0",
    "# why\n\n  tool <2  # until it is ported\n",
    "tool >=1\ntool <2\n",
    "\ufefftool <2\r\n",
    "channel::tool 1.*",
]


@pytest.mark.parametrize("text", PINNED)
def test_update_keeps_to_the_pins(bridge: Bridge, root: Path, text: str) -> None:
    pin(root, text)
    done = bridge("update", "-p", root)
    assert done.status == 0, done.err
    assert versions(root) == {"tool": "1.0", "other": "2.0", "leaf": "2.0"}


def test_a_wheel_is_pinned_by_its_name_too(bridge: Bridge, root: Path) -> None:
    pin(root, "leaf 1.*\n")
    done = bridge("update", "-p", root)
    assert done.status == 0, done.err
    assert versions(root) == {"tool": "2.0", "other": "2.0", "leaf": "1.0"}
    refused = bridge("install", "-p", root, "leaf==2.0")
    assert refused.status == 6
    assert "conda-meta/pinned of the environment requires `leaf 1.*`" in refused.err


def test_a_pin_of_what_is_not_installed_is_no_request(bridge: Bridge, root: Path) -> None:
    pin(root, "absent 1.*\n")
    done = bridge("install", "-p", root, "tool=2")
    assert done.status == 0, done.err
    assert versions(root) == {"tool": "2.0", "other": "1.0", "leaf": "1.0"}


def test_a_request_that_contradicts_a_pin_is_explained(bridge: Bridge, root: Path) -> None:
    pin(root, "tool 1.*\n")
    before = tree_digest(root)
    done = bridge("install", "-p", root, "tool=2")
    assert done.status == 6
    assert "conda-meta/pinned of the environment requires `tool 1.*`" in done.err
    assert tree_digest(root) == before


@pytest.mark.parametrize("text", ["tool 1.*\n==what\n", "tool >=1,,<\n", b"\xff\xfe"])
@pytest.mark.parametrize("command", [("update",), ("install", "tool=2")])
def test_a_line_that_is_no_matchspec_is_one_error(
    bridge: Bridge, root: Path, text: str | bytes, command: tuple[str, ...]
) -> None:
    pin(root, text)
    done = bridge(command[0], "-p", root, *command[1:])
    assert done.status == 2
    assert "error[invalid-pin]" in done.err
    assert "conda-meta/pinned" in done.err
    assert versions(root)["tool"] == "1.0"


def test_pins_are_read_line_by_line(tmp_path: Path) -> None:
    assert pins(tmp_path) == ()
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta/pinned").write_text("# numpy 1\n\nnumpy 1.26.*\npython=3.12\n")
    assert [each.text for each in pins(tmp_path)] == ["numpy 1.26.*", "python=3.12"]
    (tmp_path / "conda-meta/pinned").unlink()
    (tmp_path / "conda-meta/pinned").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        pins(tmp_path)


# --- frozen (CEP 22) --------------------------------------------------------------------------------------------------

CHANGES = [
    ("install", "tool=2"),
    ("install", "--dry-run", "tool=2"),
    ("update",),
    ("remove", "tool"),
    ("adopt",),
    ("audit", "--fix", "--fail-on", "never"),
]


@pytest.mark.parametrize("words", CHANGES, ids=" ".join)
def test_a_frozen_environment_is_not_changed(bridge: Bridge, root: Path, words: tuple[str, ...]) -> None:
    install_distribution(root, SITE, "rogue", "1.0")
    (root / "share/other").unlink()
    marker = root / "conda-meta/frozen"
    marker.write_text(json.dumps({"message": "It belongs to the platform team.\nAsk them."}))
    before = tree_digest(root)
    done = bridge(words[0], "-p", root, *words[1:], environ={"BRIDGE_OVERRIDE_FROZEN": "1"})
    assert done.status == 4, done.err
    assert "error[frozen-environment]" in done.err
    assert "reason: It belongs to the platform team." in done.err
    assert "--override-frozen" in done.err
    assert tree_digest(root) == before
    done = bridge(words[0], "-p", root, *words[1:], "--override-frozen")
    assert "frozen-environment" not in done.err
    assert done.status == 0, done.err
    assert (tree_digest(root) == before) == ("--dry-run" in words)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "gives no reason"),
        (b" \n", "gives no reason"),
        (b"{not json", "does not have the form of CEP 22"),
        (b'{"message": 3}', "does not have the form of CEP 22"),
        (b'["message"]', "does not have the form of CEP 22"),
        (b"\xff", "does not have the form of CEP 22"),
        (b'{"message": "red\\u001b[31m"}', "reason: red?[31m"),
    ],
)
def test_whatever_the_file_holds_it_freezes(bridge: Bridge, root: Path, data: bytes, said: str) -> None:
    (root / "conda-meta/frozen").write_bytes(data)
    done = bridge("update", "-p", root)
    assert done.status == 4
    assert said in done.err
    assert versions(root)["tool"] == "1.0"


@pytest.mark.slow
def test_what_only_reads_is_not_refused(bridge: Bridge, root: Path) -> None:
    (root / "conda-meta/frozen").touch()
    for words in (("list",), ("why", "tool"), ("owner", "share/tool"), ("audit", "--fail-on", "never"), ("recover",)):
        done = bridge(words[0], "-p", root, *words[1:])
        assert done.status == 0, (words, done.err)


# `pinned_packages` of .condarc files.


def configure(bridge: Bridge, text: str) -> None:
    (bridge.folder / ".condarc").write_text(text)


@pytest.mark.parametrize("words", [("update",), ("update", "tool"), ("install", "tool"), ("install", "other>=2")])
def test_configured_pins_hold_in_every_change(bridge: Bridge, root: Path, words: tuple[str, ...]) -> None:
    configure(bridge, "pinned_packages: ['tool 1.*']\n")
    ran = bridge(words[0], "-p", root, *words[1:])
    assert ran.status == 0, ran.err
    assert "does not honour" not in ran.err
    assert versions(root)["tool"] == "1.0"


def test_configured_pins_hold_in_a_new_environment(bridge: Bridge, tmp_path: Path) -> None:
    configure(bridge, "pinned_packages:\n- tool <2\n- unknown 1\n")
    ran = bridge("create", "-p", tmp_path / "new", "tool", "other")
    assert ran.status == 0, ran.err
    assert versions(tmp_path / "new") == {"tool": "1.0", "other": "2.0"}


def test_a_configured_pin_is_named_as_the_reason(bridge: Bridge, root: Path) -> None:
    configure(bridge, "pinned_packages: [tool <2]\n")
    before = tree_digest(root)
    ran = bridge("install", "-p", root, "tool>=2")
    assert (ran.status, tree_digest(root) == before) == (6, True)
    assert "pinned_packages of conda's configuration requires `tool <2`" in ran.err
    assert "change pinned_packages in the .condarc file" in ran.err
    pin(root, "tool 1.*\n")
    ran = bridge("install", "-p", root, "tool>=2")
    assert ran.status == 6
    assert "conda-meta/pinned" in ran.err or "pinned_packages" in ran.err


def test_a_configured_pin_that_is_none(bridge: Bridge, root: Path) -> None:
    configure(bridge, "pinned_packages: ['tool >>2']\n")
    ran = bridge("install", "-p", root, "other")
    assert (ran.status, "error[invalid-pin]" in ran.err, "pinned_packages" in ran.err) == (2, True, True), ran.err


@pytest.mark.parametrize("place", ["conda-meta/pinned", "pinned_packages in the .condarc file"])
def test_a_pin_holds_against_a_lock_and_a_rollback(
    bridge: Bridge, template: Path, root: Path, tmp_path: Path, place: str
) -> None:
    archive, lock = template / "channel/noarch/tool-1.0-0.conda", tmp_path / "explicit.txt"
    lock.write_text(f"@EXPLICIT\n{archive.as_uri()}#sha256:{sha256(archive.read_bytes()).hexdigest()}\n")
    assert bridge("update", "-p", root, "tool").status == 0
    assert versions(root)["tool"] == "2.0"
    before = versions(root)
    if place == "conda-meta/pinned":
        pin(root, "tool 2.*\n")
    else:
        configure(bridge, "pinned_packages: [tool 2.*]\n")
    for words in (("sync", "-p", root, lock), ("rollback", "-p", root, "--last")):
        ran = bridge(*words)
        assert (ran.status, versions(root)) == (6, before), ran.err
        assert "has tool 1.0 0, and it is pinned to `tool 2.*`" in ran.err
        assert f"change {place}, or" in ran.err
