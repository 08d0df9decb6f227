"""`bridge index`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bridge.cli.session import Session
from bridge.cli.texts import counted
from bridge.convert.channel_index import ChannelIndex, check_channel, write_index, write_names
from bridge.errors import UsageError
from bridge.paths import NAMES_FILE
from bridge.secrets import SECRETS, masked

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
    signs: bool = False,
    trust_config: str = "",
    target_channel: str | None = None,
) -> ChannelIndex:
    """Write the index of a directory of packages; see `write_index`.

    The name map is written for converted packages. Names that they require mean what the map that is there says, unless
    `--name-map` says otherwise.

    :param signs: sign the packages that have no attestation. `trust_config`: a file, of another Sigstore.
    :param target_channel: the channel for which they are signed, a name or URL.

    Raises `UsageError`, `FaultError`, and `NetworkError` (`signing-failed`).
    """
    check_channel(channel)
    channel = channel.absolute()
    names = session.names([channel.as_uri()])
    if target_channel is not None and not signs:
        raise UsageError("usage", "--target-channel needs --sign", hint="the channel is written in attestations")
    target = _url(target_channel, session) if target_channel is not None else ""
    sign = _signing(trust_config, target) if signs else None
    written = write_index(
        channel, keep=keep, prunes=prunes, rereads=rereads, is_dry_run=is_dry_run, jobs=jobs, sign=sign
    )
    if not is_dry_run and (any(each.projects for each in written.packages) or (channel / NAMES_FILE).is_file()):
        write_names(written, names)
    return written


def _url(text: str, session: Session) -> str:
    """Return the public URL of a channel. Raises `UsageError` (`invalid-channel`)."""
    from bridge.channels.places import HOST, origins_of

    urls = origins_of(SECRETS.kept_public(text), session.settings.conda.names, session.target.subdir)
    if len(urls) != 1 or urls[0] == HOST:
        raise UsageError("invalid-channel", f"--target-channel has to name one channel: {masked(text)!r}")
    return urls[0]


def _signing(trust_config: str, target_channel: str) -> Callable[[Sequence[Path]], object]:
    from bridge.convert.signing import sign_packages

    return lambda packages: sign_packages(packages, Path(trust_config) if trust_config else None, target_channel)


def sentences(channel_index: ChannelIndex) -> Iterator[str]:
    """What the command did, for people."""
    for path in channel_index.deleted:
        yield f"{'would delete' if channel_index.is_dry_run else 'deleted'}: {path}"
    if channel_index.signed:
        yield f"signed: {counted(len(channel_index.signed), 'package')}"
    if channel_index.left_out:
        yield f"left out, because there are newer versions: {counted(len(channel_index.left_out), 'package')}"
    for subdir, packages in channel_index.subdirs.items():
        yield f"{channel_index.channel / subdir}: {counted(len(packages), 'package')}"
    done = counted(len(channel_index.packages), "package")
    yield f"{done} in {channel_index.seconds:.1f} s, {channel_index.read} of them read"
