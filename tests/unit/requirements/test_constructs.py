"""Every construct of a requirement file is honoured, refused by name, or told: never dropped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.errors import UsageError
from bridge.requirements.files.constructs import Section
from bridge.requirements.files.fields import Field
from bridge.requirements.files.pip_options import OPTIONS
from bridge.requirements.files.reading import read
from bridge.requirements.files.values import FileRequirements
from tests.support.builders import make_wheel
from tests.support.construct_table import DOCUMENT, rendered, sections

SECTIONS = {section.name: section for section in sections()}
A = "a" * 64
SUBMODULE = "https://h.example/o/n"

PROJECT = '[project]\nname = "app"\ndependencies = ["torch", "numpy"]\n'
SOURCE_OF_UV = (
    PROJECT + '[[tool.uv.index]]\nname = "i"\nurl = "https://i.example/"\nexplicit = true\n[tool.uv.sources.torch]\n'
)
INDEX_OF_UV = PROJECT + '[tool.uv.sources]\ntorch = {{index = "i"}}\n[[tool.uv.index]]\n'
POETRY_SOURCE = '[tool.poetry.dependencies]\ntorch = {{source = "i"}}\n[[tool.poetry.source]]\n'
PIXI = "[workspace]\nchannels = ['c']\n"

# Section -> (name of a file, its text with the key's line in it, a line that a table needs besides).
HOSTS: dict[str, tuple[str, str, str]] = {
    "environment.yml": ("environment.yml", "{}\n{more}\n", "dependencies: [a]"),
    "script": ("script.py", "# /// script\n# {}\n{more}# ///\nprint()\n", ""),
    "pyproject.toml": ("pyproject.toml", "{}\n{more}\n" + PROJECT, ""),
    "tool": ("pyproject.toml", PROJECT + "[tool.{}]\nx = 1\n{more}", ""),
    "project": ("pyproject.toml", "[project]\n{}\n{more}[dependency-groups]\nx = []\n", ""),
    "dependency-groups entry": ("pyproject.toml", "[dependency-groups]\nx = [{{{}}}]\ny = ['z']\n{more}", ""),
    "tool.uv": ("pyproject.toml", PROJECT + "[tool.uv]\n{}\n{more}", ""),
    "tool.uv.index": ("pyproject.toml", INDEX_OF_UV + "{}\n{more}\n", 'name = "i"\nurl = "https://i.example/"'),
    "tool.uv.sources": ("pyproject.toml", SOURCE_OF_UV + "{}\n{more}\n", ""),
    "tool.uv.workspace": ("pyproject.toml", PROJECT + "[tool.uv.workspace]\n{}\n{more}\n", ""),
    "tool.bridge": ("pyproject.toml", PROJECT + "[tool.bridge]\n{}\n{more}", ""),
    "tool.pdm": ("pyproject.toml", PROJECT + "[tool.pdm]\n{}\n{more}", ""),
    "tool.pdm.resolution": ("pyproject.toml", PROJECT + "[tool.pdm.resolution]\n{}\n{more}", ""),
    "tool.pdm.source": ("pyproject.toml", PROJECT + "[[tool.pdm.source]]\n{}\n{more}\n", 'url = "https://i.example/"'),
    "tool.poetry": ("pyproject.toml", "[tool.poetry]\n{}\n{more}", ""),
    "tool.poetry.group.NAME": ("pyproject.toml", "[tool.poetry.group.g]\n{}\n{more}\n", ""),
    "tool.poetry.dependencies.NAME": (
        "pyproject.toml",
        (
            '[[tool.poetry.source]]\nname = "i"\nurl = "https://i.example"\npriority = "explicit"\n'
            "[tool.poetry.dependencies.torch]\n{}\n{more}\n"
        ),
        "",
    ),
    "tool.poetry.source": ("pyproject.toml", POETRY_SOURCE + "{}\n{more}\n", 'name = "i"\nurl = "https://i.example/"'),
    "pixi": ("pixi.toml", "{}\n{more}", PIXI),
    "pixi workspace": ("pixi.toml", "[workspace]\nx = 1\n{}\n{more}\n", ""),
    "pixi workspace.platforms": (
        "pixi.toml",
        "[workspace]\nplatforms = ['osx-64', {{{}{more}}}]\n[target.cuda-x.dependencies]\nx = '*'\n",
        ", platform = 'linux-64'",
    ),
    "pixi channels": ("pixi.toml", "[workspace]\nchannels = ['d', {{{}{more}}}]\n", ", channel = 'c'"),
    "pixi environments.NAME": (
        "pixi.toml",
        PIXI + "[feature.f.dependencies]\ny = '*'\n[dependencies]\nx = '*'\n[environments.default]\n{}\n{more}\n",
        "",
    ),
    "pixi feature.NAME": ("pixi.toml", PIXI + "[environments]\ndefault = ['f']\n[feature.f]\n{}\n{more}\n", ""),
    "pixi target.PLATFORM": ("pixi.toml", PIXI + "[target.linux]\n{}\n{more}\n", ""),
    "pixi system-requirements": ("pixi.toml", PIXI + "[system-requirements]\n{}\n{more}\n", ""),
    "pixi pypi-options": ("pixi.toml", PIXI + "[pypi-options]\n{}\n{more}\n", ""),
    "pixi dependencies.NAME": ("pixi.toml", PIXI + "[dependencies.x]\n{}\n{more}\n", ""),
    "pixi pypi-dependencies.NAME": ("pixi.toml", PIXI + "[pypi-dependencies.x]\n{}\n{more}\n", ""),
}
LOCK = """version: 6
environments:
  default:
    channels: [{url: https://c.example/c}]
    packages:
      linux-64: [{conda: https://c.example/c/noarch/x-1-0.conda}, {pypi: https://h.example/y-1-py3-none-any.whl}]
%(environment)s
packages:
- conda: https://c.example/c/noarch/x-1-0.conda
  sha256: %(a)s
%(conda)s
- pypi: https://h.example/y-1-py3-none-any.whl
  name: y
  version: '1'
  sha256: %(a)s
%(pypi)s
%(top)s
"""
CONDA_LOCK = """version: 1
metadata:
  platforms: [linux-64]
%(metadata)s
package:
- name: x
  version: '1'
  manager: conda
  platform: linux-64
  url: https://c.example/c/noarch/x-1-0.conda
  hash: {sha256: %(a)s}
%(package)s
%(top)s
"""
PYLOCK = """lock-version = "1.0"
created-by = "tests"
%(top)s
[[packages]]
name = "y"
wheels = [{url = "https://h.example/y-1-py3-none-any.whl", hashes = {sha256 = "%(a)s"}}]
%(package)s
"""
UV_LOCK = """version = 1
requires-python = ">=3.9"
%(top)s
[manifest]
%(manifest)s
[[package]]
name = "y"
version = "1"
wheels = [{url = "https://h.example/y-1-py3-none-any.whl", hash = "sha256:%(a)s"}]
%(package)s
[package.source]
registry = "https://h.example"
%(source)s
[[package]]
name = "app"
version = "1"
source = {virtual = "."}
dependencies = [{name = "y"}]
"""


def lock_host(name: str, text: str, place: str, indent: str = "") -> tuple[str, str, str]:
    """The place of a section in a lock."""
    places = dict.fromkeys(("top", "environment", "conda", "pypi", "metadata", "package", "manifest", "source"), "")
    filled = text % (places | {"a": A, place: "\1"})
    return name, filled.replace("{", "{{").replace("}", "}}").replace("\1", f"{indent}{{}}\n{{more}}"), ""


HOSTS |= {
    "pixi.lock": lock_host("pixi.lock", LOCK, "top"),
    "pixi.lock environment": lock_host("pixi.lock", LOCK, "environment", "    "),
    "pixi.lock conda": lock_host("pixi.lock", LOCK, "conda", "  "),
    "pixi.lock pypi": lock_host("pixi.lock", LOCK, "pypi", "  "),
    "pixi.lock bridge": lock_host("pixi.lock", LOCK.replace("%(top)s", "bridge:\n%(top)s"), "top", "  "),
    "pixi.lock bridge environment": lock_host(
        "pixi.lock",
        LOCK.replace("%(top)s", "bridge:\n  environments:\n    default:\n      direct: []\n%(top)s"),
        "top",
        "      ",
    ),
    "pixi.lock bridge file": lock_host(
        "pixi.lock",
        LOCK.replace("%(top)s", "bridge:\n  environments:\n    default:\n      files:\n        x.whl:\n%(top)s"),
        "top",
        "          ",
    ),
    "conda-lock.yml": lock_host("conda-lock.yml", CONDA_LOCK, "top"),
    "conda-lock.yml metadata": lock_host("conda-lock.yml", CONDA_LOCK, "metadata", "  "),
    "conda-lock.yml package": lock_host("conda-lock.yml", CONDA_LOCK, "package", "  "),
    "pylock.toml": lock_host("pylock.toml", PYLOCK, "top"),
    "pylock.toml packages": lock_host("pylock.toml", PYLOCK, "package"),
    "uv.lock": lock_host("uv.lock", UV_LOCK, "top"),
    "uv.lock manifest": lock_host("uv.lock", UV_LOCK, "manifest"),
    "uv.lock package": lock_host("uv.lock", UV_LOCK, "package"),
    "uv.lock source": lock_host("uv.lock", UV_LOCK, "source"),
}
LOCKS = tuple(name for name in HOSTS if name.startswith(("pixi.lock", "conda-lock.yml", "pylock.toml", "uv.lock")))
PLATFORM = "linux-64"
GROUPS = {"dependency-groups entry": ["x"]}
ELSEWHERE = {"requirements.txt options", "explicit list", "environment.yml dependencies"}


def text_of(section: str, line: str, more: str | None = None) -> str:
    _, template, needed = HOSTS[section]
    return template.replace("{more}", "\0").replace("\0", "{more}").format(line, more=needed if more is None else more)


def separator(section: str) -> str:
    return ": " if section.startswith(("environment.yml", "pixi.lock", "conda-lock.yml")) else " = "


def outcome(folder: Path, section: str, text: str) -> FileRequirements | UsageError:
    path = folder / HOSTS[section][0]
    path.write_text(text)
    try:
        return read(path, platform=PLATFORM, environ={}, groups=GROUPS.get(section, ()))
    except UsageError as error:
        return error


def names(found: FileRequirements | UsageError, key: str) -> bool:
    """Whether a refusal or a warning names the key."""
    if isinstance(found, UsageError):
        return key in found.message
    return any(key in warning for warning in found.warnings)


def test_the_document_has_every_construct() -> None:
    assert rendered() in DOCUMENT.read_text("utf-8"), "python -m tests.support.construct_table writes the tables anew"


def test_every_section_has_a_place_in_a_file() -> None:
    assert set(SECTIONS) == set(HOSTS) | ELSEWHERE


UNHONOURED = [
    (section.name, key)
    for section in SECTIONS.values()
    if section.name in HOSTS
    for key, construct in section.keys.items()
    if construct.fate in {"refused", "ignored"}
]


@pytest.mark.parametrize(("section", "key"), UNHONOURED)
def test_what_is_not_honoured_is_named(tmp_path: Path, section: str, key: str) -> None:
    fate = SECTIONS[section].keys[key].fate
    line = key if section == "tool" else f"{key}{separator(section)}1"
    line = 'attestation-identities = [{kind = "x"}]' if key == "attestation-identities" else line
    found = outcome(tmp_path, section, text_of(section, line))
    assert isinstance(found, UsageError) == (fate == "refused"), found
    assert names(found, key)


KEYS = st.from_regex(r"\A[a-z]{3,8}(-[a-z]{1,5})?\Z")


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(HOSTS)), KEYS, st.sampled_from(["1", '"x"', "true", "[]", '["x"]']))
def test_an_unknown_key_is_named_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, section: str, key: str, value: str
) -> None:
    if key in SECTIONS[section].keys:
        return
    line = f"{key}{separator(section)}{value}"
    if section == "tool":
        line = key
    found = outcome(tmp_path_factory.mktemp("any"), section, text_of(section, line))
    assert names(found, key), text_of(section, line)
    assert isinstance(found, UsageError) or SECTIONS[section].unknown == "ignored"


# A value for each honoured key, with which the file says something else than without it; or a value that the key does
# not have, which is refused (marked by a `!`).
VALUES: dict[str, dict[str, str]] = {
    "environment.yml": {
        "name": "x",
        "channels": "[x]",
        "variables": "{X: y}",
        "platforms": "![x]",
        "pip-repositories": "[https://x/]",
    },
    "script": {
        "dependencies": "['x']",
        "requires-python": "'>=3'",
        "tool": "{ uv = { constraint-dependencies = ['x'] } }",
    },
    "pyproject.toml": {},
    "project": {
        "dependencies": "['x']",
        "optional-dependencies": "!1",
        "requires-python": "'>=3'",
        "dynamic": "['dependencies']\nname = 'p'",
        "name": "!",
    },
    "dependency-groups entry": {"include-group": "'y'"},
    "tool.uv": {
        "constraint-dependencies": "['x']",
        "dev-dependencies": "!1",
        "environments": "['x']",
        "index-url": "'https://x/'",
        "extra-index-url": "['https://x/']",
        "find-links": "['https://x/']",
        "no-index": "true",
        "index-strategy": "!'x'",
        "prerelease": "'allow'",
        "resolution": "!'lowest'",
        "exclude-newer": "'2026-01-01'",
        "exclude-newer-package": "{x = '1d', y = false}",
        "no-binary": "true",
        "no-binary-package": "['x']",
        "no-build": "true",
        "no-build-package": "['x']",
        "allow-insecure-host": "['x']",
        "sources": "{torch = {git = 'https://x/'}}",
        "index": "[{url = 'https://x/'}]",
        "no-sources": "!1",
        "workspace": "!",
    },
    "tool.uv.index": {"explicit": "true", "default": "true"},
    "tool.uv.sources": {
        "index": "'i'",
        "git": f"'{SUBMODULE}'",
        "path": "'torch-1.0-py3-none-any.whl'",
        "workspace": "!true",
        "url": "'https://h.example/torch-1.0-py3-none-any.whl'",
    },
    "tool.uv.workspace": {"members": "['packages/*']"},
    "tool.bridge": {
        "dependencies": "['x']",
        "channels": "['x']",
        "index-url": "'x'",
        "extra-index-url": "['x']",
        "find-links": "['x']",
        "index": "{x = 'y'}",
        "pre": "true",
        "exclude-newer": "'2026-01-01'",
    },
    "tool.pdm": {"dev-dependencies": "!1", "source": "[{url = 'x'}]", "resolution": "{allow-prereleases = true}"},
    "tool.pdm.resolution": {"allow-prereleases": "true"},
    "tool.pdm.source": {"name": "'pypi'", "type": "'find_links'", "verify_ssl": "false", "include_packages": "['x']"},
    "tool.poetry": {
        "dependencies": "{x = '*'}",
        "group": "{g = {}}",
        "dev-dependencies": "{x = '*'}",
        "extras": "!1",
        "source": "[{name = 'x', url = 'https://x'}]",
    },
    "tool.poetry.group.NAME": {"optional": "true"},
    "tool.poetry.dependencies.NAME": {
        "version": "'^1'",
        "extras": "['x']",
        "optional": "true",
        "python": "'>=3'",
        "platform": "'linux'",
        "markers": "'os_name == \"nt\"'",
        "source": "'i'",
        "git": f"'{SUBMODULE}'",
        "path": "'torch-1.0-py3-none-any.whl'",
        "file": "'torch-1.0-py3-none-any.whl'",
        "url": "'https://h.example/torch-1.0-py3-none-any.whl'",
    },
    "tool.poetry.source": {"priority": "'explicit'", "default": "!", "secondary": "true"},
    "pixi": {
        "exclude-newer": "{x = '0d'}",
        "dependencies": "{x = '*'}",
        "host-dependencies": "{x = '*'}",
        "build-dependencies": "{x = '*'}",
        "pypi-dependencies": "{x = '*'}",
        "constraints": "{x = '*'}",
        "pypi-options": "{no-build = true}",
        "system-requirements": "{cuda = '12'}",
        "target": "{linux = {dependencies = {x = '*'}}}",
        "project": "!",
        "feature": "!1",
        "environments": "!1",
    },
    "pixi workspace": {
        "channels": "['x']",
        "platforms": "!['osx-64']",
        "channel-priority": "!'x'",
        "solve-strategy": "!'x'",
        "exclude-newer": "'2026-01-01'",
        "pypi-options": "{no-build = true}",
    },
    "pixi workspace.platforms": {
        "name": "'cuda-x'",
        "linux": "'5'",
        "libc": "'2.28'",
        "cuda": "'12'",
        "archspec": "'x86_64'",
        "macos": "!{}",
    },
    "pixi channels": {"priority": "2"},
    "pixi environments.NAME": {
        "features": "['f']",
        "no-default-feature": "true",
        "dependencies": "{x = '1'}",
        "channels": "['x']",
        "platforms": "!['osx-64']",
        "channel-priority": "!'x'",
        "solve-strategy": "!'x'",
        "host-dependencies": "{z = '*'}",
        "build-dependencies": "{z = '*'}",
        "pypi-dependencies": "{z = '*'}",
        "constraints": "{z = '*'}",
        "pypi-options": "{no-build = true}",
        "system-requirements": "{cuda = '12'}",
        "target": "{linux = {dependencies = {z = '*'}}}",
    },
    "pixi feature.NAME": {
        "dependencies": "{x = '*'}",
        "host-dependencies": "{x = '*'}",
        "build-dependencies": "{x = '*'}",
        "pypi-dependencies": "{x = '*'}",
        "constraints": "{x = '*'}",
        "pypi-options": "{no-build = true}",
        "system-requirements": "{cuda = '12'}",
        "target": "{linux = {dependencies = {x = '*'}}}",
        "channels": "['x']",
        "channel-priority": "!'x'",
        "platforms": "!['osx-64']",
        "solve-strategy": "!'x'",
    },
    "pixi target.PLATFORM": {
        "dependencies": "{x = '*'}",
        "host-dependencies": "{x = '*'}",
        "build-dependencies": "{x = '*'}",
        "pypi-dependencies": "{x = '*'}",
        "constraints": "{x = '*'}",
    },
    "pixi system-requirements": {
        "linux": "'5'",
        "libc": "'2.28'",
        "cuda": "'12'",
        "archspec": "'x86_64'",
        "macos": "!{}",
    },
    "pixi pypi-options": {
        "index-url": "'x'",
        "extra-index-urls": "['x']",
        "find-links": "[{url = 'x'}]",
        "no-build": "true",
        "no-binary": "['x']",
        "index-strategy": "!'x'",
        "prerelease-mode": "'allow'",
    },
    "pixi dependencies.NAME": {
        "version": "'1'",
        "build": "'py*'",
        "build-number": "'>1'",
        "channel": "'c'",
        "subdir": "'noarch'",
        "file-name": "'x.conda'",
        "md5": f"'{'a' * 32}'",
        "sha256": f"'{A}'",
        "license": "'MIT'",
        "when": "'python'",
        "extras": "['y']",
        "url": "'https://h.example/c/noarch/x-1-0.conda'",
    },
    "pixi pypi-dependencies.NAME": {
        "version": "'==1'",
        "extras": "['y']",
        "index": "'https://i.example/'",
        "git": f"'{SUBMODULE}'",
        "path": "'x-1.0-py3-none-any.whl'",
        "url": "'https://h.example/x-1.0-py3-none-any.whl'",
        "env-markers": "'os_name == \"nt\"'",
    },
}
# Keys of locks are entries of one artifact; what they do is tested in test_lock_files.
# Honoured keys that mean something only beside others or under an option; what they do is tested in test_tool_tables.
BESIDE_OTHERS = {
    ("environment.yml", "dependencies"),
    ("pyproject.toml", "project"),
    ("pyproject.toml", "dependency-groups"),
    ("pyproject.toml", "tool"),
    ("tool.uv.index", "name"),
    ("tool.uv.index", "format"),
    ("tool.uv.index", "url"),
    ("tool.pdm.source", "url"),
    ("tool.uv.workspace", "exclude"),
    ("tool.poetry.group.NAME", "dependencies"),
    ("pixi", "workspace"),
    ("tool.poetry.group.NAME", "include-groups"),
    ("tool.poetry.source", "name"),
    ("tool.poetry.source", "url"),
    ("pixi channels", "channel"),
    ("tool.uv.workspace", "members"),
    ("project", "name"),
    ("tool.uv", "workspace"),
    ("pixi", "project"),
    ("tool.poetry.source", "default"),
    ("pixi system-requirements", "macos"),
    ("pixi workspace.platforms", "macos"),
    ("pixi workspace.platforms", "platform"),
    *(
        ("tool.uv.sources", key)
        for key in ("rev", "tag", "branch", "subdirectory", "editable", "marker", "extra", "group")
    ),
    *(("tool.poetry.dependencies.NAME", key) for key in ("rev", "tag", "branch", "subdirectory", "develop")),
    *(("pixi pypi-dependencies.NAME", key) for key in ("rev", "tag", "branch", "subdirectory", "editable")),
    *(("tool", key) for key in ("uv", "pixi", "poetry", "pdm", "bridge")),
}
HONOURED = [
    (section.name, key)
    for section in SECTIONS.values()
    if section.name in HOSTS
    for key, construct in section.keys.items()
    if construct.fate == "honoured" and (section.name, key) not in BESIDE_OTHERS and section.name not in LOCKS
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("torch", "x"):
        make_wheel(tmp_path, name, "1.0")
    return tmp_path


@pytest.mark.parametrize(("section", "key"), HONOURED)
def test_what_is_honoured_changes_what_is_read(place: Path, section: str, key: str) -> None:
    value = VALUES[section][key]
    without = outcome(place, section, text_of(section, ""))
    found = outcome(place, section, text_of(section, f"{key}{separator(section)}{value.removeprefix('!')}"))
    assert isinstance(found, UsageError) == value.startswith("!"), found
    if isinstance(found, UsageError):
        assert names(found, key)
    else:
        assert found != without


@pytest.mark.parametrize("option", OPTIONS.keys)
def test_options_of_pip(tmp_path: Path, option: str) -> None:
    values = {"--hash": f"x --hash=sha256:{A}", "--requirement": "-r more.txt", "--constraint": "-c more.txt"}
    values |= {
        "--all-releases": "--all-releases=:all:",
        "--editable": "-e ./app",
        "--require-hashes": "--require-hashes",
    }
    (tmp_path / "more.txt").write_text("more\n")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/pyproject.toml").write_text('[project]\nname = "app"\n')
    path = tmp_path / "requirements.txt"
    path.write_text("y\n")
    without = read(path, environ={})
    found: FileRequirements | UsageError | None = None
    for line in (values[option],) if option in values else (option, f"{option}=z"):
        path.write_text(f"{line}\ny\n" if option != "--require-hashes" else f"{line}\n")
        try:
            found = read(path, environ={})
            break
        except UsageError as error:
            found = error
    fate = OPTIONS.keys[option].fate
    assert found is not None
    if option == "--hash":  # One hash requires one of every line.
        assert isinstance(found, UsageError)
        assert "has no hash" in found.message
    elif fate == "honoured":
        assert isinstance(found, FileRequirements), found
        assert replace(found, warnings=()) != replace(without, warnings=())
    else:
        assert isinstance(found, UsageError) == (fate == "refused")
        assert names(found, option)


def test_a_section_that_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool]\nuv = 1\n[project]\n")
    with pytest.raises(UsageError, match=r"tool\.uv: a table was expected"):
        read(path)
    assert Section(name="x", keys={}).check(Field({}, Path("f")), []).value == {}
