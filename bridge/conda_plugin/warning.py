"""Warn, before conda changes an environment, of requirements of wheels that the change would break."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from bridge.conda_plugin.needs import Broken, Change, broken_needs
from bridge.paths import quoted

__all__ = ["after_solve", "text", "warn"]

_log = logging.getLogger(__name__)
_MANY = 10  # removing python breaks every wheel
_reported: set[str] = set()  # conda may solve twice, and a transaction follows a solve


class Package(Protocol):
    """The attributes of conda's `PackageRecord` used here."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...


def after_solve(repodata_fn: str, unlink: Iterable[Package], link: Iterable[Package]) -> None:  # noqa: ARG001 - conda's signature
    """The hook after a solve, before it shows its plan."""
    from conda.base.context import context

    warn(context.target_prefix, unlink, link)


def warn(prefix: str, unlink: Iterable[Package], link: Iterable[Package]) -> None:
    """Write the warning to standard error, once for each change. Never stops conda, even on errors."""
    try:
        if not (Path(prefix) / "conda-meta").is_dir():
            return
        message = text(_broken(Path(prefix), unlink, link), prefix)
    except Exception:  # noqa: BLE001 - no error here may stop conda
        _log.debug("the check for broken requirements failed", exc_info=True)
        return
    if message and message not in _reported:
        _reported.add(message)
        sys.stderr.write(message)
        sys.stderr.flush()


def text(broken: tuple[Broken, ...], prefix: str) -> str:
    """The warning, or an empty text."""
    if not broken:
        return ""
    wheels = len({each.wheel for each in broken})
    lines = [f"warning: this change would break requirements of {wheels} wheel{'s' * (wheels > 1)}:"]
    lines += [f"  {each}" for each in broken[:_MANY]]
    if len(broken) > _MANY:
        lines.append(f"  and {len(broken) - _MANY} more")
    lines.append(f"hint: `conda bridge install -p {quoted(prefix)} …` solves conda packages and wheels together")
    return "\n" + "\n".join(lines) + "\n"


def _broken(prefix: Path, unlink: Iterable[Package], link: Iterable[Package]) -> tuple[Broken, ...]:
    from conda.base.context import context

    from bridge.prefix import read

    change = Change(
        removed=frozenset(package.name for package in unlink or ()),
        installed={package.name: package.version for package in link or ()},
    )
    return broken_needs(read(prefix), context.subdir, change) if change.removed or change.installed else ()
