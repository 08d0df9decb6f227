"""The only adapter of rattler: repodata, virtual packages, and linking into a staging directory.

No type of rattler leaves this module: records cross as `Record`, paths as `Path`. Decision 0003 lists rattler's
pitfalls and why each workaround here exists.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

from rattler import (
    Channel,
    Client,
    Config,
    GenericVirtualPackage,
    PackageName,
    PackageRecord,
    PathsJson,
    PrefixRecord,
    RepoDataRecord,
    SparseRepoData,
    Subdir,
    VirtualPackage,
    VirtualPackageOverrides,
    install,
)
from rattler.package_streaming import download_and_extract
from rattler.repo_data import PackageFormatSelection

from bridge.channels import limits
from bridge.channels.panics import is_panic
from bridge.errors import BridgeError, FaultError, UnsafeInputError
from bridge.paths import RelativePath
from bridge.secrets import hidden, masked
from converters.deferred import regex
from converters.record import Record

__all__ = ["WholeRepodata", "base_url", "current_subdir", "detect_virtual_packages", "extract", "link"]

_Result = TypeVar("_Result")
# The unpacked packages belong to this transaction and are deleted after it, so hard links save writing each byte twice.
_LINKING = "allow-hard-links = true\n"
_NAME = regex(r"[A-Za-z0-9_.-]+\Z", re.ASCII)  # package names that rattler accepts


def current_subdir() -> str:
    """The subdir of this machine (`linux-64`)."""
    return str(Subdir.current())


def detect_virtual_packages() -> tuple[tuple[str, str, str], ...]:
    """Virtual packages of this machine as `(name, version, build)`; honours the `CONDA_OVERRIDE_*` variables."""
    detected = []
    for package in VirtualPackage.detect(VirtualPackageOverrides.from_env()):
        generic: GenericVirtualPackage = package.into_generic()
        detected.append((generic.name.normalized, str(generic.version), str(generic.build_string)))
    return tuple(detected)


def base_url(text: str, invalid: Callable[[str], BridgeError]) -> str:
    """Return the URL of a channel given by name or URL, without a trailing slash. Raises `invalid(reason)`."""
    with _raising(invalid):
        return str(Channel(text).base_url).rstrip("/")


class WholeRepodata:
    """One `repodata.json` on the disk, read by package name. Thread-safe.

    Raises `UnsafeInputError` (`repodata-invalid`), also where rattler panics.

    :param channel: the channel's URL, for records and errors.
    """

    def __init__(self, path: Path, channel: str, subdir: str) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        with _raising(self._invalid):
            self._file = SparseRepoData(Channel(channel), subdir, path)

    def records(self, name: str) -> list[dict[str, object]]:
        """The records of a name as JSON objects, those of wheels too (CEP 48); `.conda` wins over `.tar.bz2`."""
        if not _NAME.match(name):
            return []
        with self._lock, _raising(self._invalid):
            records = self._file.load_records(PackageName(name), PackageFormatSelection.PREFER_CONDA_WITH_WHL)
            return [json.loads(record.to_json()) for record in records]

    def names(self) -> list[str]:
        """The names of all packages."""
        with self._lock, _raising(self._invalid):
            return self._file.package_names()

    def close(self) -> None:
        """Unmap the file."""
        self._file.close()

    def _invalid(self, reason: str) -> BridgeError:
        shown = masked(self._channel)
        return UnsafeInputError(
            "repodata-invalid", f"the channel's repodata cannot be read: {shown}", context=(reason,)
        )


@contextmanager
def _raising(make: Callable[[str], BridgeError]) -> Iterator[None]:
    """Raise `make(message)` for whatever rattler raises in the block, panics included."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise make(_message(error)) from error


def _message(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return hidden("; ".join(lines[:4]))[:500]


@cache
def _client() -> Client:
    """Our own client: rattler's default one reads credentials below HOME and fails where it cannot."""
    return Client()


def extract(archives: Mapping[Path, Path]) -> None:
    """Unpack validated conda archives, given as archive → directory to create.

    Raises `FaultError` (`extract-failed`) naming the archive; the caller deletes what was unpacked by then.
    """
    import asyncio

    async def run() -> None:
        jobs = {
            archive: asyncio.ensure_future(download_and_extract(_client(), archive.resolve().as_uri(), target))
            for archive, target in archives.items()
        }
        await asyncio.wait(jobs.values()) if jobs else None
        for archive, job in jobs.items():
            if job.exception() is not None:
                raise FaultError(
                    "extract-failed", f"{archive.name} cannot be unpacked", context=(str(job.exception()),)
                )

    _run(run())


def link(
    records: Sequence[Record],
    unpacked: Mapping[str, Path],
    staging: Path,
    final: Path,
    cache: Path,
    subdir: str,
    *,
    python: Path | None = None,
    site_packages: RelativePath | None = None,
) -> None:
    """Link conda packages into `staging` as if it were `final`, conda-meta records included.

    :param unpacked: `Record.identity` → the directory that `extract` made. Its files may be hard-linked, so nobody else
        may use it, and it must be deleted afterwards.
    :param staging: absent or empty, and ours; files are patched with the text of `final`.
    :param cache: an empty directory for rattler, created and deleted by the caller.
    :param subdir: the platform, which decides where modules go and how commands start.
    :param python: the conda-meta JSON of the python that stays in `final`; `None` where python is among `records`.
    :param site_packages: where noarch packages go; rattler would join the python record's path unchecked.

    Raises `UnsafeInputError` (`conda-layout`) for package metadata that rattler cannot read, `FaultError`
    (`link-failed`) also for records that rattler refuses: a hyphen in the build, no absolute URL.
    """
    staging, final = Path(os.path.abspath(staging)), Path(os.path.abspath(final))
    linked = [_repodata_record(record, unpacked[record.identity], site_packages) for record in records]
    if python is not None:
        # rattler must know the live python without linking it; only this combination does that.
        linked.append(_live_python(python, site_packages))
    work = install(
        linked,
        target_prefix=str(staging),
        platform=Subdir(subdir),
        alternative_target_prefix=str(final),
        installed_packages=[],
        ignored_packages={"python"} if python is not None else set(),
        cache_dir=cache,
        client=_client(),
        config=Config.from_toml(_LINKING),
        execute_link_scripts=False,
        show_progress=False,
    )
    with _raising(
        lambda reason: FaultError("link-failed", "the conda packages could not be linked", context=(reason,))
    ):
        _run(work)


def _repodata_record(record: Record, directory: Path, site_packages: RelativePath | None) -> RepoDataRecord:
    def unreadable(reason: str) -> UnsafeInputError:
        return UnsafeInputError(
            "conda-layout",
            f"{record.filename or record.identity}: its metadata cannot be read",
            context=(reason,),
            hint="nothing was written; report the broken package to its publisher",
        )

    info = directory / "info"
    with _raising(unreadable):
        package = PackageRecord.from_index_json(info / "index.json", size=record.size, sha256=record.sha256)
        if (info / "paths.json").exists():
            PathsJson.from_path(info / "paths.json")
        if record.name == "python":
            package.python_site_packages_path = site_packages
    filename = record.filename or f"{record.identity}.conda"
    channel = record.origin if "://" in record.origin else record.url.rsplit("/", 2)[0]
    return RepoDataRecord(package, filename, record.url, channel)


def _live_python(path: Path, site_packages: RelativePath | None) -> PrefixRecord:
    """The record of the python that stays, with `site_packages` instead of the path it contains."""
    with _raising(lambda reason: UnsafeInputError("record-invalid", f"{path}: not a record", context=(reason,))):
        record = PrefixRecord.from_path(path)
        record.python_site_packages_path = site_packages
        return record


def _run(work: Coroutine[object, object, _Result]) -> _Result:
    import asyncio

    try:
        limits.check()
    except BaseException:
        work.close()
        raise
    return asyncio.run(work)
