"""Checks of paths that no record claims, and of what pip leaves behind."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.audit import repair
from bridge.audit.finding import Finding
from bridge.audit.territory import leftovers
from bridge.audit.view import View

__all__ = ["leftover", "unowned_file"]


def unowned_file(view: View) -> Iterator[Finding]:
    """A file that no record claims; a whole directory of such files counts once.

    Not told of a prefix without conda-meta: there nobody claims the interpreter's own files either.
    """
    unread = sum(defect.path.startswith("conda-meta/") for defect in view.state.defects)
    doubt = f"; {unread} defect(s) of conda-meta hide what it claims" if unread else ""
    for path, count in view.unowned.items() if view.has_records else ():
        found = view.observed.get(path)
        is_directory = found is None or found.fingerprint.kind == "directory"
        files = "1 file" if count == 1 else f"{count} files"
        said = f"a directory of {files} that no record claims" if is_directory else "no record claims it"
        yield Finding(id="unowned-file", level="warning", path=path, evidence=said + doubt)


def leftover(view: View) -> Iterator[Finding]:
    """A `~name` in site-packages: what pip moved aside when an uninstall or an upgrade of it was interrupted."""
    for path in leftovers(view.state, view.observed):
        yield Finding(
            id="leftover",
            level="error",
            path=path,
            evidence="pip moves a package aside under such a name, and was interrupted before it could finish",
            repair=repair.delete(view, path),
        )
