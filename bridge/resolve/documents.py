"""Frozen dataclasses as JSON values, and back by the declared types of their fields. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bridge.secrets import masked

__all__ = ["document_of", "read_value"]

_T = TypeVar("_T")
_PLAIN = (str, int, bool)


def document_of(value: object) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value as JSON has it, with secrets removed from URLs; fields that have their defaults are left out."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {masked(key): document_of(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [document_of(each) for each in value]
    if isinstance(value, frozenset):
        return sorted(map(document_of, value))
    if not is_dataclass(value):
        return value
    stated = ((each, getattr(value, each.name)) for each in fields(value))
    return {each.name: document_of(content) for each, content in stated if content != _default(each)}


def _default(field: Any) -> object:  # noqa: ANN401 - `dataclasses.Field` of any type
    return field.default if field.default_factory is MISSING else field.default_factory()


def read_value(kind: type[_T], document: object) -> _T:
    """Read what `document_of` made of a value of this type. Raises `TypeError` and `ValueError` for anything else."""
    value: _T = _read(kind, document, kind.__name__)
    return value


def _read(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401 - types, and JSON values
    origin, of = get_origin(kind), get_args(kind)
    if kind is object or (origin is Literal and value in of) or (type(value) is kind and kind in _PLAIN):
        return value
    if origin in (Union, UnionType):
        (other,) = (each for each in of if each is not NoneType)
        return None if value is None else _read(other, value, where)
    if isinstance(value, dict) and is_dataclass(kind):
        return _of_fields(kind, value, where)
    if isinstance(value, dict) and origin in (Mapping, dict):
        return {_read(of[0], key, where): _read(of[1], each, where) for key, each in value.items()}
    if isinstance(value, list) and origin in (tuple, frozenset):
        kinds = of if origin is tuple and of[1:] != (...,) else of[:1] * len(value)
        return origin(_read(each, part, where) for each, part in zip(kinds, value, strict=True))
    raise TypeError(f"{where} is not of the type {getattr(kind, '__name__', kind)}")


def _of_fields(kind: Any, values: Mapping[str, object], where: str) -> Any:  # noqa: ANN401 - a dataclass
    hints = _hints(kind)
    if unknown := values.keys() - hints.keys():
        raise TypeError(f"a {kind.__name__} has no {', '.join(sorted(unknown))}")
    return kind(**{name: _read(hints[name], each, f"{where}.{name}") for name, each in values.items()})


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)
