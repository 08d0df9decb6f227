"""Checks of what installed packages require of each other, within and between the ecosystems. Pure.

A conda record's `depends` and `constrains` are judged by conda's version order on every package of that name, wheels
included; a dist-info's Requires-Dist by PEP 440 on the dist-infos, or else on the conda packages that provide the
project.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bridge.audit.checks import repair
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
from bridge.prefix.claims import Owner
from bridge.requirements import algebra
from bridge.requirements.algebra import CondaSpec, Requirement
from converters.deferred import replace
from converters.target import Target
from converters.wheel import written_tags

# Newer than any glibc: if the glibc of a Linux target is unknown, it fails no wheel.
_ANY_SYSTEM = {"linux": ("__glibc", "2.99", "0"), "osx": ("__osx", "99.0", "0")}

Providers = Mapping[str, list[InstalledProvider]]


def unmet_requirement(view: View) -> Iterator[Finding]:
    """A requirement of an installed package that no installed package meets, or that one contradicts."""
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
            yield from _judge_requires_dist(view, each, projects)


def _is_stale(view: View, distribution: Distribution | None) -> bool:
    """Whether an upgrade left the dist-info behind: only `duplicate-distribution` reports it."""
    return distribution is not None and distribution.path in view.stale and not view.claims.coverage[distribution.path]


def requires_python(view: View) -> Iterator[Finding]:
    """A distribution whose Requires-Python the prefix's python does not meet; info for one that cannot be read.

    uv calls a distribution with some of these broken (networkdays #28).
    """
    python = view.target.python
    for distribution in view.records.importable if python else ():
        specifier = algebra.python_specifier(distribution.requires_python or "")
        owner = view.claims.answering[distribution.path]
        if specifier is None:
            evidence = f"its Requires-Python {distribution.requires_python!r} cannot be read"
            yield Finding.of(owner, "requires-python", "info", distribution.path, evidence)
            continue
        if python is None or algebra.specifier_accepts(specifier, python.version):
            continue
        level: Level = "info" if owner.source == "conda" else "error"
        evidence = f"it requires python {distribution.requires_python}; python {python.version} is installed"
        yield _misfit(view, "requires-python", level, distribution, evidence)


def wheel_tag(view: View) -> Iterator[Finding]:
    """An installed wheel without a tag for this platform and python (conda packages have a subdir instead)."""
    target = _taggable(view.target)
    fitting = {str(tag) for tag in target.tags()} if target.python else set()
    for distribution in view.records.importable if fitting else ():
        owner = view.claims.answering[distribution.path]
        tags = {str(tag) for tag in written_tags(distribution.tags)}
        if owner.source == "conda" or not tags or tags & fitting or target.python is None:
            continue
        here = f"{target.subdir} with python {target.python.version}"
        evidence = f"its tags are {', '.join(sorted(tags))}; none fits {here}"
        yield _misfit(view, "wheel-tag", "error", distribution, evidence)


def yanked_version(view: View) -> Iterator[Finding]:
    """A version that its project yanked from the index (PEP 592). Reported only with `--online`."""
    for distribution in view.state.distributions:
        reason = view.inspection.yanked.get(distribution.path)
        if reason is not None:
            evidence = f"{distribution.name} {distribution.version} was yanked" + (f": {reason}" if reason else "")
            yield _misfit(view, "yanked-version", "warning", distribution, evidence)


def project_status(view: View) -> Iterator[Finding]:
    """A project whose index says that it is archived, deprecated or quarantined (PEP 792). Only with `--online`."""
    for distribution in view.state.distributions:
        word, reason = view.inspection.statuses.get(distribution.path, ("", ""))
        if not word:
            continue
        owner = view.claims.answering[distribution.path]
        level: Level = "error" if word == "quarantined" else "warning"
        evidence = f"{distribution.name} is {word} on its index: {reason}"
        yield Finding.of(owner, "project-status", level, distribution.path, evidence)


def _taggable(target: Target) -> Target:
    newest = _ANY_SYSTEM.get(target.subdir.partition("-")[0])
    return target if newest is None or target.virtual_packages else replace(target, virtual_packages=(newest,))


def _misfit(view: View, name: str, level: Level, distribution: Distribution, evidence: str) -> Finding:
    """A distribution that another build or version of its project should replace."""
    owner = view.claims.answering[distribution.path]
    commands = repair.replace_build(view, owner)
    return Finding.of(owner, name, level, distribution.path, evidence, repair=commands)


# --- requirements of conda records ------------------------------------------------------------------------------------


def _judge_spec(view: View, owner: Owner, text: str, named: Providers, *, is_needed: bool) -> Iterator[Finding]:
    try:
        spec = algebra.parse_conda(text)
        if spec.condition is not None and not _holds(algebra.parse_conda(spec.condition), named):
            return
    except UsageError as error:
        if "when=" not in text:  # Conditions with `and` and `or` are not evaluated here.
            yield _unmet(owner, "info", f"its requirement {text!r} cannot be read: {error.message}")
        return
    sentence = f"it requires {text!r}" if is_needed else f"it excludes all but {text!r}"
    if spec.name.startswith("__"):
        yield from _judge_virtual(view, owner, spec, sentence, is_needed=is_needed)
        return
    providers = named.get(spec.name, [])
    command = repair.satisfy_conda(view, text)
    if not providers and is_needed and spec.name not in view.unread:
        yield _unmet(owner, "error", f"{sentence}; no installed package provides it", command)
    for provider in providers:
        if not accepts(spec, provider) and not _is_stale(view, provider.owner.distribution):
            way = _way(view, provider, command)
            yield _unmet(owner, "error", f"{sentence}; installed is {provider.label}", way, provider.owner)


def _judge_virtual(view: View, owner: Owner, spec: CondaSpec, sentence: str, *, is_needed: bool) -> Iterator[Finding]:
    """Virtual packages describe the machine, not the prefix: one that is absent here (`__cuda`) may exist elsewhere."""
    if not view.target.virtual_packages:
        return
    version = view.target.virtual(spec.name)
    if version is None and is_needed:
        yield _unmet(owner, "warning", f"{sentence}; this machine does not have it")
    elif version is not None and not spec.accepts_version(version):
        yield _unmet(owner, "error", f"{sentence}; this machine has {version}")


def _holds(condition: CondaSpec, named: Providers) -> bool:
    return any(accepts(condition, provider) for provider in named.get(condition.name, ()))


def accepts(spec: CondaSpec, provider: InstalledProvider) -> bool:
    """Whether a package is what a MatchSpec names, by conda's order. The channel binds a solver, not an environment."""
    if not spec.accepts_version(provider.version):
        return False
    if not provider.is_of_conda:
        return spec.build is None and spec.build_number is None
    return replace(spec, channel=None, subdir=None).accepts_build(provider.build, provider.build_number)


# --- requirements of dist-infos ---------------------------------------------------------------------------------------


def _judge_requires_dist(view: View, each: RequiresDist, named: Providers) -> Iterator[Finding]:
    """Judge a Requires-Dist. For a conda package `depends` binds, and what its dist-info adds is only info."""
    owner = view.claims.answering[each.distribution.path]
    requirement = each.requirement
    if requirement is None:
        yield _unmet(owner, "info", f"its requirement {each.text!r} cannot be read")
        return
    is_binding = owner.source != "conda" or bool(each.extra)
    sentence = f"it requires {each.text!r}" + (f", for its requested extra {each.extra!r}" if each.extra else "")
    command = repair.satisfy_wheel(view, _without_marker(requirement))
    providers = named.get(requirement.name, [])
    native = view.records.names.native_name(requirement.name)
    if not providers and view.unread.isdisjoint({requirement.name, native}):
        where = _elsewhere(view, requirement.name)
        level: Level = "error" if is_binding and not where else "info"
        yield _unmet(owner, level, f"{sentence}; no installed package provides it{where}", command)
    for provider in providers:
        if requirement.specifier is None or algebra.specifier_accepts(requirement.specifier, provider.version):
            continue
        if _is_stale(view, provider.owner.distribution):
            continue
        level = "error" if is_binding else "info" if provider.is_of_conda else "warning"
        way = _way(view, provider, command)
        yield _unmet(owner, level, f"{sentence}; installed is {provider.label}", way, provider.owner)


def _way(view: View, provider: InstalledProvider, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command for a provider that does not fit; what pip put there has to be adopted before it is replaced."""
    other = provider.owner.distribution
    return command if provider.owner.installed is not None or other is None else repair.adopt(view, other) or command


def _elsewhere(view: View, project: str) -> str:
    """Where else python may find a project, as the end of a sentence; empty: nowhere."""
    if view.inspection.venv.get("include-system-site-packages", "").lower() == "true":
        return "; the python that this environment is based on may have it"
    around = view.inspection.surroundings
    return f"; {around.user_site} has it" if project in around.user_projects else ""


def _without_marker(requirement: Requirement) -> str:
    extras = f"[{','.join(requirement.extras)}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier or ''}"


def _unmet(
    owner: Owner, level: Level, evidence: str, command: tuple[str, ...] = (), by: Owner | None = None
) -> Finding:
    installed, distribution = owner.installed, owner.distribution
    path = installed.meta_path if installed else distribution.path if distribution else None
    return Finding.of(owner, "unmet-requirement", level, path, evidence, by=by, repair=command)
