"""Repeats a recorded solve: the sources answer from the document alone, without network access.

The document may come from a stranger. Its texts are parsed by the same code as those of a channel, and whatever it
lacks does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from packaging.markers import InvalidMarker, Marker
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from bridge.config.builds import Formats
from bridge.config.cooldown import Cooldown
from bridge.config.policy import Policy
from bridge.config.policy.rules import RuleFile
from bridge.errors import BridgeError, BuildError, NetworkError, UnsafeInputError, UsageError
from bridge.model import IndexFile, Resolution
from bridge.requirements.algebra import Requirement, parse_conda, pep440_version
from bridge.resolve import SolveRequest, Standing, resolve
from bridge.resolve.candidates.catalog import Catalog
from bridge.resolve.documents import read_value
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
        requires_python = _optional(request["requires_python"])
        kept = read_value(dict[str, str], request["kept"])
        agreed = read_value(dict[str, str], request.get("agreed", {}))
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
        only_binary=read_value(frozenset[str], options.pop("only_binary")),
        no_binary=read_value(frozenset[str], options.pop("no_binary")),
    )
    assert options["prefer"] in ("conda", "wheel", "newest"), "its option `prefer` is not an ecosystem"
    limits = {"default": options.pop("exclude_newer"), "exceptions": options.pop("newer_exceptions", {})}
    cooldown = read_value(Cooldown, limits)
    policy = options.pop("policy", None)
    options["only"] = read_value(dict[str, str], options["only"])
    here = read_value(Target, target)
    here.platform_tags()  # raises ValueError for a libc of no version
    records = {
        str(name): tuple(read_value(Record, one) for one in group) for name, group in document["records"].items()
    }
    index = document["index"]
    return Catalog(
        _Records(records),
        None if index is None else _Index(index),
        here,
        NameMap(names["table"], str(names["source"]), defaults=names["defaults"]),
        Options(
            **options,
            builds=formats,
            cooldown=cooldown,
            patience=math.inf,
            policy=None if policy is None else Policy(files=read_value(tuple[RuleFile, ...], policy)),
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
            str(project): tuple(read_value(IndexFile, one) for one in group)
            for project, group in index["files"].items()
        }
        self._metadata = {str(url): _outcome(CoreMetadata, read) for url, read in index["metadata"].items()}
        self._remarks = {
            str(project): read_value(tuple[str, ...], said) for project, said in index.get("remarks", {}).items()
        }
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
        value = read_value(kind, data)
        if pep440_version(value.version) is None:
            raise ValueError(f"what was read of {value.version!r} has no version of PEP 440")
        return lambda: value
    error = data["error"]
    kind_of_error = _ERRORS[error["type"]]
    identifier, message = read_value(str, error["id"]), read_value(str, error["message"])
    context = read_value(tuple[str, ...], error["context"])
    hint = _optional(error["hint"])

    def refuse() -> _T:
        raise kind_of_error(identifier, message, context=context, hint=hint)

    return refuse


def _optional(value: object) -> str | None:
    return None if value is None else read_value(str, value)


def _requirement(data: Mapping[str, Any]) -> Requirement:
    text, specifier, marker = _optional(data["conda"]), data["specifier"], data["marker"]
    origins = read_value(tuple[str, ...], data.get("origins", []))
    assert data["kind"] in ("matchspec", "pep508", "either"), "a requirement has no kind"
    assert text is not None or data["kind"] == "pep508", "a MatchSpec has no text"
    assert data["bound"] in (None, "conda", "wheel"), "a requirement is bound to no ecosystem"
    try:
        return Requirement(
            text=read_value(str, data["text"]),
            name=read_value(str, data["name"]),
            kind=data["kind"],
            bound=data["bound"],
            conda=None if text is None else replace(parse_conda(text), origins=frozenset(origins)),
            specifier=None if specifier is None else str(SpecifierSet(specifier)),
            extras=read_value(tuple[str, ...], data["extras"]),
            marker=None if marker is None else str(Marker(marker)),
            url=_optional(data["url"]),
        )
    except (InvalidMarker, InvalidSpecifier, UsageError) as error:
        raise ValueError(str(error)) from error
