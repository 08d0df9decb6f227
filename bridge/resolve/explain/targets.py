"""The options that name a target on which excluded files and records could be used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bridge.model import IndexFile
from bridge.requirements.algebra import conda_requirement
from bridge.resolve.explain.sentences import virtual_name
from converters.deferred import regex
from converters.target import SUBDIRS, Target

__all__ = ["ways_to_targets"]

_LOWEST = regex(r"(?:>=|==?|~=)?\s*([0-9]+(?:\.[0-9]+)*)")
_FLOORS = regex(r"(manylinux|macosx)_([0-9]+)_([0-9]+)_(\w+)")
_LEGACY = {"manylinux1": "manylinux_2_5", "manylinux2010": "manylinux_2_12", "manylinux2014": "manylinux_2_17"}
_PLATFORMS = ("linux-64", "linux-aarch64", "osx-arm64", "osx-64", "win-64")
_OF_PLATFORM = {"__win": "win-64", "__osx": "osx-arm64", "__linux": "linux-64"}


def ways_to_targets(target: Target, specs: Iterable[str], files: Iterable[IndexFile]) -> Iterator[str]:
    """Yield `--virtual-package` and `--platform` with values that meet a MatchSpec or let a wheel run.

    :param specs: MatchSpecs for virtual packages, of which the target lacks each.
    :param files: wheels that do not run on the target.
    """
    options = dict.fromkeys(option for spec in specs if (option := _of_spec(target, spec)))
    options |= dict.fromkeys(_of_files(target, list(files)))
    names = list(options)[:2]
    if names:
        yield f"name the real target with {' or '.join(names)}"


def _of_spec(target: Target, spec: str) -> str | None:
    """Return the option that gives the target what a MatchSpec for a virtual package asks for."""
    name = virtual_name(spec)
    if target.virtual(name) is None and name in _OF_PLATFORM and not target.subdir.startswith(name[2:]):
        return f"--platform {_OF_PLATFORM[name]}"
    clause = spec.partition(name)[2].strip()
    requirement = conda_requirement(f"{name} {clause}" if clause else name)
    if requirement.conda is None or requirement.conda.names_a_build:
        return None  # `__archspec * x86_64_v3`
    match = _LOWEST.search(clause)
    version = match[1] if match else "1"
    if not requirement.accepts(version):
        return None
    return f"--virtual-package {name}={version}"


def _of_files(target: Target, files: list[IndexFile]) -> Iterator[str]:
    """Yield one option: the lowest version of glibc or macOS on this platform, else another platform."""
    tags = {tag for file in files if file.is_wheel for tag in _platform_tags(file)}
    here = {_FLOORS.fullmatch(tag) for tag in tags}
    system = SUBDIRS[target.subdir][0]
    kind = {"linux": ("manylinux", "__glibc"), "darwin": ("macosx", "__osx")}.get(system)
    floors = sorted((int(each[2]), int(each[3])) for each in here if each and kind and each[1] == kind[0])
    for major, minor in floors:
        version = f"{major}.{minor}"
        if kind is not None and _runs(Target(subdir=target.subdir, virtual_packages=((kind[1], version, "0"),)), tags):
            yield f"--virtual-package {kind[1]}={version}"
            return
    for subdir in _PLATFORMS:
        if subdir != target.subdir and _runs(_newest(subdir), tags):
            yield f"--platform {subdir}"
            return


def _platform_tags(file: IndexFile) -> Iterator[str]:
    for text in file.filename.removesuffix(".whl").rsplit("-", 1)[-1].split("."):
        name, _, arch = text.partition("_")
        yield f"{_LEGACY[name]}_{arch}" if name in _LEGACY else text


def _runs(target: Target, tags: set[str]) -> bool:
    return not tags.isdisjoint(target.platform_tags())


def _newest(subdir: str) -> Target:
    """Return a target on which all wheels of a platform run."""
    return Target(subdir=subdir, virtual_packages=(("__glibc", "2.99", "0"), ("__osx", "99.0", "0")))
