"""The adapter of rattler's installer: it unpacks conda packages and links them into a staging directory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from rattler.config import Config
from rattler.install import install
from rattler.networking import Client
from rattler.package import PathsJson
from rattler.package_streaming import download_and_extract
from rattler.platform import Subdir
from rattler.prefix import PrefixRecord
from rattler.repo_data import PackageRecord, RepoDataRecord

from bridge.channels import limits
from bridge.channels._rattler import raising
from bridge.errors import FaultError, UnsafeInputError
from bridge.paths import RelativePath
from converters.record import Record

__all__ = ["extract", "link"]

_Result = TypeVar("_Result")
# The unpacked packages belong to this transaction and are deleted after it, so hard links save writing each byte twice.
_LINKING = "allow-hard-links = true\n"


@cache
def _client() -> Client:
    """Our own client: rattler's default one reads credentials below HOME and fails where it cannot."""
    return Client()


def extract(archives: Mapping[Path, Path]) -> None:
    """Unpack validated conda archives, given as archive → directory to create.

    Raises `FaultError` (`extract-failed`) naming the archive; the caller deletes what was unpacked by then.
    """

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
    with raising(lambda reason: FaultError("link-failed", "the conda packages could not be linked", context=(reason,))):
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
    with raising(unreadable):
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
    with raising(lambda reason: UnsafeInputError("record-invalid", f"{path}: not a record", context=(reason,))):
        record = PrefixRecord.from_path(path)
        record.python_site_packages_path = site_packages
        return record


def _run(work: Coroutine[object, object, _Result]) -> _Result:
    try:
        limits.check()
    except BaseException:
        work.close()
        raise
    return asyncio.run(work)
