"""The cooldown: packages published after a moment are not taken, with exceptions by package, channel and index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from bridge.config.channel_names import ChannelNames, ends_with
from bridge.config.moments import parse_cutoff
from bridge.config.pip import PipConfiguration
from bridge.secrets import SECRETS
from converters.deferred import dataclass, replace
from converters.projects import canonicalize_name

if TYPE_CHECKING:
    from bridge.config.lookup import Lookup

__all__ = ["Cooldown", "load_cooldown"]

_NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooldown:
    """Moments in milliseconds since the epoch; what was published later is not taken. `None`: no limit.

    :param exceptions: the name of a package or project, or the name, URL or end of the URL of a channel or index → its
        own limit.
    """

    default: int | None = None
    exceptions: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def is_on(self) -> bool:
        """Whether anything has a limit."""
        return self.default is not None or any(limit is not None for limit in self.exceptions.values())

    def limit(self, names: Iterable[str], origin: str) -> int | None:
        """Return the limit for a package: by one of its names, else by its channel or index, else the default."""
        if not self.exceptions:
            return self.default
        for name in names:
            if canonicalize_name(name) in self.exceptions:
                return self.exceptions[canonicalize_name(name)]
        fitting = [key for key in self.exceptions if ends_with(origin, key)]
        return self.exceptions[max(fitting, key=len)] if fitting else self.default

    def or_default(self, limit: int | None) -> Cooldown:
        """Return this cooldown, with another default where it has none."""
        return self if self.default is not None else replace(self, default=limit)

    def with_exceptions(self, further: Mapping[str, int | None]) -> Cooldown:
        """Return this cooldown with further exceptions; its own come first."""
        return replace(self, exceptions={**further, **self.exceptions})

    def with_channel_names(self, names: ChannelNames) -> Cooldown:
        """Return a cooldown that also knows the channels that the exceptions name (`defaults`, an alias)."""
        more: dict[str, int | None] = {}
        for key, limit in self.exceptions.items():
            more |= dict.fromkeys(names.expand(key), limit)
        return replace(self, exceptions={**more, **self.exceptions})


def load_cooldown(ask: Lookup, pip: PipConfiguration, now: float) -> Cooldown:
    """Read `--exclude-newer`, else pip's `uploaded-prior-to`. Raises `UsageError` (`option-value`).

    :param now: seconds since the epoch, for durations.
    """
    default: int | None = None
    exceptions: dict[str, int | None] = {}
    for text in _texts(ask, pip):
        key, _, moment = text.rpartition("=")
        try:
            limit = None if moment.strip() == _NEVER else parse_cutoff(moment, now)
            place = SECRETS.learn(key) if "://" in key else key.strip()
        except ValueError as error:
            raise ask.wrong("exclude_newer", text, str(error)) from error
        if key:
            exceptions[place.rstrip("/") if "/" in place else canonicalize_name(place)] = limit
        else:
            default = limit
    return Cooldown(default=default, exceptions=exceptions)


def _texts(ask: Lookup, pip: PipConfiguration) -> tuple[str, ...]:
    whole, parts = ask.string("exclude_newer"), ask.strings("exclude_newer")
    if whole is None:
        configured = pip.value("uploaded-prior-to")
        return () if configured is None else (configured,)
    # In a variable, `2 weeks` is one value, and `7d numpy=never` are two.
    return parts if "=" in whole or not ask.is_text("exclude_newer") else (whole,)
