"""Which licences are allowed: SPDX expressions judged by lists of identifiers. Pure.

Source: the SPDX specification, annex "SPDX license expressions". `AND` needs all operands, `OR` one of them, and
`X WITH Y` is a licence of its own, which `X` in a list covers too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from converters.descriptions import license_name

__all__ = ["LicenseRules"]

_TOKEN = re.compile(r"[()]|[^\s()]+")
_DEPTH = 50  # of parentheses


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseRules:
    """The licences that packages may have.

    :param allow: SPDX identifiers, in any case, and patterns (`LGPL-*`); empty: all that are not denied.
    :param deny: the same; they beat `allow`.
    :param allows_unknown: whether a package that states no licence passes; `None`: if no `allow` is given.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    allows_unknown: bool | None = None

    def problem(self, stated: str | None) -> str | None:
        """Return why a package with this licence is refused; `None`: it is not.

        :param stated: an SPDX expression, or the short name that METADATA or a conda record gives.
        """
        expression = license_name(stated, None, ()) or (stated or "").strip()
        if not expression or expression.lower() in {"unknown", "noassertion", "none"}:
            allows = self.allows_unknown if self.allows_unknown is not None else not self.allow
            return None if allows else "it states no licence"
        if _holds(expression, self):
            return None
        denied = [each for each in _licenses(expression) if _listed(each, self.deny)]
        return f"its licence {expression} is " + (f"denied ({', '.join(denied)})" if denied else "not allowed")

    def accepts(self, license_id: str) -> bool:
        """Return whether one licence, which may have an exception (`GPL-2.0-only WITH …`), is allowed."""
        return not _listed(license_id, self.deny) and (not self.allow or _listed(license_id, self.allow))


def _listed(license_id: str, patterns: Sequence[str]) -> bool:
    names = (license_id.lower(), license_id.partition(" WITH ")[0].lower())
    return any(fnmatchcase(name, pattern.lower()) for pattern in patterns for name in names)


@lru_cache(maxsize=1024)
def _holds(expression: str, rules: LicenseRules) -> bool:
    """Return whether the rules accept an expression. A text that is none counts as the name of one licence."""
    tokens = _Tokens(expression)
    try:
        found = _any(tokens, rules, 0)
    except ValueError:
        return rules.accepts(expression)
    return found if tokens.left == [] else rules.accepts(expression)


def _licenses(expression: str) -> Iterator[str]:
    for part in re.split(r"\s+(?:and|or)\s+", expression, flags=re.IGNORECASE):
        yield part.strip("() ")


class _Tokens:
    def __init__(self, expression: str) -> None:
        self.left: list[str] = _TOKEN.findall(expression)[::-1]

    def take(self, *words: str) -> bool:
        """Take the next token if it is one of `words`."""
        if self.left and self.left[-1].upper() in words:
            self.left.pop()
            return True
        return False

    def name(self) -> str:
        """Take a licence's identifier. Raises `ValueError`."""
        if not self.left or self.left[-1].upper() in {"AND", "OR", "WITH", "(", ")"}:
            raise ValueError("an identifier was expected")
        return self.left.pop()


def _any(tokens: _Tokens, rules: LicenseRules, depth: int) -> bool:
    found = _all(tokens, rules, depth)
    while tokens.take("OR"):
        found |= _all(tokens, rules, depth)
    return found


def _all(tokens: _Tokens, rules: LicenseRules, depth: int) -> bool:
    found = _one(tokens, rules, depth)
    while tokens.take("AND"):
        found &= _one(tokens, rules, depth)
    return found


def _one(tokens: _Tokens, rules: LicenseRules, depth: int) -> bool:
    if tokens.take("("):
        if depth == _DEPTH:
            raise ValueError("too many parentheses")
        found = _any(tokens, rules, depth + 1)
        if not tokens.take(")"):
            raise ValueError("a parenthesis is missing")
        return found
    name = tokens.name()
    return rules.accepts(f"{name} WITH {tokens.name()}" if tokens.take("WITH") else name)
