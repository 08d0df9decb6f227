"""What an audit leaves in files: a page that a person can look through, and bills of materials for other tools."""

from __future__ import annotations

__all__: list[str] = []
