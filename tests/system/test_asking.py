"""What is said of a request that cannot be met for a reason outside the solve: one clear error, and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builders import make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge
from tests.support.sdists import make_sdist


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    make_conda(tmp_path / "channel", "zlib", "1.0")
    make_conda(tmp_path / "channel", "python", "3.12.1", subdir="linux-64", noarch=None)
    make_repodata(tmp_path / "channel")
    for folder, version in (("first", "1.0"), ("second", "2.0"), ("second", "2.1")):
        make_wheel(tmp_path / folder / "demo", "demo", version)
    (tmp_path / "empty").mkdir()
    whole = make_wheel(tmp_path, "whole", "1.0").read_bytes()
    (tmp_path / "cut-1.0-py3-none-any.whl").write_bytes(whole[:-30])
    (tmp_path / "noise-1.0-py3-none-any.whl").write_bytes(b"noise" * 40)
    place = whole.index(b"whole/__init__.py") + 20
    (tmp_path / "whole-1.0-py3-none-any.whl").write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
    (tmp_path / "cut-1.0.tar.gz").write_bytes(b"\x1f\x8b\x08\x00 no gzip")
    return Bridge(cache=tmp_path / "cache", index=(tmp_path / "first").as_uri(), folder=tmp_path)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("-c ./nowhere zlib", 10, "there is no channel at {folder}/nowhere: no such directory"),
        ("-c ./empty zlib", 10, "{folder}/empty: it has no noarch/repodata.json"),
        ("-c ./channel conda-forge::zlib --offline", 10, "--offline forbids fetching it"),
        ("-c ./channel conda-forge::zlib --offline", 10, "because a requirement names it: conda-forge"),
        ("-c ./channel python ./cut-1.0-py3-none-any.whl", 3, "cut-1.0-py3-none-any.whl"),
        ("-c ./channel python ./noise-1.0-py3-none-any.whl", 3, "noise-1.0-py3-none-any.whl"),
        ("-c ./channel python ./whole-1.0-py3-none-any.whl", 3, "whole-1.0-py3-none-any.whl"),
        ("-c ./channel python ./cut-1.0.tar.gz", 3, "cut-1.0.tar.gz"),
        ("-c ./channel python demo>=2", 6, "second has demo"),
    ],
)
def test_one_clear_error(bridge: Bridge, words: str, status: int, said: str) -> None:
    second = (bridge.folder / "second").as_uri()
    ran = bridge("resolve", "--platform", "linux-64", "--extra-index-url", second, *words.split())
    assert ran.status in ({3, 5} if status == 3 else {status}), ran.err
    assert said.format(folder=bridge.folder) in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("asked", "meant"), [("zlibb", "zlib"), ("zlbi", "zlib"), ("demo=1", "demo==1.*"), ("demo=1.0", "demo==1.0")]
)
def test_what_was_meant_is_suggested_and_has_a_solution(bridge: Bridge, asked: str, meant: str) -> None:
    ran = bridge("resolve", "-c", "./channel", "--platform", "linux-64", asked, "--json")
    assert ran.status == 6, ran.err
    assert f"`{meant}`" in ran.document["error"]["hint"]
    followed = bridge("resolve", "-c", "./channel", "--platform", "linux-64", meant)
    assert followed.status == 0, followed.err


@pytest.mark.slow
def test_a_plan_says_what_will_be_built(bridge: Bridge) -> None:
    sdist = make_sdist(bridge.folder / "first" / "old", "old", "1.0")
    assert sdist.exists()
    for command in (("resolve",), ("create", "-p", "new", "--dry-run")):
        ran = bridge(*command, "-c", "./channel", "--platform", "linux-64", "old", "demo")
        assert ran.status == 0, ran.err
        lines = {
            line.split()[line.split()[0] == "+"]: line for line in (ran.out + ran.err).splitlines() if line.split()
        }
        assert "source, to build" in lines["old"]
        assert "wheel" in lines["demo"]


def test_a_search_may_be_given_more_or_less_patience(bridge: Bridge) -> None:
    assert bridge("resolve", "-c", "./channel", "--platform", "linux-64", "zlib", "--patience", "5").status == 0
    ran = bridge("resolve", "-c", "./channel", "--platform", "linux-64", "zlib", environ={"BRIDGE_PATIENCE": "soon"})
    assert ran.status == 2
    assert "BRIDGE_PATIENCE" in ran.err


def test_a_channel_that_is_configured_may_be_named(bridge: Bridge) -> None:
    for name in ("channel", (bridge.folder / "channel").as_uri()):
        ran = bridge("resolve", "-c", "./channel", "--platform", "linux-64", f"{name}::zlib", "--json")
        assert ran.status == 0, ran.err
        assert [package["name"] for package in ran.document["packages"]] == ["zlib"]


def test_no_index_is_named_that_would_not_help(bridge: Bridge) -> None:
    second = (bridge.folder / "second").as_uri()
    words = ["-c", "./channel", "--platform", "linux-64", "--extra-index-url", second, "python", "demo>=3"]
    ran = bridge("resolve", *words)
    assert (ran.status, "comes first" in ran.err) == (6, False), ran.err


@pytest.mark.parametrize(
    ("words", "environ", "status", "said"),
    [
        ("", {}, 2, "Usage: bridge"),
        ("create -p ./file -c host python", {}, 4, "choose another path"),
        ("create -p ./new -c host -r ./file", {}, 2, "no requirements in ./file"),
        ("create -p ./new -c host python", {"BRIDGE_CACHE_DIR": "/dev/null/cache"}, 7, "BRIDGE_CACHE_DIR"),
        ("resolve -c host python --name-map ./none.json", {}, 2, "--name-map"),
        ("resolve -c host --batch ./none.jsonl", {}, 2, "none.jsonl cannot be read: No such file"),
        ("resolve -c host --batch ./lines.jsonl", {}, 2, "not a JSON object"),
        (
            "resolve -c host --batch ./text.jsonl",
            {},
            2,
            "2 is not a request\n  `conda` is not a list of strings",
        ),
        ("resolve -c host --batch ./lines.jsonl numpy", {}, 2, "--batch reads its requests from its file"),
        ("resolve --channel= python", {}, 2, "a channel without a name"),
    ],
)
def test_what_a_new_user_runs_into(bridge: Bridge, words: str, environ: dict[str, str], status: int, said: str) -> None:
    (bridge.folder / "file").write_text("")
    (bridge.folder / "lines.jsonl").write_text("[1]\n")
    (bridge.folder / "text.jsonl").write_text('{"conda": ["python"]}\n{"conda": "python"}\n')
    ran = bridge(*words.split(), environ=environ)
    assert (ran.status, said in ran.err, "Traceback" in ran.err) == (status, True, False), ran.err
    assert not (bridge.folder / "new").exists()


def test_a_fault_of_our_own_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from bridge import cli
    from bridge.cli import run

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("nobody thought of it")

    monkeypatch.setattr(run.Run, "__init__", fail)
    assert cli.main(["list"]) == 7
    assert "error[internal]: a bug in bridge: ZeroDivisionError: nobody thought of it" in capsys.readouterr().err
