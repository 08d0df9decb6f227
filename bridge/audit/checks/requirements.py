"""Checks of what installed packages ask of each other, in both directions between the ecosystems.

A conda record's `depends` and `constrains` are judged by conda's version order on every package of that name, a wheel's
included; a dist-info's Requires-Dist by PEP 440 on the dist-infos, else on the conda packages that carry the project.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from bridge.audit.checks import repair
from bridge.audit.claims import Owner
from bridge.audit.dependencies import (
    InstalledProvider,
    RequiresDist,
    applicable_requirements,
    providers_by_name,
    providers_by_project,
)
from bridge.audit.finding import Finding, Level
from bridge.audit.view import View
from bridge.errors import UsageError
from bridge.model import Distribution
from bridge.requirements import algebra
from bridge.requirements.algebra import CondaSpec, Requirement
from converters.target import Target
from converters.wheel import written_tags

__all__ = ["requires_python", "unmet_requirement", "wheel_tag", "yanked_version"]

# Newer than any glibc: of a Linux target that does not say its own, no wheel is refused for it.
_ANY_GLIBC = ("__glibc", "2.99", "0")

Providers = Mapping[str, list[InstalledProvider]]


def unmet_requirement(view: View) -> Iterator[Finding]:
    """A requirement of an installed package that no installed package meets, or that one of them contradicts."""
    named = providers_by_name(view.records)
    for owner in view.claims.recorded:
        if owner.installed is not None and owner.source == "conda":
            for text in owner.installed.record.requirements:
                yield from _judge_spec(view, owner, text, named, is_needed=True)
            for text in owner.installed.record.constraints:
                yield from _judge_spec(view, owner, text, named, is_needed=False)
    projects = providers_by_project(view.records)
    for each in applicable_requirements(view.records):
        if not _is_stale(view, each.distribution):
            yield from _judge_asked(view, each, projects)


def _is_stale(view: View, distribution: Distribution | None) -> bool:
    """Whether an upgrade left a dist-info behind, of which `duplicate-distribution` tells all there is to tell."""
    return distribution is not None and distribution.path in view.stale and not view.claims.coverage[distribution.path]


def requires_python(view: View) -> Iterator[Finding]:
    """A distribution whose Requires-Python the prefix's python does not meet."""
    python = view.target.python
    for distribution in view.records.importable if python else ():
        specifier = algebra.python_specifier(distribution.requires_python or "")
        if python is None or specifier is None or algebra.specifier_accepts(specifier, python.version):
            continue
        owner = view.claims.answering[distribution.path]
        yield Finding(
            id="requires-python",
            level="info" if owner.source == "conda" else "error",
            package=owner.package,
            path=distribution.path,
            owner=owner.label,
            evidence=f"it is made for python {distribution.requires_python}; here is python {python.version}",
            repair=_again(view, distribution, owner),
        )


def wheel_tag(view: View) -> Iterator[Finding]:
    """An installed wheel none of whose tags fits the platform and the python (conda packages have a subdir instead)."""
    target = _taggable(view.target)
    fitting = {str(tag) for tag in target.tags()} if target.python else set()
    for distribution in view.records.importable if fitting else ():
        owner = view.claims.answering[distribution.path]
        tags = {str(tag) for tag in written_tags(distribution.tags)}
        if owner.source == "conda" or not tags or tags & fitting or target.python is None:
            continue
        yield Finding(
            id="wheel-tag",
            level="error",
            package=owner.package,
            path=distribution.path,
            owner=owner.label,
            evidence=f"its tags are {', '.join(sorted(tags))}; none of them runs on {target.subdir} with python "
            f"{target.python.version}",
            repair=_again(view, distribution, owner),
        )


def yanked_version(view: View) -> Iterator[Finding]:
    """A version that its project took back from the index (PEP 592). Found only where an index was asked."""
    for distribution in view.state.distributions:
        reason = view.inspection.yanked.get(distribution.path)
        if reason is None:
            continue
        owner = view.claims.answering[distribution.path]
        yield Finding(
            id="yanked-version",
            level="warning",
            package=owner.package,
            path=distribution.path,
            owner=owner.label,
            evidence=f"{distribution.name} {distribution.version} was yanked" + (f": {reason}" if reason else ""),
            repair=_again(view, distribution, owner),
        )


def _taggable(target: Target) -> Target:
    is_unknown = target.subdir.startswith("linux-") and not target.virtual_packages
    return replace(target, virtual_packages=(_ANY_GLIBC,)) if is_unknown else target


def _again(view: View, distribution: Distribution, owner: Owner) -> tuple[str, ...]:
    """The command that puts another build or version of a project there."""
    if owner.source == "unmanaged":
        return repair.pip(view, "install", "--upgrade", "--force-reinstall", distribution.name)
    return repair.update(view, owner.package)


# --- what conda records ask -------------------------------------------------------------------------------------------


def _judge_spec(view: View, owner: Owner, text: str, named: Providers, *, is_needed: bool) -> Iterator[Finding]:
    try:
        spec = algebra.parse_conda(text)
        if spec.condition is not None and not _holds(algebra.parse_conda(spec.condition), named):
            return
    except UsageError as error:
        if "when=" not in text:  # A condition with `and` and `or` is left to the solver.
            yield _unmet(owner, "info", f"its requirement {text!r} cannot be read: {error.message}")
        return
    said = f"it requires {text!r}" if is_needed else f"it excludes all but {text!r}"
    if spec.name.startswith("__"):
        yield from _judge_virtual(view, owner, spec, said, is_needed=is_needed)
        return
    providers = named.get(spec.name, [])
    command = repair.satisfy_conda(view, text)
    if not providers and is_needed and spec.name not in view.unread:
        yield _unmet(owner, "error", f"{said}; no installed package is one", command)
    for provider in providers:
        if not _accepts(spec, provider) and not _is_stale(view, provider.owner.distribution):
            yield _unmet(owner, "error", f"{said}; installed is {provider.label}", command, provider.owner)


def _judge_virtual(view: View, owner: Owner, spec: CondaSpec, said: str, *, is_needed: bool) -> Iterator[Finding]:
    """Virtual packages belong to the machine, not to the prefix: one it lacks now (`__cuda`) it may have elsewhere."""
    if not view.target.virtual_packages:
        return
    version = view.target.virtual(spec.name)
    if version is None and is_needed:
        yield _unmet(owner, "warning", f"{said}; this machine has none")
    elif version is not None and not spec.accepts_version(version):
        yield _unmet(owner, "error", f"{said}; this machine has {version}")


def _holds(condition: CondaSpec, named: Providers) -> bool:
    return any(_accepts(condition, provider) for provider in named.get(condition.name, ()))


def _accepts(spec: CondaSpec, provider: InstalledProvider) -> bool:
    """Judge version and build by conda's order. From which channel it came binds a solver, not an environment."""
    if not spec.accepts_version(provider.version):
        return False
    if not provider.is_of_conda:
        return spec.build is None and spec.build_number is None
    return replace(spec, channel=None, subdir=None).accepts_build(provider.build, provider.build_number)


# --- what dist-infos ask ----------------------------------------------------------------------------------------------


def _judge_asked(view: View, each: RequiresDist, named: Providers) -> Iterator[Finding]:
    """Judge a Requires-Dist. A conda package is bound by its `depends`: what its dist-info says besides is no fault."""
    owner = view.claims.answering[each.distribution.path]
    requirement = each.requirement
    if requirement is None:
        yield _unmet(owner, "info", f"its requirement {each.text!r} cannot be read")
        return
    is_binding = owner.source != "conda" or bool(each.extra)
    said = f"it requires {each.text!r}" + (f", for its extra {each.extra!r} that was asked for" if each.extra else "")
    command = repair.satisfy_wheel(view, _without_marker(requirement))
    providers = named.get(requirement.name, [])
    native = view.records.names.native_name(requirement.name)
    if not providers and view.unread.isdisjoint({requirement.name, native}):
        where = _elsewhere(view, requirement.name)
        level: Level = "error" if is_binding and not where else "info"
        yield _unmet(owner, level, f"{said}; no installed package is one{where}", command)
    for provider in providers:
        if requirement.specifier is None or algebra.specifier_accepts(requirement.specifier, provider.version):
            continue
        if _is_stale(view, provider.owner.distribution):
            continue
        level = "error" if is_binding else "info" if provider.is_of_conda else "warning"
        yield _unmet(owner, level, f"{said}; installed is {provider.label}", command, provider.owner)


def _elsewhere(view: View, project: str) -> str:
    """Where python may find a project that is not installed here; empty: nowhere."""
    if view.inspection.venv.get("include-system-site-packages", "").lower() == "true":
        return "; it may be among the packages of the python that this environment leans on"
    around = view.inspection.surroundings
    return f"; {around.user_site} has one" if project in around.user_projects else ""


def _without_marker(requirement: Requirement) -> str:
    extras = f"[{','.join(requirement.extras)}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier or ''}"


def _unmet(
    owner: Owner, level: Level, evidence: str, command: tuple[str, ...] = (), by: Owner | None = None
) -> Finding:
    installed, distribution = owner.installed, owner.distribution
    return Finding(
        id="unmet-requirement",
        level=level,
        package=owner.package,
        path=installed.meta_path if installed else distribution.path if distribution else None,
        owner=owner.label,
        by=by.label if by else None,
        evidence=evidence,
        repair=command,
    )
