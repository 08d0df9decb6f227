"""Checks of settings, as `conda doctor` has: pins, variables, certificates, locks. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.audit.checks import repair
from bridge.audit.checks.requirements import accepts
from bridge.audit.dependencies import providers_by_name
from bridge.audit.finding import Finding
from bridge.audit.view import View
from bridge.errors import UsageError
from bridge.prefix.pinned import PINNED
from bridge.requirements import algebra


def broken_setting(view: View) -> Iterator[Finding]:
    """A file of settings that conda's clients cannot read: they fail with it, in part only at activation."""
    for path, problem in view.inspection.settings.problems.items():
        owner = view.owner(path)
        commands = repair.restore(view, owner) if owner is not None else repair.set_aside(view, path)
        yield Finding.of(owner, "broken-setting", "error", path, problem, repair=commands)
    for line in view.inspection.settings.pinned:
        try:
            algebra.conda_requirement(line)
        except UsageError as error:
            evidence = f"its line {line[:120]!r} is not a MatchSpec, so no change can be solved: {error.message}"
            yield Finding.of(None, "broken-setting", "error", PINNED, evidence)


def unmet_pin(view: View) -> Iterator[Finding]:
    """An installed package that `conda-meta/pinned` excludes: another tool ignored it, or it was written later."""
    named = providers_by_name(view.records) if view.inspection.settings.pinned else {}
    for line in view.inspection.settings.pinned:
        try:
            requirement = algebra.conda_requirement(line)
        except UsageError:
            continue
        for record in named.get(requirement.name, ()):
            spec = requirement.conda
            is_wheel = spec is not None and not record.is_of_conda and spec.accepts_version(record.version)
            if spec is not None and not is_wheel and not accepts(spec, record):
                evidence = f"{PINNED} has {line!r}; installed is {record.label}"
                commands = repair.update(view, record.owner.package) if record.owner.installed is not None else ()
                yield Finding.of(record.owner, "unmet-pin", "warning", PINNED, evidence, repair=commands)


def missing_certificates(view: View) -> Iterator[Finding]:
    """A variable that names certificates which do not exist: every download over https fails."""
    for variable, (value, where, problem) in view.inspection.settings.certificates.items():
        evidence = f"{variable} names {value}, which {problem}"
        evidence += f"; {where} sets it when the environment is activated" if where else ""
        commands = () if where else ("unset", variable)
        yield Finding.of(None, "missing-certificates", "warning", where or None, evidence, repair=commands)


def no_file_locks(view: View) -> Iterator[Finding]:
    """A file system without locks: two programs can change the environment at the same time."""
    if view.inspection.settings.without_locks:
        evidence = f"its file system cannot lock files: {view.inspection.settings.without_locks}"
        yield Finding.of(None, "no-file-locks", "warning", None, evidence)
