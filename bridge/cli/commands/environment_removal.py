"""`bridge env remove`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from bridge.config import Settings
from bridge.config.environments import known_environments, root_prefix
from bridge.errors import OwnershipError, UsageError
from bridge.install.frozen_and_pinned import check_not_frozen
from bridge.install.registration import unregister
from bridge.paths import META
from bridge.transaction.deletion import delete

__all__ = ["check_removable", "remove"]


def check_removable(prefix: Path, settings: Settings, environ: Mapping[str, str]) -> None:
    """Refuse to delete what is no environment of its own.

    Raises `UsageError` (`not-an-environment`) and `OwnershipError` (`environment-in-use`, `frozen-environment`).
    """
    if not (prefix / META).is_dir():
        raise UsageError("not-an-environment", f"{prefix} is not an environment: it contains no {META}")
    if not settings.override_frozen:
        check_not_frozen(prefix)
    real = Path(os.path.realpath(prefix))
    known = {Path(os.path.realpath(each.prefix)) for each in known_environments(settings.conda, environ)}
    active, root = environ.get("CONDA_PREFIX"), root_prefix(environ)
    if root is not None and real == Path(os.path.realpath(root)):
        reason = "it is conda's own environment"
    elif Path(os.path.realpath(sys.prefix)).is_relative_to(real):
        reason = "bridge itself runs from it"
    elif active and real == Path(os.path.realpath(active)):
        reason = "it is active: deactivate it first"
    elif inner := sorted(each for each in known if each != real and each.is_relative_to(real)):
        reason = f"it contains the environment {inner[0]}"
    else:
        return
    raise OwnershipError("environment-in-use", f"{prefix} is not deleted: {reason}")


def remove(prefix: Path, settings: Settings, environ: Mapping[str, str]) -> None:
    """Delete an environment with all its files, and take it out of conda's list. Raises as `delete`."""
    delete(prefix, timeout=settings.lock_timeout)
    unregister(prefix, environ)
