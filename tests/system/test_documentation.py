"""Every shell block of README and docs runs, or, where it needs what a test machine lacks, has commands that exist."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.command_line import clean_environment
from tests.support.command_socket import serving, write_program
from tests.support.documentation import (
    NEEDS,
    ROOT,
    Block,
    blocks_of,
    faults_of_block,
    faults_of_prose,
    generated_pages,
    make_world,
    pages,
)
from tests.support.servers import IndexServer

PAGES = pages()
BLOCKS = {page: blocks_of(page) for page in PAGES}


@dataclass(frozen=True)
class World:
    """The packages that the pages name, as a channel `conda-forge` and an index."""

    folder: Path
    index: str
    socket: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with IndexServer() as server, TemporaryDirectory() as short, serving(Path(short) / "bridge"):
        make_world(folder, server)
        yield World(folder, server.simple, Path(short) / "bridge")


def _runs(block: Block) -> bool:
    return block.is_shell and not block.words & NEEDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_and_options_of_a_page_exist(page: Path) -> None:
    faults = [fault for block in BLOCKS[page] for fault in faults_of_block(block)]
    assert [*faults, *faults_of_prose(page)] == []


@pytest.mark.parametrize(
    ("language", "words", "body", "fault"),
    [
        ("sh", (), "bridge instal rich\n", "no command: bridge instal rich"),
        ("sh", (), 'eval "$(bridge actvate -n lab)"\n', "no command: bridge actvate -n lab"),
        ("sh", ("network",), "cd x && bridge install \\\n  --no-such rich\n", "--no-such rich: No such option"),
        ("sh", (), "bridge env lst\n", "no subcommand: bridge env lst"),
        ("sh", ("netwrk",), "true\n", "unknown word 'netwrk'"),
        ("yaml", (), "- run: bridge lock --chek\n", "--chek: No such option"),
        ("dockerfile", (), "RUN --mount=type=cache,target=/c bridge snc -p /e\n", "no command: bridge snc"),
        ("", (), "bridge list\n", "a block of commands has the language `sh`"),
        ("console", (), "$ bridge list -p env\n", "a block of commands has the language `sh`"),
    ],
)
def test_a_command_that_does_not_exist_is_found(language: str, words: tuple[str, ...], body: str, fault: str) -> None:
    block = Block(page=ROOT / "README.md", line=1, language=language, words=frozenset(words), body=body)
    (found,) = faults_of_block(block)
    assert fault in found


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: python -m pip install '.[docs]'")
    pytest.importorskip("material", reason="mkdocs-material is not installed: python -m pip install '.[docs]'")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    for name in generated_pages():
        built = tmp_path / "site" / name.replace("index.md", "").replace(".md", "")
        assert (built / "index.html").is_file(), name


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("bash") is None, reason="the blocks are run by bash, on Linux"
)
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(map(_runs, BLOCKS[page]))],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_shell_blocks_of_a_page_run(page: Path, world: World, bridge_cache: Path, tmp_path: Path) -> None:
    folder, environ = tmp_path / "project", _environment(tmp_path, world, bridge_cache)
    folder.mkdir()
    for block in BLOCKS[page]:
        if block.title is not None:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.body, "utf-8")
        if not _runs(block):
            continue
        ended = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", block.body],
            cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert (ended.returncode != 0) == ("fails" in block.words), (
            f"{block.where}\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"
        )


def _environment(folder: Path, world: World, cache: Path) -> dict[str, str]:
    """A home of its own, `bridge` and `python` of this interpreter, and the packages of the world."""
    programs, home = folder / "bin", folder / "home"
    programs.mkdir()
    home.mkdir()
    write_program(programs / "bridge", world.socket)
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    (home / ".gitconfig").write_text("[user]\nname = Tests\nemail = tests@example.invalid\n")
    # For blocks that convert the wheels of a project.
    (home / "wheels").symlink_to(world.folder / "wheels")
    foreign = ("BRIDGE_", "XDG_")
    kept = {name: value for name, value in clean_environment().items() if not name.startswith(foreign)}
    return kept | {
        "HOME": str(home),
        "XDG_CONFIG_DIRS": str(home / "system"),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "CONDARC": os.devnull,
        "CONDA_CHANNEL_ALIAS": (world.folder / "channels").as_uri(),
        "PIP_CONFIG_FILE": os.devnull,
        "BRIDGE_INDEX_URL": world.index,
        "BRIDGE_CACHE_DIR": str(cache),
    }
