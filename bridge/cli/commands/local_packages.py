"""Conda packages that the user names by their paths or URLs, and that no channel lists."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bridge.channels.machine import current_subdir
from bridge.channels.repodata import Repodata
from bridge.convert.indexed import read_package
from bridge.errors import BridgeError, IntegrityError, NetworkError, UsageError
from bridge.fetch.urls import file_name
from bridge.model import UNKNOWN_CHANNEL
from bridge.prefix.origin import place_of
from bridge.requirements.algebra import Requirement
from bridge.requirements.files.local import package_url
from bridge.requirements.locked import LockedConda
from bridge.resolve.ruling import refuse_url
from bridge.secrets import masked
from converters.record import conda_record

if TYPE_CHECKING:
    from bridge.cli.session import Session

__all__ = ["local_packages"]


def local_packages(requirements: Iterable[Requirement], session: Session) -> dict[str, tuple[LockedConda, ...]]:
    """Return the packages at paths and URLs that no channel lists, each as the only candidate of its name.

    Raises what reading or downloading a package raises, `UnsafeInputError` (`policy`), `IntegrityError`
    (`hash-mismatch`), and `UsageError` (`local-file`): it is for another platform.
    """
    platform = session.settings.platform or current_subdir()
    packages: dict[str, tuple[LockedConda, ...]] = {}
    for requirement in requirements:
        url = package_url(requirement)
        if url is None or requirement.conda is None or _is_listed(url, session, platform):
            continue
        promised = dict(requirement.conda.artifact)
        if session.policy is not None:
            fragment = f"#sha256={promised['sha256']}" if "sha256" in promised else ""
            refuse_url(requirement.conda.name, f"{url}{fragment}", session.policy)
        path = session.client.download(url, sha256=promised.get("sha256"), size=None, name=file_name(url))
        read = read_package(path)
        if isinstance(read, BridgeError):
            raise read
        stated = json.loads(read.text)
        if promised.get("md5", stated["md5"]) != stated["md5"]:
            context = (masked(url), f"expected: {promised['md5']}", f"found: {stated['md5']}")
            raise IntegrityError("hash-mismatch", f"{path.name} has another md5 than was asked for", context=context)
        if stated["subdir"] not in {platform, "noarch"}:
            problem = f"{path.name} is for {stated['subdir']}, and this is solved for {platform}"
            raise UsageError("local-file", problem, hint=f"use a package for {platform}, or name the other --platform")
        channel = url.rsplit("/", 2)[0] if url.startswith("file:") else UNKNOWN_CHANNEL
        place = {"url": url, "fn": path.name, "channel": channel}
        record = conda_record({**stated, **place}, subdir=stated["subdir"])
        packages[record.name] = (*packages.get(record.name, ()), LockedConda(record=record))
    return packages


def _is_listed(url: str, session: Session, platform: str) -> bool:
    """Return whether a channel with records is where the package is: these may correct the package's own."""
    channel = place_of(url, "")[0]
    settings = session.settings
    if channel in settings.channels:
        return True
    if url.startswith("file:") or channel == UNKNOWN_CHANNEL:
        return False
    repodata = Repodata(
        lambda: session.client, [channel], platform, settings.cache_dir / "repodata", offline=settings.offline
    )
    try:
        repodata.open()
    except NetworkError as error:
        if error.id != "channel-unreachable":
            raise
        return False
    finally:
        repodata.close()
    return True
