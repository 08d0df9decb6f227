"""bridge's own configuration files: which are read, what their values become, and what is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import jsonschema
import pytest

from bridge.config import OPTIONS, Settings, load
from bridge.config.editing import with_key, without_key
from bridge.config.keys import KEYS, OF_ONE_RUN, schema
from bridge.config.layers import ConfigurationFile, configuration_files, layers
from bridge.config.policy_files import project_files
from bridge.config.project import ProjectFiles, project_table
from bridge.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Write = Callable[[str, str], Path]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose files are `user.toml` and so on below `tmp_path`."""
    home = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": str(tmp_path / "xdg"), "PIP_CONFIG_FILE": os.devnull}
    return {**home, "MAMBA_NO_RC": "1"}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    places = {
        "project": tmp_path / "work/pyproject.toml",
        "user": tmp_path / "home/.config/bridge/config.toml",
        "system": tmp_path / "xdg/bridge/config.toml",
    }

    def write_file(scope: str, text: str) -> Path:
        path = places[scope]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(("[tool.bridge]\n" if scope == "project" else "") + text)
        return path

    return write_file


@pytest.fixture
def settings(tmp_path: Path, environ: dict[str, str]) -> Callable[..., Settings]:
    def loaded(options: Mapping[str, object] | None = None, **variables: str) -> Settings:
        return load(
            options or {}, environ | variables, files=layers(environ | variables, ProjectFiles(tmp_path / "work/below"))
        )

    return loaded


def test_every_option_is_a_key_or_of_one_run() -> None:
    assert {key.option for key in KEYS.values()} == OPTIONS - OF_ONE_RUN


def test_an_option_beats_a_variable_the_project_the_user_and_the_system(
    write: Write, settings: Callable[..., Settings]
) -> None:
    seen = [settings().prefer]
    write("system", 'prefer = "wheel"')
    seen.append(settings().prefer)
    write("user", 'prefer = "newest"')
    seen.append(settings().prefer)
    write("project", 'prefer = "conda"')
    seen.append(settings().prefer)
    seen.append(settings(BRIDGE_PREFER="wheel").prefer)
    seen.append(settings({"prefer": "newest"}, BRIDGE_PREFER="wheel").prefer)
    assert seen == ["conda", "wheel", "newest", "conda", "wheel", "newest"]


def test_a_project_turns_off_what_the_user_turned_on(write: Write, settings: Callable[..., Settings]) -> None:
    write("user", "offline = true\nno-progress = true")
    write("project", "offline = false")
    assert (settings().offline, settings().progress) == (False, False)
    assert settings(BRIDGE_OFFLINE="1").offline


def test_configured_channels_are_a_default_and_no_choice_of_this_run(
    write: Write, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    write("project", 'channels = ["bioconda", "./mine", "conda-forge"]')
    found = settings()
    assert found.channels == ("bioconda", str(tmp_path / "work/mine"), "conda-forge")
    assert not found.has_channels
    assert settings({"channel": ("x",)}).channels == ("x",)


def test_configured_indexes_beat_those_of_pip_key_by_key(write: Write, settings: Callable[..., Settings]) -> None:
    pip = {"PIP_INDEX_URL": "https://pip.example/simple", "PIP_EXTRA_INDEX_URL": "https://extra.example/simple"}
    write("user", 'index-url = "https://mine.example/simple"')
    assert settings(**pip).index_urls == ("https://mine.example/simple", "https://extra.example/simple")
    assert settings(**pip).default_indexes == settings(**pip).index_urls
    typed = settings({"index_url": "https://typed.example/simple"}, **pip)
    assert typed.index_urls == ("https://typed.example/simple",)
    write("user", "no-index = true")
    assert settings(**pip).no_index
    write("user", "no-index = false")
    assert not settings(PIP_NO_INDEX="1").no_index


def test_bindings_of_all_places_hold_and_the_nearest_wins(write: Write, settings: Callable[..., Settings]) -> None:
    write("user", '[index]\na = "https://user.example/"\nb = "https://user.example/"')
    write("project", 'index = { b = "https://project.example/" }\nonly = ["x=wheel"]')
    found = settings({"index": ("c=https://typed.example/",)})
    hosts = {name: url.split("/")[2].split(".")[0] for name, url in found.project_indexes.items()}
    assert hosts == {"a": "user", "b": "project", "c": "typed"}
    assert found.only == {"x": "wheel"}


def test_a_date_of_toml_is_a_cooldown(write: Write, settings: Callable[..., Settings]) -> None:
    write("user", "exclude-newer = 2026-01-31")
    assert settings().cooldown.default == settings({"exclude_newer": ("2026-01-31",)}).cooldown.default is not None
    write("user", 'exclude-newer = ["2026-01-31", "numpy=never"]')
    assert settings().cooldown.exceptions == {"numpy": None}


def test_a_configured_environment_is_not_one_that_was_named(
    write: Write, settings: Callable[..., Settings], tmp_path: Path
) -> None:
    write("project", 'prefix = ".env"')
    found = settings(CONDA_PREFIX="/active")
    assert (found.prefix, found.has_prefix) == (tmp_path / "work/.env", False)
    assert settings({"prefix": "/typed"}).has_prefix
    assert settings(BRIDGE_NAME="x").name == "x"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("offline = 1", "offline: 1 is not true or false"),
        ('offline = "yes"', "offline: 'yes' is not true or false"),
        ('prefer = "best"', "prefer: 'best' is not one of conda, wheel, newest"),
        ("channels = 3", "channels: 3 is not a text or an array of texts"),
        ('channels = ["a", 1]', "channels: an array is not a text or an array of texts"),
        ("patience = true", "patience: true is not a number of seconds"),
        ("retries = 1.5", "retries: 1.5 is not a whole number"),
        ("timeout = -1", "timeout: -1 is not a number of seconds"),
        ("lock-timeout = inf", "lock-timeout: inf is not a number of seconds"),
        ("index = { a = 1 }", "index: a table is not a table of texts"),
        ('index-url = ""', "index-url: '' is not a text"),
        ('index = ["a"]', "index: 'a' is not of the form NAME=URL"),
        ('platform = "amiga"', "platform: 'amiga' is not a known platform"),
        ('exclude-newer = "soon"', "exclude-newer: 'soon' is not"),
        ('only = { a = "rpm" }', "only: 'a=rpm' is not of the form"),
        ("offline = yes", "it is not TOML"),
    ],
)
def test_a_wrong_value_is_one_error_with_file_and_key(
    text: str, problem: str, write: Write, settings: Callable[..., Settings]
) -> None:
    user = write("user", text)
    with pytest.raises(UsageError) as caught:
        settings()
    assert caught.value.message.startswith(f"{user}: {problem}"), caught.value.message
    user.unlink()
    project = write("project", text)
    with pytest.raises(UsageError) as caught:
        settings()
    place = problem if "TOML" in problem else f"tool.bridge.{problem}"
    assert caught.value.message.startswith(f"{project}: {place}"), caught.value.message


def test_what_has_no_effect_is_told(write: Write, settings: Callable[..., Settings]) -> None:
    write("user", 'index_url = "https://x.example"\njson = true\n[audit]')
    write("project", 'cache-dir = "x"\ntrusted-host = ["h"]\ndependencies = ["a"]\n[tool.bridge.audit]\nx = 1')
    found = settings()
    told = " ".join(found.warnings)
    assert len(found.warnings) == 5
    assert all(text in told for text in ("did you mean index-url", "--json is for one command line", "audit has no"))
    assert found.trusted_hosts == ()
    assert "x" not in found.cache_dir.parts


@pytest.mark.parametrize("text", ["", "[tool.black]\n", "[tool]\nruff.x = 1\n", "# tool.bridge\n", "= not TOML"])
def test_a_project_without_the_table_plays_no_part(
    text: str, tmp_path: Path, environ: dict[str, str], write: Write
) -> None:
    write("project", "offline = true").write_text(text)
    assert layers(environ, ProjectFiles(tmp_path / "work")) == ()
    assert project_table(tmp_path / "work", "audit") is None


@pytest.mark.parametrize("head", ["[tool]\nbridge.", "tool.bridge.", '["tool"."bridge"]\n', "[ tool . bridge ]\n"])
def test_the_table_is_found_in_each_spelling(head: str, write: Write, settings: Callable[..., Settings]) -> None:
    write("project", "").write_text(f"{head}offline = true\n")
    assert settings().offline


@pytest.mark.parametrize(
    "text", ["[tool.bridge.audit]\n[[tool.bridge.audit.accept]]\n", "[[tool.bridge.audit.accept]]\n"]
)
def test_a_table_of_tables_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    found = project_table(tmp_path, "audit")
    assert found is not None
    assert found.values == {"accept": [{}]}


def test_variables_choose_the_files(write: Write, settings: Callable[..., Settings], tmp_path: Path) -> None:
    write("user", "offline = true")
    write("project", "pre = true")
    other = tmp_path / "other.toml"
    other.write_text('prefer = "wheel"')
    found = settings(BRIDGE_CONFIG_FILE=str(other))
    assert (found.offline, found.pre, found.prefer) == (False, True, "wheel")
    found = settings(BRIDGE_NO_CONFIG="1")
    assert (found.offline, found.pre) == (False, False)
    assert settings(BRIDGE_NO_CONFIG="0").offline


def test_the_schema_accepts_what_is_read_and_refuses_what_is_not() -> None:
    values = {
        "text": 'x = "{}"', "texts": 'x = ["a", "b"]', "flag": "x = true", "seconds": "x = 1.5", "count": "x = 2",
        "bindings": 'x = {{ a = "b" }}', "cooldown": 'x = "7d"',
    }  # fmt: skip
    text = "\n".join(
        values[key.kind].format(key.choices[0] if key.choices else "t").replace("x", name, 1)
        for name, key in KEYS.items()
    )
    for is_project in (False, True):
        validator = jsonschema.Draft202012Validator(schema(is_project=is_project))
        jsonschema.Draft202012Validator.check_schema(schema(is_project=is_project))
        found = tomllib.loads(text)
        if is_project:
            assert not validator.is_valid(found)
            found = {name: value for name, value in found.items() if not KEYS[name].is_guarded}
        assert list(validator.iter_errors(found)) == []
        for wrong in ("offline = 1", 'prefer = "best"', "channels = 3", "retries = 1.5", "colour = 1", "timeout = -1"):
            assert not validator.is_valid(tomllib.loads(wrong)), wrong


USER = ConfigurationFile(path=Path("/x/config.toml"), scope="user")
PROJECT = ConfigurationFile(path=Path("/x/pyproject.toml"), scope="project")
TEXT = """\
# first
prefer = "wheel"  # why
channels = [
  "a",  # of ours
]

[index]
# torch
torch = "https://x.example"
"""


def test_a_change_keeps_comments_and_order() -> None:
    text = with_key(USER, TEXT, KEYS["offline"], True)
    text = with_key(USER, text, KEYS["channels"], ["b", "a"], is_added=True)
    text = with_key(USER, text, KEYS["index"], ["numpy=https://y.example"], is_added=True)
    text = with_key(USER, text, KEYS["prefer"], "conda")
    assert all(comment in text for comment in ("# first", "# why", "# of ours", "# torch"))
    assert tomllib.loads(text) == {
        "prefer": "conda", "channels": ["a", "b"], "offline": True,
        "index": {"torch": "https://x.example", "numpy": "https://y.example"},
    }  # fmt: skip
    text = without_key(USER, text, KEYS["channels"]) or ""
    assert "channels" not in tomllib.loads(text)
    assert without_key(USER, text, KEYS["channels"]) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[project]\nname = 'x'\n",
        "[tool.ruff]\na = 1\n\n[other]\nb = 2\n",
        "[tool.bridge.audit]\nx = 1\n",
        "[tool]\nbridge = { pre = true }\n",
        "[tool.bridge]\npre = true\n[project]\nname = 'x'\n[tool.ruff]\n",
        "tool.bridge.pre = true\n",
        "a = 1\r\n[tool.ruff]\r\nb = 2\r\n",
    ],
)
def test_a_key_finds_its_table_in_any_project(text: str) -> None:
    before = tomllib.loads(text)
    changed = tomllib.loads(with_key(PROJECT, text, KEYS["offline"], True))
    assert changed["tool"]["bridge"].pop("offline") is True
    before.setdefault("tool", {}).setdefault("bridge", {})
    assert changed == before


def test_the_files_of_the_system_follow_the_order_of_xdg(environ: dict[str, str], tmp_path: Path) -> None:
    found = configuration_files(
        environ | {"XDG_CONFIG_DIRS": f"{tmp_path}/a:relative:{tmp_path}/b"}, ProjectFiles(tmp_path)
    )
    system = [file.path for file in found if file.scope == "system"]
    assert system[:2] == [tmp_path / "a/bridge/config.toml", tmp_path / "b/bridge/config.toml"]
    own = configuration_files(environ | {"XDG_CONFIG_HOME": f"{tmp_path}/own"}, ProjectFiles(tmp_path))
    assert tmp_path / "own/bridge/config.toml" in [file.path for file in own if file.scope == "user"]


def test_a_project_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.bridge]\nprefer = 'wheel'\n")
    project = ProjectFiles(tmp_path)
    (layer, *_) = layers({"HOME": str(tmp_path)}, project)
    (tmp_path / "pyproject.toml").write_text("[tool.bridge.policy]\n")
    assert layer.values == {"prefer": "wheel"}
    assert list(project_files(project)) == []
    assert list(project_files(ProjectFiles(tmp_path))) == [tmp_path / "pyproject.toml"]
