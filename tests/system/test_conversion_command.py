"""`bridge convert` over many wheels: processes, a cluster, what is there already, what fails, and the report."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.convert.channel_index import write_index
from bridge.convert.workers import executor
from bridge.errors import BridgeError, NetworkError, UnsafeInputError, UsageError
from tests.support.builders import make_conda, make_wheel, tree_digest
from tests.support.command_line import Bridge, Ran
from tests.support.conversion_cases import build_case
from tests.support.sdists import make_sdist, pkg_info, sdist_members
from tests.support.servers import IndexServer
from tests.system.test_end_to_end import check_schema, succeeded

CASES = ("data", "ep", "junk", "licensed", "py2", "pth")


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    return [build_case(tmp_path / "wheels", case) for case in CASES]


@pytest.fixture
def convert(bridge_cache: Path, tmp_path: Path) -> Bridge:
    """The command with an index that has nothing."""
    (tmp_path / "nothing").mkdir()
    return Bridge(bridge_cache, (tmp_path / "nothing").as_uri(), tmp_path)


def packages(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.conda")}


def summary(ran: Ran) -> dict[str, object]:
    check_schema("convert", ran.document)
    found = dict(ran.document["summary"])
    assert isinstance(found.pop("seconds"), float)
    return found


@pytest.mark.slow
def test_processes_make_the_same_packages_as_one(convert: Bridge, many: list[Path], tmp_path: Path) -> None:
    succeeded(convert("convert", *many, "-o", "one", "--json"))
    ran = succeeded(convert("convert", *many, "-o", "two", "-j", "2", "--json"))
    assert summary(ran) == {"wheels": len(CASES), "converted": len(CASES), "reused": 0, "failed": 0}
    assert packages(tmp_path / "one") == packages(tmp_path / "two")
    assert [Path(package["wheel"]).name for package in ran.document["packages"]] == [wheel.name for wheel in many]


def test_what_is_there_is_not_done_again(convert: Bridge, many: list[Path], tmp_path: Path) -> None:
    succeeded(convert("convert", *many, "-o", "out", "--json"))
    before = packages(tmp_path / "out")
    lost, harmed = sorted(before)[:2]
    (tmp_path / "out" / lost).unlink()
    (tmp_path / "out" / harmed).write_bytes(b"half of a package")
    again = succeeded(convert("convert", *many, "-o", "out", "--json"))
    assert summary(again) == {"wheels": len(CASES), "converted": 2, "reused": len(CASES) - 2, "failed": 0}
    assert packages(tmp_path / "out") == before
    assert len(again.document["packages"]) == len(CASES), "the report names what was there too"
    assert {each["sha256"] for each in again.document["packages"]} == {
        each["sha256"] for each in succeeded(convert("convert", *many, "-o", "other", "--json")).document["packages"]
    }
    other = succeeded(convert("convert", *many, "-o", "out", "--compression", "3", "--json"))
    assert summary(other)["reused"] == 0, "another level is another package"


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_one_bad_wheel_never_stops_the_rest(convert: Bridge, many: list[Path], tmp_path: Path, jobs: str) -> None:
    broken = tmp_path / "wheels" / "broken-1.0-py3-none-any.whl"
    broken.write_bytes(b"no zip at all")
    unfit = build_case(tmp_path / "wheels", "abi3-musl")
    words = [many[0], broken, unfit, *many[1:]]
    ran = convert("convert", *words, "-o", "out", "-j", jobs, "--index", "--json", "--report", "report.json")
    assert ran.status == 3
    assert summary(ran) == {"wheels": len(CASES) + 2, "converted": len(CASES), "reused": 0, "failed": 2}
    assert json.loads((tmp_path / "report.json").read_text()) == ran.document
    failed = {Path(failure["wheel"]).name: failure["error"]["id"] for failure in ran.document["failures"]}
    assert failed == {broken.name: "zip-frame", unfit.name: "wheel-tag"}
    repodata = json.loads((tmp_path / "out/noarch/repodata.json").read_text())
    assert len(repodata["packages.conda"]) == len(CASES)
    assert "broken-1.0" in ran.err


def test_a_summary_tells_what_became_of_each(convert: Bridge, many: list[Path]) -> None:
    ran = succeeded(convert("convert", *many[:2], "-o", "out"))
    assert "2 of 2 wheels" in ran.err
    assert [line.split()[:3] for line in ran.err.splitlines() if line.startswith(("dt-", "ep-"))] == [
        [wheel.name, "converted", "1"] for wheel in many[:2]
    ]
    assert "exists already" in succeeded(convert("convert", *many[:2], "-o", "out")).err


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Dask cluster of two processes on this machine."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=40
    ) as made:
        yield made.scheduler_address


@pytest.mark.slow
def test_a_cluster_makes_the_same_packages(convert: Bridge, many: list[Path], cluster: str, tmp_path: Path) -> None:
    succeeded(convert("convert", *many, "-o", "here", "--json"))
    broken = make_wheel(tmp_path / "wheels", "bad", "1.0", record=b"")
    ran = convert("convert", *many, broken, "-o", "there", "--dask", cluster, "--json")
    assert ran.status == 3
    assert summary(ran) == {"wheels": len(CASES) + 1, "converted": len(CASES), "reused": 0, "failed": 1}
    assert packages(tmp_path / "here") == packages(tmp_path / "there")
    assert {failure["error"]["id"] for failure in ran.document["failures"]} == {"record-invalid"}


def test_a_scheduler_that_is_not_there(convert: Bridge, many: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.convert.workers._TIMEOUT", "500ms")
    with pytest.raises((NetworkError, UsageError)) as caught, executor(dask="tcp://127.0.0.1:9"):
        pass
    assert caught.value.id == "dask-unreachable"


# Run at the start of each interpreter: a process of a pool ends at once when it opens the wheel `killer`.
DEADLY = """
import multiprocessing, os, sys

def end(event, arguments):
    if event == "open" and "killer-1.0" in str(arguments[0]) and multiprocessing.parent_process() is not None:
        os._exit(9)

sys.addaudithook(end)
"""


@pytest.mark.slow
def test_a_worker_that_dies_is_a_failure_of_its_wheel_alone(convert: Bridge, many: list[Path], tmp_path: Path) -> None:
    (tmp_path / "start").mkdir()
    (tmp_path / "start/sitecustomize.py").write_text(DEADLY)
    killer = make_wheel(tmp_path / "wheels", "killer", "1.0")
    environ = {"PYTHONPATH": str(tmp_path / "start")}
    ran = convert("convert", many[0], killer, *many[1:], "-o", "out", "-j", "2", "--json", environ=environ)
    assert ran.status == 7
    assert summary(ran) == {"wheels": len(CASES) + 1, "converted": len(CASES), "reused": 0, "failed": 1}
    (failure,) = ran.document["failures"]
    assert (failure["error"]["id"], Path(failure["wheel"]).name) == ("worker-died", killer.name)
    assert len(packages(tmp_path / "out")) == len(ran.document["packages"])


def test_many_jobs_are_handed_over_several_at_a_time() -> None:
    from bridge.cli.commands.conversion import _batches
    from bridge.convert.job import Job

    for count in (0, 1, 31, 32, 63, 64, 100, 256, 500, 1001):
        jobs = [Job(text=str(number)) for number in range(count)]
        batches = _batches(jobs)
        assert [job for batch in batches for job in batch] == jobs
        assert all(1 <= len(batch) <= 16 for batch in batches)
        assert len(batches) >= min(count, 32)
        assert all(len(batch) == 1 for batch in batches[-4:])


def test_errors_cross_processes_whole() -> None:
    import pickle

    for kind in (UnsafeInputError, UsageError, BridgeError):
        error = kind("zip-frame", "a message", context=["one", "two"], hint="do", objects={"derivation": [1]})
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert (again.id, again.message, again.context, again.hint, again.objects) == (
            error.id, error.message, error.context, error.hint, error.objects,
        )  # fmt: skip


def test_a_wheel_becomes_a_package_for_each_python_that_needs_another(convert: Bridge, tmp_path: Path) -> None:
    """Markers are evaluated for a target; together the packages serve every python that the wheel serves."""
    requires = ["tomli; python_version < '3.11'", "backports-zstd; python_version < '3.14'", "rich"]
    wheel = make_wheel(tmp_path, "mk", "1.0", requires=requires, requires_python=">=3.9")
    ran = succeeded(convert("convert", wheel, "-o", "out", "--index", "--json"))
    repodata = json.loads((tmp_path / "out/noarch/repodata.json").read_text())["packages.conda"]
    assert len(ran.document["packages"]) == 3
    assert sorted(tuple(record["depends"]) for record in repodata.values()) == [
        ("python >=3.11,<3.14dev0", "backports.zstd", "rich"),
        ("python >=3.14", "rich"),
        ("python >=3.9,<3.11dev0", "tomli", "backports.zstd", "rich"),
    ]


def test_a_wheel_of_several_pythons_becomes_a_package_for_each(convert: Bridge, tmp_path: Path) -> None:
    """C26: a fat tag."""
    tag = "cp311.cp312-cp311.cp312-manylinux_2_17_x86_64"
    wheel = make_wheel(tmp_path, "fat", "1.0", tag=tag)
    ran = succeeded(convert("convert", wheel, "-o", "out", "--platform", "linux-64", "--json"))
    assert sorted(each["build"][:5] for each in ran.document["packages"]) == ["py311", "py312"]


def test_a_pure_wheel_becomes_packages_for_all_systems(convert: Bridge, tmp_path: Path) -> None:
    """As in conda-forge: `noarch: python` with `__unix` and `__win`, told apart by the build string."""
    wheel = make_wheel(tmp_path, "mk", "1.0", requires=["colorama; sys_platform == 'win32'"], requires_python=">=3.9")
    ran = succeeded(convert("convert", wheel, "-o", "out", "--name-map", confirmed(tmp_path, "colorama"), "--json"))
    assert ran.document["warnings"] == []
    assert ran.err == ""
    made = {each["build"].split("_")[0]: each for each in ran.document["packages"]}
    assert {label: each["subdir"] for label, each in made.items()} == {"unix": "noarch", "win": "noarch"}
    for platforms, labels in (
        (["linux-64"], {"unix"}),
        (["win-64"], {"win"}),
        (["osx-arm64", "linux-64"], {"unix"}),
        (["osx-64", "win-64"], {"unix", "win"}),
    ):
        words = [word for platform in platforms for word in ("--platform", platform)]
        some = succeeded(convert("convert", wheel, "-o", "-".join(platforms), *words, "--json")).document["packages"]
        assert {each["build"].split("_")[0] for each in some} == labels
        assert all(each["sha256"] == made[each["build"].split("_")[0]]["sha256"] for each in some)


def confirmed(folder: Path, *names: str) -> Path:
    """A name map that says that these names are their projects."""
    path = folder / "confirmed.json"
    path.write_text(json.dumps({name: [name] for name in names}))
    return path


def test_what_no_package_serves_is_said_once(convert: Bridge, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    url = "x @ https://example.invalid/x-1-py3-none-any.whl ; sys_platform == 'win32'"
    wheels = [make_wheel(tmp_path / "w", name, "1.0", requires=[url]) for name in ("left", "right")]
    ran = succeeded(convert("convert", *wheels, "-o", "out", "--json"))
    (warning,) = ran.document["warnings"]
    assert warning.endswith("have no package: left 1.0 (win), right 1.0 (win)")
    assert [each["build"][:8] for each in ran.document["packages"]] == ["unix_pyh"] * 2
    again = convert("convert", *wheels, "-o", "out", "--json")
    assert (again.document["summary"]["reused"], again.document["warnings"]) == (2, [warning])
    native = make_wheel(tmp_path / "w", "so", "1.0", tag="cp312-cp312-win_amd64")
    ran = succeeded(convert("convert", native, "-o", "out", "--platform", "win-64", "--platform", "linux-64", "--json"))
    assert ran.document["warnings"] == ["so 1.0: no package for linux-64: the wheel runs on win-64"]
    refused = convert("convert", native, "-o", "out", "--platform", "linux-64", "--json")
    assert (refused.status, refused.document["failures"][0]["error"]["id"]) == (3, "wheel-tag")
    for words in (["--platform", "linux-65"], ["--platform", "linux-64", "--platform", "win-65"]):
        assert convert("convert", native, "-o", "out", *words).status == 2


def test_platforms_have_files_of_their_own(bridge_cache: Path, tmp_path: Path) -> None:
    """A requirement is converted from the best file for each platform."""
    for name, tag in (
        ("nat", "cp312-cp312-win_amd64"),
        ("nat", "py3-none-manylinux_2_17_x86_64"),
        ("nat", "py3-none-macosx_11_0_arm64"),
        ("app", "py3-none-any"),
    ):
        requires = ["nat"] if name == "app" else []
        make_wheel(tmp_path / "wheels", name, "1.0", tag=tag, requires=requires)
    bridge = Bridge.of_folder(tmp_path)
    words = ["--platform", "linux-64", "--platform", "osx-arm64", "--json"]
    ran = succeeded(bridge("convert", "nat", "-o", "out", *words))
    assert {each["subdir"] for each in ran.document["packages"]} == {"linux-64", "osx-arm64"}
    make_conda(tmp_path / "channel", "python", "3.12.4", subdir="noarch", noarch=None)
    write_index(tmp_path / "channel")
    ran = succeeded(bridge("convert", "app", "-o", "deps", "--with-deps", *words))
    assert sorted((each["name"], each["subdir"]) for each in ran.document["packages"]) == [
        ("app", "noarch"),
        ("nat", "linux-64"),
        ("nat", "osx-arm64"),
    ]


def test_wheels_as_records(convert: Bridge, tmp_path: Path) -> None:
    """CEP 48: nothing is repacked, and the records stand where older clients do not look."""
    wheels = [build_case(tmp_path / "wheels", case) for case in ("data", "compiled", "direct")]
    ran = convert("convert", *wheels, "-o", "out", "--wheels-as-records", "--platform", "linux-64", "--json")
    assert [failure["error"]["id"] for failure in ran.document["failures"]] == ["requirement-untranslatable"]
    check_schema("convert", ran.document)
    assert packages(tmp_path / "out") == {}
    document = json.loads((tmp_path / "out/noarch/repodata.json").read_text())
    assert document["packages"] == document["packages.conda"] == {}
    assert document["info"]["repodata_revisions"] == {"v3": {"n_packages": 1}}
    (record,) = document["v3"]["whl"].values()
    assert record["url"] == wheels[0].as_uri()
    assert record["depends"] == ['python[version=">=3.8"]']
    (compiled,) = json.loads((tmp_path / "out/linux-64/repodata.json").read_text())["v3"]["whl"].values()
    assert compiled["depends"] == [
        'python[version=">=3.12,<3.13dev0"]',
        'python_abi[version="3.12.*",build="*_cp312"]',
        '__glibc[version=">=2.28"]',
        "numpy",
    ]
    succeeded(convert("convert", build_case(tmp_path / "wheels", "ep"), "-o", "out", "--index"))
    document = json.loads((tmp_path / "out/noarch/repodata.json").read_text())
    assert [len(document[key]) for key in ("packages.conda",)] == [1]
    assert list(document["v3"]["whl"].values()) == [record], "what was known of wheels stays"


@pytest.mark.slow
def test_dependencies_that_no_channel_has(bridge_cache: Path, index: IndexServer, tmp_path: Path) -> None:
    bridge = Bridge(bridge_cache, index.simple, tmp_path)
    ran = succeeded(bridge("convert", "farm", "-o", "out", "--with-deps", "--index", "-c", "host", "--json"))
    assert {each["name"] for each in ran.document["packages"]} == {"farm", "barn", "cow"}
    made = succeeded(bridge("create", "-p", "env", "-c", "out", "-c", "host", "conda:farm", "--json"))
    assert {each["source"] for each in succeeded(bridge("list", "-p", "env", "--json")).document["packages"]} == {
        "conda"
    }
    assert made.document
    again = succeeded(bridge("convert", "farm", "-o", "more", "--with-deps", "-c", "out", "-c", "host", "--json"))
    assert {each["name"] for each in again.document["packages"]} == {"farm"}, "the channel has the others"


def test_names_that_nothing_confirms_are_told_once(convert: Bridge, tmp_path: Path) -> None:
    """The conda package libclang is the C library; a map says so of it, and nothing of `ghost` and `spook`."""
    wheels = [
        make_wheel(tmp_path / "wheels", "app", "1.0", requires=["ghost", "barn", "torch", "libclang", "zebra"]),
        make_wheel(tmp_path / "wheels", "tool", "1.0", requires=["ghost", "spook; extra == 'x'"], extras=["x"]),
        make_wheel(tmp_path / "wheels", "barn", "1.0"),
    ]
    for _ in ("converted", "reused"):
        ran = succeeded(convert("convert", *wheels, "-o", "out", "--index", "--json"))
        (warning,) = ran.document["warnings"]
        assert "projects: ghost, zebra, spook (" in warning
        assert ran.document["unconfirmed_names"] == ["ghost", "zebra", "spook"], "those of extras come last"
        check_schema("convert", ran.document)
    records = json.loads((tmp_path / "out/noarch/repodata.json").read_text())["packages.conda"].values()
    names = json.loads((tmp_path / "out/names.json").read_text())
    assert names == {
        "app": ["app"],
        "barn": ["barn"],
        "ghost": {"unconfirmed": ["ghost"]},
        "pypi-libclang": ["libclang"],
        "pytorch": ["torch"],
        "spook": {"unconfirmed": ["spook"]},
        "tool": ["tool"],
        "zebra": {"unconfirmed": ["zebra"]},
    }
    (app,) = [each for each in records if each["name"] == "app"]
    assert app["depends"][1:] == ["ghost", "barn", "pytorch", "pypi-libclang", "zebra"]
    (tmp_path / "map.json").write_text('{"ghost": ["ghost"], "spook": [], "zebra": ["zebra"]}')
    known = succeeded(convert("convert", *wheels, "-o", "more", "--name-map", "map.json", "--json"))
    assert known.document["warnings"] == []


def test_a_dependency_is_not_confused_with_a_package_of_its_name(bridge_cache: Path, tmp_path: Path) -> None:
    """A channel has another thing under the project's name: the solve took the wheel, and so does the package."""
    make_conda(tmp_path / "channel", "ghost", "9.0", subdir="noarch")
    make_conda(tmp_path / "channel", "spook", "9.0", subdir="noarch", noarch="python", depends=["python"])
    for name, requires in (("app", ["ghost>=1", "spook"]), ("ghost", [])):
        make_wheel(tmp_path / "wheels", name, "9.1", requires=requires)
    write_index(tmp_path / "channel")
    (tmp_path / "nothing").mkdir()
    bridge = Bridge(bridge_cache, (tmp_path / "nothing").as_uri(), tmp_path)
    words = ["app", "-o", "out", "--with-deps", "--index", "--find-links", "wheels", "-c", "channel", "-c", "host"]
    ran = succeeded(bridge("convert", *words, "--json"))
    assert {each["name"] for each in ran.document["packages"]} == {"app", "pypi-ghost"}
    assert ran.document["warnings"] == []
    records = json.loads((tmp_path / "out/noarch/repodata.json").read_text())["packages.conda"].values()
    names = json.loads((tmp_path / "out/names.json").read_text())
    assert names == {"app": ["app"], "pypi-ghost": ["ghost"], "spook": ["spook"]}
    (app,) = [each for each in records if each["name"] == "app"]
    assert app["depends"][1:] == ["pypi-ghost >=1", "spook"]


@pytest.mark.slow
def test_an_unconfirmed_name_is_its_project_only_where_no_channel_has_it(tmp_path: Path) -> None:
    """The channel's names.json serves a dependency from the index, and says nothing of another channel's package."""
    bridge = Bridge.of_folder(tmp_path)
    make_wheel(tmp_path / "wheels", "ghost", "1.0")
    make_wheel(tmp_path / "wheels", "needs", "1.0", requires=["ghost"])
    app = make_wheel(tmp_path / "w", "app", "1.0", requires=["ghost"])
    succeeded(bridge("convert", app, "-o", "out", "--index"))
    words = ["-c", "./out", "-c", "host", "--json", "conda:app"]
    alone = succeeded(bridge("resolve", *words)).document["packages"]
    assert {each["name"]: each["source"] for each in alone}["ghost"] == "wheel"
    make_conda(tmp_path / "channel", "ghost", "9.0", subdir="noarch")  # a server, say
    write_index(tmp_path / "channel")
    both = succeeded(bridge("resolve", "-c", "./channel", *words, "pypi:needs")).document["packages"]
    found = {each["name"]: (each["source"], each["version"], each["required_by"]) for each in both}
    assert found["ghost"] == ("conda", "9.0", ["app"])
    assert found["pypi-ghost"] == ("wheel", "1.0", ["needs"])


def test_no_dependency_is_built_to_learn_its_extras(convert: Bridge, tmp_path: Path) -> None:
    mark = tmp_path / "built"
    hook = f"open({str(mark)!r}, 'w').close()"
    make_sdist(tmp_path / "files", "ghost", "1.0", hook=hook, requires=["a; extra == 'x'"])
    static = pkg_info("spook", "1.0", requires=["b>=2; extra == 'x'"])
    make_sdist(tmp_path / "files", "spook", "1.0", hook=hook, info=static)
    app = make_wheel(tmp_path / "wheels", "app", "1.0", requires=["ghost[x]>=1", "spook[x]"])
    ran = succeeded(convert("convert", app, "-o", "out", "--find-links", "files", "--index", "--json"))
    assert not mark.exists()
    (package,) = ran.document["packages"]
    (note,) = [note for note in package["notes"] if "left out" in note]
    assert "ghost[x]" in note
    (record,) = json.loads((tmp_path / "out/noarch/repodata.json").read_text())["packages.conda"].values()
    assert record["depends"][1:] == ["ghost >=1", "spook", "b >=2"]


def test_an_extra_that_is_not_in_the_cache_is_unknown(convert: Bridge, index: IndexServer, tmp_path: Path) -> None:
    """Offline, metadata that is not in the cache is unknown, which only matters to a base that needs it."""
    good = make_wheel(tmp_path / "wheels", "good", "1.0", requires=["unseen[x]; extra == 'more'"], extras=["more"])
    base = make_wheel(tmp_path / "wheels", "base", "1.0", requires=["unseen[x]"])
    ran = succeeded(
        convert("convert", good, base, "-o", "out", "--offline", "--index-url", index.simple, "--index", "--json")
    )
    (note,) = [note for each in ran.document["packages"] for note in each["notes"]]
    assert note.startswith("the requirements of the extras of unseen[x] are left out: no index that was read has")
    document = json.loads((tmp_path / "out/noarch/repodata.json").read_text())["packages.conda"].values()
    assert {each["name"]: each["depends"][1:] for each in document} == {"good": [], "base": ["unseen"]}


@pytest.mark.parametrize("level", ["0", "23", "worst", "-1", "³"])
def test_a_level_that_is_none(convert: Bridge, many: list[Path], level: str, tmp_path: Path) -> None:
    ran = convert("convert", many[0], "-o", "out", f"--compression={level}")
    assert (ran.status, not (tmp_path / "out").exists()) == (2, True)
    assert "1 to 22" in ran.err


@pytest.mark.slow
def test_best_is_smaller(convert: Bridge, tmp_path: Path) -> None:
    sources = sorted(Path(json.__file__).parents[1].glob("[a-e]*.py"))
    wheel = make_wheel(tmp_path, "big", "1.0", files={f"big/{path.name}": path.read_bytes() for path in sources})
    sizes = []
    for level in ("1", "11", "best"):
        succeeded(convert("convert", wheel, "-o", level, "--compression", level))
        (made,) = (tmp_path / level).rglob("*.conda")
        with zipfile.ZipFile(made) as archive:
            assert archive.testzip() is None
        sizes.append(made.stat().st_size)
    assert sizes[2] < sizes[1] < sizes[0]


def test_a_wheel_of_another_folder_is_the_same_package(convert: Bridge, many: list[Path], tmp_path: Path) -> None:
    """Same wheel, same bytes: where it lay on this machine is not told."""
    other = tmp_path / "elsewhere" / many[0].name
    other.parent.mkdir()
    other.write_bytes(many[0].read_bytes())
    succeeded(convert("convert", many[0], "-o", "one"))
    succeeded(convert("convert", other, "-o", "two"))
    (one, two) = (packages(tmp_path / name) for name in ("one", "two"))
    assert one == two
    assert not any(str(tmp_path).encode() in content for content in one.values())


@pytest.mark.slow
def test_a_projects_folder_is_built_and_converted(convert: Bridge, many: list[Path], tmp_path: Path) -> None:
    """Projects are built by pypa/build in an environment of their own; the folder stays as it is."""
    project = tmp_path / "project"
    project.mkdir()
    for name, content in sdist_members("barnyard", "1.5", requires=["rich>=13"]).items():
        (project / name).write_bytes(content)
    before = tree_digest(project)
    ran = succeeded(convert("convert", "./project", many[0], "-o", "out", "--index", "--json"))
    assert summary(ran) == {"wheels": 2, "converted": 2, "reused": 0, "failed": 0}
    made = {each["name"]: each for each in ran.document["packages"]}
    assert made["barnyard"]["wheel"] == "project"
    records = json.loads((tmp_path / "out/noarch/repodata.json").read_text())["packages.conda"].values()
    assert [each["depends"] for each in records if each["name"] == "barnyard"] == [["python >=3.0", "rich >=13"]]
    assert tree_digest(project) == before
    (project / "backend.py").write_text("raise SystemExit('no compiler')\n")
    failed = convert("convert", "./project", many[0], "-o", "more", "--json")
    assert (failed.status, failed.document["failures"][0]["error"]["id"]) == (6, "build-failed")
    assert summary(failed) == {"wheels": 2, "converted": 1, "reused": 0, "failed": 1}


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_build_is_shown_before_it_starts(tmp_path: Path, jobs: str) -> None:
    """Code of a project runs only after the user was told so; standard output has the document alone."""
    bridge = Bridge.of_folder(tmp_path)
    hook = "print('the backend runs', file=sys.stderr)\nraise SystemExit('no compiler')"
    sdist = make_sdist(tmp_path / "wheels", "granary", "1.0", hook=hook)
    for word in ("granary", sdist):
        failed = bridge("convert", word, make_wheel(tmp_path / "w", "other", "1.0"), "-o", "o", "-j", jobs, "--json")
        assert failed.document["failures"][0]["error"]["id"] == "build-failed"
        assert [each["name"] for each in failed.document["packages"]] == ["other"]
        assert failed.err.index("granary-1.0.tar.gz is source code") < failed.err.index("no compiler")
    make_sdist(tmp_path / "wheels", "granary", "1.0")
    for _ in ("built", "reused"):
        ran = succeeded(bridge("convert", "granary", "-o", "out", "-j", jobs, "--json"))
        assert ran.document["packages"][0]["name"] == "granary"
        assert ran.err.count("is source code") == (0 if ran.document["summary"]["reused"] else 1)
    assert "is source code" not in bridge("convert", sdist, "-o", "new", "--no-build", "--json").err


def test_a_folder_that_is_no_project(convert: Bridge, tmp_path: Path) -> None:
    ran = convert("convert", "./nothing", "-o", "out")
    assert (ran.status, "pyproject.toml" in ran.err) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["-j", "2"]])
def test_what_is_no_wheel_is_a_row_of_the_report(convert: Bridge, tmp_path: Path, words: list[str]) -> None:
    """A name that is none, a folder, a pipe, a loop of links: each fails by itself, and the others are converted."""
    good = make_wheel(tmp_path / "in", "good", "1.0")
    bad = tmp_path / "bad"
    (bad / "dir-1.0-py3-none-any.whl").mkdir(parents=True)
    os.mkfifo(bad / "fifo-1.0-py3-none-any.whl")
    (bad / "loop-1.0-py3-none-any.whl").symlink_to("loop-1.0-py3-none-any.whl")
    (bad / "notaname.whl").write_bytes(b"x")
    (bad / "text-1.0-py3-none-any.whl").write_bytes(b"nonsense")
    texts = [
        *sorted(map(str, bad.iterdir())),
        "no such",
        "a >=",
        "a @ http://[",
        "../x",
        "a\x01b",
        str(bad / "gone.whl"),
    ]
    ran = convert("convert", *texts, good, "-o", tmp_path / "out", "--json", *words)
    document = ran.document
    assert [package["name"] for package in document["packages"]] == ["good"]
    assert len(document["failures"]) == len(texts)
    assert "error[internal]" not in ran.err
    assert ran.status in {2, 3, 6}
    assert "Traceback" not in ran.err
