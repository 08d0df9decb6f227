"""Choose among the checks: by id, by theme, and those of other distributions.

Another distribution adds checks through the entry point group `bridge.audit.checks`: each entry point names a
`bridge.audit.checks.Check`, whose `run` takes a `bridge.audit.view.View` and yields findings of its `id`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points

from bridge.audit import advisories, licensing
from bridge.audit.checks import CHECKS, Check
from bridge.audit.elsewhere import GROUP
from bridge.audit.finding import IMPORT_FAILS, INTERRUPTED
from bridge.errors import UsageError, did_you_mean

__all__ = ["AFTER", "choose", "kinds_of", "plugins", "theme_of"]

AFTER = (advisories.KIND, licensing.KIND, IMPORT_FAILS)
"""Kinds that no check finds: advisories and rules that are asked for, and imports (`bridge.audit.trial`)."""


def theme_of(check: Check) -> str:
    """The module of a check: `files`, `records`, `native`, …"""
    return getattr(check.run, "__module__", "").rpartition(".")[2] or "others"


def plugins(points: Iterable[EntryPoint] | None = None) -> Iterator[Check]:
    """The checks of other distributions, sorted by id.

    :raises UsageError: `audit-plugin`: one cannot be loaded, is no `Check`, or takes the id of another.
    """
    checks: dict[str, Check] = {}
    taken = {each.id for each in CHECKS}
    for point in entry_points(group=GROUP) if points is None else points:
        origin = f"{point.name} = {point.value}"
        try:
            check = point.load()
        except Exception as error:
            raise _broken(origin, f"it cannot be loaded: {type(error).__name__}: {error}") from error
        if not isinstance(check, Check):
            raise _broken(origin, "it is not a bridge.audit.checks.Check")
        if check.id in taken:
            raise _broken(origin, f"there already is a check {check.id!r}")
        taken.add(check.id)
        checks[check.id] = check
    yield from (checks[each] for each in sorted(checks))


def _broken(origin: str, what: str) -> UsageError:
    return UsageError(
        "audit-plugin",
        f"the entry point {origin} in {GROUP}: {what}",
        hint="uninstall the distribution that has it, or report it there",
    )


def kinds_of(word: str, checks: Iterable[Check]) -> frozenset[str]:
    """The ids of the checks that a word names: an id, or a theme; empty: none."""
    ids = frozenset(each.id for each in checks if word in (each.id, theme_of(each)))
    return ids | (frozenset(AFTER) if word == "packages" else {word} & set(AFTER))


def choose(words: Sequence[str], others: Sequence[Check] = ()) -> frozenset[str]:
    """The ids of the checks that `words` name: ids, themes and `all`; `-` before one leaves it out.

    Only words with `-`, or none: all other checks. An interrupted transaction is always reported.

    :param others: checks of other distributions (`plugins`).
    :raises UsageError: `unknown-check`.
    """
    every = (*CHECKS, *others)
    wanted: set[str] = set()
    unwanted: set[str] = set()
    for word in words:
        name = word.removeprefix("-")
        named = kinds_of(name, every) if name != "all" else frozenset((*AFTER, *(each.id for each in every)))
        if not named:
            raise _unknown(name, every)
        (unwanted if word.startswith("-") else wanted).update(named)
    return frozenset((wanted or {*AFTER, *(each.id for each in every)}) - unwanted | {INTERRUPTED})


def _unknown(name: str, every: Sequence[Check]) -> UsageError:
    known = {*AFTER, *(each.id for each in every), *(theme_of(each) for each in every)}
    return UsageError(
        "unknown-check",
        f"there is no check {name!r}",
        hint=did_you_mean(name, known) or "`bridge audit --checks` lists them",
    )
