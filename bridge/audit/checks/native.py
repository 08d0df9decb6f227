"""Checks of programs and libraries: do they fit this machine and python, and find what they need? Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from packaging import version as pep440

from bridge.audit.checks import repair
from bridge.audit.finding import Finding, Level
from bridge.audit.look.inspection import Binary, search_directory
from bridge.audit.view import View
from bridge.prefix.claims import Owner
from converters.deferred import regex

_EXTENSION = regex(
    r"(?P<stem>[A-Za-z_]\w*)(?:\.(?P<tag>cpython-(?P<minor>\d+)(?P<flags>[a-z]*)(?P<platform>(?:-[\w.-]+)?)|abi3t?"
    r"|cp(?P<windows>\d+)(?P<threads>t?)-\w+))?\.(?:so|pyd)\Z"
)
_FORMATS = {"linux": "elf", "osx": "macho", "win": "pe"}
_MACHINES = {"64": "x86_64", "32": "i686"}
_PRIVATE = regex(r"-[0-9a-f]{8,}(?=\.)")
# Drivers of a device, which only some machines have; `foreign-binary` reports musl.
_OF_MACHINE = regex(r"libc\.musl-|libcuda\.so|libnvidia-|libnvcuvid\.so|libamdhip|libze_loader\.so")
# Libraries that every system has by the manylinux policy (PEP 600, auditwheel's manylinux-policy.json).
_OF_MANYLINUX = regex(
    r"lib(?:gcc_s|stdc\+\+|m|dl|rt|c|nsl|util|pthread|resolv|X11|Xext|Xrender|ICE|SM|GL|gobject-2\.0|gthread-2\.0"
    r"|glib-2\.0|z|expat|atomic)\.so"
)
_BUILD_DIRECTORY = regex(r"/(?:feedstock_root/build_artifacts|conda-bld|rattler-build_[^/]+|bld/rattler-build_[^/]+)/")
_FAMILIES = {
    "OpenMP": re.compile(r"(?=lib|vcomp)(?:lib)?(gomp|iomp5|vcomp|omp)(?:140)?(?:md)?(?:[-._]|\Z)"),
    "BLAS": re.compile(
        r"lib(?:scipy_)?(openblas|mkl_rt|mkl_core|blis|blasfeo|atlas|flexiblas)(?:64_?)?\w*(?:[-._]|\Z)"
    ),
    "libstdc++": re.compile(r"lib(stdc\+\+)(?:[-.]|\Z)"),
}


def broken_binary(view: View) -> Iterator[Finding]:
    """A truncated or damaged program or library."""
    for path, binary in view.inspection.binaries.items():
        if binary.problem and view.owner(path) is not None:
            yield _finding(view, "broken-binary", path, binary.problem)


def foreign_binary(view: View) -> Iterator[Finding]:
    """An extension module, or a library in `lib` or `bin`, for another system, processor or C library."""
    system, _, architecture = view.target.subdir.partition("-")
    wanted, machine = _FORMATS.get(system), _MACHINES.get(architecture, architecture)
    for path, binary in view.inspection.binaries.items():
        if binary.problem or not _is_loaded(view, path):
            continue
        if binary.format != wanted:
            evidence = f"it is built for {_system_of(binary)}; this environment is {view.target.subdir}"
        elif binary.machines and machine not in binary.machines:
            evidence = f"it is built for {', '.join(binary.machines)}; this environment is {machine}"
        elif system == "linux" and any(name.startswith("libc.musl-") for name in binary.needed):
            if view.target.virtual("__glibc") is None:
                continue
            evidence = "it is linked with musl; this environment has glibc"
        else:
            continue
        yield _finding(view, "foreign-binary", path, evidence)


def extension_tag(view: View) -> Iterator[Finding]:
    """An extension module that this python never imports: the tag in its name is of another version or build."""
    python = view.state.python
    if python is None:
        return
    site = f"{view.state.site_packages}/"
    modules: dict[tuple[str, str], list[tuple[str, re.Match[str]]]] = {}
    for path in view.inspection.binaries:
        directory, _, name = path.rpartition("/")
        match = _EXTENSION.match(name) if path.startswith(site) else None
        if match is not None:
            modules.setdefault((directory, match["stem"]), []).append((path, match))
    digits = f"{python.minor[0]}{python.minor[1]}"
    for (directory, stem), variants in modules.items():
        is_python = f"{directory}/{stem}.py" in view.observed or f"{directory}/{stem}/__init__.py" in view.observed
        if any(_fits(match, digits, python.free_threaded) for _, match in variants):
            continue
        for path, match in variants:
            build = f"{python.version}{' free-threaded' if python.free_threaded else ''}"
            evidence = f"python {build} does not import modules with the tag {match['tag']}"
            level: Level = "info" if is_python else "error"
            yield _finding(view, "extension-tag", path, evidence, level=level)


def _fits(match: re.Match[str], digits: str, free_threaded: bool) -> bool:
    tag = match["tag"]
    if tag is None:
        return True
    if tag.startswith("abi3"):
        return tag == ("abi3t" if free_threaded else "abi3")
    minor, flags = match["minor"] or match["windows"], (match["flags"] or match["threads"] or "")
    return bool(minor == digits and ("t" in flags) == free_threaded)


def glibc_too_old(view: View) -> Iterator[Finding]:
    """A program or library that needs symbols of a newer glibc than this machine's."""
    version = view.target.virtual("__glibc")
    here = _pair(version) if version else None
    for path, binary in view.inspection.binaries.items() if here else ():
        if here is not None and binary.glibc > here and view.owner(path) is not None:
            evidence = f"it needs symbols of glibc {binary.glibc[0]}.{binary.glibc[1]}; this machine has {version}"
            yield _finding(
                view, "glibc-too-old", path, evidence, level="error" if _is_loaded(view, path) else "warning"
            )


def numpy_abi(view: View) -> Iterator[Finding]:
    """An extension that was built for another numpy than the installed one.

    One built for numpy 1 fails with numpy 2 (numpy's migration guide); one built for 2.x needs the oldest version that
    its build asked for, or a newer one.
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
            evidence = f"it was built for the C API of numpy 1, which numpy {numpy.version} no longer has"
        elif built_for is not None and built_for > installed:
            evidence = f"it was built for numpy {binary.numpy} or newer; numpy {numpy.version} is installed"
        else:
            continue
        yield _finding(view, "numpy-abi", path, evidence, by=provider)


def outside_rpath(view: View) -> Iterator[Finding]:
    """A library whose search path (RPATH, RUNPATH) names a directory outside the environment.

    A warning if the directory exists, for it decides what is loaded; otherwise a trace of the build machine. The build
    directories of conda-build and rattler-build are in thousands of published packages beside the effective search
    path: they are no finding unless they exist.
    """
    inside = (f"{view.state.prefix}/", f"{view.real_prefix}/")
    for path, binary in view.inspection.binaries.items():
        owner = view.owner(path)
        if owner is None:
            continue
        outside = []
        for written in binary.search:
            resolved = search_directory(str(view.state.prefix), path, written)
            if resolved.startswith("/") and not f"{resolved}/".startswith(inside):
                outside.append((written, resolved))
        existing = [each for each in outside if view.inspection.outside.get(each[1])]
        if not existing and all(_BUILD_DIRECTORY.search(written) for written, _ in outside):
            continue
        written, resolved = (existing or outside)[0]
        evidence = f"its search path has {written}" + (f" ({resolved})" if written != resolved else "")
        evidence += ", outside this environment" if existing else ", which does not exist"
        yield _finding(view, "outside-rpath", path, evidence, level="warning" if existing else "info")


def missing_library(view: View) -> Iterator[Finding]:
    """An extension module that needs a library which neither the environment nor the system has.

    info if its wheel works without: its builder left the library out of a manylinux wheel, and other modules of the
    wheel load (numba's pool on TBB).
    """
    known = view.inspection.surroundings.libraries | {
        each.name for each in view.inspection.binaries.values() if each.name
    }
    if not view.target.subdir.startswith("linux-") or not view.inspection.surroundings.libraries:
        return
    if not view.target.virtual_packages:  # The libraries found are those of another machine.
        return
    absent_of: dict[str, list[str]] = {}
    whole: set[int] = set()  # ids of the owners of modules that find all libraries
    for path, binary in view.inspection.binaries.items():
        match = _EXTENSION.match(path.rpartition("/")[2])
        if binary.format != "elf" or match is None or match["tag"] is None or not _is_extension(view, path):
            continue
        absent = [
            each for each in binary.needed if posixpath.basename(each) not in known and not _OF_MACHINE.match(each)
        ]
        absent = [each for each in absent if posixpath.basename(each) not in view.observed.names] if absent else []
        if absent:
            absent_of[path] = absent
        else:
            whole.add(id(view.owner(path)))
    for path, absent in absent_of.items():
        evidence = f"it needs {', '.join(absent[:4])}, which neither this environment nor the system has"
        is_optional = id(view.owner(path)) in whole and _leaves_out(view, path, absent)
        evidence += "; its wheel leaves the library out, and other modules of it load" if is_optional else ""
        level: Level = "info" if is_optional else "warning"
        yield _finding(view, "missing-library", path, evidence, level=level, is_replaceable=False)


def _leaves_out(view: View, path: str, libraries: Iterable[str]) -> bool:
    """Whether a manylinux wheel installed the file, and should have brought these libraries by its policy."""
    owner = view.owner(path)
    distributions = [each for each in view.records.importable if view.claims.answering.get(each.path) is owner]
    is_manylinux = any("manylinux" in tag for each in distributions for tag in each.tags)
    return owner is not None and is_manylinux and not any(_OF_MANYLINUX.match(each) for each in libraries)


def library_too_old(view: View) -> Iterator[Finding]:
    """A library that lacks symbol versions which a file that loads it was linked with: the loader refuses that file.

    So is an extension built with a newer compiler beside an older libstdc++ of its wheel, or of the environment.
    """
    by_name = _by_name(view)
    for path, binary in view.inspection.binaries.items():
        owner = view.owner(path)
        for library, versions in binary.versions if owner is not None else ():
            searched = _searched(view, path, binary, posixpath.basename(library), by_name)
            defined = view.inspection.binaries[searched].defines if searched else ()
            absent = [each for each in versions if each not in defined] if defined else []
            if owner is None or searched is None or not absent:
                continue
            holder = view.owner(searched)
            evidence = f"it needs {', '.join(absent[:4])} of {library}, which {searched} does not have"
            is_older = holder is not None and holder is not owner and holder.installed is not None
            commands = repair.update(view, holder.package) if is_older and holder else repair.replace_build(view, owner)
            yield Finding.of(owner, "library-too-old", "error", path, evidence, by=holder, repair=commands)


def duplicate_library(view: View) -> Iterator[Finding]:
    """Two copies of OpenMP, BLAS or libstdc++ that extension modules of this environment load into one process.

    The OpenMP runtimes of LLVM and Intel abort when they meet a second one, and two kinds oversubscribe the processors;
    a second BLAS doubles the threads. info for wheels whose copies have unique names, as auditwheel makes them; of
    GNU's OpenMP runtime, one unique name is enough.
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
            private = [_PRIVATE.search(each) is not None for each in (path, first)]
            # GNU's runtime, unlike the others, does not mind a second copy: scikit-learn's wheel works beside conda's.
            is_renamed = kind == other and (any(private) if kind == "gomp" else family != "OpenMP" and all(private))
            is_of_wheels = all(each.source != "conda" for each in (owner, holder))
            evidence = f"one process loads {family} twice: this file, and {first} of {owner.label}"
            level: Level = "info" if (is_renamed or (family != "OpenMP" and is_of_wheels)) else "warning"
            yield _finding(view, "duplicate-library", path, evidence, level=level, by=owner, is_replaceable=False)


def _loaded(view: View) -> set[str]:
    """The extension modules, and the libraries of the prefix that the loader loads with them."""
    binaries, by_name = view.inspection.binaries, _by_name(view)
    pending = [path for path in binaries if _is_extension(view, path)]
    seen = set(pending)
    while pending:
        path = pending.pop()
        binary = binaries[path]
        for name in binary.needed:
            library = _resolve(view, path, binary, posixpath.basename(name), by_name)
            if library is not None and library not in seen:
                seen.add(library)
                pending.append(library)
    return seen


def _by_name(view: View) -> Mapping[str, list[str]]:
    """Name of a library → the files that have it."""
    binaries = view.inspection.binaries
    by_name: dict[str, list[str]] = {}
    for path, binary in binaries.items():
        for name in {posixpath.basename(path), binary.name} - {""}:
            by_name.setdefault(name, []).append(path)
    for path, link in view.observed.links.items():  # `libx.so.1` is often a link to `libx.so.1.2`.
        if link and "/" not in link:
            target = posixpath.join(posixpath.dirname(path), link)
            if target in binaries:
                by_name.setdefault(posixpath.basename(path), []).append(target)
    return by_name


def _resolve(view: View, path: str, binary: Binary, name: str, by_name: Mapping[str, list[str]]) -> str | None:
    if (library := _searched(view, path, binary, name, by_name)) is not None:
        return library
    candidates = by_name.get(name, ())
    if (beside := f"{posixpath.dirname(path)}/{name}") in candidates:
        return beside
    # A wheel's own code may load its copy first.
    owner = view.owner(path)
    return next((each for each in candidates if view.owner(each) is owner), None)


def _searched(view: View, path: str, binary: Binary, name: str, by_name: Mapping[str, list[str]]) -> str | None:
    """The library that the loader finds in the search path of the binary, or in `lib`, which is in python's."""
    candidates = by_name.get(name, ())
    prefix = str(view.state.prefix)
    searched = [search_directory(prefix, path, each).removeprefix(f"{prefix}/") for each in binary.search]
    for directory in [*searched, "lib"] if candidates else ():
        if (library := next((each for each in candidates if posixpath.dirname(each) == directory), None)) is not None:
            return library
    return None


def _is_extension(view: View, path: str) -> bool:
    site = view.state.site_packages
    return site is not None and path.startswith(f"{site}/") and _EXTENSION.match(path.rpartition("/")[2]) is not None


def _is_loaded(view: View, path: str) -> bool:
    """Whether this prefix's python or loader uses the file; others are data (a wheel may have them for many)."""
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
        release = pep440.Version(version).release
    except pep440.InvalidVersion:
        return None
    return release[0], release[1] if len(release) > 1 else 0


def _finding(
    view: View,
    name: str,
    path: str,
    evidence: str,
    *,
    level: Level = "error",
    by: Owner | None = None,
    is_replaceable: bool = True,
) -> Finding:
    owner = view.owner(path)
    commands = repair.replace_build(view, owner) if owner is not None and is_replaceable else ()
    level = "warning" if owner is None and level == "error" else level
    return Finding.of(owner, name, level, path, evidence, by=by, repair=commands)
