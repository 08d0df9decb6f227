"""The commands that give up earlier requests on purpose, for the hint of a conflict with them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from bridge.cli.commands.request import Request
from bridge.errors import NoSolutionError
from bridge.install import plan as plans
from bridge.install.earlier import earlier_requests, removable
from bridge.install.sources import command_line
from bridge.model import PrefixState
from bridge.prefix.claims import label
from bridge.prefix.history import unexplained
from bridge.requirements import algebra
from bridge.requirements.foreign import Foreign
from converters.deferred import replace
from converters.target import Target

__all__ = ["with_way_out"]

_ATTEMPTS = 4  # solves that look for a way out


class Attempt(Protocol):
    """Solve for a changed environment or request; raises `NoSolutionError`."""

    def __call__(self, state: PrefixState, wanted: Request, others: tuple[Foreign, ...]) -> object: ...


@dataclass(slots=True)
class _GivenUp:
    """`restated`: names of earlier requests that the user requests again, without a version; `removed`: packages."""

    restated: dict[str, None] = field(default_factory=dict)
    removed: dict[str, None] = field(default_factory=dict)


def with_way_out(
    error: NoSolutionError,
    state: PrefixState,
    wanted: Request,
    others: tuple[Foreign, ...],
    target: Target,
    attempt: Attempt,
) -> NoSolutionError:
    """Add to a conflict the commands that give up the earlier requests and the foreign distributions in it.

    They are named only if another solve shows that they work: giving up what one explanation names may not suffice.
    """
    given_up, failure, left = _GivenUp(), error, state
    again: list[algebra.Requirement] = []
    for _ in range(_ATTEMPTS):
        if failure.id != "no-solution":
            return error  # the search was stopped: another one would take as long
        standing = earlier_requests(left, wanted.requirements, target)
        restated = [each.name for each in standing if each.text in _texts(failure, "requests")]
        foreign = [each.project for each in others if label(each.distribution) in _texts(failure, "foreign")]
        stubborn = [name for name in given_up.restated if name in _texts(failure, "requests")]  # in every version
        removed = [*_texts(failure, "superseded"), *foreign, *stubborn]
        if not restated and not removed:
            return error
        given_up.restated |= dict.fromkeys(restated)
        given_up.removed |= dict.fromkeys(removed)
        for name in stubborn:
            del given_up.restated[name]
        kept = [each for each in wanted.requirements if each not in again or each.name not in stubborn]
        again += map(algebra.parse, restated)
        wanted = replace(wanted, requirements=(*kept, *map(algebra.parse, restated)))
        others = tuple(each for each in others if each.project not in foreign)
        if removed:
            going = removable(state, target, list(given_up.removed))
            if not going:
                return error
            given_up.removed |= dict.fromkeys(going)
            left = _after_removal(state, target, going)
        try:
            attempt(left, wanted, others)
        except NoSolutionError as next_failure:
            failure = next_failure
        else:
            return _with_hint(error, state, given_up, has_command=bool(wanted.requirements))
    return error


def _texts(error: NoSolutionError, key: str) -> tuple[str, ...]:
    value = error.objects.get(key)
    return tuple(value) if isinstance(value, (list, tuple)) else ()


def _after_removal(state: PrefixState, target: Target, names: Iterable[str]) -> PrefixState:
    plan = plans.removal(plans.with_unmanaged(state), target, names, unexplained(state))
    there = {each.meta_path for each in state.installed}
    return replace(state, installed=tuple(each for each in plan.keep if each.meta_path in there), python=plan.python)


def _with_hint(error: NoSolutionError, state: PrefixState, given_up: _GivenUp, *, has_command: bool) -> NoSolutionError:
    prefix = str(state.prefix)
    steps: list[str] = []
    if given_up.removed:
        steps.append(shlex.join(["bridge", "remove", "-p", prefix, *given_up.removed]))
    if given_up.restated:
        command = command_line() if has_command else shlex.join(["bridge", "install", "-p", prefix])
        steps.append(f"{command} {shlex.join(given_up.restated)}")
    elif has_command:
        steps.append(command_line())
    names = [f"the earlier request for {name}" for name in given_up.restated] + list(given_up.removed)
    hint = f"to give up {' and '.join(names)}: {', then '.join(f'`{step}`' for step in steps)}"
    return NoSolutionError(
        error.id,
        error.message,
        context=error.context,
        hint=f"{hint}; or {error.hint}" if error.hint else hint,
        objects=error.objects,
    )
