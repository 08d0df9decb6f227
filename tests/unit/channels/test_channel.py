"""Channels as one source of records, on real folders and real archives."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.channels.places import channel_url
from bridge.channels.sources import Channels, same_package
from bridge.config import Settings, load
from bridge.config.channel_names import ChannelNames
from bridge.errors import IntegrityError, NetworkError, UnsafeInputError, UsageError
from bridge.fetch.client import Client
from bridge.resolve.candidates.packages import CondaName
from bridge.resolve.sources import Options
from converters.names import NameMap
from tests.support.builders import make_conda, make_repodata


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two channels: `tool` in both, `only` in the second."""
    first, second = tmp_path / "first", tmp_path / "second"
    make_conda(first, "tool", "1.0")
    make_conda(second, "tool", "2.0")
    make_conda(second, "only", "1.0", index={"purls": ["pkg:pypi/Only_One@1.0"]})
    make_repodata(first)
    make_repodata(second)
    return first, second


@pytest.fixture
def channels(tmp_path: Path) -> Iterator[Callable[..., Channels]]:
    """Opens channels; they are closed when the test ends."""
    opened: list[Channels] = []
    with Client(Settings(cache_dir=tmp_path / "cache", retries=0)) as client:

        def open_channels(*texts: object, is_strict: bool = True) -> Channels:
            cache = tmp_path / "cache"
            names = [str(text) for text in texts]
            opened.append(Channels(lambda: client, names, "linux-64", cache, offline=False, is_strict=is_strict))
            return opened[-1]

        yield open_channels
        for each in opened:
            each.close()


Open = Callable[..., Channels]


def test_the_first_channel_that_has_a_name_serves_it(channels: Open, folders: tuple[Path, Path]) -> None:
    for order, version in ((folders, "1.0"), (folders[::-1], "2.0")):
        found = channels(*order)
        assert [record.version for record in found.records("tool")] == [version]
        assert [record.version for record in found.records("only")] == ["1.0"]
        assert found.records("absent") == ()


def test_flexible_priority_offers_all_in_order(channels: Open, folders: tuple[Path, Path]) -> None:
    found = channels(*folders, is_strict=False)
    assert [record.version for record in found.records("tool")] == ["1.0", "2.0"]
    assert CondaName("tool", found.records("tool"), NameMap.empty(), Options()).records[0].version == "1.0"


def test_a_record_says_where_it_is_from(channels: Open, folders: tuple[Path, Path]) -> None:
    record = channels(*folders).records("only")[0]
    assert record.origin == folders[1].as_uri()
    assert record.purls == ("pkg:pypi/Only_One@1.0",)
    archive = channels(*folders).archive(record)
    assert archive == folders[1] / "noarch" / record.filename


def test_an_archive_that_is_not_what_was_promised(channels: Open, folders: tuple[Path, Path]) -> None:
    found = channels(*folders)
    record = found.records("only")[0]
    with pytest.raises(IntegrityError):
        found.archive(replace(record, sha256="0" * 64))
    with pytest.raises(IntegrityError):
        found.archive(replace(record, sha256=None, md5="0" * 32))
    with pytest.raises(UnsafeInputError, match="no hash"):
        found.archive(replace(record, sha256=None, md5=None))
    with pytest.raises(IntegrityError, match="version is 9"):
        same_package(record, {"name": "only", "version": "9", "build": "0"})


def test_records_that_could_leave_a_directory_are_left_out(channels: Open, folders: tuple[Path, Path]) -> None:
    path = folders[1] / "noarch" / "repodata.json"
    path.write_text(path.read_text().replace('"build": "0"', '"build": "../../x"'))
    found = channels(folders[1])
    assert found.records("only") == ()


@pytest.mark.parametrize(
    ("text", "error"),
    [("./no-such-folder", NetworkError), ("http://127.0.0.1:9/channel", NetworkError), ("http://[", UsageError)],
)
def test_a_channel_that_is_none(channels: Open, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        channels(text).records("tool")


def test_repodata_that_cannot_be_read(channels: Open, folders: tuple[Path, Path]) -> None:
    (folders[0] / "noarch" / "repodata.json").write_text("{ not json")
    with pytest.raises((UnsafeInputError, NetworkError)):
        channels(folders[0]).records("tool")


def test_host_offers_the_running_interpreter(channels: Open) -> None:
    import platform

    found = channels("host")
    assert [record.version for record in found.records("python")] == [platform.python_version()]
    assert found.records("numpy") == ()
    assert found.archive(found.records("python")[0]).is_file()


def test_host_is_not_packed_for_a_name_that_a_channel_before_it_serves(channels: Open, tmp_path: Path) -> None:
    make_conda(tmp_path / "channel", "python", "3.12.1", subdir="linux-64", noarch=None)
    make_repodata(tmp_path / "channel")
    found = channels(tmp_path / "channel", "host").records("python")
    assert [record.version for record in found] == ["3.12.1"]
    assert not (tmp_path / "cache" / "host").exists()


def test_a_clause_reaches_its_channel_under_strict_priority(channels: Open, folders: tuple[Path, Path]) -> None:
    found = channels(*folders)
    assert found.reach("tool", "second") == {folders[1].as_uri()}
    assert [record.version for record in found.records("tool")] == ["1.0", "2.0"]
    assert found.hidden("tool") == ()
    assert found.urls == tuple(folder.as_uri() for folder in folders)


def test_priority_hides_the_records_of_later_channels(channels: Open, folders: tuple[Path, Path]) -> None:
    found = channels(*folders)
    assert found.hidden("tool") == ()  # nothing was read yet
    found.records("tool")
    assert [record.version for record in found.hidden("tool")] == ["2.0"]


@pytest.mark.parametrize("is_read", [False, True])
def test_a_clause_adds_a_channel_after_the_others(channels: Open, folders: tuple[Path, Path], is_read: bool) -> None:
    found = channels(folders[0])
    if is_read:
        found.records("tool")
    assert found.reach("tool", str(folders[1])) == {folders[1].as_uri()}
    assert found.texts == tuple(map(str, folders))
    assert [record.version for record in found.records("tool")] == ["1.0", "2.0"]
    assert [record.version for record in found.records("only")] == ["1.0"]


def test_the_folder_of_the_built_in_channel_is_that_channel(tmp_path: Path) -> None:
    """The packages in an explicit list name it so, as a channel and as a clause."""
    cache = tmp_path / "cache"
    names = load({"cache_dir": str(cache)}, {}).conda.names
    folder = (cache / "host").as_uri()
    for texts in (["host"], [folder], [f"{folder}/linux-64", "host"]):
        found = Channels(pytest.fail, texts, "linux-64", cache, offline=True, names=names)
        assert found.urls == ("host",)
        assert found.reach("python", folder) == {"host"}
        assert found.urls == ("host",)
        found.close()


def test_a_clause_on_the_origin_of_an_installed_package_adds_nothing(
    channels: Open, folders: tuple[Path, Path]
) -> None:
    found = channels(folders[0])
    gone = "https://gone.example/second"
    assert found.reach("tool", "second", offered=[gone]) == {gone}
    assert found.urls == (folders[0].as_uri(),)


def test_a_name_that_conda_configures_is_meant_before_the_end_of_a_url(
    tmp_path: Path, folders: tuple[Path, Path]
) -> None:
    names = ChannelNames(custom={"first": folders[1].parent.as_uri()}, multi={"both": (str(folders[1]), "host")})
    other = tmp_path / "other" / "first"
    shutil.copytree(folders[0], other)
    texts = [str(other), "first", "both"]
    found = Channels(pytest.fail, texts, "linux-64", tmp_path / "cache", offline=True, names=names)
    assert found.urls == (other.as_uri(), folders[0].as_uri(), folders[1].as_uri(), "host")
    assert found.named("first") == {folders[0].as_uri()}
    assert found.named("both") == {folders[1].as_uri(), "host"}
    found.close()


def test_names_of_condas_vendor_are_on_a_host_of_their_own() -> None:
    forge, main = channel_url("conda-forge").split("/")[2], channel_url("pkgs/main").split("/")[2]
    assert forge.split(".")[0] == "conda"
    assert main == f"repo.{forge.split('.')[1]}.com"
    assert channel_url("pkgs/main").endswith("/pkgs/main")
