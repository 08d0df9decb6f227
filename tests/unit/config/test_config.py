"""`bridge.config`: who has the last word about a setting, and what pip's configuration says."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from bridge import config
from bridge.config import Settings, load, parse_cutoff, parse_timestamp
from bridge.config.builds import Formats, formats_of
from bridge.config.channel_names import ChannelNames
from bridge.config.cooldown import Cooldown
from bridge.config.pip import plain_sections
from bridge.errors import UsageError
from converters.target import overridden

NOW = 1_760_000_000.0
DAY = 86_400_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any configuration: an own home, an own site, no files below /etc that count."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "site"))
    monkeypatch.setattr("bridge.config.pip.Path", _PathWithout("/etc", tmp_path / "etc"))
    for folder in ("site", "etc", "home"):
        (tmp_path / folder).mkdir()
    return tmp_path / "home"


class _PathWithout:
    """`Path`, but one folder is another."""

    def __init__(self, folder: str, instead: Path) -> None:
        self._folder, self._instead = folder, instead

    def __call__(self, path: str | Path) -> Path:
        return self._instead if str(path) == self._folder else Path(path)


def settings(home: Path, options: Mapping[str, object], environ: Mapping[str, str]) -> Settings:
    return load(options, {"HOME": str(home), **environ}, now=NOW)


def test_defaults(home: Path) -> None:
    found = settings(home, {}, {})
    assert found.channels == ("conda-forge",)
    assert found.index_urls == (config.default_index(),)
    assert found.prefix is None
    assert (found.prefer, found.durability, found.color) == ("conda", "batched", "auto")
    assert (found.timeout, found.retries, found.progress) == (15.0, 3, True)


def test_the_default_index_is_pypi_simples_constant_and_costs_no_import() -> None:
    code = "import sys, bridge.config as c; url = c.default_index(); assert 'pypi_simple' not in sys.modules;"
    code += "import pypi_simple; assert url == pypi_simple.PYPI_SIMPLE_ENDPOINT"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(config.__file__).parents[1])


def test_the_default_index_is_imported_where_its_source_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import pypi_simple

    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert config.default_index() == pypi_simple.PYPI_SIMPLE_ENDPOINT


@pytest.mark.parametrize(
    ("options", "environ", "field", "expected"),
    [
        ({"timeout": 5}, {"BRIDGE_TIMEOUT": "6", "PIP_TIMEOUT": "7"}, "timeout", 5.0),
        ({}, {"BRIDGE_TIMEOUT": "6", "PIP_TIMEOUT": "7"}, "timeout", 6.0),
        ({}, {"PIP_TIMEOUT": "7"}, "timeout", 7.0),
        ({}, {"PIP_DEFAULT_TIMEOUT": "8"}, "timeout", 8.0),
        ({}, {"PIP_RETRIES": "0"}, "retries", 0),
        ({"channel": ("a", "b")}, {"BRIDGE_CHANNEL": "c"}, "channels", ("a", "b")),
        ({"channel": ()}, {"BRIDGE_CHANNEL": "c d"}, "channels", ("c", "d")),
        ({"offline": False}, {"BRIDGE_OFFLINE": "yes"}, "offline", True),
        ({}, {"BRIDGE_OFFLINE": "0"}, "offline", False),
        ({"no_progress": True}, {}, "progress", False),
        ({"virtual_package": ("__glibc=2.17",)}, {}, "virtual_packages", (("__glibc", "2.17"),)),
        ({"virtual_package": ("__archspec=1=x86_64_v3",)}, {}, "virtual_packages", (("__archspec", "1=x86_64_v3"),)),
        ({"only": ("NumPy=conda", "rich=wheel")}, {}, "only", {"numpy": "conda", "rich": "wheel"}),
        ({"platform": "osx-arm64"}, {}, "platform", "osx-arm64"),
        ({"prefer": "newest"}, {"BRIDGE_PREFER": "wheel"}, "prefer", "newest"),
        ({"lock_timeout": "0"}, {}, "lock_timeout", 0.0),
        ({}, {"PIP_CERT": "/a.pem", "SSL_CERT_FILE": "/b.pem"}, "ca_bundle", "/a.pem"),
        ({}, {"REQUESTS_CA_BUNDLE": "/c.pem", "SSL_CERT_FILE": "/b.pem"}, "ca_bundle", "/c.pem"),
        ({}, {"PIP_TRUSTED_HOST": "a b:80"}, "trusted_hosts", ("a", "b:80")),
        ({}, {"PIP_FIND_LINKS": "/w1 /w2"}, "find_links", ("/w1", "/w2")),
        ({}, {"PIP_PROXY": "http://p:1"}, "proxy", "http://p:1"),
    ],
)
def test_an_option_beats_bridge_beats_pip_beats_the_default(
    home: Path, options: dict[str, object], environ: dict[str, str], field: str, expected: object
) -> None:
    assert getattr(settings(home, options, environ), field) == expected


def test_the_prefix_is_absolute_and_conda_names_the_default(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    assert settings(home, {"prefix": "env"}, {"CONDA_PREFIX": "/elsewhere"}).prefix == home / "env"
    assert settings(home, {}, {"CONDA_PREFIX": "/elsewhere"}).prefix == Path("/elsewhere")


DEFAULT = "the default"
CASES: dict[str, tuple[dict[str, object], dict[str, str], tuple[str, ...]]] = {
    "nobody": ({}, {}, (DEFAULT,)),
    "pip names one": ({}, {"PIP_INDEX_URL": "u"}, ("u",)),
    "pip names one and more": ({}, {"PIP_INDEX_URL": "u", "PIP_EXTRA_INDEX_URL": "e f"}, ("u", "e", "f")),
    # A private index beside the default one: the public one is not to be asked first (R11).
    "pip names only more": ({}, {"PIP_EXTRA_INDEX_URL": "e\nf"}, ("e", "f", DEFAULT)),
    "an option takes the place of all": (
        {"index_url": "i"},
        {"PIP_EXTRA_INDEX_URL": "e", "PIP_FIND_LINKS": "l"},
        ("i",),
    ),
    "two options": ({"index_url": "i", "extra_index_url": ("j", "k")}, {"PIP_INDEX_URL": "u"}, ("i", "j", "k")),
    "an extra one comes before pip's": ({"extra_index_url": ("j",)}, {"PIP_INDEX_URL": "u"}, ("j", "u")),
    "the environment": ({}, {"BRIDGE_INDEX_URL": "i", "BRIDGE_EXTRA_INDEX_URL": "j", "PIP_INDEX_URL": "u"}, ("i", "j")),
    "pip wants none": ({}, {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "u"}, ()),
    "an option beats no-index": ({"index_url": "i"}, {"PIP_NO_INDEX": "1"}, ("i",)),
    "no index at all": ({"no_index": True, "index_url": "i", "index": ("x=j",)}, {"PIP_INDEX_URL": "u"}, ()),
    "pip wants none, and one project has its own": ({"index": ("x=j",)}, {"PIP_NO_INDEX": "1"}, ()),
    "one named twice": ({"index_url": "i", "extra_index_url": ("i", "j")}, {}, ("i", "j")),
}


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_the_indexes(home: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.config.indexes.default_index", lambda: DEFAULT)
    options, environ, expected = CASES[case]
    found = settings(home, options, environ)
    assert found.index_urls == expected
    if "index_url" in options:
        assert found.find_links == ()


def test_options_of_indexes(home: Path) -> None:
    found = settings(home, {"index": ("My.Pkg=https://u:pw@h.example/simple?a=b", "my-pkg=./d", "y=/z")}, {})
    assert found.project_indexes == {"my-pkg": "./d", "y": "/z"}
    found = settings(home, {}, {"BRIDGE_INDEX": "a=https://u:pw@h.example/a b=/c", "BRIDGE_INDEX_STRATEGY": "best"})
    assert found.project_indexes == {"a": "https://h.example/a", "b": "/c"}
    assert (found.index_strategy, settings(home, {}, {}).index_strategy) == ("best", "first")
    assert settings(home, {"find_links": ("/l",)}, {"PIP_FIND_LINKS": "/w"}).find_links == ("/l", "/w")
    without = settings(home, {"find_links": ("/l",), "no_index": True, "index": ("x=/i",)}, {"PIP_FIND_LINKS": "/w"})
    assert (without.index_urls, without.project_indexes, without.find_links) == ((), {}, ("/l", "/w"))
    assert without.no_index
    assert settings(home, {}, {"PIP_NO_INDEX": "1"}).no_index


PIP_FILES = {
    "etc": "etc/pip.conf",
    "xdg": "xdg/pip/pip.conf",
    "legacy": "home/.pip/pip.conf",
    "user": "home/.config/pip/pip.conf",
    "site": "site/pip.conf",
    "named": "named.conf",
}


@pytest.mark.skipif(sys.platform != "linux", reason="the places are those of Linux")
@pytest.mark.parametrize(
    ("files", "environ", "expected"),
    [
        # "pip's configuration": global, user, site, environment, each overriding the one before.
        ({"xdg": "global", "etc": "global"}, {}, "etc"),
        ({"etc": "global", "legacy": "global"}, {}, "legacy"),
        ({"legacy": "global", "user": "global"}, {}, "user"),
        ({"user": "global", "site": "global"}, {}, "site"),
        ({"site": "global", "named": "global"}, {"PIP_CONFIG_FILE": "named"}, "named"),
        ({"named": "global"}, {"PIP_CONFIG_FILE": "named", "PIP_INDEX_URL": "variable"}, "variable"),
        # A command's own section overrides [global], from whatever file.
        ({"etc": "install", "user": "global"}, {}, "etc"),
        ({"etc": "download", "user": "global"}, {}, "user"),
        # A file that PIP_CONFIG_FILE names takes the place of the person's own, unless it is not there.
        ({"user": "install", "named": "global"}, {"PIP_CONFIG_FILE": "named"}, "named"),
        ({"user": "global"}, {"PIP_CONFIG_FILE": "absent"}, "user"),
        ({"etc": "global", "user": "global", "site": "global"}, {"PIP_CONFIG_FILE": os.devnull}, DEFAULT),
        # An empty value is none.
        ({"user": "global"}, {"PIP_INDEX_URL": ""}, "user"),
    ],
)
def test_pips_files_in_pips_order(
    home: Path,
    files: dict[str, str],
    environ: dict[str, str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.config.indexes.default_index", lambda: DEFAULT)
    root = home.parent
    for name, section in files.items():
        path = root / PIP_FILES[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[{section}]\nindex_url = {name}\n")
    environ = dict(environ)
    if environ.get("PIP_CONFIG_FILE") in {"named", "absent"}:
        environ["PIP_CONFIG_FILE"] = str(root / f"{environ['PIP_CONFIG_FILE']}.conf")
    assert settings(home, {}, {"XDG_CONFIG_DIRS": str(root / "xdg"), **environ}).index_urls == (expected,)


@pytest.mark.slow
def test_pip_agrees_about_its_configuration(home: Path, tmp_path: Path) -> None:
    """Pip itself, where it is installed beside us, is the judge of how its configuration is read."""
    found = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("pip is not installed for this interpreter")
    named = tmp_path / "pip.conf"
    named.write_text(
        "[global]\ntimeout = 9\nextra-index-url =\n    a\n    b\nTrusted_Host = x\n"
        "[install]\n--retries = 4\n[list]\ntimeout = 1\n"
    )
    environ = {"HOME": str(home), "PIP_CONFIG_FILE": str(named), "PIP_NO_COLOR": "1", "PATH": os.environ["PATH"]}
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], env=environ, capture_output=True, text=True, check=True
    ).stdout
    ours = settings(home, {}, {"PIP_CONFIG_FILE": str(named)})
    assert "global.timeout='9'" in said
    assert ours.timeout == 9.0
    assert "install.retries='4'" in said
    assert ours.retries == 4
    assert "global.trusted-host='x'" in said
    assert ours.trusted_hosts == ("x",)
    assert "global.extra-index-url='\\na\\nb'" in said
    assert ours.index_urls[:2] == ("a", "b")


@pytest.mark.parametrize(
    ("options", "environ", "words"),
    [
        ({"platform": "amiga"}, {}, ("--platform", "'amiga'", "linux-64")),
        ({}, {"BRIDGE_PLATFORM": "amiga"}, ("BRIDGE_PLATFORM", "'amiga'")),
        ({"virtual_package": ("glibc",)}, {}, ("--virtual-package", "'glibc'", "__glibc=2.28")),
        ({"only": ("numpy=pip",)}, {}, ("--only", "'numpy=pip'")),
        ({"index": ("numpy",)}, {}, ("--index", "'numpy'", "NAME=URL")),
        ({"index": ("-=https://h.example",)}, {}, ("--index", "NAME=URL")),
        ({"index": ("x=https://u:p@/",)}, {}, ("--index", "host")),
        ({}, {"BRIDGE_INDEX_STRATEGY": "unsafe"}, ("BRIDGE_INDEX_STRATEGY", "first, best")),
        ({"prefer": "both"}, {}, ("--prefer", "conda, wheel, newest")),
        ({"lock_timeout": "soon"}, {}, ("--lock-timeout", "'soon'", "seconds")),
        ({"lock_timeout": "-1"}, {}, ("--lock-timeout", "'-1'")),
        ({"patience": "0"}, {}, ("--patience", "'0'", "above 0")),
        ({"lock_timeout": "nan"}, {}, ("--lock-timeout", "'nan'")),
        ({}, {"BRIDGE_TIMEOUT": "0"}, ("BRIDGE_TIMEOUT", "above 0")),
        ({}, {"BRIDGE_RETRIES": "1.5"}, ("BRIDGE_RETRIES", "whole number")),
        ({}, {"BRIDGE_OFFLINE": "maybe"}, ("BRIDGE_OFFLINE", "'maybe'")),
        ({"exclude_newer": "yesterday"}, {}, ("--exclude-newer", "'yesterday'", "2 weeks")),
        ({}, {"PIP_TIMEOUT": "long"}, ("pip", "'timeout'", "'long'")),
    ],
)
def test_a_wrong_value_is_named_with_its_option(
    home: Path, options: dict[str, object], environ: dict[str, str], words: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as caught:
        settings(home, options, environ)
    assert all(word in caught.value.message for word in words), caught.value.message
    assert caught.value.exit_code == 2


def test_a_broken_pip_configuration_is_named(home: Path) -> None:
    path = home / ".config/pip/pip.conf"
    path.parent.mkdir(parents=True)
    path.write_text("[global\n")
    with pytest.raises(UsageError, match=str(path)) as caught:
        settings(home, {}, {})
    assert caught.value.hint is not None
    assert "PIP_CONFIG_FILE" in caught.value.hint


def test_an_option_that_does_not_exist_is_a_mistake_of_ours(home: Path) -> None:
    with pytest.raises(TypeError, match="no_such"):
        load({"no_such": 1}, {"HOME": str(home)})


@pytest.mark.skipif(sys.platform != "linux", reason="the places are those of Linux")
def test_the_cache_directory(home: Path) -> None:
    assert settings(home, {}, {}).cache_dir == home / ".cache/bridge"
    assert settings(home, {}, {"XDG_CACHE_HOME": "/x"}).cache_dir == Path("/x/bridge")
    assert settings(home, {}, {"XDG_CACHE_HOME": "relative"}).cache_dir == home / ".cache/bridge"
    assert settings(home, {}, {"XDG_CACHE_HOME": "/x", "BRIDGE_CACHE_DIR": "/y"}).cache_dir == Path("/y")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-01-02T03:04:05Z", 1735787045000),
        ("2025-01-02t03:04:05.678901z", 1735787045678),
        ("2025-01-02 04:04:05+01:00", 1735787045000),
        ("2025-01-02", 1735776000000),
        ("7d", int(NOW * 1000) - 7 * DAY),
        ("7 days", int(NOW * 1000) - 7 * DAY),
        ("2 weeks", int(NOW * 1000) - 14 * DAY),
        ("1 day 12 hours", int(NOW * 1000) - DAY - DAY // 2),
        ("1 day, 90 min", int(NOW * 1000) - DAY - 90 * 60_000),
        ("P7D", int(NOW * 1000) - 7 * DAY),
        ("P1W", int(NOW * 1000) - 7 * DAY),
        ("P1DT12H", int(NOW * 1000) - DAY - DAY // 2),
        ("pt24h", int(NOW * 1000) - DAY),
        ("0d", int(NOW * 1000)),
    ],
)
def test_cooldowns(text: str, expected: int) -> None:
    assert parse_cutoff(text, NOW) == expected


NO_COOLDOWNS = [
    "",
    "P",
    "PT",
    "P1M",
    "P1Y",
    "3 months",
    "1 year",
    "5m",
    "7",
    "d",
    "-7d",
    "7 d x",
    "soon",
    "\u0667 days",
]
NO_COOLDOWNS += ["2025-13-01", "2025-01-02T03:04:05", "2025-01-02T25:00:00Z", "0000-01-01"]


@pytest.mark.parametrize(
    ("options", "environ", "expected"),
    [
        ({"exclude_newer": ("7d",)}, {}, Cooldown(default=7)),
        ({"exclude_newer": ("7d", "NumPy=never", "a=1d")}, {}, Cooldown(default=7, exceptions={"numpy": None, "a": 1})),
        ({"exclude_newer": ("https://u:p@a.example/s/=2d",)}, {}, Cooldown(exceptions={"https://a.example/s": 2})),
        ({"exclude_newer": ("conda-forge/label/dev=2d",)}, {}, Cooldown(exceptions={"conda-forge/label/dev": 2})),
        ({}, {"BRIDGE_EXCLUDE_NEWER": "2 weeks"}, Cooldown(default=14)),
        ({}, {"BRIDGE_EXCLUDE_NEWER": "7d numpy=never"}, Cooldown(default=7, exceptions={"numpy": None})),
        ({}, {"PIP_UPLOADED_PRIOR_TO": "3d"}, Cooldown(default=3)),
        ({"exclude_newer": ("never",)}, {"PIP_UPLOADED_PRIOR_TO": "3d"}, Cooldown()),
    ],
)  # fmt: skip
def test_a_cooldown_has_exceptions(
    home: Path, options: Mapping[str, object], environ: Mapping[str, str], expected: Cooldown
) -> None:
    def ago(days: int | None) -> int | None:
        return None if days is None else int(NOW * 1000) - days * DAY

    found = settings(home, options, environ).cooldown
    assert found.default == ago(expected.default)
    assert found.exceptions == {key: ago(limit) for key, limit in expected.exceptions.items()}
    assert found.is_on is expected.is_on


def test_the_nearest_limit_counts() -> None:
    cooldown = Cooldown(default=1, exceptions={"numpy": None, "main": 2, "https://a.example/simple": 3, "defaults": 4})
    cooldown = cooldown.with_channel_names(ChannelNames())
    origin = "https://any.example/main"
    assert cooldown.limit(["rich"], "https://any.example/forge") == 1
    assert cooldown.limit(["rich"], origin) == 2
    assert cooldown.limit(["blas", "NumPy"], origin) is None
    assert cooldown.limit(["rich"], "https://a.example/simple/") == 3
    assert cooldown.limit(["rich"], "https://any.example/pkgs/main") == 4


@pytest.mark.parametrize("text", NO_COOLDOWNS)
def test_what_is_no_cooldown(text: str) -> None:
    """Months and years have no length; a date-time without an offset is another one on each machine."""
    with pytest.raises(ValueError, match="a date"):
        parse_cutoff(text, NOW)


@settings_of_hypothesis(max_examples=80, deadline=None)
@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_timestamps(moment: datetime) -> None:
    """PEP 700: "the upload time MUST use the UTC timezone"; RFC 3339, 5.6: they "may" be lower case."""
    text = moment.isoformat().replace("+00:00", "Z")
    milliseconds = (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)
    assert parse_timestamp(text) == parse_timestamp(text.lower()) == milliseconds


FORMATS: list[tuple[str | None, str | None, Formats]] = [
    (None, None, Formats()),
    ("numpy,Scipy", None, Formats(only_binary=frozenset({"numpy", "scipy"}))),
    (":all:", "my.own", Formats(only_binary=frozenset({":all:"}), no_binary=frozenset({"my-own"}))),
    (":all:,:none:", ":none:", Formats()),
    ("a,:none:,b", "b", Formats(only_binary=frozenset({"b"}))),
]


@pytest.mark.parametrize(("only", "no", "expected"), FORMATS)
def test_formats_of_pips_options(only: str | None, no: str | None, expected: Formats) -> None:
    assert formats_of(only, no) == expected


def test_how_builds_are_configured(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, "PIP_ONLY_BINARY": "x"}
    environ |= {"BRIDGE_BUILD_NETWORK": "1", "BRIDGE_BUILD_TIMEOUT": "7", "BRIDGE_BUILD_ENV": "A B"}
    builds = load({}, environ).builds
    assert (builds.network, builds.timeout, builds.variables) == (True, 7.0, ("A", "B"))
    assert builds.formats.only_binary == {"x"}
    assert not load({"offline": True, "build_network": True}, environ).builds.network
    with pytest.raises(UsageError, match="BRIDGE_BUILD_CONFINEMENT"):
        load({}, environ | {"BRIDGE_BUILD_CONFINEMENT": "none"})


@pytest.mark.parametrize(("text", "expected"), [
    ("__archspec=1=x86_64_v3", ("__archspec", "1", "x86_64_v3")),
    ("__archspec=2", ("__archspec", "2", "skylake")),
    ("__cuda=12.4", ("__cuda", "12.4", "0")),
])  # fmt: skip
def test_a_virtual_package_may_have_a_build(home: Path, text: str, expected: tuple[str, str, str]) -> None:
    """As `conda info` writes them; the microarchitecture is the build of `__archspec`."""
    given = settings(home, {"virtual_package": (text,)}, {}).virtual_packages
    assert expected in overridden([("__archspec", "1", "skylake")], given)


_LINES = st.one_of(
    st.sampled_from(
        ["[global]", "[install]", "[DEFAULT]", "[ global ]", "[list]; x", "", " ", "# a", "; b", "  c", "é = 1"]
    ),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["index-url", "timeout", "Trusted_Host", "no-index", "a:b", ""]),
        st.sampled_from(["=", " = ", ": ", " =", "= = ", ""]),
        st.sampled_from(["https://host/simple", "a b", "x ; y", " ", "", "x\t", "5\r", "\x0c", "1", "2"]),
    ),
)


@given(st.lists(_LINES, max_size=6))
def test_plain_lines_of_pip_are_what_configparser_reads(lines: list[str]) -> None:
    data = "\n".join(["[global]", *lines]).encode()
    found = plain_sections(data)
    if found is not None:
        parser = configparser.RawConfigParser()
        parser.read_string(data.decode())
        assert found == {section: dict(parser.items(section)) for section in parser.sections()}


def test_most_files_of_pip_are_plain() -> None:
    text = "# mine\n[global]\nindex-url = https://host/simple\ntimeout=5\n\n[install]\nno-index = true\n"
    expected = {"global": {"index-url": "https://host/simple", "timeout": "5"}, "install": {"no-index": "true"}}
    assert plain_sections(text.encode()) == expected
