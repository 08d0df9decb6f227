"""The one place that knows rattler: repodata, virtual packages, and linking into a staging directory.

Nothing of rattler leaves this module: records cross as `Record`, paths as `Path`. Its pitfalls, each with the reason
for what is done here, stand in `docs/decisions/0003-rattler.md`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rattler import (
    Channel,
    Client,
    Config,
    Gateway,
    GenericVirtualPackage,
    PackageRecord,
    PrefixRecord,
    RepoDataRecord,
    SourceConfig,
    Subdir,
    VirtualPackage,
    VirtualPackageOverrides,
    install,
)
from rattler.package_streaming import download_and_extract

from bridge.errors import FaultError, NetworkError, UnsafeInputError, UsageError
from bridge.fetch.urls import local_path
from converters.record import Record, conda_record

__all__ = ["Repodata", "channel_url", "current_subdir", "detect_virtual_packages", "extract", "link"]

if TYPE_CHECKING:
    import asyncio

_Answer = TypeVar("_Answer")
# The unpacked packages are the caller's, of this one transaction, and are deleted after it: a hard link out of them
# becomes the only name of its inode, and saves writing every byte twice.
_LINKING = "allow-hard-links = true\n"


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
    try:
        return str(Channel(text).base_url).rstrip("/")
    except Exception as error:  # rattler's own kinds differ by what is wrong with the text
        raise UsageError("invalid-channel", f"not a channel: {text!r}", context=(str(error),)) from error


class Repodata:
    """Records of channels by name, through rattler's Gateway (shards, zst, caching, authentication).

    A name is asked for once; later questions are answered from memory. Records that could leave a directory or have
    fields of the wrong type are left out and named in `rejected`.
    """

    def __init__(self, channels: Sequence[str], subdir: str, cache: Path, *, offline: bool = False) -> None:
        self._channels = tuple(channels)
        self._subdirs = tuple(dict.fromkeys((subdir, "noarch")))
        self._cache, self._offline = cache, offline
        self._found: dict[str, tuple[Record, ...]] = {}
        self.rejected: list[str] = []

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        import asyncio

        return asyncio.new_event_loop()

    @cached_property
    def _gateway(self) -> Gateway:
        return Gateway(
            cache_dir=self._cache,
            default_config=SourceConfig(cache_action="force-cache-only" if self._offline else "cache-or-fetch"),
            client=Client.authenticated_client(),
            show_progress=False,
        )

    def close(self) -> None:
        """Give back what asking takes; it is not to be asked afterwards."""
        if "_loop" in self.__dict__:
            self._loop.close()

    def prefetch(self, names: Iterable[str]) -> None:
        """Ask for many names in one query. Raises `NetworkError` (`channel-unreachable`) and `UnsafeInputError`."""
        wanted = [name for name in dict.fromkeys(names) if name not in self._found]
        if not wanted or not self._channels:
            self._found.update(dict.fromkeys(wanted, ()))
            return
        try:
            query = self._gateway.query(self._channels, self._subdirs, wanted, recursive=False)  # type: ignore[arg-type]
            answer = self._loop.run_until_complete(query)
        except Exception as error:  # GatewayError and its cousins; the text says which
            raise _unreachable(self._channels, error) from error
        collected: dict[str, list[Record]] = {name: [] for name in wanted}
        for part in answer:
            for found in part:
                self._collect(found, collected)
        self._found.update({name: tuple(records) for name, records in collected.items()})

    def records(self, name: str) -> tuple[Record, ...]:
        """The records of one name, channels in the order given; `()` where no channel has it."""
        if name not in self._found:
            self.prefetch([name])
        return self._found[name]

    def _collect(self, found: RepoDataRecord, collected: dict[str, list[Record]]) -> None:
        data = json.loads(found.to_json())
        try:
            record = conda_record(data)
        except UnsafeInputError as error:
            self.rejected.append(error.message)
            return
        if record.name in collected:
            collected[record.name].append(record)


def _unreachable(channels: Sequence[str], error: Exception) -> Exception:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines).lower()
    said = ", ".join(channels)
    for url in channels:
        folder = local_path(url)
        if folder is not None and (missing := _no_channel(Path(folder))) is not None:
            return missing
    if "no usable repodata cache" in text:
        return NetworkError(
            "offline",
            f"not in the cache, and --offline forbids fetching it: {said}",
            context=lines[:4],
            hint="run once without --offline, or use `-c host` and a local channel",
        )
    if any(word in text for word in ("parse", "deserialize", "invalid json", "expected value", "decompress")):
        return UnsafeInputError("repodata-invalid", f"the channel's repodata cannot be read: {said}", context=lines[:4])
    return NetworkError(
        "channel-unreachable",
        f"the channel did not answer: {said}",
        context=lines[:4],
        hint="check the name or URL given with -c; `-c host` needs no channel at all",
    )


def _no_channel(folder: Path) -> NetworkError | None:
    """What a folder lacks to be a channel; `None`: nothing that shows."""
    if not folder.is_dir():
        hint = "check the path given with -c"
        return NetworkError("channel-unreachable", f"there is no channel at {folder}: no such folder", hint=hint)
    if not any((folder / "noarch").glob("repodata*.json*")):
        return NetworkError(
            "channel-unreachable",
            f"there is no channel at {folder}: it has no noarch/repodata.json",
            hint="`bridge convert … -o FOLDER --index` writes it for the packages of a folder",
        )
    return None


@cache
def _client() -> Client:
    """What rattler reads archives with; making one takes 7 ms."""
    return Client.default_client()


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
) -> None:
    """Link conda packages into `staging` as if it were `final`, conda-meta records included.

    :param unpacked: `Record.identity` → the directory `extract` made of its archive; its files may be hard-linked into
        `staging`, so it must be nobody else's, and be deleted afterwards.
    :param staging: absent or empty, and ours; `final`'s text is what is patched into files.
    :param cache: an empty directory for rattler to take the packages from, made and deleted by the caller.
    :param python: the conda-meta JSON of the python that stays in `final`; `None` where python is among `records`.

    rattler refuses a record with a hyphen in its build or without an absolute URL: `FaultError` (`link-failed`).
    """
    staging, final = Path(os.path.abspath(staging)), Path(os.path.abspath(final))
    linked = [_repodata_record(record, unpacked[record.identity]) for record in records]
    if python is not None:
        # A live python must be known, and must not be linked: this is the one combination that works.
        linked.append(PrefixRecord.from_path(python))
    work = install(
        linked,
        target_prefix=str(staging),
        alternative_target_prefix=str(final),
        installed_packages=[],
        ignored_packages={"python"} if python is not None else set(),
        cache_dir=cache,
        config=Config.from_toml(_LINKING),
        execute_link_scripts=False,
        show_progress=False,
    )
    try:
        _run(work)
    except Exception as error:  # InstallerError and panics: all of them mean that nothing here may be used
        raise FaultError("link-failed", "the conda packages could not be linked", context=(str(error),)) from error


def _repodata_record(record: Record, directory: Path) -> RepoDataRecord:
    package = PackageRecord.from_index_json(directory / "info" / "index.json", size=record.size, sha256=record.sha256)
    filename = record.filename or f"{record.identity}.conda"
    return RepoDataRecord(package, filename, record.url, record.origin or record.url.rsplit("/", 2)[0])


def _run(work: Coroutine[object, object, _Answer]) -> _Answer:
    import asyncio

    return asyncio.run(work)
