"""`bridge pin`: read and write `conda-meta/pinned`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge import prefix
from bridge.errors import UsageError
from bridge.fs import publish_file
from bridge.install.frozen_and_pinned import check_not_frozen, pin_lines, pins
from bridge.model import PrefixState
from bridge.paths import quoted
from bridge.prefix.pinned import PINNED
from bridge.requirements import algebra
from converters.record import Record

__all__ = ["Pin", "Pins", "change_pins", "read_pins"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A pin. `installed`: the version of its package; `is_met`: `None` if that is not installed."""

    spec: str
    name: str
    installed: str | None
    is_met: bool | None

    @property
    def state(self) -> str:
        if self.installed is None:
            return "not installed"
        return self.installed if self.is_met else f"{self.installed} does not meet it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """The pins of an environment."""

    prefix: Path
    pins: tuple[Pin, ...]

    def to_json(self) -> dict[str, object]:
        """The document of `bridge pin --json` (`bridge/schemas/pin.json`)."""
        return {
            "prefix": str(self.prefix),
            "pins": [
                {"spec": each.spec, "name": each.name, "installed": each.installed, "met": each.is_met}
                for each in self.pins
            ],
        }


def read_pins(path: Path) -> Pins:
    """The pins, and whether installed packages meet them. Raises `UsageError` (`invalid-pin`, `not-an-environment`)."""
    state = prefix.require(path, is_brief=True)
    installed = {each.record.name: each.record for each in state.installed}
    return Pins(prefix=path, pins=tuple(_pin(each, installed.get(each.name)) for each in pins(path)))


def _pin(requirement: algebra.Requirement, record: Record | None) -> Pin:
    met = None
    if record is not None:
        spec = requirement.conda
        met = requirement.accepts(record.version) and (
            spec is None
            or record.ecosystem != "conda"
            or spec.accepts_build(record.build, record.build_number, record.origin, record.subdir)
        )
    return Pin(spec=requirement.text, name=requirement.name, installed=record.version if record else None, is_met=met)


def change_pins(path: Path, added: Sequence[str], removed: Sequence[str], *, is_forced: bool) -> Pins:
    """Add and remove pins. A new pin replaces those of its name; a name alone pins the installed version.

    Comments and other lines stay. Raises `UsageError` (`invalid-requirement`, `not-pinned`, `not-installed`,
    `not-an-environment`) and `OwnershipError` (`frozen-environment`); nothing was written then.
    """
    state = prefix.require(path, is_brief=True)
    if not is_forced:
        check_not_frozen(path)
    new = [_new_pin(text, state) for text in added]
    known = pin_lines(path)
    leaving = {name.lower() for name in removed}
    names = {requirement.name for _, requirement in known if requirement is not None}
    if missing := sorted(leaving - names):
        hint = f"the pins are: {', '.join(sorted(names))}" if names else "there are no pins"
        raise UsageError("not-pinned", f"no pin has the name {', '.join(missing)}", hint=hint)
    leaving |= {requirement.name for requirement in new}
    kept = [line for line, requirement in known if requirement is None or requirement.name not in leaving]
    publish_file(path / PINNED, [_text((*kept, *(each.text for each in new)))], root=path)
    return read_pins(path)


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _new_pin(text: str, state: PrefixState) -> algebra.Requirement:
    requirement = algebra.conda_requirement(text)
    if text.strip().lower() != requirement.name:
        return requirement
    record = next((each.record for each in state.installed if each.record.name == requirement.name), None)
    if record is None:
        raise UsageError(
            "not-installed",
            f"{requirement.name} is not installed, so there is no version to pin it to",
            hint=f"name one: bridge pin -p {quoted(state.prefix)} '{requirement.name} 1.2.*'",
        )
    return algebra.conda_requirement(f"{requirement.name} =={record.version}")
