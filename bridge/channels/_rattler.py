"""The one place that knows rattler: repodata, virtual packages, and linking into a staging directory.

Nothing of rattler leaves this module: records cross as `Record`, paths as `Path`. Its pitfalls, each with the reason
for what is done here, stand in `docs/decisions/0003-rattler.md`.
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

from bridge.channels import limits
from bridge.channels.panics import is_panic
from bridge.errors import BridgeError, FaultError, UnsafeInputError, UsageError
from bridge.paths import RelativePath
from bridge.secrets import hidden, masked, origin
from converters.record import Record

__all__ = ["WholeRepodata", "channel_url", "current_subdir", "detect_virtual_packages", "extract", "link", "told"]

_Answer = TypeVar("_Answer")
# The unpacked packages are the caller's, of this one transaction, and are deleted after it: a hard link out of them
# becomes the only name of its inode, and saves writing every byte twice.
_LINKING = "allow-hard-links = true\n"


_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z", re.ASCII)  # of what rattler takes for a package name


def current_subdir() -> str:
    """The subdir of this machine (`linux-64`)."""
    return str(Subdir.current())


def detect_virtual_packages() -> tuple[tuple[str, str, str], ...]:
    """Virtual packages of this machine as `(name, version, build)`; `CONDA_OVERRIDE_*` variables are honoured."""
    found = []
    for package in VirtualPackage.detect(VirtualPackageOverrides.from_env()):
        generic: GenericVirtualPackage = package.into_generic()
        found.append((generic.name.normalized, str(generic.version), str(generic.build_string)))
    return tuple(found)


def channel_url(text: str) -> str:
    """A channel's URL for its name, URL or folder. Raises `UsageError` (`invalid-channel`)."""
    if not text.strip():
        raise UsageError("invalid-channel", "a channel without a name", hint="see -c in: bridge resolve --help")
    if text.startswith(("./", "../", "/", "~")) or Path(text).is_dir():
        return Path(text).expanduser().resolve().as_uri()

    def invalid(reason: str) -> UsageError:
        return UsageError("invalid-channel", f"not a channel: {masked(text)!r}", context=(reason,))

    if "://" in text:
        try:
            origin(text) if not text.startswith("file:") else None
        except ValueError as error:
            raise invalid(str(error)) from error
    with told(invalid):
        return str(Channel(text).base_url).rstrip("/")


class WholeRepodata:
    """One `repodata.json` on the disk, from which records are read by name. For many threads at once.

    Raises `UnsafeInputError` (`repodata-invalid`), also for a panic of rattler's over what stands in the file.

    :param channel: its URL, for the records and for errors.
    """

    def __init__(self, path: Path, channel: str, subdir: str) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        with told(self._invalid):
            self._file = SparseRepoData(Channel(channel), subdir, path)

    def records(self, name: str) -> list[dict[str, object]]:
        """The records of a name as JSON objects, of a `.conda` and a `.tar.bz2` package the former."""
        if not _NAME.match(name):
            return []
        wanted = PackageName(name)
        with self._lock, told(self._invalid):
            return [json.loads(found.to_json()) for found in self._file.load_records(wanted)]

    def close(self) -> None:
        """Unmap the file."""
        self._file.close()

    def _invalid(self, reason: str) -> BridgeError:
        shown = masked(self._channel)
        return UnsafeInputError(
            "repodata-invalid", f"the channel's repodata cannot be read: {shown}", context=(reason,)
        )


@contextmanager
def told(make: Callable[[str], BridgeError]) -> Iterator[None]:
    """The one place where what rattler raises becomes an error of ours; its panics are no `Exception`.

    :param make: the error for what rattler says.
    """
    try:
        yield
    except Exception as error:
        raise make(_said(error)) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise make(_said(error)) from error


def _said(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return hidden("; ".join(lines[:4]))[:500]


@cache
def _client() -> Client:
    """What rattler reads archives of this machine with.

    Its default client reads the credentials below HOME, and fails where that cannot be read.
    """
    return Client()


def extract(archives: Mapping[Path, Path]) -> None:
    """Unpack conda archives: archive → directory to make. Each was validated before (`bridge.archive`).

    Raises `FaultError` (`extract-failed`) naming the archive; what was made by then is the caller's to delete.
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
    *,
    python: Path | None = None,
    site_packages: RelativePath | None = None,
) -> None:
    """Link conda packages into `staging` as if it were `final`, conda-meta records included.

    :param unpacked: `Record.identity` → the directory `extract` made of its archive; its files may be hard-linked into
        `staging`, so it must be nobody else's, and be deleted afterwards.
    :param staging: absent or empty, and ours; `final`'s text is what is patched into files.
    :param cache: an empty directory for rattler to take the packages from, made and deleted by the caller.
    :param python: the conda-meta JSON of the python that stays in `final`; `None` where python is among `records`.
    :param site_packages: where noarch packages go; rattler joins what a python's record says as it stands there.

    Raises `UnsafeInputError` (`conda-layout`) for metadata of a package that rattler cannot read. rattler refuses a
    record with a hyphen in its build or without an absolute URL: `FaultError` (`link-failed`).
    """
    staging, final = Path(os.path.abspath(staging)), Path(os.path.abspath(final))
    linked = [_repodata_record(record, unpacked[record.identity], site_packages) for record in records]
    if python is not None:
        # A live python must be known, and must not be linked: this is the one combination that works.
        linked.append(_live_python(python, site_packages))
    work = install(
        linked,
        target_prefix=str(staging),
        alternative_target_prefix=str(final),
        installed_packages=[],
        ignored_packages={"python"} if python is not None else set(),
        cache_dir=cache,
        client=_client(),
        config=Config.from_toml(_LINKING),
        execute_link_scripts=False,
        show_progress=False,
    )
    with told(lambda reason: FaultError("link-failed", "the conda packages could not be linked", context=(reason,))):
        _run(work)


def _repodata_record(record: Record, directory: Path, site_packages: RelativePath | None) -> RepoDataRecord:
    def unreadable(reason: str) -> UnsafeInputError:
        return UnsafeInputError(
            "conda-layout",
            f"{record.filename or record.identity}: its metadata cannot be read",
            context=(reason,),
            hint="nothing was written; the package is broken: its publisher has to rebuild it",
        )

    info = directory / "info"
    with told(unreadable):
        package = PackageRecord.from_index_json(info / "index.json", size=record.size, sha256=record.sha256)
        if (info / "paths.json").exists():
            PathsJson.from_path(info / "paths.json")
        if record.name == "python":
            package.python_site_packages_path = site_packages
    filename = record.filename or f"{record.identity}.conda"
    return RepoDataRecord(package, filename, record.url, record.origin or record.url.rsplit("/", 2)[0])


def _live_python(path: Path, site_packages: RelativePath | None) -> PrefixRecord:
    """The record of the python that stays, which leads to `site_packages` whatever stands in it."""
    with told(lambda reason: UnsafeInputError("record-invalid", f"{path}: not a record", context=(reason,))):
        found = PrefixRecord.from_path(path)
        found.python_site_packages_path = site_packages
        return found


def _run(work: Coroutine[object, object, _Answer]) -> _Answer:
    import asyncio

    try:
        limits.check()
    except BaseException:
        work.close()
        raise
    return asyncio.run(work)
