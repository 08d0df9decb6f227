"""Where the files of a project run, as clauses; and files that come by their URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.errors import UnsafeInputError, UsageError
from bridge.requirements.algebra import Requirement
from bridge.resolve.assumptions import GROWN, meeting_files
from bridge.resolve.catalog import Project
from bridge.resolve.store import Clause
from bridge.resolve.variables import Fact, Variable

if TYPE_CHECKING:
    from bridge.resolve.space import Space

__all__ = ["add_url", "need_python", "say_where_files_run"]


def say_where_files_run(space: Space, variable: Variable, project: Project, among: int) -> None:
    pythons, python = space.catalog.pythons, space.python
    for tags, bits in project.by_tags.items():
        fits = pythons.for_tags(tags)
        if bits & among and fits != pythons.everything:
            fact = Fact("tags", "", variable, bits & among, python)
            space.store.add(Clause(((variable.index, bits & among), (python.index, ~fits)), fact))
    for text, bits in project.by_python.items():
        if bits & among:
            need_python(space, variable, bits & among, text)


def need_python(space: Space, variable: Variable, bits: int, text: str) -> None:
    """Files that state a Requires-Python run on these pythons only. An unreadable one is ignored, as pip does, and not
    told: there is nothing that a person could do about it, and a popular project may have dozens.
    """
    fits = space.catalog.pythons.for_requires(text)
    if fits is not None and fits != space.catalog.pythons.everything:
        fact = Fact("requires-python", text, variable, bits, space.python)
        space.store.add(Clause(((variable.index, bits), (space.python.index, ~fits)), fact))


def add_url(space: Space, variable: Variable, requirement: Requirement, *, is_root: bool) -> None:
    """The file of a URL joins its project; asked for by the person, it is the only candidate."""
    assert requirement.url is not None
    catalog = space.catalog
    if catalog.index is None:
        raise UsageError("no-index", f"{requirement.text}: a URL needs the package index, which is switched off")
    if not is_root and requirement.url.startswith("file:"):
        raise UnsafeInputError("url-refused", f"{requirement.text}: only a person may name a file of this machine")
    file = catalog.index.file_of_url(requirement.url, variable.key)
    if variable.project is None and is_root:
        variable.project = Project.of_file(file, catalog.target, catalog.options)
        return
    wider, bit = (variable.project or catalog.project(variable.key)).with_file(file)
    variable.project = wider
    if variable.is_known and not space.store.full[variable.index] & bit:
        space.store.extend(variable.index, bit)
        space.assumptions.lifting |= GROWN
        say_where_files_run(space, variable, wider, bit)
        for demand in variable.demands:
            if demand.requirement is not None and not meeting_files(wider, demand.requirement) & bit:
                space.store.add(Clause((*demand.source, (variable.index, bit)), demand.fact))
