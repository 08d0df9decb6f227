"""`bridge index`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bridge.cli.session import Session
from bridge.convert.channel_index import ChannelIndex, check_channel, write_index, write_names
from bridge.paths import NAMES_FILE

__all__ = ["index", "sentences"]


def index(
    channel: Path,
    session: Session,
    *,
    keep: int | None = None,
    prunes: bool = False,
    rereads: bool = False,
    is_dry_run: bool = False,
    jobs: int = 1,
) -> ChannelIndex:
    """Write the index of a directory of packages; see `write_index`.

    The name map is written for converted packages. Names that they require mean what the map that is there says, unless
    `--name-map` says otherwise. Raises `UsageError` and `FaultError`.
    """
    check_channel(channel)
    channel = channel.absolute()
    names = session.names([channel.as_uri()])
    found = write_index(channel, keep=keep, prunes=prunes, rereads=rereads, is_dry_run=is_dry_run, jobs=jobs)
    if not is_dry_run and (any(each.projects for each in found.packages) or (channel / NAMES_FILE).is_file()):
        write_names(found, names)
    return found


def sentences(found: ChannelIndex) -> Iterator[str]:
    """What the command did, for people."""
    for path in found.deleted:
        yield f"{'would delete' if found.is_dry_run else 'deleted'}: {path}"
    if found.left_out:
        yield f"{len(found.left_out)} packages of older versions are left out"
    for subdir, packages in found.subdirs.items():
        yield f"{found.channel / subdir}: {len(packages)} packages"
    yield f"{len(found.packages)} packages in {found.seconds:.1f} s, {found.read} of them read"
