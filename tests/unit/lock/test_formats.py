"""What is written is read back as it was: every kind of package, in each format that bridge reads as a lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import UsageError
from bridge.lock.content import Content, Inputs
from bridge.lock.formats import format_of, write
from bridge.lock.previous import read_previous, sides
from bridge.lock.yaml_text import yaml_text
from bridge.requirements.files.locks.reading import read_lock
from bridge.requirements.locked import Facts, Locked, LockedConda, LockedEnvironment, LockedSource, LockedWheel
from converters.record import conda_record

INDEX, OTHER, COMMIT = "https://files.example/simple", "https://other.example/simple", "1" * 40
CHANNEL = "https://channel.example/main"
PACKAGES: tuple[Locked, ...] = (
    LockedConda(
        record=conda_record(
            {
                "name": "odd", "version": "1e3", "build": "py312_cp312", "build_number": 3, "subdir": "linux-64",
                "depends": ["python", "x >=1"], "constrains": ["y <2"], "sha256": "e" * 64, "md5": "f" * 32, "size": 7,
                "timestamp": 1700000000000, "license": "MIT", "track_features": "slow",
                "fn": "odd-1e3-py312_cp312.conda", "url": f"{CHANNEL}/linux-64/odd-1e3-py312_cp312.conda",
                "channel": CHANNEL,
            }
        ),
        requested=("odd",), facts=Facts(advertised="1" * 64, choice="its wheel is for Windows: not here"),
    ),
    LockedWheel(
        name="torch", version="2.1+cpu", url="https://files.example/torch-2.1%2Bcpu-cp312-cp312-linux_x86_64.whl",
        filename="torch-2.1+cpu-cp312-cp312-linux_x86_64.whl", sha256="a" * 64, index=INDEX, extras=("gpu",),
        requires_dist=("x>=1", "y>=1 ; extra == 'z'"), requires_python=">=3.8", requested=("torch[gpu]",),
        facts=Facts(license="MIT", yanked="", attestations=({"issuer": "https://i.example", "identity": "a: b"},)),
    ),
    LockedWheel(
        name="direct", version="1", url="https://h.example/direct-1-py3-none-any.whl",
        filename="direct-1-py3-none-any.whl", sha256="b" * 64, is_direct=True, requires_dist=(),
    ),
    LockedSource(
        name="made", version="1!2.0", kind="sdist", url="https://files.example/made-1!2.0.tar.gz",
        filename="made-1!2.0.tar.gz", sha256="c" * 64, index=OTHER, requires_dist=(),
        facts=Facts(license="", yanked="broken\nfor: all"),
    ),
    LockedSource(
        name="versioned", version="3", kind="git", url=f"git+https://h.example/r.git@{COMMIT}#subdirectory=p/q",
        revision=COMMIT, reference="v3", requires_dist=(),
    ),
    LockedSource(
        name="zipped", version="4", kind="archive", url="https://h.example/archive/main.zip", filename="main.zip",
        sha256="d" * 64, requires_dist=(),
    ),
)  # fmt: skip
ENVIRONMENT = LockedEnvironment(
    channels=(CHANNEL,),
    indexes=(INDEX, OTHER),
    packages={"linux-64": PACKAGES},
    virtual_packages={"linux-64": ("__glibc=2.28",)},
    requires_python=">=3.12",
)
INPUTS = Inputs(requirements=("odd", "torch[gpu]"), files=("req.txt",), platforms=("linux-64",), options={"pre": True})


def written(path: Path) -> Path:
    text = write(Content(environments=(ENVIRONMENT,), inputs=INPUTS), path, format_of(path)).text
    path.write_text(text, "utf-8")
    return path


def test_a_bridge_lock_holds_everything(tmp_path: Path) -> None:
    path = written(tmp_path / "bridge.lock")
    found = read_lock(path)
    assert found.warnings == ()
    environment = found.environments[0]
    read = {each.name: each for each in environment.packages["linux-64"]}
    assert read == {each.name: each for each in PACKAGES}
    assert (environment.channels, environment.indexes) == ((CHANNEL,), (INDEX, OTHER))
    assert environment.virtual_packages == {"linux-64": ("__glibc=2.28",)}
    assert environment.requires_python == ">=3.12"
    assert read_previous(path, "rattler").inputs == INPUTS


@pytest.mark.parametrize("name", ["pylock.toml", "conda-lock.yml"])
def test_the_files_of_other_formats_are_the_same(tmp_path: Path, name: str) -> None:
    environment = read_lock(written(tmp_path / name)).environments[0]
    read = {(each.name, each.url, each.sha256) for each in environment.packages["linux-64"]}
    every = {(each.name, each.url, each.sha256) for each in PACKAGES}
    missing = {each[0] for each in every - read}
    assert missing == ({"odd"} if name == "pylock.toml" else {"versioned"})


def test_what_a_format_has_no_room_for_is_refused(tmp_path: Path) -> None:
    two = (ENVIRONMENT, LockedEnvironment(name="test", packages={"linux-64": ()}))
    several = LockedEnvironment(packages={"linux-64": (), "win-64": ()})
    for content, names in (
        (Content(environments=two), ("pylock.toml", "conda-lock.yml", "r.txt", "explicit.txt", "e.yml")),
        (Content(environments=(several,)), ("r.txt", "explicit.txt", "e.yml")),
    ):
        for name in names:
            with pytest.raises(UsageError, match="holds one"):
                write(content, tmp_path / name, format_of(tmp_path / name))


def test_the_sides_of_a_conflict() -> None:
    text = "a\n<<<<<<< ours\nb\n||||||| base\nz\n=======\nc\n>>>>>>> theirs\nd\n"
    assert sides(text) == ("a\nb\nd\n", "a\nc\nd\n")


@pytest.mark.parametrize("text", ["1e3", "0o7", "1.0", "no", "~", "12e5", "0x1f", "1:30", ".inf", "null"])
def test_a_text_that_looks_like_a_number_or_a_word_is_quoted(text: str) -> None:
    assert yaml_text({"a": text}) == f"a: '{text}'\n"
