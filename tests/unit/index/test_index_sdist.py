"""`bridge.index`: sdists among the files of a project, what is known of them without a build, and their wheels."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge.archive.wheels import check_wheel
from bridge.config.builds import Formats
from bridge.errors import BuildError, IntegrityError, NoSolutionError, UnsafeInputError, UsageError
from bridge.model import IndexFile
from bridge.requirements.algebra import parse_pypi
from bridge.resolve import Catalog, Options, SolveRequest, resolve
from converters.names import NameMap
from converters.record import Record
from converters.target import Target
from tests.support.builders import make_wheel, metadata_text
from tests.support.clients import MakeClient
from tests.support.indexes import Index
from tests.support.sdists import make_sdist, pkg_info
from tests.support.servers import IndexServer

STATIC = pkg_info("x", "1.0", requires=["y>=2"])
EVIL = "raise SystemExit('this code was not to run')"


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def publish(server: IndexServer, sdist: Path, *, metadata: bytes | None = None) -> None:
    """Publish an sdist; `metadata`: a PEP 658 file beside it."""
    facts = {"core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()}} if metadata is not None else {}
    server.publish(sdist, core_metadata=False, facts=facts)
    if metadata is not None:
        server.add(f"/files/{sdist.name}.metadata", metadata)


def only(index: Index) -> IndexFile:
    (file,) = index.files("x")
    return file


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_static_metadata_needs_no_build(
    make_client: MakeClient, server: IndexServer, tmp_path: Path, suffix: str
) -> None:
    publish(server, make_sdist(tmp_path, "x", "1.0", suffix=suffix, info=STATIC, hook=EVIL))
    index = Index(make_client(no_build=True), (server.simple,))
    metadata = index.metadata(only(index))
    assert (metadata.name, metadata.version, metadata.requires_dist) == ("x", "1.0", ("y>=2",))
    asked = len(server.asked)
    later = Index(make_client(offline=True), (server.simple,))
    assert later.metadata(only(later)).requires_dist == ("y>=2",)
    assert len(server.asked) == asked


def test_static_metadata_beside_the_sdist(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    """PEP 658, for an sdist: read instead of it where PEP 643 lets one believe it."""
    sdist = make_sdist(tmp_path, "x", "1.0", hook=EVIL)
    publish(server, sdist, metadata=STATIC)
    index = Index(make_client(), (server.simple,))
    assert index.metadata(only(index)).requires_dist == ("y>=2",)
    assert server.count(f"/files/{sdist.name}") == 0


def test_metadata_too_old_to_say_what_is_dynamic_is_believed_of_an_index(
    make_client: MakeClient, server: IndexServer, tmp_path: Path
) -> None:
    """PEP 658 metadata with a hash: the index vouches that it is that of the file."""
    sdist = make_sdist(tmp_path, "x", "1.0", hook=EVIL)
    publish(server, sdist, metadata=pkg_info("x", "1.0", requires=["y>=2"], metadata_version="2.1"))
    index = Index(make_client(), (server.simple,))
    assert index.metadata(only(index)).requires_dist == ("y>=2",)
    assert server.count(f"/files/{sdist.name}") == 0


@pytest.mark.parametrize("metadata", [None, pkg_info("x", "1.0", requires=["never"], dynamic=["Requires-Dist"])])
@pytest.mark.parametrize("info", [b"", pkg_info("x", "1.0", requires=["never"], metadata_version="2.1")])
def test_what_is_dynamic_is_known_once_it_is_built(
    make_client: MakeClient, server: IndexServer, tmp_path: Path, metadata: bytes | None, info: bytes
) -> None:
    publish(server, make_sdist(tmp_path, "x", "1.0", info=info, requires=["y>=3"]), metadata=metadata)
    index = Index(make_client(), (server.simple,))
    assert index.metadata(only(index)).requires_dist == ("y>=3",)
    wheel = index.fetch(only(index))
    assert check_wheel(wheel).metadata.requires_dist == ("y>=3",)
    later = Index(make_client(offline=True), (server.simple,))
    assert later.metadata(only(later)).requires_dist == ("y>=3",)
    assert later.fetch(only(later)) == wheel


def test_the_wheel_of_an_sdist(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    sdist = make_sdist(tmp_path, "x", "1.0", info=STATIC, requires=["y>=2"])
    publish(server, sdist)
    index = Index(make_client(), (server.simple,))
    file = only(index)
    wheel = index.fetch(file)
    assert wheel.name == "x-1.0-py3-none-any.whl"
    assert check_wheel(wheel).metadata == index.metadata(file)
    # What provenance records is the sdist, which is what was verified.
    assert (file.url, file.sha256) == (
        f"{server.url}/files/{sdist.name}",
        hashlib.sha256(sdist.read_bytes()).hexdigest(),
    )


def test_a_local_sdist(make_client: MakeClient, tmp_path: Path) -> None:
    make_sdist(tmp_path / "links", "x", "1.0", requires=["y"])
    index = Index(make_client(offline=True), (), (str(tmp_path / "links"),))
    assert index.metadata(only(index)).requires_dist == ("y",)
    assert index.fetch(only(index)).suffix == ".whl"
    url = (tmp_path / "links/x-1.0.tar.gz").as_uri()
    assert index.fetch(index.file_of_url(url, "x")) == index.fetch(only(index))


def test_no_build(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    publish(server, make_sdist(tmp_path, "x", "1.0", hook=EVIL))
    index = Index(make_client(no_build=True), (server.simple,))
    for attempt in (index.metadata, index.fetch):
        with pytest.raises(BuildError) as caught:
            attempt(only(index))
        assert caught.value.id == "build-needed"


def test_an_sdist_is_verified_before_its_code_runs(
    make_client: MakeClient, server: IndexServer, tmp_path: Path
) -> None:
    sdist = make_sdist(tmp_path, "x", "1.0", hook=EVIL)
    publish(server, sdist)
    server.routes[f"/files/{sdist.name}"].body = make_sdist(tmp_path / "other", "x", "1.0").read_bytes()
    index = Index(make_client(), (server.simple,))
    for attempt in (index.metadata, index.fetch):
        with pytest.raises(IntegrityError):
            attempt(only(index))


@pytest.mark.parametrize("info", [pkg_info("y", "1.0"), pkg_info("x", "1.1")])
def test_metadata_of_another_project_or_version(make_client: MakeClient, tmp_path: Path, info: bytes) -> None:
    make_sdist(tmp_path / "links", "x", "1.0", info=info)
    index = Index(make_client(), (), (str(tmp_path / "links"),))
    with pytest.raises(UnsafeInputError) as caught:
        index.metadata(only(index))
    assert caught.value.id == "sdist-name"


# Requirements by URL.


@pytest.mark.parametrize("url", ["hg+https://h.example/x", "svn+x://h/x", "bzr+https://h.example/x"])
def test_only_git_is_read(make_client: MakeClient, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Index(make_client(), ()).file_of_url(url, "x")
    assert caught.value.id == "url-unsupported"
    assert "python -m build" in str(caught.value.hint)


@pytest.mark.parametrize("algorithm", ["md5", "sha384", "sha512"])
def test_another_hash_in_the_fragment_is_a_promise_as_well(
    make_client: MakeClient, server: IndexServer, tmp_path: Path, algorithm: str
) -> None:
    """A hash that somebody wrote down is never passed over."""
    wheel = make_wheel(tmp_path, "x", "1.0")
    server.publish(wheel)
    url = f"{server.url}/files/{wheel.name}#{algorithm}="
    digest = hashlib.new(algorithm, wheel.read_bytes(), usedforsecurity=False).hexdigest()
    file = Index(make_client(), ()).file_of_url(url + digest.upper(), "x")
    assert file.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
    with pytest.raises(IntegrityError, match=algorithm):
        Index(make_client(), ()).file_of_url(url + digest[::-1], "x")


def test_a_locked_project_is_looked_up_nowhere(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    server.publish(make_wheel(tmp_path, "x", "2.0"), make_wheel(tmp_path, "x", "1.0"))
    server.publish(make_wheel(tmp_path, "y", "1.0"))
    *_, locked = Index(make_client(), (server.simple,)).files("x")
    asked = len(server.asked)
    index = Index(make_client(), (server.simple,), locked={"x": [locked]})
    assert index.files("X") == (locked,)
    assert len(server.asked) == asked
    assert len(index.files("y")) == 1


# The resolver, where a file cannot be used.


class Pythons:
    """A channel that has a python and nothing else."""

    def prefetch(self, names: object) -> None:
        """It is all here."""

    def records(self, name: str) -> Sequence[Record]:
        if name != "python":
            return ()
        return (Record(ecosystem="conda", name="python", version="3.11.7", build="h_0_cpython", subdir="linux-64"),)


def chosen(index: Index, *texts: str, options: Options | None = None) -> tuple[list[str], tuple[str, ...]]:
    """The file names of the wheels and sdists of a solution, and the warnings."""
    target = Target(subdir="linux-64", virtual_packages=(("__glibc", "2.36", "0"),))
    catalog = Catalog(Pythons(), index, target, NameMap({}, "tests"), options or Options())
    found = resolve(SolveRequest(requirements=tuple(map(parse_pypi, texts))), catalog)
    files = [package.record.filename for package in found.packages if package.record.ecosystem == "wheel"]
    return files, found.warnings


@pytest.mark.slow
def test_an_sdist_that_cannot_be_built_is_struck(make_client: MakeClient, tmp_path: Path) -> None:
    links = tmp_path / "links"
    make_sdist(links, "x", "3.0", files={"backend.py": b"raise ImportError('no compiler')"})
    make_sdist(links, "x", "2.0", requires=["y"])
    make_wheel(links, "x", "1.0")
    make_wheel(links, "y", "1.0")
    files, warnings = chosen(Index(make_client(), (), (str(links),)), "x")
    assert files == ["x-2.0.tar.gz", "y-1.0-py3-none-any.whl"]
    assert len(warnings) == 1
    assert warnings[0].startswith("x-3.0.tar.gz is left out: x-3.0.tar.gz could not be built")
    with pytest.raises(NoSolutionError) as caught:
        chosen(Index(make_client(), (), (str(links),)), "x>2")
    # What the build said is the reason, not "cannot be met" alone.
    assert "could not be built" in str(caught.value.objects["derivation"])
    assert "ImportError: no compiler" in "\n".join(caught.value.context)
    assert "the output may name what is missing" in str(caught.value.hint)


@pytest.mark.parametrize("needs", ["z @ hg+https://h.example/z", "z @ https://h.example/other-1.0-py3-none-any.whl"])
def test_a_wheel_that_needs_what_cannot_be_had_is_struck(make_client: MakeClient, tmp_path: Path, needs: str) -> None:
    links = tmp_path / "links"
    make_wheel(links, "x", "2.0", metadata=metadata_text("x", "2.0", requires=[needs]))
    make_wheel(links, "x", "1.0")
    files, warnings = chosen(Index(make_client(), (), (str(links),)), "x")
    assert files == ["x-1.0-py3-none-any.whl"]
    assert warnings[0].startswith("x-2.0-py3-none-any.whl is left out: ")


# What a build requires.


@pytest.mark.slow
def test_a_build_requirement_without_a_wheel_is_built_first(make_client: MakeClient, tmp_path: Path) -> None:
    links = tmp_path / "links"
    make_sdist(links, "tool", "2.0", hook="def report():\n    return 'built here'")
    make_sdist(links, "x", "1.0", build_requires=["tool"], hook="import tool\ndef report():\n    return tool.MADE")
    index = Index(make_client(), (), (str(links),))
    assert b"built here" in (module := module_of(index.fetch(only(index)))), module


def module_of(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read("x.py")


def test_a_build_that_needs_itself_ends(make_client: MakeClient, tmp_path: Path) -> None:
    links = tmp_path / "links"
    make_sdist(links, "x", "1.0", build_requires=["tool"])
    make_sdist(links, "tool", "1.0", build_requires=["x"])
    index = Index(make_client(), (), (str(links),))
    with pytest.raises(BuildError) as caught:
        index.fetch(only(index))
    assert "x-1.0.tar.gz" in caught.value.message
    assert "needed to build itself" in "\n".join([caught.value.message, *caught.value.context])


def test_what_the_backend_asks_for_is_installed_as_well(make_client: MakeClient, tmp_path: Path) -> None:
    links = tmp_path / "links"
    make_wheel(links, "tool", "1.0", files={"tool.py": b"ANSWER = '42'\n"})
    hook = (
        "def get_requires_for_build_wheel(config_settings=None):\n    return ['tool>=1']\n"
        "def report():\n    import tool\n    return tool.ANSWER"
    )
    make_sdist(links, "x", "1.0", hook=hook)
    index = Index(make_client(), (), (str(links),))
    assert b"42" in module_of(index.fetch(only(index)))


def test_the_first_index_alone_serves_a_build_requirement(
    make_client: MakeClient, server: IndexServer, tmp_path: Path
) -> None:
    """Dependency confusion: pip, which merges indexes, would take the higher version of the second one."""
    with IndexServer() as public:
        server.publish(make_wheel(tmp_path / "own", "tool", "1.0", files={"tool.py": b"ANSWER = 'own'\n"}))
        public.publish(make_wheel(tmp_path / "evil", "tool", "9.0", files={"tool.py": b"ANSWER = 'evil'\n"}))
        sdist = make_sdist(
            tmp_path, "x", "1.0", build_requires=["tool"], hook="import tool\ndef report():\n    return tool.ANSWER"
        )
        publish(server, sdist)
        index = Index(make_client(), (server.simple, public.simple))
        assert b"own" in module_of(index.fetch(only(index)))
        assert public.count("/simple/tool/") == 0


def test_offline_a_build_requirement_that_is_not_in_the_cache_is_told(
    make_client: MakeClient, server: IndexServer, tmp_path: Path
) -> None:
    server.publish(make_wheel(tmp_path, "tool", "1.0"))
    make_sdist(tmp_path / "links", "x", "1.0", build_requires=["tool"])
    index = Index(make_client(offline=True), (server.simple,), (str(tmp_path / "links"),))
    with pytest.raises(BuildError, match=r"build requirements cannot be met.*--offline") as caught:
        index.fetch(index.files("x")[0])
    assert caught.value.id == "build-failed"
    assert server.asked == []


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        (Formats(), "x-1.0-py3-none-any.whl"),
        (Formats(no_binary=frozenset({"x"})), "x-1.0.tar.gz"),
        (Formats(no_binary=frozenset({":all:"})), "x-1.0.tar.gz"),
        (Formats(no_binary=frozenset({":all:"}), only_binary=frozenset({"x"})), "x-1.0-py3-none-any.whl"),
        (Formats(no_binary=frozenset({"y"})), "x-1.0-py3-none-any.whl"),
    ],
)
def test_formats_that_pip_is_configured_for(
    make_client: MakeClient, tmp_path: Path, formats: Formats, expected: str
) -> None:
    links = tmp_path / "links"
    make_sdist(links, "x", "1.0", info=STATIC.replace(b"Requires-Dist: y>=2\n", b""))
    make_wheel(links, "x", "1.0")
    files, _ = chosen(Index(make_client(), (), (str(links),)), "x", options=Options(builds=formats))
    assert files == [expected]


def test_only_binary_builds_nothing_and_says_why(make_client: MakeClient, tmp_path: Path) -> None:
    make_sdist(tmp_path / "links", "x", "1.0", hook=EVIL)
    with pytest.raises(NoSolutionError) as caught:
        chosen(
            Index(make_client(), (), (str(tmp_path / "links"),)),
            "x",
            options=Options(builds=Formats(only_binary=frozenset({"x"}))),
        )
    assert "only-binary" in "\n".join(caught.value.context)


@pytest.mark.slow
def test_files_that_refuse_to_be_built_are_told_once_with_the_project_they_name(
    make_client: MakeClient, tmp_path: Path
) -> None:
    links = tmp_path / "links"
    refusal = b"raise SystemExit(\"'x' is deprecated, use 'y' instead\\nsee x.example\")"
    for version in ("3.0", "2.0"):
        make_sdist(links, "x", version, files={"backend.py": refusal})
    make_wheel(links, "x", "1.0")
    index = Index(make_client(), (), (str(links),))
    files, warnings = chosen(index, "x")
    assert files == ["x-1.0-py3-none-any.whl"]
    assert warnings == ("files of x refuse to be built: ask for `y` instead",)
    with pytest.raises(NoSolutionError) as caught:
        chosen(index, "x>2")
    assert str(caught.value.hint).startswith("ask for `y` instead")
