"""What the resolver makes of input that is broken or hostile: refused or passed over by name; never a wrong pick.

The channels are folders read through rattler, the index is a server on 127.0.0.1: what a solve meets in real life.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from bridge.channels.sources import Channels
from bridge.config import Settings
from bridge.errors import NoSolutionError, UnsafeInputError
from bridge.fetch.client import Client
from bridge.index import Index
from bridge.model import Resolution
from bridge.resolve import Catalog, Options, resolve
from converters.names import NameMap
from tests.support.resolver_worlds import LINUX, picks, solve_request
from tests.support.servers import JSON, IndexServer

Fields = dict[str, object]


class Place:
    """A channel folder and an index, filled by a test, and one solve over them."""

    def __init__(self, folder: Path, server: IndexServer, client: Client) -> None:
        self.folder, self.server, self.client = folder, server, client
        self.records: dict[str, object] = {}
        self.rejected: Sequence[str] = ()
        self.skipped: Mapping[str, str] = {}
        self.add("python", "3.12.7")

    def add(self, name: str, version: str, /, *depends: str, **fields: object) -> None:
        filename = f"{name}-{version}-0.conda"
        record = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": list(depends),
                  "subdir": "linux-64", "sha256": "0" * 64, "size": 1}  # fmt: skip
        self.records[filename] = record | fields

    def write(self, text: str | None = None) -> None:
        for subdir, packages in (("linux-64", self.records), ("noarch", {})):
            path = self.folder / "channel" / subdir / "repodata.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            body = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages, "repodata_version": 1}
            path.write_text(text if text is not None and subdir == "linux-64" else json.dumps(body), "utf-8")

    def publish(self, project: str, *files: Fields, metadata: Mapping[str, str] | None = None) -> None:
        """A page of the index, and the METADATA of its files by name (default: a plain one)."""
        entries = [{"url": f"{self.server.url}/files/{f.get('filename')}", "hashes": {}, **f} for f in files]
        page = {"meta": {"api-version": "1.1"}, "name": project, "files": entries}
        self.server.add(f"/simple/{project}/", json.dumps(page).encode(), content_type=JSON)
        for name, text in (metadata or {}).items():
            self.server.add(f"/files/{name}.metadata", text.encode("utf-8", "surrogateescape"))

    def solve(
        self, conda: Sequence[str] = (), pypi: Sequence[str] = (), names: Mapping[str, object] | None = None
    ) -> Resolution:
        channels = Channels(
            lambda: self.client, [str(self.folder / "channel")], "linux-64", self.folder / "cache", offline=False
        )
        index = Index(self.client, (self.server.simple,))
        try:
            catalog = Catalog(channels, index, LINUX, NameMap(names or {}, "the test's names"), Options())
            return resolve(solve_request(conda, pypi), catalog)
        finally:
            self.rejected, self.skipped = channels.rejected, dict(index.skipped)
            channels.close()

    def picks_or_refusal(self, conda: Sequence[str]) -> dict[str, str] | None:
        """What was picked; `None` where the channel as a whole is refused, by name."""
        try:
            return picks(self.solve(conda))
        except UnsafeInputError as error:
            if error.id != "repodata-invalid" or str(self.folder / "channel") not in error.message:
                raise
            return None


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    settings = Settings(cache_dir=tmp_path / "cache", retries=0, timeout=5.0)
    with IndexServer() as server, Client(settings) as client:
        yield Place(tmp_path, server, client)


def wheel(project: str, version: str, **fields: object) -> Fields:
    return {"filename": f"{project}-{version}-py3-none-any.whl", "core-metadata": True, **fields}


def metadata(project: str, version: str, *lines: str) -> dict[str, str]:
    text = "\n".join(["Metadata-Version: 2.1", f"Name: {project}", f"Version: {version}", *lines]) + "\n"
    return {f"{project}-{version}-py3-none-any.whl": text}


# Repodata.


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"packages": {"a-1-0.conda": {"name": "a",',
        '{"packages.conda": []}',
        '{"packages.conda": 7}',
        "<html>not here</html>",
        "\x00\x01\x02",
    ],
)
def test_repodata_that_is_none_is_refused(place: Place, text: str) -> None:
    place.write(text)
    with pytest.raises(UnsafeInputError) as raised:
        place.solve(["python"])
    assert raised.value.id == "repodata-invalid"
    assert "channel" in raised.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"version": "../../etc"},
        {"version": ""},
        {"build": "../x"},
        {"name": "../tool"},
        {"build_number": "seven"},
        {"build_number": -1},
        {"depends": "python"},
        {"depends": [1, 2]},
        {"depends": None},
        {"depends": ["python >=3.8", ["nested"]]},
        {"constrains": {"a": 1}},
        {"version": 2.0},
        {"timestamp": "yesterday"},
        {"size": -5},
        {"sha256": "zz"},
        {"noarch": 17},
        {"subdir": None},
        {"track_features": {"a": "b"}},
    ],
    ids=json.dumps,
)
def test_a_record_with_wrong_fields_is_passed_over_or_the_channel_refused(place: Place, fields: Fields) -> None:
    """The good record beside it is chosen, or the whole channel is refused by name; the bad one is never chosen."""
    place.add("tool", "1.0", "python")
    place.add("tool", "2.0", **fields)
    place.write()
    found = place.picks_or_refusal(["tool"])
    if found is None:
        return
    assert found["tool"] == "conda 1.0" or not fields.keys() & {"name", "version", "build"}, found


@pytest.mark.parametrize(
    "text",
    [
        "x" * 100_000,
        "python " + ">=3," * 25_000 + "<4",
        "python >=3.8 [" + "a=b," * 1000 + "]",
        "python >=>=3",
        "python ((((((3.8",
        "python ^(a+)+$",
        "python 3.8 ^(a+)+$",
        "\x00",
        "",
        " ",
        "[]",
        "python[version=",
        "🐍 >=1",
        "python >=3.8 * * *",
        "=1.0",
        "*",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_depends_that_cannot_be_read_take_out_their_record(place: Place, text: str) -> None:
    place.add("tool", "1.0", "python")
    place.add("tool", "2.0", "python", text)
    place.write()
    found = place.picks_or_refusal(["tool"])
    assert found is None or found["tool"] == "conda 1.0"


def test_an_unreadable_depends_is_named_in_a_warning(place: Place) -> None:
    place.add("tool", "1.0")
    place.add("tool", "2.0", "python >=>=3")
    place.write()
    resolution = place.solve(["tool"])
    assert picks(resolution)["tool"] == "conda 1.0"
    said = [*resolution.warnings, *place.rejected]
    assert any("tool" in text and ">=>=3" in text for text in said), said


def test_cycles_and_records_against_themselves(place: Place) -> None:
    place.add("a", "1.0", "b >=1", "a")
    place.add("b", "1.0", "c")
    place.add("c", "1.0", "a >=1", "b")
    place.add("selfish", "1.0", constrains=["selfish >=2"])
    place.add("never", "1.0", "never >=2")
    place.add("barred", "2.0", "lib")
    place.add("barred", "1.0")
    place.add("lib", "1.0", constrains=["barred <1"])
    place.write()
    assert set(picks(place.solve(["a"]))) == {"a", "b", "c"}
    assert picks(place.solve(["barred"])) == {"barred": "conda 1.0"}
    with pytest.raises(NoSolutionError):
        place.solve(["never"])
    with pytest.raises(NoSolutionError):
        place.solve(["selfish"])


def test_names_that_differ_by_case_or_punctuation_are_conda_names_of_their_own(place: Place) -> None:
    """A conda name is folded to lower case; `-`, `_` and `.` are different names (CEP 26), for PyPI they are not."""
    place.add("my-tool", "1.0", "python")
    place.add("my_tool", "2.0", "python")
    place.write()
    assert picks(place.solve(["my-tool"]))["my-tool"] == "conda 1.0"
    assert picks(place.solve(["my_tool"]))["my_tool"] == "conda 2.0"
    assert picks(place.solve(["My-Tool"]))["my-tool"] == "conda 1.0"
    both = picks(place.solve(["python"], ["My.Tool ==2.0"]))
    assert both["my_tool"] == "conda 2.0"
    assert "my-tool" not in both


# Pages and METADATA.


def test_files_of_a_page_that_make_no_sense_are_passed_over_by_name(place: Place) -> None:
    place.write()
    good = wheel("thing", "1.0")
    bad = [
        {**good, "filename": "thing-2.0-py3-none-any.whl\x00"},
        {**good, "filename": "thing-2.0.whl"},
        {**good, "filename": "thing-two-py3-none-any.whl"},
        {**good, "filename": "other-2.0-py3-none-any.whl"},
        {**good, "filename": "../thing-2.0-py3-none-any.whl"},
        {**good, "filename": "thing-" + "2" * 300 + "-py3-none-any.whl"},
        {**good, "filename": 2.0},
        {**good, "filename": "thing-2.0-py3-none-any.whl", "url": 7},
        {**good, "filename": "thing-2.0-py3-none-any.whl", "hashes": {"sha256": "short"}},
        {**good, "filename": "thing-2.0-..-none-any.whl"},
        {**good, "filename": "thing-2.0-py3-none-.whl"},
    ]
    place.publish("thing", *bad, good, metadata=metadata("thing", "1.0"))
    assert picks(place.solve(["python"], ["thing"]))["thing"] == "wheel 1.0"
    assert len(place.skipped) >= 8


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00" * 100,
        "Metadata-Version: 99.0\nName: thing\nVersion: 2.0\n",
        "Name: thing\n",
        "Metadata-Version: 2.1\nName: other\nVersion: 2.0\n",
        "Metadata-Version: 2.1\nName: thing\nVersion: 3.0\n",
        "Metadata-Version: 2.1\nName: other\nName: thing\nVersion: 2.0\n",
        "<!DOCTYPE html><html></html>",
        "\udcff\udcfe\udcfd",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_metadata_that_is_garbage_takes_out_its_file(place: Place, text: str) -> None:
    place.write()
    good = metadata("thing", "1.0")
    place.publish(
        "thing", wheel("thing", "2.0"), wheel("thing", "1.0"),
        metadata={**good, "thing-2.0-py3-none-any.whl": text},
    )  # fmt: skip
    resolution = place.solve(["python"], ["thing"])
    assert picks(resolution)["thing"] == "wheel 1.0"
    assert any("thing-2.0-py3-none-any.whl" in warning for warning in resolution.warnings)


def test_a_name_that_is_repeated_counts_once(place: Place) -> None:
    text = "Metadata-Version: 2.1\nName: thing\nName: Thing\nVersion: 2.0\n"
    place.write()
    place.publish("thing", wheel("thing", "2.0"), metadata={"thing-2.0-py3-none-any.whl": text})
    assert picks(place.solve(["python"], ["thing"]))["thing"] == "wheel 2.0"


def test_a_requires_dist_that_cannot_be_read_is_named(place: Place) -> None:
    place.write()
    lines = ("Requires-Dist: ???", "Requires-Dist: dep >=1", "Requires-Dist: " + "x" * 5000)
    place.publish("thing", wheel("thing", "1.0"), metadata=metadata("thing", "1.0", *lines))
    place.publish("dep", wheel("dep", "1.0"), metadata=metadata("dep", "1.0"))
    resolution = place.solve(["python"], ["thing"])
    assert picks(resolution)["dep"] == "wheel 1.0"
    assert any("thing-1.0" in warning and "???" in warning for warning in resolution.warnings)


@pytest.mark.parametrize("text", ["banana", ">=3.8,", ">=3.x", "3", "\x00", "> 3.8 or so", "~=3"])
def test_a_requires_python_that_means_nothing_is_ignored(place: Place, text: str) -> None:
    place.write()
    place.publish("thing", wheel("thing", "1.0", **{"requires-python": text}), metadata=metadata("thing", "1.0"))
    resolution = place.solve(["python"], ["thing"])
    assert picks(resolution)["thing"] == "wheel 1.0"
    assert not any("Requires-Python" in warning for warning in resolution.warnings), "nobody could do anything about it"


def test_a_requires_python_that_nothing_meets_is_no_solution(place: Place) -> None:
    place.write()
    place.publish("thing", wheel("thing", "1.0", **{"requires-python": ">=99"}), metadata=metadata("thing", "1.0"))
    with pytest.raises(NoSolutionError):
        place.solve(["python"], ["thing"])


def test_spellings_of_one_project_are_one(place: Place) -> None:
    place.write()
    place.publish("my-pkg", wheel("My_Pkg", "1.0"), metadata={
        "My_Pkg-1.0-py3-none-any.whl": "Metadata-Version: 2.1\nName: my.PKG\nVersion: 1.0\nRequires-Dist: MY--pkg\n"
    })  # fmt: skip
    resolution = place.solve(["python"], ["my.pkg", "MY_PKG >=1", "My-Pkg"])
    assert picks(resolution) == {"python": "conda 3.12.7", "my-pkg": "wheel 1.0"}


# Names.


def test_nonsense_in_a_name_map_is_left_out_and_leads_nowhere(place: Place) -> None:
    place.add("clib", "1.0")
    place.add("tool", "1.0", "python")
    place.write()
    nonsense: dict[str, object] = {
        "clib": ["d" * 40],
        "tool": 7,
        "python": ["../../x"],
        "other": {"a": "b"},
        "": ["thing"],
        "x" * 5000: ["thing"],
        "more": [["thing"]],
        "numbers": [1, 2],
        "huge": ["y" * 10_000],
    }
    place.publish("thing", wheel("thing", "1.0"), metadata=metadata("thing", "1.0"))
    names = NameMap(nonsense, "the test's names")
    assert {"clib", "tool", "python", "other", "more", "numbers", "huge"} <= set(names.rejected)
    found = picks(place.solve(["clib", "tool"], ["thing"], nonsense))
    assert found == {"clib": "conda 1.0", "python": "conda 3.12.7", "thing": "wheel 1.0", "tool": "conda 1.0"}


# Amounts.

_MANY = textwrap.dedent(
    """
    import json, os, sys, time
    from pathlib import Path
    from bridge.channels.sources import Channels
    from bridge.config import Settings
    from bridge.errors import NoSolutionError
    from bridge.fetch.client import Client
    from bridge.index import Index
    from bridge.resolve import Catalog, Options, resolve
    from converters.names import NameMap
    from tests.support.resolver_worlds import LINUX, picks, solve_request

    folder, index_url, asked = sys.argv[1:]
    with Client(Settings(cache_dir=Path(folder, "cache"), retries=0)) as client:
        channels = Channels(lambda: client, [folder + "/channel"], "linux-64", Path(folder, "cache"), offline=False)
        catalog = Catalog(channels, Index(client, (index_url,)), LINUX, NameMap.empty(), Options())
        resolve(solve_request(["python"], ()), catalog)  # the channel is read before anything is measured
        found, seconds = {}, {}
        for name, rounds in json.loads(asked).items():
            found[name], started = [], time.process_time()
            for conda, pypi in rounds:
                try:
                    found[name].append(picks(resolve(solve_request(conda, pypi), catalog))[name])
                except NoSolutionError:
                    found[name].append(None)
            seconds[name] = time.process_time() - started
        channels.close()
    # Not ru_maxrss, which counts what the process was a copy of before it began.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) << 10
    print(json.dumps({"found": found, "seconds": seconds, "peak": peak}), flush=True)
    os._exit(0)
    """
)


COUNTS = {"many": 32_000, "fewer": 8_000}


def in_a_process(
    place: Place, asked: Mapping[str, Sequence[tuple[Sequence[str], Sequence[str]]]]
) -> dict[str, list[str | None]]:
    """The version of each name in each solution. The work grows with the number of files, and 400 MiB are enough."""
    words = [sys.executable, "-c", _MANY, str(place.folder), place.server.simple, json.dumps(asked)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    growth = COUNTS["many"] / COUNTS["fewer"]
    assert answer["seconds"]["many"] < 3 * growth * answer["seconds"]["fewer"]
    assert answer["peak"] < 400 << 20
    found: dict[str, list[str | None]] = answer["found"]
    return found


@pytest.mark.slow
def test_many_thousand_records_of_one_name(place: Place) -> None:
    for name, count in COUNTS.items():
        for number in range(count):
            place.add(name, f"{number}.0", "python >=3.8", f"lib >={number % 50}")
    place.add("lib", "48.0")
    place.write()
    found = in_a_process(
        place, {name: [([name], ()), ([f"{name} <5000"], ()), ([f"{name} <0"], ())] for name in COUNTS}
    )
    assert found == {
        "many": ["conda 31998.0", "conda 4998.0", None],
        "fewer": ["conda 7998.0", "conda 4998.0", None],
    }


@pytest.mark.slow
def test_many_thousand_files_of_one_project(place: Place) -> None:
    place.write()
    for name, count in COUNTS.items():
        place.publish(name, *(wheel(name, f"{number}.0") for number in range(count)), metadata={
            **metadata(name, f"{count - 1}.0"), **metadata(name, "4999.0"),
        })  # fmt: skip
    texts = {name: (name, f"{name} <5000", f"{name} <0") for name in COUNTS}
    found = in_a_process(place, {name: [(["python"], [text]) for text in texts[name]] for name in COUNTS})
    assert found == {
        "many": ["wheel 31999.0", "wheel 4999.0", None],
        "fewer": ["wheel 7999.0", "wheel 4999.0", None],
    }
