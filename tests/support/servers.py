"""A threaded HTTP server on 127.0.0.1 whose answers can be made to fail in every way that servers do.

`Server` answers by `Route`; `IndexServer` adds the Simple API over wheels. Both record what they were asked, and answer
until their `with` block ends.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import json
import re
import ssl
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote, unquote

__all__ = ["Asked", "IndexServer", "Project", "Route", "Server", "tls_files"]

Self = TypeVar("Self", bound="Server")

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"

# For 127.0.0.1, valid from 2020 to 2120, signed by itself, and of no use anywhere else.
_KEY = """MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpfGY5fd5dqkuhaZe
Z63j6WWq7b7qGH4zlLAlVM5dHx6hRANCAARn1xY2l8058ItVb0gUsVpvUN+pX5Pj
7blEmUVG7fW0dHFWf6KVGWQa1dCWG8vZNZ+AFSc0tw43xfJjcxRGHg8y"""
_CERTIFICATE = """MIIBlDCCATmgAwIBAgIBATAKBggqhkjOPQQDAjAXMRUwEwYDVQQDDAxicmlkZ2Ug
dGVzdHMwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBcxFTATBgNV
BAMMDGJyaWRnZSB0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGfXFjaX
zTnwi1VvSBSxWm9Q36lfk+PtuUSZRUbt9bR0cVZ/opUZZBrV0JYby9k1n4AVJzS3
DjfF8mNzFEYeDzKjdDByMA8GA1UdEwEB/wQFMAMBAf8wDwYDVR0RBAgwBocEfwAA
ATAOBgNVHQ8BAf8EBAMCAoQwHQYDVR0OBBYEFGTLL05aqgSvCKff8L1KoIvldDCV
MB8GA1UdIwQYMBaAFGTLL05aqgSvCKff8L1KoIvldDCVMAoGCCqGSM49BAMCA0kA
MEYCIQCIcC00lQg29LJ2bmppTKOqBnZWyg6J8wZRjj0DIxyVYgIhAPl036KSFKSN
lRZPfc/msnhC5Dubqh8MwuhhEktmYdPO"""


def tls_files(folder: Path) -> tuple[Path, Path]:
    """Write (certificate, key) for 127.0.0.1 into `folder`; the certificate is its own authority."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    for path, kind, body in ((certificate, "CERTIFICATE", _CERTIFICATE), (key, "PRIVATE KEY", _KEY)):
        path.write_text(f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n")
    return certificate, key


@dataclass(kw_only=True)
class Route:
    """How one path is answered. Lists are used up request by request; what is after their end is plain success.

    `credentials`, `bearer` and `query` are demanded.

    `statuses`: what to answer instead (`None`: the content). `cuts`: after how many bytes of the body to hang up.
    `length`: a Content-Length of 200 answers that lies. `chunked` sends the body in chunks (cut off: without the last).
    `stall`: after how many bytes of the body to send nothing more. `drip` and `drip_head`: seconds after each byte of
    the body, or of the head. `on_request` may change the route.
    """

    body: bytes = b""
    content_type: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    statuses: list[int | None] = field(default_factory=list)
    retry_after: str | None = None
    location: str | None = None
    credentials: tuple[str, str] | None = None
    bearer: str | None = None
    query: str | None = None
    ranges: bool = True
    etag: str | None = None
    last_modified: str | None = None
    length: int | None = None
    cuts: list[int | None] = field(default_factory=list)
    chunked: bool = False
    stall: int | None = None
    drip: float = 0.0
    drip_head: float = 0.0
    on_request: Callable[[Route], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, and the status it got."""

    path: str
    headers: Mapping[str, str]
    status: int
    sent: int


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Threaded

    def log_message(self, *_: object) -> None:
        """Tests read `Server.asked`."""

    def do_GET(self) -> None:
        site = self.server.site
        path = unquote(self.path.partition("?")[0])
        with site.lock:
            route = site.find(path, self.headers.get("Accept", ""))
            if route is not None and route.on_request is not None:
                route.on_request(route)
            status = route.statuses.pop(0) if route is not None and route.statuses else None
            cut = route.cuts.pop(0) if route is not None and route.cuts and status is None else None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if route is None:
                self._send(path, Route(), 404, {}, b"no such thing")
            elif route.bearer and self.headers.get("Authorization") != f"Bearer {route.bearer}":
                self._send(path, route, 401, {}, b"who are you?")
            elif route.credentials and self.headers.get("Authorization") != _basic(route.credentials):
                self._send(path, route, 401, {"WWW-Authenticate": 'Basic realm="tests"'}, b"who are you?")
            elif route.query is not None and self.path.partition("?")[2] != route.query:
                self._send(path, route, 403, {}, b"not signed")
            elif status is not None:
                headers = {"Retry-After": route.retry_after} if route.retry_after else {}
                self._send(path, route, status, headers, b"not now")
            elif route.location is not None:
                self._send(path, route, 302, {"Location": route.location}, b"over there")
            else:
                self._content(path, route, cut)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _content(self, path: str, route: Route, cut: int | None) -> None:
        validators = {"ETag": route.etag, "Last-Modified": route.last_modified}
        headers = {"Content-Type": route.content_type} | {k: v for k, v in validators.items() if v} | route.headers
        unchanged = route.etag and self.headers.get("If-None-Match") == route.etag
        since = self.headers.get("If-Modified-Since")
        if unchanged or (since and since == route.last_modified):
            self._send(path, route, 304, headers, b"")
            return
        asked = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if not route.ranges or asked is None or (condition and condition not in {route.etag, route.last_modified}):
            self._send(path, route, 200, headers, route.body, cut=cut)
            return
        first, last = _range(asked, len(route.body))
        if first > last:
            self._send(path, route, 416, {"Content-Range": f"bytes */{len(route.body)}"}, b"")
        else:
            headers["Content-Range"] = f"bytes {first}-{last}/{len(route.body)}"
            self._send(path, route, 206, headers, route.body[first : last + 1], cut=cut)

    def _send(
        self, path: str, route: Route, status: int, headers: dict[str, str], body: bytes, *, cut: int | None = None
    ) -> None:
        chunked = route.chunked and status < 300
        lines = headers | ({"Transfer-Encoding": "chunked"} if chunked else {})
        if not chunked and status != 304:
            lies = route.length is not None and status == 200
            lines["Content-Length"] = str(route.length if lies else len(body))
        sent = body if cut is None else body[:cut]
        self.server.site.asked.append(Asked(path=path, headers=dict(self.headers), status=status, sent=len(sent)))
        head = f"HTTP/1.1 {status} -\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        head += f"Date: {self.date_time_string()}\r\n\r\n"
        self._drip(head.encode(), route.drip_head)
        if self.command == "HEAD":
            return
        if chunked:
            pieces = [sent[i : i + 1000] for i in range(0, len(sent), 1000)]
            sent = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + (
                b"" if cut is not None else b"0\r\n\r\n"
            )
        if route.stall is not None and len(sent) > route.stall:
            self.wfile.write(sent[: route.stall])
            self.server.site.stalled.set()
            self.server.site.stopping.wait()
            return
        self._drip(sent, route.drip)
        if cut is not None or (route.length is not None and route.length > len(body)):
            self.close_connection = True

    def _drip(self, data: bytes, seconds: float) -> None:
        if not seconds:
            self.wfile.write(data)
            return
        for i in range(len(data)):
            self.wfile.write(data[i : i + 1])
            if self.server.site.stopping.wait(seconds):
                return


def _basic(credentials: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(credentials).encode()).decode()


def _range(text: str, size: int) -> tuple[int, int]:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text)
    assert match is not None, text
    if not match[1]:
        return max(0, size - int(match[2])), size - 1
    return int(match[1]), min(int(match[2] or size - 1), size - 1)


class _Threaded(ThreadingHTTPServer):
    daemon_threads = True
    site: Server

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, or does not trust the certificate, is what some tests are about."""


class Server:
    """A site of routes. `asked` is every request so far, in order; `url` has no slash at its end."""

    def __init__(self, tls: tuple[Path, Path] | None = None) -> None:
        self.routes: dict[str, Route] = {}
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.stalled = threading.Event()
        self._server = _Threaded(("127.0.0.1", 0), _Handler)
        self._server.site = self
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            # Without a handshake on accepting, a client that refuses it does not stop the server.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = int(self._server.server_address[1])
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __enter__(self: Self) -> Self:  # noqa: PYI019 - `typing.Self` is of Python 3.11
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, path: str, body: bytes = b"", **options: object) -> Route:
        """Answer `path` (percent-decoded, from `/`) with `body`; `options` are those of `Route`."""
        route = self.routes[path] = Route(body=body, **options)  # type: ignore[arg-type]
        return route

    def find(self, path: str, accept: str) -> Route | None:
        return self.routes.get(path)

    def count(self, path: str) -> int:
        return sum(asked.path == path for asked in self.asked)


@dataclass(kw_only=True)
class Project:
    """What an index says of a project's files. `None` in a set of facts leaves the fact out."""

    wheels: list[Path] = field(default_factory=list)
    core_metadata: bool | str = True
    hashes: bool = True
    sizes: bool = True
    facts: dict[str, dict[str, object]] = field(default_factory=dict)


class IndexServer(Server):
    """A Simple API below `/simple/`, as JSON (PEP 691) and as HTML (PEP 503), the files below `/files/`.

    :param formats: which of `json` and `html` it speaks; the `Accept` field chooses.

    With `has_etags` its pages have ETags; with `serials` (of projects) they have serials, as has the list of projects.
    """

    def __init__(self, *, formats: tuple[str, ...] = ("json", "html"), tls: tuple[Path, Path] | None = None) -> None:
        self.formats = formats
        self.projects: dict[str, Project] = {}
        self.has_etags = False
        self.serials: dict[str, int] = {}
        super().__init__(tls)

    @property
    def simple(self) -> str:
        return f"{self.url}/simple/"

    def publish(self, *wheels: Path, **options: object) -> Route:
        """Publish wheels of one project; `options` are those of `Project` (for all of it) and of `Route` (the files).

        Returns the route of the last file. `core_metadata`: a text is a wrong hash to promise.
        """
        of_project = {key: options.pop(key) for key in ("core_metadata", "hashes", "sizes") if key in options}
        for wheel in wheels:
            name = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
            project = self.projects.setdefault(name, Project())
            for key, value in of_project.items():
                setattr(project, key, value)
            project.wheels.append(wheel)
            project.facts[wheel.name] = dict(options.pop("facts", {}))  # type: ignore[call-overload]
            route = self.add(f"/files/{wheel.name}", wheel.read_bytes(), **options)
            if project.core_metadata:
                self.add(f"/files/{wheel.name}.metadata", _metadata(wheel))
        return route

    def find(self, path: str, accept: str) -> Route | None:
        found = super().find(path, accept)
        match = re.fullmatch(r"/simple/([^/]+)/", path)
        if found is None and path == "/simple/" and self.serials:
            listed = [{"name": name, "_last-serial": self.serials.get(name, 1)} for name in self.projects]
            return Route(
                body=json.dumps({"meta": {"api-version": "1.1"}, "projects": listed}).encode(), content_type=JSON
            )
        if found is not None or match is None or match[1] not in self.projects:
            return found
        project = self.projects[match[1]]
        if "json" in self.formats and (JSON in accept or "html" not in self.formats):
            body = self._json(match[1], project)
            etag = f'"{hashlib.sha256(body).hexdigest()}"' if self.has_etags else None
            headers = {"X-PyPI-Last-Serial": str(self.serials[match[1]])} if match[1] in self.serials else {}
            return Route(body=body, content_type=JSON, etag=etag, headers=headers)
        return Route(body=self._html(project), content_type=HTML if HTML in accept else "text/html; charset=utf-8")

    def _json(self, name: str, project: Project) -> bytes:
        files = []
        for wheel in project.wheels:
            data = wheel.read_bytes()
            entry: dict[str, object] = {"filename": wheel.name, "url": f"{self.url}/files/{quote(wheel.name)}"}
            entry["hashes"] = {"sha256": hashlib.sha256(data).hexdigest()} if project.hashes else {}
            if project.sizes:
                entry["size"] = len(data)
            if project.core_metadata:
                entry["core-metadata"] = {"sha256": self._promised(wheel, project)}
            files.append(entry | project.facts[wheel.name])
        return json.dumps({"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": files}).encode()

    def _html(self, project: Project) -> bytes:
        lines = ["<!DOCTYPE html><html><head><meta name='pypi:repository-version' content='1.1'></head><body>"]
        for wheel in project.wheels:
            fragment = f"#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}" if project.hashes else ""
            extra = f' data-core-metadata="sha256={self._promised(wheel, project)}"' if project.core_metadata else ""
            facts = project.facts[wheel.name]
            for key in ("requires-python", "yanked"):
                if key in facts:
                    extra += f' data-{key}="{html.escape(str(facts[key]))}"'
            lines.append(f'<a href="../../files/{quote(wheel.name)}{fragment}"{extra}>{wheel.name}</a><br>')
        return "\n".join([*lines, "</body></html>"]).encode()

    @staticmethod
    def _promised(wheel: Path, project: Project) -> str:
        if isinstance(project.core_metadata, str):
            return project.core_metadata
        return hashlib.sha256(_metadata(wheel)).hexdigest()


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")))
