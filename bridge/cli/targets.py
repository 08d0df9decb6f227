"""The target of a run."""

from __future__ import annotations

from bridge.channels.machine import current_subdir, virtual_packages
from bridge.config import Settings
from converters.deferred import replace
from converters.target import Target, overridden

__all__ = ["audited_target", "target_of"]

# Defaults for a target other than this machine; `--virtual-package` overrides them.
_FOREIGN = {
    "linux": (("__unix", "0", "0"), ("__linux", "5.10", "0"), ("__glibc", "2.17", "0")),
    "osx": (("__unix", "0", "0"), ("__osx", "11.0", "0")),
    "win": (("__win", "0", "0"),),
}


def target_of(settings: Settings) -> Target:
    """Return the target, without a python: `--platform`, else that of the environment, else this machine.

    `--virtual-package` modifies its virtual packages.
    """
    here = current_subdir()
    subdir = settings.platform
    if subdir is None and settings.prefix:
        from bridge.prefix.platform import platform_of

        subdir = platform_of(settings.prefix)
    subdir = subdir or here
    known = virtual_packages(settings.cache_dir) if subdir == here else _FOREIGN[subdir.split("-")[0]]
    return Target(subdir=subdir, virtual_packages=overridden(known, settings.virtual_packages))


def audited_target(settings: Settings, target: Target) -> Target:
    """Return the target of an audit: for another platform without the virtual packages that were only assumed."""
    is_assumed = target.subdir != current_subdir() and not settings.virtual_packages
    return replace(target, virtual_packages=()) if is_assumed else target
