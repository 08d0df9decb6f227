"""Predict the paths of a package in a prefix from its checked archive, before anything is written. Pure.

Wheels go where pip puts them (PEP 427); conda packages where conda and rattler link them (CEP 20, CEP 34). Content only
known once written (a replaced prefix, a generated script) has no hash here.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.archive.conda import CondaManifest
from bridge.archive.wheels import WheelManifest, WheelMember
from bridge.errors import UnsafeInputError, UsageError
from bridge.install.provenance import meta_path
from bridge.model import Entry, Fingerprint, Plan, PrefixState
from bridge.paths import META, SITE_PACKAGES, RelativePath, path_below
from bridge.prefix.claims import incoming
from bridge.requirements.direct import is_direct
from converters import layout as layouts
from converters.deferred import regex
from converters.record import Record
from converters.target import POSIX, PrefixLayout, Python

__all__ = [
    "GENERATED",
    "Manifest",
    "conda_paths",
    "linked_path",
    "place",
    "predict",
    "scheme_of",
    "site_packages_after",
    "wheel_members",
    "wheel_paths",
]

Manifest = CondaManifest | WheelManifest

GENERATED = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
"""Files of the dist-info written by the installer; a wheel's own are skipped (PEP 376, PEP 610)."""

_RESERVED = regex(r"conda-meta(/|\Z)|pyvenv\.cfg\Z")
# Commands of the environment itself: only their own project may contain them.
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
    """Return the paths of every incoming package: `Record.identity` → entries, for `ownership` and `staging`.

    :param manifests: `Record.identity` → the checked archive.
    :param site_packages: of the python after the change (`site_packages_after`).

    Raises as `conda_paths` and `wheel_paths`; `UsageError` (`no-python`) for a wheel without a python.
    """
    predicted = {}
    for resolved in incoming(plan):
        record, manifest = resolved.record, manifests[resolved.record.identity]
        if isinstance(manifest, CondaManifest):
            predicted[record.identity] = conda_paths(
                manifest, plan.python, site_packages=site_packages, layout=plan.target.layout
            )
            continue
        if plan.python is None:
            raise _no_python(manifest.filename)
        predicted[record.identity] = wheel_paths(
            manifest,
            record,
            plan.python,
            site_packages=site_packages,
            is_requested=bool(resolved.requested),
            is_by_url=is_direct(resolved.record.url, resolved.requested),
            layout=plan.target.layout,
        )
    return predicted


def site_packages_after(plan: Plan, state: PrefixState) -> RelativePath | None:
    """Return site-packages of the python after the change: from its record (CEP 17), else the default.

    Raises `UnsafeInputError` (`path-escape`) if the record names a path outside the environment.
    """
    source, stated = "the environment", state.site_packages
    for resolved in incoming(plan):
        if resolved.record.name == "python" and resolved.record.ecosystem == "conda":
            source, stated = resolved.record.label, resolved.record.python_site_packages_path
            break
    if stated:
        return path_below(stated, source, SITE_PACKAGES)
    return RelativePath(plan.target.layout.site_packages(plan.python)) if plan.python else None


def conda_paths(
    manifest: CondaManifest,
    python: Python | None,
    *,
    site_packages: str | None = None,
    layout: PrefixLayout = POSIX,
) -> tuple[Entry, ...]:
    """Return the paths of a conda package, with its conda-meta record.

    :param site_packages: of the prefix's python (CEP 17), if not the default.

    Raises `UsageError` (`no-python`) for a noarch python package without a python; `UnsafeInputError` (`reserved-path`)
    for a path of the environment itself.
    """
    is_python = manifest.noarch == "python"
    if is_python and python is None:
        raise _no_python(manifest.filename)
    site = site_packages or (layout.site_packages(python) if python else "")
    entries: dict[str, Entry] = {}
    for path in manifest.paths:
        installed = linked_path(path.path, site, layout.scripts) if is_python else path.path
        _check_reserved(installed, manifest.filename)
        if path.kind == "symlink":
            fingerprint = Fingerprint(kind="symlink", link=None if path.prefix_placeholder else path.link)
        elif path.kind == "directory":
            fingerprint = Fingerprint(kind="directory")
        else:
            is_as_packed = path.prefix_placeholder is None
            fingerprint = Fingerprint(kind="file", sha256=path.sha256 if is_as_packed else None)
        entries[installed] = Entry(path=installed, fingerprint=fingerprint)
    for text in manifest.entry_points if is_python else ():
        for command in layout.command_of_conda(text.partition("=")[0].strip()):
            _add(entries, command, manifest.filename)
    index = manifest.index
    _add(entries, f"{META}/{index['name']}-{index['version']}-{index['build']}.json", manifest.filename)
    return tuple(entries.values())


def linked_path(path: str, site: str, scripts: str) -> str:
    """Return where a path of a noarch python package goes."""
    first, _, rest = path.partition("/")
    if first == "site-packages" and rest:
        return f"{site}/{rest}"
    return f"{scripts}/{rest}" if first == "python-scripts" and rest else path


def wheel_paths(
    manifest: WheelManifest,
    record: Record,
    python: Python,
    *,
    site_packages: str | None = None,
    is_requested: bool = False,
    is_by_url: bool = False,
    layout: PrefixLayout = POSIX,
) -> tuple[Entry, ...]:
    """Return the paths of a wheel: members, commands, generated files of the dist-info, and its conda-meta record.

    :param is_requested: the user requested it (REQUESTED); `is_by_url`: by URL or path (direct_url.json).

    Raises `UnsafeInputError` (`reserved-path`) for a path or a command of the environment itself.
    """
    site = site_packages or layout.site_packages(python)
    entries: dict[str, Entry] = {}
    scripts = f"{layout.scripts}/"
    inside = f"{site}/"
    for member, path in wheel_members(manifest, python, site, layout):
        is_script = False
        if not path.startswith(inside):
            _check_reserved(path, manifest.filename)
            if path.startswith(scripts):
                _check_command(path, manifest, layout)
            is_script = scheme_of(manifest, member.path)[0] == "scripts"
        mode = 0o755 if is_script or member.is_executable else 0o644
        # The interpreter in the first line of a script is filled in when it is written.
        sha256, size = (None, None) if is_script else (member.sha256, member.size)
        known = Fingerprint(kind="file", sha256=sha256, size=size, mode=mode)
        entries[path] = Entry(path=path, fingerprint=known)
    for point in manifest.entry_points:
        path = layout.command_of_wheel(point.name)
        _check_command(path, manifest, layout)
        _add(entries, path, manifest.filename, mode=0o755)
    wanted = {"RECORD": True, "INSTALLER": True, "REQUESTED": is_requested, "direct_url.json": is_by_url}
    for name in GENERATED:
        if wanted[name]:
            _add(entries, f"{site}/{manifest.dist_info}/{name}", manifest.filename, mode=0o644)
    _add(entries, meta_path(record), manifest.filename, mode=0o644)
    return tuple(entries.values())


def wheel_members(
    manifest: WheelManifest, python: Python, site_packages: str, layout: PrefixLayout = POSIX
) -> tuple[tuple[WheelMember, str], ...]:
    """Return the members to install, each with its prefix-relative path.

    Skipped, as by pip: generated files, wrappers that setuptools put among the scripts for entry points, and files with
    the path of a command. Also skipped: `__pycache__`, whose bytecode cannot be checked against its source.
    """
    points = {point.name for point in manifest.entry_points}
    commands = {layout.command_of_wheel(name) for name in points}
    generated = {f"{manifest.dist_info}/{name}" for name in GENERATED}
    data_dirs = tuple(f"{name}/" for name in manifest.data_dirs)
    members = []
    for member in manifest.members:
        if "__pycache__/" in member.path and "__pycache__" in member.path.split("/")[:-1]:
            continue
        if not member.path.startswith(data_dirs):  # nearly every file
            if member.path not in generated:
                members.append((member, f"{site_packages}/{member.path}"))
            continue
        scheme, rest = scheme_of(manifest, member.path)
        is_wrapper = scheme == "scripts" and layouts.command_of_wrapper(rest) in points
        path = place(scheme, rest, manifest.metadata.name, python, site_packages, layout)
        if not is_wrapper and path not in commands and member.path not in generated:
            members.append((member, path))
    return tuple(members)


def place(
    scheme: str, path: str, project: str, python: Python, site_packages: str, layout: PrefixLayout = POSIX
) -> str:
    """Return the prefix-relative path of a file in a wheel's scheme: sysconfig's schemes, headers as pip."""
    if scheme in {"purelib", "platlib"}:
        return f"{site_packages}/{path}"
    if scheme == "scripts":
        return f"{layout.scripts}/{path}"
    if scheme == "headers":
        return f"{layout.headers(python)}/{project}/{path}"
    return path


def scheme_of(manifest: WheelManifest, path: str) -> tuple[str, str]:
    """Return the scheme of a member, and its path within it."""
    scheme, rest = layouts.scheme_of(path, manifest.data_dirs)
    return ("platlib" if rest == path and not manifest.root_is_purelib else scheme), rest


def _no_python(archive: str) -> UsageError:
    message = f"{archive} needs python, but the environment will have none"
    return UsageError("no-python", message, hint="name python among the requirements too")


def _check_reserved(path: str, archive: str) -> None:
    if _RESERVED.match(path):
        raise UnsafeInputError(
            "reserved-path",
            f"{archive}: {path} belongs to the environment itself; no package may contain it",
            context=(f"member: {path}",),
            hint="nothing was written; the package is broken or malicious: report it to its publisher",
        )


def _check_command(path: str, manifest: WheelManifest, layout: PrefixLayout) -> None:
    directory, _, name = path.rpartition("/")
    if directory != layout.scripts:
        return
    if layout.is_windows:  # Programs there are found without their suffix, in any case.
        name = name.lower().removesuffix(".exe").removesuffix(".bat")
    if name in _COMMANDS and _COMMANDS[name] != manifest.metadata.name:
        raise UnsafeInputError(
            "reserved-path",
            f"{manifest.filename}: the command {name} belongs to the environment itself, not to a wheel",
            context=(f"member: {path}",),
            hint="nothing was written; the package is broken or malicious: report it to its publisher",
        )


def _add(entries: dict[str, Entry], path: str, archive: str, mode: int | None = None) -> None:
    """Add a path that is generated; it is an error if the package contains it too."""
    if path in entries:
        raise UnsafeInputError(
            "path-collision",
            f"{archive}: {path} is both a file of the package and generated",
            context=(f"member: {path}",),
        )
    entries[path] = Entry(path=path, fingerprint=Fingerprint(kind="file", mode=mode))
