"""`bridge self check`: whether what runs bridge is sound."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from installer.records import InvalidRecordEntry, RecordEntry, parse_record_file
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import bridge
from bridge import config, fs
from bridge.cli.commands.installation import DISTRIBUTION, installation, location, own_distribution
from bridge.config.programs import find_program
from bridge.errors import BridgeError, FindingsError
from bridge.fetch.urls import local_path
from converters.projects import canonicalize_name

__all__ = ["Check", "SelfCheck", "check_self"]

_PACKAGES = ("bridge", "converters")
_SHOWN = 5

_HINTS = {
    "configuration": "correct the file or the variable that is named; BRIDGE_NO_CONFIG=1 ignores bridge's files",
    "cache": "make the folder writable, or name another one with BRIDGE_CACHE_DIR",
}

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question, its answer, and the facts."""

    id: str
    level: Level
    text: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """All answers. `location`: the directory that bridge is imported from."""

    version: str
    location: Path
    checks: tuple[Check, ...]

    @property
    def failure(self) -> FindingsError | None:
        """The error of an unsound bridge."""
        wrong = [each for each in self.checks if each.level == "error"]
        if not wrong:
            return None
        return FindingsError(
            "unsound-bridge",
            f"bridge is not sound here: {', '.join(each.id for each in wrong)}",
            context=tuple(f"{each.id}: {detail}" for each in wrong for detail in (each.text, *each.details)),
            hint=_HINTS.get(wrong[-1].id) or f"install it again: {installation().again}",
        )

    def to_json(self) -> dict[str, object]:
        """The document of `bridge self check --json` (`bridge/schemas/self.json`)."""
        return {
            "bridge": self.version,
            "location": str(self.location),
            "python": sys.executable,
            "checks": [
                {"id": each.id, "level": each.level, "text": each.text, "details": list(each.details)}
                for each in self.checks
            ],
        }


def check_self(environ: Mapping[str, str]) -> SelfCheck:
    """Answer every question; one that cannot be answered is an error, and does not stop the others."""
    asked: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("files", _files),
        ("python", _python),
        ("dependencies", _dependencies),
        ("rattler", _rattler),
        ("configuration", lambda: _configuration(environ)),
        ("cache", lambda: _cache(environ)),
        ("command", lambda: _command(environ)),
    )
    return SelfCheck(
        version=bridge.__version__,
        location=location(),
        checks=tuple(_answered(name, question) for name, question in asked),
    )


def _answered(name: str, question: Callable[[], Check]) -> Check:
    try:
        return question()
    except BridgeError as error:
        return Check(id=name, level="error", text=error.message, details=error.context)
    except Exception as error:  # noqa: BLE001 - what cannot be read is what is looked for
        return Check(id=name, level="error", text=f"{type(error).__name__}: {error}")


def _files() -> Check:
    """Compare bridge's own files with the RECORD of its distribution."""
    try:
        own = own_distribution()
    except metadata.PackageNotFoundError:
        text = f"no distribution {DISTRIBUTION} is installed; bridge runs from {location()}"
        return Check(id="files", level="warning", text=text)
    if (folder := _editable(own)) is not None:
        is_it = Path(folder).resolve() == location().resolve()
        text = f"an editable install of {folder}, whose files no RECORD lists"
        more = () if is_it else (f"bridge is imported from {location()}",)
        return Check(id="files", level="ok" if is_it else "warning", text=text, details=more)
    # `own.files` leaves missing files out from python 3.12 on.
    lines = (own.read_text("RECORD") or "").splitlines()
    try:
        records = [RecordEntry.from_elements(*row) for row in parse_record_file(lines)]
    except InvalidRecordEntry as error:
        return Check(id="files", level="error", text=f"its RECORD cannot be read: {error}")
    files = [each for each in records if not each.path.startswith("../")]
    if not files:
        return Check(id="files", level="error", text="its dist-info has no RECORD")
    recorded = Path(str(own.locate_file("bridge")))
    if not recorded.exists() or not recorded.samefile(Path(bridge.__file__).parent):
        text = f"bridge is imported from {location()}, and {DISTRIBUTION} {own.version} is installed elsewhere"
        # A checkout comes first where its folder is the working directory: on purpose, as its tests do.
        level: Level = "warning" if (location() / "pyproject.toml").is_file() else "error"
        return Check(id="files", level=level, text=text, details=(f"installed: {recorded.parent}",))
    wrong = [*_altered(files, recorded.parent), *_extra(files)]
    if wrong:
        shown = (*wrong[:_SHOWN], *([f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []))
        return Check(
            id="files",
            level="error",
            text=f"{len(wrong)} file{'s differ' if len(wrong) > 1 else ' differs'} from RECORD",
            details=shown,
        )
    return Check(id="files", level="ok", text=f"{len(files)} files are as RECORD states")


def _editable(own: metadata.Distribution) -> str | None:
    """The folder of an editable install (PEP 610)."""
    direct_url = json.loads(own.read_text("direct_url.json") or "{}")
    is_editable = isinstance(direct_url, dict) and direct_url.get("dir_info", {}).get("editable") is True
    return local_path(str(direct_url["url"])) if is_editable else None


def _altered(files: Sequence[RecordEntry], root: Path) -> Iterator[str]:
    for each in files:
        path = root / each.path
        if not path.is_file():
            if path.suffix != ".pyc":
                yield f"missing: {each.path}"
        elif each.hash_ is not None and not each.hash_.validate(path.read_bytes()):
            yield f"changed: {each.path}"


def _extra(files: Sequence[RecordEntry]) -> Iterator[str]:
    """Modules that RECORD does not list: the remains of another version."""
    listed = {each.path for each in files}
    root = Path(bridge.__file__).parent.parent
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if (name := path.relative_to(root).as_posix()) not in listed:
                yield f"not of this version: {name}"


def _python() -> Check:
    text = f"{sys.version.split()[0]} at {sys.executable}"
    try:
        required = own_distribution().metadata["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        required = ""
    is_fit = SpecifierSet(required).contains(".".join(map(str, sys.version_info[:3])), prereleases=True)
    return Check(
        id="python", level="ok" if is_fit else "error", text=text if is_fit else f"{text}, and {required} is required"
    )


def _dependencies() -> Check:
    """Compare the versions of what bridge requires with what it requires."""
    try:
        requires = own_distribution().requires or []
    except metadata.PackageNotFoundError:
        return Check(id="dependencies", level="warning", text="unknown without a distribution")
    wrong, count = [], 0
    for requirement in map(Requirement, requires):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        count += 1
        versions = [each.version for each in metadata.distributions(name=canonicalize_name(requirement.name))]
        if not versions:
            wrong.append(f"{requirement} is missing")
        elif not requirement.specifier.contains(versions[0], prereleases=True):
            wrong.append(f"{requirement} is required, {versions[0]} is installed")
    if wrong:
        return Check(id="dependencies", level="error", text=f"{len(wrong)} of {count} do not fit", details=tuple(wrong))
    return Check(id="dependencies", level="ok", text=f"{count} are installed in versions that fit")


def _rattler() -> Check:
    """Load the extension module, which fails where it is for another machine or libc."""
    from bridge.channels._rattler import current_subdir, detect_virtual_packages

    packages = ", ".join(f"{name} {version}" for name, version, _ in detect_virtual_packages())
    return Check(id="rattler", level="ok", text=f"{current_subdir()} ({packages})")


def _configuration(environ: Mapping[str, str]) -> Check:
    """Read every file and variable that decides a run."""
    settings = config.load({}, environ)
    warnings = (*settings.warnings, *settings.conda.warnings)
    if warnings:
        return Check(id="configuration", level="warning", text="it is read, with warnings", details=warnings)
    return Check(id="configuration", level="ok", text="that of bridge, pip and conda is read")


def _cache(environ: Mapping[str, str]) -> Check:
    """Write a file where archives are kept."""
    try:
        folder = config.load({}, environ).cache_dir
    except BridgeError:
        return Check(id="cache", level="warning", text="unknown as long as the configuration cannot be read")
    fs.make_directories(folder)
    probe = folder / f".check-{os.getpid()}"
    try:
        fs.publish_file(probe, [b"written by `bridge self check`\n"])
    finally:
        fs.remove_regular(probe, root=folder)
    system = os.statvfs(folder)
    free = system.f_bavail * system.f_frsize
    text = f"{folder} can be written; {free >> 20} MiB are free"
    return Check(id="cache", level="ok" if free >= 1 << 30 else "warning", text=text)


def _command(environ: Mapping[str, str]) -> Check:
    """Find the program that a shell starts as `bridge`; Linux has another one of that name (iproute2)."""
    program = find_program("bridge", environ.get("PATH", ""))
    if program is None:
        text = f"no `bridge` is on PATH; `{sys.executable} -m bridge` starts this one"
        return Check(id="command", level="warning", text=text)
    scripts = Path(sysconfig.get_path("scripts")).resolve()
    if Path(program).resolve().parent == scripts or (Path(program).parent.resolve() == scripts):
        return Check(id="command", level="ok", text=program)
    text = f"`bridge` is {program}, which is not this one ({scripts / 'bridge'})"
    return Check(id="command", level="warning", text=text, details=("put this one's directory earlier on PATH",))
