"""The health check of `conda doctor`: the findings of `bridge audit`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from bridge.conda_plugin.child import ask, call
from bridge.paths import quoted

__all__ = ["check", "fix", "summary"]

_OK, _BAD = "\N{WHITE HEAVY CHECK MARK}", "\N{CROSS MARK}"  # the marks of conda's own checks
_LEVELS = ("error", "warning")  # level `info` is no problem


def check(prefix: str, verbose: bool) -> None:
    """Print the findings: a line for each kind and package; with `verbose`, for each path."""
    answer = ask(["audit", "-p", prefix, "--fail-on", "never"])
    findings = (answer.document or {}).get("findings")
    if not isinstance(findings, list):
        sys.stdout.write(f"{_BAD} bridge could not check the environment:\n{answer.complaint}\n\n")
        return
    sys.stdout.write(summary(findings, prefix, verbose=verbose))


def fix(prefix: str, args: object, confirm: Callable[[str], None]) -> int:  # noqa: ARG001 - conda's signature
    """Ask through conda, run `bridge audit --fix`, and return its exit status.

    :param confirm: raises conda's `CondaSystemExit` (declined) or `DryRunExit`.
    """
    confirm(f"Let bridge repair what is safe to repair in {prefix}?")
    return call(["audit", "-p", prefix, "--fix"], os.environ)


def summary(findings: Sequence[Mapping[str, object]], prefix: str, *, verbose: bool) -> str:
    """The text of the check."""
    problems = [each for each in findings if each["level"] in _LEVELS]
    if not problems:
        return f"{_OK} bridge: every file has an owner and every requirement is satisfied.\n\n"
    levels = Counter(str(each["level"]) for each in problems)
    counts = ", ".join(f"{levels[level]} {level}{'s' * (levels[level] > 1)}" for level in _LEVELS if levels[level])
    lines = [f"{_BAD} bridge: {counts}\n"]
    if verbose:
        lines += [
            f"{_head(each)}: {each.get('path') or ''} {each['evidence']}".replace(":  ", ": ") for each in problems
        ]
    else:
        groups = Counter(_head(each) for each in problems)
        lines += [f"{head}: {count}" for head, count in groups.items()]
    if any(_is_fixable(each) for each in problems):
        lines.append(f"\nRepair with: conda bridge audit -p {quoted(prefix)} --fix")
    return "\n".join(lines) + "\n\n"


def _head(finding: Mapping[str, object]) -> str:
    return " ".join(str(part) for part in (finding["level"], finding["id"], finding.get("package")) if part)


def _is_fixable(finding: Mapping[str, object]) -> bool:
    repair = finding.get("repair")
    return isinstance(repair, list) and repair[:2] == ["bridge", "audit"] and "--fix" in repair
