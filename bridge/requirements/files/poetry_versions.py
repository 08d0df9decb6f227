"""Poetry's version constraints (`^1.2`, `~1.2`, `1.2.*`) as PEP 440 specifiers, and its `python` as a marker."""

from __future__ import annotations

import re

from packaging.specifiers import SpecifierSet
from packaging.version import Version

__all__ = ["marker_of_platform", "marker_of_python", "specifier_of"]

_CLAUSE = re.compile(r"\s*(?P<operator>\^|~=|~|===|==|!=|>=|<=|>|<|=)?\s*(?P<version>[^\s,^~=!<>|]+)\s*,?")


def specifier_of(constraint: str) -> str:
    """Return a PEP 440 specifier. Raises `ValueError` for alternatives (`||`), and for what is no constraint."""
    if "|" in constraint or re.search(r"\bor\b", constraint):
        raise ValueError("alternatives (`||`) have no PEP 440 form: give one range")
    specifier = ",".join(_clauses(constraint))
    SpecifierSet(specifier)
    return specifier


def _clauses(constraint: str) -> list[str]:
    text = constraint.strip()
    if text in {"", "*"}:
        return []
    clauses: list[str] = []
    position = 0
    while position < len(text):
        clause = _CLAUSE.match(text, position)
        if clause is None:
            raise ValueError(f"{constraint!r} is not a version constraint")
        position = clause.end()
        clauses += _clause(clause["operator"] or "", clause["version"])
    return clauses


def _clause(operator: str, version: str) -> list[str]:
    if version == "*":
        return []
    if operator in {"^", "~"}:
        release = Version(version.removesuffix(".*")).release
        kept = _kept_by_caret(release) if operator == "^" else min(len(release), 2)
        upper = [*release[: kept - 1], release[kept - 1] + 1]
        return [f">={version.removesuffix('.*')}", f"<{'.'.join(map(str, upper))}"]
    if operator in {"", "="}:
        return [f"=={version}"]
    return [f"{operator}{version}"]


def _kept_by_caret(release: tuple[int, ...]) -> int:
    """Return the number of parts up to the first that is not zero, which may not change."""
    return next((place for place, part in enumerate(release, 1) if part), len(release))


def marker_of_python(constraint: str) -> str:
    """Return a constraint on the python as a marker; `""` for any. Raises `ValueError`."""
    alternatives = []
    for alternative in re.split(r"\|\|?|\bor\b", constraint):
        clauses = [_python_clause(clause) for clause in _clauses(alternative)]
        if not clauses:
            return ""
        alternatives.append(" and ".join(clauses))
    return alternatives[0] if len(alternatives) == 1 else " or ".join(f"({each})" for each in alternatives)


def _python_clause(clause: str) -> str:
    operator, version = re.split(r"(?<=[=<>!~])(?=[^=<>!~])", clause, maxsplit=1)
    is_minor = len(version.removesuffix(".*").split(".")) <= 2
    variable = "python_version" if is_minor else "python_full_version"
    if is_minor and not version.endswith(".*") and "." not in version:
        version = f"{version}.0"
    return f'{variable} {operator} "{version}"'


def marker_of_platform(platform: str) -> str:
    """Return a `sys.platform` as a marker."""
    if not re.fullmatch(r"[a-z0-9]+", platform):
        raise ValueError(f"{platform!r} is not a value of sys.platform")
    return f'sys_platform == "{platform}"'
