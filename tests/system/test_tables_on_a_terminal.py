"""Tables on real terminals of several widths."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.cli.tables import fit, width_of
from tests.support.builders import install_record, make_conda, make_repodata
from tests.support.command_line import clean_environment
from tests.support.terminals import Seen, on_terminal

LONG = "backports.strenum-of-a-very-long-name"
BUILD = "py312hdeadbeef_conda_forge_release_0"
WIDTHS = (60, 80, 100, 120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for name, version in (("demo", "1.0"), ("demo", "2.0rc1.dev20260101"), (LONG, "2024.10.1.post3")):
        depends = [f"{LONG} >=2024.1,<2030"] if name == "demo" else []
        make_conda(folder / "channel", name, version, build=BUILD, depends=depends)
    make_repodata(folder / "channel")
    url = "https://packages.example.org/some/channel-of-a-team/noarch"
    for name, version in (("demo", "1.0"), (LONG, "2024.10.1.post3")):
        depends = [f"{LONG} >=2024.1,<2030"] if name == "demo" else []
        specs = [f"{name} >=0.1,!=0.5"] if name == "demo" else []
        install_record(
            folder / "envs/prefix", name, version, build=BUILD, depends=depends, channel=url.rsplit("/", 1)[0],
            url=f"{url}/{name}-{version}-{BUILD}.conda", requested_specs=specs,
        )  # fmt: skip
    install_record(folder / "envs/other", LONG, "2023.1.1.post1", build=BUILD)
    (folder / "envs/prefix/conda-meta/pinned").write_text(f"{LONG} >=2024.1,<2030,!=2024.5.5\n")
    history = folder / "envs/prefix/conda-meta/history"
    history.write_text(
        "==> 2026-01-02 03:04:05 <==\n# cmd: bridge install -p /srv/teams/science/envs/prefix demo and many other words"
        f"\n+team/noarch::demo-1.0-{BUILD}\n+team/noarch::{LONG}-2024.10.1.post3-{BUILD}\n"
    )
    (folder / "policy.toml").write_text('[licenses]\nallow = ["MIT"]\n')
    return folder


def _commands(folder: Path) -> dict[str, list[object]]:
    prefix, channel = folder / "envs/prefix", ["-c", folder / "channel", "--no-index"]
    return {
        "list": ["list", "-p", prefix],
        "resolve": ["resolve", *channel, "demo"],
        "plan": ["create", "-p", folder / "new", *channel, "demo", "--dry-run"],
        "search": ["search", *channel, "demo"],
        "outdated": ["outdated", "-p", prefix, *channel],
        "history": ["history", "-p", prefix],
        "tree": ["tree", "-p", prefix],
        "env list": ["env", "list"],
        "diff": ["diff", prefix, folder / "envs/other"],
        "pin": ["pin", "-p", prefix],
        "self": ["self", "check"],
        "info": ["info", "-p", prefix],
        "policy": ["policy", "check", "-p", prefix, "--policy", folder / "policy.toml"],
    }


@pytest.fixture(scope="module", params=WIDTHS)
def seen(request: pytest.FixtureRequest, folder: Path) -> tuple[int, dict[str, str]]:
    environ = {"BRIDGE_CACHE_DIR": str(folder / "cache"), "PIP_CONFIG_FILE": os.devnull, "HOME": str(folder),
               "CONDA_ENVS_DIRS": str(folder / "envs"), "LC_ALL": "C.UTF-8"}  # fmt: skip
    commands = _commands(folder)
    shown: Seen = on_terminal(*commands.values(), environ=environ, folder=folder, width=request.param)
    assert len(shown.texts) == len(commands), shown.raw
    return request.param, dict(zip(commands, shown.texts, strict=True))


@pytest.mark.parametrize(
    "command",
    ["list", "resolve", "plan", "search", "outdated", "history", "diff", "pin", "self", "info", "policy"],
)
def test_no_line_is_wider_than_the_terminal(seen: tuple[int, dict[str, str]], command: str) -> None:
    width, texts = seen
    lines = texts[command].replace("\r", "").splitlines()
    said = ("warning: ", "hint: ", "error[")
    table = [line for line in lines if not line.startswith(said) and "tables" not in line and " in 0." not in line]
    assert len(table) > 1, texts[command]
    assert max(map(width_of, table)) <= width, texts[command]


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("list", ("demo", "1.0", "conda", "channel-of-a-team", LONG, "2024.10.1.post3")),
        ("resolve", ("demo", "2.0rc1.dev20260101", "conda channel", LONG, "2024.10.1.post3")),
        ("plan", ("demo", "2.0rc1.dev20260101", "conda channel", LONG, "2024.10.1.post3")),
        ("search", ("1.0", "2.0rc1.dev20260101", "channel")),
        ("outdated", ("demo", "1.0", "2.0rc1.dev20260101", "conda")),
        ("history", ("0", "2026-01-02 03:04:05", "bridge in")),
        ("tree", ("demo 1.0 (conda)", f"{LONG} 2024.10.1.post3 (conda)")),
        ("env list", ("prefix", "/envs/prefix")),
        ("diff", ("demo", "1.0", "conda", LONG, "2024.10.1.post3", "2023.1.1.post1")),
        ("policy", ("conda:demo-1.0", "licenses")),
        ("pin", (f"{LONG} >=2024.1,<2030,!=2024.5.5", "2024.10.1.post3")),
    ],
)
def test_name_version_and_origin_are_whole(
    seen: tuple[int, dict[str, str]], command: str, kept: tuple[str, ...]
) -> None:
    _, texts = seen
    for text in kept:
        assert text in texts[command] or _is_folded(text, texts[command]), (text, texts[command])


def _is_folded(text: str, shown: str) -> bool:
    """Whether the parts of a text are in one column of following lines."""
    lines = shown.replace("\r", "").splitlines()
    return any(
        _continues(text[end:].lstrip(), lines[at + 1 :], line.find(text[:end]))
        for at, line in enumerate(lines)
        for end in range(len(text) - 1, 4, -1)
        if text[:end] in line
    )


def _continues(rest: str, lines: list[str], column: int) -> bool:
    if not lines:
        return not rest
    part = lines[0][column:].split("  ")[0].strip()
    return rest == part or bool(
        part and rest.startswith(part) and _continues(rest[len(part) :].lstrip(), lines[1:], column)
    )


def test_a_pipe_gets_whole_cells(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bridge", *map(str, _commands(folder)["list"])],
        env=clean_environment() | {"COLUMNS": "40"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert BUILD in done.stdout
    assert "…" not in done.stdout


@pytest.mark.parametrize("width", range(4, 130, 7))
def test_a_layout_keeps_what_is_kept(width: int) -> None:
    rows = [("名前" * 4, "1.2.3", BUILD, "conda", "needs a and b and c"), ("demo", "10", "0", "wheel", "")]
    layout = fit(("package", "version", "build", "from", "why"), rows, width, short=("build", "why"))
    kept = [at for at, title in enumerate(layout.titles) if title not in ("build", "why")]
    text = ["".join(line[at].strip() for line in layout.lines) for at in kept]
    assert text == ["名前" * 4 + "demo", "1.2.310", "condawheel"]
    if width >= 40:
        assert max(width_of("  ".join(line)) for line in (*layout.head, *layout.lines)) <= width
