"""Dataclasses and regular expressions that are completed at their first use, and plain named tuples.

A command imports hundreds of both and uses a few. `dataclasses` compiles six methods for each class, which was a fifth
of the processor time of a short command. The decorator here fills the first instances field by field, compiles
`__init__` for a class that has many, and makes `__eq__` and `__hash__` for the first comparison; `replace` needs no
more. The other methods are those of `dataclasses`, made when the class is printed, changed or asked for its fields.

`typing.NamedTuple` compiles the annotation of each field, and the first text that a process compiles costs 0.8 ms; the
one here keeps annotations as they are.
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections import namedtuple
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

__all__ = ["NamedTuple", "dataclass", "regex", "replace"]

_OPTIONS = {"frozen": True, "slots": True, "kw_only": True}
_INIT, _FIELDS = "__init__", "__dataclass_fields__"
_COMPARED = ("__eq__", "__hash__")
_STUBS = (*_COMPARED, "__repr__", "__setattr__", "__delattr__")
_TAKEN = (*_STUBS, "__match_args__", "__replace__", "__dataclass_params__", _FIELDS)
_NO_FIELDS = ("ClassVar", "InitVar", "KW_ONLY")  # annotations with these words do not stand for fields
_INTERPRETED = 16  # instances of a class before its `__init__` is compiled
_MISSING: Any = dataclasses.MISSING
_FACTORY: Any = object()
_Slot = tuple[str, Callable[..., None], Any, Any]  # name, setter, default and factory; `_MISSING` where there is none
_completing = threading.RLock()
_replaceable: WeakKeyDictionary[type, tuple[str, ...]] = WeakKeyDictionary()  # the fields of the deferred classes


def _is_plain(cls: type) -> bool:
    """Whether all fields are the class's own, each with a plain default, and it defines none of the methods."""
    own = cls.__dict__
    if any(name in own for name in (*_STUBS, _INIT, "__slots__", "__getstate__", "__setstate__")):
        return False
    if any(_FIELDS in base.__dict__ for base in cls.__mro__):
        return False
    for name, text in cls.__annotations__.items():
        default = own.get(name)
        if isinstance(default, dataclasses.Field):
            if not default.init or default.kw_only is not _MISSING:
                return False
            default = default.default
        if not isinstance(text, str) or any(word in text for word in _NO_FIELDS) or type(default).__hash__ is None:
            return False
    return True


def _deferred(cls: type) -> type:
    """The class with slots, and with methods that complete it."""
    if not _is_plain(cls):
        return dataclasses.dataclass(**_OPTIONS)(cls)
    names = tuple(cls.__annotations__)
    body = {key: value for key, value in cls.__dict__.items() if key not in (*names, "__dict__", "__weakref__")}
    body |= {"__slots__": names, "__getstate__": _state, "__setstate__": _restore}
    made = type(cls)(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    completion = _Completion(cls, made)
    setattr(made, _FIELDS, completion)
    setattr(made, _INIT, completion.first_init)
    for name in _STUBS:
        setattr(made, name, _stub(completion, name))
    _replaceable[made] = names
    return made


class _Completion:
    """The attribute `__dataclass_fields__` of a class until something asks for it, which completes the class."""

    __slots__ = ("_made", "_template", "first_init")

    def __init__(self, template: type, made: type) -> None:
        self._template, self._made = template, made
        self.first_init = _first_init(template, made)

    def __get__(self, instance: object, owner: type | None = None) -> object:
        self.complete()
        return self._made.__dict__[_FIELDS]

    def compare(self) -> None:
        """Make the methods that compare and hash instances."""
        with _completing:
            if self._made.__dict__[_FIELDS] is self:
                for name, method in zip(_COMPARED, _comparison(self._template), strict=True):
                    setattr(self._made, name, method)

    def complete(self) -> None:
        """Let `dataclasses` make the methods on the class as it was written, and take them over."""
        with _completing:
            if self._made.__dict__[_FIELDS] is not self:
                return
            if self._made.__dict__[_INIT] is self.first_init:  # before `dataclasses` removes the factories
                setattr(self._made, _INIT, _compiled_init(self._template, self._made))
            source = dataclasses.dataclass(frozen=True, kw_only=True)(self._template).__dict__
            for name in _TAKEN:
                if name in source:
                    setattr(self._made, name, source[name])


def _stub(completion: _Completion, name: str) -> Callable[..., object]:
    make_methods = completion.compare if name in _COMPARED else completion.complete

    def method(self: object, *others: object) -> object:
        make_methods()
        return getattr(type(self), name)(self, *others)

    return method


def _first_init(template: type, made: type) -> Callable[..., None]:
    """`__init__` of the first instances; most classes have few, for which compiling one would take longer."""
    left = _INTERPRETED
    fields: tuple[_Slot, ...] = ()

    def init(self: object, *others: object, **values: object) -> None:
        nonlocal fields, left
        left -= 1
        fields = fields or _slots_with_defaults(template, made)
        if left > 0 and not others and _fill(self, fields, values):
            if hasattr(made, "__post_init__"):
                self.__post_init__()  # type: ignore[attr-defined]
            return
        with _completing:
            if made.__dict__[_INIT] is init:
                setattr(made, _INIT, _compiled_init(template, made))
        made.__dict__[_INIT](self, *others, **values)

    return init


def _slots_with_defaults(template: type, made: type) -> tuple[_Slot, ...]:
    fields: list[_Slot] = []
    for name in template.__annotations__:
        default: Any = template.__dict__.get(name, _MISSING)
        factory: Any = _MISSING
        if isinstance(default, dataclasses.Field):
            default, factory = default.default, default.default_factory
        fields.append((name, made.__dict__[name].__set__, default, factory))
    return tuple(fields)


def _fill(instance: object, fields: tuple[_Slot, ...], values: dict[str, Any]) -> bool:
    """Set the slots of an instance; `False` if the arguments do not fit."""
    given = 0
    for name, assign, default, factory in fields:
        if name in values:
            given += 1
            assign(instance, values[name])
        elif factory is not _MISSING:
            assign(instance, factory())
        elif default is not _MISSING:
            assign(instance, default)
        else:
            return False
    return given == len(values)


def _compiled_init(template: type, made: type) -> Callable[..., None]:
    """`__init__` that sets each slot by its descriptor, which is quicker than `object.__setattr__`."""
    known: dict[str, Any] = {"_factory": _FACTORY}
    parameters, lines = [], []
    for name in template.__annotations__:
        known[f"_set_{name}"] = made.__dict__[name].__set__
        default, value = template.__dict__.get(name, _MISSING), name
        if isinstance(default, dataclasses.Field):
            if default.default_factory is not _MISSING:
                known[f"_make_{name}"], default = default.default_factory, _FACTORY
                value = f"_make_{name}() if {name} is _factory else {name}"
            else:
                default = default.default
        known[f"_default_{name}"] = default
        parameters.append(name if default is _MISSING else f"{name}=_default_{name}")
        lines.append(f"    _set_{name}(self, {value})\n")
    if hasattr(made, "__post_init__"):
        lines.append("    self.__post_init__()\n")
    given = f", *, {', '.join(parameters)}" if parameters else ""
    exec(f"def __init__(self{given}):\n{''.join(lines) or '    pass'}", known)
    init: Callable[..., None] = known[_INIT]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    return init


def _comparison(template: type) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`__eq__` and `__hash__`, which compare and hash the same fields as those of `dataclasses`."""
    compared, hashed = [], []
    for name in template.__annotations__:
        given = template.__dict__.get(name)
        is_compared, is_hashed = (given.compare, given.hash) if isinstance(given, dataclasses.Field) else (True, None)
        compared += [name] if is_compared else []
        hashed += [name] if (is_compared if is_hashed is None else is_hashed) else []
    values, hashed_values = _getter(compared), _getter(hashed)

    def __eq__(self: object, other: object) -> object:  # noqa: N807 - its name in a traceback
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(hashed_values(self))

    return __eq__, __hash__


def _getter(names: list[str]) -> Callable[[object], object]:
    return attrgetter(*names) if names else lambda _: ()


def _state(self: object) -> list[object]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]  # type: ignore[arg-type]


def _restore(self: object, state: list[object]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):  # type: ignore[arg-type]
        object.__setattr__(self, field.name, value)


class _Pattern:
    """A regular expression that is compiled when an attribute of it is used."""

    def __init__(self, text: str | bytes, flags: int) -> None:
        self._given = text, flags

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        compiled: re.Pattern[Any] = re.compile(*self._given)
        for each in ("match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer", "pattern", "flags"):
            setattr(self, each, getattr(compiled, each))
        return getattr(compiled, name)


if TYPE_CHECKING:
    from dataclasses import dataclass, replace
    from re import compile as regex
    from typing import NamedTuple
else:

    class _NamedTupleMeta(type):
        """Makes a class that is derived from `NamedTuple` alone a named tuple, with what else its body defines."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = tuple(body.get("__annotations__", ()))
            defaults = [body[field] for field in fields if field in body]
            if bases != (NamedTuple,) or any(field in body for field in fields[: len(fields) - len(defaults)]):
                raise TypeError(f"{name}: fields with defaults come last, and there is no other base")
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])  # noqa: PYI024
            for key, value in body.items():
                if key not in fields and key != "__module__":
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_NamedTupleMeta):
        """`typing.NamedTuple`, whose annotations are never evaluated."""

    def replace(value: object, /, **changes: object) -> object:
        """`dataclasses.replace`, which would complete a deferred class to find its fields."""
        made = type(value)
        names = _replaceable.get(made)
        if names is None:
            return dataclasses.replace(value, **changes)
        return made(**{name: getattr(value, name) for name in names if name not in changes}, **changes)

    def regex(text: str | bytes, flags: int = 0) -> _Pattern:
        """`re.compile`, postponed to the first use; a mistake in the expression shows up then."""
        return _Pattern(text, flags)

    def dataclass(**options: bool) -> Callable[[type], type]:
        """`dataclasses.dataclass`; frozen, slotted, keyword-only classes without other options are deferred."""
        return _deferred if options == _OPTIONS else dataclasses.dataclass(**options)
