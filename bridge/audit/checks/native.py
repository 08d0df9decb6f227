"""Checks of programs and libraries: made for this machine and this python, with what they need, each once. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from packaging.version import InvalidVersion, Version

from bridge.audit.checks import repair
from bridge.audit.claims import Owner
from bridge.audit.finding import Finding, Level
from bridge.audit.look.inspection import Binary, search_folder
from bridge.audit.view import View

__all__ = [
    "broken_binary",
    "duplicate_library",
    "extension_tag",
    "foreign_binary",
    "glibc_too_old",
    "missing_library",
    "numpy_abi",
    "outside_rpath",
]

_EXTENSION = re.compile(
    r"(?P<stem>[A-Za-z_]\w*)(?:\.(?P<tag>cpython-(?P<minor>\d+)(?P<flags>[a-z]*)(?P<platform>(?:-[\w.-]+)?)|abi3t?"
    r"|cp(?P<windows>\d+)(?P<threads>t?)-\w+))?\.(?:so|pyd)\Z"
)
_FORMATS = {"linux": "elf", "osx": "macho", "win": "pe"}
_MACHINES = {"64": "x86_64", "32": "i686"}
_PRIVATE = re.compile(r"-[0-9a-f]{8,}(?=\.)")
# Drivers of a device, which the machine has or has not; musl is told by `foreign-binary`.
_ELSEWHERE = re.compile(r"libc\.musl-|libcuda\.so|libnvidia-|libnvcuvid\.so|libamdhip|libze_loader\.so")
_BUILD_FOLDER = re.compile(
    r"/(?:feedstock_root/build_artifacts|conda-bld|rattler-build_[^/]+|bld/rattler-build_[^/]+)/"
)
_FAMILIES = {
    "OpenMP": re.compile(r"(?=lib|vcomp)(?:lib)?(gomp|iomp5|vcomp|omp)(?:140)?(?:md)?(?:[-._]|\Z)"),
    "BLAS": re.compile(
        r"lib(?:scipy_)?(openblas|mkl_rt|mkl_core|blis|blasfeo|atlas|flexiblas)(?:64_?)?\w*(?:[-._]|\Z)"
    ),
    "libstdc++": re.compile(r"lib(stdc\+\+)(?:[-.]|\Z)"),
}


def broken_binary(view: View) -> Iterator[Finding]:
    """A file that says it is a program or a library, and cannot be read as one: truncated, or mangled."""
    for path, binary in view.inspection.binaries.items():
        if binary.problem and view.owner(path) is not None:
            yield _of(view, "broken-binary", path, binary.problem)


def foreign_binary(view: View) -> Iterator[Finding]:
    """An extension module, or a library beside the programs, for another system, processor or C library."""
    system, _, architecture = view.target.subdir.partition("-")
    wanted, machine = _FORMATS.get(system), _MACHINES.get(architecture, architecture)
    for path, binary in view.inspection.binaries.items():
        if binary.problem or not _is_loaded(view, path):
            continue
        if binary.format != wanted:
            said = f"it is made for {_system_of(binary)}; here is {view.target.subdir}"
        elif binary.machines and machine not in binary.machines:
            said = f"it is made for {', '.join(binary.machines)}; here is {machine}"
        elif system == "linux" and any(name.startswith("libc.musl-") for name in binary.needed):
            if view.target.virtual("__glibc") is None:
                continue
            said = "it is linked with musl; here is glibc"
        else:
            continue
        yield _of(view, "foreign-binary", path, said)


def extension_tag(view: View) -> Iterator[Finding]:
    """An extension module that this python does not even look at: its name is that of another version or build."""
    python = view.state.python
    if python is None:
        return
    site = f"{view.state.site_packages}/"
    modules: dict[tuple[str, str], list[tuple[str, re.Match[str]]]] = {}
    for path in view.inspection.binaries:
        folder, _, name = path.rpartition("/")
        match = _EXTENSION.match(name) if path.startswith(site) else None
        if match is not None:
            modules.setdefault((folder, match["stem"]), []).append((path, match))
    digits = f"{python.minor[0]}{python.minor[1]}"
    for (folder, stem), found in modules.items():
        is_python = f"{folder}/{stem}.py" in view.observed or f"{folder}/{stem}/__init__.py" in view.observed
        if any(_fits(match, digits, python.free_threaded) for _, match in found):
            continue
        for path, match in found:
            said = f"python {python.version}{' free-threaded' if python.free_threaded else ''} does not import a module"
            level: Level = "info" if is_python else "error"
            yield _of(view, "extension-tag", path, f"{said} of the tag {match['tag']}", level=level)


def _fits(match: re.Match[str], digits: str, free_threaded: bool) -> bool:
    tag = match["tag"]
    if tag is None:
        return True
    if tag.startswith("abi3"):
        return tag == ("abi3t" if free_threaded else "abi3")
    minor, flags = match["minor"] or match["windows"], (match["flags"] or match["threads"] or "")
    return bool(minor == digits and ("t" in flags) == free_threaded)


def glibc_too_old(view: View) -> Iterator[Finding]:
    """A program or library that needs symbols of a newer glibc than this machine has."""
    version = view.target.virtual("__glibc")
    here = _pair(version) if version else None
    for path, binary in view.inspection.binaries.items() if here else ():
        if here is not None and binary.glibc > here and view.owner(path) is not None:
            said = f"it needs symbols of glibc {binary.glibc[0]}.{binary.glibc[1]}; this machine has {version}"
            yield _of(view, "glibc-too-old", path, said, level="error" if _is_loaded(view, path) else "warning")


def numpy_abi(view: View) -> Iterator[Finding]:
    """An extension that was built for another numpy than the one that is here.

    One built for numpy 1 fails with numpy 2 (numpy's own migration guide); one built for 2.x runs with the oldest
    version that it was told to support, and with none before.
    """
    numpy = next((each for each in view.records.importable if each.name == "numpy"), None)
    installed = _pair(numpy.version) if numpy else None
    if numpy is None or installed is None:
        return
    provider = view.claims.answering[numpy.path]
    for path, binary in view.inspection.binaries.items():
        built_for = _pair(binary.numpy) if "." in binary.numpy else None
        if view.owner(path) is provider:
            continue
        if binary.numpy == "1" and installed >= (2, 0):
            said = f"it was built for numpy 1, whose C API numpy {numpy.version} no longer has"
        elif built_for is not None and built_for > installed:
            said = f"it was built for numpy {binary.numpy} or newer; here is numpy {numpy.version}"
        else:
            continue
        yield _of(view, "numpy-abi", path, said, by=provider)


def outside_rpath(view: View) -> Iterator[Finding]:
    """A library that is told to look for others outside the environment.

    A warning where something is there to be found, for it decides what is loaded; else a trace of the machine it was
    built on. The folders in which conda-build and rattler-build work are in thousands of published packages, beside the
    search path that counts: where they are not there, they are no finding.
    """
    inside = (f"{view.state.prefix}/", f"{view.real_prefix}/")
    for path, binary in view.inspection.binaries.items():
        owner = view.owner(path)
        if owner is None:
            continue
        leaving = []
        for folder in binary.search:
            resolved = search_folder(str(view.state.prefix), path, folder)
            if resolved.startswith("/") and not f"{resolved}/".startswith(inside):
                leaving.append((folder, resolved))
        if not leaving:
            continue
        there = [each for each in leaving if view.inspection.outside.get(each[1])]
        if not there and all(_BUILD_FOLDER.search(folder) for folder, _ in leaving):
            continue
        folder, resolved = (there or leaving)[0]
        said = f"its search path names {folder}" + (f", that is {resolved}" if folder != resolved else "")
        said += ", which lies outside this environment" if there else ", which is not there"
        yield _of(view, "outside-rpath", path, said, level="warning" if there else "info")


def missing_library(view: View) -> Iterator[Finding]:
    """An extension module that needs a library which is neither in the environment nor among the system's."""
    known = view.inspection.surroundings.libraries | {
        each.name for each in view.inspection.binaries.values() if each.name
    }
    if not view.target.subdir.startswith("linux-") or not view.inspection.surroundings.libraries:
        return
    for path, binary in view.inspection.binaries.items():
        match = _EXTENSION.match(path.rpartition("/")[2])
        if binary.format != "elf" or match is None or match["tag"] is None or not _is_extension(view, path):
            continue
        gone = [name for name in binary.needed if posixpath.basename(name) not in known and not _ELSEWHERE.match(name)]
        gone = [name for name in gone if posixpath.basename(name) not in view.observed.names] if gone else []
        if gone:
            said = f"it needs {', '.join(gone[:4])}, which is neither here nor among the system's libraries"
            yield _of(view, "missing-library", path, said, level="warning", repairs=())


def duplicate_library(view: View) -> Iterator[Finding]:
    """Two copies of OpenMP, BLAS or libstdc++ that extension modules of this environment load into one process.

    OpenMP runtimes of LLVM and Intel abort when they meet a second one, and mixing two kinds oversubscribes; a second
    BLAS doubles the threads. Wheels that carry copies under names of their own, which is how they are meant to be
    built, are told as a fact.
    """
    reached = _loaded(view)
    for family, pattern in _FAMILIES.items():
        copies: dict[str, tuple[str, Owner]] = {}
        for path in sorted(reached):
            match, owner = pattern.match(posixpath.basename(path)), view.owner(path)
            if match and owner is not None:
                copies[path] = (match[1], owner)
        if len({id(owner) for _, owner in copies.values()}) < 2:
            continue
        (first, (kind, owner)), *others = copies.items()
        for path, (other, holder) in others:
            if holder is owner:
                continue
            is_meant = kind == other and _PRIVATE.search(path) and _PRIVATE.search(first) and family != "OpenMP"
            is_of_wheels = all(each.source != "conda" for each in (owner, holder))
            said = f"{family} is loaded twice into one process: from here, and from {first} of {owner.label}"
            level: Level = "info" if (is_meant or (family != "OpenMP" and is_of_wheels)) else "warning"
            yield _of(view, "duplicate-library", path, said, level=level, by=owner, repairs=())


def _loaded(view: View) -> set[str]:
    """The libraries of the prefix that its extension modules bring in, by what they name and where they look."""
    binaries = view.inspection.binaries
    by_name: dict[str, list[str]] = {}
    for path, binary in binaries.items():
        for name in {posixpath.basename(path), binary.name} - {""}:
            by_name.setdefault(name, []).append(path)
    for path, found in view.observed.noted.items():  # `libx.so.1` is often a link to `libx.so.1.2`
        if found.fingerprint.link and "/" not in found.fingerprint.link:
            target = posixpath.join(posixpath.dirname(path), found.fingerprint.link)
            if target in binaries:
                by_name.setdefault(posixpath.basename(path), []).append(target)
    pending = [path for path in binaries if _is_extension(view, path)]
    seen = set(pending)
    while pending:
        path = pending.pop()
        binary = binaries[path]
        for name in binary.needed:
            found_at = _resolve(view, path, binary, posixpath.basename(name), by_name)
            if found_at is not None and found_at not in seen:
                seen.add(found_at)
                pending.append(found_at)
    return seen


def _resolve(view: View, path: str, binary: Binary, name: str, by_name: Mapping[str, list[str]]) -> str | None:
    there = by_name.get(name, ())
    base = f"{view.state.prefix}/"
    folders = [search_folder(str(view.state.prefix), path, folder).removeprefix(base) for folder in binary.search]
    for folder in [*folders, "lib", posixpath.dirname(path)]:
        if (found := next((each for each in there if posixpath.dirname(each) == folder), None)) is not None:
            return found
    # A wheel may load it by its own code before; one of its own is meant, where there is one.
    owner = view.owner(path)
    return next((each for each in there if view.owner(each) is owner), None)


def _is_extension(view: View, path: str) -> bool:
    site = view.state.site_packages
    return site is not None and path.startswith(f"{site}/") and _EXTENSION.match(path.rpartition("/")[2]) is not None


def _is_loaded(view: View, path: str) -> bool:
    """Whether this prefix's python or loader would take the file: others are data (a wheel may carry many systems')."""
    owner = view.owner(path)
    if owner is None:
        return False
    name = path.rpartition("/")[2]
    if posixpath.dirname(path) in {"lib", "bin"}:
        return True
    match = _EXTENSION.match(name)
    if match is None or not path.startswith(f"{view.state.site_packages}/"):
        return False
    python = view.state.python
    digits = f"{python.minor[0]}{python.minor[1]}" if python else ""
    return match["tag"] is not None and _fits(match, digits, bool(python and python.free_threaded))


def _system_of(binary: Binary) -> str:
    system = {"elf": "Linux", "macho": "macOS", "pe": "Windows"}[binary.format]
    return f"{system} on {', '.join(binary.machines)}" if binary.machines else system


def _pair(version: str) -> tuple[int, int] | None:
    try:
        release = Version(version).release
    except InvalidVersion:
        return None
    return release[0], release[1] if len(release) > 1 else 0


def _of(
    view: View,
    name: str,
    path: str,
    evidence: str,
    *,
    level: Level = "error",
    by: Owner | None = None,
    repairs: tuple[str, ...] | None = None,
) -> Finding:
    owner = view.owner(path)
    return Finding(
        id=name,
        level=level if owner is not None or level != "error" else "warning",
        package=owner.package if owner else None,
        path=path,
        owner=owner.label if owner else None,
        by=by.label if by else None,
        evidence=evidence,
        repair=repairs if repairs is not None else (repair.replace_build(view, owner) if owner else ()),
    )
