"""Clauses on the pythons that the files of a project run on; and files given by their URL."""

from __future__ import annotations

from bridge.errors import UnsafeInputError, UsageError
from bridge.requirements.algebra import Requirement
from bridge.resolve.candidates.projects import Project
from bridge.resolve.encode.assumptions import GROWN, Assumptions, meeting_files
from bridge.resolve.encode.facts import RequiresPython, Tags
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import VariableId
from bridge.resolve.ruling import refuse_url
from bridge.resolve.store import Clause, Term
from bridge.sdists.location import source_of
from converters.deferred import replace

__all__ = ["add_url", "bind_to_pythons", "require_pythons"]


def bind_to_pythons(space: Space, variable: VariableId, project: Project, among: int) -> None:
    """Restrict files to the pythons that their tags and their Requires-Python admit."""
    pythons, python = space.catalog.pythons, space.python
    for tags, bits in project.by_tags.items():
        fits = pythons.for_tags(tags)
        if bits & among and fits != pythons.everything:
            fact = Tags("", variable, bits & among, python)
            space.store.add(Clause(((variable, bits & among), (python, ~fits)), fact))
    for text, bits in project.by_python.items():
        if bits & among:
            require_pythons(space, variable, bits & among, text)


def require_pythons(space: Space, variable: VariableId, bits: int, text: str) -> None:
    """Restrict files to the pythons that a Requires-Python admits.

    An unreadable one is ignored without a warning, as in pip: the user could do nothing about it, and a popular project
    may have dozens.
    """
    fits = space.catalog.pythons.for_requires(text)
    if fits is not None and fits != space.catalog.pythons.everything:
        fact = RequiresPython(text, variable, bits, space.python)
        space.store.add(Clause(((variable, bits), (space.python, ~fits)), fact))


def add_url(
    space: Space, assumptions: Assumptions, variable: VariableId, requirement: Requirement, source: tuple[Term, ...]
) -> None:
    """Add the file of a URL to its project; if the user requests it (no `source`), it is the only candidate.

    Raises `UsageError` (`no-index`) without an index, and `UnsafeInputError` (`url-refused`) if a package names a local
    file, and neither the user nor a folder that the user named does; `policy`.
    """
    assert requirement.url is not None
    catalog = space.catalog
    if catalog.index is None:
        raise UsageError(
            "no-index",
            f"{requirement.text}: a URL needs the package index, which is switched off",
            hint="leave out --no-index (BRIDGE_NO_INDEX, or pip's no-index)",
        )
    is_root = not source
    is_local = requirement.url.startswith(("file:", "git+file:"))
    if is_local and source and not _is_of_folder(space, source[0]):
        raise UnsafeInputError(
            "url-refused",
            f"{requirement.text}: a package may not require a file of this machine, only you may",
            hint="if you trust it, name the file as a requirement of your own",
        )
    meaning, name = space.meanings[variable], space.variables[variable].key
    if catalog.options.policy is not None:
        refuse_url(name, requirement.url, catalog.options.policy)
    file = catalog.index.file_of_url(requirement.url, name)
    if meaning.project is None and is_root:
        project = Project.of_file(file, catalog.target, catalog.options)
        space.meanings[variable] = replace(meaning, project=project)
        return
    wider, bit = (meaning.project or catalog.project(name)).with_file(file)
    space.meanings[variable] = replace(meaning, project=wider)
    if space.is_known[variable] and not space.store.full[variable] & bit:
        space.store.extend(variable, bit)
        assumptions.lifting |= GROWN
        bind_to_pythons(space, variable, wider, bit)
        for demand in map(space.demands.__getitem__, space.onto[variable]):
            if demand.requirement is not None and not meeting_files(wider, demand.requirement) & bit:
                space.store.add(Clause((*demand.source, (variable, bit)), demand.fact))


def _is_of_folder(space: Space, term: Term) -> bool:
    """Whether the candidates that require something are folders of source code, which only a user can have named."""
    variable, bits = term
    project = space.meanings[variable].project
    files = [] if project is None else [file for place, file in enumerate(project.files) if bits & 2 << place]
    sources = [source_of(file.url) for file in files]
    return bool(sources) and all(source is not None and source.kind == "directory" for source in sources)
