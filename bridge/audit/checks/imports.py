"""Checks of what python imports: entry points, `.pth` lines, bytecode, files in place of a module. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.audit.checks import repair
from bridge.audit.finding import Finding, Level
from bridge.audit.view import View
from bridge.prefix.claims import Owner, bytecode_source
from converters.deferred import regex

_EXTENSION = regex(r"([A-Za-z_]\w*)(?:\.(?:abi3t?|cpython-(\d+)[a-z]*(?:-[\w-]+)?|cp(\d+)-\w+))?\.(?:so|pyd)\Z")
_BYTECODE = regex(r"([A-Za-z_]\w*)\.pyc\Z")


def unmet_import(view: View) -> Iterator[Finding]:
    """An entry point or a line of a `.pth` file whose module python does not find.

    An error for programs and `.pth` files, which fail; a warning for the entry points that other packages load. Not
    reported for a module that is missing or changed, which is a finding by itself, and if the files are unknown.
    """
    changed = [each.claim.entry.path for each in view.discrepancies]
    broken = {defect.path for defect in view.state.defects}
    for each in view.inspection.imports:
        module = f"/{each.module.replace('.', '/')}"
        top = f"/{each.module.partition('.')[0]}"
        if any(
            f"{module}." in f"/{path}" or f"{module}/__init__." in f"/{path}" or f"{top}/__init__." in f"/{path}"
            for path in changed
        ):
            continue
        distribution = each.distribution
        if distribution and (distribution in view.stale or any(path.startswith(distribution) for path in broken)):
            continue
        owner = view.claims.answering.get(distribution) if distribution else view.owner(each.path)
        if distribution is None and owner is None:
            evidence = f"every start of python fails at `{each.statement[:120]}`: it does not find {each.missing}"
            commands = repair.delete(view, each.path) if _is_only_line(view, each.path) else ()
        else:
            evidence = f"`{each.statement[:120]}`: python does not find {each.missing}"
            commands = ()
        level: Level = "error" if each.is_program else "warning"
        yield Finding.of(owner, "unmet-import", level, each.path, evidence, repair=commands)


def _is_only_line(view: View, path: str) -> bool:
    return len(view.inspection.path_files[path].lines) == 1


def stale_bytecode(view: View) -> Iterator[Finding]:
    """Bytecode that python runs although it was compiled from another source: its hash is marked as unchecked."""
    for path in view.inspection.stale_bytecode:
        owner = view.owner(path)
        evidence = f"python runs it without a look at {bytecode_source(path)}, and its hash is of another source"
        commands = repair.restore(view, owner) if owner and _is_modified(view, path) else repair.clear(view, path)
        yield Finding.of(owner, "stale-bytecode", "error", path, evidence, repair=commands)


def _is_modified(view: View, path: str) -> bool:
    """Whether a record lists the bytecode with another hash, so that its package has the right one."""
    return any(each.claim.entry.path == path and each.kind == "different" for each in view.discrepancies)


def orphaned_bytecode(view: View) -> Iterator[Finding]:
    """Bytecode beside modules, which python imports without a source: nobody can read what runs.

    Not reported for packages that are published so.
    """
    hidden = tuple(f"{path}/" for path, _, _ in _hiding(view))
    for path in view.observed.plain if view.is_environment else ():
        match = _BYTECODE.match(path.rpartition("/")[2]) if path.endswith(".pyc") else None
        if match is None or not path.startswith(_sites(view)) or path.startswith(hidden):
            continue
        directory = path.rpartition("/")[0]
        source = f"{directory}/{match[1]}.py"
        if directory.endswith("__pycache__") or source in view.observed or _has_extension(view, directory, match[1]):
            continue
        owner = view.claims.by_path.owner(source)
        if owner is None and view.claims.by_path.owner(path) is not None:
            continue
        evidence = "python imports it, and it has no source"
        if owner is not None:
            evidence = f"python imports it in place of {source}, which does not exist"
        commands = repair.restore(view, owner) if owner is not None else repair.delete(view, path)
        yield Finding.of(owner, "orphaned-bytecode", "warning", path, evidence, repair=commands)


def _has_extension(view: View, directory: str, module: str) -> bool:
    names = (path.rpartition("/")[2] for path in view.observed.below(directory))
    return any((match := _EXTENSION.match(name)) is not None and match[1] == module for name in names)


def hidden_module(view: View) -> Iterator[Finding]:
    """A file or directory without an owner that python imports instead of a package's module beside it."""
    for path, module, owner in _hiding(view):
        evidence = f"python imports it instead of {module}, and no record claims it"
        yield Finding.of(owner, "hidden-module", "warning", path, evidence, repair=repair.delete(view, path))


def _hiding(view: View) -> Iterator[tuple[str, str, Owner]]:
    """(what has no owner, the module that it hides, the owner of that): a package comes before an extension module,
    and that before a source (`importlib.machinery.FileFinder`).
    """
    python = view.state.python
    digits = "".join(map(str, python.minor)) if python is not None else ""
    for path in view.unowned if view.is_environment else ():
        directory, _, name = path.rpartition("/")
        if not path.startswith(_sites(view)) or not directory:
            continue
        match = _EXTENSION.match(name)
        if match is not None and (match[2] or match[3] or digits) != digits:
            continue  # This python does not import it.
        if match is not None:
            hidden = [f"{directory}/{match[1]}.py"]
        elif name.isidentifier() and _is_package(view, path):
            hidden = [each for each in view.observed.below(directory) if _is_module(each.rpartition("/")[2], name)]
        else:
            continue
        for module in hidden:
            owner = view.claims.by_path.owner(module)
            if owner is not None and module in view.observed:
                yield path, module, owner
                break


def _is_package(view: View, path: str) -> bool:
    names = {each.rpartition("/")[2] for each in view.observed.below(path)}
    return any(name.startswith("__init__.") and name.endswith((".py", ".pyc", ".so", ".pyd")) for name in names)


def _is_module(name: str, module: str) -> bool:
    match = _EXTENSION.match(name)
    return name == f"{module}.py" or (match is not None and match[1] == module)


def _sites(view: View) -> tuple[str, ...]:
    """The beginnings of the paths that python imports from."""
    site = view.state.site_packages
    return (f"{site}/",) if site else ()
