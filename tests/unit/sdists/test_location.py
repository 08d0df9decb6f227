"""URLs of source code: what they lead to, and what is refused."""

from __future__ import annotations

import pytest

from bridge.errors import UnsafeInputError, UsageError
from bridge.sdists.location import SourceLocation, pinned, source_of, stated

GIT = "git+https://h.example/o/r"
SOURCES = {
    GIT: SourceLocation(kind="git", url="https://h.example/o/r"),
    f"{GIT}.git@main": SourceLocation(kind="git", url="https://h.example/o/r.git", reference="main"),
    f"{GIT}@feature/x#egg=My_x[a]&subdirectory=a/b/": SourceLocation(
        kind="git", url="https://h.example/o/r", reference="feature/x", subdirectory="a/b", name="my-x", extras="[a]"
    ),
    "git+ssh://git@h.example/o/r@v1": SourceLocation(kind="git", url="ssh://git@h.example/o/r", reference="v1"),
    "git+ssh://git@h.example:22/o/r": SourceLocation(kind="git", url="ssh://git@h.example:22/o/r"),
    "git+file:///r@v1": SourceLocation(kind="git", url="file:///r", reference="v1"),
    "file:///home/me/project": SourceLocation(kind="directory", url="file:///home/me/project"),
    "file:///home/me/x.zip/": SourceLocation(kind="directory", url="file:///home/me/x.zip/"),
    "file:///p#editable=true": SourceLocation(kind="directory", url="file:///p", is_editable=True),
    "file:///p#subdirectory=q": SourceLocation(kind="directory", url="file:///p", subdirectory="q"),
    "file:///main.zip": SourceLocation(kind="archive", url="file:///main.zip"),
    "https://h.example/o/r/archive/main.zip": SourceLocation(
        kind="archive", url="https://h.example/o/r/archive/main.zip"
    ),
    "https://h.example/o/r/archive/refs/tags/v1.0.tar.gz": SourceLocation(
        kind="archive", url="https://h.example/o/r/archive/refs/tags/v1.0.tar.gz"
    ),
    "https://h.example/o/r/zipball/main": SourceLocation(kind="archive", url="https://h.example/o/r/zipball/main"),
    "https://h.example/x-1.0.tar.gz#subdirectory=q": SourceLocation(
        kind="archive", url="https://h.example/x-1.0.tar.gz", subdirectory="q"
    ),
}
OTHERS = ["https://h.example/x-1.0.tar.gz", "https://h.example/x-1.0-py3-none-any.whl#sha256=0", "https://h.example/"]
OTHERS += ["file:///x-1.0.zip", "file:///lib/x-1.0.dist-info", "", "x", "https://[x/main.zip", "file:///x-1-0.conda"]


@pytest.mark.parametrize("url", SOURCES)
def test_source_code(url: str) -> None:
    assert source_of(url) == SOURCES[url]


@pytest.mark.parametrize("url", OTHERS)
def test_what_says_what_it_is(url: str) -> None:
    assert source_of(url) is None


@pytest.mark.parametrize("url", ["hg+https://h.example/r", "svn+ssh://h.example/r", "git+ext::sh -c x", "git+https:///r",
                                 "git+git@h.example:o/r", "git+https://[x/r", "git+ftp://h.example/r",
                                 "git+https://h.example/r#egg=-x"])  # fmt: skip
def test_what_no_program_is_run_for(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        source_of(url)
    assert caught.value.id == "url-unsupported"


HOSTILE = ["@-x", "@--upload-pack=touch", "@a..b", "@a b", "@%2Dx", "@a%0Ab", "#subdirectory=../x"]
HOSTILE += ["#subdirectory=a/../../x"]


@pytest.mark.parametrize("end", HOSTILE)
def test_what_a_program_could_take_for_something_else(end: str) -> None:
    with pytest.raises(UnsafeInputError) as caught:
        source_of(f"{GIT}{end}")
    assert caught.value.id == "url-refused"


def test_a_host_that_looks_like_an_option() -> None:
    with pytest.raises(UnsafeInputError):
        source_of("git+ssh://-oProxyCommand=touch/r")


def test_the_same_code_under_other_names() -> None:
    places = {source.place for url in (GIT, f"{GIT}.git@v1", f"{GIT}/#egg=x") if (source := source_of(url))}
    assert len(places) == 1
    assert pinned(f"{GIT}@main#subdirectory=q", "0" * 40) == f"{GIT}@{'0' * 40}#subdirectory=q"
    assert pinned("file:///p", "0" * 64) == "file:///p"


OF_GIT = {"url": "https://h.example/r", "vcs_info": {"vcs": "git", "requested_revision": "dev", "commit_id": "a" * 40}}
STATED = {
    "editable": ({"url": "file:///p", "dir_info": {"editable": True}}, "file:///p#editable=true"),
    "a copy": ({"url": "file:///p", "dir_info": {}}, "file:///p"),
    "below": (
        {"url": "file:///p", "dir_info": {"editable": True}, "subdirectory": "x"},
        "file:///p#subdirectory=x&editable=true",
    ),
    "git": (OF_GIT, "git+https://h.example/r@dev"),
    "git without a branch": (OF_GIT | {"vcs_info": {"vcs": "git", "commit_id": "a" * 40}}, "git+https://h.example/r"),
    "an archive": ({"url": "https://h.example/x-1.tar.gz", "archive_info": {}}, None),
    "nothing": ({}, None),
}


@pytest.mark.parametrize("case", STATED)
def test_the_url_that_direct_url_states(case: str) -> None:
    document, url = STATED[case]
    assert stated(document) == url
    if url is not None:
        assert source_of(url) is not None
    if "git" in case:
        assert (stated(document, pins=True) or "").endswith("@" + "a" * 40)
