"""`bridge config` as a person uses it."""

from __future__ import annotations

import json
import os
import sys
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from tests.support.command_line import Bridge, Ran

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    """In a project, with a home of its own."""
    (tmp_path / "pyproject.toml").write_text('# mine\n[project]\nname = "x"\n')
    machine = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": str(tmp_path / "xdg"), "XDG_CONFIG_HOME": ""}
    return Bridge.of_folder(tmp_path, None, BRIDGE_CONFIG_FILE="", BRIDGE_CHANNEL="", BRIDGE_FIND_LINKS="", **machine)


def document(ran: Ran) -> dict[str, object]:
    """The JSON document of a command, which fits its schema."""
    assert ran.status == 0, ran.err
    schema = json.loads((resources.files("bridge") / "schemas" / "config.json").read_text("utf-8"))
    jsonschema.validate(ran.document, schema)
    return dict(ran.document)


def test_what_is_set_is_used_and_named(bridge: Bridge, tmp_path: Path) -> None:
    user = tmp_path / "home/.config/bridge/config.toml"
    assert bridge("config", "set", "channels", "bioconda", "conda-forge").status == 0
    assert bridge("config", "set", "offline", "yes").status == 0
    project = document(bridge("config", "set", "--project", "offline", "no", "--json"))
    assert project == {"file": str(tmp_path / "pyproject.toml"), "changed": True, "warnings": []}
    assert (tmp_path / "pyproject.toml").read_text().startswith('# mine\n[project]\nname = "x"\n')
    found = document(bridge("config", "list", "--json"))["entries"]
    assert isinstance(found, list)
    assert [(each["key"], each["value"], each["used"]) for each in found if each["key"] != "cache-dir"] == [
        ("channels", "bioconda, conda-forge", True),
        ("offline", "no", True),
        ("offline", "yes", False),
    ]
    settings = {each["name"]: each for each in bridge("info", "--json").document["settings"]}
    assert settings["channels"]["source"] == f"{user}: channels"
    assert settings["offline"] == {
        "name": "offline", "value": "no", "source": f"{tmp_path}/pyproject.toml: tool.bridge.offline",
    }  # fmt: skip
    assert bridge("config", "get", "channel").out == "bioconda\nconda-forge\n"
    assert bridge("config", "unset", "--project", "offline").status == 0
    assert document(bridge("config", "get", "offline", "--json")) == {
        "key": "offline", "values": ["yes"], "source": f"{user}: offline",
    }  # fmt: skip
    assert oct(user.stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("set", "prefer", "best"), "prefer: 'best' is not one of conda, wheel, newest"),
        (("set", "offline", "maybe"), "offline: 'maybe' is not true or false"),
        (("set", "retries", "1.5"), "retries: 1.5 is not a whole number"),
        (("set", "patience", "1", "2"), "patience has one value, and 2 were given"),
        (("set", "exclude-newer", "soon"), "exclude-newer: 'soon' is not"),
        (("set", "index", "torch"), "index"),
        (("set", "chanels", "x"), "there is no key 'chanels'"),
        (("get", "nothing"), "there is no key 'nothing'"),
        (("set", "--project", "cache-dir", "x"), "cache-dir changes what this machine trusts"),
        (("--set", "offline", "yes"), "bridge config has no option --set"),
    ],
)
def test_a_wrong_word_changes_nothing(bridge: Bridge, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    before = (tmp_path / "pyproject.toml").read_bytes()
    ran = bridge("config", *words)
    assert ran.status == 2
    assert message in ran.err
    assert "hint: " in ran.err or "has one value" in message
    assert (tmp_path / "pyproject.toml").read_bytes() == before
    assert not (tmp_path / "home/.config/bridge/config.toml").exists()


def test_a_damaged_file_stops_commands_and_can_be_mended(bridge: Bridge, tmp_path: Path) -> None:
    user = tmp_path / "home/.config/bridge/config.toml"
    user.parent.mkdir(parents=True)
    user.write_text("prefer = [1\n")
    for words in (("info",), ("list", "-p", tmp_path), ("config", "list"), ("config", "set", "pre", "yes")):
        ran = bridge(*words)
        assert (ran.status, ran.err.count("error[")) == (2, 1)
        assert f"error[configuration-file]: {user}: it is not TOML" in ran.err
    assert bridge("config", "path").out == f"{user}\n"
    wrong, right = tmp_path / "wrong.sh", tmp_path / "right.sh"
    wrong.write_text('#!/bin/sh\necho "prefer = 1" > "$1"\n')
    right.write_text('#!/bin/sh\ngrep -q "prefer = 1" "$1" && echo \'prefer = "wheel"\' > "$1"\n')
    wrong.chmod(0o755)
    right.chmod(0o755)
    ran = bridge("config", "edit", environ={"EDITOR": str(wrong), "VISUAL": ""})
    assert ran.status == 2
    assert "prefer: 1 is not one of" in ran.err
    assert user.read_text() == "prefer = [1\n"
    assert bridge("config", "edit", environ={"EDITOR": str(right), "VISUAL": ""}).status == 0
    assert [path.name for path in user.parent.iterdir()] == ["config.toml"]
    assert bridge("config", "get", "prefer").out == "wheel\n"
    ran = bridge("config", "edit", environ={"EDITOR": str(tmp_path / "none"), "VISUAL": ""})
    assert (ran.status, user.read_text()) == (2, 'prefer = "wheel"\n')


def test_parts_of_lists_and_tables(bridge: Bridge, tmp_path: Path) -> None:
    user = tmp_path / "home/.config/bridge/config.toml"
    for words in (("channels", "a", "b"), ("index.torch", "https://x.example"), ("index.numpy", "https://y.example")):
        assert bridge("config", "set", *words).status == 0
    both = {"torch": "https://x.example", "numpy": "https://y.example"}
    assert tomllib.loads(user.read_text()) == {"channels": ["a", "b"], "index": both}
    assert document(bridge("config", "unset", "channels", "a", "--json"))["changed"] is True
    assert document(bridge("config", "unset", "channels", "c", "--json"))["changed"] is False
    bridge("config", "unset", "index.torch")
    assert tomllib.loads(user.read_text()) == {"channels": ["b"], "index": {"numpy": "https://y.example"}}
    bridge("config", "unset", "index", "numpy")
    bridge("config", "unset", "channels", "b")
    assert tomllib.loads(user.read_text()) == {}
    assert bridge("config", "get", "channels", environ={"BRIDGE_CHANNEL": "a b"}).out == "a\nb\n"


def test_a_mark_and_the_ends_of_lines_stay(bridge: Bridge, tmp_path: Path) -> None:
    before = b"\xef\xbb\xbf[tool.bridge]\r\npre = false # c\r\n"
    (tmp_path / "pyproject.toml").write_bytes(before)
    assert bridge("config", "set", "--project", "pre", "yes").status == 0
    assert (tmp_path / "pyproject.toml").read_bytes() == before.replace(b"false", b"true")


@pytest.mark.parametrize("word", ["show", "add", "append", "validate", "remove-key"])
def test_words_of_other_tools_are_answered(bridge: Bridge, word: str) -> None:
    ran = bridge("config", word, "channels", "x")
    assert (ran.status, "hint: bridge config" in ran.err) == (2, True)


def test_edit_without_an_editor_does_not_wait(bridge: Bridge) -> None:
    ran = bridge("config", "edit", environ={"EDITOR": "", "VISUAL": ""}, timeout=30)
    assert (ran.status, "error[editor]" in ran.err) == (2, True)


def test_a_file_may_be_a_link(bridge: Bridge, tmp_path: Path) -> None:
    user = tmp_path / "home/.config/bridge/config.toml"
    user.parent.mkdir(parents=True)
    (tmp_path / "dotfiles.toml").write_text("# shared\n")
    user.symlink_to(tmp_path / "dotfiles.toml")
    assert bridge("config", "set", "pre", "yes").status == 0
    assert user.is_symlink()
    assert (tmp_path / "dotfiles.toml").read_text() == "# shared\npre = true\n"


def test_secrets_are_masked_and_paths_start_from_where_they_are_typed(bridge: Bridge, tmp_path: Path) -> None:
    bridge("config", "set", "index-url", "https://user:word@host.example/simple")
    bridge("config", "set", "find-links", "wheels")
    bridge("config", "set", "--project", "--add", "channels", "./mine")
    for words in (("list",), ("list", "--json"), ("get", "index-url")):
        ran = bridge("config", *words)
        assert "host.example" in ran.out
        assert "word" not in ran.out + ran.err
    assert bridge("config", "get", "find-links").out == f"{tmp_path}/wheels\n"
    assert 'channels = ["./mine"]' in (tmp_path / "pyproject.toml").read_text()


def test_the_environment_of_a_project_is_used(bridge: Bridge, tmp_path: Path) -> None:
    (tmp_path / "env/conda-meta").mkdir(parents=True)
    (tmp_path / "env/conda-meta/history").touch()
    (tmp_path / "pyproject.toml").write_text('[tool.bridge]\nprefix = "env"\n')
    environ = {"CONDA_PREFIX": os.devnull}
    assert bridge("info", "--json", environ=environ).document["environment"] == {
        "prefix": str(tmp_path / "env"), "name": None, "source": f"{tmp_path}/pyproject.toml: tool.bridge.prefix",
    }  # fmt: skip
    assert bridge("list", environ=environ).status == 0
    assert "no environment was named" in bridge("env", "remove", environ=environ).err


def test_all_paths_and_both_schemas(bridge: Bridge) -> None:
    files = document(bridge("config", "path", "--json"))["files"]
    assert isinstance(files, list)
    assert [each["scope"] for each in files][:3] == ["project", "user", "system"]
    assert bridge("config", "schema").document["title"] == "bridge/config.toml"
    assert "dependencies" in bridge("config", "schema", "--project").document["properties"]
