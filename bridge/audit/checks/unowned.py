"""Checks of paths without an owner, and of what pip leaves behind. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.audit.checks import repair
from bridge.audit.finding import Finding
from bridge.audit.policy import is_kept_aside, leftovers
from bridge.audit.view import View
from converters.deferred import regex

# conda-pack writes these into every archive (conda_pack.core), conda before 4.4 `activate` and `deactivate` too.
_OF_CONDA_PACK = frozenset(
    {
        *(f"bin/{name}" for name in ("conda-unpack", "conda_unpack_progress.py")),
        *(f"bin/{name}" for name in ("activate", "activate.fish", "deactivate")),
        *(f"Scripts/{name}" for name in ("conda-unpack.exe", "conda-unpack-script.py", "conda_unpack_progress.py")),
        *(f"Scripts/{name}" for name in ("activate.bat", "deactivate.bat")),
    }
)
# Files that virtualenv, uv and setuptools write beside the distributions, and that people keep there.
_OF_VENV = regex(r"(?:_virtualenv\.(?:py|pth)|easy-install\.pth|.*\.egg-link|README\.txt|\.\w*|__pycache__)\Z")


def unowned_file(view: View) -> Iterator[Finding]:
    """A file that no record claims, or a whole directory of such files: a fact, since people and programs add files.

    Without conda-meta nothing claims the interpreter's own files or a virtual environment's scripts: in a venv only
    site-packages is reported, for a base interpreter nothing.
    """
    unread = len(view.unread)
    unlisted = _unlisted(view)
    kept = [path for path in view.observed.plain if is_kept_aside(path)] if view.unowned else []
    sites = tuple({f"{each.path.rpartition('/')[0]}/" for each in view.state.distributions})
    for path, count in view.unowned.items() if view.is_environment else ():
        name = path.rpartition("/")[2]
        if f"{path}/".casefold().startswith(unlisted):
            continue
        if not view.has_records and (_OF_VENV.match(name) or not path.startswith(sites)):
            continue
        is_directory = view.observed.kind(path) in {None, "directory"}
        is_kept = is_kept_aside(name) or (is_directory and sum(each.startswith(f"{path}/") for each in kept) == count)
        is_of_conda_pack = path in _OF_CONDA_PACK
        evidence = "no record claims it"
        if is_of_conda_pack:
            evidence = "conda-pack added it to its archive; no package needs it"
        elif is_directory:
            evidence = f"a directory of {count} file{'s' if count > 1 else ''} that no record claims"
        if is_kept:
            evidence += "; bridge kept it aside when it restored the file, and no package needs it"
        elif unread:
            evidence += f"; {unread} conda-meta record(s) that cannot be read may claim it"
        yield Finding.of(None, "unowned-file", "info", path, evidence)


def _unlisted(view: View) -> tuple[str, ...]:
    """Beginnings of paths named like a distribution whose RECORD is missing or damaged: they may be its files."""
    broken = {defect.path for defect in view.state.defects}
    names = (
        (each.path.rpartition("/")[0], each.name.replace("-", "_"))
        for each in view.state.distributions
        if not each.entries or f"{each.path}/RECORD" in broken
    )
    return tuple(f"{site}/{name}{end}".casefold() for site, name in names for end in ("/", ".", "-"))


def leftover(view: View) -> Iterator[Finding]:
    """A `~name` in site-packages: pip moved it aside, and its uninstall or upgrade was interrupted."""
    for path in leftovers(view.state, view.observed):
        evidence = "pip moves packages aside under such names, and was interrupted before it finished"
        yield Finding.of(None, "leftover", "error", path, evidence, repair=repair.clear(view, path))
