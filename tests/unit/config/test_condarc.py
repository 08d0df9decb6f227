"""conda's configuration files: which are read, how they are merged, and what channel names mean then."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bridge.config import load
from bridge.config.channel_names import ChannelNames
from bridge.config.condarc import CondaConfiguration, condarc_files, read_condarc
from bridge.errors import UsageError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file below `tmp_path`, which is HOME."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


def read(home: Path, **environ: str) -> CondaConfiguration:
    return read_condarc({"HOME": str(home), **environ})


def test_conda_asks_nothing_and_neither_does_bridge(tmp_path: Path, write: Write) -> None:
    write(".condarc", "always_yes: true\n")
    home = {"HOME": str(tmp_path)}
    assert [load({}, {**home, **more}, files=()).yes for more in ({}, {"CONDA_ALWAYS_YES": "false"})] == [True, False]
    assert load({}, {**home, "BRIDGE_YES": "0"}, files=()).yes is False


def test_files_are_read_in_condas_order(tmp_path: Path, write: Write) -> None:
    names = [
        "root/.condarc", "root/condarc.d/a.yml", "xdg/conda/condarc", ".config/conda/.condarc",
        ".conda/condarc.d/b.yaml", ".condarc", "env/.condarc", "env/condarc.d/c.yml", "named/rc",
    ]  # fmt: skip
    for name in names:
        write(name, "channels: []\n")
    write("root/condarc.d/ignored.txt", "channels: [x]\n")
    environ = {
        "HOME": str(tmp_path), "CONDA_EXE": str(tmp_path / "root/bin/conda"), "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
        "CONDA_PREFIX": str(tmp_path / "other"), "CONDARC": str(tmp_path / "named/rc"),
    }  # fmt: skip
    found = [path for path in condarc_files(environ, tmp_path / "env") if path.is_relative_to(tmp_path)]
    assert [str(path.relative_to(tmp_path)) for path in found] == names
    assert condarc_files(environ | {"MAMBA_NO_RC": "1"}) == []


def test_later_files_come_first_in_lists_and_win_in_maps(tmp_path: Path, write: Write) -> None:
    write(".condarc", "channels: [a, b]\ncustom_channels: {corp: https://one.example, other: https://o.example}\n")
    write("rc", "channels: [c, a]\nchannel_priority: strict\ncustom_channels: {corp: https://two.example}\n")
    conda = read(tmp_path, CONDARC=str(tmp_path / "rc"), CONDA_CHANNELS="d,b")
    assert conda.channels == ("d", "b", "c", "a")
    assert conda.channel_priority == "strict"
    assert conda.names.custom == {"corp": "https://two.example", "other": "https://o.example"}
    assert conda.sources["channels"] == (str(tmp_path / ".condarc"), str(tmp_path / "rc"), "CONDA_CHANNELS")


def test_marks_of_an_administrator_hold(tmp_path: Path, write: Write) -> None:
    write(
        ".condarc",
        "channels:\n  - corp #!top\n  - last  #!bottom\nchannel_alias: https://corp.example #!final\n"
        "custom_channels:  #!final\n  corp: https://corp.example/x\n",
    )
    write(
        "rc", "channels: [mine]\nchannel_alias: https://mine.example\ncustom_channels: {corp: https://mine.example}\n"
    )
    conda = read(tmp_path, CONDARC=str(tmp_path / "rc"))
    assert conda.channels == ("corp", "mine", "last")
    assert conda.names.alias == "https://corp.example"
    assert conda.names.custom == {"corp": "https://corp.example/x"}


@pytest.mark.skipif(shutil.which("conda") is None, reason="conda is not installed")
def test_conda_merges_likewise(tmp_path: Path, write: Write) -> None:
    write(".condarc", "channels:\n  - a #!top\n  - b\n  - z #!bottom\ncustom_multichannels: {many: [x, y]}\n")
    write("rc", "channels: [c, b]\n")
    environ = {**os.environ, "HOME": str(tmp_path), "CONDARC": str(tmp_path / "rc")}
    shown = subprocess.run(
        ["conda", "config", "--show", "--json"], env=environ, capture_output=True, check=True, text=True
    )
    assert tuple(json.loads(shown.stdout)["channels"]) == read(tmp_path, CONDARC=str(tmp_path / "rc")).channels


def test_variables_in_values_are_expanded(tmp_path: Path, write: Write) -> None:
    write(".condarc", "channel_alias: https://${SERVER}/conda\nchannels: [$TEAM, $UNSET]\n")
    conda = read(tmp_path, SERVER="mirror.example", TEAM="analysts")
    assert conda.names.alias == "https://mirror.example/conda"
    assert conda.channels == ("analysts", "$UNSET")


def test_what_cannot_be_honoured_is_told(tmp_path: Path, write: Write) -> None:
    path = write(
        ".condarc",
        "auto_activate_base: false\ntrack_features: [mkl]\npinned_packages: [x]\nunheard_of: 1\n"
        "channel_priority: disabled\nssl_verify: truststore\nclient_ssl_cert_key: key.pem\n",
    )
    conda = read(tmp_path)
    assert conda.warnings[0] == f"{path}: bridge does not honour track_features, unheard_of"
    assert [any(word in text for text in conda.warnings[1:]) for word in ("disabled", "truststore", "cert_key")] == [
        True, True, True,
    ]  # fmt: skip
    assert len(conda.warnings) == 4
    assert conda.channel_priority == "flexible"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("channels: {a: b}\n", "channels is not a list of texts"),
        ("- a\n", "a mapping was expected"),
        ("channels: [\n", "while parsing"),
        ("channel_priority: sometimes\n", "channel_priority is not one of strict, flexible, disabled"),
        ("custom_channels: [a]\n", "custom_channels is not a mapping"),
        ("custom_channels: {a: [b]}\n", "a: a URL was expected"),
        ("remote_max_retries: many\n", "remote_max_retries is not a number"),
        ("channel_alias: [a]\n", "channel_alias is not a single value"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, write: Write, text: str, said: str) -> None:
    path = write(".condarc", text)
    with pytest.raises(UsageError) as caught:
        read(tmp_path)
    assert caught.value.id == "conda-configuration"
    assert said in f"{caught.value.message} {caught.value.context}"
    assert str(path) in caught.value.message or "URL" in said


@pytest.mark.parametrize(
    ("names", "text", "expected"),
    [
        ({}, "conda-forge", ("conda-forge",)),
        ({}, "defaults", ("pkgs/main", "pkgs/r")),
        ({"defaults": ("https://m.example/main", "r")}, "defaults", ("https://m.example/main", "r")),
        ({"defaults": ("main",), "alias": "https://m.example"}, "defaults", ("https://m.example/main",)),
        ({"defaults": ("https://m.example/pkgs/main",)}, "pkgs/main", ("https://m.example/pkgs/main",)),
        ({"alias": "https://m.example/"}, "owner/label/dev", ("https://m.example/owner/label/dev",)),
        ({"alias": "https://m.example"}, "pkgs/main", ("pkgs/main",)),
        ({"alias": "https://m.example"}, "host", ("host",)),
        ({"alias": "https://m.example"}, "./folder", ("./folder",)),
        ({"custom": {"corp": "https://c.example"}}, "corp/label/dev", ("https://c.example/corp/label/dev",)),
        ({"multi": {"all": ("a", "https://b.example/b")}}, "all", ("a", "https://b.example/b")),
        ({"multi": {"defaults": ("a",)}, "defaults": ("b",)}, "defaults", ("a",)),
        (
            {"multi": {"a": ("a", "b")}, "alias": "https://m.example"},
            "a",
            ("https://m.example/a", "https://m.example/b"),
        ),
        ({"multi": {"a": ("b",), "b": ("a",)}}, "a", ("a",)),
        ({"local": ("file:///opt/conda-bld",)}, "local", ("file:///opt/conda-bld",)),
        ({}, "local", ()),
        ({}, "https://any.example/conda-forge/linux-64/", ("https://any.example/conda-forge",)),
    ],
)
def test_names_of_channels(names: Mapping[str, object], text: str, expected: tuple[str, ...]) -> None:
    assert ChannelNames(**names).expand(text) == expected  # type: ignore[arg-type]


def test_defaults_has_one_more_channel_on_windows() -> None:
    assert ChannelNames().expand("defaults", "win-64") == ("pkgs/main", "pkgs/r", "pkgs/msys2")


def test_local_is_where_conda_build_puts_packages(tmp_path: Path) -> None:
    (tmp_path / "conda-bld").mkdir()
    assert read(tmp_path).names.local == ((tmp_path / "conda-bld").as_uri(),)


def test_settings_take_what_conda_says_last(tmp_path: Path, write: Write) -> None:
    write(
        ".condarc",
        "channels: [corp]\nchannel_priority: flexible\nssl_verify: /bundle.pem\nclient_ssl_cert: me.pem\n"
        "offline: true\n"
        "remote_read_timeout_secs: 60\nremote_max_retries: 7\nproxy_servers: {https: 'http://proxy.example:3128'}\n",
    )
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    settings = load({}, environ)
    assert (settings.channels, settings.has_channels, settings.channel_priority) == (("corp",), False, "flexible")
    assert (settings.ca_bundle, settings.client_cert, settings.offline) == ("/bundle.pem", "me.pem", True)
    assert (settings.timeout, settings.retries) == (60.0, 7)
    assert settings.conda.proxies == {"https": "http://proxy.example:3128"}
    given = load(
        {"channel": ["mine"], "channel_priority": "strict"}, environ | {"BRIDGE_TIMEOUT": "5", "PIP_CERT": "p"}
    )
    assert (given.channels, given.has_channels, given.channel_priority) == (("mine",), True, "strict")
    assert (given.timeout, given.ca_bundle) == (5.0, "p")


def test_override_channels_needs_a_channel(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--override-channels without a channel"):
        load({"override_channels": True}, {"HOME": str(tmp_path)})


def test_files_are_copied_where_conda_copies_them(tmp_path: Path, write: Write) -> None:
    environ = {"HOME": str(tmp_path)}
    write(".condarc", "always_copy: true\nallow_softlinks: false\n")
    assert load({}, environ).link_mode == "copy"
    assert load({"link_mode": "auto"}, environ).link_mode == "auto"
    assert read(tmp_path).warnings == ()
    write(".condarc", "always_softlink: true\n")
    assert "always_softlink" in read(tmp_path).warnings[0]
