"""Repeats a recorded solve: the sources answer from the document alone, without network access.

The document may come from a stranger. Its texts are parsed by the same code as those of a channel, and whatever it
lacks does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from packaging.markers import InvalidMarker, Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bridge.config.builds import Formats
from bridge.config.cooldown import Cooldown
from bridge.config.policy.document import read_policy_document
from bridge.errors import BridgeError, BuildError, NetworkError, UnsafeInputError, UsageError
from bridge.model import IndexFile, Resolution
from bridge.requirements.algebra import Requirement, parse_conda, pep440_version
from bridge.resolve import SolveRequest, Standing, resolve
from bridge.resolve.candidates.catalog import Catalog
from bridge.resolve.recording import FORMAT
from bridge.resolve.sources import Options
from converters.deferred import replace
from converters.errors import UnsafeInputError as MalformedError
from converters.metadata import CoreMetadata
from converters.names import NameMap
from converters.record import Record
from converters.target import Target

__all__ = ["replay"]

_GROUPS = ("requirements", "present", "constraints", "pins", "foreign")
_ERRORS: Mapping[str, type[BridgeError]] = {
    kind.__name__: kind for kind in (BuildError, NetworkError, UnsafeInputError, UsageError)
}
_T = TypeVar("_T", Record, IndexFile, CoreMetadata)


def replay(document: object, source: str) -> Resolution:
    """Repeat the solve of a document of `Recorder`; `source` names it in errors.

    Raises `UnsafeInputError` (`recording`) for an invalid document, and whatever the recorded solve raises.
    """
    try:
        assert isinstance(document, dict), "it is not a JSON object"
        assert document.get("format") == FORMAT, f"its format is not {FORMAT}, the one that this bridge writes"
        request = document["request"]
        groups = {name: tuple(map(_requirement, request[name])) for name in _GROUPS}
        requires_python = _text_or_none(request["requires_python"])
        kept = {name: _text(identity) for name, identity in request["kept"].items()}
        agreed = {name: _text(version) for name, version in request.get("agreed", {}).items()}
        requirements, earlier = _parted(groups["requirements"], request.get("earlier", 0))
        pins, configured = _parted(groups["pins"], request.get("configured", 0))
        catalog = _catalog(document)
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError, MalformedError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UnsafeInputError("recording", f"{source} is not a recorded solve", context=(reason[:300],)) from error
    standing = Standing(
        earlier=earlier,
        retained=groups["present"],
        pins=pins,
        configured=configured,
        foreign=groups["foreign"],
        kept=kept,
        agreed=agreed,
    )
    asked = SolveRequest(
        requirements=requirements,
        constraints=groups["constraints"],
        requires_python=requires_python,
        standing=standing,
    )
    return resolve(asked, catalog)


def _parted(group: tuple[Requirement, ...], last: object) -> tuple[tuple[Requirement, ...], tuple[Requirement, ...]]:
    """Return the first of a group, and so many of the last."""
    assert type(last) is int, "a number of requirements is none"
    assert 0 <= last <= len(group), "more requirements are of one kind than there are"
    return group[: len(group) - last], group[len(group) - last :]


def _catalog(document: Mapping[str, Any]) -> Catalog:
    target, names, options = document["target"], document["names"], dict(document["options"])
    formats = Formats(
        only_binary=frozenset(_texts(options.pop("only_binary"))),
        no_binary=frozenset(_texts(options.pop("no_binary"))),
    )
    assert options["prefer"] in ("conda", "wheel", "newest"), "its option `prefer` is not an ecosystem"
    newest, exceptions = options.pop("exclude_newer"), options.pop("newer_exceptions", {})
    policy = options.pop("policy", None)
    assert isinstance(newest, int | None), "its option `exclude_newer` is not a time"
    assert isinstance(exceptions, dict), "its option `newer_exceptions` is not a table"
    assert all(isinstance(limit, int | None) for limit in exceptions.values()), "an exception of a cooldown: not a time"
    assert isinstance(options["only"], dict), "its option `only` is not a table"
    virtual = tuple((_text(name), _text(version), _text(build)) for name, version, build in target["virtual_packages"])
    here = Target(subdir=_text(target["subdir"]), virtual_packages=virtual)
    here.platform_tags()  # raises ValueError for a libc of no version
    records = {str(name): tuple(_value(Record, one) for one in group) for name, group in document["records"].items()}
    index = document["index"]
    return Catalog(
        _Records(records),
        None if index is None else _Index(index),
        here,
        NameMap(names["table"], str(names["source"]), defaults=names["defaults"]),
        Options(
            **options,
            builds=formats,
            cooldown=Cooldown(default=newest, exceptions=exceptions),
            patience=math.inf,
            policy=None if policy is None else read_policy_document(policy),
        ),
    )


class _Records:
    """A `RecordPort` over recorded records."""

    def __init__(self, records: Mapping[str, Sequence[Record]]) -> None:
        self._records = records

    def prefetch(self, names: Iterable[str]) -> None: ...

    def records(self, name: str) -> Sequence[Record]:
        return self._records.get(name, ())


class _Index:
    """An `IndexPort` over recorded answers; a recorded error is raised again."""

    def __init__(self, index: Mapping[str, Any]) -> None:
        self._files = {
            str(project): tuple(_value(IndexFile, one) for one in group) for project, group in index["files"].items()
        }
        self._metadata = {str(url): _outcome(CoreMetadata, read) for url, read in index["metadata"].items()}
        self._remarks = {str(project): _texts(said) for project, said in index.get("remarks", {}).items()}
        self._urls = {str(url): _outcome(IndexFile, read) for url, read in index["urls"].items()}

    def prefetch_files(self, projects: Iterable[str]) -> None: ...

    def files(self, project: str) -> Sequence[IndexFile]:
        return self._files.get(project, ())

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None: ...

    def metadata(self, file: IndexFile) -> CoreMetadata:
        return self._recorded(self._metadata, file.url)

    def file_of_url(self, url: str, project: str) -> IndexFile:
        return self._recorded(self._urls, url)

    def remarks(self, project: str) -> Sequence[str]:
        return self._remarks.get(project, ())

    def _recorded(self, answers: Mapping[str, Callable[[], _T]], url: str) -> _T:
        if url not in answers:
            raise UnsafeInputError("recording", f"the recorded solve did not read {url}")
        return answers[url]()


def _outcome(kind: type[_T], data: Mapping[str, Any]) -> Callable[[], _T]:
    """Return a function that returns the recorded value, or raises the recorded error."""
    if "error" not in data:
        value = _value(kind, data)
        if pep440_version(value.version) is None:
            raise ValueError(f"what was read of {value.version!r} has no version of PEP 440")
        return lambda: value
    error = data["error"]
    kind_of_error = _ERRORS[error["type"]]
    identifier, message, context = _text(error["id"]), _text(error["message"]), _texts(error["context"])
    hint = _text_or_none(error["hint"])

    def refuse() -> _T:
        raise kind_of_error(identifier, message, context=context, hint=hint)

    return refuse


def _value(kind: type[_T], data: Mapping[str, Any]) -> _T:
    """Make a frozen value from its fields. Raises `TypeError` for an unknown field or a wrong type."""
    types = {field.name: str(field.type) for field in fields(kind)}
    unknown = data.keys() - types.keys()
    if unknown:
        raise TypeError(f"a {kind.__name__} has no {', '.join(sorted(unknown))}")
    checked: dict[str, Any] = {
        name: _checked(f"{kind.__name__}.{name}", types[name], value) for name, value in data.items()
    }
    return kind(**checked)


def _checked(where: str, declared: str, value: object) -> object:
    """Return a value that has the declared type of its field. Raises `TypeError` or `ValueError`."""
    if declared == "tuple[str, ...]":
        return _texts(value)
    if declared.startswith("tuple") and isinstance(value, list):
        return tuple((_text(name), _texts(texts)) for name, texts in value)
    base, *rest = declared.split(" | ")
    expected = {"int": int, "bool": bool}.get(base, str)
    if type(value) is expected or (value is None and "None" in rest):
        return value
    raise TypeError(f"{where} is not of the type {declared}")


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("a list was expected")
    return tuple(map(_text, value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def _requirement(data: Mapping[str, Any]) -> Requirement:
    text, specifier, marker = _text_or_none(data["conda"]), data["specifier"], data["marker"]
    origins = _texts(data.get("origins", []))
    assert data["kind"] in ("matchspec", "pep508", "either"), "a requirement has no kind"
    assert text is not None or data["kind"] == "pep508", "a MatchSpec has no text"
    assert data["bound"] in (None, "conda", "wheel"), "a requirement is bound to no ecosystem"
    try:
        return Requirement(
            text=_text(data["text"]),
            name=_text(data["name"]),
            kind=data["kind"],
            bound=data["bound"],
            conda=None if text is None else replace(parse_conda(text), origins=frozenset(origins)),
            specifier=None if specifier is None else SpecifierSet(specifier),
            extras=_texts(data["extras"]),
            marker=None if marker is None else Marker(marker),
            url=_text_or_none(data["url"]),
        )
    except (InvalidMarker, InvalidSpecifier, UsageError) as error:
        raise ValueError(str(error)) from error


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)
