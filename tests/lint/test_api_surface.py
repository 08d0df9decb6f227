"""The interface that `docs/api.md` promises: `api.txt` is what it is, and each change of it is made on purpose.

Write it anew with `python -m tests.lint.test_api_surface`, and keep to the promise.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path

from bridge import api

RECORDED = Path(__file__).with_name("api.txt")


def surface() -> Iterator[str]:
    """Yield a line for each name, parameter and field, with its type and default."""
    for name in sorted(api.__all__):
        value = getattr(api, name)
        yield name
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            yield from (f"    {each.kind.name}: {each}" for each in signature.parameters.values())
            yield f"    -> {signature.return_annotation}"
        elif dataclasses.is_dataclass(value):
            yield from (f"    {each.name}: {each.type}{default(each)}" for each in dataclasses.fields(value))
            own = vars(value) if value.__module__.startswith("bridge.api.") else {}
            yield from (f"    {each}()" for each in sorted(own) if is_method(own[each], each))


def default(field: dataclasses.Field[object]) -> str:
    has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return " = …" if has_default else ""


def is_method(value: object, name: str) -> bool:
    return not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, (classmethod, property)))


def test_the_interface_is_the_recorded_one() -> None:
    assert list(surface()) == RECORDED.read_text("utf-8").splitlines()


def test_values_are_frozen_and_made_by_name() -> None:
    values = [each for each in map(api.__dict__.get, api.__all__) if dataclasses.is_dataclass(each)]
    assert len(values) > 10
    for value in values:
        parameters = value.__dataclass_params__  # type: ignore[union-attr]
        assert parameters.frozen, value
        assert all(field.kw_only for field in dataclasses.fields(value)), value


def test_parameters_after_the_first_two_are_passed_by_name() -> None:
    for function in filter(inspect.isfunction, map(api.__dict__.get, api.__all__)):
        kinds = [each.kind.name for each in inspect.signature(function).parameters.values()]
        assert set(kinds[2:]) == {"KEYWORD_ONLY"}, function


def test_everything_promised_is_described() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text("utf-8")
    functions = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]
    assert [name for name in functions if f"api.{name}(" not in page] == []
    others = [name for name in api.__all__ if name != "ProgressCallback"]  # a type alias, which has no docstring
    assert [name for name in others if not (getattr(api, name).__doc__ or "").strip()] == []


if __name__ == "__main__":
    RECORDED.write_text("\n".join(surface()) + "\n", "utf-8")
