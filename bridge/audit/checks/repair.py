"""The repair commands of the checks.

`bridge audit --fix` installs the owner again or removes what is unowned (`bridge.install.repair`), and repairs exactly
the findings that name it. `()`: no command is certain to be right.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bridge.audit.look.inspection import Kernel
from bridge.audit.policy import release
from bridge.audit.view import View
from bridge.model import Distribution
from bridge.prefix.claims import Owner
from converters.deferred import regex
from converters.projects import canonicalize_name

_UNQUOTED = regex(r"[|,\s\x00-\x1f]")
_VERSION = regex(r"[0-9][\w.!+-]*\Z")


def recover(view: View) -> tuple[str, ...]:
    """Finish or undo an interrupted transaction."""
    return ("bridge", "recover", "-p", str(view.state.prefix))


def restore(view: View, owner: Owner) -> tuple[str, ...]:
    """Restore an owner's files: with bridge if its record has a source, with pip for what pip installed.

    Bridge never overwrites pip's files: see `settle` where pip overwrote the owner's.
    """
    if owner.distribution is not None and owner.distribution.path in view.stale:
        return delete(view, owner.distribution.path)  # Its files now belong to another version.
    overwriter = view.overwriters.get(owner)
    if overwriter is not None:
        return settle(view, owner, overwriter)
    if owner.distribution is not None:
        return _reinstalled(view, owner.distribution)
    record = owner.installed.record if owner.installed else None
    if record is None or not record.url or (record.sha256 is None and record.revision is None):
        return ()
    return _fix(view)


def _reinstalled(view: View, distribution: Distribution) -> tuple[str, ...]:
    """Install a distribution of pip again; one under another name than its RECORD states gets back its name."""
    site, _, name = distribution.path.rpartition("/")
    listed = {each.path.rpartition("/") for each in distribution.entries or () if each.path.endswith("/RECORD")}
    named = [folder for folder, _, _ in listed if folder.rpartition("/")[0] == site and folder.endswith(".dist-info")]
    if len(named) == 1 and named[0] != distribution.path and name.endswith(".dist-info"):
        is_free = all(each.path != named[0] for each in view.state.distributions)
        return rename(view, distribution.path, named[0]) if is_free else ()
    metadata = f"{distribution.path}/METADATA"
    broken = [each for each in view.state.defects if each.path.startswith(f"{distribution.path}/")]
    is_unread = any((each.id, each.path) == ("broken-record", metadata) for each in broken)
    if is_unread and release(distribution.version):
        # pip ends at it, whatever it is to do; without it, pip installs the project again.
        return delete(view, metadata)
    # pip reads the RECORD of what it uninstalls, and ends at one that it cannot read.
    is_listed = all(each.path == metadata for each in broken)
    return _from_index(view, distribution, "--force-reinstall" if is_listed else "--ignore-installed")


def settle(view: View, owner: Owner, overwriter: Owner) -> tuple[str, ...]:
    """Record what pip made of the owner's project, or remove the other project that it put over the owner."""
    distribution, record = overwriter.distribution, owner.installed.record if owner.installed else None
    project = canonicalize_name(overwriter.package)
    if distribution is not None and record is not None and _is_listed(distribution) and _is_named(distribution):
        names = {canonicalize_name(owner.package), *record.pypi_names}
        if not names.isdisjoint({project, view.records.names.native_name(project)}):
            return _adopt(view, distribution)
    return pip(view, "uninstall", "--yes", overwriter.package)


def relocate(view: View, owner: Owner) -> tuple[str, ...]:
    """Write this prefix into a file of a package with a record, and the new hash into the record."""
    return _fix(view) if owner.installed is not None else ()


def record_anew(view: View, owner: Owner) -> tuple[str, ...]:
    """Restore a distribution's RECORD. pip cannot uninstall it, so it must not try."""
    if owner.distribution is None or owner.distribution.path in view.stale:
        return restore(view, owner)
    return _from_index(view, owner.distribution, "--ignore-installed")


def record_of_package(view: View) -> tuple[str, ...]:
    """Install the package of a damaged record again; its file name has name, version and build."""
    return _fix(view)


def rename(view: View, path: str, name: str) -> tuple[str, ...]:
    """Rename a file, unless the new name is taken."""
    return () if view.target.is_windows else ("mv", "-n", str(view.state.prefix / path), str(view.state.prefix / name))


def set_aside(view: View, path: str) -> tuple[str, ...]:
    """Rename a file that its reader cannot read; what can be saved of it is the user's to say."""
    return rename(view, path, f"{path}.broken")


def adopt(view: View, distribution: Distribution) -> tuple[str, ...]:
    """Have bridge record what pip installed, as it is."""
    if distribution.path in view.stale:
        return delete(view, distribution.path)
    if not _is_listed(distribution) or not view.has_records or not _is_named(distribution):
        return ()
    return _adopt(view, distribution)


def _adopt(view: View, distribution: Distribution) -> tuple[str, ...]:
    """Adopt a distribution; one with missing or changed files would be refused, and is installed again before."""
    if distribution.path in view.incomplete:
        return _reinstalled(view, distribution)
    return ("bridge", "adopt", "-p", str(view.state.prefix), distribution.name)


def _is_listed(distribution: Distribution) -> bool:
    """Whether it can be adopted: an egg has no RECORD to compare with its files, and no conda package has its form."""
    return distribution.path.endswith(".dist-info") and distribution.entries is not None


def satisfy_conda(view: View, spec: str) -> tuple[str, ...]:
    """Install what a conda record requires."""
    return ("bridge", "install", "-p", str(view.state.prefix), f"conda:{spec}")


def satisfy_wheel(view: View, requirement: str) -> tuple[str, ...]:
    """Install what a dist-info requires; with pip where conda-meta has no record."""
    if not view.has_records:
        return pip(view, "install", requirement)
    return ("bridge", "install", "-p", str(view.state.prefix), f"pypi:{requirement}")


def update(view: View, package: str) -> tuple[str, ...]:
    """Update a package that has a record."""
    return ("bridge", "update", "-p", str(view.state.prefix), package)


def replace_build(view: View, owner: Owner) -> tuple[str, ...]:
    """Replace a build that does not fit this environment."""
    if owner.distribution is not None:
        return pip(view, "install", "--upgrade", "--force-reinstall", "--no-deps", owner.package)
    return update(view, owner.package)


def install_again(view: View, distribution: Distribution) -> tuple[str, ...]:
    """Install a project for this environment's python; its version may have no file for that."""
    if not _is_named(distribution):
        return ()
    return satisfy_wheel(view, distribution.name)


def install_beside(view: View, egg: Distribution) -> tuple[str, ...]:
    """Install the project of an egg that python does not find; pip takes it for installed."""
    if not _is_named(egg) or view.has_records:
        return install_again(view, egg)
    return pip(view, "install", "--ignore-installed", "--no-deps", egg.name)


def make_executable(view: View, path: str) -> tuple[str, ...]:
    """Make a script executable for everyone."""
    return ("chmod", "+x", str(view.state.prefix / path))


def forbid_others(view: View, path: str) -> tuple[str, ...]:
    """Let only its owner and group change a file."""
    return () if view.target.is_windows else ("chmod", "o-w", str(view.state.prefix / path))


def drop_line(view: View, path: str, directory: str) -> tuple[str, ...]:
    """Delete the line of a `.pth` file that names a directory; the file, if it has no other line."""
    lines = view.inspection.path_files[path].lines
    name = directory.rpartition("/")[2]
    same = [each for each in lines if each.rpartition("/")[2] == name]
    if len(lines) == 1:
        return delete(view, path)
    if len(same) > 1 or not view.target.subdir.startswith("linux-") or _UNQUOTED.search(name):
        return ()
    return ("sed", "-i", rf"\|^\(.*/\)\?{_for_sed(name)}/*[[:space:]]*$|d", str(view.state.prefix / path))


def replace_text(view: View, path: str, prefix: str) -> tuple[str, ...]:
    """Write this prefix in place of another one, where that is not the beginning of a longer name."""
    here = str(view.state.prefix)
    if not view.target.subdir.startswith("linux-") or any(_UNQUOTED.search(each) for each in (prefix, here)):
        return ()
    there, new = _for_sed(prefix), here.replace("\\", "\\\\").replace("&", "\\&")
    return ("sed", "-i", rf"s,{there}\([^[:alnum:]_.-]\|$\),{new}\1,g", str(view.state.prefix / path))


def install_kernel(view: View, kernel: Kernel) -> tuple[str, ...]:
    """Write a kernel of Jupyter again, for this environment's python."""
    prefix = str(view.state.prefix)
    python = str(view.state.interpreter)
    words = ("-m", "ipykernel", "install", "--prefix", prefix, "--name", kernel.name, "--display-name", kernel.shown)
    return (python, *words)


def _for_sed(text: str) -> str:
    """Text without a meaning in a basic regular expression."""
    return "".join(f"\\{each}" if each in r".*^$[]\\" else each for each in text)


def pip(view: View, *words: str) -> tuple[str, ...]:
    """Run the prefix's own pip; if it has none (uv creates such environments), the pip on PATH with `--python`.

    `()` if the prefix's python is gone: no pip can work on it.
    """
    if view.inspection.interpreters.get("bin/python") == "":
        return ()
    return (*pip_of(view.state.prefix, view.records.importable, is_windows=view.target.is_windows), *words)


def pip_of(prefix: Path, distributions: Iterable[Distribution], *, is_windows: bool) -> tuple[str, ...]:
    """The words that run pip for a prefix with these distributions."""
    path = str(prefix / ("python.exe" if is_windows else "bin/python"))
    has_pip = any(distribution.name == "pip" for distribution in distributions)
    return (path, "-m", "pip") if has_pip else ("pip", "--python", path)


def delete(view: View, path: str) -> tuple[str, ...]:
    """Delete a directory that nothing needs."""
    return () if view.target.is_windows else ("rm", "-r", str(view.state.prefix / path))


def clear(view: View, path: str) -> tuple[str, ...]:
    """Remove what no package owns; in a transaction where the prefix has conda-meta, which holds bridge's lock."""
    return _fix(view) if view.has_records else delete(view, path)


def _fix(view: View) -> tuple[str, ...]:
    return ("bridge", "audit", "-p", str(view.state.prefix), "--fix")


def _is_named(distribution: Distribution) -> bool:
    """Whether it has a name and a version that a command can name."""
    return bool(distribution.name) and _VERSION.match(distribution.version) is not None


def _from_index(view: View, distribution: Distribution, how: str) -> tuple[str, ...]:
    """Install the same version again from where it came; `()` if that may differ by now.

    A version that PEP 440 does not know is none that pip could install: the newest one replaces it.
    """
    if not _is_named(distribution):
        return ()
    named = f"{distribution.name}=={distribution.version}" if release(distribution.version) else distribution.name
    origin = named if distribution.direct_url is None else _origin(view, distribution)
    return pip(view, "install", how, "--no-deps", origin) if origin else ()


def _origin(view: View, distribution: Distribution) -> str:
    """The requirement of an archive with its hash, or of a commit (PEP 610); `""` for a directory, which may change."""
    document = distribution.direct_url or {}
    url, archive, repository = (document.get(key) for key in ("url", "archive_info", "vcs_info"))
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError:
        return ""
    if not parts.scheme or "@" in parts.netloc or parts.fragment:
        return ""
    if isinstance(repository, dict) and repository.get("commit_id"):
        directory = document.get("subdirectory")
        suffix = f"#subdirectory={directory}" if directory else ""
        return f"{distribution.name} @ {repository.get('vcs')}+{url}@{repository['commit_id']}{suffix}"
    if not isinstance(archive, dict) or (
        parts.scheme == "file" and not view.inspection.outside.get(unquote(parts.path))
    ):
        return ""
    hashes, old = archive.get("hashes"), archive.get("hash")  # pip before 23.1 states `hash` alone
    digest = hashes.get("sha256") if isinstance(hashes, dict) else None
    if digest is None and isinstance(old, str) and old.startswith("sha256="):
        digest = old.removeprefix("sha256=")
    return f"{distribution.name} @ {url}#sha256={digest}" if digest else ""
