"""`bridge env`: the environments that conda and bridge know."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.config import Settings
from bridge.config.environments import BASE, KnownEnvironment, known_environments, root_prefix
from bridge.errors import OwnershipError, UsageError
from bridge.install.frozen_and_pinned import check_not_frozen
from bridge.install.registration import unregister
from bridge.paths import META
from bridge.transaction.deletion import delete

__all__ = ["Environments", "check_removable", "listing", "remove"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environments:
    """The known environments; `active` is that of the calling shell."""

    known: tuple[KnownEnvironment, ...]
    active: Path | None

    def _is_active(self, environment: KnownEnvironment) -> bool:
        return self.active is not None and os.path.realpath(self.active) == os.path.realpath(environment.prefix)

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        return [(each.name, "*" if self._is_active(each) else "", str(each.prefix)) for each in self.known]

    def to_json(self) -> dict[str, object]:
        """The document of `bridge env list --json` (`bridge/schemas/env.json`)."""
        return {
            "environments": [
                {
                    "name": each.name or None,
                    "prefix": str(each.prefix),
                    "base": each.name == BASE,
                    "active": self._is_active(each),
                }
                for each in self.known
            ]
        }


def listing(settings: Settings, environ: Mapping[str, str]) -> Environments:
    """All environments of conda's directories and of the user's list that exist."""
    active = environ.get("CONDA_PREFIX")
    return Environments(known=known_environments(settings.conda, environ), active=Path(active) if active else None)


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
