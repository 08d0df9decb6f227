"""The adapter of rattler for reading: repodata, channels and virtual packages; `_rattler_link` is that for linking.

No type of rattler leaves this module: records cross as `Record`, paths as `Path`. Decision 0003 lists rattler's
pitfalls and why each workaround here exists.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rattler.channel import Channel
from rattler.package import PackageName
from rattler.platform import Subdir
from rattler.repo_data.sparse import PackageFormatSelection, SparseRepoData
from rattler.virtual_package import GenericVirtualPackage, VirtualPackage, VirtualPackageOverrides

from bridge.channels.panics import is_panic
from bridge.errors import BridgeError, UnsafeInputError
from bridge.secrets import hidden, masked
from converters.deferred import regex

__all__ = ["WholeRepodata", "base_url", "current_subdir", "detect_virtual_packages", "raising"]

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
    with raising(invalid):
        return str(Channel(text).base_url).rstrip("/")


class WholeRepodata:
    """One `repodata.json` on the disk, read by package name. Thread-safe.

    Raises `UnsafeInputError` (`repodata-invalid`), also where rattler panics.

    :param channel: the channel's URL, for records and errors.
    """

    def __init__(self, path: Path, channel: str, subdir: str) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        with raising(self._invalid):
            self._file = SparseRepoData(Channel(channel), subdir, path)

    def records(self, name: str) -> list[dict[str, object]]:
        """The records of a name as JSON objects, those of wheels too (CEP 48); `.conda` wins over `.tar.bz2`."""
        if not _NAME.match(name):
            return []
        with self._lock, raising(self._invalid):
            records = self._file.load_records(PackageName(name), PackageFormatSelection.PREFER_CONDA_WITH_WHL)
            return [json.loads(record.to_json()) for record in records]

    def names(self) -> list[str]:
        """The names of all packages."""
        with self._lock, raising(self._invalid):
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
def raising(make: Callable[[str], BridgeError]) -> Iterator[None]:
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
