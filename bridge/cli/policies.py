"""The policy of a run, with the channels that its names mean there."""

from __future__ import annotations

from bridge.channels.places import origins_of
from bridge.config import Settings
from bridge.config.policy import Policy

__all__ = ["located_policy"]


def located_policy(settings: Settings, subdir: str) -> Policy | None:
    """Return the policy; `None` if there is none. Raises `UsageError` (`invalid-channel`)."""
    names = settings.conda.names
    return None if settings.policy is None else settings.policy.located(lambda text: origins_of(text, names, subdir))
