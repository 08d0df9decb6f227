"""A solve is recorded and repeated from its file alone, with the same answer; secrets are in no recording."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.config.policy import Policy
from bridge.config.policy.reading import read_rules
from bridge.errors import BridgeError, UnsafeInputError
from bridge.resolve import Options, SolveRequest, Standing, resolve
from bridge.resolve.recording import Recorder
from bridge.resolve.replay import replay
from converters.names import NameMap
from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge
from tests.support.resolver_scenarios import read_scenario
from tests.support.resolver_worlds import CHANNEL, INDEX, World, milliseconds, record, requests, solve_request, wheel
from tests.support.servers import Server
from tests.system.test_secrets_nowhere import MARK, Site

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))


def answer(solve: Any) -> object:  # noqa: ANN401 - any way to solve
    try:
        solved = solve()
    except BridgeError as error:
        return error.id, error.message, error.context, error.hint
    return solved.packages, solved.target, solved.warnings, solved.statistics.rounds


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_recorded_solve_gives_the_same_answer(path: Path) -> None:
    scenario = read_scenario(path)
    asked = solve_request(scenario.conda, scenario.pypi)
    recorder = Recorder()
    live = answer(lambda: recorder.resolve(asked, scenario.world.catalog()))
    assert live == answer(lambda: resolve(asked, scenario.world.catalog()))
    document = json.loads(json.dumps(recorder.document({})))
    assert answer(lambda: replay(document, "the recording")) == live


def test_what_the_environment_adds_is_recorded_too() -> None:
    world = World(
        records=(record("python", "3.12.4"), record("python", "3.11.9"), record("tool", "2.0"), record("tool", "1.0")),
        wheels=(wheel("rich-13.9-py3-none-any.whl"), wheel("rich-13.8-py3-none-any.whl")),
    )
    recorder = Recorder()
    request = SolveRequest(
        requirements=tuple(requests(pypi=["rich"])),
        constraints=tuple(requests(pypi=["rich<13.9"])),
        requires_python="<3.12",
        standing=Standing(
            retained=tuple(requests(["tool"])), pins=tuple(requests(["tool <2"])), kept={"tool": "tool-1.0-0"}
        ),
    )
    live = recorder.resolve(request, world.catalog())
    assert {p.record.version for p in live.packages} == {"3.11.9", "1.0", "13.8"}
    document = json.loads(json.dumps(recorder.document({})))
    assert replay(document, "the recording").packages == live.packages


WORLD_OF_LIB = World(
    records=(record("tool", "1.0", "lib"), *(record("lib", version) for version in ("3.0", "2.5", "2.0", "1.0")))
)


@pytest.mark.parametrize(
    ("standing", "version"),
    [
        (Standing(), "3.0"),
        (Standing(agreed={"lib": "2.0"}), "2.0"),
        (Standing(earlier=tuple(requests(["lib <3"]))), "2.5"),
        (Standing(configured=tuple(requests(["lib <2"])), pins=tuple(requests(["lib <3"]))), "1.0"),
        (Standing(configured=tuple(requests(["lib >3"]))), None),
        (Standing(earlier=tuple(requests(["lib <1"]))), None),
    ],
)
def test_a_recording_tells_locks_earlier_requests_and_configured_pins_apart(
    standing: Standing, version: str | None
) -> None:
    recorder = Recorder()
    asked = SolveRequest(requirements=tuple(requests(["tool"])), standing=standing)
    live = answer(lambda: recorder.resolve(asked, WORLD_OF_LIB.catalog()))
    document = json.loads(json.dumps(recorder.document({})))
    assert answer(lambda: replay(document, "the recording")) == live
    if version is not None:
        assert f"version='{version}'" in repr(live)


@pytest.mark.parametrize("key", ["earlier", "configured"])
@pytest.mark.parametrize("count", [2, -1, True, "1"])
def test_a_recording_with_an_impossible_count_is_refused(key: str, count: object) -> None:
    recorder = Recorder()
    recorder.resolve(SolveRequest(requirements=tuple(requests(["tool"]))), WORLD_OF_LIB.catalog())
    document = json.loads(json.dumps(recorder.document({})))
    document["request"][key] = count
    with pytest.raises(UnsafeInputError):
        replay(document, "the recording")


POLICY = f"""
yanked = "deny"
cooldown = {{default = "2026-03-01", "keeps-*" = "never"}}
builds = ["own-*"]
hashes = {{require = true, except = ["late", "known", "gpl", "keeps-up"]}}
attestations = {{signed = {{publisher = "GitHub", repository = "acme/signed"}}}}
[origins]
elsewhere = ["{CHANNEL}/other", "conda-forge"]
[sources]
"{INDEX}" = ["late", "gpl", "keeps-*", "known"]
[files]
"{INDEX}" = ["https://files.example"]
[licenses]
deny = ["GPL-*"]
"""


@pytest.mark.parametrize("name", ["late", "keeps-up", "elsewhere", "foreign", "gpl", "signed", "own-built", "bare"])
def test_a_recorded_policy_gives_the_same_answer(name: str, tmp_path: Path) -> None:
    late = milliseconds("2026-06-01T00:00:00Z")
    advertised = record("signed", "1.0", attestations_sha256="0" * 64, sha256="0" * 64)
    world = World(
        records=(
            record("python", "3.12.4", sha256="0" * 64),
            record("late", "1.0", timestamp=1_700_000_000_000),
            record("late", "2.0", timestamp=late),
            record("keeps-up", "2.0", timestamp=late),
            record("elsewhere", "1.0", sha256="0" * 64),
            record("gpl", "1.0", license="GPL-3.0-only"),
            record("gpl", "0.9", license="MIT"),
            record("bare", "1.0"),
            record("signed", "2.0", sha256="0" * 64),
            advertised,
        ),
        wheels=(wheel("foreign-1.0-py3-none-any.whl"), wheel("own_built-1.0.tar.gz")),
    )
    (tmp_path / "bridge-policy.toml").write_text(POLICY)
    options = Options(policy=Policy(files=(read_rules(tmp_path / "bridge-policy.toml", 1_800_000_000),)))
    recorder, asked = (
        Recorder(),
        solve_request([], [name]) if name in {"foreign", "own-built"} else solve_request([name]),
    )
    live = answer(lambda: recorder.resolve(asked, replace(world, options=options).catalog()))
    document = json.loads(json.dumps(recorder.document({})))
    assert answer(lambda: replay(document, "the recording")) == live
    del document["options"]["policy"]
    assert (answer(lambda: replay(document, "the recording")) == live) == (name == "keeps-up")


def test_only_the_rows_of_the_name_map_that_matter_are_recorded() -> None:
    names = NameMap({"a": ["a-project"], "b": ["a-project", "b"], "far": ["away"]}, "a test", defaults={"d": ["b"]})
    assert names.part({"a"}, {"b"}) == ({"a": ("a-project",), "b": ("a-project", "b")}, {"d": ("b",)})


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    channel = tmp_path / "channel"
    make_python(channel, "3.12")
    make_conda(channel, "tool", "1.0")
    make_repodata(channel)
    made = Bridge.of_folder(tmp_path)
    make_wheel(tmp_path / "wheels", "cow", "1.0", requires=["grass"])
    make_wheel(tmp_path / "wheels", "grass", "1.0")
    return made


def test_the_command_replays_without_channel_and_index(bridge: Bridge, tmp_path: Path) -> None:
    file = tmp_path / "solve.json"
    live = bridge("resolve", "tool", "pypi:cow", "--record", file, "--json")
    assert live.status == 0, live.err
    shutil.rmtree(tmp_path / "channel")
    shutil.rmtree(tmp_path / "wheels")
    again = bridge("resolve", "--replay", file, "--json")
    assert again.status == 0, again.err
    for ran in (live.document, again.document, recorded := json.loads(file.read_text("utf-8"))["answer"]):
        ran["statistics"].pop("seconds")
    assert live.document["packages"] == again.document["packages"] == recorded["packages"]
    assert {package["name"] for package in again.document["packages"]} >= {"tool", "cow", "grass"}


def test_a_solve_without_solution_is_recorded_and_fails_again(bridge: Bridge, tmp_path: Path) -> None:
    file = tmp_path / "solve.json"
    live = bridge("resolve", "tool >=2", "--record", file, "--json")
    assert live.status == 6
    again = bridge("resolve", "--replay", file, "--json")
    assert again.status == 6
    assert again.document == live.document == json.loads(file.read_text("utf-8"))["answer"]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        ("", 3, "not valid JSON"),
        ("[]", 3, "not a recorded solve"),
        ('{"format": 2}', 3, "not a recorded solve"),
        ('{"format": 1}', 3, "not a recorded solve"),
    ],
)
def test_what_is_no_recording_is_one_error(
    bridge: Bridge, tmp_path: Path, content: str, status: int, words: str
) -> None:
    file = tmp_path / "solve.json"
    file.write_text(content, "utf-8")
    ran = bridge("resolve", "--replay", file)
    assert (ran.status, words in ran.err) == (status, True)
    assert ran.err.count("error") == 1


@pytest.mark.parametrize("words", [["tool"], ["--record", "x"], ["--batch", "x"]])
def test_a_replay_goes_with_nothing_else(bridge: Bridge, words: list[str]) -> None:
    assert bridge("resolve", "--replay", "solve.json", *words).status == 2


def test_a_recording_that_cannot_be_read_is_a_usage_error(bridge: Bridge, tmp_path: Path) -> None:
    ran = bridge("resolve", "--replay", tmp_path / "absent.json")
    assert ran.status == 2
    assert "absent.json cannot be read" in ran.err


DAMAGE: dict[str, tuple[Any, ...]] = {
    "an older format": ("format", 0),
    "a newer format": ("format", 2),
    "a number where a text may be": ("records", "tool", 0, "noarch", 1),
    "a number for a version": ("records", "tool", 0, "version", 1),
    "a text for a list": ("records", "tool", 0, "requirements", "python"),
    "a list of numbers": ("records", "tool", 0, "requirements", [1]),
    "a list of lists": ("records", "tool", 0, "purls", [["x"]]),
    "an extra that is no pair": ("records", "tool", 0, "extra_requirements", [["x"]]),
    "a version of libc that is none": ("target", "virtual_packages", [["__glibc", "new", "0"]]),
    "a MatchSpec without its text": ("request", "requirements", 0, "conda", None),
    "METADATA without a version": ("index", "metadata", "u", {"name": "x", "version": "pypi:x"}),
    "a field that is none": ("records", "tool", 0, "colour", "red"),
    "a platform that is none": ("target", "subdir", "moon-64"),
    "a marker that is none": ("request", "requirements", 0, "marker", "python ==="),
    "a preference that is none": ("options", "prefer", "both"),
    "a name map that is none": ("names", "table", [1]),
    "a policy that is no list": ("options", "policy", {}),
    "a policy without its rules": ("options", "policy", [{}]),
    "an error that is none": ("index", "metadata", "u", {"error": {"type": "SystemExit"}}),
}


@pytest.mark.parametrize("place", DAMAGE.values(), ids=list(DAMAGE))
def test_a_damaged_recording_is_one_error(place: tuple[Any, ...]) -> None:
    world = World(records=(record("python", "3.12.4"), record("tool", "1.0", "python")))
    recorder = Recorder()
    recorder.resolve(solve_request(["tool"]), world.catalog())
    document = json.loads(json.dumps(recorder.document({})))
    *way, last, value = place
    part = document
    for key in way:
        part = part[key]
    part[last] = value
    with pytest.raises(UnsafeInputError) as caught:
        replay(document, "the recording")
    assert caught.value.id == "recording"


def test_no_secret_is_in_a_recording(tmp_path: Path, server: Server) -> None:
    site = Site(tmp_path, server)
    file = tmp_path / "solve.json"
    site("resolve", "tool", "one", "--channel", site.channel, "--index-url", site.index, "--record", file)
    text = file.read_text("utf-8")
    assert MARK not in text
    assert {"one", "two"} <= json.loads(text)["index"]["files"].keys()
    site("resolve", "--replay", file)
