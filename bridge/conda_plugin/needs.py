"""Which needs of wheels a planned change of conda's would break. Pure.

conda judges the `depends` of records; a wheel says what it needs in METADATA, and one that pip installed has no record.
A need is judged by PEP 440, and only one that is met now counts: what is broken already is for the audit to tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from bridge.model import Distribution, Installed, PrefixState
from bridge.prefix.entries import paths_of
from converters.projects import canonicalize_name
from converters.target import Python, Target

__all__ = ["Broken", "Change", "broken_needs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change by conda: the names it removes, and the versions it installs."""

    removed: frozenset[str]
    installed: Mapping[str, str]

    @property
    def gone(self) -> frozenset[str]:
        return self.removed - self.installed.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A requirement that the change would break. `becomes`: the new version (`1.0`), or `None` if removed."""

    wheel: str
    need: str
    name: str
    becomes: str | None

    def __str__(self) -> str:
        after = f"{self.name} {self.becomes} would take its place" if self.becomes else f"{self.name} would be removed"
        return f"{self.wheel} needs {self.need}: {after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A distribution that python finds, and its conda record, if any."""

    distribution: Distribution
    record: Installed | None

    @property
    def is_wheel(self) -> bool:
        return self.record is None or self.record.record.ecosystem == "wheel"

    @property
    def label(self) -> str:
        return f"{self.distribution.name} {self.distribution.version}"


def broken_needs(state: PrefixState, subdir: str, change: Change) -> tuple[Broken, ...]:
    """The requirements of remaining wheels that the change would break, sorted; none without a python."""
    if state.python is None:
        return ()
    distributions = _found(state)
    staying = [each for each in distributions.values() if each.is_wheel and not _is_touched(each, change)]
    python = _later_python(state.python, change)
    if python is None or python.minor != state.python.minor:
        return tuple(_stranded(staying, state.python, python))
    target = Target(subdir=subdir, python=state.python)
    broken = {each for wheel in staying for each in _of_wheel(wheel, distributions, target, python, change)}
    return tuple(sorted(broken, key=str))


def _of_wheel(
    wheel: _Found, distributions: Mapping[str, _Found], target: Target, python: Python, change: Change
) -> Iterator[Broken]:
    supported = wheel.distribution.requires_python
    if supported and target.python and _fits(supported, target.python.version) and not _fits(supported, python.version):
        yield Broken(wheel=wheel.label, need=f"python {supported}", name="python", becomes=python.version)
    for requirement in _requirements(wheel.distribution, target):
        there = distributions.get(canonicalize_name(requirement.name))
        if there is None or not _fits(str(requirement.specifier), there.distribution.version):
            continue
        name, becomes = _later(there, change)
        if becomes is None or not _fits(str(requirement.specifier), becomes):
            need = f"{requirement.name}{requirement.specifier}"
            yield Broken(wheel=wheel.label, need=need, name=name, becomes=becomes)


def _stranded(wheels: list[_Found], before: Python, after: Python | None) -> Iterator[Broken]:
    """Every remaining wheel, for a python that is removed or changes its minor version."""
    for wheel in sorted(wheels, key=lambda each: each.label):
        need = f"python {before.minor[0]}.{before.minor[1]}"
        yield Broken(wheel=wheel.label, need=need, name="python", becomes=after.version if after else None)


def _found(state: PrefixState) -> dict[str, _Found]:
    """Project → its distribution."""
    owners = {
        path.rpartition("/")[0]: installed
        for installed in state.installed
        for path in paths_of(installed.entries)
        if path.endswith(("-info/METADATA", "-info/PKG-INFO"))
    }
    return {
        canonicalize_name(each.name): _Found(distribution=each, record=_owner(each, owners, state))
        for each in state.distributions
        if state.site_packages is None or each.path.rpartition("/")[0] == state.site_packages
    }


def _owner(distribution: Distribution, owners: Mapping[str, Installed], state: PrefixState) -> Installed | None:
    """The record that owns a dist-info."""
    owner = owners.get(distribution.path)
    if owner is None and state.site_packages is not None:  # conda's records of noarch packages are package-relative
        owner = owners.get(f"site-packages/{distribution.path.rpartition('/')[2]}")
    return owner


def _is_touched(wheel: _Found, change: Change) -> bool:
    name = wheel.record.record.name if wheel.record is not None else None
    return name is not None and (name in change.removed or name in change.installed)


def _later(there: _Found, change: Change) -> tuple[str, str | None]:
    """The name and version of the distribution after the change.

    If the versions of a conda package and its project differ now, the requirement counts as satisfied.
    """
    version = there.distribution.version
    project = canonicalize_name(there.distribution.name)
    name = there.record.record.name if there.record is not None else project
    if there.record is not None and name in change.gone:
        return name, change.installed.get(project)
    coming = change.installed.get(name)
    if coming is None:
        return name, version
    is_same = there.record is None or _version(there.record.record.version) == _version(version)
    return name, coming if is_same and _version(coming) is not None else version


def _later_python(before: Python, change: Change) -> Python | None:
    if "python" in change.installed:
        return Python(version=change.installed["python"], free_threaded=before.free_threaded)
    return None if "python" in change.removed else before


def _requirements(distribution: Distribution, target: Target) -> Iterator[Requirement]:
    environment = {**target.marker_environment(), "extra": ""}
    for text in distribution.requires_dist:
        try:
            requirement = Requirement(text)
            applies = requirement.marker is None or requirement.marker.evaluate(environment)
        except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
            continue
        if applies and not requirement.url:
            yield requirement


def _fits(specifiers: str, version: str) -> bool:
    """Whether a version satisfies specifiers by PEP 440; unreadable ones count as satisfied."""
    try:
        return SpecifierSet(specifiers).contains(version, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return True


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
