"""Scenarios of the resolver as TOML: a closed universe, a request, and what is to come of it.

The format is that of the frozen scenarios beside the project: `[[conda]]`, `[[wheel]]`, `[names]`, `[target]`,
`[request]` and `[expected]`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from bridge.config.cooldown import Cooldown
from bridge.errors import NoSolutionError
from bridge.model import Resolution
from bridge.resolve import Options
from converters.record import Record
from tests.support.resolver_worlds import Wheel, World, milliseconds, record, target, wheel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One universe and one request. `expected` is the table of that name."""

    name: str
    classes: tuple[str, ...]
    world: World
    conda: tuple[str, ...]
    pypi: tuple[str, ...]
    expected: Mapping[str, Any]


def read_scenario(path: Path) -> Scenario:
    with path.open("rb") as stream:
        data = tomllib.load(stream)
    options = dict(data["request"].get("options", {}))
    if "exclude_newer" in options:
        options["cooldown"] = Cooldown(default=milliseconds(options.pop("exclude_newer")))
    platform = data["target"]
    world = World(
        records=tuple(_record(table) for table in data.get("conda", ())),
        wheels=tuple(_wheel(table) for table in data.get("wheel", ())),
        names=data.get("names", {}),
        target=target(platform["platform"], **platform.get("virtual_packages", {})),
        options=Options(**options),
    )
    return Scenario(
        name=data["scenario"]["name"],
        classes=tuple(data["scenario"]["class"]),
        world=world,
        conda=tuple(data["request"]["conda"]),
        pypi=tuple(data["request"]["pypi"]),
        expected=data["expected"],
    )


def _record(table: Mapping[str, Any]) -> Record:
    fields = {key: value for key, value in table.items() if key not in {"name", "version", "depends"}}
    return record(table["name"], table["version"], *table["depends"], **fields)


def _wheel(table: Mapping[str, Any]) -> Wheel:
    return wheel(
        table["filename"],
        *table["requires_dist"],
        requires_python=table.get("requires_python"),
        yanked="" if table.get("yanked") else None,
        upload_time=milliseconds(table.get("upload_time")),
        url=table.get("url"),
    )


def mistakes_of(expected: Mapping[str, Any], resolution: Resolution) -> list[str]:
    """What of `[expected.packages]` and `absent` a solution does not keep."""
    chosen: dict[str, set[str]] = {}
    for package in resolution.packages:
        one = package.record
        name = one.name if one.ecosystem == "conda" else one.pypi_names[0]
        chosen.setdefault(name, set()).update({f"{one.ecosystem} {one.version}"})
        if one.ecosystem == "conda":
            chosen[name].add(f"conda {one.version} {one.build}")
    found = []
    for name, wanted in expected.get("packages", {}).items():
        here = chosen.get(name, set()) | chosen.get(canonicalize_name(name), set())
        missing = [pick for pick in ([wanted] if isinstance(wanted, str) else wanted) if pick not in here]
        found += [f"{name}: expected {pick}, found {sorted(here) or 'nothing'}" for pick in missing]
    for text in expected.get("absent", ()):
        kind, colon, name = text.rpartition(":")
        ecosystem = {"conda": "conda ", "pypi": "wheel ", "": ""}[kind if colon else ""]
        here = chosen.get(name, set()) | chosen.get(canonicalize_name(name), set())
        found += [f"{text}: there is {pick}" for pick in here if pick.startswith(ecosystem)]
    return found


def missing_from(facts: Sequence[str], error: NoSolutionError) -> list[str]:
    """The facts that an explanation does not name, whatever its spacing."""
    derivation = error.objects["derivation"]
    assert isinstance(derivation, list)
    said = [error.message, *error.context, error.hint or ""]
    said += [text for step in derivation for text in (*step["because"], step["so"])]
    text = _plain(" ".join(said))
    return [fact for fact in facts if _plain(fact) not in text]


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text).lower()
