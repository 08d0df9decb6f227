"""Which paths a package will have in a prefix, out of its judged archive, before anything is written.

Pure. Wheels go where pip puts them (the spread of PEP 427); conda packages where conda and rattler link them (CEP 20,
CEP 34). What is only known once it is written (a patched prefix, a generated script) has no hash here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bridge.archive.conda import CondaManifest
from bridge.archive.wheels import WheelManifest, WheelMember
from bridge.errors import UnsafeInputError, UsageError
from bridge.install.provenance import is_direct, meta_path
from bridge.model import Entry, Fingerprint, Plan, PrefixState
from bridge.paths import META, SITE_PACKAGES, RelativePath, path_below
from bridge.prefix.claims import incoming
from converters.record import Record
from converters.target import Python

__all__ = [
    "GENERATED",
    "Manifest",
    "conda_paths",
    "place",
    "predict",
    "scheme_of",
    "site_packages_after",
    "wheel_members",
    "wheel_paths",
]

Manifest = CondaManifest | WheelManifest

GENERATED = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""Files of the dist-info that the installer writes; what a wheel brings of them is left out (PEP 376, PEP 610)."""

_RESERVED = re.compile(r"conda-meta(/|\Z)|pyvenv\.cfg\Z")
# Commands of an environment itself: only the project that is the command may bring it.
_COMMANDS: Mapping[str, str | None] = {
    "activate": None,
    "deactivate": None,
    "conda": "conda",
    "mamba": "mamba",
    "pip": "pip",
    "pip3": "pip",
}


def predict(
    plan: Plan, manifests: Mapping[str, Manifest], *, site_packages: str | None = None
) -> dict[str, tuple[Entry, ...]]:
    """The paths of every incoming package: `Record.identity` → entries, for `ownership` and `staging`.

    :param manifests: `Record.identity` → the judged archive.
    :param site_packages: of the python after the change (`site_packages_after`).

    Raises as `conda_paths` and `wheel_paths` do; `UsageError` (`no-python`) for a wheel without a python.
    """
    found = {}
    for resolved in incoming(plan):
        record, manifest = resolved.record, manifests[resolved.record.identity]
        if isinstance(manifest, CondaManifest):
            found[record.identity] = conda_paths(manifest, plan.python, site_packages=site_packages)
            continue
        if plan.python is None:
            raise _no_python(manifest.filename)
        found[record.identity] = wheel_paths(
            manifest,
            record,
            plan.python,
            site_packages=site_packages,
            is_requested=bool(resolved.requested),
            is_by_url=is_direct(resolved.requested),
        )
    return found


def site_packages_after(plan: Plan, state: PrefixState) -> RelativePath | None:
    """Where the python after the change keeps its packages: as its record says (CEP 17), else in the usual place.

    Raises `UnsafeInputError` (`path-escape`) where the record names no place in the environment.
    """
    source, stated = "the environment", state.site_packages
    for resolved in incoming(plan):
        if resolved.record.name == "python" and resolved.record.ecosystem == "conda":
            source, stated = resolved.record.label, resolved.record.python_site_packages_path
            break
    if stated:
        return path_below(stated, source, SITE_PACKAGES)
    return RelativePath(plan.python.site_packages) if plan.python else None


def conda_paths(
    manifest: CondaManifest, python: Python | None, *, site_packages: str | None = None
) -> tuple[Entry, ...]:
    """The paths of a conda package, its own conda-meta record included.

    :param site_packages: where the python of the prefix keeps it (CEP 17), if not in the usual place.

    Raises `UsageError` (`no-python`) for a noarch python package without a python; `UnsafeInputError`
    (`reserved-path`) for a path that is the environment's own.
    """
    is_python = manifest.noarch == "python"
    if is_python and python is None:
        raise _no_python(manifest.filename)
    site = site_packages or (python.site_packages if python else "")
    found: dict[str, Entry] = {}
    for path in manifest.paths:
        installed = _linked(path.path, site) if is_python else path.path
        _check_reserved(installed, manifest.filename)
        if path.kind == "symlink":
            fingerprint = Fingerprint(kind="symlink", link=None if path.prefix_placeholder else path.link)
        elif path.kind == "directory":
            fingerprint = Fingerprint(kind="directory")
        else:
            is_as_packed = path.prefix_placeholder is None
            fingerprint = Fingerprint(kind="file", sha256=path.sha256 if is_as_packed else None)
        found[installed] = Entry(path=installed, fingerprint=fingerprint)
    for text in manifest.entry_points if is_python else ():
        _add(found, f"bin/{text.partition('=')[0].strip()}", manifest.filename)
    index = manifest.index
    _add(found, f"{META}/{index['name']}-{index['version']}-{index['build']}.json", manifest.filename)
    return tuple(found.values())


def _linked(path: str, site: str) -> str:
    first, _, rest = path.partition("/")
    if first == "site-packages" and rest:
        return f"{site}/{rest}"
    return f"bin/{rest}" if first == "python-scripts" and rest else path


def wheel_paths(
    manifest: WheelManifest,
    record: Record,
    python: Python,
    *,
    site_packages: str | None = None,
    is_requested: bool = False,
    is_by_url: bool = False,
) -> tuple[Entry, ...]:
    """The paths of a wheel: its members, its commands, what the installer writes into dist-info, and its record.

    :param is_requested: whether a person asked for it (REQUESTED); `is_by_url`: by its URL or path (direct_url.json).

    Raises `UnsafeInputError` (`reserved-path`) for a path or a command that is the environment's own (W38, W39).
    """
    site = site_packages or python.site_packages
    found: dict[str, Entry] = {}
    for member, path in wheel_members(manifest, python, site):
        _check_reserved(path, manifest.filename)
        _check_command(path, manifest)
        is_script = scheme_of(manifest, member.path)[0] == "scripts"
        mode = 0o755 if is_script or member.is_executable else 0o644
        # The first line of a script may name the interpreter, which is filled in when it is written.
        known = Fingerprint(kind="file", mode=mode)
        if not is_script:
            known = Fingerprint(kind="file", sha256=member.sha256, size=member.size, mode=mode)
        found[path] = Entry(path=path, fingerprint=known)
    for point in manifest.entry_points:
        _check_command(f"bin/{point.name}", manifest)
        _add(found, f"bin/{point.name}", manifest.filename, mode=0o755)
    wanted = {"RECORD": True, "INSTALLER": True, "REQUESTED": is_requested, "direct_url.json": is_by_url}
    for name in GENERATED:
        if wanted[name]:
            _add(found, f"{site}/{manifest.dist_info}/{name}", manifest.filename, mode=0o644)
    _add(found, meta_path(record), manifest.filename, mode=0o644)
    return tuple(found.values())


def wheel_members(manifest: WheelManifest, python: Python, site_packages: str) -> tuple[tuple[WheelMember, str], ...]:
    """The members that are installed, each with its prefix-relative path.

    Left out, as pip does: what the installer writes itself, and the wrappers that setuptools put among the scripts for
    entry points. Left out as well: `__pycache__`, whose bytecode nobody can hold against its source (W75).
    """
    points = {point.name for point in manifest.entry_points}
    generated = {f"{manifest.dist_info}/{name}" for name in GENERATED}
    found = []
    for member in manifest.members:
        scheme, rest = scheme_of(manifest, member.path)
        is_wrapper = scheme == "scripts" and _command(rest) in points
        if member.path in generated or is_wrapper or "__pycache__" in member.path.split("/")[:-1]:
            continue
        found.append((member, place(scheme, rest, manifest.metadata.name, python, site_packages)))
    return tuple(found)


def place(scheme: str, path: str, project: str, python: Python, site_packages: str) -> str:
    """Where a file of a wheel's scheme goes, prefix-relative: sysconfig's `posix_prefix`, headers by project as pip."""
    if scheme in {"purelib", "platlib"}:
        return f"{site_packages}/{path}"
    if scheme == "scripts":
        return f"bin/{path}"
    if scheme == "headers":
        major, minor = python.minor
        return f"include/python{major}.{minor}{'t' if python.free_threaded else ''}/{project}/{path}"
    return path


def scheme_of(manifest: WheelManifest, path: str) -> tuple[str, str]:
    """The scheme of a member, and its path within it."""
    if manifest.data_dir is not None and path.startswith(f"{manifest.data_dir}/"):
        _, scheme, rest = path.split("/", 2)
        return scheme, rest
    return ("purelib" if manifest.root_is_purelib else "platlib"), path


def _command(name: str) -> str:
    """The entry point whose wrapper a script is: `EP`, `EP.exe` and `EP-script.py` stand for EP (as pip has it)."""
    for ending in (".exe", "-script.py", ".pya"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _no_python(archive: str) -> UsageError:
    message = f"{archive} needs a python, and the environment will have none"
    return UsageError("no-python", message, hint="ask for one as well: python")


def _check_reserved(path: str, archive: str) -> None:
    if _RESERVED.match(path):
        raise UnsafeInputError(
            "reserved-path",
            f"{archive}: {path} belongs to the environment itself; no package may bring it",
            context=(f"member: {path}",),
            hint="nothing was written; the package is broken or hostile: report it to its publisher",
        )


def _check_command(path: str, manifest: WheelManifest) -> None:
    directory, _, name = path.rpartition("/")
    if directory != "bin":
        return
    if name in _COMMANDS and _COMMANDS[name] != manifest.metadata.name:
        raise UnsafeInputError(
            "reserved-path",
            f"{manifest.filename}: the command {name} belongs to the environment itself, not to a wheel",
            context=(f"member: {path}",),
            hint="nothing was written; the package is broken or hostile: report it to its publisher",
        )


def _add(found: dict[str, Entry], path: str, archive: str, mode: int | None = None) -> None:
    """Add a path that is written by us; where the package brings one itself, it contradicts itself."""
    if path in found:
        raise UnsafeInputError(
            "path-collision",
            f"{archive}: {path} is a file of the package and is generated as well",
            context=(f"member: {path}",),
        )
    found[path] = Entry(path=path, fingerprint=Fingerprint(kind="file", mode=mode))
