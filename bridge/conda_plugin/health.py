"""The health check of `conda doctor`: what `bridge audit` finds in the environment."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from bridge.conda_plugin.child import ask, call

__all__ = ["check", "fix", "summary"]

_OK, _BAD = "\N{WHITE HEAVY CHECK MARK}", "\N{CROSS MARK}"  # as conda's own checks mark theirs
_LEVELS = ("error", "warning")  # what is only worth knowing makes no environment ill


def check(prefix: str, verbose: bool) -> None:
    """Print the findings: one line for each kind of a package, or with `verbose` one for each path."""
    answer = ask(["audit", "-p", prefix, "--fail-on", "never"])
    findings = (answer.document or {}).get("findings")
    if not isinstance(findings, list):
        sys.stdout.write(f"{_BAD} bridge could not examine the environment:\n{answer.complaint}\n\n")
        return
    sys.stdout.write(summary(findings, prefix, verbose=verbose))


def fix(prefix: str, args: object, confirm: Callable[[str], None]) -> int:  # noqa: ARG001 - as conda calls it
    """Run `bridge audit --fix` after conda asked the person; returns its exit status.

    :param confirm: raises conda's `CondaSystemExit` (declined) or `DryRunExit`.
    """
    confirm(f"Let bridge repair what it safely can in {prefix}?")
    return call(["audit", "-p", prefix, "--fix"], os.environ)


def summary(findings: Sequence[Mapping[str, object]], prefix: str, *, verbose: bool) -> str:
    """The text of the check."""
    told = [each for each in findings if each["level"] in _LEVELS]
    if not told:
        return f"{_OK} bridge: every file has its owner and every need is met.\n\n"
    levels = Counter(str(each["level"]) for each in told)
    counts = ", ".join(f"{levels[level]} {level}{'s' * (levels[level] > 1)}" for level in _LEVELS if levels[level])
    lines = [f"{_BAD} bridge: {counts}\n"]
    if verbose:
        lines += [f"{_head(each)}: {each.get('path') or ''} {each['evidence']}".replace(":  ", ": ") for each in told]
    else:
        groups = Counter(_head(each) for each in told)
        lines += [f"{head}: {count}" for head, count in groups.items()]
    if any(_is_fixable(each) for each in told):
        lines.append(f"\nRepair with: conda bridge audit -p {prefix} --fix")
    return "\n".join(lines) + "\n\n"


def _head(finding: Mapping[str, object]) -> str:
    return " ".join(str(part) for part in (finding["level"], finding["id"], finding.get("package")) if part)


def _is_fixable(finding: Mapping[str, object]) -> bool:
    repair = finding.get("repair")
    return isinstance(repair, list) and repair[:2] == ["bridge", "audit"] and "--fix" in repair
