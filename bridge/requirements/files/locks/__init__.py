"""Locks: a reader for each format, all with the values of `bridge.requirements.locked` as result."""

from __future__ import annotations

__all__: list[str] = []
