"""Channels that files name, beside those of the command line (decision 0023)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.command_line import Bridge

UNREACHABLE = "http://127.0.0.1:1/other"


def channel(folder: Path, *names: str) -> Path:
    """A channel of records without archives."""
    records = {
        f"{name}-1.0-0.conda": {
            "name": name, "version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch", "depends": [],
            "sha256": "0" * 64, "size": 1,
        }
        for name in names
    }  # fmt: skip
    for subdir, packages in (("noarch", records), ("linux-64", {})):
        (folder / subdir).mkdir(parents=True)
        (folder / subdir / "repodata.json").write_text(json.dumps({"packages.conda": packages}))
    return folder


def environment(folder: Path, url: str = UNREACHABLE) -> Path:
    path = folder / "environment.yml"
    path.write_text(f"channels: [{url}]\ndependencies: [leaf]\n")
    return path


def test_a_file_s_channel_without_answer_is_left_out_beside_another(tmp_path: Path) -> None:
    bridge = Bridge.of_folder(tmp_path)
    near = channel(tmp_path / "near", "leaf")
    ran = bridge("resolve", "-r", environment(tmp_path), "-c", near, "--platform", "linux-64", "--json")
    assert ran.status == 0, ran.err
    assert [package["name"] for package in ran.document["packages"]] == ["leaf"]
    assert "this channel is left out" in ran.err


def test_without_another_channel_it_is_an_error(tmp_path: Path) -> None:
    ran = Bridge.of_folder(tmp_path)("resolve", "-r", environment(tmp_path), "--platform", "linux-64")
    assert (ran.status, "error[channel-unreachable]" in ran.err) == (10, True)


def test_a_conflict_names_the_channel_that_did_not_answer(tmp_path: Path) -> None:
    near = channel(tmp_path / "near", "stem")
    ran = Bridge.of_folder(tmp_path)("resolve", "-r", environment(tmp_path), "-c", near, "--platform", "linux-64")
    assert (ran.status, UNREACHABLE in ran.err) == (6, True), ran.err


def test_a_channel_of_the_command_line_must_answer(tmp_path: Path) -> None:
    near = channel(tmp_path / "near", "leaf")
    ran = Bridge.of_folder(tmp_path)("resolve", "leaf", "-c", near, "-c", UNREACHABLE, "--platform", "linux-64")
    assert ran.status == 10, ran.err


def test_a_channel_of_both_must_answer(tmp_path: Path) -> None:
    """The file may spell it otherwise than the command line."""
    near, file = channel(tmp_path / "near", "leaf"), environment(tmp_path, f"{UNREACHABLE}/")
    ran = Bridge.of_folder(tmp_path)("resolve", "-r", file, "-c", near, "-c", UNREACHABLE, "--platform", "linux-64")
    assert ran.status == 10, ran.err
