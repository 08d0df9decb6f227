"""conda-lock.yml, version 1: one list of packages, each for one platform."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from bridge.errors import UsageError
from bridge.lock.content import Content, Written
from bridge.lock.yaml_text import yaml_text
from bridge.requirements.algebra import marker_holds
from bridge.requirements.locked import Locked, LockedConda, LockedEnvironment, LockedSource
from converters.projects import canonicalize_name
from converters.target import Python, Target

__all__ = ["only_environment", "python_of", "write_conda_lock"]

_NAME = re.compile(r"[^\s=<>!~\[;,|]+")


def write_conda_lock(content: Content, path: Path) -> Written:  # noqa: ARG001 - as each writer
    """Return the text of a conda-lock.yml.

    Raises `UsageError` (`lock-format`) for several environments: its categories are parts of one solution.
    """
    environment = only_environment(content, "conda-lock")
    left_out: dict[str, None] = {}
    packages = []
    for platform, listed in sorted(environment.packages.items()):
        python = python_of(listed)
        target = Target(subdir=platform, python=python) if python is not None else None
        entries = (_package(each, platform, target, left_out) for each in sorted(listed, key=_order))
        packages += [table for table in entries if table is not None]
    platforms = sorted(environment.packages)
    document = {
        "version": 1,
        "metadata": {
            "content_hash": {platform: _hash(content, platform) for platform in platforms},
            "channels": [{"url": url, "used_env_vars": []} for url in environment.channels],
            "platforms": platforms,
            "sources": list(content.inputs.files) or list(content.inputs.requirements),
        },
        "package": packages,
    }
    if environment.indexes:
        left_out["the package indexes: conda-lock keeps the URL of each file only"] = None
    every = [each for listed in environment.packages.values() for each in listed]
    left_out |= dict.fromkeys(extras_of(every, "conda-lock"))
    return Written(text=yaml_text(document), left_out=tuple(left_out))


def only_environment(content: Content, form: str) -> LockedEnvironment:
    """Return the environment of a lock that has one. Raises `UsageError` (`lock-format`)."""
    if len(content.environments) == 1:
        return content.environments[0]
    raise UsageError(
        "lock-format",
        f"{form} holds one environment, and there are {len(content.environments)}",
        context=(f"environments: {', '.join(each.name for each in content.environments)}",),
        hint="choose one with --environment NAME, or write a bridge.lock",
    )


def python_of(packages: Iterable[Locked]) -> Python | None:
    """Return the python that is locked among packages."""
    for each in packages:
        if isinstance(each, LockedConda) and each.name == "python":
            return Python(
                version=each.version, free_threaded="cp3" in each.record.build and each.record.build.endswith("t")
            )
    return None


def extras_of(packages: Iterable[Locked], form: str) -> list[str]:
    """Say which extras were asked for, for a format that lists what they need and not their names."""
    asked = {
        f"{each.name}[{','.join(each.extras)}]"
        for each in packages
        if not isinstance(each, LockedConda) and each.extras
    }
    return (
        [f"the extras of {', '.join(sorted(asked))}: {form} has what they need, and not their names"] if asked else []
    )


def _order(each: Locked) -> tuple[bool, str]:
    return not isinstance(each, LockedConda), each.name


def _hash(content: Content, platform: str) -> str:
    """Return a hash of what the lock was made from; conda-lock compares it with one of its own and locks again."""
    inputs = content.inputs
    stated = [inputs.requirements, inputs.editables, inputs.files, inputs.extras, inputs.groups, platform]
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode("utf-8")).hexdigest()


def _package(each: Locked, platform: str, target: Target | None, left_out: dict[str, None]) -> dict[str, object] | None:
    if isinstance(each, LockedConda):
        record = each.record
        hashes = {"md5": record.md5, "sha256": record.sha256}
        if record.md5 is None:
            left_out[f"the md5 of {each.name}, which its channel does not state and conda-lock requires"] = None
        table = _table(each, platform, "conda", _conda_needs(record.requirements), record.url, hashes)
        return table | ({"build": record.build} if record.build else {})
    if not each.url:
        left_out[f"{each.name} {each.version}, whose file is not recorded"] = None
        return None
    if isinstance(each, LockedSource) and each.sha256 is None:
        left_out[f"{each.name} on {platform}: conda-lock has no place for a {_KINDS[each.kind]}"] = None
        return None
    return _table(
        each, platform, "pip", _pypi_needs(each.requires_dist or (), target), each.url, {"sha256": each.sha256}
    )


_KINDS = {"git": "git repository", "directory": "folder", "archive": "archive", "sdist": "source distribution"}


def _table(
    each: Locked,
    platform: str,
    manager: str,
    needs: Mapping[str, str],
    url: str,
    hashes: Mapping[str, str | None],
) -> dict[str, object]:
    return {
        "name": each.name,
        "version": each.version,
        "manager": manager,
        "platform": platform,
        "dependencies": dict(needs),
        "url": url,
        "hash": {name: value for name, value in hashes.items() if value},
        "category": "main",
        "optional": False,
    }


def _conda_needs(texts: Iterable[str]) -> dict[str, str]:
    needs = {}
    for text in texts:
        match = _NAME.match(text)
        if match is not None:
            needs[match[0]] = text[match.end() :].strip()
    return needs


def _pypi_needs(texts: Iterable[str], target: Target | None) -> dict[str, str]:
    """Return the requirements that hold on the target; extras of the package itself are not among them."""
    needs: dict[str, str] = {}
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or (target is not None and marker_holds(str(marker), target.marker_environment())):
            needs[canonicalize_name(requirement.name)] = str(requirement.specifier) or "*"
    return needs
