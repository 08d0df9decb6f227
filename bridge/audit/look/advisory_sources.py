"""Read advisories from a file, a folder, a zip or a URL, or ask the package index for them."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from bridge.audit.advisories import Advisory, Affected, parse_advisory
from bridge.config.files import read_named
from bridge.errors import NetworkError, UsageError
from bridge.requirements.files.yaml_text import MAX_LOCK_NODES, load_yaml
from converters.projects import canonicalize_name

__all__ = ["PagePort", "ask_index", "read_advisories"]

_MAX_FILE = 16 << 20  # bytes of one document
_HINT = "give a file, a zip or a folder of advisories of the OSV format, or its URL; without one, the index is searched"
_SMALLER = "give the export of one ecosystem (PyPI, conda), not that of all"
_MAX_SOURCE = 1 << 30  # bytes of a zip, compressed and unpacked
_MAX_MEMBERS = 1_000_000
_SUFFIXES = (".json", ".yaml", ".yml")
# The names of packages in JSON and YAML, so that documents about others need not be parsed.
_NAMES = re.compile(rb"""(?:\bname"?\s*:\s*['"]?|pkg:(?:pypi|conda)/)([A-Za-z0-9][\w.%-]*)""")


class Fetched(Protocol):
    """The part of a page that is needed."""

    @property
    def content(self) -> bytes: ...


class PagePort(Protocol):
    """The part of `bridge.fetch.client.Client` that reads pages."""

    def get(self, url: str, *, max_bytes: int) -> Fetched | None: ...

    def map(
        self, function: Callable[[tuple[str, str]], Fetched | None], items: Iterable[tuple[str, str]]
    ) -> list[Fetched | None]: ...


def read_advisories(source: str, wanted: Iterable[tuple[str, str]], pages: PagePort | None) -> Iterator[Advisory]:
    """The advisories of a source about the packages in `wanted` (ecosystem and name).

    :param source: a document (`.json`, `.yaml`), a zip of documents (as OSV's exports are), a folder of them, or the
        URL of a document or zip.
    :raises UsageError: `advisory-source`: there is none, or a document is no OSV.
    :raises NetworkError: the URL cannot be read.
    """
    names = frozenset(name for _, name in wanted)
    if "://" in source:
        page = pages.get(source, max_bytes=_MAX_SOURCE) if pages is not None else None
        if page is None:
            raise UsageError("advisory-source", f"there are no advisories at {source}", hint=_HINT)
        yield from _read_file(source, page.content, names)
        return
    path = Path(source)
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.suffix in _SUFFIXES and each.is_file())
        if not files:
            raise UsageError(
                "advisory-source", f"{source} has no advisories: no .json or .yaml file is below it", hint=_HINT
            )
        for file in files:
            yield from _parsed(_content(file, _MAX_FILE), str(file), names, is_strict=False)
        return
    yield from _read_file(source, _content(path, _MAX_SOURCE), names)


def _content(path: Path, limit: int) -> bytes:
    try:
        data = read_named(path, limit=limit)
    except OSError as error:
        raise UsageError("advisory-source", f"{path} cannot be read: {error.strerror}", hint=_HINT) from error
    if len(data) > limit:
        raise UsageError("advisory-source", f"{path} is larger than {limit >> 20} MB", hint=_SMALLER)
    return data


def _read_file(name: str, data: bytes, names: frozenset[str]) -> Iterator[Advisory]:
    if not data.startswith(b"PK\x03\x04"):
        yield from _parsed(data, name, names, is_strict=True)
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > _MAX_MEMBERS or sum(each.file_size for each in members) > _MAX_SOURCE:
                what = f"{name} unpacks to more than {_MAX_SOURCE >> 20} MB"
                raise UsageError("advisory-source", what, hint=_SMALLER)
            for member in members:
                if member.filename.endswith(_SUFFIXES) and member.file_size <= _MAX_FILE:
                    with archive.open(member) as stream:
                        yield from _parsed(stream.read(_MAX_FILE), member.filename, names, is_strict=False)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        hint = "download it again"
        raise UsageError("advisory-source", f"{name} is a damaged zip: {error}", hint=hint) from error


def _parsed(data: bytes, where: str, names: frozenset[str], *, is_strict: bool) -> Iterator[Advisory]:
    """The advisories of one document, or of a list of documents.

    :param is_strict: a document that is no OSV is an error; in a folder or a zip it is another file.
    """
    if not is_strict and not _mentions(data, names):
        return
    try:
        is_json = data.lstrip()[:1] in (b"{", b"[")
        document = json.loads(data) if is_json else load_yaml(Path(where), data.decode(), max_nodes=MAX_LOCK_NODES)
        for each in _documents(document):
            advisory = parse_advisory(each)
            if advisory is not None:
                yield advisory
    except (ValueError, RecursionError, UsageError) as error:
        if is_strict:
            what = str(error).partition("\n")[0]
            message = f"{where} is not a document of the OSV format: {what}"
            raise UsageError("advisory-source", message, hint=_HINT) from error


def _mentions(data: bytes, names: frozenset[str]) -> bool:
    mentioned = {each.decode("ascii", "replace") for each in _NAMES.findall(data)}
    return any(canonicalize_name(each) in names or each.lower() in names for each in mentioned)


def _documents(document: object) -> Iterator[object]:
    """One document, a list, or an answer of OSV's API (`vulns`, `results`)."""
    if isinstance(document, list):
        for each in document:
            yield from _documents(each)
    elif isinstance(document, dict) and isinstance(document.get("results"), list):
        yield from _documents(document["results"])
    elif isinstance(document, dict) and "id" not in document and isinstance(document.get("vulns"), list):
        yield from document["vulns"]
    elif document != {}:
        yield document


def ask_index(base: str, projects: Sequence[tuple[str, str]], pages: PagePort) -> Iterator[Advisory]:
    """The vulnerabilities that an index states of each project and version, by PyPI's JSON API.

    :param base: the URL of the Simple API; the JSON API lies beside it.
    :raises UsageError: `advisory-source`: the index has no JSON API.
    """
    root = base.rstrip("/").removesuffix("/simple")

    def asked(project: tuple[str, str]) -> Fetched | None:
        name, version = project
        return pages.get(f"{root}/pypi/{name}/{version}/json", max_bytes=_MAX_FILE)

    answers = pages.map(asked, projects)
    if projects and not any(answers):
        raise UsageError(
            "advisory-source",
            f"the index {base} does not say which versions are vulnerable",
            hint="give advisories of the OSV format: --vulnerabilities=URL, FILE or DIR",
        )
    for (name, version), answer in zip(projects, answers, strict=True):
        if answer is not None:
            yield from _answered(name, version, answer.content)


def _answered(name: str, version: str, content: bytes) -> Iterator[Advisory]:
    try:
        document = json.loads(content)
        stated = document.get("vulnerabilities") or ()
    except (ValueError, RecursionError, AttributeError) as error:
        raise NetworkError("advisory-answer", f"the answer of the index about {name} {version} is no JSON") from error
    for each in stated:
        if isinstance(each, dict) and isinstance(each.get("id"), str) and not each.get("withdrawn"):
            affected = Affected(
                ecosystem="pypi",
                name=canonicalize_name(name),
                versions=frozenset({version}),
                stated_fixes=tuple(str(fixed) for fixed in each.get("fixed_in") or ()),
            )
            summary = str(each.get("summary") or each.get("details") or "").strip().partition("\n")[0]
            aliases = tuple(str(alias) for alias in each.get("aliases") or ())
            yield Advisory(id=each["id"], aliases=aliases, summary=summary[:200], affected=(affected,))
