"""`bridge env`: the environments that conda and bridge know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.config import Settings
from bridge.config.environments import BASE, KnownEnvironment, known_environments

__all__ = ["Environments", "listing"]


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
