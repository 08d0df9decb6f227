"""The virtual packages that a lock assumes of a platform: never those of the machine that writes it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bridge.requirements.algebra import Requirement, conda_version, split_binding
from converters.target import Target, overridden

__all__ = ["assumed", "lock_target"]

# As pixi assumes them: every machine that is in use today has these.
_SYSTEMS = {
    "linux": (("__unix", "0"), ("__linux", "5.10"), ("__glibc", "2.28")),
    "osx": (("__unix", "0"), ("__osx", "13.0")),
    "win": (("__win", "0"),),
}
_MICROARCHITECTURES = {"64": "x86_64", "aarch64": "aarch64", "ppc64le": "ppc64le", "s390x": "s390x"}
_LEAST = re.compile(r"(?:>=|==?|~=|\A)\s*([0-9][\w.]*)")


def lock_target(
    platform: str,
    given: Iterable[tuple[str, str]],
    requirements: Iterable[Requirement],
    machine: Target | None = None,
) -> Target:
    """Return the target to solve for, without a python.

    :param machine: this machine, where the lock holds on it alone (the channel `host`).
    :param given: `--virtual-package`, as in `overridden`.
    :param requirements: one on a virtual package (`system-requirements` of pixi) says that the target has it.
    """
    system, _, processor = platform.partition("-")
    named = {name: (version, "0") for name, version in _SYSTEMS.get(system, ())}
    architecture = "m1" if platform == "osx-arm64" else _MICROARCHITECTURES.get(processor)
    if architecture is not None:
        named["__archspec"] = ("1", architecture)
    if machine is not None:
        named |= {name: (version, build) for name, version, build in machine.virtual_packages}
    for requirement in requirements:
        if requirement.conda is not None and requirement.name.startswith("__"):
            _raise_to(named, requirement)
    packages = ((name, version, build) for name, (version, build) in named.items())
    return Target(subdir=platform, virtual_packages=overridden(packages, given))


def _raise_to(named: dict[str, tuple[str, str]], requirement: Requirement) -> None:
    """Give a virtual package the version that a requirement on it asks for, unless it meets the requirement."""
    known, build = named.get(requirement.name, ("", "0"))
    if known and requirement.accepts(known):
        return
    least = _LEAST.search(split_binding(requirement.text)[1][len(requirement.name) :].strip())
    if least is not None and conda_version(least[1]) is not None:
        named[requirement.name] = (least[1], build)


def assumed(target: Target) -> tuple[str, ...]:
    """Return the virtual packages of a target as a lock states them: `NAME=VERSION`, with the build unless it is 0."""
    return tuple(
        f"{name}={version}" + (f"={build}" if build != "0" else "")
        for name, version, build in sorted(target.virtual_packages)
    )
