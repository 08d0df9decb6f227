"""A policy as a JSON document, and back: for the recording of a solve (`bridge.resolve.recording`). Pure.

Only the rules that a solve judges by are in it: not those on link scripts, on shared paths and on the trust root. Files
have the rules that they had when they were read: durations are moments, and places have their URLs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from bridge.config.licenses import LicenseRules
from bridge.config.policy import Policy
from bridge.config.policy.places import Place
from bridge.config.policy.rules import Allowance, Publisher, RuleFile

__all__ = ["policy_document", "read_policy_document"]

_T = TypeVar("_T")


def policy_document(policy: Policy) -> list[dict[str, object]]:
    """Return the files of a policy."""
    return [_file(each) for each in policy.files]


def read_policy_document(document: object) -> Policy:
    """Read what `policy_document` returned. Raises `KeyError`, `TypeError` and `ValueError` for anything else."""
    return Policy(files=tuple(map(_rules, _list(document))))


def _file(rules: RuleFile) -> dict[str, object]:
    licenses = rules.licenses
    return {
        "shown": rules.shown,
        "table": rules.table,
        "origins": {pattern: list(map(_place, places)) for pattern, places in rules.origins.items()},
        "sources": [[_place(place), list(patterns)] for place, patterns in rules.sources],
        "files": [[_place(place), list(map(_place, places))] for place, places in rules.files],
        "licenses": None if licenses is None else {"allow": list(licenses.allow), "deny": list(licenses.deny)},
        "license_exceptions": list(rules.license_exceptions),
        "cooldown": dict(rules.cooldown),
        "builds": _patterns(rules.builds),
        "unhashed": _patterns(rules.unhashed),
        "denies_yanked": rules.denies_yanked,
        "attestations": {pattern: publisher.to_json() for pattern, publisher in rules.attestations.items()},
    }


def _rules(document: object) -> RuleFile:
    table = _table(document)
    return RuleFile(
        shown=_text(table["shown"]),
        table=_text(table["table"]),
        origins={pattern: _places(places) for pattern, places in _table(table["origins"]).items()},
        sources=tuple(
            (_read_place(place), _texts(patterns)) for place, patterns in map(_pair, _list(table["sources"]))
        ),
        files=tuple((_read_place(place), _places(places)) for place, places in map(_pair, _list(table["files"]))),
        licenses=_optional(_licenses, table["licenses"]),
        license_exceptions=_texts(table["license_exceptions"]),
        cooldown={pattern: _optional(_time, time) for pattern, time in _table(table["cooldown"]).items()},
        builds=Allowance(patterns=_optional(_texts, table["builds"])),
        unhashed=Allowance(patterns=_optional(_texts, table["unhashed"])),
        denies_yanked=table["denies_yanked"] is True,
        attestations={pattern: _publisher(each) for pattern, each in _table(table["attestations"]).items()},
    )


def _place(place: Place) -> dict[str, object]:
    return {"text": place.text, "urls": list(place.urls)}


def _patterns(allowance: Allowance) -> list[str] | None:
    return None if allowance.patterns is None else list(allowance.patterns)


def _read_place(document: object) -> Place:
    table = _table(document)
    return Place(text=_text(table["text"]), urls=_texts(table["urls"]))


def _places(document: object) -> tuple[Place, ...]:
    return tuple(map(_read_place, _list(document)))


def _licenses(document: object) -> LicenseRules:
    table = _table(document)
    return LicenseRules(allow=_texts(table["allow"]), deny=_texts(table["deny"]))


def _publisher(document: object) -> Publisher:
    publisher = Publisher.of_json(document)
    if publisher is None:
        raise TypeError("a publisher of the policy is not a table")
    return publisher


def _optional(read: Callable[[object], _T], value: object) -> _T | None:
    return None if value is None else read(value)


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("a table of the policy is not a table")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError("a list of the policy is not a list")
    return value


def _pair(value: object) -> tuple[object, object]:
    first, second = _list(value)
    return first, second


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, _list(value)))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text of the policy is not a text")
    return value


def _time(value: object) -> int:
    if type(value) is not int:
        raise TypeError("a limit of the policy's cooldown is not a time")
    return value
