"""Checks of paths that no record claims, and of what pip leaves behind."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bridge.audit.checks import repair
from bridge.audit.finding import Finding
from bridge.audit.policy import is_kept_aside, leftovers
from bridge.audit.view import View

__all__ = ["leftover", "unowned_file"]

# conda-pack writes these into every archive (conda_pack.core), conda before 4.4 `activate` and `deactivate` too.
_OF_CONDA_PACK = frozenset(
    f"{folder}/{name}"
    for folder, names in {
        "bin": ("conda-unpack", "conda_unpack_progress.py", "activate", "activate.fish", "deactivate"),
        "Scripts": (
            "conda-unpack.exe",
            "conda-unpack-script.py",
            "conda_unpack_progress.py",
            "activate.bat",
            "deactivate.bat",
        ),
    }.items()
    for name in names
)
# What virtualenv, uv and setuptools write beside the distributions for themselves, and what people keep there.
_OF_VENV = re.compile(r"(?:_virtualenv\.(?:py|pth)|easy-install\.pth|.*\.egg-link|README\.txt|\.\w*|__pycache__)\Z")


def unowned_file(view: View) -> Iterator[Finding]:
    """A file that no record claims; a whole directory of such files counts once.

    Without conda-meta nobody claims the interpreter's own files, nor a virtual environment's scripts: there only what
    lies beside the distributions is told, and of an interpreter's home nothing.
    """
    unread = len(view.unread)
    doubt = f"; {unread} record(s) of conda-meta that cannot be read may claim it" if unread else ""
    unlisted = _unlisted(view)
    kept = [path for path in view.observed.plain if is_kept_aside(path)] if view.unowned else []
    sites = {each.path.rpartition("/")[0] for each in view.state.distributions}
    for path, count in view.unowned.items() if view.is_environment else ():
        folder, _, name = path.rpartition("/")
        if f"{path}/".casefold().startswith(unlisted):
            continue
        if not view.has_records and (
            _OF_VENV.match(name) or not f"{folder}/".startswith(tuple(f"{s}/" for s in sites))
        ):
            continue
        found = view.observed.get(path)
        is_directory = found is None or found.fingerprint.kind == "directory"
        files = "1 file" if count == 1 else f"{count} files"
        said = f"a directory of {files} that no record claims" if is_directory else "no record claims it"
        is_kept = is_kept_aside(name) or (is_directory and sum(each.startswith(f"{path}/") for each in kept) == count)
        is_of_conda_pack = path in _OF_CONDA_PACK
        if is_of_conda_pack:
            said = "conda-pack put it there for its archive; no package needs it"
        said += "; bridge kept it aside when it restored the file, and nobody else needs it" if is_kept else doubt
        yield Finding(
            id="unowned-file",
            level="info" if unread or is_kept or is_of_conda_pack else "warning",
            path=path,
            evidence=said,
        )


def _unlisted(view: View) -> tuple[str, ...]:
    """What goes by the name of a distribution beside it that does not say, or not whole, which files are its own."""
    broken = {defect.path for defect in view.state.defects}
    names = (
        (each.path.rpartition("/")[0], each.name.replace("-", "_"))
        for each in view.state.distributions
        if not each.entries or f"{each.path}/RECORD" in broken
    )
    return tuple(f"{site}/{name}{end}".casefold() for site, name in names for end in ("/", ".", "-"))


def leftover(view: View) -> Iterator[Finding]:
    """A `~name` in site-packages: what pip moved aside when an uninstall or an upgrade of it was interrupted."""
    for path in leftovers(view.state, view.observed):
        yield Finding(
            id="leftover",
            level="error",
            path=path,
            evidence="pip moves a package aside under such a name, and was interrupted before it could finish",
            repair=repair.clear(view, path),
        )
