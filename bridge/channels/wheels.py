"""Records of channels that point to wheels (repodata v3, CEP 48), as files of projects. Pure.

A record only says where a wheel is: what the wheel requires is in its own METADATA.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from bridge.errors import UnsafeInputError
from bridge.model import IndexFile
from converters.deferred import dataclass
from converters.projects import canonicalize_name
from converters.record import Record, conda_record
from converters.wheel import parse_wheel_name

__all__ = ["ChannelWheel", "channel_wheel", "is_wheel", "spellings", "unique"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelWheel:
    """A wheel that a channel lists: its file, and what the channel says of it."""

    file: IndexFile
    record: Record


def is_wheel(data: Mapping[str, object]) -> bool:
    """Whether a record of repodata points to a wheel."""
    return any(str(data.get(key) or "").partition("#")[0].endswith(".whl") for key in ("fn", "url"))


def channel_wheel(data: Mapping[str, object], channel: str, subdir: str) -> ChannelWheel:
    """Return the wheel of a record. Raises `UnsafeInputError` for a record or a file name that is none."""
    record = conda_record({**data, "channel": channel}, subdir=subdir)
    filename = unquote(record.url.partition("#")[0].partition("?")[0].rpartition("/")[2])
    if record.sha256 is None:
        raise UnsafeInputError("hash-missing", f"{channel} gives no sha256 for the wheel {filename[:100]!r}")
    named = parse_wheel_name(filename)
    file = IndexFile(
        project=named.project,
        filename=filename,
        version=str(named.version),
        url=record.url,
        origin=channel,
        sha256=record.sha256,
        size=record.size,
        upload_time=record.timestamp,
        is_of_channel=True,
    )
    return ChannelWheel(file=file, record=record)


def spellings(project: str) -> tuple[str, ...]:
    """Return the names under which a channel may list the wheels of a project."""
    name = canonicalize_name(project)
    return tuple(dict.fromkeys((name, name.replace("-", "_"), name.replace("-", "."))))


def unique(wheels: Iterable[ChannelWheel]) -> tuple[ChannelWheel, ...]:
    """Return each file once: a channel may list one under several builds, whose needs differ."""
    return tuple({wheel.file.filename: wheel for wheel in wheels}.values())
