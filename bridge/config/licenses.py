"""Rules on licences, and the licences that break them: SPDX expressions, and the names that older metadata has. Pure.

Source: the SPDX specification 2.3, annex D. `AND` needs each side and `OR` one of them. An exception (`WITH`) only
adds permissions, so allowing a licence allows it with any exception, and denying it does not deny it with one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from converters.deferred import dataclass
from converters.descriptions import spdx_expression

__all__ = ["UNKNOWN", "LicenseRules"]

UNKNOWN = "NOASSERTION"
"""The word for packages that state no licence (SPDX)."""

_TOKEN = re.compile(r"[()]|[^\s()]+")
_GNU = re.compile(r"(a?gpl|lgpl|gfdl)-[\d.]+\Z")
_SYNTAX = frozenset({"(", ")", "and", "or"})
_BINDING = {"and": 2, "or": 1}
_OTHER_NAME = re.compile(r"[*?]|licenseref-", re.IGNORECASE)

_Broken = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseRules:
    """Which licences packages may have. A rule is an SPDX identifier, also with an exception, or a pattern (`GPL-*`).

    :param allow: empty: all that `deny` does not name. `deny` wins.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for a rule that is no SPDX licence and no pattern: it would match nothing."""
        for rule in (*self.allow, *self.deny):
            if rule != UNKNOWN and not _OTHER_NAME.search(rule) and len(list(_terms(spdx_expression(rule) or ""))) != 1:
                raise ValueError(
                    f"{rule!r} is not an SPDX licence; write one rule for each, and a pattern with * for other names"
                )

    def problem(self, stated: str | None) -> str | None:
        """Return why a package with this licence breaks the rules, as the end of a sentence; `None`: it does not."""
        if stated is None or stated == UNKNOWN:
            if UNKNOWN in self.deny or (self.allow and UNKNOWN not in self.allow):
                return "no licence is stated"
            return None
        broken = self._broken(stated)
        if not broken:
            return None
        denied = tuple(term for term in broken if self._is_denied(term))
        named = tuple(dict.fromkeys(denied or broken))
        verb = "is" if len(named) == 1 else "are"
        return f"{' and '.join(named)} {verb} {'denied' if denied else 'not among the allowed licences'}"

    def _broken(self, text: str) -> _Broken:
        """The terms that break the rules, and cannot be avoided by a choice that `OR` gives."""
        values: list[_Broken] = []
        operators: list[str] = []

        def apply() -> None:
            operator, right, left = operators.pop(), values.pop(), values.pop()
            values.append(() if operator == "or" and not (left and right) else (*left, *right))

        for token in _terms(text):
            word = token.lower()
            if word == "(":
                operators.append(word)
            elif word == ")":
                while operators[-1] != "(":
                    apply()
                operators.pop()
            elif word in _BINDING:
                while operators and _BINDING.get(operators[-1], 0) >= _BINDING[word]:
                    apply()
                operators.append(word)
            else:
                values.append(() if self._permits(token) else (token,))
        while operators:
            apply()
        return values[0] if values else ()

    def _permits(self, term: str) -> bool:
        is_allowed = not self.allow or any(_covers(rule, term, with_exception=True) for rule in self.allow)
        return is_allowed and not self._is_denied(term)

    def _is_denied(self, term: str) -> bool:
        return any(_covers(rule, term, with_exception=False) for rule in self.deny)


def _terms(text: str) -> Iterator[str]:
    """The licences (each with its exception), operators and parentheses of an expression, or else the names in it.

    Names that are joined by commas are of classifiers, which do not say whether all hold.
    """
    expression = spdx_expression(text)
    if expression is None:
        names = [name for each in text.split(",") if (name := each.strip()) and name.lower() not in _SYNTAX]
        for place, name in enumerate(names):
            yield from ("AND", spdx_expression(name) or name)[not place :]
        return
    words: list[str] = []
    for token in _TOKEN.findall(expression):
        if token.lower() in _SYNTAX:
            yield from (" ".join(words),) if words else ()
            words = []
            yield token
        else:
            words.append(token)
    yield from (" ".join(words),) if words else ()


def _covers(rule: str, term: str, *, with_exception: bool) -> bool:
    """Return whether a rule covers a licence.

    :param with_exception: a rule without an exception covers the licence with any.
    """
    wanted, needed = _parts(rule)
    known, exception = _parts(term)
    if exception != needed and not (needed and fnmatchcase(exception, needed)) and (needed or not with_exception):
        return False
    return any(fnmatchcase(each, wanted) for each in _choices(known, is_later=with_exception))


def _choices(known: str, *, is_later: bool) -> Sequence[str]:
    """The licence, and that of the stated version if later ones may be chosen too."""
    if is_later and known.endswith("-or-later"):
        return (known, f"{known.removesuffix('-or-later')}-only")
    return (known, known.removesuffix("+")) if known.endswith("+") else (known,)


def _parts(text: str) -> tuple[str, str]:
    """The licence in lower case with the current spelling of GNU's, and the exception."""
    known, _, exception = text.lower().partition(" with ")
    known = known.strip()
    if _GNU.match(known):
        known += "-only"
    elif known.endswith("+") and _GNU.match(known[:-1]):
        known = f"{known[:-1]}-or-later"
    return known, exception.strip()
