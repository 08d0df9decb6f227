"""Tell, before conda changes an environment, which needs of wheels the change would break."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from bridge.conda_plugin.needs import Broken, Change, broken_needs

__all__ = ["after_solve", "text", "warn"]

_log = logging.getLogger(__name__)
_MANY = 10  # a python that goes breaks every wheel
_told: set[str] = set()  # conda solves again where a smaller repodata did not do, and a transaction follows a solve


class Package(Protocol):
    """What is read of conda's `PackageRecord`."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...


def after_solve(repodata_fn: str, unlink: Iterable[Package], link: Iterable[Package]) -> None:  # noqa: ARG001 - as conda calls it
    """The hook after a solve, before it shows its plan."""
    from conda.base.context import context

    warn(context.target_prefix, unlink, link)


def warn(prefix: str, unlink: Iterable[Package], link: Iterable[Package]) -> None:
    """Write the warning to standard error, once for each change. It stops nothing, and its own faults do not either."""
    try:
        if not (Path(prefix) / "conda-meta").is_dir():
            return
        message = text(_broken(Path(prefix), unlink, link), prefix)
    except Exception:  # noqa: BLE001 - whatever is wrong with an environment, conda's change is not ours to end
        _log.debug("what this change would break could not be found out", exc_info=True)
        return
    if message and message not in _told:
        _told.add(message)
        sys.stderr.write(message)
        sys.stderr.flush()


def text(broken: tuple[Broken, ...], prefix: str) -> str:
    """The warning; nothing where nothing breaks."""
    if not broken:
        return ""
    wheels = len({each.wheel for each in broken})
    lines = [f"warning: this change would break what {wheels} wheel{'s need' if wheels > 1 else ' needs'}:"]
    lines += [f"  {each}" for each in broken[:_MANY]]
    if len(broken) > _MANY:
        lines.append(f"  and {len(broken) - _MANY} more")
    lines.append(f"hint: `conda bridge install -p {prefix} …` solves conda packages and wheels together")
    return "\n" + "\n".join(lines) + "\n"


def _broken(prefix: Path, unlink: Iterable[Package], link: Iterable[Package]) -> tuple[Broken, ...]:
    from conda.base.context import context

    from bridge.prefix import read

    change = Change(
        removed=frozenset(package.name for package in unlink or ()),
        installed={package.name: package.version for package in link or ()},
    )
    return broken_needs(read(prefix), context.subdir, change) if change.removed or change.installed else ()
