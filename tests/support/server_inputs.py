"""What servers may send: hostile and malformed answers as data, each with the documented outcome.

An input is (name, where it is served, the answer, the expected outcome). The outcome is `ok` where the solution is as
if nothing were wrong, else the exit status and, where it matters, the id of the error.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import zstandard

__all__ = ["CHANNEL", "PAGES", "RAW", "Input", "page_entry"]

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html"
SHA = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Input:
    """One answer. `body` may hold `{url}` (the server) and `{file}` (the entry or anchor of a sound file)."""

    name: str
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    expected: frozenset[str] = frozenset({"ok"})

    def __str__(self) -> str:
        return self.name


def page_entry(**facts: object) -> dict[str, object]:
    """A sound file of `demo` 1.0, with some facts overridden."""
    name = "demo-1.0-py3-none-any.whl"
    entry: dict[str, object] = {"filename": name, "url": "{url}/files/" + name, "hashes": {"sha256": "{sha256}"}}
    return entry | facts


def _page(name: str, expected: str, *entries: object, raw: bytes | None = None, **top: Any) -> Input:  # noqa: ANN401
    document = {"meta": {"api-version": "1.1"}, "name": "demo", "files": list(entries)} | top
    body = json.dumps(document).encode() if raw is None else raw
    return Input(name=name, body=body, expected=frozenset(expected.split()))


def _status(word: object, **others: object) -> dict[str, Any]:
    return {"project-status": {"status": word, **others}}


def _html(name: str, expected: str, text: str | bytes, content_type: str = HTML, **headers: str) -> Input:
    body = text.encode() if isinstance(text, str) else text
    return Input(name=name, body=body, content_type=content_type, headers=headers, expected=frozenset(expected.split()))


GOOD = json.dumps({"meta": {"api-version": "1.1"}, "files": [page_entry()]}).encode()
ANCHOR = '<a href="{url}/files/demo-1.0-py3-none-any.whl#sha256={sha256}">x</a>'
DIGITS = "9" * 5000


def _facts() -> Iterator[Input]:
    """Facts of one file that make no sense, beside a sound one; the sound one is taken."""
    odd: list[tuple[str, object]] = [
        ("url", "http://["), ("url", "http://h:99999/x.whl"), ("url", "http://h:x/x.whl"),
        ("url", "javascript:1"), ("url", "ftp://h/x.whl"), ("url", ""), ("url", None), ("url", 7), ("url", "http://"),
        ("url", "http://h/\x00"), ("url", "data:,x"), ("url", "http://\ufffd/x.whl"),
        ("url", "https://[::1/x"), ("url", "///"), ("url", "http://a" * 5000),
        ("filename", "../demo-2.0-py3-none-any.whl"), ("filename", "demo-2.0-py3-none-any.whl\x00"),
        ("filename", None),
        ("filename", 7), ("filename", "demo-2.0.whl"), ("filename", "demo-x y-py3-none-any.whl"),
        ("filename", "demo-" + "9" * 6000 + "-py3-none-any.whl"),
        ("filename", "other-2.0-py3-none-any.whl"), ("filename", "demo-2.0-py3-none-any.whl/.."),
        ("filename", "d\u0435mo-2.0-py3-none-any.whl"),
        ("filename", "demo-1!" + "1" * 200 + "-py3-none-any.whl"), ("filename", "DEMO-2.0.dev0-py2-none-win32.whl"),
        ("hashes", {"sha256": "short"}), ("hashes", {"sha256": 7}), ("hashes", {"sha256": SHA + "0"}),
        ("hashes", {"sha256": "g" * 64}),
        ("requires-python", ">=" + DIGITS), ("requires-python", "," * 2000), ("size", int("9" * 30)),
        ("core-metadata", {"sha256": "x"}), ("core-metadata", {"sha256": ["x"]}),
    ]  # fmt: skip
    for number, (key, value) in enumerate(odd):
        strange = page_entry(filename="demo-2.0-py3-none-any.whl") | {key: value}
        yield _page(f"{key} {str(value)[:20]!r} {number}", "ok", strange, page_entry())
    kind: list[tuple[str, object]] = [
        ("yanked", []), ("yanked", 0), ("yanked", None), ("yanked", ""), ("yanked", {}), ("size", -1), ("size", "x"),
        ("size", True), ("size", 1.5), ("upload-time", "yesterday"), ("upload-time", 7),
        ("upload-time", "9999-99-99T99:99:99Z"),
        ("upload-time", "2020-01-01T00:00:00+99:99"), ("requires-python", 7), ("requires-python", "nonsense"),
        ("requires-python", ">=3.8,,"),
        ("core-metadata", []), ("core-metadata", False), ("dist-info-metadata", 7), ("gpg-sig", 7),
        ("provenance", "file:///etc"),
        ("unknown", {"deep": [[[]]]}),
    ]  # fmt: skip
    for number, (key, value) in enumerate(kind):
        yield _page(f"one with {key} {value!r} {number}", "ok", page_entry(**{key: value}))
    yield _page("a link to a file", "3:url-refused", page_entry(url="file:///etc/passwd"), page_entry())
    yield _page("yanked by a list", "ok", page_entry(yanked=["x"]))
    yield _page("no hash", "3:hash-missing", page_entry(hashes={}))
    yield _page("only an unknown hash", "3:hash-missing", page_entry(hashes={"whirlpool": "x"}))
    yield _page("hashes are a list", "3:hash-missing", page_entry(hashes=["sha256"]))
    yield _page("another sha256", "5:hash-mismatch", page_entry(hashes={"sha256": SHA}))
    yield _page("a size that lies", "5:size-mismatch", page_entry(size=7))
    yield _page("a hash of the metadata that lies", "5:hash-mismatch", page_entry(**{"core-metadata": {"sha256": SHA}}))
    yield _page(
        "metadata that is not there",
        "ok",
        page_entry(url="{url}/bare/demo-1.0-py3-none-any.whl", **{"core-metadata": True}),
    )


def _documents() -> Iterator[Input]:
    bad = "3:json-invalid 3:page-unreadable 3:limit-size"
    texts: list[tuple[str, bytes]] = [
        ("empty", b""), ("null", b"null"), ("a number", b"7"), ("a list", b"[]"), ("no files", b"{}"),
        ("files is a map", b'{"files": {}}'),
        ("files of numbers", b'{"files": [7]}'), ("cut", GOOD[:-4]), ("trailing", GOOD + b"x"),
        ("twice", b'{"files": [], "files": []}'),
        ("NaN", b'{"files": [], "x": NaN}'), ("infinite", b'{"files": [], "x": -Infinity}'), ("NUL", GOOD + b"\x00"),
        ("a huge integer", b'{"files": [], "x": ' + DIGITS.encode() + b"}"), ("deep", b"[" * 100_000),
        ("deep map", b'{"a":' * 70 + b"1" + b"}" * 70),
        ("not UTF-8", b'{"files": [], "x": "\xff\xfe"}'), ("UTF-7", b"+AHs-"),
        ("a surrogate", b'{"files": [{"filename": "\\ud800"}]}'),
        ("version 2", b'{"meta": {"api-version": "2.0"}, "files": []}'),
        ("version 2 as a number", b'{"meta": {"api-version": 2}, "files": []}'),
    ]  # fmt: skip
    for name, text in texts:
        yield _page(name, "6 " + bad if name == "a surrogate" else bad, raw=text)
    yield _page("one exponent", "ok", page_entry(x=1e308))
    yield _page("meta is a list", "ok", page_entry(), meta=[])
    yield _page("no files at all", "6")
    yield Input(
        name="another content type", body=GOOD, content_type="image/png", expected=frozenset({"3:page-unreadable"})
    )
    yield Input(name="an undefined charset", body=GOOD, content_type=f"{JSON}; charset=klingon")
    yield _page(
        "quarantined", "6", page_entry(), **dict[str, Any]({"project-status": {"status": "quarantined", "reason": 7}})
    )
    yield _page("archived", "ok", page_entry(), **_status("archived"))
    yield _page("a status of numbers", "ok", page_entry(), **_status([7]))


def _markup() -> Iterator[Input]:
    for charset in ("klingon", "utf-16", "undefined", "rot13", "hex", "idna", "zlib", "\x00", "utf-7"):
        yield _html(f"charset {charset!r}", "ok 6", ANCHOR, f"text/html; charset={charset}")
    yield _html("300,000 unclosed comments", "6", "<!--" * 300_000 + ANCHOR)
    yield _html("300,000 closed comments", "ok", "<!---->" * 300_000 + ANCHOR)
    for mark in (
        "<!",
        "<?",
        "<![CDATA[",
        "</",
        "<a ",
        "<a href='",
        "&#x",
        "<script>",
        '<a href=x onclick="',
        "<!DOCTYPE [",
        "<%",
    ):
        yield _html(f"100,000 of {mark!r}", "ok 6 3:page-unreadable 3:limit-entries", ANCHOR + mark * 100_000)
        yield _html(
            f"100,000 of {mark!r} before >", "ok 6 3:page-unreadable 3:limit-entries", ANCHOR + mark * 100_000 + ">"
        )
    yield _html("300,000 anchors", "3:limit-entries", "<a>" * 300_000)
    yield _html(
        "a page for browsers",
        "6",
        "<!doctype html><html><body><h1>Sign in</h1><form action=/login></form></body></html>",
    )
    yield _html("an empty page", "6", "")
    yield _html("NUL bytes", "6", b"\x00" * 1000)
    yield _html("a base elsewhere", "3:page-unreadable", '<base href="http://[">' + ANCHOR)
    yield _html("a base to a file", "ok", '<base href="file:///etc/">' + ANCHOR)
    yield _html("file links", "3:url-refused", '<a href="file:///etc/demo-1.0-py3-none-any.whl">x</a>')
    yield _html("two hashes", "6", ANCHOR.replace("#", f"#sha256={SHA}&"))
    yield _html("an anchor without href", "ok", "<a>x</a><a href>y</a>" + ANCHOR)
    yield _html("a newer version", "3:page-unreadable", '<meta name="pypi:repository-version" content="2.0">' + ANCHOR)
    yield _html("quarantined in HTML", "6", '<meta name="pypi:project-status" content="quarantined">' + ANCHOR)


def _encodings() -> Iterator[Input]:
    bomb = b" " * (64 << 20)
    packed = {
        "gzip": gzip.compress(bomb, 1), "deflate": zlib.compress(bomb, 1), "zstd": zstandard.compress(bomb),
        "GZip": gzip.compress(bomb, 1),
    }  # fmt: skip
    for encoding, body in packed.items():
        yield Input(
            name=f"a bomb by {encoding}", body=body, headers={"Content-Encoding": encoding},
            expected=frozenset({"3:limit-size", "10:encoding"}),
        )  # fmt: skip
    for encoding in ("gzip", "GZIP", "X-Gzip"):
        yield Input(name=f"encoded by {encoding}", body=gzip.compress(GOOD), headers={"Content-Encoding": encoding})
    for encoding, body in (
        ("gzip", GOOD), ("gzip", b""), ("gzip", gzip.compress(GOOD)[:-9]), ("zstd", GOOD), ("br", GOOD),
        ("deflate", GOOD),
        ("gzip, gzip", gzip.compress(gzip.compress(GOOD))), ("rot13", GOOD), (", ".join(["gzip"] * 90), GOOD),
        ("\x7f", GOOD),
    ):  # fmt: skip
        yield Input(
            name=f"{encoding[:20]!r} that is none, {len(body)}", body=body, headers={"Content-Encoding": encoding},
            expected=frozenset({"10:encoding", "3:json-invalid"}),
        )  # fmt: skip


PAGES: tuple[Input, ...] = (*_facts(), *_documents(), *_markup(), *_encodings())

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BUSY = b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nRetry-After: "
MOVED = b"HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: "
LENGTH = b"Content-Length: %d\r\n\r\n" % len(GOOD)
# Whole answers, as they go over the wire: (name, bytes, expected).
RAW: tuple[tuple[str, bytes, frozenset[str]], ...] = tuple(
    (name, data, frozenset(expected.split()))
    for name, data, expected in [
        ("nothing", b"", "10"),
        ("noise", b"\x00\xff\x16\x03\x01" * 40, "10"),
        ("no status line", b"hello\r\n\r\n", "10"),
        ("a status of letters", b"HTTP/1.1 abc OK\r\n\r\n", "10"),
        ("status 99", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "10"),
        ("status 999", b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", "10"),
        ("status 204", b"HTTP/1.1 204 No Content\r\n\r\n", "10"),
        ("status 206", b"HTTP/1.1 206 Partial\r\n" + LENGTH + GOOD, "10"),
        ("status 304", b"HTTP/1.1 304 Not Modified\r\n\r\n", "10"),
        ("status 300", b"HTTP/1.1 300 Choices\r\nContent-Length: 0\r\n\r\n", "10"),
        ("status 410", b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", "10"),
        ("a long status line", b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n", "10"),
        ("a header of 70,000 bytes", OK + b"X: " + b"x" * 70_000 + b"\r\n\r\n", "10"),
        ("300 headers", OK + b"X: y\r\n" * 300 + b"\r\n", "10"),
        ("a header without a colon", OK + b"nonsense\r\n" + LENGTH + GOOD, "ok 10 3"),
        ("a folded header", OK + b" folded\r\n" + LENGTH + GOOD, "ok 10 3"),
        ("HTTP/0.9", GOOD, "10"),
        ("HTTP/3.0", b"HTTP/3.0 200 OK\r\n" + LENGTH + GOOD, "10 ok 3"),
        ("a length of letters", OK + b"Content-Length: x\r\n\r\n" + GOOD, "ok 10"),
        ("a length of 5,000 digits", OK + b"Content-Length: " + DIGITS.encode() + b"\r\n\r\n" + GOOD, "ok 10"),
        ("a negative length", OK + b"Content-Length: -7\r\n\r\n" + GOOD, "ok 10"),
        ("two lengths", OK + b"Content-Length: 1\r\n" + LENGTH + GOOD, "ok 10 3"),
        ("a length that is too long", OK + b"Content-Length: 100000\r\n\r\n" + GOOD, "10"),
        ("a length that is too short", OK + b"Content-Length: 7\r\n\r\n" + GOOD, "3"),
        ("chunks of letters", OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + GOOD, "10"),
        ("a chunk without an end", OK + b"Transfer-Encoding: chunked\r\n\r\n7\r\nabcdefg\r\n", "10"),
        ("a huge chunk", OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\n", "10 3"),
        ("a cookie", OK + b"Set-Cookie: a=b; Domain=.example\r\n" + LENGTH + GOOD, "ok"),
        ("an odd date", OK + b"Date: yesterday\r\nExpires: 0\r\n" + LENGTH + GOOD, "ok"),
        ("a date of year 99999", OK + b"Date: Mon, 01 Jan 99999 00:00:00 GMT\r\n" + LENGTH + GOOD, "ok"),
        ("an odd policy", OK + b"Cache-Control: max-age=" + DIGITS.encode() + b",,=,\r\n" + LENGTH + GOOD, "ok"),
        ("Vary: *", OK + b'Vary: *\r\nETag: "x"\r\n' + LENGTH + GOOD, "ok"),
        ("an ETag of bytes", OK + b"ETag: \xff\xfe\r\n" + LENGTH + GOOD, "ok"),
        *[
            (f"503, retry after {text[:12]!r}", BUSY + text + b"\r\n\r\n", "10")
            for text in (b"-5", b"1000000000", b"x", b"", b"1e9", b"\xc2\xb2", DIGITS.encode(),
                         b"Mon, 99 Foo 2020 99:99:99 GMT",
                         b"Mon, 01 Jan 99999 00:00:00 +9999", b"NaN", b"0", b"Thu, 01 Jan 1970 00:00:00 GMT")
        ],
        *[
            (f"redirect to {place[:24]!r}", MOVED + place + b"\r\n\r\n", expected)
            for place, expected in [
                (b"file:///etc/passwd", "3:url-refused"), (b"http://[", "3:url-refused"),
                (b"http://h:99999/", "3:url-refused"),
                (b"ftp://h/", "3:url-refused"), (b"javascript:1", "3:url-refused"), (b"data:,x", "3:url-refused"),
                (b"//", "3 10 2"),
                (b"\xff\xfe", "3 10"), (b"http://h\x00/", "3 10 2"), (b"?x", "3:url-refused"),
                (b"http://127.0.0.1:1/", "10"),
                (b"http://" + b"a" * 300 + b"/", "10 3 2"), (b"http://.../", "10 3 2"), (b"http:///x", "3 10 2"),
            ]
        ],
    ]
)  # fmt: skip


def record(**fields: object) -> dict[str, object]:
    """A sound record of `tool` 1.0, with some fields overridden."""
    sound: dict[str, object] = {"name": "tool", "version": "1.0", "build": "0", "build_number": 0, "depends": []}
    return sound | {"subdir": "noarch", "noarch": "generic", "sha256": SHA, "size": 3} | fields


def _repodata(called: str, expected: str, /, *, raw: bytes | None = None, **fields: Any) -> Input:  # noqa: ANN401
    document = {"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": {"tool-1.0-0.conda": record(**fields)}}
    body = json.dumps(document).encode() if raw is None else raw
    return Input(name=called, body=body, expected=frozenset(expected.split()))


def _channel() -> Iterator[Input]:
    refused = "3:repodata-invalid"
    for name, text in [
        ("empty", b""), ("null", b"null"), ("a list", b"[]"), ("cut", b'{"packages": {'), ("noise", b"\x00\xff" * 50),
        ("HTML", b"<html>"), ("deep", b"[" * 100_000), ("packages is a list", b'{"packages.conda": []}'),
        ("a number", b"7"),
    ]:  # fmt: skip
        yield _repodata(name, refused, raw=text)
    for key, value in [
        ("build", "../../x"), ("name", "a/b"), ("version", "../x"), ("build_number", 10**30),
        ("build_number", -1), ("build_number", "x"),
        ("depends", "x"), ("depends", [7]), ("depends", ["x" * 100_000]), ("depends", [">=", "[[", "*"]),
        ("size", -1), ("size", 10**30),
        ("timestamp", 10**30), ("timestamp", "x"), ("sha256", "x"), ("sha256", None), ("noarch", 7),
        ("subdir", "../.."), ("version", "1" * 5000),
        ("track_features", 7), ("constrains", {}), ("name", None), ("version", None), ("build", None),
        ("extra_depends", []), ("license", []),
        ("python_site_packages_path", "../../x"), ("purls", "x"), ("purls", [7]), ("md5", "x"),
        ("channel", "file:///etc"), ("url", "file:///etc"),
    ]:  # fmt: skip
        yield _repodata(f"{key} {str(value)[:20]!r}", "ok 6 3:repodata-invalid", **dict[str, Any]({key: value}))


CHANNEL: tuple[Input, ...] = tuple(_channel())
