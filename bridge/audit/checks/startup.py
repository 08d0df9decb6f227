"""Checks of what python reads at its start: `.pth` files, the user's packages, PYTHONPATH. Pure."""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Collection, Iterator
from functools import partial

from bridge.audit.checks import repair
from bridge.audit.checks.startup_lines import OF_SETUPTOOLS, is_usual_line
from bridge.audit.finding import Finding, Level
from bridge.audit.look.inspection import Editable
from bridge.audit.view import View
from bridge.model import EGGS, Distribution
from bridge.prefix.claims import Owner
from converters.deferred import regex
from converters.projects import canonicalize_name

# Files that no record claims, since installers add lines to them.
_SHARED = ("_virtualenv.pth", "easy-install.pth")
# The line by which setuptools links an editable distribution.
_LINK = regex(r"import __editable___?(\w+)_finder; __editable___?\1_finder\.install\(\)\Z")
# Changes of the standard library; `sys.stdlib_module_names` is of the python that runs bridge.
_REMOVED = {
    (3, 12): "asynchat asyncore distutils imp smtpd",
    (3, 13): "aifc audioop cgi cgitb chunk crypt imghdr mailcap msilib nis nntplib ossaudiodev pipes sndhdr spwd sunau"
    " telnetlib uu xdrlib lib2to3",
}
_ADDED = {(3, 11): "tomllib", (3, 14): "annotationlib compression string.templatelib concurrent"}
_MODULE = regex(r"([A-Za-z_]\w*)(?:\.py|(?:\.[\w-]+)?\.(?:so|pyd))\Z")


def pth_runs_code(view: View) -> Iterator[Finding]:
    """A `.pth` or `.start` file with a line that python executes at every start, which malicious wheels have used.

    info for what installers write, and for a module of the same package.
    """
    linked = {view.claims.answering.get(editable.distribution) for editable in view.inspection.editables} - {None}
    for path, path_file in view.inspection.path_files.items():
        owner, lines = view.owner(path), [line.strip() for line in path_file.code]
        is_setuptools = owner is not None and owner.package == "setuptools" and lines == [OF_SETUPTOOLS]
        is_link = owner in linked and all(_LINK.match(line) for line in lines)
        if not lines or is_setuptools or is_link:  # Every environment with setuptools has its file.
            continue
        usual = partial(
            is_usual_line,
            has=partial(_has_module, view, path, owner),
            is_owned=owner is not None or posixpath.basename(path) in _SHARED,
            package=canonicalize_name(owner.package) if owner is not None else "",
        )
        unusual = [line for line in path_file.code if not usual(line)]
        evidence = f"python executes at every start: {(unusual or path_file.code)[0][:160]}"
        evidence += "; no record claims it" if owner is None else ""
        yield Finding.of(owner, "pth-runs-code", "warning" if unusual else "info", path, evidence)


def _has_module(view: View, path: str, owner: Owner | None, module: str) -> bool:
    """Whether the owner of a `.pth` file has a module in the same directory, as its record promises it."""
    if owner is None:
        return False
    start = f"{posixpath.dirname(path)}/{module.replace('.', '/')}"
    changed = {each.claim.entry.path for each in view.discrepancies}
    return any(
        file in view.observed and file not in changed and view.owner(file) is owner
        for file in (f"{start}.py", f"{start}/__init__.py")
    )


def pth_outside(view: View) -> Iterator[Finding]:
    """A `.pth` that adds to `sys.path` a directory outside the prefix, or one that does not exist.

    The directories of editable distributions are no finding. info for a project that a person added, as `conda develop`
    does in conda.pth: it has modules, and since `site` appends it to `sys.path`, it hides none of this environment.
    info too for the egg of a project that is installed otherwise.
    """
    projects = {canonicalize_name(distribution.name) for distribution in view.records.importable}
    known = {source for editable in view.inspection.editables for source in editable.sources}
    inside = (f"{view.state.prefix}/", f"{view.real_prefix}/")
    for path, path_file in view.inspection.path_files.items():
        for directory in path_file.directories if path.endswith(".pth") else ():
            exists = bool(view.inspection.outside.get(directory))
            is_inside = f"{directory}/".startswith(inside)
            if exists and (is_inside or any(f"{source}/".startswith(f"{directory}/") for source in known)):
                continue
            where = "is outside this environment" if exists else "does not exist"
            evidence = f"it adds {directory} to sys.path, which {where}"
            owner = view.owner(path)
            is_added = owner is None and directory in view.inspection.sources
            # `broken-editable` reports a known one in detail.
            is_again = not exists and _project_of_egg(directory) in projects
            level: Level = "info" if is_added or directory in known or is_again else "warning"
            commands = repair.drop_line(view, path, directory) if owner is None and not exists else ()
            yield Finding.of(owner, "pth-outside", level, path, evidence, repair=commands)


def _project_of_egg(path: str) -> str:
    """The project in the name of an egg, `NAME-VERSION-pyX.Y.egg`; empty: it is none."""
    name = posixpath.basename(path)
    return canonicalize_name(name.partition("-")[0].replace("_", "-")) if name.endswith(".egg") else ""


def broken_editable(view: View) -> Iterator[Finding]:
    """An editable distribution whose working copy does not exist."""
    for editable in view.inspection.editables:
        absent = [source for source in editable.sources if not view.inspection.outside.get(source)]
        if not absent:
            continue
        owner = view.claims.answering.get(editable.distribution)
        yield Finding(
            id="broken-editable",
            level="error",
            package=owner.package if owner else posixpath.basename(editable.distribution).partition(".")[0],
            path=editable.distribution,
            owner=owner.label if owner else None,
            evidence=f"python imports it from {absent[0]}, which does not exist",
            repair=repair.pip(view, "uninstall", "--yes", owner.package) if owner else _unlink(view, editable),
        )


def _unlink(view: View, editable: Editable) -> tuple[str, ...]:
    """Delete an `.egg-link` of setuptools, with which pip cannot do anything once its working copy is gone."""
    return repair.delete(view, editable.distribution) if editable.distribution.endswith(".egg-link") else ()


def user_site_shadow(view: View) -> Iterator[Finding]:
    """A package of this environment that one in the user's site directory hides, which python searches first."""
    around = view.inspection.surroundings
    if around.user_site is None:
        return
    reported: set[int] = set()
    for distribution in view.records.importable:
        version = around.user_projects.get(canonicalize_name(distribution.name))
        owner = view.claims.answering[distribution.path]
        if version is None:
            continue
        reported.add(id(owner))
        evidence = f"python imports {distribution.name} {version} from {around.user_site}"
        evidence += f" instead of {distribution.version}; PYTHONNOUSERSITE=1 prevents it"
        commands = repair.pip(view, "uninstall", "--yes", distribution.name)
        yield Finding.of(owner, "user-site-shadow", "warning", distribution.path, evidence, repair=commands)
    for module, (path, holder) in _top_level(view).items():
        if module in around.user_modules and id(holder) not in reported:
            evidence = f"python imports {module} from {around.user_modules[module]} instead"
            evidence += "; PYTHONNOUSERSITE=1 prevents it"
            yield Finding.of(holder or view.owner(path), "user-site-shadow", "warning", path, evidence)


def python_path_shadow(view: View) -> Iterator[Finding]:
    """A module of this environment or of the standard library that a directory of PYTHONPATH hides."""
    own, standard = _top_level(view), standard_library(view.state.python.minor if view.state.python else None)
    for directory, modules in view.inspection.surroundings.python_path:
        for module in modules:
            path, owner = own.get(module, (None, None))
            if path is None and module not in standard:
                continue
            hidden = "the standard library's" if module in standard else "this environment's"
            evidence = f"PYTHONPATH has {directory}, whose module {module} hides {hidden}"
            commands = ("unset", "PYTHONPATH")
            yield Finding.of(owner, "python-path-shadow", "warning", path, evidence, repair=commands)


def standard_library_shadow(view: View) -> Iterator[Finding]:
    """A module named like one of the standard library.

    In site-packages the standard library's hides it; beside a script, it hides the standard library's.
    """
    python = view.state.python
    if python is None:
        return
    standard = standard_library(python.minor)
    for module, (path, owner) in _top_level(view).items():
        if module in standard:
            evidence = f"the standard library has a module {module}, which hides this one, or is hidden by it"
            holder = owner or view.owner(path)
            commands = _without_backport(view, holder, standard)
            yield Finding.of(holder, "standard-library-shadow", "warning", path, evidence, repair=commands)
    for path in (path for directory in ("bin", "Scripts") for path in view.observed.below(directory)):
        match = _MODULE.match(path.rpartition("/")[2]) if view.observed.kind(path) == "file" else None
        if match and match[1] in standard:
            evidence = f"the scripts beside it import this instead of the standard library's {match[1]}"
            yield Finding.of(view.owner(path), "standard-library-shadow", "warning", path, evidence)


def _without_backport(view: View, owner: Owner | None, standard: Collection[str]) -> tuple[str, ...]:
    """Uninstall what pip installed if it has only modules of the standard library (enum34), and nothing requires it."""
    own = owner.distribution if owner is not None and owner.installed is None else None
    site = view.state.site_packages
    if own is None or own.entries is None or site is None:
        return ()
    paths = [each.path.removeprefix(f"{site}/") for each in own.entries]
    modules = {path.partition("/")[0].removesuffix(".py") for path in paths if ".dist-info/" not in path}
    needs = regex(rf"(?i){'[-_.]+'.join(map(re.escape, canonicalize_name(own.name).split('-')))}(?![\w.-])")
    is_needed = any(needs.match(line) for each in view.records.importable for line in each.requires_dist)
    is_backport = modules - {"__pycache__"} <= set(standard) and not is_needed
    return repair.pip(view, "uninstall", "--yes", own.name) if is_backport else ()


def standard_library(minor: tuple[int, int] | None) -> frozenset[str]:
    """The public top-level modules of the standard library of a python version; `None`: of any version."""
    modules = {name for name in sys.stdlib_module_names if not name.startswith("_")} - {"this", "antigravity"}
    for version, names in _REMOVED.items():
        modules = modules - set(names.split()) if minor and minor >= version else modules | set(names.split())
    for version, names in _ADDED.items():
        if minor and minor >= version:
            modules |= {name for name in names.split() if "." not in name}
        elif minor:
            modules -= {"tomllib", "annotationlib", "compression"} & set(names.split())
    return frozenset(modules)


def unseen_distribution(view: View) -> Iterator[Finding]:
    """A distribution in the site-packages of another python version, or an egg that python does not find.

    info once its project is installed for this python too: only the unused copy is left.
    """
    site = view.state.site_packages
    if site is None or not view.is_environment:
        return
    importable = {distribution.path for distribution in view.records.importable}
    projects = {canonicalize_name(distribution.name) for distribution in view.records.importable}
    for distribution in view.state.distributions:
        path = distribution.path
        directory = posixpath.dirname(path)
        if path in importable or not re.search(r"(?:python|pypy)\d", directory):
            continue
        owner, evidence = view.claims.answering[path], f"python reads {site}, not {directory}"
        is_again = canonicalize_name(distribution.name) in projects
        evidence += "; the project is installed there too" if is_again else ""
        commands = () if is_again else repair.install_again(view, distribution)
        level: Level = "info" if is_again else "warning"
        yield Finding.of(owner, "unseen-distribution", level, path, evidence, repair=commands)

    yield from _unlisted_eggs(view, site, projects)


def _unlisted_eggs(view: View, site: str, projects: Collection[str]) -> Iterator[Finding]:
    """Eggs that no `.pth` file lists: `easy_install -m` put them there, or the line was lost."""
    known = {each.path for each in view.state.distributions} | {each.path for each in view.state.defects}
    for path in view.observed.below(site):
        if not path.endswith(EGGS) or path in known or view.owner(path) is not None:
            continue
        name, _, rest = path.rpartition("/")[2].removesuffix(".egg-link").removesuffix(".egg").partition("-")
        project = canonicalize_name(name.replace("_", "-"))
        version = re.sub(r"-py\d.*", "", rest)
        evidence = "no .pth file lists it, so python does not find it"
        evidence += "; the project is installed beside it" if project in projects else ""
        level: Level = "info" if project in projects else "warning"
        egg = Distribution(path=path, name=project, version=version)
        commands = () if project in projects or path.endswith(".egg-link") else repair.install_beside(view, egg)
        yield Finding.of(None, "unseen-distribution", level, path, evidence, repair=commands)


def _top_level(view: View) -> dict[str, tuple[str, Owner | None]]:
    """Top-level module in site-packages → its path and owner."""
    site = view.state.site_packages
    modules: dict[str, tuple[str, Owner | None]] = {}
    for path in view.observed.below(site) if site else ():
        name = path.rpartition("/")[2]
        if "." not in name and view.observed.kind(path) == "directory":
            initial = f"{path}/__init__.py"
            if initial in view.observed and name != "__pycache__":
                modules[name] = (initial, view.owner(initial))
        elif match := _MODULE.match(name):
            modules[match[1]] = (path, view.owner(path))
    return modules
