"""`converters.deferred`: the same behaviour as `dataclasses` and `re`, completed at the first use."""

from __future__ import annotations

import ast
import copy
import dataclasses
import pickle
import re
import subprocess
import sys
import threading
import typing
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import pytest

from converters.deferred import NamedTuple, dataclass, regex, replace

ROOT = Path(__file__).resolve().parents[3]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """Fields with and without defaults."""

    name: str
    size: int = 3
    tags: list[str] = dataclasses.field(default_factory=list)
    secret: str = dataclasses.field(default="", repr=False, compare=False)

    @property
    def label(self) -> str:
        return f"{self.name}:{self.size}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """The same class, by `dataclasses`."""

    name: str
    size: int = 3
    tags: list[str] = dataclasses.field(default_factory=list)
    secret: str = dataclasses.field(default="", repr=False, compare=False)

    @property
    def label(self) -> str:
        return f"{self.name}:{self.size}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Derives a value, as some classes of bridge do."""

    text: str
    upper: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "upper", self.text.upper())


@dataclass(frozen=True, slots=True, kw_only=True)
class Box(Generic[T]):
    """A generic class."""

    value: T


def is_complete(cls: type) -> bool:
    return isinstance(cls.__dict__["__dataclass_fields__"], dict)


def test_a_new_class_is_not_completed_until_it_is_printed() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class New:
        size: int
        tags: tuple[str, ...] = ()

    first = New(size=1)
    assert first.size == 1
    assert first == New(size=1)
    assert first != New(size=2)
    assert {first, New(size=1)} == {first}
    assert replace(first, tags=("a",)) == New(size=1, tags=("a",))
    assert not is_complete(New)
    assert repr(first).endswith("New(size=1, tags=())")
    assert is_complete(New)
    assert first == New(size=1)


def test_a_replacement_is_that_of_dataclasses() -> None:
    value = Deferred(name="a", tags=["x"], secret="s")
    assert replace(value, size=5) == dataclasses.replace(value, size=5)
    assert replace(value, size=5).secret == "s"
    assert replace(Checked(text="a"), text="b").upper == "B"
    assert replace(Stock(name="a"), size=5) == Stock(name="a", size=5)
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        replace(value, other=1)  # type: ignore[call-arg]


def test_a_class_whose_fields_are_asked_before_its_first_instance_keeps_its_factories() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class New:
        tags: list[str] = dataclasses.field(default_factory=list)

    assert [field.name for field in dataclasses.fields(New)] == ["tags"]  # as an unpickling worker process does
    assert New().tags == []


def test_it_behaves_as_the_class_of_dataclasses() -> None:
    ours, theirs = Deferred(name="a", tags=["x"], secret="s"), Stock(name="a", tags=["x"], secret="s")
    assert repr(ours) == repr(theirs).replace("Stock", "Deferred")
    assert (ours.label, ours.tags, ours.secret) == (theirs.label, theirs.tags, theirs.secret)
    assert ours == Deferred(name="a", tags=["x"], secret="other")
    assert ours != Deferred(name="b", tags=["x"])
    assert ours != theirs  # type: ignore[comparison-overlap]
    assert [each.name for each in dataclasses.fields(Deferred)] == [each.name for each in dataclasses.fields(Stock)]
    assert dataclasses.replace(ours, size=5) == Deferred(name="a", size=5, tags=["x"])
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
    assert Deferred.__slots__ == Stock.__slots__
    assert not hasattr(ours, "__dict__")
    assert Deferred(name="a").tags is not Deferred(name="a").tags


def test_a_hash_is_that_of_the_fields() -> None:
    assert hash(Box(value=1)) == hash(Box(value=1))
    assert {Box(value=1): "one"}[Box(value=1)] == "one"
    with pytest.raises(TypeError):
        hash(Deferred(name="a", tags=["x"]))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_it_is_copied_and_pickled(copied: Callable[[Deferred], Deferred]) -> None:
    value = Deferred(name="a", size=7, tags=["x"], secret="s")
    again = copied(value)
    assert again == value
    assert again.secret == "s"


def test_it_is_frozen() -> None:
    value = Checked(text="a")
    assert value.upper == "A"
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.text = "b"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del value.text


def test_many_instances_are_as_the_first() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class New:
        name: str
        tags: list[str] = dataclasses.field(default_factory=list)
        size: int = 3

        def __post_init__(self) -> None:
            self.tags.append(self.name)

    for number in range(40):
        made = New(name=f"{number}", size=number)
        assert (made.name, made.tags, made.size) == (f"{number}", [f"{number}"], number)
        with pytest.raises(TypeError, match=r"New\.__init__\(\)"):
            New(name="x", other=number) if number % 2 else New()  # type: ignore[call-arg]


@pytest.mark.parametrize("values", [{}, {"name": "a", "other": 1}])
def test_wrong_arguments_are_a_type_error(values: dict[str, str]) -> None:
    with pytest.raises(TypeError, match=r"Deferred\.__init__\(\)"):
        Deferred(**values)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Deferred("a")  # type: ignore[call-arg]


def test_classes_that_are_not_plain_are_those_of_dataclasses() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Counted:
        limit: ClassVar[int] = 3
        size: int = 0

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Derived(Deferred):
        more: int = 1

    @dataclass(slots=True)
    class Changing:
        size: int

    assert all(map(is_complete, (Counted, Derived, Changing)))
    assert (Counted(size=2).size, Counted.limit) == (2, 3)
    assert Derived(name="a", more=2) == dataclasses.replace(Derived(name="a"), more=2)
    changing = Changing(1)
    changing.size = 2
    assert changing == Changing(2)
    with pytest.raises(ValueError, match="mutable default"):

        @dataclass(frozen=True, slots=True, kw_only=True)
        class Shared:
            names: list[str] = []  # noqa: RUF012 - what is tested


def test_threads_that_complete_a_class_at_once_get_one() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class New:
        size: int = 1
        names: list[str] = dataclasses.field(default_factory=list)

    barrier, found = threading.Barrier(8), []

    def use() -> None:
        barrier.wait()
        found.append(repr(New()))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == ["test_threads_that_complete_a_class_at_once_get_one.<locals>.New(size=1, names=[])"] * 8


def test_an_expression_is_compiled_when_it_is_used() -> None:
    wrong, right = regex("("), regex(r"(\d+)X", re.IGNORECASE)
    with pytest.raises(re.error):
        wrong.match("(")
    found = right.fullmatch("12x")
    assert found is not None
    assert found[1] == "12"
    assert right.sub("-", "1x2X") == "--"
    assert (right.pattern, bool(right.flags & re.IGNORECASE)) == (r"(\d+)X", True)


@pytest.mark.slow
def test_every_expression_that_a_module_spells_out_can_be_compiled() -> None:
    """`regex` finds no mistake at the start; this does."""
    spelled = []
    for path in (*(ROOT / "bridge").rglob("*.py"), *(ROOT / "converters").rglob("*.py")):
        text = path.read_text("utf-8")
        for call in ast.walk(ast.parse(text)) if " = regex(" in text else ():
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "regex":
                spelled += [each.value for each in call.args[:1] if isinstance(each, ast.Constant)]
    for each in spelled:
        assert isinstance(each, (str, bytes))
        re.compile(each)
    assert len(spelled) > 50


class Pair(NamedTuple):
    """A name and a size."""

    name: str
    size: int = 3

    def grown(self) -> Pair:
        return self._replace(size=self.size + 1)


class Special(Pair):
    """A kind of pair."""


def test_a_named_tuple_is_that_of_typing() -> None:
    class Standard(typing.NamedTuple):
        name: str
        size: int = 3

    pair = Pair("a")
    assert tuple(pair) == tuple(Standard("a")) == ("a", 3)
    assert pair.grown() == Pair(name="a", size=4)
    assert Special("b").grown().size == 4
    assert (repr(pair), Pair.__doc__, Pair.__module__) == ("Pair(name='a', size=3)", "A name and a size.", __name__)
    assert (Pair._fields, Pair._field_defaults) == (Standard._fields, Standard._field_defaults)
    assert typing.get_type_hints(Pair) == typing.get_type_hints(Standard) == {"name": str, "size": int}
    assert pickle.loads(pickle.dumps(pair)) == copy.copy(pair) == pair
    assert type(pickle.loads(pickle.dumps(pair))) is Pair


def test_a_named_tuple_without_default_after_one_is_refused() -> None:
    with pytest.raises(TypeError, match="Wrong: fields with defaults come last"):

        class Wrong(NamedTuple):
            size: int = 3
            name: str  # type: ignore[misc]  # what is refused


def test_modules_of_the_command_line_evaluate_no_annotation() -> None:
    """The first one costs a process 0.8 ms, each further one of a hundred fields 10 µs."""
    program = """
import builtins, sys
compiled, found = builtins.compile, []
def compile(source, name, *rest, **options):
    frame = sys._getframe(1)
    while frame.f_globals["__name__"] == "typing":
        frame = frame.f_back
    if name == "<string>" and frame.f_globals["__name__"].split(".")[0] in ("bridge", "converters"):
        found.append(f"{frame.f_globals['__name__']}, line {frame.f_lineno}: {source}")
    return compiled(source, name, *rest, **options)
builtins.compile = compile
import bridge.cli.commands.auditing, bridge.cli.commands.installation, bridge.cli.commands.solving, bridge.cli.run
import bridge.audit.run, bridge.cli.commands.reading, bridge.install.apply, bridge.transaction.journal
print("\\n".join(found))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["", ""]
