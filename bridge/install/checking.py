"""Check a fetched archive: its structure, and that a wheel's metadata are what was solved with."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from packaging import requirements as pep508
from packaging import specifiers

from bridge.archive.conda import CondaManifest
from bridge.archive.wheels import WheelManifest, check_wheel
from bridge.cache.blobs import sha256_of
from bridge.cache.packages import PackageStore
from bridge.cache.wheels import WheelStore
from bridge.channels.sources import same_package
from bridge.errors import BridgeError, CancelledError, IntegrityError, UsageError
from bridge.fetch.urls import local_path
from bridge.install.manifest import Manifest
from bridge.install.sources import Sources
from bridge.model import IndexFile, Resolved
from bridge.prefix.attested import with_wheel_attestations
from bridge.requirements.algebra import marker_holds, python_specifier, specifier_accepts
from bridge.requirements.metadata import requirements_of
from bridge.sdists.compatibility import check_runs
from bridge.sdists.location import pinned, source_of
from converters.deferred import dataclass, replace
from converters.metadata import CoreMetadata
from converters.projects import canonicalize_name
from converters.record import Record, conda_record
from converters.target import Target
from converters.translate import translate
from converters.wheel import WheelInfo

__all__ = ["Checked", "Checker", "file_of"]

_OF_INDEX = "the index serves metadata of another wheel; report it to its operator"
_OF_SOURCE = "its build adds or changes this; list the field in `project.dynamic` of its pyproject.toml"


def file_of(record: Record) -> IndexFile:
    """Return the file of a wheel's record: of a repository at the recorded commit, wherever its branch is now."""
    return replace(IndexFile.of_record(record), url=pinned(record.url, record.revision))


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The record to install, its archive, the archive's content, and the path of the unpacked package in the cache."""

    record: Record
    archive: Path
    manifest: Manifest
    unpacked: Path | None = None


class Checker:
    """Checks archives for a target, and keeps the results in the cache. Safe for threads."""

    def __init__(self, sources: Sources, target: Target) -> None:
        settings = sources.session.settings
        self._sources, self._target = sources, target
        self._allows_external = settings.allow_external_symlinks
        self._wheels = WheelStore(settings.cache_dir / "unpacked", root=settings.cache_dir, check=self._go_on)
        self._packages = PackageStore(settings.cache_dir, self._go_on)
        self._is_stopped = False

    def stop(self) -> None:
        """End the calls of `check` that unpack in other threads: they raise."""
        self._is_stopped = True

    def _go_on(self) -> None:
        if self._is_stopped:
            raise CancelledError("cancelled", "stopped while unpacking; nothing was changed")

    def known(self, resolved: Resolved) -> Checked | None:
        """As `check`, without a look into the archive, if the cache has it unpacked.

        An archive of the cache is not hashed again: whoever reads it because the unpacked package is damaged compares
        what he reads. `None` also if anything is wrong: the usual way reports it.
        """
        record = resolved.record
        if record.sha256 is None or source_of(record.url) is not None:
            return None
        with suppress(BridgeError, OSError):
            if record.ecosystem == "conda":
                archive = self._sources.channels.stored(record)
                package = archive and self._packages.known(record.sha256, archive.name, self._allows_external)
                return self._conda(resolved, record, archive, *package) if archive and package else None
            if record.filename.endswith(".whl"):
                client = self._sources.session.client
                archive = client.stored(record.url, record.sha256, record.size, record.filename)
                wheel = archive and self._wheels.known(archive, filename=record.filename, sha256=record.sha256)
                return self._wheel(resolved, record, archive, *wheel) if archive and wheel else None
        return None

    def check(self, resolved: Resolved, archive: Path) -> Checked:
        """Return the record to install and the content of its archive.

        The record differs from the solved one for an sdist, for a local file without a hash, and for a conda package
        that its channel knows by md5.
        """
        record = resolved.record
        if record.sha256 is None:
            local = None if source_of(record.url) is not None else local_path(record.url)
            file = archive if record.ecosystem == "conda" else Path(local) if local is not None else None
            if file is not None:  # Of an sdist, the record names the sdist; `archive` is the wheel built of it.
                record = replace(record, sha256=sha256_of(file), size=file.stat().st_size)
        if record.ecosystem == "conda":
            content = self._packages.check(
                archive,
                sha256=record.sha256,
                filename=archive.name,
                allow_external_symlinks=self._allows_external,
            )
            return self._conda(resolved, record, archive, *content)
        if _is_built(record):
            return self._wheel(resolved, record, archive, check_wheel(archive, filename=archive.name), None)
        if record.sha256 is None:
            return self._wheel(resolved, record, archive, check_wheel(archive, filename=record.filename), None)
        wheel = self._wheels.check(archive, filename=record.filename, sha256=record.sha256)
        return self._wheel(resolved, record, archive, *wheel)

    def _conda(
        self, resolved: Resolved, record: Record, archive: Path, manifest: CondaManifest, unpacked: Path | None
    ) -> Checked:
        same_package(record, manifest.index)
        if resolved.unstated:
            own = conda_record(manifest.index, subdir=record.subdir)
            record = replace(record, **{field: getattr(own, field) for field in resolved.unstated})
            record = replace(record, size=record.size or archive.stat().st_size)
            if record.subdir not in {self._target.subdir, "noarch"}:  # its URL did not tell
                problem = f"{archive.name} is for {record.subdir}, and the platform is {self._target.subdir}"
                raise UsageError("lock-platform", problem, hint="choose the platform with --platform")
        record = with_wheel_attestations(record, manifest.index)
        return Checked(record=record, archive=archive, manifest=manifest, unpacked=unpacked)

    def _wheel(
        self, resolved: Resolved, record: Record, archive: Path, wheel: WheelManifest, unpacked: Path | None
    ) -> Checked:
        is_built = _is_built(record)
        if is_built:
            check_runs(archive, self._target, record.filename)
        info = WheelInfo.of_record(record, wheel.metadata, archive.name if is_built else record.filename)
        fetched = replace(translate(info, self._target, self._sources.names), name=record.name, others=record.others)
        if resolved.unstated:
            record = replace(record, **{field: getattr(fetched, field) for field in resolved.unstated})
            _check_python(record, self._target)
        _same_metadata(record, fetched, self._target, is_sdist=is_built)
        if not is_built:
            record = replace(record, size=record.size or archive.stat().st_size)
        elif source_of(record.url) is not None:
            fetched = replace(fetched, revision=self._sources.session.index.revision(file_of(record)))
        return Checked(record=fetched if is_built else record, archive=archive, manifest=wheel, unpacked=unpacked)


def _is_built(record: Record) -> bool:
    """Whether the wheel is built here; such a one, and one without a verified hash, is not kept unpacked."""
    return source_of(record.url) is not None or not record.filename.endswith(".whl")


def _check_python(record: Record, target: Target) -> None:
    """Raise `UsageError` (`lock-python`) if a wheel of which only the archive states it needs another python."""
    specifier = python_specifier(record.requires_python or "")
    if specifier is None or target.python is None or specifier_accepts(specifier, target.python.version):
        return
    raise UsageError(
        "lock-python",
        f"{record.filename} needs python {record.requires_python}, and the environment has {target.python.version}",
        hint="choose a python that the lock was made for, or make the lock again",
    )


def _same_metadata(solved: Record, fetched: Record, target: Target, *, is_sdist: bool) -> None:
    """Raise `IntegrityError` (`metadata-mismatch`) if the wheel's metadata differs from what was solved with.

    Another spelling is no difference: some indexes write METADATA anew. For an sdist, build and platform are known only
    once it is built, and the backend may write out extras that an old PKG-INFO does not.
    """
    for field in ("version", "requires_python", "requirements", "extras", "build", "subdir"):
        expected, actual = getattr(solved, field), getattr(fetched, field)
        if expected == actual or (is_sdist and field in ("build", "subdir")):
            continue
        if field in ("requirements", "extras"):
            expected, actual = _spelled(expected), _spelled(actual)
        if is_sdist and field == "requirements" and expected != actual:
            expected, actual = (_needs(each, target) for each in (solved, fetched))
        if field == "requires_python":
            expected, actual = _pythons(expected or ""), _pythons(actual or "")
        if expected != actual:
            raise IntegrityError(
                "metadata-mismatch",
                f"the {field} of {solved.filename} differs from what the index stated",
                context=(f"solved with: {expected}", f"in the wheel: {actual}", f"index: {solved.origin}"),
                hint=_OF_SOURCE if source_of(solved.url) is not None else _OF_INDEX,
            )


def _pythons(text: str) -> specifiers.SpecifierSet | None:
    with suppress(specifiers.InvalidSpecifier):
        return specifiers.SpecifierSet(text)
    return None


def _needs(record: Record, target: Target) -> dict[str, set[tuple[object, ...]]]:
    """What a wheel requires on a target, by extra: backends write extras that ask for one another out, or not."""
    metadata = CoreMetadata(
        name=record.pypi_names[0],
        version=record.version,
        requires_dist=record.requirements,
        provides_extra=record.extras,
    )
    environment = target.marker_environment()
    return {
        extra: {
            (each.name, str(each.specifier), each.extras, each.url)
            for each in requirements_of(metadata, [extra] if extra else [])
            if each.marker is None or marker_holds(each.marker, environment)
        }
        for extra in ("", *record.extras)
    }


def _spelled(texts: Iterable[str]) -> set[str]:
    """Normalise requirements regardless of order; texts that are no PEP 508 stay unchanged."""
    normal = set()
    for text in texts:
        try:
            requirement = pep508.Requirement(text)
        except pep508.InvalidRequirement:
            normal.add(text)
        else:
            requirement.name = canonicalize_name(requirement.name)
            normal.add(str(requirement))
    return normal
