"""Conda's pre-transaction action: the warning for changes without a solve."""

from __future__ import annotations

from conda.core.path_actions import Action

from bridge.conda_plugin.warning import warn

__all__ = ["NeedsAction"]


class NeedsAction(Action):  # type: ignore[misc]  # conda is not typed
    """Warns when conda verifies the transaction, before it changes anything."""

    def verify(self) -> None:
        warn(str(self.target_prefix), self.unlink_precs, self.link_precs)
        self._verified = True

    def execute(self) -> None:
        """Nothing is to be done."""

    def reverse(self) -> None:
        """Nothing was done."""

    def cleanup(self) -> None:
        """Nothing is left."""
