"""Checks of what python reads before anybody's program: `.pth` files, the user's packages, PYTHONPATH. Pure."""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterator

from packaging.utils import canonicalize_name

from bridge.audit.checks import repair
from bridge.audit.claims import Owner
from bridge.audit.finding import Finding, Level, at_path
from bridge.audit.view import View

__all__ = [
    "broken_editable",
    "pth_outside",
    "pth_runs_code",
    "python_path_shadow",
    "standard_library_shadow",
    "unseen_distribution",
    "user_site_shadow",
]

# Lines that installers themselves write: namespace packages (setuptools, wheel), virtualenv's and uv's patches, the
# finders of editable installs, setuptools' own distutils, coverage's start in subprocesses.
_USUAL = re.compile(
    r"import sys, ?types, ?os;.*(?:nspkg|\bmodule_from_spec\b|sys\.modules\.setdefault|\bsetdefault\()"
    r"|import _virtualenv\Z"
    r"|import __editable___?\w+_finder; __editable___?\w+_finder\.install\(\)\Z"
    r"|import os; var = 'SETUPTOOLS_USE_DISTUTILS';"
    r"|import sys; ?exec\(.*coverage|import coverage; ?coverage\.process_startup\(\)"
    r"|import _?distutils_hack"
)
# The one line of setuptools' own distutils-precedence.pth, since version 60.
_OF_SETUPTOOLS = (
    "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
    "enabled and __import__('_distutils_hack').add_shim();"
)
# What the standard library gained and lost; `sys.stdlib_module_names` is that of the python that runs bridge.
_LOST = {
    (3, 12): "asynchat asyncore distutils imp smtpd",
    (3, 13): "aifc audioop cgi cgitb chunk crypt imghdr mailcap msilib nis nntplib ossaudiodev pipes sndhdr spwd sunau"
    " telnetlib uu xdrlib lib2to3",
}
_GAINED = {(3, 11): "tomllib", (3, 14): "annotationlib compression string.templatelib concurrent"}
_MODULE = re.compile(r"([A-Za-z_]\w*)(?:\.py|(?:\.[\w-]+)?\.(?:so|pyd))\Z")


def pth_runs_code(view: View) -> Iterator[Finding]:
    """A `.pth` with a line that every start of python executes: the way by which malicious wheels have come to stay."""
    for path, found in view.inspection.path_files.items():
        unusual = [line for line in found.code if not _USUAL.match(line)]
        if not found.code:
            continue
        owner = view.owner(path)
        if (
            owner is not None
            and owner.package == "setuptools"
            and [line.strip() for line in found.code] == [_OF_SETUPTOOLS]
        ):
            continue  # Every environment with setuptools has this file.
        is_usual = not unusual and (owner is not None or posixpath.basename(path) == "_virtualenv.pth")
        shown = (unusual or found.code)[0]
        yield _finding(
            view,
            "pth-runs-code",
            path,
            f"every start of python executes: {shown[:160]}" + ("; no record claims it" if owner is None else ""),
            level="info" if is_usual else "warning",
        )


def pth_outside(view: View) -> Iterator[Finding]:
    """A `.pth` that puts a folder on `sys.path` which lies outside the prefix, or is not there.

    What an editable distribution accounts for is no surprise.
    """
    known = {source for editable in view.inspection.editables for source in editable.sources}
    inside = (f"{view.state.prefix}/", f"{view.real_prefix}/")
    for path, found in view.inspection.path_files.items():
        for folder in found.folders if path.endswith(".pth") else ():
            is_there = view.inspection.outside.get(folder, "")
            is_inside = f"{folder}/".startswith(inside)
            if is_there and (is_inside or any(f"{source}/".startswith(f"{folder}/") for source in known)):
                continue
            said = f"it puts {folder} on sys.path, which " + (
                "lies outside this environment" if is_there else "is not there"
            )
            is_told = folder in known  # `broken-editable` says more of it.
            yield _finding(view, "pth-outside", path, said, level="info" if is_told else "warning")


def broken_editable(view: View) -> Iterator[Finding]:
    """A distribution that is imported from a working copy which is not there any more."""
    for editable in view.inspection.editables:
        gone = [source for source in editable.sources if not view.inspection.outside.get(source)]
        if not gone:
            continue
        owner = view.claims.answering.get(editable.distribution)
        yield Finding(
            id="broken-editable",
            level="error",
            package=owner.package if owner else posixpath.basename(editable.distribution).partition(".")[0],
            path=editable.distribution,
            owner=owner.label if owner else None,
            evidence=f"it is imported from {gone[0]}, which is not there",
            repair=repair.pip(view, "uninstall", "--yes", owner.package) if owner else (),
        )


def user_site_shadow(view: View) -> Iterator[Finding]:
    """A package of this environment that loses against one in the user's own site directory, which comes first."""
    around = view.inspection.surroundings
    if around.user_site is None:
        return
    told: set[int] = set()
    for distribution in view.records.importable:
        version = around.user_projects.get(canonicalize_name(distribution.name))
        holder = view.claims.answering[distribution.path]
        if version is None:
            continue
        told.add(id(holder))
        yield Finding(
            id="user-site-shadow",
            level="warning",
            package=holder.package,
            path=distribution.path,
            owner=holder.label,
            evidence=f"python imports {distribution.name} {version} from {around.user_site} instead of "
            f"{distribution.version}; PYTHONNOUSERSITE=1 keeps it out",
            repair=repair.pip(view, "uninstall", "--yes", distribution.name),
        )
    for module, (path, owner) in _top_level(view).items():
        if module in around.user_modules and id(owner) not in told:
            said = (
                f"python imports {module} from {around.user_modules[module]} instead; PYTHONNOUSERSITE=1 keeps it out"
            )
            yield _finding(view, "user-site-shadow", path, said, level="warning", owner=owner)


def python_path_shadow(view: View) -> Iterator[Finding]:
    """A module of this environment, or of the standard library, that a folder of PYTHONPATH hides."""
    own, standard = _top_level(view), standard_library(view.state.python.minor if view.state.python else None)
    for folder, modules in view.inspection.surroundings.python_path:
        for module in modules:
            path, holder = own.get(module, (None, None))
            if path is None and module not in standard:
                continue
            whose = "the standard library's" if module in standard else "this environment's"
            said = f"PYTHONPATH names {folder}, whose {module} hides {whose}"
            yield Finding(
                id="python-path-shadow",
                level="warning",
                package=holder.package if holder else None,
                path=path,
                owner=holder.label if holder else None,
                evidence=said,
                repair=("unset", "PYTHONPATH"),
            )


def standard_library_shadow(view: View) -> Iterator[Finding]:
    """A module with the name of one of the standard library's.

    In site-packages the standard library's wins, and whoever meant this one gets the other; beside a script, this one
    wins for all scripts there.
    """
    python = view.state.python
    if python is None:
        return
    standard = standard_library(python.minor)
    for module, (path, owner) in _top_level(view).items():
        if module in standard:
            said = f"python has a module {module} of its own, and imports that: this one is hidden, or hides it"
            yield _finding(view, "standard-library-shadow", path, said, level="warning", owner=owner)
    for path in (path for folder in ("bin", "Scripts") for path in view.observed.below(folder)):
        match = _MODULE.match(path.rpartition("/")[2]) if view.observed.kind(path) == "file" else None
        if match and match[1] in standard:
            said = f"every script beside it imports this instead of the standard library's {match[1]}"
            yield _finding(view, "standard-library-shadow", path, said, level="warning")


def standard_library(minor: tuple[int, int] | None) -> frozenset[str]:
    """The top-level modules of the standard library of a python, private ones left out."""
    found = {name for name in sys.stdlib_module_names if not name.startswith("_")} - {"this", "antigravity"}
    for version, names in _LOST.items():
        found = found - set(names.split()) if minor and minor >= version else found | set(names.split())
    for version, names in _GAINED.items():
        if minor and minor >= version:
            found |= {name for name in names.split() if "." not in name}
        elif minor:
            found -= {"tomllib", "annotationlib", "compression"} & set(names.split())
    return frozenset(found)


def unseen_distribution(view: View) -> Iterator[Finding]:
    """A distribution in the folder of another python: what pip had put there before this one came."""
    site = view.state.site_packages
    if site is None or not view.is_environment:
        return
    importable = {distribution.path for distribution in view.records.importable}
    for distribution in view.state.distributions:
        folder = posixpath.dirname(distribution.path)
        if distribution.path in importable or not re.search(r"(?:python|pypy)\d", folder):
            continue
        owner = view.claims.answering[distribution.path]
        said = f"this environment's python reads {site}, not {folder}"
        yield Finding(
            id="unseen-distribution",
            level="warning",
            package=owner.package,
            path=distribution.path,
            owner=owner.label,
            evidence=said,
            repair=repair.install_again(view, distribution),
        )


def _top_level(view: View) -> dict[str, tuple[str, Owner | None]]:
    """Top-level module of the prefix's site-packages → its path, and whose it is."""
    site = view.state.site_packages
    found: dict[str, tuple[str, Owner | None]] = {}
    for path in view.observed.below(site) if site else ():
        name = path.rpartition("/")[2]
        if "." not in name and view.observed.kind(path) == "directory":
            initial = f"{path}/__init__.py"
            if initial in view.observed and name != "__pycache__":
                found[name] = (initial, view.owner(initial))
        elif match := _MODULE.match(name):
            found[match[1]] = (path, view.owner(path))
    return found


def _finding(view: View, name: str, path: str, evidence: str, *, level: Level, owner: Owner | None = None) -> Finding:
    return at_path(owner or view.owner(path), path, name, level, evidence)
