"""Requests that the indexes cannot meet: the true reason is told, and each hint, followed to the letter, helps."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builders import make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge, Ran
from tests.support.servers import IndexServer

MARCH = "2025-03-01T12:00:00Z"
MAY = "2025-05-01T12:00:00Z"


class Place:
    """A channel with python, two indexes on the network, and the command that solves with them."""

    def __init__(self, folder: Path, first: IndexServer, second: IndexServer) -> None:
        self.folder, self.first, self.second = folder, first, second
        make_conda(folder / "channel", "python", "3.12.1", subdir="linux-64", noarch=None)
        make_repodata(folder / "channel")
        self._bridge = Bridge(
            cache=folder / "cache", index=None, folder=folder, environ={"PIP_CONFIG_FILE": "/dev/null"}
        )

    def resolve(self, *words: str) -> Ran:
        return self._solve("--json", "python", *words)

    def batch(self, file: str, *words: str) -> Ran:
        return self._solve("--batch", file, *words)

    def _solve(self, *words: str) -> Ran:
        target = ("--platform", "linux-64", "--virtual-package", "__glibc=2.28")
        indexes = ("--index-url", self.first.simple, "--extra-index-url", self.second.simple)
        return self._bridge("resolve", "-c", "./channel", *target, *indexes, *words)

    def refused(self, *words: str, status: int = 6) -> str:
        ran = self.resolve(*words)
        assert ran.status == status, ran.err
        assert "Traceback" not in ran.err
        return ran.err

    def versions(self, *words: str) -> dict[str, str]:
        ran = self.resolve(*words)
        assert ran.status == 0, ran.err
        return {package["name"]: package["version"] for package in ran.document["packages"]}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with IndexServer() as first, IndexServer() as second:
        yield Place(tmp_path, first, second)


def ways(said: str) -> list[list[str]]:
    """Return the options, or the requirement instead, of each alternative of a hint."""
    (hint,) = re.findall(r"^hint: (.*)$", said, re.MULTILINE)
    found = []
    for text in re.split(r",? or ", hint):
        option = re.search(r"(?<![\w-])--[a-z-]+ \S+", text)
        instead = re.search(r"ask for exactly .*`([^`]+)`", text)
        if option and not text.startswith("leave out"):
            found.append(shlex.split(option[0]))
        elif instead:
            found.append([instead[1]])
    return found


def wheel(folder: Path, name: str, version: str, *, tag: str = "py3-none-any", requires: tuple[str, ...] = ()) -> Path:
    return make_wheel(folder, name, version, tag=tag, requires=list(requires))


def test_a_mirror_that_has_only_old_versions(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "tch", "2.1+cu121"))
    place.first.publish(wheel(place.folder / "1", "requests", "2.28"))
    place.second.publish(wheel(place.folder / "2", "tch", "2.1"))
    place.second.publish(wheel(place.folder / "2", "requests", "2.32"))
    said = place.refused("tch", "requests>=2.30")
    assert f"{place.first.simple} comes first and has requests" in said
    assert ways(said) == [["--index", f"requests={place.second.simple}"], ["--index-strategy", "best"]]
    for way in ways(said):
        found = place.versions("tch", "requests>=2.30", *way)
        assert (found["tch"], found["requests"]) == ("2.1+cu121", "2.32")
    assert place.second.count("/simple/tch/") == 1  # by `best` alone: the name may be private


def test_a_batch_names_the_indexes_too(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "requests", "2.28"))
    place.second.publish(wheel(place.folder / "2", "requests", "2.32"))
    (place.folder / "batch.jsonl").write_text('{"id": 1, "conda": ["python"], "pypi": ["requests>=2.30"]}\n')
    document = place.batch("batch.jsonl").document
    assert f"--index requests={place.second.simple}" in document["error"]["hint"]
    assert "packages" in place.batch("batch.jsonl", "--index-strategy", "best").document


def test_a_mirror_that_lacks_what_a_dependency_needs(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "tch", "2.1", requires=("filelock>=3",)))
    place.first.publish(wheel(place.folder / "1", "filelock", "2.0"))
    place.second.publish(wheel(place.folder / "2", "filelock", "3.0"))
    said = place.refused("tch")
    assert ways(said)[0] == ["--index", f"filelock={place.second.simple}"]
    assert all(place.versions("tch", *way)["filelock"] == "3.0" for way in ways(said))


def test_a_project_that_is_bound_to_the_wrong_index(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "x", "1.0"))
    place.second.publish(wheel(place.folder / "2", "y", "1.0"))
    bound = ("--index", f"x={place.second.simple}")
    said = place.refused("x", *bound)
    assert f"x comes from {place.second.simple} alone" in said
    assert all(place.versions("x", *bound, *way)["x"] == "1.0" for way in ways(said))
    assert ways(said) == [["--index", f"x={place.first.simple}"]]


def test_a_file_of_another_hash(place: Place) -> None:
    path = wheel(place.folder / "1", "x", "1.0")
    place.first.publish(path)
    found, expected = hashlib.sha256(path.read_bytes()).hexdigest(), "a" * 64
    (place.folder / "requirements.txt").write_text(f"x==1.0 --hash=sha256:{expected}\n")
    said = place.refused("-r", "requirements.txt")
    assert f"x-1.0-py3-none-any.whl has the sha256 {found}" in said
    assert f"requires {expected}" in said
    assert "no index has a file" not in said
    assert "leave out" not in said  # a hint that would install the unknown file
    # Another index may have the file: the first one may have built it itself.
    other = wheel(place.folder / "2", "x", "1.0", requires=("x",))
    place.second.publish(other)
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    (place.folder / "requirements.txt").write_text(f"x==1.0 --hash=sha256:{digest}\n")
    said = place.refused("-r", "requirements.txt")
    for way in ways(said):
        assert place.versions("-r", "requirements.txt", *way)["x"] == "1.0"
    assert len(ways(said)) == 2


@pytest.mark.parametrize("where", ["a directory", "an index without hashes"])
def test_a_hash_that_only_the_file_itself_can_show(place: Place, where: str) -> None:
    path = wheel(place.folder / "links", "x", "1.0")
    words: tuple[str, ...] = ("--find-links", "./links")
    if where != "a directory":
        place.first.publish(path, hashes=False)
        words = ()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (place.folder / "right.txt").write_text(f"x --hash=sha256:{digest} --hash=sha256:{'b' * 64}\n")
    ran = place.resolve("-r", "right.txt", *words)
    assert ran.status == 0, ran.err
    assert [each["sha256"] for each in ran.document["packages"] if each["name"] == "x"] == [digest]
    (place.folder / "wrong.txt").write_text(f"x --hash=sha256:{'a' * 64}\n")
    said = place.refused("-r", "wrong.txt", *words, status=6 if words else 5)
    assert digest in said
    assert "a" * 64 in said


def test_an_index_without_hashes_metadata_and_ranges(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "x", "1.0"), hashes=False, core_metadata=False, ranges=False)
    said = place.refused("x")
    assert "the index gives no sha256 for x-1.0-py3-none-any.whl" in said
    assert "state the hash in a requirement file: x==1.0 --hash=sha256:" in said
    assert "no index has a file" not in said


def test_a_file_by_its_url_and_hash(place: Place) -> None:
    path = wheel(place.folder / "1", "x", "1.0")
    place.first.publish(path)
    url = f"{place.first.url}/files/{path.name}"
    (place.folder / "wrong.txt").write_text(f"x @ {url} --hash=sha256:{'a' * 64}\n")
    said = place.refused("-r", "wrong.txt", status=5)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in said


def test_a_yanked_file(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "x", "1.0"), facts={"yanked": "it loses data"})
    said = place.refused("x>=0.5")
    assert "x 1.0 (wheel) is yanked (x-1.0-py3-none-any.whl: it loses data)" in said
    assert ways(said)[-1:] == [["x==1.0"]]
    assert place.versions("x==1.0")["x"] == "1.0"


def test_a_file_that_is_too_new(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "x", "1.0"), facts={"upload-time": MARCH})
    place.first.publish(wheel(place.folder / "1", "x", "2.0"), facts={"upload-time": MAY})
    said = place.refused("x>=1", "--exclude-newer", "2025-01-01")
    assert "x-1.0-py3-none-any.whl" in said
    assert "newer than --exclude-newer allows" in said
    (way,) = [each for each in ways(said) if each[0] == "--exclude-newer"]
    assert place.versions("x>=1", "--exclude-newer", "2025-01-01", *way)["x"] == "1.0"


def test_a_file_without_a_time(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "x", "1.0"))
    said = place.refused("x", "--exclude-newer", "2025-01-01")
    assert "states no upload time for the files of x 1.0 (x-1.0-py3-none-any.whl)" in said
    assert "leave out --exclude-newer" in said


def test_a_file_for_another_platform_or_python(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "x", "1.0", tag="cp312-cp312-win_amd64"))
    place.first.publish(wheel(place.folder / "1", "y", "1.0", tag="cp39-cp39-manylinux_2_17_x86_64"))
    place.first.publish(wheel(place.folder / "1", "z", "1.0"), facts={"requires-python": "<3.9"})
    said = place.refused("x")
    assert "x 1.0 (x-1.0-cp312-cp312-win_amd64.whl) are made for win_amd64" in said
    assert "y 1.0 (y-1.0-cp39-cp39-manylinux_2_17_x86_64.whl) runs only where" in place.refused("y")
    assert "z 1.0 (z-1.0-py3-none-any.whl) requires python <3.9" in place.refused("z")


def test_files_that_are_neither_wheels_nor_sdists(place: Place) -> None:
    place.first.add("/simple/x/", b'<a href="x-1.0.egg">x</a>', content_type="text/html")
    (place.folder / "links").mkdir()
    said = place.refused("x")
    assert "x-1.0.egg is left out: it is neither a wheel nor an sdist" in said
    assert "no index has a file" not in said


def test_a_project_in_quarantine(place: Place) -> None:
    page = b'<meta name="pypi:project-status" content="quarantined"><a href="x-1.0-py3-none-any.whl">x</a>'
    place.first.add("/simple/x/", page, content_type="text/html")
    said = place.refused("x")
    assert "x-1.0-py3-none-any.whl is left out: its project is quarantined" in said


def test_what_is_not_in_the_cache_offline(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "x", "1.0"))
    said = place.refused("x", "--offline", status=10)
    assert "hint: run the command once without --offline" in said
    place.versions("x")
    assert place.versions("x", "--offline")["x"] == "1.0"


def test_a_project_with_nothing_but_pre_releases(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "x", "1.0rc1"))
    assert place.versions("x>=0.5")["x"] == "1.0rc1"  # as in pip: no hint is needed


def test_a_project_that_no_index_has(place: Place) -> None:
    said = place.refused("x")
    assert "no index has a file of x" in said
    assert f"searched for x: {place.first.simple}, {place.second.simple}" in said


def test_a_find_links_location_that_does_not_exist(place: Place) -> None:
    place.first.publish(wheel(place.folder / "1", "x", "1.0"))
    ran = place.resolve("x", "--find-links", "./nowhere", "--find-links", f"{place.first.url}/none.html")
    assert ran.status == 0, ran.err
    assert "--find-links: there is no ./nowhere" in ran.err
    assert f"--find-links: there is no {place.first.url}/none.html" in ran.err


def test_a_project_that_is_seldom_meant(place: Place) -> None:
    for project in ("bs4", "docx"):
        place.first.publish(wheel(place.folder / "1", project, "1.0", requires=("docx",) if project == "bs4" else ()))
    ran = place.resolve("bs4")
    assert ran.status == 0
    assert "warning: bs4 is seldom the project that is meant: did you mean `beautifulsoup4`?" in ran.err
    assert "docx is" not in ran.err


@pytest.mark.parametrize("excluded", ["by its hash", "by its platform"])
def test_a_version_that_is_not_there_beside_one_that_is_no_candidate(place: Place, excluded: str) -> None:
    tag = "py3-none-any" if excluded == "by its hash" else "cp312-cp312-win_amd64"
    place.first.publish(wheel(place.folder / "1", "x", "2.0", tag=tag))
    (place.folder / "r.txt").write_text(f"x==1.0 --hash=sha256:{'0' * 64}" if tag.startswith("py3") else "x==1.0")
    said = place.refused("-r", "r.txt")
    assert "has x 2.0: there is no solution" in said
    assert "sha256" not in said
