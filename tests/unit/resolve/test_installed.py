"""Installed wheels and the distributions of other installers, as candidates beside those of the index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from bridge.errors import BuildError, NetworkError
from bridge.model import Distribution, IndexFile
from bridge.requirements.foreign import Foreign
from bridge.resolve.installed import IndexWithInstalled, InstalledCandidates
from converters.metadata import CoreMetadata
from converters.record import Record
from tests.support.resolver_worlds import Ports, Wheel, wheel

URL = "https://files.example/rich-3-py3-none-any.whl"
RICH = Record(
    ecosystem="wheel",
    name="rich",
    version="1.0",
    build="py3_none_any_0",
    build_number=0,
    subdir="noarch",
    pypi_names=("rich",),
    filename="rich-1.0-py3-none-any.whl",
    url="https://index.example/simple/rich-1.0-py3-none-any.whl",
)
NEWER = wheel("rich-2.0-py3-none-any.whl")
AT_URL = wheel("rich-3-py3-none-any.whl", url=URL)
SOLO = wheel("solo-1.0-py3-none-any.whl")
FOREIGN = Foreign(
    distribution=Distribution(path="lib/site-packages/solo-0.5.dist-info", name="solo", version="0.5"),
    file=replace(
        SOLO.file,
        version="0.5",
        filename="solo-0.5-cp312-none-any.whl",
        url="file:///env/lib/site-packages/solo-0.5.dist-info",
    ),
    metadata=CoreMetadata(name="solo", version="0.5"),
)


class Index(Ports):
    """An index that notes whose METADATA is fetched ahead, and whose URLs may fail."""

    def __init__(self, *wheels: Wheel, fault: Exception | None = None) -> None:
        super().__init__((), wheels, "linux-64")
        self.ahead: list[str] = []
        self.fault = fault

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None:
        self.ahead += [file.filename for file in files]

    def file_of_url(self, url: str, project: str) -> IndexFile:
        if self.fault is not None:
            raise self.fault
        return super().file_of_url(url, project)


def versions(files: Iterable[IndexFile]) -> set[str]:
    return {file.version for file in files}


def test_the_installed_wheel_stands_beside_those_of_the_index() -> None:
    index = IndexWithInstalled(Index(NEWER, SOLO), InstalledCandidates(records=(RICH,)))
    assert versions(index.files("rich")) == {"1.0", "2.0"}
    assert versions(index.files("solo")) == {"1.0"}


def test_what_came_from_a_url_is_the_only_candidate() -> None:
    offered = InstalledCandidates(records=(RICH,), direct=frozenset(["rich", "solo"]))
    index = IndexWithInstalled(Index(NEWER, SOLO), offered)
    assert versions(index.files("rich")) == {"1.0"}
    assert versions(index.files("solo")) == {"1.0"}


def test_a_foreign_distribution_that_nobody_requests_is_the_only_candidate() -> None:
    index = IndexWithInstalled(Index(SOLO), InstalledCandidates(foreign=(FOREIGN,)))
    assert versions(index.files("solo")) == {"0.5"}


def test_a_foreign_distribution_whose_project_is_requested_stands_beside_the_index() -> None:
    offered = InstalledCandidates(foreign=(FOREIGN,), requested=frozenset(["solo"]))
    assert versions(IndexWithInstalled(Index(SOLO), offered).files("solo")) == {"0.5", "1.0"}


def test_the_metadata_of_what_is_installed_is_not_fetched() -> None:
    source = Index(NEWER, SOLO)
    index = IndexWithInstalled(source, InstalledCandidates(records=(RICH,), foreign=(FOREIGN,)))
    index.prefetch_metadata([IndexFile.of_record(RICH), NEWER.file, SOLO.file, FOREIGN.file])
    assert source.ahead == [NEWER.file.filename, SOLO.file.filename]


class TestUrlOfAnEarlierRequest:
    def test_the_installed_wheel_counts(self) -> None:
        index = IndexWithInstalled(Index(AT_URL), InstalledCandidates(records=(RICH,)))
        assert (index.file_of_url(URL, "rich").version, index.gone) == ("1.0", {})

    def test_it_is_read_if_it_is_requested_now_or_nothing_is_installed(self) -> None:
        offered = InstalledCandidates(records=(RICH,), urls=frozenset([URL]))
        assert IndexWithInstalled(Index(AT_URL), offered).file_of_url(URL, "rich").version == "3"
        assert IndexWithInstalled(Index(AT_URL), InstalledCandidates()).file_of_url(URL, "rich").version == "3"

    def test_an_update_reads_it_again(self) -> None:
        offered = InstalledCandidates(records=(RICH,), updated=frozenset(["rich"]))
        assert IndexWithInstalled(Index(AT_URL), offered).file_of_url(URL, "rich").version == "3"

    @pytest.mark.parametrize("fault", [NetworkError("offline", "no answer"), BuildError("build-needed", "a build")])
    def test_an_update_keeps_the_installed_wheel_if_it_does_not_answer(self, fault: Exception) -> None:
        offered = InstalledCandidates(records=(RICH,), updated=frozenset(["rich"]))
        index = IndexWithInstalled(Index(fault=fault), offered)
        assert (index.file_of_url(URL, "rich").version, index.gone) == ("1.0", {"rich": str(fault)})

    def test_a_build_that_fails_is_an_error(self) -> None:
        offered = InstalledCandidates(records=(RICH,), updated=frozenset(["rich"]))
        index = IndexWithInstalled(Index(fault=BuildError("build-failed", "a build")), offered)
        with pytest.raises(BuildError):
            index.file_of_url(URL, "rich")
