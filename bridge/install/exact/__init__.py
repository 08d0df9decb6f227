"""Install exactly the packages that a lock, a snapshot or another environment names. Nothing is solved."""

from __future__ import annotations
