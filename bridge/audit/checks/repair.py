"""The command lines that repair, in one place: no check spells a command by itself.

Only commands that do what the finding needs are named: `bridge audit --fix` installs the owner again, or clears away
what nobody owns (`bridge.install.repair`), and it repairs exactly the findings that name it. Where no command could
know what is right, there is none: `()`.
"""

from __future__ import annotations

import re

from bridge.audit.claims import Owner
from bridge.audit.view import View
from bridge.model import Distribution

_VERSION = re.compile(r"[0-9][\w.!+-]*\Z")

__all__ = [
    "adopt",
    "clear",
    "delete",
    "forbid_others",
    "install_again",
    "make_executable",
    "pip",
    "record_anew",
    "record_of_package",
    "recover",
    "relocate",
    "rename",
    "replace_build",
    "restore",
    "satisfy_conda",
    "satisfy_wheel",
    "update",
]


def recover(view: View) -> tuple[str, ...]:
    """Settle an interrupted transaction."""
    return ("bridge", "recover", "-p", str(view.state.prefix))


def restore(view: View, owner: Owner) -> tuple[str, ...]:
    """Put an owner's files back: bridge where a record says where from, pip for what pip answers for.

    Bridge writes over nothing of pip's: where pip wrote over the owner's files, pip's have to go first.
    """
    if owner.distribution is not None and owner.distribution.path in view.stale:
        return delete(view, owner.distribution.path)  # Its files are another version's now.
    overwriter = view.overwriters.get(owner)
    if overwriter is not None:
        return pip(view, "uninstall", "--yes", overwriter.package)
    if owner.distribution is not None:
        return _from_index(view, owner.distribution, "--force-reinstall")
    record = owner.installed.record if owner.installed else None
    if record is None or not record.url or record.sha256 is None:
        return ()
    return ("bridge", "audit", "-p", str(view.state.prefix), "--fix")


def relocate(view: View, owner: Owner) -> tuple[str, ...]:
    """Write the prefix of this environment into a file of a package that has a record, and its hash into the record."""
    return ("bridge", "audit", "-p", str(view.state.prefix), "--fix") if owner.installed is not None else ()


def record_anew(view: View, owner: Owner) -> tuple[str, ...]:
    """Give a distribution its RECORD again. pip cannot uninstall it first, and so must not try."""
    if owner.distribution is None or owner.distribution.path in view.stale:
        return restore(view, owner)
    return _from_index(view, owner.distribution, "--ignore-installed")


def record_of_package(view: View) -> tuple[str, ...]:
    """Install the package of a damaged record again: name, version and build are in the name of the file."""
    return ("bridge", "audit", "-p", str(view.state.prefix), "--fix")


def rename(view: View, path: str, name: str) -> tuple[str, ...]:
    """Give a file the name it should have, where none of that name is."""
    return () if view.target.is_windows else ("mv", "-n", str(view.state.prefix / path), str(view.state.prefix / name))


def adopt(view: View, distribution: Distribution) -> tuple[str, ...]:
    """Have bridge write a record of what pip put there, as it lies there."""
    if distribution.path in view.stale:
        return delete(view, distribution.path)
    # An egg has no RECORD that could be compared with its files, and conda knows no package of its form.
    is_listed = distribution.path.endswith(".dist-info") and distribution.entries is not None
    if not is_listed or not view.has_records or not _is_named(distribution):
        return ()
    return ("bridge", "adopt", "-p", str(view.state.prefix), distribution.name)


def satisfy_conda(view: View, spec: str) -> tuple[str, ...]:
    """Install what a conda record asks for."""
    return ("bridge", "install", "-p", str(view.state.prefix), f"conda:{spec}")


def satisfy_wheel(view: View, requirement: str) -> tuple[str, ...]:
    """Install what a dist-info asks for; with pip, where no record of bridge's or conda's is."""
    if not view.has_records:
        return pip(view, "install", requirement)
    return ("bridge", "install", "-p", str(view.state.prefix), f"pypi:{requirement}")


def update(view: View, package: str) -> tuple[str, ...]:
    """Bring a package that bridge manages to what fits."""
    return ("bridge", "update", "-p", str(view.state.prefix), package)


def replace_build(view: View, owner: Owner) -> tuple[str, ...]:
    """Put another build of a package there: the one that is there is not made for this environment."""
    if owner.distribution is not None:
        return pip(view, "install", "--upgrade", "--force-reinstall", "--no-deps", owner.package)
    return update(view, owner.package)


def install_again(view: View, distribution: Distribution) -> tuple[str, ...]:
    """Install a project for the python that is here."""
    if view.has_records and _is_named(distribution):
        return satisfy_wheel(view, f"{distribution.name}=={distribution.version}")
    return _from_index(view, distribution, "--upgrade")


def make_executable(view: View, path: str) -> tuple[str, ...]:
    """Let everybody run a script."""
    return ("chmod", "+x", str(view.state.prefix / path))


def forbid_others(view: View, path: str) -> tuple[str, ...]:
    """Let nobody but its owner and group change a file."""
    return () if view.target.is_windows else ("chmod", "o-w", str(view.state.prefix / path))


def pip(view: View, *words: str) -> tuple[str, ...]:
    """Run the pip of the prefix's own python; where it has none (uv makes such), whatever pip there is, on it."""
    python = "python.exe" if view.target.is_windows else "bin/python"
    path = str(view.state.prefix / python)
    has_pip = any(distribution.name == "pip" for distribution in view.records.importable)
    return (path, "-m", "pip", *words) if has_pip else ("pip", "--python", path, *words)


def delete(view: View, path: str) -> tuple[str, ...]:
    """Delete a folder that nothing needs."""
    return () if view.target.is_windows else ("rm", "-r", str(view.state.prefix / path))


def clear(view: View, path: str) -> tuple[str, ...]:
    """Take away what no package owns: in a transaction, where the environment is one that bridge may keep a lock in."""
    if view.has_records:
        return ("bridge", "audit", "-p", str(view.state.prefix), "--fix")
    return delete(view, path)


def _is_named(distribution: Distribution) -> bool:
    """Whether it says what it is, so that a command can ask for it."""
    return bool(distribution.name) and _VERSION.match(distribution.version) is not None


def _from_index(view: View, distribution: Distribution, how: str) -> tuple[str, ...]:
    """Install the same version from the index again; what came from elsewhere (PEP 610) may be another thing there."""
    if distribution.direct_url is not None or not _is_named(distribution):
        return ()
    return pip(view, "install", how, "--no-deps", f"{distribution.name}=={distribution.version}")
